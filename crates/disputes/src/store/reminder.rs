//! `deadline_reminders`: which reminder of a deadline was given.

use chrono::TimeDelta;
use payops_core::time::Timestamp;
use payops_platform::db::{Backend, Tx};
use payops_platform::error::Result;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use super::queue::AWAITS_ANSWER;

/// How long a deadline that the channel found missed is looked for.
const MISSED_FOR: TimeDelta = TimeDelta::days(7);

/// One reminder; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "deadline_reminders")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub due_by: Timestamp,
    #[sea_orm(primary_key, auto_increment = false)]
    pub days_before: i32,
    pub reminded_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Notes a reminder; false when it, or one of a nearer day, was given before.
pub async fn insert_new(tx: &Tx, reminder: Model) -> Result<bool> {
    let given = Entity::find()
        .filter(Column::DisputeId.eq(reminder.dispute_id))
        .filter(Column::DueBy.eq(reminder.due_by))
        .filter(Column::DaysBefore.lte(reminder.days_before));
    if given.one(tx.conn()).await?.is_some() {
        return Ok(false);
    }
    let key = [Column::DisputeId, Column::DueBy, Column::DaysBefore];
    let unless_known = OnConflict::columns(key).do_nothing().to_owned();
    let row = reminder.into_active_model().reset_all();
    let inserted = Entity::insert(row).on_conflict(unless_known).exec_without_returning(tx.conn()).await?;
    Ok(inserted > 0)
}

/// The disputes that a reminder is due for, those with the nearest deadline first; then those that the channel says were
/// not answered in time.
pub async fn due(
    conn: &impl ConnectionTrait,
    backend: Backend,
    now: Timestamp,
    most: u64,
) -> Result<Vec<Uuid>> {
    let within = |days: i64| Value::from(now + TimeDelta::days(days));
    let near = format!(
        "SELECT d.id FROM disputes d WHERE {AWAITS_ANSWER} AND d.evidence_submitted = FALSE \
         AND d.evidence_due_by <= $4 AND NOT EXISTS (SELECT 1 FROM deadline_reminders r \
           WHERE r.dispute_id = d.id AND r.due_by = d.evidence_due_by AND r.days_before <= CASE \
             WHEN d.evidence_due_by <= $1 THEN 0 WHEN d.evidence_due_by <= $2 THEN 1 \
             WHEN d.evidence_due_by <= $3 THEN 3 ELSE 7 END) \
         ORDER BY d.evidence_due_by LIMIT $5"
    );
    let values = [now.into(), within(1), within(3), within(7), most.into()];
    let mut due = ids(conn, backend, &near, values).await?;
    let missed = "SELECT d.id FROM disputes d WHERE d.lost_cause = 'expired' AND d.closed_at >= $1 \
         AND d.evidence_due_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM deadline_reminders r \
           WHERE r.dispute_id = d.id AND r.due_by = d.evidence_due_by AND r.days_before = 0) LIMIT $2";
    due.extend(ids(conn, backend, missed, [(now - MISSED_FOR).into(), most.into()]).await?);
    Ok(due)
}

async fn ids<const N: usize>(
    conn: &impl ConnectionTrait,
    backend: Backend,
    sql: &str,
    values: [Value; N],
) -> Result<Vec<Uuid>> {
    let rows = conn.query_all_raw(backend.statement(sql, values)).await?;
    Ok(rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, DbErr>>()?)
}
