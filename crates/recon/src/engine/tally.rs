//! Sums that never wrap: counts and 128-bit amounts per currency.

use std::collections::BTreeMap;

use payops_channels::row::Kind;
use payops_core::currency::Currency;

use super::entry::{CurrencyCode, Entry};
use super::rules::{self, DiffType};
use super::summary::{AdjustmentTotals, ByCurrency, KindTotals, RowCounts, TypeTotals};
use super::tolerance::Tolerance;

const TYPES: usize = DiffType::ALL.len();
const KINDS: usize = Kind::ALL.len();

/// A growing row of cells, one per currency that occurs, found without a search.
#[derive(Debug)]
struct PerCurrency<T> {
    /// The place in `cells` of each currency code, plus one; zero where it has not occurred.
    places: Vec<u16>,
    cells: Vec<(CurrencyCode, T)>,
}

impl<T: Default> PerCurrency<T> {
    fn new() -> Self {
        Self { places: vec![0; CurrencyCode::COUNT], cells: Vec::new() }
    }

    #[inline]
    fn cell(&mut self, currency: CurrencyCode) -> &mut T {
        let place = &mut self.places[currency.index()];
        if *place == 0 {
            self.cells.push((currency, T::default()));
            *place = u16::try_from(self.cells.len()).unwrap_or(u16::MAX);
        }
        &mut self.cells[usize::from(*place) - 1].1
    }

    fn iter(&self) -> impl Iterator<Item = (Currency, CurrencyCode, &T)> {
        self.cells.iter().map(|(code, cell)| (code.currency(), *code, cell))
    }
}

/// One side's part of one cell.
#[derive(Debug, Clone, Copy, Default)]
struct RowSum {
    rows: u64,
    amount: i128,
}

impl RowSum {
    #[inline]
    fn add(&mut self, amount: i64) {
        self.rows += 1;
        self.amount += i128::from(amount);
    }

    fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        self.amount += other.amount;
    }
}

/// The platform's and the channel's sums of one currency, by type and kind, and the money at risk.
#[derive(Debug, Default)]
struct TallyCells {
    platform: [[RowSum; KINDS]; TYPES],
    channel: [[RowSum; KINDS]; TYPES],
    at_risk: RowSum,
}

/// Counts and sums of what came out, by type, kind and currency.
#[derive(Debug)]
pub(super) struct Tally {
    counts: [[u64; KINDS]; TYPES],
    sums: PerCurrency<TallyCells>,
    /// What each rule of tolerance has booked.
    adjustments: BTreeMap<(usize, Currency), AdjustmentTotals>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Self { counts: [[0; KINDS]; TYPES], sums: PerCurrency::new(), adjustments: BTreeMap::new() }
    }

    /// Books the gap of a pair within the tolerance of a rule.
    pub(super) fn add_adjustment(&mut self, rule: usize, platform: &Entry, channel: &Entry) {
        let totals = self.adjustments.entry((rule, platform.currency().currency())).or_default();
        totals.count += 1;
        totals.amount += i128::from(channel.amount) - i128::from(platform.amount);
    }

    /// What the rules have booked, by their names.
    pub(super) fn adjustments(
        &self,
        tolerance: &Tolerance,
    ) -> BTreeMap<String, ByCurrency<AdjustmentTotals>> {
        let mut by_name: BTreeMap<String, ByCurrency<AdjustmentTotals>> = BTreeMap::new();
        for ((rule, currency), totals) in &self.adjustments {
            by_name.entry(tolerance.name(*rule).to_owned()).or_default().insert(*currency, *totals);
        }
        by_name
    }

    /// Counts one outcome: a pair, or a row of one side.
    #[inline]
    pub(super) fn add(&mut self, outcome: DiffType, platform: Option<&Entry>, channel: Option<&Entry>) {
        let Some(kind) = platform.or(channel).map(|entry| entry.kind() as usize) else { return };
        let outcome_index = outcome as usize;
        self.counts[outcome_index][kind] += 1;
        if let (DiffType::Matched, Some(ours), Some(theirs)) = (outcome, platform, channel) {
            // They agree in currency and kind.
            let cell = self.sums.cell(ours.currency());
            cell.platform[outcome_index][kind].add(ours.amount);
            cell.channel[outcome_index][kind].add(theirs.amount);
            return;
        }
        if let Some(entry) = platform {
            self.sums.cell(entry.currency()).platform[outcome_index][kind].add(entry.amount);
        }
        if let Some(entry) = channel {
            let cell = self.sums.cell(entry.currency());
            cell.channel[outcome_index][kind].add(entry.amount);
            let ours = platform.and_then(Entry::status);
            if outcome == DiffType::StatusDiff && rules::is_at_risk(ours, entry.status()) {
                cell.at_risk.add(entry.amount);
            }
        }
    }

    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: &Self) {
        for (key, theirs) in &other.adjustments {
            let ours = self.adjustments.entry(*key).or_default();
            ours.count += theirs.count;
            ours.amount += theirs.amount;
        }
        for (ours, theirs) in self.counts.as_flattened_mut().iter_mut().zip(other.counts.as_flattened()) {
            *ours += theirs;
        }
        for (_, code, theirs) in other.sums.iter() {
            let ours = self.sums.cell(code);
            let pairs = [(&mut ours.platform, &theirs.platform), (&mut ours.channel, &theirs.channel)];
            for (ours, theirs) in pairs {
                for (ours, theirs) in ours.as_flattened_mut().iter_mut().zip(theirs.as_flattened()) {
                    ours.merge(*theirs);
                }
            }
            ours.at_risk.merge(theirs.at_risk);
        }
    }

    /// How often `outcome` came out.
    pub(super) fn count(&self, outcome: DiffType) -> u64 {
        self.counts[outcome as usize].iter().sum()
    }

    /// What the channel took although our status says that no money moved, or not yet.
    pub(super) fn at_risk(&self) -> ByCurrency<i128> {
        let cells = self.sums.iter().filter(|(_, _, cell)| cell.at_risk.rows > 0);
        cells.map(|(currency, _, cell)| (currency, cell.at_risk.amount)).collect()
    }

    /// The totals of one type, over all kinds and per kind.
    pub(super) fn totals(&self, outcome: DiffType) -> TypeTotals {
        let index = outcome as usize;
        let mut totals = TypeTotals { count: self.count(outcome), ..TypeTotals::default() };
        for kind in Kind::ALL.into_iter().filter(|kind| self.counts[index][*kind as usize] > 0) {
            let mut of_kind =
                KindTotals { count: self.counts[index][kind as usize], ..KindTotals::default() };
            for (currency, _, cell) in self.sums.iter() {
                let (ours, theirs) =
                    (cell.platform[index][kind as usize], cell.channel[index][kind as usize]);
                let sides = [
                    (ours, &mut of_kind.platform_amounts, &mut totals.platform_amounts, true),
                    (theirs, &mut of_kind.channel_amounts, &mut totals.channel_amounts, false),
                ];
                for (sum, kind_amounts, amounts, is_platform) in
                    sides.into_iter().filter(|side| side.0.rows > 0)
                {
                    kind_amounts.insert(currency, sum.amount);
                    *amounts.entry(currency).or_default() += sum.amount;
                    let counts: &mut RowCounts = totals.rows.entry(currency).or_default();
                    if is_platform { counts.platform += sum.rows } else { counts.channel += sum.rows }
                }
            }
            totals.kinds.insert(kind, of_kind);
        }
        totals
    }
}
