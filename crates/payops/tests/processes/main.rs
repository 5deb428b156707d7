//! The program as processes: killed, stopped, refused, traced, and out of disk.

mod answers;
mod crashes;
mod disk;
mod harness;
mod holds;
mod refusals;
mod stops;
mod traces;
