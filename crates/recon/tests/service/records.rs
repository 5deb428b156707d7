//! What people do about differences.

use futures::future::join_all;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    a_record_is_resolved_once,
    who_closed_a_record_is_told_to_others_and_to_himself,
    a_text_that_shows_nothing_is_no_text,
    of_many_resolvers_one_wins,
    an_end_is_taken_back_with_a_reason,
    bulk_work_is_all_or_nothing,
    a_stale_version_is_refused,
    a_repeated_command_has_one_effect,
    lists_are_filtered_and_walked,
);

const RECORDS: &str = "/api/v1/reconciliation/records";

async fn reconciled(db: TestDb) -> (App, Vec<Value>) {
    let app = App::start(db).await;
    let task = app.reconcile("2026-01-16").await;
    let records = app.records(task["id"].as_str().unwrap()).await;
    (app, records)
}

fn id(record: &Value) -> &str {
    record["id"].as_str().unwrap()
}

async fn a_record_is_resolved_once(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let path = format!("{RECORDS}/{}/resolve", id(&records[0]));
    let close = json!({ "reason_code": "timing_difference", "note": "in tomorrow's file" });
    let closed = app.post(&path, &close).await;
    assert_eq!(closed.status, 200, "{:?}", closed.json());
    let record = closed.data();
    assert_eq!((&record["status"], &record["resolved_by"]), (&json!("resolved"), &json!("olga")));
    let again = app.post(&path, &close).await;
    assert_eq!((again.status, again.code().as_str()), (409, "RECORD_ALREADY_CLOSED"));
    assert_eq!(again.data()["resolved_by"], "olga");
    let shown = app.get(&format!("{RECORDS}/{}", id(&records[0]))).await.data();
    assert_eq!(shown["history"][0]["action"], "resolved");
    let comment = json!({ "comment": "checked against the bank" });
    assert_eq!(app.post(&format!("{RECORDS}/{}/comments", id(&records[0])), &comment).await.status, 201);
    let shown = app.get(&format!("{RECORDS}/{}", id(&records[0]))).await.data();
    assert_eq!(shown["history"][1]["note"], "checked against the bank");
}

async fn who_closed_a_record_is_told_to_others_and_to_himself(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let path = format!("{RECORDS}/{}/resolve", id(&records[0]));
    let close = json!({ "reason_code": "channel_fee" });
    app.post(&path, &close).await;
    let message = async |who| {
        let refused = app.client.post(&path, &close).by(who).send().await;
        assert_eq!(refused.code(), "RECORD_ALREADY_CLOSED");
        refused.json()["message"].as_str().unwrap().to_owned()
    };
    let (himself, another) = (message(As::Operator).await, message(As::Admin).await);
    assert!(himself.contains("closed by you already"), "{himself}");
    assert!(another.contains("closed by olga already"), "{another}");
}

async fn a_text_that_shows_nothing_is_no_text(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let path = |verb: &str| format!("{RECORDS}/{}/{verb}", id(&records[0]));
    for blank in ["", "   ", "\u{200b}\u{feff}", "\u{3164}\t\u{2060}"] {
        for (verb, body, field) in [
            ("comments", json!({ "comment": blank }), "comment"),
            ("resolve", json!({ "reason_code": "other", "note": blank }), "note"),
            ("reopen", json!({ "reason": blank }), "reason"),
        ] {
            let refused = app.post(&path(verb), &body).await;
            assert_eq!((refused.status, refused.fields().as_str()), (400, field), "{verb} {blank:?}");
        }
        let assign = json!({ "record_ids": [id(&records[0])], "assigned_to": blank });
        let refused = app.post(&format!("{RECORDS}/assign"), &assign).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, "assigned_to"), "{blank:?}");
    }
    let closed =
        app.post(&path("resolve"), &json!({ "reason_code": "channel_fee", "note": " \u{200b}" })).await;
    assert_eq!((closed.status, closed.data()["resolution_note"].clone()), (200, Value::Null));
}

async fn of_many_resolvers_one_wins(db: TestDb) {
    let (app, records) = reconciled(db).await;
    for record in records.iter().take(5) {
        let path = format!("{RECORDS}/{}/resolve", id(record));
        let close = json!({ "reason_code": "written_off" });
        let mut statuses: Vec<u16> = join_all((0..8).map(|_| app.post(&path, &close)))
            .await
            .iter()
            .map(|answer| answer.status)
            .collect();
        statuses.sort_unstable();
        assert_eq!(statuses, [[200].as_slice(), &[409; 7]].concat());
        let shown = app.get(&format!("{RECORDS}/{}", id(record))).await.data();
        assert_eq!(shown["history"].as_array().unwrap().len(), 1);
    }
}

async fn an_end_is_taken_back_with_a_reason(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let path = |verb: &str| format!("{RECORDS}/{}/{verb}", id(&records[0]));
    let reason = json!({ "reason": "the wrong record" });
    assert_eq!(app.post(&path("reopen"), &reason).await.code(), "RECORD_NOT_CLOSED");
    let ignore = json!({ "reason_code": "test_transaction", "status": "ignored" });
    assert_eq!(app.post(&path("resolve"), &ignore).await.data()["status"], "ignored");
    let reopened = app.post(&path("reopen"), &reason).await.data();
    assert_eq!((&reopened["status"], &reopened["reason_code"]), (&json!("open"), &Value::Null));
    assert_eq!(app.post(&path("resolve"), &ignore).await.status, 200);
}

async fn bulk_work_is_all_or_nothing(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let ids: Vec<&str> = records.iter().take(10).map(id).collect();
    let assign = json!({ "record_ids": ids, "assigned_to": "rita" });
    assert_eq!(app.post(&format!("{RECORDS}/assign"), &assign).await.data()["count"], 10);
    let mine = app.get(&format!("{RECORDS}?assigned_to=rita&status=assigned")).await.data();
    assert_eq!(mine["total"], 10);
    let one = json!({ "reason_code": "written_off" });
    app.post(&format!("{RECORDS}/{}/resolve", ids[9]), &one).await;
    let all = json!({ "record_ids": ids, "reason_code": "exchange_rate" });
    let refused = app.post(&format!("{RECORDS}/bulk-resolve"), &all).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "RECORD_ALREADY_CLOSED"));
    let mine = app.get(&format!("{RECORDS}?assigned_to=rita&status=assigned")).await.data();
    assert_eq!(mine["total"], 9, "nothing was changed");
    let nine = json!({ "record_ids": ids[..9], "reason_code": "exchange_rate" });
    assert_eq!(app.post(&format!("{RECORDS}/bulk-resolve"), &nine).await.data()["count"], 9);
}

async fn a_stale_version_is_refused(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let path = format!("{RECORDS}/{}", id(&records[0]));
    let etag = app.get(&path).await.header("etag").to_owned();
    let assign = json!({ "record_ids": [id(&records[0])], "assigned_to": "rita" });
    app.post(&format!("{RECORDS}/assign"), &assign).await;
    let close = json!({ "reason_code": "written_off" });
    let post = || app.client.post(&format!("{path}/resolve"), &close).by(As::Operator);
    let stale = post().header("if-match", &etag).send().await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "VERSION_MISMATCH"));
    let fresh = app.get(&path).await.header("etag").to_owned();
    assert_eq!(post().header("if-match", &fresh).send().await.status, 200);
}

async fn a_repeated_command_has_one_effect(db: TestDb) {
    let (app, records) = reconciled(db).await;
    let path = format!("{RECORDS}/{}/comments", id(&records[0]));
    let send = |text: &str| {
        let body = json!({ "comment": text });
        app.client.post(&path, &body).by(As::Operator).header("idempotency-key", "key-1").send()
    };
    let first = send("once").await;
    let second = send("once").await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.data(), second.data());
    let other = send("another").await;
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    let shown = app.get(&format!("{RECORDS}/{}", id(&records[0]))).await.data();
    assert_eq!(shown["history"].as_array().unwrap().len(), 1);
}

async fn lists_are_filtered_and_walked(db: TestDb) {
    let (app, records) = reconciled(db).await;
    for diff_type in ["platform_only", "amount_diff", "duplicate_channel"] {
        let expected = records.iter().filter(|record| record["diff_type"] == diff_type).count();
        let page = app.get(&format!("{RECORDS}?diff_type={diff_type}&page_size=100")).await.data();
        assert_eq!(page["items"].as_array().unwrap().len(), expected, "{diff_type}");
    }
    let payment = records[0]["payment_no"].as_str().unwrap();
    let page = app.get(&format!("{RECORDS}?payment_no={payment}")).await.data();
    assert!(page["items"].as_array().unwrap().iter().all(|record| record["payment_no"] == payment));
    // Page by page, and by cursor in steps of 3, the list is the same.
    let mut walked = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = app.get(&format!("{RECORDS}?page_size=3{cursor}")).await.data();
        walked.extend(page["items"].as_array().unwrap().iter().map(|record| id(record).to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, records.iter().map(|record| id(record).to_owned()).collect::<Vec<_>>());
}
