//! The tables of reconciliation: rows, finders and filters. No rule lives here.

pub mod back_test;
pub mod bank_reversal;
pub mod bulk;
pub mod carried;
pub mod channel_settings;
pub mod choice;
pub mod closing;
pub mod deposit;
pub mod expected_file;
pub mod file;
pub mod found;
pub mod gap;
pub mod payout;
pub mod record;
pub mod rule_set;
pub mod run;
pub mod schedule;
pub mod standing;
pub mod task;
pub mod webhook;
