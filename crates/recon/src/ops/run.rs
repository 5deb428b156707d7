//! One run of a task: get the files, compare them, write what was found.

use std::sync::Arc;
use std::time::Instant;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};
use payops_platform::telemetry;
use sea_orm::ActiveValue::Set;
use tracing::Instrument;

use crate::Reconciliation;
use crate::jobs::{RunTask, system};
use crate::lifecycle::{TaskEvent, task_step};
use crate::model::{Phase, TaskStatus};
use crate::ops::days;
use crate::ops::inputs::{self, Inputs};
use crate::ops::matching;
use crate::ops::save::{self, Changes, Findings};
use crate::ops::write;
use crate::store::task::{self, Model as Task, Step};

/// Why a run pauses or ends before it is done.
#[derive(Debug)]
pub enum Stop {
    /// The time has not come.
    Wait {
        /// When to look again.
        until: Timestamp,
        /// What it waits for.
        reason: String,
    },
    /// Something went wrong.
    Error(Error),
    /// The task was cancelled or started again: nothing of this run is wanted.
    Unwanted,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A run in progress.
pub struct Running<'a> {
    /// The service.
    pub app: &'a Reconciliation,
    /// The task as the run found it.
    pub task: Task,
    /// The right to run it.
    pub lease: &'a Lease,
}

/// Does one run, or as much of it as can be done now.
pub async fn run(app: &Reconciliation, job: &RunTask, lease: &Lease) -> Result<(), JobError> {
    let task = task::find(app.context.db.read(), job.task_id).await?;
    if task.status != TaskStatus::Processing || task.run_no != job.run_no {
        write::clear(app, job.task_id, job.run_no).await?;
        return Ok(());
    }
    let span = tracing::info_span!(
        "reconciliation.RunTask",
        task_id = %task.id,
        task_no = task.task_no,
        run_no = task.run_no,
        attempt = lease.attempt,
    );
    if let Some(traceparent) = &task.traceparent {
        telemetry::continue_trace(&span, traceparent);
    }
    let running = Running { app, task, lease };
    let stop = match running.phases().instrument(span.clone()).await {
        Ok(()) => return Ok(()),
        Err(stop) => stop,
    };
    let paused = running.pause(stop).instrument(span).await;
    write::clear(app, job.task_id, job.run_no).await?;
    paused
}

/// Ends a task whose run was given up, in the transaction that marks the job.
pub async fn give_up(app: &Reconciliation, tx: &Tx, job: &RunTask, error: &Error) -> Result<()> {
    let task = task::lock(tx, job.task_id).await?;
    let Some(status) = task_step(task.status, TaskEvent::Fail).filter(|_| task.run_no == job.run_no) else {
        return Ok(());
    };
    let (code, message) = (error.code().to_owned(), error.text().en.to_string());
    let task = task::update(tx, task, app.context.now(), |row| {
        row.status = Set(status);
        row.phase = Set(None);
        row.status_message = Set(None);
        row.error_code = Set(Some(code));
        row.error_message = Set(Some(message));
    })
    .await?;
    days::run_has_ended(app, tx, &system(), &task).await?;
    let metrics = Arc::clone(&app.metrics);
    tx.after_commit(move || metrics.task_ended(TaskStatus::Failed));
    Ok(())
}

impl Running<'_> {
    async fn phases(&self) -> Result<(), Stop> {
        let begun = Instant::now();
        self.report(Phase::Downloading, 0, None).await?;
        let span = tracing::info_span!("reconciliation.DownloadFile");
        let (settlement, summary) = inputs::channel(self).instrument(span.clone()).await?;
        // A statement that comes later than this is one that the run did not use.
        let by = matching::matched_by(self.app, &self.task).await?;
        let bank = inputs::bank(self, &by.payouts).await?;
        let payouts = inputs::payouts(self, &settlement, &bank).instrument(span).await?;
        self.app.metrics.phase_done(Phase::Downloading, 0, begun.elapsed());

        let begun = Instant::now();
        self.report(Phase::Fetching, 0, None).await?;
        let span = tracing::info_span!("reconciliation.FetchPlatformData");
        let platform = inputs::platform(self).instrument(span).await?;
        self.app.metrics.phase_done(Phase::Fetching, 0, begun.elapsed());

        let begun = Instant::now();
        self.report(Phase::Matching, 0, None).await?;
        let span = tracing::info_span!("reconciliation.PerformMatching");
        let bank_reversals = Vec::new();
        let files = Inputs { settlement, summary, platform, bank, bank_reversals, payouts };
        let findings = matching::perform(self, &files, by).instrument(span).await?;
        let rows = findings.outcome.summary.platform.rows + findings.outcome.summary.channel.rows;
        self.app.metrics.phase_done(Phase::Matching, rows, begun.elapsed());

        let begun = Instant::now();
        self.report(Phase::Saving, 0, None).await?;
        let findings = Arc::new(findings);
        let changes =
            self.save(&findings).instrument(tracing::info_span!("reconciliation.SaveRecords")).await?;
        self.app.metrics.phase_done(Phase::Saving, findings.outcome.listed(), begun.elapsed());
        self.tell(&findings, changes);
        Ok(())
    }

    /// Shows how far the run is; `done` is in hundredths of the phase.
    pub async fn report(&self, phase: Phase, done: i32, message: Option<String>) -> Result<(), Stop> {
        let step = self.step(phase, done, message);
        let now = self.app.context.now();
        let wanted = self
            .app
            .context
            .db
            .write("reconciliation.advance_task", move |tx| {
                let step = step.clone();
                async move { task::advance(tx, &step, now).await }.boxed()
            })
            .await?;
        if wanted { Ok(()) } else { Err(Stop::Unwanted) }
    }

    /// How far the run is; `done` is in hundredths of the phase.
    pub fn step(&self, phase: Phase, done: i32, message: Option<String>) -> Step {
        let (from, to) = phase.progress();
        let progress = from + (to - from) * done.clamp(0, 100) / 100;
        Step { task_id: self.task.id, run_no: self.task.run_no, phase, progress, message }
    }

    /// Shows that this process leaves the run to another one. A run whose lease was lost shows nothing: the task
    /// is the other one's already.
    async fn hand_back(&self) -> Result<(), Stop> {
        let message = "the process that worked on it has stopped; the run goes on in the next process";
        let step = Step {
            task_id: self.task.id,
            run_no: self.task.run_no,
            phase: Phase::Waiting,
            progress: 0,
            message: Some(message.to_owned()),
        };
        let (shared, now) = (Arc::new((self.lease.clone(), step)), self.app.context.now());
        let db = &self.app.context.db;
        db.write("reconciliation.hand_back", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                shared.0.still_mine(tx).await?;
                task::advance(tx, &shared.1, now).await
            }
            .boxed()
        })
        .await?;
        Ok(())
    }

    async fn save(&self, findings: &Arc<Findings>) -> Result<Changes, Stop> {
        let written = write::write_down(self, findings).await?;
        let shared = Arc::new((self.app.clone(), self.lease.clone(), Arc::clone(findings), written));
        let changes = self
            .app
            .context
            .db
            .write("reconciliation.save_run", move |tx| {
                let shared = Arc::clone(&shared);
                async move { save::save(&shared.0, tx, &shared.1, &shared.2, &shared.3).await }.boxed()
            })
            .await?;
        changes.ok_or(Stop::Unwanted)
    }

    fn tell(&self, findings: &Findings, changes: Changes) {
        let (summary, metrics) = (&findings.outcome.summary, &self.app.metrics);
        metrics.task_ended(TaskStatus::Completed);
        if let Some(rate) = summary.match_rate {
            metrics.matched(self.task.channel, rate.matched, rate.compared - rate.matched);
        }
        for (diff_type, totals) in &summary.types {
            if diff_type.is_difference() {
                metrics.differences(diff_type.as_str(), totals.count);
            }
        }
        for (outcome, totals) in summary.payouts.iter().flat_map(|payouts| &payouts.types) {
            if outcome.is_difference() {
                metrics.differences(outcome.as_str(), totals.count);
            }
        }
        tracing::info!(
            task_id = %self.task.id,
            task_no = self.task.task_no,
            run_no = self.task.run_no,
            verdict = summary.verdict.as_str(),
            matched_count = summary.match_rate.map_or(0, |rate| rate.matched),
            diff_count = summary.differences(),
            added = changes.added,
            kept = changes.kept,
            gone = changes.gone,
            "Task execution completed"
        );
    }

    /// Turns a stop into what the queue is to do.
    async fn pause(&self, stop: Stop) -> Result<(), JobError> {
        match stop {
            Stop::Unwanted => Ok(()),
            Stop::Wait { until, reason } => {
                let shown = self.report(Phase::Waiting, 0, Some(reason.clone())).await;
                if matches!(shown, Err(Stop::Unwanted)) {
                    return Ok(());
                }
                Err(JobError::Wait { until, reason })
            }
            Stop::Error(error) => {
                let again = JobError::from(error);
                if let JobError::Retry { error, .. } = &again
                    && !self.lease.is_last_attempt()
                {
                    tracing::warn!(task_id = %self.task.id, ?error, "the run will be tried again");
                    let shown = if self.lease.cancelled().is_cancelled() {
                        self.hand_back().await
                    } else {
                        let reason = format!("{}; it will be tried again", error.text().en);
                        self.report(Phase::Waiting, 0, Some(reason)).await
                    };
                    if matches!(shown, Err(Stop::Unwanted)) {
                        return Ok(());
                    }
                }
                Err(again)
            }
        }
    }
}

/// When to look again at something that was asked for at `since`: soon at first, later and later, at most
/// every five minutes.
pub fn next_look(since: Timestamp, now: Timestamp) -> Timestamp {
    let waited = (now - since).max(TimeDelta::zero());
    now + (waited / 2).clamp(TimeDelta::milliseconds(500), TimeDelta::minutes(5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_come_later_and_later() {
        let since = chrono::DateTime::UNIX_EPOCH;
        let after = |seconds| {
            let now = since + TimeDelta::seconds(seconds);
            (next_look(since, now) - now).num_milliseconds()
        };
        assert_eq!(after(0), 500);
        assert_eq!(after(20), 10_000);
        assert_eq!(after(86_400), 300_000);
        assert_eq!(after(-5), 500);
    }
}
