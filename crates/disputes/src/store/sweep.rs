//! `channel_sweeps`: when a channel's list of disputes was last read to its end.

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

use crate::model::Channel;

/// One channel; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_sweeps")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub channel: Channel,
    pub read_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// When a channel's list was last read to its end; `None`: never.
pub async fn read_at(conn: &impl ConnectionTrait, channel: Channel) -> Result<Option<Timestamp>> {
    Ok(Entity::find_by_id(channel).one(conn).await?.map(|row| row.read_at))
}

/// Notes that a channel's list was read to its end.
pub async fn done(tx: &Tx, channel: Channel, read_at: Timestamp) -> Result<()> {
    let replace = OnConflict::column(Column::Channel).update_column(Column::ReadAt).to_owned();
    let row = Model { channel, read_at }.into_active_model().reset_all();
    Entity::insert(row).on_conflict(replace).exec_without_returning(tx.conn()).await?;
    Ok(())
}
