//! `reconciliation_carried_rows`.

use chrono::NaiveDate;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Cond, OnConflict};
use sea_orm::{IntoActiveModel, QueryOrder};

use crate::model::{CarriedEnd, CarriedSide, Channel};
use crate::store::record;

/// How many rows one statement carries.
const ROWS_PER_STATEMENT: usize = 500;

/// One carried row; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reconciliation_carried_rows")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub record_id: Uuid,
    pub task_id: Uuid,
    pub channel: Channel,
    pub account: String,
    pub timezone: String,
    pub first_date: NaiveDate,
    pub side: CarriedSide,
    pub status: Option<String>,
    pub charge_id: Option<String>,
    pub payment_intent_id: Option<String>,
    pub closed_by: Option<Uuid>,
    pub closed_date: Option<NaiveDate>,
    pub closed_as: Option<CarriedEnd>,
}

/// A carried row is told from its record.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The record of the first day.
    #[sea_orm(belongs_to = "record::Entity", from = "Column::RecordId", to = "record::Column::Id")]
    Record,
}

impl Related<record::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Record.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

/// The days of one channel account in one zone.
#[derive(Debug, Clone, Copy)]
pub struct Days<'a> {
    /// Whose.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: &'a str,
    /// The zone that defines the days.
    pub timezone: &'a str,
}

/// Adds carried rows; one that is there already stays as it is.
pub async fn insert_all(tx: &Tx, rows: Vec<Model>) -> Result<()> {
    let mut rows = rows.into_iter().map(|row| row.into_active_model().reset_all()).peekable();
    while rows.peek().is_some() {
        let batch: Vec<ActiveModel> = rows.by_ref().take(ROWS_PER_STATEMENT).collect();
        Entity::insert_many(batch)
            .on_conflict(OnConflict::column(Column::RecordId).do_nothing().to_owned())
            .exec_without_returning(tx.conn())
            .await?;
    }
    Ok(())
}

/// What the task of `date` looks for: rows of earlier days that no task of a day before `date` has closed, the oldest
/// first. The order depends on nothing but what the rows say.
pub async fn looked_for(
    conn: &impl ConnectionTrait,
    days: Days<'_>,
    date: NaiveDate,
) -> Result<Vec<(Model, record::Model)>> {
    let rows = Entity::find()
        .find_also_related(record::Entity)
        .filter(Column::Channel.eq(days.channel))
        .filter(Column::Account.eq(days.account))
        .filter(Column::Timezone.eq(days.timezone))
        .filter(Column::FirstDate.lt(date))
        .filter(not_before(date))
        .filter(record::shown())
        .order_by_asc(Column::FirstDate)
        .order_by_asc(record::Column::Identity)
        .all(conn)
        .await?;
    Ok(rows.into_iter().filter_map(|(row, record)| Some((row, record?))).collect())
}

/// The rows that a task has closed.
pub async fn closed_by(tx: &Tx, task_id: Uuid) -> Result<Vec<Model>> {
    Ok(Entity::find().filter(Column::ClosedBy.eq(task_id)).all(tx.conn()).await?)
}

/// Those of the rows that no task of a day before `date` has closed. They cannot change while the tasks that they come from
/// are locked.
pub async fn not_closed_before(tx: &Tx, rows: &[Uuid], date: NaiveDate) -> Result<Vec<Model>> {
    let mut found = Vec::new();
    for batch in rows.chunks(ROWS_PER_STATEMENT) {
        let rows = Entity::find()
            .filter(Column::RecordId.is_in(batch.iter().copied()))
            .filter(not_before(date))
            .all(tx.conn())
            .await?;
        found.extend(rows);
    }
    Ok(found)
}

fn not_before(date: NaiveDate) -> Cond {
    Cond::any().add(Column::ClosedDate.is_null()).add(Column::ClosedDate.gte(date))
}

/// Notes that the task of a later day has closed rows.
pub async fn close(
    tx: &Tx,
    rows: &[Uuid],
    (task_id, date): (Uuid, NaiveDate),
    closed_as: CarriedEnd,
) -> Result<()> {
    set_end(tx, rows, Some(task_id), Some(date), Some(closed_as)).await
}

/// Takes the end of rows back: they are looked for again.
pub async fn reopen(tx: &Tx, rows: &[Uuid]) -> Result<()> {
    set_end(tx, rows, None, None, None).await
}

async fn set_end(
    tx: &Tx,
    rows: &[Uuid],
    closed_by: Option<Uuid>,
    closed_date: Option<NaiveDate>,
    closed_as: Option<CarriedEnd>,
) -> Result<()> {
    for batch in rows.chunks(ROWS_PER_STATEMENT) {
        Entity::update_many()
            .col_expr(Column::ClosedBy, Expr::value(closed_by))
            .col_expr(Column::ClosedDate, Expr::value(closed_date))
            .col_expr(Column::ClosedAs, Expr::value(closed_as))
            .filter(Column::RecordId.is_in(batch.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}
