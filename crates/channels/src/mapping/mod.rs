//! Reads any CSV through a mapping: which column means what, and how the file writes things.

pub(crate) mod read;
mod toml_form;
mod words;

use std::sync::Arc;

use payops_core::currency::{Currency, Exponents};
use payops_core::time::Zone;

use crate::row::{Kind, Status};
use crate::time::TimeFormat;
pub(crate) use words::Words;

const PLATFORM: &str = include_str!("../../mappings/platform.toml");
const STRIPE_PAYOUTS: &str = include_str!("../../mappings/stripe_payouts.toml");

/// How one kind of CSV file is read. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    rules: Arc<Rules>,
}

/// Why a text is not a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", line.map(|line| format!("line {line}: ")).unwrap_or_default())]
pub struct MappingError {
    /// The line of the mapping, from 1, where one is to blame.
    pub line: Option<usize>,
    /// What is wrong, naming the key.
    pub message: String,
}

impl Mapping {
    /// Reads a mapping written in TOML. Keys that are not known are errors that name the key.
    pub fn parse(text: &str) -> Result<Self, MappingError> {
        toml_form::parse(text).map(|rules| Self { rules: Arc::new(rules) })
    }

    /// The built-in mapping of the platform's CSV: `payment_no, channel_trade_no, amount, currency, status,
    /// created_at, merchant_id` and, where there are refunds, `kind, refund_no`; amounts in minor units.
    pub fn platform() -> Self {
        #[expect(clippy::expect_used, reason = "the text is part of the program and a test reads it")]
        Self::parse(PLATFORM).expect("the built-in platform mapping is valid")
    }

    /// The built-in mapping of Stripe's reports of payouts, whose amounts are positive when money leaves for the bank.
    pub fn stripe_payouts() -> Self {
        #[expect(clippy::expect_used, reason = "the text is part of the program and a test reads it")]
        Self::parse(STRIPE_PAYOUTS).expect("the built-in mapping of payouts is valid")
    }

    /// The mapping's own name.
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// Whether the file says what became of each row, as a platform does and an itemised report does not.
    pub fn has_status(&self) -> bool {
        !self.rules.statuses.is_empty()
    }

    /// Whether the source lists payments that moved no money: its status words include failed or cancelled.
    pub fn lists_failed(&self) -> bool {
        [Status::Failed, Status::Cancelled].iter().any(|status| self.rules.statuses.has(*status))
    }

    /// Whether a row of totals proves that a file is whole.
    pub fn has_proof(&self) -> bool {
        self.rules.proof.is_some()
    }

    pub(crate) fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }
}

/// What a mapping says, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) name: String,
    pub(crate) unit: Unit,
    pub(crate) decimal_mark: u8,
    pub(crate) delimiter: u8,
    pub(crate) exponents: Exponents,
    pub(crate) refunds_are_positive: bool,
    pub(crate) fees_are_negative: bool,
    pub(crate) fee_decimals: u8,
    /// By [`Field`].
    pub(crate) columns: Vec<Column>,
    pub(crate) kind: Option<Kind>,
    pub(crate) currency: Option<Currency>,
    pub(crate) statuses: Words<Status>,
    pub(crate) kinds: Words<Kind>,
    pub(crate) time: TimeFormat,
    pub(crate) zone: Zone,
    pub(crate) proof: Option<ProofRow>,
}

/// Where a field comes from. No name: the file does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) needed: bool,
}

/// What amounts count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Minor,
    Major,
}

/// A row of totals inside the file. Fields count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProofRow {
    /// What its first field holds.
    pub(crate) marker: String,
    pub(crate) count: Option<usize>,
    pub(crate) amount: Option<usize>,
    pub(crate) currency: Option<usize>,
}

/// The fields of a row that a mapping can fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    ChannelTradeNo,
    RowId,
    Amount,
    Currency,
    Status,
    Kind,
    Fee,
    Net,
    ChargeId,
    PaymentIntentId,
    PayoutId,
    MerchantId,
    OccurredAt,
    RefundNo,
}

#[cfg(test)]
mod tests;
