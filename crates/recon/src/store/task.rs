//! `reconciliation_tasks`.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::{Timestamp, Zone};
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Cond, ExprTrait, SelectStatement};
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error;
use crate::model::{Channel, FileRole, Phase, TaskStatus, TaskType};
use crate::store::file::{Due, Subject};

/// One reconciliation task; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_tasks")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub task_no: String,
    pub task_date: NaiveDate,
    pub timezone: String,
    pub channel: Channel,
    pub account: String,
    pub task_type: TaskType,
    pub status: TaskStatus,
    pub phase: Option<Phase>,
    pub progress: i32,
    pub status_message: Option<String>,
    pub run_no: i64,
    pub store_matched: bool,
    pub settlement_file_id: Option<Uuid>,
    pub summary_file_id: Option<Uuid>,
    pub platform_file_id: Option<Uuid>,
    pub verdict: Option<String>,
    pub platform_count: Option<i64>,
    pub platform_amount: Option<i64>,
    pub channel_count: Option<i64>,
    pub channel_amount: Option<i64>,
    pub matched_count: Option<i64>,
    pub matched_amount: Option<i64>,
    pub diff_count: Option<i64>,
    pub diff_amount: Option<i64>,
    pub currency: Option<String>,
    pub summary: Option<String>,
    pub certificate: Option<Json>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub traceparent: Option<String>,
    pub created_by: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub deleted_at: Option<Timestamp>,
    pub inputs_changed: bool,
    pub timing_count: Option<i64>,
    pub saving_run: Option<i64>,
    pub rule_set_version: Option<i64>,
    pub carried_hash: Option<String>,
    pub payout_diff_count: Option<i64>,
    pub payouts_file_id: Option<Uuid>,
    pub payout_rows_file_id: Option<Uuid>,
    pub open_payouts_hash: Option<String>,
    pub payouts_are_stated: bool,
    pub deposits_version: i32,
    pub deposits_after: Option<Timestamp>,
}

/// Tasks stand alone; their records name them.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// Notes which file of a role the present run uses; bank statements are noted beside the run.
    pub fn set_input(&mut self, role: FileRole, file: Option<Uuid>) {
        match role {
            FileRole::Settlement => self.settlement_file_id = ActiveValue::Set(file),
            FileRole::BalanceSummary => self.summary_file_id = ActiveValue::Set(file),
            FileRole::Platform => self.platform_file_id = ActiveValue::Set(file),
            FileRole::BankStatement => {}
            FileRole::Payouts => self.payouts_file_id = ActiveValue::Set(file),
            FileRole::PayoutRows => self.payout_rows_file_id = ActiveValue::Set(file),
        }
    }
}

impl Model {
    /// What the day's file of a role is about.
    pub fn subject(&self, role: FileRole) -> Subject {
        Subject {
            role,
            channel: self.channel,
            account: self.account.clone(),
            date: self.task_date,
            timezone: self.timezone.clone(),
            bank_accounts: String::new(),
        }
    }

    /// The file of a role that the present run has chosen; bank statements are several, and belong to the run.
    pub fn input(&self, role: FileRole) -> Option<Uuid> {
        match role {
            FileRole::Settlement => self.settlement_file_id,
            FileRole::BalanceSummary => self.summary_file_id,
            FileRole::Platform => self.platform_file_id,
            FileRole::BankStatement => None,
            FileRole::Payouts => self.payouts_file_id,
            FileRole::PayoutRows => self.payout_rows_file_id,
        }
    }
}

/// The states of tasks whose last completed run still counts, and that have none under way.
const CAUGHT_UP: [TaskStatus; 2] = [TaskStatus::Completed, TaskStatus::Failed];

/// Which tasks a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only in this state.
    pub status: Option<TaskStatus>,
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only of this business day.
    pub task_date: Option<NaiveDate>,
    /// Only of this day and later.
    pub date_from: Option<NaiveDate>,
    /// Only of this day and earlier.
    pub date_to: Option<NaiveDate>,
    /// Only with this verdict.
    pub verdict: Option<String>,
}

/// Stores a new task. A task of the same day, channel, account and type that is not cancelled is a unique
/// violation.
pub async fn insert(tx: &Tx, task: Model) -> Result<Model> {
    Ok(reset(task).insert(tx.conn()).await?)
}

/// The task, or 404.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    select().filter(Column::Id.eq(id)).one(conn).await?.ok_or_else(|| error::task_not_found(id))
}

/// The task, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let task = select().filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
    task.map(Locked::assert_locked).ok_or_else(|| error::task_not_found(id))
}

/// The task that holds a day, if any. A row may still bear the zone's name of earlier, under which it was stored
/// before zones were stored under one name only.
pub async fn holding(
    conn: &impl ConnectionTrait,
    day: (NaiveDate, &str),
    channel: Channel,
    account: &str,
) -> Result<Option<Model>> {
    let (date, zone) = day;
    let tasks = select()
        .filter(Column::TaskDate.eq(date))
        .filter(Column::Channel.eq(channel))
        .filter(Column::Account.eq(account))
        .filter(Column::Status.ne(TaskStatus::Cancelled))
        .all(conn)
        .await?;
    let named = |row: &&Model| Zone::named(&row.timezone).is_ok_and(|known| known.name() == zone);
    let found = tasks.iter().find(|row| row.timezone == zone).or_else(|| tasks.iter().find(named));
    Ok(found.cloned())
}

/// The tasks of later days of the same channel account that were started, the next day first.
pub async fn started_after(conn: &impl ConnectionTrait, task: &Model) -> Result<Vec<Model>> {
    let tasks = select()
        .filter(Column::TaskDate.gt(task.task_date))
        .filter(Column::Channel.eq(task.channel))
        .filter(Column::Account.eq(task.account.as_str()))
        .filter(Column::Status.ne(TaskStatus::Cancelled))
        .filter(Column::RunNo.gt(0))
        .order_by_asc(Column::TaskDate)
        .all(conn)
        .await?;
    let zone = Zone::named(&task.timezone).ok();
    let same_zone = |row: &Model| row.timezone == task.timezone || Zone::named(&row.timezone).ok() == zone;
    Ok(tasks.into_iter().filter(same_zone).collect())
}

/// The ids of the tasks that hold these days of a channel account, the first day first.
pub async fn holding_days(
    conn: &impl ConnectionTrait,
    like: &Subject,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<Uuid>> {
    let tasks = select()
        .select_only()
        .column(Column::Id)
        .filter(Column::TaskDate.between(*days.start(), *days.end()))
        .filter(of(like))
        .order_by_asc(Column::TaskDate)
        .order_by_asc(Column::Id)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(tasks)
}

/// The ids of the tasks that hold days of the channel, account and zone of `like`, for a condition.
pub(super) fn of_account(like: &Subject) -> SelectStatement {
    let tasks = select().filter(of(like)).select_only().column(Column::Id);
    tasks.into_query()
}

/// Those of these days of the channel, account and zone of `like` whose last completed run had a report of its payouts.
pub async fn stating_payouts(
    conn: &impl ConnectionTrait,
    like: &Subject,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<NaiveDate>> {
    let tasks = select()
        .select_only()
        .column(Column::TaskDate)
        .filter(of(like))
        .filter(Column::TaskDate.between(*days.start(), *days.end()))
        .filter(Column::PayoutsAreStated.eq(true));
    Ok(tasks.into_tuple().all(conn).await?)
}

/// The ids of the tasks of the channel, account and zone of `like` that have a run under way.
pub async fn processing(conn: &impl ConnectionTrait, like: &Subject) -> Result<Vec<Uuid>> {
    let tasks = select().filter(of(like)).filter(Column::Status.eq(TaskStatus::Processing));
    Ok(tasks.select_only().column(Column::Id).into_tuple().all(conn).await?)
}

/// Not cancelled, of this channel, account and zone.
fn of(like: &Subject) -> Cond {
    Cond::all()
        .add(Column::Channel.eq(like.channel))
        .add(Column::Account.eq(like.account.as_str()))
        .add(Column::Timezone.eq(like.timezone.as_str()))
        .add(Column::Status.ne(TaskStatus::Cancelled))
}

/// The tasks with these ids, the oldest day first.
pub async fn named(conn: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Model>> {
    let tasks = select().filter(Column::Id.is_in(ids.iter().copied()));
    Ok(tasks.order_by_asc(Column::TaskDate).order_by_asc(Column::Id).all(conn).await?)
}

/// The ids of the tasks of a channel that hold these days, of one account or of all.
pub async fn of_channel(
    conn: &impl ConnectionTrait,
    channel: Channel,
    account: Option<&str>,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<Uuid>> {
    let tasks = select()
        .select_only()
        .column(Column::Id)
        .filter(Column::Channel.eq(channel))
        .apply_if(account, |rows, account| rows.filter(Column::Account.eq(account)))
        .filter(Column::TaskDate.between(*days.start(), *days.end()))
        .filter(Column::Status.ne(TaskStatus::Cancelled))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(tasks)
}

/// Writes what `change` does to a locked task and grows its version.
pub async fn update(
    tx: &Tx,
    task: Locked<Model>,
    now: Timestamp,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<Model> {
    let version = task.version + 1;
    let mut row = task.into_inner().into_active_model();
    change(&mut row);
    row.version = ActiveValue::Set(version);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// Notes whose records are being written down, or that none are.
pub async fn note_saving(tx: &Tx, task: &Locked<Model>, run_no: Option<i64>) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::SavingRun, Expr::value(run_no))
        .filter(Column::Id.eq(task.id))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// The ids of tasks that were compared with the bank and of which is due to be kept what they rest on there, at most so many.
pub async fn to_catch_up(conn: &impl ConnectionTrait, due: Due, most: u64) -> Result<Vec<Uuid>> {
    let tasks = select()
        .select_only()
        .column(Column::Id)
        .filter(Column::Status.is_in(CAUGHT_UP))
        .filter(Column::DepositsVersion.lt(due.version))
        .filter(Column::PayoutDiffCount.is_not_null())
        .filter(Column::DepositsAfter.is_null().or(Column::DepositsAfter.lte(due.now)))
        .order_by_asc(Column::DepositsVersion)
        .limit(most);
    Ok(tasks.into_tuple().all(conn).await?)
}

/// The task with this id, locked for the rest of the transaction, if it is one of those that [`to_catch_up`] gives.
pub async fn lock_to_catch_up(tx: &Tx, id: Uuid, due: Due) -> Result<Option<Locked<Model>>> {
    let task = select().filter(Column::Id.eq(id)).lock_exclusive().one(tx.conn()).await?;
    let is_due = |task: &Model| {
        CAUGHT_UP.contains(&task.status)
            && task.payout_diff_count.is_some()
            && due.is(task.deposits_version, task.deposits_after)
    };
    Ok(task.filter(is_due).map(Locked::assert_locked))
}

/// Notes by which reading it is kept what a task rests on at the bank, or when that is read again and why it could not. To
/// people it is the task that it was: its version stays.
pub async fn note_deposits(
    tx: &Tx,
    task: &Locked<Model>,
    version: i32,
    (not_before, message): (Option<Timestamp>, Option<String>),
) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::DepositsVersion, Expr::value(version))
        .col_expr(Column::DepositsAfter, Expr::value(not_before))
        .col_expr(Column::StatusMessage, Expr::value(message))
        .filter(Column::Id.eq(task.id))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Moves a running task on: phase, progress (which never falls) and what it waits for. Does nothing once the
/// run is over. Returns false then.
pub async fn advance(tx: &Tx, step: &Step, now: Timestamp) -> Result<bool> {
    let result = Entity::update_many()
        .col_expr(Column::Phase, Expr::value(step.phase))
        .col_expr(
            Column::Progress,
            sea_orm::sea_query::CaseStatement::new()
                .case(Column::Progress.lt(step.progress), Expr::value(step.progress))
                .finally(Expr::col(Column::Progress))
                .into(),
        )
        .col_expr(Column::StatusMessage, Expr::value(step.message.clone()))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(step.task_id))
        .filter(Column::RunNo.eq(step.run_no))
        .filter(Column::Status.eq(TaskStatus::Processing))
        .exec(tx.conn())
        .await?;
    Ok(result.rows_affected > 0)
}

/// Where a running task has got to.
#[derive(Debug, Clone)]
pub struct Step {
    /// The task.
    pub task_id: Uuid,
    /// The run that reports.
    pub run_no: i64,
    /// What it is doing.
    pub phase: Phase,
    /// Percent, 0 to 100.
    pub progress: i32,
    /// What it waits for.
    pub message: Option<String>,
}

/// A page of tasks, newest first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
) -> Result<Page<Model>> {
    let all = filtered(filter);
    let mut rows = all.clone().order_by_desc(Column::Id);
    if let Slice::After(id) = request.slice {
        rows = rows.filter(Column::Id.lt(id));
    }
    fetch_page(conn, all, rows, request, |task| task.id).await
}

/// The tasks of a span of days that have figures, for the overview: also while they are run again, and after that has
/// failed.
pub async fn with_figures_between(
    conn: &impl ConnectionTrait,
    from: NaiveDate,
    to: NaiveDate,
    channel: Option<Channel>,
) -> Result<Vec<Model>> {
    let filter = Filter { channel, date_from: Some(from), date_to: Some(to), ..Filter::default() };
    let tasks = filtered(&filter)
        .filter(Column::Summary.is_not_null())
        .filter(Column::Status.ne(TaskStatus::Cancelled))
        .order_by_desc(Column::TaskDate)
        .order_by_asc(Column::Channel)
        .all(conn)
        .await?;
    Ok(tasks)
}

fn filtered(filter: &Filter) -> Select<Entity> {
    select()
        .apply_if(filter.status, |rows, status| rows.filter(Column::Status.eq(status)))
        .apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)))
        .apply_if(filter.task_date, |rows, date| rows.filter(Column::TaskDate.eq(date)))
        .apply_if(filter.date_from, |rows, date| rows.filter(Column::TaskDate.gte(date)))
        .apply_if(filter.date_to, |rows, date| rows.filter(Column::TaskDate.lte(date)))
        .apply_if(filter.verdict.clone(), |rows, verdict| rows.filter(Column::Verdict.eq(verdict)))
}

fn select() -> Select<Entity> {
    Entity::find().filter(Column::DeletedAt.is_null())
}

fn reset(task: Model) -> ActiveModel {
    task.into_active_model().reset_all()
}
