//! A day from its creation to its report.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use serde_json::json;

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS; a_seeded_day_ends_as_its_truth_says);

async fn a_seeded_day_ends_as_its_truth_says(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    assert_eq!(task["verdict"], "differences");
    let report = app.get(&format!("/api/v1/reconciliation/reports/{}", task["id"].as_str().unwrap())).await.data();
    let truth = app.truth("2026-01-16");
    for (diff_type, expected) in truth["types"].as_object().unwrap() {
        let found = &report["summary"]["types"][diff_type];
        for part in ["count", "platform_amounts", "channel_amounts"] {
            assert_eq!(found[part], expected[part], "{diff_type} {part}");
        }
    }
    let records = app.records(task["id"].as_str().unwrap()).await;
    assert_eq!(json!(records.len()), task["diff_count"]);
}
