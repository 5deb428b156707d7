//! When a day is reconciled again by itself: whenever what is in force for it is not what its last run compared.
//!
//! A file that comes and a run that ends both lock the day's task first, so that each sees what the other did, and the
//! second of them starts the day again. The same holds for the rows that a day looks for: what an earlier day has carried
//! forward or no longer does. Tasks are locked by their days, the oldest first.

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use chrono::{NaiveDate, TimeDelta};
use payops_platform::auth::Actor;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Reconciliation;
use crate::jobs::system;
use crate::model::{FileRole, TaskStatus};
use crate::ops::{bank_reversals, beside, carry, channel_settings, tasks};
use crate::payouts::{Days, PayoutRules};
use crate::store::deposit;
use crate::store::file::{self, Model as StoredFile, Subject};
use crate::store::run;
use crate::store::task::{self, Model as Task};

/// The tasks that wait for a file, locked: the one that holds its day, and for a bank statement those of all days whose
/// payouts may stand in it or in the one that it corrects.
pub async fn lock(tx: &Tx, subject: &Subject, covers: Option<Days>) -> Result<Vec<Locked<Task>>> {
    let ids = if subject.role == FileRole::BankStatement {
        let corrected = file::current(tx.conn(), subject).await?.and_then(|file| file.covers());
        let dates = [covers, corrected].into_iter().flatten().flat_map(|days| [days.first, days.last]);
        match Days::spanning(dates) {
            Some(days) => compared_with(tx, subject, days).await?,
            None => Vec::new(),
        }
    } else {
        let day = (subject.date, subject.timezone.as_str());
        let task = task::holding(tx.conn(), day, subject.channel, &subject.account).await?;
        task.into_iter().map(|task| task.id).collect()
    };
    let mut tasks = Vec::with_capacity(ids.len());
    for id in ids {
        tasks.push(task::lock(tx, id).await?);
    }
    Ok(tasks)
}

/// The ids of the tasks whose payouts may stand in a statement of these days, the first day first.
pub async fn compared_with(tx: &Tx, subject: &Subject, told: Days) -> Result<Vec<Uuid>> {
    let rules = channel_settings::payout_rules_of(tx.conn(), subject).await?;
    let days = with_gaps(tx, subject, told).await?;
    task::holding_days(tx.conn(), subject, payout_days(days, &rules)).await
}

/// The days of a statement and of the gaps before and behind it: days that lie between two statements of a bank account are compared
/// with the later one, and what comes for the account, or is corrected or withdrawn, begins or ends its gaps.
async fn with_gaps(tx: &Tx, subject: &Subject, told: Days) -> Result<Days> {
    let mut days = told;
    for (account, about) in file::by_bank_account(tx.conn(), subject).await? {
        if !subject.may_be_about(&account) {
            continue;
        }
        if let Some(last) = file::told_before(tx.conn(), subject, &about, told.first).await? {
            days.first = days.first.min(last.succ_opt().unwrap_or(last));
        }
        let next = file::first_behind(tx.conn(), subject, &about, told.last).await?;
        if let Some(begins) = next.and_then(|file| file.covers_from) {
            days.last = days.last.max(begins.pred_opt().unwrap_or(begins));
        }
    }
    Ok(days)
}

/// The business days whose payouts may stand in statements of these days.
fn payout_days(statement: Days, rules: &PayoutRules) -> RangeInclusive<NaiveDate> {
    let first = statement.first.checked_sub_signed(TimeDelta::days(rules.days_after.into()));
    let last = statement.last.checked_add_signed(TimeDelta::days(rules.days_before.into()));
    first.unwrap_or(statement.first)..=last.unwrap_or(statement.last)
}

/// The days of statements in which payouts of this business day may stand.
pub fn statement_days(day: NaiveDate, rules: &PayoutRules) -> RangeInclusive<NaiveDate> {
    let first = day.checked_sub_signed(TimeDelta::days(rules.days_before.into()));
    let last = day.checked_add_signed(TimeDelta::days(rules.days_after.into()));
    first.unwrap_or(day)..=last.unwrap_or(day)
}

/// A file has come into force for the day: the first of its role, or another one. A day whose last run has ended, in
/// whatever way, is started again, and its task returned; a run in progress looks when it ends. A day that nobody has
/// started yet waits for that.
pub async fn file_has_come(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (role, waiting): (FileRole, Vec<Locked<Task>>),
) -> Result<Vec<Uuid>> {
    let mut started = Vec::new();
    for task in waiting {
        match task.status {
            // Each statement starts the days of a week again.
            TaskStatus::Completed | TaskStatus::Failed if role == FileRole::BankStatement => {
                started.push(tasks::start_again(app, tx, actor, task.id).await?.id);
            }
            // What is compared with a file of the day should be as new as that is.
            TaskStatus::Completed | TaskStatus::Failed => {
                started.push(tasks::execute(app, tx, actor, task.id).await?.id);
            }
            TaskStatus::Processing => {
                task::update(tx, task, app.context.now(), |row| row.inputs_changed = Set(true)).await?;
            }
            TaskStatus::Pending | TaskStatus::Cancelled => {}
        }
    }
    Ok(started)
}

/// A run has ended, with a verdict or without. When a file came that it did not use, or an earlier day has changed what
/// this one looks for, the day is started again, as it would have been had that come a second later. Later days are looked
/// at in any case: they may have looked for what this run has found, however soon another one takes its place.
pub async fn run_has_ended(app: &Reconciliation, tx: &Tx, actor: &Actor, task: &Task) -> Result<()> {
    if is_outdated(tx, task).await? {
        tasks::start_again(app, tx, actor, task.id).await?;
    }
    look_at_later(app, tx, task).await
}

/// Whether something else is in force for a task than what its run, which has ended, has compared.
async fn is_outdated(tx: &Tx, task: &Task) -> Result<bool> {
    for role in FileRole::OF_A_RUN {
        let in_force = file::current(tx.conn(), &task.subject(role)).await?;
        let missed = match (task.input(role), in_force) {
            (Some(used), Some(in_force)) => used != in_force.id,
            // It may have been there all the time, unwanted because its source no longer gives it.
            (None, Some(_)) => task.inputs_changed,
            (_, None) => false,
        };
        if missed {
            return Ok(true);
        }
    }
    if task.status == TaskStatus::Completed {
        let looked_for = carry::hash_now(tx.conn(), task).await?;
        if looked_for != task.carried_hash || beside::knows_more(tx.conn(), task).await? {
            return Ok(true);
        }
    }
    let follows_payouts = task.status == TaskStatus::Completed && task.open_payouts_hash.is_some();
    Ok((task.inputs_changed || follows_payouts) && banks_have_changed(tx, task).await?)
}

/// The rows that a day carries forward, or closes, may have changed: the next day that has looked for other rows than there
/// are now is started again. It looks at those behind it when it ends, as does a run that is under way. A day that has
/// nothing new to look for says nothing of those behind it, which may have been run when there was more.
pub async fn look_at_later(app: &Reconciliation, tx: &Tx, task: &Task) -> Result<()> {
    for later in task::started_after(tx.conn(), task).await? {
        let later = task::lock(tx, later.id).await?;
        match later.status {
            TaskStatus::Processing => break,
            TaskStatus::Completed => {
                if carry::hash_now(tx.conn(), &later).await? != later.carried_hash {
                    tasks::start_again(app, tx, &system(), later.id).await?;
                    break;
                }
            }
            // It looks anew when it is started.
            TaskStatus::Failed | TaskStatus::Pending | TaskStatus::Cancelled => {}
        }
    }
    Ok(())
}

/// The days around a business day whose payouts may be taken for its own: those that may stand in the same statements.
pub fn payouts_beside(day: NaiveDate, rules: &PayoutRules) -> RangeInclusive<NaiveDate> {
    let statements = statement_days(day, rules);
    payout_days(Days { first: *statements.start(), last: *statements.end() }, rules)
}

/// Whether other bank statements are in force than those that the run which has ended compared.
pub async fn banks_have_changed(tx: &Tx, task: &Task) -> Result<bool> {
    let rules = channel_settings::payout_rules_of(tx.conn(), &task.subject(FileRole::BankStatement)).await?;
    let window = bank_statements(tx.conn(), task, &rules).await?;
    let deposits = deposit::of_task(tx.conn(), task.id).await?;
    let elsewhere = bank_reversals::statements(tx.conn(), task, &window, &deposits).await?;
    let [window, elsewhere] =
        [window, elsewhere].map(|files| files.into_iter().map(|file| file.id).collect::<Vec<Uuid>>());
    let runs = run::of_task(tx.conn(), task.id).await?;
    Ok(match runs.last().filter(|run| run.run_no == task.run_no) {
        Some(run) => !run.has_compared(&window, &elsewhere),
        None => !window.is_empty() || !elsewhere.is_empty(),
    })
}

/// It has come to be known which bank accounts a statement is about, on which it depends in which days' windows it is: those of
/// these days, all locked, are started again that were compared with others.
pub async fn banks_are_known(app: &Reconciliation, tx: &Tx, tasks: &[Locked<Task>]) -> Result<()> {
    for task in tasks {
        if task.status == TaskStatus::Completed && banks_have_changed(tx, task).await? {
            tasks::start_again(app, tx, &system(), task.id).await?;
        }
    }
    Ok(())
}

/// The bank statements in force in which payouts of a task's day may stand, the newest first. Where those of a bank account end
/// before the payouts are due, the next one of it behind them is among the last: it ends the window of what has not arrived,
/// and shows the gap. One of another bank account tells nothing of this one.
pub async fn bank_statements(
    conn: &impl ConnectionTrait,
    task: &Task,
    rules: &PayoutRules,
) -> Result<Vec<StoredFile>> {
    let (subject, days) = (task.subject(FileRole::BankStatement), statement_days(task.task_date, rules));
    let mut files = file::covering(conn, &subject, days.clone()).await?;
    let mut behind: Vec<StoredFile> = Vec::new();
    for about in file::by_bank_account(conn, &subject).await?.into_values() {
        let covering = || files.iter().filter(|file| about.has(file));
        if covering().any(|file| file.covers_to.is_some_and(|last| last >= *days.end())) {
            continue;
        }
        // A day before the first statement, or behind the last, does not ask for one.
        if covering().next().is_some()
            || file::told_before(conn, &subject, &about, *days.start()).await?.is_some()
        {
            behind.extend(file::first_behind(conn, &subject, &about, *days.end()).await?);
        }
    }
    behind.sort_by_key(|file| Reverse((file.downloaded_at, file.id)));
    behind.dedup_by_key(|file| file.id);
    files.extend(behind);
    Ok(files)
}
