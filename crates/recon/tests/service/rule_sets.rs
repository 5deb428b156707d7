//! Rules of tolerance in versions, and which of them a run follows.

use futures::future::join_all;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_version_is_made_shown_and_put_in_force_once,
    rules_that_cannot_be_used_name_their_place,
    only_admins_make_rules,
    of_versions_made_at_once_none_is_lost,
    a_run_follows_the_version_that_was_in_force_at_its_start,
);

pub const RULE_SETS: &str = "/api/v1/reconciliation/rule-sets";
pub const DATE: &str = "2026-01-16";

pub async fn admin(app: &App, path: &str, body: &Value) -> TestAnswer {
    app.client.post(path, body).by(As::Admin).send().await
}

/// Makes a version of these rules and puts it in force.
pub async fn in_force(app: &App, rules: &Value) -> i64 {
    let made = admin(app, RULE_SETS, &json!({ "tolerance": rules })).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    let version = made.data()["version"].as_i64().unwrap();
    let activated = admin(app, &format!("{RULE_SETS}/{version}/activate"), &json!({})).await;
    assert_eq!(activated.status, 200, "{:?}", activated.json());
    version
}

/// Rows of the platform: number, the channel's id, amount.
pub fn ours(rows: &[(&str, &str, i64)]) -> String {
    let row = |(number, id, amount): &(&str, &str, i64)| {
        format!("{number},{id},{amount},USD,succeeded,{DATE}T10:00:00Z,M1\n")
    };
    rows.iter().map(row).collect::<Vec<_>>().concat()
}

/// Rows of the channel: id, amount.
pub fn theirs(rows: &[(&str, i64)]) -> String {
    rows.iter().map(|(id, amount)| format!("{id},{amount},USD,paid\n")).collect::<Vec<_>>().concat()
}

/// Runs the day's task, once more if there is one.
pub async fn run(app: &App) -> Value {
    let body = json!({ "task_date": DATE, "channel": "adyen" });
    let created = app.post("/api/v1/reconciliation/tasks", &body).await.data();
    let id = created["id"].as_str().or(created["task_id"].as_str()).unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let task = app.ended(id).await;
    assert_eq!(task["status"], "completed", "{task}");
    task
}

async fn a_version_is_made_shown_and_put_in_force_once(db: TestDb) {
    let app = App::start(db).await;
    let yen = json!({ "name": "yen", "priority": 20, "currencies": ["JPY", "JPY"], "kinds": ["refund", "payment"], "max_amount": 1 });
    let fee = json!({ "name": "fee", "priority": 10, "channels": ["paypal"], "max_basis_points": 25 });
    let made = admin(&app, RULE_SETS, &json!({ "tolerance": [fee, yen], "note": "since May" })).await;
    let first = made.data();
    assert_eq!((made.status, &first["version"], &first["note"]), (201, &json!(1), &json!("since May")));
    assert_eq!((&first["created_by"], &first["activated_at"]), (&json!("ada"), &Value::Null));
    let shown = json!({ "name": "yen", "priority": 20, "currencies": ["JPY"], "kinds": ["payment", "refund"], "max_amount": 1 });
    assert_eq!(first["tolerance"], json!([shown, fee]), "the first to be asked first");
    assert_eq!(app.get(&format!("{RULE_SETS}/1")).await.data(), first);

    let same = admin(&app, RULE_SETS, &json!({ "tolerance": [yen, fee] })).await.data();
    assert_eq!((&same["version"], &same["rules_hash"]), (&json!(2), &first["rules_hash"]));
    let listed = app.get(RULE_SETS).await.data();
    assert_eq!((&listed["total"], &listed["items"][0]["version"]), (&json!(2), &json!(2)));

    let path = |version: i64| format!("{RULE_SETS}/{version}/activate");
    let activated = admin(&app, &path(2), &json!({})).await;
    assert_eq!((activated.status, &activated.data()["activated_by"]), (200, &json!("ada")));
    let again = admin(&app, &path(2), &json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "RULE_SET_ALREADY_ACTIVATED"));
    let overtaken = admin(&app, &path(1), &json!({})).await;
    assert_eq!((overtaken.status, overtaken.code().as_str()), (409, "RULE_SET_OVERTAKEN"));
    assert_eq!(overtaken.data()["in_force"], 2);
    assert_eq!(admin(&app, &path(3), &json!({})).await.code(), "RULE_SET_NOT_FOUND");
    assert_eq!(app.get(&format!("{RULE_SETS}/3")).await.code(), "RULE_SET_NOT_FOUND");
    let misformed = app.get(&format!("{RULE_SETS}/latest")).await;
    assert_eq!((misformed.status, misformed.fields().as_str()), (400, "version"));
}

async fn rules_that_cannot_be_used_name_their_place(db: TestDb) {
    let app = App::start(db).await;
    let good = json!({ "name": "good", "priority": 1, "currencies": ["USD"], "max_amount": 5 });
    for (field, value, path) in [
        ("name", json!(" "), "tolerance[1].name"),
        ("name", json!("good"), "tolerance[1].name"),
        ("priority", json!(1), "tolerance[1].priority"),
        ("channels", json!(["unheard-of"]), "tolerance[1].channels[0]"),
        ("currencies", json!([]), "tolerance[1].currencies"),
        ("currencies", json!(["dollars"]), "tolerance[1].currencies[0]"),
        ("kinds", json!(["fee"]), "tolerance[1].kinds"),
        ("max_amount", json!(-1), "tolerance[1].max_amount"),
        ("max_amount", Value::Null, "tolerance[1].max_amount"),
        ("max_amount", json!(1_u64 << 63), "tolerance[1].max_amount"),
        ("max_basis_points", json!(10_000), "tolerance[1].max_basis_points"),
        ("max_percent", json!(1), "tolerance[1].max_percent"),
    ] {
        let mut rule = json!({ "name": "bad", "priority": 2, "currencies": ["USD"], "max_amount": 5 });
        rule[field] = value;
        let refused = admin(&app, RULE_SETS, &json!({ "tolerance": [good, rule] })).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, path), "{rule}");
    }
    let noted = admin(&app, RULE_SETS, &json!({ "tolerance": [], "note": "x".repeat(2001) })).await;
    assert_eq!((noted.status, noted.fields().as_str()), (400, "note"));
    assert_eq!(app.get(RULE_SETS).await.data()["total"], 0);
}

async fn only_admins_make_rules(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "tolerance": [] });
    assert_eq!(app.post(RULE_SETS, &body).await.status, 403);
    let send = || app.client.post(RULE_SETS, &body).by(As::Admin).header("idempotency-key", "once");
    let (first, second) = (send().send().await, send().send().await);
    assert_eq!((first.status, second.status, first.data()), (201, 201, second.data()));
    assert_eq!(app.post(&format!("{RULE_SETS}/1/activate"), &json!({})).await.status, 403);
    assert_eq!(app.get(RULE_SETS).await.data()["total"], 1);
}

async fn of_versions_made_at_once_none_is_lost(db: TestDb) {
    let app = App::start(db).await;
    let body = json!({ "tolerance": [] });
    let made = join_all((0..5).map(|_| admin(&app, RULE_SETS, &body))).await;
    let mut versions: Vec<i64> =
        made.iter().map(|answer| answer.data()["version"].as_i64().unwrap()).collect();
    versions.sort_unstable();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
    let (path, nothing) = (format!("{RULE_SETS}/5/activate"), json!({}));
    let statuses = join_all((0..5).map(|_| admin(&app, &path, &nothing))).await;
    assert_eq!(statuses.iter().filter(|answer| answer.status == 200).count(), 1, "one of them did it");
}

async fn a_run_follows_the_version_that_was_in_force_at_its_start(db: TestDb) {
    let app = App::start(db).await;
    app.hand_over_day(
        DATE,
        &ours(&[("P1", "ch_1", 1000), ("P2", "ch_2", 500)]),
        &theirs(&[("ch_1", 997), ("ch_2", 500)]),
    )
    .await;
    let task = run(&app).await;
    assert_eq!((&task["diff_count"], &task["rule_set_version"]), (&json!(1), &Value::Null));
    let plain = app.report(&task).await;
    assert_eq!(
        (&plain["rule_set"], &plain["certificate"]["parameters"]["rule_set_version"]),
        (&Value::Null, &Value::Null)
    );

    let version =
        in_force(&app, &json!([{ "name": "fee", "priority": 1, "currencies": ["USD"], "max_amount": 3 }]))
            .await;
    let task = run(&app).await;
    assert_eq!((&task["diff_count"], &task["rule_set_version"]), (&json!(0), &json!(version)), "{task}");
    let report = app.report(&task).await;
    assert_eq!(report["summary"]["adjustments"], json!({ "fee": { "USD": { "count": 1, "amount": -3 } } }));
    let set = app.get(&format!("{RULE_SETS}/{version}")).await.data();
    assert_eq!(
        (&report["rule_set"]["version"], &report["rule_set"]["rules_hash"]),
        (&set["version"], &set["rules_hash"])
    );
    assert_eq!(
        (&report["runs"][0]["rule_set_version"], &report["runs"][1]["rule_set_version"]),
        (&Value::Null, &json!(version))
    );
    let certificate = &report["certificate"];
    assert_eq!(certificate["parameters"]["rule_set_version"], version.to_string());
    let mut inputs = certificate["inputs"].as_array().unwrap().iter();
    assert_eq!(inputs.find(|input| input["role"] == "rules").unwrap()["sha256"], set["rules_hash"]);
}
