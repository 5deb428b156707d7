//! When a day is reconciled again by itself: whenever what is in force for it is not what its last run compared.
//!
//! A file that comes and a run that ends both lock the day's task first, so that each sees what the other did, and the
//! second of them starts the day again. The same holds for the rows that a day looks for: what an earlier day has carried
//! forward or no longer does. Tasks are locked by their days, the oldest first.

use payops_platform::auth::Actor;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::Result;
use sea_orm::ActiveValue::Set;
use uuid::Uuid;

use crate::Reconciliation;
use crate::jobs::system;
use crate::model::{FileRole, TaskStatus};
use crate::ops::carry::CarriedIn;
use crate::ops::tasks;
use crate::store::file::{self, Subject};
use crate::store::task::{self, Model as Task};

/// The task that holds the day of a file, locked.
pub async fn lock(tx: &Tx, subject: &Subject) -> Result<Option<Locked<Task>>> {
    let day = (subject.date, subject.timezone.as_str());
    match task::holding(tx.conn(), day, subject.channel, &subject.account).await? {
        Some(task) => task::lock(tx, task.id).await.map(Some),
        None => Ok(None),
    }
}

/// A file has come into force for the day: the first of its role, or another one. A day whose last run has ended, in
/// whatever way, is started again, and its task returned; a run in progress looks when it ends. A day that nobody has
/// started yet waits for that.
pub async fn file_has_come(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    day: Option<Locked<Task>>,
) -> Result<Option<Uuid>> {
    let Some(task) = day else { return Ok(None) };
    match task.status {
        TaskStatus::Completed | TaskStatus::Failed => {
            tasks::execute(app, tx, actor, task.id).await.map(|task| Some(task.id))
        }
        TaskStatus::Processing => {
            task::update(tx, task, app.context.now(), |row| row.inputs_changed = Set(true)).await?;
            Ok(None)
        }
        TaskStatus::Pending | TaskStatus::Cancelled => Ok(None),
    }
}

/// A run has ended, with a verdict or without. When a file came that it did not use, or an earlier day has changed what
/// this one looks for, the day is started again, as it would have been had that come a second later. Else later days are
/// looked at, which may have changed by what this one has found.
pub async fn run_has_ended(app: &Reconciliation, tx: &Tx, actor: &Actor, task: &Task) -> Result<()> {
    for role in [FileRole::Settlement, FileRole::BalanceSummary, FileRole::Platform] {
        let in_force = file::current(tx.conn(), &task.subject(role)).await?;
        let missed = match (task.input(role), in_force) {
            (Some(used), Some(in_force)) => used != in_force.id,
            // It may have been there all the time, unwanted because its source no longer gives it.
            (None, Some(_)) => task.inputs_changed,
            (_, None) => false,
        };
        if missed {
            tasks::execute(app, tx, actor, task.id).await?;
            return Ok(());
        }
    }
    if task.status == TaskStatus::Completed && CarriedIn::of(tx.conn(), task).await?.hash != task.carried_hash
    {
        tasks::execute(app, tx, actor, task.id).await?;
        return Ok(());
    }
    look_at_later(app, tx, task).await
}

/// The rows that a day carries forward, or closes, may have changed: the next day that has looked for other rows than there
/// are now is started again. It looks at those behind it when it ends, as does a run that is under way.
pub async fn look_at_later(app: &Reconciliation, tx: &Tx, task: &Task) -> Result<()> {
    for later in task::started_after(tx.conn(), task).await? {
        let later = task::lock(tx, later.id).await?;
        match later.status {
            TaskStatus::Processing => break,
            TaskStatus::Completed => {
                if CarriedIn::of(tx.conn(), &later).await?.hash != later.carried_hash {
                    tasks::execute(app, tx, &system(), later.id).await?;
                }
                break;
            }
            // It looks anew when it is started.
            TaskStatus::Failed | TaskStatus::Pending | TaskStatus::Cancelled => {}
        }
    }
    Ok(())
}
