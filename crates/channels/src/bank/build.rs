//! Puts a file together from what a reader of one format finds, within the limits.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::NaiveDate;
use encoding_rs::WINDOWS_1252;
use payops_core::currency::{Currency, Exponents};
use payops_core::money::AmountError;

use super::proof::{Totals, balance_checks, follow, gaps};
use super::{Balance, BankEntry, BankFile, BankFormat, BankStatement, Reference, ReferenceKind};
use crate::amount::parse_money;
use crate::control::Statement;
use crate::fault::Fault;
use crate::options::ReadOptions;
use crate::report::{ControlCheck, ControlReport};
use crate::row::{Reject, RejectReason};

/// How many rejects are kept.
const KEPT_REJECTS: usize = 1000;

/// The file as far as it is read.
#[derive(Debug)]
pub(super) struct Builder {
    max_entries: u64,
    entries: u64,
    begun: u64,
    /// Each with how many begin before it.
    statements: Vec<(u64, BankStatement)>,
    rejects: Vec<Reject>,
    rejects_left_out: u64,
    is_cut_off: bool,
    checks: Vec<ControlCheck>,
}

impl Builder {
    pub(super) fn new(options: &ReadOptions) -> Self {
        Self {
            max_entries: options.limits.max_bank_entries,
            entries: 0,
            begun: 0,
            statements: Vec::new(),
            rejects: Vec::new(),
            rejects_left_out: 0,
            is_cut_off: false,
            checks: Vec::new(),
        }
    }

    pub(super) fn reject(&mut self, reject: Reject) {
        self.is_cut_off |= reject.reason == RejectReason::Truncated;
        if self.rejects.len() < KEPT_REJECTS { self.rejects.push(reject) } else { self.rejects_left_out += 1 }
    }

    /// Refuses something that stands on a line.
    pub(super) fn refuse(&mut self, line: u64, fault: Fault) {
        let reject = fault.at(crate::row::Position { line, ..Default::default() });
        self.reject(reject);
    }

    /// The file ends before something that stands in every whole file, which was lost with whatever else followed.
    pub(super) fn ends_before(&mut self, what: &str) {
        let message = format!("the file ends before {what}: it is cut off");
        self.reject(Reject { line: 0, column: None, reason: RejectReason::Truncated, message });
    }

    /// The ordinal of the entry that begins on `line`. An error when there are more than are read: it is the
    /// last word about the file.
    pub(super) fn next_ordinal(&mut self, line: u64) -> Result<u64, Reject> {
        let ordinal = self.entries;
        if ordinal >= self.max_entries {
            return Err(too_many("entries", self.max_entries, line));
        }
        self.entries += 1;
        Ok(ordinal)
    }

    /// A statement, or a page of one, begins: how many do before it. There may be as many as entries.
    pub(super) fn begin(&mut self, line: u64) -> Result<u64, Reject> {
        self.begun += 1;
        if self.begun > self.max_entries {
            return Err(too_many("statements", self.max_entries, line));
        }
        Ok(self.begun - 1)
    }

    /// A statement is read. One without anything to tell its currency by is refused.
    pub(super) fn statement(&mut self, draft: Draft) {
        let (line, ordinal) = (draft.line, draft.ordinal);
        match draft.finish() {
            Ok(statement) => self.statements.push((ordinal, statement)),
            Err(fault) => self.refuse(line, fault),
        }
    }

    /// A total of the file.
    pub(super) fn check(&mut self, check: Option<ControlCheck>) {
        self.checks.extend(check);
    }

    /// What was read, in the order of the file. A file without any statement, of which nothing was refused either, is refused itself: no
    /// bank says nothing of any account, and a day would count as told of.
    pub(super) fn finish(mut self, format: Option<BankFormat>) -> BankFile {
        if self.statements.is_empty() && self.rejects.is_empty() {
            self.reject(no_statement());
        }
        // A statement of several pages is known when its last one is.
        self.statements.sort_by_key(|(ordinal, _)| *ordinal);
        let statements = without_repeats(self.statements.into_iter().map(|(_, statement)| statement));
        self.checks.extend(follow(&statements));
        BankFile {
            format,
            gaps: gaps(&statements),
            statements,
            rejects: self.rejects,
            rejects_left_out: self.rejects_left_out,
            is_cut_off: self.is_cut_off,
            control: ControlReport::of(self.checks),
        }
    }
}

/// Leaves out statements that say again what one before them says, entry by entry: files of several days may bring one twice, and its
/// money came once.
fn without_repeats(statements: impl Iterator<Item = BankStatement>) -> Vec<BankStatement> {
    let mut told: HashMap<Identity, Vec<usize>> = HashMap::new();
    let mut kept: Vec<BankStatement> = Vec::new();
    for statement in statements {
        let places = told.entry(Identity::of(&statement)).or_default();
        if !places.iter().any(|place| is_repeat(&kept[*place], &statement)) {
            places.push(kept.len());
            kept.push(statement);
        }
    }
    kept
}

/// What two statements have in common of which one repeats the other.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Identity {
    account: String,
    currency: Currency,
    balances: [Option<(i64, NaiveDate)>; 2],
    entries: usize,
}

impl Identity {
    fn of(statement: &BankStatement) -> Self {
        let balance = |balance: Option<Balance>| balance.map(|balance| (balance.amount, balance.date));
        Self {
            account: statement.account.clone(),
            currency: statement.currency,
            balances: [balance(statement.opening), balance(statement.closing)],
            entries: statement.entries.len(),
        }
    }
}

/// Whether the entries of two statements are the same, wherever they stand. Without entries there is nothing to repeat. A statement
/// with another id or number is a repeat where an entry has the bank's reference of it, which no other has.
fn is_repeat(known: &BankStatement, statement: &BankStatement) -> bool {
    let is_named = known.id == statement.id && known.number == statement.number;
    let mut references = known.entries.iter().flat_map(|entry| &entry.references);
    let alike = |known: &BankEntry, entry: &BankEntry| {
        BankEntry { line: entry.line, ordinal: entry.ordinal, ..known.clone() } == *entry
    };
    !known.entries.is_empty()
        && (is_named || references.any(|reference| reference.kind == ReferenceKind::Bank))
        && known.entries.iter().zip(&statement.entries).all(|(known, entry)| alike(known, entry))
}

fn no_statement() -> Reject {
    let message = "it has no statement: of no account a balance or an entry".to_owned();
    Reject { line: 0, column: None, reason: RejectReason::BadRecord, message }
}

fn too_many(what: &str, most: u64, line: u64) -> Reject {
    let message = format!("the file has more than {most} {what}: the rest of it is not read");
    Reject { line, column: None, reason: RejectReason::TooLarge, message }
}

/// A statement as far as it is read.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) line: u64,
    /// How many statements begin before it, where they may end in another order.
    pub(super) ordinal: u64,
    pub(super) account: String,
    pub(super) id: String,
    pub(super) number: Option<u64>,
    pub(super) currency: Option<Currency>,
    pub(super) opening: Statement<Balance>,
    pub(super) closing: Statement<Balance>,
    pub(super) entries: Vec<BankEntry>,
    /// What all delivered entries add up to.
    pub(super) totals: Totals,
    /// What the format states besides balances.
    pub(super) checks: Vec<ControlCheck>,
}

impl Draft {
    /// Takes the currency that a part of the statement is in. The first one is the statement's; a second one
    /// is refused, since its amounts cannot be added to the others.
    pub(super) fn agree(&mut self, currency: Currency, column: &str) -> Result<(), Fault> {
        match self.currency {
            Some(known) if known != currency => {
                let message = format!("{column} is in {currency}, the statement in {known}");
                Err(Fault::new(RejectReason::BadCurrency, Some(column), message))
            }
            _ => {
                self.currency = Some(currency);
                Ok(())
            }
        }
    }

    pub(super) fn push(&mut self, entry: BankEntry, credit: bool) {
        self.totals.add(credit, entry.amount);
        self.entries.push(entry);
    }

    fn finish(self) -> Result<BankStatement, Fault> {
        let Some(currency) = self.currency else {
            let message = "the statement has no currency, no balance and no entry that can be read";
            return Err(Fault::new(RejectReason::BadCurrency, None, message));
        };
        let mut checks = balance_checks(&self.opening, &self.closing, &self.entries, currency);
        checks.extend(self.checks);
        Ok(BankStatement {
            line: self.line,
            account: self.account,
            id: self.id,
            number: self.number,
            currency,
            opening: made(&self.opening),
            closing: made(&self.closing),
            entries: self.entries,
            control: ControlReport::of(checks),
        })
    }
}

fn made(balance: &Statement<Balance>) -> Option<Balance> {
    match balance {
        Statement::Made(balance) => Some(*balance),
        Statement::NotMade | Statement::Unreadable => None,
    }
}

/// Notes a balance, or that it cannot be read. It may stand twice only with the same value.
pub(super) fn state(
    place: &mut Statement<Balance>,
    read: Result<Balance, Fault>,
    name: &str,
) -> Result<(), Fault> {
    let outcome = match (&*place, &read) {
        (Statement::Made(known), Ok(new)) if known != new => {
            let message = format!("the balance {name} stands twice, with different values");
            Err(Fault::new(RejectReason::DuplicateRow, Some(name), message))
        }
        (Statement::Unreadable, Ok(_)) => return Ok(()),
        _ => read,
    };
    match outcome {
        Ok(balance) => {
            *place = Statement::Made(balance);
            Ok(())
        }
        Err(fault) => {
            *place = Statement::Unreadable;
            Err(fault)
        }
    }
}

/// Text of a bank. What is no UTF-8 is read as Windows-1252, which banks write where their format has no word
/// for it: money, dates and codes are ASCII in either.
pub(super) fn text(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes)
        .map_or_else(|_| WINDOWS_1252.decode_without_bom_handling(bytes).0, Cow::Borrowed)
}

/// Keeps a reference, unless it is one of the words that stand for none.
pub(super) fn push(references: &mut Vec<Reference>, kind: ReferenceKind, text: &str) {
    let text = text.trim();
    if !text.is_empty() && !matches!(text, "NONREF" | "NOTPROVIDED") {
        references.push(Reference { kind, text: text.to_owned() });
    }
}

/// A text that identifies something, of a bearable length.
pub(super) fn id(text: &str, column: &str, options: &ReadOptions) -> Result<String, Fault> {
    let (text, longest) = (text.trim(), options.limits.max_id_bytes);
    if text.len() > longest {
        let what = format!("{} bytes are longer than the {longest} that are accepted", text.len());
        return Err(Fault::value(RejectReason::FieldTooLong, column, &what, text.as_bytes()));
    }
    Ok(text.to_owned())
}

/// A day written YYMMDD; years from 80 on are of the last century.
pub(super) fn short_date(digits: &[u8], column: &str) -> Result<NaiveDate, Fault> {
    let two = |at: usize| match digits.get(at..at + 2) {
        Some([a, b]) if a.is_ascii_digit() && b.is_ascii_digit() => {
            Some(u32::from((a - b'0') * 10 + (b - b'0')))
        }
        _ => None,
    };
    let date = (digits.len() == 6).then(|| {
        let year = i32::try_from(two(0)?).ok()?;
        NaiveDate::from_ymd_opt(if year < 80 { 2000 } else { 1900 } + year, two(2)?, two(4)?)
    });
    date.flatten()
        .ok_or_else(|| Fault::value(RejectReason::BadTime, column, "is not a date as YYMMDD", digits))
}

/// A currency code.
pub(super) fn currency(text: &[u8], column: &str) -> Result<Currency, Fault> {
    let what = "is not a currency code of three letters";
    Currency::parse(text).map_err(|_| Fault::value(RejectReason::BadCurrency, column, what, text))
}

/// An amount in major units that must have no sign, since its direction stands beside it.
pub(super) fn unsigned(text: &[u8], currency: Currency, mark: u8, column: &str) -> Result<i64, Fault> {
    let text = text.trim_ascii();
    if text.first().is_some_and(|first| matches!(first, b'-' | b'+')) {
        return Err(Fault::amount(column, AmountError::Malformed, text));
    }
    let exponent = Exponents::Iso4217.of(currency);
    parse_money(text, exponent, mark).map_err(|error| Fault::amount(column, error, text))
}

/// The amount as the account sees it.
pub(super) fn signed(amount: i64, credit: bool) -> i64 {
    // It was read without a sign, so its negative exists.
    if credit { amount } else { -amount }
}
