//! One step of one submission, in a transaction that only the run which holds the job's lease can commit.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_channels::stripe::StripeError;
use payops_platform::auth::Actor;
use payops_platform::db::{BoxFuture, Locked};
use payops_platform::error::Result;
use payops_platform::jobs::Lease;
use serde_json::json;

use super::words_place;
use crate::Disputes;
use crate::model::TimelineEvent;
use crate::ops::observe::{self, Seen};
use crate::ops::{By, Edit, Source, alerts, readings, vault};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::reading;
use crate::store::submission::{self, Model as Submission, SubmissionState};

/// The pause after a first failure; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// No pause of one submission is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// The pause of all of them, where the channel is away or has enough and does not say for how long.
const AWAY: Duration = Duration::from_secs(2);
/// The pause of all of them while the channel does not take our key.
const LOCKED_OUT: Duration = Duration::from_mins(1);

/// A run of the job that sends.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) app: Disputes,
    pub(super) lease: Lease,
    pause: Arc<Mutex<Option<Duration>>>,
}

/// A submission with its dispute, as they were read.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) submission: Submission,
    pub(super) dispute: Dispute,
}

impl Pair {
    /// The channel's id of the dispute.
    pub(super) fn channel_id(&self) -> &str {
        self.dispute.channel_dispute_id.as_deref().unwrap_or_default()
    }
}

/// What a step holds locked, in the order in which all take it: reading, dispute, submission.
pub(super) struct Hold<'t> {
    pub(super) by: By<'t>,
    pub(super) reading: reading::Model,
    pub(super) dispute: Locked<Dispute>,
    pub(super) submission: Locked<Submission>,
}

impl Run {
    pub(super) fn new(app: Disputes, lease: Lease) -> Self {
        Self { app, lease, pause: Arc::default() }
    }

    /// Locks what belongs to a submission and takes a step. `None` where it is no longer open, or no longer in the state
    /// that the step was thought for.
    pub(super) async fn step<T, F>(&self, name: &'static str, pair: &Pair, body: F) -> Result<Option<T>>
    where
        T: Send + 'static,
        F: for<'t> Fn(Hold<'t>) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
    {
        let shared = Arc::new((self.clone(), pair.clone(), Actor::system("disputes"), body));
        let write = self.app.context.db.write(name, move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (run, pair, actor, body) = &*shared;
                run.lease.still_mine(tx).await?;
                let reading = reading::lock(tx, pair.dispute.channel, pair.channel_id()).await?;
                let dispute = dispute::lock(tx, pair.dispute.id, None).await?;
                let submission = submission::lock(tx, pair.submission.id).await?;
                let Some(submission) = submission.filter(|now| now.state == pair.submission.state) else {
                    return Ok(None);
                };
                let by = By { app: &run.app, tx, actor, source: Source::Job };
                body(Hold { by, reading, dispute, submission }).await.map(Some)
            }
            .boxed()
        });
        write.await
    }

    /// Stops this run's sending for a while: what is not begun stays due.
    pub(super) fn pause(&self, failed: &StripeError) {
        use payops_channels::RemoteErrorKind as Why;
        let usual = if failed.kind() == Why::Unauthorized { LOCKED_OUT } else { AWAY };
        let pause = failed.remote.retry_after.unwrap_or(usual);
        tracing::warn!(error = failed.without_words(), pause_ms = pause.as_millis(), "submissions pause");
        let mut held = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *held = held.max(Some(pause));
    }

    pub(super) fn paused(&self) -> Option<Duration> {
        *self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to begin nothing more.
    pub(super) fn stops(&self) -> bool {
        self.paused().is_some() || self.lease.cancelled().is_cancelled()
    }

    /// Has a submission wait after a failure. Deadlines are looked at again when its time comes.
    pub(super) async fn later(&self, pair: &Pair) -> Result<()> {
        self.step("submissions.later", pair, |hold| {
            async move {
                let mut after = (*hold.submission).clone();
                after.delays = after.delays.saturating_add(1);
                after.next_at = hold.by.app.context.now() + pause_after(after.delays);
                hold.write(after).await.map(|_| ())
            }
            .boxed()
        })
        .await?;
        Ok(())
    }
}

/// Whether all submissions have to wait after this failure, which certainly had no effect.
pub(super) fn is_for_all(failed: &StripeError) -> bool {
    use payops_channels::RemoteErrorKind as Why;
    use payops_channels::stripe::Certainty;
    match failed.certainty {
        Certainty::NotSent => failed.is_retryable(),
        Certainty::Refused => failed.is_retryable() || failed.kind() == Why::Unauthorized,
        Certainty::Unknown => false,
    }
}

pub(super) fn pause_after(failures: i32) -> TimeDelta {
    let doublings = u32::try_from(failures.saturating_sub(1)).unwrap_or_default().min(16);
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    TimeDelta::from_std(pause).unwrap_or_default()
}

impl Hold<'_> {
    pub(super) async fn write(&self, changed: Submission) -> Result<Submission> {
        let now = self.by.app.context.now();
        submission::update(self.by.tx, &self.submission, changed, now).await
    }

    /// Counts a look at the channel's dispute that begins now; see [`readings`].
    pub(super) async fn begin_reading(&mut self) -> Result<i64> {
        self.reading.wanted += 1;
        self.reading.begun = self.reading.wanted;
        reading::update(self.by.tx, &self.reading).await?;
        Ok(self.reading.wanted)
    }

    /// Writes down how the channel's dispute looked; `begun` is the look's number.
    pub(super) async fn write_reading(&mut self, seen: &Seen, begun: i64) -> Result<()> {
        let newest = begun > self.reading.done;
        observe::apply(&self.by, seen, newest).await?;
        if !newest {
            // The look that overtook this one may have seen the dispute before the call had its effect.
            readings::want(self.by.app, self.by.tx, self.reading.channel, &self.reading.channel_dispute_id)
                .await?;
            return Ok(());
        }
        self.reading.done = self.reading.done.max(begun);
        reading::update(self.by.tx, &self.reading).await
    }

    /// Ends the submission without an effect, tells why, and has the dispute read.
    pub(super) async fn end(self, state: SubmissionState, why: &Why) -> Result<()> {
        let Self { by, reading, dispute, submission } = self;
        let outcome: String = why.outcome.chars().take(500).collect();
        let (event, word) = match state {
            SubmissionState::Withdrawn => (TimelineEvent::SubmissionWithdrawn, "withdrawn"),
            SubmissionState::Expired => (TimelineEvent::SubmissionRefused, "expired"),
            _ => (TimelineEvent::SubmissionRefused, "refused"),
        };
        readings::want(by.app, by.tx, reading.channel, &reading.channel_dispute_id).await?;
        let mut after = (*submission).clone();
        after.state = state;
        after.outcome = Some(outcome.clone());
        let keys = match &why.words {
            Some(_) => vault::usable(by.app, by.tx, &dispute).await?,
            None => None,
        };
        if let (Some(keys), Some(words)) = (keys, &why.words) {
            after.channel_words = Some(keys.seal(&words_place(after.id), words.as_bytes())?);
        }
        let mut detail = json!({
            "number": after.number, "kind": after.kind, "outcome": outcome, "state": state,
        });
        if state == SubmissionState::Refused {
            let escalated = alerts::submission_refused(&by, &dispute, &after, &outcome).await?;
            detail["escalated"] = json!(escalated);
        }
        submission::update(by.tx, &submission, after, by.app.context.now()).await?;
        let mut edit = Edit::of(dispute);
        edit.tell(event, detail);
        let dispute = edit.save(&by).await?;
        let metrics = by.app.metrics.clone();
        by.tx.after_commit(move || {
            metrics.ended(word);
            tracing::error!(dispute = %dispute.dispute_no, outcome, word, "a submission was not sent");
        });
        Ok(())
    }
}

/// Why a submission ends without an effect: for everybody; and what the channel said, which may quote what it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Why {
    outcome: String,
    words: Option<String>,
}

impl From<&StripeError> for Why {
    fn from(failed: &StripeError) -> Self {
        Self { outcome: failed.without_words(), words: failed.words().map(str::to_owned) }
    }
}

impl From<&str> for Why {
    fn from(outcome: &str) -> Self {
        Self { outcome: outcome.to_owned(), words: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = [1, 2, 3, 7, 8, 100, i32::MAX].map(|n| pause_after(n).num_milliseconds()).into();
        assert_eq!(pauses, [500, 1_000, 2_000, 32_000, 60_000, 60_000, 60_000]);
    }
}
