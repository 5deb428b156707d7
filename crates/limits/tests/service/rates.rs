//! Exchange rates.

use futures::future::join_all;
use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES};
use crate::people::{RATES, each_is_refused};

both_databases!(TABLES;
    rates_are_put_and_kept_as_history,
    payments_are_counted_at_the_rate_of_their_time,
    bad_rates_name_their_fields,
    of_many_rates_of_a_pair_one_is_in_force,
);

fn rate(from: &str, to: &str, rate: &str) -> Value {
    json!({ "from_currency": from, "to_currency": to, "rate": rate })
}

fn rates(all: &[Value]) -> Value {
    json!({ "rates": all })
}

async fn rates_are_put_and_kept_as_history(db: TestDb) {
    let app = App::start(db).await;
    let put = app.put(RATES, &rates(&[rate("JPY", "USD", "0.0067"), rate("cny", "USD", "0.13890")])).await;
    assert_eq!(put.status, 200, "{:?}", put.json());
    let first = put.data();
    assert_eq!(
        (&first["rates"][0]["from_currency"], &first["rates"][0]["rate"]),
        (&json!("CNY"), &json!("0.1389"))
    );
    app.clock.advance(chrono::Duration::seconds(1));
    let put =
        app.put(RATES, &rates(&[rate("CNY", "USD", "0.1389"), rate("JPY", "USD", "0.0068")])).await.data();
    assert_eq!(put["rates"][0], first["rates"][0], "the same rate keeps its id");
    assert_ne!(put["rates"][1]["id"], first["rates"][1]["id"]);
    let total = async |query: &str| app.get(&format!("{RATES}{query}")).await.data()["total"].clone();
    assert_eq!((total("").await, total("?history=true").await), (json!(2), json!(3)));
    assert_eq!(total("?from_currency=jpy&history=true").await, 2);
    assert_eq!(total("?to_currency=EUR").await, 0);
    let history = app.get(&format!("{RATES}?history=true&from_currency=JPY")).await.data();
    let standing = |index: usize| {
        let rate = &history["items"][index];
        (rate["rate"].clone(), rate["in_force"].clone(), rate["created_by"].clone())
    };
    assert_eq!(standing(0), (json!("0.0068"), json!(true), json!("ada")));
    assert_eq!(standing(1), (json!("0.0067"), json!(false), json!("ada")));
    let id: Uuid = put["rates"][1]["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(app.audited(id).await, ["limit_rate.set"]);
}

async fn payments_are_counted_at_the_rate_of_their_time(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.initialize("basic").await;
    let pay = |number: &str| json!({ "merchant_id": merchant, "payment_no": number, "amount": 1000, "currency": "CNY" });
    let missing = app.ask("consume", &pay("p1")).await;
    assert_eq!((missing.status, missing.code().as_str()), (422, "RATE_MISSING"));
    let set = app.put(RATES, &rates(&[rate("CNY", "USD", "0.1389")])).await.data();
    let paid = app.ask("consume", &pay("p1")).await.data();
    assert_eq!((&paid["counted_amount"], &paid["rate_id"]), (&json!(139), &set["rates"][0]["id"]));
    app.put(RATES, &rates(&[rate("CNY", "USD", "0.2")])).await;
    assert_eq!(app.ask("consume", &pay("p2")).await.data()["counted_amount"], 200);
    let released = app.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p1" })).await.data();
    assert_eq!(released["counted_amount"], 139, "what was counted is given back, whatever the rate is now");
    assert_eq!(app.counters(merchant).await, (200, 200, 0));
    app.prove(merchant).await;
}

async fn bad_rates_name_their_fields(db: TestDb) {
    let app = App::start(db).await;
    let mut many: Vec<Value> = Vec::new();
    for letter in 'A'..='Z' {
        many.extend(('A'..='T').map(|second| rate(&format!("{letter}{second}Z"), "USD", "1")));
    }
    let cases = [
        (rates(&[]), "rates"),
        (rates(&many), "rates"),
        (rates(&[rate("CNY", "USD", "0")]), "rates[0].rate"),
        (rates(&[rate("CNY", "USD", "1"), rate("JPY", "USD", "-1")]), "rates[1].rate"),
        (rates(&[rate("CNY", "USD", "1e3")]), "rates[0].rate"),
        (rates(&[rate("CNY", "USD", "0.1\u{0}")]), "rates[0].rate"),
        (rates(&[json!({ "from_currency": "CNY", "to_currency": "USD", "rate": 0.1389 })]), "rates[0].rate"),
        (rates(&[json!({ "from_currency": "CNY", "to_currency": "USD", "rate": null })]), "rates[0].rate"),
        (rates(&[rate("USD", "usd", "1")]), "rates[0].to_currency"),
        (rates(&[rate("CNY", "USD", "1"), rate("cny", "USD", "2")]), "rates[1].to_currency"),
        (rates(&[rate("YUAN", "USD", "1")]), "rates[0].from_currency"),
        (json!({ "rates": {} }), "rates"),
        (json!({}), "rates"),
        (json!({ "rates": [], "base": "USD" }), "base"),
    ];
    each_is_refused(&app, Method::PUT, RATES, &cases).await;
    assert_eq!(app.get(&format!("{RATES}?history=true")).await.data()["total"], 0, "all or none");
    assert_eq!(app.get(&format!("{RATES}?in_force=true")).await.fields(), "in_force");
}

async fn of_many_rates_of_a_pair_one_is_in_force(db: TestDb) {
    let one = App::start(db).await;
    let two = one.another().await;
    let put = |number: i64| {
        let app = if number % 2 == 0 { &one } else { &two };
        let body =
            rates(&[rate("EUR", "USD", &format!("1.{number}")), rate("CNY", "USD", &format!("0.{number}"))]);
        async move { app.put(RATES, &body).await.status }
    };
    let statuses = join_all((11..19).map(put)).await;
    assert_eq!(statuses, [200; 8]);
    assert_eq!(one.get(RATES).await.data()["total"], 2);
    assert_eq!(one.get(&format!("{RATES}?history=true")).await.data()["total"], 16);
}
