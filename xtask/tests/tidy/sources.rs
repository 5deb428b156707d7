//! Rust sources: size, loose ends, and tests that sleep.

use std::path::Path;

use crate::assert_none;
use crate::files::{TextFile, with_extension};

/// Beyond this a file tells more than one story. Tests do not count.
const MOST_LINES: usize = 600;

/// In two pieces, so that this file does not offend.
const LOOSE_ENDS: &[&str] =
    &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("#[ig", "nore")];

fn rust_files() -> Vec<TextFile> {
    with_extension(&["rs"])
}

/// The lines before the unit tests, which stand last in a file.
fn lines_before_tests(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().position(|line| *line == "#[cfg(test)]").unwrap_or(lines.len())
}

/// Files that hold nothing but tests: under `tests/`, and `tests.rs` beside the module that it tests.
fn is_test_file(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

#[test]
fn files_stay_small() {
    let mut offences = Vec::new();
    for file in rust_files().into_iter().filter(|file| !is_test_file(&file.path)) {
        let lines = lines_before_tests(&file.text);
        if lines > MOST_LINES {
            offences.push(format!("{}: {lines} lines", file.path.display()));
        }
    }
    assert_none(&offences, &format!("a Rust file has at most {MOST_LINES} lines without its tests"));
}

#[test]
fn nothing_is_left_for_later() {
    let mut offences = Vec::new();
    for file in with_extension(&["rs", "sql", "toml", "html", "css", "js"]) {
        for (index, line) in file.text.lines().enumerate() {
            for word in LOOSE_ENDS.iter().filter(|word| line.contains(**word)) {
                offences.push(format!("{}:{}: {word}", file.path.display(), index + 1));
            }
        }
    }
    assert_none(
        &offences,
        "what is left for later is an issue, not a comment; a test runs or does not exist",
    );
}

#[test]
fn tests_wait_for_conditions_and_never_for_time() {
    let mut offences = Vec::new();
    for file in rust_files() {
        let first_test_line = if is_test_file(&file.path) { 0 } else { lines_before_tests(&file.text) };
        let lines: Vec<&str> = file.text.lines().collect();
        for index in first_test_line..lines.len() {
            if sleeps(lines[index]) && !inside_a_loop(&lines[..index], indentation(lines[index])) {
                offences.push(format!("{}:{}", file.path.display(), index + 1));
            }
        }
    }
    assert_none(&offences, "a test sleeps only between two looks at a condition, in a loop with a deadline");
}

fn sleeps(line: &str) -> bool {
    let code = line.trim_start();
    let written_out = ["thread", "time"].map(|module| format!("{module}::sleep("));
    !code.starts_with("//") && written_out.iter().any(|call| code.contains(call))
}

/// Whether one of the blocks around this place, up to its function, is a loop. The sources are formatted, so a block
/// that is around a line begins on an earlier line with less indentation.
fn inside_a_loop(lines_above: &[&str], mut indentation_now: usize) -> bool {
    for line in lines_above.iter().rev().filter(|line| !line.trim().is_empty()) {
        if indentation(line) >= indentation_now {
            continue;
        }
        indentation_now = indentation(line);
        let code = line.trim_start();
        if ["loop {", "while ", "for "].iter().any(|keyword| code.starts_with(keyword)) {
            return true;
        }
        if code.contains("fn ") {
            return false;
        }
    }
    false
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[test]
fn a_sleep_is_seen_inside_and_outside_of_a_loop() {
    let outside = ["fn a() {", "    for x in y {", "    }"];
    let inside = ["fn a() {", "    loop {", "        if done {", "            return;", "        }"];
    assert!(!inside_a_loop(&outside, 4));
    assert!(inside_a_loop(&inside, 8));
    assert!(!inside_a_loop(&["loop {", "    fn a() {"], 8), "the search ends at the function");
    let call = format!("    tokio::{}(PAUSE).await;", "time::sleep");
    assert!(sleeps(&call));
    assert!(!sleeps(&format!("    // {call}")));
}
