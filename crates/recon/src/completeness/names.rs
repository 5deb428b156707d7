//! What the name of a file says: its day, its number, and which part of how many it is.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use payops_platform::error::{Error, Result};
use regex::bytes::{Captures, Regex, RegexBuilder};

use super::{Hole, holes};

/// The longest pattern, in characters.
pub const LONGEST_PATTERN: usize = 200;
/// The most memory that a compiled pattern may use, in bytes.
const LARGEST_PATTERN: usize = 256 << 10;
/// What a pattern may tell.
const GROUPS: [&str; 4] = ["date", "sequence", "part", "parts"];
/// The most digits of a number.
const MOST_DIGITS: usize = 15;
/// The most parts that a day is in; a name that speaks of more says nothing about parts.
const MOST_PARTS: u64 = 1000;

/// How names of files are read: a regular expression that must fit the whole name, with the named groups `date`, `sequence`,
/// `part` and `parts`. It takes time in proportion to the name, whatever the pattern.
#[derive(Debug, Clone)]
pub struct Pattern(Regex);

/// What a name says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Name {
    /// The business day.
    pub date: Option<NaiveDate>,
    /// The number among files.
    pub sequence: Option<u64>,
    /// Which part of a day it is, from 1.
    pub part: Option<u64>,
    /// How many parts the day has.
    pub parts: Option<u64>,
}

impl Pattern {
    /// Reads a pattern; 400 about the field `name_pattern` when it is none, is too large, names a group that is not known,
    /// or tells neither sequence nor part nor date.
    pub fn new(text: &str) -> Result<Self> {
        let refuse = |en: String, zh: String| Error::invalid_field("name_pattern", en, zh);
        if text.chars().count() > LONGEST_PATTERN {
            return Err(refuse(
                format!("is longer than {LONGEST_PATTERN} characters"),
                format!("超过 {LONGEST_PATTERN} 个字符"),
            ));
        }
        let compiled = RegexBuilder::new(&format!("^(?:{text})$"))
            .unicode(false)
            .size_limit(LARGEST_PATTERN)
            .dfa_size_limit(LARGEST_PATTERN)
            .build()
            .map_err(|error| {
                let why = error.to_string().lines().last().unwrap_or_default().to_owned();
                refuse(format!("is no usable regular expression: {why}"), "不是可用的正则表达式".to_owned())
            })?;
        let named: Vec<&str> = compiled.capture_names().flatten().collect();
        if named.is_empty() || named.iter().any(|name| !GROUPS.contains(name)) {
            return Err(refuse(
                "names its groups date, sequence, part or parts, as in STL-(?<date>\\d{8})\\.(?<sequence>\\d{2})\\..*"
                    .to_owned(),
                "命名分组应为 date、sequence、part 或 parts".to_owned(),
            ));
        }
        Ok(Self(compiled))
    }

    /// What a name says; `None` when the pattern does not fit it.
    pub fn read(&self, name: &str) -> Option<Name> {
        let found = self.0.captures(name.as_bytes())?;
        let parts = number(&found, "parts").filter(|parts| (1..=MOST_PARTS).contains(parts));
        let part = number(&found, "part").filter(|part| (1..=parts.unwrap_or(MOST_PARTS)).contains(part));
        Some(Name { date: day(&found), sequence: number(&found, "sequence"), part, parts })
    }
}

fn digits<'n>(found: &Captures<'n>, group: &str) -> Option<&'n str> {
    std::str::from_utf8(found.name(group)?.as_bytes()).ok()
}

fn number(found: &Captures<'_>, group: &str) -> Option<u64> {
    digits(found, group).filter(|text| text.len() <= MOST_DIGITS)?.parse().ok()
}

/// The date, written 20260106, 2026-01-06 or with another character between.
fn day(found: &Captures<'_>) -> Option<NaiveDate> {
    let digits: String = digits(found, "date")?.chars().filter(char::is_ascii_digit).collect();
    NaiveDate::parse_from_str(&digits, "%Y%m%d").ok().filter(|_| digits.len() == 8)
}

/// A file that was kept, as its name is looked at.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The business day that it was handed over for.
    pub day: NaiveDate,
    /// What its name says.
    pub name: Name,
    /// Whether it is in force for its day.
    pub in_force: bool,
    /// What tells its content from another one.
    pub content: String,
}

/// What names say is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Numbers between others that no file has.
    Sequence(Hole),
    /// Parts of a day that are not in force: one file is, and it says that it is another part.
    Part(Hole),
    /// One number with two contents.
    Repeated(u64),
    /// The file in force says that it is another day's.
    OtherDate,
}

/// What the names of these files say is not as it should be, each by the business day that it belongs to. A number is there
/// when a file in force has it: one that another file took the place of is not in its day's figures. With `restarts`, a
/// day's numbers begin at 1, otherwise they run on from file to file and the first that is there is the first.
pub fn findings(files: &[Seen], restarts: bool) -> BTreeSet<(NaiveDate, Finding)> {
    let mut found = BTreeSet::new();
    for file in files.iter().filter(|file| file.in_force) {
        found.extend(other_parts(&file.name).map(|hole| (file.day, Finding::Part(hole))));
        if file.name.date.is_some_and(|date| date != file.day) {
            found.insert((file.day, Finding::OtherDate));
        }
    }
    found.extend(repeated(files, restarts));
    found.extend(skipped(files, restarts));
    found
}

/// Numbers with several contents, each by the last day that has one.
fn repeated(files: &[Seen], restarts: bool) -> impl Iterator<Item = (NaiveDate, Finding)> {
    let mut contents: BTreeMap<_, (BTreeSet<&str>, NaiveDate)> = BTreeMap::new();
    for file in files {
        let Some(number) = file.name.sequence else { continue };
        let key = (restarts.then_some(file.day), number);
        let (known, last) = contents.entry(key).or_insert_with(|| (BTreeSet::new(), file.day));
        known.insert(&file.content);
        *last = file.day.max(*last);
    }
    let several = contents.into_iter().filter(|(_, (known, _))| known.len() > 1);
    several.map(|((_, number), (_, last))| (last, Finding::Repeated(number))).collect::<Vec<_>>().into_iter()
}

/// Numbers between others that no file in force has.
fn skipped(files: &[Seen], restarts: bool) -> Vec<(NaiveDate, Finding)> {
    let mut scopes: BTreeMap<Option<NaiveDate>, BTreeMap<u64, NaiveDate>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.in_force) {
        let Some(number) = file.name.sequence else { continue };
        let days = scopes.entry(restarts.then_some(file.day)).or_default();
        let first = days.entry(number).or_insert(file.day);
        *first = file.day.min(*first);
    }
    let mut found = Vec::new();
    for (scope, days) in scopes {
        let there: BTreeSet<u64> = days.keys().copied().collect();
        let from = if scope.is_some() { 1 } else { there.first().copied().unwrap_or_default() };
        for hole in holes(&there, from) {
            let behind = days.range(hole.last..).next().map(|(_, day)| *day);
            found.extend(behind.map(|day| (day, Finding::Sequence(hole))));
        }
    }
    found
}

/// The parts that are not there while a file in force says that it is one of several.
fn other_parts(name: &Name) -> impl Iterator<Item = Hole> {
    let part = name.part;
    let last = part.map_or(0, |part| name.parts.unwrap_or(part));
    let others = (1..=last).filter(move |other| Some(*other) != part);
    others.map(|other| Hole { first: other, last: other })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAYPAL: &str = r"STL-(?<date>\d{8})\.(?<sequence>\d{2})\.\d{3}\.(?i:csv)";
    const ADYEN: &str = r"settlement_detail_report_batch_(?<sequence>\d+)\.csv";
    const TRUSTLY: &str = r".*-(?<part>\d{4})of(?<parts>\d{4})(\.csv)?";

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn read(pattern: &str, name: &str) -> Option<Name> {
        Pattern::new(pattern).unwrap().read(name)
    }

    fn seen(day: &str, sequence: u64) -> Seen {
        let name = Name { sequence: Some(sequence), ..Name::default() };
        Seen { day: date(day), name, in_force: true, content: sequence.to_string() }
    }

    #[test]
    fn names_of_channels_are_read() {
        let paypal = Name { date: Some(date("2026-01-06")), sequence: Some(1), ..Name::default() };
        assert_eq!(read(PAYPAL, "STL-20260106.01.009.csv"), Some(paypal));
        assert_eq!(read(ADYEN, "settlement_detail_report_batch_117.csv").unwrap().sequence, Some(117));
        let trustly = read(TRUSTLY, "ledger-2026-0001of0002").unwrap();
        assert_eq!((trustly.part, trustly.parts), (Some(1), Some(2)));
        assert_eq!(read(r"a(?<date>[0-9-]+)", "a2026-01-06").unwrap().date, Some(date("2026-01-06")));
    }

    #[test]
    fn a_name_that_does_not_fit_says_nothing() {
        assert_eq!(read(ADYEN, "settlement_detail_report_batch_117.csv.bak"), None);
        assert_eq!(read(ADYEN, "批次 117"), None);
        let long = format!("settlement_detail_report_batch_{}.csv", "9".repeat(40));
        assert_eq!(read(ADYEN, &long).unwrap().sequence, None);
        assert_eq!(read(PAYPAL, "STL-20261306.01.009.csv").unwrap().date, None);
        assert_eq!(read(TRUSTLY, "x-0003of0002").unwrap().part, None);
        assert_eq!(read(TRUSTLY, "x-0001of9999").unwrap().parts, None);
    }

    #[test]
    fn patterns_that_cannot_be_used_name_their_field() {
        let large = "(?<part>((a{50}){50}){50})";
        let long = format!("(?<part>{})", "a".repeat(LONGEST_PATTERN));
        for text in ["(?<part>", "no groups", "(?<batch>\\d+)", large, &long, ""] {
            let refused = Pattern::new(text).unwrap_err();
            assert_eq!(refused.fields()[0].path, "name_pattern", "{text}: {refused}");
        }
    }

    #[test]
    fn a_skipped_number_belongs_to_the_day_of_the_file_behind_it() {
        let files = [seen("2026-01-05", 117), seen("2026-01-07", 119)];
        let hole = Finding::Sequence(Hole { first: 118, last: 118 });
        assert_eq!(findings(&files, false), [(date("2026-01-07"), hole)].into());
        let whole = [seen("2026-01-05", 117), seen("2026-01-06", 118), seen("2026-01-07", 119)];
        assert!(findings(&whole, false).is_empty());
    }

    #[test]
    fn numbers_that_restart_begin_at_one_each_day() {
        let whole = [seen("2026-01-05", 1), seen("2026-01-06", 1), seen("2026-01-06", 2)];
        assert!(findings(&whole, true).is_empty());
        let hole = Finding::Sequence(Hole { first: 1, last: 1 });
        assert_eq!(findings(&[seen("2026-01-05", 2)], true), [(date("2026-01-05"), hole)].into());
    }

    #[test]
    fn a_number_with_two_contents_is_told_and_fills_its_place() {
        let again = Seen { content: "other".to_owned(), ..seen("2026-01-06", 117) };
        let files = [seen("2026-01-05", 117), again, seen("2026-01-07", 118)];
        assert_eq!(findings(&files, false), [(date("2026-01-06"), Finding::Repeated(117))].into());
        let same = Seen { content: "117".to_owned(), ..seen("2026-01-06", 117) };
        assert!(findings(&[seen("2026-01-05", 117), same], false).is_empty());
    }

    #[test]
    fn parts_and_dates_are_those_of_the_file_in_force() {
        let name = Name { part: Some(2), parts: Some(3), date: Some(date("2026-01-04")), ..Name::default() };
        let file = Seen { day: date("2026-01-05"), name, in_force: true, content: String::new() };
        let part = |number| (date("2026-01-05"), Finding::Part(Hole { first: number, last: number }));
        let expected = [part(1), part(3), (date("2026-01-05"), Finding::OtherDate)];
        assert_eq!(findings(std::slice::from_ref(&file), false), expected.into());
        assert!(findings(&[Seen { in_force: false, ..file }], false).is_empty());
    }

    #[test]
    fn a_number_that_another_file_took_the_place_of_is_not_there() {
        let replaced = Seen { in_force: false, ..seen("2026-01-05", 1) };
        let hole = (date("2026-01-05"), Finding::Sequence(Hole { first: 1, last: 1 }));
        assert_eq!(findings(&[replaced, seen("2026-01-05", 2)], true), [hole].into());
    }

    proptest! {
        #[test]
        fn what_is_told_does_not_depend_on_the_order_of_files(
            numbers in prop::collection::vec((0u64..12, 0i64..9, 0u8..2), 0..20),
            restarts: bool,
        ) {
            let files: Vec<Seen> = numbers.iter().map(|(number, day, content)| Seen {
                day: date("2026-01-01") + chrono::TimeDelta::days(*day),
                content: content.to_string(),
                ..seen("2026-01-01", *number)
            }).collect();
            let mut backwards = files.clone();
            backwards.reverse();
            prop_assert_eq!(findings(&files, restarts), findings(&backwards, restarts));
        }

        #[test]
        fn no_name_is_too_strange(name: String) {
            for pattern in [PAYPAL, ADYEN, TRUSTLY] {
                let _ = Pattern::new(pattern).unwrap().read(&name);
            }
        }
    }
}
