//! Compares what a file states about itself with what its rows give.

use payops_core::currency::Currency;

use crate::report::{ControlCheck, ControlReport};

/// The counts and sums of a file, as stated and as found.
#[derive(Debug, Default)]
pub(crate) struct ControlTally {
    rows: u64,
    sums: Vec<(Currency, i128)>,
    stated: Option<Stated>,
    rows_after: u64,
}

#[derive(Debug, Default)]
struct Stated {
    counted: bool,
    /// `None` when it should be stated and cannot be read.
    count: Option<i64>,
    sums: Vec<(Currency, Option<i128>)>,
}

impl ControlTally {
    /// Counts a row, whether it can be read or not.
    pub(crate) fn count_row(&mut self) {
        match self.stated {
            None => self.rows += 1,
            Some(_) => self.rows_after += 1,
        }
    }

    /// Adds an amount as written.
    pub(crate) fn add(&mut self, currency: Currency, amount: i64) {
        match self.sums.iter_mut().find(|(other, _)| *other == currency) {
            Some((_, sum)) => *sum += i128::from(amount),
            None => self.sums.push((currency, i128::from(amount))),
        }
    }

    /// Notes the number of rows that the file states.
    pub(crate) fn state_count(&mut self, count: Option<i64>) {
        let stated = self.stated.get_or_insert_default();
        (stated.counted, stated.count) = (true, count);
    }

    /// Notes a sum that the file states.
    pub(crate) fn state_sum(&mut self, currency: Currency, sum: Option<i128>) {
        self.stated.get_or_insert_default().sums.push((currency, sum));
    }

    /// Whether the totals were met already.
    pub(crate) fn is_stated(&self) -> bool {
        self.stated.is_some()
    }

    /// The verdict: not provable where nothing is stated.
    pub(crate) fn report(self) -> ControlReport {
        let Some(stated) = self.stated else { return ControlReport::not_provable() };
        let mut checks = Vec::new();
        let mut check = |name: &str, currency, stated, found| {
            checks.push(ControlCheck { name: name.to_owned(), currency, stated, found });
        };
        if stated.counted {
            check("count", None, stated.count.map(i128::from), i128::from(self.rows));
        }
        if !stated.sums.is_empty() || !stated.counted {
            let mut currencies: Vec<Currency> = self.sums.iter().map(|(currency, _)| *currency).collect();
            currencies.extend(stated.sums.iter().map(|(currency, _)| *currency));
            currencies.sort_unstable();
            currencies.dedup();
            for currency in currencies {
                let found = self.sums.iter().find(|(other, _)| *other == currency).map_or(0, |(_, sum)| *sum);
                let said = stated.sums.iter().find(|(other, _)| *other == currency);
                // A currency that is not named is stated to be absent.
                let said = said.map_or(Some(0), |(_, sum)| *sum);
                check("sum", Some(currency), said, found);
            }
        }
        if self.rows_after > 0 {
            check("rows_after_trailer", None, Some(0), i128::from(self.rows_after));
        }
        ControlReport::of(checks)
    }
}
