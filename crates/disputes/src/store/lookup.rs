//! `payment_lookups`: disputes of which it is open which payment they are about.

use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect};

/// One dispute; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payment_lookups")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
    pub asked: i32,
    pub next_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Whether it is open which payment a dispute is about.
pub async fn is_open(conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<bool> {
    Ok(Entity::find_by_id(dispute_id).one(conn).await?.is_some())
}

/// Notes that it is open; false when that was known.
pub async fn insert_new(tx: &Tx, lookup: Model) -> Result<bool> {
    let unless_known = OnConflict::column(Column::DisputeId).do_nothing().to_owned();
    let row = lookup.into_active_model().reset_all();
    Ok(Entity::insert(row).on_conflict(unless_known).exec_without_returning(tx.conn()).await? > 0)
}

/// Those that are to be asked about now, the longest due first.
pub async fn due(conn: &impl ConnectionTrait, now: Timestamp, most: u64) -> Result<Vec<Model>> {
    let due = Entity::find().filter(Column::NextAt.lte(now)).order_by_asc(Column::NextAt).limit(most);
    Ok(due.all(conn).await?)
}

/// The row of a dispute, locked for the rest of the transaction, if it is open.
pub async fn lock(tx: &Tx, dispute_id: Uuid) -> Result<Option<Locked<Model>>> {
    let found = Entity::find_by_id(dispute_id).lock_exclusive().one(tx.conn()).await?;
    Ok(found.map(Locked::assert_locked))
}

/// Notes that somebody was asked in vain, and when to ask again.
pub async fn again(tx: &Tx, lookup: &Locked<Model>, next_at: Timestamp) -> Result<()> {
    let row = ActiveModel {
        dispute_id: ActiveValue::Unchanged(lookup.dispute_id),
        asked: ActiveValue::Set(lookup.asked.saturating_add(1)),
        next_at: ActiveValue::Set(next_at),
    };
    row.update(tx.conn()).await?;
    Ok(())
}

/// It is open no longer.
pub async fn settle(tx: &Tx, dispute_id: Uuid) -> Result<()> {
    Entity::delete_by_id(dispute_id).exec(tx.conn()).await?;
    Ok(())
}
