//! Writing what a run found: in one transaction, so that a run is there as a whole or not at all.

use std::collections::HashMap;
use std::sync::Arc;

use payops_core::currency::Currency;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::Lease;
use sea_orm::ActiveValue::Set;
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::{ByCurrency, Certificate, DiffType, Difference, ListedRow, Outcome, Summary};
use crate::formats::Inspection;
use crate::identity::Identities;
use crate::lifecycle::{TaskEvent, task_step};
use crate::model::RecordStatus;
use crate::ops::{days, files};
use crate::store::record::{self, Known, Model as Record, event};
use crate::store::run::{self, Model as Run};
use crate::store::task::{self, Model as Task};

/// How many batches of records wait for the database before the reader of the files pauses.
const BATCHES_AHEAD: usize = 2;

/// What a run changed among the records of its task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes {
    /// Differences that the run before did not have.
    pub added: i64,
    /// That it had too.
    pub kept: i64,
    /// That it had and this one has not.
    pub gone: i64,
}

/// What a run has to store.
#[derive(Debug)]
pub struct Findings {
    /// The task as the run began.
    pub task: Task,
    /// What the engine found.
    pub outcome: Outcome,
    /// What it can be repeated and checked by.
    pub certificate: Certificate,
    /// What reading each file found, by the file's id.
    pub readings: Vec<(Uuid, Inspection)>,
}

/// Replaces the records of the task, keeps the resolutions of differences that are still the same, and ends
/// the run. Refused when the lease was lost or the task was cancelled meanwhile: then nothing is stored.
pub async fn save(
    app: &Reconciliation,
    tx: &Tx,
    lease: &Lease,
    findings: &Arc<Findings>,
) -> Result<Option<Changes>> {
    lease.still_mine(tx).await?;
    let task = task::lock(tx, findings.task.id).await?;
    let Some(status) =
        task_step(task.status, TaskEvent::Complete).filter(|_| task.run_no == findings.task.run_no)
    else {
        return Ok(None);
    };
    let changes = replace_records(app, tx, findings).await?;
    for (file, reading) in &findings.readings {
        files::note_reading(app, tx, *file, reading).await?;
    }
    let (now, summary) = (app.context.now(), &findings.outcome.summary);
    let certificate = serde_json::to_value(&findings.certificate).map_err(Error::internal)?;
    let totals = Totals::of(summary);
    let run = Run {
        id: app.context.new_id(),
        task_id: task.id,
        run_no: task.run_no,
        verdict: summary.verdict.as_str().to_owned(),
        certificate: certificate.clone(),
        records_added: changes.added,
        records_kept: changes.kept,
        records_gone: changes.gone,
        started_at: task.started_at.unwrap_or(now),
        completed_at: now,
        settlement_file_id: task.settlement_file_id,
        summary_file_id: task.summary_file_id,
        platform_file_id: task.platform_file_id,
    };
    run::insert(tx, run).await?;
    let stored_summary = serde_json::to_string(summary).map_err(Error::internal)?;
    let task = task::update(tx, task, now, |row| {
        row.status = Set(status);
        row.phase = Set(None);
        row.progress = Set(100);
        row.status_message = Set(None);
        row.verdict = Set(Some(summary.verdict.as_str().to_owned()));
        row.summary = Set(Some(stored_summary));
        row.certificate = Set(Some(certificate));
        row.completed_at = Set(Some(now));
        totals.write(row);
    })
    .await?;
    let detail = json!({ "run_no": task.run_no, "verdict": task.verdict, "added": changes.added, "gone": changes.gone });
    let (actor, id) = (Actor::system("reconciliation"), task.id.to_string());
    let action = "reconciliation_task.completed";
    audit::record(tx, &app.context, &actor, action, "reconciliation_task", &id, detail).await?;
    days::run_has_ended(app, tx, &actor, &task).await?;
    Ok(Some(changes))
}

async fn replace_records(app: &Reconciliation, tx: &Tx, findings: &Arc<Findings>) -> Result<Changes> {
    let mut known = record::known(tx, findings.task.id).await?;
    let mut changes = Changes::default();
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let (reader_app, reader_findings) = (app.clone(), Arc::clone(findings));
    let reader = tokio::task::spawn_blocking(move || read(&reader_app, &reader_findings, &sender));
    while let Some(batch) = batches.recv().await {
        place(app, tx, batch, &mut known, &mut changes).await?;
    }
    reader.await.map_err(Error::internal)??;
    let gone: Vec<Uuid> =
        known.into_values().filter(|record| record.gone_at.is_none()).map(|record| record.id).collect();
    changes.gone = count(gone.len());
    record::mark_gone(tx, &gone, app.context.now()).await?;
    note(app, tx, gone, "gone").await?;
    Ok(changes)
}

/// Inserts what is new and gives what is known its new place.
async fn place(
    app: &Reconciliation,
    tx: &Tx,
    batch: Vec<Record>,
    known: &mut HashMap<String, Known>,
    changes: &mut Changes,
) -> Result<()> {
    let mut new = Vec::with_capacity(batch.len());
    let mut returned = Vec::new();
    for found in batch {
        let Some(before) = known.remove(&found.identity) else {
            new.push(found);
            continue;
        };
        if before.gone_at.is_some() {
            returned.push(before.id);
            changes.added += 1;
        } else {
            changes.kept += 1;
        }
        record::keep(tx, &before, &found, app.context.now()).await?;
    }
    changes.added += count(new.len());
    record::insert_all(tx, new).await?;
    note(app, tx, returned, "returned").await
}

async fn note(app: &Reconciliation, tx: &Tx, records: Vec<Uuid>, action: &str) -> Result<()> {
    let event = |record_id| event::Model {
        id: app.context.new_id(),
        record_id,
        action: action.to_owned(),
        reason_code: None,
        note: None,
        actor: Actor::system("reconciliation").id,
        created_at: app.context.now(),
    };
    record::insert_events(tx, records.into_iter().map(event).collect()).await
}

/// Reads the differences with their text and hands them over in batches. Ends early when nobody takes them.
fn read(app: &Reconciliation, findings: &Findings, sender: &mpsc::Sender<Vec<Record>>) -> Result<()> {
    let mut identities = Identities::default();
    let mut differences = findings.outcome.differences();
    while let Some(batch) = differences.next_batch().map_err(Error::internal)? {
        let ordinals = batch.first_index()..;
        let records = ordinals.zip(batch.iter()).map(|(ordinal, difference)| {
            let identity = identities.next(&difference);
            row(app, &findings.task, ordinal, identity, &difference)
        });
        if sender.blocking_send(records.collect()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn row(
    app: &Reconciliation,
    task: &Task,
    ordinal: u64,
    identity: String,
    difference: &Difference<'_>,
) -> Record {
    let (platform, channel) = (difference.platform.as_ref(), difference.channel.as_ref());
    let currency = |side: Option<&ListedRow<'_>>| side.map(|listed| listed.row.currency);
    let amount = |side: Option<&ListedRow<'_>>| side.map(|listed| listed.row.amount);
    let line =
        |side: Option<&ListedRow<'_>>| side.and_then(|listed| i64::try_from(listed.position.line).ok());
    let status = |side: Option<&ListedRow<'_>>| side.and_then(|listed| text(listed.row.raw_status));
    let now = app.context.now();
    Record {
        id: app.context.new_id(),
        task_id: task.id,
        task_no: task.task_no.clone(),
        task_date: task.task_date,
        channel: task.channel,
        ordinal: i64::try_from(ordinal).unwrap_or(i64::MAX),
        identity,
        diff_type: difference.diff_type.as_str().to_owned(),
        kind: difference.kind().as_str().to_owned(),
        payment_no: text(difference.payment_no()),
        channel_trade_no: text(difference.channel_trade_no()),
        channel_row_id: text(difference.channel_row_id()),
        merchant_id: platform.and_then(|listed| text(listed.row.merchant_id)),
        payout_id: channel.and_then(|listed| text(listed.row.payout_id)),
        platform_amount: amount(platform),
        channel_amount: amount(channel),
        diff_amount: gap(difference),
        platform_currency: currency(platform).map(|code| code.to_string()),
        channel_currency: currency(channel).map(|code| code.to_string()),
        platform_status: status(platform),
        channel_status: status(channel),
        platform_line: line(platform),
        channel_line: line(channel),
        occurred_at: platform.or(channel).and_then(|listed| text(listed.row.occurred_at)),
        status: RecordStatus::Open,
        assigned_to: None,
        assigned_at: None,
        reason_code: None,
        resolution_note: None,
        resolved_by: None,
        resolved_at: None,
        gone_at: None,
        version: 1,
        created_at: now,
        updated_at: now,
    }
}

/// The channel's amount less the platform's; a side that is absent counts as nothing. `None` when the
/// currencies differ, or the gap is beyond 64 bits.
fn gap(difference: &Difference<'_>) -> Option<i64> {
    match (&difference.platform, &difference.channel) {
        (Some(ours), Some(theirs)) if ours.row.currency != theirs.row.currency => None,
        (Some(ours), Some(theirs)) => theirs.row.amount.checked_sub(ours.row.amount),
        (Some(ours), None) => ours.row.amount.checked_neg(),
        (None, Some(theirs)) => Some(theirs.row.amount),
        (None, None) => None,
    }
}

/// A text of a source as a column: absent when empty. PostgreSQL has no NUL; readers refuse rows with one.
fn text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).replace('\0', ""))
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

/// The figures that a task shows without its summary: counts always, sums only for a day of one currency.
struct Totals {
    platform_count: i64,
    channel_count: i64,
    matched_count: i64,
    diff_count: i64,
    timing_count: i64,
    amounts: Option<Amounts>,
}

struct Amounts {
    currency: Currency,
    platform: Option<i64>,
    channel: Option<i64>,
    matched: Option<i64>,
    diff: Option<i64>,
}

impl Totals {
    fn of(summary: &Summary) -> Self {
        let rows = || summary.types.values().flat_map(|totals| totals.rows.values());
        Self {
            platform_count: wide(rows().map(|rows| rows.platform).sum()),
            channel_count: wide(rows().map(|rows| rows.channel).sum()),
            matched_count: wide(summary.of(DiffType::Matched).count),
            diff_count: wide(summary.differences()),
            timing_count: wide(summary.of(DiffType::Timing).count),
            amounts: Amounts::of(summary),
        }
    }

    fn write(&self, row: &mut task::ActiveModel) {
        let amount = |of: fn(&Amounts) -> Option<i64>| self.amounts.as_ref().and_then(of);
        row.platform_count = Set(Some(self.platform_count));
        row.channel_count = Set(Some(self.channel_count));
        row.matched_count = Set(Some(self.matched_count));
        row.diff_count = Set(Some(self.diff_count));
        row.timing_count = Set(Some(self.timing_count));
        row.currency = Set(self.amounts.as_ref().map(|amounts| amounts.currency.to_string()));
        row.platform_amount = Set(amount(|amounts| amounts.platform));
        row.channel_amount = Set(amount(|amounts| amounts.channel));
        row.matched_amount = Set(amount(|amounts| amounts.matched));
        row.diff_amount = Set(amount(|amounts| amounts.diff));
    }
}

impl Amounts {
    /// `None` when the compared rows are in several currencies, or in none.
    fn of(summary: &Summary) -> Option<Self> {
        let mut platform: ByCurrency<i128> = ByCurrency::new();
        let mut channel: ByCurrency<i128> = ByCurrency::new();
        for totals in summary.types.values() {
            add(&mut platform, &totals.platform_amounts);
            add(&mut channel, &totals.channel_amounts);
        }
        let mut currencies: Vec<Currency> = platform.keys().chain(channel.keys()).copied().collect();
        currencies.sort_unstable();
        currencies.dedup();
        let [currency] = currencies[..] else { return None };
        let sum = |sums: &ByCurrency<i128>| sums.get(&currency).copied().unwrap_or(0);
        let matched = sum(&summary.of(DiffType::Matched).platform_amounts);
        let (platform, channel) = (sum(&platform), sum(&channel));
        Some(Self {
            currency,
            platform: i64::try_from(platform).ok(),
            channel: i64::try_from(channel).ok(),
            matched: i64::try_from(matched).ok(),
            diff: i64::try_from(channel - platform).ok(),
        })
    }
}

fn add(sums: &mut ByCurrency<i128>, more: &ByCurrency<i128>) {
    for (currency, amount) in more {
        *sums.entry(*currency).or_default() += amount;
    }
}

fn wide(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
