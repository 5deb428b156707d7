//! `dispute_evidence`: files of one kind each, and texts for one field each.

use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect};

use crate::error;

/// The type of the one piece of evidence that is neither a file nor a text of the channel's.
pub const FEE_ACKNOWLEDGED: &str = "fee_acknowledged";

/// One piece of evidence; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dispute_evidence")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub dispute_id: Uuid,
    pub evidence_type: String,
    pub content_type: Option<String>,
    pub file_size: Option<i64>,
    pub pages: Option<i32>,
    pub sha256: Option<String>,
    /// Text, description and names; see [`crate::ops::evidence::Opened`].
    pub sealed: Vec<u8>,
    pub uploaded_by: String,
    pub submitted_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub deleted_at: Option<Timestamp>,
    pub deleted_by: Option<String>,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds a piece of evidence.
pub async fn insert(tx: &Tx, evidence: Model) -> Result<Model> {
    Ok(evidence.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// What a dispute has, in the order in which it came; what was taken away is left out.
pub async fn of_dispute(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Vec<Model>> {
    let mut found = ever_of_dispute(conn, dispute_id).await?;
    found.retain(|evidence| evidence.deleted_at.is_none());
    Ok(found)
}

/// The same, with what was taken away.
pub async fn ever_of_dispute(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Vec<Model>> {
    let found = Entity::find()
        .filter(Column::DisputeId.eq(dispute_id))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Id);
    Ok(found.all(conn).await?)
}

/// The piece, or 404 where it is not there or was taken away.
pub async fn find(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    let found = Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).one(conn).await?;
    found.ok_or_else(|| error::evidence_not_found(id))
}

/// The piece, or 404 where it is not there; one that was taken away is.
pub async fn find_ever(conn: &impl ConnectionTrait, id: Uuid) -> Result<Model> {
    Entity::find_by_id(id).one(conn).await?.ok_or_else(|| error::evidence_not_found(id))
}

/// The piece, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let found =
        Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).lock_exclusive().one(tx.conn()).await?;
    found.map(Locked::assert_locked).ok_or_else(|| error::evidence_not_found(id))
}

/// Takes a locked piece away. Its row stays.
pub async fn delete(tx: &Tx, evidence: Locked<Model>, by: &str, now: Timestamp) -> Result<()> {
    let mut row = evidence.into_inner().into_active_model();
    row.deleted_at = ActiveValue::Set(Some(now));
    row.deleted_by = ActiveValue::Set(Some(by.to_owned()));
    row.update(tx.conn()).await?;
    Ok(())
}

/// Notes that pieces of evidence were part of an answer that was sent.
pub async fn mark_submitted(tx: &Tx, ids: &[Uuid], now: Timestamp) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::SubmittedAt, Expr::value(Some(now)))
        .filter(Column::Id.is_in(ids.iter().copied()))
        .exec(tx.conn())
        .await?;
    Ok(())
}
