//! What is left when nothing more can be matched: whether it is late, not due, or not to be judged.

use super::{Covered, Days, Deposit, Group, Matcher, Payout, PayoutOutcome};

impl Matcher<'_> {
    pub(super) fn rest(&mut self) {
        let mut left = Vec::new();
        for (index, payout) in self.payouts.iter().zip(&self.payout_is_free).filter_map(free) {
            let (outcome, age_days) = self.absent(payout);
            left.push(Group { payouts: vec![index], ..single(outcome, age_days) });
        }
        let deposits = self.deposits.iter().zip(&self.deposit_is_free).zip(&self.looks_like_channel);
        for ((index, deposit), looks_like_channel) in
            deposits.filter_map(|(deposit, looks)| Some((free(deposit)?, *looks)))
        {
            let outcome = match () {
                () if !looks_like_channel || deposit.amount == 0 => PayoutOutcome::OtherMovement,
                () if self.is_covered(deposit) => PayoutOutcome::PayoutUnknown,
                () => PayoutOutcome::NotCovered,
            };
            left.push(Group { deposits: vec![index], ..single(outcome, None) });
        }
        self.groups.extend(left);
    }

    /// A payout that nothing at the bank belongs to, and how old it was at the end of the statement.
    fn absent(&self, payout: &Payout) -> (PayoutOutcome, Option<i64>) {
        if payout.amount == 0 && payout.is_stated {
            return (PayoutOutcome::Matched, None);
        }
        if !payout.is_stated {
            return (PayoutOutcome::NotStated, None);
        }
        // A currency that no statement is in may go to an account of which nobody tells.
        let covered = self.question.covered.get(&payout.currency).filter(|_| payout.is_asked_about);
        let Some(Covered { days, gaps }) = covered else { return (PayoutOutcome::NotCovered, None) };
        let Some(date) = payout.date else { return (PayoutOutcome::PayoutMissing, None) };
        let due = self.question.rules.due(date);
        let age = Some(days.last.signed_duration_since(date).num_days().max(0));
        match () {
            () if date < days.first => (PayoutOutcome::NotCovered, None),
            () if due > days.last => (PayoutOutcome::InTransit, age),
            // It may have arrived on a day of which nobody tells.
            () if gaps.iter().any(|gap| gap.first <= due && date <= gap.last) => {
                (PayoutOutcome::NotCovered, None)
            }
            () => (PayoutOutcome::PayoutMissing, age),
        }
    }

    /// Whether a deposit should have its payout among ours.
    fn is_covered(&self, deposit: &Deposit) -> bool {
        let (date, currency) = (deposit.date, deposit.currency);
        let mut not_stated = self.payouts.iter().map(|(_, payout)| payout).filter(|payout| !payout.is_stated);
        if not_stated.any(|payout| payout.currency == currency && self.question.rules.may_be(payout, deposit))
        {
            return false;
        }
        let rules = self.question.rules;
        let payout_days = self.question.payout_days;
        let may_hold = |days: Days| Days { first: rules.earliest(days.first), last: rules.due(days.last) };
        payout_days.is_some_and(|days| may_hold(days).contains(date))
            && self.question.judged_days.is_none_or(|days| days.contains(date))
    }
}

fn free<'a, T>((one, is_free): (&(usize, &'a T), &bool)) -> Option<(usize, &'a T)> {
    is_free.then_some(*one)
}

fn single(outcome: PayoutOutcome, age_days: Option<i64>) -> Group {
    Group { outcome, by: None, payouts: Vec::new(), deposits: Vec::new(), solutions: None, age_days }
}
