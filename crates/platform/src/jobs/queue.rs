//! What those who want work done see of the queue.

use payops_core::time::Timestamp;
use sea_orm::ConnectionTrait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use uuid::Uuid;

use super::store;
use crate::context::ServiceContext;
use crate::db::{Backend, Tx};
use crate::error::{Error, Result};
use crate::telemetry;

/// The arguments of one kind of work, kept as JSON until it is done.
pub trait Job: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name, such as `reconciliation.run_task`. It stands in rows: it never changes.
    const NAME: &'static str;
}

/// How a job is to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnqueueOptions {
    /// Not before; at once when `None`.
    pub run_at: Option<Timestamp>,
    /// After so many runs without success the job has failed; at least 1.
    pub max_attempts: u32,
    /// Among unfinished jobs of one name, at most one has this key.
    pub dedup_key: Option<String>,
}

impl Default for EnqueueOptions {
    /// At once, ten attempts, no key.
    fn default() -> Self {
        Self { run_at: None, max_attempts: 10, dedup_key: None }
    }
}

impl EnqueueOptions {
    /// The same, not before `instant`.
    #[must_use]
    pub fn at(mut self, instant: Timestamp) -> Self {
        self.run_at = Some(instant);
        self
    }

    /// The same, with another number of attempts.
    #[must_use]
    pub fn attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }

    /// The same, with a key that only one unfinished job of the name may have.
    #[must_use]
    pub fn unique(mut self, dedup_key: impl Into<String>) -> Self {
        self.dedup_key = Some(dedup_key.into());
        self
    }
}

/// Writes a job in the caller's transaction; once that is committed, this process's runner looks for work.
///
/// When an unfinished job of the same name has the same `dedup_key`, that one's id is returned and nothing is
/// written. The trace at hand becomes the parent of the job's.
pub async fn enqueue<J: Job>(
    tx: &Tx,
    context: &ServiceContext,
    job: &J,
    options: EnqueueOptions,
) -> Result<Uuid> {
    let payload = serde_json::to_value(job).map_err(Error::internal)?;
    enqueue_raw(tx, context, NewJob { name: J::NAME, payload, options, scheduled_for: None }).await
}

/// A job whose type is known by name only.
pub(super) struct NewJob<'a> {
    pub(super) name: &'a str,
    pub(super) payload: Value,
    pub(super) options: EnqueueOptions,
    pub(super) scheduled_for: Option<Timestamp>,
}

pub(super) async fn enqueue_raw(tx: &Tx, context: &ServiceContext, new: NewJob<'_>) -> Result<Uuid> {
    let now = context.now();
    let row = store::NewRow {
        id: context.new_id(),
        name: new.name,
        payload: new.payload,
        run_at: new.options.run_at.unwrap_or(now),
        scheduled_for: new.scheduled_for,
        max_attempts: new.options.max_attempts.max(1),
        dedup_key: new.options.dedup_key.as_deref(),
        traceparent: telemetry::current_traceparent(),
        now,
    };
    let id = store::insert(tx, row).await?;
    let waker = context.jobs.clone();
    tx.after_commit(move || waker.wake());
    Ok(id)
}

/// Names a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobRef<'a> {
    /// By its id.
    Id(Uuid),
    /// The unfinished one of a name with a `dedup_key`.
    Key {
        /// [`Job::NAME`].
        name: &'a str,
        /// The key it was enqueued with.
        dedup_key: &'a str,
    },
}

/// Makes a job that waits run at once, once the caller's transaction is committed. One that is running will
/// run again at once should it want to wait or retry; one that is finished stays so. Returns whether there
/// was an unfinished job.
pub async fn wake(tx: &Tx, context: &ServiceContext, job: JobRef<'_>) -> Result<bool> {
    let found = store::wake(tx, job, context.now()).await?;
    if found {
        let waker = context.jobs.clone();
        tx.after_commit(move || waker.wake());
    }
    Ok(found)
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobState {
    /// Waits for its time.
    Queued,
    /// Leased.
    Running,
    /// Succeeded.
    Done,
    /// Given up.
    Failed,
}

impl JobState {
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "queued" => Some(Self::Queued),
            "running" => Some(Self::Running),
            "done" => Some(Self::Done),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// What can be told of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// Where it stands.
    pub state: JobState,
    /// When it runs next, if it is queued.
    pub run_at: Timestamp,
    /// Runs that counted so far.
    pub attempts: u32,
    /// What it waits for, if it does.
    pub wait_reason: Option<String>,
    /// Why the latest unsuccessful run was so; for operators, not for callers of the API.
    pub last_error: Option<String>,
}

/// Looks a job up; `None` when there is none, or no more.
pub async fn status(conn: &impl ConnectionTrait, backend: Backend, id: Uuid) -> Result<Option<JobStatus>> {
    store::status(conn, backend, id).await
}
