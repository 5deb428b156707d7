//! Identifiers: UUIDv7 for rows, readable numbers for people.

use chrono::NaiveDate;
use uuid::{Builder, Uuid};

use crate::random::Random;
use crate::time::{Clock, Timestamp};

/// A new row id: a UUIDv7 made of the clock's milliseconds and 74 random bits. Ids made later sort later
/// across milliseconds only; no money fact may depend on their order.
pub fn new_id(clock: &dyn Clock, random: &dyn Random) -> Uuid {
    id_at(clock.now(), random)
}

/// As [`new_id`], for a given instant.
pub fn id_at(now: Timestamp, random: &dyn Random) -> Uuid {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    Builder::from_unix_timestamp_millis(u64::try_from(now.timestamp_millis()).unwrap_or(0), &bytes)
        .into_uuid()
}

/// A number for people, such as `RECON-stripe-20241024-1234`: prefix, what it is about, day, four digits.
///
/// The digits are random, so a number is only unique once the database says so; callers retry on a clash.
pub fn readable_number(prefix: &str, about: &str, date: NaiveDate, random: &dyn Random) -> String {
    format!("{prefix}-{about}-{}-{:04}", date.format("%Y%m%d"), random.below(10_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SeededRandom;
    use crate::time::ManualClock;

    #[test]
    fn ids_follow_clock_and_seed() {
        let clock = ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let first = new_id(&clock, &SeededRandom::new(1));
        assert_eq!(first, new_id(&clock, &SeededRandom::new(1)));
        assert_eq!(first.get_version_num(), 7);
        clock.advance(chrono::Duration::milliseconds(1));
        assert!(new_id(&clock, &SeededRandom::new(1)) > first);
    }

    #[test]
    fn numbers_read_like_the_thing_they_name() {
        let number = readable_number("RECON", "stripe", "2024-10-24".parse().unwrap(), &SeededRandom::new(1));
        assert!(number.starts_with("RECON-stripe-20241024-") && number.len() == 26, "{number}");
    }
}
