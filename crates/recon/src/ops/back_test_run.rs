//! The work of a back-test: the files of each task are compared by both versions of the rules, and what differs is written
//! down, a task in a transaction. Nothing of the tasks themselves is touched.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};
use payops_platform::telemetry;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::{
    Carried, Change, Comparison, Difference, EngineError, ListedRow, Observer, RuleSet, Told, Tolerance,
    for_each_change,
};
use crate::error;
use crate::jobs::{RemoveBackTest, RunBackTest};
use crate::model::{BackTestStatus, BackTestTaskStatus};
use crate::ops::back_tests::comparison;
use crate::ops::carry::CarriedIn;
use crate::ops::channel_settings::Matching;
use crate::ops::matching::{self, Day, engine_error};
use crate::ops::rule_sets;
use crate::ops::write::text;
use crate::store::back_test::change::{self, ApartRow, Model as ChangeRow, ToldRow, ToldRows};
use crate::store::back_test::task::{self as entry, Model as Entry};
use crate::store::back_test::{self, Model as BackTest};
use crate::store::file::{self, Model as StoredFile};
use crate::store::task::{self, Model as Task};

/// How often it is looked whether somebody has called a back-test off.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many changes of a task are stored. All are counted.
const MOST_CHANGES: usize = 10_000;

/// Compares the tasks that are still to be compared, one after the other.
pub async fn run(app: &Reconciliation, job: &RunBackTest, lease: &Lease) -> Result<(), JobError> {
    let Some(test) = begin(app, lease, job.back_test_id).await? else { return Ok(()) };
    let span = tracing::info_span!(
        "reconciliation.RunBackTest",
        back_test_id = %test.id,
        rule_set_version = test.rule_set_version,
        attempt = lease.attempt,
    );
    if let Some(traceparent) = &test.traceparent {
        telemetry::continue_trace(&span, traceparent);
    }
    compare_all(app, lease, &test).instrument(span).await
}

/// Ends a back-test that was given up, in the transaction that marks the job.
pub async fn give_up(app: &Reconciliation, tx: &Tx, job: &RunBackTest, error: &Error) -> Result<()> {
    let Some(test) = back_test::lock_unfinished(tx, job.back_test_id).await? else { return Ok(()) };
    let now = app.context.now();
    back_test::update(tx, test, now, |test| {
        test.status = BackTestStatus::Failed;
        test.error_code = Some(error.code().to_owned());
        test.error_message = Some(error.text().en.to_string());
        test.completed_at = Some(now);
    })
    .await?;
    Ok(())
}

/// Removes what a back-test has stored, a task in a transaction, and then the back-test.
pub async fn remove(app: &Reconciliation, job: &RemoveBackTest, lease: &Lease) -> Result<(), JobError> {
    let id = job.back_test_id;
    let remove = || {
        app.context.db.write("reconciliation.remove_back_test", move |tx| {
            async move { back_test::remove_a_task(tx, id).await }.boxed()
        })
    };
    while remove().await? {
        if lease.cancelled().is_cancelled() {
            return Err(Error::unavailable("this process is stopping", Duration::from_secs(1)).into());
        }
    }
    Ok(())
}

async fn compare_all(app: &Reconciliation, lease: &Lease, test: &BackTest) -> Result<(), JobError> {
    let conn = app.context.db.read();
    let tried = rule_sets::followed(conn, test.rule_set_version).await?.rules;
    while let Some(entry) = entry::next(conn, test.id).await? {
        if lease.cancelled().is_cancelled() {
            return Err(Error::unavailable("this process is stopping", Duration::from_secs(1)).into());
        }
        let found = match compare(app, lease, &entry, &tried).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => return Ok(()),
            // What would not be otherwise at another try is this task's matter: the others are compared.
            Err(error) => match JobError::from(error) {
                JobError::Fail(error) => Err(error),
                again => return Err(again),
            },
        };
        if !settle(app, lease, entry, found).await? {
            return Ok(());
        }
    }
    end(app, lease, test.id).await?;
    Ok(())
}

/// The back-test, marked as being worked on; `None` when it is over.
async fn begin(app: &Reconciliation, lease: &Lease, id: Uuid) -> Result<Option<BackTest>> {
    in_turn(app, lease, "reconciliation.begin_back_test", id, |test, now| {
        test.status = BackTestStatus::Processing;
        test.started_at = test.started_at.or(Some(now));
    })
    .await
}

/// Marks the back-test as done.
async fn end(app: &Reconciliation, lease: &Lease, id: Uuid) -> Result<()> {
    in_turn(app, lease, "reconciliation.end_back_test", id, |test, now| {
        test.status = BackTestStatus::Completed;
        test.completed_at = Some(now);
    })
    .await?;
    Ok(())
}

/// Changes a back-test that is not over, while the job is this run's; `None` when it is over.
async fn in_turn(
    app: &Reconciliation,
    lease: &Lease,
    name: &'static str,
    id: Uuid,
    change: fn(&mut BackTest, Timestamp),
) -> Result<Option<BackTest>> {
    let (lease, now) = (lease.clone(), app.context.now());
    app.context
        .db
        .write(name, move |tx| {
            let lease = lease.clone();
            async move {
                lease.still_mine(tx).await?;
                let Some(test) = back_test::lock_unfinished(tx, id).await? else { return Ok(None) };
                Ok(Some(back_test::update(tx, test, now, |test| change(test, now)).await?))
            }
            .boxed()
        })
        .await
}

/// What was found of a task.
#[derive(Debug, Default)]
struct Found {
    comparison: Comparison,
    /// The first of the changes.
    changes: Vec<ChangeRow>,
}

/// Writes down what became of a task. False when nobody wants it any more.
async fn settle(app: &Reconciliation, lease: &Lease, entry: Entry, found: Result<Found>) -> Result<bool> {
    let now = app.context.now();
    let (found, error) = match found {
        Ok(found) => (found, None),
        Err(error) => (Found::default(), Some(error)),
    };
    let status = error.as_ref().map_or(BackTestTaskStatus::Completed, |_| BackTestTaskStatus::Failed);
    let entry = Entry {
        status,
        error_code: error.as_ref().map(|error| error.code().to_owned()),
        error_message: error.as_ref().map(|error| error.text().en.to_string()),
        comparison: serde_json::to_string(&found.comparison).map_err(Error::internal)?,
        change_count: i64::try_from(found.comparison.change_count()).unwrap_or(i64::MAX),
        stored_count: i64::try_from(found.changes.len()).unwrap_or(i64::MAX),
        completed_at: Some(now),
        ..entry
    };
    let shared = Arc::new((lease.clone(), entry, found));
    app.context
        .db
        .write("reconciliation.settle_back_test", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (lease, entry, found) = &*shared;
                lease.still_mine(tx).await?;
                let Some(test) = back_test::lock_unfinished(tx, entry.back_test_id).await? else {
                    return Ok(false);
                };
                change::insert_all(tx, found.changes.clone()).await?;
                entry::settle(tx, entry.clone()).await?;
                let mut all = comparison(test.id, &test.comparison)?;
                all.add(&found.comparison);
                let all = serde_json::to_string(&all).map_err(Error::internal)?;
                back_test::update(tx, test, now, |test| {
                    test.tasks_done += 1;
                    test.tasks_failed += i64::from(entry.status == BackTestTaskStatus::Failed);
                    test.comparison = all;
                })
                .await?;
                Ok(true)
            }
            .boxed()
        })
        .await
}

/// What is compared of a task.
struct Given {
    entry: Entry,
    task: Task,
    platform: StoredFile,
    settlement: StoredFile,
    by: Matching,
    carried: Carried,
    baseline: Tolerance,
    tried: Tolerance,
}

/// Compares the files of a task's run by both versions, on a thread that may block. `None` when the back-test was called off
/// meanwhile.
async fn compare(
    app: &Reconciliation,
    lease: &Lease,
    entry: &Entry,
    tried: &RuleSet,
) -> Result<Option<Found>> {
    let given = give(app, entry, tried).await?;
    let permit = app.engines.acquire().await.map_err(Error::internal)?;
    let stop = lease.cancelled().child_token();
    let guard = stop.clone().drop_guard();
    let (shared, span) = (app.clone(), tracing::Span::current());
    let work = tokio::task::spawn_blocking(move || span.in_scope(|| compare_files(&shared, given, &stop)));
    tokio::pin!(work);
    let found = loop {
        tokio::select! {
            result = &mut work => break result.map_err(Error::internal)?,
            () = tokio::time::sleep(LOOK_EVERY) => {
                if !back_test::is_unfinished(app.context.db.read(), entry.back_test_id).await? {
                    return Ok(None);
                }
            }
        }
    };
    drop((guard, permit));
    found.map(Some)
}

async fn give(app: &Reconciliation, entry: &Entry, tried: &RuleSet) -> Result<Given> {
    let conn = app.context.db.read();
    let task = task::find(conn, entry.task_id).await?;
    let stored =
        async |id: Uuid| file::by_id(conn, id).await?.ok_or_else(|| error::file_not_found(&id.to_string()));
    let (platform, settlement) =
        (stored(entry.platform_file_id).await?, stored(entry.settlement_file_id).await?);
    let by = matching::matched_by(app, &task).await?;
    let carried = CarriedIn::of(conn, &task, by.lookback_days).await?.rows;
    let channel = task.channel.as_str();
    let baseline = match entry.baseline_version {
        Some(version) => rule_sets::followed(conn, version).await?.rules.of_channel(channel),
        None => Tolerance::default(),
    };
    let tried = tried.of_channel(channel);
    Ok(Given { entry: entry.clone(), task, platform, settlement, by, carried, baseline, tried })
}

fn compare_files(app: &Reconciliation, given: Given, stop: &CancellationToken) -> Result<Found> {
    let mut day = Day::open(app, &given.task, [&given.platform, &given.settlement], &given.by)?;
    day.settings.carried = Arc::new(given.carried);
    let observer = Observer { progress: &|_| {}, cancelled: &|| stop.is_cancelled() };
    let same = given.baseline == given.tried;
    day.settings.tolerance = given.baseline;
    let before = day.reconcile(None, observer)?;
    if same {
        let comparison = Comparison::new(&before.summary, &before.summary);
        return Ok(Found { comparison, changes: Vec::new() });
    }
    day.settings.tolerance = given.tried;
    let after = day.reconcile(None, observer)?;
    let comparison = Comparison::new(&before.summary, &after.summary);
    let mut found = Found { comparison, changes: Vec::new() };
    for_each_change(&before, &after, |change| {
        if stop.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        found.comparison.count(change);
        if found.changes.len() < MOST_CHANGES {
            found.changes.push(change_row(&given.entry, found.changes.len(), change)?);
        }
        Ok(())
    })
    .map_err(engine_error)?;
    Ok(found)
}

fn change_row(entry: &Entry, ordinal: usize, change: &Change<'_>) -> Result<ChangeRow, EngineError> {
    let json = |told: &Told<'_>| serde_json::to_string(&told_rows(told)).map_err(io::Error::from);
    Ok(ChangeRow {
        back_test_id: entry.back_test_id,
        position: entry.position,
        ordinal: i64::try_from(ordinal).unwrap_or(i64::MAX),
        task_id: entry.task_id,
        kind: change.kind.as_str().to_owned(),
        told_before: json(&change.before)?,
        told_after: json(&change.after)?,
    })
}

fn told_rows(told: &Told<'_>) -> ToldRows {
    let outcome = told.outcome.as_ref();
    let booked = outcome.and_then(|outcome| outcome.adjustment);
    let apart = |apart: &Difference<'_>| {
        Some(ApartRow {
            diff_type: apart.diff_type.as_str().to_owned(),
            channel: told_row(apart.channel.as_ref()?),
        })
    };
    ToldRows {
        diff_type: outcome.map(|outcome| outcome.diff_type.as_str().to_owned()),
        rule: booked.map(|booked| booked.rule.to_owned()),
        adjustment: booked.and_then(|booked| i64::try_from(booked.amount).ok()),
        candidate_count: outcome
            .and_then(|outcome| i64::try_from(outcome.candidate_count).ok())
            .filter(|count| *count > 0),
        platform: outcome.and_then(|outcome| outcome.platform.as_ref()).map(told_row),
        channel: outcome.and_then(|outcome| outcome.channel.as_ref()).map(told_row),
        apart: told.apart.as_ref().and_then(apart),
    }
}

fn told_row(listed: &ListedRow<'_>) -> ToldRow {
    ToldRow {
        line: listed.line().and_then(|line| i64::try_from(line).ok()),
        kind: listed.row.kind.as_str().to_owned(),
        channel_trade_no: text(listed.row.channel_trade_no),
        row_id: text(listed.row.row_id),
        amount: listed.row.amount,
        currency: listed.row.currency.to_string(),
        status: text(listed.row.raw_status),
        occurred_at: text(listed.row.occurred_at),
    }
}
