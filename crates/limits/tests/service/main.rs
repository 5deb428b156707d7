//! The limit service through its API, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod alerts;
mod budgets;
mod checks;
mod disconnects;
mod harness;
mod instants;
mod limits;
#[path = "../../../platform/tests/support/mail_server.rs"]
mod mail_server;
mod overrides;
mod payments;
mod people;
mod proxy;
mod races;
mod rates;
mod rights;
mod seals;
mod tiers;
mod usage;
mod what_if;
