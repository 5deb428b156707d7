//! Writing down what a run found, in short transactions: nobody else waits for long, and the progress moves. What is
//! written is hidden until the run's last transaction; what a run leaves behind that never came to it is removed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use payops_channels::row::Kind;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::Lease;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::{DiffType, Difference, ListedRow};
use crate::identity::Identities;
use crate::jobs::system;
use crate::model::{CarriedEnd, CarriedSide, Phase, ReasonCode, RecordStatus, TaskStatus};
use crate::ops::carry::{self, CarriedIn};
use crate::ops::run::{Running, Stop};
use crate::ops::save::Findings;
use crate::payouts::PayoutDifference;
use crate::store::carried::{self, Model as CarriedRow};
use crate::store::found::{self, Model as Found};
use crate::store::record::{self, Candidate, Model as Record};
use crate::store::task::{self, Model as Task, Step};

/// The longest text of a record, in characters.
const LONGEST_TEXT: usize = 255;
/// How many records one transaction writes, or removes.
const RECORDS_AT_ONCE: usize = 4_096;
/// How many transactions' records wait for the database before the reader of the files pauses.
const BATCHES_AHEAD: usize = 2;

/// What was written of a run, and is still hidden.
#[derive(Debug, Default)]
pub struct Written {
    /// Whether the task had records before.
    pub had_records: bool,
    /// Differences that the task had no record of.
    pub new: i64,
    /// That it had one of.
    pub found: i64,
    /// The rows of earlier days that it closes, by their records.
    pub ends: BTreeMap<Uuid, CarriedEnd>,
}

/// A difference as a record, and what it means for other days.
struct Listed {
    record: Record,
    /// The rows of earlier days that it closes.
    ends: Vec<(Uuid, CarriedEnd)>,
    /// The row that later days look for.
    carried: Option<CarriedRow>,
}

/// Writes every difference down.
pub async fn write_down(running: &Running<'_>, findings: &Arc<Findings>) -> Result<Written, Stop> {
    let mut written = Written { had_records: begin(running).await?, ..Written::default() };
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    let reader = {
        let (app, findings) = (running.app.clone(), Arc::clone(findings));
        tokio::task::spawn_blocking(move || read(&app, &findings, &sender))
    };
    let (mut done, total) = (0, findings.outcome.listed());
    while let Some(batch) = batches.recv().await {
        if running.lease.cancelled().is_cancelled() {
            let why = Error::unavailable("this process is stopping", Duration::from_secs(1));
            return Err(Stop::Error(why));
        }
        done += batch.len() as u64;
        written.ends.extend(batch.iter().flat_map(|listed: &Listed| listed.ends.iter().copied()));
        let step = running.step(Phase::Saving, hundredths(done, total), None);
        let batch = Batch {
            app: running.app.clone(),
            lease: running.lease.clone(),
            step,
            may_be_known: written.had_records,
            listed: batch,
        };
        let (new, found) = batch.write().await?.ok_or(Stop::Unwanted)?;
        written.new += new;
        written.found += found;
    }
    reader.await.map_err(Error::internal)??;
    Ok(written)
}

/// Removes what an earlier attempt has left behind, and notes that this run writes now. Gives whether the task has
/// records.
async fn begin(running: &Running<'_>) -> Result<bool, Stop> {
    let (id, run_no) = (running.task.id, running.task.run_no);
    loop {
        let lease = running.lease.clone();
        let begun = running.app.context.db.write("reconciliation.begin_records", move |tx| {
            let lease = lease.clone();
            async move {
                lease.still_mine(tx).await?;
                let task = task::lock(tx, id).await?;
                if task.status != TaskStatus::Processing || task.run_no != run_no {
                    return Ok(Begun::Unwanted);
                }
                if let Some(left) = task.saving_run
                    && remove_some(tx, id, left).await?
                {
                    return Ok(Begun::NotYet);
                }
                task::note_saving(tx, &task, Some(run_no)).await?;
                Ok(Begun::Yes { has_records: record::any(tx, id).await? })
            }
            .boxed()
        });
        match begun.await? {
            Begun::Yes { has_records } => return Ok(has_records),
            Begun::NotYet => {}
            Begun::Unwanted => return Err(Stop::Unwanted),
        }
    }
}

enum Begun {
    Yes { has_records: bool },
    NotYet,
    Unwanted,
}

/// Removes what a run has written that is over without having been completed.
pub async fn clear(app: &Reconciliation, task_id: Uuid, run_no: i64) -> Result<()> {
    loop {
        let removed = app.context.db.write("reconciliation.clear_records", move |tx| {
            async move {
                let task = task::lock(tx, task_id).await?;
                let runs = task.status == TaskStatus::Processing && task.run_no == run_no;
                if runs || task.saving_run != Some(run_no) {
                    return Ok(false);
                }
                let removed = remove_some(tx, task_id, run_no).await?;
                if !removed {
                    task::note_saving(tx, &task, None).await?;
                }
                Ok(removed)
            }
            .boxed()
        });
        if !removed.await? {
            return Ok(());
        }
    }
}

/// Removes some of the records that a run has left behind; false when there are none.
async fn remove_some(tx: &Tx, task_id: Uuid, run_no: i64) -> Result<bool> {
    found::remove(tx, task_id).await?;
    Ok(record::remove_added(tx, task_id, run_no, RECORDS_AT_ONCE as u64).await? > 0)
}

/// What one transaction writes.
struct Batch {
    app: Reconciliation,
    lease: Lease,
    step: Step,
    may_be_known: bool,
    listed: Vec<Listed>,
}

impl Batch {
    /// Gives how many of the records are new, and how many were found again; `None` when nobody wants them any more.
    async fn write(self) -> Result<Option<(i64, i64)>> {
        let db = self.app.context.db.clone();
        let shared = Arc::new(self);
        db.write("reconciliation.write_records", move |tx| {
            let batch = Arc::clone(&shared);
            async move { batch.write_in(tx).await }.boxed()
        })
        .await
    }

    async fn write_in(&self, tx: &Tx) -> Result<Option<(i64, i64)>> {
        self.lease.still_mine(tx).await?;
        if !task::advance(tx, &self.step, self.app.context.now()).await? {
            return Ok(None);
        }
        let known = if self.may_be_known {
            let identities = self.listed.iter().map(|listed| listed.record.identity.as_str());
            record::known(tx, self.step.task_id, identities).await?
        } else {
            HashMap::new()
        };
        let (mut again, mut new, mut carried) = (Vec::new(), Vec::new(), Vec::new());
        for Listed { record, carried: row, .. } in &self.listed {
            let known = known.get(&record.identity).copied();
            let record_id = known.unwrap_or(record.id);
            carried.extend(row.clone().map(|row| CarriedRow { record_id, ..row }));
            match known {
                Some(id) => again.push(place(id, record)),
                None => new.push(record.clone()),
            }
        }
        let counts = (count(new.len()), count(again.len()));
        found::insert_all(tx, again).await?;
        record::insert_all(tx, new).await?;
        carried::insert_all(tx, carried).await?;
        Ok(Some(counts))
    }
}

fn place(record_id: Uuid, found: &Record) -> Found {
    Found {
        task_id: found.task_id,
        record_id,
        ordinal: found.ordinal,
        platform_line: found.platform_line,
        channel_line: found.channel_line,
        payout_id: found.payout_id.clone(),
        merchant_id: found.merchant_id.clone(),
        occurred_at: found.occurred_at.clone(),
        first_date: found.first_date,
        carried_from: found.carried_from,
        candidate_count: found.candidate_count,
        candidates: found.candidates.clone(),
    }
}

fn hundredths(done: u64, total: u64) -> i32 {
    let hundredths = (done * 100).checked_div(total).unwrap_or(100).min(100);
    i32::try_from(hundredths).unwrap_or(100)
}

/// Reads the differences with their text and hands them over, a transaction's worth at a time. Ends early when nobody
/// takes them.
fn read(app: &Reconciliation, findings: &Findings, sender: &mpsc::Sender<Vec<Listed>>) -> Result<()> {
    let mut identities = Identities::default();
    let mut differences = findings.outcome.differences();
    while let Some(batch) = differences.next_batch().map_err(Error::internal)? {
        let ordinals = batch.first_index()..;
        let mut records = ordinals
            .zip(batch.iter())
            .map(|(ordinal, difference)| {
                let identity = identities.next(&difference);
                listed(app, findings, ordinal, identity, &difference)
            })
            .peekable();
        while records.peek().is_some() {
            if sender.blocking_send(records.by_ref().take(RECORDS_AT_ONCE).collect()).is_err() {
                return Ok(());
            }
        }
    }
    let mut records = (findings.outcome.listed()..)
        .zip(findings.outcome.payout_differences())
        .map(|(ordinal, difference)| {
            let identity = identities.next_of_payouts(&difference);
            let record = payout_row(blank(app, &findings.task, ordinal, identity), &difference);
            Listed { record, ends: Vec::new(), carried: None }
        })
        .peekable();
    while records.peek().is_some() {
        if sender.blocking_send(records.by_ref().take(RECORDS_AT_ONCE).collect()).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn listed(
    app: &Reconciliation,
    findings: &Findings,
    ordinal: u64,
    identity: String,
    difference: &Difference<'_>,
) -> Listed {
    let told = findings.carried.tell(difference);
    let mut record = row(app, &findings.task, ordinal, identity, difference);
    record.candidates = candidates(difference, &findings.carried);
    (record.first_date, record.carried_from) = (told.first_date, told.carried_from);
    let done = match difference.diff_type {
        // What another day's file has, and fits, is nobody's work.
        DiffType::Carried => Some(ReasonCode::ClosedByLaterFile),
        // What fits as a whole is nobody's work, though it is shown how it does.
        DiffType::Netted => Some(ReasonCode::NettedByPayment),
        // Nor is what a rule allows; who doubts it opens it again.
        DiffType::WithinTolerance => Some(ReasonCode::WithinTolerance),
        _ => None,
    };
    if done.is_some() {
        record.status = RecordStatus::Resolved;
        record.reason_code = done;
        record.resolved_by = Some(system().id);
        record.resolved_at = Some(record.created_at);
    }
    let carried = carry::new_row(&findings.task, record.id, difference);
    Listed { record, ends: told.ends, carried }
}

/// A difference between payouts and bank: the channel's columns are the payouts', the platform's are the bank's.
fn payout_row(blank: Record, difference: &PayoutDifference<'_>) -> Record {
    let narrow = |sum: Option<i128>| sum.and_then(|sum| i64::try_from(sum).ok());
    let shortened = |whole: &str| text(whole.chars().take(LONGEST_TEXT).collect::<String>().as_bytes());
    let (arrived, paid_out) = (difference.arrived(), difference.paid_out());
    let currency = difference.currency().map(|currency| currency.to_string());
    let date = difference.payouts.first().and_then(|payout| payout.date);
    let date = date.or(difference.deposits.first().map(|deposit| deposit.date));
    Record {
        kind: Kind::Payout.as_str().to_owned(),
        diff_type: difference.outcome.as_str().to_owned(),
        payment_no: shortened(&difference.bank_texts()),
        channel_trade_no: shortened(&difference.payout_ids()),
        payout_id: difference.payouts.first().and_then(|payout| shortened(&payout.id)),
        platform_amount: narrow(arrived),
        channel_amount: narrow(paid_out),
        diff_amount: narrow(Some(paid_out.unwrap_or(0) - arrived.unwrap_or(0))),
        platform_currency: currency.clone().filter(|_| arrived.is_some()),
        channel_currency: currency.filter(|_| paid_out.is_some()),
        platform_line: difference.deposits.first().and_then(|deposit| i64::try_from(deposit.line).ok()),
        occurred_at: date.map(|date| date.to_string()),
        ..blank
    }
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
    let line = |side: Option<&ListedRow<'_>>| side.and_then(|listed| i64::try_from(listed.line()?).ok());
    let status = |side: Option<&ListedRow<'_>>| side.and_then(|listed| text(listed.row.raw_status));
    let adjusted = difference.adjustment;
    Record {
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
        tolerance_rule: adjusted.map(|adjustment| adjustment.rule.to_owned()),
        adjustment: adjusted.and_then(|adjustment| i64::try_from(adjustment.amount).ok()),
        candidate_count: i64::try_from(difference.candidate_count).ok().filter(|count| *count > 0),
        ..blank(app, task, ordinal, identity)
    }
}

/// A record of which nothing is known but its place.
fn blank(app: &Reconciliation, task: &Task, ordinal: u64, identity: String) -> Record {
    let now = app.context.now();
    Record {
        id: app.context.new_id(),
        task_id: task.id,
        task_no: task.task_no.clone(),
        task_date: task.task_date,
        channel: task.channel,
        ordinal: i64::try_from(ordinal).unwrap_or(i64::MAX),
        identity,
        diff_type: String::new(),
        kind: String::new(),
        payment_no: None,
        channel_trade_no: None,
        channel_row_id: None,
        merchant_id: None,
        payout_id: None,
        platform_amount: None,
        channel_amount: None,
        diff_amount: None,
        platform_currency: None,
        channel_currency: None,
        platform_status: None,
        channel_status: None,
        platform_line: None,
        channel_line: None,
        occurred_at: None,
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
        added_run: task.run_no,
        first_date: None,
        carried_from: None,
        tolerance_rule: None,
        adjustment: None,
        candidate_count: None,
        candidates: None,
        paired_with: None,
    }
}

/// The rows that an ambiguous one could belong to, as JSON.
fn candidates(difference: &Difference<'_>, carried: &CarriedIn) -> Option<String> {
    let side = if difference.platform.is_some() { CarriedSide::Channel } else { CarriedSide::Platform };
    let candidate = |listed: &ListedRow<'_>| {
        let (line, carried_from) = (listed.line(), carried.origin(side, listed));
        (line.is_some() || carried_from.is_some()).then(|| Candidate {
            line: line.and_then(|line| i64::try_from(line).ok()),
            carried_from,
            amount: listed.row.amount,
            currency: listed.row.currency.to_string(),
            row_id: text(listed.row.row_id),
            occurred_at: text(listed.row.occurred_at),
        })
    };
    let candidates: Vec<Candidate> = difference.candidates.iter().filter_map(candidate).collect();
    if candidates.is_empty() { None } else { serde_json::to_string(&candidates).ok() }
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
pub fn text(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).replace('\0', ""))
}

fn count(items: usize) -> i64 {
    i64::try_from(items).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_moves_with_every_step_and_ends_at_a_hundred() {
        assert_eq!(hundredths(4_096, 1_000_000), 0);
        assert_eq!(hundredths(500_000, 1_000_000), 50);
        assert_eq!(hundredths(1_000_000, 1_000_000), 100);
        assert_eq!(hundredths(0, 0), 100);
    }
}
