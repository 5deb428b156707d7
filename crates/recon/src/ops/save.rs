//! The last transaction of a run: with it, all that the run found is to be seen, and what it no longer found is not.

use std::collections::BTreeMap;

use payops_core::currency::Currency;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::Lease;
use sea_orm::ActiveValue::Set;
use serde_json::json;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::{ByCurrency, Certificate, DiffType, Outcome, Summary, TypeTotals};
use crate::formats::Inspection;
use crate::lifecycle::{TaskEvent, task_step};
use crate::model::CarriedEnd;
use crate::ops::carry::{self, CarriedIn};
use crate::ops::write::Written;
use crate::ops::{beside, catch_up, days, files};
use crate::payouts::{PayoutFact, Trace};
use crate::store::payout::{self, Model as Payout};
use crate::store::record::{self, event};
use crate::store::run::{self, Model as Run};
use crate::store::task::{self, Model as Task};
use crate::store::{carried, choice, deposit, found};

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
    /// The rows of earlier days that it looked for.
    pub carried: CarriedIn,
    /// The bank statements that payouts were compared with, the newest first.
    pub bank_files: Vec<Uuid>,
    /// Those that take back what these have, and were read for that alone.
    pub bank_reversal_files: Vec<Uuid>,
    /// What the outcome rests on at the bank.
    pub deposits: Vec<Trace>,
    /// What the day's files say of payouts, one fact for a payout.
    pub payouts: Vec<PayoutFact>,
    /// Whether a report of the day's payouts is among them.
    pub payouts_are_stated: bool,
    /// The hash of what the files of other days say of them, where they were compared with the bank.
    pub open_payouts_hash: Option<String>,
}

impl Findings {
    /// Writes down by what it is seen later that the day has to be run again.
    fn note_what_was_known(&self, row: &mut task::ActiveModel) {
        row.carried_hash = Set(self.carried.hash.clone());
        row.payouts_are_stated = Set(self.payouts_are_stated);
        row.open_payouts_hash = Set(self.open_payouts_hash.clone());
        row.deposits_version = Set(catch_up::DEPOSITS);
        row.deposits_after = Set(None);
    }
}

/// Shows the records that the run has written, hides those that it no longer has, keeps the resolutions of differences that
/// are still the same, and ends the run. Refused when the lease was lost or the task was cancelled meanwhile: then nothing
/// is shown.
pub async fn save(
    app: &Reconciliation,
    tx: &Tx,
    lease: &Lease,
    findings: &Findings,
    written: &Written,
) -> Result<Option<Changes>> {
    lease.still_mine(tx).await?;
    findings.carried.lock_origins(tx).await?;
    let task = task::lock(tx, findings.task.id).await?;
    let Some(status) =
        task_step(task.status, TaskEvent::Complete).filter(|_| task.run_no == findings.task.run_no)
    else {
        return Ok(None);
    };
    let changes = settle_records(app, tx, &task, written).await?;
    carry::settle(app, tx, &task, &written.ends).await?;
    for (file, reading) in &findings.readings {
        files::note_reading(app, tx, *file, reading).await?;
    }
    let (now, summary) = (app.context.now(), &findings.outcome.summary);
    let certificate = serde_json::to_value(&findings.certificate).map_err(Error::internal)?;
    let totals = Totals::of(summary);
    let payout_diff_count = summary.payouts.as_ref().map(|payouts| wide(payouts.differences()));
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
        rule_set_version: task.rule_set_version,
        bank_file_ids: Some(json!(findings.bank_files)),
        bank_reversal_file_ids: Some(json!(findings.bank_reversal_files)),
        payouts_file_id: task.payouts_file_id,
        payout_rows_file_id: task.payout_rows_file_id,
    };
    run::insert(tx, run).await?;
    let payouts = findings.payouts.iter().map(|fact| Payout::new(app.context.new_id(), task.id, fact));
    let mut payouts_changed = payout::replace(tx, task.id, payouts.collect()).await?;
    payouts_changed |= task.payouts_are_stated != findings.payouts_are_stated;
    deposit::replace(tx, task.id, &findings.deposits).await?;
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
        row.saving_run = Set(None);
        row.payout_diff_count = Set(payout_diff_count);
        findings.note_what_was_known(row);
        totals.write(row);
    })
    .await?;
    let detail = json!({ "run_no": task.run_no, "verdict": task.verdict, "added": changes.added, "gone": changes.gone });
    let (actor, id) = (Actor::system("reconciliation"), task.id.to_string());
    let action = "reconciliation_task.completed";
    audit::record(tx, &app.context, &actor, action, "reconciliation_task", &id, detail).await?;
    if payouts_changed {
        beside::have_changed(app, tx, &task).await?;
    }
    days::run_has_ended(app, tx, &actor, &task).await?;
    Ok(Some(changes))
}

/// Hides what the run no longer has, and shows what it has again.
async fn settle_records(app: &Reconciliation, tx: &Tx, task: &Task, written: &Written) -> Result<Changes> {
    let mut changes = Changes { added: written.new, ..Changes::default() };
    if !written.had_records {
        return Ok(changes);
    }
    let now = app.context.now();
    let mut after = Uuid::nil();
    loop {
        let returned = record::returned(tx, task.id, after).await?;
        let Some(last) = returned.last() else { break };
        after = *last;
        changes.added += count(returned.len());
        changes.kept -= count(returned.len());
        note(app, tx, returned, "returned", None).await?;
    }
    changes.kept += written.found;
    record::take_places(tx, task.id, now).await?;
    let mut after = String::new();
    loop {
        let gone = record::not_found(tx, task.id, task.run_no, &after).await?;
        let Some(last) = gone.last() else { break };
        after.clone_from(&last.identity);
        let gone: Vec<Uuid> = gone.into_iter().map(|record| record.id).collect();
        changes.gone += count(gone.len());
        record::mark_gone(tx, &gone, now).await?;
        note(app, tx, gone, "gone", None).await?;
    }
    found::remove(tx, task.id).await?;
    part(app, tx, task, &written.ends).await?;
    Ok(changes)
}

/// Takes choices back that stand no longer: a row is gone, or the run has found itself what became of one of an earlier day.
pub async fn part(
    app: &Reconciliation,
    tx: &Tx,
    task: &Task,
    ends: &BTreeMap<Uuid, CarriedEnd>,
) -> Result<()> {
    let found: Vec<Uuid> = ends.keys().copied().collect();
    let fallen = choice::chosen(tx, task.id, &found).await?;
    let parted = choice::part(tx, task.id, fallen, app.context.now()).await?;
    carried::reopen(tx, &parted).await?;
    note(app, tx, parted, "reopened", Some("the candidate that was chosen is no longer there")).await
}

async fn note(
    app: &Reconciliation,
    tx: &Tx,
    records: Vec<Uuid>,
    action: &str,
    why: Option<&str>,
) -> Result<()> {
    let event = |record_id| event::Model {
        id: app.context.new_id(),
        record_id,
        action: action.to_owned(),
        reason_code: None,
        note: why.map(str::to_owned),
        actor: Actor::system("reconciliation").id,
        created_at: app.context.now(),
    };
    record::insert_events(tx, records.into_iter().map(event).collect()).await
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
        let rows = || counted(summary).flat_map(|totals| totals.rows.values());
        let matches = || summary.types.iter().filter(|(one, _)| one.is_match()).map(|(_, totals)| totals);
        Self {
            platform_count: wide(rows().map(|rows| rows.platform).sum()),
            channel_count: wide(rows().map(|rows| rows.channel).sum()),
            matched_count: wide(matches().map(|totals| totals.count).sum()),
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
        for totals in counted(summary) {
            add(&mut platform, &totals.platform_amounts);
            add(&mut channel, &totals.channel_amounts);
        }
        let mut currencies: Vec<Currency> = platform.keys().chain(channel.keys()).copied().collect();
        currencies.sort_unstable();
        currencies.dedup();
        let [currency] = currencies[..] else { return None };
        let sum = |sums: &ByCurrency<i128>| sums.get(&currency).copied().unwrap_or(0);
        let matched: i128 = DiffType::ALL
            .into_iter()
            .filter(|one| one.is_match())
            .map(|one| sum(&summary.of(one).platform_amounts))
            .sum();
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

/// The types that belong to the totals of a day.
fn counted(summary: &Summary) -> impl Iterator<Item = &TypeTotals> {
    summary.types.iter().filter(|(diff_type, _)| diff_type.is_counted()).map(|(_, totals)| totals)
}

fn add(sums: &mut ByCurrency<i128>, more: &ByCurrency<i128>) {
    for (currency, amount) in more {
        *sums.entry(*currency).or_default() += amount;
    }
}

fn wide(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
