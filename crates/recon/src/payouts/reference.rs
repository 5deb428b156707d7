//! Payouts that the bank's texts name.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use aho_corasick::{AhoCorasick, MatchKind};
use chrono::{Datelike, NaiveDate};

use super::{Deposit, Payout};

/// From how many letters and digits on an id is recognised inside of other text, whatever stands between them. A
/// shorter one must be a word of its own.
const LONG: usize = 8;
/// The same for an id of digits alone: amounts and days that follow each other look like short ones.
const LONG_NUMBER: usize = 12;
/// An id of fewer digits, such as the number of a batch, tells nothing: such numbers stand in every text.
const SHORTEST_NUMBER: usize = 6;
/// Nor does an id of fewer letters and digits.
const SHORTEST: usize = 3;
/// A number that may as well be a day, as banks write it.
const DAYS: [&str; 6] = ["%Y%m%d", "%d%m%Y", "%m%d%Y", "%y%m%d", "%d%m%y", "%m%d%y"];
/// The years of which a number of six digits may as well be a month.
const YEARS: RangeInclusive<i32> = 1900..=2199;

/// Which payouts are named by which deposits of their currency, by places.
pub(super) fn links(payouts: &[(usize, &Payout)], deposits: &[(usize, &Deposit)]) -> Vec<(usize, usize)> {
    let mut places: HashMap<String, Vec<usize>> = HashMap::new();
    for (place, (_, payout)) in payouts.iter().enumerate() {
        let id = bare(&payout.id);
        if is_telling(&id) {
            places.entry(id).or_default().push(place);
        }
    }
    let mut long: Vec<&String> = places.keys().filter(|id| is_long(id)).collect();
    long.sort_unstable();
    // Of two ids of which one is the beginning of the other, the longer one is meant where it stands.
    let inside = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&long).ok();
    let mut links = Vec::new();
    for (deposit_place, (_, deposit)) in deposits.iter().enumerate() {
        let mut link = |id: &str| {
            let named = places.get(id).into_iter().flatten();
            let in_currency = named.filter(|place| payouts[**place].1.currency == deposit.currency);
            links.extend(in_currency.map(|place| (*place, deposit_place)));
        };
        for text in &deposit.texts {
            text.split(is_no_part_of_a_word).map(bare).for_each(|word| link(&word));
            let text = bare(text);
            let found = inside.iter().flat_map(|ids| ids.find_iter(&text));
            found.for_each(|found| link(&text[found.range()]));
        }
    }
    links.sort_unstable();
    links.dedup();
    links
}

/// The ids in the texts of a deposit that stand in those of another entry too, bare: words that tell something and have a digit.
pub(super) fn ids_in_common(deposit: &[String], other: &[String]) -> BTreeSet<String> {
    let words = |texts: &[String]| -> BTreeSet<String> {
        let words = texts.iter().flat_map(|text| text.split(is_no_part_of_a_word)).map(bare);
        words.filter(|word| is_telling(word) && word.bytes().any(|letter| letter.is_ascii_digit())).collect()
    };
    let (others, texts) = (words(other), other.iter().map(|text| bare(text)).collect::<Vec<String>>());
    let mut ids = words(deposit);
    ids.retain(|id| others.contains(id) || (is_long(id) && texts.iter().any(|text| text.contains(id))));
    ids
}

fn is_number(id: &str) -> bool {
    id.bytes().all(|letter| letter.is_ascii_digit())
}

fn is_telling(id: &str) -> bool {
    let is_day = || DAYS.iter().any(|form| NaiveDate::parse_from_str(id, form).is_ok());
    if is_number(id) {
        id.len() >= SHORTEST_NUMBER && !is_day() && !is_month(id)
    } else {
        id.len() >= SHORTEST
    }
}

/// Whether a number reads like a month: the year before or behind it.
fn is_month(id: &str) -> bool {
    let first = [(format!("{id}01"), "%Y%m%d"), (format!("01{id}"), "%d%m%Y")];
    let days = first.iter().filter_map(|(day, form)| NaiveDate::parse_from_str(day, form).ok());
    id.len() == SHORTEST_NUMBER && days.into_iter().any(|day| YEARS.contains(&day.year()))
}

fn is_long(id: &str) -> bool {
    id.len() >= if is_number(id) { LONG_NUMBER } else { LONG }
}

fn is_no_part_of_a_word(letter: char) -> bool {
    !letter.is_alphanumeric() && !matches!(letter, '_' | '-' | '.')
}

/// A text as banks may leave it: without anything but letters and digits, in lower case.
fn bare(text: &str) -> String {
    text.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
