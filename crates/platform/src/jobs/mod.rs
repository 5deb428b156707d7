//! Work that outlives a request.
//!
//! A job is a row, written in the transaction of its cause by [`enqueue`]. A [`Runner`] in any process leases
//! it, runs the [`Worker`] that belongs to its name, and settles it. A process that dies loses nothing: its
//! leases run out and others take over. A worker may therefore run more than once for one job, and fences
//! what it writes by [`Lease::still_mine`].
//!
//! Leases are reckoned by the clocks of the processes: these must agree to within a fraction of the lease.

mod metrics;
mod queue;
mod run;
mod runner;
pub mod schedule;
mod store;
#[cfg(test)]
mod tests;
mod waker;
mod worker;

pub use self::queue::{EnqueueOptions, Job, JobRef, JobState, JobStatus, enqueue, status, wake};
pub use self::runner::{Runner, RunnerOptions};
pub use self::waker::JobWaker;
pub use self::worker::{JobError, Lease, Worker};
