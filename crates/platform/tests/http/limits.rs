//! Budgets, room and time.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::{StreamExt, stream};
use payops_platform::http::testing::As;
use payops_platform::http::{Budgets, HttpLimits, Limiter, ServiceHttp};
use uuid::Uuid;

use crate::site;

const SEARCH: &str = "/api/v1/search";
const ALL: &str = "/api/v1/orders/all";

#[tokio::test]
async fn budgets_are_told_and_kept() {
    let db = site::some_db().await;
    let budgets = Budgets { caller_per_minute: NonZeroU32::new(3).unwrap(), ..Budgets::default() };
    let limiter = Arc::new(Limiter::in_process(budgets));
    let client = site::client(ServiceHttp { limiter, ..site::service(db.db()) });
    for left in [2, 1, 0] {
        let answer = client.get(ALL).by(As::Operator).send().await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("ratelimit-policy"), "\"caller\";q=3;w=60");
        let state = format!("\"caller\";r={left};t={}", (3 - left) * 20);
        assert_eq!(answer.header("ratelimit"), state);
    }
    let refused = client.get(ALL).by(As::Operator).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    assert_eq!(refused.header("retry-after"), "20");
    assert_eq!(refused.header("ratelimit"), "\"caller\";r=0;t=20");
    assert_eq!(refused.data()["violated_policies"], serde_json::json!(["caller"]));
    // Others have their own; probes are off every budget.
    assert_eq!(client.get(ALL).by(As::Admin).send().await.status, 200);
    assert_eq!(client.get(ALL).by(As::Merchant(Uuid::nil())).send().await.status, 200);
    let service = client.get(SEARCH).by(As::Service).send().await;
    assert_eq!(service.header("ratelimit-policy"), "\"service\";q=600000;w=60");
    let nowhere = client.get("/nowhere").send().await;
    assert_eq!(nowhere.header("ratelimit-policy"), "\"anonymous\";q=100;w=60");
    for _ in 0..10 {
        assert_eq!(client.get("/livez").by(As::Operator).send().await.header("ratelimit"), "");
    }
}

#[tokio::test]
async fn guessing_is_slow() {
    let db = site::some_db().await;
    let budgets = Budgets { anonymous_per_minute: NonZeroU32::new(2).unwrap(), ..Budgets::default() };
    let limiter = Arc::new(Limiter::in_process(budgets));
    let client = site::client(ServiceHttp { limiter, ..site::service(db.db()) });
    let guess =
        client.get(SEARCH).header("x-service-name", "payment-gateway").header("x-service-secret", "x");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(guess.clone().send().await.status);
    }
    assert_eq!(statuses, [401, 401, 429]);
    assert_eq!(client.get(SEARCH).by(As::Service).send().await.status, 200);
}

#[tokio::test]
async fn one_more_than_there_is_room_for_is_told_to_come_back() {
    let db = site::some_db().await;
    let limits = HttpLimits { concurrency: 1, ..HttpLimits::default() };
    let client = site::client(ServiceHttp { limits, ..site::service(db.db()) });
    let mut waiting = Box::pin(client.get("/api/v1/never").send());
    assert!(futures::poll!(&mut waiting).is_pending());
    let refused = client.get(SEARCH).by(As::Service).send().await;
    assert_eq!((refused.status, refused.code().as_str()), (503, "OVERLOADED"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(client.get("/livez").send().await.status, 200);
    drop(waiting);
    assert_eq!(client.get(SEARCH).by(As::Service).send().await.status, 200);
}

#[tokio::test]
async fn a_handler_that_takes_too_long_is_given_up() {
    let db = site::some_db().await;
    let limits = HttpLimits { time_out: Duration::from_millis(20), ..HttpLimits::default() };
    let client = site::client(ServiceHttp { limits, ..site::service(db.db()) });
    let answer = client.get("/api/v1/never").send().await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "TIMED_OUT"));
    assert_eq!(answer.header("retry-after"), "1");
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up() {
    let db = site::some_db().await;
    let body_idle = Duration::from_millis(20);
    let limits = HttpLimits { body_idle, concurrency: 1, ..HttpLimits::default() };
    let client = site::client(ServiceHttp { limits, ..site::service(db.db()) });
    // Whether payops reads it or one of the framework's own extractors does.
    for path in ["/api/v1/orders", "/api/v1/careless"] {
        let first = stream::once(async { Ok::<_, std::io::Error>("{\"amount\":") });
        let body = Body::from_stream(first.chain(stream::pending()));
        let request = client.request(http::Method::POST, path).by(As::Operator);
        let answer = request.header("content-type", "application/json").exchange(body).await;
        assert_eq!(answer.status(), 408, "{path}");
        let text = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
        assert!(String::from_utf8_lossy(&text).contains("REQUEST_TIMEOUT"), "{path}");
        assert_eq!(client.get(SEARCH).by(As::Service).send().await.status, 200, "the seat is free");
    }
}

#[tokio::test]
async fn a_body_that_keeps_arriving_may_take_its_time() {
    let db = site::some_db().await;
    let limits = HttpLimits { body_idle: Duration::from_secs(3), ..HttpLimits::default() };
    let client = site::client(ServiceHttp { limits, ..site::service(db.db()) });
    tokio::time::pause();
    let pieces = stream::iter(["{", "\"amount\"", ":", "1", "}"]).then(|piece| async move {
        tokio::time::advance(Duration::from_secs(2)).await;
        Ok::<_, std::io::Error>(piece)
    });
    let request = client.request(http::Method::POST, "/api/v1/careless");
    let request = request.header("content-type", "application/json");
    assert_eq!(request.exchange(Body::from_stream(pieces)).await.status(), 200);
}

/// The members of a structured field (RFC 9651): names, each with its whole numbers.
fn structured(field: &str) -> Vec<(String, BTreeMap<String, i64>)> {
    let list: sfv::List = sfv::Parser::new(field).parse().unwrap();
    let member = |entry: &sfv::ListEntry| {
        let sfv::ListEntry::Item(item) = entry else { panic!("a list inside {field}") };
        let name = item.bare_item.as_string().unwrap().as_str().to_owned();
        let number = |value: &sfv::BareItem| i64::from(value.as_integer().unwrap());
        let numbers = item.params.iter().map(|(key, value)| (key.as_str().to_owned(), number(value)));
        (name, numbers.collect())
    };
    list.iter().map(member).collect()
}

#[tokio::test]
async fn the_headers_are_structured_fields_that_say_what_happens() {
    const NOWHERE: &str = "/nowhere";
    let db = site::some_db().await;
    let budgets = Budgets { caller_per_minute: NonZeroU32::new(7).unwrap(), ..Budgets::default() };
    let limiter = Arc::new(Limiter::in_process(budgets));
    let client = site::client(ServiceHttp { limiter, ..site::service(db.db()) });
    // Nothing asks the database from here on, so time may stand still.
    tokio::time::pause();
    let call = async || client.get(NOWHERE).by(As::Operator).send().await;

    let first = call().await;
    let policy = structured(first.header("ratelimit-policy"));
    let said = BTreeMap::from([("q".to_owned(), 7), ("w".to_owned(), 60)]);
    assert_eq!(policy, [("caller".to_owned(), said)]);
    let [(name, state)] = structured(first.header("ratelimit")).try_into().unwrap();
    assert_eq!((name.as_str(), state["r"]), ("caller", 6));
    for left in (0..state["r"]).rev() {
        let answer = call().await;
        assert_eq!((answer.status, structured(answer.header("ratelimit"))[0].1["r"]), (404, left));
    }

    let refused = call().await;
    assert_eq!(refused.status, 429);
    let state = &structured(refused.header("ratelimit"))[0].1;
    let wait: i64 = refused.header("retry-after").parse().unwrap();
    assert!(state["r"] == 0 && wait >= state["t"], "{state:?}, {wait}");
    tokio::time::advance(Duration::from_secs(u64::try_from(wait - 1).unwrap())).await;
    assert_eq!(call().await.status, 429, "not before its time");
    tokio::time::advance(Duration::from_secs(1)).await;
    let passed = call().await;
    assert_eq!(passed.status, 404);
    let whole = structured(passed.header("ratelimit"))[0].1["t"];
    tokio::time::advance(Duration::from_secs(u64::try_from(whole).unwrap())).await;
    assert_eq!(structured(call().await.header("ratelimit"))[0].1["r"], 6, "whole again when it was told");
}
