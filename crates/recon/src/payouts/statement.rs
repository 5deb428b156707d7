//! What is taken from the bank's file.

use chrono::NaiveDate;
use payops_channels::bank::{BankEntry, BankFile, EntryStatus};
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
    /// An entry without a day counts as of the day on which its statement closes. `exponents` are the channel's:
    /// banks count in the minor units of ISO 4217, some channels in others.
    pub fn of(file: BankFile, damage: &[Reject], exponents: Exponents) -> Self {
        let proof = file.proof();
        let mut rejects = Rejects::default();
        damage.iter().chain(&file.rejects).for_each(|reject| rejects.add(reject.clone()));
        rejects.count += file.rejects_left_out;
        let controls =
            std::iter::once(&file.control).chain(file.statements.iter().map(|statement| &statement.control));
        let failed = controls.flat_map(|control| &control.checks).filter(|check| !check.holds()).cloned();
        let mut summary = BankSummary {
            proof: if damage.is_empty() { proof } else { Proof::Failed },
            statements: file.statements.len() as u64,
            entries: 0,
            not_booked: 0,
            days: None,
            failed: failed.collect(),
            rejects,
        };
        let mut deposits = Vec::new();
        let mut days = Vec::new();
        for statement in file.statements {
            let balances = statement.opening.into_iter().chain(statement.closing);
            days.extend(balances.map(|balance| balance.date));
            let closes_on = statement.closing.map(|balance| balance.date);
            for entry in statement.entries {
                let date = entry.booked_on.or(entry.value_on).or(closes_on);
                let Some(date) = date.filter(|_| entry.status == EntryStatus::Booked) else {
                    summary.not_booked += 1;
                    continue;
                };
                match in_units_of(exponents, entry.currency, entry.amount) {
                    Some(amount) => deposits.push(deposit(entry, amount, date)),
                    None => summary.rejects.add(beyond_units(&entry)),
                }
            }
        }
        days.extend(deposits.iter().map(|deposit| deposit.date));
        summary.days = Days::spanning(days);
        summary.entries = deposits.len() as u64;
        Self { deposits, summary }
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
