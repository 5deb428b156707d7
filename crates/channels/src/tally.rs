//! Sums what a file holds while it is read: totals per category, rows that do not add up, payout groups.

use ahash::AHashMap;
use payops_core::currency::{Currency, Exponents};

use crate::report::{CategoryTotal, FeeTotal, FileReport, PayoutGroup, Unbalanced};
use crate::row::{Kind, Position, Proof, Row};

/// Decimals, in major units, at which fees finer than their currency are kept.
pub(crate) const FEE_SCALE: u8 = 12;
const SHOWN_LINES: usize = 20;

/// A fee: whole minor units when it has no finer digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fee {
    /// Rounded half to even when `fine` is present.
    pub(crate) minor: i64,
    /// The exact fee in 10^-12 major units, when it has more decimals than its currency.
    pub(crate) fine: Option<i128>,
}

#[derive(Debug)]
struct Total {
    category: u16,
    currency: Currency,
    sums: Cell,
    fine_fee: i128,
}

/// What rows of one category and currency add up to. Fees here have no finer digits.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cell {
    pub(crate) rows: u64,
    pub(crate) gross: i128,
    pub(crate) fee: i128,
    pub(crate) net: i128,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.rows += other.rows;
        self.gross += other.gross;
        self.fee += other.fee;
        self.net += other.net;
    }
}

#[derive(Debug, Default)]
struct Group {
    rows: u64,
    net: i128,
    payout_net: Option<i128>,
    /// Of the rows it carried, and of its own.
    times: [GroupTime; 2],
}

impl Group {
    fn time(&self) -> Option<&GroupTime> {
        self.times.get(usize::from(self.payout_net.is_some()))
    }
}

/// When rows of a payout happened.
#[derive(Debug, Default)]
struct GroupTime {
    /// The greatest text.
    last: Vec<u8>,
    in_window: bool,
}

impl GroupTime {
    fn add(&mut self, occurred_at: &[u8], in_window: bool) {
        self.in_window |= in_window;
        if occurred_at > self.last.as_slice() {
            self.last.clear();
            self.last.extend_from_slice(occurred_at);
        }
    }
}

/// The sums of one file.
#[derive(Debug)]
pub(crate) struct Tally {
    exponents: Exponents,
    totals: Vec<Total>,
    last: usize,
    unbalanced: Unbalanced,
    groups: AHashMap<Vec<u8>, Vec<(Currency, Group)>>,
    grouped: usize,
    group_limit: usize,
    ungrouped: u64,
}

impl Tally {
    pub(crate) fn new(exponents: Exponents, group_limit: usize) -> Self {
        Self {
            exponents,
            totals: Vec::new(),
            last: 0,
            unbalanced: Unbalanced::default(),
            groups: AHashMap::new(),
            grouped: 0,
            group_limit,
            ungrouped: 0,
        }
    }

    /// Adds a row that was read. `category` is the reader's own number for the row's category.
    #[inline]
    pub(crate) fn add(&mut self, position: Position, category: u16, row: &Row<'_>, fee: Option<Fee>) {
        let (amount, net) = (i128::from(row.amount), row.net.map(i128::from));
        let total = self.total(category, row.currency);
        total.sums.rows += 1;
        total.sums.gross += amount;
        total.sums.net += net.unwrap_or(amount);
        if let Some(fee) = fee {
            match fee.fine {
                None => total.sums.fee += i128::from(fee.minor),
                Some(fine) => total.fine_fee += fine,
            }
            if net.is_some_and(|net| !self.balances(amount, fee, net, row.currency)) {
                self.unbalanced.rows += 1;
                if self.unbalanced.first_lines.len() < SHOWN_LINES {
                    self.unbalanced.first_lines.push(position.line);
                }
            }
        }
        if !row.payout_id.is_empty() {
            self.group(row, net.unwrap_or(amount));
        }
    }

    /// gross - fee = net; a fee with finer digits may be off by less than one minor unit.
    fn balances(&self, gross: i128, fee: Fee, net: i128, currency: Currency) -> bool {
        match fee.fine {
            None => gross - i128::from(fee.minor) == net,
            Some(fine) => {
                let unit = minor_unit(self.exponents.of(currency));
                ((gross - net) * unit - fine).abs() < unit
            }
        }
    }

    #[inline]
    fn total(&mut self, category: u16, currency: Currency) -> &mut Total {
        let same = |total: &Total| total.category == category && total.currency == currency;
        if !self.totals.get(self.last).is_some_and(same) {
            self.last = self.totals.iter().position(same).unwrap_or_else(|| {
                self.totals.push(Total { category, currency, sums: Cell::default(), fine_fee: 0 });
                self.totals.len() - 1
            });
        }
        &mut self.totals[self.last]
    }

    /// Adds rows that were summed elsewhere.
    pub(crate) fn add_cell(&mut self, category: u16, currency: Currency, cell: &Cell) {
        self.total(category, currency).sums.add(cell);
    }

    /// Adds a row that names a payout to it.
    pub(crate) fn add_to_group(&mut self, row: &Row<'_>) {
        self.group(row, row.net.unwrap_or(row.amount).into());
    }

    /// Adds the sums of other rows of the file.
    pub(crate) fn merge(&mut self, other: Self) {
        for total in other.totals {
            let ours = self.total(total.category, total.currency);
            ours.sums.add(&total.sums);
            ours.fine_fee += total.fine_fee;
        }
        self.unbalanced.rows += other.unbalanced.rows;
        self.unbalanced.first_lines.extend(other.unbalanced.first_lines);
        self.unbalanced.first_lines.sort_unstable();
        self.unbalanced.first_lines.truncate(SHOWN_LINES);
        self.ungrouped += other.ungrouped;
        for (payout_id, currencies) in other.groups {
            for (currency, group) in currencies {
                let Some(ours) = self.group_of(&payout_id, currency) else {
                    self.ungrouped += 1;
                    continue;
                };
                ours.rows += group.rows;
                ours.net += group.net;
                ours.payout_net = match (ours.payout_net, group.payout_net) {
                    (Some(ours), Some(theirs)) => Some(ours + theirs),
                    (ours, theirs) => ours.or(theirs),
                };
                for (ours, theirs) in ours.times.iter_mut().zip(&group.times) {
                    ours.add(&theirs.last, theirs.in_window);
                }
            }
        }
    }

    /// Whether every payout was summed. If not, the order of the rows has decided which were.
    pub(crate) fn is_complete(&self) -> bool {
        self.ungrouped == 0
    }

    fn group(&mut self, row: &Row<'_>, net: i128) {
        let Some(group) = self.group_of(row.payout_id, row.currency) else {
            self.ungrouped += 1;
            return;
        };
        let is_own = row.kind == Kind::Payout;
        group.times[usize::from(is_own)].add(row.occurred_at, row.in_window);
        if is_own {
            group.payout_net = Some(group.payout_net.unwrap_or(0) + net);
        } else {
            group.rows += 1;
            group.net += net;
        }
    }

    /// The group of a payout, made when it is met for the first time; `None` beyond the limit.
    fn group_of(&mut self, payout_id: &[u8], currency: Currency) -> Option<&mut Group> {
        let full = self.grouped >= self.group_limit;
        if !self.groups.contains_key(payout_id) {
            if full {
                return None;
            }
            self.groups.insert(payout_id.to_vec(), Vec::new());
        }
        let list = self.groups.get_mut(payout_id)?;
        let index = match list.iter().position(|(other, _)| *other == currency) {
            Some(index) => index,
            None if full => return None,
            None => {
                self.grouped += 1;
                list.push((currency, Group::default()));
                list.len() - 1
            }
        };
        list.get_mut(index).map(|(_, group)| group)
    }

    /// Writes the sums into the report. `name` tells the name and kind of a category's number.
    pub(crate) fn report(mut self, name: impl Fn(u16) -> (&'static str, Kind), report: &mut FileReport) {
        self.totals.sort_by_key(|total| (total.currency, total.category));
        let mut fees: Vec<(Currency, i128)> = Vec::new();
        for total in &self.totals {
            let unit = minor_unit(self.exponents.of(total.currency));
            let exact_fee = total.sums.fee * unit + total.fine_fee;
            match fees.last_mut() {
                Some((currency, sum)) if *currency == total.currency => *sum += exact_fee,
                _ => fees.push((total.currency, exact_fee)),
            }
            let (category, kind) = name(total.category);
            report.category_totals.push(CategoryTotal {
                category: category.to_owned(),
                kind,
                currency: total.currency,
                rows: total.sums.rows,
                gross: total.sums.gross,
                fee: round_half_even(exact_fee, unit),
                net: total.sums.net,
            });
        }
        report.fee_totals = fees
            .into_iter()
            .map(|(currency, exact)| {
                let unit = minor_unit(self.exponents.of(currency));
                let fee = round_half_even(exact, unit);
                FeeTotal { currency, fee, residue: decimal(exact - fee * unit) }
            })
            .collect();
        report.unbalanced = self.unbalanced;
        report.rows_beyond_payout_limit = self.ungrouped;
        report.payout_groups = groups(self.groups);
    }
}

fn groups(groups: AHashMap<Vec<u8>, Vec<(Currency, Group)>>) -> Vec<PayoutGroup> {
    let mut list: Vec<PayoutGroup> = Vec::new();
    for (id, currencies) in groups {
        let payout_id = String::from_utf8_lossy(&id).into_owned();
        list.extend(currencies.into_iter().map(|(currency, group)| PayoutGroup {
            payout_id: payout_id.clone(),
            currency,
            rows: group.rows,
            net: group.net,
            payout_net: group.payout_net,
            occurred_at:
                group.time().map_or_else(String::new, |time| String::from_utf8_lossy(&time.last).into()),
            in_window: group.time().is_some_and(|time| time.in_window),
            tie: match group.payout_net {
                None => Proof::NotProvable,
                // A payout that nobody itemises, such as one made by hand.
                Some(_) if group.rows == 0 => Proof::NotProvable,
                Some(paid) if paid.abs() == group.net.abs() => Proof::Proven,
                Some(_) => Proof::Failed,
            },
        }));
    }
    list.sort_by(|a, b| (&a.payout_id, a.currency).cmp(&(&b.payout_id, b.currency)));
    list
}

/// One minor unit of a currency with `exponent` decimals, in 10^-12 major units.
pub(crate) fn minor_unit(exponent: u8) -> i128 {
    10_i128.pow(u32::from(FEE_SCALE.saturating_sub(exponent)))
}

/// `value / unit` to the nearest whole number, ties to the even one.
pub(crate) fn round_half_even(value: i128, unit: i128) -> i128 {
    let (whole, rest) = (value.div_euclid(unit), value.rem_euclid(unit));
    match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => whole,
        std::cmp::Ordering::Equal => whole + (whole & 1),
        std::cmp::Ordering::Greater => whole + 1,
    }
}

/// A number of 10^-12 as a decimal without trailing zeros.
fn decimal(value: i128) -> String {
    let unit = 10_u128.pow(u32::from(FEE_SCALE));
    let (sign, size) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
    let text = format!("{sign}{}.{:012}", size / unit, size % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_neighbour() {
        let rounded: Vec<i128> =
            [5, 15, 25, -5, -15, 14, -16].map(|value| round_half_even(value, 10)).to_vec();
        assert_eq!(rounded, [0, 2, 2, 0, -2, 1, -2]);
    }

    #[test]
    fn residues_read_as_decimals() {
        assert_eq!(decimal(4_500_000_000), "0.0045");
        assert_eq!(decimal(-500_000_000_000), "-0.5");
        assert_eq!(decimal(0), "0");
    }
}
