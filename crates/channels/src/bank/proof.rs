//! What statements state about themselves, held against their entries.

use std::collections::BTreeMap;

use payops_core::currency::Currency;

use super::{Balance, BankEntry, BankStatement, EntryStatus, SequenceGap};
use crate::control::Statement;
use crate::report::ControlCheck;

/// Counts and sums of entries by direction. Sums have no sign.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) credits: i128,
    pub(super) credit_sum: i128,
    pub(super) debits: i128,
    pub(super) debit_sum: i128,
}

impl Totals {
    /// Adds an entry. An amount of zero has a direction all the same.
    pub(super) fn add(&mut self, credit: bool, amount: i64) {
        let size = i128::from(amount.unsigned_abs());
        if credit {
            self.credits += 1;
            self.credit_sum += size;
        } else {
            self.debits += 1;
            self.debit_sum += size;
        }
    }

    /// Adds those of a page.
    pub(super) fn add_all(&mut self, other: Self) {
        self.credits += other.credits;
        self.credit_sum += other.credit_sum;
        self.debits += other.debits;
        self.debit_sum += other.debit_sum;
    }
}

/// What booked entries move together.
pub(super) fn booked_sum(entries: &[BankEntry]) -> i128 {
    let booked = |entry: &&BankEntry| entry.status == EntryStatus::Booked;
    entries.iter().filter(booked).map(|entry| i128::from(entry.amount)).sum()
}

/// A total and what was found, where the total is stated at all.
pub(super) fn check(
    name: &str,
    currency: Option<Currency>,
    stated: &Statement<i128>,
    found: i128,
) -> Option<ControlCheck> {
    let stated = match stated {
        Statement::NotMade => return None,
        Statement::Unreadable => None,
        Statement::Made(stated) => Some(*stated),
    };
    Some(ControlCheck { name: name.to_owned(), currency, stated, found })
}

/// Opening balance + booked entries = closing balance, where both are stated.
pub(super) fn balance_checks(
    opening: &Statement<Balance>,
    closing: &Statement<Balance>,
    entries: &[BankEntry],
    currency: Currency,
) -> Vec<ControlCheck> {
    let moved = booked_sum(entries);
    let made = |name: &str, stated, found| ControlCheck {
        name: name.to_owned(),
        currency: Some(currency),
        stated,
        found,
    };
    match (opening, closing) {
        (Statement::Made(opening), Statement::Made(closing)) => {
            vec![made("balance", Some(closing.amount.into()), i128::from(opening.amount) + moved)]
        }
        (Statement::Made(opening), Statement::Unreadable) => {
            vec![made("balance", None, i128::from(opening.amount) + moved)]
        }
        (Statement::Unreadable, _) => vec![made("opening", None, 0)],
        (Statement::NotMade, Statement::Unreadable) => vec![made("closing", None, moved)],
        (Statement::NotMade, _) | (_, Statement::NotMade) => Vec::new(),
    }
}

/// The statements of each account, in their order.
fn chains(statements: &[BankStatement]) -> Vec<Vec<&BankStatement>> {
    let mut chains: BTreeMap<(&str, Currency), Vec<&BankStatement>> = BTreeMap::new();
    for statement in statements {
        chains.entry((&statement.account, statement.currency)).or_default().push(statement);
    }
    let mut chains: Vec<_> = chains.into_values().collect();
    for chain in &mut chains {
        // Numbers begin anew, mostly with the year, so dates come first.
        chain.sort_by_key(|statement| {
            (statement.closing.or(statement.opening).map(|balance| balance.date), statement.number)
        });
    }
    chains
}

/// A statement opens with what the one numbered before it closed, and so does one that begins before the other ends: else both
/// have the same money.
pub(super) fn follow(statements: &[BankStatement]) -> Vec<ControlCheck> {
    let mut checks = Vec::new();
    for chain in chains(statements) {
        for (before, behind) in chain.iter().zip(chain.iter().skip(1)) {
            let (Some(closed), Some(opened)) = (before.closing, behind.opening) else { continue };
            let is_next = match (before.number, behind.number) {
                (Some(number), Some(next)) => number.checked_add(1) == Some(next),
                _ => false,
            };
            // Those of one day may stand in any order where they have no numbers.
            let turned =
                before.opening.map(|balance| balance.amount) == behind.closing.map(|balance| balance.amount);
            let overlaps = opened.date < closed.date && !(before.number.is_none() && turned);
            if is_next || overlaps {
                checks.push(ControlCheck {
                    name: "opening_follows".to_owned(),
                    currency: Some(behind.currency),
                    stated: Some(opened.amount.into()),
                    found: closed.amount.into(),
                });
            }
        }
    }
    checks
}

/// Numbers that are left out between two statements of one account. A number that falls back is a new count,
/// which begins with 1.
pub(super) fn gaps(statements: &[BankStatement]) -> Vec<SequenceGap> {
    let mut gaps = Vec::new();
    for chain in chains(statements) {
        let numbered: Vec<_> =
            chain.iter().filter_map(|statement| Some((statement.number?, *statement))).collect();
        for ((after, statement), (before, _)) in numbered.iter().zip(numbered.iter().skip(1)) {
            let expected = if before < after { 0 } else { *after };
            if *before > expected.saturating_add(1) {
                gaps.push(SequenceGap { account: statement.account.clone(), after: *after, before: *before });
            }
        }
    }
    gaps
}
