//! `money_movements`: what the channel took and gave back.

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{OnConflict, StringLen};
use sea_orm::{IntoActiveModel, QueryOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which way the money went.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum, Serialize, Deserialize, ToSchema,
)]
#[sea_orm(rs_type = "String", db_type = "String(StringLen::N(20))", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The disputed amount was taken.
    Withdrawn,
    /// It was given back.
    Reinstated,
    /// What the channel takes for its trouble, or gives back of that.
    Fee,
}

/// One movement; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "money_movements")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel_transaction_id: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: Kind,
    pub amount: i64,
    pub currency: String,
    pub description: Option<String>,
    pub occurred_at: Timestamp,
    pub created_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Adds a movement; false when it is known.
pub async fn insert_new(tx: &Tx, movement: Model) -> Result<bool> {
    let key = [Column::DisputeId, Column::ChannelTransactionId, Column::Kind];
    let unless_known = OnConflict::columns(key).do_nothing().to_owned();
    let row = movement.into_active_model().reset_all();
    let inserted = Entity::insert(row).on_conflict(unless_known).exec_without_returning(tx.conn()).await?;
    Ok(inserted > 0)
}

/// The movements of a dispute, the first first.
pub async fn of_dispute(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Vec<Model>> {
    let found = Entity::find().filter(Column::DisputeId.eq(dispute_id)).order_by_asc(Column::OccurredAt);
    Ok(found.order_by_asc(Column::ChannelTransactionId).order_by_desc(Column::Kind).all(conn).await?)
}
