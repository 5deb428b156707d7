//! Creating, starting and cancelling tasks.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use payops_core::id::readable_number;
use payops_core::time::{Zone, business_date};
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ActiveValue::Set;
use sea_orm::prelude::Json;
use serde_json::json;
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::jobs::{MOST_ATTEMPTS, RunTask};
use crate::lifecycle::{TaskEvent, task_step};
use crate::model::{Channel, FileRole, Phase, TaskStatus, TaskType};
use crate::ops::{beside, carry, days, save};
use crate::store::file;
use crate::store::record as task_record;
use crate::store::rule_set;
use crate::store::task::{self, Model as Task};

/// What a task is to reconcile.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The business day.
    pub task_date: NaiveDate,
    /// The IANA name of the zone that defines it.
    pub timezone: String,
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What it covers.
    pub task_type: TaskType,
    /// Whether matched rows are stored too.
    pub store_matched: bool,
}

/// Creates a task; the day must not have one that is not cancelled (409 names it).
pub async fn create(app: &Reconciliation, tx: &Tx, actor: &Actor, new: &NewTask) -> Result<Task> {
    let zone = check_day(app, "task_date", new.task_date, &new.timezone)?;
    let day = (new.task_date, zone.name());
    if let Some(existing) = task::holding(tx.conn(), day, new.channel, &new.account).await? {
        return Err(error::task_exists(&existing));
    }
    let context = &app.context;
    let (now, random) = (context.now(), context.random.as_ref());
    let task = Task {
        id: context.new_id(),
        task_no: readable_number("RECON", new.channel.as_str(), new.task_date, random),
        task_date: new.task_date,
        timezone: zone.name().to_owned(),
        channel: new.channel,
        account: new.account.clone(),
        task_type: new.task_type,
        status: TaskStatus::Pending,
        store_matched: new.store_matched,
        traceparent: payops_platform::telemetry::current_traceparent(),
        created_by: actor.id.clone(),
        created_at: now,
        updated_at: now,
        ..blank()
    };
    // Lost a race for the day or for the number: the next try sees the other task, or draws another number.
    let task = task::insert(tx, task).await.map_err(retry_unique)?;
    record(app, tx, actor, "reconciliation_task.created", &task, json!({ "task_no": task.task_no })).await?;
    Ok(task)
}

/// Starts a run: the first, or another one of a completed or failed task. It fetches what nobody handed over.
pub async fn execute(app: &Reconciliation, tx: &Tx, actor: &Actor, id: Uuid) -> Result<Task> {
    start(app, tx, actor, task::lock(tx, id).await?, (TaskEvent::Execute, &[])).await
}

/// Starts a run of a day for what has come to be known, as nobody asked for: it compares the files in force of those that the last
/// completed run had, and fetches only what that did not have. A report of the channel takes minutes, and days that follow each
/// other are started again one after the other.
pub async fn start_again(app: &Reconciliation, tx: &Tx, actor: &Actor, id: Uuid) -> Result<Task> {
    let task = task::lock(tx, id).await?;
    let mut kept = Vec::new();
    if task.status == TaskStatus::Completed {
        for role in FileRole::OF_A_RUN.into_iter().filter(|role| task.input(*role).is_some()) {
            let in_force = file::current(tx.conn(), &task.subject(role)).await?;
            kept.extend(in_force.map(|file| (role, file.id)));
        }
    }
    start(app, tx, actor, task, (TaskEvent::Execute, &kept)).await
}

/// Starts a failed task again.
pub async fn retry(app: &Reconciliation, tx: &Tx, actor: &Actor, id: Uuid) -> Result<Task> {
    start(app, tx, actor, task::lock(tx, id).await?, (TaskEvent::Retry, &[])).await
}

/// Calls a task off. A run in progress notices and stores nothing. Where an earlier run was completed, only the run in
/// progress is called off, as if it had failed: the day keeps its figures and all that people did about them. Called off
/// once more, the task lets go of its day, and its records are hidden.
pub async fn cancel(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    id: Uuid,
    if_match: &IfMatch,
) -> Result<Task> {
    // The days before it first, as every run locks them.
    let task = carry::lock_with_closed(tx, id).await?;
    if_match.check(task.version)?;
    let only_run = task.status == TaskStatus::Processing && task.summary.is_some();
    let event = if only_run { TaskEvent::Fail } else { TaskEvent::Cancel };
    let status =
        task_step(task.status, event).ok_or_else(|| error::task_state(&task, "cancelled", "取消"))?;
    let now = app.context.now();
    let task = task::update(tx, task, now, |row| {
        row.status = Set(status);
        row.phase = Set(None);
        row.status_message = Set(None);
        if only_run {
            row.error_code = Set(Some("RUN_CANCELLED".to_owned()));
            row.error_message = Set(Some(format!("{} called the run off", actor.id)));
        }
    })
    .await?;
    if status == TaskStatus::Cancelled {
        task_record::mark_all_gone(tx, id, now).await?;
        save::part(app, tx, &task, &BTreeMap::new()).await?;
        carry::settle(app, tx, &task, &BTreeMap::new()).await?;
        beside::have_changed(app, tx, &task).await?;
    }
    // Also when a run alone is called off: that days before it had changed was left to its end.
    days::look_at_later(app, tx, &task).await?;
    record(app, tx, actor, "reconciliation_task.cancelled", &task, json!({ "run_no": task.run_no })).await?;
    app.metrics.task_ended(status);
    Ok(task)
}

/// The zone of a day that has begun; a day that has not, or that the zone does not have, is an error that names
/// the field: `field` is what the day is called in the request.
pub(crate) fn check_day(app: &Reconciliation, field: &str, date: NaiveDate, timezone: &str) -> Result<Zone> {
    let zone = zone_named(timezone)?;
    let date = business_date(date).map_err(|error| error::implausible_date(field, error))?;
    let window = zone.day(date).ok().filter(|window| window.start < window.end);
    let window = window.ok_or_else(|| error::no_such_day(date, timezone))?;
    if window.start > app.context.now() {
        return Err(Error::invalid_field(
            field,
            format!("{date} has not begun in {timezone}"),
            format!("{timezone} 的 {date} 尚未开始"),
        ));
    }
    Ok(zone)
}

/// The zone of this IANA name; an error names the field `timezone`.
pub(crate) fn zone_named(timezone: &str) -> Result<Zone> {
    Zone::named(timezone).map_err(|unknown| {
        let zh = format!("'{timezone}' 不是有效的 IANA 时区名，例如 Asia/Shanghai");
        Error::invalid_field("timezone", unknown.to_string(), zh)
    })
}

/// Starts a run, with these files of earlier ones.
async fn start(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    task: Locked<Task>,
    (event, kept): (TaskEvent, &[(FileRole, Uuid)]),
) -> Result<Task> {
    let (verb, verb_zh) =
        if event == TaskEvent::Retry { ("retried", "重试") } else { ("executed", "执行") };
    let status = task_step(task.status, event).ok_or_else(|| error::task_state(&task, verb, verb_zh))?;
    let (now, run_no) = (app.context.now(), task.run_no + 1);
    let rule_set = rule_set::in_force(tx.conn()).await?.map(|set| set.version);
    let task = task::update(tx, task, now, |row| {
        row.status = Set(status);
        row.phase = Set(Some(Phase::Waiting));
        row.progress = Set(0);
        row.status_message = Set(None);
        row.run_no = Set(run_no);
        for role in FileRole::OF_A_RUN {
            row.set_input(role, kept.iter().find(|(of, _)| *of == role).map(|(_, file)| *file));
        }
        row.rule_set_version = Set(rule_set);
        row.inputs_changed = Set(false);
        row.error_code = Set(None);
        row.error_message = Set(None);
        row.started_at = Set(Some(now));
    })
    .await?;
    let job = RunTask { task_id: task.id, run_no };
    jobs::enqueue(
        tx,
        &app.context,
        &job,
        EnqueueOptions::default().attempts(MOST_ATTEMPTS).unique(job.key()),
    )
    .await?;
    record(app, tx, actor, "reconciliation_task.executed", &task, json!({ "run_no": run_no })).await?;
    Ok(task)
}

async fn record(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    action: &str,
    task: &Task,
    detail: Json,
) -> Result<()> {
    audit::record(tx, &app.context, actor, action, "reconciliation_task", &task.id.to_string(), detail).await
}

pub(crate) fn retry_unique(error: Error) -> Error {
    if error.unique_violation() { error.retryable() } else { error }
}

fn blank() -> Task {
    Task {
        id: Uuid::nil(),
        task_no: String::new(),
        task_date: NaiveDate::default(),
        timezone: String::new(),
        channel: Channel::Stripe,
        account: String::new(),
        task_type: TaskType::Daily,
        status: TaskStatus::Pending,
        phase: None,
        progress: 0,
        status_message: None,
        run_no: 0,
        store_matched: false,
        settlement_file_id: None,
        summary_file_id: None,
        platform_file_id: None,
        payouts_file_id: None,
        payout_rows_file_id: None,
        open_payouts_hash: None,
        payouts_are_stated: false,
        verdict: None,
        platform_count: None,
        platform_amount: None,
        channel_count: None,
        channel_amount: None,
        matched_count: None,
        matched_amount: None,
        diff_count: None,
        diff_amount: None,
        currency: None,
        summary: None,
        certificate: None,
        error_code: None,
        error_message: None,
        traceparent: None,
        created_by: String::new(),
        version: 1,
        created_at: chrono::DateTime::UNIX_EPOCH,
        updated_at: chrono::DateTime::UNIX_EPOCH,
        started_at: None,
        completed_at: None,
        deleted_at: None,
        inputs_changed: false,
        timing_count: None,
        saving_run: None,
        rule_set_version: None,
        carried_hash: None,
        payout_diff_count: None,
        deposits_version: 0,
        deposits_after: None,
    }
}
