//! From a stored file's row to the reader that reads it.

use std::io::Read;
use std::path::Path;

use chrono::NaiveDate;
use payops_channels::bank::{BankFile, BankStatement, read_bank_file};
use payops_channels::decode::{PlainFile, SpoolError, spool};
use payops_channels::options::{Limits, ReadOptions, Window};
use payops_channels::read::{Format, read_rows};
use payops_channels::row::{Position, Reject, RejectReason, Row, RowSink};
use payops_channels::stripe::balance_summary::read_balance_summary;
use payops_channels::{Mapping, MappingError};
use payops_core::currency::Exponents;
use payops_core::time::{DayWindow, Zone};
use payops_platform::error::{Error, ErrorKind, Result};
use serde::Serialize;
use serde_json::json;

use crate::Reconciliation;
use crate::engine::{SideSummary, StatedBalances};
use crate::file_store::disk;
use crate::model::{FileFormat, FileRole};
use crate::payouts::{
    Bank, Days, PayoutFact, ReadStatements, Trace, bank_accounts, facts_of_payout_report,
    facts_of_payout_rows,
};
use crate::store::file::{Model as StoredFile, Subject};

/// How many rejects are kept beside a file.
const KEPT_REJECTS: usize = 20;

/// What one reading of a file found.
#[derive(Debug, Clone)]
pub struct Inspection {
    /// Rows that could be read.
    pub rows: i64,
    /// Of these, rows of the day that the file is about, and rows without a time.
    pub rows_of_day: i64,
    /// Rows that could not.
    pub rejects: i64,
    /// The first of them.
    pub first_rejects: serde_json::Value,
    /// The days that a bank statement tells of.
    pub covers: Option<Days>,
    /// The bank accounts that statements are about, as they are kept.
    pub bank_accounts: String,
    /// The entries of a bank statement that may take back what another one has.
    pub reversals: Vec<Trace>,
    /// The statements of a bank of which pages are missing.
    pub parts: Vec<PartOfStatement>,
    /// Whether it is a bank's file that ends in the middle: then what it is about, and whose place it takes, is not all known.
    pub is_cut_off: bool,
}

/// A statement of which a bank's file has only some of the pages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartOfStatement {
    /// The account as the bank writes it.
    pub account: String,
    /// The statement's id.
    pub statement_id: String,
    /// Its sequence number.
    pub number: Option<u64>,
    /// How many pages it has at least.
    pub pages_at_least: u64,
    /// How many of them are in the file.
    pub pages_found: u64,
}

impl PartOfStatement {
    fn all_of(file: &BankFile) -> Vec<Self> {
        let part = |statement: &BankStatement| {
            let missing = statement.missing_pages()?;
            Some(Self {
                account: statement.account.clone(),
                statement_id: statement.id.clone(),
                number: statement.number,
                pages_at_least: missing.at_least,
                pages_found: missing.found,
            })
        };
        file.statements.iter().filter_map(part).collect()
    }
}

/// How a file is looked through.
#[derive(Debug, Clone)]
pub enum Look {
    /// Row by row.
    Rows(Format),
    /// Row by row, whatever days the rows are of: what payouts carry is of days before them.
    RowsOfAnyDay(Format),
    /// As a balance summary.
    Balances,
    /// As statements of a bank.
    Bank,
}

impl Inspection {
    /// What the engine found when it read the file.
    pub fn of(side: &SideSummary) -> Self {
        let first: Vec<&Reject> = side.rejects.first.iter().take(KEPT_REJECTS).collect();
        Self {
            rows: wide(side.rows),
            rows_of_day: wide(side.rows.saturating_sub(side.rows_outside_window)),
            rejects: wide(side.rejects.count),
            first_rejects: json!(first),
            covers: None,
            reversals: Vec::new(),
            bank_accounts: String::new(),
            parts: Vec::new(),
            is_cut_off: false,
        }
    }
}

/// Whether a file has anything to say about its day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holds {
    /// Rows, one of the day or without a time at least.
    RowsOfItsDay,
    /// Rows, and every one is of another day.
    RowsOfOtherDays,
    /// Neither a row nor anything that could not be read.
    NoRow,
    /// No row that could be read; the first of what could not.
    NothingReadable(String),
}

/// The day that a file is about, for its reader.
pub fn day_of(subject: &Subject) -> Result<Window> {
    let zone = Zone::named(&subject.timezone).map_err(Error::internal)?;
    Ok(Window { zone, day: subject.date })
}

/// The reader of a stored file.
pub fn format_of(file: &StoredFile) -> Result<Format> {
    match file.format {
        FileFormat::StripeItemized => Ok(Format::StripeItemized),
        FileFormat::StripePayouts => Ok(Format::Mapped(Mapping::stripe_payouts())),
        FileFormat::PlatformCsv => Ok(Format::PlatformCsv),
        FileFormat::PlatformNdjson => Ok(Format::PlatformNdjson),
        FileFormat::Mapped => {
            let text = file.mapping.as_deref().unwrap_or_default();
            let mapping = Mapping::parse(text).map_err(|error| {
                Error::impossible_row("channel_settlement_files", "mapping", file.id, error.to_string())
            })?;
            Ok(Format::Mapped(mapping))
        }
        FileFormat::StripeSummary | FileFormat::Bank => {
            let why = "a balance summary and a bank statement have no rows to match";
            Err(Error::impossible_row("channel_settlement_files", "format", file.id, why))
        }
    }
}

/// The instants of the business day that a file is about.
pub fn window(row: &StoredFile) -> Result<DayWindow> {
    let broken = |why: String| Error::impossible_row("channel_settlement_files", "timezone", row.id, why);
    let zone = Zone::named(&row.timezone).map_err(|error| broken(error.to_string()))?;
    zone.day(row.settlement_date).map_err(|error| broken(error.to_string()))
}

/// The instants of a business day.
pub fn instants(timezone: &str, date: NaiveDate) -> Result<DayWindow> {
    let zone = Zone::named(timezone).map_err(Error::internal)?;
    zone.day(date).map_err(Error::internal)
}

/// Reads the mapping that came with an upload; what is wrong with it is told with its line.
pub fn parse_mapping(text: &str) -> Result<Mapping> {
    Mapping::parse(text).map_err(|error: MappingError| {
        let why = error.to_string();
        Error::invalid_field("mapping", why.clone(), format!("映射无效：{why}"))
    })
}

/// Reads a file that was handed over once, to tell its sender what it holds. Blocks.
pub fn inspect(app: &Reconciliation, path: &Path, look: &Look, day: Window) -> Result<(Inspection, Holds)> {
    let mut counts = count(app, path, look, day, false)?;
    let holds = counts.holds();
    counts.first.truncate(KEPT_REJECTS);
    let inspection = Inspection {
        rows: wide(counts.rows),
        rows_of_day: wide(counts.rows_of_day),
        rejects: wide(counts.rejects),
        first_rejects: json!(counts.first),
        covers: counts.covers,
        reversals: counts.reversals,
        bank_accounts: counts.bank_accounts,
        parts: counts.parts,
        is_cut_off: counts.is_cut_off,
    };
    Ok((inspection, holds))
}

/// Reads a file up to its first row of the day, to see whether it has one. Blocks.
pub fn probe(app: &Reconciliation, path: &Path, look: &Look, day: Window) -> Result<Holds> {
    Ok(count(app, path, look, day, true)?.holds())
}

fn count(app: &Reconciliation, path: &Path, look: &Look, day: Window, only_to_first: bool) -> Result<Counts> {
    let plain = open_plain(app, path)?;
    let rejects = plain.damage.len() as u64;
    let first = plain.damage.clone();
    let mut counts = Counts { rejects, first, only_to_first, ..Counts::default() };
    let source = plain.open().map_err(disk)?;
    match look {
        Look::Rows(format) => {
            let options = ReadOptions { window: Some(day), ..ReadOptions::default() };
            read_rows(source, format, &options, &mut counts);
        }
        Look::RowsOfAnyDay(format) => {
            read_rows(source, format, &ReadOptions::default(), &mut counts);
        }
        Look::Balances => {
            let summary = read_balance_summary(source, &ReadOptions::default());
            counts.rows = summary.currencies.len() as u64;
            counts.rows_of_day = counts.rows;
            summary.rejects.into_iter().for_each(|reject| counts.reject(reject));
        }
        Look::Bank => {
            let file = read_bank_file(source, &ReadOptions::default());
            let is_damaged = plain.damage.iter().any(|reject| reject.reason == RejectReason::Truncated);
            counts.is_cut_off = is_damaged || file.is_cut_off;
            counts.parts = PartOfStatement::all_of(&file);
            counts.bank_accounts = bank_accounts(&file);
            let bank = Bank::of(file, &[], Exponents::Iso4217);
            counts.rows = bank.summary.entries + bank.summary.not_booked;
            counts.covers = bank.summary.days;
            // Its entries stand for the days that it tells of, of which the day that it is handed over for should be one.
            let is_told = counts.covers.is_none_or(|days| days.contains(day.day));
            counts.rows_of_day = if is_told { counts.rows } else { 0 };
            counts.reversals = bank.reversals;
            counts.rejects += bank.summary.rejects.count;
            counts.first.extend(bank.summary.rejects.first);
        }
    }
    Ok(counts)
}

/// Whether a platform file is one JSON object a line rather than a CSV. Blocks.
pub fn is_ndjson(app: &Reconciliation, path: &Path) -> Result<bool> {
    let plain = open_plain(app, path)?;
    let mut start = Vec::with_capacity(4096);
    let file = plain.open().map_err(disk)?;
    file.take(4096).read_to_end(&mut start).map_err(disk)?;
    Ok(start.trim_ascii_start().starts_with(b"{"))
}

/// The balances that a stored summary states. Blocks.
pub fn balances(app: &Reconciliation, file: &StoredFile) -> Result<StatedBalances> {
    let plain = open_plain(app, &app.files.path_of(file))?;
    let source = plain.open().map_err(disk)?;
    let summary = read_balance_summary(source, &ReadOptions::default());
    Ok(StatedBalances::of(summary, &plain.damage))
}

/// What a stored report of payouts, or of the rows that they carry, says; `None` when it cannot be read whole: of what it
/// lacks nobody knows how much it is. Blocks.
pub fn payout_facts(app: &Reconciliation, file: &StoredFile) -> Result<Option<Vec<PayoutFact>>> {
    let plain = open_plain(app, &app.files.path_of(file))?;
    let day = day_of(&file.subject())?;
    let options = ReadOptions { window: Some(day.clone()), ..ReadOptions::default() };
    let mut rejects = RejectCount(plain.damage.len() as u64);
    let report = read_rows(plain.open().map_err(disk)?, &format_of(file)?, &options, &mut rejects);
    let facts = match file.role {
        _ if rejects.0 > 0 => None,
        FileRole::PayoutRows => Some(facts_of_payout_rows(&report, &options, Some(day.day))),
        _ => Some(facts_of_payout_report(&report, &options)),
    };
    Ok(facts)
}

/// Counts what cannot be read.
struct RejectCount(u64);

impl RowSink for RejectCount {
    fn row(&mut self, _: Position, _: &Row<'_>) {}

    fn reject(&mut self, _: Reject) {
        self.0 += 1;
    }

    fn cancelled(&self) -> bool {
        self.0 > 0
    }
}

/// What stored bank statements say together, in the minor units of the channel; those `elsewhere` only of what they take back.
/// Blocks.
pub fn bank(
    app: &Reconciliation,
    files: &[StoredFile],
    elsewhere: &[StoredFile],
    exponents: Exponents,
) -> Result<Bank> {
    let mut all: Vec<(&StoredFile, bool)> = files.iter().map(|file| (file, false)).collect();
    all.extend(elsewhere.iter().map(|file| (file, true)));
    all.sort_by_key(|(file, _)| std::cmp::Reverse((file.downloaded_at, file.id)));
    let mut read = Vec::with_capacity(all.len());
    for (file, is_elsewhere) in all {
        let plain = open_plain(app, &app.files.path_of(file))?;
        let source = plain.open().map_err(disk)?;
        let file = read_bank_file(source, &ReadOptions::default());
        read.push(ReadStatements { file, damage: plain.damage.clone(), is_elsewhere });
    }
    Ok(Bank::joined(read, exponents))
}

fn open_plain(app: &Reconciliation, path: &Path) -> Result<PlainFile> {
    spool(path, &app.files.scratch(), &Limits::default()).map_err(unreadable)
}

/// A file that cannot be unpacked at all.
pub fn unreadable(error: SpoolError) -> Error {
    if matches!(error, SpoolError::Io(_) | SpoolError::Copy(_)) {
        return Error::unavailable(error, std::time::Duration::from_secs(10));
    }
    let why = error.to_string();
    Error::new(ErrorKind::Unprocessable, "FILE_UNREADABLE", why.clone(), format!("无法读取文件：{why}"))
}

fn wide(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[derive(Debug, Default)]
struct Counts {
    rows: u64,
    rows_of_day: u64,
    rejects: u64,
    first: Vec<Reject>,
    covers: Option<Days>,
    reversals: Vec<Trace>,
    bank_accounts: String,
    parts: Vec<PartOfStatement>,
    is_cut_off: bool,
    only_to_first: bool,
}

impl Counts {
    fn holds(&self) -> Holds {
        match self.first.first() {
            _ if self.rows_of_day > 0 => Holds::RowsOfItsDay,
            _ if self.rows > 0 => Holds::RowsOfOtherDays,
            Some(reject) => Holds::NothingReadable(format!("line {}: {}", reject.line, reject.message)),
            None => Holds::NoRow,
        }
    }
}

impl RowSink for Counts {
    fn row(&mut self, _: Position, row: &Row<'_>) {
        self.rows += 1;
        self.rows_of_day += u64::from(row.in_window);
    }

    fn cancelled(&self) -> bool {
        self.only_to_first && self.rows_of_day > 0
    }

    fn reject(&mut self, reject: Reject) {
        self.rejects += 1;
        if self.first.len() < KEPT_REJECTS {
            self.first.push(reject);
        }
    }
}
