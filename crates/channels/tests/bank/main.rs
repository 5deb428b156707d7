//! Bank statements: whole files in each format, bad ones, and statements that are written out and read back.

#![expect(clippy::unwrap_used, reason = "what cannot be in a test may stop it")]

mod bad_inputs;
mod formats;
mod proofs;
mod round_trip;

use payops_channels::ReadOptions;
use payops_channels::bank::{BankEntry, BankFile, BankStatement, ReferenceKind, read_bank_file};
use payops_channels::row::RejectReason;

const CAMT: &str = include_str!("camt053.xml");
const MT940: &str = include_str!("mt940.sta");
const BAI2: &str = include_str!("bai2.txt");

fn read(bytes: impl AsRef<[u8]>) -> BankFile {
    read_bank_file(bytes.as_ref(), &ReadOptions::default())
}

/// Line, column and reason of each reject.
fn refusals(file: &BankFile) -> Vec<(u64, Option<&str>, RejectReason)> {
    file.rejects.iter().map(|reject| (reject.line, reject.column.as_deref(), reject.reason)).collect()
}

fn amounts(statement: &BankStatement) -> Vec<i64> {
    statement.entries.iter().map(|entry| entry.amount).collect()
}

fn references(entry: &BankEntry) -> Vec<(ReferenceKind, &str)> {
    entry.references.iter().map(|reference| (reference.kind, reference.text.as_str())).collect()
}

/// Name, stated and found of each check that does not hold.
fn broken(checks: &[payops_channels::ControlCheck]) -> Vec<(&str, Option<i128>, i128)> {
    checks
        .iter()
        .filter(|check| !check.holds())
        .map(|check| (check.name.as_str(), check.stated, check.found))
        .collect()
}
