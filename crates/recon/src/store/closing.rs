//! Records that payops closes by itself, and opens again.

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{CaseStatement, ExprTrait};
use sea_orm::{Iterable, QueryOrder, QuerySelect};

use super::record::{Column, Entity};
use crate::model::{ReasonCode, RecordStatus};

/// How many records one statement is about.
const RECORDS_AT_ONCE: usize = 2_000;

/// How payops closes records by itself.
#[derive(Debug, Clone)]
pub struct Automatic {
    /// Why.
    pub reason: ReasonCode,
    /// By what.
    pub note: String,
    /// The service.
    pub by: String,
}

/// Closes those of the records that are open; what people have closed stays as it is. Gives the ids of the closed ones.
pub async fn close(tx: &Tx, ids: &[Uuid], closing: &Automatic, now: Timestamp) -> Result<Vec<Uuid>> {
    let open = Column::Status.is_in([RecordStatus::Open, RecordStatus::Assigned]);
    let closed = lock_where(tx, ids, open).await?;
    for batch in closed.chunks(RECORDS_AT_ONCE) {
        Entity::update_many()
            .col_expr(Column::Status, Expr::value(RecordStatus::Resolved))
            .col_expr(Column::ReasonCode, Expr::value(Some(closing.reason)))
            .col_expr(Column::ResolutionNote, Expr::value(Some(closing.note.clone())))
            .col_expr(Column::ResolvedBy, Expr::value(Some(closing.by.clone())))
            .col_expr(Column::ResolvedAt, Expr::value(Some(now)))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.is_in(batch.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(closed)
}

/// Opens those of the records again that payops has closed by itself; one that had an owner has it again. Gives their ids.
pub async fn reopen(tx: &Tx, ids: &[Uuid], now: Timestamp) -> Result<Vec<Uuid>> {
    let automatic = ReasonCode::iter().filter(|reason| reason.is_automatic());
    let reopened = lock_where(tx, ids, Column::ReasonCode.is_in(automatic)).await?;
    for batch in reopened.chunks(RECORDS_AT_ONCE) {
        Entity::update_many()
            .col_expr(Column::Status, status_of_open())
            .col_expr(Column::ReasonCode, Expr::value(Option::<ReasonCode>::None))
            .col_expr(Column::ResolutionNote, Expr::value(Option::<String>::None))
            .col_expr(Column::ResolvedBy, Expr::value(Option::<String>::None))
            .col_expr(Column::ResolvedAt, Expr::value(Option::<Timestamp>::None))
            .col_expr(Column::Version, Expr::col(Column::Version).add(1))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::Id.is_in(batch.iter().copied()))
            .exec(tx.conn())
            .await?;
    }
    Ok(reopened)
}

/// The status of a record that is opened again: its owner's, where it has one.
pub(super) fn status_of_open() -> Expr {
    let has_no_owner = Column::AssignedTo.is_null();
    let status = CaseStatement::new().case(has_no_owner, Expr::value(RecordStatus::Open));
    status.finally(Expr::value(RecordStatus::Assigned)).into()
}

/// The ids of those of the records that `are` so, locked for the rest of the transaction.
async fn lock_where(tx: &Tx, ids: &[Uuid], are: Expr) -> Result<Vec<Uuid>> {
    let mut found = Vec::new();
    for batch in ids.chunks(RECORDS_AT_ONCE) {
        let rows: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::Id)
            .filter(Column::Id.is_in(batch.iter().copied()))
            .filter(are.clone())
            .order_by_asc(Column::Id)
            .lock_exclusive()
            .into_tuple()
            .all(tx.conn())
            .await?;
        found.extend(rows);
    }
    Ok(found)
}
