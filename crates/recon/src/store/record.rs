//! `reconciliation_records` and their history.

use std::collections::HashMap;

use chrono::NaiveDate;
use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Cond, ExprTrait, Func};
use sea_orm::{ActiveValue, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use crate::engine::DiffType;
use crate::error;
use crate::model::{Channel, ReasonCode, RecordStatus};

/// How many rows one INSERT carries: 33 columns each stay below the 32,766 parameters that SQLite takes.
const ROWS_PER_INSERT: usize = 500;

/// One difference (or matched pair); the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_records")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub task_id: Uuid,
    pub task_no: String,
    pub task_date: NaiveDate,
    pub channel: Channel,
    pub ordinal: i64,
    pub identity: String,
    pub diff_type: String,
    pub kind: String,
    pub payment_no: Option<String>,
    pub channel_trade_no: Option<String>,
    pub channel_row_id: Option<String>,
    pub merchant_id: Option<String>,
    pub payout_id: Option<String>,
    pub platform_amount: Option<i64>,
    pub channel_amount: Option<i64>,
    pub diff_amount: Option<i64>,
    pub platform_currency: Option<String>,
    pub channel_currency: Option<String>,
    pub platform_status: Option<String>,
    pub channel_status: Option<String>,
    pub platform_line: Option<i64>,
    pub channel_line: Option<i64>,
    pub occurred_at: Option<String>,
    pub status: RecordStatus,
    pub assigned_to: Option<String>,
    pub assigned_at: Option<Timestamp>,
    pub reason_code: Option<ReasonCode>,
    pub resolution_note: Option<String>,
    pub resolved_by: Option<String>,
    pub resolved_at: Option<Timestamp>,
    pub gone_at: Option<Timestamp>,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Records name their task; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// What happened to records.
pub mod event {
    use payops_core::time::Timestamp;
    use sea_orm::entity::prelude::*;

    /// One happening; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "reconciliation_record_events")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub record_id: Uuid,
        pub action: String,
        pub reason_code: Option<String>,
        pub note: Option<String>,
        pub actor: String,
        pub created_at: Timestamp,
    }

    /// Events name their record; nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Which records a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only of this task.
    pub task_id: Option<Uuid>,
    /// Only of this business day.
    pub task_date: Option<NaiveDate>,
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// Only differences of this type.
    pub diff_type: Option<String>,
    /// Only rows of this kind.
    pub kind: Option<String>,
    /// Only in this state. What nobody has to do anything about (`matched`, `not_expected`, where a task stores them) is in
    /// none, unless `diff_type` asks for it.
    pub status: Option<RecordStatus>,
    /// Only of this owner.
    pub assigned_to: Option<String>,
    /// Only of this payment.
    pub payment_no: Option<String>,
    /// Only with this id of the channel.
    pub channel_trade_no: Option<String>,
    /// Only where either side is in this currency.
    pub currency: Option<String>,
}

/// Where a list of records goes on: after this record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    task_id: Uuid,
    ordinal: i64,
}

/// What a new run needs to know of the records that are there: the keys by which differences are the same.
#[derive(Debug, Clone, FromQueryResult)]
pub struct Known {
    identity: String,
    /// The record's id.
    pub id: Uuid,
    /// Its place in the output of the run before.
    pub ordinal: i64,
    platform_line: Option<i64>,
    channel_line: Option<i64>,
    payout_id: Option<String>,
    merchant_id: Option<String>,
    occurred_at: Option<String>,
    /// When a run no longer had it.
    pub gone_at: Option<Timestamp>,
}

/// The records of a task by identity, those included that are gone.
pub async fn known(tx: &Tx, task_id: Uuid) -> Result<HashMap<String, Known>> {
    let rows: Vec<Known> = Entity::find()
        .select_only()
        .columns([Column::Identity, Column::Id, Column::Ordinal, Column::PlatformLine, Column::ChannelLine])
        .columns([Column::PayoutId, Column::MerchantId, Column::OccurredAt, Column::GoneAt])
        .filter(Column::TaskId.eq(task_id))
        .into_model()
        .all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|record| (record.identity.clone(), record)).collect())
}

/// Adds records.
pub async fn insert_all(tx: &Tx, records: Vec<Model>) -> Result<()> {
    let mut rows = records.into_iter().map(|record| record.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        let batch: Vec<ActiveModel> = rows.by_ref().take(ROWS_PER_INSERT).collect();
        Entity::insert_many(batch).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// Gives a record that a new run has again its new place; what people did about it stands.
pub async fn keep(tx: &Tx, before: &Known, found: &Model, now: Timestamp) -> Result<()> {
    let found_at = (found.ordinal, found.platform_line, found.channel_line, &found.payout_id);
    let stands = (before.ordinal, before.platform_line, before.channel_line, &before.payout_id) == found_at
        && (&before.merchant_id, &before.occurred_at) == (&found.merchant_id, &found.occurred_at);
    if before.gone_at.is_none() && stands {
        return Ok(());
    }
    Entity::update_many()
        .col_expr(Column::Ordinal, Expr::value(found.ordinal))
        .col_expr(Column::PlatformLine, Expr::value(found.platform_line))
        .col_expr(Column::ChannelLine, Expr::value(found.channel_line))
        .col_expr(Column::PayoutId, Expr::value(found.payout_id.clone()))
        .col_expr(Column::MerchantId, Expr::value(found.merchant_id.clone()))
        .col_expr(Column::OccurredAt, Expr::value(found.occurred_at.clone()))
        .col_expr(Column::GoneAt, Expr::value(Option::<Timestamp>::None))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(before.id))
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Hides every record of a task that was called off.
pub async fn mark_all_gone(tx: &Tx, task_id: Uuid, now: Timestamp) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::GoneAt, Expr::value(Some(now)))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::TaskId.eq(task_id))
        .filter(Column::GoneAt.is_null())
        .exec(tx.conn())
        .await?;
    Ok(())
}

/// Hides records that a new run no longer has.
pub async fn mark_gone(tx: &Tx, ids: &[Uuid], now: Timestamp) -> Result<()> {
    for batch in ids.chunks(ROWS_PER_INSERT) {
        Entity::update_many()
            .col_expr(Column::GoneAt, Expr::value(Some(now)))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.is_in(batch.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

/// The record, or 404. One that is gone is found too: its history stands.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    Entity::find_by_id(id).one(conn).await?.ok_or_else(|| error::record_not_found(id))
}

/// The record, locked for the rest of the transaction, or 404; one that is gone is refused.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let record = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    let record = record.ok_or_else(|| error::record_not_found(id))?;
    if record.gone_at.is_some() {
        return Err(error::record_gone(id));
    }
    Ok(Locked::assert_locked(record))
}

/// Writes what `change` does to a locked record and grows its version.
pub async fn update(
    tx: &Tx,
    record: Locked<Model>,
    now: Timestamp,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<Model> {
    let version = record.version + 1;
    let mut row = record.into_inner().into_active_model();
    change(&mut row);
    row.version = ActiveValue::Set(version);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// Adds to the history of records.
pub async fn insert_events(tx: &Tx, events: Vec<event::Model>) -> Result<()> {
    let mut rows = events.into_iter().map(|event| event.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        let batch: Vec<event::ActiveModel> = rows.by_ref().take(ROWS_PER_INSERT).collect();
        event::Entity::insert_many(batch).exec_without_returning(tx.conn()).await?;
    }
    Ok(())
}

/// The history of a record, the first first.
pub async fn events(conn: &impl ConnectionTrait, record_id: Uuid) -> Result<Vec<event::Model>> {
    let events = event::Entity::find()
        .filter(event::Column::RecordId.eq(record_id))
        .order_by_asc(event::Column::CreatedAt)
        .order_by_asc(event::Column::Id)
        .all(conn)
        .await?;
    Ok(events)
}

/// A page of records: newest task first, inside a task in the order of its output.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Model>> {
    let all = filtered(filter);
    let rows = ordered(all.clone(), &request.slice);
    fetch_page(conn, all, rows, request, cursor_of).await
}

/// The next `size` records of a task after `ordinal`, for exports that walk to the end.
pub async fn after(
    conn: &impl ConnectionTrait,
    task_id: Uuid,
    ordinal: i64,
    size: u64,
) -> Result<Vec<Model>> {
    let filter = Filter { task_id: Some(task_id), ..Filter::default() };
    let rows = filtered(&filter)
        .filter(Column::Ordinal.gt(ordinal))
        .order_by_asc(Column::Ordinal)
        .limit(size)
        .all(conn)
        .await?;
    Ok(rows)
}

/// How many records of some tasks stand in which state, by type of difference.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The task.
    pub task_id: Uuid,
    /// The type of difference.
    pub diff_type: String,
    /// What was done about it.
    pub status: RecordStatus,
    /// The currency of `at_risk`: the platform's where it has the row, else the channel's.
    pub currency: String,
    /// How many records.
    pub count: i64,
    /// The sum of what each difference puts at risk, minor units, never negative. It may exceed 64 bits.
    pub at_risk: i128,
}

/// Sums are taken of billions and of the rest apart: neither can leave 64 bits, whatever the amounts.
const BILLION: i64 = 1_000_000_000;

/// The sum of a part of what records put at risk. Two rows that differ in their status alone put all of their amount at
/// risk. A gap beyond 64 bits, which is not stored, lies between amounts of unlike signs.
fn risk(part: &str) -> Expr {
    Expr::cust(format!(
        "CAST(SUM(CASE \
         WHEN diff_type = 'status_diff' THEN ABS(channel_amount {part}) \
         WHEN diff_type = 'amount_diff' AND diff_amount IS NULL \
         THEN ABS(platform_amount {part}) + ABS(channel_amount {part}) \
         ELSE ABS(COALESCE(diff_amount, platform_amount, channel_amount) {part}) END) AS BIGINT)"
    ))
}

/// Counts the records of tasks by type, state and currency.
pub async fn standings(conn: &impl ConnectionTrait, tasks: &[Uuid]) -> Result<Vec<Standing>> {
    type Row = (Uuid, String, RecordStatus, String, i64, i64, i64);
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    // Without a parameter inside, so that PostgreSQL sees one expression in SELECT and GROUP BY.
    let currency =
        || Func::coalesce([Expr::col(Column::PlatformCurrency), Expr::col(Column::ChannelCurrency)]);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .columns([Column::TaskId, Column::DiffType, Column::Status])
        .expr_as(currency(), "currency")
        .expr_as(ExprTrait::cast_as(Func::count(Expr::col(Column::Id)), "BIGINT"), "count")
        .expr_as(risk(&format!("/ {BILLION}")), "billions")
        .expr_as(risk(&format!("% {BILLION}")), "rest")
        .filter(Column::TaskId.is_in(tasks.iter().copied()))
        .filter(Column::GoneAt.is_null())
        .group_by(Column::TaskId)
        .group_by(Column::DiffType)
        .group_by(Column::Status)
        .group_by(currency())
        .into_tuple()
        .all(conn)
        .await?;
    let standing = |(task_id, diff_type, status, currency, count, billions, rest): Row| Standing {
        task_id,
        diff_type,
        status,
        currency,
        count,
        at_risk: i128::from(billions) * i128::from(BILLION) + i128::from(rest),
    };
    Ok(rows.into_iter().map(standing).collect())
}

fn cursor_of(record: &Model) -> Cursor {
    Cursor { task_id: record.task_id, ordinal: record.ordinal }
}

fn ordered(rows: Select<Entity>, slice: &Slice<Cursor>) -> Select<Entity> {
    let rows = rows.order_by_desc(Column::TaskId).order_by_asc(Column::Ordinal);
    match slice {
        Slice::Page { .. } => rows,
        Slice::After(Cursor { task_id, ordinal }) => rows.filter(
            Cond::any()
                .add(Column::TaskId.lt(*task_id))
                .add(Cond::all().add(Column::TaskId.eq(*task_id)).add(Column::Ordinal.gt(*ordinal))),
        ),
    }
}

fn filtered(filter: &Filter) -> Select<Entity> {
    let currency = |currency: String| {
        Cond::any()
            .add(Column::PlatformCurrency.eq(currency.clone()))
            .add(Column::ChannelCurrency.eq(currency))
    };
    let filter = filter.clone();
    let names_type = filter.diff_type.is_some();
    Entity::find()
        .filter(Column::GoneAt.is_null())
        .apply_if(filter.task_id, |rows, id| rows.filter(Column::TaskId.eq(id)))
        .apply_if(filter.task_date, |rows, date| rows.filter(Column::TaskDate.eq(date)))
        .apply_if(filter.channel, |rows, channel| rows.filter(Column::Channel.eq(channel)))
        .apply_if(filter.diff_type, |rows, diff| rows.filter(Column::DiffType.eq(diff)))
        .apply_if(filter.kind, |rows, kind| rows.filter(Column::Kind.eq(kind)))
        .apply_if(filter.status, |rows, status| {
            let rows = rows.filter(Column::Status.eq(status));
            if names_type { rows } else { rows.filter(Column::DiffType.is_not_in(DiffType::unlisted())) }
        })
        .apply_if(filter.assigned_to, |rows, owner| rows.filter(Column::AssignedTo.eq(owner)))
        .apply_if(filter.payment_no, |rows, number| rows.filter(Column::PaymentNo.eq(number)))
        .apply_if(filter.channel_trade_no, |rows, number| rows.filter(Column::ChannelTradeNo.eq(number)))
        .apply_if(filter.currency, |rows, code| rows.filter(currency(code)))
}
