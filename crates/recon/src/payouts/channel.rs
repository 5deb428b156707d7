//! The payouts that a channel's files tell of.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use payops_channels::options::ReadOptions;
use payops_channels::report::FileReport;
use payops_core::currency::Currency;
use serde::Serialize;

use super::{Days, Payout, PayoutLists, PayoutRules};

/// What one file says of one payout. Its rows and its own row may stand in the files of different days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PayoutFact {
    /// The channel's id.
    pub id: String,
    /// The currency of the sums.
    pub currency: Currency,
    /// How many rows it carried.
    pub rows: u64,
    /// The sum of their nets, minor units.
    pub row_sum: i128,
    /// The sum of the payout's own rows as the file has it; `None` without such a row.
    pub own_sum: Option<i128>,
    /// The business day of its own row, else of the last row that it carried; `None` where the file does not tell.
    pub date: Option<NaiveDate>,
    /// Whether that is the day asked about.
    pub is_asked_about: bool,
    /// Whether these are all the rows that it carried, whatever other files have of them.
    pub rows_are_all: bool,
}

/// What a channel's file says of payouts, ordered by payout.
pub fn facts_of(report: &FileReport, options: &ReadOptions) -> Vec<PayoutFact> {
    let date = |text: &str| report.bound.as_ref()?.date_of(text, options);
    let facts = report.payout_groups.iter().map(|group| PayoutFact {
        id: group.payout_id.clone(),
        currency: group.currency,
        rows: group.rows,
        row_sum: group.net,
        own_sum: group.payout_net,
        date: date(&group.occurred_at),
        is_asked_about: group.in_window,
        rows_are_all: false,
    });
    facts.collect()
}

/// What a report of payouts says, in which a payout is positive when money leaves for the bank.
pub fn facts_of_payout_report(report: &FileReport, options: &ReadOptions) -> Vec<PayoutFact> {
    let facts = facts_of(report, options).into_iter();
    facts.map(|fact| PayoutFact { own_sum: fact.own_sum.map(|sum| -sum), ..fact }).collect()
}

/// What a report says that lists all rows of the payouts that left on a day, or on days that nobody names: the rows may be of any day.
pub fn facts_of_payout_rows(
    report: &FileReport,
    options: &ReadOptions,
    day: Option<NaiveDate>,
) -> Vec<PayoutFact> {
    let facts = facts_of(report, options).into_iter();
    facts.map(|fact| PayoutFact { date: day, is_asked_about: true, rows_are_all: true, ..fact }).collect()
}

/// What files say together, one fact for a payout and currency, ordered by payout.
///
/// A payout's own row that stands in two files is one: the same sum on the same day is told again, as where the files of two days
/// overlap, or a report states what the settlement file has. What counts is then the file that knows more of its rows. Another
/// sum or another day adds to it, and so do two rows in one file.
pub fn facts_together<'a>(facts: impl IntoIterator<Item = &'a PayoutFact>) -> Vec<PayoutFact> {
    let mut merged: BTreeMap<(&str, Currency), Vec<PayoutFact>> = BTreeMap::new();
    for fact in facts {
        let known = merged.entry((fact.id.as_str(), fact.currency)).or_default();
        match known.iter_mut().find(|known| known.tells_the_row_of(fact)) {
            Some(told) if fact.weight() > told.weight() => *told = fact.clone(),
            Some(_) => {}
            None => known.push(fact.clone()),
        }
    }
    let joined = merged.into_values().filter_map(|facts| {
        facts.into_iter().reduce(|mut known, fact| {
            known.join(&fact);
            known
        })
    });
    joined.collect()
}

/// The payouts that files tell of together: those that have a row of their own, or a list of all their rows. Others that rows
/// name, as in Stripe's reports of activity, are payouts that nothing states, each as large as its rows, but where something
/// would state them: settlement files that have rows of payouts (`settlements_state`), or the reports that `lists` knows.
/// What is only named there leaves on a later day, but for rows of other days where a report may lack up to the last of the
/// days that are judged. With reports, a payout of which the rows that are known do not add up may have others in files that
/// are not there: then it is not itemised.
///
/// A row of a payout is negative where it is signed as the balance moves, and positive in reports of payouts. What
/// reached the bank has the sign of the rows that the payout carried; without such rows the payout left the balance.
pub fn payouts_of(
    facts: &[PayoutFact],
    settlements_state: bool,
    lists: Option<&PayoutLists>,
    (rules, judged_days): (&PayoutRules, Option<Days>),
) -> Vec<Payout> {
    let is_told = |fact: &PayoutFact| match lists {
        _ if fact.is_stated() => true,
        _ if settlements_state => false,
        None => true,
        Some(lists) => !fact.is_asked_about && lists.may_lack(fact, rules, judged_days),
    };
    let facts = facts_together(facts).into_iter().filter(is_told);
    facts.map(|fact| fact.into_payout(lists.is_some())).collect()
}

impl PayoutFact {
    /// Whether a file says how large the payout is.
    pub(super) fn is_stated(&self) -> bool {
        self.own_sum.is_some() || self.rows_are_all
    }

    /// Whether both have the payout's own row, and it is the same one.
    fn tells_the_row_of(&self, other: &Self) -> bool {
        let row = |fact: &Self| Some((fact.own_sum?, fact.date?));
        row(self).is_some_and(|own| row(other) == Some(own))
    }

    /// How much a file knows of the payout: that of its own day knows best.
    fn weight(&self) -> (bool, bool, u64, i128) {
        (self.rows_are_all, self.is_asked_about, self.rows, self.row_sum)
    }

    /// Adds what another file says. The day is that of the payout's own row where one has it, else the last.
    fn join(&mut self, other: &Self) {
        let day = |fact: &Self| (fact.own_sum.is_some(), fact.rows_are_all, fact.date, fact.is_asked_about);
        if day(other) > day(self) {
            (self.date, self.is_asked_about) = (other.date, other.is_asked_about);
        }
        match (self.rows_are_all, other.rows_are_all) {
            (false, false) => {
                (self.rows, self.row_sum) = (self.rows + other.rows, self.row_sum + other.row_sum);
            }
            (false, true) => (self.rows, self.row_sum) = (other.rows, other.row_sum),
            (true, _) => {}
        }
        self.rows_are_all |= other.rows_are_all;
        self.own_sum = match (self.own_sum, other.own_sum) {
            (Some(ours), Some(theirs)) => Some(ours + theirs),
            (ours, theirs) => ours.or(theirs),
        };
    }

    fn into_payout(self, is_reported: bool) -> Payout {
        let amount = match self.own_sum {
            None => self.row_sum,
            Some(own) if self.rows > 0 && self.row_sum != 0 => own.abs() * self.row_sum.signum(),
            Some(own) => -own,
        };
        let is_stated = self.is_stated();
        let is_itemised = self.own_sum.is_some() && self.rows > 0;
        let may_lack_rows = is_reported && !self.rows_are_all && self.row_sum != amount;
        Payout {
            id: self.id,
            // A sum beyond 64 bits stays as large as can be: it then contradicts its rows.
            amount: i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX }),
            currency: self.currency,
            date: self.date,
            is_stated,
            rows: (is_itemised && !may_lack_rows).then_some(self.row_sum),
            is_asked_about: self.is_asked_about,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(id: &str, row_sum: i128, own_sum: Option<i128>, day: u32, asked: bool) -> PayoutFact {
        PayoutFact {
            id: id.to_owned(),
            currency: Currency::EUR,
            rows: u64::from(row_sum != 0),
            row_sum,
            own_sum,
            date: NaiveDate::from_ymd_opt(2026, 3, day),
            is_asked_about: asked,
            rows_are_all: false,
        }
    }

    fn told(facts: &[PayoutFact]) -> Vec<(String, i64, Option<i128>, bool)> {
        let states = facts.iter().any(|fact| fact.own_sum.is_some());
        let payouts = payouts_of(facts, states, None, (&PayoutRules::default(), None)).into_iter();
        payouts.map(|payout| (payout.id, payout.amount, payout.rows, payout.is_asked_about)).collect()
    }

    #[test]
    fn a_payout_is_what_all_files_say_of_it() {
        let facts = [
            fact("a", 700, None, 2, false),
            fact("a", 300, Some(-1000), 4, true),
            fact("b", 0, Some(-50), 4, false),
            fact("c", 80, None, 4, true),
            fact("d", -20, Some(20), 4, true),
        ];
        assert_eq!(
            told(&facts),
            [
                ("a".to_owned(), 1000, Some(1000), true),
                ("b".to_owned(), 50, None, false),
                ("d".to_owned(), -20, Some(-20), true),
            ],
            "c has no row of its own where others have"
        );
    }

    #[test]
    fn where_no_payout_has_a_row_each_is_as_large_as_its_rows() {
        let facts =
            [fact("a", 700, None, 2, true), fact("a", 300, None, 3, false), fact("b", 5, None, 2, true)];
        assert_eq!(
            told(&facts),
            [("a".to_owned(), 1000, None, false), ("b".to_owned(), 5, None, true)],
            "the last of its days asks about it"
        );
    }

    #[test]
    fn a_list_of_all_rows_takes_the_place_of_those_in_other_files() {
        let whole = PayoutFact { rows_are_all: true, ..fact("a", 1000, None, 4, true) };
        let stated = fact("a", 0, Some(-1000), 4, true);
        let activity = fact("a", 700, None, 3, false);
        for facts in
            [[&whole, &stated, &activity], [&activity, &whole, &stated], [&stated, &activity, &whole]]
        {
            let facts: Vec<PayoutFact> = facts.into_iter().cloned().collect();
            assert_eq!(told(&facts), [("a".to_owned(), 1000, Some(1000), true)]);
        }
        assert_eq!(told(&[whole, activity]), [("a".to_owned(), 1000, None, true)], "nobody states it");
    }

    #[test]
    fn a_row_of_a_payout_in_the_files_of_two_days_counts_once() {
        let earlier = fact("a", 700, None, 2, false);
        let own = fact("a", 300, Some(-1000), 4, true);
        let again = fact("a", 0, Some(-1000), 4, false);
        for facts in [[&earlier, &own, &again], [&again, &earlier, &own], [&own, &again, &earlier]] {
            let facts: Vec<PayoutFact> = facts.into_iter().cloned().collect();
            assert_eq!(told(&facts), [("a".to_owned(), 1000, Some(1000), true)]);
            let together = facts_together(&facts);
            assert_eq!(told(&together), told(&facts), "put together in steps");
        }
        // Rows that both files have are not doubled either.
        let whole = fact("a", 1000, Some(-1000), 4, true);
        let overlapping = fact("a", 1000, Some(-1000), 4, false);
        assert_eq!(told(&[overlapping, whole]), [("a".to_owned(), 1000, Some(1000), true)]);
        // Two rows of one file are one fact already, and rows of other days or sums are others.
        let other_sum = fact("a", 0, Some(-400), 4, false);
        let returned = fact("a", 0, Some(1000), 6, false);
        assert_eq!(told(&[own.clone(), other_sum])[0].1, 1400);
        assert_eq!(told(&[fact("a", 0, Some(-1000), 4, true), returned])[0].1, 0);
        assert_eq!(told(&[fact("a", 0, Some(-2000), 4, true)])[0].1, 2000);
    }

    #[test]
    fn of_stated_payouts_rows_may_be_lacking_and_what_is_only_named_is_none() {
        let facts =
            [fact("a", 700, None, 3, true), fact("a", 0, Some(-1000), 4, true), fact("b", 5, None, 4, true)];
        let of = |facts: &[PayoutFact], judged: Option<u32>| {
            let judged = judged.map(|on| {
                let day = NaiveDate::from_ymd_opt(2026, 3, on).unwrap();
                Days { first: day, last: day }
            });
            let lists = PayoutLists {
                days: facts.iter().filter_map(|fact| fact.date).collect(),
                ..PayoutLists::default()
            };
            payouts_of(facts, false, Some(&lists), (&PayoutRules::default(), judged))
        };
        let payouts = of(&facts, Some(4));
        let [payout] = &payouts[..] else { panic!("{payouts:?}") };
        assert_eq!((payout.amount, payout.rows, payout.is_stated), (1000, None, true));
        assert_eq!(of(&facts[2..], Some(4)), []);
        // The report of the sixth is not there, on which it may have left.
        let of_other_day = [fact("b", 5, None, 5, false), fact("c", 0, Some(-1000), 7, true)];
        let payouts = of(&of_other_day, Some(7));
        assert_eq!((payouts.len(), payouts[0].is_stated), (2, false), "{payouts:?}");
        assert_eq!(of(&of_other_day, Some(5)).len(), 1, "it has not left by then, or would be listed");
        assert_eq!(of(&of_other_day, None).len(), 1);
    }
}
