//! What is taken from the bank's file.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use payops_channels::bank::{BankEntry, BankFile, BankStatement, EntryStatus};
use payops_channels::report::ControlCheck;
use payops_channels::row::{Proof, Reject, RejectReason};
use payops_core::currency::{Currency, Exponents};
use serde::{Deserialize, Serialize};

use super::{Days, Deposit};
use crate::engine::Rejects;

/// A bank's file as the comparison needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bank {
    /// Its booked entries, in file order.
    pub deposits: Vec<Deposit>,
    /// Its figures.
    pub summary: BankSummary,
}

/// A bank's file as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankSummary {
    /// Whether its own balances and totals hold.
    pub proof: Proof,
    /// How many statements it has.
    pub statements: u64,
    /// How many booked entries.
    pub entries: u64,
    /// How many entries that announce money or have no day, which are not compared.
    pub not_booked: u64,
    /// The days that it covers; `None` where it tells none.
    pub days: Option<Days>,
    /// The checks of its totals that do not hold.
    pub failed: Vec<ControlCheck>,
    /// What could not be read.
    pub rejects: Rejects,
}

impl Bank {
    /// Takes the booked entries of a bank's file. What was `damage`d while it was unpacked is among its rejects.
    pub fn of(file: BankFile, damage: &[Reject], exponents: Exponents) -> Self {
        Self::joined(vec![(file, damage.to_vec())], exponents)
    }

    /// Takes the booked entries of several files, each with what was damaged, the newest first: of the days that a statement
    /// is about, nothing is taken from an older file of the account, and of what it has of days before them, nothing
    /// that is alike. An entry without a day counts as of the day on which its statement closes. `exponents` are the channel's: banks count in the minor units of ISO 4217, some channels in
    /// others.
    pub fn joined(files: Vec<(BankFile, Vec<Reject>)>, exponents: Exponents) -> Self {
        let mut joined = Joined {
            exponents,
            told: BTreeMap::new(),
            proofs: Vec::new(),
            days: Vec::new(),
            bank: Self {
                deposits: Vec::new(),
                summary: BankSummary {
                    proof: Proof::NotProvable,
                    statements: 0,
                    entries: 0,
                    not_booked: 0,
                    days: None,
                    failed: Vec::new(),
                    rejects: Rejects::default(),
                },
            },
        };
        for (file, damage) in files {
            joined.add(file, &damage);
        }
        joined.finish()
    }
}

/// What files tell of an account.
#[derive(Debug, Default)]
struct Told {
    /// The days that their statements are about.
    days: Vec<Days>,
    /// Entries of days before those of their statement, which an older one may have too.
    earlier: Vec<(NaiveDate, BankEntry)>,
}

impl Told {
    /// Whether an entry of an older file is told already. One that is alike is told once only.
    fn has(&mut self, date: NaiveDate, entry: &BankEntry) -> bool {
        if self.days.iter().any(|days| days.contains(date)) {
            return true;
        }
        let is_alike = |(day, known): &(NaiveDate, BankEntry)| {
            let alike = (known.amount, known.currency, &known.references);
            *day == date && alike == (entry.amount, entry.currency, &entry.references)
        };
        let found = self.earlier.iter().position(is_alike);
        found.map(|place| self.earlier.swap_remove(place)).is_some()
    }
}

/// The days that a statement is about: those behind its opening balance, which is as a rule the closing one of the day before,
/// up to its closing balance. Without these, the days of its entries.
fn days_of(statement: &BankStatement) -> Option<Days> {
    match (statement.opening, statement.closing) {
        (Some(opening), Some(closing)) if opening.date < closing.date => {
            Some(Days { first: opening.date.succ_opt()?, last: closing.date })
        }
        (opening, closing) => {
            let balances = opening.into_iter().chain(closing).map(|balance| balance.date);
            let booked = statement.entries.iter().filter(|entry| entry.status == EntryStatus::Booked);
            let entries = booked.filter_map(|entry| entry.booked_on.or(entry.value_on));
            Days::spanning(balances.chain(entries))
        }
    }
}

struct Joined {
    exponents: Exponents,
    /// What newer files tell of each account.
    told: BTreeMap<String, Told>,
    proofs: Vec<Proof>,
    days: Vec<NaiveDate>,
    bank: Bank,
}

impl Joined {
    fn add(&mut self, file: BankFile, damage: &[Reject]) {
        self.proofs.push(if damage.is_empty() { file.proof() } else { Proof::Failed });
        let summary = &mut self.bank.summary;
        summary.statements += file.statements.len() as u64;
        damage.iter().chain(&file.rejects).for_each(|reject| summary.rejects.add(reject.clone()));
        summary.rejects.count += file.rejects_left_out;
        let controls =
            std::iter::once(&file.control).chain(file.statements.iter().map(|statement| &statement.control));
        let failed = controls.flat_map(|control| &control.checks).filter(|check| !check.holds());
        summary.failed.extend(failed.cloned());
        let mut tells = Vec::new();
        for statement in file.statements {
            tells.push((statement.account.clone(), self.take(statement)));
        }
        // Statements of one file do not repeat each other.
        for (account, tells) in tells {
            let told = self.told.entry(account).or_default();
            told.days.extend(tells.days);
            told.earlier.extend(tells.earlier);
        }
    }

    /// Takes what no newer file tells of; returns what the statement tells.
    fn take(&mut self, statement: BankStatement) -> Told {
        let mut nothing = Told::default();
        let told = self.told.get_mut(&statement.account).unwrap_or(&mut nothing);
        let own_days = days_of(&statement);
        let mut tells = Told { days: own_days.into_iter().collect(), earlier: Vec::new() };
        let balances = statement.opening.into_iter().chain(statement.closing);
        self.days.extend(balances.map(|balance| balance.date));
        let closes_on = statement.closing.map(|balance| balance.date);
        for entry in statement.entries {
            let date = entry.booked_on.or(entry.value_on).or(closes_on);
            let Some(date) = date.filter(|_| entry.status == EntryStatus::Booked) else {
                self.bank.summary.not_booked += 1;
                continue;
            };
            self.days.push(date);
            if own_days.is_some_and(|days| date < days.first) {
                tells.earlier.push((date, entry.clone()));
            }
            if told.has(date, &entry) {
                continue;
            }
            match in_units_of(self.exponents, entry.currency, entry.amount) {
                Some(amount) => self.bank.deposits.push(deposit(entry, amount, date)),
                None => self.bank.summary.rejects.add(beyond_units(&entry)),
            }
        }
        tells
    }

    fn finish(self) -> Bank {
        let mut bank = self.bank;
        bank.summary.entries = bank.deposits.len() as u64;
        bank.summary.days = Days::spanning(self.days);
        bank.summary.proof = match () {
            () if self.proofs.contains(&Proof::Failed) => Proof::Failed,
            () if self.proofs.is_empty() || self.proofs.contains(&Proof::NotProvable) => Proof::NotProvable,
            () => Proof::Proven,
        };
        bank
    }
}

/// An amount of the bank's in the channel's minor units; `None` when it is no whole number of them.
fn in_units_of(exponents: Exponents, currency: Currency, amount: i64) -> Option<i64> {
    let (bank, channel) = (Exponents::Iso4217.of(currency), exponents.of(currency));
    let factor = 10_i64.checked_pow(bank.abs_diff(channel).into())?;
    if channel >= bank {
        return amount.checked_mul(factor);
    }
    (amount % factor == 0).then_some(amount / factor)
}

fn beyond_units(entry: &BankEntry) -> Reject {
    let message =
        format!("the channel has no amount such as {} minor units of {}", entry.amount, entry.currency);
    Reject { line: entry.line, column: None, reason: RejectReason::SurplusDigits, message }
}

fn deposit(entry: BankEntry, amount: i64, date: NaiveDate) -> Deposit {
    Deposit {
        ordinal: entry.ordinal,
        line: entry.line,
        amount,
        currency: entry.currency,
        date,
        texts: entry.references.into_iter().map(|reference| reference.text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use payops_channels::bank::read_bank_file;
    use payops_channels::options::ReadOptions;

    use super::*;

    /// An MT940 statement from the balance of one day of March 2026 to that of another, with entries of euros.
    fn statement(from: u32, to: u32, entries: &[(u32, u32, &str)]) -> (BankFile, Vec<Reject>) {
        let sum: u32 = entries.iter().map(|(_, euros, _)| euros).sum();
        let lines: Vec<String> = entries
            .iter()
            .map(|(day, euros, reference)| format!(":61:2603{day:02}03{day:02}C{euros},NTRF{reference}\n"))
            .collect();
        let opening = format!(":20:S\n:25:DE1\n:28C:{to}/1\n:60F:C2603{from:02}EUR100,\n");
        let text = format!("{opening}{}:62F:C2603{to:02}EUR{},\n", lines.concat(), 100 + sum);
        (read_bank_file(text.as_bytes(), &ReadOptions::default()), Vec::new())
    }

    /// The deposits of files, the newest first, in euros.
    fn deposits(files: Vec<(BankFile, Vec<Reject>)>) -> Vec<i64> {
        let bank = Bank::joined(files, Exponents::Iso4217);
        assert_eq!((bank.summary.proof, bank.summary.rejects.count), (Proof::Proven, 0));
        let mut amounts: Vec<i64> = bank.deposits.iter().map(|deposit| deposit.amount / 100).collect();
        amounts.sort_unstable();
        amounts
    }

    #[test]
    fn the_balance_that_a_day_opens_with_takes_nothing_from_the_day_before() {
        let days = || [statement(19, 20, &[(20, 20, "B")]), statement(18, 19, &[(19, 10, "A")])];
        assert_eq!(deposits(days().into()), [10, 20]);
        let mut corrected = vec![statement(19, 20, &[(20, 21, "B")])];
        corrected.extend(days());
        assert_eq!(deposits(corrected), [10, 21]);
        let mut whole_week = vec![statement(18, 20, &[(19, 10, "A"), (20, 20, "B")])];
        whole_week.extend(days());
        assert_eq!(deposits(whole_week), [10, 20]);
    }

    #[test]
    fn an_entry_of_the_day_that_the_balance_names_is_told_once() {
        let newer = statement(19, 20, &[(19, 10, "A"), (19, 10, "A"), (20, 20, "B")]);
        let older = statement(18, 19, &[(19, 10, "A"), (19, 5, "Z")]);
        assert_eq!(deposits(vec![newer, older]), [5, 10, 10, 20]);
    }
}
