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

    /// Takes the booked entries of several files, each with what was damaged, the newest first: what a newer one tells of
    /// a day of an account is not taken from an older one again. An entry without a day counts as of the day on which its
    /// statement closes. `exponents` are the channel's: banks count in the minor units of ISO 4217, some channels in
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

struct Joined {
    exponents: Exponents,
    /// The days of each account that newer files tell of.
    told: BTreeMap<String, Vec<Days>>,
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
            let account = statement.account.clone();
            let days = self.take(statement);
            self.days.extend(days.into_iter().flat_map(|days| [days.first, days.last]));
            tells.extend(days.map(|days| (account, days)));
        }
        for (account, days) in tells {
            self.told.entry(account).or_default().push(days);
        }
    }

    /// Takes what no newer file tells of; returns the days of the statement.
    fn take(&mut self, statement: BankStatement) -> Option<Days> {
        let told = self.told.get(&statement.account).map_or(&[][..], Vec::as_slice);
        let balances = statement.opening.into_iter().chain(statement.closing);
        let mut days: Vec<NaiveDate> = balances.map(|balance| balance.date).collect();
        let closes_on = statement.closing.map(|balance| balance.date);
        for entry in statement.entries {
            let date = entry.booked_on.or(entry.value_on).or(closes_on);
            let Some(date) = date.filter(|_| entry.status == EntryStatus::Booked) else {
                self.bank.summary.not_booked += 1;
                continue;
            };
            days.push(date);
            if told.iter().any(|days| days.contains(date)) {
                continue;
            }
            match in_units_of(self.exponents, entry.currency, entry.amount) {
                Some(amount) => self.bank.deposits.push(deposit(entry, amount, date)),
                None => self.bank.summary.rejects.add(beyond_units(&entry)),
            }
        }
        Days::spanning(days)
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
