//! The canonical row: the one form that platform payments and channel settlements are brought into.

use std::fmt;

use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

/// What a row moves money for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// Money taken from a payer.
    Payment,
    /// Money given back to a payer.
    Refund,
    /// Money withdrawn by a chargeback.
    Dispute,
    /// Money returned because a chargeback was won or withdrawn.
    DisputeReversal,
    /// What the channel charges for its work.
    Fee,
    /// Money that left for the merchant's bank.
    Payout,
    /// Any other movement: reserves, transfers, corrections.
    Adjustment,
}

impl Kind {
    /// Every kind, in the order in which reports list them.
    pub const ALL: [Self; 7] = [
        Self::Payment,
        Self::Refund,
        Self::Dispute,
        Self::DisputeReversal,
        Self::Fee,
        Self::Payout,
        Self::Adjustment,
    ];

    /// The kind's name on the wire and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::Dispute => "dispute",
            Self::DisputeReversal => "dispute_reversal",
            Self::Fee => "fee",
            Self::Payout => "payout",
            Self::Adjustment => "adjustment",
        }
    }

    /// Whether a platform books rows of this kind one by one, so that a missing one is a difference. The
    /// other kinds are the channel's own and are only totalled.
    pub fn is_booked_by_platform(self) -> bool {
        matches!(self, Self::Payment | Self::Refund | Self::Dispute | Self::DisputeReversal)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The state of a payment or refund, in one vocabulary for all sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// Not decided yet.
    Pending,
    /// The money moved.
    Succeeded,
    /// The money moved and a part of it went back later.
    PartiallyRefunded,
    /// The money moved and all of it went back later.
    Refunded,
    /// The money moved and the payer disputes it.
    Disputed,
    /// No money moved: it was refused or broke.
    Failed,
    /// No money moved: it was called off.
    Cancelled,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Succeeded,
        Self::PartiallyRefunded,
        Self::Refunded,
        Self::Disputed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The status's name on the wire and in mappings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Disputed => "disputed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether money moved at some time, so that an itemised settlement report has a row for it.
    pub fn money_moved(self) -> bool {
        matches!(self, Self::Succeeded | Self::PartiallyRefunded | Self::Refunded | Self::Disputed)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a row stands in the decoded text of its file (UTF-8, unpacked, without byte-order mark).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes before the row's first byte.
    pub offset: u64,
    /// The physical line on which the row starts, counted from 1. A quoted field may span lines.
    pub line: u64,
    /// How many rows (accepted or rejected) stand before this one.
    pub ordinal: u64,
}

/// One movement of money, borrowed from the bytes it was read from. Absent texts are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// What the money moved for.
    pub kind: Kind,
    /// The channel's id of the movement, trimmed: the match key together with `kind`. For a channel's
    /// charge this is `source_id`, for the platform `channel_trade_no` (or the refund's id). A platform row
    /// that moved no money and has no trade number carries its own number here, which no channel row has.
    pub channel_trade_no: &'a [u8],
    /// A second id a platform may know the movement by: the charge's id, where it is not the trade number.
    pub charge_id: &'a [u8],
    /// A third: the payment intent's id. Several charges may share it.
    pub payment_intent_id: &'a [u8],
    /// The row's own id in its source: `balance_transaction_id` of a channel, `payment_no` (or `refund_no`)
    /// of the platform.
    pub row_id: &'a [u8],
    /// Minor units, signed as the merchant's balance moves: a refund is negative on both sides.
    pub amount: i64,
    /// The currency of `amount`, `fee` and `net`.
    pub currency: Currency,
    /// The status in payops' vocabulary; `None` where the source states none, as itemised reports do.
    pub status: Option<Status>,
    /// The status word as it stands in the source.
    pub raw_status: &'a [u8],
    /// What the channel charged, minor units, positive when charged; `None` where not stated.
    pub fee: Option<i64>,
    /// What reached the balance, minor units; `None` where not stated.
    pub net: Option<i64>,
    /// The payout that carried the movement to the bank.
    pub payout_id: &'a [u8],
    /// The merchant, on platform rows.
    pub merchant_id: &'a [u8],
    /// When the movement happened, as it stands in the source.
    pub occurred_at: &'a [u8],
    /// False when a day was asked for and the row lies outside of it.
    pub in_window: bool,
}

/// How many texts a row has.
pub const ROW_TEXTS: usize = 8;

impl<'a> Row<'a> {
    /// All texts of the row, in the order in which [`Row::of_texts`] takes them, for those who keep rows.
    pub fn texts(&self) -> [&'a [u8]; ROW_TEXTS] {
        [
            self.channel_trade_no,
            self.charge_id,
            self.payment_intent_id,
            self.row_id,
            self.raw_status,
            self.payout_id,
            self.merchant_id,
            self.occurred_at,
        ]
    }

    /// A row of the day with the texts that [`Row::texts`] gave, without status, fee and net.
    pub fn of_texts(kind: Kind, amount: i64, currency: Currency, texts: [&'a [u8]; ROW_TEXTS]) -> Self {
        let [
            channel_trade_no,
            charge_id,
            payment_intent_id,
            row_id,
            raw_status,
            payout_id,
            merchant_id,
            occurred_at,
        ] = texts;
        Self {
            kind,
            channel_trade_no,
            charge_id,
            payment_intent_id,
            row_id,
            amount,
            currency,
            status: None,
            raw_status,
            fee: None,
            net: None,
            payout_id,
            merchant_id,
            occurred_at,
            in_window: true,
        }
    }
}

/// Why a row, or a part of a file, could not be read. The word is stable; reports and metrics use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// A column that the format needs is not in the header.
    MissingColumn,
    /// A header names one needed column twice.
    DuplicateColumn,
    /// The lines end in a carriage return alone.
    BadLineEnd,
    /// The row ends before a column that it needs.
    ShortRow,
    /// The row has more fields than the header.
    LongRow,
    /// The row is longer than is accepted.
    RowTooLong,
    /// A quoted field is never closed, or text follows its closing quote.
    BadQuoting,
    /// The row contains a NUL byte.
    NulByte,
    /// The bytes are not valid in the file's encoding.
    BadEncoding,
    /// A line of a JSON feed is not the object that is expected.
    BadJson,
    /// A field that must not be empty is.
    EmptyField,
    /// A field is longer than is accepted.
    FieldTooLong,
    /// An amount is not a plain decimal number.
    BadAmount,
    /// An amount has more decimals than its currency.
    SurplusDigits,
    /// An amount is beyond 64-bit minor units.
    AmountOutOfRange,
    /// A currency is not three letters.
    BadCurrency,
    /// A time cannot be read.
    BadTime,
    /// A status word that no table knows.
    UnknownStatus,
    /// A category of movement that no table knows.
    UnknownKind,
    /// The file ends in the middle, for example a cut gzip stream.
    Truncated,
    /// The file unpacks to more than is accepted.
    TooLarge,
    /// Packed data does not unpack, or does not meet its own checksum.
    Corrupt,
    /// A row that may stand once stands again with another value.
    DuplicateRow,
    /// The file is of no format that is read here.
    UnknownFormat,
    /// An XML document is not well-formed, or wants more than text and elements, such as entities of its own.
    BadXml,
    /// A record of a bank statement is not of the form that its format has, or stands where it may not.
    BadRecord,
}

/// Something that could not be read. The rest of the file is read all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The physical line, from 1; 0 when it concerns the whole file.
    pub line: u64,
    /// The column's name as in the header, where one column is to blame.
    pub column: Option<String>,
    /// The class of fault.
    pub reason: RejectReason,
    /// What is wrong and with what value, for people. At most 200 characters of the value are shown.
    pub message: String,
}

/// Takes what a reader finds, in file order.
pub trait RowSink {
    /// Whether it looks at the texts that matching does not need: without them, [`Row::row_id`],
    /// [`Row::raw_status`] and [`Row::merchant_id`] may be empty.
    const TAKES_ALL_TEXTS: bool = true;

    /// A row that was read.
    fn row(&mut self, position: Position, row: &Row<'_>);
    /// Whether the record at `position` is worth reading; false leaves it out, as if it were not there. Only
    /// [`crate::read::read_rows`] and [`crate::read::reread_rows`] ask.
    fn wants(&mut self, _position: Position) -> bool {
        true
    }
    /// A row or part of the file that was not.
    fn reject(&mut self, reject: Reject);
    /// Asked after every row and reject; true makes the reader stop early.
    fn cancelled(&self) -> bool {
        false
    }
}

/// What a file's own totals say about its completeness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Proof {
    /// The file carries control totals and the rows meet them.
    Proven,
    /// The file carries control totals and the rows do not meet them.
    Failed,
    /// The file carries nothing to check against.
    NotProvable,
}
