//! Rows that one side had before the other: each later day looks for them, and closes what it finds.
//!
//! What a day looks for depends on the days before it and on nothing else, so that the end is the same in whatever order
//! the days were run, and however often. A run that has looked for other rows than there are now is followed by another
//! one (see [`days`](crate::ops::days)).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveDate;
use payops_channels::row::{Kind, Row, Status};
use payops_core::currency::Currency;
use payops_core::time::Zone;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::{Carried, CarriedRow, CertifiedInput, DiffType, Difference, ListedRow};
use crate::jobs::system;
use crate::model::{CarriedEnd, CarriedSide, ReasonCode};
use crate::store::carried::{self, Days, LookedFor, Model as StoredRow};
use crate::store::record::{self, event};
use crate::store::task::{self, Model as Task};
use crate::store::{choice, closing};

/// How many events of records are written at once.
const EVENTS_AT_ONCE: usize = 4_096;

/// How soon what met another change is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A row that a day looks for.
#[derive(Debug, Clone)]
struct Wanted {
    /// The record of its first day.
    record_id: Uuid,
    /// That day's task.
    task_id: Uuid,
    first_date: NaiveDate,
}

/// What a day looks for.
#[derive(Debug, Default)]
pub struct CarriedIn {
    /// The rows, for the engine.
    pub rows: Carried,
    /// SHA-256 of what the rows say; `None` when there are none.
    pub hash: Option<String>,
    bytes: u64,
    platform: Vec<Wanted>,
    channel: Vec<Wanted>,
}

/// What a carried row says, as it is hashed.
#[derive(Serialize)]
struct Facts<'a> {
    first_date: NaiveDate,
    side: CarriedSide,
    kind: &'a str,
    channel_trade_no: &'a Option<String>,
    charge_id: &'a Option<String>,
    payment_intent_id: &'a Option<String>,
    row_id: &'a Option<String>,
    amount: i64,
    currency: Currency,
    status: &'a Option<String>,
    raw_status: &'a Option<String>,
}

impl CarriedIn {
    /// What the task's day looks for now; what it does not find after `lookback_days` is missing.
    pub async fn of(conn: &impl ConnectionTrait, task: &Task, lookback_days: i32) -> Result<Self> {
        let timezone = zone_name(task);
        let mut all = Self::default();
        let hashed = for_each(conn, task, &timezone, |stored, row, bytes| {
            let is_due = (task.task_date - stored.first_date).num_days() >= i64::from(lookback_days);
            let wanted = Wanted {
                record_id: stored.record_id,
                task_id: stored.task_id,
                first_date: stored.first_date,
            };
            let (rows, places) = match stored.side {
                CarriedSide::Platform => (&mut all.rows.platform, &mut all.platform),
                CarriedSide::Channel => (&mut all.rows.channel, &mut all.channel),
            };
            rows.push(CarriedRow::of(&Row { in_window: is_due, ..row }));
            places.push(wanted);
            all.bytes += bytes;
        });
        all.hash = hashed.await?;
        Ok(all)
    }

    /// The rows as an input of a certificate, one JSON object a line; `None` when there are none.
    pub fn certified(&self) -> Option<CertifiedInput> {
        let sha256 = self.hash.clone()?;
        Some(CertifiedInput { role: "carried".to_owned(), bytes: self.bytes, sha256 })
    }

    /// Locks the tasks that the rows come from, the oldest day first, as every run does that saves.
    pub async fn lock_origins(&self, tx: &Tx) -> Result<()> {
        let wanted = self.platform.iter().chain(&self.channel);
        lock(tx, wanted.map(|row| (row.first_date, row.task_id)).collect()).await
    }

    /// The carried rows that a difference is about.
    fn of_difference(&self, difference: &Difference<'_>) -> impl Iterator<Item = &Wanted> {
        let place = |side: &Option<ListedRow<'_>>| side.as_ref().and_then(ListedRow::carried);
        let platform = place(&difference.platform).and_then(|place| self.platform.get(place));
        let channel = place(&difference.channel).and_then(|place| self.channel.get(place));
        platform.into_iter().chain(channel)
    }

    /// The record of a carried row's first day; `None` for a row of the day's file.
    pub fn origin(&self, side: CarriedSide, listed: &ListedRow<'_>) -> Option<Uuid> {
        let wanted = match side {
            CarriedSide::Platform => &self.platform,
            CarriedSide::Channel => &self.channel,
        };
        wanted.get(listed.carried()?).map(|row| row.record_id)
    }

    /// What a difference says of carried rows: the day that its age is counted from and the record there, and which rows
    /// it closes, in which way.
    pub fn tell(&self, difference: &Difference<'_>) -> Told {
        let rows: Vec<&Wanted> = self.of_difference(difference).collect();
        let first = rows.iter().min_by_key(|row| (row.first_date, row.record_id));
        let is_pair = difference.platform.is_some() && difference.channel.is_some();
        let end = match () {
            () if difference.diff_type.is_match() => CarriedEnd::Matched,
            () if is_pair => CarriedEnd::Differs,
            () => CarriedEnd::Missing,
        };
        Told {
            first_date: first.map(|row| row.first_date),
            carried_from: first.map(|row| row.record_id),
            ends: rows.iter().map(|row| (row.record_id, end)).collect(),
        }
    }
}

/// What a difference says of carried rows.
#[derive(Debug, Default)]
pub struct Told {
    /// The first day of the oldest.
    pub first_date: Option<NaiveDate>,
    /// Its record there.
    pub carried_from: Option<Uuid>,
    /// The ends of all, by their records.
    pub ends: Vec<(Uuid, CarriedEnd)>,
}

/// The hash of what the task's day looks for now; `None` when that is nothing.
pub async fn hash_now(conn: &impl ConnectionTrait, task: &Task) -> Result<Option<String>> {
    for_each(conn, task, &zone_name(task), |_, _, _| ()).await
}

/// Gives each row that the task's day looks for to `take`, with how many bytes of the hash it is; none is due. The hash is that
/// of all; `None` when there are none.
async fn for_each(
    conn: &impl ConnectionTrait,
    task: &Task,
    timezone: &str,
    mut take: impl FnMut(&LookedFor, Row<'_>, u64) + Send,
) -> Result<Option<String>> {
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    carried::for_each_looked_for(conn, days(task, timezone), task.task_date, |stored| {
        let row = row_of(stored)?;
        let mut line = serde_json::to_vec(&facts(stored, &row)).map_err(Error::internal)?;
        line.push(b'\n');
        hash.update(&line);
        bytes += line.len() as u64;
        take(stored, row, line.len() as u64);
        Ok(())
    })
    .await?;
    Ok((bytes > 0).then(|| hex::encode(hash.finalize())))
}

/// The days that a task is one of, `timezone` being [`zone_name`].
pub fn days<'a>(task: &'a Task, timezone: &'a str) -> Days<'a> {
    Days { channel: task.channel, account: &task.account, timezone }
}

/// A row that is to be carried from here on: the row of a difference that time alone may explain.
pub fn new_row(task: &Task, record_id: Uuid, difference: &Difference<'_>) -> Option<StoredRow> {
    if difference.diff_type != DiffType::Timing {
        return None;
    }
    let (side, listed) = match (&difference.platform, &difference.channel) {
        (Some(ours), None) => (CarriedSide::Platform, ours),
        (None, Some(theirs)) => (CarriedSide::Channel, theirs),
        _ => return None,
    };
    let text = |bytes: &[u8]| (!bytes.is_empty()).then(|| String::from_utf8_lossy(bytes).replace('\0', ""));
    Some(StoredRow {
        record_id,
        task_id: task.id,
        channel: task.channel,
        account: task.account.clone(),
        timezone: zone_name(task),
        first_date: task.task_date,
        side,
        status: listed.row.status.map(|status| status.as_str().to_owned()),
        charge_id: text(listed.row.charge_id),
        payment_intent_id: text(listed.row.payment_intent_id),
        closed_by: None,
        closed_date: None,
        closed_as: None,
    })
}

/// Makes the ends that a run found those of its task: rows that it closes get their end, and rows that an earlier run
/// of the task had closed, and this one has not, are open again. An end that a day before has found meanwhile stands: then
/// the task has looked for a row that is no longer there for it, and is run again. The end of a later day gives way.
pub async fn settle(
    app: &Reconciliation,
    tx: &Tx,
    task: &Task,
    ends: &BTreeMap<Uuid, CarriedEnd>,
) -> Result<()> {
    let own = carried::closed_by(tx, task.id).await?;
    // What somebody has paired with a row of this day has its end as long as that stands.
    let closed: Vec<Uuid> = own.iter().map(|row| row.record_id).collect();
    let chosen = choice::chosen(tx, task.id, &closed).await?;
    let ends = &chosen
        .into_iter()
        .map(|row| (row, CarriedEnd::Matched))
        .chain(ends.iter().map(|(row, end)| (*row, *end)))
        .collect::<BTreeMap<_, _>>();
    let found: Vec<Uuid> = ends.keys().copied().collect();
    let looked_for = carried::not_closed_before(tx, &found, task.task_date).await?;
    let before: BTreeMap<Uuid, (Option<Uuid>, Option<CarriedEnd>)> =
        own.iter().chain(&looked_for).map(|row| (row.record_id, (row.closed_by, row.closed_as))).collect();
    let end = |row: &Uuid| ends.get(row).map(|end| (Some(task.id), Some(*end)));
    let other_end = |row: &Uuid| end(row) != before.get(row).copied();
    let had_end = before.iter().filter(|(_, (_, closed_as))| closed_as.is_some());
    let undone: Vec<Uuid> = had_end.map(|(row, _)| *row).filter(other_end).collect();
    carried::reopen(tx, &undone).await?;
    let reopened = closing::reopen(tx, &undone, app.context.now()).await?;
    note(app, tx, reopened, "reopened", None, task).await?;
    for (closed_as, reason) in [
        (CarriedEnd::Matched, ReasonCode::ClosedByLaterFile),
        (CarriedEnd::Differs, ReasonCode::ToldOnLaterDay),
        (CarriedEnd::Missing, ReasonCode::ToldOnLaterDay),
    ] {
        let rows: Vec<Uuid> = looked_for
            .iter()
            .map(|row| row.record_id)
            .filter(|row| ends.get(row) == Some(&closed_as) && other_end(row))
            .collect();
        carried::close(tx, &rows, (task.id, task.task_date), closed_as).await?;
        let how = closing::Automatic { reason, note: task.task_no.clone(), by: system().id };
        let closed = closing::close(tx, &rows, &how, app.context.now()).await?;
        note(app, tx, closed, "resolved", Some(reason), task).await?;
    }
    Ok(())
}

/// Ends those of the records that are of rows which the task looks for: somebody has paired them with rows of its day. Days
/// behind it look for them no more, as long as the choice stands.
pub async fn end(tx: &Tx, task: &Task, records: &[Uuid]) -> Result<()> {
    let rows = carried::not_closed_before(tx, records, task.task_date).await?;
    let rows: Vec<Uuid> =
        rows.into_iter().filter(|row| row.task_id != task.id).map(|row| row.record_id).collect();
    carried::close(tx, &rows, (task.id, task.task_date), CarriedEnd::Matched).await
}

/// Takes such an end back: the rows are looked for again.
pub async fn take_back(tx: &Tx, task: &Task, records: &[Uuid]) -> Result<()> {
    let own = carried::closed_by(tx, task.id).await?;
    let rows: Vec<Uuid> =
        own.into_iter().map(|row| row.record_id).filter(|row| records.contains(row)).collect();
    carried::reopen(tx, &rows).await
}

/// Locks a task, and before it those whose rows it has closed, the oldest day first. What it has closed while they were locked
/// is for another try.
pub async fn lock_with_closed(tx: &Tx, task_id: Uuid) -> Result<Locked<Task>> {
    let before = origins(tx, task_id).await?;
    lock(tx, before.clone()).await?;
    let task = task::lock(tx, task_id).await?;
    if origins(tx, task_id).await?.is_subset(&before) {
        return Ok(task);
    }
    let why = format!("task {} has just closed rows of other days", task.task_no);
    Err(Error::unavailable(why, TRY_AGAIN).retryable())
}

/// The tasks whose rows a task has closed, by their days.
async fn origins(tx: &Tx, task_id: Uuid) -> Result<BTreeSet<(NaiveDate, Uuid)>> {
    let rows = carried::closed_by(tx, task_id).await?;
    Ok(rows.iter().map(|row| (row.first_date, row.task_id)).collect())
}

async fn lock(tx: &Tx, tasks: BTreeSet<(NaiveDate, Uuid)>) -> Result<()> {
    for (_, task_id) in tasks {
        task::lock(tx, task_id).await?;
    }
    Ok(())
}

async fn note(
    app: &Reconciliation,
    tx: &Tx,
    records: Vec<Uuid>,
    action: &str,
    reason: Option<ReasonCode>,
    task: &Task,
) -> Result<()> {
    let event = |record_id| event::Model {
        id: app.context.new_id(),
        record_id,
        action: action.to_owned(),
        reason_code: reason.map(|reason| sea_orm::ActiveEnum::to_value(&reason)),
        note: Some(task.task_no.clone()),
        actor: system().id,
        created_at: app.context.now(),
    };
    for batch in records.chunks(EVENTS_AT_ONCE) {
        record::insert_events(tx, batch.iter().copied().map(event).collect()).await?;
    }
    Ok(())
}

/// The task's zone by the name that zones are known by now.
pub fn zone_name(task: &Task) -> String {
    Zone::named(&task.timezone).map_or_else(|_| task.timezone.clone(), |zone| zone.name().to_owned())
}

fn row_of<'a>(stored: &'a LookedFor) -> Result<Row<'a>> {
    let broken = |column| {
        let why = "a carried row lacks it";
        Error::impossible_row("reconciliation_records", column, stored.record_id, why)
    };
    let bytes = |text: &'a Option<String>| text.as_deref().unwrap_or_default().as_bytes();
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == stored.kind);
    let status = Status::ALL.into_iter().find(|known| stored.status.as_deref() == Some(known.as_str()));
    let currency = stored.currency.as_deref().and_then(|code| code.parse().ok());
    Ok(Row {
        kind: kind.ok_or_else(|| broken("kind"))?,
        channel_trade_no: bytes(&stored.channel_trade_no),
        charge_id: bytes(&stored.charge_id),
        payment_intent_id: bytes(&stored.payment_intent_id),
        row_id: bytes(&stored.row_id),
        amount: stored.amount.ok_or_else(|| broken("amount"))?,
        currency: currency.ok_or_else(|| broken("currency"))?,
        // What was pending then is not known to be so still: the channel's row says that it went through.
        status: status.filter(|status| *status != Status::Pending),
        raw_status: bytes(&stored.raw_status),
        fee: None,
        net: None,
        payout_id: bytes(&stored.payout_id),
        merchant_id: bytes(&stored.merchant_id),
        occurred_at: bytes(&stored.occurred_at),
        in_window: false,
    })
}

fn facts<'a>(stored: &'a LookedFor, row: &Row<'_>) -> Facts<'a> {
    Facts {
        first_date: stored.first_date,
        side: stored.side,
        kind: &stored.kind,
        channel_trade_no: &stored.channel_trade_no,
        charge_id: &stored.charge_id,
        payment_intent_id: &stored.payment_intent_id,
        row_id: &stored.row_id,
        amount: row.amount,
        currency: row.currency,
        status: &stored.status,
        raw_status: &stored.raw_status,
    }
}
