//! `merchant_tiers`.

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::Cond;
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::limit;
use crate::error;

/// One tier; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "merchant_tiers")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tier_code: String,
    pub tier_name: String,
    pub tier_level: i32,
    pub description: String,
    pub currency: String,
    pub daily_limit: Option<i64>,
    pub monthly_limit: Option<i64>,
    pub single_trans_limit: Option<i64>,
    pub transaction_fee_rate: i32,
    pub withdrawal_fee_rate: i32,
    pub allowed_channels: Option<Json>,
    pub allowed_currencies: Option<Json>,
    pub max_api_calls_per_min: i32,
    pub alert_thresholds: Json,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Tiers stand alone; merchants name them.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which tiers a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only the tier of this code.
    pub tier_code: Option<String>,
    /// Only tiers of this level.
    pub tier_level: Option<i32>,
    /// Only tiers in this currency.
    pub currency: Option<String>,
}

/// Where a list of tiers goes on: after this tier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    tier_level: i32,
    tier_code: String,
}

/// How a caller names a tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// By its row.
    Id(Uuid),
    /// By its code.
    Code(String),
}

impl Name {
    fn condition(&self) -> Cond {
        match self {
            Self::Id(id) => Cond::all().add(Column::Id.eq(*id)),
            Self::Code(code) => Cond::all().add(Column::TierCode.eq(code.as_str())),
        }
    }
}

/// Stores a new tier. Another one of the same code is a unique violation.
pub async fn insert(tx: &Tx, tier: Model) -> Result<Model> {
    Ok(tier.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The tier, or 404.
pub async fn find(conn: &impl ConnectionTrait, name: &Name) -> Result<Model> {
    seek(conn, name).await?.ok_or_else(error::tier_not_found)
}

/// The tier, if there is one.
pub async fn seek(conn: &impl ConnectionTrait, name: &Name) -> Result<Option<Model>> {
    Ok(Entity::find().filter(name.condition()).one(conn).await?)
}

/// How often a minute this merchant may call, if it has limits here.
pub async fn calls_per_minute(conn: &impl ConnectionTrait, merchant_id: Uuid) -> Result<Option<i32>> {
    let mut own = limit::Entity::find();
    own = own.select_only().column(limit::Column::TierId).filter(limit::Column::MerchantId.eq(merchant_id));
    let calls = Entity::find().select_only().column(Column::MaxApiCallsPerMin);
    Ok(calls.filter(Column::Id.in_subquery(own.into_query())).into_tuple().one(conn).await?)
}

/// These tiers, in any order.
pub async fn find_all(conn: &impl ConnectionTrait, ids: Vec<Uuid>) -> Result<Vec<Model>> {
    Ok(Entity::find().filter(Column::Id.is_in(ids)).all(conn).await?)
}

/// The tier, which nobody deletes or moves to another currency for the rest of the transaction, or 404.
pub async fn hold(tx: &Tx, name: &Name) -> Result<Model> {
    let tier = Entity::find().filter(name.condition()).lock_shared().one(tx.conn()).await?;
    tier.ok_or_else(error::tier_not_found)
}

/// The tier, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, id: Uuid) -> Result<Locked<Model>> {
    let tier = Entity::find_by_id(id).lock_exclusive().one(tx.conn()).await?;
    tier.map(Locked::assert_locked).ok_or_else(error::tier_not_found)
}

/// Writes a locked tier as `changed` says and grows its version. Another tier of its code is a unique violation.
pub async fn update(tx: &Tx, tier: &Locked<Model>, changed: Model, now: Timestamp) -> Result<Model> {
    let mut row = changed.into_active_model().reset_all();
    row.id = ActiveValue::Unchanged(tier.id);
    row.version = ActiveValue::Set(tier.version + 1);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// Removes a locked tier.
pub async fn delete(tx: &Tx, tier: &Locked<Model>) -> Result<()> {
    Entity::delete_by_id(tier.id).exec(tx.conn()).await?;
    Ok(())
}

/// How many merchants have the tier.
pub async fn merchants(conn: &impl ConnectionTrait, id: Uuid) -> Result<u64> {
    Ok(limit::Entity::find().filter(limit::Column::TierId.eq(id)).count(conn).await?)
}

/// A page of tiers, the lowest level first.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Cursor>,
) -> Result<Page<Model>> {
    let filter = filter.clone();
    let all = Entity::find()
        .apply_if(filter.tier_code, |rows, code| rows.filter(Column::TierCode.eq(code)))
        .apply_if(filter.tier_level, |rows, level| rows.filter(Column::TierLevel.eq(level)))
        .apply_if(filter.currency, |rows, code| rows.filter(Column::Currency.eq(code.to_ascii_uppercase())));
    let mut rows = all.clone().order_by_asc(Column::TierLevel).order_by_asc(Column::TierCode);
    if let Slice::After(Cursor { tier_level, tier_code }) = &request.slice {
        let same_level =
            Cond::all().add(Column::TierLevel.eq(*tier_level)).add(Column::TierCode.gt(tier_code.as_str()));
        rows = rows.filter(Cond::any().add(Column::TierLevel.gt(*tier_level)).add(same_level));
    }
    let cursor_of = |tier: &Model| Cursor { tier_level: tier.tier_level, tier_code: tier.tier_code.clone() };
    fetch_page(conn, all, rows, request, cursor_of).await
}
