//! Stripe's events: stored as they come; the dispute that one is about is read again.

use std::collections::BTreeMap;

use payops_channels::stripe::api::Notification;
use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use payops_platform::http::replace_nul;
use serde_json::Value;

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
    /// What a notification says. Says what it lacks.
    pub(crate) fn of(notification: &Notification, payload: &[u8]) -> Result<Self, String> {
        let object_id = notification.object_id().ok_or("the event is about nothing that has an id")?;
        let mut payload = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        replace_nul(&mut payload);
        let created_at = match notification {
            Notification::Event(event) => Some(event.created),
            Notification::Thin(_) => None,
        };
        let kept = |text: &str, most: usize, what: &str| {
            let fits = !text.is_empty() && text.chars().count() <= most && !text.contains('\0');
            if fits { Ok(text.to_owned()) } else { Err(format!("the event's {what} cannot be kept")) }
        };
        Ok(Self {
            id: kept(notification.id(), 255, "id")?,
            kind: kept(notification.kind(), 100, "type")?,
            object_id: kept(&object_id, 128, "object's id")?,
            created_at,
            payload,
        })
    }
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
            if event.kind.starts_with("charge.dispute.") {
                *reasons.entry(&event.object_id).or_default() += 1;
            }
        }
    }
    let metrics = app.metrics.clone();
    tx.after_commit(move || lags.into_iter().for_each(|lag| metrics.event_stored(lag)));
    readings::want_all(app, tx, Channel::Stripe, &reasons).await
}
