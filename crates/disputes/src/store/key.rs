//! `dispute_keys` and `service_keys`: what personal data is encrypted with, wrapped under the ring.

use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::OnConflict;
use sea_orm::{IntoActiveModel, QueryOrder, QuerySelect};

/// One key of a dispute; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dispute_keys")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub dispute_id: Uuid,
    #[sea_orm(primary_key, auto_increment = false)]
    pub number: i32,
    pub key_id: String,
    pub wrapped_key: Option<Vec<u8>>,
    pub created_at: Timestamp,
    pub erased_at: Option<Timestamp>,
    pub erased_by: Option<String>,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// The keys of the service itself.
pub mod service {
    use payops_core::time::Timestamp;
    use sea_orm::entity::prelude::*;

    /// One key; the columns are explained in the migration.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "service_keys")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub key_id: String,
        pub wrapped_key: Vec<u8>,
        pub created_at: Timestamp,
    }

    /// Nothing is joined.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// Those of some disputes, each one's first first.
pub async fn of_disputes(conn: &impl ConnectionTrait, ids: &[Uuid]) -> Result<Vec<Model>> {
    let found = Entity::find().filter(Column::DisputeId.is_in(ids.iter().copied()));
    Ok(found.order_by_asc(Column::DisputeId).order_by_asc(Column::Number).all(conn).await?)
}

/// Adds a key of a dispute, which is locked.
pub async fn insert(tx: &Tx, key: Model) -> Result<()> {
    Entity::insert(key.into_active_model().reset_all()).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Destroys the keys of a dispute; says how many there were.
pub async fn destroy(tx: &Tx, dispute_id: Uuid, by: &str, now: Timestamp) -> Result<u64> {
    let destroyed = Entity::update_many()
        .col_expr(Column::WrappedKey, Expr::value(None::<Vec<u8>>))
        .col_expr(Column::ErasedAt, Expr::value(Some(now)))
        .col_expr(Column::ErasedBy, Expr::value(Some(by)))
        .filter(Column::DisputeId.eq(dispute_id))
        .filter(Column::WrappedKey.is_not_null());
    Ok(destroyed.exec(tx.conn()).await?.rows_affected)
}

/// A key of the service, if it is there.
pub async fn service_key(conn: &impl ConnectionTrait, name: &str) -> Result<Option<service::Model>> {
    Ok(service::Entity::find_by_id(name.to_owned()).one(conn).await?)
}

/// Adds a key of the service, unless there is one of its name.
pub async fn insert_service_key(tx: &Tx, key: service::Model) -> Result<()> {
    let unless_there = OnConflict::column(service::Column::Name).do_nothing().to_owned();
    let row = key.into_active_model().reset_all();
    service::Entity::insert(row).on_conflict(unless_there).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// The ids of the ring's keys that something is wrapped under. One step in an index for each, however many rows there are.
pub async fn ring_keys_in_use(conn: &impl ConnectionTrait) -> Result<Vec<String>> {
    let mut found: Vec<String> =
        service::Entity::find().all(conn).await?.into_iter().map(|key| key.key_id).collect();
    let mut last = String::new();
    loop {
        let next = Entity::find()
            .select_only()
            .column(Column::KeyId)
            .filter(Column::WrappedKey.is_not_null())
            .filter(Column::KeyId.gt(last.as_str()))
            .order_by_asc(Column::KeyId)
            .limit(1)
            .into_tuple::<String>();
        let Some(next) = next.one(conn).await? else { break };
        found.push(next.clone());
        last = next;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Keys of disputes that are wrapped under a key of the ring, locked; no more than `most`.
pub async fn lock_wrapped_under(tx: &Tx, key_id: &str, most: u64) -> Result<Vec<Model>> {
    let found = Entity::find()
        .filter(Column::KeyId.eq(key_id))
        .filter(Column::WrappedKey.is_not_null())
        .limit(most)
        .lock_exclusive();
    Ok(found.all(tx.conn()).await?)
}

/// Writes locked keys of disputes as they are wrapped now.
pub async fn rewrap(tx: &Tx, keys: Vec<Model>) -> Result<()> {
    let again = OnConflict::columns([Column::DisputeId, Column::Number])
        .update_columns([Column::KeyId, Column::WrappedKey])
        .to_owned();
    let rows = keys.into_iter().map(|key| key.into_active_model().reset_all());
    Entity::insert_many(rows).on_conflict(again).exec_without_returning(tx.conn()).await?;
    Ok(())
}

/// Keys of the service that are wrapped under a key of the ring, locked.
pub async fn lock_service_wrapped_under(tx: &Tx, key_id: &str) -> Result<Vec<service::Model>> {
    let found = service::Entity::find().filter(service::Column::KeyId.eq(key_id)).lock_exclusive();
    Ok(found.all(tx.conn()).await?)
}

/// Writes a locked key of the service as it is wrapped now.
pub async fn rewrap_service(tx: &Tx, key: service::Model) -> Result<()> {
    let mut row = key.clone().into_active_model().reset_all();
    row.name = sea_orm::ActiveValue::Unchanged(key.name);
    row.update(tx.conn()).await?;
    Ok(())
}
