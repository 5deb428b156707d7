//! `dispute_subjects`: whose disputes they are, by a hash that only the service can make.

use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};

/// One dispute of one subject; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dispute_subjects")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Notes that a dispute is of a subject.
pub async fn note(tx: &Tx, subject: String, dispute_id: Uuid) -> Result<()> {
    let row = Model { subject, dispute_id }.into_active_model().reset_all();
    let unless_known = OnConflict::columns([Column::Subject, Column::DisputeId]).do_nothing().to_owned();
    Entity::insert(row).on_conflict(unless_known).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The disputes of a subject.
pub async fn disputes(conn: &impl ConnectionTrait, subject: &str) -> Result<Vec<Uuid>> {
    let found = Entity::find()
        .select_only()
        .column(Column::DisputeId)
        .filter(Column::Subject.eq(subject))
        .order_by_asc(Column::DisputeId)
        .into_tuple();
    Ok(found.all(conn).await?)
}

/// Forgets of whom a dispute is.
pub async fn forget(tx: &Tx, dispute_id: Uuid) -> Result<()> {
    Entity::delete_many().filter(Column::DisputeId.eq(dispute_id)).exec(tx.conn()).await?;
    Ok(())
}
