//! Alerts: deadlines at 7, 3 and 1 days and when one has passed, a dispute of which nobody knows the payment, and what was
//! not taken as an answer. Each is told once, whoever looks how often.

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::auth::Actor;
use payops_platform::error::Result;
use payops_platform::jobs::JobError;
use payops_platform::outbound::alerts;
use serde_json::json;
use uuid::Uuid;

use super::{By, Edit, Source};
use crate::Disputes;
use crate::alerts::event::{AlertData, AlertEvent, EventType, RefusedSubmission};
use crate::jobs::SendAlert;
use crate::model::{LostCause, TimelineEvent};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::reminder;
use crate::store::submission::Model as Submission;

/// How many disputes one look finds.
const AT_ONCE: u64 = 200;
/// A refusal with less time left is told to supervisors as well.
const SHORT: TimeDelta = TimeDelta::days(3);

/// Gives every reminder of a deadline that is due.
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
    let missed = days_before == 0;
    let event = AlertEvent {
        id: format!("{id}-{}-{days_before}", due_by.timestamp()),
        kind: if missed { EventType::DeadlineMissed } else { EventType::DeadlineNear },
        created_at: now,
        escalated: days_before <= 1,
        data: AlertData { days_before: Some(days_before), ..data(edit.before()) },
    };
    tell(by, &event).await?;
    let detail =
        json!({ "evidence_due_by": due_by, "days_before": days_before, "escalated": event.escalated });
    if missed {
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

/// Tells that nobody could say which payment a dispute is about. Call it once for a dispute.
pub(super) async fn payment_unknown(by: &By<'_>, edit: &mut Edit) -> Result<()> {
    let event = AlertEvent {
        id: format!("{}-payment-unknown", edit.after.id),
        kind: EventType::PaymentUnknown,
        created_at: by.app.context.now(),
        escalated: false,
        data: data(&edit.after),
    };
    tell(by, &event).await?;
    let (charge, intent) = (&edit.after.channel_charge_id, &edit.after.channel_payment_id);
    let detail = json!({ "channel_charge_id": charge, "channel_payment_id": intent });
    edit.tell(TimelineEvent::PaymentUnknown, detail);
    Ok(())
}

/// Tells that an answer or a concession was not taken; gives whether supervisors are told. Call it once for a submission.
pub(super) async fn submission_refused(
    by: &By<'_>,
    dispute: &Dispute,
    submission: &Submission,
    outcome: &str,
) -> Result<bool> {
    let now = by.app.context.now();
    let refused =
        RefusedSubmission { number: submission.number, kind: submission.kind, outcome: outcome.to_owned() };
    let event = AlertEvent {
        id: format!("{}-refused", submission.id),
        kind: EventType::SubmissionRefused,
        created_at: now,
        escalated: dispute.evidence_due_by.is_some_and(|due_by| due_by - now < SHORT),
        data: AlertData { submission: Some(refused), ..data(dispute) },
    };
    tell(by, &event).await?;
    Ok(event.escalated)
}

/// Has every destination told, in the transaction of what has happened.
async fn tell(by: &By<'_>, event: &AlertEvent) -> Result<()> {
    let job = |destination| SendAlert { event: event.clone(), destination };
    alerts::tell(by.tx, &by.app.context, &by.app.options.alerts, event, job).await
}

fn data(dispute: &Dispute) -> AlertData {
    AlertData {
        dispute_id: dispute.id,
        dispute_no: dispute.dispute_no.clone(),
        channel: dispute.channel,
        channel_dispute_id: dispute.channel_dispute_id.clone(),
        payment_no: dispute.payment_no.clone(),
        merchant_id: dispute.merchant_id,
        amount: dispute.amount,
        currency: dispute.currency.clone(),
        reason: dispute.reason.clone(),
        status: dispute.status,
        evidence_due_by: dispute.evidence_due_by,
        days_before: None,
        submission: None,
        assigned_to: dispute.assigned_to.clone(),
    }
}

/// Sends an alert to one destination.
pub(crate) async fn send(app: &Disputes, job: &SendAlert) -> Result<(), JobError> {
    app.options.alerts.deliver(&job.destination, &job.event, app.context.now()).await
}
