//! Reads the times that files print, and tells whether they fall on the day asked about.

use std::fmt::Write;

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use payops_core::time::{DayWindow, NoSuchDay, Timestamp, Zone};

use crate::options::Window;

/// How a source writes its times.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum TimeFormat {
    /// `2026-01-30 10:11:12`, with `T`, a fraction, `/` for `-`, or an offset (`Z`, `+08:00`, ` -0800`) too.
    #[default]
    Iso8601,
    /// Seconds since 1970.
    UnixSeconds,
    /// Milliseconds since 1970.
    UnixMilliseconds,
    /// A pattern as `strftime` has them. With `%z` it reads an instant, else a wall-clock time.
    Pattern(String),
}

/// A time as it was read.
enum Reading {
    Instant(i64),
    Wall(NaiveDateTime),
}

/// Reads the times of one file.
#[derive(Debug, Clone)]
pub struct TimeReader {
    format: TimeFormat,
    /// The zone of times that name none.
    zone: Zone,
}

impl Default for TimeReader {
    /// ISO 8601; times that name no zone are of UTC.
    fn default() -> Self {
        Self::new(TimeFormat::Iso8601, Zone::utc())
    }
}

impl TimeReader {
    pub(crate) fn new(format: TimeFormat, zone: Zone) -> Self {
        Self { format, zone }
    }

    /// The instant that a row's `occurred_at` means, in whole seconds; `None` when it cannot be read.
    pub fn instant(&self, text: &[u8]) -> Option<Timestamp> {
        match self.format.read(text.trim_ascii())? {
            Reading::Wall(wall) => self.zone.instant_of(wall),
            Reading::Instant(seconds) => DateTime::from_timestamp(seconds, 0),
        }
    }
}

/// Tells whether printed times belong to one business day.
#[derive(Debug, Clone)]
pub(crate) struct DayTest {
    format: TimeFormat,
    /// The zone of times that name none.
    zone: Zone,
    same_zone: bool,
    day: NaiveDate,
    window: DayWindow,
}

impl DayTest {
    pub(crate) fn new(format: TimeFormat, zone: Zone, window: &Window) -> Result<Self, NoSuchDay> {
        Ok(Self {
            format,
            same_zone: zone == window.zone,
            zone,
            day: window.day,
            window: window.zone.day(window.day)?,
        })
    }

    /// Whether `text` is a time of the day; `None` when it cannot be read.
    pub(crate) fn contains(&self, text: &[u8]) -> Option<bool> {
        let seconds = match self.format.read(text.trim_ascii())? {
            Reading::Wall(wall) if self.same_zone => return Some(wall.date() == self.day),
            Reading::Wall(wall) => return Some(self.window.contains(self.zone.instant_of(wall)?)),
            Reading::Instant(seconds) => seconds,
        };
        Some(self.window.contains(DateTime::from_timestamp(seconds, 0)?))
    }
}

impl TimeFormat {
    /// Whether a time that is written in this way can be read again: a pattern without a date, or with half of a clock,
    /// tells no time.
    pub(crate) fn reads_what_it_writes(&self) -> bool {
        let Self::Pattern(pattern) = self else { return true };
        let mut text = String::new();
        let written = write!(text, "{}", DateTime::UNIX_EPOCH.format(pattern));
        written.is_ok() && self.read(text.as_bytes()).is_some()
    }

    /// The date that `text` falls on in `target`, where times without an offset are of `zone`; `None` when it cannot
    /// be read.
    pub(crate) fn date(&self, text: &[u8], zone: &Zone, target: &Zone) -> Option<NaiveDate> {
        let instant = match self.read(text.trim_ascii())? {
            Reading::Wall(wall) if zone == target => return Some(wall.date()),
            Reading::Wall(wall) => zone.instant_of(wall)?,
            Reading::Instant(seconds) => DateTime::from_timestamp(seconds, 0)?,
        };
        Some(target.date_of(instant))
    }

    fn read(&self, text: &[u8]) -> Option<Reading> {
        match self {
            Self::Iso8601 => iso8601(text),
            Self::UnixSeconds => whole_number(text).map(Reading::Instant),
            Self::UnixMilliseconds => Some(Reading::Instant(whole_number(text)?.div_euclid(1000))),
            Self::Pattern(pattern) => by_pattern(std::str::from_utf8(text).ok()?, pattern),
        }
    }
}

fn by_pattern(text: &str, pattern: &str) -> Option<Reading> {
    if pattern.contains("%z") || pattern.contains("%:z") {
        let instant = DateTime::parse_from_str(text, pattern).ok()?;
        return Some(Reading::Instant(instant.timestamp()));
    }
    let wall = NaiveDateTime::parse_from_str(text, pattern).or_else(|_| {
        NaiveDate::parse_from_str(text, pattern).map(|date| date.and_time(chrono::NaiveTime::MIN))
    });
    wall.ok().map(Reading::Wall)
}

fn whole_number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn iso8601(text: &[u8]) -> Option<Reading> {
    let (date, rest) = text.split_at_checked(10)?;
    let date = match date {
        [y @ .., a, m1, m2, b, d1, d2] if a == b && matches!(a, b'-' | b'/') => {
            NaiveDate::from_ymd_opt(number(y)?.try_into().ok()?, number(&[*m1, *m2])?, number(&[*d1, *d2])?)?
        }
        _ => return None,
    };
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first() else {
        return rest.is_empty().then(|| Reading::Wall(date.and_time(chrono::NaiveTime::MIN)));
    };
    let (clock, rest) = rest.split_at_checked(5)?;
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (number(&[*s1, *s2])?, rest),
        _ => (0, rest),
    };
    let [h1, h2, b':', m1, m2] = clock else { return None };
    let wall = date.and_hms_opt(number(&[*h1, *h2])?, number(&[*m1, *m2])?, second)?;
    let rest = match rest {
        [b'.' | b',', fraction @ ..] => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    match rest.trim_ascii() {
        [] => Some(Reading::Wall(wall)),
        zone => Some(Reading::Instant(wall.and_utc().timestamp() - offset_seconds(zone)?)),
    }
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    let (sign, digits) = match zone {
        [b'Z' | b'z'] | b"UTC" | b"GMT" => return Some(0),
        [b'+', digits @ ..] => (1, digits),
        [b'-', digits @ ..] => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        [h1, h2] => (number(&[*h1, *h2])?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (number(&[*h1, *h2])?, number(&[*m1, *m2])?),
        _ => return None,
    };
    (hours < 24 && minutes < 60).then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0_u32, |value, byte| {
        byte.is_ascii_digit().then(|| value.wrapping_mul(10).wrapping_add(u32::from(byte - b'0')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(format: TimeFormat, zone: &str, window_zone: &str, text: &str) -> Option<bool> {
        let window = Window {
            zone: Zone::named(window_zone).unwrap(),
            day: NaiveDate::from_ymd_opt(2026, 1, 6).unwrap(),
        };
        DayTest::new(format, Zone::named(zone).unwrap(), &window).unwrap().contains(text.as_bytes())
    }

    #[test]
    fn every_way_of_writing_one_instant_agrees() {
        for text in [
            "2026-01-06T23:30:00Z",
            "2026-01-06 23:30:00",
            "2026-01-06 23:30",
            "2026/01/06 15:30:00 -0800",
            "2026-01-07T07:30:00.123456+08:00",
            "2026-01-06",
        ] {
            assert_eq!(on(TimeFormat::Iso8601, "Etc/UTC", "Etc/UTC", text), Some(true), "{text}");
        }
        assert_eq!(on(TimeFormat::UnixSeconds, "Etc/UTC", "Etc/UTC", "1767742200"), Some(true));
        assert_eq!(on(TimeFormat::UnixMilliseconds, "Etc/UTC", "Etc/UTC", "1767742200999"), Some(true));
        let pattern = TimeFormat::Pattern("%d.%m.%Y %H:%M".into());
        assert_eq!(on(pattern, "Etc/UTC", "Etc/UTC", "06.01.2026 23:30"), Some(true));
    }

    #[test]
    fn the_zone_decides_on_which_day_a_time_falls() {
        assert_eq!(on(TimeFormat::Iso8601, "Etc/UTC", "Asia/Shanghai", "2026-01-06 16:00:00"), Some(false));
        assert_eq!(on(TimeFormat::Iso8601, "Etc/UTC", "Asia/Shanghai", "2026-01-05 16:00:00"), Some(true));
        assert_eq!(
            on(TimeFormat::Iso8601, "Asia/Shanghai", "Asia/Shanghai", "2026-01-06 00:00:00"),
            Some(true)
        );
    }

    #[test]
    fn what_is_no_time_is_not_guessed() {
        for text in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-30",
            "2026-01-06T25:00:00",
            "2026-01-06 10:00:00 PST",
            "2026-01-06 10:00:00.",
            "éééééééééééé",
        ] {
            assert_eq!(on(TimeFormat::Iso8601, "Etc/UTC", "Etc/UTC", text), None, "{text}");
        }
    }
}
