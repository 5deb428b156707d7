//! What binds one merchant.

use std::sync::Arc;

use futures::future::join_all;
use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES, charge};
use crate::people::{LIMITS, TIERS, each_is_refused};

both_databases!(TABLES;
    a_merchant_begins_once,
    bad_beginnings_name_their_fields,
    limits_show_where_they_come_from,
    an_edit_changes_what_is_named_and_keeps_usage,
    an_edit_tells_the_thresholds,
    bad_edits_name_their_fields,
    windows_that_are_over_are_shown_rolled,
    another_zone_holds_from_the_next_window,
    another_tier_keeps_what_is_used,
    another_currency_needs_a_clean_slate,
    a_suspended_merchant_gets_nothing_approved,
    after_the_answer_of_suspend_nothing_is_approved,
    no_payment_is_lost_while_the_tier_changes,
    of_two_admins_one_wins,
    a_merchant_sees_itself_alone,
    merchants_are_listed_and_filtered,
    a_repeated_command_has_one_effect,
);

async fn a_merchant_begins_once(db: TestDb) {
    let app = App::start(db).await;
    let merchant = Uuid::from_u128(1);
    let body = json!({
        "merchant_id": merchant, "tier_code": "professional", "timezone": "Asia/Shanghai", "custom_daily_limit": 5,
        "custom_monthly_limit": null
    });
    let path = format!("{LIMITS}/initialize");
    let made = app.client.post(&path, &body).by(As::Service).send().await;
    assert_eq!((made.status, made.header("etag")), (201, "\"1\""), "{:?}", made.json());
    assert_eq!(made.header("location"), format!("{LIMITS}/{merchant}"));
    let data = made.data();
    assert_eq!((&data["daily_limit"], &data["daily_limit_source"]), (&json!(5), &json!("custom")));
    assert_eq!((&data["tier_code"], &data["currency"]), (&json!("professional"), &json!("USD")));
    // Noon in London is evening in Shanghai.
    assert_eq!(data["daily_reset_at"], "2026-11-23T16:00:00Z");
    assert_eq!(data["monthly_reset_at"], "2026-11-30T16:00:00Z");
    let answers = join_all((0..6).map(|_| app.post(&path, &body))).await;
    for again in answers {
        assert_eq!((again.status, again.code().as_str()), (409, "LIMIT_EXISTS"));
        assert_eq!(again.data()["id"], data["id"]);
    }
    assert_eq!(app.limit(merchant).await, data);
    assert_eq!(app.audited(merchant).await, ["merchant_limit.initialized"]);
    let raced = json!({ "merchant_id": Uuid::from_u128(2), "tier_code": "basic" });
    let statuses = join_all((0..8).map(|_| app.post(&path, &raced))).await;
    assert_eq!(statuses.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(statuses.iter().filter(|answer| answer.code() == "LIMIT_EXISTS").count(), 7);
}

async fn bad_beginnings_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let id = Uuid::from_u128(1);
    let tier = Uuid::from_u128(2);
    let big: Value = serde_json::from_str("9223372036854775808").unwrap();
    let cases = [
        (json!({ "merchant_id": id }), "tier_code"),
        (json!({ "tier_code": "basic" }), "merchant_id"),
        (json!({ "merchant_id": "me", "tier_code": "basic" }), "merchant_id"),
        (json!({ "merchant_id": id, "tier_code": "basic", "tier_id": tier }), "tier_code"),
        (json!({ "merchant_id": id, "tier_code": "ba\u{0}sic" }), "tier_code"),
        (json!({ "merchant_id": id, "tier_code": "basic", "timezone": "Mars/Olympus" }), "timezone"),
        (json!({ "merchant_id": id, "tier_code": "basic", "custom_daily_limit": -1 }), "custom_daily_limit"),
        (json!({ "merchant_id": id, "tier_code": "basic", "custom_daily_limit": big }), "custom_daily_limit"),
        (json!({ "merchant_id": id, "tier_code": "basic", "daily_limit": 1 }), "daily_limit"),
    ];
    each_is_refused(&app, Method::POST, &format!("{LIMITS}/initialize"), &cases).await;
    let unknown =
        app.post(&format!("{LIMITS}/initialize"), &json!({ "merchant_id": id, "tier_id": tier })).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "TIER_NOT_FOUND"));
    assert_eq!(app.get(&format!("{LIMITS}/{id}")).await.code(), "LIMIT_NOT_FOUND");
    for (method, path) in [
        (Method::PUT, String::new()),
        (Method::POST, "/suspend".into()),
        (Method::POST, "/unsuspend".into()),
        (Method::POST, "/change-tier".into()),
    ] {
        let body = match path.as_str() {
            "/suspend" => json!({ "reason": "x" }),
            "/change-tier" => json!({ "tier_code": "basic" }),
            _ => json!({}),
        };
        let answer = app.admin(method, &format!("{LIMITS}/{id}{path}"), &body).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "LIMIT_NOT_FOUND"), "{path}");
    }
}

async fn limits_show_where_they_come_from(db: TestDb) {
    let app = App::start(db).await;
    app.tier("open", "USD", (Some(1000), None, Some(500))).await;
    let merchant = app.initialize("open").await;
    app.put(&format!("{LIMITS}/{merchant}"), &json!({ "custom_monthly_limit": 2000 })).await;
    let over =
        json!({ "limit_kind": "single_trans", "value": 0, "ends_at": "2026-11-24T00:00:00Z", "reason": "x" });
    assert_eq!(app.post(&format!("{LIMITS}/{merchant}/overrides"), &over).await.status, 201);
    app.client.post(&format!("{LIMITS}/reserve"), &charge(merchant, "p0", 1)).by(As::Service).send().await;
    let seen = app.limit(merchant).await;
    let limit =
        |name: &str| (seen[format!("{name}_limit")].clone(), seen[format!("{name}_limit_source")].clone());
    assert_eq!(limit("daily"), (json!(1000), json!("tier")));
    assert_eq!(limit("monthly"), (json!(2000), json!("custom")));
    assert_eq!(limit("single_trans"), (json!(0), json!("override")));
    assert_eq!((&seen["pending_amount"], &seen["daily_remaining"]), (&json!(0), &json!(1000)));
}

async fn an_edit_changes_what_is_named_and_keeps_usage(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}");
    assert_eq!(app.consume(merchant, "p1", 700_000).await.status, 200);
    app.client
        .post(&format!("{LIMITS}/reserve"), &charge(merchant, "p2", 100_000))
        .by(As::Service)
        .send()
        .await;
    let changed =
        app.put(&path, &json!({ "custom_daily_limit": 600_000, "custom_single_trans_limit": 0 })).await;
    assert_eq!((changed.status, changed.header("etag")), (200, "\"2\""), "{:?}", changed.json());
    let seen = changed.data();
    assert_eq!((&seen["daily_used"], &seen["pending_amount"]), (&json!(700_000), &json!(100_000)));
    assert_eq!((&seen["daily_remaining"], &seen["daily_over_by"]), (&json!(0), &json!(200_000)));
    assert_eq!((&seen["monthly_over_by"], &seen["monthly_limit_source"]), (&json!(0), &json!("tier")));
    assert_eq!(app.limit(merchant).await, seen);
    assert_eq!(app.consume(merchant, "p3", 1).await.code(), "LIMIT_EXCEEDED");
    assert_eq!(app.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p1" })).await.status, 200);
    let again = app
        .put(&path, &json!({ "custom_daily_limit": null, "custom_single_trans_limit": null }))
        .await
        .data();
    assert_eq!((&again["custom_daily_limit"], &again["daily_limit"]), (&Value::Null, &json!(10_000_000)));
    let nothing = app.put(&path, &json!({ "custom_daily_limit": null })).await;
    assert_eq!(nothing.data()["version"], 3, "what is so already is no change");
    assert_eq!(app.audited(merchant).await.len(), 3);
    app.prove(merchant).await;
}

async fn an_edit_tells_the_thresholds(db: TestDb) {
    let app = App::start(db).await;
    app.tier("told", "USD", (Some(1000), None, None)).await;
    let merchant = app.initialize("told").await;
    let path = format!("{LIMITS}/{merchant}");
    app.consume(merchant, "p1", 700).await;
    assert!(app.alerts(merchant).await.is_empty());
    app.clock.advance(chrono::Duration::seconds(1));
    app.put(&path, &json!({ "custom_daily_limit": 800 })).await;
    let daily = |percent, crossed| ("daily".to_owned(), percent, crossed);
    assert_eq!(app.alerts(merchant).await, [daily(80, true)]);
    app.clock.advance(chrono::Duration::seconds(1));
    app.put(&path, &json!({ "custom_daily_limit": null })).await;
    assert_eq!(app.alerts(merchant).await, [daily(80, true), daily(80, false)]);
    let near = app.get(&format!("{LIMITS}?near_limit=80")).await.data();
    assert_eq!(near["total"], 0);
    app.consume(merchant, "p2", 200).await;
    let near = app.get(&format!("{LIMITS}?near_limit=90")).await.data();
    assert_eq!((&near["total"], &near["items"][0]["merchant_id"]), (&json!(1), &json!(merchant)));
    app.set("2026-11-24T00:00:00Z");
    let near = app.get(&format!("{LIMITS}?near_limit=80")).await.data();
    assert_eq!(near["total"], 0, "the day is over");
    app.prove(merchant).await;
}

async fn bad_edits_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}");
    let big: Value = serde_json::from_str("9223372036854775808").unwrap();
    let cases = [
        (json!({ "custom_daily_limit": -1, "timezone": "" }), "custom_daily_limit timezone"),
        (json!({ "custom_daily_limit": big }), "custom_daily_limit"),
        (json!({ "custom_monthly_limit": 1.0 }), "custom_monthly_limit"),
        (json!({ "custom_single_trans_limit": "1" }), "custom_single_trans_limit"),
        (json!({ "timezone": null }), "timezone"),
        (json!({ "timezone": "Etc/\u{0}UTC" }), "timezone"),
        (json!({ "daily_used": 0 }), "daily_used"),
        (json!({ "is_suspended": true }), "is_suspended"),
        (json!([]), ""),
    ];
    each_is_refused(&app, Method::PUT, &path, &cases).await;
    let cases = [
        (json!({}), "reason"),
        (json!({ "reason": "" }), "reason"),
        (json!({ "reason": "\u{200b}" }), "reason"),
        (json!({ "reason": "a\u{0}" }), "reason"),
        (json!({ "reason": "x".repeat(501) }), "reason"),
        (json!({ "reason": null }), "reason"),
        (json!({ "reason": "x", "until": "later" }), "until"),
    ];
    each_is_refused(&app, Method::POST, &format!("{path}/suspend"), &cases).await;
    each_is_refused(&app, Method::POST, &format!("{path}/change-tier"), &[(json!({}), "tier_code")]).await;
    let most = json!({ "custom_daily_limit": i64::MAX, "custom_monthly_limit": i64::MAX, "custom_single_trans_limit": 0 });
    let seen = app.put(&path, &most).await.data();
    assert_eq!((&seen["daily_limit"], &seen["daily_remaining"]), (&json!(i64::MAX), &json!(i64::MAX)));
    assert_eq!(seen["version"], 2);
}

async fn windows_that_are_over_are_shown_rolled(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    app.consume(merchant, "p1", 500).await;
    let held = json!({ "merchant_id": merchant, "payment_no": "p2", "amount": 40, "currency": "USD", "ttl_seconds": 60 });
    app.ask("reserve", &held).await;
    app.set("2026-11-24T00:00:00Z");
    let seen = app.limit(merchant).await;
    assert_eq!(
        (&seen["daily_used"], &seen["monthly_used"], &seen["pending_amount"]),
        (&json!(0), &json!(500), &json!(0))
    );
    assert_eq!(seen["daily_reset_at"], "2026-11-25T00:00:00Z");
    assert_eq!(app.counters(merchant).await, (500, 500, 40), "looking writes nothing");
    app.set("2026-12-01T00:00:00Z");
    let listed = app.get(LIMITS).await.data()["items"][0].clone();
    assert_eq!((&listed["daily_used"], &listed["monthly_used"]), (&json!(0), &json!(0)));
    assert_eq!(listed["monthly_reset_at"], "2027-01-01T00:00:00Z");
    // An edit writes what the present did to the windows, with its rows of the log.
    assert_eq!(
        app.put(&format!("{LIMITS}/{merchant}"), &json!({ "custom_daily_limit": 9 })).await.status,
        200
    );
    assert_eq!(app.counters(merchant).await, (0, 0, 0));
    assert_eq!(app.prove(merchant).await, 4, "consume, reserve, reset, expire");
}

async fn another_zone_holds_from_the_next_window(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    app.consume(merchant, "p1", 500).await;
    let path = format!("{LIMITS}/{merchant}");
    let seen = app.put(&path, &json!({ "timezone": "america/los_angeles" })).await.data();
    assert_eq!((&seen["timezone"], &seen["daily_used"]), (&json!("America/Los_Angeles"), &json!(500)));
    assert_eq!(seen["daily_reset_at"], "2026-11-24T00:00:00Z", "the open day ends as it would have");
    app.set("2026-11-24T00:00:00Z");
    let seen = app.limit(merchant).await;
    assert_eq!((&seen["daily_used"], &seen["daily_reset_at"]), (&json!(0), &json!("2026-11-25T08:00:00Z")));
    let utc = app.put(&path, &json!({ "timezone": "UTC" })).await.data();
    assert_eq!(utc["timezone"], "Etc/UTC");
}

async fn another_tier_keeps_what_is_used(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}/change-tier");
    app.consume(merchant, "p1", 900_000).await;
    app.put(&format!("{LIMITS}/{merchant}"), &json!({ "custom_monthly_limit": 950_000 })).await;
    app.clock.advance(chrono::Duration::seconds(1));
    let moved = app.post(&path, &json!({ "tier_code": "starter" })).await;
    assert_eq!(moved.status, 200, "{:?}", moved.json());
    let seen = moved.data();
    assert_eq!(
        (&seen["tier_code"], &seen["daily_limit"], &seen["daily_used"]),
        (&json!("starter"), &json!(1_000_000), &json!(900_000))
    );
    assert_eq!((&seen["monthly_limit"], &seen["version"]), (&json!(950_000), &json!(3)));
    let told = app.alerts(merchant).await;
    assert!(told.contains(&("daily".to_owned(), 90, true)), "{told:?}");
    let same = app.post(&path, &json!({ "tier_id": seen["tier_id"] })).await;
    assert_eq!((same.status, same.data()["version"].clone()), (200, json!(3)));
    assert_eq!(app.post(&path, &json!({ "tier_code": "no-such" })).await.code(), "TIER_NOT_FOUND");
    let gone = app.get(&format!("{TIERS}?tier_code=starter")).await.data()["items"][0]["id"].clone();
    assert_eq!(app.delete(&format!("{TIERS}/{}", gone.as_str().unwrap())).await.code(), "TIER_IN_USE");
}

async fn another_currency_needs_a_clean_slate(db: TestDb) {
    let app = App::start(db).await;
    app.tier("euro", "EUR", (Some(1000), None, None)).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}");
    let euro = json!({ "tier_code": "euro" });
    let refused = async |what: &str| {
        let answer = app.post(&format!("{path}/change-tier"), &euro).await;
        assert_eq!((answer.status, answer.code().as_str()), (409, "CURRENCY_DIFFERS"), "{what}");
        answer.data()
    };
    app.consume(merchant, "p1", 10).await;
    assert_eq!(refused("usage").await["daily_used"], 10);
    app.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p1" })).await;
    app.ask("reserve", &charge(merchant, "p2", 10)).await;
    assert_eq!(refused("a reservation").await["pending_amount"], 10);
    app.ask("void", &json!({ "merchant_id": merchant, "payment_no": "p2" })).await;
    let mut short = charge(merchant, "p3", 100);
    short["ttl_seconds"] = json!(60);
    app.ask("reserve", &short).await;
    app.put(&path, &json!({ "custom_daily_limit": 1 })).await;
    assert_eq!(refused("a custom limit").await["has_custom_limits"], true);
    app.put(&path, &json!({ "custom_daily_limit": null })).await;
    let over = json!({ "limit_kind": "daily", "value": 1, "ends_at": "2026-11-23T13:00:00Z", "reason": "x" });
    app.set("2026-11-23T12:00:01Z");
    app.post(&format!("{path}/overrides"), &over).await;
    assert_eq!(refused("an override").await["has_overrides"], true);
    app.set("2026-11-23T13:00:00Z");
    let moved = app.post(&format!("{path}/change-tier"), &euro).await;
    assert_eq!((moved.status, moved.data()["currency"].clone()), (200, json!("EUR")), "{:?}", moved.json());
    // What was reserved before the move and is confirmed after its time counts in the new currency.
    let confirm = json!({ "merchant_id": merchant, "payment_no": "p3" });
    assert_eq!(app.ask("confirm", &confirm).await.code(), "RATE_MISSING");
    app.put(
        "/api/v1/rates",
        &json!({ "rates": [{ "from_currency": "USD", "to_currency": "EUR", "rate": "0.9" }] }),
    )
    .await;
    let late = app.ask("confirm", &confirm).await;
    assert_eq!((&late.data()["counted_amount"], &late.data()["rate"]), (&json!(90), &json!("0.9")));
    assert_eq!(app.counters(merchant).await, (90, 90, 0));
    app.ask("release", &confirm).await;
    assert_eq!(app.counters(merchant).await, (0, 0, 0), "a release gives back what was counted");
    // A payment of then can no longer be in an open window, so nothing of it is given back in another currency.
    app.prove(merchant).await;
}

async fn a_suspended_merchant_gets_nothing_approved(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}");
    app.consume(merchant, "p1", 10).await;
    app.ask("reserve", &charge(merchant, "p2", 10)).await;
    app.ask("reserve", &charge(merchant, "p3", 10)).await;
    let suspended = app.post(&format!("{path}/suspend"), &json!({ "reason": "chargebacks" })).await;
    let seen = suspended.data();
    assert_eq!(
        (suspended.status, &seen["is_suspended"], &seen["suspended_reason"]),
        (200, &json!(true), &json!("chargebacks"))
    );
    assert_eq!(seen["suspended_at"], "2026-11-23T12:00:00Z");
    let again = app.post(&format!("{path}/suspend"), &json!({ "reason": "again" })).await;
    assert_eq!((again.status, again.code().as_str()), (409, "ALREADY_SUSPENDED"));
    assert_eq!(again.data()["suspended_reason"], "chargebacks");
    assert_eq!(app.consume(merchant, "p4", 10).await.code(), "MERCHANT_SUSPENDED");
    assert_eq!(app.ask("reserve", &charge(merchant, "p5", 10)).await.code(), "MERCHANT_SUSPENDED");
    let check = app.ask("check", &json!({ "merchant_id": merchant, "amount": 1 })).await;
    assert_eq!((check.status, check.data()["reason"].clone()), (200, json!("Merchant is suspended")));
    for (operation, number) in [("confirm", "p2"), ("void", "p3"), ("release", "p1")] {
        let body = json!({ "merchant_id": merchant, "payment_no": number });
        assert_eq!(app.ask(operation, &body).await.status, 200, "{operation}");
    }
    let free = app.post(&format!("{path}/unsuspend"), &json!({})).await;
    assert_eq!((free.status, free.data()["suspended_reason"].clone()), (200, Value::Null));
    assert_eq!(
        app.post(&format!("{path}/unsuspend"), &json!({ "reason": "x" })).await.code(),
        "NOT_SUSPENDED"
    );
    assert_eq!(app.consume(merchant, "p6", 10).await.status, 200);
    assert_eq!(
        app.consume(merchant, "p4", 10).await.code(),
        "MERCHANT_SUSPENDED",
        "a decline is final for its number"
    );
    assert_eq!(
        app.audited(merchant).await,
        ["merchant_limit.initialized", "merchant_limit.suspended", "merchant_limit.unsuspended"]
    );
    app.prove(merchant).await;
}

async fn after_the_answer_of_suspend_nothing_is_approved(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    let merchant = one.initialize("basic").await;
    let suspended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let load = (0..4).map(|worker| {
        let (app, suspended) =
            (Arc::clone(if worker % 2 == 0 { &one } else { &two }), Arc::clone(&suspended));
        tokio::spawn(async move {
            let (mut approved, mut late) = (0, 0);
            for number in 0..60 {
                // Read before the call: what is asked after the answer of suspend must be refused.
                let after = suspended.load(std::sync::atomic::Ordering::SeqCst);
                let allowed = app.consume(merchant, &format!("p{worker}-{number}"), 1).await.status == 200;
                approved += i64::from(allowed);
                late += i64::from(allowed && after);
            }
            (approved, late)
        })
    });
    let load: Vec<_> = load.collect();
    let path = format!("{LIMITS}/{merchant}/suspend");
    // Not before something was approved.
    while one.counters(merchant).await.0 == 0 {
        tokio::task::yield_now().await;
    }
    let answer = two.post(&path, &json!({ "reason": "now" })).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    suspended.store(true, std::sync::atomic::Ordering::SeqCst);
    let used = answer.data()["daily_used"].as_i64().unwrap();
    let results: Vec<(i64, i64)> = join_all(load).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(results.iter().map(|(_, late)| late).sum::<i64>(), 0);
    assert_eq!(
        results.iter().map(|(approved, _)| approved).sum::<i64>(),
        used,
        "what suspend showed was the end"
    );
    assert_eq!(one.counters(merchant).await, (used, used, 0));
    assert_eq!(one.prove(merchant).await, 240);
}

async fn no_payment_is_lost_while_the_tier_changes(db: TestDb) {
    let app = Arc::new(App::start(db).await);
    let merchant = app.initialize("basic").await;
    let load: Vec<_> = (0..3)
        .map(|worker| {
            let app = Arc::clone(&app);
            tokio::spawn(async move {
                let mut statuses = Vec::new();
                for number in 0..40 {
                    statuses.push(app.consume(merchant, &format!("p{worker}-{number}"), 1).await.status);
                }
                statuses
            })
        })
        .collect();
    let path = format!("{LIMITS}/{merchant}/change-tier");
    for round in 0..20 {
        let tier = if round % 2 == 0 { "professional" } else { "basic" };
        assert_eq!(app.post(&path, &json!({ "tier_code": tier })).await.status, 200);
    }
    for statuses in join_all(load).await {
        assert_eq!(statuses.unwrap(), vec![200; 40]);
    }
    assert_eq!(app.counters(merchant).await, (120, 120, 0));
    assert_eq!(app.prove(merchant).await, 120);
}

async fn of_two_admins_one_wins(db: TestDb) {
    let one = App::start(db).await;
    let two = one.another().await;
    let merchant = one.initialize("basic").await;
    let path = format!("{LIMITS}/{merchant}");
    let etag = one.get(&path).await.header("etag").to_owned();
    one.consume(merchant, "p1", 5).await;
    let edit = |number: i64| {
        let app = if number % 2 == 0 { &one } else { &two };
        let request = app.client.request(Method::PUT, &path).json(&json!({ "custom_daily_limit": number }));
        request.by(As::Admin).header("if-match", &etag).send()
    };
    let answers = join_all((10..18).map(edit)).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1, "a payment does not make a version stale, another edit does");
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 7);
    assert_eq!(one.limit(merchant).await["custom_daily_limit"], won[0].data()["custom_daily_limit"]);
    let suspend = |number: i64| {
        let app = if number % 2 == 0 { &one } else { &two };
        let reason = json!({ "reason": format!("by {number}") });
        let path = format!("{path}/suspend");
        async move { app.post(&path, &reason).await }
    };
    let answers = join_all((0..8).map(suspend)).await;
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    let winner = won[0].data()["suspended_reason"].clone();
    let lost = answers.iter().filter(|answer| answer.code() == "ALREADY_SUSPENDED");
    assert!(lost.clone().all(|answer| answer.data()["suspended_reason"] == winner));
    assert_eq!(lost.count(), 7);
    for (verb, body) in [("unsuspend", json!({})), ("change-tier", json!({ "tier_code": "starter" }))] {
        let stale = one.client.post(&format!("{path}/{verb}"), &body).by(As::Admin).header("if-match", &etag);
        assert_eq!(stale.send().await.status, 412, "{verb}");
    }
    one.prove(merchant).await;
}

async fn a_merchant_sees_itself_alone(db: TestDb) {
    let app = App::start(db).await;
    let (own, other) = (app.initialize("basic").await, app.initialize("basic").await);
    app.consume(own, "p1", 5).await;
    app.consume(other, "p1", 5).await;
    for path in ["", "/usage-history", "/statistics", "/payments/p1"] {
        let see = |merchant: Uuid| {
            app.client.get(&format!("{LIMITS}/{merchant}{path}")).by(As::Merchant(own)).send()
        };
        assert_eq!(see(own).await.status, 200, "{path}");
        let foreign = see(other).await;
        assert_eq!((foreign.status, foreign.code().as_str()), (404, "LIMIT_NOT_FOUND"), "{path}");
        assert_eq!(foreign.json()["message"], see(Uuid::from_u128(404)).await.json()["message"]);
    }
}

async fn merchants_are_listed_and_filtered(db: TestDb) {
    let app = App::start(db).await;
    app.tier("euro", "EUR", (None, None, None)).await;
    let mut merchants = Vec::new();
    for tier in ["basic", "euro", "basic", "starter"] {
        merchants.push(app.initialize(tier).await);
    }
    app.post(&format!("{LIMITS}/{}/suspend", merchants[0]), &json!({ "reason": "x" })).await;
    app.put(&format!("{LIMITS}/{}", merchants[2]), &json!({ "custom_daily_limit": 0 })).await;
    let listed = async |query: &str| -> Vec<Uuid> {
        let page = app.get(&format!("{LIMITS}{query}")).await;
        assert_eq!(page.status, 200, "{query}: {:?}", page.json());
        let id = |item: &Value| item["merchant_id"].as_str().unwrap().parse().unwrap();
        page.data()["items"].as_array().unwrap().iter().map(id).collect()
    };
    assert_eq!(listed("").await, merchants);
    assert_eq!(listed("?tier_code=basic").await, [merchants[0], merchants[2]]);
    assert_eq!(listed("?currency=eur").await, [merchants[1]]);
    assert_eq!(listed("?is_suspended=true").await, [merchants[0]]);
    assert_eq!(listed("?is_suspended=false&tier_code=basic").await, [merchants[2]]);
    assert_eq!(listed("?has_custom_limits=true").await, [merchants[2]]);
    assert_eq!(listed("?has_custom_limits=false").await.len(), 3);
    let page = app.get(&format!("{LIMITS}?page_size=3")).await.data();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(listed(&format!("?page_size=3&cursor={cursor}")).await, [merchants[3]]);
    for (query, field) in
        [("near_limit=0", "near_limit"), ("tier=basic", "tier"), ("tier_id=x", "tier_id"), ("page=0", "page")]
    {
        let answer = app.get(&format!("{LIMITS}?{query}")).await;
        assert_eq!((answer.status, answer.fields().as_str()), (400, field), "{query}");
    }
}

async fn a_repeated_command_has_one_effect(db: TestDb) {
    let app = App::start(db).await;
    let merchant = Uuid::from_u128(77);
    let send = |tier: &str| {
        let body = json!({ "merchant_id": merchant, "tier_code": tier });
        let request = app.client.post(&format!("{LIMITS}/initialize"), &body).by(As::Admin);
        request.header("idempotency-key", "begin-77").send()
    };
    let first = send("basic").await;
    let again = send("basic").await;
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((again.header("idempotency-replayed"), again.data()), ("true", first.data()));
    let other = send("starter").await;
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(app.audited(merchant).await, ["merchant_limit.initialized"]);
}
