//! Requests that are sent twice have one effect.

use std::collections::BTreeSet;

use futures::future::join_all;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer, TestClient};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::site;

payops_platform::both_databases!(site::MIGRATIONS;
    the_same_request_gets_the_same_answer,
    another_request_with_the_key_is_refused,
    keys_belong_to_their_callers,
    racing_requests_have_one_effect,
    what_failed_may_be_tried_again,
);

const ORDERS: &str = "/api/v1/orders";

async fn create(client: &TestClient, who: As, key: &'static str, body: &Value) -> TestAnswer {
    client.post(ORDERS, body).by(who).header("idempotency-key", key).send().await
}

async fn rows(db: &TestDb) -> i64 {
    let count = db.backend().statement("SELECT COUNT(*) AS n FROM orders", []);
    db.read().query_one_raw(count).await.unwrap().unwrap().try_get_by("n").unwrap()
}

async fn the_same_request_gets_the_same_answer(db: TestDb) {
    let client = site::client(site::service(db.db()));
    let body = json!({"amount": 5});
    let first = create(&client, As::Operator, "key-1", &body).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (201, ""));
    let second = create(&client, As::Operator, "key-1", &body).await;
    assert_eq!((second.status, second.header("idempotency-replayed")), (201, "true"));
    assert_eq!(second.data(), first.data());
    for header in ["etag", "location"] {
        assert_eq!(second.header(header), first.header(header), "{header}");
    }
    assert_ne!(second.json()["trace_id"], first.json()["trace_id"]);
    assert_eq!(rows(&db).await, 1);

    let without_key = client.post(ORDERS, &body).by(As::Operator);
    assert_eq!(without_key.clone().send().await.status, 201);
    assert_eq!(without_key.send().await.status, 201);
    assert_eq!(rows(&db).await, 3);
}

async fn another_request_with_the_key_is_refused(db: TestDb) {
    let client = site::client(site::service(db.db()));
    assert_eq!(create(&client, As::Operator, "key-1", &json!({"amount": 5})).await.status, 201);
    let other = create(&client, As::Operator, "key-1", &json!({"amount": 6})).await;
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    let other_query = client.post("/api/v1/orders?x=1", &json!({"amount": 5})).by(As::Operator);
    let other_query = other_query.header("idempotency-key", "key-1").send().await;
    assert_eq!(other_query.code(), "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(rows(&db).await, 1);
}

async fn keys_belong_to_their_callers(db: TestDb) {
    let client = site::client(site::service(db.db()));
    let body = json!({"amount": 5});
    for who in [As::Operator, As::Admin, As::Service] {
        let answer = create(&client, who, "key-1", &body).await;
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (201, ""), "{who:?}");
    }
    assert_eq!(rows(&db).await, 3);
}

async fn racing_requests_have_one_effect(db: TestDb) {
    let client = site::client(site::service(db.db()));
    let body = json!({"amount": 5});
    let race = join_all((0..20).map(|_| {
        let (client, body) = (client.clone(), body.clone());
        tokio::spawn(async move { create(&client, As::Service, "key-1", &body).await })
    }));
    let answers: Vec<TestAnswer> = race.await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");
    let ids: BTreeSet<String> = answers.iter().map(|answer| answer.data()["id"].to_string()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let fresh = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_empty()).count();
    assert_eq!(fresh, 1);
    assert_eq!(rows(&db).await, 1);
}

async fn what_failed_may_be_tried_again(db: TestDb) {
    let client = site::client(site::service(db.db()));
    assert_eq!(create(&client, As::Operator, "key-1", &json!({"amount": -5})).await.code(), "NEGATIVE");
    let corrected = create(&client, As::Operator, "key-1", &json!({"amount": 5})).await;
    assert_eq!((corrected.status, corrected.header("idempotency-replayed")), (201, ""));
    assert_eq!(rows(&db).await, 1);
}
