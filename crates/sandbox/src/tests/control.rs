//! The sandbox's own endpoints.

use payops_core::time::Clock;

use super::*;
use crate::days::{Truth, Verdict};
use crate::{AdvanceAll, Fault, FaultKind, FaultTarget, VirtualClock};

impl Bed {
    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(self.url(path)).send().await.unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.http.post(self.url(path)).json(&body).send().await.unwrap()).await
    }

    async fn delete(&self, path: &str) -> u16 {
        self.http.delete(self.url(path)).send().await.unwrap().status().as_u16()
    }
}

#[tokio::test]
async fn faults_are_added_listed_and_removed() {
    let bed = Bed::start().await;
    let added =
        bed.fault(json!({"target": "stripe.poll", "kind": "status", "status": 500, "times": 3})).await;
    assert_eq!(added.status, 201);
    assert_eq!(
        added.body,
        json!({"id": 1, "target": "stripe.poll", "kind": "status", "status": 500, "times": 3, "struck": 0})
    );
    let handle = bed.sandbox.handle();
    handle.add_fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::NoTrailer)).unwrap();
    let listed = bed.get("/sandbox/faults").await;
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    assert_eq!(bed.delete("/sandbox/faults/1").await, 204);
    assert_eq!(bed.delete("/sandbox/faults/1").await, 404);
    assert_eq!(bed.delete("/sandbox/faults").await, 204);
    assert!(handle.faults().is_empty());
    for bad in [
        json!({"target": "gateway.feed", "kind": "report_fails"}),
        json!({"target": "stripe.poll", "kind": "status", "status": 200}),
        json!({"target": "stripe.poll", "kind": "cut"}),
        json!({"target": "stripe.poll", "kind": "cut", "after": 1, "surprise": true}),
        json!({"target": "webhook", "kind": "lost", "report_type": "balance"}),
        json!([]),
    ] {
        let refused = bed.fault(bad.clone()).await;
        assert_eq!(refused.status, 400, "{bad}");
        assert!(refused.body["error"].is_string());
    }
}

#[tokio::test]
async fn the_clock_can_be_moved_ahead() {
    let bed = Bed::start().await;
    let before = bed.get("/sandbox/clock").await;
    assert_eq!(before.body["now"], "2024-10-26T12:00:00Z");
    assert_eq!(before.body["data_available_end"], "2024-10-26T00:00:00Z");
    let after = bed.post("/sandbox/clock", json!({"advance_seconds": 43_200})).await;
    assert_eq!(after.body["data_available_end"], "2024-10-26T12:00:00Z");
    assert_eq!(bed.post("/sandbox/clock", json!({"advance_seconds": -1})).await.status, 400);
    assert_eq!(bed.post("/sandbox/clock", json!({})).await.status, 400);
}

#[tokio::test]
async fn a_clock_that_others_go_by_is_moved_for_all_or_not_at_all() {
    let shared =
        Arc::new(VirtualClock::new(Arc::new(ManualClock::new("2024-10-26T12:00:00Z".parse().unwrap()))));
    let (base, mover) = (Arc::clone(&shared), Arc::clone(&shared));
    let bed = Bed::start_with(|config| {
        config.clock = base;
        config.advance_all = Some(AdvanceAll(Arc::new(move |by| {
            if by > TimeDelta::days(1) {
                return Err(std::io::Error::other("the disk is full"));
            }
            mover.advance(by);
            Ok(())
        })));
    })
    .await;
    let after = bed.post("/sandbox/clock", json!({"advance_seconds": 60})).await;
    assert_eq!((after.status, &after.body["now"]), (200, &json!("2024-10-26T12:01:00Z")));
    assert_eq!(shared.now().to_rfc3339(), "2024-10-26T12:01:00+00:00");
    let refused = bed.post("/sandbox/clock", json!({"advance_seconds": 90_000})).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("the disk is full")));
    assert_eq!(bed.get("/sandbox/clock").await.body["now"], "2024-10-26T12:01:00Z");
}

#[tokio::test]
async fn the_truth_is_told_and_follows_the_variant() {
    let bed = Bed::start().await;
    let told = async || -> Truth {
        serde_json::from_value(bed.get("/sandbox/days/2024-10-24/truth?channel=stripe").await.body).unwrap()
    };
    let seeded = told().await;
    assert_eq!(seeded, bed.day(SEEDED).truth());
    assert_eq!(seeded.verdict, Verdict::Differences);
    let set = bed.post("/sandbox/days/2024-10-24/variant", json!({"variant": "clean"})).await;
    assert_eq!(set.body, json!({"days": [{"date": SEEDED, "variant": "clean", "payments": 150}]}));
    assert_eq!(told().await.verdict, Verdict::Reconciled);
    let feed = bed.lines().await;
    assert_eq!(feed.lines().count() as u64 - 1, told().await.platform_totals.rows);
    bed.post("/sandbox/days/2024-10-24/variant", json!({"variant": "seeded", "payments": 10})).await;
    assert!(told().await.platform_totals.rows < 20);
    let both = bed
        .post("/sandbox/days/2024-10-24/variant", json!({"variant": "clean", "timezone": "Asia/Shanghai"}))
        .await;
    assert_eq!(both.body["days"].as_array().unwrap().len(), 2);
    for (path, body) in [
        ("/sandbox/days/tomorrow/variant", json!({"variant": "clean"})),
        ("/sandbox/days/2024-10-24/variant", json!({"variant": "odd"})),
        ("/sandbox/days/2024-10-24/variant", json!({"variant": "clean", "payments": 100_000_000})),
        ("/sandbox/days/2024-10-24/variant", json!({"variant": "clean", "timezone": "Mars"})),
    ] {
        assert_eq!(bed.post(path, body.clone()).await.status, 400, "{path} {body}");
    }
    assert_eq!(bed.get("/sandbox/days/2024-10-24/truth?channel=square").await.status, 400);
    assert_eq!(bed.get("/sandbox/days/2024-10-24/truth?surprise=1").await.status, 400);
}

#[tokio::test]
async fn calls_are_logged_with_what_matters_and_without_secrets() {
    let bed = Bed::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    bed.feed("date=2024-10-24&channel=stripe", &[("traceparent", trace)]).await;
    bed.create(&[("report_type", "nope")], Some("key-7")).await;
    let log = bed.get("/sandbox/requests?path=/internal").await;
    let entry = &log.body["items"][0];
    assert_eq!((&entry["method"], &entry["status"]), (&json!("GET"), &json!(200)));
    assert_eq!(entry["query"], "date=2024-10-24&channel=stripe");
    assert_eq!(entry["headers"]["traceparent"], trace);
    assert_eq!(entry["headers"]["x-service-name"], "reconciliation-service");
    let handle = bed.sandbox.handle();
    assert_eq!(handle.requests()[1].headers["idempotency-key"], "key-7");
    let all = bed.get("/sandbox/requests").await.body.to_string();
    assert!(!all.contains(DEFAULT_GATEWAY_SECRET) && !all.contains(DEFAULT_STRIPE_API_KEY));
    assert_eq!(bed.get("/sandbox/requests?method=POST").await.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(bed.delete("/sandbox/requests").await, 204);
    assert!(handle.requests().is_empty());
}

#[tokio::test]
async fn the_page_tells_what_this_is() {
    let bed = Bed::start().await;
    let page = bed.get("/").await;
    assert_eq!(page.status, 200);
    let text = page.body.as_str().unwrap();
    assert!(text.contains("A stand-in for Stripe") && text.contains(bed.sandbox.base_url()));
    assert!(!text.contains("{{") && !text.contains("src=") && !text.contains("@import"));
}

#[tokio::test]
async fn a_day_is_written_to_files() {
    let folder = tempfile::tempdir().unwrap();
    let bed = Bed::start().await;
    let day = bed.day(SEEDED);
    let files = crate::write_files(&day, folder.path()).unwrap();
    let lines = |path: &std::path::Path| csv(&std::fs::read_to_string(path).unwrap()).len() as u64;
    let truth: Truth = serde_json::from_str(&std::fs::read_to_string(&files.truth).unwrap()).unwrap();
    assert_eq!(truth, day.truth());
    assert_eq!(lines(&files.platform) - 1, truth.platform_totals.rows);
    assert_eq!(lines(&files.settlement) - 1, truth.channel_totals.rows);
    assert_eq!((lines(&files.balance_summary), lines(&files.payouts)), (17, 5));
    assert_eq!(lines(&files.payout_rows) - 1, truth.payouts.iter().map(|payout| payout.rows).sum::<u64>());
    let bank = std::fs::read_to_string(&files.bank).unwrap();
    for payout in &truth.payouts {
        assert_eq!(bank.matches(&format!("<EndToEndId>{}<", payout.payout_id)).count(), 1, "{bank}");
    }
}
