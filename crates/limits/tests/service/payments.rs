//! Single payments from the first to the last answer.

use payops_platform::both_databases;
use payops_platform::db::Backend;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{App, NOON, TABLES, charge};

both_databases!(TABLES;
    a_payment_is_counted_and_given_back,
    a_reservation_is_confirmed_in_part,
    expired_reservations_free_their_amount,
    declines_are_final_and_explained,
    a_number_with_other_parameters_is_refused,
    a_batch_answers_each_on_its_own,
    a_parameter_that_nobody_knows_is_refused,
    bad_input_is_named,
    only_services_decide,
    windows_roll_with_the_day,
    what_nobody_asks_about_expires_too,
    the_log_is_parted_by_months,
    an_audit_shows_what_was_tampered_with,
);

async fn a_payment_is_counted_and_given_back(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), Some(5000), Some(600)).await;
    let first = app.consume(merchant, "p1", 600).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.data()["daily_remaining"], 400);
    let again = app.consume(merchant, "p1", 600).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.data(), first.data());
    let release = json!({ "merchant_id": merchant, "payment_no": "p1", "release_no": "r1", "amount": 200 });
    let released = app.ask("release", &release).await;
    assert_eq!(released.data()["releasable_amount"], 400);
    assert_eq!(app.ask("release", &release).await.data(), released.data());
    let rest = json!({ "merchant_id": merchant, "payment_no": "p1" });
    assert_eq!(app.ask("release", &rest).await.data()["amount"], 400);
    let more = json!({ "merchant_id": merchant, "payment_no": "p1", "release_no": "r3", "amount": 1 });
    let more = app.ask("release", &more).await;
    assert_eq!((more.status, more.code().as_str()), (422, "RELEASE_EXCEEDS_PAYMENT"));
    let unknown = json!({ "merchant_id": merchant, "payment_no": "p2" });
    assert_eq!(app.ask("release", &unknown).await.code(), "PAYMENT_NOT_FOUND");
    assert_eq!(app.counters(merchant).await, (0, 0, 0));
    assert_eq!(app.prove(merchant).await, 3);
}

async fn a_reservation_is_confirmed_in_part(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    let held = app.ask("reserve", &charge(merchant, "p1", 800)).await;
    assert_eq!(held.data()["expires_at"], "2026-11-23T12:15:00Z");
    assert_eq!(app.counters(merchant).await, (0, 0, 800));
    assert_eq!(app.consume(merchant, "p2", 201).await.code(), "LIMIT_EXCEEDED");
    let confirm = json!({ "merchant_id": merchant, "payment_no": "p1", "amount": 500 });
    let confirmed = app.ask("confirm", &confirm).await;
    assert_eq!(confirmed.data()["freed_amount"], 300);
    assert_eq!(app.ask("confirm", &confirm).await.data(), confirmed.data());
    let void = json!({ "merchant_id": merchant, "payment_no": "p1" });
    assert_eq!(app.ask("void", &void).await.code(), "PAYMENT_STATE");
    assert_eq!(app.counters(merchant).await, (500, 500, 0));
    app.ask("reserve", &charge(merchant, "p3", 100)).await;
    let void = json!({ "merchant_id": merchant, "payment_no": "p3" });
    let voided = app.ask("void", &void).await;
    assert_eq!(voided.data()["status"], "voided");
    assert_eq!(app.ask("void", &void).await.data(), voided.data());
    app.prove(merchant).await;
}

async fn expired_reservations_free_their_amount(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    for (number, ttl) in [("p1", 60), ("p2", 120)] {
        let mut body = charge(merchant, number, 50);
        body["ttl_seconds"] = ttl.into();
        assert_eq!(app.ask("reserve", &body).await.status, 200);
    }
    assert_eq!(app.consume(merchant, "p3", 1).await.code(), "LIMIT_EXCEEDED");
    app.set("2026-11-23T12:01:00Z");
    assert_eq!(app.consume(merchant, "p4", 50).await.status, 200);
    assert_eq!(app.counters(merchant).await, (50, 50, 50));
    app.set("2026-11-23T12:02:00Z");
    let late = app.ask("confirm", &json!({ "merchant_id": merchant, "payment_no": "p2" })).await;
    assert_eq!((&late.data()["late"], &late.data()["over_limit"]), (&true.into(), &false.into()));
    let void = app.ask("void", &json!({ "merchant_id": merchant, "payment_no": "p1" })).await;
    assert_eq!(void.data()["status"], "expired");
    assert_eq!(app.counters(merchant).await, (100, 100, 0));
    app.prove(merchant).await;
}

async fn a_parameter_that_nobody_knows_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    let asked = app.ask("consume?x=1", &charge(merchant, "p1", 10)).await;
    assert_eq!((asked.status, asked.code().as_str()), (400, "INVALID_REQUEST"), "{:?}", asked.json());
    assert!(asked.fields().contains('x'), "{}", asked.fields());
    for path in ["", "/payments/p1"] {
        let seen = app.get(&format!("/api/v1/limits/{merchant}{path}?y=1")).await;
        assert_eq!((seen.status, seen.fields().contains('y')), (400, true), "{path}: {:?}", seen.json());
    }
    assert_eq!(app.counters(merchant).await, (0, 0, 0));
}

async fn declines_are_final_and_explained(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), Some(50), Some(40)).await;
    let declined = app.consume(merchant, "p1", 120).await;
    assert_eq!((declined.status, declined.code().as_str()), (422, "LIMIT_EXCEEDED"));
    let failures = declined.data()["failures"].clone();
    assert_eq!(failures.as_array().unwrap().len(), 3);
    assert_eq!(failures[1]["resets_at"], "2026-11-24T00:00:00Z");
    app.change(
        "UPDATE merchant_limits SET custom_daily_limit = 1000, custom_monthly_limit = 1000, \
        custom_single_trans_limit = 1000 WHERE merchant_id = $1",
        merchant,
    )
    .await;
    let again = app.consume(merchant, "p1", 120).await;
    assert_eq!((again.status, again.code(), again.data()), (422, declined.code(), declined.data()));
    assert_eq!((declined.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    assert_eq!(app.consume(merchant, "p2", 120).await.status, 200);
    app.change(
        "UPDATE merchant_limits SET is_suspended = TRUE, suspended_reason = 'risk' WHERE merchant_id = $1",
        merchant,
    )
    .await;
    assert_eq!(app.consume(merchant, "p3", 1).await.code(), "MERCHANT_SUSPENDED");
    assert_eq!(app.prove(merchant).await, 3);
}

async fn a_number_with_other_parameters_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    app.consume(merchant, "p1", 10).await;
    let other = app.consume(merchant, "p1", 11).await;
    assert_eq!((other.status, other.code().as_str()), (409, "PAYMENT_MISMATCH"));
    assert_eq!(other.data()["fields"], json!(["amount"]));
    let missing = json!({ "merchant_id": merchant, "payment_no": "p2", "amount": 1, "currency": "EUR" });
    assert_eq!(app.ask("consume", &missing).await.code(), "RATE_MISSING");
    assert_eq!(app.consume(Uuid::from_u128(9), "p1", 1).await.code(), "LIMIT_NOT_FOUND");
    assert_eq!(app.prove(merchant).await, 1);
}

async fn a_batch_answers_each_on_its_own(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    let item = |operation: &str, mut body: serde_json::Value| {
        body["operation"] = operation.into();
        body
    };
    let operations = json!([
        item("consume", charge(merchant, "p1", 60)),
        item("consume", charge(merchant, "p2", i64::MAX)),
        item("consume", charge(Uuid::from_u128(9), "p1", 1)),
        item("consume", json!({ "merchant_id": merchant, "payment_no": "p3", "amount": 1, "currency": "CNY" })),
        item("consume", json!({ "merchant_id": merchant, "payment_no": "p4", "amount": 0, "currency": "USD" })),
        { "operation": "abolish" },
        item("release", json!({ "merchant_id": merchant, "payment_no": "p1", "amount": 10, "release_no": "r1" })),
        item("reserve", charge(merchant, "p5", 50)),
        item("confirm", json!({ "merchant_id": merchant, "payment_no": "p5" })),
        item("consume", charge(merchant, "p6", 1)),
        item("consume", charge(merchant, "p2", i64::MAX)),
        item("consume", charge(merchant, "p1", 60)),
        item("check", json!({ "merchant_id": Uuid::from_u128(9), "amount": 1 })),
        item("check", json!({ "merchant_id": merchant, "amount": 101 })),
        item("check", json!({ "merchant_id": merchant, "amount": 0 })),
    ]);
    let answer = app.ask("batch", &json!({ "operations": operations })).await;
    assert_eq!(answer.status, 200);
    let results = answer.data()["results"].clone();
    let codes: Vec<&str> = results.as_array().unwrap().iter().map(|r| r["code"].as_str().unwrap()).collect();
    let expected = [
        "SUCCESS",
        "LIMIT_EXCEEDED",
        "LIMIT_NOT_FOUND",
        "RATE_MISSING",
        "INVALID_REQUEST",
        "INVALID_REQUEST",
        "SUCCESS",
        "SUCCESS",
        "SUCCESS",
        "LIMIT_EXCEEDED",
        "LIMIT_EXCEEDED",
        "SUCCESS",
        "LIMIT_NOT_FOUND",
        "SUCCESS",
        "INVALID_REQUEST",
    ];
    assert_eq!(codes, expected);
    assert_eq!(results[13]["data"]["allowed"], false, "a check says no without an error: {results}");
    let repeated = |index: usize| results[index]["replayed"] == true;
    let repeated: Vec<usize> = (0..codes.len()).filter(|index| repeated(*index)).collect();
    assert_eq!(repeated, [10, 11], "a no is repeated as a yes is: {results}");
    assert_eq!(app.counters(merchant).await, (100, 100, 0));
    app.prove(merchant).await;
}

async fn bad_input_is_named(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    let good = charge(merchant, "p1", 10);
    let with = |field: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let cases = [
        ("consume", with("amount", 0.into()), "amount"),
        ("consume", with("amount", (-1).into()), "amount"),
        ("consume", with("amount", json!(1.5)), "amount"),
        ("consume", with("amount", json!("10")), "amount"),
        ("consume", with("amount", json!(9_223_372_036_854_775_808_u64)), "amount"),
        ("consume", with("currency", "dollars".into()), "currency"),
        ("consume", with("payment_no", "".into()), "payment_no"),
        ("consume", with("payment_no", " p".into()), "payment_no"),
        ("consume", with("payment_no", "x".repeat(65).into()), "payment_no"),
        ("consume", with("payment_no", "a\u{0}b".into()), "payment_no"),
        ("consume", with("merchant_id", "m".into()), "merchant_id"),
        ("consume", with("daily_limit", 1.into()), "daily_limit"),
        ("consume", with("tier", "premium".into()), "tier"),
        ("reserve", with("ttl_seconds", 0.into()), "ttl_seconds"),
        ("reserve", with("ttl_seconds", i64::MAX.into()), "ttl_seconds"),
        ("release", json!({ "merchant_id": merchant, "payment_no": "p", "amount": -5 }), "amount"),
        (
            "release",
            json!({ "merchant_id": merchant, "payment_no": "p", "reason": "x".repeat(201) }),
            "reason",
        ),
        ("confirm", json!({ "merchant_id": merchant }), "payment_no"),
        ("batch", json!({ "operations": [] }), "operations"),
    ];
    for (operation, body, field) in cases {
        let answer = app.ask(operation, &body).await;
        assert_eq!(answer.status, 400, "{operation} {body}");
        assert!(answer.fields().contains(field), "{operation} {body}: {}", answer.fields());
    }
    assert_eq!(app.prove(merchant).await, 0);
}

async fn only_services_decide(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    for who in [As::Admin, As::Operator, As::Merchant(merchant)] {
        let answer =
            app.client.post("/api/v1/limits/consume", &charge(merchant, "p1", 1)).by(who).send().await;
        assert_eq!(answer.status, 403);
    }
    assert_eq!(app.counters(merchant).await, (0, 0, 0));
}

async fn windows_roll_with_the_day(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), Some(150), None).await;
    assert_eq!(NOON, "2026-11-23T12:00:00Z");
    assert_eq!(app.consume(merchant, "p1", 100).await.status, 200);
    app.set("2026-11-23T23:59:59.999999Z");
    assert_eq!(app.consume(merchant, "p2", 1).await.code(), "LIMIT_EXCEEDED");
    app.set("2026-11-24T00:00:00Z");
    assert_eq!(app.consume(merchant, "p3", 50).await.status, 200);
    assert_eq!(app.consume(merchant, "p4", 1).await.code(), "LIMIT_EXCEEDED");
    let release = json!({ "merchant_id": merchant, "payment_no": "p1" });
    let released = app.ask("release", &release).await;
    assert_eq!(released.data()["windows"][0], json!({ "window": "daily", "returned": 0, "closed": true }));
    assert_eq!(app.counters(merchant).await, (50, 50, 0));
    app.set("2026-12-01T00:00:00Z");
    assert_eq!(app.consume(merchant, "p5", 100).await.status, 200);
    assert_eq!(app.counters(merchant).await, (100, 100, 0));
    app.prove(merchant).await;
}

async fn what_nobody_asks_about_expires_too(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    assert_eq!(app.ask("reserve", &charge(merchant, "p1", 50)).await.status, 200);
    app.set("2026-11-23T12:14:59Z");
    app.work().await;
    assert_eq!(app.counters(merchant).await, (0, 0, 50));
    app.set("2026-11-23T12:16:00Z");
    app.work().await;
    assert_eq!(app.counters(merchant).await, (0, 0, 0));
    assert_eq!(app.prove(merchant).await, 2);
}

async fn the_log_is_parted_by_months(db: TestDb) {
    let on_postgres = db.backend() == Backend::Postgres;
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    app.consume(merchant, "p1", 1).await;
    app.set("2027-12-31T23:00:00Z");
    app.consume(merchant, "p2", 1).await;
    assert_eq!(app.prove(merchant).await, 3, "one payment, one roll, one payment");
    if on_postgres {
        let sql = "SELECT tableoid::regclass::text AS part FROM limit_usage_logs WHERE merchant_id = $1 ORDER BY seq";
        let parts: Vec<String> =
            app.rows(sql, merchant).await.iter().map(|row| row.try_get("", "part").unwrap()).collect();
        let other = "limit_usage_logs_other";
        assert_eq!(parts, ["limit_usage_logs_2026_11", other, other], "no row waits for a partition");
    }
}

async fn an_audit_shows_what_was_tampered_with(db: TestDb) {
    let app = App::start(db).await;
    let tampered = [
        ("UPDATE merchant_limits SET daily_used = daily_used - 1 WHERE merchant_id = $1", "the log ends at"),
        ("UPDATE merchant_limits SET pending_amount = 1 WHERE merchant_id = $1", "open reservations hold 0"),
        ("UPDATE merchant_limits SET seq = seq + 1 WHERE merchant_id = $1", "the log has 3 rows"),
        ("UPDATE limit_payments SET booked_counted_amount = 11 WHERE merchant_id = $1", "2 payments differ"),
        ("DELETE FROM limit_payments WHERE merchant_id = $1 AND payment_no = 'p1'", "p1 among them"),
        (
            "UPDATE limit_payments SET booked_amount = 11 WHERE merchant_id = $1",
            "2 payments differ from what the log",
        ),
        (
            "UPDATE limit_payments SET amount = 11 WHERE merchant_id = $1",
            "2 payments differ from what was decided",
        ),
        (
            "UPDATE limit_payments SET counted_amount = 9 WHERE merchant_id = $1",
            "2 payments differ from what was",
        ),
        (
            "UPDATE limit_payments SET currency = 'EUR' WHERE merchant_id = $1",
            "2 payments differ from what was",
        ),
        (
            "UPDATE limit_payments SET state = 'declined' WHERE merchant_id = $1",
            "2 payments differ from what was",
        ),
        ("UPDATE limit_releases SET amount = 3 WHERE merchant_id = $1", "1 releases differ"),
        ("UPDATE limit_releases SET returned_amount = 3 WHERE merchant_id = $1", "1 releases differ"),
    ];
    for (change, expected) in tampered {
        let merchant = app.merchant(Some(100), None, None).await;
        app.consume(merchant, "p1", 10).await;
        app.consume(merchant, "p2", 10).await;
        let release = json!({ "merchant_id": merchant, "payment_no": "p2", "amount": 4, "release_no": "r1" });
        app.ask("release", &release).await;
        assert_eq!(app.prove(merchant).await, 3);
        app.change(change, merchant).await;
        let found = app.audit(merchant).await;
        assert!(found.contains(expected), "{change}: {found}");
    }
}
