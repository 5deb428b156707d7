//! Reads lines the short way, or leaves them to the plain reader.
//!
//! Of up to [`LINES`] lines at once the columns are read ([`super::columns`]), then each line gives its row. The short way takes a line only when it is certain that the plain reader would take it too, and then gives the
//! same row. It never refuses: whatever is not plainly right (an odd width, an unknown word, a long id, an amount
//! of an unusual form) makes it say `None` before it has counted anything.

#![expect(clippy::inline_always, reason = "one line takes 60 ns: each of these is a few instructions of it")]

use payops_core::currency::{Currency, Exponents};

use super::columns::{AmountForm, Column, Forms, NO_AMOUNT, REMEMBERED, read_amounts};
use crate::mapping::Words;
use crate::row::{Kind, Row, RowSink, Status};
use crate::rows::RowReader;
use crate::stripe::Category;
use crate::tally::{Cell, Tally};
use crate::time::DayTest;

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
    pub(crate) form: AmountForm,
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
            Self::Mapped(words) => words.meaning(word, &mut 0).map(|kind| (kind as u16, kind)),
            // What takes back a part of a charge has the charge's key, which the plain reader finds.
            Self::Stripe => Category::parse(word)
                .filter(|category| !category.takes_back_a_part())
                .map(|category| (category.number(), category.kind())),
        }
    }
}

/// One line of a part, in fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'t> {
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

/// How many lines are read at once.
pub(super) const LINES: usize = 128;

/// What was read of some lines, column by column.
#[derive(Debug)]
struct Batch {
    currencies: [Met; LINES],
    kinds: [(u16, Kind); LINES],
    statuses: [Option<Status>; LINES],
    /// The amounts, the fees and the net amounts, or [`NO_AMOUNT`]. Not options, which a processor would write in two
    /// pieces and read in one, and wait for.
    amounts: [[i64; LINES]; 3],
    /// The lines that the short way does not take.
    unusual: [bool; LINES],
}

/// A currency that was met in the file.
#[derive(Debug, Clone, Copy)]
struct Met {
    /// Its place among those that were met.
    place: u8,
    exponent: u8,
    currency: Currency,
}

/// Reads lines the short way.
#[derive(Debug)]
pub(super) struct ShortWay<'a> {
    plan: Plan<'a>,
    currencies: Forms<Met>,
    met: Vec<Currency>,
    kinds: Forms<(u16, Kind)>,
    statuses: Forms<Option<Status>>,
    batch: Box<Batch>,
    /// Sums by currency and category.
    cells: Vec<[Cell; CATEGORIES]>,
}

/// More categories than any format has.
const CATEGORIES: usize = 64;

impl<'a> ShortWay<'a> {
    pub(super) fn new(plan: Plan<'a>) -> Self {
        let nothing = Met { place: 0, exponent: 0, currency: Currency::USD };
        let batch = Batch {
            currencies: [nothing; LINES],
            kinds: [(0, Kind::Payment); LINES],
            statuses: [None; LINES],
            amounts: [[NO_AMOUNT; LINES]; 3],
            unusual: [false; LINES],
        };
        Self {
            plan,
            currencies: Forms::new(),
            met: Vec::new(),
            kinds: Forms::new(),
            statuses: Forms::new(),
            batch: Box::new(batch),
            cells: Vec::new(),
        }
    }

    pub(super) fn width(&self) -> usize {
        self.plan.width
    }

    /// Reads the columns of at most [`LINES`] lines of the right width, whose fields have `ends`.
    pub(super) fn read_columns(&mut self, part: &[u8], ends: &[u32]) {
        let Self { plan, met, batch, .. } = self;
        let lines = ((ends.len() - 1) / plan.width).min(LINES);
        let column = |column: usize| ends.get(column..).map(|ends| Column { part, ends, width: plan.width });
        let Batch { currencies, kinds, statuses, amounts, unusual } = &mut **batch;
        let (currencies, unusual) = (&mut currencies[..lines], &mut unusual[..lines]);
        unusual.fill(false);
        self.currencies.read(column(plan.columns.currency), currencies, unusual, |code| {
            let currency = match code {
                _ if met.len() == REMEMBERED => return None,
                [] => plan.currency?,
                code => Currency::parse(code).ok()?,
            };
            let place = u8::try_from(met.len()).ok()?;
            met.push(currency);
            Some(Met { place, exponent: plan.exponents.of(currency), currency })
        });
        self.kinds.read(column(plan.columns.kind), &mut kinds[..lines], unusual, |word| match word {
            [] => plan.kind.map(|kind| (kind as u16, kind)),
            word => plan.kinds.meaning(word),
        });
        if let Some(words) = plan.statuses {
            let meaning = |word: &[u8]| words.meaning(word, &mut 0).map(Some);
            self.statuses.read(column(plan.columns.status), &mut statuses[..lines], unusual, meaning);
        }
        let columns = [plan.columns.amount, plan.columns.fee, plan.columns.net];
        for (place, amounts) in columns.into_iter().zip(amounts) {
            let exponents = currencies.iter().map(|met| met.exponent);
            read_amounts(column(place), plan.form, exponents, &mut amounts[..lines], unusual);
        }
    }

    /// Gives `take` the row of a line in ASCII, which is the `number`th of those whose columns were read; `None` leaves it to
    /// the plain reader.
    #[inline(always)]
    pub(super) fn row<'t, T: RowReader, S: RowSink>(
        &mut self,
        number: usize,
        line: &Line<'t>,
        reader: &mut T,
        take: impl FnOnce(&Row<'t>),
    ) -> Option<()> {
        let number = number % LINES;
        let columns = self.plan.columns;
        let has_totals = self.plan.totals_marker.is_some();
        if self.batch.unusual[number]
            || line.length() > self.plan.longest_id
            || self.plan.totals_marker.is_some_and(|marker| line.get(0) == marker)
        {
            return None;
        }
        let Met { place, currency, .. } = self.batch.currencies[number];
        let (category, kind) = self.batch.kinds[number];
        let [written, fees, nets] = &self.batch.amounts;
        let Money { written, amount, fee, net } =
            self.plan.money(kind, written[number], fees[number], nets[number])?;
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
            status: self.batch.statuses[number],
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
            // A copy, so that the row itself need not be in memory, where it is of no payout.
            reader.tally().add_to_group(&row.clone());
        }
        self.count(usize::from(place), category, &row);
        take(&row);
        Some(())
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
        for (currency, cells) in self.met.iter().zip(&self.cells) {
            for (category, cell) in (0..).zip(cells).filter(|(_, cell)| cell.rows > 0) {
                tally.add_cell(category, *currency, cell);
            }
        }
    }
}

impl Plan<'_> {
    /// The amounts of a row that adds up.
    #[inline(always)]
    fn money(&self, kind: Kind, written: i64, fee: i64, net: i64) -> Option<Money> {
        let stated = |amount: i64| (amount != NO_AMOUNT).then_some(amount);
        let (written, fee, net) = (stated(written)?, stated(fee), stated(net));
        let amount = self.signed(kind, written);
        let fee = match fee {
            Some(fee) => Some(if self.fees_are_negative { -fee } else { fee }),
            None => self.empty_fee,
        };
        let net = net.map(|net| self.signed(kind, net));
        match (fee, net) {
            (_, None) if self.net_is_needed => None,
            (Some(fee), Some(net)) if amount - fee != net => None,
            _ => Some(Money { written, amount, fee, net }),
        }
    }

    /// As money moves, where the file writes what goes out as positive. Short amounts can be negated.
    #[inline(always)]
    fn signed(&self, kind: Kind, amount: i64) -> i64 {
        let is_outgoing = self.refunds_are_positive && matches!(kind, Kind::Refund | Kind::Dispute);
        if is_outgoing && amount > 0 { -amount } else { amount }
    }
}
