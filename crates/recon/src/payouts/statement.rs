//! What is taken from the bank's file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;
use payops_channels::bank::{BankEntry, BankFile, BankStatement, EntryStatus};
use payops_channels::report::ControlCheck;
use payops_channels::row::{Proof, Reject, RejectReason};
use payops_core::currency::{Currency, Exponents};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::coverage::Coverage;
use super::reversal::{Mark, TakenBack, Trace, take_back};
use super::{Days, Deposit};
use crate::engine::Rejects;

/// A bank's file as the comparison needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bank {
    /// Its booked entries, in file order.
    pub deposits: Vec<Deposit>,
    /// Its figures.
    pub summary: BankSummary,
    /// The entries that may take back what another statement has: those that the bank calls reversals, and money that left with
    /// a reference of the bank's. What a file takes back of its own by a reference is settled in it.
    pub reversals: Vec<Trace>,
    /// What a reversal took back by its amount alone: another statement may have the entry that it names. The reversals that took
    /// something back too: another one may undo them.
    pub rests_on: Vec<Trace>,
    /// What its statements cover, by their currency.
    pub covered: BTreeMap<Currency, Covered>,
}

/// Which days statements of a currency tell of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// From the first to the last.
    pub days: Days,
    /// The days between these of which none tells.
    pub gaps: Vec<Days>,
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
    /// The days between these of which no statement of some currency tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Days>,
    /// The checks of its totals that do not hold.
    pub failed: Vec<ControlCheck>,
    /// What could not be read.
    pub rejects: Rejects,
}

/// A file of statements that was read.
#[derive(Debug)]
pub struct ReadStatements {
    /// What it tells.
    pub file: BankFile,
    /// What was damaged while it was unpacked.
    pub damage: Vec<Reject>,
    /// Whether it is read only for what it takes back: nothing else of it counts, neither days nor proof.
    pub is_elsewhere: bool,
}

impl Bank {
    /// Takes the booked entries of a bank's file. What was `damage`d while it was unpacked is among its rejects.
    pub fn of(file: BankFile, damage: &[Reject], exponents: Exponents) -> Self {
        let read = ReadStatements { file, damage: damage.to_vec(), is_elsewhere: false };
        Self::joined(vec![read], exponents)
    }

    /// Takes the booked entries of several files, the newest first: of the days that a statement is about, nothing is taken from an
    /// older file of the account, unless the newer one has no entry of it at all; and of what it has of days before them, nothing
    /// that is alike. An entry without a day counts as of the day on which its statement closes. `exponents` are the channel's:
    /// banks count in the minor units of ISO 4217, some channels in others.
    pub fn joined(files: Vec<ReadStatements>, exponents: Exponents) -> Self {
        let mut joined = Joined {
            exponents,
            told: BTreeMap::new(),
            proofs: Vec::new(),
            days: BTreeMap::new(),
            coverage: BTreeMap::new(),
            bank: Self {
                deposits: Vec::new(),
                reversals: Vec::new(),
                rests_on: Vec::new(),
                covered: BTreeMap::new(),
                summary: BankSummary {
                    proof: Proof::NotProvable,
                    statements: 0,
                    entries: 0,
                    not_booked: 0,
                    days: None,
                    gaps: Vec::new(),
                    failed: Vec::new(),
                    rejects: Rejects::default(),
                },
            },
        };
        for read in files {
            joined.add(read);
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

/// The day of an entry; `None` of one that is not compared.
fn day_of(statement: &BankStatement, entry: &BankEntry) -> Option<NaiveDate> {
    let closes_on = statement.closing.map(|balance| balance.date);
    let date = entry.booked_on.or(entry.value_on).or(closes_on);
    date.filter(|_| entry.status == EntryStatus::Booked)
}

/// An account, however a bank writes it: with blanks or without, with its currency behind it, an IBAN with the bank before it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct AccountKey(String, Currency);

impl AccountKey {
    fn of(statement: &BankStatement) -> Self {
        let letters =
            statement.account.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '/');
        let written: String = letters.flat_map(char::to_uppercase).collect();
        let last = written.rsplit('/').next().filter(|last| is_like_iban(last)).unwrap_or(&written);
        let currency = statement.currency;
        let number = last.strip_suffix(currency.as_str()).filter(|number| !number.is_empty()).unwrap_or(last);
        Self(german(number).unwrap_or_else(|| number.to_owned()), currency)
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.1)
    }
}

/// The most letters of account numbers that are kept.
const MOST_LETTERS: usize = 500;
const BETWEEN_ACCOUNTS: &str = ", ";

/// The bank accounts that statements are about, in the same words for the same accounts. Beyond 500 letters it is only their hash.
pub fn bank_accounts(file: &BankFile) -> String {
    let keys: BTreeSet<AccountKey> = file.statements.iter().map(AccountKey::of).collect();
    let names: Vec<String> = keys.iter().map(AccountKey::to_string).collect();
    let names = names.join(BETWEEN_ACCOUNTS);
    if names.len() <= MOST_LETTERS { names } else { hex::encode(Sha256::digest(names)) }
}

/// The accounts that are named in what [`bank_accounts`] gave: none in a hash.
pub fn accounts_named(bank_accounts: &str) -> impl Iterator<Item = &str> {
    // Of each account the currency stands behind a blank.
    bank_accounts.split(BETWEEN_ACCOUNTS).filter(|account| account.contains(' '))
}

/// Two letters for the country and two digits, as in ISO 13616.
fn is_like_iban(number: &str) -> bool {
    let head = number.as_bytes().get(..4).unwrap_or_default();
    head.len() == 4
        && head[..2].iter().all(u8::is_ascii_uppercase)
        && head[2..].iter().all(u8::is_ascii_digit)
}

/// A German account is the same in both of its forms: the bank in eight digits and the account in ten, alone or in an IBAN.
fn german(number: &str) -> Option<String> {
    if let Some(rest) = number.strip_prefix("DE").filter(|rest| rest.len() == 20) {
        return Some(rest[2..].to_owned());
    }
    let (bank, account) = number.split_once('/')?;
    let is_digits = |text: &str| text.bytes().all(|letter| letter.is_ascii_digit());
    let is_german =
        bank.len() == 8 && (1..=10).contains(&account.len()) && is_digits(bank) && is_digits(account);
    is_german.then(|| format!("{bank}{account:0>10}"))
}

struct Joined {
    exponents: Exponents,
    /// What newer files tell of each account.
    told: BTreeMap<AccountKey, Told>,
    proofs: Vec<Proof>,
    days: BTreeMap<Currency, Vec<NaiveDate>>,
    coverage: BTreeMap<Currency, Coverage<AccountKey>>,
    bank: Bank,
}

impl Joined {
    fn add(&mut self, ReadStatements { file, damage, is_elsewhere }: ReadStatements) {
        if !is_elsewhere {
            self.count(&file, &damage);
        }
        let (mut tells, mut with_entries) = (Vec::new(), BTreeSet::new());
        for statement in file.statements {
            let account = AccountKey::of(&statement);
            if !is_elsewhere {
                self.cover(&account, &statement);
            }
            if statement.entries.iter().any(|entry| entry.status == EntryStatus::Booked) {
                with_entries.insert(account.clone());
            }
            let told = self.take(&account, statement, is_elsewhere);
            tells.push((account, told));
        }
        // A file without an entry of an account takes nothing from what others tell of it.
        tells.retain(|(account, _)| with_entries.contains(account));
        // Statements of one file do not repeat each other: those that do are none of its statements, or fail its proof.
        for (account, tells) in tells {
            let told = self.told.entry(account).or_default();
            told.days.extend(tells.days);
            told.earlier.extend(tells.earlier);
        }
    }

    /// Counts a file and what it proves.
    fn count(&mut self, file: &BankFile, damage: &[Reject]) {
        self.proofs.push(if damage.is_empty() { file.proof() } else { Proof::Failed });
        let summary = &mut self.bank.summary;
        summary.statements += file.statements.len() as u64;
        damage.iter().chain(&file.rejects).for_each(|reject| summary.rejects.add(reject.clone()));
        summary.rejects.count += file.rejects_left_out;
        let controls =
            std::iter::once(&file.control).chain(file.statements.iter().map(|statement| &statement.control));
        let failed = controls.flat_map(|control| &control.checks).filter(|check| !check.holds());
        summary.failed.extend(failed.cloned());
    }

    /// Counts a statement's days, and its entries that are not compared.
    fn cover(&mut self, account: &AccountKey, statement: &BankStatement) {
        if let Some(days) = days_of(statement) {
            let coverage = self.coverage.entry(statement.currency).or_insert_with(Coverage::new);
            coverage.add(account.clone(), statement, days);
        }
        let balances = statement.opening.into_iter().chain(statement.closing);
        let days = self.days.entry(statement.currency).or_default();
        days.extend(balances.map(|balance| balance.date));
        for entry in &statement.entries {
            match day_of(statement, entry) {
                Some(date) => days.push(date),
                None => self.bank.summary.not_booked += 1,
            }
        }
    }

    /// Takes what no newer file tells of; returns what the statement tells.
    fn take(&mut self, account: &AccountKey, mut statement: BankStatement, is_elsewhere: bool) -> Told {
        let mut nothing = Told::default();
        let told = self.told.get_mut(account).unwrap_or(&mut nothing);
        let (own_days, name) = (days_of(&statement), Arc::from(account.to_string()));
        let mut tells = Told { days: own_days.into_iter().collect(), earlier: Vec::new() };
        for entry in std::mem::take(&mut statement.entries) {
            let Some(date) = day_of(&statement, &entry) else { continue };
            if own_days.is_some_and(|days| date < days.first) {
                tells.earlier.push((date, entry.clone()));
            }
            if told.has(date, &entry) {
                continue;
            }
            match in_units_of(self.exponents, entry.currency, entry.amount) {
                Some(amount) => {
                    let mark = Mark::of(&entry, Arc::clone(&name), is_elsewhere);
                    self.bank.deposits.push(deposit(entry, amount, date, mark));
                }
                None if is_elsewhere => {}
                None => self.bank.summary.rejects.add(beyond_units(&entry)),
            }
        }
        tells
    }

    fn finish(self) -> Bank {
        let mut bank = self.bank;
        let own = bank.deposits.iter().filter(|deposit| !deposit.mark.is_elsewhere);
        bank.summary.entries = own.count() as u64;
        let TakenBack { deposits, reversals, rests_on } = take_back(bank.deposits);
        (bank.deposits, bank.reversals, bank.rests_on) = (deposits, reversals, rests_on);
        bank.summary.days = Days::spanning(self.days.values().flatten().copied());
        let mut coverage = self.coverage;
        for (currency, days) in self.days {
            let Some(days) = Days::spanning(days) else { continue };
            let gaps = coverage.remove(&currency).map(Coverage::gaps).unwrap_or_default();
            bank.summary.gaps.extend(&gaps);
            bank.covered.insert(currency, Covered { days, gaps });
        }
        bank.summary.gaps.sort_unstable_by_key(|gap| (gap.first, gap.last));
        bank.summary.gaps.dedup();
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

fn deposit(entry: BankEntry, amount: i64, date: NaiveDate, mark: Mark) -> Deposit {
    Deposit {
        ordinal: entry.ordinal,
        line: entry.line,
        amount,
        currency: entry.currency,
        date,
        texts: entry.references.into_iter().map(|reference| reference.text).collect(),
        mark,
    }
}

#[cfg(test)]
mod tests {
    use payops_channels::bank::read_bank_file;
    use payops_channels::options::ReadOptions;

    use super::*;

    /// An MT940 statement from the balance of one day of March 2026 to that of another, with entries of euros.
    fn statement(from: u32, to: u32, entries: &[(u32, u32, &str)]) -> ReadStatements {
        let sum: u32 = entries.iter().map(|(_, euros, _)| euros).sum();
        let lines: Vec<String> = entries
            .iter()
            .map(|(day, euros, reference)| format!(":61:2603{day:02}03{day:02}C{euros},NTRF{reference}\n"))
            .collect();
        let opening = format!(":20:S\n:25:DE1\n:28C:{to}/1\n:60F:C2603{from:02}EUR100,\n");
        let text = format!("{opening}{}:62F:C2603{to:02}EUR{},\n", lines.concat(), 100 + sum);
        let file = read_bank_file(text.as_bytes(), &ReadOptions::default());
        ReadStatements { file, damage: Vec::new(), is_elsewhere: false }
    }

    /// The deposits of files, the newest first, in euros.
    fn deposits(files: Vec<ReadStatements>) -> Vec<i64> {
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
    fn an_account_is_one_however_it_is_written() {
        let of = |account: &str| {
            let mut read = statement(19, 20, &[(20, 20, "B")]);
            read.file.statements[0].account = account.to_owned();
            read
        };
        let written =
            ["DE89 3704 0044 0532 0130 00", "DEUTDEFF/DE89370400440532013000", "DE89370400440532013000EUR"];
        assert_eq!(deposits(written.map(of).into()), [20]);
        let german = ["DE89 3704 0044 0532 0130 00", "37040044/0532013000", "37040044/532013000EUR"];
        assert_eq!(deposits(german.map(of).into()), [20]);
        assert_eq!(deposits(["37040044/0532013000", "37040045/0532013000"].map(of).into()), [20, 20]);
    }

    #[test]
    fn a_file_without_entries_hides_nothing() {
        let old = || statement(18, 20, &[(19, 10, "A"), (20, 20, "B")]);
        assert_eq!(deposits(vec![statement(18, 21, &[]), old()]), [10, 20]);
        assert_eq!(deposits(vec![statement(18, 21, &[(21, 5, "C")]), old()]), [5]);
        // In a file that has entries, a day without one is told too.
        let mut week = statement(18, 19, &[]);
        week.file.statements.extend(statement(19, 20, &[(20, 20, "B")]).file.statements);
        assert_eq!(deposits(vec![week, old()]), [20]);
    }

    #[test]
    fn an_entry_of_the_day_that_the_balance_names_is_told_once() {
        let newer = statement(19, 20, &[(19, 10, "A"), (19, 10, "A"), (20, 20, "B")]);
        let older = statement(18, 19, &[(19, 10, "A"), (19, 5, "Z")]);
        assert_eq!(deposits(vec![newer, older]), [5, 10, 10, 20]);
    }
}
