//! Requests that are wrong, each with its one answer.

use http::Method;
use payops_platform::http::testing::{As, TestClient, TestRequest};
use serde_json::json;

use crate::site;

const ORDERS: &str = "/api/v1/orders";
const ORDER: &str = "/api/v1/orders/018bcfe5-687b-7000-8000-000000000001";

type Make = fn(&TestClient) -> TestRequest<'_>;

fn order(client: &TestClient) -> TestRequest<'_> {
    client.request(Method::POST, ORDERS).by(As::Operator)
}

/// What is sent, the status, the code, and the fields that are named.
const BAD: &[(&str, Make, u16, &str, &str)] = &[
    ("no such path", |c| c.get("/api/v1/nothing"), 404, "ROUTE_NOT_FOUND", ""),
    ("no such path, with credentials", |c| c.get("/x").by(As::Admin), 404, "ROUTE_NOT_FOUND", ""),
    ("wrong method", |c| c.request(Method::DELETE, ORDERS).by(As::Admin), 405, "METHOD_NOT_ALLOWED", ""),
    (
        "method nobody knows",
        |c| c.request(Method::from_bytes(b"BREW").unwrap(), ORDERS),
        405,
        "METHOD_NOT_ALLOWED",
        "",
    ),
    ("no credentials", |c| c.post(ORDERS, &json!({"amount": 1})), 401, "UNAUTHENTICATED", ""),
    ("not a token", |c| c.get(ORDER).header("authorization", "Bearer x"), 401, "INVALID_CREDENTIALS", ""),
    (
        "basic credentials",
        |c| c.get(ORDER).header("authorization", "Basic YTpi"),
        401,
        "INVALID_CREDENTIALS",
        "",
    ),
    (
        "service without its secret",
        |c| c.get(ORDER).header("x-service-name", "payment-gateway"),
        401,
        "INVALID_CREDENTIALS",
        "",
    ),
    (
        "service with a wrong secret",
        |c| c.get(ORDER).header("x-service-name", "payment-gateway").header("x-service-secret", "guess"),
        401,
        "INVALID_CREDENTIALS",
        "",
    ),
    (
        "unknown service",
        |c| c.get(ORDER).header("x-service-name", "nobody").header("x-service-secret", "guess"),
        401,
        "INVALID_CREDENTIALS",
        "",
    ),
    (
        "both kinds of credentials",
        |c| c.get(ORDER).by(As::Operator).by(As::Service),
        401,
        "INVALID_CREDENTIALS",
        "",
    ),
    ("a token twice", |c| c.get(ORDER).by(As::Operator).by(As::Admin), 401, "INVALID_CREDENTIALS", ""),
    ("wrong role", |c| c.get(ORDER).by(As::Service), 403, "FORBIDDEN", ""),
    ("no body", |c| order(c), 400, "INVALID_REQUEST", "amount"),
    ("no content type", |c| order(c).untyped("{}"), 415, "UNSUPPORTED_MEDIA_TYPE", ""),
    (
        "form instead of JSON",
        |c| order(c).body("application/x-www-form-urlencoded", "amount=1"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "",
    ),
    (
        "JSON in latin-1",
        |c| order(c).body("application/json; charset=latin1", "{}"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "",
    ),
    (
        "a compressed body",
        |c| order(c).json(&json!({"amount": 1})).header("content-encoding", "gzip"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "",
    ),
    ("not JSON", |c| order(c).body("application/json", "amount=1"), 400, "INVALID_REQUEST", ""),
    ("cut JSON", |c| order(c).body("application/json", "{\"amount\":1"), 400, "INVALID_REQUEST", ""),
    ("two documents", |c| order(c).body("application/json", "{\"amount\":1}{}"), 400, "INVALID_REQUEST", ""),
    (
        "not UTF-8",
        |c| order(c).body("application/json", &b"{\"amount\":1,\"x\":\"\xff\"}"[..]),
        400,
        "INVALID_REQUEST",
        "",
    ),
    ("an array", |c| order(c).json(&json!([])), 400, "INVALID_REQUEST", ""),
    ("missing field", |c| order(c).json(&json!({})), 400, "INVALID_REQUEST", "amount"),
    ("unknown field", |c| order(c).json(&json!({"amount": 1, "x": 1})), 400, "INVALID_REQUEST", "x"),
    (
        "two unknown fields",
        |c| order(c).json(&json!({"amount": 1, "x": 1, "y": 2})),
        400,
        "INVALID_REQUEST",
        "x y",
    ),
    (
        "a field twice",
        |c| order(c).body("application/json", "{\"amount\":1,\"amount\":2}"),
        400,
        "INVALID_REQUEST",
        "amount",
    ),
    ("a text for a number", |c| order(c).json(&json!({"amount": "1"})), 400, "INVALID_REQUEST", "amount"),
    ("a fraction for money", |c| order(c).json(&json!({"amount": 0.5})), 400, "INVALID_REQUEST", "amount"),
    (
        "beyond 64 bits",
        |c| order(c).body("application/json", "{\"amount\":9223372036854775808}"),
        400,
        "INVALID_REQUEST",
        "amount",
    ),
    (
        "wrong deep inside",
        |c| order(c).json(&json!({"amount": 1, "items": [{"sku": "a"}, {"sku": 1}]})),
        400,
        "INVALID_REQUEST",
        "items[1].sku",
    ),
    (
        "nested too deeply",
        |c| order(c).body("application/json", "[".repeat(50_000)),
        400,
        "INVALID_REQUEST",
        "*",
    ),
    (
        "too large",
        |c| order(c).body("application/json", vec![b' '; 1024 * 1024 + 1]),
        413,
        "BODY_TOO_LARGE",
        "",
    ),
    (
        "empty key",
        |c| order(c).json(&json!({"amount": 1})).header("idempotency-key", ""),
        400,
        "INVALID_REQUEST",
        "Idempotency-Key",
    ),
    (
        "key of blanks",
        |c| order(c).json(&json!({"amount": 1})).header("idempotency-key", "a b"),
        400,
        "INVALID_REQUEST",
        "Idempotency-Key",
    ),
    (
        "key beyond ASCII",
        |c| order(c).json(&json!({"amount": 1})).header("idempotency-key", "é"),
        400,
        "INVALID_REQUEST",
        "Idempotency-Key",
    ),
    (
        "key of 256 characters",
        |c| order(c).json(&json!({"amount": 1})).header("idempotency-key", "k".repeat(256)),
        400,
        "INVALID_REQUEST",
        "Idempotency-Key",
    ),
    (
        "two keys",
        |c| {
            order(c).json(&json!({"amount": 1})).header("idempotency-key", "a").header("idempotency-key", "b")
        },
        400,
        "INVALID_REQUEST",
        "Idempotency-Key",
    ),
    ("not a UUID", |c| c.get("/api/v1/orders/42").by(As::Operator), 400, "INVALID_REQUEST", "id"),
    (
        "a UUID without hyphens",
        |c| c.get("/api/v1/orders/018bcfe5687b70008000000000000001").by(As::Operator),
        400,
        "INVALID_REQUEST",
        "id",
    ),
    (
        "a path that is not UTF-8",
        |c| c.get("/api/v1/orders/%FF").by(As::Operator),
        400,
        "INVALID_REQUEST",
        "id",
    ),
    (
        "a parameter beyond its range",
        |c| c.request(Method::POST, &format!("{ORDER}/cancel/256")).by(As::Admin),
        400,
        "INVALID_REQUEST",
        "reason",
    ),
    (
        "a body where none belongs",
        |c| c.post(&format!("{ORDER}/cancel/1"), &json!({"why": 1})).by(As::Admin),
        400,
        "INVALID_REQUEST",
        "why",
    ),
    ("unknown parameter", |c| c.get("/api/v1/search?x=1").by(As::Service), 400, "INVALID_REQUEST", "x"),
    (
        "repeated parameter",
        |c| c.get("/api/v1/search?least=1&least=2").by(As::Service),
        400,
        "INVALID_REQUEST",
        "least",
    ),
    (
        "text for a number in the query",
        |c| c.get("/api/v1/search?least=x").by(As::Service),
        400,
        "INVALID_REQUEST",
        "least",
    ),
    (
        "a query that is not UTF-8",
        |c| c.get("/api/v1/search?status=%FF").by(As::Service),
        400,
        "INVALID_REQUEST",
        "status",
    ),
    ("page 0", |c| c.get("/api/v1/orders/all?page=0").by(As::Service), 400, "INVALID_REQUEST", "page"),
    (
        "a page of 101",
        |c| c.get("/api/v1/orders/all?page_size=101").by(As::Service),
        400,
        "INVALID_REQUEST",
        "page_size",
    ),
    (
        "beyond row 10,000",
        |c| c.get("/api/v1/orders/all?page=501").by(As::Service),
        400,
        "INVALID_REQUEST",
        "page",
    ),
    (
        "a forged cursor",
        |c| c.get("/api/v1/orders/all?cursor=x").by(As::Service),
        400,
        "INVALID_REQUEST",
        "cursor",
    ),
    (
        "page and cursor",
        |c| c.get("/api/v1/orders/all?page=1&cursor=MQ").by(As::Service),
        400,
        "INVALID_REQUEST",
        "cursor",
    ),
    (
        "unknown filter",
        |c| c.get("/api/v1/orders/all?stat=x").by(As::Service),
        400,
        "INVALID_REQUEST",
        "stat",
    ),
    (
        "a tag without quotes",
        |c| c.request(Method::PUT, ORDER).json(&json!({"amount": 1})).by(As::Admin).header("if-match", "7"),
        400,
        "INVALID_REQUEST",
        "If-Match",
    ),
    (
        "a stale version",
        |c| {
            c.request(Method::PUT, ORDER)
                .json(&json!({"amount": 1}))
                .by(As::Admin)
                .header("if-match", "\"6\"")
        },
        412,
        "VERSION_MISMATCH",
        "",
    ),
    ("refused by a rule", |c| order(c).json(&json!({"amount": -1})), 422, "NEGATIVE", ""),
    ("a handler that fails", |c| c.get("/api/v1/broken"), 500, "INTERNAL_ERROR", ""),
    ("a handler that panics", |c| c.get("/api/v1/panics"), 500, "INTERNAL_ERROR", ""),
    (
        "axum's own words, no type",
        |c| c.request(Method::POST, "/api/v1/careless"),
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "",
    ),
    (
        "axum's own words, bad JSON",
        |c| c.request(Method::POST, "/api/v1/careless").body("application/json", "{"),
        400,
        "INVALID_REQUEST",
        "",
    ),
    (
        "axum's own words, misfit",
        |c| c.post("/api/v1/careless", &json!({"amount": "x"})),
        422,
        "INVALID_REQUEST",
        "",
    ),
    (
        "axum's own words, too large",
        |c| c.request(Method::POST, "/api/v1/careless").body("application/json", vec![b' '; 1024 * 1024 + 1]),
        413,
        "BODY_TOO_LARGE",
        "",
    ),
];

#[tokio::test]
async fn every_bad_request_has_its_answer() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let mut wrong = Vec::new();
    for (name, make, status, code, fields) in BAD {
        let answer = make(&client).header("x-request-id", "req-1").send().await;
        let body = answer.json();
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let met = (answer.status, answer.code(), answer.fields());
        let fields_met = *fields == "*" || met.2 == *fields;
        let whole = body["message"].as_str().is_some_and(|message| !message.is_empty())
            && body["trace_id"].as_str().is_some_and(|trace| trace.len() == 32)
            && answer.header("content-type") == "application/json"
            && answer.header("x-request-id") == "req-1"
            && answer.header("cache-control") == "no-store";
        if (met.0, met.1.as_str(), fields_met, whole) != (*status, *code, true, true) {
            wrong.push(format!("{name}: {} {} [{}] {text} {:?}", met.0, met.1, met.2, answer.headers));
        }
        for leak in ["hunter2", "struct ", "serde", "axum", "::", "Failed to"] {
            assert!(!text.contains(leak), "{name}: {text}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let answer = client.request(Method::DELETE, ORDER).send().await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET,HEAD,PUT"));
}

#[tokio::test]
async fn a_challenge_goes_with_401() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let challenge =
        async |request: TestRequest<'_>| request.send().await.header("www-authenticate").to_owned();
    assert_eq!(challenge(client.get(ORDER)).await, "Bearer realm=\"payops\"");
    let bad = client.get(ORDER).header("authorization", "Bearer x");
    assert_eq!(challenge(bad).await, "Bearer realm=\"payops\", error=\"invalid_token\"");
}
