//! The calendar day and month in which usage is counted, in the merchant's own zone.
//!
//! A window is kept as two instants, fixed when it opens. It rolls lazily: the first operation after its end opens
//! the next one. So a change of the merchant's zone shows at the next window, never within one.

use chrono::{Datelike, Months, NaiveDate};
use payops_core::time::{NoSuchDay, Timestamp, Zone};

/// The instants of a window: `start` belongs to it, `end` is the first instant of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First instant, inclusive.
    pub start: Timestamp,
    /// First instant after the window, exclusive.
    pub end: Timestamp,
}

/// The two lengths that usage is counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// A calendar day.
    Day,
    /// A calendar month.
    Month,
}

impl Period {
    /// The calendar window that holds `instant`: 23, 24 or 25 hours where clocks change.
    ///
    /// # Errors
    /// Only instants beyond the calendar (year 9999) have no window.
    pub fn holding(self, zone: &Zone, instant: Timestamp) -> Result<Span, NoSuchDay> {
        let first = self.first_day(zone.date_of(instant));
        let after = self.next(first, zone)?;
        Ok(Span { start: zone.day(first)?.start, end: zone.day(after)?.start })
    }

    /// The window that follows `last`, which is over at `now`; `None` while it is not.
    ///
    /// It begins where the calendar says, or where the last one ended if that is later, which happens when the
    /// merchant moved to another zone. Then it runs on to the end of the next calendar window: a stub of a few hours
    /// would hand out a whole limit for next to nothing.
    pub fn rolled(self, zone: &Zone, last: Span, now: Timestamp) -> Result<Option<Span>, NoSuchDay> {
        if now < last.end {
            return Ok(None);
        }
        let calendar = self.holding(zone, now)?;
        if calendar.start >= last.end {
            return Ok(Some(calendar));
        }
        let next = self.holding(zone, calendar.end)?;
        Ok(Some(Span { start: last.end, end: next.end }))
    }

    fn first_day(self, date: NaiveDate) -> NaiveDate {
        match self {
            Self::Day => date,
            Self::Month => date.with_day(1).unwrap_or(date),
        }
    }

    fn next(self, first: NaiveDate, zone: &Zone) -> Result<NaiveDate, NoSuchDay> {
        let next = match self {
            Self::Day => first.succ_opt(),
            Self::Month => first.checked_add_months(Months::new(1)),
        };
        next.ok_or_else(|| NoSuchDay { date: first, zone: zone.name().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn span(zone: &str, period: Period, instant: &str) -> (Timestamp, Timestamp, i64) {
        let span = period.holding(&Zone::named(zone).unwrap(), at(instant)).unwrap();
        (span.start, span.end, (span.end - span.start).num_hours())
    }

    #[test]
    fn days_are_as_long_as_the_zone_s_clocks_say() {
        let cases = [
            ("America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T03:00:00Z", 23),
            ("America/Sao_Paulo", "2018-02-17T12:00:00Z", "2018-02-17T02:00:00Z", 25),
            ("Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23),
            ("Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25),
            ("Asia/Kathmandu", "2026-06-01T12:00:00Z", "2026-05-31T18:15:00Z", 24),
            ("Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-29T10:00:00Z", 24),
            ("Africa/Cairo", "2026-04-24T12:00:00Z", "2026-04-23T22:00:00Z", 23),
        ];
        for (zone, instant, start, hours) in cases {
            let (found, end, length) = span(zone, Period::Day, instant);
            assert_eq!((found, length), (at(start), hours), "{zone} {instant}");
            assert_eq!(span(zone, Period::Day, &end.to_rfc3339()).0, end, "no gap after the day in {zone}");
        }
    }

    #[test]
    fn months_end_when_the_calendar_s_do() {
        let cases = [
            ("Etc/UTC", "2028-02-29T23:59:59Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"),
            ("Etc/UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
            ("Asia/Shanghai", "2026-01-31T16:00:00Z", "2026-01-31T16:00:00Z", "2026-02-28T16:00:00Z"),
            ("Europe/Berlin", "2026-03-15T00:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        ];
        for (zone, instant, start, end) in cases {
            let found = span(zone, Period::Month, instant);
            assert_eq!((found.0, found.1), (at(start), at(end)), "{zone} {instant}");
        }
    }

    #[test]
    fn another_zone_makes_no_short_window() {
        let day = Period::Day.holding(&Zone::utc(), at("2026-11-23T10:00:00Z")).unwrap();
        let west = Zone::named("America/Los_Angeles").unwrap();
        assert_eq!(Period::Day.rolled(&west, day, at("2026-11-23T23:59:59Z")), Ok(None));
        let rolled = Period::Day.rolled(&west, day, at("2026-11-24T00:00:00Z")).unwrap().unwrap();
        assert_eq!(rolled, Span { start: at("2026-11-24T00:00:00Z"), end: at("2026-11-25T08:00:00Z") });
        let month = Period::Month.holding(&Zone::utc(), at("2026-11-23T10:00:00Z")).unwrap();
        let rolled = Period::Month.rolled(&west, month, at("2026-12-01T03:00:00Z")).unwrap().unwrap();
        assert_eq!(rolled, Span { start: at("2026-12-01T00:00:00Z"), end: at("2027-01-01T08:00:00Z") });
    }

    #[test]
    fn a_long_silence_skips_windows() {
        let day = Period::Day.holding(&Zone::utc(), at("2026-11-20T10:00:00Z")).unwrap();
        let rolled = Period::Day.rolled(&Zone::utc(), day, at("2026-11-23T10:00:00Z")).unwrap().unwrap();
        assert_eq!(rolled.start, at("2026-11-23T00:00:00Z"));
    }

    const ZONES: [&str; 8] = [
        "Etc/UTC",
        "America/Sao_Paulo",
        "Europe/Berlin",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Cairo",
        "America/New_York",
        "Australia/Lord_Howe",
    ];

    proptest! {
        #[test]
        fn every_instant_lies_in_exactly_one_window(
            zone in proptest::sample::select(&ZONES[..]), seconds in 0_i64..4_102_444_800, month in any::<bool>(),
        ) {
            let zone = Zone::named(zone).unwrap();
            let period = if month { Period::Month } else { Period::Day };
            let now = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let span = period.holding(&zone, now).unwrap();
            prop_assert!(span.start <= now && now < span.end);
            let next = period.rolled(&zone, span, span.end).unwrap().unwrap();
            prop_assert_eq!(next.start, span.end);
            let last = period.holding(&zone, span.end - chrono::Duration::microseconds(1)).unwrap();
            prop_assert_eq!(last, span);
        }

        #[test]
        fn no_roll_hands_out_a_short_window(
            from in proptest::sample::select(&ZONES[..]), to in proptest::sample::select(&ZONES[..]),
            seconds in 0_i64..4_102_444_800, later in 0_i64..200_000,
        ) {
            let (from, to) = (Zone::named(from).unwrap(), Zone::named(to).unwrap());
            let now = chrono::DateTime::from_timestamp(seconds, 0).unwrap();
            let day = Period::Day.holding(&from, now).unwrap();
            let at = day.end + chrono::Duration::seconds(later);
            let rolled = Period::Day.rolled(&to, day, at).unwrap().unwrap();
            prop_assert!(rolled.start >= day.end && rolled.start <= at && at < rolled.end);
            prop_assert!((rolled.end - rolled.start).num_minutes() >= 22 * 60);
        }
    }
}
