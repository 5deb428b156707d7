//! What is sent to the limit service, and what it answers.

use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An amount that is to be checked or counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Charge {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment, unique per merchant.
    pub payment_no: String,
    /// How much, above zero.
    #[serde(flatten)]
    pub money: Money,
    /// The gateway's order number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_no: Option<String>,
    /// The payment channel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// An amount that is to be held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reserve {
    /// What is to be held.
    #[serde(flatten)]
    pub charge: Charge,
    /// For how long, in seconds; the service's default (15 minutes) unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
}

/// A held amount that is to be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confirm {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// Minor units of the payment's currency; all that is held unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
}

/// A held amount that is to be let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Void {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
}

/// A counted amount that is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Release {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// The number of this release; name one for each partial release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release_no: Option<String>,
    /// Minor units of the payment's currency; all that is left unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether a payment may be taken, and why not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Decision {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment; a check has none.
    #[serde(default)]
    pub payment_no: Option<String>,
    /// Whether it may be taken. A decline is final for its number.
    pub allowed: bool,
    /// The first rule that says no, in words.
    #[serde(default)]
    pub reason: Option<String>,
    /// Every rule that says no; the first is the reason.
    #[serde(default)]
    pub failures: Vec<Failure>,
    /// What it counts, in minor units of `limit_currency`.
    pub counted_amount: i64,
    /// The currency of the merchant's limits.
    pub limit_currency: Currency,
    /// What is left of the day; `None` without a limit.
    pub daily_remaining: Option<i64>,
    /// What is left of the month; `None` without a limit.
    pub monthly_remaining: Option<i64>,
    /// When a reservation ends by itself.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
    /// When this was decided.
    pub as_of: Timestamp,
    /// Whether this was decided by an earlier call.
    #[serde(skip)]
    pub replayed: bool,
}

impl Decision {
    /// What it counts against the merchant's limits.
    pub fn counted(&self) -> Money {
        Money::new(self.counted_amount, self.limit_currency)
    }

    /// The first rule that says no.
    pub fn declined_by(&self) -> Option<Rule> {
        self.failures.first().map(|failure| failure.rule)
    }
}

/// One rule that says no.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// The rule.
    pub rule: Rule,
    /// The same in words.
    pub reason: String,
    /// The limit, where the rule is one.
    #[serde(default)]
    pub limit: Option<i64>,
    /// Used of it so far.
    #[serde(default)]
    pub used: Option<i64>,
    /// Held by reservations.
    #[serde(default)]
    pub pending: Option<i64>,
    /// What is left of it.
    #[serde(default)]
    pub remaining: Option<i64>,
    /// When its window ends.
    #[serde(default)]
    pub resets_at: Option<Timestamp>,
    /// More about it, such as why the merchant is suspended.
    #[serde(default)]
    pub detail: Option<String>,
}

/// The rules that can decline a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The merchant is suspended.
    Suspended,
    /// More than one transaction may bring.
    SingleTrans,
    /// More than is left of the day.
    Daily,
    /// More than is left of the month.
    Monthly,
    /// The tier does not allow the payment channel.
    Channel,
    /// The tier does not allow the payment's currency.
    Currency,
    /// A rule that this client does not know: a no as any other.
    #[serde(other)]
    Other,
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reservation {
    /// How it ended.
    pub status: ReservationStatus,
    /// What was counted; 0 after a void.
    #[serde(flatten)]
    pub money: Money,
    /// Let go, in minor units of the limit currency.
    pub freed_amount: i64,
    /// True when it had expired before it was confirmed; it is counted all the same.
    pub late: bool,
    /// True when usage is beyond a limit since then.
    pub over_limit: bool,
    /// Whether this was done by an earlier call.
    #[serde(skip)]
    pub replayed: bool,
}

/// How a reservation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReservationStatus {
    /// It is counted.
    Confirmed,
    /// It was let go.
    Voided,
    /// It had ended by itself.
    Expired,
}

/// What a release gave back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Released {
    /// The number of the release.
    pub release_no: String,
    /// What was released.
    #[serde(flatten)]
    pub money: Money,
    /// What that counted, in minor units of the limit currency.
    pub counted_amount: i64,
    /// What may still be released, in minor units of the payment's currency.
    pub releasable_amount: i64,
    /// What each window got back.
    pub windows: Vec<WindowReturn>,
    /// Whether this was done by an earlier call.
    #[serde(skip)]
    pub replayed: bool,
}

/// What one window got back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct WindowReturn {
    /// `daily` or `monthly`.
    pub window: String,
    /// In minor units of the limit currency.
    pub returned: i64,
    /// True when the window is over, so that nothing is given back.
    pub closed: bool,
}
