//! Events, and their delivery as signed webhooks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use hmac::{Hmac, KeyInit, Mac};
use payops_core::time::{Clock, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;

use super::gate::API_VERSION;
use super::runs::{Run, RunStatus};
use crate::faults::{FaultTarget, Strike};
use crate::server::Shared;

/// How many events are remembered.
const MOST_EVENTS: usize = 1000;

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
    number: u64,
    #[serde(skip)]
    body: Vec<u8>,
    #[serde(skip)]
    secret: String,
    #[serde(skip)]
    in_flight: bool,
}

#[derive(Debug, Default)]
struct State {
    targets: Vec<WebhookTarget>,
    events: Vec<Value>,
    deliveries: Vec<Delivery>,
    next_number: u64,
}

/// Events, targets and deliveries.
#[derive(Debug, Default)]
pub(crate) struct Webhooks {
    state: Mutex<State>,
}

impl Webhooks {
    pub(crate) fn new(targets: Vec<WebhookTarget>) -> Self {
        Self { state: Mutex::new(State { targets, ..State::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add_target(&self, target: WebhookTarget) {
        let mut state = self.lock();
        state.targets.retain(|known| known.url != target.url);
        state.targets.push(target);
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.lock().events.clone()
    }

    pub(crate) fn deliveries(&self) -> Vec<Delivery> {
        self.lock().deliveries.clone()
    }

    /// Tells every target that a run has ended.
    pub(crate) fn run_ended(&self, event_id: &str, run: &Run, base_url: &str, now: Timestamp) {
        let event_type = match run.status {
            RunStatus::Failed => "reporting.report_run.failed",
            _ => "reporting.report_run.succeeded",
        };
        let mut state = self.lock();
        let event = json!({
            "id": event_id,
            "object": "event",
            "api_version": API_VERSION,
            "created": now.timestamp(),
            "data": { "object": run.object(base_url, 0) },
            "livemode": false,
            "pending_webhooks": state.targets.len(),
            "request": { "id": null, "idempotency_key": null },
            "type": event_type,
        });
        let body = event.to_string().into_bytes();
        if state.events.len() == MOST_EVENTS {
            state.events.remove(0);
        }
        state.events.push(event);
        for target in state.targets.clone() {
            let number = state.next_number;
            state.next_number += 1;
            state.deliveries.push(Delivery {
                event_id: event_id.to_owned(),
                event_type: event_type.to_owned(),
                url: target.url,
                attempts: 0,
                next_at: now,
                last_status: None,
                state: DeliveryState::Waiting,
                number,
                body: body.clone(),
                secret: target.secret,
                in_flight: false,
            });
        }
        let surplus = state.deliveries.len().saturating_sub(MOST_EVENTS);
        state.deliveries.drain(..surplus);
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

/// Makes one attempt that is due.
pub(crate) async fn attempt(shared: &Shared, delivery: Delivery) {
    let strike = shared.faults.strike(FaultTarget::Webhook, None);
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
    let mut body = delivery.body.clone();
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
