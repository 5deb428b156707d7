//! Payouts that rows name and no report lists.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use payops_core::currency::Currency;
use serde::Serialize;

use super::{Days, PayoutFact, PayoutRules, facts_together};

/// Which payouts reports would list.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PayoutLists {
    /// The days of whose payouts there is a report.
    pub days: BTreeSet<NaiveDate>,
    /// The payouts that the file of another day lists, or has later rows of: they are not the day's question.
    pub elsewhere: BTreeSet<String>,
}

impl PayoutLists {
    /// Those of one report: of the days from its first payout to its last, since nothing else tells which it is about.
    pub fn of_report(facts: &[PayoutFact]) -> Self {
        let days = Days::spanning(facts.iter().filter_map(|fact| fact.date));
        let days =
            days.into_iter().flat_map(|days| days.first.iter_days().take_while(move |day| *day <= days.last));
        Self { days: days.collect(), elsewhere: BTreeSet::new() }
    }

    /// The payouts asked about that rows name and nothing lists: each counts by the day of its last row.
    pub(super) fn lacking(&self, facts: &[PayoutFact], rules: &PayoutRules) -> Vec<Unlisted> {
        let together = facts_together(facts).into_iter();
        let lacking = together
            .filter(|fact| fact.is_asked_about && fact.is_only_named() && !self.elsewhere.contains(&fact.id));
        let told = lacking.map(|fact| Unlisted {
            currency: fact.currency,
            rows: fact.row_sum,
            is_due: fact.date.is_some_and(|date| self.cover(date, rules.due(date))),
        });
        told.collect()
    }

    /// Whether the report is not there of a day on which a payout that rows name could have left before the last of the days that
    /// are judged.
    pub(super) fn may_lack(&self, fact: &PayoutFact, rules: &PayoutRules, judged_days: Option<Days>) -> bool {
        let Some((days, first)) = judged_days.zip(fact.date) else { return false };
        !self.cover(first, rules.due(first).min(days.last))
    }

    fn cover(&self, first: NaiveDate, last: NaiveDate) -> bool {
        first.iter_days().take_while(|day| *day <= last).all(|day| self.days.contains(&day))
    }
}

impl PayoutFact {
    /// Whether a file has nothing but rows that name the payout as theirs.
    pub fn is_only_named(&self) -> bool {
        !self.is_stated() && self.row_sum != 0
    }
}

/// A payout that rows name and no report lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unlisted {
    pub(super) currency: Currency,
    /// The sum of the rows.
    pub(super) rows: i128,
    /// Whether the reports of all days on which it could have left are there.
    pub(super) is_due: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, number).unwrap()
    }

    fn named(id: &str, on: u32) -> PayoutFact {
        PayoutFact {
            id: id.to_owned(),
            currency: Currency::EUR,
            rows: 1,
            row_sum: 700,
            own_sum: None,
            date: Some(day(on)),
            is_asked_about: true,
            rows_are_all: false,
        }
    }

    #[test]
    fn a_payout_that_no_report_lists_is_due_when_all_that_could_are_there() {
        let rules = PayoutRules { days_after: 2, ..PayoutRules::default() };
        let due = |days: &[u32], elsewhere: &[&str], facts: &[PayoutFact]| -> Vec<bool> {
            let lists = PayoutLists {
                days: days.iter().copied().map(day).collect(),
                elsewhere: elsewhere.iter().map(|id| (*id).to_owned()).collect(),
            };
            lists.lacking(facts, &rules).into_iter().map(|unlisted| unlisted.is_due).collect()
        };
        assert_eq!(due(&[3, 4, 5], &[], &[named("a", 3)]), [true]);
        assert_eq!(due(&[3, 5], &[], &[named("a", 3)]), [false], "the report of the fourth may list it");
        assert_eq!(due(&[3, 4, 5], &["a"], &[named("a", 3), named("b", 4)]), [false]);
        let listed = PayoutFact { own_sum: Some(-700), row_sum: 0, ..named("a", 4) };
        assert!(due(&[3, 4, 5], &[], &[named("a", 3), listed]).is_empty());
        let later = PayoutFact { is_asked_about: false, ..named("a", 4) };
        assert!(due(&[3, 4, 5], &[], &[named("a", 3), later]).is_empty(), "the later day asks");
    }

    #[test]
    fn a_report_is_about_the_days_between_its_payouts() {
        let lists = PayoutLists::of_report(&[named("a", 3), named("b", 6)]);
        assert_eq!(lists.days, [3, 4, 5, 6].map(day).into());
        assert_eq!(PayoutLists::of_report(&[]), PayoutLists::default());
    }
}
