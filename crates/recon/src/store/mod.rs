//! The tables of reconciliation: rows, finders and filters. No rule lives here.

pub mod file;
pub mod record;
pub mod run;
pub mod schedule;
pub mod task;
pub mod webhook;
