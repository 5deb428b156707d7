//! Reads a line the short way, or leaves it to the plain reader.
//!
//! The short way takes a line only when it is certain that the plain reader would take it too, and then gives the
//! same row. It never refuses: whatever is not plainly right (an odd width, an unknown word, a long id, an amount
//! of an unusual form) makes it say `None` before it has counted anything.

#![expect(clippy::inline_always, reason = "one line takes 60 ns: each of these is a few instructions of it")]

use payops_core::currency::{Currency, Exponents};

use crate::amount::{short_amount, window_amount};
use crate::mapping::Words;
use crate::row::{Kind, Row, RowSink, Status};
use crate::rows::RowReader;
use crate::stripe::Category;
use crate::tally::{Cell, Tally};
use crate::time::DayTest;

/// How many ways of writing a word, and how many currencies, are remembered.
const REMEMBERED: usize = 64;

/// What the plain reader of a format would do, as data. Columns that a file does not have are
/// [`crate::header::ABSENT`].
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    /// How many fields each line must have.
    pub(crate) width: usize,
    pub(crate) columns: Columns,
    /// The currency where the column is absent or empty.
    pub(crate) currency: Option<Currency>,
    pub(crate) exponents: Exponents,
    /// Amounts are whole minor units.
    pub(crate) minor: bool,
    pub(crate) decimal_mark: u8,
    pub(crate) refunds_are_positive: bool,
    pub(crate) fees_are_negative: bool,
    /// What an empty fee means.
    pub(crate) empty_fee: Option<i64>,
    pub(crate) net_is_needed: bool,
    pub(crate) kinds: KindWords<'a>,
    /// The kind where the column is absent or empty.
    pub(crate) kind: Option<Kind>,
    /// `None` where the format states no status.
    pub(crate) statuses: Option<&'a Words<Status>>,
    pub(crate) day: Option<DayTest>,
    pub(crate) longest_id: usize,
    /// What the first field of a line of totals holds.
    pub(crate) totals_marker: Option<&'a [u8]>,
}

/// What the plain reader has to look at.
#[derive(Debug, Clone, Copy)]
struct Unusual;

/// The amounts of a line: as written, and as money moves.
#[derive(Debug, Clone, Copy)]
struct Money {
    written: i64,
    amount: i64,
    fee: Option<i64>,
    net: Option<i64>,
}

/// Where the fields are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns {
    pub(crate) channel_trade_no: usize,
    pub(crate) charge_id: usize,
    pub(crate) payment_intent_id: usize,
    pub(crate) row_id: usize,
    pub(crate) refund_no: usize,
    pub(crate) payout_id: usize,
    pub(crate) merchant_id: usize,
    pub(crate) occurred_at: usize,
    pub(crate) amount: usize,
    pub(crate) currency: usize,
    pub(crate) fee: usize,
    pub(crate) net: usize,
    pub(crate) kind: usize,
    pub(crate) status: usize,
}

/// What the words for kinds mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum KindWords<'a> {
    Mapped(&'a Words<Kind>),
    Stripe,
}

impl KindWords<'_> {
    fn meaning(self, word: &[u8]) -> Option<(u16, Kind)> {
        match self {
            _ if word.is_empty() => None,
            Self::Mapped(words) => words.meaning(word, &mut 0).map(|kind| (kind as u16, kind)),
            Self::Stripe => Category::parse(word).map(|category| (category.number(), category.kind())),
        }
    }
}

/// One line of a part, in fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
    /// The text of the part and a little more, so that 16 bytes can be read at any field.
    pub(super) part: &'t [u8],
    /// Where the field before each field ends, and last where the last one does.
    pub(super) bounds: &'t [u32],
}

impl<'t> Line<'t> {
    #[inline(always)]
    fn span(&self, column: usize) -> Option<(usize, usize)> {
        let (before, end) = (self.bounds.get(column)?, self.bounds.get(column.wrapping_add(1))?);
        Some((before.wrapping_add(1) as usize, *end as usize))
    }

    /// A field, trimmed; empty where there is none.
    #[inline(always)]
    fn get(&self, column: usize) -> &'t [u8] {
        let text = self.span(column).and_then(|(from, to)| self.part.get(from..to)).unwrap_or_default();
        match text {
            [first, .., last] if *first > b' ' && *last > b' ' => text,
            _ => text.trim_ascii(),
        }
    }

    /// How many bytes the line has, its end aside.
    #[inline(always)]
    fn length(&self) -> usize {
        match self.bounds {
            [before, .., end] => end.wrapping_sub(before.wrapping_add(1)) as usize,
            _ => 0,
        }
    }
}

/// Words as they stand in the file, each as a number, and what they were found to mean.
#[derive(Debug)]
struct Forms<T> {
    last: usize,
    known: Vec<(u128, T)>,
}

impl<T: Copy> Forms<T> {
    fn new() -> Self {
        Self { last: 0, known: Vec::new() }
    }

    /// What the word in a column means; `meaning` is asked about words that were not met before.
    #[inline(always)]
    fn read(
        &mut self,
        line: &Line<'_>,
        column: usize,
        meaning: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let (from, to) = line.span(column)?;
        let form = form(line.part, from, to)?;
        if let Some((known, value)) = self.known.get(self.last)
            && *known == form
        {
            return Some(*value);
        }
        if let Some(index) = self.known.iter().position(|(known, _)| *known == form) {
            self.last = index;
            return Some(self.known[index].1);
        }
        let value = meaning(line.get(column))?;
        if self.known.len() < REMEMBERED {
            self.known.push((form, value));
        }
        Some(value)
    }
}

/// Up to 15 bytes as a number, with their count in the highest byte.
#[inline(always)]
fn form(part: &[u8], from: usize, to: usize) -> Option<u128> {
    let length = to.checked_sub(from).filter(|length| *length < 16)?;
    let word = u128::from_le_bytes(*part.get(from..)?.first_chunk::<16>()?);
    let kept = word & ((1 << (8 * length)) - 1);
    Some(kept | (length as u128) << 120)
}

/// Currencies by their code as a number.
#[derive(Debug)]
struct CurrencyTable {
    exponents: Exponents,
    /// The place in `known` of each code, plus one; zero where it was not met.
    places: Vec<u8>,
    known: Vec<(Currency, u8)>,
}

impl CurrencyTable {
    fn new(exponents: Exponents) -> Self {
        Self { exponents, places: vec![0; 1 << 15], known: Vec::new() }
    }

    /// The place, the currency and its exponent.
    #[inline(always)]
    fn read(&mut self, text: &[u8]) -> Option<(usize, Currency, u8)> {
        let code = <[u8; 3]>::try_from(text).ok()?;
        let index = code.iter().fold(0, |index, letter| index << 5 | usize::from(letter & 31));
        let place = usize::from(*self.places.get(index)?);
        match self.known.get(place.wrapping_sub(1)) {
            // The bits that were left out tell letters from other characters.
            Some((currency, exponent)) if code.iter().all(u8::is_ascii_alphabetic) => {
                Some((place - 1, *currency, *exponent))
            }
            _ => self.learn(code, index),
        }
    }

    #[cold]
    fn learn(&mut self, code: [u8; 3], index: usize) -> Option<(usize, Currency, u8)> {
        let currency = Currency::parse(&code).ok()?;
        let exponent = self.exponents.of(currency);
        if self.known.len() >= REMEMBERED {
            return None;
        }
        let place = self.known.len();
        self.known.push((currency, exponent));
        self.places[index] = u8::try_from(place + 1).unwrap_or(0);
        Some((place, currency, exponent))
    }
}

/// Reads lines the short way.
#[derive(Debug)]
pub(super) struct ShortWay<'a> {
    plan: Plan<'a>,
    currencies: CurrencyTable,
    kinds: Forms<(u16, Kind)>,
    statuses: Forms<Status>,
    /// Sums by currency and category.
    cells: Vec<[Cell; CATEGORIES]>,
}

/// More categories than any format has.
const CATEGORIES: usize = 64;

impl<'a> ShortWay<'a> {
    pub(super) fn new(plan: Plan<'a>) -> Self {
        Self {
            currencies: CurrencyTable::new(plan.exponents),
            plan,
            kinds: Forms::new(),
            statuses: Forms::new(),
            cells: Vec::new(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.plan.width
    }

    /// The row of a line of the right width in ASCII; `None` leaves it to the plain reader.
    #[inline(always)]
    pub(super) fn read<'t, T: RowReader, S: RowSink>(
        &mut self,
        line: &Line<'t>,
        reader: &mut T,
    ) -> Option<Row<'t>> {
        let columns = self.plan.columns;
        let has_totals = self.plan.totals_marker.is_some();
        if line.length() > self.plan.longest_id
            || self.plan.totals_marker.is_some_and(|marker| line.get(0) == marker)
        {
            return None;
        }
        let (place, currency, exponent) = self.currency(line)?;
        let (category, kind) = self.kind(line)?;
        let status = self.status(line).ok()?;
        let Money { written, amount, fee, net } = self.plan.money(line, kind, exponent).ok()?;
        let channel_trade_no = line.get(columns.channel_trade_no);
        if channel_trade_no.is_empty() && kind.is_booked_by_platform() {
            return None;
        }
        let occurred_at = line.get(columns.occurred_at);
        let in_window = match &self.plan.day {
            Some(day) => day.contains(occurred_at)?,
            None => true,
        };
        let text = |column| if S::TAKES_ALL_TEXTS { line.get(column) } else { &[] };
        let refund_no = if kind == Kind::Refund { text(columns.refund_no) } else { &[] };
        let payout_id = match line.get(columns.payout_id) {
            [] if kind == Kind::Payout => channel_trade_no,
            payout_id => payout_id,
        };
        let row = Row {
            kind,
            channel_trade_no,
            charge_id: line.get(columns.charge_id),
            payment_intent_id: line.get(columns.payment_intent_id),
            row_id: if refund_no.is_empty() { text(columns.row_id) } else { refund_no },
            amount,
            currency,
            status,
            raw_status: text(columns.status),
            fee,
            net,
            payout_id,
            merchant_id: text(columns.merchant_id),
            occurred_at,
            in_window,
        };
        if has_totals {
            reader.count_written(currency, written);
        }
        if !payout_id.is_empty() {
            reader.tally().add_to_group(&row);
        }
        self.count(place, category, &row);
        Some(row)
    }

    /// The currency, its place among those that were met, and its exponent.
    #[inline(always)]
    fn currency(&mut self, line: &Line<'_>) -> Option<(usize, Currency, u8)> {
        match (line.get(self.plan.columns.currency), self.plan.currency) {
            ([], Some(constant)) => self.currencies.read(constant.as_str().as_bytes()),
            (code, _) => self.currencies.read(code),
        }
    }

    /// The category's number and the kind.
    #[inline(always)]
    fn kind(&mut self, line: &Line<'_>) -> Option<(u16, Kind)> {
        let (column, words) = (self.plan.columns.kind, self.plan.kinds);
        match self.plan.kind {
            Some(kind) if line.get(column).is_empty() => Some((kind as u16, kind)),
            _ => self.kinds.read(line, column, |word| words.meaning(word)),
        }
    }

    #[inline(always)]
    fn status(&mut self, line: &Line<'_>) -> Result<Option<Status>, Unusual> {
        let Some(words) = self.plan.statuses else { return Ok(None) };
        let status = self.statuses.read(line, self.plan.columns.status, |word| words.meaning(word, &mut 0));
        status.map(Some).ok_or(Unusual)
    }

    #[inline(always)]
    fn count(&mut self, place: usize, category: u16, row: &Row<'_>) {
        if place >= self.cells.len() {
            self.cells.resize_with(place + 1, || [Cell::default(); CATEGORIES]);
        }
        let cell = &mut self.cells[place][usize::from(category) % CATEGORIES];
        cell.rows += 1;
        cell.gross += i128::from(row.amount);
        cell.fee += i128::from(row.fee.unwrap_or(0));
        cell.net += i128::from(row.net.unwrap_or(row.amount));
    }

    /// Gives what was summed to the plain reader's sums.
    pub(super) fn finish(self, tally: &mut Tally) {
        for ((currency, _), cells) in self.currencies.known.iter().zip(&self.cells) {
            for (category, cell) in (0..).zip(cells).filter(|(_, cell)| cell.rows > 0) {
                tally.add_cell(category, *currency, cell);
            }
        }
    }
}

impl Plan<'_> {
    /// An amount of the usual form.
    #[inline(always)]
    fn usual_amount(&self, line: &Line<'_>, column: usize, exponent: u8) -> Option<i64> {
        let (decimals, mark) = self.form(exponent);
        let (from, to) = line.span(column)?;
        let window = line.part.get(to.checked_sub(8)?..)?.first_chunk::<8>()?;
        let is_negative = line.part.get(from) == Some(&b'-');
        let from = from + usize::from(is_negative);
        let amount = window_amount(*window, to.checked_sub(from)?, decimals, mark)?;
        Some(if is_negative { -amount } else { amount })
    }

    /// How amounts are written: decimals and their mark.
    #[inline(always)]
    fn form(&self, exponent: u8) -> (u8, u8) {
        if self.minor { (0, 0) } else { (exponent, self.decimal_mark) }
    }

    #[inline(always)]
    fn amount(&self, line: &Line<'_>, column: usize, exponent: u8) -> Option<i64> {
        let usual = self.usual_amount(line, column, exponent);
        usual.or_else(|| self.other_amount(line, column, exponent))
    }

    #[cold]
    fn other_amount(&self, line: &Line<'_>, column: usize, exponent: u8) -> Option<i64> {
        let (decimals, mark) = self.form(exponent);
        short_amount(line.get(column), decimals, mark)
    }

    /// An amount that may be absent.
    #[inline(always)]
    fn optional(&self, line: &Line<'_>, column: usize, exponent: u8) -> Result<Option<i64>, Unusual> {
        match self.usual_amount(line, column, exponent) {
            Some(amount) => Ok(Some(amount)),
            None if line.get(column).is_empty() => Ok(None),
            None => self.other_amount(line, column, exponent).map(Some).ok_or(Unusual),
        }
    }

    /// The amounts of a row that adds up.
    #[inline(always)]
    fn money(&self, line: &Line<'_>, kind: Kind, exponent: u8) -> Result<Money, Unusual> {
        let written = self.amount(line, self.columns.amount, exponent).ok_or(Unusual)?;
        let amount = self.signed(kind, written);
        let fee = match self.optional(line, self.columns.fee, exponent)? {
            Some(fee) => Some(if self.fees_are_negative { -fee } else { fee }),
            None => self.empty_fee,
        };
        let net = self.optional(line, self.columns.net, exponent)?.map(|net| self.signed(kind, net));
        match (fee, net) {
            (_, None) if self.net_is_needed => Err(Unusual),
            (Some(fee), Some(net)) if amount - fee != net => Err(Unusual),
            _ => Ok(Money { written, amount, fee, net }),
        }
    }

    /// As money moves, where the file writes what goes out as positive. Short amounts can be negated.
    #[inline(always)]
    fn signed(&self, kind: Kind, amount: i64) -> i64 {
        let is_outgoing = self.refunds_are_positive && matches!(kind, Kind::Refund | Kind::Dispute);
        if is_outgoing && amount > 0 { -amount } else { amount }
    }
}
