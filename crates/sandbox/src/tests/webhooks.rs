//! Events and webhooks.

use std::sync::Mutex;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use chrono::TimeDelta;
use http::{HeaderMap, StatusCode};

use super::*;
use crate::{DEFAULT_WEBHOOK_SECRET, DeliveryState, WebhookTarget, stripe_signature};

/// A receiver that keeps what it gets and answers what it is told to, then 200.
#[derive(Clone, Default)]
pub(super) struct Receiver {
    received: Arc<Mutex<Vec<(String, Bytes)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl Receiver {
    pub(super) async fn start(answers: &[u16]) -> (Self, String) {
        let receiver = Self::default();
        *receiver.answers.lock().unwrap() = answers.iter().rev().copied().collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let state = receiver.clone();
        let receive = |headers: HeaderMap, body: Bytes| async move { state.receive(&headers, body) };
        let router: Router = Router::new().route("/hook", post(receive));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, url)
    }

    fn receive(&self, headers: &HeaderMap, body: Bytes) -> StatusCode {
        let signature = headers["stripe-signature"].to_str().unwrap().to_owned();
        self.received.lock().unwrap().push((signature, body));
        let answer = self.answers.lock().unwrap().pop().unwrap_or(200);
        StatusCode::from_u16(answer).unwrap()
    }

    pub(super) fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    pub(super) fn get(&self, at: usize) -> (String, Value, Bytes) {
        let (signature, body) = self.received.lock().unwrap()[at].clone();
        (signature, serde_json::from_slice(&body).unwrap_or_default(), body)
    }
}

async fn bed_with(answers: &[u16]) -> (Bed, Receiver) {
    let (receiver, url) = Receiver::start(answers).await;
    let secret = DEFAULT_WEBHOOK_SECRET.to_owned();
    let bed = Bed::start_with(|config| config.webhooks = vec![WebhookTarget { url, secret }]).await;
    (bed, receiver)
}

#[tokio::test]
async fn a_run_that_ends_is_told_with_a_signature_of_the_receivers_time() {
    let (bed, receiver) = bed_with(&[]).await;
    bed.sandbox.handle().advance(TimeDelta::days(3));
    let run = bed.finished_run(SUMMARY, &[]).await;
    until(|| receiver.count() == 1).await;
    let (signature, event, body) = receiver.get(0);
    let receivers_now = payops_core::time::Clock::now(&bed.clock);
    assert_eq!(signature, stripe_signature(DEFAULT_WEBHOOK_SECRET, receivers_now, &body));
    assert_eq!(event["type"], "reporting.report_run.succeeded");
    assert_eq!(event["data"]["object"], run);
    assert_eq!(event["object"], "event");
    assert_eq!(event["pending_webhooks"], 1);
    until(|| bed.sandbox.handle().deliveries()[0].state == DeliveryState::Delivered).await;
    let id = event["id"].as_str().unwrap();
    let mut event = event.clone();
    event["pending_webhooks"] = json!(0);
    assert_eq!(bed.stripe(&format!("/v1/events/{id}")).await.body, event);
    let list = bed.stripe("/v1/events?type=reporting.report_run.succeeded").await;
    assert_eq!(list.body["data"], json!([event]));
    assert_eq!(bed.stripe("/v1/events/evt_none").await.status, 404);
}

#[tokio::test]
async fn a_run_that_fails_is_told_too() {
    let (bed, receiver) = bed_with(&[]).await;
    bed.fault(json!({"target": "stripe.create", "kind": "report_fails"})).await;
    let run = bed.finished_run(ACTIVITY, &[]).await;
    assert_eq!((&run["status"], &run["result"]), (&json!("failed"), &Value::Null));
    assert!(run["error"].is_string() && run["succeeded_at"].is_null());
    until(|| receiver.count() == 1).await;
    assert_eq!(receiver.get(0).1["type"], "reporting.report_run.failed");
}

#[tokio::test]
async fn a_refused_webhook_is_tried_again_in_virtual_time_and_then_given_up() {
    let (bed, receiver) = bed_with(&[500, 503, 500]).await;
    bed.finished_run(SUMMARY, &[]).await;
    let attempts = || bed.sandbox.handle().deliveries()[0].attempts;
    until(|| receiver.count() == 1 && attempts() == 1).await;
    bed.clock.advance(TimeDelta::seconds(5));
    until(|| attempts() == 2).await;
    assert_eq!(bed.sandbox.handle().deliveries()[0].state, DeliveryState::Waiting);
    bed.clock.advance(TimeDelta::minutes(1));
    until(|| attempts() == 3).await;
    let delivery = bed.sandbox.handle().deliveries().remove(0);
    assert_eq!((delivery.state, delivery.last_status), (DeliveryState::GivenUp, Some(500)));
    assert_eq!(receiver.get(0).1, receiver.get(2).1, "the same event each time");
}

#[tokio::test]
async fn webhooks_can_be_lost_doubled_or_wrongly_signed() {
    let (bed, receiver) = bed_with(&[]).await;
    let settled = |count: usize| {
        let deliveries = bed.sandbox.handle().deliveries();
        deliveries.len() == count && deliveries.iter().all(|one| one.state == DeliveryState::Delivered)
    };
    bed.fault(json!({"target": "webhook", "kind": "lost"})).await;
    bed.finished_run(SUMMARY, &[]).await;
    until(|| settled(1)).await;
    assert_eq!(receiver.count(), 0);
    bed.fault(json!({"target": "webhook", "kind": "duplicate"})).await;
    bed.finished_run(SUMMARY, &[]).await;
    until(|| settled(2)).await;
    assert_eq!((receiver.count(), receiver.get(0)), (2, receiver.get(1)));
    bed.fault(json!({"target": "webhook", "kind": "bad_signature"})).await;
    bed.fault(json!({"target": "webhook", "kind": "slow", "ms": 10})).await;
    bed.finished_run(SUMMARY, &[]).await;
    until(|| settled(3)).await;
    let now = payops_core::time::Clock::now(&bed.clock);
    let (signature, _, body) = receiver.get(2);
    assert_ne!(signature, stripe_signature(DEFAULT_WEBHOOK_SECRET, now, &body));
    bed.fault(json!({"target": "webhook", "kind": "corrupt"})).await;
    bed.finished_run(SUMMARY, &[]).await;
    until(|| settled(4)).await;
    let now = payops_core::time::Clock::now(&bed.clock);
    let (signature, _, body) = receiver.get(3);
    assert_ne!(signature, stripe_signature(DEFAULT_WEBHOOK_SECRET, now, &body));
    assert!(bed.sandbox.handle().faults().is_empty());
}

#[tokio::test]
async fn a_receiver_can_be_named_later() {
    let (receiver, url) = Receiver::start(&[]).await;
    let bed = Bed::start().await;
    let named = bed.http.post(bed.url("/sandbox/webhooks")).json(&json!({"url": url, "secret": "whsec_x"}));
    assert_eq!(named.send().await.unwrap().status(), 201);
    let wrong = bed.http.post(bed.url("/sandbox/webhooks")).json(&json!({"url": "ftp://x", "secret": "y"}));
    assert_eq!(wrong.send().await.unwrap().status(), 400);
    bed.finished_run(SUMMARY, &[]).await;
    until(|| receiver.count() == 1).await;
    let list = bed.http.get(bed.url("/sandbox/webhooks")).send().await.unwrap();
    let list = Answer::of(list).await;
    assert_eq!(list.body["deliveries"][0]["event_type"], "reporting.report_run.succeeded");
    assert!(!list.body.to_string().contains("whsec_x"));
}
