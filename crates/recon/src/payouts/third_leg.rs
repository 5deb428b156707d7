//! A finished comparison of payouts with the bank, and its differences one by one.

use payops_core::currency::Currency;
use serde::Serialize;

use super::{
    Bank, Days, Deposit, Group, MatchedBy, Payout, PayoutFact, PayoutLists, PayoutOutcome, PayoutRules,
    PayoutSummary, Question, Solutions, Trace, meet, payouts_of,
};

/// What the payouts of a run are compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BankSide {
    /// What the bank says.
    pub bank: Bank,
    /// What other files say of payouts: those of other days, whose payouts may explain deposits, or a report of payouts.
    pub other_payouts: Vec<PayoutFact>,
    /// What reports of payouts there are among it: what other files only name is none of the day's payouts then.
    pub lists: Option<PayoutLists>,
    /// Whether settlement files of other days have rows of payouts: then one without such a row has no payout.
    pub settlements_state: bool,
    /// The days whose deposits must be explained; `None` where it is all.
    pub judged_days: Option<Days>,
}

impl BankSide {
    /// A bank's file by itself.
    pub fn of(bank: Bank) -> Self {
        Self { bank, other_payouts: Vec::new(), lists: None, settlements_state: false, judged_days: None }
    }
}

/// What became of the payouts of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThirdLeg {
    payouts: Vec<Payout>,
    deposits: Vec<Deposit>,
    rests_on: Vec<Trace>,
    groups: Vec<Group>,
}

impl ThirdLeg {
    /// Compares the payouts that a file tells of with the bank. What belongs to other days alone is left out.
    pub fn of(facts: &[PayoutFact], side: BankSide, rules: &PayoutRules) -> (Self, PayoutSummary) {
        let BankSide { bank, other_payouts, lists, settlements_state, judged_days } = side;
        let states = settlements_state || facts.iter().any(|fact| fact.own_sum.is_some());
        let facts = [facts, &other_payouts].concat();
        let payouts = payouts_of(&facts, states, lists.as_ref(), (rules, judged_days));
        let is_reported = lists.is_some();
        let unlisted = lists.map(|lists| lists.lacking(&facts, rules)).unwrap_or_default();
        let mut groups = meet(Question {
            payouts: &payouts,
            payout_days: Days::spanning(
                payouts.iter().filter(|payout| payout.is_stated).filter_map(|payout| payout.date),
            ),
            judged_days,
            deposits: &bank.deposits,
            covered: &bank.covered,
            rules,
        });
        let is_judged = |deposit: &Deposit| judged_days.is_none_or(|days| days.contains(deposit.date));
        let open: Vec<&Deposit> = groups
            .iter()
            .filter(|group| group.outcome == PayoutOutcome::NotCovered)
            .flat_map(|group| group.deposits.iter().filter_map(|index| bank.deposits.get(*index)))
            .filter(|deposit| is_judged(deposit))
            .collect();
        // It may have left on the day asked about, whichever day its rows are of.
        let may_be_asked_about = |payout: &Payout| {
            let is_before = judged_days.zip(payout.date).is_some_and(|(days, date)| date <= days.last);
            let may_be =
                |deposit: &&Deposit| deposit.currency == payout.currency && rules.may_be(payout, deposit);
            is_before && (!is_reported || open.iter().any(may_be))
        };
        groups.retain(|group| {
            let mut deposits = group.deposits.iter().filter_map(|index| bank.deposits.get(*index));
            let mut payouts = group.payouts.iter().map(|index| &payouts[*index]);
            match group.outcome {
                _ if group.payouts.is_empty() => deposits.all(is_judged),
                PayoutOutcome::NotStated => {
                    payouts.any(|payout| payout.is_asked_about || may_be_asked_about(payout))
                }
                _ => payouts.any(|payout| payout.is_asked_about),
            }
        });
        let summary = PayoutSummary::new(&groups, &payouts, &bank.deposits, &unlisted, bank.summary);
        let Bank { deposits, rests_on, .. } = bank;
        (Self { payouts, deposits, rests_on, groups }, summary)
    }

    /// What arrived that the outcome rests on: a reversal of it, in whatever statement, is news. So is, of what a reversal took
    /// back by its amount alone, a statement with the entry that the reversal names, and a reversal of a reversal.
    pub fn arrivals(&self) -> impl Iterator<Item = Trace> {
        let is_ours = |group: &&Group| {
            !matches!(group.outcome, PayoutOutcome::OtherMovement | PayoutOutcome::NotCovered)
        };
        let places = self.groups.iter().filter(is_ours).flat_map(|group| &group.deposits);
        let deposits = places.filter_map(|index| self.deposits.get(*index));
        let own = deposits.filter(|deposit| !deposit.mark.is_reversal && !deposit.mark.is_elsewhere);
        own.flat_map(Trace::of).chain(self.rests_on.iter().copied())
    }

    /// Everything that somebody has to explain: payouts by day and id, then what only the bank has.
    pub fn differences(&self) -> impl Iterator<Item = PayoutDifference<'_>> {
        let open = self.groups.iter().filter(|group| group.outcome.is_difference());
        open.map(|group| PayoutDifference {
            outcome: group.outcome,
            by: group.by,
            solutions: group.solutions,
            age_days: group.age_days,
            payouts: group.payouts.iter().filter_map(|index| self.payouts.get(*index)).collect(),
            deposits: group.deposits.iter().filter_map(|index| self.deposits.get(*index)).collect(),
        })
    }
}

/// One difference between payouts and bank. All its members have one currency, and there is at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayoutDifference<'a> {
    /// What it is.
    pub outcome: PayoutOutcome,
    /// What brought its members together.
    pub by: Option<MatchedBy>,
    /// In how many ways they could belong together, where that was asked.
    pub solutions: Option<Solutions>,
    /// How old a missing payout was, in days, at the end of the statement.
    pub age_days: Option<i64>,
    /// The payouts.
    pub payouts: Vec<&'a Payout>,
    /// The deposits.
    pub deposits: Vec<&'a Deposit>,
}

impl PayoutDifference<'_> {
    /// The ids of the payouts, with blanks between.
    pub fn payout_ids(&self) -> String {
        let ids: Vec<&str> = self.payouts.iter().map(|payout| payout.id.as_str()).collect();
        ids.join(" ")
    }

    /// The first text of each deposit, by which a person finds it at the bank.
    pub fn bank_texts(&self) -> String {
        let texts: Vec<&str> =
            self.deposits.iter().filter_map(|deposit| deposit.texts.first()).map(String::as_str).collect();
        texts.join(" / ")
    }

    /// The currency of all members.
    pub fn currency(&self) -> Option<Currency> {
        let payout = self.payouts.first().map(|payout| payout.currency);
        payout.or(self.deposits.first().map(|deposit| deposit.currency))
    }

    /// What was paid out; `None` without a payout.
    pub fn paid_out(&self) -> Option<i128> {
        let sum = self.payouts.iter().map(|payout| i128::from(payout.amount)).sum();
        (!self.payouts.is_empty()).then_some(sum)
    }

    /// What arrived; `None` without a deposit.
    pub fn arrived(&self) -> Option<i128> {
        let sum = self.deposits.iter().map(|deposit| i128::from(deposit.amount)).sum();
        (!self.deposits.is_empty()).then_some(sum)
    }

    /// The members one by one, for reports that have room for them.
    pub fn detail(&self) -> PayoutDetail<'_> {
        PayoutDetail {
            by: self.by,
            solutions: self.solutions.map(|solutions| solutions.to_string()),
            age_days: self.age_days,
            payouts: self.payouts.iter().map(|payout| PayoutLine::of(payout)).collect(),
            deposits: self.deposits.iter().map(|deposit| DepositLine::of(deposit)).collect(),
        }
    }
}

/// A difference with its members, as it is written.
#[derive(Debug, Serialize)]
pub struct PayoutDetail<'a> {
    by: Option<MatchedBy>,
    /// `unique`, the number of ways, `more than` a number, or `limit reached`.
    solutions: Option<String>,
    age_days: Option<i64>,
    payouts: Vec<PayoutLine<'a>>,
    deposits: Vec<DepositLine<'a>>,
}

#[derive(Debug, Serialize)]
struct PayoutLine<'a> {
    id: &'a str,
    amount: i64,
    currency: Currency,
    date: Option<chrono::NaiveDate>,
}

impl<'a> PayoutLine<'a> {
    fn of(payout: &'a Payout) -> Self {
        Self { id: &payout.id, amount: payout.amount, currency: payout.currency, date: payout.date }
    }
}

#[derive(Debug, Serialize)]
struct DepositLine<'a> {
    line: u64,
    amount: i64,
    currency: Currency,
    date: chrono::NaiveDate,
    texts: &'a [String],
}

impl<'a> DepositLine<'a> {
    fn of(deposit: &'a Deposit) -> Self {
        let Deposit { line, amount, currency, date, texts, .. } = deposit;
        Self { line: *line, amount: *amount, currency: *currency, date: *date, texts }
    }
}
