//! `merchant_limits`, as people read and edit it. What decisions read and write of it is in [`super::hot`].

use payops_core::page::{Page, PageRequest, Slice};
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx, fetch_page};
use payops_platform::error::Result;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{Cond, Query};
use sea_orm::{ActiveValue, IntoActiveModel, QueryOrder, QuerySelect, QueryTrait};
use serde::Deserialize;
use utoipa::IntoParams;

use super::hot::AccountRow;
use super::tier;
use crate::error;

/// One merchant's limits; the columns are explained in the migration.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "merchant_limits")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub merchant_id: Uuid,
    pub id: Uuid,
    pub tier_id: Uuid,
    pub timezone: String,
    pub daily_used: i64,
    pub monthly_used: i64,
    pub pending_amount: i64,
    pub day_start: Timestamp,
    pub daily_reset_at: Timestamp,
    pub month_start: Timestamp,
    pub monthly_reset_at: Timestamp,
    pub next_expiry_at: Option<Timestamp>,
    pub custom_daily_limit: Option<i64>,
    pub custom_monthly_limit: Option<i64>,
    pub custom_single_trans_limit: Option<i64>,
    pub has_overrides: bool,
    pub is_suspended: bool,
    pub suspended_reason: Option<String>,
    pub suspended_at: Option<Timestamp>,
    pub daily_alert: i16,
    pub monthly_alert: i16,
    pub seq: i64,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Nothing is joined.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// Which merchants a list shows; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only merchants of this tier.
    pub tier_id: Option<Uuid>,
    /// Only merchants of the tier of this code.
    pub tier_code: Option<String>,
    /// Only merchants whose limits are in this currency.
    pub currency: Option<String>,
    /// Only those that are suspended, or are not.
    pub is_suspended: Option<bool>,
    /// Only those with limits of their own, or without.
    pub has_custom_limits: Option<bool>,
    /// Only those that have reached an alert threshold of at least this percentage in a window that is open.
    #[param(minimum = 1, maximum = 1000)]
    pub near_limit: Option<i16>,
}

/// Stores the limits of a merchant that has none. Another row of the merchant is a unique violation.
pub async fn insert(tx: &Tx, limit: Model) -> Result<Model> {
    Ok(limit.into_active_model().reset_all().insert(tx.conn()).await?)
}

/// The merchant's limits, if it has any.
pub async fn find(conn: &impl ConnectionTrait, merchant_id: Uuid) -> Result<Option<Model>> {
    Ok(Entity::find_by_id(merchant_id).one(conn).await?)
}

/// The limits of those of these merchants that have some.
pub async fn find_all(conn: &impl ConnectionTrait, merchants: Vec<Uuid>) -> Result<Vec<Model>> {
    Ok(Entity::find().filter(Column::MerchantId.is_in(merchants)).all(conn).await?)
}

/// The merchant's limits, locked for the rest of the transaction, or 404.
pub async fn lock(tx: &Tx, merchant_id: Uuid) -> Result<Locked<Model>> {
    let limit = Entity::find_by_id(merchant_id).lock_exclusive().one(tx.conn()).await?;
    limit.map(Locked::assert_locked).ok_or_else(error::merchant_not_found)
}

/// Writes what `change` does to locked limits and grows their version. Counters are not for this function.
pub async fn update(
    tx: &Tx,
    limit: &Locked<Model>,
    now: Timestamp,
    change: impl FnOnce(&mut ActiveModel),
) -> Result<Model> {
    let mut row = (**limit).clone().into_active_model();
    change(&mut row);
    row.version = ActiveValue::Set(limit.version + 1);
    row.updated_at = ActiveValue::Set(now);
    Ok(row.update(tx.conn()).await?)
}

/// A page of merchants with limits, in the order of their ids.
pub async fn list(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    request: &PageRequest<Uuid>,
    now: Timestamp,
) -> Result<Page<Model>> {
    let all = filtered(filter.clone(), now);
    let mut rows = all.clone().order_by_asc(Column::MerchantId);
    if let Slice::After(merchant_id) = request.slice {
        rows = rows.filter(Column::MerchantId.gt(merchant_id));
    }
    fetch_page(conn, all, rows, request, |limit| limit.merchant_id).await
}

/// The next merchants of a tier after one, for work that walks through all of them.
pub async fn of_tier(
    conn: &impl ConnectionTrait,
    tier_id: Uuid,
    after: Option<Uuid>,
    size: u64,
) -> Result<Vec<Uuid>> {
    let merchants = Entity::find()
        .select_only()
        .column(Column::MerchantId)
        .filter(Column::TierId.eq(tier_id))
        .apply_if(after, |rows, after| rows.filter(Column::MerchantId.gt(after)))
        .order_by_asc(Column::MerchantId)
        .limit(size)
        .into_tuple()
        .all(conn)
        .await?;
    Ok(merchants)
}

fn filtered(filter: Filter, now: Timestamp) -> Select<Entity> {
    let tiers = |condition: Cond| {
        Query::select().column(tier::Column::Id).from(tier::Entity).cond_where(condition).to_owned()
    };
    let custom = Cond::any()
        .add(Column::CustomDailyLimit.is_not_null())
        .add(Column::CustomMonthlyLimit.is_not_null())
        .add(Column::CustomSingleTransLimit.is_not_null());
    let near = |percent: i16| {
        let day = Cond::all().add(Column::DailyAlert.gte(percent)).add(Column::DailyResetAt.gt(now));
        let month = Cond::all().add(Column::MonthlyAlert.gte(percent)).add(Column::MonthlyResetAt.gt(now));
        Cond::any().add(day).add(month)
    };
    Entity::find()
        .apply_if(filter.tier_id, |rows, id| rows.filter(Column::TierId.eq(id)))
        .apply_if(filter.tier_code, |rows, code| {
            let tiers = tiers(Cond::all().add(tier::Column::TierCode.eq(code)));
            rows.filter(Column::TierId.in_subquery(tiers))
        })
        .apply_if(filter.currency, |rows, code| {
            let tiers = tiers(Cond::all().add(tier::Column::Currency.eq(code.to_ascii_uppercase())));
            rows.filter(Column::TierId.in_subquery(tiers))
        })
        .apply_if(filter.is_suspended, |rows, is| rows.filter(Column::IsSuspended.eq(is)))
        .apply_if(filter.has_custom_limits, |rows, has| rows.filter(if has { custom } else { custom.not() }))
        .apply_if(filter.near_limit, |rows, percent| rows.filter(near(percent)))
}

impl Model {
    /// The merchant as a decision reads it.
    pub(crate) fn account_row(&self, tier: &tier::Model) -> AccountRow {
        AccountRow {
            merchant_id: self.merchant_id,
            timezone: self.timezone.clone(),
            daily_used: self.daily_used,
            monthly_used: self.monthly_used,
            pending_amount: self.pending_amount,
            day_start: self.day_start,
            daily_reset_at: self.daily_reset_at,
            month_start: self.month_start,
            monthly_reset_at: self.monthly_reset_at,
            next_expiry_at: self.next_expiry_at,
            custom_daily_limit: self.custom_daily_limit,
            custom_monthly_limit: self.custom_monthly_limit,
            custom_single_trans_limit: self.custom_single_trans_limit,
            has_overrides: self.has_overrides,
            is_suspended: self.is_suspended,
            suspended_reason: self.suspended_reason.clone(),
            daily_alert: self.daily_alert,
            monthly_alert: self.monthly_alert,
            seq: self.seq,
            currency: tier.currency.clone(),
            daily_limit: tier.daily_limit,
            monthly_limit: tier.monthly_limit,
            single_trans_limit: tier.single_trans_limit,
            allowed_channels: tier.allowed_channels.clone(),
            allowed_currencies: tier.allowed_currencies.clone(),
            alert_thresholds: tier.alert_thresholds.clone(),
        }
    }
}
