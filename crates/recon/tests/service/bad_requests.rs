//! Requests that are refused, each with its status, its code and the field to blame; and who may call what.

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, Rights, check_rights};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    bad_bodies_name_their_field,
    bad_queries_name_their_parameter,
    unknown_things_are_not_found,
    every_endpoint_knows_its_callers,
    errors_speak_chinese_when_asked_to,
);

const TASKS: &str = "/api/v1/reconciliation/tasks";
const DOWNLOAD: &str = "/api/v1/reconciliation/settlement-files/download";
const ASSIGN: &str = "/api/v1/reconciliation/records/assign";
const BULK_RESOLVE: &str = "/api/v1/reconciliation/records/bulk-resolve";
const RESOLVE: &str = "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001/resolve";
const REOPEN: &str = "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001/reopen";
const COMMENTS: &str = "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001/comments";

fn bad_tasks() -> Vec<(&'static str, Value, &'static str)> {
    let with = |field: &str, value: Value| {
        let mut body = json!({ "task_date": "2026-01-16", "channel": "stripe" });
        body[field] = value;
        body
    };
    vec![
        (TASKS, json!({ "channel": "stripe" }), "task_date"),
        (TASKS, json!({ "task_date": "2026-01-16" }), "channel"),
        (TASKS, with("task_date", json!("16/01/2026")), "task_date"),
        (TASKS, with("task_date", json!("2026-02-30")), "task_date"),
        (TASKS, with("task_date", json!(20_260_116)), "task_date"),
        (TASKS, with("task_date", json!("2999-01-01")), "task_date"),
        (TASKS, with("task_date", json!("-0001-01-01")), "task_date"),
        (TASKS, with("task_date", json!("1969-12-31")), "task_date"),
        (TASKS, with("task_date", json!("9999-12-31")), "task_date"),
        (TASKS, with("task_date", json!("+20260-01-16")), "task_date"),
        (TASKS, with("account", json!("acct\u{200b}")), "account"),
        (TASKS, with("channel", json!("STRIPE")), "channel"),
        (TASKS, with("channel", json!("cash")), "channel"),
        (TASKS, with("task_type", json!("hourly")), "task_type"),
        (TASKS, with("timezone", json!("Mars/Olympus")), "timezone"),
        (TASKS, with("store_matched", json!("yes")), "store_matched"),
        (TASKS, with("account", json!("x".repeat(129))), "account"),
        (TASKS, with("color", json!("red")), "color"),
        (
            TASKS,
            json!({ "task_date": "2011-12-30", "channel": "stripe", "timezone": "Pacific/Apia" }),
            "timezone",
        ),
    ]
}

fn bad_work() -> Vec<(&'static str, Value, &'static str)> {
    let twice = vec!["00000000-0000-7000-8000-000000000001"; 2];
    let day = "2026-01-16";
    vec![
        (DOWNLOAD, json!({ "channel": "stripe" }), "settlement_date"),
        (DOWNLOAD, json!({ "channel": "stripe", "settlement_date": day, "role": "secret" }), "role"),
        (RESOLVE, json!({}), "reason_code"),
        (RESOLVE, json!({ "reason_code": "because" }), "reason_code"),
        (RESOLVE, json!({ "reason_code": "other" }), "note"),
        (RESOLVE, json!({ "reason_code": "other", "note": "x".repeat(2001) }), "note"),
        (RESOLVE, json!({ "reason_code": "other", "note": "x", "status": "open" }), "status"),
        (REOPEN, json!({ "reason": "  " }), "reason"),
        (COMMENTS, json!({ "comment": "" }), "comment"),
        (ASSIGN, json!({ "record_ids": [], "assigned_to": "x" }), "record_ids"),
        (ASSIGN, json!({ "record_ids": ["x"], "assigned_to": "x" }), "record_ids[0]"),
        (BULK_RESOLVE, json!({ "record_ids": twice, "reason_code": "written_off" }), "record_ids"),
    ]
}

async fn bad_bodies_name_their_field(db: TestDb) {
    let app = App::start(db).await;
    for (path, body, field) in bad_tasks().into_iter().chain(bad_work()) {
        let answer = app.post(path, &body).await;
        let found = (answer.status, answer.code(), answer.fields());
        assert_eq!(
            found,
            (400, "INVALID_REQUEST".into(), field.into()),
            "{path} {body}: {:?}",
            answer.json()
        );
    }
}

async fn bad_queries_name_their_parameter(db: TestDb) {
    let app = App::start(db).await;
    for (query, parameter) in [
        ("tasks?status=done", "status"),
        ("tasks?page=0", "page"),
        ("tasks?page_size=101", "page_size"),
        ("tasks?page=101&page_size=100", "page"),
        ("tasks?cursor=nonsense", "cursor"),
        ("tasks?sort=up", "sort"),
        ("tasks?date_from=yesterday", "date_from"),
        ("records?task_id=1", "task_id"),
        ("records?diff_type=odd", "diff_type"),
        ("records?kind=payments", "kind"),
        ("records?task_date=-9999-01-01", "task_date"),
        ("tasks?verdict=ok", "verdict"),
        ("tasks?date_to=%2B200000-01-01", "date_to"),
        ("settlement-files?settlement_date=-9999-01-01", "settlement_date"),
        ("summary?date_to=-9999-01-01", "date_to"),
        ("records?page=1&cursor=x", "cursor"),
        ("records?status=open&status=resolved", "status"),
        ("settlement-files?role=x", "role"),
        ("summary?date_from=2026-02-01&date_to=2026-01-01", "date_from"),
        ("summary?date_from=2020-01-01&date_to=2026-01-01", "date_from"),
    ] {
        let answer = app.get(&format!("/api/v1/reconciliation/{query}")).await;
        assert_eq!(
            (answer.status, answer.fields().as_str()),
            (400, parameter),
            "{query}: {:?}",
            answer.json()
        );
    }
}

async fn unknown_things_are_not_found(db: TestDb) {
    let app = App::start(db).await;
    let id = "00000000-0000-7000-8000-000000000001";
    for (path, code) in [
        (format!("tasks/{id}"), "TASK_NOT_FOUND"),
        (format!("tasks/{id}/events"), "TASK_NOT_FOUND"),
        (format!("records/{id}"), "RECORD_NOT_FOUND"),
        (format!("reports/{id}"), "TASK_NOT_FOUND"),
        ("settlement-files/SETTLE-x".to_owned(), "FILE_NOT_FOUND"),
    ] {
        let answer = app.get(&format!("/api/v1/reconciliation/{path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, code), "{path}");
    }
    let new = json!({ "task_date": "2026-01-16", "channel": "stripe" });
    let task = app.post("/api/v1/reconciliation/tasks", &new).await.data();
    let report = app.get(&format!("/api/v1/reconciliation/reports/{}", task["id"].as_str().unwrap())).await;
    assert_eq!((report.status, report.code().as_str()), (409, "TASK_NOT_COMPLETED"));
    assert_eq!(app.get("/api/v1/reconciliation/tasks/17").await.status, 400);
}

async fn every_endpoint_knows_its_callers(db: TestDb) {
    let app = App::start(db).await;
    let (get, post) = (Method::GET, Method::POST);
    let people: &[&str] = &["operator", "admin"];
    let (put, delete) = (Method::PUT, Method::DELETE);
    let admins: &[&str] = &["admin"];
    let creators: &[&str] = &["operator", "admin", "service"];
    let row = |method: &Method, path, allowed| Rights { method: method.clone(), path, allowed };
    let table = [
        row(&post, "/api/v1/reconciliation/tasks", creators),
        row(&get, "/api/v1/reconciliation/tasks", people),
        row(&get, "/api/v1/reconciliation/tasks/00000000-0000-7000-8000-000000000001", people),
        row(&post, "/api/v1/reconciliation/tasks/00000000-0000-7000-8000-000000000001/execute", people),
        row(&post, "/api/v1/reconciliation/tasks/00000000-0000-7000-8000-000000000001/retry", people),
        row(&post, "/api/v1/reconciliation/tasks/00000000-0000-7000-8000-000000000001/cancel", people),
        row(&get, "/api/v1/reconciliation/tasks/00000000-0000-7000-8000-000000000001/events", people),
        row(&get, "/api/v1/reconciliation/records", people),
        row(&get, "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001", people),
        row(&post, "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001/resolve", people),
        row(&post, "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001/reopen", people),
        row(&post, "/api/v1/reconciliation/records/00000000-0000-7000-8000-000000000001/comments", people),
        row(&post, "/api/v1/reconciliation/records/bulk-resolve", people),
        row(&post, "/api/v1/reconciliation/records/assign", people),
        row(&post, "/api/v1/reconciliation/settlement-files/download", people),
        row(&get, "/api/v1/reconciliation/settlement-files", people),
        row(&post, "/api/v1/reconciliation/settlement-files", people),
        row(&post, "/api/v1/reconciliation/platform-files", people),
        row(&get, "/api/v1/reconciliation/settlement-files/SETTLE-x", people),
        row(&get, "/api/v1/reconciliation/reports/00000000-0000-7000-8000-000000000001", people),
        row(
            &get,
            "/api/v1/reconciliation/reports/00000000-0000-7000-8000-000000000001/download?format=csv",
            people,
        ),
        row(&get, "/api/v1/reconciliation/summary", people),
        row(&get, "/api/v1/reconciliation/schedules", admins),
        row(&post, "/api/v1/reconciliation/schedules", admins),
        row(&get, "/api/v1/reconciliation/schedules/00000000-0000-7000-8000-000000000001", admins),
        row(&put, "/api/v1/reconciliation/schedules/00000000-0000-7000-8000-000000000001", admins),
        row(&delete, "/api/v1/reconciliation/schedules/00000000-0000-7000-8000-000000000001", admins),
    ];
    let differences = check_rights(&app.client, &table).await;
    assert!(differences.is_empty(), "{differences:#?}");
}

async fn errors_speak_chinese_when_asked_to(db: TestDb) {
    let app = App::start(db).await;
    let path = "/api/v1/reconciliation/tasks/00000000-0000-7000-8000-000000000001";
    let answer =
        app.client.get(path).by(As::Operator).header("accept-language", "zh-CN,en;q=0.5").send().await;
    assert!(answer.json()["message"].as_str().unwrap().contains("对账任务"), "{:?}", answer.json());
}
