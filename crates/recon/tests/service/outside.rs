//! Stripe or the gateway is down, slow, rate-limited or lying: the task waits, tries again, or fails with the
//! reason, and nothing is half-stored.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use payops_core::time::{Clock, SystemClock};
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_sandbox::{DEFAULT_WEBHOOK_SECRET, Fault, FaultKind, FaultTarget, stripe_signature};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    trouble_that_passes_is_waited_out,
    a_report_that_fails_fails_the_task_with_its_reason,
    a_refused_key_fails_the_task_with_stripes_words,
    a_file_that_is_not_as_long_as_stripe_says_is_not_taken,
    a_task_waits_for_the_day_to_be_there,
    a_webhook_wakes_a_waiting_task,
    a_webhook_without_a_good_signature_is_refused,
    a_webhook_without_a_secret_says_what_to_set,
    a_run_that_is_handed_back_says_so,
    a_cancelled_task_stores_nothing,
    a_failed_task_can_be_tried_again,
);

const DATE: &str = "2026-01-16";

fn status(status: u16, retry_after: Option<u64>) -> FaultKind {
    FaultKind::Status { status, retry_after }
}

async fn trouble_that_passes_is_waited_out(db: TestDb) {
    let app = App::start(db).await;
    for fault in [
        Fault::once(FaultTarget::StripeTypes, status(500, None)),
        Fault::once(FaultTarget::StripeCreate, status(429, Some(1))),
        Fault::once(FaultTarget::StripePoll, status(503, None)),
        Fault::once(FaultTarget::StripeDownload, FaultKind::Cut { after: 2000 }).times(2),
        Fault::once(FaultTarget::StripeDownload, FaultKind::Slow { ms: 300 }),
        Fault::once(FaultTarget::GatewayFeed, FaultKind::Cut { after: 5000 }),
        Fault::once(FaultTarget::GatewayFeed, status(500, None)),
    ] {
        app.fault(fault);
    }
    let task = app.reconcile(DATE).await;
    let truth = app.truth(DATE);
    let report = app.report(&task).await;
    assert_eq!(report["summary"]["types"]["matched"]["count"], truth["types"]["matched"]["count"]);
    // One report run was made of each kind, however often it was asked for.
    let requests = app.sandbox.handle().requests();
    let created =
        requests.iter().filter(|request| request.method == "POST" && request.path.ends_with("/report_runs"));
    let keys: BTreeSet<&String> =
        created.clone().filter_map(|request| request.headers.get("idempotency-key")).collect();
    assert_eq!(keys.len(), 2, "{:?}", created.collect::<Vec<_>>());
}

async fn a_report_that_fails_fails_the_task_with_its_reason(db: TestDb) {
    let app = App::start(db).await;
    app.fault(Fault::once(FaultTarget::StripeCreate, FaultKind::ReportFails).for_report("balance_change"));
    let task = app.ended(&app.begin(DATE).await).await;
    assert_eq!((&task["status"], &task["error_code"]), (&json!("failed"), &json!("REPORT_FAILED")), "{task}");
    assert!(app.records(task["id"].as_str().unwrap()).await.is_empty());
    let files = app.get("/api/v1/reconciliation/settlement-files?role=settlement").await.data();
    assert_eq!(files["items"][0]["status"], "failed");
    assert_eq!(files["items"][0]["file_hash"], Value::Null);
}

async fn a_refused_key_fails_the_task_with_stripes_words(db: TestDb) {
    let app = App::start_with(db, |config| config.stripe_api_key = String::from("sk_test_another")).await;
    let task = app.ended(&app.begin(DATE).await).await;
    assert_eq!(
        (&task["status"], &task["error_code"]),
        (&json!("failed"), &json!("SOURCE_REFUSED")),
        "{task}"
    );
    assert!(task["error_message"].as_str().unwrap().contains("API"), "{task}");
}

async fn a_file_that_is_not_as_long_as_stripe_says_is_not_taken(db: TestDb) {
    let app = App::start(db).await;
    app.fault(Fault::once(FaultTarget::StripePoll, FaultKind::LieSize { by: 7 }).times(2));
    let task = app.ended(&app.begin(DATE).await).await;
    let files = app.get("/api/v1/reconciliation/settlement-files?status=stored&role=settlement").await.data();
    match task["status"].as_str() {
        // It was asked again, and then told the truth.
        Some("completed") => assert_eq!(files["total"], 1),
        _ => assert_eq!(files["total"], 0, "{task}"),
    }
}

async fn a_task_waits_for_the_day_to_be_there(db: TestDb) {
    let app = App::start(db).await;
    let today = app.sandbox.handle().now().date_naive().to_string();
    let id = app.begin(&today).await;
    let waiting =
        app.until(&id, |task| task["phase"] == "waiting" && !task["status_message"].is_null()).await;
    assert_eq!(waiting["status"], "processing");
    assert!(waiting["status_message"].as_str().unwrap().contains("has data until"), "{waiting}");
}

async fn a_webhook_wakes_a_waiting_task(db: TestDb) {
    let app = App::start_with(db, |config| config.report_delay = TimeDelta::hours(3)).await;
    let id = app.begin(DATE).await;
    app.until(&id, |task| task["phase"] == "waiting").await;
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    loop {
        // Each report takes three hours of Stripe's time; its event then wakes the task.
        app.sandbox.handle().advance(TimeDelta::hours(4));
        let files = app.get("/api/v1/reconciliation/settlement-files?status=requested").await.data();
        for run in files["items"].as_array().unwrap().iter().filter_map(|file| file["external_id"].as_str()) {
            let event = event(&format!("evt_{run}"), "reporting.report_run.succeeded", &json!({ "id": run }));
            assert_eq!(deliver(&app, &event, DEFAULT_WEBHOOK_SECRET).await, 200);
            assert_eq!(deliver(&app, &event, DEFAULT_WEBHOOK_SECRET).await, 200, "a repeat is harmless");
        }
        let task = app.get(&format!("/api/v1/reconciliation/tasks/{id}")).await.data();
        if task["status"] == "completed" {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{task}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn event(id: &str, kind: &str, object: &Value) -> Value {
    json!({ "id": id, "object": "event", "type": kind, "created": 1_790_000_000, "data": { "object": object } })
}

async fn deliver(app: &App, event: &Value, secret: &str) -> u16 {
    let body = event.to_string();
    let signature = stripe_signature(secret, Clock::now(&SystemClock), body.as_bytes());
    let request = app.client.request(http::Method::POST, "/api/v1/webhooks/stripe");
    request.header("stripe-signature", signature).body("application/json", body).send().await.status
}

async fn a_webhook_without_a_good_signature_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let whole = event("evt_1", "reporting.report_run.succeeded", &json!({ "id": "x" }));
    assert_eq!(deliver(&app, &whole, "whsec_wrong").await, 400);
    // No database text holds a NUL, and Stripe would send a refused event for days.
    let odd = event("evt_2", "reporting.report_type.updated", &json!({ "id": "x", "a\0": ["\0"] }));
    assert_eq!(deliver(&app, &odd, DEFAULT_WEBHOOK_SECRET).await, 200);
    let about_no_object = event("evt_3", "balance.available", &json!({ "object": "balance" }));
    assert_eq!(deliver(&app, &about_no_object, DEFAULT_WEBHOOK_SECRET).await, 200);
    let unsigned = app.client.post("/api/v1/webhooks/stripe", &whole).send().await;
    assert_eq!((unsigned.status, unsigned.code().as_str()), (400, "WEBHOOK_SIGNATURE"));
}

async fn a_webhook_without_a_secret_says_what_to_set(db: TestDb) {
    let app = App::start_as(db, |_| {}, |options| options.stripe_webhook_secrets.clear()).await;
    let refused = app.client.post("/api/v1/webhooks/stripe", &json!({})).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "NOT_CONFIGURED"));
    let message = refused.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("PAYOPS_STRIPE_WEBHOOK_SECRET") && message.contains("signing secret"),
        "{message}"
    );
    assert!(!message.contains("upload") && !message.contains("fetch"), "{message}");
}

async fn a_run_that_is_handed_back_says_so(db: TestDb) {
    let app = App::start(db).await;
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 600_000 }));
    let id = app.begin(DATE).await;
    app.fetching(&id).await;
    app.stop_jobs().await;
    let task = app.until(&id, |task| task["phase"] == "waiting").await;
    let message = task["status_message"].as_str().unwrap();
    assert!(message.contains("has stopped") && !message.contains("busy"), "{message}");
}

async fn a_cancelled_task_stores_nothing(db: TestDb) {
    let app = App::start(db).await;
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    let id = app.begin(DATE).await;
    app.fetching(&id).await;
    let cancelled = app.post(&format!("/api/v1/reconciliation/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.data()["status"], "cancelled");
    // Another task takes the day; once it is done, the run of the first has had its chance.
    let second = app.reconcile(DATE).await;
    assert_eq!(second["status"], "completed");
    let first = app.get(&format!("/api/v1/reconciliation/tasks/{id}")).await.data();
    assert_eq!((&first["status"], &first["verdict"]), (&json!("cancelled"), &Value::Null));
    assert!(app.records(&id).await.is_empty());
}

async fn a_failed_task_can_be_tried_again(db: TestDb) {
    let app = App::start(db).await;
    app.fault(Fault::once(FaultTarget::StripeCreate, FaultKind::ReportFails).for_report("balance_change"));
    let id = app.begin(DATE).await;
    assert_eq!(app.ended(&id).await["status"], "failed");
    let retried = app.post(&format!("/api/v1/reconciliation/tasks/{id}/retry"), &json!({})).await;
    assert_eq!((retried.status, &retried.data()["error_code"]), (202, &Value::Null));
    assert_eq!(app.ended(&id).await["verdict"], "differences");
}
