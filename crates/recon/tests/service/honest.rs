//! The verdict is honest: what is missing or contradicts itself is said, and never called reconciled.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_sandbox::days::Variant;
use payops_sandbox::{CorruptMode, Fault, FaultKind, FaultTarget, SummaryAbsence};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_feed_without_its_trailer_proves_nothing,
    a_truncated_feed_is_incomplete,
    a_wrong_trailer_is_incomplete,
    one_reject_is_incomplete,
    an_id_is_stored_whole_or_rejected,
    a_truncated_settlement_file_is_incomplete,
    a_truncated_download_is_fetched_again,
    a_broken_balance_summary_is_incomplete,
    a_missing_balance_summary_proves_nothing,
);

/// A Sunday: without the fault it would be reconciled.
const CLEAN: &str = "2026-01-18";

async fn verdict_with(db: TestDb, fault: Fault) -> (String, Vec<String>) {
    let app = App::start(db).await;
    app.fault(fault);
    let task = app.reconcile(CLEAN).await;
    let report = app.report(&task).await;
    let reasons = report["summary"]["reasons"].as_array().unwrap();
    let codes = reasons.iter().map(|reason| text(&reason["code"])).collect();
    (text(&task["verdict"]), codes)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

async fn a_feed_without_its_trailer_proves_nothing(db: TestDb) {
    let fault = Fault::once(FaultTarget::GatewayFeed, FaultKind::NoTrailer);
    let (verdict, reasons) = verdict_with(db, fault).await;
    assert_eq!((verdict.as_str(), reasons), ("not_provable", vec!["trailer_missing".to_owned()]));
}

async fn a_truncated_feed_is_incomplete(db: TestDb) {
    let fault = Fault::once(FaultTarget::GatewayFeed, FaultKind::TruncateRows { rows: 3 });
    let (verdict, reasons) = verdict_with(db, fault).await;
    assert_eq!(verdict, "incomplete");
    assert!(reasons.contains(&"control_totals_failed".to_owned()), "{reasons:?}");
}

async fn a_wrong_trailer_is_incomplete(db: TestDb) {
    let fault = Fault::once(FaultTarget::GatewayFeed, FaultKind::WrongTrailer);
    let (verdict, reasons) = verdict_with(db, fault).await;
    assert_eq!((verdict.as_str(), reasons), ("incomplete", vec!["control_totals_failed".to_owned()]));
}

async fn one_reject_is_incomplete(db: TestDb) {
    let fault = Fault::once(FaultTarget::StripeDownload, FaultKind::Corrupt { mode: CorruptMode::Row });
    let (verdict, reasons) = verdict_with(db, fault.for_report("balance_change")).await;
    assert_eq!(verdict, "incomplete");
    assert!(reasons.contains(&"rejects".to_owned()), "{reasons:?}");
}

async fn an_id_is_stored_whole_or_rejected(db: TestDb) {
    let app = App::start(db).await;
    for (day, length, is_taken) in [(CLEAN, 255, true), ("2026-01-25", 256, false)] {
        let (_, settlement) = app.day_files(day, Variant::Clean);
        let settlement = String::from_utf8(settlement).unwrap();
        let start = settlement.find(",ch_").unwrap() + 1;
        let old = &settlement[start..start + settlement[start..].find(',').unwrap()];
        let changed = settlement.replacen(old, &format!("ch_{}", "9".repeat(length - 3)), 1);
        let about = [("channel", "stripe"), ("settlement_date", day)];
        assert_eq!(app.upload("settlement-files", &about, changed.as_bytes()).await.status, 201);
        let task = app.reconcile(day).await;
        let summary = app.report(&task).await["summary"].clone();
        let reasons = summary["reasons"].as_array().unwrap().iter();
        let is_rejected = reasons.map(|reason| &reason["code"]).any(|code| code == "rejects");
        assert_eq!((&task["status"], is_rejected), (&json!("completed"), !is_taken), "{length}: {summary}");
    }
}

async fn a_truncated_settlement_file_is_incomplete(db: TestDb) {
    let app = App::start(db).await;
    let (_, settlement) = app.day_files(CLEAN, Variant::Clean);
    let text = String::from_utf8(settlement).unwrap();
    let end = text.trim_end().rfind("\ntxn_").unwrap();
    let about = [("channel", "stripe"), ("settlement_date", CLEAN)];
    assert_eq!(app.upload("settlement-files", &about, &text.as_bytes()[..=end]).await.status, 201);
    let task = app.reconcile(CLEAN).await;
    let report = app.report(&task).await;
    assert_eq!(
        (&task["verdict"], &report["summary"]["tie"]["proof"]),
        (&json!("incomplete"), &json!("FAILED"))
    );
}

async fn a_truncated_download_is_fetched_again(db: TestDb) {
    let fault = Fault::once(FaultTarget::StripeDownload, FaultKind::TruncateRows { rows: 2 });
    let (verdict, _) = verdict_with(db, fault).await;
    assert_eq!(
        verdict, "reconciled",
        "the size that Stripe states is checked, so the cut file was never taken"
    );
}

async fn a_broken_balance_summary_is_incomplete(db: TestDb) {
    let fault = Fault::once(FaultTarget::StripeCreate, FaultKind::BrokenSummary);
    let (verdict, reasons) = verdict_with(db, fault).await;
    assert_eq!((verdict.as_str(), reasons), ("incomplete", vec!["tie_broken".to_owned()]));
}

async fn a_missing_balance_summary_proves_nothing(db: TestDb) {
    let fault = Fault::once(FaultTarget::StripeCreate, FaultKind::NoSummary { mode: SummaryAbsence::Refuse });
    let (verdict, reasons) = verdict_with(db, fault).await;
    assert_eq!((verdict.as_str(), reasons), ("not_provable", vec!["summary_missing".to_owned()]));
}
