//! Catching up with earlier releases: what this one keeps of bank statements and of days that were compared with the bank, of those
//! that an earlier one has read.
//!
//! Each statement and each day bears the version of the reading by which its findings are kept. Whatever bears a lower one is due:
//! it is taken (nobody else takes it for an hour, also when this process dies), read, and its findings are stored in one transaction
//! with the new version and with what they start. So a reading that finds more needs a higher version here, and nothing else.
//! What cannot be read says so and is due again a day later; nothing waits for it. A statement of whose day another one comes is read
//! before that is taken in.
//!
//! Statements go first: when a day is read, all that may take back what it rests on is known, and it is started again once.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};
use sea_orm::ActiveValue::Set;
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::Reconciliation;
use crate::formats::{self, Inspection, Look};
use crate::jobs::system;
use crate::model::{FileRole, FileStatus};
use crate::ops::at_bank::{self, Said};
use crate::ops::beside::Beside;
use crate::ops::files::{self, ReadAgain};
use crate::ops::{bank_reversals, channel_settings, days, matching, tasks};
use crate::payouts::{Days, Trace};
use crate::store::file::{self, Due, Model as StoredFile, Subject};
use crate::store::task::{self, Model as Task};
use crate::store::{deposit, payout};

/// The version of what is kept of a bank statement. 1: what it takes back of others, and its bank accounts.
pub const READING: i32 = 1;
/// The version of what is kept of a day at the bank. 1: its deposits, and what a reversal took back by its amount alone.
pub const DEPOSITS: i32 = 1;

/// How long one job works; the schedule makes the next.
const AT_A_TIME: TimeDelta = TimeDelta::seconds(50);
/// How many are looked up at once.
const LOOKED_UP: u64 = 1000;
/// How long nobody else takes what is being read.
const TAKEN_FOR: TimeDelta = TimeDelta::hours(1);
/// When to try again what could not be read.
const AGAIN_AFTER: TimeDelta = TimeDelta::days(1);

/// Reads what is due, as long as no run needs the memory for it.
pub(crate) async fn catch_up(app: &Reconciliation, lease: &Lease) -> Result<(), JobError> {
    let until = app.context.now() + AT_A_TIME;
    let may_go_on = || !lease.cancelled().is_cancelled() && app.context.now() < until;
    loop {
        let conn = app.context.db.read();
        let files = file::to_read_again(conn, due(app, READING), LOOKED_UP).await?;
        let tasks = match files[..] {
            [] => task::to_catch_up(conn, due(app, DEPOSITS), LOOKED_UP).await?,
            _ => Vec::new(),
        };
        if files.is_empty() && tasks.is_empty() {
            return Ok(());
        }
        for id in files {
            let Some(_engine) = app.engines.try_acquire().ok().filter(|_| may_go_on()) else { return Ok(()) };
            statement(app, id, due(app, READING)).await?;
        }
        for id in tasks {
            let Some(_engine) = app.engines.try_acquire().ok().filter(|_| may_go_on()) else { return Ok(()) };
            day(app, id).await?;
        }
    }
}

/// Reads at once which bank accounts the statements in force of a day are about, also those that somebody else is reading: a
/// statement that comes for the day may be the correction of one of them, and they would stand beside each other.
pub(crate) async fn statements_of_day(app: &Reconciliation, of: &Subject) -> Result<()> {
    for id in file::of_day_to_read_again(app.context.db.read(), of, taken(READING)).await? {
        statement(app, id, taken(READING)).await?;
    }
    Ok(())
}

fn due(app: &Reconciliation, version: i32) -> Due {
    Due { version, now: app.context.now() }
}

/// What this has taken, whenever somebody else may take it.
fn taken(version: i32) -> Due {
    Due { version, now: Timestamp::MAX_UTC }
}

/// Reads one statement that is due. That it cannot be read is no error of this.
async fn statement(app: &Reconciliation, id: Uuid, due: Due) -> Result<()> {
    let Some(file) = take_statement(app, id, due).await? else { return Ok(()) };
    let kept = match read(app, &file).await {
        Ok(found) => keep_statement(app, &file, found).await,
        Err(error) => Err(error),
    };
    let Err(error) = kept else { return Ok(()) };
    tracing::error!(file_no = file.file_no, ?error, "a stored bank statement could not be read again");
    let why = format!("it could not be read again, and will be tried once a day: {}", error.text().en);
    let shared = Arc::new((app.clone(), why));
    app.context
        .db
        .write("reconciliation.put_statement_off", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, why) = &*shared;
                let now = app.context.now();
                let row = file::lock(tx, id).await?.filter(|row| row.read_version < READING);
                if let Some(row) = row {
                    file::update(tx, row, now, |file| {
                        file.read_after = Set(Some(now + AGAIN_AFTER));
                        file.error_message = Set(Some(why.clone()));
                    })
                    .await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

async fn take_statement(app: &Reconciliation, id: Uuid, due: Due) -> Result<Option<StoredFile>> {
    let shared = Arc::new(app.clone());
    app.context
        .db
        .write("reconciliation.take_statement", move |tx| {
            let app = Arc::clone(&shared);
            async move {
                let Some(row) = lock_statement(tx, id, due).await? else { return Ok(None) };
                let now = app.context.now();
                let taken = file::update(tx, row, now, |file| file.read_after = Set(Some(now + TAKEN_FOR)));
                Ok(Some(taken.await?))
            }
            .boxed()
        })
        .await
}

/// The statement, locked, if it is in force and due.
async fn lock_statement(tx: &Tx, id: Uuid, due: Due) -> Result<Option<StoredFile>> {
    let is_due = |row: &StoredFile| {
        row.role == FileRole::BankStatement
            && row.status == FileStatus::Stored
            && due.is(row.read_version, row.read_after)
    };
    Ok(file::lock(tx, id).await?.filter(is_due))
}

async fn read(app: &Reconciliation, file: &StoredFile) -> Result<Inspection> {
    let (app, file) = (app.clone(), file.clone());
    let reading = tokio::task::spawn_blocking(move || {
        matching::verify(&app, &file)?;
        let day = formats::day_of(&file.subject())?;
        formats::inspect(&app, &app.files.path_of(&file), &Look::Bank, day).map(|(found, _)| found)
    });
    reading.await.map_err(Error::internal)?
}

/// Keeps what a statement has, unless it is in force no more, and has days started again as its upload would have.
async fn keep_statement(app: &Reconciliation, file: &StoredFile, found: Inspection) -> Result<()> {
    let shared = Arc::new((app.clone(), file.clone(), found));
    app.context
        .db
        .write("reconciliation.keep_statement", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, file, found) = &*shared;
                let told = file.covers_from.into_iter().chain(file.covers_to);
                let tells = found.covers.into_iter().flat_map(|days| [days.first, days.last]);
                // Tasks are locked before files.
                let waiting = days::lock(tx, &file.subject(), Days::spanning(told.chain(tells))).await?;
                let Some(row) = lock_statement(tx, file.id, taken(READING)).await? else { return Ok(()) };
                let ReadAgain { file, replaced } =
                    files::read_again(app, tx, &system(), row.clone(), found).await?;
                let covers = |file: &StoredFile| (file.covers_from, file.covers_to, file.status);
                if replaced.is_some() || covers(&file) != covers(&row) {
                    days::file_has_come(app, tx, &system(), (file.role, waiting)).await?;
                } else if file.bank_accounts != row.bank_accounts {
                    days::banks_are_known(app, tx, &waiting).await?;
                }
                bank_reversals::look_later(app, tx, &file, replaced.as_ref()).await
            }
            .boxed()
        })
        .await
}

/// Finds out what one day rests on at the bank, unless somebody else does. That this cannot be read is no error of this.
async fn day(app: &Reconciliation, id: Uuid) -> Result<()> {
    let Some(task) = take_day(app, id).await? else { return Ok(()) };
    let kept = match rests_on(app, &task).await {
        Ok(deposits) => keep_day(app, &task, deposits).await,
        Err(error) => Err(error),
    };
    let Err(error) = kept else { return Ok(()) };
    tracing::error!(
        task_no = task.task_no,
        ?error,
        "what a day rests on at the bank could not be read again"
    );
    let why = format!(
        "what it rests on at the bank could not be read again, and will be tried once a day: {}",
        error.text().en
    );
    let shared = Arc::new((app.clone(), task, why));
    app.context
        .db
        .write("reconciliation.put_day_off", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, task, why) = &*shared;
                let Some(row) = still_taken(tx, task).await? else { return Ok(()) };
                let until = (Some(app.context.now() + AGAIN_AFTER), Some(why.clone()));
                task::note_deposits(tx, &row, row.deposits_version, until).await
            }
            .boxed()
        })
        .await
}

async fn take_day(app: &Reconciliation, id: Uuid) -> Result<Option<Task>> {
    let shared = Arc::new(app.clone());
    app.context
        .db
        .write("reconciliation.take_day", move |tx| {
            let app = Arc::clone(&shared);
            async move {
                let Some(task) = task::lock_to_catch_up(tx, id, due(&app, DEPOSITS)).await? else {
                    return Ok(None);
                };
                let until = (Some(app.context.now() + TAKEN_FOR), task.status_message.clone());
                task::note_deposits(tx, &task, task.deposits_version, until).await?;
                Ok(Some(task.into_inner()))
            }
            .boxed()
        })
        .await
}

/// The task, locked, unless it was run again since it was taken: its run has kept what it rests on.
async fn still_taken(tx: &Tx, seen: &Task) -> Result<Option<Locked<Task>>> {
    let task = task::lock_to_catch_up(tx, seen.id, taken(DEPOSITS)).await?;
    Ok(task.filter(|task| task.run_no == seen.run_no))
}

/// What a day's last completed run rests on at the bank, from what it has kept of payouts and the statements in force now.
async fn rests_on(app: &Reconciliation, task: &Task) -> Result<Vec<Trace>> {
    let conn = app.context.db.read();
    let rules = channel_settings::payout_rules_of(conn, &task.subject(FileRole::BankStatement)).await?;
    let bank = days::bank_statements(conn, task, &rules).await?;
    let mut own = payout::of_task(conn, task.id).await?;
    let stated = task.payouts_are_stated.then_some(own.as_slice());
    let beside = Beside::of(conn, task, &rules, stated).await?;
    for fact in &mut own {
        fact.is_asked_about = fact.date.is_none_or(|date| date == task.task_date);
    }
    let (app, task, runtime) = (app.clone(), task.clone(), Handle::current());
    let reading = tokio::task::spawn_blocking(move || {
        let are_stated = task.payouts_are_stated;
        // What is kept is what both say together.
        let (own, reported) = if are_stated { (&[][..], own.as_slice()) } else { (own.as_slice(), &[][..]) };
        let said = Said { own, reported, are_stated, beside: &beside };
        at_bank::compare(&app, &task, &bank, said, &rules, &runtime).map(|found| found.deposits)
    });
    reading.await.map_err(Error::internal)?
}

/// Keeps what a day rests on, and starts it again when a statement that its last run did not read takes something back.
async fn keep_day(app: &Reconciliation, task: &Task, deposits: Vec<Trace>) -> Result<()> {
    let shared = Arc::new((app.clone(), task.clone(), deposits));
    app.context
        .db
        .write("reconciliation.keep_day", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, task, deposits) = &*shared;
                let Some(task) = still_taken(tx, task).await? else { return Ok(()) };
                deposit::replace(tx, task.id, deposits).await?;
                task::note_deposits(tx, &task, DEPOSITS, (None, None)).await?;
                let subject = task.subject(FileRole::BankStatement);
                let rules = channel_settings::payout_rules_of(tx.conn(), &subject).await?;
                let window = days::bank_statements(tx.conn(), &task, &rules).await?;
                let elsewhere = bank_reversals::statements(tx.conn(), &task, &window, deposits).await?;
                if !elsewhere.is_empty() && days::banks_have_changed(tx, &task).await? {
                    tasks::start_again(app, tx, &system(), task.id).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}
