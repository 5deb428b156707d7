//! What a merchant has used.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES, charge};
use crate::people::{LIMITS, RATES};

both_databases!(TABLES;
    every_decision_is_in_the_history,
    the_history_is_filtered_and_walked,
    bad_queries_name_their_parameters,
    statistics_have_every_field_of_old,
    statistics_of_a_period,
    a_payment_is_shown_from_its_beginning_to_its_end,
    a_payment_in_another_currency_shows_its_rate,
);

async fn history(app: &App, merchant: Uuid, query: &str) -> Vec<Value> {
    let page = app.get(&format!("{LIMITS}/{merchant}/usage-history{query}")).await;
    assert_eq!(page.status, 200, "{query}: {:?}", page.json());
    page.data()["items"].as_array().unwrap().clone()
}

async fn every_decision_is_in_the_history(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), Some(500), None).await;
    app.consume(merchant, "p1", 60).await;
    app.consume(merchant, "p2", 60).await;
    let release = json!({ "merchant_id": merchant, "payment_no": "p1", "release_no": "r1", "amount": 20, "reason": "refund" });
    app.ask("release", &release).await;
    let rows = history(&app, merchant, "").await;
    let row = |index: usize| {
        let row: &Value = &rows[index];
        (
            row["seq"].clone(),
            row["action_type"].clone(),
            row["success"].clone(),
            row["failure_reason"].clone(),
        )
    };
    assert_eq!(row(0), (json!(3), json!("release"), json!(true), json!("refund")));
    assert_eq!(row(1), (json!(2), json!("consume"), json!(false), json!("Exceeds daily limit")));
    assert_eq!(row(2), (json!(1), json!("consume"), json!(true), Value::Null));
    assert_eq!(
        (&rows[0]["daily_used_before"], &rows[0]["daily_used_after"], &rows[0]["daily_delta"]),
        (&json!(60), &json!(40), &json!(-20))
    );
    assert_eq!((&rows[0]["release_no"], &rows[1]["daily_delta"]), (&json!("r1"), &json!(0)));
    assert_eq!(
        (&rows[2]["amount"], &rows[2]["currency"], &rows[2]["counted_amount"]),
        (&json!(60), &json!("USD"), &json!(60))
    );
}

async fn the_history_is_filtered_and_walked(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), None, None).await;
    for hour in 12..22 {
        app.set(&format!("2026-11-23T{hour}:00:00Z"));
        app.consume(merchant, &format!("p{hour}"), 15).await;
    }
    app.set("2026-11-24T01:00:00Z");
    app.consume(merchant, "tomorrow", 15).await;
    assert_eq!(history(&app, merchant, "").await.len(), 12, "and a reset");
    let seqs = async |query: &str| -> Vec<i64> {
        history(&app, merchant, query).await.iter().map(|row| row["seq"].as_i64().unwrap()).collect()
    };
    assert_eq!(seqs("?success=false").await, [10, 9, 8, 7]);
    assert_eq!(seqs("?action=reset").await, [11]);
    assert_eq!(seqs("?payment_no=p14").await, [3]);
    assert_eq!(seqs("?payment_no=unknown").await, [0_i64; 0]);
    assert_eq!(seqs("?from=2026-11-23T14:00:00Z&to=2026-11-23T16:00:00Z").await, [4, 3]);
    assert_eq!(seqs("?from=2026-11-23T14:00:00.000001Z&to=2026-11-23T15:00:00Z").await, [0_i64; 0]);
    assert_eq!(seqs("?to=2026-11-23T12:30:00Z").await, [1]);
    assert_eq!(seqs("?from=2026-11-24T00:00:00Z").await, [12, 11]);
    assert_eq!(seqs("?from=2027-01-01T00:00:00Z").await, [0_i64; 0]);
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("{LIMITS}/{merchant}/usage-history?page_size=5&action=consume{cursor}");
        let page = app.get(&path).await.data();
        assert_eq!(page["total"], 11);
        walked.extend(page["items"].as_array().unwrap().iter().map(|row| row["seq"].as_i64().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(walked, [12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
}

async fn bad_queries_name_their_parameters(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(None, None, None).await;
    for (path, field) in [
        ("usage-history?action=steal", "action"),
        ("usage-history?success=maybe", "success"),
        ("usage-history?from=yesterday", "from"),
        ("usage-history?from=2026-11-23T12:00:00Z&to=2026-11-23T12:00:00Z", "to"),
        ("usage-history?to=9999-01-01T00:00:00Z", "to"),
        ("usage-history?payment_no=a%00", "payment_no"),
        ("usage-history?merchant=1", "merchant"),
        ("usage-history?page_size=0", "page_size"),
        ("usage-history?cursor=abc", "cursor"),
        ("statistics?from=2026-11-24T00:00:00Z&to=2026-11-23T00:00:00Z", "to"),
        ("statistics?day=1", "day"),
    ] {
        let answer = app.get(&format!("{LIMITS}/{merchant}/{path}")).await;
        assert_eq!((answer.status, answer.fields().as_str()), (400, field), "{path}");
    }
    let nobody = Uuid::from_u128(404);
    for path in ["usage-history", "statistics", "payments/p1"] {
        assert_eq!(app.get(&format!("{LIMITS}/{nobody}/{path}")).await.code(), "LIMIT_NOT_FOUND", "{path}");
    }
    for number in ["unknown", "a%00b", "%F0%9F%92%B8", &"9".repeat(200)] {
        let answer = app.get(&format!("{LIMITS}/{merchant}/payments/{number}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "PAYMENT_NOT_FOUND"), "{number}");
    }
}

async fn statistics_have_every_field_of_old(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("professional").await;
    let path = format!("{LIMITS}/{merchant}/statistics");
    for number in 0..9 {
        app.consume(merchant, &format!("p{number}"), 5_000_000).await;
    }
    app.consume(merchant, "big", 10_000_001).await;
    app.ask("reserve", &charge(merchant, "held", 7)).await;
    let answer = app.get(&path).await;
    let data = answer.data();
    assert_eq!(
        data,
        json!({
            "merchant_id": merchant,
            "tier_code": "professional",
            "currency": "USD",
            "daily_limit": 100_000_000,
            "daily_used": 45_000_000,
            "daily_remaining": 54_999_993,
            "daily_usage_rate": 45.0,
            "monthly_limit": 500_000_000,
            "monthly_used": 45_000_000,
            "monthly_remaining": 454_999_993,
            "monthly_usage_rate": 9.0,
            "single_trans_limit": 10_000_000,
            "pending_amount": 7,
            "is_suspended": false,
            "total_transactions": 11,
            "success_count": 10,
            "failure_count": 1,
            "from": "2026-11-01T00:00:00Z",
            "to": "2026-12-01T00:00:00Z",
            "as_of": "2026-11-23T12:00:00Z",
        })
    );
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains("\"daily_usage_rate\":45.0,"), "{text}");
    app.consume(merchant, "odd", 1_234_567).await;
    let text = String::from_utf8(app.get(&path).await.body.to_vec()).unwrap();
    assert!(text.contains("\"daily_usage_rate\":46.23,"), "{text}");
    app.put(&format!("{LIMITS}/{merchant}"), &json!({ "custom_daily_limit": 0 })).await;
    assert_eq!(app.get(&path).await.data()["daily_usage_rate"], 100.0);
    let unlimited = app.merchant(None, None, None).await;
    let data = app.get(&format!("{LIMITS}/{unlimited}/statistics")).await.data();
    assert_eq!(
        (&data["daily_usage_rate"], &data["daily_limit"], &data["total_transactions"]),
        (&Value::Null, &Value::Null, &json!(0))
    );
}

async fn statistics_of_a_period(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(10), None, None).await;
    for (time, number) in
        [("2026-11-23T12:00:00Z", "a"), ("2026-11-24T12:00:00Z", "b"), ("2026-12-05T12:00:00Z", "c")]
    {
        app.set(time);
        app.consume(merchant, number, 10).await;
        app.consume(merchant, &format!("{number}2"), 10).await;
    }
    let counts = async |query: &str| {
        let data = app.get(&format!("{LIMITS}/{merchant}/statistics{query}")).await.data();
        (data["total_transactions"].clone(), data["success_count"].clone(), data["failure_count"].clone())
    };
    assert_eq!(counts("").await, (json!(2), json!(1), json!(1)), "the open month");
    assert_eq!(counts("?from=2026-11-01T00:00:00Z").await, (json!(6), json!(3), json!(3)));
    let two_days = "?from=2026-11-23T00:00:00Z&to=2026-11-25T00:00:00Z";
    assert_eq!(counts(two_days).await, (json!(4), json!(2), json!(2)));
    assert_eq!(counts("?to=2026-12-05T12:00:00Z").await, (json!(0), json!(0), json!(0)));
}

async fn a_payment_is_shown_from_its_beginning_to_its_end(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    let show = async |number: &str| {
        let path = format!("{LIMITS}/{merchant}/payments/{number}");
        let answer = app.client.get(&path).by(As::Service).send().await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        answer.data()
    };
    let mut held = charge(merchant, "p1", 100);
    held["order_no"] = json!("o1");
    app.ask("reserve", &held).await;
    for number in 0..30 {
        app.consume(merchant, &format!("other{number}"), 1).await;
    }
    let reserved = show("p1").await;
    assert_eq!(
        (&reserved["status"], &reserved["held_amount"], &reserved["order_no"]),
        (&json!("reserved"), &json!(100), &json!("o1"))
    );
    app.set("2026-11-23T12:10:00Z");
    app.ask("confirm", &json!({ "merchant_id": merchant, "payment_no": "p1", "amount": 90 })).await;
    app.set("2026-11-23T13:10:00Z");
    let release = json!({ "merchant_id": merchant, "payment_no": "p1", "release_no": "r1", "amount": 30, "reason": "refund" });
    app.ask("release", &release).await;
    let end = show("p1").await;
    assert_eq!((&end["status"], &end["held_amount"]), (&json!("confirmed"), &json!(0)));
    assert_eq!(
        (&end["booked_amount"], &end["released_amount"], &end["releasable_amount"]),
        (&json!(90), &json!(30), &json!(60))
    );
    assert_eq!(
        (&end["releases"][0]["release_no"], &end["releases"][0]["amount"]),
        (&json!("r1"), &json!(30))
    );
    let actions: Vec<&Value> =
        end["history"].as_array().unwrap().iter().map(|row| &row["action_type"]).collect();
    assert_eq!(actions, ["reserve", "confirm", "release"]);
    app.ask("reserve", &charge(merchant, "p2", 5)).await;
    app.set("2026-11-23T13:25:00Z");
    let expired = show("p2").await;
    assert_eq!((&expired["status"], &expired["held_amount"]), (&json!("expired"), &json!(0)));
    app.consume(merchant, "p3", 5000).await;
    let declined = show("p3").await;
    assert_eq!((&declined["status"], &declined["declined_by"]), (&json!("declined"), &json!("daily")));
    assert_eq!(declined["history"].as_array().unwrap().len(), 1);
}

async fn a_payment_in_another_currency_shows_its_rate(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    app.put(RATES, &json!({ "rates": [{ "from_currency": "EUR", "to_currency": "USD", "rate": "1.5" }] }))
        .await;
    app.ask(
        "consume",
        &json!({ "merchant_id": merchant, "payment_no": "p/1", "amount": 7, "currency": "EUR" }),
    )
    .await;
    let shown = app.get(&format!("{LIMITS}/{merchant}/payments/p%2F1")).await.data();
    assert_eq!(
        (&shown["amount"], &shown["currency"], &shown["counted_amount"]),
        (&json!(7), &json!("EUR"), &json!(11))
    );
    assert_eq!((&shown["rate"], &shown["booked_counted_amount"]), (&json!("1.5"), &json!(11)));
}
