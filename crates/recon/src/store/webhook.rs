//! `stripe_webhook_inbox`: signed events, stored before they are acted upon.

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, IntoActiveModel};

/// One event; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stripe_webhook_inbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub event_type: String,
    pub object_id: String,
    pub payload: Json,
    pub received_at: Timestamp,
    pub processed_at: Option<Timestamp>,
}

/// Events stand alone.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Stores an event; false when it was there already.
pub async fn insert_new(tx: &Tx, event: Model) -> Result<bool> {
    if find(tx.conn(), &event.event_id).await?.is_some() {
        return Ok(false);
    }
    let unless_known = OnConflict::column(Column::EventId).do_nothing().to_owned();
    let row = event.into_active_model().reset_all();
    let inserted = Entity::insert(row).on_conflict(unless_known).exec_without_returning(tx.conn()).await?;
    Ok(inserted > 0)
}

/// The event, if it was stored.
pub async fn find(conn: &impl ConnectionTrait, event_id: &str) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(event_id).one(conn).await?)
}

/// Notes that an event was acted upon.
pub async fn mark_processed(tx: &Tx, event: Model, now: Timestamp) -> Result<()> {
    let mut row = event.into_active_model();
    row.processed_at = ActiveValue::Set(Some(now));
    row.update(tx.conn()).await?;
    Ok(())
}
