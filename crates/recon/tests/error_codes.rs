//! The codes that the service can answer, and those that its users can look up, are the same.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Words of this shape that no caller ever gets as a code: what a job tells the queue, levels, methods, types and
/// commands of SQL, and the beginnings of readable numbers.
const NO_CODES: [&str; 16] = [
    "LEASE_LOST",
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
    "ROLLBACK",
    "BALANCE",
    "PLATFORM",
    "RECON",
    "SETTLE",
];

#[test]
fn every_code_is_documented_and_every_documented_code_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let settings = std::fs::read_to_string(root.join("docs/configuration.md")).unwrap();
    let mut answered = BTreeSet::new();
    for folder in ["crates/recon/src", "crates/platform/src"] {
        for file in sources(&root.join(folder)) {
            let text = std::fs::read_to_string(&file).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            // Words that the compiler is asked for are no codes.
            let text = text.replace("env!(\"", "");
            let literals = quoted(&text, '"').filter(|word| !settings.contains(&format!("`{word}`")));
            answered.extend(literals.filter(|word| !NO_CODES.contains(&word.as_str())));
        }
    }
    let design = std::fs::read_to_string(root.join("docs/api-design.md")).unwrap();
    let section = design.split("## Envelope").nth(1).unwrap().split("\n## ").next().unwrap();
    let documented: BTreeSet<String> = quoted(section, '`').collect();
    let undocumented: Vec<&String> = answered.difference(&documented).collect();
    let unknown: Vec<&String> = documented.difference(&answered).collect();
    assert!(undocumented.is_empty(), "not in docs/api-design.md: {undocumented:?}");
    assert!(unknown.is_empty(), "in docs/api-design.md, and answered by nothing: {unknown:?}");
    assert!(documented.len() > 40, "{documented:?}");
}

/// The files that are part of the service: no tests, no settings.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name == "config" => {}
            true => files.extend(sources(&path)),
            false if name.contains("test") => {}
            false => files.push(path),
        }
    }
    files
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
