//! The codes that a service can answer, and those that its users can look up, are the same.

use std::collections::BTreeSet;
use std::path::Path;

use crate::files::{TextFile, root, with_extension};

/// Words of this shape that no caller ever gets as a code: what a job tells the queue, the words of a proof, levels, methods,
/// types and commands of SQL, kinds and parts of files, functions of spreadsheets, and the beginnings of readable numbers.
const NO_CODES: &[&str] = &[
    "LEASE_LOST",
    "FAILED",
    "BROKEN",
    "COUNTIFS",
    "SUMIFS",
    "ERROR",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "PATCH",
    "POST",
    "BIGINT",
    "UUID",
    "COMMIT",
    "FULL",
    "NULL",
    "ROLLBACK",
    "BALANCE",
    "BANK",
    "PAYOUTS",
    "PAYROWS",
    "PLATFORM",
    "RECON",
    "SETTLE",
    "IEND",
    "IDAT",
    "PLTE",
    "GIF8",
    "JPEG",
    "WAVE",
    "WEBP",
];

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let answered =
        codes_in(&["crates/recon/src", "crates/platform/src", "crates/channels/src/stripe/webhook.rs"]);
    let documented: BTreeSet<String> = quoted(&section("docs/api-design.md", "## Envelope"), '`').collect();
    same(&answered, &documented, "docs/api-design.md");
    assert!(documented.len() > 40, "{documented:?}");
}

#[test]
fn every_code_of_disputes_is_documented_and_every_documented_code_exists() {
    let general: BTreeSet<String> = quoted(&section("docs/api-design.md", "## Envelope"), '`').collect();
    let own = |codes: BTreeSet<String>| codes.difference(&general).cloned().collect::<BTreeSet<_>>();
    let mut documented: BTreeSet<String> = quoted(&section("docs/disputes.md", "## Codes"), '`').collect();
    documented.extend(quoted(&page("docs/dispute-evidence.md"), '`'));
    let documented = own(documented);
    same(&own(codes_in(&["crates/disputes/src"])), &documented, "docs/disputes.md");
    assert!(documented.len() > 12, "{documented:?}");
}

#[track_caller]
fn same(answered: &BTreeSet<String>, documented: &BTreeSet<String>, page: &str) {
    let undocumented: Vec<&String> = answered.difference(documented).collect();
    let unknown: Vec<&String> = documented.difference(answered).collect();
    assert!(undocumented.is_empty(), "not in {page}: {undocumented:?}");
    assert!(unknown.is_empty(), "in {page}, and answered by nothing: {unknown:?}");
}

fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// A page from one of its headings to the next.
fn section(path: &str, heading: &str) -> String {
    let page = page(path);
    page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap().to_owned()
}

/// What looks like a code in the sources of some folders, but for tests and the names of settings.
fn codes_in(folders: &[&str]) -> BTreeSet<String> {
    let settings = page("docs/configuration.md");
    let ours = |file: &TextFile| {
        let part = |name: &str| file.path.components().any(|part| part.as_os_str() == name);
        let stem = file.path.file_stem().is_some_and(|stem| stem.to_string_lossy().contains("test"));
        folders.iter().any(|folder| file.path.starts_with(Path::new(folder)))
            && !part("config")
            && !part("testing")
            && !stem
    };
    let mut codes = BTreeSet::new();
    for file in with_extension(&["rs"]).iter().filter(|file| ours(file)) {
        let text = file.text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        // Words that the compiler is asked for are no codes.
        let text = text.replace("env!(\"", "");
        let literals = quoted(&text, '"').filter(|word| !settings.contains(&format!("`{word}`")));
        codes.extend(literals.filter(|word| !NO_CODES.contains(&word.as_str())));
    }
    codes
}

/// Upper-snake words of four letters and more that stand alone between two marks.
fn quoted(text: &str, mark: char) -> impl Iterator<Item = String> + '_ {
    text.split(mark)
        .filter(|word| {
            word.len() > 3
                && word.starts_with(|c: char| c.is_ascii_uppercase())
                && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        })
        .map(str::to_owned)
}
