//! Another version of the rules over days that were reconciled: what it would gain, lose and change, and that it touches
//! nothing.

use std::fmt::Write;
use std::sync::atomic::{AtomicI64, Ordering};

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer};
use sea_orm::{ConnectionTrait, FromQueryResult};
use serde_json::{Value, json};

use crate::harness::App;
use crate::rule_sets::{RULE_SETS, admin, in_force, theirs};

both_databases!(payops_recon::MIGRATIONS;
    what_is_gained_lost_and_changed_is_told_of_pair_by_pair,
    it_touches_nothing_of_the_tasks,
    a_task_without_its_file_fails_alone,
    it_is_compared_with_the_version_that_is_named,
    of_many_changes_the_first_are_listed_and_all_are_counted,
    what_cannot_be_tested_is_refused,
    only_admins_make_them_and_once,
    another_instance_goes_on_after_a_crash,
    of_instances_that_lose_their_leases_none_writes_a_task_twice,
    what_was_called_off_stays_so,
    what_is_removed_is_gone_with_all_that_it_found,
    only_what_is_over_is_removed,
);

const BACK_TESTS: &str = "/api/v1/reconciliation/back-tests";
const FIRST: &str = "2026-01-16";
const SECOND: &str = "2026-01-17";

/// The version of these rules, which nobody puts in force.
async fn version(app: &App, rules: &Value) -> i64 {
    let made = admin(app, RULE_SETS, &json!({ "tolerance": rules })).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    made.data()["version"].as_i64().unwrap()
}

/// Up to three cents of every payment in dollars.
fn cents() -> Value {
    json!([{ "name": "cents", "priority": 1, "currencies": ["USD"], "max_amount": 3 }])
}

/// A ten-thousandth of every payment.
fn points() -> Value {
    json!([{ "name": "points", "priority": 1, "max_basis_points": 1 }])
}

/// The amount of a payment that a side does not know.
const ABSENT: i64 = 0;

/// Reconciles a day of these rows: number, the channel's id, our amount, and the channel's.
async fn day(app: &App, date: &str, rows: &[(&str, &str, i64, i64)]) -> Value {
    let mut ours = String::new();
    for (number, id, amount, _) in rows.iter().filter(|(_, _, amount, _)| *amount != ABSENT) {
        writeln!(ours, "{number},{id},{amount},USD,succeeded,{date}T10:00:00Z,M1").unwrap();
    }
    let there = rows.iter().filter(|(.., amount)| *amount != ABSENT);
    let channel: Vec<(&str, i64)> = there.map(|(_, id, _, amount)| (*id, *amount)).collect();
    app.hand_over_day(date, &ours, &theirs(&channel)).await;
    let body = json!({ "task_date": date, "channel": "adyen" });
    let created = app.post("/api/v1/reconciliation/tasks", &body).await.data();
    let id = created["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let task = app.ended(id).await;
    assert_eq!(task["status"], "completed", "{task}");
    task
}

/// A day whose first payment is within `cents` alone, the second within `points` alone, the third within both.
const OF_ALL_KINDS: [(&str, &str, i64, i64); 5] = [
    ("P1", "ch_1", 1_000, 997),
    ("P2", "ch_2", 100_000, 99_995),
    ("P3", "ch_3", 20_000, 19_999),
    ("P4", "ch_4", 500, 500),
    ("P5", "ch_5", 700, 100),
];

/// The days of the channel that these tests hand over.
fn both_days() -> Value {
    json!({ "channel": "adyen", "first_date": FIRST, "last_date": SECOND })
}

async fn make(app: &App, version: i64, body: &Value) -> Value {
    let made = admin(app, &format!("{RULE_SETS}/{version}/back-tests"), body).await;
    assert_eq!(made.status, 202, "{:?}", made.json());
    made.data()
}

async fn until(app: &App, test: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("{BACK_TESTS}/{}", test["id"].as_str().unwrap());
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let test = app.get(&path).await.data();
        if wanted(&test) {
            return test;
        }
        assert!(tokio::time::Instant::now() < deadline, "not yet: {test}");
        tokio::task::yield_now().await;
    }
}

async fn completed(app: &App, test: &Value) -> Value {
    until(app, test, |test| test["status"] == "completed").await
}

async fn changes(app: &App, test: &Value, query: &str) -> Value {
    let path = format!("{BACK_TESTS}/{}/changes?{query}", test["id"].as_str().unwrap());
    let listed = app.get(&path).await;
    assert_eq!(listed.status, 200, "{:?}", listed.json());
    listed.data()
}

async fn tasks(app: &App, test: &Value) -> Vec<Value> {
    let path = format!("{BACK_TESTS}/{}/tasks", test["id"].as_str().unwrap());
    app.get(&path).await.data()["items"].as_array().unwrap().clone()
}

async fn what_is_gained_lost_and_changed_is_told_of_pair_by_pair(db: TestDb) {
    let app = App::start(db).await;
    let cents = in_force(&app, &cents()).await;
    let points = version(&app, &points()).await;
    let task = day(&app, FIRST, &OF_ALL_KINDS).await;
    assert_eq!(task["diff_count"], 2);
    let test = make(&app, points, &both_days()).await;
    assert_eq!((&test["status"], &test["tasks_total"]), (&json!("pending"), &json!(1)));

    let test = completed(&app, &test).await;
    assert_eq!((&test["rule_set_version"], &test["baseline_version"]), (&json!(points), &Value::Null));
    assert_eq!(
        (&test["tasks_done"], &test["tasks_failed"], &test["tasks_left_out"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let before = json!({ "matched": 3, "differences": 2, "within_tolerance": 2,
        "adjustments": { "cents": { "USD": { "count": 2, "amount": -4 } } } });
    let after = json!({ "matched": 3, "differences": 2, "within_tolerance": 2,
        "adjustments": { "points": { "USD": { "count": 2, "amount": -6 } } } });
    assert_eq!((&test["before"], &test["after"]), (&before, &after));
    let totals = |count: [i64; 2], money: [i64; 4]| {
        json!({ "count": 1, "differences_before": count[0], "differences_after": count[1], "currencies": { "USD": {
            "count": 1, "platform_amount": money[0], "channel_amount": money[1],
            "adjustments_before": money[2], "adjustments_after": money[3] } } })
    };
    let expected = json!({
        "gained": totals([1, 0], [100_000, 99_995, 0, -5]),
        "lost": totals([0, 1], [1_000, 997, -3, 0]),
        "changed": totals([0, 0], [20_000, 19_999, -1, -1]),
    });
    assert_eq!(test["changes"], expected);

    let entry = &tasks(&app, &test).await[0];
    assert_eq!(
        (&entry["task_id"], &entry["run_no"], &entry["baseline_version"]),
        (&task["id"], &json!(1), &json!(cents))
    );
    assert_eq!(
        (&entry["changes"], &entry["change_count"], &entry["is_truncated"]),
        (&expected, &json!(3), &json!(false))
    );

    let all = changes(&app, &test, "page_size=2").await;
    let rest =
        changes(&app, &test, &format!("page_size=2&cursor={}", all["next_cursor"].as_str().unwrap())).await;
    assert_eq!((&all["total"], &rest["items"][0]["kind"]), (&json!(3), &json!("changed")));
    let gained = changes(&app, &test, &format!("kind=gained&task_id={}", task["id"].as_str().unwrap())).await;
    let pair = &gained["items"][0];
    assert_eq!(gained["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&pair["before"]["diff_type"], &pair["before"]["rule"]),
        (&json!("amount_diff"), &Value::Null)
    );
    assert_eq!(
        (&pair["after"]["diff_type"], &pair["after"]["rule"], &pair["after"]["adjustment"]),
        (&json!("within_tolerance"), &json!("points"), &json!(-5))
    );
    let ours = &pair["after"]["platform"];
    assert_eq!(
        (&ours["row_id"], &ours["line"], &ours["amount"], &ours["currency"]),
        (&json!("P2"), &json!(3), &json!(100_000), &json!("USD"))
    );
    assert_eq!(pair["after"]["channel"]["channel_trade_no"], "ch_2");
    assert_eq!(
        app.get(&format!("{BACK_TESTS}/{}/changes?kind=won", test["id"].as_str().unwrap())).await.fields(),
        "kind"
    );
}

/// Every row of the tables that say what was found of tasks.
async fn all_that_is_known(app: &App) -> Vec<Value> {
    let db = &app.context().db;
    let mut known = Vec::new();
    for table in ["tasks", "runs", "records", "record_events", "carried_rows", "payouts", "found"] {
        let sql = format!("SELECT * FROM reconciliation_{table} ORDER BY 1");
        let rows = Value::find_by_statement(db.backend().statement(&sql, [])).all(db.read()).await.unwrap();
        known.extend(rows);
    }
    known
}

async fn it_touches_nothing_of_the_tasks(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &cents()).await;
    let points = version(&app, &points()).await;
    let cut_off = json!({ "time": "09:00", "timezone": "Etc/UTC", "covers": "all" });
    let settings = json!({ "channel": "adyen", "cut_off": cut_off });
    let made =
        app.client.post("/api/v1/reconciliation/channel-settings", &settings).by(As::Admin).send().await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    // Looked for on the next day, and found there, two cents short.
    let task = day(&app, FIRST, &[&OF_ALL_KINDS[..], &[("P6", "ch_6", 30_000, ABSENT)]].concat()).await;
    assert_eq!(task["timing_count"], 1, "{task}");
    let next = day(&app, SECOND, &[&OF_ALL_KINDS[..2], &[("", "ch_6", ABSENT, 29_998)]].concat()).await;
    let before = all_that_is_known(&app).await;
    assert!(before.len() > 10, "{before:?}");
    let report = app.report(&task).await;
    let test = make(&app, points, &both_days()).await;
    let test = completed(&app, &test).await;
    assert_eq!((&test["tasks_done"], &test["changes"]["lost"]["count"]), (&json!(2), &json!(2)));
    for (entry, task) in tasks(&app, &test).await.iter().zip([&task, &next]) {
        assert_eq!(entry["before"]["differences"], task["diff_count"], "{entry} {task}");
        assert_eq!(entry["before"]["matched"], task["matched_count"], "{entry} {task}");
    }
    let query = format!("kind=changed&task_id={}", next["id"].as_str().unwrap());
    let carried = changes(&app, &test, &query).await["items"][0].clone();
    assert_eq!((&carried["before"]["rule"], &carried["after"]["rule"]), (&json!("cents"), &json!("points")));
    let (ours, theirs) = (&carried["after"]["platform"], &carried["after"]["channel"]);
    assert_eq!(
        (&ours["line"], &ours["row_id"], &theirs["amount"]),
        (&Value::Null, &json!("P6"), &json!(29_998))
    );
    assert_eq!(all_that_is_known(&app).await, before);
    assert_eq!(app.report(&task).await, report);
}

async fn a_task_without_its_file_fails_alone(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &cents()).await;
    let points = version(&app, &points()).await;
    day(&app, FIRST, &OF_ALL_KINDS).await;
    let settlements = "/api/v1/reconciliation/settlement-files?channel=adyen";
    let hash = app.get(settlements).await.data()["items"][0]["file_hash"].as_str().unwrap().to_owned();
    day(&app, SECOND, &OF_ALL_KINDS[..2]).await;
    let pending = json!({ "task_date": "2026-01-15", "channel": "adyen" });
    app.post("/api/v1/reconciliation/tasks", &pending).await;
    remove_files_of(app.files.path(), &hash);

    let days = json!({ "channel": "adyen", "account": "", "first_date": "2026-01-15", "last_date": SECOND });
    let test = make(&app, points, &days).await;
    let test = completed(&app, &test).await;
    assert_eq!(
        (&test["tasks_total"], &test["tasks_done"], &test["tasks_failed"], &test["tasks_left_out"]),
        (&json!(2), &json!(2), &json!(1), &json!(1))
    );
    let entries = tasks(&app, &test).await;
    assert_eq!(
        (&entries[0]["status"], &entries[0]["error_code"]),
        (&json!("failed"), &json!("STORED_FILE_MISSING"))
    );
    assert_eq!((&entries[1]["status"], &entries[1]["change_count"]), (&json!("completed"), &json!(2)));
    assert_eq!(test["changes"], entries[1]["changes"]);
}

/// Removes every file whose name has these bytes' hash in it.
fn remove_files_of(folder: &std::path::Path, hash: &str) {
    let mut folders = vec![folder.to_owned()];
    let mut removed = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains(hash) {
                std::fs::remove_file(path).unwrap();
                removed += 1;
            }
        }
    }
    assert_eq!(removed, 1);
}

async fn it_is_compared_with_the_version_that_is_named(db: TestDb) {
    let app = App::start(db).await;
    let task = day(&app, FIRST, &OF_ALL_KINDS).await;
    let (cents, points) = (version(&app, &cents()).await, version(&app, &points()).await);
    let body = json!({ "task_ids": [task["id"]] });
    let without = completed(&app, &make(&app, points, &body).await).await;
    let kinds = |test: &Value| {
        ["gained", "lost", "changed"].map(|kind| test["changes"][kind]["count"].as_u64().unwrap())
    };
    assert_eq!(kinds(&without), [2, 0, 0], "nothing was tolerated");
    assert_eq!((&without["channel"], &without["before"]["differences"]), (&Value::Null, &json!(3 + 1)));
    let named = json!({ "task_ids": [task["id"], task["id"]], "baseline": cents });
    let named = completed(&app, &make(&app, points, &named).await).await;
    assert_eq!(kinds(&named), [1, 1, 1]);
    assert_eq!((&named["baseline_version"], &named["tasks_total"]), (&json!(cents), &json!(1)));
    let same = json!({ "task_ids": [task["id"]], "baseline": points });
    let same = completed(&app, &make(&app, points, &same).await).await;
    assert_eq!((kinds(&same), &same["before"]), ([0, 0, 0], &same["after"]));
    let listed = app.get(&format!("{BACK_TESTS}?rule_set_version={points}&status=completed")).await.data();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(3), &same["id"]), "the newest first");
    assert_eq!(app.get(&format!("{BACK_TESTS}?rule_set_version={cents}")).await.data()["total"], 0);
}

async fn of_many_changes_the_first_are_listed_and_all_are_counted(db: TestDb) {
    const MANY: i64 = 10_001;
    let app = App::start(db).await;
    let cents = version(&app, &cents()).await;
    let names: Vec<[String; 2]> = (0..MANY).map(|n| [format!("P{n}"), format!("ch_{n}")]).collect();
    let rows: Vec<_> = names.iter().map(|[number, id]| (number.as_str(), id.as_str(), 1_000, 999)).collect();
    let task = day(&app, FIRST, &rows).await;
    let test = completed(&app, &make(&app, cents, &json!({ "task_ids": [task["id"]] })).await).await;
    let gained = &test["changes"]["gained"];
    assert_eq!(
        (&gained["count"], &gained["currencies"]["USD"]["adjustments_after"]),
        (&json!(MANY), &json!(-MANY))
    );
    let entry = &tasks(&app, &test).await[0];
    assert_eq!((&entry["change_count"], &entry["is_truncated"]), (&json!(MANY), &json!(true)));
    let listed = changes(&app, &test, "kind=gained&page=100&page_size=100").await;
    let (items, next) = (listed["items"].as_array().unwrap(), &listed["next_cursor"]);
    assert_eq!((&items[99]["ordinal"], next), (&json!(9_999), &Value::Null));
}

async fn what_cannot_be_tested_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let version = version(&app, &cents()).await;
    let path = format!("{RULE_SETS}/{version}/back-tests");
    let unknown = "01890000-0000-7000-8000-000000000000";
    let first = json!({ "task_date": FIRST, "channel": "adyen" });
    let task = app.post("/api/v1/reconciliation/tasks", &first).await.data();
    for (body, status, code) in [
        (both_days(), 422, "BACK_TEST_EMPTY"),
        (json!({ "channel": "paypal", "first_date": FIRST, "last_date": FIRST }), 422, "BACK_TEST_EMPTY"),
        (json!({ "task_ids": [task["id"]] }), 422, "BACK_TEST_EMPTY"),
        (json!({ "task_ids": [unknown] }), 404, "TASK_NOT_FOUND"),
        (json!({ "task_ids": vec![unknown; 1], "baseline": 9 }), 404, "RULE_SET_NOT_FOUND"),
        (
            json!({ "task_ids": (0..401).map(uuid::Uuid::from_u128).collect::<Vec<_>>() }),
            422,
            "BACK_TEST_TOO_LARGE",
        ),
    ] {
        let refused = admin(&app, &path, &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{body}");
    }
    for (body, field) in [
        (json!({}), "channel"),
        (json!({ "channel": "adyen", "last_date": FIRST }), "first_date"),
        (json!({ "channel": "adyen", "first_date": FIRST }), "last_date"),
        (json!({ "channel": "adyen", "first_date": SECOND, "last_date": FIRST }), "last_date"),
        (json!({ "channel": "adyen", "first_date": "0001-01-01", "last_date": FIRST }), "first_date"),
        (json!({ "channel": "adyen", "task_ids": [] }), "channel"),
        (json!({ "task_ids": [], "first_date": FIRST }), "first_date"),
        (json!({ "rules": [] }), "rules"),
    ] {
        let refused = admin(&app, &path, &body).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, field), "{body}");
    }
    let other = admin(&app, &format!("{RULE_SETS}/9/back-tests"), &both_days()).await;
    assert_eq!((other.status, other.code().as_str()), (404, "RULE_SET_NOT_FOUND"));
    for path in ["", "/tasks", "/changes"] {
        let missing = app.get(&format!("{BACK_TESTS}/{unknown}{path}")).await;
        assert_eq!((missing.status, missing.code().as_str()), (404, "BACK_TEST_NOT_FOUND"));
    }
    assert_eq!(app.get(BACK_TESTS).await.data()["total"], 0);
}

async fn only_admins_make_them_and_once(db: TestDb) {
    let app = App::start(db).await;
    day(&app, FIRST, &OF_ALL_KINDS).await;
    let version = version(&app, &cents()).await;
    let path = format!("{RULE_SETS}/{version}/back-tests");
    assert_eq!(app.post(&path, &both_days()).await.status, 403);
    let body = both_days();
    let send = || app.client.post(&path, &body).by(As::Admin).header("idempotency-key", "once");
    let (first, second) = (send().send().await, send().send().await);
    assert_eq!((first.status, second.status, first.data()), (202, 202, second.data()));
    assert_eq!(app.get(BACK_TESTS).await.data()["total"], 1);
    let cancel = format!("{BACK_TESTS}/{}/cancel", first.data()["id"].as_str().unwrap());
    assert_eq!(app.post(&cancel, &json!({})).await.status, 403);
    completed(&app, &first.data()).await;
    let over = admin(&app, &cancel, &json!({})).await;
    assert_eq!(
        (over.status, over.code().as_str(), &over.data()["status"]),
        (409, "BACK_TEST_OVER", &json!("completed"))
    );
}

/// Has the transaction that writes a task's changes fail, or succeed again.
async fn rename(app: &App, from: &str, to: &str) {
    let sql = format!("ALTER TABLE {from} RENAME TO {to}");
    app.db
        .write("test.rename", move |tx| {
            let sql = sql.clone();
            Box::pin(async move { Ok(tx.execute_unprepared(&sql).await.map(|_| ())?) })
        })
        .await
        .unwrap();
}

/// A back-test whose first task is done and whose second cannot be written down.
async fn half_done(app: &App) -> Value {
    let points = version(app, &points()).await;
    day(app, FIRST, &OF_ALL_KINDS[3..]).await;
    day(app, SECOND, &OF_ALL_KINDS).await;
    rename(app, "back_test_changes", "elsewhere").await;
    let test = make(app, points, &both_days()).await;
    until(app, &test, |test| test["status"] == "processing" && test["tasks_done"] == 1).await
}

async fn another_instance_goes_on_after_a_crash(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &cents()).await;
    let test = half_done(&app).await;
    app.crash().await;
    rename(&app, "elsewhere", "back_test_changes").await;
    for _ in 0..3 {
        app.run_jobs();
    }
    // The lease of the instance that is gone runs out.
    app.clock.advance(chrono::TimeDelta::minutes(2));
    let test = completed(&app, &test).await;
    assert_eq!((&test["tasks_done"], &test["tasks_failed"]), (&json!(2), &json!(0)));
    assert_eq!(test["changes"]["gained"]["count"], 1, "{test}");
    assert_eq!(test["before"]["matched"], 1 + 3, "each task once");
    assert_eq!(changes(&app, &test, "").await["total"], 3);
}

async fn of_instances_that_lose_their_leases_none_writes_a_task_twice(db: TestDb) {
    let app = App::start(db).await;
    let points = version(&app, &points()).await;
    for dates in [["2026-01-12", "2026-01-13"], ["2026-01-14", "2026-01-15"], [FIRST, SECOND]] {
        day(&app, dates[0], &OF_ALL_KINDS).await;
        // One without changes, which no key of a change keeps from being counted twice.
        day(&app, dates[1], &OF_ALL_KINDS[3..4]).await;
    }
    for _ in 0..2 {
        app.run_jobs();
    }
    let days = json!({ "channel": "adyen", "first_date": "2026-01-12", "last_date": SECOND });
    let test = make(&app, points, &days).await;
    let seen = AtomicI64::new(0);
    let test = until(&app, &test, |test| {
        let done = test["tasks_done"].as_i64().unwrap();
        if seen.swap(done, Ordering::Relaxed) < done {
            // Whoever works on it is late from now on, and another one takes over.
            app.clock.advance(chrono::TimeDelta::seconds(90));
        }
        test["status"] == "completed"
    })
    .await;
    assert_eq!((&test["tasks_done"], &test["tasks_failed"]), (&json!(6), &json!(0)));
    assert_eq!((&test["changes"]["gained"]["count"], &test["before"]["matched"]), (&json!(2 * 3), &json!(6)));
    assert_eq!(changes(&app, &test, "").await["total"], 2 * 3);
}

async fn what_was_called_off_stays_so(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &cents()).await;
    let test = half_done(&app).await;
    let cancelled =
        admin(&app, &format!("{BACK_TESTS}/{}/cancel", test["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!((cancelled.status, &cancelled.data()["status"]), (200, &json!("cancelled")));
    rename(&app, "elsewhere", "back_test_changes").await;
    // The job notices, and ends without having written anything more.
    let db = &app.context().db;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    loop {
        let sql = "SELECT state FROM jobs WHERE name = 'reconciliation.run_back_test'";
        let rows = db.read().query_all_raw(db.backend().statement(sql, [])).await.unwrap();
        let state: Option<String> = rows.first().map(|row| row.try_get("", "state").unwrap());
        if state.is_none_or(|state| !matches!(state.as_str(), "queued" | "running")) {
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "the job goes on");
        tokio::task::yield_now().await;
    }
    let entries = tasks(&app, &test).await;
    assert_eq!((&entries[0]["status"], &entries[1]["status"]), (&json!("completed"), &json!("pending")));
    assert_eq!(changes(&app, &test, "").await["total"], 0);
}

async fn remove(app: &App, test: &Value) -> TestAnswer {
    let path = format!("{BACK_TESTS}/{}", test["id"].as_str().unwrap());
    app.client.request(http::Method::DELETE, &path).by(As::Admin).send().await
}

/// How many rows of these tables belong to a back-test.
async fn stored(app: &App, test: &Value) -> i64 {
    let db = &app.context().db;
    let id: uuid::Uuid = test["id"].as_str().unwrap().parse().unwrap();
    let mut stored = 0;
    for (table, column) in
        [("back_tests", "id"), ("back_test_tasks", "back_test_id"), ("back_test_changes", "back_test_id")]
    {
        let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM {table} WHERE {column} = $1");
        let row = db.read().query_one_raw(db.backend().statement(&sql, [id.into()])).await.unwrap().unwrap();
        stored += row.try_get::<i64>("", "counted").unwrap();
    }
    stored
}

async fn until_nothing_is_stored(app: &App, test: &Value) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while stored(app, test).await > 0 {
        assert!(tokio::time::Instant::now() < deadline, "{} rows are left", stored(app, test).await);
        tokio::task::yield_now().await;
    }
}

async fn what_is_removed_is_gone_with_all_that_it_found(db: TestDb) {
    let app = App::start(db).await;
    let points = version(&app, &points()).await;
    day(&app, FIRST, &OF_ALL_KINDS).await;
    day(&app, SECOND, &OF_ALL_KINDS).await;
    let test = completed(&app, &make(&app, points, &both_days()).await).await;
    let other = completed(&app, &make(&app, points, &both_days()).await).await;
    assert_eq!((stored(&app, &test).await, stored(&app, &other).await), (1 + 2 + 4, 1 + 2 + 4));

    let path = format!("{BACK_TESTS}/{}", test["id"].as_str().unwrap());
    assert_eq!(app.client.request(http::Method::DELETE, &path).by(As::Operator).send().await.status, 403);
    let send =
        || app.client.request(http::Method::DELETE, &path).by(As::Admin).header("idempotency-key", "once");
    let (first, again) = (send().send().await, send().send().await);
    assert_eq!((first.status, first.data()), (200, test.clone()), "as it was");
    assert_eq!((again.status, again.data()), (200, test.clone()));
    for below in ["", "/tasks", "/changes"] {
        let gone = app.get(&format!("{path}{below}")).await;
        assert_eq!((gone.status, gone.code().as_str()), (404, "BACK_TEST_NOT_FOUND"));
    }
    assert_eq!(remove(&app, &test).await.status, 404);
    assert_eq!(admin(&app, &format!("{path}/cancel"), &json!({})).await.status, 404);
    let listed = app.get(BACK_TESTS).await.data();
    assert_eq!((&listed["total"], &listed["items"][0]["id"]), (&json!(1), &other["id"]));

    until_nothing_is_stored(&app, &test).await;
    assert_eq!(stored(&app, &other).await, 1 + 2 + 4);
    let db = &app.context().db;
    let sql = "SELECT actor_id FROM audit_log WHERE action = 'back_test.removed' AND object_id = $1";
    let told =
        db.read().query_all_raw(db.backend().statement(sql, [test["id"].as_str().into()])).await.unwrap();
    assert_eq!(told.len(), 1, "the audit log knows of it");
}

async fn only_what_is_over_is_removed(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &cents()).await;
    let test = half_done(&app).await;
    let refused = remove(&app, &test).await;
    assert_eq!(
        (refused.status, refused.code().as_str(), &refused.data()["status"]),
        (409, "BACK_TEST_NOT_OVER", &json!("processing"))
    );
    let cancel = format!("{BACK_TESTS}/{}/cancel", test["id"].as_str().unwrap());
    assert_eq!(admin(&app, &cancel, &json!({})).await.status, 200);
    // The job that worked on it may still be about to notice.
    let removed = remove(&app, &test).await;
    assert_eq!((removed.status, &removed.data()["status"]), (200, &json!("cancelled")));
    rename(&app, "elsewhere", "back_test_changes").await;
    until_nothing_is_stored(&app, &test).await;
}
