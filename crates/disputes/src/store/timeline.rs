//! `dispute_timeline`: rows are only ever added.

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{IntoActiveModel, QueryOrder};
use serde::{Deserialize, Serialize};

use crate::model::TimelineEvent;

/// One happening; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dispute_timeline")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub seq: i64,
    pub event_type: TimelineEvent,
    pub actor_kind: String,
    pub actor: String,
    pub source: String,
    pub detail: Json,
    pub created_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Where a timeline goes on: before this row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    seq: i64,
}

/// Adds rows.
pub async fn insert_all(tx: &Tx, rows: Vec<Model>) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let rows = rows.into_iter().map(|row| row.into_active_model().reset_all());
    Entity::insert_many(rows).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// A page of a dispute's timeline, the newest row first, with people's notes or without.
pub async fn list(
    conn: &impl ConnectionTrait,
    dispute_id: Uuid,
    with_notes: bool,
    request: &PageRequest<Cursor>,
) -> Result<Page<Model>> {
    let mut all = Entity::find().filter(Column::DisputeId.eq(dispute_id));
    if !with_notes {
        all = all.filter(Column::EventType.ne(TimelineEvent::Noted));
    }
    let mut rows = all.clone().order_by_desc(Column::Seq);
    if let Slice::After(Cursor { seq }) = &request.slice {
        rows = rows.filter(Column::Seq.lt(*seq));
    }
    fetch_page(conn, all, rows, request, |row: &Model| Cursor { seq: row.seq }).await
}
