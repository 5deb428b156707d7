//! What a merchant has used, on the wire.

use chrono::{DateTime, Utc};
use payops_core::time::business_date;
use payops_platform::error::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::Percent;
use crate::decide::remaining;
use crate::model::ActionType;
use crate::ops::usage::{Period, Statistics};
use crate::store::log;

/// Which rows of a usage log are shown; fields that are `None` do not filter.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct HistoryFilter {
    /// Only rows about this.
    pub action: Option<ActionType>,
    /// Only rows about this payment. `GET …/payments/{payment_no}` is quicker.
    pub payment_no: Option<String>,
    /// Only what was allowed, or only what was refused.
    pub success: Option<bool>,
    /// Only of this instant and later.
    pub from: Option<DateTime<Utc>>,
    /// Only before this instant.
    pub to: Option<DateTime<Utc>>,
}

/// The period of the counts of a statistics answer.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StatisticsPeriod {
    /// Counts decisions of this instant and later; the first instant of the merchant's month unless named.
    pub from: Option<DateTime<Utc>>,
    /// Counts decisions before this instant; the end of the merchant's month unless named.
    pub to: Option<DateTime<Utc>>,
}

impl HistoryFilter {
    /// What the store filters by, or what is wrong.
    pub(crate) fn checked(self) -> Result<(log::Filter, Period)> {
        let period = check_period(self.from, self.to)?;
        Ok((log::Filter { action: self.action, payment_no: self.payment_no, success: self.success }, period))
    }
}

impl StatisticsPeriod {
    /// The period, or what is wrong with it.
    pub(crate) fn checked(&self) -> Result<Period> {
        check_period(self.from, self.to)
    }
}

/// Refuses a period that holds nothing, and instants that no payment lies at.
pub(super) fn check_period(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Result<Period> {
    check_instant("from", from)?;
    check_instant("to", to)?;
    if from.zip(to).is_some_and(|(from, to)| from >= to) {
        return Err(Error::invalid_field("to", "must be later than from", "必须晚于 from"));
    }
    Ok((from, to))
}

/// Refuses an instant in a year that no business day lies in.
pub(super) fn check_instant(path: &str, instant: Option<DateTime<Utc>>) -> Result<()> {
    let Some(instant) = instant else { return Ok(()) };
    let implausible = |error: payops_core::time::ImplausibleDate| {
        Error::invalid_field(path, error.to_string(), "日期不合理：年份应在 1970 到 2200 之间")
    };
    business_date(instant.date_naive()).map(drop).map_err(implausible)
}

/// One row of a usage log. `…_before` of a row is `…_after` of the row before it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageLog {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The merchant's rows are numbered 1, 2, 3, …, without gaps.
    pub seq: i64,
    /// When it was decided.
    pub created_at: DateTime<Utc>,
    /// What it is about.
    pub action_type: ActionType,
    /// The payment; null for a reset.
    pub payment_no: Option<String>,
    /// The order, if one was named.
    pub order_no: Option<String>,
    /// The release, for a release.
    pub release_no: Option<String>,
    /// Minor units of `currency`.
    pub amount: i64,
    /// The payment's currency.
    pub currency: String,
    /// The same in minor units of the limit currency.
    pub counted_amount: i64,
    /// Used of the day before.
    pub daily_used_before: i64,
    /// Used of the day afterwards.
    pub daily_used_after: i64,
    /// Used of the month before.
    pub monthly_used_before: i64,
    /// Used of the month afterwards.
    pub monthly_used_after: i64,
    /// Held by reservations before.
    pub pending_before: i64,
    /// Held by reservations afterwards.
    pub pending_after: i64,
    /// The change of the day.
    pub daily_delta: i64,
    /// The change of the month.
    pub monthly_delta: i64,
    /// The change of what is held.
    pub pending_delta: i64,
    /// Whether it was allowed.
    pub success: bool,
    /// Why not; or why an amount was released; or that a confirmation came late.
    pub failure_reason: Option<String>,
}

impl From<log::Model> for UsageLog {
    fn from(row: log::Model) -> Self {
        Self {
            merchant_id: row.merchant_id,
            seq: row.seq,
            created_at: row.created_at,
            action_type: row.action_type,
            payment_no: row.payment_no,
            order_no: row.order_no,
            release_no: row.release_no,
            amount: row.amount,
            currency: row.currency,
            counted_amount: row.counted_amount,
            daily_used_before: row.daily_used_before,
            daily_used_after: row.daily_used_after,
            monthly_used_before: row.monthly_used_before,
            monthly_used_after: row.monthly_used_after,
            pending_before: row.pending_before,
            pending_after: row.pending_after,
            daily_delta: row.daily_delta,
            monthly_delta: row.monthly_delta,
            pending_delta: row.pending_delta,
            success: row.success,
            failure_reason: row.failure_reason,
        }
    }
}

/// How a merchant stands, and how its payments of a period were decided. Amounts are minor units of `currency`.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UsageStatistics {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The tier's code.
    pub tier_code: String,
    /// The currency of the amounts.
    pub currency: String,
    /// The daily limit in force; null is none.
    pub daily_limit: Option<i64>,
    /// Consumed in the day.
    pub daily_used: i64,
    /// What is left of the day; null without a limit.
    pub daily_remaining: Option<i64>,
    /// Used, in percent of the limit, rounded down; null without a limit. What is pending is not in it.
    #[schema(value_type = Option<f64>)]
    pub daily_usage_rate: Option<Percent>,
    /// The monthly limit in force; null is none.
    pub monthly_limit: Option<i64>,
    /// Consumed in the month.
    pub monthly_used: i64,
    /// What is left of the month; null without a limit.
    pub monthly_remaining: Option<i64>,
    /// Used, in percent of the limit, rounded down; null without a limit. What is pending is not in it.
    #[schema(value_type = Option<f64>)]
    pub monthly_usage_rate: Option<Percent>,
    /// The limit of one transaction; null is none.
    pub single_trans_limit: Option<i64>,
    /// Held by reservations; it counts against day and month.
    pub pending_amount: i64,
    /// Whether every new payment is refused.
    pub is_suspended: bool,
    /// Consumes and reserves that were decided in the period.
    pub total_transactions: i64,
    /// Those that were allowed.
    pub success_count: i64,
    /// Those that were refused by a rule.
    pub failure_count: i64,
    /// First instant of the period that the three counts are of.
    pub from: DateTime<Utc>,
    /// First instant after it.
    pub to: DateTime<Utc>,
    /// When this was so.
    pub as_of: DateTime<Utc>,
}

impl From<Statistics> for UsageStatistics {
    fn from(statistics: Statistics) -> Self {
        let Statistics { seen, from, to, allowed, refused } = statistics;
        let (usage, limits) = (seen.account.usage, seen.account.terms.limits(seen.now));
        let rate = |limit: Option<i64>, used: i64| limit.map(|limit| Percent::of(i128::from(used), limit));
        Self {
            merchant_id: seen.limit.merchant_id,
            tier_code: seen.tier.tier_code,
            currency: seen.tier.currency,
            daily_limit: limits.daily,
            daily_used: usage.daily_used,
            daily_remaining: remaining(limits.daily, usage.daily_used, usage.pending),
            daily_usage_rate: rate(limits.daily, usage.daily_used),
            monthly_limit: limits.monthly,
            monthly_used: usage.monthly_used,
            monthly_remaining: remaining(limits.monthly, usage.monthly_used, usage.pending),
            monthly_usage_rate: rate(limits.monthly, usage.monthly_used),
            single_trans_limit: limits.single_trans,
            pending_amount: usage.pending,
            is_suspended: seen.limit.is_suspended,
            total_transactions: allowed + refused,
            success_count: allowed,
            failure_count: refused,
            from,
            to,
            as_of: seen.now,
        }
    }
}
