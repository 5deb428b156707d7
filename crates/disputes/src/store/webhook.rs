//! `webhook_inbox`: signed events, stored before they are acted upon.

use std::collections::HashSet;

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, QueryTrait};

use crate::model::Channel;

/// One event; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "webhook_inbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub event_id: String,
    pub channel: Channel,
    pub event_type: String,
    pub object_id: String,
    pub payload: Json,
    pub event_created_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub processed_at: Option<Timestamp>,
}

/// Events stand alone.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Stores events; gives the ids of those that were not there already.
pub async fn insert_new(tx: &Tx, events: Vec<Model>) -> Result<HashSet<String>> {
    let unless_known = OnConflict::column(Column::EventId).do_nothing().to_owned();
    let rows = events.into_iter().map(|event| event.into_active_model().reset_all());
    let mut insert = Entity::insert_many(rows).on_conflict(unless_known).into_query();
    let new = tx.conn().query_all(insert.returning_col(Column::EventId)).await?;
    Ok(new.iter().map(|row| row.try_get("", "event_id")).collect::<Result<_, DbErr>>()?)
}

/// Notes that what was received about an object until `until` was acted upon.
pub async fn mark_processed(tx: &Tx, object_id: &str, until: Timestamp, now: Timestamp) -> Result<()> {
    Entity::update_many()
        .col_expr(Column::ProcessedAt, Expr::value(Some(now)))
        .filter(Column::ObjectId.eq(object_id))
        .filter(Column::ProcessedAt.is_null())
        .filter(Column::ReceivedAt.lte(until))
        .exec(tx.conn())
        .await?;
    Ok(())
}
