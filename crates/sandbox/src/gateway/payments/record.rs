//! One payment, and how far it is.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use payops_client::Charge;
use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::channel::Card;
use crate::days::Channel;

/// The longest number of a payment or refund.
const LONGEST_NUMBER: usize = 64;

/// A payment as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPayment {
    pub(super) merchant_id: Uuid,
    pub(super) payment_no: String,
    /// Minor units.
    pub(super) amount: i64,
    pub(super) currency: Currency,
    pub(super) channel: Channel,
    #[serde(default)]
    pub(super) card: Card,
}

impl NewPayment {
    pub(super) fn check(&self) -> Result<(), String> {
        check_number("payment_no", &self.payment_no)?;
        check_amount(self.amount)
    }
}

/// A refund as it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewRefund {
    pub(super) refund_no: String,
    /// Minor units of the payment's currency.
    pub(super) amount: i64,
}

impl NewRefund {
    pub(super) fn check(&self) -> Result<(), String> {
        check_number("refund_no", &self.refund_no)?;
        check_amount(self.amount)
    }
}

fn check_number(name: &str, number: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=LONGEST_NUMBER).contains(&number.len()) && number.bytes().all(fits) {
        return Ok(());
    }
    Err(format!("{name} must be 1 to {LONGEST_NUMBER} letters, digits, '-', '_' or '.'"))
}

fn check_amount(amount: i64) -> Result<(), String> {
    if amount > 0 { Ok(()) } else { Err("amount must be above zero, in minor units".to_owned()) }
}

/// How far a payment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// The limits are looked at, without effect.
    Checking,
    /// It is about to be counted.
    Created,
    /// It is counted; the channel is asked for the money.
    Charging,
    /// Paid.
    Succeeded,
    /// The channel took no money; what was counted is given back.
    Releasing,
    /// The channel took no money, and nothing is counted.
    Failed,
    /// The limits say no.
    Declined,
    /// The limit service was away; what may have been counted is taken back.
    Cancelling,
    /// The limit service was away, and nothing is counted.
    NotTaken,
}

impl State {
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Declined | Self::NotTaken)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checking => "checking",
            Self::Created => "created",
            Self::Charging => "charging",
            Self::Succeeded => "succeeded",
            Self::Releasing => "releasing",
            Self::Failed => "failed",
            Self::Declined => "declined",
            Self::Cancelling => "cancelling",
            Self::NotTaken => "not_taken",
        })
    }
}

/// How far a refund is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RefundState {
    /// The money is back; the limit service is yet to give its part back.
    Releasing,
    /// Both are done.
    Succeeded,
    /// The money is back, and the limit service refuses to give its part back.
    NotReleased,
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refund {
    #[serde(rename = "refund_no")]
    pub(super) number: String,
    pub(super) amount: i64,
    pub(super) state: RefundState,
    pub(super) reason: Option<String>,
}

impl Refund {
    pub(super) fn new(wanted: &NewRefund) -> Self {
        let state = RefundState::Releasing;
        Self { number: wanted.refund_no.clone(), amount: wanted.amount, state, reason: None }
    }
}

/// A payment with all that came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Payment {
    #[serde(flatten)]
    pub(super) asked: NewPayment,
    pub(super) state: State,
    /// Why it is where it is, when it did not succeed.
    pub(super) reason: Option<String>,
    pub(super) refunds: Vec<Refund>,
}

impl Payment {
    pub(super) fn new(asked: NewPayment) -> Self {
        Self { asked, state: State::Checking, reason: None, refunds: Vec::new() }
    }

    pub(super) fn payment_no(&self) -> &str {
        &self.asked.payment_no
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_finished(&self) -> bool {
        self.state.is_final() && self.refunds.iter().all(|refund| refund.state != RefundState::Releasing)
    }

    pub(super) fn refund(&self, refund_no: &str) -> Option<&Refund> {
        self.refunds.iter().find(|refund| refund.number == refund_no)
    }

    /// What may still be refunded: nothing of a payment that has not succeeded. Refunds are never more than the payment.
    pub(super) fn refundable(&self) -> i64 {
        if self.state != State::Succeeded {
            return 0;
        }
        self.refunds.iter().fold(self.asked.amount, |left, refund| left - refund.amount)
    }

    pub(super) fn money(&self) -> Money {
        Money::new(self.asked.amount, self.asked.currency)
    }

    /// The payment as the limit service is asked about it.
    pub(super) fn charge(&self) -> Charge {
        Charge {
            merchant_id: self.asked.merchant_id,
            payment_no: self.asked.payment_no.clone(),
            money: self.money(),
            order_no: None,
            channel: Some(self.asked.channel.to_string()),
        }
    }

    /// The fields in which it is not what is asked for now.
    pub(super) fn differences(&self, wanted: &NewPayment) -> Vec<&'static str> {
        let asked = &self.asked;
        let fields = [
            ("merchant_id", asked.merchant_id == wanted.merchant_id),
            ("amount", asked.amount == wanted.amount),
            ("currency", asked.currency == wanted.currency),
            ("channel", asked.channel == wanted.channel),
            ("card", asked.card == wanted.card),
        ];
        fields.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect()
    }
}

/// A payment that several calls may ask for, and one at a time carries on.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) turn: tokio::sync::Mutex<()>,
    payment: Mutex<Payment>,
    /// By the sandbox's clock; `None` is at once.
    again_at: Mutex<Option<Timestamp>>,
}

impl Entry {
    pub(super) fn new(payment: Payment) -> Arc<Self> {
        Arc::new(Self {
            turn: tokio::sync::Mutex::default(),
            payment: Mutex::new(payment),
            again_at: Mutex::default(),
        })
    }

    pub(super) fn payment(&self) -> Payment {
        self.payment.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Payment) -> T) -> T {
        change(&mut self.payment.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn again_at(&self, instant: Timestamp) {
        *self.again_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(instant);
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let again_at = *self.again_at.lock().unwrap_or_else(PoisonError::into_inner);
        again_at.is_none_or(|instant| instant <= now) && !self.payment().is_finished()
    }
}
