//! The use cases: the only place where rules and store meet.

pub mod at_bank;
pub mod back_test_run;
pub mod back_tests;
pub mod bank_reversals;
pub mod beside;
pub mod carry;
pub mod catch_up;
pub mod channel_settings;
pub mod completeness;
pub mod days;
pub mod expected_files;
pub mod files;
pub mod inputs;
pub mod matching;
pub mod overview;
mod paper;
pub mod records;
pub mod reports;
pub mod rule_sets;
pub mod run;
pub mod save;
pub mod schedules;
pub mod tasks;
pub mod uploads;
pub mod watch;
pub mod webhooks;
pub mod write;
