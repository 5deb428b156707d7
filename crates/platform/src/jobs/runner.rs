//! The loop that leases jobs and has them run.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use payops_core::random::Random;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use super::metrics::JobMetrics;
use super::store::{self, Leased};
use super::worker::{AnyWorker, Typed};
use super::{Job, Worker, run, schedule};
use crate::context::ServiceContext;
use crate::db::PURGED_AT_ONCE;
use crate::error::Result;
use crate::{audit, idempotency};

/// How often finished rows are purged and the backlog is measured.
const UPKEEP: Duration = Duration::from_secs(15);

/// How a runner works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerOptions {
    /// The most jobs that run at once in this process; 4.
    pub concurrency: usize,
    /// How long a job stays with a process that gives no sign of life; 30 s.
    pub lease: Duration,
    /// The mean pause between two looks at the queue; 1 s. Jobs of this process are seen at once.
    pub poll: Duration,
    /// How long running jobs may go on after shutdown; 20 s.
    pub drain: Duration,
    /// The longest pause before a second attempt; it doubles with each further one; 2 s.
    pub first_back_off: Duration,
    /// No pause before an attempt is longer; 10 minutes.
    pub longest_back_off: Duration,
    /// How long finished jobs are kept; 30 days.
    pub job_retention: Duration,
    /// How long the audit log is kept; 90 days.
    pub audit_retention: Duration,
}

impl Default for RunnerOptions {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self {
            concurrency: 4,
            lease: Duration::from_secs(30),
            poll: Duration::from_secs(1),
            drain: Duration::from_secs(20),
            first_back_off: Duration::from_secs(2),
            longest_back_off: Duration::from_mins(10),
            job_retention: 30 * DAY,
            audit_retention: 90 * DAY,
        }
    }
}

impl RunnerOptions {
    /// The pause after the `attempt`-th run: half of a bound that doubles, and up to as much again by chance.
    pub(super) fn back_off(&self, attempt: u32, random: &dyn Random) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        let bound = self.first_back_off.saturating_mul(1 << doublings).min(self.longest_back_off);
        let half = bound / 2;
        half + chance(half, random)
    }
}

/// Anything from nothing to `most`.
fn chance(most: Duration, random: &dyn Random) -> Duration {
    Duration::from_micros(random.below(u64::try_from(most.as_micros()).unwrap_or(u64::MAX).saturating_add(1)))
}

/// Leases and runs the jobs of one service, fires its schedules, and purges what has been kept long enough.
/// Any number of runners, in any number of processes, may share one database.
#[derive(Clone)]
pub struct Runner {
    pub(super) context: ServiceContext,
    pub(super) options: RunnerOptions,
    pub(super) workers: HashMap<&'static str, Arc<dyn AnyWorker>>,
    pub(super) metrics: Arc<JobMetrics>,
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("service", &self.context.service)
            .field("options", &self.options)
            .field("workers", &self.workers.keys())
            .finish_non_exhaustive()
    }
}

impl Runner {
    /// A runner without workers, with the default options.
    pub fn new(context: ServiceContext) -> Self {
        let metrics = Arc::new(JobMetrics::new(&context.metrics));
        Self { context, options: RunnerOptions::default(), workers: HashMap::new(), metrics }
    }

    /// The same runner with other options.
    #[must_use]
    pub fn with_options(mut self, options: RunnerOptions) -> Self {
        self.options = options;
        self
    }

    /// Has `worker` run the jobs called [`Job::NAME`]. Jobs of names without a worker stay in the queue.
    #[must_use]
    pub fn register<J: Job>(mut self, worker: impl Worker<J>) -> Self {
        self.workers.insert(J::NAME, Arc::new(Typed::<J, _> { worker, job: PhantomData }));
        self
    }

    /// Works until `shutdown`; then takes no more jobs, asks those running to stop, waits for them as long as
    /// the options say, and hands back the leases of the rest. Dropping the future is like a crash: leases
    /// have to run out.
    pub async fn run(self, shutdown: CancellationToken) {
        let runner = Arc::new(self);
        let mut runs = Runs::default();
        let upkeep = AbortOnDropHandle::new(tokio::spawn(Arc::clone(&runner).keep_up()));
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = runner.look(&mut runs, &shutdown) => {}
                // A database that does not answer must not keep the process from ending.
                () = runner.out_of_patience(&shutdown) => break,
            }
            let pause = runner.options.poll / 2 + chance(runner.options.poll, &*runner.context.random);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = runs.one_ended(), if !runs.is_empty() => {}
                () = runner.context.jobs.woken() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        drop(upkeep);
        runs.drain(&runner).await;
    }

    async fn out_of_patience(&self, shutdown: &CancellationToken) {
        shutdown.cancelled().await;
        tokio::time::sleep(self.options.drain).await;
    }

    /// Runs whatever is due, and what becomes due by that, and returns when nothing is. Jobs that wait for a
    /// later time stay. For commands and tests.
    pub async fn run_until_idle(&self) {
        let runner = Arc::new(self.clone());
        let (mut runs, never) = (Runs::default(), CancellationToken::new());
        loop {
            runner.look(&mut runs, &never).await;
            if runs.is_empty() {
                return;
            }
            runs.one_ended().await;
        }
    }

    /// Fires due schedules and begins due jobs, as far as there is room.
    async fn look(self: &Arc<Self>, runs: &mut Runs, shutdown: &CancellationToken) {
        match self.lease_due(self.options.concurrency.saturating_sub(runs.set.len())).await {
            Ok(jobs) => {
                for job in jobs {
                    runs.begin(Arc::clone(self), job, shutdown.clone());
                }
            }
            Err(error) => tracing::warn!(?error, "the queue could not be looked at"),
        }
    }

    async fn lease_due(&self, room: usize) -> Result<Vec<Leased>> {
        let context = &self.context;
        let mut due = store::due(context.db.read(), context.db.backend(), context.now()).await?;
        if due.schedules {
            due.jobs |= schedule::fire_due(context).await? > 0;
        }
        if !due.jobs || room == 0 {
            return Ok(Vec::new());
        }
        let names: Arc<[&'static str]> = self.workers.keys().copied().collect();
        let (context, length) = (context.clone(), run::delta(self.options.lease));
        self.context
            .db
            .write("jobs.lease", move |tx| {
                let (context, names) = (context.clone(), Arc::clone(&names));
                Box::pin(async move {
                    let now = context.now();
                    store::release_expired(tx, now).await?;
                    if names.is_empty() {
                        return Ok(Vec::new());
                    }
                    store::lease(tx, &names, room, context.new_id(), now, now + length).await
                })
            })
            .await
    }

    /// Measures the backlog and removes what has been kept long enough, again and again.
    async fn keep_up(self: Arc<Self>) {
        loop {
            if let Err(error) = self.measure().await {
                tracing::warn!(?error, "the backlog could not be measured");
            }
            if let Err(error) = self.purge().await {
                tracing::warn!(?error, "rows kept long enough could not be purged");
            }
            tokio::time::sleep(UPKEEP).await;
        }
    }

    async fn measure(&self) -> Result<()> {
        let (db, now) = (&self.context.db, self.context.now());
        self.metrics.backlog(&store::backlog(db.read(), db.backend(), now).await?, now);
        Ok(())
    }

    async fn purge(&self) -> Result<()> {
        let now = self.context.now();
        let jobs_before = now - run::delta(self.options.job_retention);
        let audit_before = now - run::delta(self.options.audit_retention);
        loop {
            let purged = self.context.db.write("jobs.purge", move |tx| {
                Box::pin(async move {
                    let jobs = store::purge(tx, jobs_before).await?;
                    let keys = idempotency::purge(tx, now).await?;
                    Ok([jobs, keys, audit::purge(tx, audit_before).await?])
                })
            });
            let [jobs, keys, audit] = purged.await?;
            if jobs + keys + audit > 0 {
                tracing::info!(jobs, keys, audit, "purged rows kept long enough");
            }
            if [jobs, keys, audit].iter().all(|purged| *purged < PURGED_AT_ONCE) {
                return Ok(());
            }
        }
    }
}

/// The runs of this runner that have begun and not ended.
#[derive(Default)]
struct Runs {
    set: JoinSet<()>,
    /// Job and lease token by task.
    leases: HashMap<Id, (Uuid, Uuid)>,
}

impl Runs {
    fn begin(&mut self, runner: Arc<Runner>, job: Leased, shutdown: CancellationToken) {
        let lease = (job.id, job.token);
        let task = self.set.spawn(run::run(runner, job, shutdown));
        self.leases.insert(task.id(), lease);
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    async fn one_ended(&mut self) {
        match self.set.join_next_with_id().await {
            Some(Ok((id, ()))) => {
                self.leases.remove(&id);
            }
            Some(Err(error)) => {
                // Only the platform's own part of a run can panic here; its lease runs out.
                tracing::error!(%error, "the run of a job ended badly");
                self.leases.remove(&error.id());
            }
            None => {}
        }
    }

    async fn drain(mut self, runner: &Runner) {
        let all = async {
            while !self.is_empty() {
                self.one_ended().await;
            }
        };
        if tokio::time::timeout(runner.options.drain, all).await.is_err() {
            self.set.shutdown().await;
            let leases = self.leases.into_values().collect();
            if tokio::time::timeout(runner.options.drain, run::hand_back(runner, leases)).await.is_err() {
                tracing::error!("the database does not answer; leases of running jobs have to run out");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use payops_core::random::SeededRandom;

    use super::*;

    #[test]
    fn back_off_doubles_with_chance_and_a_cap() {
        let (options, random) = (RunnerOptions::default(), SeededRandom::new(3));
        for (attempt, most) in [(1, 2), (2, 4), (3, 8), (9, 512), (10, 600), (u32::MAX, 600)] {
            let most = Duration::from_secs(most);
            for _ in 0..50 {
                let pause = options.back_off(attempt, &random);
                assert!(pause >= most / 2 && pause <= most, "{attempt}: {pause:?}");
            }
        }
    }
}
