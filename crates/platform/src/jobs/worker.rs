//! What does the work.

use std::marker::PhantomData;
use std::time::Duration;

use payops_core::time::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Job, store};
use crate::db::{BoxFuture, Tx};
use crate::error::{Error, ErrorKind, Result};

/// Runs the jobs of one kind.
pub trait Worker<J: Job>: Send + Sync + 'static {
    /// Does the job, or says what is to become of it.
    ///
    /// It may run again for a job that it did already, when the process dies before the job is settled: it
    /// looks first at what is done. It is dropped when the lease is lost, and, if it goes on after
    /// [`Lease::cancelled`], when the time for draining is over. A panic is a failed attempt.
    fn run(&self, job: J, lease: Lease) -> impl Future<Output = Result<(), JobError>> + Send;

    /// Runs in the transaction that marks a job as failed for good, so that what the job was to do can be
    /// marked with it. When this fails, the job is marked nevertheless.
    fn gave_up(&self, _tx: &Tx, _job: J, _error: &Error) -> impl Future<Output = Result<()>> + Send {
        async { Ok(()) }
    }
}

/// What is to become of a job that did not succeed.
#[derive(Debug)]
pub enum JobError {
    /// Worth another try, if attempts are left.
    Retry {
        /// What went wrong.
        error: Error,
        /// When to try again; `None` leaves it to a back-off that doubles.
        after: Option<Duration>,
    },
    /// Another try would not help.
    Fail(Error),
    /// Nothing is wrong, the time has not come. Not an attempt.
    Wait {
        /// When to look again; [`super::wake`] makes it earlier.
        until: Timestamp,
        /// What it waits for, in words for operators.
        reason: String,
    },
}

impl From<Error> for JobError {
    /// Trouble on our side or of something we need may pass; a refusal will not.
    fn from(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Internal
            | ErrorKind::Unavailable
            | ErrorKind::TooManyRequests
            | ErrorKind::ClientTimeout => Self::Retry { after: error.retry_after(), error },
            _ => Self::Fail(error),
        }
    }
}

/// The code of [`Lease::still_mine`]'s error.
pub(super) const LEASE_LOST: &str = "LEASE_LOST";

/// The right to run a job, for as long as it is renewed.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The job's id.
    pub id: Uuid,
    /// The number of this run, from 1; waiting does not count.
    pub attempt: u32,
    /// The most runs there may be.
    pub max_attempts: u32,
    /// The nominal instant of the schedule that made the job. It lies in the past, far if none ran for long.
    pub scheduled_for: Option<Timestamp>,
    pub(super) token: Uuid,
    pub(super) stop: CancellationToken,
}

impl Lease {
    /// Makes sure, inside the transaction that writes what was worked out, that the job is still this
    /// run's, and keeps it so until the transaction ends. 409 `LEASE_LOST` when another run has taken over:
    /// the transaction then must not be committed.
    pub async fn still_mine(&self, tx: &Tx) -> Result<()> {
        if store::lock_leased(tx, self.id, self.token).await? {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Conflict,
            LEASE_LOST,
            "Another instance has taken this work over.",
            "该任务已由其他实例接管。",
        )
        .with_internal(format!("job {} is no longer leased to this run", self.id)))
    }

    /// Is cancelled when the process is to stop or the lease is lost. A run that notices returns
    /// [`JobError::Retry`]: the job is then handed back, and the run does not count.
    pub fn cancelled(&self) -> &CancellationToken {
        &self.stop
    }

    /// Whether a failure of this run is the last.
    pub fn is_last_attempt(&self) -> bool {
        self.attempt >= self.max_attempts
    }
}

/// A worker whose job type is known to itself only.
pub(super) trait AnyWorker: Send + Sync {
    fn run(&self, payload: Value, lease: Lease) -> BoxFuture<'_, Result<(), JobError>>;
    fn gave_up<'t>(&'t self, tx: &'t Tx, payload: Value, error: &'t Error) -> BoxFuture<'t, Result<()>>;
}

/// Bridges from JSON to the worker's own type.
pub(super) struct Typed<J, W> {
    pub(super) worker: W,
    pub(super) job: PhantomData<fn() -> J>,
}

impl<J: Job, W: Worker<J>> AnyWorker for Typed<J, W> {
    fn run(&self, payload: Value, lease: Lease) -> BoxFuture<'_, Result<(), JobError>> {
        Box::pin(async move {
            let job = parse::<J>(payload).map_err(JobError::Fail)?;
            self.worker.run(job, lease).await
        })
    }

    fn gave_up<'t>(&'t self, tx: &'t Tx, payload: Value, error: &'t Error) -> BoxFuture<'t, Result<()>> {
        Box::pin(async move { self.worker.gave_up(tx, parse::<J>(payload)?, error).await })
    }
}

fn parse<J: Job>(payload: Value) -> Result<J> {
    serde_json::from_value(payload)
        .map_err(|error| Error::internal(format!("the payload is no {}: {error}", J::NAME)))
}
