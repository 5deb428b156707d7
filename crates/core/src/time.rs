//! Time as an argument, and business days in a named zone.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, NaiveTime, Utc};
use jiff::tz::AmbiguousOffset;
use timezone_provider::CompiledNormalizer;
use timezone_provider::provider::TimeZoneNormalizer;

/// An instant, UTC.
pub type Timestamp = DateTime<Utc>;

/// Where the present comes from. Nothing in payops asks the wall clock directly.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant, cut to whole microseconds, which is what both databases keep.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place where the wall clock enters")]
        let now = Utc::now();
        DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
    }
}

/// A clock that stands still until it is moved. Clones show the same time.
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(start.timestamp_micros())))
    }

    /// Moves the clock; a negative duration moves it back.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// Sets the clock.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.timestamp_micros(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        DateTime::from_timestamp_micros(self.0.load(Ordering::SeqCst)).unwrap_or_default()
    }
}

/// An IANA time zone by name, such as `Asia/Shanghai`.
#[derive(Clone, PartialEq, Eq)]
pub struct Zone(jiff::tz::TimeZone);

/// A name that no time zone has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a time zone: an IANA name is expected, such as Etc/UTC or Asia/Shanghai")]
pub struct UnknownZone(pub String);

/// A day that a zone does not have, or that lies beyond the calendar.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{date} is no day in {zone}")]
pub struct NoSuchDay {
    /// The business date asked for.
    pub date: NaiveDate,
    /// The zone's name.
    pub zone: String,
}

/// The years that a business day may lie in. No channel settled anything before, and what lies after is a slip of
/// the finger: a date that is refused at once costs less than a task that waits for the year 20226.
pub const BUSINESS_YEARS: RangeInclusive<i32> = 1970..=2200;

/// A date in a year that no business day lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the year of {0} is not plausible: {first} to {last} are accepted",
    first = BUSINESS_YEARS.start(), last = BUSINESS_YEARS.end())]
pub struct ImplausibleDate(pub NaiveDate);

/// Gives `date` back when its year is one of [`BUSINESS_YEARS`].
pub fn business_date(date: NaiveDate) -> Result<NaiveDate, ImplausibleDate> {
    if BUSINESS_YEARS.contains(&date.year()) { Ok(date) } else { Err(ImplausibleDate(date)) }
}

/// The instants of one business day: `start` belongs to it, `end` is the first instant of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayWindow {
    /// First instant, inclusive.
    pub start: Timestamp,
    /// First instant after the day, exclusive.
    pub end: Timestamp,
}

impl DayWindow {
    /// Whether `instant` belongs to the day.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }
}

impl Zone {
    /// UTC, the default of every business day.
    pub fn utc() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }

    /// Looks a zone up by its IANA name, in any case of letters. Another name of a zone (`US/Eastern`,
    /// `Asia/Calcutta`, any of UTC's) gives the zone itself (`America/New_York`, `Asia/Kolkata`, `Etc/UTC`), so
    /// that a day does not become another day by another spelling. The zone of a country stays that country's,
    /// whichever zones have the same clocks. `Factory` and `Etc/Unknown` are no zones.
    pub fn named(name: &str) -> Result<Self, UnknownZone> {
        const DATABASE: CompiledNormalizer = CompiledNormalizer;
        let id = DATABASE.normalized(name.as_bytes()).and_then(|id| DATABASE.canonicalized(id));
        let zone = match id.and_then(|id| DATABASE.identifier(id)) {
            Ok("UTC") => Some(jiff::tz::TimeZone::UTC),
            Ok(canonical) => jiff::tz::TimeZone::get(canonical).ok(),
            Err(_) => None,
        };
        zone.map(Self).ok_or_else(|| UnknownZone(name.chars().take(64).collect()))
    }

    /// The zone's IANA name; `Etc/UTC` for every name of UTC.
    pub fn name(&self) -> &str {
        if self.0 == jiff::tz::TimeZone::UTC { "Etc/UTC" } else { self.0.iana_name().unwrap_or("Etc/UTC") }
    }

    /// The instants of `date` in this zone: 23, 24 or 25 hours where clocks change. A day that a zone
    /// skipped (Apia, 2011-12-30) is empty.
    pub fn day(&self, date: NaiveDate) -> Result<DayWindow, NoSuchDay> {
        let none = || NoSuchDay { date, zone: self.name().to_owned() };
        let day = to_jiff(date).ok_or_else(none)?;
        let next = day.tomorrow().map_err(|_| none())?;
        Ok(DayWindow {
            start: self.midnight(day).ok_or_else(none)?,
            end: self.midnight(next).ok_or_else(none)?,
        })
    }

    /// The business date that `instant` belongs to.
    pub fn date_of(&self, instant: Timestamp) -> NaiveDate {
        let date = jiff::Timestamp::from_microsecond(instant.timestamp_micros())
            .map(|instant| instant.to_zoned(self.0.clone()).date());
        date.ok().and_then(to_chrono).unwrap_or_else(|| instant.date_naive())
    }

    /// The instant at which a wall clock in this zone shows `local`. A time that is skipped is moved forward
    /// by the gap; of a time that comes twice, the first is meant.
    pub fn instant_of(&self, local: chrono::NaiveDateTime) -> Option<Timestamp> {
        let micros = local.and_utc().timestamp_micros();
        let civil =
            jiff::Timestamp::from_microsecond(micros).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let zoned = self.0.to_ambiguous_zoned(civil).compatible().ok()?;
        DateTime::from_timestamp_micros(zoned.timestamp().as_microsecond())
    }

    /// The instant at which `time` has come on `date` in this zone. A time that clocks skip comes when they have skipped it, at
    /// the first instant after the gap; of one that comes twice, the first counts. `None` beyond the calendar.
    pub fn comes_at(&self, date: NaiveDate, time: NaiveTime) -> Option<Timestamp> {
        let local = date.and_time(time);
        let micros = local.and_utc().timestamp_micros();
        let civil =
            jiff::Timestamp::from_microsecond(micros).ok()?.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        let wall = self.0.to_ambiguous_zoned(civil);
        if !matches!(wall.offset(), AmbiguousOffset::Gap { .. }) {
            return self.instant_of(local);
        }
        let change = self.0.following(wall.earlier().ok()?.timestamp()).next()?;
        DateTime::from_timestamp_micros(change.timestamp().as_microsecond())
    }

    /// The last instant, `end` included, at which `time` [has come](Self::comes_at) in this zone. `None` beyond the calendar.
    pub fn last_before(&self, time: NaiveTime, end: Timestamp) -> Option<Timestamp> {
        let date = self.date_of(end);
        let dates = [Some(date), date.checked_sub_days(Days::new(1))];
        let mut instants = dates.into_iter().flatten().filter_map(|date| self.comes_at(date, time));
        instants.find(|instant| *instant <= end)
    }

    /// What a clock on a wall in this zone shows at `instant`, in whole seconds, and the zone:
    /// "2026-11-23 20:00:00 +08:00 (Asia/Shanghai)".
    pub fn show(&self, instant: Timestamp) -> String {
        let zoned = jiff::Timestamp::from_microsecond(instant.timestamp_micros())
            .map(|instant| instant.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string());
        zoned.map_or_else(|_| instant.to_rfc3339(), |shown| format!("{shown} ({})", self.name()))
    }

    fn midnight(&self, day: jiff::civil::Date) -> Option<Timestamp> {
        let start = day.to_zoned(self.0.clone()).ok()?.start_of_day().ok()?;
        DateTime::from_timestamp_micros(start.timestamp().as_microsecond())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn to_jiff(date: NaiveDate) -> Option<jiff::civil::Date> {
    let (year, month, day) = (date.year(), date.month(), date.day());
    jiff::civil::Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).ok()
}

fn to_chrono(date: jiff::civil::Date) -> Option<NaiveDate> {
    let month = u32::try_from(date.month()).ok()?;
    NaiveDate::from_ymd_opt(date.year().into(), month, u32::try_from(date.day()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names that the IANA database has for UTC: the zone itself, and the links to it.
    const NAMES_OF_UTC: [&str; 18] = [
        "Etc/UTC",
        "UTC",
        "Etc/UCT",
        "UCT",
        "Etc/Universal",
        "Universal",
        "Etc/Zulu",
        "Zulu",
        "Etc/GMT",
        "GMT",
        "Etc/GMT0",
        "GMT0",
        "Etc/GMT+0",
        "GMT+0",
        "Etc/GMT-0",
        "GMT-0",
        "Etc/Greenwich",
        "Greenwich",
    ];

    fn hours(zone: &str, date: &str) -> i64 {
        let window = Zone::named(zone).unwrap().day(date.parse().unwrap()).unwrap();
        (window.end - window.start).num_hours()
    }

    #[test]
    fn days_follow_the_zone() {
        assert_eq!(hours("Etc/UTC", "2024-10-24"), 24);
        assert_eq!(hours("America/New_York", "2024-03-10"), 23);
        assert_eq!(hours("America/New_York", "2024-11-03"), 25);
        assert_eq!(hours("Asia/Beirut", "2021-03-28"), 23);
        assert_eq!(hours("Pacific/Apia", "2011-12-30"), 0);
        let shanghai = Zone::named("Asia/Shanghai").unwrap();
        let window = shanghai.day("2024-10-24".parse().unwrap()).unwrap();
        assert_eq!(window.start.to_rfc3339(), "2024-10-23T16:00:00+00:00");
        assert_eq!(shanghai.date_of(window.start).to_string(), "2024-10-24");
        assert!(window.contains(window.start) && !window.contains(window.end));
    }

    #[test]
    fn a_time_of_the_day_comes_last_before_an_end() {
        let last = |zone: &str, time: &str, end: &str| {
            let end: Timestamp = end.parse().unwrap();
            let last = Zone::named(zone).unwrap().last_before(time.parse().unwrap(), end).unwrap();
            last.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        };
        // 22:00 of New York, before the ends of days of UTC: an hour later in winter than in summer.
        assert_eq!(last("America/New_York", "22:00:00", "2026-01-17T00:00:00Z"), "2026-01-16T03:00:00Z");
        assert_eq!(last("America/New_York", "22:00:00", "2026-07-17T00:00:00Z"), "2026-07-16T02:00:00Z");
        // The day itself ends at the time.
        assert_eq!(last("Asia/Shanghai", "00:00:00", "2026-01-16T16:00:00Z"), "2026-01-16T16:00:00Z");
        // What is skipped on this day comes when the clocks have skipped it, at 03:00 and at 02:30; 01:30 comes twice on that one.
        for time in ["02:00:00", "02:30:00", "02:59:59", "03:00:00"] {
            assert_eq!(last("America/New_York", time, "2026-03-09T04:00:00Z"), "2026-03-08T07:00:00Z");
        }
        assert_eq!(last("Australia/Lord_Howe", "02:15:00", "2026-10-04T13:00:00Z"), "2026-10-03T15:30:00Z");
        // A day that was skipped whole.
        assert_eq!(last("Pacific/Apia", "12:00:00", "2011-12-30T21:00:00Z"), "2011-12-30T10:00:00Z");
        assert_eq!(last("America/New_York", "01:30:00", "2026-11-02T05:00:00Z"), "2026-11-01T05:30:00Z");
    }

    #[test]
    fn unknown_zones_are_named() {
        assert_eq!(Zone::named("Mars/Olympus").unwrap_err(), UnknownZone("Mars/Olympus".into()));
        assert_eq!(Zone::named("Etc/UTC").unwrap().name(), "Etc/UTC");
    }

    #[test]
    fn utc_has_one_name() {
        for name in NAMES_OF_UTC.into_iter().chain(["utc", "etc/utc", "gmt"]) {
            let zone = Zone::named(name).unwrap();
            assert_eq!((zone.name(), &zone), ("Etc/UTC", &Zone::utc()), "{name}");
            // Each is a name of the database, not an invention.
            assert!(jiff::tz::TimeZone::get(name).is_ok(), "{name}");
        }
        for other in jiff::tz::db().available() {
            let zone = Zone::named(other.as_str());
            let utc = zone.is_ok_and(|zone| zone == Zone::utc());
            assert_eq!(utc, NAMES_OF_UTC.contains(&other.as_str()), "{other}");
        }
        assert_eq!(Zone::named("asia/shanghai").unwrap().name(), "Asia/Shanghai");
        assert_ne!(Zone::named("Europe/London").unwrap(), Zone::utc());
        assert_ne!(Zone::named("Africa/Abidjan").unwrap().name(), "Etc/UTC");
    }

    #[test]
    fn a_zone_has_one_name() {
        for (written, name) in [
            ("US/Eastern", "America/New_York"),
            ("us/eastern", "America/New_York"),
            ("PRC", "Asia/Shanghai"),
            ("Asia/Calcutta", "Asia/Kolkata"),
            ("Europe/Kiev", "Europe/Kyiv"),
            ("GB", "Europe/London"),
            // The same clocks as Berlin's, and another country's.
            ("Europe/Oslo", "Europe/Oslo"),
            ("Etc/GMT+8", "Etc/GMT+8"),
        ] {
            assert_eq!(Zone::named(written).unwrap().name(), name, "{written}");
        }
        assert_eq!(Zone::named("US/Eastern").unwrap(), Zone::named("America/New_York").unwrap());
        for none in ["Factory", "factory", "Etc/Unknown", "etc/unknown", "", "Local", "EST5EDT4"] {
            assert!(Zone::named(none).is_err(), "{none}");
        }
    }

    #[test]
    fn every_zone_of_the_database_is_known_and_its_own_name_stays() {
        for written in jiff::tz::db().available().filter(|name| name.as_str() != "Factory") {
            let zone = Zone::named(written.as_str()).unwrap();
            assert_eq!(Zone::named(zone.name()).unwrap().name(), zone.name(), "{written}");
        }
    }

    #[test]
    fn business_days_lie_in_plausible_years() {
        for date in ["1970-01-01", "2026-01-16", "2200-12-31"] {
            assert!(business_date(date.parse().unwrap()).is_ok(), "{date}");
        }
        for date in ["-0001-01-01", "0000-01-01", "1969-12-31", "2201-01-01", "9999-12-31", "+20226-01-16"] {
            let error = business_date(date.parse().unwrap()).unwrap_err().to_string();
            assert!(error.contains("1970 to 2200"), "{error}");
        }
    }

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let copy = clock.clone();
        clock.advance(Duration::seconds(5));
        assert_eq!(copy.now().timestamp(), 1_700_000_005);
    }
}
