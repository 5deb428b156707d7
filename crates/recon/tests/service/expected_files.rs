//! Expected files: what admins say of them, and what is refused.

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    an_expected_file_is_made_shown_changed_and_removed,
    bad_expected_files_name_their_field,
    only_admins_change_what_is_expected,
    a_task_names_the_expected_files_that_are_late,
);

pub const EXPECTED: &str = "/api/v1/reconciliation/expected-files";

pub async fn call(app: &App, method: Method, path: &str, body: &Value) -> TestAnswer {
    app.client.request(method, path).json(body).by(As::Admin).send().await
}

async fn an_expected_file_is_made_shown_changed_and_removed(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({
        "channel": "paypal", "account": "east", "timezone": "Asia/Shanghai", "due_after_days": 2, "due_time": "09:30",
        "weekdays": ["fri", "mon"], "holidays": ["2026-10-01", "2026-05-01"],
        "name_pattern": "b_(?<sequence>\\d+)\\.csv",
    });
    let answer = call(&app, Method::POST, EXPECTED, &body).await;
    let made = answer.data();
    assert_eq!((answer.status, answer.header("etag")), (201, "\"1\""), "{made}");
    assert_eq!((&made["role"], &made["weekdays"]), (&json!("settlement"), &json!(["mon", "fri"])));
    assert_eq!(
        (&made["holidays"], &made["escalate_after_hours"]),
        (&json!(["2026-05-01", "2026-10-01"]), &json!(24))
    );
    assert!(made["counts_from"].is_string(), "today, unless another day is named");
    let path = format!("{EXPECTED}/{}", made["id"].as_str().unwrap());
    assert_eq!(app.get(&path).await.data(), made);

    let again = call(&app, Method::POST, EXPECTED, &body).await;
    assert_eq!((again.status, again.code().as_str()), (409, "EXPECTED_FILE_EXISTS"));
    assert_eq!(again.data()["expected_file_id"], made["id"]);
    let mut summary = body.clone();
    summary["role"] = json!("balance_summary");
    assert_eq!(
        call(&app, Method::POST, EXPECTED, &summary).await.status,
        201,
        "another role is another file"
    );
    let listed = app.get(&format!("{EXPECTED}?role=settlement&channel=paypal")).await.data();
    assert_eq!((&listed["total"], &listed["items"][0]), (&json!(1), &made));

    let mut changed = body.clone();
    changed["due_time"] = json!("18:00");
    let put = app.client.request(Method::PUT, &path).json(&changed).by(As::Admin).header("if-match", "\"1\"");
    let put = put.send().await;
    assert_eq!((put.status, put.header("etag"), &put.data()["due_time"]), (200, "\"2\"", &json!("18:00")));
    assert_eq!(put.data()["counts_from"], made["counts_from"]);
    let stale =
        app.client.request(Method::DELETE, &path).by(As::Admin).header("if-match", "\"1\"").send().await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "VERSION_MISMATCH"));
    for (field, value) in
        [("channel", "adyen"), ("account", "west"), ("role", "platform"), ("timezone", "Etc/UTC")]
    {
        let mut other = body.clone();
        other[field] = json!(value);
        let refused = call(&app, Method::PUT, &path, &other).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, field));
    }
    let removed = call(&app, Method::DELETE, &path, &json!({})).await;
    assert_eq!((removed.status, &removed.data()["version"]), (200, &json!(2)));
    assert_eq!(app.get(&path).await.code(), "EXPECTED_FILE_NOT_FOUND");
}

async fn bad_expected_files_name_their_field(db: TestDb) {
    let app = App::start(db).await;
    for (field, value) in [
        ("channel", json!("unheard-of")),
        ("account", json!("a\u{200b}b")),
        ("role", json!("invoice")),
        ("timezone", json!("Mars/Olympus")),
        ("due_after_days", json!(32)),
        ("due_after_days", json!(-1)),
        ("due_time", json!("24:00")),
        ("due_time", json!("9:30")),
        ("due_time", json!("09.30")),
        ("weekdays", json!([])),
        ("holidays", json!(["0001-01-01"])),
        ("holidays", json!(vec!["2026-01-01"; 401])),
        ("counts_from", json!("2001-01-01")),
        ("counts_from", json!("9999-01-01")),
        ("escalate_after_hours", json!(0)),
        ("escalate_after_hours", json!(721)),
        ("name_pattern", json!("(?<sequence>")),
        ("name_pattern", json!("(?<batch>.*)")),
        ("name_pattern", json!("")),
        ("name_pattern", json!("(?<part>((a{50}){50}){50})")),
        ("cron", json!("0 0 * * *")),
    ] {
        let mut body = json!({ "channel": "adyen", "due_time": "09:30" });
        body[field] = value;
        let refused = call(&app, Method::POST, EXPECTED, &body).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, field), "{body}");
    }
    assert_eq!(app.get(EXPECTED).await.data()["total"], 0);
}

async fn only_admins_change_what_is_expected(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "channel": "adyen", "due_time": "09:30" });
    let made = call(&app, Method::POST, EXPECTED, &body).await.data();
    let path = format!("{EXPECTED}/{}", made["id"].as_str().unwrap());
    for (method, path) in [(Method::POST, EXPECTED), (Method::PUT, &path), (Method::DELETE, &path)] {
        let body = if method == Method::DELETE { json!({}) } else { body.clone() };
        let refused = app.client.request(method, path).json(&body).by(As::Operator).send().await;
        assert_eq!(refused.status, 403);
    }
    assert_eq!(app.get(&path).await.data(), made, "operators read");
}

async fn a_task_names_the_expected_files_that_are_late(db: TestDb) {
    let app = App::start(db).await;
    let day = "2026-01-16";
    let body = json!({ "channel": "adyen", "due_time": "12:00", "counts_from": day });
    let expected = call(&app, Method::POST, EXPECTED, &body).await.data();
    let mut bank = body.clone();
    bank["role"] = json!("bank_statement");
    bank["due_after_days"] = json!(3);
    let bank = call(&app, Method::POST, EXPECTED, &bank).await.data();
    let elsewhere = json!({ "channel": "adyen", "account": "b", "due_time": "12:00", "counts_from": day });
    assert_eq!(call(&app, Method::POST, EXPECTED, &elsewhere).await.status, 201);

    let tasks = "/api/v1/reconciliation/tasks";
    let made = app.post(tasks, &json!({ "task_date": day, "channel": "adyen" })).await.data();
    let path = format!("{tasks}/{}", made["id"].as_str().unwrap());
    assert_eq!(app.post(&format!("{path}/execute"), &json!({})).await.status, 202);
    let failed = app.ended(made["id"].as_str().unwrap()).await;
    let late = [
        json!({ "expected_file_id": bank["id"], "role": "bank_statement", "due_at": "2026-01-19T12:00:00Z" }),
        json!({ "expected_file_id": expected["id"], "role": "settlement", "due_at": "2026-01-17T12:00:00Z" }),
    ];
    assert_eq!((&failed["status"], &failed["late_inputs"]), (&json!("failed"), &json!(late)), "{failed}");
    assert_eq!(app.get(tasks).await.data()["items"][0]["late_inputs"], Value::Null, "lists stay short");

    let row = "PAY-1,ch_1,1000,EUR,success,2026-01-16T08:00:00Z,M-1\n";
    app.hand_over_day(day, row, "ch_1,1000,EUR,paid\n").await;
    let task = app.until(made["id"].as_str().unwrap(), |task| task["status"] == "completed").await;
    assert_eq!(task["late_inputs"], json!([late[0]]), "what has come is there");
    let excuse = format!("/api/v1/reconciliation/completeness/{}/{day}/excuse", bank["id"].as_str().unwrap());
    assert_eq!(app.post(&excuse, &json!({ "note": "no account yet" })).await.status, 200);
    assert_eq!(app.get(&path).await.data()["late_inputs"], json!([]));
}
