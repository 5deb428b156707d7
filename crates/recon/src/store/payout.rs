//! `reconciliation_payouts`: what the files of tasks say of payouts.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Cond;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};

use crate::model::{FileRole, TaskStatus};
use crate::payouts::PayoutFact;
use crate::store::task::{self, Model as Task};

/// How many rows one INSERT carries: 9 columns each stay below the 32,766 parameters that SQLite takes.
const ROWS_PER_INSERT: usize = 2_000;

/// How many ids one statement carries.
const IDS_AT_ONCE: usize = 1_000;

/// What the file of one task says of one payout; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_payouts")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub task_id: Uuid,
    pub payout_id: String,
    pub currency: String,
    pub row_count: i64,
    pub row_sum: i64,
    pub own_sum: Option<i64>,
    pub payout_date: Option<NaiveDate>,
    pub rows_are_all: bool,
}

/// Payouts name their task; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Model {
    /// The row of a fact.
    pub fn new(id: Uuid, task_id: Uuid, fact: &PayoutFact) -> Self {
        // Sums beyond 64 bits stay as large as can be.
        let narrow = |sum: i128| i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX });
        Self {
            id,
            task_id,
            payout_id: fact.id.replace('\0', ""),
            currency: fact.currency.to_string(),
            row_count: i64::try_from(fact.rows).unwrap_or(i64::MAX),
            row_sum: narrow(fact.row_sum),
            own_sum: fact.own_sum.map(narrow),
            payout_date: fact.date,
            rows_are_all: fact.rows_are_all,
        }
    }

    fn payout(&self) -> (&str, &str) {
        (&self.payout_id, &self.currency)
    }

    fn says_as(&self, other: &Self) -> bool {
        *self == Self { id: self.id, ..other.clone() }
    }

    /// The fact, which the task that asks does not ask about.
    fn fact(self) -> Result<PayoutFact> {
        let broken = |why: String| Error::impossible_row("reconciliation_payouts", "currency", self.id, why);
        Ok(PayoutFact {
            currency: self.currency.parse().map_err(|error| broken(format!("{error}")))?,
            id: self.payout_id,
            rows: u64::try_from(self.row_count).unwrap_or(0),
            row_sum: self.row_sum.into(),
            own_sum: self.own_sum.map(i128::from),
            date: self.payout_date,
            rows_are_all: self.rows_are_all,
            is_asked_about: false,
        })
    }
}

/// Puts these rows in the place of what the task said before; returns whether they say anything else.
pub async fn replace(tx: &Tx, task_id: Uuid, rows: Vec<Model>) -> Result<bool> {
    let mut old = Entity::find().filter(Column::TaskId.eq(task_id)).all(tx.conn()).await?;
    old.sort_by(|one, other| one.payout().cmp(&other.payout()));
    let mut new: Vec<&Model> = rows.iter().collect();
    new.sort_by(|one, other| one.payout().cmp(&other.payout()));
    let same = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| old.says_as(new));
    if same {
        return Ok(false);
    }
    Entity::delete_many().filter(Column::TaskId.eq(task_id)).exec(tx.conn()).await?;
    let mut rows = rows.into_iter().map(|row| row.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        let batch: Vec<ActiveModel> = rows.by_ref().take(ROWS_PER_INSERT).collect();
        Entity::insert_many(batch).exec_without_returning(tx.conn()).await?;
    }
    Ok(true)
}

/// What a task's own files say, as far as it was kept.
pub async fn of_task(conn: &impl ConnectionTrait, task_id: Uuid) -> Result<Vec<PayoutFact>> {
    let rows = Entity::find().filter(Column::TaskId.eq(task_id)).all(conn).await?;
    rows.into_iter().map(Model::fact).collect()
}

/// Those of these payouts that the files of other days of a task's channel account list, whatever days these are, or have rows of
/// that are of later days.
pub async fn known_elsewhere(
    conn: &impl ConnectionTrait,
    task: &Task,
    ids: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    let ids: Vec<&String> = ids.iter().collect();
    for batch in ids.chunks(IDS_AT_ONCE) {
        let rows: Vec<String> = Entity::find()
            .select_only()
            .column(Column::PayoutId)
            .filter(Column::PayoutId.is_in(batch.iter().copied()))
            .filter(Column::TaskId.ne(task.id))
            .filter(Column::TaskId.in_subquery(task::of_account(&task.subject(FileRole::Payouts))))
            .filter(
                Cond::any()
                    .add(Column::OwnSum.is_not_null())
                    .add(Column::RowsAreAll.eq(true))
                    .add(Column::PayoutDate.gt(task.task_date)),
            )
            .into_tuple()
            .all(conn)
            .await?;
        known.extend(rows);
    }
    Ok(known)
}

/// The tasks of a task's channel account whose files name a payout that its own say something of.
pub async fn naming_the_same(conn: &impl ConnectionTrait, task: &Task) -> Result<Vec<Uuid>> {
    let own = Entity::find().filter(Column::TaskId.eq(task.id)).select_only().column(Column::PayoutId);
    let tasks = Entity::find()
        .select_only()
        .column(Column::TaskId)
        .distinct()
        .filter(Column::PayoutId.in_subquery(own.into_query()))
        .filter(Column::TaskId.ne(task.id))
        .filter(Column::TaskId.in_subquery(task::of_account(&task.subject(FileRole::Payouts))))
        .into_tuple()
        .all(conn)
        .await?;
    Ok(tasks)
}

/// What the files of other days of a task's channel account say, the first day first, and whether a settlement file is among them
/// that has rows of payouts: one of a day without a report of payouts.
pub async fn of_other_days(
    conn: &impl ConnectionTrait,
    task: &Task,
    days: RangeInclusive<NaiveDate>,
) -> Result<(Vec<PayoutFact>, bool)> {
    let others = task::Entity::find()
        .select_only()
        .columns([task::Column::Id, task::Column::PayoutsAreStated])
        .filter(task::Column::TaskDate.between(*days.start(), *days.end()))
        .filter(task::Column::Channel.eq(task.channel))
        .filter(task::Column::Account.eq(task.account.as_str()))
        .filter(task::Column::Timezone.eq(task.timezone.as_str()))
        .filter(task::Column::Status.ne(TaskStatus::Cancelled))
        .filter(task::Column::DeletedAt.is_null())
        .filter(task::Column::Id.ne(task.id))
        .order_by_asc(task::Column::TaskDate)
        .into_tuple::<(Uuid, bool)>()
        .all(conn)
        .await?;
    let (mut facts, mut settlements_state) = (Vec::new(), false);
    for (other, is_reported) in others {
        let rows = Entity::find()
            .filter(Column::TaskId.eq(other))
            .order_by_asc(Column::PayoutId)
            .order_by_asc(Column::Currency)
            .all(conn)
            .await?;
        for row in rows {
            settlements_state |= row.own_sum.is_some() && !is_reported;
            facts.push(row.fact()?);
        }
    }
    Ok((facts, settlements_state))
}
