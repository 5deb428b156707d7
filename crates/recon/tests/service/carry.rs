//! What one side has before the other, and how the next day's file closes it.

use std::path::PathBuf;

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use serde_json::{Value, json};

use crate::channel_settings::SETTINGS;
use crate::expected_files::call;
use crate::files::text;
use crate::harness::{App, Gateway, HeldFile};
use crate::rule_sets::in_force;

both_databases!(payops_recon::MIGRATIONS;
    the_next_days_file_closes_what_was_pending,
    what_comes_otherwise_is_told_on_the_day_it_comes,
    what_never_comes_is_a_difference_when_it_was_looked_for_long_enough,
    a_correction_of_either_day_ends_as_if_it_had_been_there_at_first,
    days_that_are_run_out_of_order_end_the_same,
    days_that_are_run_at_once_end_the_same,
    a_row_that_two_days_have_found_at_once_belongs_to_the_first_of_them,
    what_a_later_day_has_seen_of_a_run_that_is_replaced_at_once_does_not_stay,
    a_day_that_is_started_again_for_another_one_asks_nobody,
    what_a_run_that_was_called_off_left_to_its_end_is_not_forgotten,
    an_earlier_day_that_is_run_later_says_how_a_row_ended,
    a_cancelled_day_gives_back_what_it_closed,
    what_people_did_about_a_carried_record_stays,
    what_happened_since_the_cut_off_may_be_in_the_next_file,
    parts_of_a_payment_are_netted_where_settings_say_so,
    a_row_of_an_earlier_day_is_chosen_as_the_candidate_that_it_is,
);

/// The days of these tests; each is given as its number.
fn date(day: u32) -> String {
    format!("2026-01-{day:02}")
}

const RECORDS: &str = "/api/v1/reconciliation/records";

const MAPPING: &str = "\
name = 'test'
unit = 'minor'
[columns]
row_id = 'row'
channel_trade_no = 'id'
amount = 'amount'
currency = 'currency'
occurred_at = 'time'
[constants]
kind = 'payment'
[time]
format = 'iso8601'
zone = 'Etc/UTC'
";

/// Hands over the files of a day: payments of ours by number, amount and status; rows of theirs by number and amount.
async fn hand_over(app: &App, day: u32, ours: &[(u32, i64, &str)], theirs: &[(u32, i64)]) {
    let date = date(day);
    let mut platform = vec![
        "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id".to_owned(),
        format!("P{day}000,T{day}000,5,EUR,succeeded,{date}T10:00:00Z,M1"),
    ];
    platform.extend(ours.iter().map(|(number, amount, status)| {
        format!("P{number},T{number},{amount},EUR,{status},{date}T23:50:00Z,M1")
    }));
    // Some days go back to what they were.
    let about = [("channel", "adyen"), ("settlement_date", date.as_str()), ("restore", "true")];
    let taken = app.upload("platform-files", &about, (platform.join("\n") + "\n").as_bytes()).await;
    assert!(matches!(taken.status, 200 | 201), "{:?}", taken.json());
    hand_over_theirs(app, day, theirs).await;
}

/// The channel's file alone. Gives where it is stored.
async fn hand_over_theirs(app: &App, day: u32, theirs: &[(u32, i64)]) -> PathBuf {
    let date = date(day);
    let mut settlement =
        vec!["row,id,amount,currency,time".to_owned(), format!("R{day}000,T{day}000,5,EUR,{date}T10:00:00Z")];
    settlement.extend(
        theirs.iter().map(|(number, amount)| format!("R{number},T{number},{amount},EUR,{date}T00:10:00Z")),
    );
    let about =
        [("channel", "adyen"), ("settlement_date", date.as_str()), ("restore", "true"), ("mapping", MAPPING)];
    let taken = app.upload("settlement-files", &about, (settlement.join("\n") + "\n").as_bytes()).await;
    assert!(matches!(taken.status, 200 | 201), "{:?}", taken.json());
    let hash = taken.data()["file"]["file_hash"].clone();
    app.files.path().join("adyen").join(date).join(format!("settlement-{}", text(&hash)))
}

/// What the gateway's feed says of a day: the payment that every day has, and others of ours.
fn feed(day: u32, ours: &[(u32, i64, &str)]) -> String {
    let row = |(number, amount, status): &(u32, i64, &str)| {
        json!({
            "payment_no": format!("P{number}"), "channel_trade_no": format!("T{number}"), "amount": amount,
            "currency": "EUR", "status": status, "created_at": format!("{}T10:00:00Z", date(day)), "merchant_id": "M1",
        })
        .to_string()
            + "\n"
    };
    [(day * 1000, 5, "succeeded")].iter().chain(ours).map(row).collect()
}

async fn begin(app: &App, day: u32) -> String {
    let body = json!({ "task_date": date(day), "channel": "adyen" });
    let created = app.post("/api/v1/reconciliation/tasks", &body).await;
    assert_eq!(created.status, 201, "{:?}", created.json());
    let id = text(&created.data()["id"]).to_owned();
    execute(app, &id).await;
    id
}

async fn execute(app: &App, id: &str) {
    let started = app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    assert_eq!(started.status, 202, "{:?}", started.json());
}

async fn run(app: &App, day: u32) -> String {
    let id = begin(app, day).await;
    let task = app.ended(&id).await;
    assert_eq!(task["status"], "completed", "{task}");
    id
}

/// Waits until none of the days is at work, however they started each other.
async fn settled(app: &App, days: &[&str]) {
    let mut before = Vec::new();
    loop {
        let mut now = Vec::new();
        for id in days {
            let task = app.until(id, |task| task["status"] != "processing").await;
            now.push((task["status"].clone(), task["run_no"].clone()));
        }
        if now == before {
            return;
        }
        before = now;
    }
}

/// The records of a task, each as its type, payment, state and reason.
async fn told(app: &App, id: &str) -> Vec<(String, String, String, Value)> {
    let short = |record: &Value| {
        let of = |field: &str| text(&record[field]).to_owned();
        (of("diff_type"), of("channel_trade_no"), of("status"), record["reason_code"].clone())
    };
    app.records(id).await.iter().map(short).collect()
}

fn one(diff_type: &str, number: u32, status: &str, reason: Value) -> (String, String, String, Value) {
    (diff_type.to_owned(), format!("T{number}"), status.to_owned(), reason)
}

fn open(diff_type: &str, number: u32) -> (String, String, String, Value) {
    one(diff_type, number, "open", Value::Null)
}

async fn the_next_days_file_closes_what_was_pending(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, 5, &[(1, 100, "pending"), (2, 200, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    hand_over(&app, 7, &[], &[(2, 200)]).await;
    let first = run(&app, 5).await;
    assert_eq!(told(&app, &first).await, [open("timing", 1), open("timing", 2)]);
    let second = run(&app, 6).await;
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &second).await, [one("carried", 1, "resolved", closed())]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed()), open("timing", 2)]);
    let third = run(&app, 7).await;
    assert_eq!(told(&app, &third).await, [one("carried", 2, "resolved", closed())]);
    let task = app.get(&format!("/api/v1/reconciliation/tasks/{third}")).await.data();
    assert_eq!((&task["diff_count"], &task["matched_count"]), (&json!(0), &json!(2)), "{task}");
    // Ages are counted from the first day, and the record says which one it was.
    let record = &app.records(&third).await[0];
    assert_eq!(
        (&record["first_date"], &record["platform_line"]),
        (&json!(date(5)), &Value::Null),
        "{record}"
    );
    let origin = app.records(&first).await[1].clone();
    assert_eq!(record["carried_from"], origin["id"]);
    assert_eq!(
        (&origin["resolved_by"], &origin["resolution_note"]),
        (&json!("reconciliation"), &task["task_no"])
    );
    let with_history =
        app.get(&format!("/api/v1/reconciliation/records/{}", text(&origin["id"]))).await.data();
    assert_eq!(with_history["history"][0]["action"], "resolved", "{with_history}");
    // The certificate states what was looked for.
    let report = app.report(&task).await;
    let inputs = report["certificate"]["inputs"].as_array().unwrap();
    assert!(inputs.iter().any(|input| input["role"] == "carried"), "{inputs:?}");
}

async fn what_comes_otherwise_is_told_on_the_day_it_comes(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 90)]).await;
    let (first, second) = (run(&app, 5).await, run(&app, 6).await);
    assert_eq!(told(&app, &second).await, [open("amount_diff", 1)]);
    assert_eq!(app.records(&second).await[0]["first_date"], date(5));
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", json!("told_on_later_day"))]);
    // The channel corrects itself: the difference is gone, and what was pending fits.
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    settled(&app, &[&first, &second]).await;
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &second).await, [one("carried", 1, "resolved", closed())]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed())]);
}

async fn what_never_comes_is_a_difference_when_it_was_looked_for_long_enough(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    let first = run(&app, 5).await;
    for day in [6, 11] {
        hand_over(&app, day, &[], &[]).await;
        assert_eq!(told(&app, &run(&app, day).await).await, []);
        assert_eq!(told(&app, &first).await, [open("timing", 1)]);
    }
    hand_over(&app, 12, &[], &[]).await;
    hand_over(&app, 13, &[], &[(1, 100)]).await;
    let last = run(&app, 12).await;
    assert_eq!(told(&app, &last).await, [open("platform_only", 1)]);
    assert_eq!(app.records(&last).await[0]["first_date"], date(5));
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", json!("told_on_later_day"))]);
    assert_eq!(told(&app, &run(&app, 13).await).await, [open("channel_only", 1)]);
}

async fn a_correction_of_either_day_ends_as_if_it_had_been_there_at_first(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    let (first, second) = (run(&app, 5).await, run(&app, 6).await);
    // The second day's file no longer has it: it is looked for again.
    hand_over(&app, 6, &[], &[]).await;
    settled(&app, &[&first, &second]).await;
    assert_eq!((told(&app, &second).await, told(&app, &first).await), (vec![], vec![open("timing", 1)]));
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    settled(&app, &[&first, &second]).await;
    assert_eq!(told(&app, &second).await.len(), 1);
    // The first day's file has it after all: then the second day's is one too many.
    hand_over(&app, 5, &[(1, 100, "succeeded")], &[(1, 100)]).await;
    settled(&app, &[&first, &second]).await;
    assert_eq!(
        (told(&app, &first).await, told(&app, &second).await),
        (vec![], vec![open("channel_only", 1)])
    );
    // And back.
    hand_over(&app, 5, &[(1, 100, "pending")], &[(3, 1)]).await;
    settled(&app, &[&first, &second]).await;
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed()), open("channel_only", 3)]);
    assert_eq!(told(&app, &second).await, [one("carried", 1, "resolved", closed())]);
}

/// Five days, of which the third has what the first lacks, and the last what the second lacks.
async fn hand_over_five(app: &App) {
    hand_over(app, 5, &[(1, 100, "pending"), (2, 200, "pending")], &[]).await;
    hand_over(app, 6, &[(3, 300, "pending")], &[]).await;
    hand_over(app, 7, &[], &[(1, 100), (2, 250)]).await;
    hand_over(app, 8, &[], &[]).await;
    hand_over(app, 9, &[], &[(3, 300)]).await;
}

async fn assert_five(app: &App, ids: &[&str]) {
    settled(app, ids).await;
    let closed = || json!("closed_by_later_file");
    let expected = [
        vec![
            one("timing", 1, "resolved", closed()),
            one("timing", 2, "resolved", json!("told_on_later_day")),
        ],
        vec![one("timing", 3, "resolved", closed())],
        vec![one("carried", 1, "resolved", closed()), open("amount_diff", 2)],
        vec![],
        vec![one("carried", 3, "resolved", closed())],
    ];
    for (id, expected) in ids.iter().zip(expected) {
        let mut found = told(app, id).await;
        found.sort_by(|a, b| a.1.cmp(&b.1));
        assert_eq!(found, expected);
    }
}

async fn days_that_are_run_out_of_order_end_the_same(db: TestDb) {
    let app = App::start(db).await;
    hand_over_five(&app).await;
    let mut ids = Vec::new();
    for day in [9, 7, 8, 5, 6] {
        ids.push((day, run(&app, day).await));
    }
    ids.sort_unstable();
    let ids: Vec<&str> = ids.iter().map(|(_, id)| id.as_str()).collect();
    assert_five(&app, &ids).await;
    // Run again from the last to the first, they stay as they are.
    for id in ids.iter().rev() {
        execute(&app, id).await;
    }
    assert_five(&app, &ids).await;
}

async fn days_that_are_run_at_once_end_the_same(db: TestDb) {
    let app = App::start(db).await;
    app.run_jobs();
    hand_over_five(&app).await;
    let begun = futures::future::join_all((5..=9).map(|day| begin(&app, day))).await;
    let ids: Vec<&str> = begun.iter().map(String::as_str).collect();
    assert_five(&app, &ids).await;
}

/// Waits until a run of a day asks the gateway for its feed.
async fn asks(app: &App, id: &str, run_no: i64) {
    app.until(id, |task| task["run_no"] == run_no && task["phase"] == "fetching").await;
}

async fn a_row_that_two_days_have_found_at_once_belongs_to_the_first_of_them(db: TestDb) {
    let gateway = Gateway::start(&feed(7, &[])).await;
    let app = App::start_with_gateway(db, &gateway).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    let stored = hand_over_theirs(&app, 7, &[(1, 100)]).await;
    let first = run(&app, 5).await;
    gateway.holds_calls();
    let third = begin(&app, 7).await;
    asks(&app, &third, 1).await;
    let held = HeldFile::new(stored);
    gateway.answers_one();
    // The last day compares, and has looked for what the first one lacks. Then the second day finds that.
    let second = held.while_it_is_read(run(&app, 6)).await;
    gateway.answers_one();
    settled(&app, &[&first, &second, &third]).await;
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &second).await, [one("carried", 1, "resolved", closed())]);
    assert_eq!(told(&app, &third).await, [open("channel_only", 1)]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed())]);
    assert_eq!(app.records(&first).await[0]["resolution_note"], task_no(&app, &second).await);
}

async fn what_a_later_day_has_seen_of_a_run_that_is_replaced_at_once_does_not_stay(db: TestDb) {
    let gateway = Gateway::start(&feed(5, &[])).await;
    let app = App::start_with_gateway(db, &gateway).await;
    hand_over_theirs(&app, 5, &[]).await;
    hand_over(&app, 6, &[], &[]).await;
    hand_over(&app, 7, &[], &[(1, 100)]).await;
    let (first, second, third) = (run(&app, 5).await, run(&app, 6).await, run(&app, 7).await);
    assert_eq!(told(&app, &third).await, [open("channel_only", 1)]);
    // We have it on the first day after all, and the last day sees it pending.
    gateway.turns_to(&feed(5, &[(1, 100, "pending")]));
    execute(&app, &first).await;
    let carried = |task: &Value| task["status"] == "completed" && task["diff_count"] == 0;
    app.until(&third, carried).await;
    // The channel has it too; its file comes too late for a run that finds the same, and is followed by another one at once.
    gateway.holds_calls();
    execute(&app, &first).await;
    asks(&app, &first, 3).await;
    hand_over_theirs(&app, 5, &[(1, 100)]).await;
    assert_eq!(told(&app, &third).await, [one("carried", 1, "resolved", json!("closed_by_later_file"))]);
    gateway.answers_one();
    settled(&app, &[&first, &second, &third]).await;
    assert_eq!(told(&app, &first).await, [open("status_diff", 1)]);
    assert_eq!(told(&app, &third).await, [open("channel_only", 1)]);
}

async fn a_day_that_is_started_again_for_another_one_asks_nobody(db: TestDb) {
    let gateway = Gateway::start(&feed(6, &[(1, 100, "pending")])).await;
    let app = App::start_with_gateway(db, &gateway).await;
    hand_over(&app, 5, &[], &[]).await;
    hand_over_theirs(&app, 6, &[(2, 200)]).await;
    let (first, second) = (run(&app, 5).await, run(&app, 6).await);
    assert_eq!(told(&app, &second).await, [open("timing", 1), open("channel_only", 2)]);
    gateway.turns_to("<html>Bad Gateway</html>\n");
    hand_over(&app, 5, &[(2, 200, "pending")], &[]).await;
    settled(&app, &[&first, &second]).await;
    let closed = one("carried", 2, "resolved", json!("closed_by_later_file"));
    assert_eq!(told(&app, &second).await, [open("timing", 1), closed]);
    // What a file of its own is compared with, or who starts it, wants to know what the source says now.
    hand_over_theirs(&app, 6, &[(1, 100), (2, 200)]).await;
    assert_eq!(app.ended(&second).await["error_code"], "FILE_UNREADABLE");
    gateway.turns_to(&feed(6, &[(1, 100, "succeeded")]));
    execute(&app, &second).await;
    settled(&app, &[&second]).await;
    assert_eq!(told(&app, &second).await.len(), 1);
}

async fn what_a_run_that_was_called_off_left_to_its_end_is_not_forgotten(db: TestDb) {
    let gateway = Gateway::start(&feed(6, &[])).await;
    let app = App::start_with_gateway(db, &gateway).await;
    hand_over(&app, 5, &[], &[]).await;
    hand_over_theirs(&app, 6, &[]).await;
    hand_over(&app, 7, &[], &[(1, 100)]).await;
    let (first, second, third) = (run(&app, 5).await, run(&app, 6).await, run(&app, 7).await);
    assert_eq!(told(&app, &third).await, [open("channel_only", 1)]);
    gateway.holds_calls();
    execute(&app, &second).await;
    asks(&app, &second, 2).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    settled(&app, &[&first]).await;
    assert_eq!(told(&app, &first).await, [open("timing", 1)]);
    let path = format!("/api/v1/reconciliation/tasks/{second}/cancel");
    assert_eq!(app.post(&path, &json!({})).await.data()["status"], "failed");
    gateway.answers_one();
    settled(&app, &[&first, &third]).await;
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &third).await, [one("carried", 1, "resolved", closed())]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed())]);
}

async fn an_earlier_day_that_is_run_later_says_how_a_row_ended(db: TestDb) {
    let app = App::start(db).await;
    settle(&app, &json!({ "channel": "adyen", "lookback_days": 3 })).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    hand_over(&app, 8, &[], &[]).await;
    let (first, last) = (run(&app, 5).await, run(&app, 8).await);
    assert_eq!(told(&app, &last).await, [open("platform_only", 1)]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", json!("told_on_later_day"))]);
    let second = run(&app, 6).await;
    settled(&app, &[&first, &second, &last]).await;
    assert_eq!(told(&app, &last).await, []);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", json!("closed_by_later_file"))]);
    assert_eq!(app.records(&first).await[0]["resolution_note"], task_no(&app, &second).await);
}

async fn task_no(app: &App, id: &str) -> Value {
    app.get(&format!("/api/v1/reconciliation/tasks/{id}")).await.data()["task_no"].clone()
}

async fn a_cancelled_day_gives_back_what_it_closed(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    hand_over(&app, 7, &[], &[(1, 100)]).await;
    let (first, second, third) = (run(&app, 5).await, run(&app, 6).await, run(&app, 7).await);
    assert_eq!(told(&app, &third).await, [open("channel_only", 1)]);
    // A completed day is let go of by cancelling a run of it, and then the day.
    app.stop_jobs().await;
    execute(&app, &second).await;
    for status in ["failed", "cancelled"] {
        let path = format!("/api/v1/reconciliation/tasks/{second}/cancel");
        assert_eq!(app.post(&path, &json!({})).await.data()["status"], status);
    }
    assert_eq!(told(&app, &first).await, [open("timing", 1)]);
    app.run_jobs();
    settled(&app, &[&first, &third]).await;
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &third).await, [one("carried", 1, "resolved", closed())]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed())]);
}

async fn what_people_did_about_a_carried_record_stays(db: TestDb) {
    let app = App::start(db).await;
    hand_over(&app, 5, &[(1, 100, "pending"), (2, 200, "pending")], &[]).await;
    hand_over(&app, 6, &[], &[(1, 100), (2, 200)]).await;
    let first = run(&app, 5).await;
    let records = app.records(&first).await;
    let path =
        |record: &Value, verb: &str| format!("/api/v1/reconciliation/records/{}/{verb}", text(&record["id"]));
    // What payops says by itself, people do not say.
    let refused =
        app.post(&path(&records[0], "resolve"), &json!({ "reason_code": "closed_by_later_file" })).await;
    assert_eq!(refused.status, 400, "{:?}", refused.json());
    let closed = app.post(&path(&records[0], "resolve"), &json!({ "reason_code": "written_off" })).await;
    assert_eq!(closed.status, 200, "{:?}", closed.json());
    let body = json!({ "record_ids": [records[1]["id"]], "assigned_to": "anna" });
    assert_eq!(app.post("/api/v1/reconciliation/records/assign", &body).await.status, 200);
    let second = run(&app, 6).await;
    let expected = [
        one("timing", 1, "resolved", json!("written_off")),
        one("timing", 2, "resolved", json!("closed_by_later_file")),
    ];
    assert_eq!(told(&app, &first).await, expected);
    assert_eq!(told(&app, &second).await.len(), 2, "both were found, whatever people thought of them");
    // Without the file, the one is as people left it, and the other its owner's again.
    hand_over(&app, 6, &[], &[]).await;
    settled(&app, &[&first, &second]).await;
    let expected =
        [one("timing", 1, "resolved", json!("written_off")), one("timing", 2, "assigned", Value::Null)];
    assert_eq!(told(&app, &first).await, expected);
}

async fn settle(app: &App, body: &Value) {
    let made = call(app, Method::POST, SETTINGS, body).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
}

async fn what_happened_since_the_cut_off_may_be_in_the_next_file(db: TestDb) {
    let app = App::start(db).await;
    // In winter, half past eleven at night of UTC.
    let cut_off = json!({ "time": "18:30", "timezone": "America/New_York" });
    let body = json!({ "channel": "adyen", "cut_off": cut_off, "lookback_days": 1 });
    settle(&app, &body).await;
    // Ours at 23:50, theirs at 00:10: after the cut-off, and before it.
    hand_over(&app, 5, &[(1, 100, "succeeded"), (2, 200, "pending")], &[(3, 300)]).await;
    hand_over(&app, 6, &[], &[(1, 100)]).await;
    let first = run(&app, 5).await;
    assert_eq!(told(&app, &first).await, [open("timing", 1), open("timing", 2), open("channel_only", 3)]);
    let second = run(&app, 6).await;
    let closed = || json!("closed_by_later_file");
    let mut found = told(&app, &second).await;
    found.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(found, [one("carried", 1, "resolved", closed()), open("platform_only", 2)]);
    let task = app.get(&format!("/api/v1/reconciliation/tasks/{second}")).await.data();
    let parameters = app.report(&task).await["certificate"]["parameters"].clone();
    assert_eq!(parameters["cut_off"], "18:30 America/New_York all");
    assert_eq!((&parameters["lookback_days"], &parameters["net_by_payment"]), (&json!("1"), &json!("false")));
}

async fn parts_of_a_payment_are_netted_where_settings_say_so(db: TestDb) {
    let app = App::start(db).await;
    hand_over(
        &app,
        5,
        &[(1, 60, "succeeded"), (1, 40, "succeeded"), (2, 50, "succeeded"), (3, 60, "succeeded")],
        &[(1, 100), (2, 50), (2, 50), (3, 100), (3, -40)],
    )
    .await;
    let id = run(&app, 5).await;
    let net = |payment| one("netted", payment, "resolved", json!("netted_by_payment"));
    // A capture of 60 of 100 is netted in every run.
    let (capture, left) = (net(3), net(3));
    let expected = [
        open("amount_diff", 1),
        open("duplicate_platform", 1),
        capture.clone(),
        open("duplicate_channel", 2),
        left.clone(),
    ];
    assert_eq!(told(&app, &id).await, expected);
    settle(&app, &json!({ "channel": "adyen", "net_by_payment": true })).await;
    execute(&app, &id).await;
    settled(&app, &[&id]).await;
    assert_eq!(told(&app, &id).await, [net(1), net(1), capture, open("duplicate_channel", 2), left]);
}

async fn a_row_of_an_earlier_day_is_chosen_as_the_candidate_that_it_is(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &json!([{ "name": "two", "priority": 1, "currencies": ["EUR"], "max_amount": 2 }])).await;
    hand_over(&app, 5, &[(1, 100, "pending")], &[]).await;
    hand_over(&app, 6, &[(1, 102, "succeeded")], &[(1, 101)]).await;
    hand_over(&app, 7, &[], &[]).await;
    let (first, second, third) = (run(&app, 5).await, run(&app, 6).await, run(&app, 7).await);
    let ids = [first.as_str(), second.as_str(), third.as_str()];
    let record = async |of: &str| app.get(&format!("{RECORDS}/{of}")).await.data();
    let origin = text(&app.records(&first).await[0]["id"]).to_owned();
    let theirs = {
        let found = app.records(&second).await;
        let theirs = found.iter().find(|record| record["channel_amount"] == 101);
        theirs.map(|record| text(&record["id"]).to_owned())
    };
    let id = theirs.unwrap();
    let shown = record(&id).await;
    let candidates = shown["candidates"].as_array().unwrap();
    assert_eq!((&shown["candidate_count"], candidates.len()), (&json!(2), 2), "{shown}");
    let earlier = candidates.iter().find(|candidate| candidate["amount"] == 100).unwrap();
    assert_eq!((&earlier["line"], &earlier["record_id"]), (&Value::Null, &json!(origin)));

    let choose = json!({ "reason_code": "channel_fee", "candidate_record_id": origin });
    let chosen = app.post(&format!("{RECORDS}/{id}/resolve"), &choose).await;
    assert_eq!((chosen.status, &chosen.data()["paired_with"]), (200, &json!(origin)), "{:?}", chosen.json());
    let ended = record(&origin).await;
    assert_eq!((&ended["status"], &ended["adjustment"]), (&json!("resolved"), &json!(1)), "{ended}");
    // It stands in the next run, and no later day looks for the row.
    execute(&app, &second).await;
    hand_over(&app, 7, &[], &[(1, 100)]).await;
    settled(&app, &ids).await;
    assert_eq!(record(&id).await["paired_with"], json!(origin));
    assert_eq!(told(&app, &third).await, [open("channel_only", 1)]);
    // Who opens one of them has it looked for again.
    let doubt = json!({ "reason": "it was another one" });
    assert_eq!(app.post(&format!("{RECORDS}/{origin}/reopen"), &doubt).await.status, 200);
    settled(&app, &ids).await;
    assert_eq!(record(&id).await["status"], "open");
    let closed = || json!("closed_by_later_file");
    assert_eq!(told(&app, &third).await, [one("carried", 1, "resolved", closed())]);
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed())]);
    let taken = app.post(&format!("{RECORDS}/{id}/resolve"), &choose).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "RECORD_ALREADY_CLOSED"));

    // Chosen once more, and then the channel corrects itself: the choice falls, and the row fits.
    hand_over(&app, 7, &[], &[]).await;
    settled(&app, &ids).await;
    assert_eq!(app.post(&format!("{RECORDS}/{id}/resolve"), &choose).await.status, 200);
    hand_over(&app, 6, &[(1, 102, "succeeded"), (1, 103, "succeeded")], &[(1, 101), (1, 100)]).await;
    settled(&app, &ids).await;
    assert_eq!(told(&app, &first).await, [one("timing", 1, "resolved", closed())]);
    assert_eq!(record(&origin).await["paired_with"], Value::Null);
    let left = record(&id).await;
    assert_eq!((&left["status"], &left["paired_with"]), (&json!("open"), &Value::Null), "{left}");
    assert_eq!(left["candidates"].as_array().unwrap().len(), 2, "it could be either of our rows of the day");
}
