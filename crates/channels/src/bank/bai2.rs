//! BAI2, the Bank Administration Institute's cash management reporting, version 2.
//!
//! A record is a line: its code, fields between commas, and a `/` at its end; records 88 go on with the one before
//! them. A file (01 to 99) holds groups (02 to 98) of one day, these hold accounts (03 to 49), and these entries
//! (16). Each trailer has the algebraic sum of all amount fields that it closes, and how many records there are.
//! Amounts have no decimal mark: they are minor units of their currency, which is that of the account, else of
//! the group, else the US dollar. The direction of an entry is in its type code.

use std::io::Read;

use chrono::NaiveDate;
use payops_core::currency::Currency;
use payops_core::money::AmountError;

use super::bai2_record::{Fields, Logical};
use super::build::{Builder, Draft, currency, id, push, short_date, signed, state, text};
use super::proof::check;
use super::{Balance, BankEntry, EntryStatus, ReferenceKind};
use crate::amount::parse_minor;
use crate::control::Statement;
use crate::fault::Fault;
use crate::options::ReadOptions;
use crate::records::{Next, Records};
use crate::row::{Position, Reject, RejectReason};
use crate::rows::cut_short;

/// Type codes of entries that undo earlier ones: reversals of debits, of ACH entries, of checks, credits, deposits.
const REVERSALS: [u16; 6] = [252, 258, 395, 552, 558, 694];
/// Non-monetary information.
const INFORMATION: u16 = 890;

/// Reads a file.
pub(super) fn read<R: Read>(source: R, options: &ReadOptions, builder: &mut Builder) {
    let mut reader =
        Reader { options, builder, record: None, file: None, group: None, account: None, records: 0 };
    match reader.lines(source) {
        Ok(()) if reader.file.is_some() => reader.builder.ends_before("its trailer (record 99)"),
        Ok(()) => {}
        Err(reject) => reader.builder.reject(reject),
    }
    reader.close_file(None);
}

/// What a trailer closes, as it is found in the file.
#[derive(Default)]
struct Level {
    /// The sum of the amounts, whatever they mean and whichever currency they are in.
    total: i128,
    /// Groups of a file, accounts of a group.
    parts: i128,
    /// Records before its header.
    records_before: i128,
}

struct File {
    id: String,
    level: Level,
}

struct Group {
    as_of: Option<NaiveDate>,
    currency: Option<Currency>,
    /// An interim report: its entries come again in the final one.
    interim: bool,
    /// Why its accounts are no statements.
    void: Option<&'static str>,
    level: Level,
}

struct Account {
    draft: Draft,
    /// Totals of credits (100) and debits (400): whether of credits, amount, count.
    stated: Vec<(bool, i64, Statement<i128>)>,
    level: Level,
}

struct Reader<'r> {
    options: &'r ReadOptions,
    builder: &'r mut Builder,
    record: Option<Logical>,
    file: Option<File>,
    group: Option<Group>,
    account: Option<Account>,
    /// Lines before the record in hand and of it, which is what trailers count.
    records: i128,
}

/// An error is the last word about the file.
type Fatal<T> = Result<T, Reject>;

impl Reader<'_> {
    fn lines<R: Read>(&mut self, source: R) -> Fatal<()> {
        let (max_row, chunk) = (self.options.limits.max_row_bytes, self.options.chunk_bytes);
        let mut records = Records::lines(source, max_row, chunk, Position { line: 1, ..Position::default() });
        loop {
            match records.next() {
                Next::Record(record) => {
                    let line = text(record.field(0));
                    self.line(&line, record.position.line)?;
                }
                Next::Broken(broken) => {
                    self.end_record()?;
                    self.records += 1;
                    self.builder.reject(broken.into_reject());
                }
                Next::End => break,
            }
        }
        self.end_record()?;
        match records.take_error() {
            Some(error) => Err(cut_short(&error)),
            None => Ok(()),
        }
    }

    fn line(&mut self, line: &str, number: u64) -> Fatal<()> {
        if let Some(record) = self.record.as_mut().filter(|_| line.starts_with("88,")) {
            record.go_on(line, self.options.limits.max_row_bytes);
            return Ok(());
        }
        self.end_record()?;
        match Logical::begin(line, number) {
            Ok(record) => self.record = Some(record),
            Err(fault) => {
                self.records += 1;
                self.builder.refuse(number, fault);
            }
        }
        Ok(())
    }

    fn end_record(&mut self) -> Fatal<()> {
        let Some(record) = self.record.take() else { return Ok(()) };
        let before = self.records;
        self.records += record.lines();
        let ordinal = if record.code() == "16" { self.builder.next_ordinal(record.line)? } else { 0 };
        if record.code() == "03" {
            self.builder.begin(record.line)?;
        }
        let outcome = record.check(self.options.limits.max_row_bytes).and_then(|()| {
            let mut fields = record.fields();
            match record.code() {
                "01" => self.file_header(&mut fields, before),
                "02" => self.group_header(&mut fields, before),
                "03" => self.account_header(&mut fields, before, record.line),
                "16" => self.entry(&mut fields, ordinal, record.line),
                "49" if self.account.is_some() => {
                    self.close_account(Some(&mut fields));
                    Ok(())
                }
                "98" if self.group.is_some() => {
                    self.close_group(Some(&mut fields));
                    Ok(())
                }
                "99" if self.file.is_some() => {
                    self.close_file(Some(&mut fields));
                    Ok(())
                }
                code => Err(misplaced(code, "it closes nothing that is open")),
            }
        });
        if let Err(fault) = outcome {
            self.builder.refuse(record.line, fault);
        }
        Ok(())
    }

    fn file_header(&mut self, fields: &mut Fields<'_>, records_before: i128) -> Result<(), Fault> {
        self.close_file(None);
        let [_sender, _receiver, date, _time, number] = fields.take();
        // Numbers are used again on another day.
        let id = id(&format!("{date}-{number}"), "01", self.options);
        let level = Level { records_before, ..Level::default() };
        self.file = Some(File { id: id.as_ref().cloned().unwrap_or_default(), level });
        id.map(|_| ())
    }

    fn group_header(&mut self, fields: &mut Fields<'_>, records_before: i128) -> Result<(), Fault> {
        self.close_group(None);
        let [_receiver, _originator, status, as_of, _time, code, modifier] = fields.take();
        let day = short_date(as_of.as_bytes(), "02");
        let known = if code.is_empty() { Ok(Currency::USD) } else { currency(code.as_bytes(), "02") };
        self.group = Some(Group {
            as_of: day.as_ref().ok().copied(),
            currency: known.as_ref().ok().copied(),
            interim: matches!(modifier, "1" | "3"),
            void: match status {
                "2" => Some("its group takes back what was sent before (status 2)"),
                "4" => Some("its group is a test (status 4)"),
                _ => None,
            },
            level: Level { records_before, ..Level::default() },
        });
        known.and(day).map(|_| ())
    }

    fn account_header(
        &mut self,
        fields: &mut Fields<'_>,
        records_before: i128,
        line: u64,
    ) -> Result<(), Fault> {
        self.close_account(None);
        let [number, code] = fields.take();
        let known = match (code, &self.group) {
            // Without a group that was read nothing says that it is in US dollars.
            ("", group) => Ok(group.as_ref().and_then(|group| group.currency)),
            (code, _) => currency(code.as_bytes(), "03").map(Some),
        };
        let account = id(number, "03", self.options);
        let draft = Draft {
            line,
            id: self.file.as_ref().map_or_else(String::new, |file| file.id.clone()),
            account: account.as_ref().cloned().unwrap_or_default(),
            currency: known.as_ref().ok().copied().flatten(),
            ..Draft::default()
        };
        let level = Level { records_before, ..Level::default() };
        self.account = Some(Account { draft, stated: Vec::new(), level });
        let summaries = self.summaries(fields);
        account.and(known.map(|_| ())).and(summaries)
    }

    /// What an account header says behind the account: type code, amount, count, availability, again and again.
    fn summaries(&mut self, fields: &mut Fields<'_>) -> Result<(), Fault> {
        let Some(account) = &mut self.account else { return Ok(()) };
        let as_of = self.group.as_ref().and_then(|group| group.as_of);
        let interim = self.group.as_ref().is_some_and(|group| group.interim);
        let mut outcome = Ok(());
        while fields.more() {
            let [code, amount, count] = fields.take();
            let read = account.level.add(amount, code);
            fields.availability(code)?;
            // What an interim report states is not about the entries that it holds.
            if interim {
                continue;
            }
            let noted = match (code, read) {
                ("010" | "015", Ok(None)) => Ok(()),
                ("010" | "015", read) => {
                    let date = as_of.ok_or_else(|| Fault::empty("02 as-of date"));
                    let balance = read
                        .and_then(|amount| Ok(Balance { amount: amount.unwrap_or_default(), date: date? }));
                    let draft = &mut account.draft;
                    let place = if code == "010" { &mut draft.opening } else { &mut draft.closing };
                    state(place, balance, code)
                }
                ("100" | "400", Ok(Some(amount))) => {
                    let count = if count.is_empty() { Statement::NotMade } else { stated(count) };
                    account.stated.push((code == "100", amount, count));
                    Ok(())
                }
                (_, read) => read.map(|_| ()),
            };
            outcome = outcome.and(noted);
        }
        outcome
    }

    fn entry(&mut self, fields: &mut Fields<'_>, ordinal: u64, line: u64) -> Result<(), Fault> {
        let Some(account) = &mut self.account else {
            return Err(misplaced("16", "no account (03) is open"));
        };
        let [code, amount] = fields.take();
        // The sum is one of all amounts, of whatever else the record is made.
        let amount = account.level.add(amount, "amount")?;
        let number: u16 = code.parse().unwrap_or(0);
        let credit = direction(number).ok_or_else(|| {
            let what = "is no type code of a credit (1xx-3xx, 920-959) or a debit (4xx-6xx, 960-999)";
            Fault::value(RejectReason::UnknownKind, "type code", what, code.as_bytes())
        })?;
        let size = match amount {
            Some(amount) if amount < 0 => {
                return Err(Fault::amount("amount", AmountError::Malformed, amount.to_string().as_bytes()));
            }
            None if number != INFORMATION => return Err(Fault::empty("amount")),
            amount => amount.unwrap_or_default(),
        };
        let value_on = fields.availability("funds type")?;
        let [bank, customer] = fields.take();
        let mut references = Vec::new();
        push(&mut references, ReferenceKind::Bank, &id(bank, "bank reference", self.options)?);
        push(&mut references, ReferenceKind::Customer, &id(customer, "customer reference", self.options)?);
        push(&mut references, ReferenceKind::Remittance, &fields.text());
        let interim = self.group.as_ref().is_some_and(|group| group.interim);
        let status = match (number == INFORMATION, interim) {
            (true, _) => EntryStatus::Information,
            (false, true) => EntryStatus::Pending,
            (false, false) => EntryStatus::Booked,
        };
        let entry = BankEntry {
            line,
            ordinal,
            amount: signed(size, credit),
            currency: account.draft.currency.ok_or_else(|| {
                Fault::new(RejectReason::BadCurrency, None, "the currency of the account cannot be read")
            })?,
            booked_on: self.group.as_ref().and_then(|group| group.as_of),
            value_on,
            status,
            reversal: REVERSALS.contains(&number),
            code: code.to_owned(),
            references,
        };
        if status == EntryStatus::Information {
            account.draft.entries.push(entry);
        } else {
            account.draft.push(entry, credit);
        }
        Ok(())
    }

    fn close_account(&mut self, trailer: Option<&mut Fields<'_>>) {
        let Some(account) = self.account.take() else { return };
        let (mut draft, level) = (account.draft, account.level);
        let [total, records] = totals(trailer);
        let currency = draft.currency;
        draft.checks.extend(check("control_total", currency, &total, level.total));
        draft.checks.extend(check("records", None, &records, self.records - level.records_before));
        let found = draft.totals;
        for (credit, sum, count) in account.stated {
            let (names, found) = if credit {
                (["credit_sum", "credit_count"], [found.credit_sum, found.credits])
            } else {
                (["debit_sum", "debit_count"], [found.debit_sum, found.debits])
            };
            draft.checks.extend(check(names[0], currency, &Statement::Made(sum.into()), found[0]));
            draft.checks.extend(check(names[1], None, &count, found[1]));
        }
        if let Some(group) = &mut self.group {
            group.level.total += level.total;
            group.level.parts += 1;
        }
        match self.group.as_ref().and_then(|group| group.void) {
            Some(why) => {
                let message = format!("the account is no statement: {why}");
                self.builder.refuse(draft.line, Fault::new(RejectReason::BadRecord, Some("02"), message));
            }
            None => self.builder.statement(draft),
        }
    }

    fn close_group(&mut self, trailer: Option<&mut Fields<'_>>) {
        self.close_account(None);
        let Some(Group { level, .. }) = self.group.take() else { return };
        let [total, accounts, records] = totals(trailer);
        self.builder.check(check("group_total", None, &total, level.total));
        self.builder.check(check("group_accounts", None, &accounts, level.parts));
        self.builder.check(check("group_records", None, &records, self.records - level.records_before));
        if let Some(file) = &mut self.file {
            file.level.total += level.total;
            file.level.parts += 1;
        }
    }

    fn close_file(&mut self, trailer: Option<&mut Fields<'_>>) {
        self.close_group(None);
        let Some(File { level, .. }) = self.file.take() else { return };
        let [total, groups, records] = totals(trailer);
        self.builder.check(check("file_total", None, &total, level.total));
        self.builder.check(check("file_groups", None, &groups, level.parts));
        self.builder.check(check("file_records", None, &records, self.records - level.records_before));
    }
}

impl Level {
    /// Adds an amount field, which may be empty.
    fn add(&mut self, text: &str, column: &str) -> Result<Option<i64>, Fault> {
        if text.is_empty() {
            return Ok(None);
        }
        let amount =
            parse_minor(text.as_bytes()).map_err(|error| Fault::amount(column, error, text.as_bytes()))?;
        self.total += i128::from(amount);
        Ok(Some(amount))
    }
}

fn misplaced(code: &str, why: &str) -> Fault {
    let message = format!("the record {code} stands where it may not: {why}");
    Fault::new(RejectReason::BadRecord, Some(code), message)
}

/// Whether an entry of this type comes to the account (true) or leaves it.
fn direction(code: u16) -> Option<bool> {
    match code {
        100..=399 | 920..=959 | INFORMATION => Some(true),
        400..=699 | 960..=999 => Some(false),
        _ => None,
    }
}

/// The figures of a trailer. One that is missing should have stated them.
fn totals<const N: usize>(trailer: Option<&mut Fields<'_>>) -> [Statement<i128>; N] {
    match trailer {
        Some(fields) => fields.take::<N>().map(stated),
        None => std::array::from_fn(|_| Statement::Unreadable),
    }
}

fn stated(text: &str) -> Statement<i128> {
    Statement::from_option(parse_minor(text.as_bytes()).ok().map(i128::from))
}
