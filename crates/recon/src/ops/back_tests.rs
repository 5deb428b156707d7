//! Back-tests: what another version of the rules of tolerance would make of days that were reconciled. Made and called off
//! here; the comparing is [`back_test_run`](crate::ops::back_test_run).

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ActiveEnum;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::Comparison;
use crate::error;
use crate::jobs::{MOST_ATTEMPTS, RemoveBackTest, RunBackTest};
use crate::model::{BackTestStatus, BackTestTaskStatus, Channel, TaskStatus};
use crate::store::back_test::task::Model as Entry;
use crate::store::back_test::{self, Model as BackTest};
use crate::store::rule_set;
use crate::store::run::{self, Model as Run};
use crate::store::task::{self, Model as Task};

/// How many tasks a back-test takes.
pub const MOST_TASKS: usize = 400;

/// Which tasks are compared.
#[derive(Debug, Clone)]
pub enum Choice {
    /// Those of a channel's days.
    Days {
        /// The channel.
        channel: Channel,
        /// The account; `None` for every account.
        account: Option<String>,
        /// The business days.
        days: RangeInclusive<NaiveDate>,
    },
    /// These.
    Tasks(BTreeSet<Uuid>),
}

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The version that is tried.
    pub version: i64,
    /// The version that it is compared with; `None` for the one that each task's last run followed.
    pub baseline: Option<i64>,
    /// Which tasks are compared.
    pub choice: Choice,
}

/// Makes a back-test of the tasks as their last completed runs left them, and has it begun.
pub async fn create(app: &Reconciliation, tx: &Tx, actor: &Actor, plan: &Plan) -> Result<BackTest> {
    for version in [Some(plan.version), plan.baseline].into_iter().flatten() {
        rule_set::find(tx.conn(), version).await?;
    }
    let id = app.context.new_id();
    let tasks = chosen(tx, &plan.choice).await?;
    let ids: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
    let runs = run::last_of(tx.conn(), &ids).await?;
    let comparison = serde_json::to_string(&Comparison::default()).map_err(Error::internal)?;
    let mut entries: Vec<Entry> = tasks
        .iter()
        .filter(|task| task.status != TaskStatus::Cancelled)
        .filter_map(|task| entry(id, plan, task, runs.get(&task.id)?, &comparison))
        .collect();
    for (position, entry) in (0..).zip(&mut entries) {
        entry.position = position;
    }
    let left_out = tasks.len() - entries.len();
    if entries.is_empty() {
        return Err(error::back_test_empty(left_out));
    }
    let test = blank(app, actor, id, plan, comparison);
    let test = BackTest { tasks_total: count(entries.len()), tasks_left_out: count(left_out), ..test };
    let test = back_test::insert(tx, test).await?;
    back_test::task::insert_all(tx, entries).await?;
    let job = RunBackTest { back_test_id: id };
    let options = EnqueueOptions::default().attempts(MOST_ATTEMPTS).unique(job.key());
    jobs::enqueue(tx, &app.context, &job, options).await?;
    let detail = json!({
        "rule_set_version": test.rule_set_version,
        "baseline_version": test.baseline_version,
        "tasks_total": test.tasks_total,
    });
    record(app, tx, actor, "back_test.created", &test, detail).await?;
    Ok(test)
}

/// Calls a back-test off. The task at hand is not counted any more; what was found before it is kept.
pub async fn cancel(app: &Reconciliation, tx: &Tx, actor: &Actor, id: Uuid) -> Result<BackTest> {
    let test = back_test::lock(tx, id).await?;
    if test.status.is_over() {
        return Err(error::back_test_over(id, &test.status.to_value()));
    }
    let now = app.context.now();
    let test = back_test::update(tx, test, now, |test| {
        test.status = BackTestStatus::Cancelled;
        test.completed_at = Some(now);
    })
    .await?;
    record(app, tx, actor, "back_test.cancelled", &test, json!({ "tasks_done": test.tasks_done })).await?;
    Ok(test)
}

/// Removes a back-test that is over. It is not shown from here on; what it has stored goes a task at a time, so that nobody
/// waits for millions of rows.
pub async fn remove(app: &Reconciliation, tx: &Tx, actor: &Actor, id: Uuid) -> Result<BackTest> {
    let test = back_test::lock(tx, id).await?;
    if !test.status.is_over() {
        return Err(error::back_test_not_over(id, &test.status.to_value()));
    }
    let was = test.clone().into_inner();
    let now = app.context.now();
    back_test::update(tx, test, now, |test| test.removed_at = Some(now)).await?;
    let job = RemoveBackTest { back_test_id: id };
    let options = EnqueueOptions::default().attempts(MOST_ATTEMPTS).unique(job.key());
    jobs::enqueue(tx, &app.context, &job, options).await?;
    let detail = json!({
        "rule_set_version": was.rule_set_version,
        "status": was.status,
        "tasks_done": was.tasks_done,
        "created_by": was.created_by,
    });
    record(app, tx, actor, "back_test.removed", &was, detail).await?;
    Ok(was)
}

/// The figures of a back-test, or of one of its tasks.
pub fn comparison(id: Uuid, text: &str) -> Result<Comparison> {
    let broken =
        |error: serde_json::Error| Error::impossible_row("back_tests", "comparison", id, error.to_string());
    serde_json::from_str(text).map_err(broken)
}

/// The tasks that were asked for, the oldest day first.
async fn chosen(tx: &Tx, choice: &Choice) -> Result<Vec<Task>> {
    let ids: Vec<Uuid> = match choice {
        Choice::Days { channel, account, days } => {
            task::of_channel(tx.conn(), *channel, account.as_deref(), days.clone()).await?
        }
        Choice::Tasks(ids) => ids.iter().copied().collect(),
    };
    if ids.len() > MOST_TASKS {
        return Err(error::back_test_too_large(ids.len(), MOST_TASKS));
    }
    let tasks = task::named(tx.conn(), &ids).await?;
    let unknown = ids.iter().find(|id| tasks.iter().all(|task| task.id != **id));
    match unknown {
        Some(id) => Err(error::task_not_found(*id)),
        None => Ok(tasks),
    }
}

/// A task as its last completed run left it; `None` where the files of that run are not known.
fn entry(back_test_id: Uuid, plan: &Plan, task: &Task, run: &Run, comparison: &str) -> Option<Entry> {
    Some(Entry {
        back_test_id,
        position: 0,
        task_id: task.id,
        task_no: task.task_no.clone(),
        task_date: task.task_date,
        channel: task.channel,
        account: task.account.clone(),
        run_no: run.run_no,
        baseline_version: plan.baseline.or(run.rule_set_version),
        settlement_file_id: run.settlement_file_id?,
        platform_file_id: run.platform_file_id?,
        status: BackTestTaskStatus::Pending,
        error_code: None,
        error_message: None,
        comparison: comparison.to_owned(),
        change_count: 0,
        stored_count: 0,
        completed_at: None,
    })
}

/// A back-test without tasks.
fn blank(app: &Reconciliation, actor: &Actor, id: Uuid, plan: &Plan, comparison: String) -> BackTest {
    let now = app.context.now();
    let (channel, account, days) = match &plan.choice {
        Choice::Days { channel, account, days } => (Some(*channel), account.clone(), Some(days)),
        Choice::Tasks(_) => (None, None, None),
    };
    BackTest {
        id,
        rule_set_version: plan.version,
        baseline_version: plan.baseline,
        channel,
        account,
        first_date: days.map(|days| *days.start()),
        last_date: days.map(|days| *days.end()),
        status: BackTestStatus::Pending,
        tasks_total: 0,
        tasks_done: 0,
        tasks_failed: 0,
        tasks_left_out: 0,
        comparison,
        error_code: None,
        error_message: None,
        traceparent: payops_platform::telemetry::current_traceparent(),
        created_by: actor.id.clone(),
        created_at: now,
        updated_at: now,
        started_at: None,
        completed_at: None,
        removed_at: None,
    }
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

async fn record(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    action: &str,
    test: &BackTest,
    detail: Value,
) -> Result<()> {
    audit::record(tx, &app.context, actor, action, "back_test", &test.id.to_string(), detail).await
}
