//! Records are written in many transactions and seen all at once.

use std::collections::BTreeSet;
use std::fmt::Write;

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_sandbox::days::Variant;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    what_is_being_written_is_hidden_until_the_run_ends,
    what_a_cancelled_run_has_written_is_removed,
    thousands_of_records_go_and_return,
);

const RECORDS: &str = "/api/v1/reconciliation/records";
const DATE: &str = "2026-01-16";
const ABOUT: [(&str, &str); 2] = [("channel", "stripe"), ("settlement_date", DATE)];
/// More than one transaction writes.
const ROWS: usize = 5_000;

/// Has the last transaction of every run fail, or succeed again.
async fn rename_runs(app: &App, from: &str, to: &str) {
    let sql = format!("ALTER TABLE {from} RENAME TO {to}");
    app.db
        .write("test.rename", move |tx| {
            let sql = sql.clone();
            Box::pin(async move { Ok(tx.execute_unprepared(&sql).await.map(|_| ())?) })
        })
        .await
        .unwrap();
}

/// How many records of a task lie in the table, seen or not.
async fn stored(app: &App, id: &str) -> i64 {
    let db = &app.context().db;
    let sql = "SELECT CAST(COUNT(*) AS BIGINT) AS stored FROM reconciliation_records WHERE task_id = $1";
    let id: uuid::Uuid = id.parse().unwrap();
    let row = db.read().query_one_raw(db.backend().statement(sql, [id.into()])).await.unwrap();
    row.unwrap().try_get("", "stored").unwrap()
}

async fn shown(app: &App, id: &str) -> Value {
    app.get(&format!("{RECORDS}?task_id={id}")).await.data()["total"].clone()
}

async fn what_is_being_written_is_hidden_until_the_run_ends(db: TestDb) {
    let app = App::start(db).await;
    rename_runs(&app, "reconciliation_runs", "elsewhere").await;
    let id = app.begin(DATE).await;
    app.until(&id, |task| task["phase"] == "waiting" && task["progress"] == 99).await;
    assert!(stored(&app, &id).await > 0, "they are written");
    assert_eq!(shown(&app, &id).await, 0, "and hidden");
    rename_runs(&app, "elsewhere", "reconciliation_runs").await;
    let task = app.ended(&id).await;
    assert_eq!(task["status"], "completed", "{task}");
    let records = app.records(&id).await;
    assert_eq!(records.len(), usize::try_from(stored(&app, &id).await).unwrap(), "what was left is gone");
    let ids: BTreeSet<&str> = records.iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), records.len(), "each is there once");
}

async fn what_a_cancelled_run_has_written_is_removed(db: TestDb) {
    let app = App::start(db).await;
    rename_runs(&app, "reconciliation_runs", "elsewhere").await;
    let id = app.begin(DATE).await;
    app.until(&id, |task| task["phase"] == "waiting" && task["progress"] == 99).await;
    let path = format!("/api/v1/reconciliation/tasks/{id}/cancel");
    assert_eq!(app.post(&path, &json!({})).await.status, 200);
    rename_runs(&app, "elsewhere", "reconciliation_runs").await;
    // The attempt that comes next finds that nobody wants it any more.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while stored(&app, &id).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "what was written is still there");
        tokio::task::yield_now().await;
    }
    assert_eq!(shown(&app, &id).await, 0);
}

/// Payments that the channel does not know, with texts that a database could take for something else.
fn payments(series: &str) -> String {
    let mut file =
        String::from("payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n");
    for (number, text) in [r#""NULL""#, r#""a""b\c{d},e' 数""#].iter().enumerate() {
        writeln!(file, "{series}X{number},{text},100,USD,succeeded,{DATE}T10:00:00Z,M1").unwrap();
    }
    for number in 0..ROWS {
        writeln!(file, "{series}{number},ch_{series}{number},100,USD,succeeded,{DATE}T10:00:00Z,M1").unwrap();
    }
    file
}

/// The ids of a task's records of a platform's series.
async fn of_series(app: &App, id: &str, series: char) -> Vec<String> {
    let records = app.records(id).await;
    let of = |record: &&Value| record["payment_no"].as_str().is_some_and(|number| number.starts_with(series));
    records.iter().filter(of).map(|record| record["id"].as_str().unwrap().to_owned()).collect()
}

async fn thousands_of_records_go_and_return(db: TestDb) {
    let app = App::start(db).await;
    let (_, settlement) = app.day_files(DATE, Variant::Clean);
    app.upload("settlement-files", &ABOUT, &settlement).await;
    app.upload("platform-files", &ABOUT, payments("A").as_bytes()).await;
    let task = app.reconcile(DATE).await;
    let id = task["id"].as_str().unwrap();
    let first = of_series(&app, id, 'A').await;
    assert_eq!(first.len(), ROWS + 2);
    let odd = app.get(&format!("{RECORDS}?payment_no=AX1")).await.data();
    assert_eq!(odd["items"][0]["channel_trade_no"], r#"a"b\c{d},e' 数"#);
    let odd = app.get(&format!("{RECORDS}?payment_no=AX0")).await.data();
    assert_eq!(odd["items"][0]["channel_trade_no"], "NULL");

    app.upload("platform-files", &ABOUT, payments("B").as_bytes()).await;
    app.until(id, |task| task["run_no"] == 2 && task["status"] == "completed").await;
    assert_eq!(of_series(&app, id, 'A').await.len(), 0);
    assert_eq!(of_series(&app, id, 'B').await.len(), ROWS + 2);

    // The first is in force again, and its records are the same ones.
    let about = [ABOUT[0], ABOUT[1], ("restore", "true")];
    app.upload("platform-files", &about, payments("A").as_bytes()).await;
    app.until(id, |task| task["run_no"] == 3 && task["status"] == "completed").await;
    assert_eq!(of_series(&app, id, 'A').await, first);
    let report = app.report(&task).await;
    let last = report["runs"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["records_added"], &last["records_gone"]), (&json!(ROWS + 2), &json!(ROWS + 2)));
    let history = app.get(&format!("{RECORDS}/{}", first[0])).await.data()["history"].clone();
    assert_eq!((&history[0]["action"], &history[1]["action"]), (&json!("gone"), &json!("returned")));
}
