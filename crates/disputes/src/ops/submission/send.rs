//! The call that cannot be taken back, and finding out whether it had its effect.
//!
//! The key of the call is written before the call. After a failure that leaves it open what happened, the dispute is read:
//! if the channel has counted one more submission, it arrived. If not, the same call is made again under the same key,
//! which the channel carries out once at the most. A new key is taken only where the old one is used up: the channel
//! answered it twice with an error of its own, so that nothing is under way with it, or it is so old that the channel
//! forgets it. In both cases the dispute was read first.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_channels::stripe::api::{Dispute as StripeDispute, DisputeUpdate, FileField, Kept, TextField};
use payops_channels::stripe::{Certainty, StripeError};
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use serde_json::json;

use super::dispatch::{TOO_LATE, intend};
use super::step::{Hold, Pair, Run, Why, is_for_all};
use crate::lifecycle::{Event, step};
use crate::model::{LostCause, TimelineEvent};
use crate::ops::observe::Seen;
use crate::ops::packet::Manifest;
use crate::ops::payment::Link;
use crate::ops::{Edit, vault};
use crate::store::submission::{self, Kind, SubmissionState};
use crate::store::{dispute, evidence};

/// The channel keeps a key for a day at least.
const KEY_LIFE: TimeDelta = TimeDelta::hours(20);
/// A call that was begun before the deadline has ended so long after it.
const LAST_ANSWER: TimeDelta = TimeDelta::minutes(2);

/// A call whose intent is written.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) pair: Pair,
    /// The number of the look at the dispute that its answer is.
    pub(super) begun: i64,
}

impl Run {
    /// Makes the call, once, and writes down what came of it.
    pub(super) async fn call(&self, call: Call) -> Result<()> {
        let at = self.app.context.now();
        match self.make(&call.pair).await? {
            Ok(object) => self.took(&call.pair, Seen { object, link: Link::NotAsked, at }, call.begun).await,
            Err(Some(failed)) if is_for_all(&failed) => {
                self.pause(&failed);
                self.hold_back(&call.pair).await
            }
            Err(Some(failed)) if failed.certainty != Certainty::Unknown => {
                self.ask(&call.pair, Some(&failed), false).await
            }
            Err(failed) => {
                let status = failed.as_ref().and_then(StripeError::status);
                let error = failed.map_or_else(|| TOO_LATE.to_owned(), |failed| failed.without_words());
                tracing::warn!(error, submission = %call.pair.submission.id, "a submission may have arrived");
                let Some(pair) = self.doubt(&call.pair, status.is_some_and(|status| status >= 500)).await?
                else {
                    return Ok(());
                };
                self.ask(&pair, None, false).await
            }
        }
    }

    /// One attempt; it does not outlive the deadline. `None` is an attempt that was broken off for that.
    async fn make(&self, pair: &Pair) -> Result<Result<Kept<StripeDispute>, Option<StripeError>>> {
        let Pair { submission, dispute } = pair;
        let stripe = self.app.stripe()?.once().first();
        let (id, key) = (pair.channel_id(), submission.idempotency_key.as_deref().unwrap_or_default());
        if submission.kind == Kind::Concession {
            return Ok(stripe.close_dispute(id, key).await.map_err(Some));
        }
        let update = self.update(pair, true).await?;
        let attempt = stripe.update_dispute(id, &update, key);
        let Some(due_by) = dispute.evidence_due_by else { return Ok(attempt.await.map_err(Some)) };
        let left = (due_by - self.app.context.now()).to_std().unwrap_or_default();
        match tokio::time::timeout(left, attempt).await {
            Ok(answer) => Ok(answer.map_err(Some)),
            Err(_) => Ok(Err(None)),
        }
    }

    /// The packet in the channel's form. A submission repeats what was staged: so it is exactly this, whatever became of it.
    pub(super) async fn update(&self, pair: &Pair, submit: bool) -> Result<DisputeUpdate> {
        let Pair { submission, dispute } = pair;
        let packet =
            submission.packet.as_ref().ok_or_else(|| Error::internal("a submission is not packed"))?;
        let keys = vault::of(&self.app, self.app.context.db.read(), dispute.id).await?;
        let manifest = Manifest::kept(&keys, submission.id, packet)?;
        let files = submission::files(self.app.context.db.read(), submission.id).await?;
        let mut update = DisputeUpdate { submit, ..DisputeUpdate::default() };
        for field in &manifest.to_clear {
            put(&mut update, field, "")?;
        }
        for (field, text) in &manifest.texts {
            put(&mut update, field.as_str(), text)?;
        }
        for file in &files {
            let id = file.channel_file_id.as_deref();
            put(&mut update, &file.field, id.ok_or_else(|| Error::internal("a file is not uploaded"))?)?;
        }
        if manifest.fee_acknowledged {
            let mastercard =
                dispute.card_brand.as_deref().is_some_and(|brand| brand.eq_ignore_ascii_case("mastercard"));
            let rule = if mastercard { "mastercard_compliance" } else { "visa_compliance" };
            update.enhanced = Some(json!({ rule: { "fee_acknowledged": true } }));
        }
        Ok(update)
    }

    /// Goes on with one whose call may have been made by a run that is no more.
    pub(super) async fn resume(&self, pair: &Pair) -> Result<()> {
        self.ask(pair, None, true).await
    }

    /// Reads the dispute: did it arrive? `refused` is what the channel said to a call that certainly had no effect.
    /// With `go_on`, the call is made again at once if it did not; otherwise after a pause.
    async fn ask(&self, pair: &Pair, refused: Option<&StripeError>, go_on: bool) -> Result<()> {
        let begun =
            self.step("submissions.ask", pair, |mut hold| async move { hold.begin_reading().await }.boxed());
        let Some(begun) = begun.await? else { return Ok(()) };
        let at = self.app.context.now();
        let object = match self.app.stripe()?.once().first().dispute(pair.channel_id()).await {
            Ok(object) => object,
            Err(failed) => {
                tracing::warn!(
                    error = failed.without_words(),
                    "a dispute that may be answered cannot be read"
                );
                if is_for_all(&failed) {
                    self.pause(&failed);
                }
                return self.later(pair).await;
            }
        };
        let submission = &pair.submission;
        let arrived = match submission.kind {
            Kind::Answer => {
                i64::from(object.evidence_details.submission_count) > i64::from(submission.count_before)
                    // Where no call of ours can have arrived, somebody else has answered.
                    && (refused.is_none() || submission.tries > 0)
            }
            Kind::Concession => object.status.as_str() == "lost",
        };
        let waits = matches!(object.status.as_str(), "needs_response" | "warning_needs_response");
        let words = object.status.as_str().to_owned();
        let seen = Seen { object, link: Link::NotAsked, at };
        if arrived {
            return self.took(pair, seen, begun).await;
        }
        if let Some(refused) = refused {
            return self.refuse(pair, seen, begun, refused.into()).await;
        }
        // The clock after the look: a dispute that was lost by its deadline meanwhile is one that was missed.
        if !waits && !submission_is_late(pair, self.app.context.now()) {
            let why = format!("the channel says that the dispute is {words}").as_str().into();
            return self.refuse(pair, seen, begun, why).await;
        }
        self.not_arrived(pair, go_on).await
    }

    /// It did not arrive: again, or too late.
    async fn not_arrived(&self, pair: &Pair, go_on: bool) -> Result<()> {
        let next = self.step("submissions.again", pair, move |hold| again(hold, go_on).boxed()).await?;
        match next.flatten() {
            // Boxed: it may lead here again.
            Some(call) => Box::pin(self.call(call)).await,
            None => Ok(()),
        }
    }

    /// Gives one back whose call certainly had no effect.
    async fn hold_back(&self, pair: &Pair) -> Result<()> {
        self.step("submissions.hold_back", pair, |hold| {
            async move {
                let mut after = (*hold.submission).clone();
                // With a call before this one that may have arrived, the dispute is read first.
                if after.tries == 0 {
                    after.state = SubmissionState::Held;
                }
                hold.write(after).await.map(|_| ())
            }
            .boxed()
        })
        .await?;
        Ok(())
    }

    /// Notes a call that may have arrived.
    async fn doubt(&self, pair: &Pair, channels_own_error: bool) -> Result<Option<Pair>> {
        let noted = self.step("submissions.doubt", pair, move |hold| {
            async move {
                let mut after = (*hold.submission).clone();
                after.tries = after.tries.saturating_add(1);
                after.key_failures += i32::from(channels_own_error);
                hold.write(after).await
            }
            .boxed()
        });
        Ok(noted.await?.map(|submission| Pair { submission, ..pair.clone() }))
    }

    /// Writes down that the channel took it.
    async fn took(&self, pair: &Pair, seen: Seen, begun: i64) -> Result<()> {
        let seen = Arc::new(seen);
        self.step("submissions.sent", pair, move |hold| {
            let seen = Arc::clone(&seen);
            async move { finish(hold, &seen, begun).await }.boxed()
        })
        .await?;
        Ok(())
    }

    /// Writes down that the channel would not take it, and what it showed.
    pub(super) async fn refuse(&self, pair: &Pair, seen: Seen, begun: i64, why: Why) -> Result<()> {
        let shared = Arc::new((seen, why));
        self.step("submissions.refused", pair, move |mut hold| {
            let shared = Arc::clone(&shared);
            async move {
                hold.write_reading(&shared.0, begun).await?;
                // What was seen has changed the dispute.
                hold.dispute = dispute::lock(hold.by.tx, hold.dispute.id, None).await?;
                hold.end(SubmissionState::Refused, &shared.1).await
            }
            .boxed()
        })
        .await?;
        Ok(())
    }
}

fn submission_is_late(pair: &Pair, now: Timestamp) -> bool {
    pair.submission.kind == Kind::Answer && pair.dispute.deadline_passed(now)
}

fn put(update: &mut DisputeUpdate, field: &str, value: &str) -> Result<()> {
    if let Some(text) = TextField::from_word(field) {
        update.texts.insert(text, value.to_owned());
    } else if let Some(file) = FileField::from_word(field) {
        update.files.insert(file, value.to_owned());
    } else {
        return Err(Error::internal(format!("the channel has no field {field}")));
    }
    Ok(())
}

/// Writes the intent to call again; `None` where it is to wait, or comes too late.
async fn again(mut hold: Hold<'_>, go_on: bool) -> Result<Option<Call>> {
    let now = hold.by.app.context.now();
    let mut after = (*hold.submission).clone();
    if let Some(due_by) =
        hold.dispute.evidence_due_by.filter(|due_by| after.kind == Kind::Answer && *due_by <= now)
    {
        if now < due_by + LAST_ANSWER {
            after.next_at = due_by + LAST_ANSWER;
            return hold.write(after).await.map(|_| None);
        }
        return hold.end(SubmissionState::Expired, &TOO_LATE.into()).await.map(|()| None);
    }
    if !go_on || has_arrived(&hold) {
        after.delays = after.delays.saturating_add(1);
        after.next_at = now + super::step::pause_after(after.delays);
        return hold.write(after).await.map(|_| None);
    }
    let is_old = after.key_at.is_some_and(|made| now - made > KEY_LIFE);
    if after.key_failures >= 2 || is_old {
        after.idempotency_key = None;
    }
    after.tries = after.tries.max(1);
    intend(&mut hold, after, now).await.map(Some)
}

/// Whether a reading that was faster than ours has seen it.
fn has_arrived(hold: &Hold<'_>) -> bool {
    hold.dispute.submission_count > hold.submission.count_before
}

/// The channel took it: the submission, its evidence, the dispute and its timeline.
async fn finish(hold: Hold<'_>, seen: &Seen, begun: i64) -> Result<()> {
    let Hold { by, reading, dispute, submission } = hold;
    let now = by.app.context.now();
    let mut after = (*submission).clone();
    after.state = SubmissionState::Sent;
    after.sent_at = Some(now);
    let mut edit = Edit::of(dispute);
    let state = edit.before().state();
    let detail = json!({
        "number": after.number, "packet_sha256": after.packet_sha256, "requested_by": after.created_by,
    });
    if after.kind == Kind::Answer {
        edit.tell(TimelineEvent::Submitted, detail);
        // What escalated meanwhile wants another answer.
        if state.phase == after.phase {
            if let Some(next) = step(state, edit.before().owner(), Event::Answered) {
                edit.move_to(next, None, now);
            }
            edit.after.evidence_submitted = true;
            edit.after.submitted_at = Some(now);
        }
        let keys = vault::of(by.app, by.tx.conn(), edit.before().id).await?;
        let packet = after.packet.as_ref().map(|packet| Manifest::kept(&keys, after.id, packet));
        let packet = packet.transpose()?.unwrap_or_default();
        evidence::mark_submitted(by.tx, &packet.evidence_ids, now).await?;
    } else {
        edit.tell(TimelineEvent::Accepted, detail);
        if let Some(next) = step(state, edit.before().owner(), Event::Conceded) {
            edit.move_to(next, Some(LostCause::Accepted), now);
        }
    }
    let dispute = edit.save(&by).await?;
    let after = submission::update(by.tx, &submission, after, now).await?;
    let dispute = dispute::lock(by.tx, dispute.id, None).await?;
    let mut hold = Hold { by, reading, dispute, submission };
    hold.write_reading(seen, begun).await?;
    let (metrics, wanted) = (by.app.metrics.clone(), after.submit_at.max(after.created_at));
    by.tx.after_commit(move || {
        metrics.ended("sent");
        if after.kind == Kind::Answer {
            metrics.sent(wanted, after.due_by, now);
        }
    });
    Ok(())
}
