//! The program as processes: killed, stopped, refused, traced, and out of disk.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod answers;
mod audit;
mod crashes;
mod data_keys;
mod disk;
mod faults;
mod harness;
mod holds;
mod payments;
mod refusals;
mod sandbox;
mod stops;
mod submissions;
mod tls;
mod traces;
