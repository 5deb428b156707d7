//! Sending the answer: once, before the deadline, whatever fails on the way.
//!
//! People order a submission ([`submit`]), call it off ([`withdraw`]) or concede ([`accept`]): these write a row. The rest is
//! done by one job for all of them, [`dispatch`]: it packs what was ordered ([`seal`]) and makes the one call that cannot be
//! taken back ([`send`]). Each step is written down before the next one begins, in a transaction that only the run which
//! holds the job's lease can commit ([`step`]).

pub(crate) mod dispatch;
mod seal;
mod send;
mod step;

use std::time::Duration;

use chrono::TimeDelta;
use payops_core::time::Timestamp;
use payops_platform::db::{Locked, Tx};
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use payops_platform::jobs::{self, EnqueueOptions, JobRef};
use serde_json::json;
use uuid::Uuid;

use super::disputes::{locked, require};
use super::{By, Edit, packet};
use crate::Disputes;
use crate::error;
use crate::evidence::preflight::{Problem, may_send};
use crate::jobs::SendSubmissions;
use crate::lifecycle::{Action, actions};
use crate::model::{Channel, TimelineEvent};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::submission::{self, Kind, Model as Submission, SubmissionState};
use crate::vault::DisputeKeys;

/// So long evidence may not have changed before it is packed anew: people attach several things in a row.
const QUIET: TimeDelta = TimeDelta::minutes(1);

/// When an answer is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// As soon as it is packed.
    Now,
    /// Not before.
    At(Timestamp),
    /// So long before the deadline as the service is set to.
    UntilDeadline,
}

/// What stands against sending what the dispute has now. Merging takes its time, so this is asked before the transaction.
pub(crate) async fn problems(app: &Disputes, id: Uuid) -> Result<Vec<Problem>> {
    let dispute = dispute::find(app.context.db.read(), id, None).await?;
    let now = app.context.now();
    if !actions(dispute.state(), dispute.owner(), dispute.deadline_passed(now)).contains(&Action::Submit) {
        // It is refused for that.
        return Ok(Vec::new());
    }
    Ok(packet::assemble(app, &dispute).await?.problems(&dispute))
}

/// What the channel said when it refused a submission, where it is still known.
pub(crate) fn channel_words(keys: &DisputeKeys, submission: &Submission) -> Result<Option<String>> {
    let Some(sealed) = &submission.channel_words else { return Ok(None) };
    let opened = keys.open(&words_place(submission.id), sealed)?;
    Ok(opened.map(|words| String::from_utf8_lossy(&words).into_owned()))
}

fn words_place(id: Uuid) -> String {
    format!("channel words on {id}")
}

/// Whether an answer is waited for, and could still be in time.
///
/// # Errors
/// 409 `DISPUTE_STATUS`; 422 `DEADLINE_PASSED`.
pub(crate) fn waits_for_answer(dispute: &Dispute, now: Timestamp) -> Result<()> {
    if !dispute.status.awaits_answer() {
        return Err(error::action_not_allowed(dispute, "answered", "提交答复"));
    }
    if dispute.deadline_passed(now) { Err(error::deadline_passed(dispute)) } else { Ok(()) }
}

/// Orders the answer to be sent.
///
/// # Errors
/// 409 `NOT_THE_CHANNELS`, `DISPUTE_STATUS`, `SUBMISSION_OPEN`; 422 `DEADLINE_PASSED`, `PACKET_BLOCKED`, `NOT_CONFIGURED`.
pub(crate) async fn submit(
    by: &By<'_>,
    id: Uuid,
    if_match: &IfMatch,
    when: When,
    problems: &[Problem],
) -> Result<Submission> {
    want(by.app, by.tx).await?;
    let (dispute, now) = (locked(by, id, if_match).await?, by.app.context.now());
    channels(by.app, &dispute)?;
    waits_for_answer(&dispute, now)?;
    require(&dispute, Action::Submit, now, "answered", "提交答复")?;
    none_open(by.tx, &dispute).await?;
    if !may_send(problems) {
        return Err(error::packet_blocked(problems));
    }
    let (submit_at, until_deadline) = match when {
        When::Now => (now, false),
        When::At(at) => (in_time(at, &dispute)?.max(now), false),
        When::UntilDeadline => {
            let due_by = dispute.evidence_due_by.ok_or_else(|| {
                Error::invalid_field("hold", "there is no deadline to hold it for", "该争议没有截止时间")
            })?;
            (held_until(due_by, by.app.options.submission_margin).max(now), true)
        }
    };
    let new = Submission { until_deadline, submit_at, ..blank(by, &dispute, Kind::Answer).await? };
    order(by, dispute, new).await
}

/// Concedes. An inquiry cannot be conceded: it is answered, or the payment is refunded.
///
/// # Errors
/// 409 `NOT_THE_CHANNELS`, `DISPUTE_STATUS`, `SUBMISSION_OPEN`; 422 `NOT_CONFIGURED`.
pub(crate) async fn accept(by: &By<'_>, id: Uuid, if_match: &IfMatch) -> Result<Submission> {
    want(by.app, by.tx).await?;
    let (dispute, now) = (locked(by, id, if_match).await?, by.app.context.now());
    channels(by.app, &dispute)?;
    require(&dispute, Action::Accept, now, "conceded", "认赔")?;
    none_open(by.tx, &dispute).await?;
    let new = blank(by, &dispute, Kind::Concession).await?;
    order(by, dispute, new).await
}

/// Calls off what waits for its time.
///
/// # Errors
/// 409 `SUBMISSION_NOT_HELD` where nothing waits, or it is on its way already.
pub(crate) async fn withdraw(by: &By<'_>, id: Uuid) -> Result<Submission> {
    let dispute = dispute::lock(by.tx, id, None).await?;
    let held = submission::lock_open(by.tx, id).await?;
    let sending = held.as_ref().is_some_and(|open| open.state == SubmissionState::Sending);
    let held = held.filter(|open| open.state == SubmissionState::Held);
    let held = held.ok_or_else(|| error::submission_not_held(sending))?;
    let now = by.app.context.now();
    let mut edit = Edit::of(dispute);
    edit.tell(TimelineEvent::SubmissionWithdrawn, json!({ "number": held.number, "kind": held.kind }));
    edit.save(by).await?;
    let mut after = (*held).clone();
    after.state = SubmissionState::Withdrawn;
    submission::update(by.tx, &held, after, now).await
}

/// Has the job that sends look at what there is to do. It is never done: one that waits is woken.
///
/// Call it before a dispute is locked: the job locks its own row first, and a dispute afterwards.
pub(crate) async fn want(app: &Disputes, tx: &Tx) -> Result<()> {
    const KEY: &str = "all";
    let known = JobRef::Key { name: <SendSubmissions as jobs::Job>::NAME, dedup_key: KEY };
    if !jobs::wake(tx, &app.context, known).await? {
        // Whatever it is that fails, deadlines come nearer.
        let options = EnqueueOptions::default().unique(KEY).attempts(u32::MAX);
        jobs::enqueue(tx, &app.context, &SendSubmissions {}, options).await?;
    }
    Ok(())
}

/// Follows a deadline that the channel has changed. A packet that is packed stays so.
pub(crate) fn follow(submission: &mut Submission, dispute: &Dispute, margin: Duration) {
    if submission.due_by == dispute.evidence_due_by {
        return;
    }
    submission.due_by = dispute.evidence_due_by;
    if let Some(due_by) = submission.due_by.filter(|_| submission.until_deadline) {
        submission.submit_at = held_until(due_by, margin);
        submission.next_at = submission.next_at.min(submission.submit_at);
    }
}

/// Has what waits follow a deadline that the channel has changed. The job that sends sees it when it wakes next.
pub(crate) async fn deadline_moved(by: &By<'_>, edit: &Edit) -> Result<()> {
    if edit.before().evidence_due_by == edit.after.evidence_due_by {
        return Ok(());
    }
    let Some(open) = submission::lock_open(by.tx, edit.before().id).await? else { return Ok(()) };
    let mut after = (*open).clone();
    follow(&mut after, &edit.after, by.app.options.submission_margin);
    submission::update(by.tx, &open, after, by.app.context.now()).await?;
    Ok(())
}

/// Wakes the job that sends, where evidence is about to change that lies ready at the channel. Call it before the dispute is
/// locked, as [`want`] says. Of many changes, the first wakes it.
pub(crate) async fn evidence_will_change(by: &By<'_>, dispute_id: Uuid) -> Result<()> {
    let open = submission::find_open(by.tx.conn(), dispute_id).await?;
    let soon = by.app.context.now() + QUIET;
    if open.is_some_and(|open| lies_ready(&open) && open.next_at > soon) {
        want(by.app, by.tx).await?;
    }
    Ok(())
}

/// Has an answer that lies ready packed and staged again, once its evidence has not changed for a while, or when it is due.
pub(crate) async fn evidence_changed(by: &By<'_>, dispute_id: Uuid) -> Result<()> {
    let Some(open) = submission::lock_open(by.tx, dispute_id).await?.filter(|open| lies_ready(open)) else {
        return Ok(());
    };
    let now = by.app.context.now();
    let mut after = (*open).clone();
    after.next_at = after.submit_at.min(now + QUIET);
    submission::update(by.tx, &open, after, now).await?;
    Ok(())
}

fn lies_ready(open: &Submission) -> bool {
    open.kind == Kind::Answer && open.state == SubmissionState::Held && open.staged_at.is_some()
}

/// Writes the submission and what the timeline tells of it.
async fn order(by: &By<'_>, dispute: Locked<Dispute>, new: Submission) -> Result<Submission> {
    let mut edit = Edit::of(dispute);
    edit.tell(
        TimelineEvent::SubmissionHeld,
        json!({
            "number": new.number, "kind": new.kind, "submit_at": new.submit_at,
            "until_deadline": new.until_deadline,
        }),
    );
    edit.save(by).await?;
    submission::insert(by.tx, new).await
}

async fn blank(by: &By<'_>, dispute: &Dispute, kind: Kind) -> Result<Submission> {
    let earlier = submission::of_dispute(by.tx.conn(), dispute.id).await?;
    let now = by.app.context.now();
    Ok(Submission {
        id: by.app.context.new_id(),
        dispute_id: dispute.id,
        number: earlier.first().map_or(0, |last| last.number) + 1,
        kind,
        phase: dispute.phase,
        state: SubmissionState::Held,
        until_deadline: false,
        submit_at: now,
        due_by: dispute.evidence_due_by,
        next_at: now,
        seal_no: 0,
        sealed_from: None,
        packet: None,
        packet_sha256: None,
        staged_at: None,
        count_before: dispute.submission_count,
        idempotency_key: None,
        key_no: 0,
        key_at: None,
        key_failures: 0,
        tries: 0,
        delays: 0,
        sent_at: None,
        outcome: None,
        channel_words: None,
        created_by: by.actor.id.clone(),
        created_at: now,
        updated_at: now,
    })
}

/// Refuses a dispute that no channel takes an answer for.
fn channels(app: &Disputes, dispute: &Dispute) -> Result<()> {
    if dispute.channel_dispute_id.is_none() || dispute.channel != Channel::Stripe {
        return Err(error::not_the_channels(dispute));
    }
    app.stripe().map(|_| ())
}

async fn none_open(tx: &Tx, dispute: &Dispute) -> Result<()> {
    match submission::lock_open(tx, dispute.id).await? {
        Some(open) => Err(error::submission_open(&open)),
        None => Ok(()),
    }
}

fn in_time(at: Timestamp, dispute: &Dispute) -> Result<Timestamp> {
    match dispute.evidence_due_by {
        Some(due_by) if at >= due_by => Err(Error::invalid_field(
            "submit_at",
            format!("it has to lie before the deadline, {due_by}"),
            format!("必须早于截止时间 {due_by}"),
        )),
        _ => Ok(at),
    }
}

/// The instant that lies so long before the deadline.
fn held_until(due_by: Timestamp, margin: Duration) -> Timestamp {
    TimeDelta::from_std(margin).ok().and_then(|margin| due_by.checked_sub_signed(margin)).unwrap_or(due_by)
}
