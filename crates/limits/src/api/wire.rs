//! What callers send.

mod alerts;
mod exact;
mod given;
mod limits;
mod overrides;
mod payments;
mod rates;
mod tiers;
mod usage;
mod what_if;

pub use alerts::{Alert, AlertFilter, Delivery};
pub use exact::{FeeRate, Percent};
pub use limits::{ChangeTier, InitializeLimit, Limit, LimitChange, Suspend, Unsuspend};
pub use overrides::{NewOverride, Override, OverrideStatus};
pub use payments::{PaymentRelease, PaymentStanding};
pub use rates::{NewRate, Rate, Rates, RatesInForce};
pub use tiers::{NewTier, Tier, TierChange};
pub use usage::{HistoryFilter, StatisticsPeriod, UsageLog, UsageStatistics};
pub use what_if::{DeclinedPayment, RuleCount, WhatIf, WhatIfReport};

use payops_core::currency::Currency;
use payops_platform::error::{Error, FieldError, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::decide::{Action, Charge, FULL_RELEASE, Operation, ReleaseRequest};
use crate::ops::check::Question;

/// The longest a reservation may be held, in seconds: 30 days.
const LONGEST_TTL: i64 = 30 * 24 * 3600;
/// How long it is held unless the caller says otherwise: 15 minutes.
const DEFAULT_TTL: i64 = 15 * 60;
/// An amount that is to be counted.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment, unique per merchant: 1 to 64 characters. Asking again with the same number
    /// gives the same answer.
    pub payment_no: String,
    /// Minor units of `currency`, above zero.
    pub amount: i64,
    /// The payment's currency, ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The gateway's order number.
    #[serde(default)]
    pub order_no: Option<String>,
    /// The payment channel, such as `stripe`; required when the tier allows some only.
    #[serde(default)]
    pub channel: Option<String>,
}

/// An amount that is to be held.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Reserve {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The gateway's number of the payment, unique per merchant: 1 to 64 characters.
    pub payment_no: String,
    /// Minor units of `currency`, above zero.
    pub amount: i64,
    /// The payment's currency, ISO 4217.
    #[schema(value_type = String, example = "USD")]
    pub currency: Currency,
    /// The gateway's order number.
    #[serde(default)]
    pub order_no: Option<String>,
    /// The payment channel.
    #[serde(default)]
    pub channel: Option<String>,
    /// How long it is held, 1 to 2,592,000 seconds (30 days); 900 (15 minutes) unless named.
    #[serde(default)]
    pub ttl_seconds: Option<i64>,
}

/// A held amount that is to be counted.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// Minor units of the payment's currency, at most what is held; all of it unless named. The rest is freed.
    #[serde(default)]
    pub amount: Option<i64>,
}

/// A held amount that is to be let go.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Void {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
}

/// An amount that is to be given back.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The merchant.
    pub merchant_id: Uuid,
    /// The payment.
    pub payment_no: String,
    /// The caller's number of this release, unique per payment. A part needs one; `full`, which is of all that is left, unless
    /// named.
    #[serde(default)]
    pub release_no: Option<String>,
    /// Minor units of the payment's currency; all that is left unless named.
    #[serde(default)]
    pub amount: Option<i64>,
    /// Why: refund, cancellation, failure, ….
    #[serde(default)]
    pub reason: Option<String>,
}

/// A question whether a payment may be taken.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckLimit {
    /// The merchant.
    pub merchant_id: Uuid,
    /// Minor units of `currency`, above zero.
    pub amount: i64,
    /// The payment's currency, ISO 4217; the merchant's limit currency unless named.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "USD")]
    pub currency: Option<Currency>,
    /// The payment channel; required when the tier allows some only.
    #[serde(default)]
    pub channel: Option<String>,
}

/// One operation of a batch.
#[derive(Debug, Clone, Deserialize, Serialize, ToSchema)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum BatchItem {
    /// See `POST /api/v1/limits/check`.
    Check(CheckLimit),
    /// See `POST /api/v1/limits/consume`.
    Consume(Consume),
    /// See `POST /api/v1/limits/reserve`.
    Reserve(Reserve),
    /// See `POST /api/v1/limits/confirm`.
    Confirm(Confirm),
    /// See `POST /api/v1/limits/void`.
    Void(Void),
    /// See `POST /api/v1/limits/release`.
    Release(Release),
}

impl Consume {
    /// The operation, or every field that is not usable.
    pub(crate) fn operation(self) -> Result<Operation> {
        let mut check = Check::default();
        check.payment(&self.payment_no);
        check.charge(self.amount, self.order_no.as_ref(), self.channel.as_ref());
        let charge = Charge {
            amount: self.amount,
            currency: self.currency,
            order_no: self.order_no,
            channel: self.channel,
        };
        check.operation(self.merchant_id, self.payment_no, Action::Consume(charge))
    }
}

impl Reserve {
    /// The operation, or every field that is not usable.
    pub(crate) fn operation(self) -> Result<Operation> {
        let mut check = Check::default();
        check.payment(&self.payment_no);
        check.charge(self.amount, self.order_no.as_ref(), self.channel.as_ref());
        let ttl = self.ttl_seconds.unwrap_or(DEFAULT_TTL);
        if !(1..=LONGEST_TTL).contains(&ttl) {
            let en = format!("1 to {LONGEST_TTL} seconds are accepted");
            check.refuse("ttl_seconds", en, format!("允许 1 到 {LONGEST_TTL} 秒"));
        }
        let charge = Charge {
            amount: self.amount,
            currency: self.currency,
            order_no: self.order_no,
            channel: self.channel,
        };
        check.operation(self.merchant_id, self.payment_no, Action::Reserve(charge, ttl))
    }
}

impl Confirm {
    /// The operation, or every field that is not usable.
    pub(crate) fn operation(self) -> Result<Operation> {
        let mut check = Check::default();
        check.payment(&self.payment_no);
        check.positive(self.amount);
        check.operation(self.merchant_id, self.payment_no, Action::Confirm(self.amount))
    }
}

impl Void {
    /// The operation, or every field that is not usable.
    pub(crate) fn operation(self) -> Result<Operation> {
        let mut check = Check::default();
        check.payment(&self.payment_no);
        check.operation(self.merchant_id, self.payment_no, Action::Void)
    }
}

impl Release {
    /// The operation, or every field that is not usable.
    pub(crate) fn operation(self) -> Result<Operation> {
        let mut check = Check::default();
        check.payment(&self.payment_no);
        check.positive(self.amount);
        check.optional("release_no", self.release_no.as_ref(), 64);
        check.optional("reason", self.reason.as_ref(), 200);
        let request = ReleaseRequest {
            release_no: self.release_no.unwrap_or_else(|| FULL_RELEASE.to_owned()),
            amount: self.amount,
            reason: self.reason,
        };
        check.operation(self.merchant_id, self.payment_no, Action::Release(request))
    }
}

impl CheckLimit {
    /// The question, or every field that is not usable.
    pub(crate) fn question(self) -> Result<Question> {
        let mut check = Check::default();
        check.charge(self.amount, None, self.channel.as_ref());
        check.end()?;
        Ok(Question {
            merchant_id: self.merchant_id,
            amount: self.amount,
            currency: self.currency,
            channel: self.channel,
        })
    }
}

/// What an item of a batch asks for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// An answer that decides nothing.
    Question(Question),
    /// A decision.
    Operation(Operation),
}

impl BatchItem {
    /// What it asks for, or every field that is not usable.
    pub(crate) fn asked(self) -> Result<Asked> {
        let operation = match self {
            Self::Check(body) => return body.question().map(Asked::Question),
            Self::Consume(body) => body.operation(),
            Self::Reserve(body) => body.operation(),
            Self::Confirm(body) => body.operation(),
            Self::Void(body) => body.operation(),
            Self::Release(body) => body.operation(),
        };
        operation.map(Asked::Operation)
    }
}

/// Gathers what is wrong with a body.
#[derive(Debug, Default)]
struct Check(Vec<FieldError>);

impl Check {
    fn refuse(&mut self, path: &str, en: impl Into<String>, zh: impl Into<String>) {
        self.0.push(FieldError::new(path, en.into(), zh.into()));
    }

    fn payment(&mut self, payment_no: &str) {
        self.text("payment_no", payment_no, 64);
    }

    fn charge(&mut self, amount: i64, order_no: Option<&String>, channel: Option<&String>) {
        self.positive(Some(amount));
        self.optional("order_no", order_no, 64);
        self.optional("channel", channel, 50);
    }

    fn positive(&mut self, amount: Option<i64>) {
        if amount.is_some_and(|amount| amount <= 0) {
            self.refuse(
                "amount",
                "an amount above 0 is expected, in minor units",
                "金额必须大于 0（最小货币单位）",
            );
        }
    }

    fn optional(&mut self, path: &str, text: Option<&String>, most: usize) {
        if let Some(text) = text {
            self.text(path, text, most);
        }
    }

    fn text(&mut self, path: &str, text: &str, most: usize) {
        let length = text.chars().count();
        if !(1..=most).contains(&length) || text.trim() != text {
            let en = format!("1 to {most} characters are accepted, without blanks around them");
            self.refuse(path, en, format!("允许 1 到 {most} 个字符，首尾不能有空白"));
        } else if text.chars().any(char::is_control) {
            self.refuse(path, "control characters are not accepted", "不允许包含控制字符");
        }
    }

    fn operation(self, merchant_id: Uuid, payment_no: String, action: Action) -> Result<Operation> {
        self.end()?;
        Ok(Operation { merchant_id, payment_no, action })
    }

    fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::invalid_fields(self.0)) }
    }
}
