//! One run of one leased job, from the lease to its settlement.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::random::Random;
use payops_core::time::Timestamp;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument, info_span};

use super::metrics::JobMetrics;
use super::runner::{Runner, RunnerOptions};
use super::store::{self, Leased, Settlement};
use super::worker::{AnyWorker, JobError, LEASE_LOST, Lease};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry;

/// Pause between tries to write a settlement down.
const SETTLE_AGAIN: Duration = Duration::from_millis(250);
/// Longest text of an error that is kept with a job.
const MAX_ERROR_CHARS: usize = 2000;

/// Runs a leased job and settles it. `shutdown` asks the run to end.
pub(super) async fn run(runner: Arc<Runner>, job: Leased, shutdown: CancellationToken) {
    let span = info_span!(
        "job",
        otel.name = job.name,
        job.name = job.name,
        job.id = %job.id,
        job.attempt = job.attempt,
        trace_id = tracing::field::Empty,
    );
    if let Some(traceparent) = &job.traceparent {
        telemetry::continue_trace(&span, traceparent);
    }
    run_here(runner, job, shutdown).instrument(span).await;
}

async fn run_here(runner: Arc<Runner>, job: Leased, shutdown: CancellationToken) {
    let started = Instant::now();
    let _running = Running::new(&runner.metrics, &job.name);
    let lease = Lease {
        id: job.id,
        attempt: job.attempt,
        max_attempts: job.max_attempts,
        scheduled_for: job.scheduled_for,
        token: job.token,
        stop: shutdown.child_token(),
    };
    // A task of its own: a worker that computes for long without a pause must not lose its lease by that.
    let mut lost =
        AbortOnDropHandle::new(tokio::spawn(keep(Arc::clone(&runner), lease.clone()).in_current_span()));
    let outcome = tokio::select! {
        outcome = outcome(&runner, &job, lease.clone()) => outcome,
        _ = &mut lost => {
            report(&runner, &job.name, "lost", started);
            return;
        }
    };
    if says_lost(&outcome) {
        report(&runner, &job.name, "lost", started);
        return;
    }
    let ending = Ending::of(outcome, &lease, &runner.options, runner.context.now(), &*runner.context.random);
    let word = ending.word();
    let word = if settle(&runner, &job, ending).await { word } else { "lost" };
    report(&runner, &job.name, word, started);
}

/// Whether the run itself has found out that another one has taken over.
fn says_lost(outcome: &Result<(), JobError>) -> bool {
    match outcome {
        Err(JobError::Retry { error, .. } | JobError::Fail(error)) => error.code() == LEASE_LOST,
        Err(JobError::Wait { .. }) | Ok(()) => false,
    }
}

fn report(runner: &Runner, name: &str, outcome: &'static str, started: Instant) {
    let took = started.elapsed();
    runner.metrics.settled(name, outcome, took);
    tracing::info!(outcome, duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "job ended");
}

/// What came of the run itself; a panic is an error like any other.
async fn outcome(runner: &Runner, job: &Leased, lease: Lease) -> Result<(), JobError> {
    if job.attempt > job.max_attempts {
        return Err(JobError::Fail(Error::internal(format!(
            "{} runs ended without a word: the process died in them, or lost its lease",
            job.max_attempts
        ))));
    }
    let Some(worker) = runner.workers.get(job.name.as_str()) else {
        return Err(JobError::Fail(Error::internal(format!("nobody here works on {}", job.name))));
    };
    match AssertUnwindSafe(worker.run(job.payload.clone(), lease)).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => {
            let said = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(JobError::Retry {
                error: Error::internal(format!("the worker panicked: {said}")),
                after: None,
            })
        }
    }
}

/// Extends the lease as long as it is there; returns, with the run asked to stop, when it is lost.
async fn keep(runner: Arc<Runner>, lease: Lease) {
    let period = runner.options.lease / 3;
    loop {
        tokio::time::sleep(period).await;
        let (context, id, token) = (runner.context.clone(), lease.id, lease.token);
        let length = delta(runner.options.lease);
        let renewed = runner.context.db.write("jobs.renew", move |tx| {
            // The clock is read inside: the transaction may have had to wait for its turn.
            let until = context.now() + length;
            Box::pin(store::renew(tx, id, token, until))
        });
        match renewed.await {
            Ok(true) => {}
            Ok(false) => break,
            // Whoever cannot renew cannot write either: `still_mine` decides.
            Err(error) => tracing::warn!(?error, "a lease could not be renewed"),
        }
    }
    tracing::warn!("the lease is lost: another instance has taken the job over");
    lease.stop.cancel();
}

/// How a run ends: what is written, and the error that a given-up job ends with.
#[derive(Debug)]
enum Ending {
    Plain(Settlement),
    GaveUp(Arc<Error>),
}

impl Ending {
    fn of(
        outcome: Result<(), JobError>,
        lease: &Lease,
        options: &RunnerOptions,
        now: Timestamp,
        random: &dyn Random,
    ) -> Self {
        match outcome {
            Ok(()) => Self::Plain(Settlement::Done),
            Err(JobError::Wait { until, reason }) => Self::Plain(Settlement::Wait { until, reason }),
            Err(JobError::Retry { .. }) if lease.stop.is_cancelled() => Self::Plain(Settlement::HandBack),
            Err(JobError::Retry { error, after }) if !lease.is_last_attempt() => {
                let after = after.unwrap_or_else(|| options.back_off(lease.attempt, random));
                let error = describe(&error);
                tracing::warn!(error, after_ms = after.as_millis(), "the job will be tried again");
                Self::Plain(Settlement::Retry { at: now + delta(after), error })
            }
            Err(JobError::Retry { error, .. } | JobError::Fail(error)) => {
                tracing::error!(error = describe(&error), "the job is given up");
                Self::GaveUp(Arc::new(error))
            }
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Plain(Settlement::Done) => "done",
            Self::Plain(Settlement::Retry { .. }) => "retry",
            Self::Plain(Settlement::Wait { .. }) => "wait",
            Self::Plain(Settlement::HandBack) => "handed_back",
            Self::Plain(Settlement::Failed { .. }) | Self::GaveUp(_) => "failed",
        }
    }
}

fn describe(error: &Error) -> String {
    let text = match error.internal_text() {
        Some(internal) => format!("{error} ({internal})"),
        None => error.to_string(),
    };
    text.chars().take(MAX_ERROR_CHARS).collect()
}

/// A length of time as chrono has it; a century when it is longer than chrono can tell.
pub(super) fn delta(length: Duration) -> TimeDelta {
    TimeDelta::from_std(length).unwrap_or(TimeDelta::days(36_500))
}

/// Writes the ending down; false when the lease was lost, or when the database was away for as long as the
/// lease lasts, so that it will be.
async fn settle(runner: &Runner, job: &Leased, ending: Ending) -> bool {
    let deadline = Instant::now() + runner.options.lease;
    loop {
        let written = match &ending {
            Ending::Plain(settlement) => settle_plainly(runner, job, settlement.clone()).await,
            Ending::GaveUp(error) => give_up(runner, job, error).await,
        };
        match written {
            Ok(mine) => {
                // Something may be due at once: what was woken meanwhile, or handed back.
                runner.context.jobs.wake();
                return mine;
            }
            Err(error) if Instant::now() >= deadline => {
                tracing::error!(?error, "the end of a job could not be written; it will run again");
                return false;
            }
            Err(error) => tracing::warn!(?error, "the end of a job could not be written yet"),
        }
        tokio::time::sleep(SETTLE_AGAIN).await;
    }
}

async fn settle_plainly(runner: &Runner, job: &Leased, settlement: Settlement) -> Result<bool> {
    let (id, token, context) = (job.id, job.token, runner.context.clone());
    let settlement = Arc::new(settlement);
    runner
        .context
        .db
        .write("jobs.settle", move |tx| {
            let (settlement, now) = (Arc::clone(&settlement), context.now());
            Box::pin(async move { store::settle(tx, id, token, now, &settlement).await })
        })
        .await
}

/// Marks the job as failed, together with what its worker marks.
async fn give_up(runner: &Runner, job: &Leased, error: &Arc<Error>) -> Result<bool> {
    let failed = Settlement::Failed { error: describe(error) };
    let Some(worker) = runner.workers.get(job.name.as_str()).cloned() else {
        return settle_plainly(runner, job, failed).await;
    };
    match give_up_with(runner, job, worker, error, failed.clone()).await {
        Err(refused) if refused.kind() != ErrorKind::Unavailable => {
            tracing::error!(error = ?refused, "a worker could not mark what its failed job was to do");
            settle_plainly(runner, job, failed).await
        }
        written => written,
    }
}

async fn give_up_with(
    runner: &Runner,
    job: &Leased,
    worker: Arc<dyn AnyWorker>,
    error: &Arc<Error>,
    failed: Settlement,
) -> Result<bool> {
    let shared = Arc::new((job.clone(), Arc::clone(error), failed, worker));
    let context = runner.context.clone();
    runner
        .context
        .db
        .write("jobs.give_up", move |tx| {
            let (shared, now) = (Arc::clone(&shared), context.now());
            Box::pin(async move {
                let (job, error, failed, worker) = &*shared;
                let mine = store::settle(tx, job.id, job.token, now, failed).await?;
                if mine {
                    worker.gave_up(tx, job.payload.clone(), error).await?;
                }
                Ok(mine)
            })
        })
        .await
}

/// Counts a run while it lasts, however it ends.
struct Running<'a> {
    metrics: &'a JobMetrics,
    name: &'a str,
}

impl<'a> Running<'a> {
    fn new(metrics: &'a JobMetrics, name: &'a str) -> Self {
        metrics.began(name);
        Self { metrics, name }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.metrics.ended(self.name);
    }
}

/// Gives leases back whose runs were cut off at the end of the time for draining.
pub(super) async fn hand_back(runner: &Runner, leases: Vec<(uuid::Uuid, uuid::Uuid)>) {
    let (context, count) = (runner.context.clone(), leases.len());
    let leases = Arc::new(leases);
    match runner
        .context
        .db
        .write("jobs.hand_back", move |tx| {
            let (leases, now) = (Arc::clone(&leases), context.now());
            Box::pin(async move {
                for (id, token) in leases.iter() {
                    store::settle(tx, *id, *token, now, &Settlement::HandBack).await?;
                }
                Ok(())
            })
        })
        .await
    {
        Ok(()) => tracing::warn!(jobs = count, "handed back jobs that did not end in time"),
        Err(error) => {
            tracing::error!(?error, jobs = count, "jobs could not be handed back; their leases run out");
        }
    }
}
