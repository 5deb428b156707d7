//! Which files have to be there at an instant, and what their names say is missing. Pure: no database, no clock.

pub mod names;

use std::collections::BTreeSet;

use chrono::{Datelike, Days, NaiveDate, NaiveTime, Weekday};
use payops_core::time::{Timestamp, Zone};

use crate::model::DayState;

/// When the files of a channel account are due.
#[derive(Debug, Clone)]
pub struct Calendar {
    /// The zone that defines the business days, and whose clocks `due_time` is read from.
    pub zone: Zone,
    /// So many calendar days after the business day ...
    pub due_after_days: u64,
    /// ... at this time, its file is due.
    pub due_time: NaiveTime,
    /// The days of the week that have a file.
    pub weekdays: Weekdays,
    /// Business days that have none.
    pub holidays: BTreeSet<NaiveDate>,
    /// The first business day that counts.
    pub counts_from: NaiveDate,
}

impl Calendar {
    /// Whether the business day has a file. A day that the zone skipped has none.
    pub fn expects(&self, day: NaiveDate) -> bool {
        self.counts_from <= day
            && self.weekdays.contains(day.weekday())
            && !self.holidays.contains(&day)
            && self.zone.day(day).is_ok_and(|window| window.start < window.end)
    }

    /// The instant from which on the file of a business day is late if it is not there; `None` beyond the calendar.
    /// A time that the clocks skip comes when they have skipped it; of one that comes twice, the first counts.
    pub fn due_at(&self, day: NaiveDate) -> Option<Timestamp> {
        let date = day.checked_add_days(Days::new(self.due_after_days))?;
        self.zone.comes_at(date, self.due_time)
    }

    /// Whether the file of a business day has to be there at `now`.
    pub fn is_due(&self, day: NaiveDate, now: Timestamp) -> bool {
        self.due_at(day).is_some_and(|due_at| due_at <= now)
    }

    /// The business days from `from` on, at most `most` of them, whose files have to be there at `now`, whether they have
    /// one or not.
    pub fn days_due(&self, from: NaiveDate, now: Timestamp, most: usize) -> Vec<NaiveDate> {
        from.iter_days().take_while(|day| self.is_due(*day, now)).take(most).collect()
    }
}

/// What is known of a business day whose file is expected.
#[derive(Debug, Clone, Copy)]
pub struct DayFacts {
    /// When its file is due.
    pub due_at: Timestamp,
    /// When its first file came, if one is in force.
    pub arrived_at: Option<Timestamp>,
    /// Since when something that names tell of is missing.
    pub gap_since: Option<Timestamp>,
    /// When somebody said that the file need not come.
    pub excused_at: Option<Timestamp>,
}

impl DayFacts {
    /// How the day stands at `now`, and since when; what is not due yet stands so since always.
    pub fn state(&self, now: Timestamp) -> (DayState, Option<Timestamp>) {
        match (self.arrived_at, self.gap_since, self.excused_at) {
            (Some(_), Some(since), _) => (DayState::Gap, Some(since)),
            (Some(at), None, _) if at > self.due_at => (DayState::ArrivedLate, Some(at)),
            (Some(at), None, _) => (DayState::Arrived, Some(at)),
            (None, _, Some(at)) => (DayState::Excused, Some(at)),
            (None, _, None) if now < self.due_at => (DayState::NotDue, None),
            (None, _, None) => (DayState::Late, Some(self.due_at)),
        }
    }
}

/// A set of days of the week, as bits: 1 is Monday, 64 Sunday.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weekdays(i32);

impl Weekdays {
    const ALL: i32 = 0b111_1111;

    /// The set with these bits; `None` for no day, and for bits that are none.
    pub fn from_bits(bits: i32) -> Option<Self> {
        (1..=Self::ALL).contains(&bits).then_some(Self(bits))
    }

    /// Its bits.
    pub fn bits(self) -> i32 {
        self.0
    }

    /// Whether a day is among them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & bit(day) != 0
    }

    /// The set of these days; `None` for none.
    pub fn of(days: impl IntoIterator<Item = Weekday>) -> Option<Self> {
        Self::from_bits(days.into_iter().fold(0, |bits, day| bits | bit(day)))
    }
}

fn bit(day: Weekday) -> i32 {
    1 << day.num_days_from_monday()
}

/// Numbers that no file has, in one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// The first.
    pub first: u64,
    /// The last.
    pub last: u64,
}

/// A hole of more numbers than this is told as one: somebody has restarted the numbering, or mistyped a number.
const LARGEST_COUNTED: u64 = 100;

/// The numbers from `from` to the largest of `seen` that are not in it, each by itself, or as one where very many follow one
/// another.
pub fn holes(seen: &BTreeSet<u64>, from: u64) -> Vec<Hole> {
    let mut holes = Vec::new();
    let mut wanted = from;
    for &number in seen.range(from..) {
        if number - wanted > LARGEST_COUNTED {
            holes.push(Hole { first: wanted, last: number - 1 });
        } else {
            holes.extend((wanted..number).map(|missing| Hole { first: missing, last: missing }));
        }
        wanted = number.saturating_add(1);
    }
    holes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn calendar(zone: &str, due_after_days: u64, due_time: &str) -> Calendar {
        Calendar {
            zone: Zone::named(zone).unwrap(),
            due_after_days,
            due_time: NaiveTime::parse_from_str(due_time, "%H:%M").unwrap(),
            weekdays: Weekdays::from_bits(Weekdays::ALL).unwrap(),
            holidays: BTreeSet::new(),
            counts_from: date("2011-01-01"),
        }
    }

    #[test]
    fn a_file_is_due_by_the_clocks_of_its_zone() {
        let due = |zone, days, time, day| calendar(zone, days, time).due_at(date(day)).unwrap().to_rfc3339();
        assert_eq!(due("Asia/Shanghai", 1, "09:30", "2026-01-05"), "2026-01-06T01:30:00+00:00");
        // The clock jumps from 02:00 to 03:00, and in autumn shows 01:30 twice.
        assert_eq!(due("America/New_York", 1, "02:30", "2024-03-09"), "2024-03-10T07:00:00+00:00");
        assert_eq!(due("America/New_York", 1, "01:30", "2024-11-02"), "2024-11-03T05:30:00+00:00");
        assert_eq!(due("Etc/UTC", 0, "23:59", "2024-02-29"), "2024-02-29T23:59:00+00:00");
    }

    #[test]
    fn weekends_holidays_skipped_days_and_days_before_the_first_have_no_file() {
        let weekdays = Weekdays::of([Weekday::Mon, Weekday::Fri]).unwrap();
        let holidays = BTreeSet::from([date("2026-01-05")]);
        let bank = Calendar {
            weekdays,
            holidays,
            counts_from: date("2026-01-02"),
            ..calendar("Etc/UTC", 1, "12:00")
        };
        let expected: Vec<_> = date("2025-12-25")
            .iter_days()
            .take(20)
            .filter(|day| bank.expects(*day))
            .map(|day| day.to_string())
            .collect();
        assert_eq!(expected, ["2026-01-02", "2026-01-09", "2026-01-12"]);
        let apia = calendar("Pacific/Apia", 1, "12:00");
        assert!(!apia.expects(date("2011-12-30")) && apia.expects(date("2011-12-31")));
    }

    #[test]
    fn the_days_that_are_due_follow_one_another_up_to_the_last_due_time() {
        let calendar = calendar("Europe/Berlin", 2, "08:00");
        let due = |now: &str| calendar.days_due(date("2026-03-26"), at(now), 10).len();
        // Clocks changed on the 29th: eight o'clock is six in UTC since then.
        assert_eq!((due("2026-03-28T06:59:59Z"), due("2026-03-28T07:00:00Z")), (0, 1));
        assert_eq!((due("2026-03-30T05:59:59Z"), due("2026-03-30T06:00:00Z")), (2, 3));
        assert_eq!(due("2027-01-01T00:00:00Z"), 10);
    }

    #[test]
    fn a_day_stands_as_its_file_came() {
        let due_at = at("2026-01-06T12:00:00Z");
        let (before, after) = (at("2026-01-06T11:59:59Z"), at("2026-01-06T12:00:01Z"));
        let facts = DayFacts { due_at, arrived_at: None, gap_since: None, excused_at: None };
        assert_eq!(facts.state(before), (DayState::NotDue, None));
        assert_eq!(facts.state(due_at), (DayState::Late, Some(due_at)));
        let arrived = |at| DayFacts { arrived_at: Some(at), ..facts };
        assert_eq!(arrived(due_at).state(after).0, DayState::Arrived);
        assert_eq!(arrived(after).state(after), (DayState::ArrivedLate, Some(after)));
        let excused = DayFacts { excused_at: Some(before), ..facts };
        assert_eq!(excused.state(after), (DayState::Excused, Some(before)));
        let gap = DayFacts { gap_since: Some(due_at), ..arrived(before) };
        assert_eq!(gap.state(after), (DayState::Gap, Some(due_at)));
        assert_eq!(DayFacts { arrived_at: Some(before), ..excused }.state(after).0, DayState::Arrived);
    }

    #[test]
    fn sets_of_weekdays_are_never_empty() {
        assert!(
            Weekdays::from_bits(0).is_none()
                && Weekdays::from_bits(128).is_none()
                && Weekdays::of([]).is_none()
        );
        let work = Weekdays::of([Weekday::Mon, Weekday::Sun]).unwrap();
        assert_eq!(
            (work.bits(), work.contains(Weekday::Sun), work.contains(Weekday::Tue)),
            (65, true, false)
        );
    }

    #[test]
    fn a_very_large_hole_is_one() {
        let seen = BTreeSet::from([1, 3, 1_000_000_000_000, u64::MAX]);
        let found = holes(&seen, 1);
        assert_eq!(found[0], Hole { first: 2, last: 2 });
        assert_eq!(found[1], Hole { first: 4, last: 999_999_999_999 });
        assert_eq!(found.len(), 3);
        assert!(holes(&BTreeSet::new(), 1).is_empty());
    }

    proptest! {
        #[test]
        fn holes_and_what_was_seen_are_every_number_once(seen: BTreeSet<u8>, from in 0u64..40) {
            let seen: BTreeSet<u64> = seen.into_iter().map(u64::from).collect();
            let found = holes(&seen, from);
            let missing: Vec<u64> = found.iter().flat_map(|hole| hole.first..=hole.last).collect();
            let largest = seen.last().copied().unwrap_or_default();
            let expected: Vec<u64> = (from..=largest).filter(|number| !seen.contains(number)).collect();
            prop_assert_eq!(missing, if seen.is_empty() { Vec::new() } else { expected });
        }

        #[test]
        fn a_day_is_due_once_and_stays_so(day in 0u64..700, after in 0u64..31, minute in 0u32..1440, step in 0i64..2_000_000) {
            let day = date("2025-06-01") + Days::new(day);
            for zone in ["America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Etc/UTC"] {
                let time = NaiveTime::from_num_seconds_from_midnight_opt(minute * 60, 0).unwrap();
                let calendar = Calendar { due_time: time, ..calendar(zone, after, "00:00") };
                let due_at = calendar.due_at(day).unwrap();
                let next = calendar.due_at(day.succ_opt().unwrap()).unwrap();
                prop_assert!(due_at < next, "a later day is due later");
                let second = chrono::TimeDelta::seconds(1);
                prop_assert!(!calendar.is_due(day, due_at - second));
                prop_assert!(calendar.is_due(day, due_at + chrono::TimeDelta::seconds(step)));
                prop_assert!(calendar.days_due(day, due_at, 9) == [day]);
            }
        }
    }
}
