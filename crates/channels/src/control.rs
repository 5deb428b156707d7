//! Compares what a file states about itself with what its rows give.

use payops_core::currency::Currency;

use crate::report::{ControlCheck, ControlReport};

/// The counts and sums of a file, or of a part of it, as stated and as found.
#[derive(Debug, Default)]
pub(crate) struct ControlTally {
    rows: u64,
    sums: Vec<(Currency, i128)>,
    /// In file order.
    statements: Vec<Stated>,
    rows_after: u64,
}

/// What a line of totals says.
#[derive(Debug, Default)]
pub(crate) struct Stated {
    /// The number of rows.
    pub(crate) count: Statement<i64>,
    /// The sum of the amounts as written, per currency. A currency that is not named is stated to be absent.
    pub(crate) sums: Statement<Vec<(Currency, i128)>>,
}

impl Stated {
    /// What this line and the next one say together.
    fn and(mut self, next: Self) -> Self {
        if let Statement::Made(_) | Statement::Unreadable = next.count {
            self.count = next.count;
        }
        match (&mut self.sums, next.sums) {
            (Statement::Made(list), Statement::Made(more)) => list.extend(more),
            (_, Statement::NotMade) => {}
            (place, new) => *place = new,
        }
        self
    }
}

/// A figure in a line of totals.
#[derive(Debug, Default)]
pub(crate) enum Statement<T> {
    /// The format does not have it.
    #[default]
    NotMade,
    /// It should be there and cannot be read.
    Unreadable,
    /// It says this.
    Made(T),
}

impl<T> Statement<T> {
    pub(crate) fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Unreadable, Self::Made)
    }
}

impl ControlTally {
    /// Counts a row, whether it can be read or not.
    pub(crate) fn count_row(&mut self) {
        if self.is_stated() {
            self.rows_after += 1;
        } else {
            self.rows += 1;
        }
    }

    /// Adds an amount as written.
    pub(crate) fn add(&mut self, currency: Currency, amount: i64) {
        self.add_sum(currency, amount.into());
    }

    fn add_sum(&mut self, currency: Currency, amount: i128) {
        match self.sums.iter_mut().find(|(other, _)| *other == currency) {
            Some((_, sum)) => *sum += amount,
            None => self.sums.push((currency, amount)),
        }
    }

    /// Notes a line of totals. Where there are several, as with one per currency, sums are joined.
    pub(crate) fn state(&mut self, new: Stated) {
        self.statements.push(new);
    }

    /// Whether the totals were met already.
    pub(crate) fn is_stated(&self) -> bool {
        !self.statements.is_empty()
    }

    /// Adds what was found in the part of the file that follows.
    pub(crate) fn append(&mut self, next: Self) {
        if self.is_stated() {
            self.rows_after += next.rows + next.rows_after;
        } else {
            self.rows += next.rows;
            self.rows_after = next.rows_after;
        }
        self.statements.extend(next.statements);
        next.sums.into_iter().for_each(|(currency, sum)| self.add_sum(currency, sum));
    }

    /// The verdict: not provable where nothing is stated.
    pub(crate) fn report(self) -> ControlReport {
        let Some(stated) = self.statements.into_iter().reduce(Stated::and) else {
            return ControlReport::not_provable();
        };
        let mut checks = Vec::new();
        let mut check = |name: &str, currency, stated, found| {
            checks.push(ControlCheck { name: name.to_owned(), currency, stated, found });
        };
        match stated.count {
            Statement::NotMade => {}
            Statement::Unreadable => check("count", None, None, i128::from(self.rows)),
            Statement::Made(count) => check("count", None, Some(i128::from(count)), i128::from(self.rows)),
        }
        match stated.sums {
            Statement::NotMade => {}
            Statement::Unreadable => check("sum", None, None, 0),
            Statement::Made(said) => {
                let of = |list: &[(Currency, i128)], currency: Currency| -> i128 {
                    list.iter().filter(|(other, _)| *other == currency).map(|(_, sum)| sum).sum()
                };
                let mut currencies: Vec<Currency> =
                    self.sums.iter().chain(&said).map(|(currency, _)| *currency).collect();
                currencies.sort_unstable();
                currencies.dedup();
                for currency in currencies {
                    check("sum", Some(currency), Some(of(&said, currency)), of(&self.sums, currency));
                }
            }
        }
        if self.rows_after > 0 {
            check("rows_after_trailer", None, Some(0), i128::from(self.rows_after));
        }
        ControlReport::of(checks)
    }
}
