//! The days that bank statements tell of, and those between them of which none tells.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use payops_channels::bank::BankStatement;

use super::Days;

/// For how many days in a row banks are closed: Good Friday to Easter Monday.
const MOST_DAYS_WITHOUT_STATEMENT: i64 = 4;

/// What a statement says of where it stands among the others of its account.
#[derive(Debug, Clone, Copy)]
struct Place {
    days: Days,
    number: Option<u64>,
    opens: Option<i64>,
    closes: Option<i64>,
}

impl Place {
    /// Whether nothing can have been booked between this statement and the next one: that opens as this one closes and is
    /// numbered behind it. Without numbers the balances have to do, over as many days as banks are closed in a row.
    fn leads_to(&self, next: &Self) -> bool {
        let is_next = match (self.number, next.number) {
            // Banks count anew each year.
            (Some(number), Some(behind)) => {
                number.checked_add(1) == Some(behind) || (behind == 1 && number != 1)
            }
            _ => {
                next.days.first.signed_duration_since(self.days.last).num_days()
                    <= MOST_DAYS_WITHOUT_STATEMENT + 1
            }
        };
        is_next && self.closes.is_some() && self.closes == next.opens
    }
}

/// The statements of each account, by which key is the caller's.
#[derive(Debug)]
pub(super) struct Coverage<K>(BTreeMap<K, Vec<Place>>);

impl<K: Ord> Coverage<K> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a statement that is about these days.
    pub(super) fn add(&mut self, account: K, statement: &BankStatement, days: Days) {
        let amount = |balance: Option<payops_channels::bank::Balance>| balance.map(|balance| balance.amount);
        let place = Place {
            days,
            number: statement.number,
            opens: amount(statement.opening),
            closes: amount(statement.closing),
        };
        self.0.entry(account).or_default().push(place);
    }

    /// The days between statements of which none of any account tells, the earliest first.
    pub(super) fn gaps(self) -> Vec<Days> {
        let mut covered: Vec<Days> = self.0.into_values().flat_map(covered).collect();
        covered.sort_by_key(|days| days.first);
        let mut gaps = Vec::new();
        let mut last: Option<NaiveDate> = None;
        for days in covered {
            let expected = last.and_then(|last| last.succ_opt());
            if let (Some(first), Some(end)) = (expected, days.first.pred_opt())
                && first <= end
            {
                gaps.push(Days { first, last: end });
            }
            last = last.max(Some(days.last));
        }
        gaps
    }
}

/// The days of an account's statements, with those on which nothing can have been booked.
fn covered(mut places: Vec<Place>) -> Vec<Days> {
    places.sort_by_key(|place| (place.days.first, place.days.last, place.number));
    let between = |pair: &[Place]| match pair {
        [before, behind] if before.leads_to(behind) => {
            Some(Days { first: before.days.last.min(behind.days.first), last: behind.days.first })
        }
        _ => None,
    };
    let bridges: Vec<Days> = places.windows(2).filter_map(between).collect();
    places.into_iter().map(|place| place.days).chain(bridges).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, number).unwrap()
    }

    /// Account, first and last day, number, what it opens and closes with.
    type Stated = (u8, u32, u32, Option<u64>, i64, i64);

    /// The gaps between statements.
    fn gaps(statements: &[Stated]) -> Vec<(u32, u32)> {
        let mut all = Coverage::new();
        for &(account, first, last, number, opens, closes) in statements {
            let days = Days { first: day(first), last: day(last) };
            let place = Place { days, number, opens: Some(opens), closes: Some(closes) };
            all.0.entry(account).or_insert_with(Vec::new).push(place);
        }
        let number = |date: NaiveDate| chrono::Datelike::day(&date);
        all.gaps().into_iter().map(|days| (number(days.first), number(days.last))).collect()
    }

    #[test]
    fn days_of_which_no_statement_tells_are_a_gap() {
        assert_eq!(
            gaps(&[(1, 2, 4, None, 0, 5), (1, 8, 9, None, 7, 7), (1, 12, 12, None, 1, 1)]),
            [(5, 7), (10, 11)]
        );
        assert_eq!(gaps(&[(1, 8, 9, None, 7, 7), (1, 2, 4, None, 0, 5), (1, 5, 7, None, 5, 7)]), []);
        assert_eq!(
            gaps(&[(1, 2, 4, None, 0, 5), (1, 8, 9, None, 7, 7), (2, 1, 20, None, 0, 0)]),
            [],
            "another account tells"
        );
        assert_eq!(gaps(&[]), []);
    }

    #[test]
    fn what_goes_on_with_the_same_balance_and_the_next_number_has_no_gap() {
        assert_eq!(gaps(&[(1, 2, 6, Some(8), 0, 5), (1, 9, 9, Some(9), 5, 7)]), [], "a weekend");
        assert_eq!(
            gaps(&[(1, 2, 6, Some(8), 0, 5), (1, 9, 9, Some(10), 5, 7)]),
            [(7, 8)],
            "the ninth is lacking"
        );
        assert_eq!(gaps(&[(1, 2, 6, Some(8), 0, 5), (1, 9, 9, Some(9), 6, 7)]), [(7, 8)], "another balance");
        assert_eq!(gaps(&[(1, 2, 6, Some(252), 0, 5), (1, 9, 9, Some(1), 5, 7)]), [], "a new year");
        assert_eq!(gaps(&[(1, 2, 6, None, 0, 5), (1, 11, 11, None, 5, 7)]), [], "Easter");
        assert_eq!(gaps(&[(1, 2, 6, None, 0, 5), (1, 12, 12, None, 5, 7)]), [(7, 11)]);
        assert_eq!(gaps(&[(1, 2, 6, None, 0, 5), (2, 9, 9, None, 5, 7)]), [(7, 8)], "two accounts");
    }
}
