//! The reconciliation service against the sandbox, on both databases.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod back_tests;
mod bad_requests;
mod carry;
mod catch_up;
mod channel_settings;
mod completeness;
mod expected_files;
mod figures;
mod files;
mod harness;
mod honest;
mod in_force;
mod outside;
mod paper;
mod payouts;
mod records;
mod reports;
mod rule_sets;
mod saving;
mod schedules;
mod stories;
mod tolerance;
