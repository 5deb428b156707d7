//! `tolerance_rule_sets`: rules of tolerance, in versions.

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect};

use crate::error;

/// One version; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tolerance_rule_sets")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    pub rules: String,
    pub rules_hash: String,
    pub note: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub activated_by: Option<String>,
    pub activated_at: Option<Timestamp>,
}

/// Tasks and runs name their version; nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Stores a new version. Another one of the same number is a unique violation.
pub async fn insert(tx: &Tx, set: Model) -> Result<Model> {
    Ok(set.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The version, or 404.
pub async fn find(conn: &impl ConnectionTrait, version: i64) -> Result<Model> {
    Entity::find_by_id(version).one(conn).await?.ok_or_else(|| error::rule_set_not_found(version))
}

/// The version, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, version: i64) -> Result<Locked<Model>> {
    let set = Entity::find_by_id(version).lock_exclusive().one(tx.conn()).await?;
    set.map(Locked::assert_locked).ok_or_else(|| error::rule_set_not_found(version))
}

/// The highest version that was made, whether in force or not.
pub async fn newest(conn: &impl ConnectionTrait) -> Result<Option<Model>> {
    Ok(Entity::find().order_by_desc(Column::Version).one(conn).await?)
}

/// The version in force: the highest of those that were activated.
pub async fn in_force(conn: &impl ConnectionTrait) -> Result<Option<Model>> {
    let activated = Entity::find().filter(Column::ActivatedAt.is_not_null());
    Ok(activated.order_by_desc(Column::Version).one(conn).await?)
}

/// Notes who put a version in force.
pub async fn activate(tx: &Tx, set: Locked<Model>, by: &str, now: Timestamp) -> Result<Model> {
    let mut row = set.into_inner().into_active_model();
    row.activated_by = ActiveValue::Set(Some(by.to_owned()));
    row.activated_at = ActiveValue::Set(Some(now));
    Ok(row.update(tx.conn()).await?)
}

/// A page of versions, the highest first.
pub async fn list(conn: &impl ConnectionTrait, request: &PageRequest<i64>) -> Result<Page<Model>> {
    let all = Entity::find();
    let mut rows = all.clone().order_by_desc(Column::Version);
    if let Slice::After(version) = request.slice {
        rows = rows.filter(Column::Version.lt(version));
    }
    fetch_page(conn, all, rows, request, |set| set.version).await
}
