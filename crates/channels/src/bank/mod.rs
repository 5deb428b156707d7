//! Bank statements: what came to the merchant's account and what left it, as camt.053, MT940 and BAI2 say it.
//!
//! A statement is a list of entries between two balances, so it can prove itself: opening balance + booked
//! entries = closing balance. Whatever else its format states (counts, sums, pages, control totals) is held
//! against the entries too. Only what is delivered counts: an entry that was refused makes the proof fail.

mod bai2;
mod bai2_record;
mod build;
mod camt053;
mod camt_pages;
mod information;
mod mt940;
mod proof;
mod xml;

use std::io::{Cursor, Read};

use chrono::NaiveDate;
use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

use crate::fault::excerpt;
use crate::options::ReadOptions;
use crate::report::ControlReport;
use crate::row::{Proof, Reject, RejectReason};
use crate::rows::cut_short;
use build::Builder;

/// The formats of bank statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BankFormat {
    /// ISO 20022 `BankToCustomerStatement`, versions 001.02 to 001.13.
    Camt053,
    /// SWIFT customer statement message. MT942, the interim report, is read too; its entries are pending.
    Mt940,
    /// The Bank Administration Institute's cash management reporting, version 2.
    Bai2,
}

/// What one file of bank statements holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankFile {
    /// What the file was read as; `None` when it is of no known format, which a reject says.
    pub format: Option<BankFormat>,
    /// The statements, in file order; pages of one statement are one.
    pub statements: Vec<BankStatement>,
    /// What could not be read, in file order.
    pub rejects: Vec<Reject>,
    /// Rejects beyond the first 1,000, which are only counted.
    pub rejects_left_out: u64,
    /// Whether it ends in the middle, so that it may be about more accounts, or say more of them.
    pub is_cut_off: bool,
    /// What concerns the file rather than one statement: BAI2's totals of groups and file, and that a
    /// statement opens with what the one before it closed.
    pub control: ControlReport,
    /// Statements that should stand between those of the file and do not, by their sequence numbers.
    pub gaps: Vec<SequenceGap>,
}

impl BankFile {
    /// The verdict over the file: failed when any total fails, proven when nothing was rejected and every
    /// statement proves itself. Sequence numbers have no part in it.
    pub fn proof(&self) -> Proof {
        let mut proofs = self.statements.iter().map(|statement| statement.control.proof);
        if self.control.proof == Proof::Failed || proofs.clone().any(|proof| proof == Proof::Failed) {
            return Proof::Failed;
        }
        let whole = !self.statements.is_empty() && self.rejects.is_empty();
        if whole && proofs.all(|proof| proof == Proof::Proven) { Proof::Proven } else { Proof::NotProvable }
    }
}

/// The entries of one account between two balances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankStatement {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// The account as the bank writes it: an IBAN, a number, or a bank code and a number.
    pub account: String,
    /// The statement's id: camt `Stmt/Id`, MT940 `:20:`, BAI2's date and number of the file.
    pub id: String,
    /// The sequence number: camt `ElctrncSeqNb` or `LglSeqNb`, MT940 `:28C:`; `None` where there is none.
    pub number: Option<u64>,
    /// The currency of the account, and of every amount here.
    pub currency: Currency,
    /// The booked balance before the first entry; `None` where not stated or not readable.
    pub opening: Option<Balance>,
    /// The booked balance behind the last entry; `None` where not stated or not readable.
    pub closing: Option<Balance>,
    /// The entries, in file order. Equal entries are different movements: there is no order in which the
    /// second is the first one again.
    pub entries: Vec<BankEntry>,
    /// Whether the statement's own totals hold, check by check.
    pub control: ControlReport,
}

impl BankStatement {
    /// How many pages the statement has at least and how many of them are in the file, where some are missing.
    pub fn missing_pages(&self) -> Option<MissingPages> {
        let mut checks = self.control.checks.iter();
        let check = checks.find(|check| check.name == PAGES && !check.holds())?;
        let count = |pages: i128| u64::try_from(pages).unwrap_or(u64::MAX);
        Some(MissingPages { at_least: count(check.stated?), found: count(check.found) })
    }
}

/// The check that all pages of a statement are there.
pub const PAGES: &str = "pages";

/// A statement of which pages are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissingPages {
    /// How many pages it has at least: the number of the last one that is there, or one more where that goes on.
    pub at_least: u64,
    /// How many are there.
    pub found: u64,
}

/// What an account holds at the end of a day, or at its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Minor units; negative when the account is overdrawn.
    pub amount: i64,
    /// The day, as the bank states it.
    pub date: NaiveDate,
}

/// One entry of a statement. A batch that the bank booked as one amount is one entry with the references of
/// all its transactions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BankEntry {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// How many entries of the file, delivered or refused, stand before it.
    pub ordinal: u64,
    /// Minor units: positive when money came to the account, negative when it left, reversals included.
    pub amount: i64,
    /// The currency, which is the statement's.
    pub currency: Currency,
    /// The day of booking; of BAI2, which has none, the as-of date.
    pub booked_on: Option<NaiveDate>,
    /// The day from which the money bears interest.
    pub value_on: Option<NaiveDate>,
    /// Whether the money has moved.
    pub status: EntryStatus,
    /// Whether it undoes an earlier entry. The sign of the amount already says in which direction.
    pub reversal: bool,
    /// The bank's code of the transaction as it stands in the file: `PMNT-RCDT-ESCT`, `NTRF`, `165`.
    pub code: String,
    /// Every reference and text of the entry, in file order, none of them empty.
    pub references: Vec<Reference>,
}

/// Whether an entry's money has moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryStatus {
    /// It is booked: only these make up the balances.
    Booked,
    /// It is expected, or comes from an interim report, and will come again when it is booked.
    Pending,
    /// It is told for information; no money moves.
    Information,
}

/// A text by which an entry may be recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// The text without blanks around it. Free text of several lines has a line feed between them; where a
    /// format cuts text at a fixed width a word may go on behind it.
    pub text: String,
}

/// What a reference is, and so whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// The id that travels from the payer to the payee.
    EndToEnd,
    /// The bank's own reference.
    Bank,
    /// A reference of the customer who ordered the payment, or of the account's owner.
    Customer,
    /// What the payment is for, in the words of its payer, and what the bank adds to it.
    Remittance,
    /// The name of the party on the other side.
    Counterparty,
    /// Any other reference.
    Other,
}

/// Statements that are missing between two of one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceGap {
    /// The account.
    pub account: String,
    /// The number of the statement before the gap.
    pub after: u64,
    /// The number of the statement behind it.
    pub before: u64,
}

/// How many bytes are looked at to tell the format.
const LOOKED_AT: usize = 4096;

/// Tells the format from a file's first bytes, plain text; about 4 KiB are enough. Some banks write lines of
/// their own before an MT940's first field.
pub fn detect(beginning: &[u8]) -> Option<BankFormat> {
    let looked_at = &beginning[..beginning.len().min(LOOKED_AT)];
    let text = looked_at.strip_prefix(b"\xef\xbb\xbf").unwrap_or(looked_at).trim_ascii_start();
    if text.starts_with(b"<") {
        return Some(BankFormat::Camt053);
    }
    if text.starts_with(b"01,") {
        return Some(BankFormat::Bai2);
    }
    let is_tag = |line: &[u8]| line.starts_with(b":20:") || line.starts_with(b"{1:");
    text.split(|&byte| byte == b'\n').any(is_tag).then_some(BankFormat::Mt940)
}

/// Reads a file of bank statements, plain text, in the format that its first bytes show. It never fails: what
/// cannot be read is among the rejects, and the rest is read. Of the options the limits and the size of
/// chunks are used.
pub fn read_bank_file<R: Read>(mut source: R, options: &ReadOptions) -> BankFile {
    let mut beginning = Vec::new();
    let mut builder = Builder::new(options);
    let failed = source.by_ref().take(LOOKED_AT as u64).read_to_end(&mut beginning).err();
    let format = detect(&beginning);
    let rest = source.take(if failed.is_some() { 0 } else { u64::MAX });
    let whole = Cursor::new(&beginning).chain(rest);
    match format {
        Some(BankFormat::Camt053) => camt053::read(whole, options, &mut builder),
        Some(BankFormat::Mt940) => mt940::read(whole, options, &mut builder),
        Some(BankFormat::Bai2) => bai2::read(whole, options, &mut builder),
        None => builder.reject(unknown(&beginning)),
    }
    if let Some(error) = failed {
        builder.reject(cut_short(&error));
    }
    builder.finish(format)
}

fn unknown(beginning: &[u8]) -> Reject {
    let shown = excerpt(&beginning[..beginning.len().min(40)]);
    let message = format!(
        "no bank statement: the first {} bytes were looked at for '<' of camt.053 (XML), a line with ':20:' or \
         '{{1:' of MT940, and '01,' of BAI2; the file begins with '{shown}'",
        beginning.len()
    );
    Reject { line: 0, column: None, reason: RejectReason::UnknownFormat, message }
}
