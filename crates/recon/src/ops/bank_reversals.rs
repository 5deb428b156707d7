//! What a bank takes back in a statement that has none of the payout's days: a transfer that is returned after weeks.
//!
//! Each statement leaves what it may take back of others (`bank_reversals`), and each run what it rests on at the bank
//! (`reconciliation_deposits`). A run reads the statements that speak of its deposits, and a statement that comes starts the days again of whose
//! deposits it speaks, whichever was there first.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Reconciliation;
use crate::jobs::{LookForReversals, MOST_ATTEMPTS, system};
use crate::model::{FileRole, TaskStatus};
use crate::ops::{days, tasks};
use crate::payouts::{TakenBackBy, Trace};
use crate::store::bank_reversal::{self, Model as BankReversal};
use crate::store::deposit;
use crate::store::file::{self, Model as StoredFile};
use crate::store::task::{self, Model as Task};

/// The bank statements in force, besides those of a task's `window`, that may take these deposits back, those first that came
/// last. Where only its amount ties a reversal to a deposit, the statements before it belong to it: one of them may have what
/// it names, or another deposit that it is about. So do those before a reversal of the window's own.
pub async fn statements(
    conn: &impl ConnectionTrait,
    task: &Task,
    window: &[StoredFile],
    deposits: &[Trace],
) -> Result<Vec<StoredFile>> {
    let like = task.subject(FileRole::BankStatement);
    let (mut wanted, mut nameless) = (BTreeSet::new(), BTreeSet::new());
    for row in bank_reversal::alike(conn, &like, deposits).await? {
        let reversal = row.trace()?;
        for deposit in deposits {
            let Some(by) = reversal.takes_back(deposit) else { continue };
            wanted.insert(row.file_id);
            if by == TakenBackBy::Amount {
                nameless.insert(reversal.booked_on);
            }
        }
    }
    let ids: Vec<Uuid> = window.iter().map(|file| file.id).collect();
    for row in bank_reversal::of_files(conn, &ids).await?.into_iter().filter(|row| row.is_reversal) {
        nameless.insert(row.booked_on);
    }
    for day in nameless {
        let before = file::covering(conn, &like, Trace::nameless_since(day)..=day).await?;
        wanted.extend(before.into_iter().map(|file| file.id));
    }
    for file in window {
        wanted.remove(&file.id);
    }
    file::named(conn, wanted).await
}

/// A bank statement has come into force, in the place of another one where there was one: the days that rest on what either
/// takes back are looked at, in a transaction of their own, when it is there for all to see.
pub async fn look_later(
    app: &Reconciliation,
    tx: &Tx,
    file: &StoredFile,
    replaced: Option<&StoredFile>,
) -> Result<()> {
    let job = LookForReversals { file_id: file.id, replaced: replaced.map(|file| file.id) };
    jobs::enqueue(tx, &app.context, &job, EnqueueOptions::default().attempts(MOST_ATTEMPTS)).await?;
    Ok(())
}

/// Starts the days again that would be compared with other statements now, and those that rest on what these files take back and
/// whose last run has failed. A run under way looks when it ends.
pub async fn look(app: &Reconciliation, job: &LookForReversals) -> Result<()> {
    let (db, files) = (app.context.db.clone(), [Some(job.file_id), job.replaced]);
    let shared = Arc::new((app.clone(), files.into_iter().flatten().collect::<Vec<Uuid>>()));
    db.write("reconciliation.look_for_reversals", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, files) = &*shared;
            for (seen, rests_on_it) in concerned(tx, files).await? {
                let task = task::lock(tx, seen).await?;
                let is_wanted = match task.status {
                    TaskStatus::Completed => days::banks_have_changed(tx, &task).await?,
                    TaskStatus::Failed => rests_on_it,
                    TaskStatus::Pending | TaskStatus::Processing | TaskStatus::Cancelled => false,
                };
                if is_wanted {
                    tasks::start_again(app, tx, &system(), task.id).await?;
                }
            }
            Ok(())
        }
        .boxed()
    })
    .await
}

/// The ids of the tasks that may rest on what these files take back, which is true, or that are about to, or are compared with a
/// reversal that may be about something in these files; the first day first.
async fn concerned(tx: &Tx, files: &[Uuid]) -> Result<Vec<(Uuid, bool)>> {
    let mut reversals = bank_reversal::of_files(tx.conn(), files).await?;
    let files = file::named(tx.conn(), files.iter().copied()).await?;
    let Some(like) = files.first().map(StoredFile::subject) else { return Ok(Vec::new()) };
    let mut with_reversal = BTreeSet::new();
    for days in files.iter().filter_map(StoredFile::covers) {
        // What it has may be what a reversal behind it is about.
        let behind = days.first..=Trace::nameless_until(days.last);
        let behind = bank_reversal::marked(tx.conn(), &like, behind).await?;
        with_reversal.extend(behind.iter().map(|row| row.file_id));
        reversals.extend(behind);
    }
    let reversals = reversals.iter().map(BankReversal::trace).collect::<Result<Vec<Trace>>>()?;
    let mut resting = BTreeSet::new();
    for row in deposit::alike(tx.conn(), &like, &reversals).await? {
        let deposit = row.trace()?;
        if reversals.iter().any(|reversal| reversal.takes_back(&deposit).is_some()) {
            resting.insert(row.task_id);
        }
    }
    let mut concerned: Vec<Uuid> = resting.iter().copied().collect();
    concerned.extend(task::processing(tx.conn(), &like).await?);
    for statement in file::named(tx.conn(), with_reversal).await? {
        if let Some(days) = statement.covers() {
            concerned.extend(days::compared_with(tx, &statement.subject(), days).await?);
        }
    }
    let tasks = task::named(tx.conn(), &concerned).await?;
    Ok(tasks.into_iter().map(|task| (task.id, resting.contains(&task.id))).collect())
}
