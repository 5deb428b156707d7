//! Limits that hold for a time.

use futures::future::join_all;
use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES};
use crate::people::{LIMITS, each_is_refused};

both_databases!(TABLES;
    an_override_comes_and_goes_by_itself,
    two_of_one_limit_never_hold_at_once,
    an_override_is_taken_back,
    bad_overrides_name_their_fields,
    overrides_tell_the_thresholds,
    overrides_are_listed,
);

fn new(kind: &str, value: i64, from: Option<&str>, to: &str) -> Value {
    json!({ "limit_kind": kind, "value": value, "starts_at": from, "ends_at": to, "reason": "Singles' Day" })
}

async fn an_override_comes_and_goes_by_itself(db: TestDb) {
    let app = App::start(db).await;
    app.tier("t", "USD", (Some(100), None, None)).await;
    let merchant = app.initialize("t").await;
    let path = format!("{LIMITS}/{merchant}/overrides");
    let added =
        app.post(&path, &new("daily", 500, Some("2026-11-23T13:00:00Z"), "2026-11-23T14:00:00Z")).await;
    assert_eq!(
        (added.status, added.data()["status"].clone()),
        (201, json!("scheduled")),
        "{:?}",
        added.json()
    );
    assert_eq!((&added.data()["created_by"], &added.data()["value"]), (&json!("ada"), &json!(500)));
    assert_eq!(app.consume(merchant, "p1", 101).await.code(), "LIMIT_EXCEEDED");
    app.set("2026-11-23T12:59:59.999999Z");
    assert_eq!(app.consume(merchant, "p2", 101).await.code(), "LIMIT_EXCEEDED");
    app.set("2026-11-23T13:00:00Z");
    assert_eq!(app.limit(merchant).await["daily_limit_source"], "override");
    assert_eq!(app.consume(merchant, "p3", 400).await.status, 200);
    app.set("2026-11-23T14:00:00Z");
    let seen = app.limit(merchant).await;
    assert_eq!((&seen["daily_limit"], &seen["daily_over_by"]), (&json!(100), &json!(300)));
    assert_eq!(app.consume(merchant, "p4", 1).await.code(), "LIMIT_EXCEEDED");
    let over = app.get(&path).await.data();
    assert_eq!(over["items"][0]["status"], "over");
    app.prove(merchant).await;
}

async fn two_of_one_limit_never_hold_at_once(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}/overrides");
    let first = app.post(&path, &new("daily", 1, Some("2026-11-24T00:00:00Z"), "2026-11-25T00:00:00Z")).await;
    assert_eq!(first.status, 201);
    for (from, to) in [
        ("2026-11-23T13:00:00Z", "2026-11-24T00:00:00.000001Z"),
        ("2026-11-24T23:59:59.999999Z", "2026-11-26T00:00:00Z"),
        ("2026-11-24T06:00:00Z", "2026-11-24T07:00:00Z"),
        ("2026-11-23T13:00:00Z", "2026-11-26T00:00:00Z"),
    ] {
        let clash = app.post(&path, &new("daily", 2, Some(from), to)).await;
        assert_eq!((clash.status, clash.code().as_str()), (409, "OVERRIDE_OVERLAPS"), "{from}");
        assert_eq!(clash.data()["id"], first.data()["id"]);
    }
    for body in [
        new("daily", 2, None, "2026-11-24T00:00:00Z"),
        new("daily", 2, Some("2026-11-25T00:00:00Z"), "2026-11-26T00:00:00Z"),
        new("monthly", 2, Some("2026-11-24T00:00:00Z"), "2026-11-25T00:00:00Z"),
    ] {
        assert_eq!(app.post(&path, &body).await.status, 201, "{body}");
    }
    let other = app.initialize("basic").await;
    let path = format!("{LIMITS}/{other}/overrides");
    let body = new("single_trans", 3, None, "2026-11-24T00:00:00Z");
    let answers = join_all((0..8).map(|_| app.post(&path, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.code() == "OVERRIDE_OVERLAPS").count(), 7);
}

async fn an_override_is_taken_back(db: TestDb) {
    let app = App::start(db).await;
    app.tier("t", "USD", (Some(100), None, None)).await;
    let merchant = app.initialize("t").await;
    let path = format!("{LIMITS}/{merchant}/overrides");
    let added = app.post(&path, &new("daily", 500, None, "2026-11-23T14:00:00Z")).await.data();
    assert_eq!(added["status"], "in_force");
    let one = format!("{path}/{}", added["id"].as_str().unwrap());
    assert_eq!(app.delete(&format!("{path}/{}", Uuid::from_u128(1))).await.code(), "OVERRIDE_NOT_FOUND");
    let elsewhere =
        format!("{LIMITS}/{}/overrides/{}", app.initialize("t").await, added["id"].as_str().unwrap());
    assert_eq!(app.delete(&elsewhere).await.code(), "OVERRIDE_NOT_FOUND");
    let stale =
        app.client.request(Method::DELETE, &one).by(As::Admin).header("if-match", "\"1\"").send().await;
    assert_eq!(stale.status, 412, "adding it was a change of the limits");
    let deleted = app.delete(&one).await;
    assert_eq!(
        (deleted.status, deleted.data()["status"].clone()),
        (200, json!("deleted")),
        "{:?}",
        deleted.json()
    );
    assert_eq!(deleted.data()["deleted_by"], "ada");
    assert_eq!(app.consume(merchant, "p1", 101).await.code(), "LIMIT_EXCEEDED");
    assert_eq!(app.delete(&one).await.code(), "OVERRIDE_OVER");
    // Its place is free again.
    let again = app.post(&path, &new("daily", 600, None, "2026-11-23T14:00:00Z")).await.data();
    app.set("2026-11-23T14:00:00Z");
    let over = app.delete(&format!("{path}/{}", again["id"].as_str().unwrap())).await;
    assert_eq!((over.status, over.code().as_str()), (409, "OVERRIDE_OVER"));
    assert_eq!(
        app.audited(merchant).await,
        [
            "merchant_limit.initialized",
            "merchant_limit.override_added",
            "merchant_limit.override_added",
            "merchant_limit.override_deleted"
        ]
    );
}

async fn bad_overrides_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}/overrides");
    let with = |field: &str, value: Value| {
        let mut body = new("daily", 1, None, "2026-11-24T00:00:00Z");
        body[field] = value;
        body
    };
    let big: Value = serde_json::from_str("9223372036854775808").unwrap();
    let cases = [
        (with("limit_kind", json!("weekly")), "limit_kind"),
        (with("value", json!(-1)), "value"),
        (with("value", Value::Null), "value"),
        (with("value", big), "value"),
        (with("ends_at", json!("2026-11-23T12:00:00Z")), "ends_at"),
        (with("ends_at", json!("2026-11-22T12:00:00Z")), "ends_at"),
        (with("ends_at", json!("tomorrow")), "ends_at"),
        (with("ends_at", json!("9999-11-23T12:00:00Z")), "ends_at"),
        (with("starts_at", json!("2026-11-24T00:00:00Z")), "ends_at"),
        (with("reason", json!("")), "reason"),
        (with("reason", json!("a\u{0}")), "reason"),
        (with("until", json!(1)), "until"),
    ];
    each_is_refused(&app, Method::POST, &path, &cases).await;
    let past = app.post(&path, &with("starts_at", json!("2026-11-01T00:00:00Z"))).await;
    assert_eq!(past.data()["starts_at"], "2026-11-23T12:00:00Z", "no override begins in the past");
    let nobody = format!("{LIMITS}/{}/overrides", Uuid::from_u128(404));
    assert_eq!(app.post(&nobody, &with("value", json!(1))).await.code(), "LIMIT_NOT_FOUND");
    assert_eq!(app.get(&nobody).await.code(), "LIMIT_NOT_FOUND");
    assert_eq!(app.delete(&format!("{path}/17")).await.status, 400);
    for day in 0..99 {
        let from = format!("2027-{:02}-{:02}T00:00:00Z", day / 28 + 1, day % 28 + 1);
        let to = format!("2027-{:02}-{:02}T01:00:00Z", day / 28 + 1, day % 28 + 1);
        assert_eq!(app.post(&path, &new("daily", 1, Some(&from), &to)).await.status, 201);
    }
    let body = new("monthly", 1, None, "2026-11-24T00:00:00Z");
    let full = app.post(&path, &body).await;
    assert_eq!((full.status, full.code().as_str()), (422, "TOO_MANY_OVERRIDES"));
    app.set("2026-11-24T00:00:00Z");
    let body = new("monthly", 1, None, "2026-11-25T00:00:00Z");
    assert_eq!(app.post(&path, &body).await.status, 201, "one is over");
}

async fn overrides_tell_the_thresholds(db: TestDb) {
    let app = App::start(db).await;
    app.tier("t", "USD", (Some(1000), None, None)).await;
    let merchant = app.initialize("t").await;
    app.consume(merchant, "p1", 500).await;
    app.clock.advance(chrono::Duration::seconds(1));
    let path = format!("{LIMITS}/{merchant}/overrides");
    let added = app.post(&path, &new("daily", 600, None, "2026-11-24T00:00:00Z")).await.data();
    let daily = |crossed| ("daily".to_owned(), 80, crossed);
    assert_eq!(app.alerts(merchant).await, [daily(true)]);
    app.clock.advance(chrono::Duration::seconds(1));
    app.delete(&format!("{path}/{}", added["id"].as_str().unwrap())).await;
    assert_eq!(app.alerts(merchant).await, [daily(true), daily(false)]);
}

async fn overrides_are_listed(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}/overrides");
    for (kind, from, to) in [
        ("daily", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("daily", "2026-11-25T00:00:00Z", "2026-11-26T00:00:00Z"),
        ("monthly", "2026-11-24T00:00:00Z", "2026-11-26T00:00:00Z"),
    ] {
        app.clock.advance(chrono::Duration::milliseconds(1));
        app.post(&path, &new(kind, 1, Some(from), to)).await;
    }
    let total = async |query: &str| app.get(&format!("{path}{query}")).await.data()["total"].clone();
    assert_eq!((total("").await, total("?limit_kind=daily").await), (json!(3), json!(2)));
    assert_eq!(total("?at=2026-11-25T00:00:00Z").await, 2);
    assert_eq!(total("?at=2026-11-26T00:00:00Z").await, 0);
    let page = app.get(&format!("{path}?page_size=2")).await.data();
    assert_eq!(page["items"][0]["limit_kind"], "monthly");
    let rest =
        app.get(&format!("{path}?page_size=2&cursor={}", page["next_cursor"].as_str().unwrap())).await.data();
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
}
