//! A report is one picture of one run, whatever happens to the task meanwhile.

use std::fmt::Write;

use futures::StreamExt;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_sandbox::days::Variant;
use payops_sandbox::{Fault, FaultKind, FaultTarget};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_download_is_one_picture_of_one_run,
    a_report_during_a_rerun_shows_the_files_of_its_figures,
    a_failed_rerun_leaves_the_report_of_the_run_before,
);

const DATE: &str = "2026-01-16";
const ABOUT: [(&str, &str); 2] = [("channel", "stripe"), ("settlement_date", DATE)];
/// More than an export reads at once.
const ROWS: usize = 5_000;

/// A platform file whose payments the channel does not know.
fn payments(series: &str) -> String {
    let mut file =
        String::from("payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n");
    for n in 0..ROWS {
        writeln!(file, "{series}{n},ch_{series}{n},100,USD,succeeded,{DATE}T10:00:00Z,M1").unwrap();
    }
    file
}

fn download(task: &Value, format: &str) -> String {
    format!("/api/v1/reconciliation/reports/{}/download?format={format}", task["id"].as_str().unwrap())
}

async fn a_download_is_one_picture_of_one_run(db: TestDb) {
    let app = App::start(db).await;
    let (_, settlement) = app.day_files(DATE, Variant::Clean);
    app.upload("settlement-files", &ABOUT, &settlement).await;
    app.upload("platform-files", &ABOUT, payments("A").as_bytes()).await;
    let task = app.reconcile(DATE).await;
    let request = app.client.get(&download(&task, "json")).by(As::Operator);
    let answer = request.exchange(axum::body::Body::empty()).await;
    let (head, body) = answer.into_parts();
    let mut body = body.into_data_stream();
    let mut text = body.next().await.unwrap().unwrap().to_vec();
    // The caller is slow, and a correction lands in the middle of its download.
    app.upload("platform-files", &ABOUT, payments("B").as_bytes()).await;
    let id = task["id"].as_str().unwrap();
    app.until(id, |task| task["run_no"] == 2 && task["status"] == "completed").await;
    while let Some(chunk) = body.next().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    let report: Value = serde_json::from_slice(&text).unwrap();
    let records = report["records"].as_array().unwrap();
    for (diff_type, totals) in report["summary"]["types"].as_object().unwrap() {
        let listed = records.iter().filter(|record| record["diff_type"] == *diff_type).count();
        if !["matched", "not_expected"].contains(&diff_type.as_str()) {
            assert_eq!(json!(listed), totals["count"], "{diff_type}");
        }
    }
    let ours = records.iter().filter_map(|record| record["payment_no"].as_str());
    assert_eq!(ours.filter(|number| number.starts_with('A')).count(), ROWS);
    assert_eq!((&report["run_no"], &report["task"]["platform_count"]), (&json!(1), &json!(ROWS)));
    assert_eq!(head.headers["reconciliation-run"], "1");
    // The next report is of the next run.
    let next = app.get(&download(&task, "csv")).await;
    assert_eq!(next.header("reconciliation-run"), "2");
    assert!(next.header("content-disposition").ends_with("-run-2.csv\""), "{:?}", next.headers);
    let text = String::from_utf8(next.body.to_vec()).unwrap();
    assert_eq!((text.contains("ch_A1"), text.contains("ch_B1")), (false, true));
}

async fn a_report_during_a_rerun_shows_the_files_of_its_figures(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let before = app.report(&task).await;
    assert_eq!((&before["run_no"], &before["newer_run"]), (&json!(1), &Value::Null));
    app.sandbox.handle().set_variant(DATE.parse().unwrap(), Variant::Corrected);
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    let id = task["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    app.fetching(id).await;
    let during = app.report(&task).await;
    assert_eq!((&during["run_no"], &during["newer_run"]["run_no"]), (&json!(1), &json!(2)));
    assert_eq!(during["newer_run"]["status"], "processing");
    for part in ["summary", "certificate", "runs"] {
        assert_eq!(during[part], before[part], "{part}");
    }
    let hashes = |report: &Value| {
        let files = report["files"].as_array().unwrap().iter();
        files.map(|file| (file["role"].clone(), file["file_hash"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&during), hashes(&before));
    assert_eq!(hashes(&during).len(), 3);
    let csv = app.get(&download(&task, "csv")).await;
    assert_eq!((csv.header("reconciliation-run"), csv.header("reconciliation-newer-run")), ("1", "2"));
    app.until(id, |task| task["status"] == "completed").await;
    let after = app.report(&task).await;
    assert_eq!((&after["run_no"], &after["newer_run"]), (&json!(2), &Value::Null));
    assert_ne!(hashes(&after), hashes(&before));
}

async fn a_failed_rerun_leaves_the_report_of_the_run_before(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let before = app.report(&task).await;
    app.fault(Fault::once(FaultTarget::StripeCreate, FaultKind::ReportFails).for_report("balance_change"));
    let id = task["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    app.until(id, |task| task["status"] == "failed").await;
    let after = app.report(&task).await;
    assert_eq!((&after["run_no"], &after["newer_run"]["status"]), (&json!(1), &json!("failed")));
    assert_eq!((&after["files"], &after["certificate"]), (&before["files"], &before["certificate"]));
}
