//! What callers read, in the shapes of the API.

use chrono::{DateTime, Utc};
use payops_core::currency::Currency;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::{PaymentState, Rule};

/// The answer to check, consume and reserve.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Decision {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment; a check has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_no: Option<String>,
    /// Whether the payment may be taken.
    pub allowed: bool,
    /// The first rule that says no, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Every rule that says no.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<Failure>,
    /// Minor units of `currency`, as asked.
    pub amount: i64,
    /// The payment's currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// True when no currency was named and the merchant's was assumed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub currency_assumed: bool,
    /// What the amount counts, in minor units of `limit_currency`.
    pub counted_amount: i64,
    /// The currency that the merchant's limits are in.
    #[schema(value_type = String, example = "USD")]
    pub limit_currency: Currency,
    /// The rate from `currency` to `limit_currency`, where they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// The id of that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_id: Option<Uuid>,
    /// What is left of the day afterwards; null without a daily limit.
    pub daily_remaining: Option<i64>,
    /// What is left of the month afterwards; null without a monthly limit.
    pub monthly_remaining: Option<i64>,
    /// When a reservation ends by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// When this was decided. A check is out of date the moment it is given: only consume and reserve decide.
    pub as_of: DateTime<Utc>,
}

/// One rule that says no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Failure {
    /// The rule.
    pub rule: Rule,
    /// The same in words.
    pub reason: &'static str,
    /// The limit, where the rule is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Used of it so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<i64>,
    /// Held by reservations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<i64>,
    /// What is left of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// When its window ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resets_at: Option<DateTime<Utc>>,
    /// More about it: why the merchant is suspended, or what is allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The answer to confirm and void.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReservationAnswer {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// What became of the reservation.
    pub status: PaymentState,
    /// Counted, in minor units of `currency`; 0 after a void.
    pub amount: i64,
    /// The payment's currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The same in minor units of the limit currency.
    pub counted_amount: i64,
    /// The rate it was counted at, where the currencies differ: that of the reservation, or, when it came too late, that of
    /// the confirmation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// The id of that rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_id: Option<Uuid>,
    /// Let go again, in minor units of the limit currency.
    pub freed_amount: i64,
    /// True when the reservation had expired before it was confirmed. The money moved, so it is counted.
    pub late: bool,
    /// True when usage is beyond a limit since then.
    pub over_limit: bool,
    /// What is left of the day afterwards.
    pub daily_remaining: Option<i64>,
    /// What is left of the month afterwards.
    pub monthly_remaining: Option<i64>,
    /// When this was decided.
    pub as_of: DateTime<Utc>,
}

/// The answer to a release.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReleaseAnswer {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// The number of the release.
    pub release_no: String,
    /// Released, in minor units of `currency`.
    pub amount: i64,
    /// The payment's currency.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// What that counted, in minor units of the limit currency.
    pub counted_amount: i64,
    /// What may still be released of the payment, in minor units of `currency`.
    pub releasable_amount: i64,
    /// What each window got back.
    pub windows: [WindowReturn; 2],
    /// What is left of the day afterwards.
    pub daily_remaining: Option<i64>,
    /// What is left of the month afterwards.
    pub monthly_remaining: Option<i64>,
    /// When this was decided.
    pub as_of: DateTime<Utc>,
}

/// What a release gave back to one window.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct WindowReturn {
    /// `daily` or `monthly`.
    pub window: &'static str,
    /// Given back, in minor units of the limit currency.
    pub returned: i64,
    /// True when the window in which the payment was counted is over, so that nothing is given back.
    pub closed: bool,
}
