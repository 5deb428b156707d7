//! `payops reconcile`, run as people run it: the built program, real files, its output and exit code.

mod harness;
mod payouts;
mod refusals;
mod results;
mod verdicts;
