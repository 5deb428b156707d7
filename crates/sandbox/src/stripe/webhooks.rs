//! Events, and their delivery as signed webhooks.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use payops_core::time::{Clock, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::account::Happening;
use super::endpoints::Endpoint;
use super::gate::API_VERSION;
use super::runs::{Run, RunStatus};
use crate::faults::Strike;
use crate::server::Shared;

/// How many events, and how many deliveries, are remembered.
const MOST_EVENTS: usize = 10_000;
/// How long events can be read.
const READABLE: TimeDelta = TimeDelta::days(30);
/// How long a delivery is kept back when no other comes.
const LONGEST_HOLD: TimeDelta = TimeDelta::minutes(1);

/// Who is told about events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookTarget {
    /// Where events are posted to.
    pub url: String,
    /// What they are signed with, whole, `whsec_` included.
    pub secret: String,
}

/// Where a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// An attempt lies ahead.
    Waiting,
    /// The receiver answered with 2xx.
    Delivered,
    /// All attempts failed.
    GivenUp,
}

/// One event on its way to one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Delivery {
    /// The event's id.
    pub event_id: String,
    /// The event's type.
    pub event_type: String,
    /// Where it goes.
    pub url: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When the next attempt is due, by the sandbox's clock.
    pub next_at: Timestamp,
    /// The last answer's status; `None` where there was none.
    pub last_status: Option<u16>,
    /// Where it is.
    pub state: DeliveryState,
    #[serde(skip)]
    pub(crate) number: u64,
    #[serde(skip)]
    body: Bytes,
    #[serde(skip)]
    secret: String,
    #[serde(skip)]
    in_flight: bool,
    #[serde(skip)]
    held: bool,
}

/// One event, as it was when it happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: &'static str,
    pub(crate) created: Timestamp,
    body: Bytes,
}

/// The call that something came from.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) request_id: String,
    pub(crate) idempotency_key: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    targets: Vec<WebhookTarget>,
    endpoints: Vec<Endpoint>,
    /// In the order of their time.
    events: VecDeque<Event>,
    deliveries: VecDeque<Delivery>,
    next_number: u64,
}

impl State {
    /// Addresses and secrets of those who want events of a type.
    fn receivers(&self, kind: &str) -> Vec<(String, String)> {
        let targets = self.targets.iter().map(|target| (&target.url, &target.secret));
        let endpoints = self.endpoints.iter().filter(|endpoint| endpoint.wants(kind));
        let all = targets.chain(endpoints.map(|endpoint| (&endpoint.url, &endpoint.secret)));
        all.map(|(url, secret)| (url.clone(), secret.clone())).collect()
    }

    /// Forgets the oldest deliveries beyond what is remembered, first those that are over.
    fn make_room(&mut self) {
        while self.deliveries.len() > MOST_EVENTS {
            let over = self.deliveries.iter().position(|one| one.state != DeliveryState::Waiting);
            self.deliveries.remove(over.unwrap_or(0));
        }
        while self.events.len() > MOST_EVENTS {
            self.events.pop_front();
        }
    }
}

/// Events, receivers and deliveries.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    state: Mutex<State>,
}

impl Webhooks {
    pub(crate) fn new(targets: Vec<WebhookTarget>, endpoints: Vec<Endpoint>) -> Self {
        Self { state: Mutex::new(State { targets, endpoints, ..State::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_target(&self, target: WebhookTarget) {
        let mut state = self.lock();
        state.targets.retain(|known| known.url != target.url);
        state.targets.push(target);
    }

    /// Reads or changes the receivers that were made over the API.
    pub(crate) fn endpoints<T>(&self, act: impl FnOnce(&mut Vec<Endpoint>) -> T) -> T {
        act(&mut self.lock().endpoints)
    }

    /// The events that can still be read, oldest first.
    pub(crate) fn events(&self, now: Timestamp) -> Vec<Event> {
        let since = now - READABLE;
        self.lock().events.iter().filter(|event| event.created >= since).cloned().collect()
    }

    /// An event as the API shows it: with the deliveries that have not arrived yet.
    pub(crate) fn shown(&self, event: &Event) -> Value {
        let mut object: Value = serde_json::from_slice(&event.body).unwrap_or_default();
        let waits = |one: &&Delivery| one.event_id == event.id && one.state == DeliveryState::Waiting;
        object["pending_webhooks"] = json!(self.lock().deliveries.iter().filter(waits).count());
        object
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.lock().deliveries.iter().cloned().collect()
    }

    /// Tells every receiver that a run has ended.
    pub(crate) fn run_ended(&self, event_id: &str, run: &Run, base_url: &str, at: Timestamp) {
        let kind = match run.status {
            RunStatus::Failed => "reporting.report_run.failed",
            _ => "reporting.report_run.succeeded",
        };
        self.tell(event_id, Happening { kind, object: run.object(base_url, 0), previous: None, at }, None);
    }

    /// Tells every receiver that wants to know what has happened.
    pub(crate) fn tell(&self, event_id: &str, happening: Happening, cause: Option<&Cause>) {
        let Happening { kind, object, previous, at } = happening;
        let mut state = self.lock();
        let receivers = state.receivers(kind);
        let mut data = json!({ "object": object });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let event = json!({
            "id": event_id,
            "object": "event",
            "api_version": API_VERSION,
            "created": at.timestamp(),
            "data": data,
            "livemode": false,
            "pending_webhooks": receivers.len(),
            "request": {
                "id": cause.map(|cause| &cause.request_id),
                "idempotency_key": cause.and_then(|cause| cause.idempotency_key.as_ref()),
            },
            "type": kind,
        });
        let body = Bytes::from(event.to_string());
        let place = state.events.iter().rposition(|event| event.created <= at).map_or(0, |last| last + 1);
        let event = Event { id: event_id.to_owned(), kind, created: at, body: body.clone() };
        state.events.insert(place, event);
        for (url, secret) in receivers {
            let number = state.next_number;
            state.next_number += 1;
            state.deliveries.push_back(Delivery {
                event_id: event_id.to_owned(),
                event_type: kind.to_owned(),
                url,
                attempts: 0,
                next_at: at,
                last_status: None,
                state: DeliveryState::Waiting,
                number,
                body: body.clone(),
                secret,
                in_flight: false,
                held: false,
            });
        }
        state.make_room();
    }

    /// Takes the deliveries whose next attempt is due.
    pub(crate) fn take_due(&self, now: Timestamp) -> Vec<Delivery> {
        let mut state = self.lock();
        let due = state.deliveries.iter_mut().filter(|delivery| {
            delivery.state == DeliveryState::Waiting && !delivery.in_flight && delivery.next_at <= now
        });
        due.map(|delivery| {
            delivery.in_flight = true;
            delivery.clone()
        })
        .collect()
    }

    /// Keeps a delivery back until another one has arrived at the same address, or for a minute.
    pub(crate) fn hold(&self, number: u64, now: Timestamp) {
        let mut state = self.lock();
        if let Some(delivery) = state.deliveries.iter_mut().find(|delivery| delivery.number == number) {
            delivery.in_flight = false;
            delivery.held = true;
            delivery.next_at = now + LONGEST_HOLD;
        }
    }

    fn attempted(&self, number: u64, status: Option<u16>, now: Timestamp, delays: &[TimeDelta]) {
        let mut state = self.lock();
        let Some(delivery) = state.deliveries.iter_mut().find(|delivery| delivery.number == number) else {
            return;
        };
        delivery.in_flight = false;
        delivery.last_status = status;
        let delay = usize::try_from(delivery.attempts).ok().and_then(|done| delays.get(done));
        delivery.attempts += 1;
        match (status, delay) {
            (Some(200..=299), _) => delivery.state = DeliveryState::Delivered,
            (_, Some(delay)) => delivery.next_at = now + *delay,
            (_, None) => delivery.state = DeliveryState::GivenUp,
        }
        if delivery.state == DeliveryState::Delivered {
            let url = delivery.url.clone();
            for held in state.deliveries.iter_mut().filter(|one| one.held && one.url == url) {
                held.held = false;
                held.next_at = now;
            }
        }
    }
}

/// The `Stripe-Signature` of a body that is sent at `at`: HMAC-SHA256 over `t.body` with the whole secret.
pub fn stripe_signature(secret: &str, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.timestamp();
    // HMAC takes keys of any length, so there is always one.
    let signature = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(format!("{seconds}.").as_bytes());
            mac.update(body);
            hex::encode(mac.finalize().into_bytes())
        },
    );
    format!("t={seconds},v1={signature}")
}

/// Makes one attempt that is due, under the faults that strike it.
pub(crate) async fn attempt(shared: &Shared, delivery: Delivery, strike: Strike) {
    strike.delay().await;
    let status = if strike.lost { Some(200) } else { post(shared, &delivery, &strike).await };
    if strike.duplicate {
        post(shared, &delivery, &Strike::default()).await;
    }
    tracing::debug!(event = %delivery.event_id, url = %delivery.url, ?status, "webhook attempt");
    shared.webhooks.attempted(delivery.number, status, shared.clock.now(), &shared.webhook_retry_delays);
}

async fn post(shared: &Shared, delivery: &Delivery, strike: &Strike) -> Option<u16> {
    // The receiver lives in the time below the sandbox's, and accepts signatures of some minutes only.
    let at = shared.clock.base_now();
    let secret = if strike.bad_signature { "whsec_another" } else { &delivery.secret };
    let signature = stripe_signature(secret, at, &delivery.body);
    let mut body = delivery.body.to_vec();
    if strike.corrupt.is_some()
        && let Some(byte) = body.iter_mut().find(|byte| byte.is_ascii_digit())
    {
        *byte = b'x';
    }
    let request = shared
        .http
        .post(&delivery.url)
        .timeout(Duration::from_secs(10))
        .header("content-type", "application/json; charset=utf-8")
        .header("stripe-signature", signature)
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .body(body);
    request.send().await.ok().map(|response| response.status().as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_documented_one() {
        let at = chrono::DateTime::from_timestamp(1_492_774_577, 0).unwrap();
        let body = br#"{"id":"evt_test","object":"event"}"#;
        assert_eq!(
            stripe_signature("whsec_test_secret", at, body),
            "t=1492774577,v1=691252e266ce41cb94d709c84e9580d4172b117a510bbc81723f657d2cd5d215"
        );
    }
}
