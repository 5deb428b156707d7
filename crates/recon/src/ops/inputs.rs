//! Getting the files of a day: what somebody handed over is used as it is, everything else is fetched anew for
//! each run that somebody or a file of the day starts. A day that is started again for a bank statement or for what other days say goes on
//! with the files that are in force, and a run after a crash with those it already has.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_channels::platform_feed::FeedQuery;
use payops_channels::stripe::reporting::{NewReportRun, ReportRun, ReportingClient, RunStatus};
use payops_channels::{RemoteError, RemoteErrorKind};
use payops_platform::db::Tx;
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::jobs::{JobError, Lease};
use sea_orm::ActiveValue::Set;
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::formats::{self, Holds, Look};
use crate::jobs::system;
use crate::lifecycle::{TaskEvent, task_step};
use crate::model::{Channel, FileFormat, FileRole, FileSource, FileStatus, TaskStatus};
use crate::ops::days;
use crate::ops::files::{self, Announced, Consent, Contents, Outcome, Taken};
use crate::ops::run::{Running, Stop, next_look};
use crate::payouts::PayoutRules;
use crate::store::file::{self, Model as StoredFile, Subject};
use crate::store::task::{self, Model as Task};

/// How long a report may stay pending before it is given up. Runs of more than ten minutes are usual, of
/// hours known.
const REPORT_PATIENCE: TimeDelta = TimeDelta::hours(12);
/// When to look again for a day that the channel has no data for yet.
const DATA_PATIENCE: TimeDelta = TimeDelta::minutes(10);

/// The files of one run.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The channel's movements.
    pub settlement: StoredFile,
    /// The channel's balances, where they could be had.
    pub summary: Option<StoredFile>,
    /// The platform's payments.
    pub platform: StoredFile,
    /// The bank statements in which the day's payouts may stand, the newest first.
    pub bank: Vec<StoredFile>,
    /// The other bank statements that take back what these have of the day's payouts, the newest first.
    pub bank_reversals: Vec<StoredFile>,
    /// The channel's reports of the day's payouts and of the rows that they carry: those that could be had, where there are
    /// bank statements.
    pub payouts: Vec<StoredFile>,
}

/// The bank statements that are there for the payouts of the task's day. Nobody is asked for them: without any, payouts are
/// not followed.
pub async fn bank(running: &Running<'_>, rules: &PayoutRules) -> Result<Vec<StoredFile>, Stop> {
    Ok(days::bank_statements(running.app.context.db.read(), &running.task, rules).await?)
}

/// The channel's reports of the day's payouts. Each costs minutes at Stripe, so they are asked for only where payouts are
/// followed, and both at once. Who hands the settlement file over does so with these too: what could be fetched may be
/// another account's. What the channel does not have, or fails to make, is left out; the tie then says so.
pub async fn payouts(
    running: &Running<'_>,
    settlement: &StoredFile,
    bank: &[StoredFile],
) -> Result<Vec<StoredFile>, Stop> {
    if bank.is_empty() || running.task.channel != Channel::Stripe {
        return Ok(Vec::new());
    }
    let (mut files, mut wait) = (Vec::new(), None);
    for role in [FileRole::Payouts, FileRole::PayoutRows] {
        let in_force = file::current(running.app.context.db.read(), &running.task.subject(role)).await?;
        if in_force.is_none() && settlement.source == FileSource::Upload {
            continue;
        }
        match optional(running, role).await {
            Ok(file) => files.extend(file),
            Err(stop @ Stop::Wait { .. }) => wait = Some(stop),
            Err(stop) => return Err(stop),
        }
    }
    wait.map_or(Ok(files), Err)
}

/// The channel's movements and balances of the task's day, asked for at once, since each takes minutes at Stripe. There are no
/// balances where the channel has no such report or it fails; the verdict then says so.
pub async fn channel(running: &Running<'_>) -> Result<(StoredFile, Option<StoredFile>), Stop> {
    let settlement = match obtain(running, FileRole::Settlement).await {
        Err(stop @ (Stop::Error(_) | Stop::Unwanted)) => return Err(stop),
        found_or_wait => found_or_wait,
    };
    let summary = optional(running, FileRole::BalanceSummary).await;
    Ok((settlement?, summary?))
}

/// A file without which a run goes on. What could not be had is not asked for again in the same run, while the run waits for
/// another file.
async fn optional(running: &Running<'_>, role: FileRole) -> Result<Option<StoredFile>, Stop> {
    let (conn, task) = (running.app.context.db.read(), &running.task);
    if task.input(role).is_none()
        && let Some(since) = task.started_at
        && file::failed_since(conn, &task.subject(role), since).await?
        && file::current(conn, &task.subject(role))
            .await?
            .is_none_or(|file| file.source != FileSource::Upload)
    {
        return Ok(None);
    }
    match obtain(running, role).await {
        Ok(file) => Ok(Some(file)),
        Err(Stop::Error(error)) if error.kind() == ErrorKind::Unprocessable => {
            tracing::warn!(task_id = %running.task.id, role = role.as_str(), ?error, "the run goes on without a file");
            Ok(None)
        }
        Err(stop) => Err(stop),
    }
}

/// The platform's payments of the task's day.
pub async fn platform(running: &Running<'_>) -> Result<StoredFile, Stop> {
    obtain(running, FileRole::Platform).await
}

/// What would be fetched for a subject; an error that says what is missing when it cannot be.
pub fn download_of(app: &Reconciliation, subject: &Subject) -> Result<Announced> {
    let (format, report_type) = match (subject.role, subject.channel) {
        (FileRole::Platform, _) => {
            if app.sources.gateway.is_none() {
                return Err(error::not_configured("PAYMENT_GATEWAY_URL"));
            }
            (FileFormat::PlatformNdjson, None)
        }
        (FileRole::BankStatement, _) => return Err(error::no_download("the bank")),
        (role, Channel::Stripe) => {
            if app.sources.stripe.is_none() {
                return Err(error::not_configured("STRIPE_API_KEY"));
            }
            match role {
                FileRole::BalanceSummary => {
                    (FileFormat::StripeSummary, Some(&app.options.summary_report_type))
                }
                FileRole::Payouts => (FileFormat::StripePayouts, Some(&app.options.payouts_report_type)),
                FileRole::PayoutRows => {
                    (FileFormat::StripeItemized, Some(&app.options.payout_rows_report_type))
                }
                _ => (FileFormat::StripeItemized, Some(&app.options.settlement_report_type)),
            }
        }
        (_, other) => return Err(error::no_download(other.as_str())),
    };
    Ok(Announced {
        subject: subject.clone(),
        source: FileSource::Download,
        format,
        mapping: None,
        report_type: report_type.cloned(),
        file_name: None,
        consent: Consent::default(),
    })
}

/// Fetches a file that was asked for outside of a task.
pub async fn fetch_asked(app: &Reconciliation, file_id: Uuid, lease: &Lease) -> Result<(), JobError> {
    let row = file::by_id(app.context.db.read(), file_id).await?;
    let Some(row) = row.filter(|row| row.status == FileStatus::Requested) else {
        return Ok(());
    };
    match fetch(app, row, lease, None).await {
        Ok(_) | Err(Stop::Unwanted) => Ok(()),
        Err(Stop::Wait { until, reason }) => Err(JobError::Wait { until, reason }),
        Err(Stop::Error(error)) => Err(error.into()),
    }
}

/// Marks a file whose fetching was given up, in the transaction that marks the job.
pub async fn give_up(app: &Reconciliation, tx: &Tx, file_id: Uuid, error: &Error) -> Result<()> {
    files::mark_failed(app, tx, file_id, &error.text().en).await
}

/// The file of one role for a run: the one this run has already, the one that was handed over, or a new one.
async fn obtain(running: &Running<'_>, role: FileRole) -> Result<StoredFile, Stop> {
    let (app, task) = (running.app, &running.task);
    let conn = app.context.db.read();
    if let Some(id) = task.input(role)
        && let Some(file) = file::by_id(conn, id).await?
        && app.files.has(&file).await
    {
        return Ok(file);
    }
    let subject = task.subject(role);
    let current = file::current(conn, &subject).await?;
    let file = match current {
        Some(file) if file.source == FileSource::Upload && app.files.has(&file).await => file,
        _ => fetch(app, begin(running, &subject).await?, running.lease, Some(task)).await?,
    };
    choose(running, &file).await?;
    Ok(file)
}

/// The row of a fetch: the one that this run began, or a new one. Its id is the idempotency key of the request
/// that follows, so it is stored before.
async fn begin(running: &Running<'_>, subject: &Subject) -> Result<StoredFile> {
    let app = running.app;
    let since = running.task.started_at;
    let shared = Arc::new((app.clone(), download_of(app, subject)?));
    app.context
        .db
        .write("reconciliation.begin_fetch", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, announced) = &*shared;
                file::lock_subject(tx, &announced.subject).await?;
                if let Some(under_way) = file::requested(tx.conn(), &announced.subject).await? {
                    if since.is_some_and(|since| under_way.created_at >= since) {
                        return Ok(under_way);
                    }
                    // Asked for before this run began: what a run fetches is of its own time.
                    files::mark_failed(app, tx, under_way.id, "nobody waited for it any more").await?;
                }
                files::announce(app, tx, &system(), app.context.new_id(), announced).await
            }
            .boxed()
        })
        .await
}

/// Fetches a file and takes it in; `wanted_by` is the task whose present run asks for it.
async fn fetch(
    app: &Reconciliation,
    row: StoredFile,
    lease: &Lease,
    wanted_by: Option<&Task>,
) -> Result<StoredFile, Stop> {
    let place = app.files.incoming(app.context.new_id());
    let fetching = async {
        match row.role {
            FileRole::Platform => fetch_feed(app, &row, place.path()).await,
            FileRole::Settlement
            | FileRole::BalanceSummary
            | FileRole::BankStatement
            | FileRole::Payouts
            | FileRole::PayoutRows => fetch_report(app, &row, place.path()).await,
        }
    };
    // A source that does not answer must not keep the process from ending: the next owner asks again.
    let Some(fetched) = lease.cancelled().run_until_cancelled(fetching).await else {
        let why = Error::unavailable("this process is stopping", Duration::from_secs(1));
        return Err(Stop::Error(why));
    };
    let kept = match fetched {
        Ok(contents) => keep(app, &row, place.path(), contents, wanted_by).await.map_err(Stop::from),
        Err(stop) => Err(stop),
    };
    // What its source refuses, or gave and is not wanted: asking the same once more would not help.
    if let Err(Stop::Error(error)) = &kept
        && error.kind() == ErrorKind::Unprocessable
    {
        fail(app, &row, &error.text().en).await?;
    }
    kept.map(|taken| taken.file)
}

/// What came from a source.
struct Fetched {
    size: u64,
    sha256: String,
    holds: Holds,
}

impl Fetched {
    fn contents(&self) -> Contents<'_> {
        Contents {
            size: self.size,
            sha256: &self.sha256,
            inspection: None,
            holds: &self.holds,
            consent: Consent::default(),
        }
    }
}

async fn probe(app: &Reconciliation, row: &StoredFile, path: &Path) -> Result<Holds> {
    let (app, row, path) = (app.clone(), row.clone(), path.to_owned());
    let found = tokio::task::spawn_blocking(move || {
        let look = match row.role {
            FileRole::BalanceSummary => Look::Balances,
            FileRole::BankStatement => Look::Bank,
            FileRole::PayoutRows => Look::RowsOfAnyDay(formats::format_of(&row)?),
            FileRole::Settlement | FileRole::Platform | FileRole::Payouts => {
                Look::Rows(formats::format_of(&row)?)
            }
        };
        formats::probe(&app, &path, &look, formats::day_of(&row.subject())?)
    });
    found.await.map_err(Error::internal)?
}

async fn keep(
    app: &Reconciliation,
    row: &StoredFile,
    path: &Path,
    (size, sha256): (u64, String),
    wanted_by: Option<&Task>,
) -> Result<Taken> {
    let subject = row.subject();
    let fetched = Fetched { size, sha256, holds: probe(app, row, path).await? };
    let in_force = file::current(app.context.db.read(), &subject).await?;
    // What a person handed over stays in force whatever is fetched.
    let in_force = in_force
        .filter(|file| file.source == FileSource::Download)
        .filter(|file| file.file_hash.as_ref() != Some(&fetched.sha256));
    files::check_replacement(in_force.as_ref(), &fetched.contents())?;
    app.files.place(path, &subject, &fetched.sha256).await?;
    take_in(app, row, fetched, wanted_by).await
}

async fn take_in(
    app: &Reconciliation,
    row: &StoredFile,
    fetched: Fetched,
    wanted_by: Option<&Task>,
) -> Result<Taken> {
    let run = wanted_by.map(|task| (task.id, task.run_no));
    let shared = Arc::new((app.clone(), row.clone(), fetched));
    app.context
        .db
        .write("reconciliation.store_file", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, row, fetched) = &*shared;
                let waiting = days::lock(tx, &row.subject(), None).await?;
                let taken = files::take_in(app, tx, &system(), row, &fetched.contents()).await?;
                // A run compares what it fetched itself.
                let waiting: Vec<_> =
                    waiting.into_iter().filter(|task| Some((task.id, task.run_no)) != run).collect();
                if taken.outcome != Outcome::AlreadyKnown {
                    days::file_has_come(app, tx, &system(), (row.role, waiting)).await?;
                }
                Ok(taken)
            }
            .boxed()
        })
        .await
}

async fn fetch_feed(app: &Reconciliation, row: &StoredFile, path: &Path) -> Result<(u64, String), Stop> {
    let gateway = app.sources.gateway.as_ref().ok_or_else(|| error::not_configured("PAYMENT_GATEWAY_URL"))?;
    let query = FeedQuery {
        date: row.settlement_date,
        channel: row.channel.as_str().to_owned(),
        timezone: Some(row.timezone.clone()),
    };
    let fetched =
        gateway.fetch(&query, path).await.map_err(|error| outside("the payment gateway", &error))?;
    Ok((fetched.bytes, fetched.sha256))
}

async fn fetch_report(app: &Reconciliation, row: &StoredFile, path: &Path) -> Result<(u64, String), Stop> {
    let stripe = app.sources.stripe.as_ref().ok_or_else(|| error::not_configured("STRIPE_API_KEY"))?;
    let run = match &row.external_id {
        Some(id) => stripe.run(id).await.map_err(|error| outside("Stripe", &error))?,
        None => ask_for_report(app, stripe, row).await?,
    };
    match &run.status {
        // A word that is new to us may be a new kind of pending; patience ends it if it is not.
        RunStatus::Pending | RunStatus::Unknown(_) => {
            let now = app.context.now();
            if now - row.created_at > REPORT_PATIENCE {
                let why = "it stayed pending for 12 hours";
                fail(app, row, why).await?;
                return Err(report_failed(&run.id, why));
            }
            let reason = format!("Stripe prepares report run {}", run.id);
            Err(Stop::Wait { until: next_look(row.created_at, now), reason })
        }
        RunStatus::Failed => {
            let why = run.error.as_deref().unwrap_or("Stripe gives no reason").to_owned();
            fail(app, row, &why).await?;
            Err(report_failed(&run.id, &why))
        }
        RunStatus::Succeeded => {
            let result = run.result.as_ref().ok_or_else(|| report_failed(&run.id, "it has no file"))?;
            let waited = (app.context.now() - row.created_at).to_std().unwrap_or_default();
            app.metrics.report_ready(waited);
            let fetched = stripe.download(result, path).await.map_err(|error| outside("Stripe", &error))?;
            Ok((fetched.bytes, fetched.sha256))
        }
    }
}

async fn ask_for_report(
    app: &Reconciliation,
    stripe: &ReportingClient,
    row: &StoredFile,
) -> Result<ReportRun, Stop> {
    let window = formats::window(row)?;
    let report_type = row.report_type.clone().unwrap_or_default();
    let available = stripe.report_type(&report_type).await.map_err(|error| outside("Stripe", &error))?;
    if available.data_available_end < window.end {
        let reason = format!(
            "Stripe has data until {}; the day ends at {}",
            available.data_available_end.to_rfc3339(),
            window.end.to_rfc3339()
        );
        return Err(Stop::Wait { until: app.context.now() + DATA_PATIENCE, reason });
    }
    let wanted = NewReportRun {
        report_type,
        interval_start: window.start,
        interval_end: window.end,
        timezone: None,
        columns: Vec::new(),
        connected_account: Some(row.account.clone()).filter(|account| !account.is_empty()),
    };
    let run =
        stripe.create_run(&wanted, &row.id.to_string()).await.map_err(|error| outside("Stripe", &error))?;
    let shared = Arc::new((row.clone(), run.id.clone()));
    let now = app.context.now();
    app.context
        .db
        .write("reconciliation.report_run", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                file::update(tx, shared.0.clone(), now, |file| file.external_id = Set(Some(shared.1.clone())))
                    .await
            }
            .boxed()
        })
        .await?;
    Ok(run)
}

async fn fail(app: &Reconciliation, row: &StoredFile, why: &str) -> Result<()> {
    let shared = Arc::new((app.clone(), row.id, why.to_owned()));
    app.context
        .db
        .write("reconciliation.fail_file", move |tx| {
            let shared = Arc::clone(&shared);
            async move { files::mark_failed(&shared.0, tx, shared.1, &shared.2).await }.boxed()
        })
        .await
}

/// Writes down which file the run uses, so that a run that goes on after a crash uses the same.
async fn choose(running: &Running<'_>, chosen: &StoredFile) -> Result<(), Stop> {
    let (id, run_no) = (running.task.id, running.task.run_no);
    let (role, file_id, now) = (chosen.role, chosen.id, running.app.context.now());
    let lease = running.lease.clone();
    let wanted = running
        .app
        .context
        .db
        .write("reconciliation.choose_file", move |tx| {
            let lease = lease.clone();
            async move {
                lease.still_mine(tx).await?;
                let task = task::lock(tx, id).await?;
                let running = task_step(task.status, TaskEvent::Complete) == Some(TaskStatus::Completed);
                if !running || task.run_no != run_no {
                    return Ok(false);
                }
                task::update(tx, task, now, |row| row.set_input(role, Some(file_id))).await?;
                Ok(true)
            }
            .boxed()
        })
        .await?;
    if wanted { Ok(()) } else { Err(Stop::Unwanted) }
}

/// A report that will never come: final for this run.
fn report_failed(run: &str, why: &str) -> Stop {
    Stop::Error(Error::new(
        ErrorKind::Unprocessable,
        "REPORT_FAILED",
        format!("Stripe report run {run} failed: {why}"),
        format!("Stripe 报告任务 {run} 失败：{why}"),
    ))
}

/// A call to another system that failed: worth another try, or final with the other side's own words.
fn outside(whom: &str, error: &RemoteError) -> Stop {
    if error.kind == RemoteErrorKind::LocalDisk {
        // No fault of theirs: whoever reads this should look at our own disk.
        return Stop::Error(Error::new(
            ErrorKind::Unavailable,
            "DISK_UNAVAILABLE",
            format!("our disk, for a file from {whom}: {error}"),
            format!("本机磁盘（{whom} 的文件）：{error}"),
        ));
    }
    let (kind, code) = if error.is_retryable() {
        (ErrorKind::Unavailable, "SOURCE_UNAVAILABLE")
    } else {
        (ErrorKind::Unprocessable, "SOURCE_REFUSED")
    };
    let stop = Error::new(kind, code, format!("{whom}: {error}"), format!("{whom}：{error}"));
    Stop::Error(error.retry_after.into_iter().fold(stop, Error::with_retry_after))
}
