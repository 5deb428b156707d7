//! A day from its creation to its report.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_sandbox::{Fault, FaultKind, FaultTarget};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_seeded_day_ends_as_its_truth_says,
    a_clean_day_is_reconciled,
    a_day_belongs_to_its_zone,
    a_day_has_one_task_until_it_is_cancelled,
    a_day_of_utc_is_one_day_by_any_name,
    a_task_is_started_only_when_it_can_be,
    running_again_keeps_what_people_did,
    matched_rows_are_kept_when_asked_for,
    events_tell_a_task_to_its_end,
    reports_are_downloaded_whole,
    the_overview_sums_up_days,
    the_overview_keeps_a_day_whose_rerun_is_under_way_or_failed,
    metrics_have_the_names_that_dashboards_know,
);

async fn a_seeded_day_ends_as_its_truth_says(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    assert_eq!(task["verdict"], "differences");
    let report =
        app.get(&format!("/api/v1/reconciliation/reports/{}", task["id"].as_str().unwrap())).await.data();
    let truth = app.truth("2026-01-16");
    for (diff_type, expected) in truth["types"].as_object().unwrap() {
        let found = &report["summary"]["types"][diff_type];
        for part in ["count", "platform_amounts", "channel_amounts"] {
            assert_eq!(found[part], expected[part], "{diff_type} {part}");
        }
    }
    let records = app.records(task["id"].as_str().unwrap()).await;
    assert_eq!(task["timing_count"], truth["types"]["timing"]["count"]);
    assert!(task["timing_count"].as_u64().unwrap() > 0, "{task}");
    let listed = task["diff_count"].as_u64().unwrap() + task["timing_count"].as_u64().unwrap();
    assert_eq!(records.len() as u64, listed, "what is pending is listed, and no difference");
}

async fn a_clean_day_is_reconciled(db: TestDb) {
    let app = App::start(db).await;
    // Sundays of the sandbox are clean; failed payments and later refunds are still among them.
    let task = app.reconcile("2026-01-18").await;
    assert_eq!((&task["verdict"], &task["diff_count"]), (&json!("reconciled"), &json!(0)), "{task}");
    let report = app.report(&task).await;
    assert_eq!(report["summary"]["tie"]["proof"], "PROVEN");
    assert_eq!(report["summary"]["platform"]["control"]["proof"], "PROVEN");
    assert!(report["summary"]["types"]["not_expected"]["count"].as_u64().unwrap() > 0);
    assert!(app.records(task["id"].as_str().unwrap()).await.is_empty());
}

async fn a_day_belongs_to_its_zone(db: TestDb) {
    let app = App::start(db).await;
    let zone = "Asia/Shanghai";
    let body = json!({ "task_date": "2026-01-15", "channel": "stripe", "timezone": zone });
    let created = app.post("/api/v1/reconciliation/tasks", &body).await.data();
    let id = created["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let task = app.ended(id).await;
    let truth = app.truth_in("2026-01-15", zone);
    let report = app.report(&task).await;
    for diff_type in ["matched", "platform_only", "channel_only", "amount_diff"] {
        assert_eq!(
            report["summary"]["types"][diff_type]["count"], truth["types"][diff_type]["count"],
            "{diff_type}"
        );
    }
}

async fn a_day_has_one_task_until_it_is_cancelled(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "task_date": "2026-01-16", "channel": "stripe" });
    let first = app.post("/api/v1/reconciliation/tasks", &body).await;
    let second = app.post("/api/v1/reconciliation/tasks", &body).await;
    assert_eq!((second.status, second.code().as_str()), (409, "TASK_EXISTS"));
    assert_eq!(second.data()["task_no"], first.data()["task_no"]);
    let cancel = format!("/api/v1/reconciliation/tasks/{}/cancel", first.data()["id"].as_str().unwrap());
    assert_eq!(app.post(&cancel, &json!({})).await.data()["status"], "cancelled");
    assert_eq!(app.post("/api/v1/reconciliation/tasks", &body).await.status, 201);
    // Many at once: one is created, the others are told of it.
    let body = json!({ "task_date": "2026-01-19", "channel": "stripe" });
    let answers =
        futures::future::join_all((0..10).map(|_| app.post("/api/v1/reconciliation/tasks", &body))).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [[201].as_slice(), &[409; 9]].concat());
}

async fn a_day_of_utc_is_one_day_by_any_name(db: TestDb) {
    let app = App::start(db).await;
    let body = |zone: &str| json!({ "task_date": "2026-01-16", "channel": "stripe", "timezone": zone });
    let first = app.post("/api/v1/reconciliation/tasks", &body("GMT")).await;
    assert_eq!((first.status, first.data()["timezone"].clone()), (201, json!("Etc/UTC")));
    for zone in ["Etc/UTC", "UTC", "Etc/Universal", "Zulu", "etc/gmt0", "Greenwich"] {
        let second = app.post("/api/v1/reconciliation/tasks", &body(zone)).await;
        assert_eq!((second.status, second.code().as_str()), (409, "TASK_EXISTS"), "{zone}");
    }
}

async fn a_task_is_started_only_when_it_can_be(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-18").await;
    let act = |verb: &str| format!("/api/v1/reconciliation/tasks/{}/{verb}", task["id"].as_str().unwrap());
    for (verb, code) in [("retry", "TASK_STATE"), ("cancel", "TASK_STATE")] {
        let answer = app.post(&act(verb), &json!({})).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, code), "{verb}");
    }
    let stale = app.client.post(&act("cancel"), &json!({})).by(As::Operator).header("if-match", "\"1\"");
    assert_eq!(stale.send().await.status, 412);
}

async fn running_again_keeps_what_people_did(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    let id = task["id"].as_str().unwrap();
    let before = app.records(id).await;
    let record = before[0]["id"].as_str().unwrap();
    let close = json!({ "reason_code": "channel_fee", "note": "agreed" });
    app.post(&format!("/api/v1/reconciliation/records/{record}/resolve"), &close).await;
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let again = app.until(id, |task| task["run_no"] == 2 && task["status"] == "completed").await;
    assert_eq!(again["verdict"], task["verdict"]);
    let after = app.records(id).await;
    assert_eq!(ids(&before), ids(&after));
    assert_eq!((&after[0]["status"], &after[0]["resolution_note"]), (&json!("resolved"), &json!("agreed")));
    let report = app.report(&again).await;
    let runs = report["runs"].as_array().unwrap();
    assert_eq!((&runs[1]["records_added"], &runs[1]["records_gone"]), (&json!(0), &json!(0)));
    assert_eq!(runs[1]["records_kept"], json!(after.len()));
}

async fn matched_rows_are_kept_when_asked_for(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "task_date": "2026-01-16", "channel": "stripe", "store_matched": true });
    let created = app.post("/api/v1/reconciliation/tasks", &body).await.data();
    let id = created["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let task = app.ended(id).await;
    let page =
        app.get(&format!("/api/v1/reconciliation/records?task_id={id}&diff_type=matched")).await.data();
    assert_eq!(page["total"], task["matched_count"]);
}

async fn events_tell_a_task_to_its_end(db: TestDb) {
    let app = App::start(db).await;
    let id = app.begin("2026-01-16").await;
    let events = app.get(&format!("/api/v1/reconciliation/tasks/{id}/events")).await;
    assert_eq!(events.status, 200);
    let text = String::from_utf8(events.body.to_vec()).unwrap();
    let progress: Vec<i64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str::<Value>(data).unwrap()["progress"].as_i64().unwrap())
        .collect();
    assert!(progress.is_sorted(), "{progress:?}");
    assert_eq!(progress.last(), Some(&100));
}

async fn reports_are_downloaded_whole(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    let id = task["id"].as_str().unwrap();
    let records = app.records(id).await;
    let download = |format: &str| format!("/api/v1/reconciliation/reports/{id}/download?format={format}");
    let csv = app.get(&download("csv")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let mut reader = csv::Reader::from_reader(csv.body.as_ref());
    assert_eq!(reader.headers().unwrap().get(0), Some("diff_type"));
    assert_eq!(reader.records().map(Result::unwrap).count(), records.len());
    let report = app.get(&download("json")).await.json();
    assert_eq!(report["records"].as_array().unwrap().len(), records.len());
    assert_eq!(report["task"]["task_no"], task["task_no"]);
    assert_eq!(app.get(&download("docx")).await.status, 400);
}

async fn the_overview_sums_up_days(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    let range = "date_from=2026-01-01&date_to=2026-01-31";
    let overview = app.get(&format!("/api/v1/reconciliation/summary?{range}")).await.data();
    assert_eq!(overview["days"][0]["task_no"], task["task_no"]);
    assert_eq!(overview["days"][0]["diff_count"], task["diff_count"]);
    assert_eq!(overview["days"][0]["timing_count"], task["timing_count"]);
    assert_eq!(
        overview["days"][0]["open_count"],
        json!(task["diff_count"].as_u64().unwrap() + task["timing_count"].as_u64().unwrap())
    );
    assert_eq!(overview["days"][0]["newer_run"], Value::Null);
    let old = overview["ageing"].as_array().unwrap().last().unwrap();
    assert!(old["count"].as_u64().unwrap() > 0, "{overview}");
    assert!(!overview["open_at_risk"].as_array().unwrap().is_empty());
}

async fn the_overview_keeps_a_day_whose_rerun_is_under_way_or_failed(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    let id = task["id"].as_str().unwrap();
    let day = async || {
        let path = "/api/v1/reconciliation/summary?date_from=2026-01-16&date_to=2026-01-16";
        let overview = app.get(path).await.data();
        assert!(overview["open_at_risk"][0]["amount"].as_u64().unwrap() > 0, "{overview}");
        overview["days"][0].clone()
    };
    let before = day().await;
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 600_000 }));
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    app.fetching(id).await;
    let during = day().await;
    let newer = &during["newer_run"];
    assert_eq!((&newer["run_no"], &newer["status"]), (&json!(2), &json!("processing")));
    let figures = |day: &Value| {
        let mut day = day.clone();
        day.as_object_mut().unwrap().remove("newer_run");
        day
    };
    assert_eq!(figures(&during), figures(&before));
    // A restart ends the slow answer; the next one is refused for good.
    app.stop_jobs().await;
    let refused = FaultKind::Status { status: 403, retry_after: None };
    app.fault(Fault::once(FaultTarget::GatewayFeed, refused));
    app.run_jobs();
    app.until(id, |task| task["status"] == "failed").await;
    let after = day().await;
    assert_eq!(after["newer_run"]["status"], "failed");
    assert_eq!(figures(&after), figures(&before));
    // Its day is free for another task, so a cancelled one no longer speaks for it.
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/cancel"), &json!({})).await;
    let path = "/api/v1/reconciliation/summary?date_from=2026-01-16&date_to=2026-01-16";
    assert_eq!(app.get(path).await.data()["days"], json!([]));
}

async fn metrics_have_the_names_that_dashboards_know(db: TestDb) {
    let app = App::start(db).await;
    app.reconcile("2026-01-16").await;
    let page = app.client.get("/metrics").by(As::Admin).send().await;
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    for name in [
        "reconciliation_tasks_total{service=\"reconciliation-service\",status=\"completed\"} 1",
        "reconciliation_match_rate{service=\"reconciliation-service\",channel=\"stripe\"}",
        "reconciliation_diff_count_total{service=\"reconciliation-service\",diff_type=\"amount_diff\"}",
        "http_requests_total{",
        "http_request_duration_seconds_bucket{",
        "process_resident_memory_bytes{",
    ] {
        assert!(page.contains(name), "{name} is not in\n{page}");
    }
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["id"].as_str().unwrap()).collect()
}
