//! The job that sends: one for all submissions, so that they go in the order of their deadlines and no two instances share
//! the channel's limit between them unknowingly.

use chrono::TimeDelta;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use payops_core::time::Timestamp;
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::jobs::{JobError, Lease};

use super::send::Call;
use super::step::{Hold, Pair, Run};
use super::{follow, seal};
use crate::Disputes;
use crate::lifecycle::{Event, Status, step};
use crate::store::submission::{self, Kind, Model as Submission, SubmissionState};
use crate::store::{dispute, evidence};

/// How many calls are under way at once: at 25 a second, an answer may take a third of a second before it holds the next up.
const AT_ONCE: usize = 8;
/// How many are looked up at once. Those that come due meanwhile are seen after these.
const AHEAD: u64 = 64;
/// The longest sleep: a deadline that the channel moved is seen after it.
const LONGEST_SLEEP: TimeDelta = TimeDelta::minutes(5);

/// From so long before the deadline on, evidence that cannot be packed is not waited for.
const LAST_CHANCE: TimeDelta = TimeDelta::minutes(30);

/// What is to be done about a submission.
#[derive(Debug)]
enum Next {
    /// Nothing now.
    Nothing,
    /// Pack it.
    Seal(Box<Pair>),
    /// Find out whether the call that may have been made had its effect.
    Ask(Box<Pair>),
    /// Make the call, which is written down.
    Call(Box<Call>),
}

/// Does what is due, and waits for what is not. The job never ends.
pub(crate) async fn run(app: &Disputes, lease: Lease) -> Result<(), JobError> {
    let run = Run::new(app.clone(), lease);
    loop {
        if run.lease.cancelled().is_cancelled() {
            let error = Error::unavailable("the process is to stop", std::time::Duration::ZERO);
            return Err(JobError::Retry { error, after: None });
        }
        let due = submission::due(app.context.db.read(), app.context.now(), AHEAD).await.map_err(again)?;
        if due.is_empty() {
            break;
        }
        run.round(due).await.map_err(again)?;
        if let Some(pause) = run.paused() {
            let until = app.context.now() + TimeDelta::from_std(pause).unwrap_or(LONGEST_SLEEP);
            return Err(JobError::Wait { until, reason: "the channel takes nothing now".to_owned() });
        }
    }
    let next = submission::next_at(app.context.db.read()).await.map_err(again)?;
    let latest = app.context.now() + LONGEST_SLEEP;
    let until = next.map_or(latest, |next| next.min(latest));
    Err(JobError::Wait { until, reason: "nothing is to be sent before".to_owned() })
}

/// Nothing ends this job for good.
fn again(error: Error) -> JobError {
    JobError::Retry { after: error.retry_after(), error }
}

impl Run {
    /// Takes the next step of each. What is written before a call is written side by side, the calls begin in the order
    /// of `due`.
    async fn round(&self, due: Vec<Submission>) -> Result<()> {
        stream::iter(due)
            .map(|submission| self.guarded(submission))
            .buffered(AT_ONCE)
            .map(|(submission, next)| self.carry_out(submission, next))
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    async fn guarded(&self, submission: Submission) -> (Submission, Result<Next>) {
        let next = self.prepare(&submission).await;
        (submission, next)
    }

    /// Trouble with one must not stop the others; trouble with the lease or the database stops all.
    async fn carry_out(&self, submission: Submission, next: Result<Next>) -> Result<()> {
        let done = match next {
            Ok(Next::Nothing) => Ok(()),
            Ok(Next::Seal(pair)) => seal::seal(self, &pair).await,
            Ok(Next::Ask(pair)) => self.resume(&pair).await,
            Ok(Next::Call(call)) => self.call(*call).await,
            Err(error) => Err(error),
        };
        let Err(error) = done else { return Ok(()) };
        if error.kind() == ErrorKind::Conflict {
            return Err(error);
        }
        tracing::error!(?error, submission = %submission.id, "a step of a submission failed");
        let dispute = dispute::find(self.app.context.db.read(), submission.dispute_id, None).await?;
        let now = submission::find(self.app.context.db.read(), submission.id).await?;
        match now {
            Some(submission) => self.later(&Pair { submission, dispute }).await,
            None => Ok(()),
        }
    }

    /// What is to be done about one, with the intent to call written down where that is it.
    async fn prepare(&self, due: &Submission) -> Result<Next> {
        if self.stops() {
            return Ok(Next::Nothing);
        }
        let dispute = dispute::find(self.app.context.db.read(), due.dispute_id, None).await?;
        let pair = Pair { submission: due.clone(), dispute };
        if due.state == SubmissionState::Sending {
            return Ok(Next::Ask(Box::new(pair)));
        }
        let next = self.step("submissions.begin", &pair, |hold| begin(hold).boxed()).await?;
        Ok(next.unwrap_or(Next::Nothing))
    }
}

/// Holds a submission against its dispute as it stands now, and writes the intent where it is to be sent.
async fn begin(mut hold: Hold<'_>) -> Result<Next> {
    let now = hold.by.app.context.now();
    let mut after = (*hold.submission).clone();
    let status = hold.dispute.status.as_str();
    let wanted = match after.kind {
        Kind::Answer => hold.dispute.status.awaits_answer(),
        Kind::Concession => step(hold.dispute.state(), hold.dispute.owner(), Event::Conceded).is_some(),
    };
    let late = after.kind == Kind::Answer && hold.dispute.deadline_passed(now);
    let unanswered = hold.dispute.submission_count <= after.count_before;
    let lost_by_deadline = hold.dispute.status == Status::Lost && unanswered;
    if late && (wanted || lost_by_deadline) {
        return hold.end(SubmissionState::Expired, &TOO_LATE.into()).await.map(|()| Next::Nothing);
    }
    if !wanted {
        let outcome = format!("the dispute is {status}");
        return hold.end(SubmissionState::Withdrawn, &outcome.as_str().into()).await.map(|()| Next::Nothing);
    }
    follow(&mut after, &hold.dispute, hold.by.app.options.submission_margin);
    after.phase = hold.dispute.phase;
    after.count_before = after.count_before.max(hold.dispute.submission_count);
    let ready = is_sealed(&hold, &after).await? || is_last_chance(&hold, &after, now);
    if after.kind == Kind::Answer && !ready {
        let submission = hold.write(after).await?;
        return Ok(Next::Seal(Box::new(Pair { submission, dispute: hold.dispute.into_inner() })));
    }
    if after.submit_at > now {
        after.next_at = after.submit_at;
        return hold.write(after).await.map(|_| Next::Nothing);
    }
    let call = intend(&mut hold, after, now).await?;
    Ok(Next::Call(Box::new(call)))
}

/// Why nothing was sent after the deadline.
pub(super) const TOO_LATE: &str = "the deadline passed before it was sent";

/// Whether what is packed and staged is what the dispute has now.
async fn is_sealed(hold: &Hold<'_>, submission: &Submission) -> Result<bool> {
    if submission.staged_at.is_none() {
        return Ok(false);
    }
    let rows = evidence::of_dispute(hold.by.tx.conn(), hold.dispute.id).await?;
    Ok(submission.sealed_from.as_deref() == Some(seal::fingerprint(&rows).as_str()))
}

/// Whether what changed could not be packed, and waiting for that any longer could mean that nothing is sent: what was staged
/// before is better.
fn is_last_chance(hold: &Hold<'_>, submission: &Submission, now: Timestamp) -> bool {
    let near = hold.dispute.evidence_due_by.is_some_and(|due_by| due_by - now <= LAST_CHANCE);
    near && submission.staged_at.is_some() && submission.delays > 0
}

/// Writes that the call is about to be made, and under which key.
pub(super) async fn intend(hold: &mut Hold<'_>, mut after: Submission, now: Timestamp) -> Result<Call> {
    after.state = SubmissionState::Sending;
    if after.idempotency_key.is_none() {
        after.key_no += 1;
        after.idempotency_key = Some(format!("payops-{}-{}", after.id, after.key_no));
        after.key_at = Some(now);
        after.key_failures = 0;
    }
    let begun = hold.begin_reading().await?;
    let submission = hold.write(after).await?;
    let dispute = (*hold.dispute).clone();
    Ok(Call { pair: Pair { submission, dispute }, begun })
}
