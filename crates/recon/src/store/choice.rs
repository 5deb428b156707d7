//! Candidates that people have chosen: two records that were closed together.

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{QuerySelect, QueryTrait};

use super::closing::status_of_open;
use super::record::{Column, Entity};

/// How many records one statement is about.
const RECORDS_AT_ONCE: usize = 2_000;

/// Opens records again whose chosen candidate is no longer there, or was opened while they were not, and those whose choice has
/// `fallen` otherwise; gives which. Records of earlier days are looked at as well whose rows belong to rows of this task.
pub async fn part(tx: &Tx, task_id: Uuid, fallen: Vec<Uuid>, now: Timestamp) -> Result<Vec<Uuid>> {
    let sql = "SELECT record.id AS id FROM reconciliation_records AS record \
               WHERE (record.task_id = $1 OR record.id IN \
               (SELECT record_id FROM reconciliation_carried_rows WHERE closed_by = $1)) \
               AND record.paired_with IS NOT NULL AND record.gone_at IS NULL \
               AND NOT EXISTS (SELECT 1 FROM reconciliation_records AS other \
               WHERE other.id = record.paired_with AND other.paired_with = record.id AND other.gone_at IS NULL)";
    open_alone(tx, &fallen, now).await?;
    let rows = tx.query_all_raw(tx.statement(sql, [task_id.into()])).await?;
    let left: Vec<Uuid> = rows.iter().map(|row| row.try_get("", "id")).collect::<Result<_, _>>()?;
    open_alone(tx, &left, now).await?;
    Ok([fallen, left].concat())
}

/// Opens records again, and each alone; one that had an owner has it again.
async fn open_alone(tx: &Tx, ids: &[Uuid], now: Timestamp) -> Result<()> {
    for batch in ids.chunks(RECORDS_AT_ONCE) {
        Entity::update_many()
            .col_expr(Column::Status, status_of_open())
            .col_expr(Column::ReasonCode, Expr::value(Option::<String>::None))
            .col_expr(Column::ResolutionNote, Expr::value(Option::<String>::None))
            .col_expr(Column::ResolvedBy, Expr::value(Option::<String>::None))
            .col_expr(Column::ResolvedAt, Expr::value(Option::<Timestamp>::None))
            .col_expr(Column::PairedWith, Expr::value(Option::<Uuid>::None))
            .col_expr(Column::Adjustment, Expr::value(Option::<i64>::None))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.is_in(batch.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(())
}

/// Those of the records that somebody has paired with one of the task's that is there.
pub async fn chosen(tx: &Tx, task_id: Uuid, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let mut chosen = Vec::new();
    for batch in ids.chunks(RECORDS_AT_ONCE) {
        let partners = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::TaskId.eq(task_id))
            .filter(Column::GoneAt.is_null())
            .into_query();
        let rows: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.is_in(batch.iter().copied()))
            .filter(Column::PairedWith.in_subquery(partners))
            .into_tuple()
            .all(tx.conn())
            .await?;
        chosen.extend(rows);
    }
    Ok(chosen)
}
