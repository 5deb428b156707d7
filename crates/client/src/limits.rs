//! Merchant limits as a gateway uses them.

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::transport::{CallError, Settings, Transport};

/// The codes of 422 that are decisions, not mistakes: the whole decision stands in their data.
const DECLINES: [&str; 4] =
    ["LIMIT_EXCEEDED", "MERCHANT_SUSPENDED", "CHANNEL_NOT_ALLOWED", "CURRENCY_NOT_ALLOWED"];

/// Asks the limit service. Clones share connections.
#[derive(Debug, Clone)]
pub struct LimitsClient(Transport);

/// An amount that is to be checked or counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Charge {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment, unique per merchant.
    pub payment_no: String,
    /// Minor units of `currency`, above zero.
    pub amount: i64,
    /// The payment's currency.
    pub currency: Currency,
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
    /// Every rule that says no.
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
}

/// One rule that says no.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    /// `suspended`, `single_trans`, `daily`, `monthly`, `channel` or `currency`.
    pub rule: String,
    /// The same in words.
    pub reason: String,
    /// The limit, where the rule is one.
    #[serde(default)]
    pub limit: Option<i64>,
    /// What is left of it.
    #[serde(default)]
    pub remaining: Option<i64>,
    /// When its window ends.
    #[serde(default)]
    pub resets_at: Option<Timestamp>,
}

/// What became of a reservation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Reservation {
    /// `confirmed`, `voided` or `expired`.
    pub status: String,
    /// Counted, in minor units of the payment's currency.
    pub amount: i64,
    /// Let go, in minor units of the limit currency.
    pub freed_amount: i64,
    /// True when it had expired before it was confirmed; it is counted all the same.
    pub late: bool,
    /// True when usage is beyond a limit since then.
    pub over_limit: bool,
}

/// What a release gave back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Released {
    /// Released, in minor units of the payment's currency.
    pub amount: i64,
    /// What that counted, in minor units of the limit currency.
    pub counted_amount: i64,
    /// What may still be released.
    pub releasable_amount: i64,
    /// What each window got back.
    pub windows: Vec<WindowReturn>,
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

/// One operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// Count an amount.
    Consume(Charge),
    /// Hold an amount.
    Reserve(Reserve),
    /// Count a held amount.
    Confirm(Confirm),
    /// Let a held amount go.
    Void(Void),
    /// Give a counted amount back.
    Release(Release),
}

/// The answer to one operation of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BatchAnswer {
    /// `SUCCESS`, or the error's code.
    pub code: String,
    /// The status that the single operation would have had.
    pub status: u16,
    /// The error in words.
    #[serde(default)]
    pub message: Option<String>,
    /// The data that the single operation would have had.
    #[serde(default)]
    pub data: Option<Value>,
}

#[derive(Debug, Serialize)]
struct Check<'c> {
    merchant_id: Uuid,
    amount: i64,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'c str>,
}

#[derive(Debug, Serialize)]
struct Batch<'b> {
    operations: &'b [Operation],
}

#[derive(Debug, Deserialize)]
struct BatchAnswers {
    results: Vec<BatchAnswer>,
}

impl LimitsClient {
    /// A client with these settings.
    ///
    /// # Errors
    /// [`CallError::Unusable`] when name or secret hold characters that no header can carry.
    pub fn new(settings: Settings) -> Result<Self, CallError> {
        Transport::new(settings).map(Self)
    }

    /// Whether a payment would be allowed now. It decides nothing: another payment may come first.
    pub async fn check(&self, charge: &Charge) -> Result<Decision, CallError> {
        let body = Check {
            merchant_id: charge.merchant_id,
            amount: charge.amount,
            currency: charge.currency,
            channel: charge.channel.as_deref(),
        };
        self.0.post("/api/v1/limits/check", &body, &[]).await?.read()
    }

    /// Counts a payment, or says why not. A decline is an answer, not an error.
    pub async fn consume(&self, charge: &Charge) -> Result<Decision, CallError> {
        self.0.post("/api/v1/limits/consume", charge, &DECLINES).await?.read()
    }

    /// Holds an amount, or says why not.
    pub async fn reserve(&self, reserve: &Reserve) -> Result<Decision, CallError> {
        self.0.post("/api/v1/limits/reserve", reserve, &DECLINES).await?.read()
    }

    /// Counts a held amount.
    pub async fn confirm(&self, confirm: &Confirm) -> Result<Reservation, CallError> {
        self.0.post("/api/v1/limits/confirm", confirm, &[]).await?.read()
    }

    /// Lets a held amount go.
    pub async fn void(&self, void: &Void) -> Result<Reservation, CallError> {
        self.0.post("/api/v1/limits/void", void, &[]).await?.read()
    }

    /// Gives a counted amount back. `None` when there is nothing to give back, because the payment was never counted:
    /// what a caller who lost the answer to a consume wants to know.
    pub async fn release(&self, release: &Release) -> Result<Option<Released>, CallError> {
        let answer = self.0.post("/api/v1/limits/release", release, &["PAYMENT_NOT_FOUND"]).await?;
        if answer.code == "PAYMENT_NOT_FOUND" { Ok(None) } else { answer.read().map(Some) }
    }

    /// Decides up to 1,000 operations; the answers stand in their order.
    pub async fn batch(&self, operations: &[Operation]) -> Result<Vec<BatchAnswer>, CallError> {
        let answers: BatchAnswers =
            self.0.post("/api/v1/limits/batch", &Batch { operations }, &[]).await?.read()?;
        if answers.results.len() == operations.len() {
            return Ok(answers.results);
        }
        let text = format!("{} answers to {} operations", answers.results.len(), operations.len());
        Err(CallError::Unreadable(text))
    }
}
