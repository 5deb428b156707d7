//! The limit service through its API, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod harness;
mod payments;
mod races;
