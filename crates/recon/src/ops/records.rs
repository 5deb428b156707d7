//! What people do about differences: take, close, reopen, discuss.

use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use sea_orm::ActiveEnum;
use sea_orm::ActiveValue::Set;
use serde_json::json;
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::lifecycle::{RecordEvent, record_step};
use crate::model::{ReasonCode, RecordStatus};
use crate::ops::{carry, days};
use crate::store::record::{self, Candidate, Model as Record, event};
use crate::store::task::{self, Model as Task};

/// How a record is closed.
#[derive(Debug, Clone)]
pub struct Closing {
    /// True leaves the difference as it is, false says it is explained or put right.
    pub ignore: bool,
    /// Why.
    pub reason_code: ReasonCode,
    /// In words; needed with [`ReasonCode::Other`].
    pub note: Option<String>,
    /// The record of the row that an ambiguous one belongs to: both are closed together.
    pub candidate: Option<Uuid>,
}

impl Closing {
    /// Refuses `other` without a note, reasons that are payops' own, and a candidate of what is left as it is.
    pub fn check(&self) -> Result<()> {
        if self.ignore && self.candidate.is_some() {
            return Err(Error::invalid_field(
                "candidate_record_id",
                "goes with status 'resolved' only",
                "仅可与状态 'resolved' 同时使用",
            ));
        }
        if self.reason_code.is_automatic() {
            return Err(Error::invalid_field(
                "reason_code",
                "payops alone closes records for this reason; choose another one",
                "该原因仅由系统使用；请选择其他原因",
            ));
        }
        if self.reason_code == ReasonCode::Other && self.note.is_none() {
            return Err(Error::invalid_field(
                "note",
                "reason_code 'other' needs a note that says what it was",
                "reason_code 为 'other' 时必须填写 note",
            ));
        }
        Ok(())
    }
}

/// Closes a record. Of two callers one wins; the other gets 409 with the winner's name.
pub async fn close(
    app: &Reconciliation,
    tx: &Tx,
    by: &Change<'_>,
    id: Uuid,
    closing: &Closing,
) -> Result<Record> {
    if let Some(candidate) = closing.candidate {
        return pair(app, tx, by, (id, candidate), closing).await;
    }
    let record = locked(tx, id, by.if_match).await?;
    shut(app, tx, by, record, closing, Pairing::default()).await
}

/// What a record is paired with, and the gap that is booked with it.
#[derive(Debug, Clone, Copy, Default)]
struct Pairing {
    with: Option<Uuid>,
    adjustment: Option<i64>,
}

/// Closes an ambiguous record together with the candidate that somebody chose, and books the gap with our row.
async fn pair(
    app: &Reconciliation,
    tx: &Tx,
    by: &Change<'_>,
    (id, candidate): (Uuid, Uuid),
    closing: &Closing,
) -> Result<Record> {
    let later = lock_days(tx, id, candidate).await?;
    let (record, other) = locked_pair(tx, id, candidate).await?;
    by.if_match.check(record.version)?;
    let Some(gap) = gap_of_candidates(&record, &other)? else {
        return Err(error::not_a_candidate(&record, candidate));
    };
    let booked = |one: &Record| one.platform_amount.is_some().then_some(gap);
    let (own, others) = (booked(&record), booked(&other));
    shut(app, tx, by, other, closing, Pairing { with: Some(id), adjustment: others }).await?;
    let record =
        shut(app, tx, by, record, closing, Pairing { with: Some(candidate), adjustment: own }).await?;
    if let Some(later) = later {
        carry::end(tx, &later, &[id, candidate]).await?;
        days::look_at_later(app, tx, &later).await?;
    }
    Ok(record)
}

/// Locks the tasks of two records of different days, the older one first, as every run does, and gives the later one: what
/// is done about the two changes what days behind it look for.
async fn lock_days(tx: &Tx, one: Uuid, other: Uuid) -> Result<Option<Locked<Task>>> {
    let (one, other) = (record::find(tx.conn(), one).await?, record::find(tx.conn(), other).await?);
    if one.task_id == other.task_id {
        return Ok(None);
    }
    let (earlier, later) = if one.task_date <= other.task_date { (one, other) } else { (other, one) };
    task::lock(tx, earlier.task_id).await?;
    Ok(Some(task::lock(tx, later.task_id).await?))
}

/// Two records, locked in the one order in which everybody locks them.
async fn locked_pair(tx: &Tx, one: Uuid, other: Uuid) -> Result<(Locked<Record>, Locked<Record>)> {
    if one <= other {
        let first = record::lock(tx, one).await?;
        return Ok((first, record::lock(tx, other).await?));
    }
    let first = record::lock(tx, other).await?;
    Ok((record::lock(tx, one).await?, first))
}

/// The channel's amount less ours, where each of two records is of another side and one lists the other as its candidate.
fn gap_of_candidates(record: &Record, other: &Record) -> Result<Option<i64>> {
    let (ours, theirs) = if record.platform_amount.is_some() { (record, other) } else { (other, record) };
    let named = lists(ours, theirs, theirs.channel_line)? || lists(theirs, ours, ours.platform_line)?;
    if !named || ours.id == theirs.id {
        return Ok(None);
    }
    let amounts = theirs.channel_amount.zip(ours.platform_amount);
    Ok(amounts.and_then(|(theirs, ours)| theirs.checked_sub(ours)))
}

/// Whether a record names another one, which stands in this line, as its candidate: a row of its day, or the record that a
/// row of an earlier day has on its first day, or on this one.
fn lists(record: &Record, other: &Record, line: Option<i64>) -> Result<bool> {
    let of_day = record.task_id == other.task_id;
    let is_other = |candidate: &Candidate| match candidate.carried_from {
        Some(origin) => origin == other.id || (of_day && other.carried_from == Some(origin)),
        None => of_day && line.is_some() && candidate.line == line,
    };
    Ok(record.candidates()?.iter().any(is_other))
}

async fn shut(
    app: &Reconciliation,
    tx: &Tx,
    by: &Change<'_>,
    record: Locked<Record>,
    closing: &Closing,
    pairing: Pairing,
) -> Result<Record> {
    let step = if closing.ignore { RecordEvent::Ignore } else { RecordEvent::Resolve };
    let status = record_step(record.status, step).ok_or_else(|| error::record_closed(&record, by.actor))?;
    let now = app.context.now();
    let record = record::update(tx, record, now, |row| {
        row.status = Set(status);
        row.reason_code = Set(Some(closing.reason_code));
        row.resolution_note = Set(closing.note.clone());
        row.resolved_by = Set(Some(by.actor.id.clone()));
        row.resolved_at = Set(Some(now));
        if pairing.with.is_some() {
            row.paired_with = Set(pairing.with);
            row.adjustment = Set(pairing.adjustment);
        }
    })
    .await?;
    let action = if status == RecordStatus::Ignored { "ignored" } else { "resolved" };
    note(app, tx, by.actor, &record, action, Some(closing.reason_code), closing.note.as_deref()).await?;
    Ok(record)
}

/// Takes a closing back, with a reason. Two records that were closed together are opened together.
pub async fn reopen(
    app: &Reconciliation,
    tx: &Tx,
    by: &Change<'_>,
    id: Uuid,
    reason: &str,
) -> Result<Record> {
    let Some(partner) = record::find(tx.conn(), id).await?.paired_with else {
        let record = locked(tx, id, by.if_match).await?;
        return open_again(app, tx, by, record, reason).await;
    };
    let later = lock_days(tx, id, partner).await?;
    let (record, other) = locked_pair(tx, id, partner).await?;
    by.if_match.check(record.version)?;
    if other.paired_with == Some(id) {
        open_again(app, tx, by, other, reason).await?;
    }
    let record = open_again(app, tx, by, record, reason).await?;
    if let Some(later) = later {
        carry::take_back(tx, &later, &[id, partner]).await?;
        days::look_at_later(app, tx, &later).await?;
    }
    Ok(record)
}

async fn open_again(
    app: &Reconciliation,
    tx: &Tx,
    by: &Change<'_>,
    record: Locked<Record>,
    reason: &str,
) -> Result<Record> {
    let was_paired = record.paired_with.is_some();
    let status =
        record_step(record.status, RecordEvent::Reopen).ok_or_else(|| error::record_not_closed(&record))?;
    let record = record::update(tx, record, app.context.now(), |row| {
        row.status = Set(status);
        row.reason_code = Set(None);
        row.resolution_note = Set(None);
        row.resolved_by = Set(None);
        row.resolved_at = Set(None);
        row.assigned_to = Set(None);
        row.assigned_at = Set(None);
        if was_paired {
            row.paired_with = Set(None);
            row.adjustment = Set(None);
        }
    })
    .await?;
    note(app, tx, by.actor, &record, "reopened", None, Some(reason)).await?;
    Ok(record)
}

/// Gives a record an owner.
pub async fn assign(app: &Reconciliation, tx: &Tx, by: &Change<'_>, id: Uuid, owner: &str) -> Result<Record> {
    let record = locked(tx, id, by.if_match).await?;
    let status = record_step(record.status, RecordEvent::Assign)
        .ok_or_else(|| error::record_closed(&record, by.actor))?;
    let now = app.context.now();
    let record = record::update(tx, record, now, |row| {
        row.status = Set(status);
        row.assigned_to = Set(Some(owner.to_owned()));
        row.assigned_at = Set(Some(now));
    })
    .await?;
    note(app, tx, by.actor, &record, "assigned", None, Some(owner)).await?;
    Ok(record)
}

/// Adds a comment to a record's history. Closed records can be discussed too.
pub async fn comment(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    id: Uuid,
    text: &str,
) -> Result<event::Model> {
    let record = record::lock(tx, id).await?;
    let event = event_of(app, &record, "commented", None, Some(text), actor);
    record::insert_events(tx, vec![event.clone()]).await?;
    Ok(event)
}

/// Who changes a record, and which version of it they looked at.
#[derive(Debug, Clone, Copy)]
pub struct Change<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// The version they edited, if they say so.
    pub if_match: &'a IfMatch,
}

async fn locked(tx: &Tx, id: Uuid, if_match: &IfMatch) -> Result<Locked<Record>> {
    let record = record::lock(tx, id).await?;
    if_match.check(record.version)?;
    Ok(record)
}

async fn note(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    record: &Record,
    action: &'static str,
    reason: Option<ReasonCode>,
    text: Option<&str>,
) -> Result<()> {
    record::insert_events(tx, vec![event_of(app, record, action, reason, text, actor)]).await?;
    let detail = json!({ "reason_code": reason, "note": text, "version": record.version });
    let id = record.id.to_string();
    let action = format!("reconciliation_record.{action}");
    audit::record(tx, &app.context, actor, &action, "reconciliation_record", &id, detail).await
}

fn event_of(
    app: &Reconciliation,
    record: &Record,
    action: &str,
    reason: Option<ReasonCode>,
    text: Option<&str>,
    actor: &Actor,
) -> event::Model {
    event::Model {
        id: app.context.new_id(),
        record_id: record.id,
        action: action.to_owned(),
        reason_code: reason.map(|reason| reason.to_value()),
        note: text.map(str::to_owned),
        actor: actor.id.clone(),
        created_at: app.context.now(),
    }
}
