//! Reminders of deadlines: at 7, 3 and 1 days, and when one has passed. Each once, whoever looks how often.

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::auth::Actor;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{self, EnqueueOptions, JobError};
use payops_platform::outbound::Undelivered;
use serde_json::json;
use uuid::Uuid;

use super::{By, Edit, Source};
use crate::Disputes;
use crate::jobs::SendReminder;
use crate::model::{LostCause, TimelineEvent};
use crate::reminders::event::{EventType, ReminderData, ReminderEvent};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::reminder;

/// How many disputes one look finds.
const AT_ONCE: u64 = 200;
/// How often a reminder is tried: the back-off doubles up to ten minutes, so that is about a day.
const MOST_ATTEMPTS: u32 = 150;

/// Gives every reminder that is due.
pub(crate) async fn remind_all(app: &Disputes) -> Result<()> {
    loop {
        let (db, now) = (&app.context.db, app.context.now());
        let due = reminder::due(db.read(), db.backend(), now, AT_ONCE).await?;
        let mut given = false;
        for id in &due {
            let (shared, id) = (app.clone(), *id);
            let write = db.write("disputes.remind", move |tx| {
                let app = shared.clone();
                async move {
                    let actor = Actor::system("disputes");
                    remind(&By { app: &app, tx, actor: &actor, source: Source::Job }, id).await
                }
                .boxed()
            });
            given |= write.await?;
        }
        // What was due and was not given was answered meanwhile, or given by another instance.
        if !given {
            return Ok(());
        }
    }
}

async fn remind(by: &By<'_>, id: Uuid) -> Result<bool> {
    let now = by.app.context.now();
    let mut edit = Edit::of(dispute::lock(by.tx, id, None).await?);
    let Some((due_by, days_before)) = due(edit.before(), now) else { return Ok(false) };
    let row = reminder::Model { dispute_id: id, due_by, days_before, reminded_at: now };
    if !reminder::insert_new(by.tx, row).await? {
        return Ok(false);
    }
    let event = event(edit.before(), (due_by, days_before), now);
    let escalated = event.escalated;
    for destination in by.app.options.reminders.of(&event) {
        let key = format!("{}/{}", event.id, destination.word());
        let job = SendReminder { event: event.clone(), destination };
        let options = EnqueueOptions::default().unique(key).attempts(MOST_ATTEMPTS);
        jobs::enqueue(by.tx, &by.app.context, &job, options).await?;
    }
    let detail = json!({ "evidence_due_by": due_by, "days_before": days_before, "escalated": escalated });
    if days_before == 0 {
        edit.tell(TimelineEvent::DeadlineMissed, detail);
        let metrics = by.app.metrics.clone();
        by.tx.after_commit(move || metrics.deadline_missed());
    } else {
        edit.tell(TimelineEvent::Reminded, detail);
    }
    edit.save(by).await?;
    Ok(true)
}

/// The deadline that somebody is to be reminded of now, and how many days are left at most.
fn due(dispute: &Dispute, now: Timestamp) -> Option<(Timestamp, i32)> {
    let due_by = dispute.evidence_due_by?;
    if dispute.lost_cause == Some(LostCause::Expired) {
        return Some((due_by, 0));
    }
    if !dispute.status.awaits_answer() || dispute.evidence_submitted {
        return None;
    }
    let left = due_by - now;
    let days = [0, 1, 3, 7].into_iter().find(|days| left <= TimeDelta::days(i64::from(*days)))?;
    Some((due_by, days))
}

fn event(dispute: &Dispute, (due_by, days_before): (Timestamp, i32), now: Timestamp) -> ReminderEvent {
    ReminderEvent {
        id: format!("{}-{}-{days_before}", dispute.id, due_by.timestamp()),
        kind: if days_before == 0 { EventType::Missed } else { EventType::Near },
        created_at: now,
        escalated: days_before <= 1,
        data: ReminderData {
            dispute_id: dispute.id,
            dispute_no: dispute.dispute_no.clone(),
            channel: dispute.channel,
            payment_no: dispute.payment_no.clone(),
            merchant_id: dispute.merchant_id,
            amount: dispute.amount,
            currency: dispute.currency.clone(),
            reason: dispute.reason.clone(),
            status: dispute.status,
            evidence_due_by: due_by,
            days_before,
            assigned_to: dispute.assigned_to.clone(),
        },
    }
}

/// Sends a reminder to one destination.
pub(crate) async fn send(app: &Disputes, job: &SendReminder) -> Result<(), JobError> {
    let sent = app.options.reminders.send(&job.destination, &job.event, app.context.now()).await;
    let Err(why) = sent else { return Ok(()) };
    tracing::warn!(event = job.event.id, error = %why, "a reminder has not arrived");
    let error = Error::unavailable(&why, std::time::Duration::ZERO);
    match why {
        Undelivered::Refused(_) => Err(JobError::Fail(error)),
        Undelivered::Unreachable(_) | Undelivered::NotTaken(_) => Err(JobError::Retry { error, after: None }),
    }
}
