//! Checks, which decide nothing.

use futures::future::join_all;
use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES, charge};
use crate::people::{LIMITS, RATES};

both_databases!(TABLES;
    a_check_says_what_consume_would,
    a_check_lists_every_rule_that_says_no,
    a_check_looks_at_the_present_and_writes_nothing,
    a_check_converts_and_assumes_a_currency,
    bad_checks_name_their_fields,
    many_checks_at_once_are_each_answered,
);

async fn a_check_says_what_consume_would(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), Some(5000), None).await;
    app.consume(merchant, "p1", 400).await;
    app.ask("reserve", &charge(merchant, "p2", 100)).await;
    let check = async |amount: i64| {
        app.ask("check", &json!({ "merchant_id": merchant, "amount": amount, "currency": "USD" })).await
    };
    let yes = check(500).await;
    assert_eq!((yes.status, yes.data()["allowed"].clone()), (200, json!(true)));
    assert_eq!((&yes.data()["daily_remaining"], &yes.data()["monthly_remaining"]), (&json!(0), &json!(4000)));
    assert_eq!(yes.data()["as_of"], "2026-11-23T12:00:00Z");
    assert!(yes.data().get("currency_assumed").is_none());
    let no = check(501).await;
    assert_eq!((no.status, no.data()["allowed"].clone()), (200, json!(false)));
    assert_eq!(no.data()["reason"], "Exceeds daily limit");
    assert_eq!(app.consume(merchant, "p3", 501).await.data()["failures"], no.data()["failures"]);
    assert_eq!(app.consume(merchant, "p4", 500).await.data()["daily_remaining"], 0);
    let metrics = String::from_utf8(app.get("/metrics").await.body.to_vec()).unwrap();
    for counted in ["result=\"allowed\"} 4", "result=\"denied\"} 2"] {
        let line = format!("limit_checks_total{{service=\"merchant-limit-service\",{counted}");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

async fn a_check_lists_every_rule_that_says_no(db: TestDb) {
    let app = App::start(db).await;
    let mut tier = crate::people::new_tier("tight", "USD", (Some(100), Some(150), Some(50)));
    tier["allowed_channels"] = json!(["stripe"]);
    tier["allowed_currencies"] = json!(["USD"]);
    app.post(crate::people::TIERS, &tier).await;
    app.put(RATES, &json!({ "rates": [{ "from_currency": "EUR", "to_currency": "USD", "rate": "2" }] }))
        .await;
    let merchant = app.initialize("tight").await;
    app.post(&format!("{LIMITS}/{merchant}/suspend"), &json!({ "reason": "why not" })).await;
    let body = json!({ "merchant_id": merchant, "amount": 76, "currency": "EUR", "channel": "adyen" });
    let no = app.ask("check", &body).await.data();
    let rules: Vec<&str> =
        no["failures"].as_array().unwrap().iter().map(|failure| failure["rule"].as_str().unwrap()).collect();
    assert_eq!(rules, ["suspended", "single_trans", "daily", "monthly", "channel", "currency"]);
    assert_eq!((&no["counted_amount"], &no["reason"]), (&json!(152), &json!("Merchant is suspended")));
    assert_eq!((&no["failures"][2]["limit"], &no["failures"][2]["remaining"]), (&json!(100), &json!(100)));
    assert_eq!(no["failures"][2]["resets_at"], "2026-11-24T00:00:00Z");
}

async fn a_check_looks_at_the_present_and_writes_nothing(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), Some(500), None).await;
    app.consume(merchant, "p1", 60).await;
    let check = async |amount: i64| {
        let answer = app.ask("check", &json!({ "merchant_id": merchant, "amount": amount })).await;
        answer.data()["allowed"].as_bool().unwrap()
    };
    let held = json!({ "merchant_id": merchant, "payment_no": "p2", "amount": 40, "currency": "USD", "ttl_seconds": 60 });
    app.ask("reserve", &held).await;
    assert!(!check(1).await);
    app.set("2026-11-23T12:00:59.999999Z");
    assert!(!check(1).await);
    app.set("2026-11-23T12:01:00Z");
    assert!(check(40).await && !check(41).await, "what was held is free, what was consumed is not");
    app.set("2026-11-24T00:00:00Z");
    assert!(check(100).await && !check(101).await, "a new day");
    assert_eq!(app.counters(merchant).await, (60, 60, 40));
    assert_eq!(app.prove(merchant).await, 2);
}

async fn a_check_converts_and_assumes_a_currency(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    let check = async |body: Value| app.ask("check", &body).await;
    let assumed = check(json!({ "merchant_id": merchant, "amount": 1 })).await.data();
    assert_eq!((&assumed["currency"], &assumed["currency_assumed"]), (&json!("USD"), &json!(true)));
    let foreign = json!({ "merchant_id": merchant, "amount": 10, "currency": "eur" });
    let missing = check(foreign.clone()).await;
    assert_eq!((missing.status, missing.code().as_str()), (422, "RATE_MISSING"));
    let set = app
        .put(RATES, &json!({ "rates": [{ "from_currency": "EUR", "to_currency": "USD", "rate": "1.25" }] }))
        .await;
    let counted = check(foreign).await.data();
    assert_eq!((&counted["counted_amount"], &counted["rate"]), (&json!(13), &json!("1.25")));
    assert_eq!(counted["rate_id"], set.data()["rates"][0]["id"]);
    let beyond = json!({ "merchant_id": merchant, "amount": i64::MAX, "currency": "EUR" });
    assert_eq!(check(beyond).await.code(), "AMOUNT_OUT_OF_RANGE");
    let most = check(json!({ "merchant_id": merchant, "amount": i64::MAX })).await.data();
    assert_eq!((&most["allowed"], &most["failures"][0]["rule"]), (&json!(false), &json!("daily")));
    let unlimited = app.merchant(None, None, None).await;
    app.consume(unlimited, "p1", 1).await;
    let beyond = check(json!({ "merchant_id": unlimited, "amount": i64::MAX })).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (422, "AMOUNT_OUT_OF_RANGE"));
    let free = check(json!({ "merchant_id": unlimited, "amount": 5 })).await.data();
    assert_eq!((&free["allowed"], &free["daily_remaining"]), (&json!(true), &Value::Null));
}

async fn bad_checks_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(None, None, None).await;
    let big: Value = serde_json::from_str("9223372036854775808").unwrap();
    for (body, field) in [
        (json!({ "amount": 1 }), "merchant_id"),
        (json!({ "merchant_id": merchant }), "amount"),
        (json!({ "merchant_id": merchant, "amount": 0 }), "amount"),
        (json!({ "merchant_id": merchant, "amount": -1 }), "amount"),
        (json!({ "merchant_id": merchant, "amount": big }), "amount"),
        (json!({ "merchant_id": merchant, "amount": 1.5 }), "amount"),
        (json!({ "merchant_id": merchant, "amount": 1, "currency": "euro" }), "currency"),
        (json!({ "merchant_id": merchant, "amount": 1, "channel": "a\u{0}" }), "channel"),
        (json!({ "merchant_id": merchant, "amount": 1, "channel": "" }), "channel"),
        (json!({ "merchant_id": merchant, "amount": 1, "payment_no": "p1" }), "payment_no"),
    ] {
        let answer = app.ask("check", &body).await;
        assert_eq!((answer.status, answer.fields().as_str()), (400, field), "{body}");
    }
    let unknown = app.ask("check", &json!({ "merchant_id": Uuid::from_u128(404), "amount": 1 })).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "LIMIT_NOT_FOUND"));
    let get = app.client.request(Method::GET, &format!("{LIMITS}/check")).by(As::Service).send().await;
    assert_ne!(get.status, 200);
}

async fn many_checks_at_once_are_each_answered(db: TestDb) {
    let app = App::start(db).await;
    let mut merchants = Vec::new();
    for limit in 1..=5 {
        merchants.push(app.merchant(Some(limit), None, None).await);
    }
    let ask = |number: usize| {
        let (merchant, amount) = (merchants[number % 5], i64::try_from(number / 5 % 6).unwrap() + 1);
        let app = &app;
        async move {
            let body = json!({ "merchant_id": merchant, "amount": amount });
            let allowed = app.ask("check", &body).await.data()["allowed"].as_bool().unwrap();
            assert_eq!(allowed, amount <= i64::try_from(number % 5).unwrap() + 1, "{number}");
        }
    };
    join_all((0..300).map(ask)).await;
}
