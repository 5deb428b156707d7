//! What the queue promises on both databases.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use payops_core::random::SeededRandom;
use payops_core::time::{Clock, ManualClock, Timestamp, Zone};
use sea_orm::ConnectionTrait;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::schedule::{self, NewSchedule, Timetable};
use super::*;
use crate::context::ServiceContext;
use crate::db::testing::TestDb;
use crate::db::{Db, Tx};
use crate::error::{Error, ErrorKind, Result};
use crate::telemetry::Metrics;

crate::both_databases!(&[];
    a_job_commits_with_its_cause,
    two_runners_never_run_one_job_twice,
    a_killed_runners_job_is_taken_over,
    a_lost_lease_stops_the_run,
    a_heartbeat_keeps_the_lease,
    a_lease_is_fenced_inside_the_transaction,
    errors_are_retried_with_back_off_until_the_last,
    a_failure_is_final_and_told_to_the_worker,
    a_worker_that_cannot_mark_its_failure_does_not_keep_the_job,
    a_panic_is_a_failed_attempt,
    waiting_is_no_attempt_and_can_be_woken,
    a_wake_during_the_run_is_not_lost,
    one_unfinished_job_for_a_key,
    a_job_for_later_runs_later,
    enqueueing_wakes_the_runner,
    shutdown_hands_leases_back,
    shutdown_waits_for_quick_jobs,
    a_job_that_kills_its_process_is_given_up,
    a_payload_that_cannot_be_read_fails,
    jobs_of_other_names_stay,
    a_schedule_fires_once_with_two_runners,
    missed_fires_are_made_up_for_by_one,
    schedules_can_be_edited,
    an_edit_does_not_lose_a_fire_that_is_due,
    finished_jobs_are_purged_and_counted,
);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    text: String,
}

impl Job for Note {
    const NAME: &'static str = "test.note";
}

/// A worker made of a function.
struct Does<F>(F);

impl<F, A> Worker<Note> for Does<F>
where
    F: Fn(Note, Lease) -> A + Send + Sync + 'static,
    A: Future<Output = Result<(), JobError>> + Send,
{
    fn run(&self, job: Note, lease: Lease) -> impl Future<Output = Result<(), JobError>> + Send {
        (self.0)(job, lease)
    }
}

fn clock() -> ManualClock {
    ManualClock::new("2024-10-24T08:00:00Z".parse().unwrap())
}

fn context(db: &Db, clock: &ManualClock) -> ServiceContext {
    let random = Arc::new(SeededRandom::new(11));
    let metrics = Metrics::new("test-service");
    ServiceContext::new("test-service", db.clone(), Arc::new(clock.clone()), random, metrics)
}

fn options() -> RunnerOptions {
    RunnerOptions {
        poll: Duration::from_millis(10),
        lease: Duration::from_millis(300),
        drain: Duration::from_millis(100),
        ..RunnerOptions::default()
    }
}

fn runner(context: &ServiceContext, worker: impl Worker<Note>) -> Runner {
    Runner::new(context.clone()).with_options(options()).register(worker)
}

async fn put(context: &ServiceContext, text: &str, options: EnqueueOptions) -> Uuid {
    let (inner, note) = (context.clone(), Note { text: text.to_owned() });
    let body = context.db.write("put", move |tx| {
        let (context, note, options) = (inner.clone(), note.clone(), options.clone());
        Box::pin(async move { enqueue(tx, &context, &note, options).await })
    });
    body.await.unwrap()
}

async fn stands(db: &Db, id: Uuid) -> JobStatus {
    status(db.read(), db.backend(), id).await.unwrap().unwrap()
}

async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(Instant::now() < deadline, "it did not happen within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn becomes(db: &Db, id: Uuid, state: JobState) -> JobStatus {
    eventually(async || stands(db, id).await.state == state).await;
    stands(db, id).await
}

fn away() -> Error {
    Error::unavailable("the channel is away", Duration::from_secs(7))
}

async fn a_job_commits_with_its_cause(db: TestDb) {
    let context = context(&db, &clock());
    let inner = context.clone();
    let outcome: Result<()> = db
        .write("taken back", move |tx| {
            let context = inner.clone();
            Box::pin(async move {
                enqueue(tx, &context, &Note { text: "lost".into() }, EnqueueOptions::default()).await?;
                Err(Error::new(ErrorKind::Conflict, "NO", "no", "不"))
            })
        })
        .await;
    assert_eq!(outcome.unwrap_err().code(), "NO");
    put(&context, "kept", EnqueueOptions::default()).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    let worker = Does(move |note: Note, lease: Lease| {
        sender.send((note.text, lease.attempt, lease.is_last_attempt())).unwrap();
        async { Ok(()) }
    });
    runner(&context, worker).run_until_idle().await;
    assert_eq!(seen.try_recv().unwrap(), ("kept".to_owned(), 1, false));
    assert!(seen.try_recv().is_err());
}

async fn two_runners_never_run_one_job_twice(db: TestDb) {
    let (clock, runs) = (clock(), Arc::new(AtomicU32::new(0)));
    let at_once = Arc::new(Semaphore::new(1));
    let mut ids = Vec::new();
    let shared = context(&db, &clock);
    for number in 0..40 {
        ids.push(put(&shared, &number.to_string(), EnqueueOptions::default()).await);
    }
    let busy: Arc<std::sync::Mutex<std::collections::HashSet<Uuid>>> = Arc::default();
    let tasks: Vec<_> = (0..2)
        .map(|_| {
            let (runs, at_once, busy) = (Arc::clone(&runs), Arc::clone(&at_once), Arc::clone(&busy));
            let worker = Does(move |_, lease: Lease| {
                runs.fetch_add(1, Ordering::SeqCst);
                let (at_once, busy) = (Arc::clone(&at_once), Arc::clone(&busy));
                async move {
                    assert!(busy.lock().unwrap().insert(lease.id), "it runs already");
                    let _turn = at_once.acquire().await.unwrap();
                    tokio::task::yield_now().await;
                    busy.lock().unwrap().remove(&lease.id);
                    Ok(())
                }
            });
            let runner = runner(&context(&db, &clock), worker);
            tokio::spawn(async move { runner.run_until_idle().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    for id in ids {
        assert_eq!(becomes(&db, id, JobState::Done).await.attempts, 1);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 40);
}

/// Starts a runner whose worker hands out its lease and then hangs.
fn hanging(context: &ServiceContext) -> (tokio::task::JoinHandle<()>, mpsc::UnboundedReceiver<Lease>) {
    let (sender, leases) = mpsc::unbounded_channel();
    let worker = Does(move |_, lease: Lease| {
        sender.send(lease).unwrap();
        std::future::pending()
    });
    (tokio::spawn(runner(context, worker).run(CancellationToken::new())), leases)
}

async fn still_mine(db: &Db, lease: &Lease) -> Result<()> {
    let lease = lease.clone();
    db.write("fence", move |tx| {
        let lease = lease.clone();
        Box::pin(async move { lease.still_mine(tx).await })
    })
    .await
}

async fn a_killed_runners_job_is_taken_over(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (first, mut leases) = hanging(&context);
    let old = leases.recv().await.unwrap();
    still_mine(&db, &old).await.unwrap();
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());

    let (sender, mut seen) = mpsc::unbounded_channel();
    let second = runner(
        &context,
        Does(move |_, lease: Lease| {
            sender.send(lease).unwrap();
            async { Ok(()) }
        }),
    );
    second.run_until_idle().await;
    assert!(seen.try_recv().is_err(), "the lease has not run out yet");
    clock.advance(TimeDelta::seconds(2));
    second.run_until_idle().await;
    assert_eq!(seen.try_recv().unwrap().attempt, 2);
    assert_eq!(stands(&db, id).await.state, JobState::Done);
    assert_eq!(still_mine(&db, &old).await.unwrap_err().code(), "LEASE_LOST");
}

async fn a_lost_lease_stops_the_run(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (_first, mut leases) = hanging(&context);
    let old = leases.recv().await.unwrap();
    // As if another instance had taken it over.
    let take = "UPDATE jobs SET lease_token = $1 WHERE id = $2";
    db.write("take over", move |tx| {
        Box::pin(async move {
            tx.execute_raw(tx.statement(take, [Uuid::from_u128(7).into(), id.into()])).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    tokio::time::timeout(Duration::from_secs(20), old.cancelled().cancelled()).await.unwrap();
    eventually(async || context.metrics.render().unwrap().contains("name=\"test.note\",outcome=\"lost\"} 1"))
        .await;
    assert_eq!(stands(&db, id).await.state, JobState::Running);
}

async fn a_heartbeat_keeps_the_lease(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    put(&context, "a", EnqueueOptions::default()).await;
    let (_first, mut leases) = hanging(&context);
    let lease = leases.recv().await.unwrap();
    let expiry = async || {
        let select = "SELECT lease_expires_at FROM jobs";
        let row = db.read().query_one_raw(db.backend().statement(select, [])).await.unwrap().unwrap();
        row.try_get_by::<Timestamp, _>("lease_expires_at").unwrap()
    };
    for _ in 0..3 {
        clock.advance(TimeDelta::milliseconds(200));
        let now = clock.now();
        eventually(async || expiry().await == now + TimeDelta::milliseconds(300)).await;
    }
    still_mine(&db, &lease).await.unwrap();
}

/// Whoever has asked inside a transaction keeps the job until that ends, even if the lease runs out.
async fn a_lease_is_fenced_inside_the_transaction(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (first, mut leases) = hanging(&context);
    let lease = leases.recv().await.unwrap();
    first.abort();
    let (asked, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let transaction = tokio::spawn({
        let (db, asked, go_on) = (db.db(), Arc::clone(&asked), Arc::clone(&go_on));
        async move {
            db.write("long", move |tx| {
                let (lease, asked, go_on) = (lease.clone(), Arc::clone(&asked), Arc::clone(&go_on));
                Box::pin(async move {
                    lease.still_mine(tx).await?;
                    asked.add_permits(1);
                    let _on = go_on.acquire().await.map_err(Error::internal)?;
                    lease.still_mine(tx).await
                })
            })
            .await
        }
    });
    let _asked = asked.acquire().await.unwrap();
    clock.advance(TimeDelta::seconds(60));
    let second = tokio::spawn({
        let runner = runner(&context, Does(|_, _| async { Ok(()) }));
        async move { runner.run_until_idle().await }
    });
    if db.backend() == crate::db::Backend::Postgres {
        second.await.unwrap();
        assert_eq!(stands(&db, id).await.state, JobState::Running, "its row is locked");
        go_on.add_permits(1);
    } else {
        // The writer is taken: the second runner waits for its turn.
        go_on.add_permits(1);
        second.await.unwrap();
    }
    transaction.await.unwrap().unwrap();
    runner(&context, Does(|_, _| async { Ok(()) })).run_until_idle().await;
    assert_eq!(stands(&db, id).await.state, JobState::Done);
}

async fn errors_are_retried_with_back_off_until_the_last(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default().attempts(3)).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    let runner = runner(
        &context,
        Does(move |_, lease: Lease| {
            sender.send((lease.attempt, lease.is_last_attempt())).unwrap();
            async { Err(JobError::Retry { error: away(), after: None }) }
        }),
    );
    runner.run_until_idle().await;
    let first = stands(&db, id).await;
    assert_eq!((first.state, first.attempts), (JobState::Queued, 1));
    assert!(first.last_error.unwrap().contains("the channel is away"));
    let pause = first.run_at - clock.now();
    assert!(pause >= TimeDelta::seconds(1) && pause <= TimeDelta::seconds(2), "{pause}");
    runner.run_until_idle().await;
    assert_eq!(stands(&db, id).await.attempts, 1, "its time has not come");
    clock.advance(TimeDelta::seconds(2));
    runner.run_until_idle().await;
    let pause = stands(&db, id).await.run_at - clock.now();
    assert!(pause >= TimeDelta::seconds(2) && pause <= TimeDelta::seconds(4), "{pause}");
    clock.advance(TimeDelta::seconds(4));
    runner.run_until_idle().await;
    let last = stands(&db, id).await;
    assert_eq!((last.state, last.attempts), (JobState::Failed, 3));
    let runs: Vec<_> = std::iter::from_fn(|| seen.try_recv().ok()).collect();
    assert_eq!(runs, [(1, false), (2, false), (3, true)]);
    let page = context.metrics.render().unwrap();
    assert!(page.contains("name=\"test.note\",outcome=\"retry\"} 2"), "{page}");
    assert!(page.contains("name=\"test.note\",outcome=\"failed\"} 1"), "{page}");
    assert!(page.contains("jobs_running{service=\"test-service\",name=\"test.note\"} 0"), "{page}");
}

struct MarksFailures {
    sender: mpsc::UnboundedSender<String>,
    can_mark: bool,
}

impl Worker<Note> for MarksFailures {
    async fn run(&self, _: Note, _: Lease) -> Result<(), JobError> {
        Err(Error::new(ErrorKind::Unprocessable, "BAD_FILE", "the file is bad", "文件损坏").into())
    }

    async fn gave_up(&self, tx: &Tx, job: Note, error: &Error) -> Result<()> {
        let running = "SELECT 1 AS one FROM jobs WHERE state = 'failed'";
        assert!(tx.query_one_raw(tx.statement(running, [])).await?.is_some(), "the same transaction");
        self.sender.send(format!("{} {}", job.text, error.code())).unwrap();
        if self.can_mark { Ok(()) } else { Err(Error::internal("cannot mark")) }
    }
}

async fn a_failure_is_final_and_told_to_the_worker(db: TestDb) {
    let context = context(&db, &clock());
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    runner(&context, MarksFailures { sender, can_mark: true }).run_until_idle().await;
    let stands = stands(&db, id).await;
    assert_eq!((stands.state, stands.attempts), (JobState::Failed, 1));
    assert_eq!(stands.last_error.unwrap(), "BAD_FILE: the file is bad");
    assert_eq!(seen.try_recv().unwrap(), "a BAD_FILE");
}

async fn a_worker_that_cannot_mark_its_failure_does_not_keep_the_job(db: TestDb) {
    let context = context(&db, &clock());
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (sender, _seen) = mpsc::unbounded_channel();
    runner(&context, MarksFailures { sender, can_mark: false }).run_until_idle().await;
    assert_eq!(stands(&db, id).await.state, JobState::Failed);
}

async fn a_panic_is_a_failed_attempt(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default().attempts(2)).await;
    let runner = runner(&context, Does(|_, _| async { panic!("poison") }));
    runner.run_until_idle().await;
    let first = stands(&db, id).await;
    assert_eq!((first.state, first.attempts), (JobState::Queued, 1));
    assert!(first.last_error.unwrap().contains("the worker panicked: poison"));
    clock.advance(TimeDelta::seconds(10));
    runner.run_until_idle().await;
    assert_eq!(stands(&db, id).await.state, JobState::Failed);
}

fn waits_then_is_done(until: Timestamp) -> impl Worker<Note> {
    let runs = AtomicU32::new(0);
    Does(move |_, _| {
        let first = runs.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if first { Err(JobError::Wait { until, reason: "the report".into() }) } else { Ok(()) } }
    })
}

async fn wake_up(context: &ServiceContext, key: Option<&'static str>, id: Uuid) -> bool {
    let inner = context.clone();
    let body = context.db.write("wake", move |tx| {
        let context = inner.clone();
        let job = key.map_or(JobRef::Id(id), |dedup_key| JobRef::Key { name: Note::NAME, dedup_key });
        Box::pin(async move { wake(tx, &context, job).await })
    });
    body.await.unwrap()
}

async fn waiting_is_no_attempt_and_can_be_woken(db: TestDb) {
    for key in [None, Some("run-1")] {
        let clock = clock();
        let context = context(&db, &clock);
        let options = EnqueueOptions { dedup_key: key.map(str::to_owned), ..EnqueueOptions::default() };
        let id = put(&context, "a", options).await;
        let until = clock.now() + TimeDelta::hours(1);
        let runner = runner(&context, waits_then_is_done(until));
        runner.run_until_idle().await;
        let waits = stands(&db, id).await;
        assert_eq!((waits.state, waits.attempts, waits.run_at), (JobState::Queued, 0, until));
        assert_eq!(waits.wait_reason.as_deref(), Some("the report"));
        assert!(wake_up(&context, key, id).await);
        runner.run_until_idle().await;
        let done = stands(&db, id).await;
        assert_eq!((done.state, done.attempts, done.wait_reason), (JobState::Done, 1, None));
        assert!(!wake_up(&context, key, id).await, "it is finished");
    }
}

async fn a_wake_during_the_run_is_not_lost(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (runs, inner) = (Arc::new(AtomicU32::new(0)), context.clone());
    let counted = Arc::clone(&runs);
    let until = clock.now() + TimeDelta::hours(1);
    let worker = Does(move |_, lease: Lease| {
        let (first, context) = (counted.fetch_add(1, Ordering::SeqCst) == 0, inner.clone());
        async move {
            if first {
                assert!(wake_up(&context, None, lease.id).await);
                return Err(JobError::Wait { until, reason: "a webhook".into() });
            }
            Ok(())
        }
    });
    runner(&context, worker).run_until_idle().await;
    assert_eq!((stands(&db, id).await.state, runs.load(Ordering::SeqCst)), (JobState::Done, 2));
}

async fn one_unfinished_job_for_a_key(db: TestDb) {
    let context = context(&db, &clock());
    let unique = || EnqueueOptions::default().unique("2024-10-24");
    let first = put(&context, "a", unique()).await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let context = context.clone();
            tokio::spawn(
                async move { put(&context, "b", EnqueueOptions::default().unique("2024-10-24")).await },
            )
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), first);
    }
    runner(&context, Does(|_, _| async { Ok(()) })).run_until_idle().await;
    assert_ne!(put(&context, "c", unique()).await, first, "the first is finished");
}

async fn a_job_for_later_runs_later(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let at = clock.now() + TimeDelta::minutes(5);
    let id = put(&context, "a", EnqueueOptions::default().at(at)).await;
    let runner = runner(&context, Does(|_, _| async { Ok(()) }));
    runner.run_until_idle().await;
    assert_eq!(stands(&db, id).await.state, JobState::Queued);
    clock.set(at);
    runner.run_until_idle().await;
    assert_eq!(stands(&db, id).await.state, JobState::Done);
}

async fn enqueueing_wakes_the_runner(db: TestDb) {
    let context = context(&db, &clock());
    let slow = RunnerOptions { poll: Duration::from_hours(1), ..options() };
    let runner = Runner::new(context.clone()).with_options(slow).register(Does(|_, _| async { Ok(()) }));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(runner.run(shutdown.clone()));
    for _ in 0..3 {
        let id = put(&context, "a", EnqueueOptions::default()).await;
        becomes(&db, id, JobState::Done).await;
    }
    shutdown.cancel();
    running.await.unwrap();
}

async fn shutdown_hands_leases_back(db: TestDb) {
    let context = context(&db, &clock());
    let stubborn = put(&context, "stubborn", EnqueueOptions::default()).await;
    let polite = put(&context, "polite", EnqueueOptions::default()).await;
    let (sender, mut begun) = mpsc::unbounded_channel();
    let worker = Does(move |note: Note, lease: Lease| {
        sender.send(()).unwrap();
        async move {
            if note.text == "stubborn" {
                std::future::pending::<()>().await;
            }
            lease.cancelled().cancelled().await;
            Err(JobError::Retry { error: away(), after: Some(Duration::from_hours(1)) })
        }
    });
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(runner(&context, worker).run(shutdown.clone()));
    begun.recv().await.unwrap();
    begun.recv().await.unwrap();
    shutdown.cancel();
    running.await.unwrap();
    for id in [stubborn, polite] {
        let back = stands(&db, id).await;
        assert_eq!((back.state, back.attempts), (JobState::Queued, 0));
    }
    runner(&context, Does(|_, _| async { Ok(()) })).run_until_idle().await;
    assert_eq!(stands(&db, stubborn).await.state, JobState::Done);
    assert_eq!(stands(&db, polite).await.state, JobState::Done);
}

async fn shutdown_waits_for_quick_jobs(db: TestDb) {
    let context = context(&db, &clock());
    let id = put(&context, "a", EnqueueOptions::default()).await;
    let (sender, mut begun) = mpsc::unbounded_channel();
    let worker = Does(move |_, lease: Lease| {
        sender.send(()).unwrap();
        async move {
            lease.cancelled().cancelled().await;
            Ok(())
        }
    });
    let patient = RunnerOptions { drain: Duration::from_secs(20), ..options() };
    let runner = Runner::new(context.clone()).with_options(patient).register(worker);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(runner.run(shutdown.clone()));
    begun.recv().await.unwrap();
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(stands(&db, id).await.state, JobState::Done);
}

async fn a_job_that_kills_its_process_is_given_up(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let id = put(&context, "a", EnqueueOptions::default().attempts(2)).await;
    for _ in 0..2 {
        let (runner, mut leases) = hanging(&context);
        leases.recv().await.unwrap();
        runner.abort();
        assert!(runner.await.unwrap_err().is_cancelled());
        clock.advance(TimeDelta::seconds(60));
    }
    let (sender, mut seen) = mpsc::unbounded_channel();
    runner(&context, MarksFailures { sender, can_mark: true }).run_until_idle().await;
    let failed = stands(&db, id).await;
    assert_eq!(failed.state, JobState::Failed);
    assert!(failed.last_error.unwrap().contains("2 runs ended without a word"));
    assert_eq!(seen.try_recv().unwrap(), "a INTERNAL_ERROR", "and its worker was told");
}

async fn a_payload_that_cannot_be_read_fails(db: TestDb) {
    let context = context(&db, &clock());
    let id = put(&context, "a", EnqueueOptions::default()).await;
    db.write("spoil", move |tx| {
        Box::pin(async move {
            let payload = serde_json::json!({"other": 1});
            tx.execute_raw(tx.statement("UPDATE jobs SET payload = $1", [payload.into()])).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    runner(&context, Does(|_, _| async { Ok(()) })).run_until_idle().await;
    let failed = stands(&db, id).await;
    assert_eq!(failed.state, JobState::Failed);
    assert!(failed.last_error.unwrap().contains("the payload is no test.note"));
}

async fn jobs_of_other_names_stay(db: TestDb) {
    let context = context(&db, &clock());
    let id = put(&context, "a", EnqueueOptions::default()).await;
    Runner::new(context.clone()).with_options(options()).run_until_idle().await;
    assert_eq!(stands(&db, id).await.state, JobState::Queued);
}

async fn plan(context: &ServiceContext, cron: &str, enabled: bool) -> schedule::Schedule {
    let (inner, timetable) = (context.clone(), Timetable::new(cron, Zone::utc()).unwrap());
    let body = context.db.write("plan", move |tx| {
        let (context, timetable) = (inner.clone(), timetable.clone());
        Box::pin(async move {
            let new = NewSchedule { name: "daily", timetable: &timetable, enabled };
            schedule::put(tx, &context, &new, &Note { text: "daily".into() }).await
        })
    });
    body.await.unwrap()
}

fn reports(sender: mpsc::UnboundedSender<Option<Timestamp>>) -> impl Worker<Note> {
    Does(move |_, lease: Lease| {
        sender.send(lease.scheduled_for).unwrap();
        async { Ok(()) }
    })
}

async fn a_schedule_fires_once_with_two_runners(db: TestDb) {
    let clock = clock();
    let shared = context(&db, &clock);
    assert_eq!(
        plan(&shared, "30 * * * *", true).await.next_at,
        "2024-10-24T08:30:00Z".parse::<Timestamp>().unwrap()
    );
    let (sender, mut seen) = mpsc::unbounded_channel();
    let shutdown = CancellationToken::new();
    let runners: Vec<_> = (0..2)
        .map(|_| {
            // The clock jumps by hours: no lease may run out by that.
            let patient = RunnerOptions { lease: Duration::from_hours(7 * 24), ..options() };
            let runner = runner(&context(&db, &clock), reports(sender.clone())).with_options(patient);
            tokio::spawn(runner.run(shutdown.clone()))
        })
        .collect();
    for hour in 8..14 {
        let nominal: Timestamp = format!("2024-10-24T{hour:02}:30:00Z").parse().unwrap();
        clock.set(nominal);
        let fired = tokio::time::timeout(Duration::from_secs(20), seen.recv()).await.unwrap().unwrap();
        assert_eq!(fired, Some(nominal));
    }
    shutdown.cancel();
    for runner in runners {
        runner.await.unwrap();
    }
    assert!(seen.try_recv().is_err(), "nothing fired twice");
    let row = schedule::find(db.read(), db.backend(), "daily").await.unwrap().unwrap();
    assert_eq!(row.last_fired_at, Some("2024-10-24T13:30:00Z".parse().unwrap()));
}

async fn missed_fires_are_made_up_for_by_one(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    plan(&context, "30 2 * * *", true).await;
    clock.set("2024-10-28T10:00:00Z".parse().unwrap());
    let (sender, mut seen) = mpsc::unbounded_channel();
    runner(&context, reports(sender)).run_until_idle().await;
    assert_eq!(seen.try_recv().unwrap(), Some("2024-10-28T02:30:00Z".parse().unwrap()));
    assert!(seen.try_recv().is_err());
    let row = schedule::find(db.read(), db.backend(), "daily").await.unwrap().unwrap();
    assert_eq!(row.next_at, "2024-10-29T02:30:00Z".parse::<Timestamp>().unwrap());
}

async fn schedules_can_be_edited(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    assert_eq!(plan(&context, "30 2 * * *", true).await.version, 1);
    let inner = context.clone();
    db.write("ensure", move |tx| {
        let context = inner.clone();
        Box::pin(async move {
            let timetable = Timetable::new("0 0 1 1 *", Zone::utc())?;
            let new = NewSchedule { name: "daily", timetable: &timetable, enabled: true };
            schedule::ensure(tx, &context, &new, &Note { text: "other".into() }).await
        })
    })
    .await
    .unwrap();
    let kept = schedule::find(db.read(), db.backend(), "daily").await.unwrap().unwrap();
    assert_eq!((kept.cron.as_str(), kept.version), ("30 2 * * *", 1));
    let off = plan(&context, "0 4 * * *", false).await;
    assert_eq!((off.cron.as_str(), off.version, off.enabled), ("0 4 * * *", 2, false));
    clock.advance(TimeDelta::days(3));
    let (sender, mut seen) = mpsc::unbounded_channel();
    runner(&context, reports(sender)).run_until_idle().await;
    assert!(seen.try_recv().is_err(), "it is off");
    assert_eq!(schedule::list(db.read(), db.backend()).await.unwrap().len(), 1);
    assert!(db.write("remove", |tx| Box::pin(schedule::remove(tx, "daily"))).await.unwrap());
    assert!(schedule::list(db.read(), db.backend()).await.unwrap().is_empty());
}

async fn an_edit_does_not_lose_a_fire_that_is_due(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    plan(&context, "30 2 * * *", true).await;
    // It missed a time the day before, too: the latest one counts, by the timetable that was in force then.
    clock.set("2024-10-26T02:31:00Z".parse().unwrap());
    plan(&context, "0 4 * * *", true).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    runner(&context, reports(sender.clone())).run_until_idle().await;
    assert_eq!(seen.try_recv().unwrap(), Some("2024-10-26T02:30:00Z".parse().unwrap()));
    assert!(seen.try_recv().is_err());
    let row = schedule::find(db.read(), db.backend(), "daily").await.unwrap().unwrap();
    assert_eq!(row.next_at, "2024-10-26T04:00:00Z".parse::<Timestamp>().unwrap());
    // One that is switched off lets its time pass, and once it is on again begins with the next.
    clock.set("2024-10-26T04:01:00Z".parse().unwrap());
    plan(&context, "0 4 * * *", false).await;
    plan(&context, "0 4 * * *", true).await;
    runner(&context, reports(sender)).run_until_idle().await;
    assert!(seen.try_recv().is_err());
}

async fn finished_jobs_are_purged_and_counted(db: TestDb) {
    let clock = clock();
    let context = context(&db, &clock);
    let old = put(&context, "a", EnqueueOptions::default()).await;
    let runner = runner(&context, Does(|_, _| async { Ok(()) }));
    runner.run_until_idle().await;
    clock.advance(TimeDelta::days(31));
    let waiting = put(&context, "b", EnqueueOptions::default()).await;
    clock.advance(TimeDelta::seconds(90));
    let idle = Runner::new(context.clone()).with_options(options());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(idle.run(shutdown.clone()));
    eventually(async || status(db.read(), db.backend(), old).await.unwrap().is_none()).await;
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(stands(&db, waiting).await.state, JobState::Queued);
    let page = context.metrics.render().unwrap();
    assert!(page.contains("jobs_due{service=\"test-service\",name=\"test.note\"} 1"), "{page}");
    assert!(page.contains("jobs_due_age_seconds{service=\"test-service\",name=\"test.note\"} 90"), "{page}");
}
