//! Rows of earlier days that the other side did not have then, and that are still looked for.
//!
//! They take part in the matching behind the rows of their side's file. A row of the day that meets one completes it; one
//! that meets none is told of only when it is due.

use payops_channels::row::{Kind, Position, ROW_TEXTS, Row, Status};
use payops_core::currency::Currency;

use super::entry::Side;

/// The ordinal of the first carried row of a side: above those of all rows in a file.
pub(super) const FIRST_ORDINAL: u64 = 1 << 39;

/// A row of an earlier day: about a hundred bytes and its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CarriedRow {
    kind: Kind,
    status: Option<Status>,
    /// Whether this is the last time that it is looked for: unless it is found now, it is a difference.
    is_due: bool,
    currency: Currency,
    amount: i64,
    /// All texts, one behind the other: there may be millions of rows, and eight allocations are more than what they hold.
    texts: Box<[u8]>,
    /// Where each text ends.
    ends: [u32; ROW_TEXTS],
}

impl CarriedRow {
    /// The row as an engine keeps it; it is due where `in_window` says so. Of a row of an earlier day, fee and net do not count.
    pub fn of(row: &Row<'_>) -> Self {
        let texts = row.texts();
        let mut end = 0;
        let ends = texts.map(|text| {
            end += text.len();
            // A row has a mebibyte at the most.
            u32::try_from(end).unwrap_or(u32::MAX)
        });
        Self {
            kind: row.kind,
            status: row.status,
            is_due: row.in_window,
            currency: row.currency,
            amount: row.amount,
            texts: texts.concat().into(),
            ends,
        }
    }

    /// What the money moved for.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn as_row(&self) -> Row<'_> {
        let mut start = 0;
        let texts = self.ends.map(|end| {
            let end = usize::try_from(end).unwrap_or(usize::MAX);
            let text = self.texts.get(start..end).unwrap_or_default();
            start = end;
            text
        });
        Row {
            status: self.status,
            in_window: self.is_due,
            ..Row::of_texts(self.kind, self.amount, self.currency, texts)
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
