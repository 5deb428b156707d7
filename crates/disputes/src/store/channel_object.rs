//! `channel_objects`: the channel's disputes as they were last read, sealed.

use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::IntoActiveModel;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;

/// One object; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "channel_objects")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
    pub sealed: Vec<u8>,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The channel's object of a dispute, if there is one.
pub async fn find(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<Option<Vec<u8>>> {
    Ok(Entity::find_by_id(dispute_id).one(conn).await?.map(|row| row.sealed))
}

/// Keeps the object of a dispute, in place of the one before.
pub async fn put(tx: &Tx, dispute_id: Uuid, sealed: Vec<u8>) -> Result<()> {
    let row = Model { dispute_id, sealed }.into_active_model().reset_all();
    let instead = OnConflict::column(Column::DisputeId).update_column(Column::Sealed).to_owned();
    Entity::insert(row).on_conflict(instead).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Takes the object of a dispute away.
pub async fn delete(tx: &Tx, dispute_id: Uuid) -> Result<()> {
    Entity::delete_by_id(dispute_id).exec(tx.conn()).await?;
    Ok(())
}
