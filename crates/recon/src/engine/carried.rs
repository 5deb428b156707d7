//! Rows of earlier days that the other side did not have then, and that are still looked for.
//!
//! They take part in the matching behind the rows of their side's file. A row of the day that meets one completes it; one
//! that meets none is told of only when it is due.

use payops_channels::row::{Kind, Position, Row, Status};
use payops_core::currency::Currency;

use super::entry::Side;

/// The ordinal of the first carried row of a side: above those of all rows in a file.
pub(super) const FIRST_ORDINAL: u64 = 1 << 39;

/// A row of an earlier day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRow {
    /// What the money moved for.
    pub kind: Kind,
    /// The channel's id of the movement.
    pub channel_trade_no: Vec<u8>,
    /// Another id of a channel's charge.
    pub charge_id: Vec<u8>,
    /// The payment intent of a channel's charge.
    pub payment_intent_id: Vec<u8>,
    /// The row's own id in its source.
    pub row_id: Vec<u8>,
    /// Minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: Currency,
    /// The status that counts; `None` contradicts nothing.
    pub status: Option<Status>,
    /// The status word as it stood in the source.
    pub raw_status: Vec<u8>,
    /// The payout that carried the movement.
    pub payout_id: Vec<u8>,
    /// The merchant.
    pub merchant_id: Vec<u8>,
    /// When the movement happened, as it stood in the source.
    pub occurred_at: Vec<u8>,
    /// Whether this is the last time that it is looked for: unless it is found now, it is a difference.
    pub is_due: bool,
}

impl CarriedRow {
    pub(super) fn as_row(&self) -> Row<'_> {
        Row {
            kind: self.kind,
            channel_trade_no: &self.channel_trade_no,
            charge_id: &self.charge_id,
            payment_intent_id: &self.payment_intent_id,
            row_id: &self.row_id,
            amount: self.amount,
            currency: self.currency,
            status: self.status,
            raw_status: &self.raw_status,
            fee: None,
            net: None,
            payout_id: &self.payout_id,
            merchant_id: &self.merchant_id,
            occurred_at: &self.occurred_at,
            in_window: self.is_due,
        }
    }
}

/// The carried rows of both sides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Carried {
    /// Rows of ours.
    pub platform: Vec<CarriedRow>,
    /// The channel's rows.
    pub channel: Vec<CarriedRow>,
}

impl Carried {
    /// Those of one side.
    pub fn of(&self, side: Side) -> &[CarriedRow] {
        match side {
            Side::Platform => &self.platform,
            Side::Channel => &self.channel,
        }
    }

    /// The row that an ordinal means; `None` for a row of a file.
    pub(super) fn get(&self, side: Side, ordinal: u64) -> Option<&CarriedRow> {
        self.of(side).get(index_of(ordinal)?)
    }
}

/// The place of a carried row among those of its side; `None` for a row of a file.
pub(super) fn index_of(ordinal: u64) -> Option<usize> {
    usize::try_from(ordinal.checked_sub(FIRST_ORDINAL)?).ok()
}

/// Where a carried row stands: in no file, so on no line.
pub(super) fn position(ordinal: u64) -> Position {
    Position { offset: 0, line: 0, ordinal }
}
