//! Other limits held against a period that is over.

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES, charge};
use crate::people::{LIMITS, each_is_refused};

both_databases!(TABLES;
    other_limits_tell_what_they_would_have_declined,
    the_present_limits_change_nothing,
    overrides_of_the_period_hold,
    bad_questions_name_their_fields,
);

async fn ask(app: &App, merchant: Uuid, limits: Value) -> Value {
    let mut body = json!({ "from": "2026-11-23T00:00:00Z", "to": "2026-11-25T00:00:00Z" });
    for (name, value) in limits.as_object().unwrap() {
        body[name] = value.clone();
    }
    let answer = app.post(&format!("{LIMITS}/{merchant}/what-if"), &body).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    answer.data()
}

/// Two days: 300 + 200 consumed and 100 held then confirmed on the first, 400 released; 250 on the second.
async fn two_days(app: &App, merchant: Uuid) {
    app.consume(merchant, "p1", 300).await;
    app.ask("reserve", &charge(merchant, "p2", 100)).await;
    app.consume(merchant, "p3", 200).await;
    app.ask("confirm", &json!({ "merchant_id": merchant, "payment_no": "p2" })).await;
    app.consume(merchant, "p4", 5000).await;
    app.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p1" })).await;
    app.set("2026-11-24T09:00:00Z");
    app.consume(merchant, "p5", 250).await;
}

async fn other_limits_tell_what_they_would_have_declined(db: TestDb) {
    let app = App::start(db).await;
    app.tier("roomy", "USD", (Some(1000), None, None)).await;
    app.tier("tight", "USD", (Some(350), None, Some(260))).await;
    let merchant = app.initialize("roomy").await;
    two_days(&app, merchant).await;
    let before = app.limit(merchant).await;
    let report = ask(&app, merchant, json!({ "custom_daily_limit": 399 })).await;
    assert_eq!(
        (&report["payments"], &report["declined_count"], &report["declined_amount"]),
        (&json!(5), &json!(2), &json!(300))
    );
    let numbers: Vec<&Value> =
        report["declined"].as_array().unwrap().iter().map(|row| &row["payment_no"]).collect();
    assert_eq!(numbers, ["p2", "p3"], "p2 would not have fit, nor p3 beside p1");
    assert_eq!(
        (&report["declined"][0]["rule"], &report["declined"][0]["action_type"]),
        (&json!("daily"), &json!("reserve"))
    );
    assert_eq!(report["declined_by"], json!([{ "rule": "daily", "count": 2 }]));
    assert_eq!(report["declined_truncated"], false);
    let report = ask(&app, merchant, json!({ "tier_code": "tight" })).await;
    let numbers: Vec<&Value> =
        report["declined"].as_array().unwrap().iter().map(|row| &row["payment_no"]).collect();
    assert_eq!(numbers, ["p1"], "without p1 there is room for the others");
    assert_eq!(
        (&report["declined"][0]["reason"], &report["tier_code"]),
        (&json!("Exceeds single transaction limit"), &json!("tight"))
    );
    let report = ask(&app, merchant, json!({ "custom_daily_limit": 5600 })).await;
    assert_eq!(
        (&report["declined_count"], &report["allowed_count"], &report["allowed_amount"]),
        (&json!(0), &json!(1), &json!(5000))
    );
    let day = json!({ "from": "2026-11-24T00:00:00Z", "custom_daily_limit": 0 });
    assert_eq!(ask(&app, merchant, day).await["declined_count"], 1);
    let nothing = json!({ "from": "2026-11-24T23:00:00Z", "custom_daily_limit": 0 });
    assert_eq!(ask(&app, merchant, nothing).await["payments"], 0);
    assert_eq!(app.limit(merchant).await, before, "nothing is changed");
    app.prove(merchant).await;
}

async fn the_present_limits_change_nothing(db: TestDb) {
    let app = App::start(db).await;
    app.tier("roomy", "USD", (Some(1000), Some(1200), None)).await;
    let merchant = app.initialize("roomy").await;
    two_days(&app, merchant).await;
    for number in 0..1200 {
        if number % 100 == 0 {
            app.clock.advance(chrono::Duration::minutes(1));
        }
        app.consume(merchant, &format!("n{number}"), 1).await;
    }
    let report = ask(&app, merchant, json!({})).await;
    assert_eq!((&report["declined_count"], &report["allowed_count"]), (&json!(0), &json!(0)));
    assert_eq!(report["payments"], 1205, "more than are read at once");
}

async fn overrides_of_the_period_hold(db: TestDb) {
    let app = App::start(db).await;
    app.tier("roomy", "USD", (Some(1000), None, None)).await;
    let merchant = app.initialize("roomy").await;
    let over =
        json!({ "limit_kind": "daily", "value": 900, "ends_at": "2026-11-24T00:00:00Z", "reason": "x" });
    app.post(&format!("{LIMITS}/{merchant}/overrides"), &over).await;
    two_days(&app, merchant).await;
    let report = ask(&app, merchant, json!({ "custom_daily_limit": 0 })).await;
    let numbers: Vec<&Value> =
        report["declined"].as_array().unwrap().iter().map(|row| &row["payment_no"]).collect();
    assert_eq!(numbers, ["p5"], "on the first day the override stood above");
}

async fn bad_questions_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}/what-if");
    let with = |field: &str, value: Value| {
        let mut body = json!({ "from": "2026-11-23T00:00:00Z", "to": "2026-11-25T00:00:00Z" });
        body[field] = value;
        body
    };
    let cases = [
        (json!({ "to": "2026-11-25T00:00:00Z" }), "from"),
        (with("to", json!("2026-11-23T00:00:00Z")), "to"),
        (with("from", json!("0001-01-01T00:00:00Z")), "from"),
        (with("custom_daily_limit", json!(-1)), "custom_daily_limit"),
        (with("timezone", json!("Etc/UTC")), "timezone"),
        (with("tier_code", json!("a\u{0}")), "tier_code"),
    ];
    each_is_refused(&app, Method::POST, &path, &cases).await;
    assert_eq!(app.post(&path, &with("tier_code", json!("no-such"))).await.code(), "TIER_NOT_FOUND");
    app.tier("euro", "EUR", (None, None, None)).await;
    let euro = app.post(&path, &with("tier_code", json!("euro"))).await;
    assert_eq!((euro.status, euro.code().as_str()), (409, "CURRENCY_DIFFERS"));
    let nobody = format!("{LIMITS}/{}/what-if", Uuid::from_u128(404));
    assert_eq!(app.post(&nobody, &with("tier_code", json!("basic"))).await.code(), "LIMIT_NOT_FOUND");
}
