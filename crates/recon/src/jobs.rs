//! What reconciliation does outside of requests.

use futures::FutureExt;
use payops_core::time::Zone;
use payops_platform::auth::Actor;
use payops_platform::context::ServiceContext;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::schedule::{self, NewSchedule, Timetable};
use payops_platform::jobs::{Job, JobError, JobRef, Lease, Runner, Worker};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Reconciliation;
use crate::alerts::Destination;
use crate::alerts::event::AlertEvent;
use crate::ops::{back_test_run, bank_reversals, beside, catch_up, inputs, run, schedules, watch, webhooks};

/// How often a run is tried before its task has failed. The back-off doubles up to ten minutes, so that is about
/// a day of a source being away.
pub const MOST_ATTEMPTS: u32 = 150;

/// Runs a task once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunTask {
    /// The task.
    pub task_id: Uuid,
    /// The run; an older one does nothing.
    pub run_no: i64,
}

impl Job for RunTask {
    const NAME: &'static str = "reconciliation.run_task";
}

impl RunTask {
    /// What this run is known by among unfinished jobs.
    pub fn key(&self) -> String {
        format!("{}/{}", self.task_id, self.run_no)
    }
}

/// Fetches a file that somebody asked for outside of a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FetchFile {
    /// The file's row.
    pub file_id: Uuid,
}

impl Job for FetchFile {
    const NAME: &'static str = "reconciliation.fetch_file";
}

impl FetchFile {
    /// What this fetch is known by among unfinished jobs.
    pub fn key(&self) -> String {
        self.file_id.to_string()
    }
}

/// Looks whether the days beside a task's, whose payouts its files may explain, have to be run again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LookBeside {
    /// The task.
    pub task_id: Uuid,
}

impl Job for LookBeside {
    const NAME: &'static str = "reconciliation.look_beside";
}

/// Looks whether days rest on deposits that a bank statement, or the one whose place it took, takes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LookForReversals {
    /// The statement.
    pub file_id: Uuid,
    /// The one whose place it took.
    pub replaced: Option<Uuid>,
}

impl Job for LookForReversals {
    const NAME: &'static str = "reconciliation.look_for_reversals";
}

/// Acts upon a stored event of Stripe.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HandleStripeEvent {
    /// The event.
    pub event_id: String,
}

impl Job for HandleStripeEvent {
    const NAME: &'static str = "reconciliation.stripe_event";
}

/// Compares the tasks of a back-test.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunBackTest {
    /// The back-test.
    pub back_test_id: Uuid,
}

impl Job for RunBackTest {
    const NAME: &'static str = "reconciliation.run_back_test";
}

impl RunBackTest {
    /// What it is known by among unfinished jobs.
    pub fn key(&self) -> String {
        self.back_test_id.to_string()
    }
}

/// Removes what a back-test has stored that nobody wants to see any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveBackTest {
    /// The back-test.
    pub back_test_id: Uuid,
}

impl Job for RemoveBackTest {
    const NAME: &'static str = "reconciliation.remove_back_test";
}

impl RemoveBackTest {
    /// What it is known by among unfinished jobs.
    pub fn key(&self) -> String {
        self.back_test_id.to_string()
    }
}

/// Creates and starts the tasks that a schedule owes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MakeTasks {
    /// The schedule.
    pub schedule_id: Uuid,
}

impl Job for MakeTasks {
    const NAME: &'static str = "reconciliation.make_tasks";
}

/// Looks whether the files are there that are expected.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WatchFiles {}

impl Job for WatchFiles {
    const NAME: &'static str = "reconciliation.watch_files";
}

/// Reads bank statements and days again that an earlier release has read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CatchUp {}

impl Job for CatchUp {
    const NAME: &'static str = "reconciliation.catch_up";
}

/// Sends an alert to one destination.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendAlert {
    /// What is told.
    pub event: AlertEvent,
    /// To whom.
    pub destination: Destination,
}

impl Job for SendAlert {
    const NAME: &'static str = "reconciliation.send_alert";
}

/// Makes sure of the service's schedules. Called once at the start.
pub async fn schedule(context: &ServiceContext) -> Result<()> {
    let shared = context.clone();
    context
        .db
        .write("reconciliation.schedule", move |tx| {
            let context = shared.clone();
            async move {
                let every_minute = Timetable::new("* * * * *", Zone::utc()).map_err(Error::internal)?;
                let watch = NewSchedule { name: WatchFiles::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &watch, &WatchFiles {}).await?;
                let catch_up = NewSchedule { name: CatchUp::NAME, ..watch };
                schedule::ensure(tx, &context, &catch_up, &CatchUp {}).await
            }
            .boxed()
        })
        .await
}

/// The unfinished job of a kind with this key.
pub(crate) fn by_key<J: Job>(key: &str) -> JobRef<'_> {
    JobRef::Key { name: J::NAME, dedup_key: key }
}

/// Registers the service's workers.
pub fn register(app: &Reconciliation, runner: Runner) -> Runner {
    runner
        .register::<RunTask>(Works(app.clone()))
        .register::<FetchFile>(Works(app.clone()))
        .register::<LookBeside>(Works(app.clone()))
        .register::<LookForReversals>(Works(app.clone()))
        .register::<HandleStripeEvent>(Works(app.clone()))
        .register::<RunBackTest>(Works(app.clone()))
        .register::<RemoveBackTest>(Works(app.clone()))
        .register::<MakeTasks>(Works(app.clone()))
        .register::<WatchFiles>(Works(app.clone()))
        .register::<CatchUp>(Works(app.clone()))
        .register::<SendAlert>(Works(app.clone()))
}

/// The service as a worker.
struct Works(Reconciliation);

impl Worker<RunTask> for Works {
    async fn run(&self, job: RunTask, lease: Lease) -> Result<(), JobError> {
        run::run(&self.0, &job, &lease).await
    }

    async fn gave_up(&self, tx: &Tx, job: RunTask, error: &Error) -> Result<()> {
        run::give_up(&self.0, tx, &job, error).await
    }
}

impl Worker<FetchFile> for Works {
    async fn run(&self, job: FetchFile, lease: Lease) -> Result<(), JobError> {
        inputs::fetch_asked(&self.0, job.file_id, &lease).await
    }

    async fn gave_up(&self, tx: &Tx, job: FetchFile, error: &Error) -> Result<()> {
        inputs::give_up(&self.0, tx, job.file_id, error).await
    }
}

impl Worker<LookBeside> for Works {
    async fn run(&self, job: LookBeside, _: Lease) -> Result<(), JobError> {
        Ok(beside::look(&self.0, job.task_id).await?)
    }
}

impl Worker<LookForReversals> for Works {
    async fn run(&self, job: LookForReversals, _: Lease) -> Result<(), JobError> {
        Ok(bank_reversals::look(&self.0, &job).await?)
    }
}

impl Worker<HandleStripeEvent> for Works {
    async fn run(&self, job: HandleStripeEvent, _: Lease) -> Result<(), JobError> {
        let shared = std::sync::Arc::new((self.0.clone(), job));
        self.0
            .context
            .db
            .write("reconciliation.handle_stripe_event", move |tx| {
                let shared = std::sync::Arc::clone(&shared);
                async move { webhooks::handle(&shared.0, tx, &shared.1.event_id).await }.boxed()
            })
            .await?;
        Ok(())
    }
}

impl Worker<RunBackTest> for Works {
    async fn run(&self, job: RunBackTest, lease: Lease) -> Result<(), JobError> {
        back_test_run::run(&self.0, &job, &lease).await
    }

    async fn gave_up(&self, tx: &Tx, job: RunBackTest, error: &Error) -> Result<()> {
        back_test_run::give_up(&self.0, tx, &job, error).await
    }
}

impl Worker<RemoveBackTest> for Works {
    async fn run(&self, job: RemoveBackTest, lease: Lease) -> Result<(), JobError> {
        back_test_run::remove(&self.0, &job, &lease).await
    }
}

impl Worker<MakeTasks> for Works {
    async fn run(&self, job: MakeTasks, lease: Lease) -> Result<(), JobError> {
        schedules::make_tasks(&self.0, &job, &lease).await
    }
}

impl Worker<WatchFiles> for Works {
    async fn run(&self, _: WatchFiles, lease: Lease) -> Result<(), JobError> {
        watch::look_at_all(&self.0, &lease).await
    }
}

impl Worker<CatchUp> for Works {
    async fn run(&self, _: CatchUp, lease: Lease) -> Result<(), JobError> {
        catch_up::catch_up(&self.0, &lease).await
    }
}

impl Worker<SendAlert> for Works {
    async fn run(&self, job: SendAlert, _: Lease) -> Result<(), JobError> {
        watch::send(&self.0, &job).await
    }
}

/// The service itself, where no person acts.
pub(crate) fn system() -> Actor {
    Actor::system("reconciliation")
}
