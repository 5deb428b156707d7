//! Stripe's events: stored as they come; the dispute that one is about is read again.

use std::collections::BTreeMap;

use payops_channels::stripe::api::{Notification, UnreadableEvent};
use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use payops_platform::http::replace_nul;
use serde_json::{Value, json};

use super::readings;
use crate::Disputes;
use crate::model::Channel;
use crate::store::webhook::{self, Model as StoredEvent};

/// An event as far as it matters here.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    id: String,
    kind: String,
    object_id: String,
    created_at: Option<Timestamp>,
    payload: Value,
}

impl Received {
    /// What a notification says.
    pub(crate) fn of(notification: &Notification, payload: &[u8]) -> Result<Self, UnreadableEvent> {
        let payload = serde_json::from_slice(payload).map_err(|error| UnreadableEvent(error.to_string()))?;
        let mut payload = kept_of(&payload);
        replace_nul(&mut payload);
        let created_at = match notification {
            Notification::Event(event) => Some(event.created),
            Notification::Thin(_) => None,
        };
        Ok(Self {
            id: notification.id().to_owned(),
            kind: notification.kind().to_owned(),
            object_id: notification.object_id().unwrap_or_default(),
            created_at,
            payload,
        })
    }

    /// The dispute that it is about.
    fn dispute(&self) -> Option<&str> {
        let about_one = self.kind.starts_with("charge.dispute.") && !self.object_id.is_empty();
        about_one.then_some(self.object_id.as_str())
    }
}

/// What of an event is kept, for whoever looks into what Stripe said: nothing of it is read again, the dispute itself is. All
/// else may be about the customer, who could not be forgotten here.
const KEPT: [&str; 25] = [
    "/id",
    "/object",
    "/type",
    "/created",
    "/api_version",
    "/livemode",
    "/account",
    "/context",
    "/related_object/id",
    "/related_object/type",
    "/related_object/url",
    "/data/object/id",
    "/data/object/object",
    "/data/object/amount",
    "/data/object/charge",
    "/data/object/created",
    "/data/object/currency",
    "/data/object/is_charge_refundable",
    "/data/object/payment_intent",
    "/data/object/reason",
    "/data/object/status",
    "/data/object/evidence_details/due_by",
    "/data/object/evidence_details/has_evidence",
    "/data/object/evidence_details/past_due",
    "/data/object/evidence_details/submission_count",
];

fn kept_of(payload: &Value) -> Value {
    let mut kept = json!({});
    for pointer in KEPT {
        let Some(found) = payload.pointer(pointer).filter(|found| !found.is_object() && !found.is_array())
        else {
            continue;
        };
        let mut at = &mut kept;
        for name in pointer.split('/').skip(1) {
            at = &mut at[name];
        }
        *at = found.clone();
    }
    kept
}

/// Stores verified events, and has their disputes read. A repeated event changes nothing.
pub(super) async fn receive(app: &Disputes, tx: &Tx, events: &[Received]) -> Result<()> {
    let now = app.context.now();
    let rows = events.iter().map(|event| StoredEvent {
        event_id: event.id.clone(),
        channel: Channel::Stripe,
        event_type: event.kind.clone(),
        object_id: event.object_id.clone(),
        payload: event.payload.clone(),
        event_created_at: event.created_at,
        received_at: now,
        processed_at: None,
    });
    let mut new = webhook::insert_new(tx, rows.collect()).await?;
    let mut reasons: BTreeMap<&str, i64> = BTreeMap::new();
    let mut lags = Vec::new();
    for event in events {
        // One that came twice in the same moment is one.
        if new.remove(&event.id) {
            lags.extend(event.created_at.map(|happened| now - happened));
            if let Some(dispute) = event.dispute() {
                *reasons.entry(dispute).or_default() += 1;
            }
        }
    }
    let metrics = app.metrics.clone();
    tx.after_commit(move || lags.into_iter().for_each(|lag| metrics.event_stored(lag)));
    readings::want_all(app, tx, Channel::Stripe, &reasons).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_event_about_a_dispute_has_one_read() {
        let received = |kind: &str, object: Value| {
            let event = json!({ "id": "evt_1", "object": "event", "type": kind, "created": 1, "data": { "object": object } });
            let payload = event.to_string();
            Received::of(&Notification::parse(payload.as_bytes()).unwrap(), payload.as_bytes()).unwrap()
        };
        assert_eq!(received("charge.dispute.updated", json!({ "id": "du_1" })).dispute(), Some("du_1"));
        assert_eq!(received("charge.updated", json!({ "id": "ch_1" })).dispute(), None);
        assert_eq!(received("balance.available", json!({ "object": "balance" })).dispute(), None);
    }

    #[test]
    fn of_an_event_is_kept_what_is_about_the_dispute() {
        let event = json!({
            "id": "evt_1", "object": "event", "type": "charge.dispute.created", "created": 1, "livemode": false,
            "request": { "id": null, "idempotency_key": "Sandman" },
            "data": {
                "object": {
                    "id": "du_1", "object": "dispute", "status": "needs_response", "reason": "fraudulent", "amount": 100,
                    "currency": "usd", "charge": { "id": "ch_1", "billing_details": { "name": "Sandman" } },
                    "evidence": { "customer_name": "Sandman" }, "metadata": { "who": "Sandman" },
                    "evidence_details": { "due_by": 7, "submission_count": 0, "enhanced_eligibility": { "x": "Sandman" } },
                },
                "previous_attributes": { "evidence": { "customer_name": "Sandman" } },
            },
        });
        let kept = json!({
            "id": "evt_1", "object": "event", "type": "charge.dispute.created", "created": 1, "livemode": false,
            "data": {
                "object": {
                    "id": "du_1", "object": "dispute", "status": "needs_response", "reason": "fraudulent", "amount": 100,
                    "currency": "usd", "evidence_details": { "due_by": 7, "submission_count": 0 },
                },
            },
        });
        assert_eq!(kept_of(&event), kept);
        let thin = json!({
            "id": "evt_2", "object": "v2.core.event", "related_object": { "id": "du_1", "type": "dispute", "url": "/v1/x" },
        });
        assert_eq!(kept_of(&thin), thin);
        assert_eq!(kept_of(&json!([1])), json!({}));
    }
}
