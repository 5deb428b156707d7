//! Stripe's events: stored as they come, acted upon by a job.

use payops_channels::stripe::api::{Notification, UnreadableEvent};
use payops_platform::db::Tx;
use payops_platform::error::Result;
use payops_platform::http::replace_nul;
use payops_platform::jobs::{self, EnqueueOptions};
use serde_json::json;

use crate::Reconciliation;
use crate::jobs::{FetchFile, HandleStripeEvent, RunTask, by_key};
use crate::store::file;
use crate::store::task;
use crate::store::webhook::{self, Model as StoredEvent};

/// An event as far as it matters here.
#[derive(Debug, Clone)]
pub struct Event {
    id: String,
    kind: String,
    object_id: String,
    payload: serde_json::Value,
}

impl Event {
    /// What a notification says.
    pub fn of(notification: &Notification, payload: &[u8]) -> std::result::Result<Self, UnreadableEvent> {
        let (id, kind) = (notification.id().to_owned(), notification.kind().to_owned());
        let object_id = notification.object_id().unwrap_or_default();
        let payload = if kind.starts_with("reporting.") {
            let mut payload =
                serde_json::from_slice(payload).map_err(|error| UnreadableEvent(error.to_string()))?;
            replace_nul(&mut payload);
            payload
        } else {
            // Events of other kinds may be about customers, whose data this service has no use for.
            json!({ "id": id, "type": kind, "data": { "object": { "id": object_id } } })
        };
        Ok(Self { id, kind, object_id, payload })
    }
}

/// Stores a verified event and the job that acts upon it. A repeated event changes nothing.
pub async fn receive(app: &Reconciliation, tx: &Tx, event: &Event) -> Result<()> {
    let row = StoredEvent {
        event_id: event.id.clone(),
        event_type: event.kind.clone(),
        object_id: event.object_id.clone(),
        payload: event.payload.clone(),
        received_at: app.context.now(),
        processed_at: None,
    };
    if webhook::insert_new(tx, row).await? {
        let job = HandleStripeEvent { event_id: event.id.clone() };
        jobs::enqueue(tx, &app.context, &job, EnqueueOptions::default()).await?;
    }
    Ok(())
}

/// Wakes whatever waits for the report run that an event is about.
pub async fn handle(app: &Reconciliation, tx: &Tx, event_id: &str) -> Result<()> {
    let Some(event) = webhook::find(tx.conn(), event_id).await? else {
        return Ok(());
    };
    for file in file::waiting_for(tx.conn(), &event.object_id).await? {
        let fetch = FetchFile { file_id: file.id }.key();
        jobs::wake(tx, &app.context, by_key::<FetchFile>(&fetch)).await?;
        let day = (file.settlement_date, file.timezone.as_str());
        if let Some(task) = task::holding(tx.conn(), day, file.channel, &file.account).await? {
            let run = RunTask { task_id: task.id, run_no: task.run_no }.key();
            jobs::wake(tx, &app.context, by_key::<RunTask>(&run)).await?;
        }
    }
    webhook::mark_processed(tx, event, app.context.now()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_no_report_only_the_ids_are_kept() {
        let event = |kind: &str| {
            json!({
                "id": "evt_1", "object": "event", "type": kind, "created": 1,
                "data": { "object": { "id": "x_1", "customer_name": "Sandman" } },
            })
        };
        let kept = |kind: &str| {
            let payload = event(kind).to_string();
            let notification = Notification::parse(payload.as_bytes()).unwrap();
            Event::of(&notification, payload.as_bytes()).unwrap().payload
        };
        let ids =
            json!({ "id": "evt_1", "type": "charge.dispute.updated", "data": { "object": { "id": "x_1" } } });
        assert_eq!(kept("charge.dispute.updated"), ids);
        assert_eq!(kept("reporting.report_run.succeeded"), event("reporting.report_run.succeeded"));
    }
}
