//! The house rules that no compiler checks, as ordinary tests. CONTRIBUTING.md gives the reasons.

#![expect(clippy::unwrap_used, reason = "a rule that cannot be checked fails, and the panic says where")]

mod codes;
mod crates;
mod documents;
mod files;
mod sources;

/// Fails with one line for each offence.
#[track_caller]
fn assert_none(offences: &[String], rule: &str) {
    assert!(offences.is_empty(), "{rule}\n  {}", offences.join("\n  "));
}
