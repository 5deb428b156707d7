//! What is open and at risk, and what a record says, are the figures of the last completed run.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_recon::MIGRATIONS;
use payops_sandbox::{Fault, FaultKind, FaultTarget};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(MIGRATIONS;
    a_status_difference_puts_its_amount_at_risk,
    what_nobody_has_to_look_at_is_no_work,
    a_correction_is_shown_in_the_record_that_it_keeps,
    a_rerun_that_is_called_off_leaves_the_day_as_it_was,
    a_task_that_is_called_off_takes_its_records_along,
);

const DATE: &str = "2026-01-16";
const SUMMARY: &str = "/api/v1/reconciliation/summary?date_from=2026-01-16&date_to=2026-01-16";

async fn run(app: &App, body: &Value) -> Value {
    let created = app.post("/api/v1/reconciliation/tasks", body).await.data();
    let id = created["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let task = app.ended(id).await;
    assert_eq!(task["status"], "completed", "{task}");
    task
}

async fn a_status_difference_puts_its_amount_at_risk(db: TestDb) {
    let app = App::start(db).await;
    let row = |number: u8, amount: i64, status: &str| {
        format!("P{number},ch_{number},{amount},USD,{status},2026-01-16T10:00:00Z,M1\n")
    };
    let largest = i64::MAX;
    let platform =
        row(1, 700, "failed") + &row(2, 100, "succeeded") + &row(3, 1, "succeeded") + &row(4, 1, "succeeded");
    let channel =
        format!("ch_1,700,USD,paid\nch_2,130,USD,paid\nch_3,{largest},USD,paid\nch_4,{largest},USD,paid\n");
    app.hand_over_day(DATE, &platform, &channel).await;
    let task = run(&app, &json!({ "task_date": DATE, "channel": "adyen" })).await;
    let report = app.report(&task).await;
    let at_risk = |diff_type: &str| {
        let mut standings = report["standings"].as_array().unwrap().iter();
        standings.find(|standing| standing["diff_type"] == diff_type).unwrap()["at_risk"].clone()
    };
    assert_eq!(report["summary"]["money_at_risk"], json!({ "USD": 700 }));
    assert_eq!(at_risk("status_diff"), json!(700), "{}", report["standings"]);
    // 30, and more than 64 bits hold, of which serde_json tells the size.
    assert_eq!(at_risk("amount_diff"), json!(18_446_744_073_709_551_642_f64));
}

async fn what_nobody_has_to_look_at_is_no_work(db: TestDb) {
    let app = App::start(db).await;
    let task = run(&app, &json!({ "task_date": DATE, "channel": "stripe", "store_matched": true })).await;
    let work = task["diff_count"].as_i64().unwrap() + task["timing_count"].as_i64().unwrap();
    let overview = app.get(SUMMARY).await.data();
    assert_eq!(overview["days"][0]["open_count"], work);
    let aged: i64 =
        overview["ageing"].as_array().unwrap().iter().map(|span| span["count"].as_i64().unwrap()).sum();
    assert_eq!(aged, work);
    let list = async |filter: &str| {
        let path =
            format!("/api/v1/reconciliation/records?task_id={}&{filter}", task["id"].as_str().unwrap());
        app.get(&path).await.data()["total"].as_i64().unwrap()
    };
    assert_eq!(list("status=open").await, work);
    assert!(list("status=open&diff_type=not_expected").await > 0, "it is there for whoever asks for it");
    assert_eq!(list("diff_type=matched").await, task["matched_count"].as_i64().unwrap());
}

async fn a_correction_is_shown_in_the_record_that_it_keeps(db: TestDb) {
    let app = App::start(db).await;
    let row = |merchant: &str, time: &str| format!("P1,ch_1,500,USD,succeeded,{time},{merchant}\n");
    app.hand_over_day(DATE, &row("M-1", "2026-01-16T10:00:00Z"), "ch_2,100,USD,paid\n").await;
    let task = run(&app, &json!({ "task_date": DATE, "channel": "adyen" })).await;
    let id = task["id"].as_str().unwrap();
    let ours = async || {
        let records = app.records(id).await;
        records.into_iter().find(|record| record["payment_no"] == "P1").unwrap()
    };
    let before = ours().await;
    app.hand_over_day(DATE, &row("M-2", "2026-01-16T11:30:00Z"), "ch_2,100,USD,paid\n").await;
    app.until(id, |task| task["run_no"] == 2 && task["status"] == "completed").await;
    let after = ours().await;
    assert_eq!(after["id"], before["id"]);
    assert_eq!(
        (&after["merchant_id"], &after["occurred_at"]),
        (&json!("M-2"), &json!("2026-01-16T11:30:00Z"))
    );
}

/// A completed day whose next run is being called off.
async fn called_off(app: &App) -> (Value, Value) {
    let task = app.reconcile(DATE).await;
    let id = task["id"].as_str().unwrap();
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    app.fetching(id).await;
    let cancelled = app.post(&format!("/api/v1/reconciliation/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.status, 200, "{:?}", cancelled.json());
    (task, cancelled.data())
}

async fn a_rerun_that_is_called_off_leaves_the_day_as_it_was(db: TestDb) {
    let app = App::start(db).await;
    let (task, cancelled) = called_off(&app).await;
    let id = task["id"].as_str().unwrap();
    assert_eq!((&cancelled["status"], &cancelled["error_code"]), (&json!("failed"), &json!("RUN_CANCELLED")));
    let day = app.get(SUMMARY).await.data()["days"][0].clone();
    assert_eq!((&day["diff_count"], &day["newer_run"]["status"]), (&task["diff_count"], &json!("failed")));
    let records = app.records(id).await;
    assert_eq!(i64::try_from(records.len()).unwrap(), day["open_count"].as_i64().unwrap());
    let path = format!("/api/v1/reconciliation/records/{}/resolve", records[0]["id"].as_str().unwrap());
    let resolved = app.post(&path, &json!({ "reason_code": "channel_fee" })).await;
    assert_eq!(resolved.status, 200, "{:?}", resolved.json());
    let again = app.post(&format!("/api/v1/reconciliation/tasks/{id}/retry"), &json!({})).await;
    assert_eq!(again.status, 202, "{:?}", again.json());
    let task = app.ended(id).await;
    assert_eq!((&task["status"], &task["run_no"]), (&json!("completed"), &json!(3)));
    let kept = app.records(id).await.into_iter().find(|record| record["id"] == records[0]["id"]).unwrap();
    assert_eq!(kept["status"], "resolved", "what people did stands");
}

async fn a_task_that_is_called_off_takes_its_records_along(db: TestDb) {
    let app = App::start(db).await;
    let (task, _) = called_off(&app).await;
    let id = task["id"].as_str().unwrap();
    let record = app.records(id).await[0]["id"].as_str().unwrap().to_owned();
    let cancelled = app.post(&format!("/api/v1/reconciliation/tasks/{id}/cancel"), &json!({})).await;
    assert_eq!(cancelled.data()["status"], "cancelled");
    let path = format!("/api/v1/reconciliation/records/{record}/resolve");
    let refused = app.post(&path, &json!({ "reason_code": "channel_fee" })).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "RECORD_GONE"));
    let second = app.reconcile(DATE).await;
    let listed = app.get(&format!("/api/v1/reconciliation/records?task_date={DATE}")).await.data();
    let work = second["diff_count"].as_i64().unwrap() + second["timing_count"].as_i64().unwrap();
    assert_eq!(listed["total"], work, "the day's differences are there once");
}
