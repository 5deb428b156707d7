//! A merchant's limits on the wire.

use chrono::{DateTime, Utc};
use payops_core::time::Zone;
use payops_platform::error::{Error, Result};
use payops_platform::http::{Problems, check_text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::decide::remaining;
use crate::model::{LimitKind, LimitSource, Limits};
use crate::ops::limits::{Beginning, Edit};
use crate::ops::view::Seen;
use crate::patch::Patch;
use crate::store::tier;

/// Limits for a merchant that has none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "merchant_id": "01930000-0000-7000-8000-00000000abcd", "tier_code": "professional", "timezone": "Asia/Shanghai"
}))]
pub struct InitializeLimit {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The tier, by id or by code: one of the two.
    #[serde(default)]
    pub tier_id: Option<Uuid>,
    /// The tier, by id or by code: one of the two.
    #[serde(default)]
    pub tier_code: Option<String>,
    /// The IANA zone of the merchant's days and months; `Etc/UTC` unless named.
    #[serde(default)]
    pub timezone: Option<String>,
    /// The merchant's own limits, in minor units of the tier's currency; null, or left out, is the tier's.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub custom_daily_limit: Option<i64>,
    /// Null, or left out, is the tier's.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub custom_monthly_limit: Option<i64>,
    /// Null, or left out, is the tier's.
    #[serde(default)]
    #[schema(minimum = 0)]
    pub custom_single_trans_limit: Option<i64>,
}

/// A change of a merchant's limits: what is left out stays as it is.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "custom_daily_limit": 200_000_000, "custom_monthly_limit": null }))]
pub struct LimitChange {
    /// Minor units of the limit currency; 0 allows nothing, null is the tier's again.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub custom_daily_limit: Patch<Option<i64>>,
    /// Minor units of the limit currency; 0 allows nothing, null is the tier's again.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub custom_monthly_limit: Patch<Option<i64>>,
    /// Minor units of the limit currency; 0 allows nothing, null is the tier's again.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub custom_single_trans_limit: Patch<Option<i64>>,
    /// The IANA zone of the merchant's days and months. The windows that are open end as they would have.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub timezone: Patch<String>,
}

/// Another tier, by id or by code: one of the two.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "tier_code": "enterprise" }))]
pub struct ChangeTier {
    /// The tier's id.
    #[serde(default)]
    pub tier_id: Option<Uuid>,
    /// The tier's code.
    #[serde(default)]
    pub tier_code: Option<String>,
}

/// Why a merchant is suspended.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "chargebacks above 1 %" }))]
pub struct Suspend {
    /// The merchant reads it, and so does whoever asks for a payment.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

/// Why a suspension ends.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsuspend {
    /// Kept in the audit log.
    #[serde(default)]
    #[schema(max_length = 500)]
    pub reason: Option<String>,
}

impl InitializeLimit {
    /// The beginning, or every field that is not usable.
    pub(crate) fn beginning(&self) -> Result<Beginning> {
        let mut problems = Problems::default();
        let tier = problems.note(tier_name(self.tier_id, self.tier_code.as_deref()));
        let zone = problems.note(zone(self.timezone.as_deref().unwrap_or("Etc/UTC")));
        let custom = Limits {
            daily: self.custom_daily_limit,
            monthly: self.custom_monthly_limit,
            single_trans: self.custom_single_trans_limit,
        };
        check_customs(&mut problems, custom);
        problems.none()?;
        let both = tier.zip(zone).ok_or_else(|| Error::internal("a problem that nobody noted"))?;
        Ok(Beginning { merchant_id: self.merchant_id, tier: both.0, zone: both.1, custom })
    }
}

impl LimitChange {
    /// The edit, or every field that is not usable.
    pub(crate) fn edit(&self) -> Result<Edit> {
        let mut problems = Problems::default();
        check_customs(
            &mut problems,
            Limits {
                daily: self.custom_daily_limit.or(None),
                monthly: self.custom_monthly_limit.or(None),
                single_trans: self.custom_single_trans_limit.or(None),
            },
        );
        let zone = self.timezone.value().and_then(|name| problems.note(zone(name)));
        problems.none()?;
        Ok(Edit {
            daily: self.custom_daily_limit,
            monthly: self.custom_monthly_limit,
            single_trans: self.custom_single_trans_limit,
            zone,
        })
    }
}

impl ChangeTier {
    /// The tier that is named, or what is wrong with the name.
    pub(crate) fn tier(&self) -> Result<tier::Name> {
        tier_name(self.tier_id, self.tier_code.as_deref())
    }
}

impl Suspend {
    /// Refuses a reason that nobody can read.
    pub(crate) fn check(&self) -> Result<()> {
        check_text("reason", &self.reason, 1, 500)
    }
}

impl Unsuspend {
    /// Refuses a reason that nobody can read.
    pub(crate) fn check(&self) -> Result<()> {
        self.reason.as_deref().map_or(Ok(()), |reason| check_text("reason", reason, 1, 500))
    }
}

pub(super) fn tier_name(id: Option<Uuid>, code: Option<&str>) -> Result<tier::Name> {
    match (id, code) {
        (Some(id), None) => Ok(tier::Name::Id(id)),
        // No tier has another code, and a NUL can not even be asked for.
        (None, Some(code)) if !code.contains('\0') => Ok(tier::Name::Code(code.to_owned())),
        (None, Some(_)) => {
            Err(Error::invalid_field("tier_code", "NUL characters are not accepted", "不允许包含 NUL 字符"))
        }
        (None, None) => Err(Error::invalid_field(
            "tier_code",
            "tier_id or tier_code is required",
            "tier_id 与 tier_code 必填其一",
        )),
        (Some(_), Some(_)) => Err(Error::invalid_field(
            "tier_code",
            "tier_id and tier_code exclude each other",
            "tier_id 与 tier_code 不能同时使用",
        )),
    }
}

fn zone(name: &str) -> Result<Zone> {
    Zone::named(name).map_err(|unknown| {
        Error::invalid_field("timezone", unknown.to_string(), "不是有效的 IANA 时区名，例如 Asia/Shanghai")
    })
}

pub(super) fn check_customs(problems: &mut Problems, custom: Limits) {
    let limits = [
        ("custom_daily_limit", custom.daily),
        ("custom_monthly_limit", custom.monthly),
        ("custom_single_trans_limit", custom.single_trans),
    ];
    for (path, limit) in limits {
        if limit.is_some_and(|limit| limit < 0) {
            problems.refuse(path, "must not be below 0", "不能小于 0");
        }
    }
}

/// A merchant's limits, what is in force of them, and what is used, at `as_of`. Amounts are minor units of `currency`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Limit {
    /// Row id.
    pub id: Uuid,
    /// The merchant.
    pub merchant_id: Uuid,
    /// The tier.
    pub tier_id: Uuid,
    /// The tier's code.
    pub tier_code: String,
    /// The tier's name.
    pub tier_name: String,
    /// The tier's level.
    pub tier_level: i32,
    /// The currency of everything here.
    pub currency: String,
    /// The zone of the merchant's days and months.
    pub timezone: String,
    /// The daily limit in force; null is none.
    pub daily_limit: Option<i64>,
    /// Where it comes from.
    pub daily_limit_source: LimitSource,
    /// Consumed in the day.
    pub daily_used: i64,
    /// What is left of the day: never below 0; null without a limit.
    pub daily_remaining: Option<i64>,
    /// By how much used and pending exceed the limit.
    pub daily_over_by: i64,
    /// When the day ends.
    pub daily_reset_at: DateTime<Utc>,
    /// The monthly limit in force; null is none.
    pub monthly_limit: Option<i64>,
    /// Where it comes from.
    pub monthly_limit_source: LimitSource,
    /// Consumed in the month.
    pub monthly_used: i64,
    /// What is left of the month: never below 0; null without a limit.
    pub monthly_remaining: Option<i64>,
    /// By how much used and pending exceed the limit.
    pub monthly_over_by: i64,
    /// When the month ends.
    pub monthly_reset_at: DateTime<Utc>,
    /// The limit of one transaction; null is none.
    pub single_trans_limit: Option<i64>,
    /// Where it comes from.
    pub single_trans_limit_source: LimitSource,
    /// Held by reservations; it counts against day and month.
    pub pending_amount: i64,
    /// The merchant's own limit; null is the tier's.
    pub custom_daily_limit: Option<i64>,
    /// The merchant's own limit; null is the tier's.
    pub custom_monthly_limit: Option<i64>,
    /// The merchant's own limit; null is the tier's.
    pub custom_single_trans_limit: Option<i64>,
    /// Whether every new payment is refused.
    pub is_suspended: bool,
    /// Why.
    pub suspended_reason: Option<String>,
    /// Since when.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Grows with every change that people make, not with payments; also the `ETag`.
    pub version: i64,
    /// When the merchant was given limits.
    pub created_at: DateTime<Utc>,
    /// When people last changed them.
    pub updated_at: DateTime<Utc>,
    /// When this was so.
    pub as_of: DateTime<Utc>,
}

impl From<Seen> for Limit {
    fn from(seen: Seen) -> Self {
        let Seen { limit, tier, account, now } = seen;
        let usage = account.usage;
        let (daily_limit, daily_limit_source) = account.terms.in_force(LimitKind::Daily, now);
        let (monthly_limit, monthly_limit_source) = account.terms.in_force(LimitKind::Monthly, now);
        let (single_trans_limit, single_trans_limit_source) =
            account.terms.in_force(LimitKind::SingleTrans, now);
        Self {
            id: limit.id,
            merchant_id: limit.merchant_id,
            tier_id: tier.id,
            tier_code: tier.tier_code,
            tier_name: tier.tier_name,
            tier_level: tier.tier_level,
            currency: tier.currency,
            timezone: limit.timezone,
            daily_limit,
            daily_limit_source,
            daily_used: usage.daily_used,
            daily_remaining: remaining(daily_limit, usage.daily_used, usage.pending),
            daily_over_by: over_by(daily_limit, usage.daily_used, usage.pending),
            daily_reset_at: usage.day.end,
            monthly_limit,
            monthly_limit_source,
            monthly_used: usage.monthly_used,
            monthly_remaining: remaining(monthly_limit, usage.monthly_used, usage.pending),
            monthly_over_by: over_by(monthly_limit, usage.monthly_used, usage.pending),
            monthly_reset_at: usage.month.end,
            single_trans_limit,
            single_trans_limit_source,
            pending_amount: usage.pending,
            custom_daily_limit: limit.custom_daily_limit,
            custom_monthly_limit: limit.custom_monthly_limit,
            custom_single_trans_limit: limit.custom_single_trans_limit,
            is_suspended: limit.is_suspended,
            suspended_reason: limit.suspended_reason,
            suspended_at: limit.suspended_at,
            version: limit.version,
            created_at: limit.created_at,
            updated_at: limit.updated_at,
            as_of: now,
        }
    }
}

fn over_by(limit: Option<i64>, used: i64, pending: i64) -> i64 {
    let over = limit.map_or(0, |limit| i128::from(used) + i128::from(pending) - i128::from(limit));
    i64::try_from(over.max(0)).unwrap_or(i64::MAX)
}
