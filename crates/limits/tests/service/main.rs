//! The limit service through its API, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod checks;
mod harness;
mod limits;
mod overrides;
mod payments;
mod people;
mod races;
mod rates;
mod rights;
mod seals;
mod tiers;
mod usage;
mod what_if;
