//! MT940, SWIFT's customer statement message, with or without the envelope of the network, and MT942, the interim
//! report of the same form.
//!
//! A field is a line that begins with its tag, and the lines behind it. A statement may come as several pages:
//! all but the last close with `:62M:`, all but the first open with `:60M:`, and what one page closes the next
//! opens. A file may hold statements of several accounts. What stands before the first `:20:` or behind a
//! message's end is the bank's own.

use std::io::Read;

use chrono::{Datelike, NaiveDate};
use payops_core::currency::Currency;

use super::build::{Builder, Draft, currency, id, push, short_date, signed, state, text, unsigned};
use super::proof::check;
use super::{Balance, BankEntry, EntryStatus, PAGES, ReferenceKind, information};
use crate::control::Statement;
use crate::fault::Fault;
use crate::options::ReadOptions;
use crate::records::{Next, Records};
use crate::row::{Position, Reject, RejectReason};
use crate::rows::cut_short;

/// Reads a file.
pub(super) fn read<R: Read>(source: R, options: &ReadOptions, builder: &mut Builder) {
    let mut reader = Reader {
        options,
        builder,
        field: None,
        head: None,
        open: None,
        entry: None,
        in_message: false,
        in_envelope: false,
    };
    match reader.lines(source) {
        Ok(()) if reader.in_envelope => reader.builder.ends_before("the end ('-}') of its last message"),
        Ok(()) if reader.lacks_closing() => {
            reader.builder.ends_before("the closing balance (:62F:) of its last statement");
        }
        Ok(()) => {}
        Err(reject) => reader.builder.reject(reject),
    }
    reader.close();
}

/// A field as far as it is read.
struct Field {
    tag: String,
    line: u64,
    lines: Vec<String>,
    bytes: usize,
}

/// What a page says before its opening balance.
#[derive(Default)]
struct Head {
    line: u64,
    id: String,
    account: String,
    number: Option<u64>,
    page: Option<u64>,
    /// The currency of an MT942, which has no opening balance to name it.
    interim: Option<Currency>,
}

/// A statement as far as it is read.
struct Open {
    draft: Draft,
    /// It is an MT942: its entries come again.
    interim: bool,
    /// The last page's number.
    page: Option<u64>,
    /// How many pages were read.
    pages: u64,
    /// A page before the first one is missing, for that one opens with `:60M:`.
    began_in_middle: bool,
    /// The last page closed with `:62M:`.
    goes_on: bool,
    /// The sum of the booked entries.
    moved: i128,
}

struct Reader<'r> {
    options: &'r ReadOptions,
    builder: &'r mut Builder,
    field: Option<Field>,
    head: Option<Head>,
    open: Option<Open>,
    /// An entry that waits for its `:86:`.
    entry: Option<(BankEntry, bool)>,
    /// Between `:20:` and the end of a message.
    in_message: bool,
    /// Between `{1:` and the `-}` that closes the text of a message of the network.
    in_envelope: bool,
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
                    self.end_field()?;
                    self.builder.reject(broken.into_reject());
                }
                Next::End => break,
            }
        }
        self.end_field()?;
        match records.take_error() {
            Some(error) => Err(cut_short(&error)),
            None => Ok(()),
        }
    }

    fn line(&mut self, line: &str, number: u64) -> Fatal<()> {
        if let Some((tag, content)) = tag(line) {
            self.end_field()?;
            let field = Field {
                tag: tag.to_owned(),
                line: number,
                lines: vec![content.to_owned()],
                bytes: content.len(),
            };
            self.field = Some(field);
        } else if line.starts_with('{') || line.trim_end() == "-" || line.starts_with("-}") {
            self.end_field()?;
            self.in_message = false;
            let is_within = self.in_envelope && !line.starts_with("-}");
            self.in_envelope = is_within || line.contains("{1:");
        } else if let Some(field) = &mut self.field {
            field.bytes = field.bytes.saturating_add(line.len());
            if field.bytes <= self.options.limits.max_row_bytes {
                field.lines.push(line.to_owned());
            }
        }
        Ok(())
    }

    fn end_field(&mut self) -> Fatal<()> {
        let Some(field) = self.field.take() else { return Ok(()) };
        let line = field.line;
        if field.bytes > self.options.limits.max_row_bytes {
            let message =
                format!("field {} is longer than {} bytes", field.tag, self.options.limits.max_row_bytes);
            self.builder.refuse(line, Fault::new(RejectReason::RowTooLong, Some(&field.tag), message));
            return Ok(());
        }
        if field.tag == "20" {
            return self.begin(&field);
        }
        if !self.in_message {
            if field.tag == "61" {
                self.builder.next_ordinal(line)?;
                let message = "an entry stands outside of a statement: no field 20 before it";
                self.builder.refuse(line, Fault::new(RejectReason::BadRecord, Some("61"), message));
            }
            return Ok(());
        }
        if let Err(fault) = self.content(&field)? {
            self.builder.refuse(line, fault);
        }
        Ok(())
    }

    fn begin(&mut self, field: &Field) -> Fatal<()> {
        self.flush();
        if self.head.is_some() {
            // The page before had neither a balance nor an entry.
            self.start(false);
        }
        self.builder.begin(field.line)?;
        self.in_message = true;
        let mut head = Head { line: field.line, ..Head::default() };
        match id(&field.lines[0], "20", self.options) {
            Ok(id) => head.id = id,
            Err(fault) => self.builder.refuse(field.line, fault),
        }
        self.head = Some(head);
        Ok(())
    }

    /// What a field inside of a message says.
    fn content(&mut self, field: &Field) -> Fatal<Result<(), Fault>> {
        let value = field.lines[0].trim();
        Ok(match field.tag.as_str() {
            "25" | "25P" => id(value, "25", self.options).map(|account| self.head().account = account),
            "28" | "28C" => statement_number(value).map(|(number, page)| {
                let head = self.head();
                (head.number, head.page) = (Some(number), page);
            }),
            "34F" => value.get(..3).map_or_else(
                || Err(Fault::value(RejectReason::BadCurrency, "34F", "has no currency", value.as_bytes())),
                |code| currency(code.as_bytes(), "34F").map(|currency| self.head().interim = Some(currency)),
            ),
            "60F" | "60M" => self.opening(&field.tag, value),
            "61" => {
                let ordinal = self.builder.next_ordinal(field.line)?;
                self.entry(field, ordinal)
            }
            "86" => {
                if let Some((entry, _)) = &mut self.entry {
                    information::read(&field.lines, &mut entry.references);
                }
                self.flush();
                Ok(())
            }
            "62F" | "62M" => self.closing(&field.tag, value),
            "90C" | "90D" => self.totals(&field.tag, value),
            _ => Ok(()),
        })
    }

    /// The head of the page, made anew where a field of it comes late.
    fn head(&mut self) -> &mut Head {
        self.head.get_or_insert_default()
    }

    /// Begins a statement with what is known of its first page.
    fn start(&mut self, middle: bool) -> &mut Open {
        self.close_open();
        let head = self.head.take().unwrap_or_default();
        let draft = Draft {
            line: head.line,
            id: head.id,
            account: head.account,
            number: head.number,
            currency: head.interim,
            ..Draft::default()
        };
        self.open.insert(Open {
            draft,
            interim: head.interim.is_some(),
            page: head.page,
            pages: 1,
            began_in_middle: middle,
            goes_on: false,
            moved: 0,
        })
    }

    /// The statement that fields belong to; a page without an opening balance begins one.
    fn statement(&mut self) -> &mut Open {
        match self.head.is_none().then(|| self.open.take()).flatten() {
            Some(open) => self.open.insert(open),
            None => self.start(false),
        }
    }

    fn opening(&mut self, tag: &str, value: &str) -> Result<(), Fault> {
        let middle = tag == "60M";
        let goes_on = middle
            && self.head.as_ref().zip(self.open.as_ref()).is_some_and(|(head, open)| {
                open.goes_on && open.draft.account == head.account && open.draft.number == head.number
            });
        if goes_on {
            let head = self.head.take();
            return self.next_page(head.and_then(|head| head.page), value);
        }
        if self.head.is_some() {
            self.start(middle);
        }
        let open = self.statement();
        let read = balance(&mut open.draft, value, tag);
        state(&mut open.draft.opening, read, tag)
    }

    /// A page of the statement that is open: it opens with what the one before it closed.
    fn next_page(&mut self, page: Option<u64>, value: &str) -> Result<(), Fault> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.goes_on = false;
        open.pages += 1;
        open.page = page;
        let closed = std::mem::take(&mut open.draft.closing);
        let read = balance(&mut open.draft, value, "60M");
        let currency = open.draft.currency;
        let stated = amount_of(&closed);
        let opened = read.as_ref().map_or(Statement::Unreadable, |read| Statement::Made(read.amount.into()));
        if let (Statement::Made(closed), Statement::Made(opening)) = (stated, &open.draft.opening) {
            let found = i128::from(opening.amount) + open.moved;
            open.draft.checks.extend(check("page_balance", currency, &Statement::Made(closed), found));
            open.draft.checks.extend(check("page_opening", currency, &opened, closed));
        } else {
            open.draft.checks.extend(check("page_opening", currency, &Statement::Unreadable, 0));
        }
        read.map(|_| ())
    }

    fn closing(&mut self, tag: &str, value: &str) -> Result<(), Fault> {
        self.flush();
        let open = self.statement();
        open.goes_on = tag == "62M";
        let read = balance(&mut open.draft, value, tag);
        state(&mut open.draft.closing, read, tag)
    }

    fn entry(&mut self, field: &Field, ordinal: u64) -> Result<(), Fault> {
        self.flush();
        let options = self.options;
        let open = self.statement();
        let currency = open.draft.currency.ok_or_else(|| {
            Fault::new(
                RejectReason::BadCurrency,
                Some("61"),
                "no balance before the entry names its currency",
            )
        })?;
        let (mut entry, credit) = statement_line(field, currency, options)?;
        entry.ordinal = ordinal;
        if open.interim {
            entry.status = EntryStatus::Pending;
        }
        self.entry = Some((entry, credit));
        Ok(())
    }

    /// The number and the sum of the debits or the credits, which MT942 states.
    fn totals(&mut self, tag: &str, value: &str) -> Result<(), Fault> {
        self.flush();
        let open = self.statement();
        let digits = value.bytes().take_while(u8::is_ascii_digit).count();
        let (count, rest) = value.split_at(digits);
        let (code, amount) = rest.split_at_checked(3).unwrap_or((rest, ""));
        let read = currency(code.as_bytes(), tag).and_then(|currency| {
            open.draft.agree(currency, tag)?;
            unsigned(amount.as_bytes(), currency, b',', tag)
        });
        let totals = open.draft.totals;
        let (names, found) = match tag {
            "90C" => (["credit_count", "credit_sum"], [totals.credits, totals.credit_sum]),
            _ => (["debit_count", "debit_sum"], [totals.debits, totals.debit_sum]),
        };
        let count = Statement::from_option(count.parse().ok());
        let sum = Statement::from_option(read.as_ref().ok().map(|sum| i128::from(*sum)));
        let currency = open.draft.currency;
        open.draft.checks.extend(check(names[0], None, &count, found[0]));
        open.draft.checks.extend(check(names[1], currency, &sum, found[1]));
        read.map(|_| ())
    }

    /// Delivers the entry that waits for its `:86:`.
    fn flush(&mut self) {
        if let (Some((entry, credit)), Some(open)) = (self.entry.take(), &mut self.open) {
            if entry.status == EntryStatus::Booked {
                open.moved += i128::from(entry.amount);
            }
            open.draft.push(entry, credit);
        }
    }

    /// Whether the statement that is open has no closing balance yet. An interim report never has one.
    fn lacks_closing(&self) -> bool {
        let of_head = self.head.as_ref().map(|head| head.interim.is_none());
        let of_open = || {
            self.open.as_ref().map(|open| !open.interim && matches!(open.draft.closing, Statement::NotMade))
        };
        of_head.or_else(of_open).unwrap_or(false)
    }

    fn close(&mut self) {
        self.flush();
        if self.head.is_some() {
            self.start(false);
        }
        self.close_open();
    }

    /// Delivers the statement that is open. Where pages are spoken of, the first and the last must be there.
    fn close_open(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        // Both balances must be there, in an interim report neither.
        for place in [&mut open.draft.opening, &mut open.draft.closing] {
            if matches!(place, Statement::NotMade) && !open.interim {
                *place = Statement::Unreadable;
            }
        }
        if open.pages > 1 || open.began_in_middle || open.goes_on {
            let read = open.pages.saturating_add(u64::from(open.began_in_middle));
            let last = open.page.map_or(read, |page| page.max(read));
            let stated = last.saturating_add(u64::from(open.goes_on));
            let found = i128::from(open.pages);
            open.draft.checks.extend(check(PAGES, None, &Statement::Made(stated.into()), found));
        }
        self.builder.statement(open.draft);
    }
}

/// A tag at the beginning of a line, such as `:28C:`, and what follows it.
fn tag(line: &str) -> Option<(&str, &str)> {
    let (tag, content) = line.strip_prefix(':')?.split_once(':')?;
    let known =
        matches!(tag.len(), 2 | 3) && tag.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    known.then_some((tag, content))
}

fn amount_of(balance: &Statement<Balance>) -> Statement<i128> {
    match balance {
        Statement::Made(balance) => Statement::Made(balance.amount.into()),
        Statement::Unreadable => Statement::Unreadable,
        Statement::NotMade => Statement::NotMade,
    }
}

/// `79/1`: the number of the statement and of its page. Some banks add more parts, which say nothing of pages.
fn statement_number(value: &str) -> Result<(u64, Option<u64>), Fault> {
    let mut parts = value.split('/').map(str::trim);
    let number = parts.next().unwrap_or_default();
    let what = "is not the number of a statement";
    let number =
        number.parse().map_err(|_| Fault::value(RejectReason::BadRecord, "28C", what, value.as_bytes()))?;
    let page = parts.next().and_then(|page| page.parse().ok());
    Ok((number, if parts.next().is_some() { None } else { page }))
}

/// `C260320EUR1000,00`: direction, day, currency, amount.
fn balance(draft: &mut Draft, value: &str, tag: &str) -> Result<Balance, Fault> {
    let shape = || {
        let what = "is not a balance: C or D, a date, a currency and an amount are expected";
        Fault::value(RejectReason::BadRecord, tag, what, value.as_bytes())
    };
    let credit = match value.as_bytes().first() {
        Some(b'C') => true,
        Some(b'D') => false,
        _ => return Err(shape()),
    };
    let (date, rest) = value.get(1..).and_then(|rest| rest.split_at_checked(6)).ok_or_else(shape)?;
    let (code, amount) = rest.split_at_checked(3).ok_or_else(shape)?;
    let date = short_date(date.as_bytes(), tag)?;
    let currency = currency(code.as_bytes(), tag)?;
    draft.agree(currency, tag)?;
    Ok(Balance { amount: signed(unsigned(amount.as_bytes(), currency, b',', tag)?, credit), date })
}

/// Whether a `:61:` is a credit to the account, undoes an earlier entry, or is only expected.
fn mark(text: &str) -> Option<(bool, bool, bool, &str)> {
    for (mark, credit, reversal, expected) in [
        // The reversal of a credit takes money, that of a debit gives it back.
        ("RC", false, true, false),
        ("RD", true, true, false),
        ("EC", true, false, true),
        ("ED", false, false, true),
        ("C", true, false, false),
        ("D", false, false, false),
    ] {
        if let Some(rest) = text.strip_prefix(mark) {
            return Some((credit, reversal, expected, rest));
        }
    }
    None
}

/// `2603200320CR1250,50NTRFcustomer//bank` and, on a line of its own, what the bank adds.
fn statement_line(
    field: &Field,
    currency: Currency,
    options: &ReadOptions,
) -> Result<(BankEntry, bool), Fault> {
    let value = field.lines[0].trim();
    let shape = |what: &str| Fault::value(RejectReason::BadRecord, "61", what, value.as_bytes());
    let (value_date, rest) = value.split_at_checked(6).ok_or_else(|| shape("has no value date"))?;
    let value_on = short_date(value_date.as_bytes(), "61")?;
    let (booked_on, rest) = match rest.split_at_checked(4) {
        Some((entry_date, rest)) if entry_date.bytes().all(|byte| byte.is_ascii_digit()) => {
            (near(value_on, entry_date)?, rest)
        }
        _ => (value_on, rest),
    };
    let (credit, reversal, expected, rest) = mark(rest).ok_or_else(|| {
        Fault::value(RejectReason::UnknownKind, "61", "has none of C, D, RC, RD, EC and ED", value.as_bytes())
    })?;
    // The third letter of the currency, or whatever a bank puts there.
    let rest = rest.strip_prefix(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(rest);
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ',').unwrap_or(rest.len());
    let (amount, rest) = rest.split_at(end);
    let amount = signed(unsigned(amount.as_bytes(), currency, b',', "61")?, credit);
    let (code, rest) = rest
        .split_at_checked(4)
        .filter(|(code, _)| {
            code.starts_with(['N', 'S', 'F']) && code.bytes().all(|b| b.is_ascii_alphanumeric())
        })
        .ok_or_else(|| shape("has no transaction type of four letters behind its amount"))?;
    let (customer, bank) = rest.split_once("//").unwrap_or((rest, ""));
    let mut references = Vec::new();
    // A word of field 86 says that the reference stands there.
    let customer =
        Some(id(customer, "61", options)?).filter(|text| !matches!(text.as_str(), "EREF" | "KREF+"));
    push(&mut references, ReferenceKind::Customer, customer.as_deref().unwrap_or_default());
    push(&mut references, ReferenceKind::Bank, &id(bank, "61", options)?);
    push(&mut references, ReferenceKind::Other, &field.lines[1..].join("\n"));
    let entry = BankEntry {
        line: field.line,
        ordinal: 0,
        amount,
        currency,
        booked_on: Some(booked_on),
        value_on: Some(value_on),
        status: if expected { EntryStatus::Pending } else { EntryStatus::Booked },
        reversal,
        code: code.to_owned(),
        references,
    };
    Ok((entry, credit))
}

/// The day of booking, written MMDD: of the years around the value date the one that brings it nearest.
fn near(value_on: NaiveDate, entry_date: &str) -> Result<NaiveDate, Fault> {
    let read = |text: &str| text.parse().unwrap_or(0);
    let (month, day) = (read(&entry_date[..2]), read(&entry_date[2..]));
    let year = value_on.year();
    [year - 1, year, year + 1]
        .into_iter()
        .filter_map(|year| NaiveDate::from_ymd_opt(year, month, day))
        .min_by_key(|date| (*date - value_on).num_days().abs())
        .ok_or_else(|| {
            Fault::value(RejectReason::BadTime, "61", "has no entry date as MMDD", entry_date.as_bytes())
        })
}
