//! What rules of tolerance allow is booked and closed; what could belong to several rows waits for a person.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use serde_json::{Value, json};

use crate::harness::App;
use crate::rule_sets::{DATE, in_force, ours, run, theirs};

both_databases!(payops_recon::MIGRATIONS;
    what_a_rule_allows_is_closed_by_it_and_can_be_opened_again,
    other_rules_change_what_they_judge_otherwise_and_nothing_else,
    an_ambiguous_record_is_closed_with_the_candidate_that_somebody_chose,
    a_choice_falls_when_its_candidate_is_no_longer_there,
    a_candidate_that_comes_back_without_its_choice_is_open,
);

const RECORDS: &str = "/api/v1/reconciliation/records";

fn rule(name: &str, most: i64) -> Value {
    json!([{ "name": name, "priority": 1, "currencies": ["USD"], "max_amount": most }])
}

async fn records(app: &App, task: &Value) -> Vec<Value> {
    app.records(task["id"].as_str().unwrap()).await
}

fn only<'r>(records: &'r [Value], diff_type: &str) -> &'r Value {
    let mut of_type = records.iter().filter(|record| record["diff_type"] == diff_type);
    let first = of_type.next().unwrap_or_else(|| panic!("no {diff_type} in {records:?}"));
    assert!(of_type.next().is_none(), "{records:?}");
    first
}

fn path(record: &Value) -> String {
    format!("{RECORDS}/{}", record["id"].as_str().unwrap())
}

async fn what_a_rule_allows_is_closed_by_it_and_can_be_opened_again(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &rule("fee", 3)).await;
    let platform = ours(&[("P1", "ch_1", 1000), ("P2", "ch_2", 500), ("P3", "ch_3", 700)]);
    app.hand_over_day(DATE, &platform, &theirs(&[("ch_1", 997), ("ch_2", 500), ("ch_3", 600)])).await;
    let task = run(&app).await;
    assert_eq!((&task["matched_count"], &task["matched_amount"]), (&json!(2), &json!(1500)), "{task}");
    assert_eq!(task["diff_count"], 1);
    let found = records(&app, &task).await;
    let booked = only(&found, "within_tolerance");
    assert_eq!((&booked["status"], &booked["reason_code"]), (&json!("resolved"), &json!("within_tolerance")));
    assert_eq!((&booked["tolerance_rule"], &booked["adjustment"]), (&json!("fee"), &json!(-3)));
    assert!(booked["resolved_by"].as_str().unwrap().contains("reconciliation"), "{booked}");
    assert_eq!(only(&found, "amount_diff")["status"], "open");
    let open = app.get(&format!("{RECORDS}?status=open")).await.data();
    assert_eq!(open["total"], 1, "what a rule allows is nobody's work");

    let close = json!({ "reason_code": "within_tolerance" });
    let refused = app.post(&format!("{}/resolve", path(only(&found, "amount_diff"))), &close).await;
    assert_eq!((refused.status, refused.fields().as_str()), (400, "reason_code"));
    let doubt = json!({ "reason": "this fee is not ours" });
    let opened = app.post(&format!("{}/reopen", path(booked)), &doubt).await.data();
    assert_eq!((&opened["status"], &opened["adjustment"]), (&json!("open"), &json!(-3)));
    let again = records(&app, &run(&app).await).await;
    assert_eq!(only(&again, "within_tolerance")["status"], "open", "what a person says stands");
}

async fn other_rules_change_what_they_judge_otherwise_and_nothing_else(db: TestDb) {
    let app = App::start(db).await;
    in_force(&app, &rule("narrow", 3)).await;
    let platform = ours(&[("P1", "ch_1", 1000), ("P2", "ch_2", 500), ("P3", "ch_3", 700)]);
    app.hand_over_day(DATE, &platform, &theirs(&[("ch_1", 997), ("ch_2", 490), ("ch_3", 600)])).await;
    let before = records(&app, &run(&app).await).await;
    let of = |records: &[Value], number: &str| {
        records.iter().find(|record| record["payment_no"] == number).cloned().unwrap()
    };
    for number in ["P2", "P3"] {
        let close = json!({ "reason_code": "channel_fee" });
        let closed = app.post(&format!("{}/resolve", path(&of(&before, number))), &close).await;
        assert_eq!(closed.status, 200, "{:?}", closed.json());
    }
    in_force(
        &app,
        &json!([
            { "name": "narrow", "priority": 1, "currencies": ["USD"], "max_amount": 3 },
            { "name": "two percent", "priority": 0, "currencies": ["USD"], "max_basis_points": 200 },
        ]),
    )
    .await;
    in_force(&app, &rule("ten", 10)).await;
    let wider = records(&app, &run(&app).await).await;
    assert_eq!(of(&wider, "P2")["tolerance_rule"], "ten");
    assert_eq!(of(&wider, "P3"), of(&records(&app, &run(&app).await).await, "P3"));
    assert_eq!(of(&wider, "P3")["reason_code"], "channel_fee", "the same difference keeps its end");
    in_force(&app, &rule("narrow", 3)).await;
    let back = records(&app, &run(&app).await).await;
    assert_eq!(of(&back, "P2")["id"], of(&before, "P2")["id"], "it is the same difference again");
    assert_eq!(of(&back, "P2")["reason_code"], "channel_fee");
    assert_eq!(of(&back, "P1")["id"], of(&before, "P1")["id"]);
}

/// Two rows of ours and two of the channel's have one id; each could be the other's.
async fn ambiguous(app: &App) -> Value {
    in_force(app, &rule("ten", 10)).await;
    let platform = ours(&[("P1", "ch_1", 1000), ("P2", "ch_1", 1001)]);
    app.hand_over_day(DATE, &platform, &theirs(&[("ch_1", 998), ("ch_1", 999)])).await;
    let task = run(app).await;
    assert_eq!((&task["diff_count"], &task["matched_count"]), (&json!(4), &json!(0)), "nothing posts itself");
    task
}

async fn an_ambiguous_record_is_closed_with_the_candidate_that_somebody_chose(db: TestDb) {
    let app = App::start(db).await;
    let task = ambiguous(&app).await;
    let found = records(&app, &task).await;
    let of = |number: &str| found.iter().find(|record| record["payment_no"] == number).unwrap();
    let (first, second) = (of("P1"), of("P2"));
    assert_eq!((&first["status"], &first["candidate_count"]), (&json!("open"), &json!(2)));
    let shown = app.get(&path(first)).await.data();
    let amounts: Vec<&Value> =
        shown["candidates"].as_array().unwrap().iter().map(|candidate| &candidate["amount"]).collect();
    assert_eq!(amounts, [&json!(998), &json!(999)]);
    let chosen = &shown["candidates"][1]["record_id"];
    let choose =
        |candidate: &Value| json!({ "reason_code": "channel_fee", "candidate_record_id": candidate });
    let resolve = |record: &Value| format!("{}/resolve", path(record));
    for wrong in [&first["id"], &second["id"]] {
        let refused = app.post(&resolve(first), &choose(wrong)).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "NOT_A_CANDIDATE"));
    }
    let ignored = json!({ "reason_code": "channel_fee", "candidate_record_id": chosen, "status": "ignored" });
    assert_eq!(app.post(&resolve(first), &ignored).await.fields(), "candidate_record_id");
    let closed = app.post(&resolve(first), &choose(chosen)).await;
    assert_eq!((closed.status, &closed.data()["paired_with"]), (200, chosen), "{:?}", closed.json());
    assert_eq!(closed.data()["adjustment"], -1);
    let other = app.get(&format!("{RECORDS}/{}", chosen.as_str().unwrap())).await.data();
    assert_eq!((&other["status"], &other["paired_with"]), (&json!("resolved"), &first["id"]));
    assert_eq!(other["adjustment"], Value::Null, "the gap is booked once");
    let taken = app.post(&resolve(second), &choose(chosen)).await;
    assert_eq!((taken.status, taken.code().as_str()), (409, "RECORD_ALREADY_CLOSED"));

    let again = records(&app, &run(&app).await).await;
    assert_eq!(again.iter().filter(|record| record["status"] == "resolved").count(), 2, "the choice stands");
    let doubt = json!({ "reason": "the other one" });
    let opened = app.post(&format!("{RECORDS}/{}/reopen", chosen.as_str().unwrap()), &doubt).await;
    assert_eq!((opened.status, &opened.data()["paired_with"]), (200, &Value::Null), "{:?}", opened.json());
    let first = app.get(&path(first)).await.data();
    assert_eq!((&first["status"], &first["adjustment"]), (&json!("open"), &Value::Null));
}

async fn a_choice_falls_when_its_candidate_is_no_longer_there(db: TestDb) {
    let app = App::start(db).await;
    let task = ambiguous(&app).await;
    let found = records(&app, &task).await;
    let first = found.iter().find(|record| record["payment_no"] == "P1").unwrap();
    let shown = app.get(&path(first)).await.data();
    let choose =
        json!({ "reason_code": "channel_fee", "candidate_record_id": shown["candidates"][0]["record_id"] });
    let owned = json!({ "record_ids": [first["id"]], "assigned_to": "ops-anna" });
    assert_eq!(app.post(&format!("{RECORDS}/assign"), &owned).await.status, 200);
    assert_eq!(app.post(&format!("{}/resolve", path(first)), &choose).await.status, 200);
    let id = task["id"].as_str().unwrap();
    let runs = task["run_no"].as_i64().unwrap();
    app.hand_over_day(
        DATE,
        &ours(&[("P1", "ch_1", 1000), ("P2", "ch_1", 1001)]),
        &theirs(&[("ch_1", 997), ("ch_1", 999)]),
    )
    .await;
    app.until(id, |task| task["status"] == "completed" && task["run_no"].as_i64() > Some(runs)).await;
    let shown = app.get(&path(first)).await.data();
    assert_eq!((&shown["status"], &shown["paired_with"]), (&json!("assigned"), &Value::Null));
    assert_eq!(shown["assigned_to"], "ops-anna", "it is its owner's again");
    assert_eq!(shown["candidates"][0]["amount"], 997, "it knows its new candidates");
    let last = shown["history"].as_array().unwrap().last().unwrap();
    assert_eq!(last["action"], "reopened");
}

async fn a_candidate_that_comes_back_without_its_choice_is_open(db: TestDb) {
    let app = App::start(db).await;
    let task = ambiguous(&app).await;
    let id = task["id"].as_str().unwrap();
    let found = records(&app, &task).await;
    let first = found.iter().find(|record| record["payment_no"] == "P1").unwrap();
    let chosen = app.get(&path(first)).await.data()["candidates"][0]["record_id"].clone();
    let choose = json!({ "reason_code": "channel_fee", "candidate_record_id": chosen });
    assert_eq!(app.post(&format!("{}/resolve", path(first)), &choose).await.status, 200);
    let platform = ours(&[("P1", "ch_1", 1000), ("P2", "ch_1", 1001)]);
    // A correction lacks the chosen row; then the first file is in force again.
    let mut runs = task["run_no"].as_i64().unwrap();
    let theirs = [theirs(&[("ch_1", 997), ("ch_1", 999)]), theirs(&[("ch_1", 998), ("ch_1", 999)])];
    for theirs in theirs {
        app.hand_over_day(DATE, &platform, &theirs).await;
        let task =
            app.until(id, |task| task["status"] == "completed" && task["run_no"].as_i64() > Some(runs)).await;
        runs = task["run_no"].as_i64().unwrap();
    }
    let returned = app.get(&format!("{RECORDS}/{}", chosen.as_str().unwrap())).await.data();
    assert_eq!((&returned["status"], &returned["paired_with"]), (&json!("open"), &Value::Null), "{returned}");
    let again = app.post(&format!("{}/resolve", path(first)), &choose).await;
    assert_eq!((again.status, &again.data()["paired_with"]), (200, &chosen), "{:?}", again.json());
}
