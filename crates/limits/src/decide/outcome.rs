//! How an operation ended.

use std::sync::Arc;

use payops_core::currency::Currency;

use crate::model::{PaymentState, Rule};

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, now or when the same was asked first.
    Approved(Approval),
    /// A rule said no, now or when the same was asked first. Final for its payment number.
    Declined {
        /// The first rule that said no.
        rule: Rule,
        /// The whole answer, as JSON.
        answer: Arc<str>,
        /// Whether this repeats an earlier answer.
        replayed: bool,
    },
    /// It cannot be done as asked. Nothing is stored, so it may be tried again.
    Refused(Refusal),
    /// Expired reservations were let go.
    Swept,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The whole answer, as JSON.
    pub answer: Arc<str>,
    /// Whether this repeats an earlier answer.
    pub replayed: bool,
}

/// Why an operation cannot be done as asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The merchant has no limits; initialize them first.
    UnknownMerchant,
    /// The merchant has no payment of this number.
    UnknownPayment,
    /// The number was used with other parameters: these fields differ.
    Mismatch(Vec<&'static str>),
    /// The payment is in a state that does not take this operation.
    WrongState(PaymentState),
    /// More is to be confirmed than is held; this much is.
    ConfirmExceeds(i64),
    /// More is to be released than is left; this much is.
    ReleaseExceeds(i64),
    /// A part is to be released under no number of its own; this much is left.
    ReleaseUnnamed(i64),
    /// There is no rate from the payment's currency to the limit currency.
    RateMissing(Currency, Currency),
    /// The amount, or the sum with what is used, is beyond 64 bits.
    OutOfRange,
    /// The stored figures contradict each other; an audit shows where.
    Inconsistent,
}

impl Outcome {
    /// An answer that repeats what was stored.
    pub(super) fn replay(answer: &str) -> Self {
        Self::Approved(Approval { answer: answer.into(), replayed: true })
    }

    pub(super) fn approved(answer: &str) -> Self {
        Self::Approved(Approval { answer: answer.into(), replayed: false })
    }
}
