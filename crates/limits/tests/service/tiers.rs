//! Tiers.

use futures::future::join_all;
use http::Method;
use payops_platform::both_databases;
use payops_platform::db::Db;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES};
use crate::people::{LIMITS, TIERS, each_is_refused, new_tier};

both_databases!(TABLES;
    the_five_levels_are_there_and_may_go,
    a_tier_lives_from_its_making_to_its_end,
    rates_are_exact_to_the_last_decimal,
    bad_tiers_name_their_fields,
    a_tier_in_use_stays,
    a_tier_edit_keeps_usage_and_tells_thresholds,
    of_two_tiers_of_one_code_one_is_made,
    of_two_editors_one_wins,
    a_tier_goes_or_gets_merchants_never_both,
    tiers_are_filtered_and_walked,
);

async fn codes(app: &App, query: &str) -> Vec<String> {
    let page = app.get(&format!("{TIERS}{query}")).await.data();
    let code = |tier: &Value| tier["tier_code"].as_str().unwrap().to_owned();
    page["items"].as_array().unwrap().iter().map(code).collect()
}

async fn the_five_levels_are_there_and_may_go(db: TestDb) {
    let (target, postgres) = (db.target().clone(), db.backend().pick(false, true));
    let app = App::start(db).await;
    assert_eq!(codes(&app, "").await, ["starter", "basic", "professional", "enterprise", "premium"]);
    let tiers = app.get(TIERS).await.data();
    let professional = &tiers["items"][2];
    assert_eq!(
        (&professional["daily_limit"], &professional["monthly_limit"], &professional["single_trans_limit"]),
        (&json!(100_000_000), &json!(500_000_000), &json!(10_000_000))
    );
    assert_eq!(professional["transaction_fee_rate"].to_string(), "0.0025");
    let path = |index: usize| format!("{TIERS}/{}", tiers["items"][index]["id"].as_str().unwrap());
    assert_eq!(app.delete(&path(0)).await.status, 200);
    assert_eq!(app.put(&path(1), &json!({ "tier_name": "Elementary" })).await.status, 200);
    if postgres {
        // Another instance starts on the same database.
        let again = Db::open(&target, TABLES).await.unwrap();
        drop(again);
    }
    let other = app.another().await;
    assert_eq!(codes(&other, "").await, ["basic", "professional", "enterprise", "premium"]);
    assert_eq!(other.get(&path(1)).await.data()["tier_name"], "Elementary");
}

async fn a_tier_lives_from_its_making_to_its_end(db: TestDb) {
    let app = App::start(db).await;
    let mut new = new_tier("gold", "EUR", (Some(1000), None, Some(0)));
    new["allowed_channels"] = json!(["stripe", "adyen"]);
    new["allowed_currencies"] = json!(["eur", "USD"]);
    new["alert_thresholds"] = json!([100, 50]);
    let made = app.post(TIERS, &new).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""), "{:?}", made.json());
    let tier = made.data();
    let id: Uuid = tier["id"].as_str().unwrap().parse().unwrap();
    let path = format!("{TIERS}/{id}");
    assert_eq!(made.header("location"), path);
    assert_eq!(tier["tier_name"], "gold");
    assert_eq!((&tier["monthly_limit"], &tier["single_trans_limit"]), (&Value::Null, &json!(0)));
    assert_eq!(
        (&tier["allowed_currencies"], &tier["alert_thresholds"]),
        (&json!(["EUR", "USD"]), &json!([50, 100]))
    );
    assert_eq!(tier["max_api_calls_per_min"], 100);
    for who in [As::Operator, As::Service, As::Merchant(Uuid::from_u128(1))] {
        assert_eq!(app.client.get(&path).by(who).send().await.data(), tier);
    }
    app.clock.advance(chrono::Duration::seconds(1));
    let change = json!({ "daily_limit": null, "monthly_limit": 7, "allowed_channels": null, "description": "for friends" });
    let changed = app.put(&path, &change).await;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"2\""), "{:?}", changed.json());
    let after = changed.data();
    assert_eq!((&after["daily_limit"], &after["monthly_limit"]), (&Value::Null, &json!(7)));
    assert_eq!(
        (&after["allowed_channels"], &after["allowed_currencies"]),
        (&Value::Null, &json!(["EUR", "USD"]))
    );
    assert_eq!((&after["single_trans_limit"], &after["tier_code"]), (&json!(0), &json!("gold")));
    assert_eq!(app.put(&path, &json!({})).await.data(), after, "nothing was asked for");
    assert_eq!(app.delete(&path).await.status, 200);
    for gone in [app.get(&path).await, app.put(&path, &change).await, app.delete(&path).await] {
        assert_eq!((gone.status, gone.code().as_str()), (404, "TIER_NOT_FOUND"));
    }
    assert_eq!(
        app.audited(id).await,
        ["merchant_tier.changed", "merchant_tier.created", "merchant_tier.deleted"]
    );
}

async fn rates_are_exact_to_the_last_decimal(db: TestDb) {
    let app = App::start(db).await;
    let body = |rate: &str| {
        let text = new_tier("exact", "USD", (None, None, None)).to_string();
        text.replace("\"transaction_fee_rate\":0.0025", &format!("\"transaction_fee_rate\":{rate}"))
    };
    let send = async |rate: &str, key: &str| {
        let request = app.client.request(Method::POST, TIERS).by(As::Admin).header("idempotency-key", key);
        request.body("application/json", body(rate)).send().await
    };
    for rate in [
        "0.00251",
        "0.0025000000000000001",
        "1.0001",
        "-0.0001",
        "25",
        "\"0.0025\"",
        "null",
        "2.5e-3",
        "true",
    ] {
        let answer = send(rate, "refused").await;
        assert_eq!((answer.status, answer.fields().as_str()), (400, "transaction_fee_rate"), "{rate}");
    }
    let made = send("0.0029", "made").await;
    let written = |answer: &payops_platform::http::testing::TestAnswer| {
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        let after = text.split("\"transaction_fee_rate\":").nth(1).unwrap();
        after.split([',', '}']).next().unwrap().to_owned()
    };
    assert_eq!((made.status, written(&made)), (201, "0.0029".to_owned()));
    let again = send("0.0029", "made").await;
    assert_eq!((again.header("idempotency-replayed"), written(&again)), ("true", "0.0029".to_owned()));
}

async fn bad_tiers_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let with = |field: &str, value: Value| {
        let mut body = new_tier("bad", "USD", (Some(1), Some(1), Some(1)));
        body[field] = value;
        body
    };
    let without = |field: &str| {
        let mut body = new_tier("bad", "USD", (Some(1), Some(1), Some(1)));
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let big: Value = serde_json::from_str("9223372036854775808").unwrap();
    let cases = [
        (with("tier_code", json!("")), "tier_code"),
        (with("tier_code", json!("Bad Code")), "tier_code"),
        (with("tier_code", json!("a\u{0}")), "tier_code"),
        (with("tier_code", json!("a".repeat(51))), "tier_code"),
        (with("tier_code", Value::Null), "tier_code"),
        (with("tier_name", json!("two\nlines")), "tier_name"),
        (with("tier_name", json!("\u{200b}")), "tier_name"),
        (with("description", json!("a\u{0}b")), "description"),
        (with("description", json!("x".repeat(501))), "description"),
        (with("tier_level", json!(0)), "tier_level"),
        (with("tier_level", json!(1.5)), "tier_level"),
        (with("currency", json!("DOLLAR")), "currency"),
        (with("currency", json!("U1D")), "currency"),
        (with("daily_limit", json!(-1)), "daily_limit"),
        (with("monthly_limit", big.clone()), "monthly_limit"),
        (with("single_trans_limit", json!("1")), "single_trans_limit"),
        (without("daily_limit"), "daily_limit"),
        (without("transaction_fee_rate"), "transaction_fee_rate"),
        (with("allowed_channels", json!([])), "allowed_channels"),
        (with("allowed_channels", json!(["a", "a"])), "allowed_channels"),
        (with("allowed_channels", json!(["a", "b\u{0}"])), "allowed_channels[1]"),
        (with("allowed_currencies", json!(["USD", "usd"])), "allowed_currencies"),
        (with("max_api_calls_per_min", json!(0)), "max_api_calls_per_min"),
        (with("alert_thresholds", json!([0])), "alert_thresholds[0]"),
        (with("alert_thresholds", json!([80, 80])), "alert_thresholds"),
        (with("alert_thresholds", json!([40000])), "alert_thresholds[0]"),
        (with("colour", json!("gold")), "colour"),
    ];
    each_is_refused(&app, Method::POST, TIERS, &cases).await;
    let id = app.tier("good", "USD", (Some(i64::MAX), Some(i64::MAX), Some(i64::MAX))).await;
    let cases = [
        (json!({ "tier_code": null }), "tier_code"),
        (json!({ "tier_level": null }), "tier_level"),
        (json!({ "currency": null }), "currency"),
        (json!({ "transaction_fee_rate": null }), "transaction_fee_rate"),
        (json!({ "alert_thresholds": null }), "alert_thresholds"),
        (json!({ "daily_limit": -1, "tier_level": 0 }), "tier_level daily_limit"),
        (json!({ "version": 2 }), "version"),
    ];
    each_is_refused(&app, Method::PUT, &format!("{TIERS}/{id}"), &cases).await;
    assert_eq!(app.get(&format!("{TIERS}/17")).await.fields(), "id");
    assert_eq!(app.get(&format!("{TIERS}?level=1")).await.fields(), "level");
}

async fn a_tier_in_use_stays(db: TestDb) {
    let app = App::start(db).await;
    let id = app.tier("used", "USD", (Some(100), None, None)).await;
    let path = format!("{TIERS}/{id}");
    assert_eq!(app.put(&path, &json!({ "currency": "EUR" })).await.data()["currency"], "EUR");
    assert_eq!(app.put(&path, &json!({ "currency": "USD" })).await.status, 200);
    for _ in 0..3 {
        app.initialize("used").await;
    }
    let refused = app.delete(&path).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "TIER_IN_USE"));
    assert_eq!(refused.data()["merchants"], 3);
    let refused = app.put(&path, &json!({ "currency": "EUR", "daily_limit": 7 })).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "TIER_IN_USE"));
    assert_eq!(app.get(&path).await.data()["daily_limit"], 100);
}

async fn a_tier_edit_keeps_usage_and_tells_thresholds(db: TestDb) {
    let app = App::start(db).await;
    let id = app.tier("edited", "USD", (Some(1000), None, None)).await;
    let (one, two) = (app.initialize("edited").await, app.initialize("edited").await);
    assert_eq!(app.consume(one, "p1", 400).await.status, 200);
    assert_eq!(app.consume(two, "p1", 10).await.status, 200);
    assert!(app.alerts(one).await.is_empty());
    app.clock.advance(chrono::Duration::seconds(1));
    assert_eq!(app.put(&format!("{TIERS}/{id}"), &json!({ "daily_limit": 300 })).await.status, 200);
    let refused = app.consume(two, "p2", 291).await;
    assert_eq!(refused.code(), "LIMIT_EXCEEDED", "the new limit binds at once");
    app.work().await;
    let told: Vec<_> = [80, 90, 100].map(|percent| ("daily".to_owned(), percent, true)).to_vec();
    assert_eq!(app.alerts(one).await, told);
    assert!(app.alerts(two).await.is_empty());
    let seen = app.limit(one).await;
    assert_eq!(
        (&seen["daily_used"], &seen["daily_remaining"], &seen["daily_over_by"]),
        (&json!(400), &json!(0), &json!(100))
    );
    let release = json!({ "merchant_id": one, "payment_no": "p1" });
    assert_eq!(app.ask("release", &release).await.status, 200, "releases work beyond the limit");
    app.prove(one).await;
}

async fn of_two_tiers_of_one_code_one_is_made(db: TestDb) {
    let app = App::start(db).await;
    let body = new_tier("raced", "USD", (None, None, None));
    let answers = join_all((0..8).map(|_| app.post(TIERS, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    let lost: Vec<_> = answers.iter().filter(|answer| answer.status != 201).collect();
    assert!(lost.iter().all(|answer| (answer.status, answer.code().as_str()) == (409, "TIER_EXISTS")));
    assert_eq!(codes(&app, "?tier_code=raced").await.len(), 1);
    let own = format!("{TIERS}/{}", app.tier("own", "USD", (None, None, None)).await);
    assert_eq!(app.put(&own, &json!({ "tier_code": "raced" })).await.code(), "TIER_EXISTS");
}

async fn of_two_editors_one_wins(db: TestDb) {
    let app = App::start(db).await;
    let path = format!("{TIERS}/{}", app.tier("edited", "USD", (None, None, None)).await);
    let edit = |limit: i64| {
        let request = app.client.request(Method::PUT, &path).json(&json!({ "daily_limit": limit }));
        request.by(As::Admin).header("if-match", "\"1\"").send()
    };
    let answers = join_all((1..=8).map(edit)).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let lost = answers.iter().filter(|answer| answer.status == 412);
    assert!(
        lost.clone()
            .all(|answer| answer.code() == "VERSION_MISMATCH" && answer.data()["current_version"] == 2)
    );
    assert_eq!(lost.count(), 7);
    let request = app.client.request(Method::DELETE, &path).by(As::Admin).header("if-match", "\"1\"");
    assert_eq!(request.send().await.status, 412);
}

async fn a_tier_goes_or_gets_merchants_never_both(db: TestDb) {
    let app = App::start(db).await;
    for round in 0..5_u128 {
        let code = format!("raced{round}");
        let path = format!("{TIERS}/{}", app.tier(&code, "USD", (None, None, None)).await);
        let begin = |merchant: u128| {
            let body = json!({ "merchant_id": Uuid::from_u128(round * 100 + merchant), "tier_code": code });
            let app = &app;
            async move { app.post(&format!("{LIMITS}/initialize"), &body).await }
        };
        let (answers, deleted) = tokio::join!(join_all((1..6).map(begin)), app.delete(&path));
        let merchants = answers.iter().filter(|answer| answer.status == 201).count();
        let missing = answers.iter().filter(|answer| answer.code() == "TIER_NOT_FOUND").count();
        match deleted.status {
            200 => assert_eq!((merchants, missing), (0, 5)),
            _ => assert_eq!((deleted.code().as_str(), merchants, missing), ("TIER_IN_USE", 5, 0)),
        }
    }
}

async fn tiers_are_filtered_and_walked(db: TestDb) {
    let app = App::start(db).await;
    for code in ["c", "a", "b"] {
        app.tier(code, "EUR", (None, None, None)).await;
    }
    assert_eq!(codes(&app, "?currency=eur").await, ["a", "b", "c"]);
    assert_eq!(codes(&app, "?tier_level=2").await, ["basic"]);
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("{TIERS}?page_size=2{cursor}")).await.data();
        assert_eq!(page["total"], 8);
        walked.extend(page["items"].as_array().unwrap().iter().map(|tier| tier["tier_code"].clone()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(
        json!(walked),
        json!(["starter", "basic", "professional", "enterprise", "premium", "a", "b", "c"])
    );
}
