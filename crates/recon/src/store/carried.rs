//! `reconciliation_carried_rows`.

use chrono::NaiveDate;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Cond, OnConflict};
use sea_orm::{DbBackend, FromQueryResult, IntoActiveModel, QueryOrder, QuerySelect, Statement};

use crate::model::{CarriedEnd, CarriedSide, Channel};
use crate::store::record::{self, FINISHED};

/// How many rows one statement reads.
const ROWS_AT_ONCE: u64 = 2_000;
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

/// A row that a day looks for, as its record tells it.
#[derive(Debug, FromQueryResult)]
pub struct LookedFor {
    /// The record of the first day.
    pub record_id: Uuid,
    /// That day's task.
    pub task_id: Uuid,
    /// That day.
    pub first_date: NaiveDate,
    /// Whose row it is.
    pub side: CarriedSide,
    /// The status in payops' vocabulary.
    pub status: Option<String>,
    /// Another id of a channel's charge.
    pub charge_id: Option<String>,
    /// The payment intent of a channel's charge.
    pub payment_intent_id: Option<String>,
    /// The rest is of the record, each as of the side that has the row.
    pub kind: String,
    /// The channel's id of the movement.
    pub channel_trade_no: Option<String>,
    /// The row's own id in its source.
    pub row_id: Option<String>,
    /// Minor units.
    pub amount: Option<i64>,
    /// The currency of `amount`.
    pub currency: Option<String>,
    /// The status word as it stood in the source.
    pub raw_status: Option<String>,
    /// The payout that carried the movement.
    pub payout_id: Option<String>,
    /// The merchant.
    pub merchant_id: Option<String>,
    /// When the movement happened, as it stood in the source.
    pub occurred_at: Option<String>,
    identity: String,
}

/// A task of which rows are looked for.
#[derive(Debug, FromQueryResult)]
struct Origin {
    task_id: Uuid,
}

/// Gives what the task of `date` looks for to `take`: rows of earlier days that no task of a day before `date` has closed, the
/// oldest first. The order depends on nothing but the tasks and what the rows say. There may be millions, and a result is in
/// memory as a whole: they are read in pieces.
pub async fn for_each_looked_for(
    conn: &impl ConnectionTrait,
    days: Days<'_>,
    date: NaiveDate,
    mut take: impl FnMut(&LookedFor) -> Result<()> + Send,
) -> Result<()> {
    let backend = conn.get_database_backend();
    let origins = "SELECT DISTINCT first_date, task_id FROM reconciliation_carried_rows \
         WHERE channel = $1 AND account = $2 AND timezone = $3 AND first_date < $4 \
         AND (closed_date IS NULL OR closed_date >= $4) ORDER BY first_date, task_id";
    let values = [days.channel.into(), days.account.into(), days.timezone.into(), date.into()];
    for origin in
        Origin::find_by_statement(Statement::from_sql_and_values(backend, origins, values)).all(conn).await?
    {
        let mut after = String::new();
        loop {
            let rows = of_origin(conn, origin.task_id, date, &after).await?;
            let Some(last) = rows.last() else { break };
            after.clone_from(&last.identity);
            rows.iter().try_for_each(&mut take)?;
        }
    }
    Ok(())
}

/// Some of the rows of one task, by identity after `after`.
async fn of_origin(
    conn: &impl ConnectionTrait,
    task_id: Uuid,
    date: NaiveDate,
    after: &str,
) -> Result<Vec<LookedFor>> {
    let backend = conn.get_database_backend();
    // SQLite would begin with the carried rows, and sort them for every piece; so joined it walks the task by identity.
    let join = if backend == DbBackend::Sqlite { " CROSS JOIN " } else { " JOIN " };
    let of_side = |name: &str, ours: &str, theirs: &str| {
        format!(
            "CASE carried.side WHEN 'platform' THEN reconciliation_records.{ours} \
             ELSE reconciliation_records.{theirs} END AS {name}"
        )
    };
    let of_side = [
        of_side("row_id", "payment_no", "channel_row_id"),
        of_side("amount", "platform_amount", "channel_amount"),
        of_side("currency", "platform_currency", "channel_currency"),
        of_side("raw_status", "platform_status", "channel_status"),
    ]
    .join(", ");
    let sql = format!(
        "SELECT carried.record_id, carried.task_id, carried.first_date, carried.side, carried.status, carried.charge_id, \
         carried.payment_intent_id, reconciliation_records.kind, reconciliation_records.channel_trade_no, {of_side}, \
         reconciliation_records.payout_id, reconciliation_records.merchant_id, reconciliation_records.occurred_at, \
         reconciliation_records.identity \
         FROM reconciliation_records{join}reconciliation_carried_rows AS carried \
         ON carried.record_id = reconciliation_records.id \
         WHERE reconciliation_records.task_id = $1 AND reconciliation_records.identity > $2 \
         AND reconciliation_records.gone_at IS NULL AND {FINISHED} \
         AND (carried.closed_date IS NULL OR carried.closed_date >= $3) \
         ORDER BY reconciliation_records.identity LIMIT {ROWS_AT_ONCE}"
    );
    let statement = Statement::from_sql_and_values(backend, sql, [task_id.into(), after.into(), date.into()]);
    Ok(LookedFor::find_by_statement(statement).all(conn).await?)
}

/// A carried row by its ends: where it comes from, and what has become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromQueryResult)]
pub struct Ends {
    /// The record of the first day.
    pub record_id: Uuid,
    /// That day's task.
    pub task_id: Uuid,
    /// That day.
    pub first_date: NaiveDate,
    /// The later task that has closed it.
    pub closed_by: Option<Uuid>,
    /// How.
    pub closed_as: Option<CarriedEnd>,
}

fn ends() -> Select<Entity> {
    let columns = [Column::RecordId, Column::TaskId, Column::FirstDate, Column::ClosedBy, Column::ClosedAs];
    Entity::find().select_only().columns(columns)
}

/// The rows that a task has closed.
pub async fn closed_by(tx: &Tx, task_id: Uuid) -> Result<Vec<Ends>> {
    let (mut found, mut after) = (Vec::new(), Uuid::nil());
    loop {
        let rows: Vec<Ends> = ends()
            .filter(Column::ClosedBy.eq(task_id))
            .filter(Column::RecordId.gt(after))
            .order_by_asc(Column::RecordId)
            .limit(ROWS_AT_ONCE)
            .into_model()
            .all(tx.conn())
            .await?;
        let Some(last) = rows.last() else { return Ok(found) };
        after = last.record_id;
        found.extend(rows);
    }
}

/// Those of the rows that no task of a day before `date` has closed. They cannot change while the tasks that they come from
/// are locked.
pub async fn not_closed_before(tx: &Tx, rows: &[Uuid], date: NaiveDate) -> Result<Vec<Ends>> {
    let mut found = Vec::new();
    for batch in rows.chunks(ROWS_PER_STATEMENT) {
        let rows: Vec<Ends> = ends()
            .filter(Column::RecordId.is_in(batch.iter().copied()))
            .filter(not_before(date))
            .into_model()
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
