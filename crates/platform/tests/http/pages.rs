//! Probes, metrics and documents.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use payops_platform::Error;
use payops_platform::http::testing::{As, TestClient};
use payops_platform::http::{HealthCheck, ServiceHttp};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::site;

#[tokio::test]
async fn health_is_as_in_the_original_and_tells_strangers_nothing() {
    let db = site::some_db().await;
    let check = HealthCheck::optional("stripe_api", || async { Err(Error::internal("away")) });
    let client = site::client(ServiceHttp { checks: vec![check], ..site::service(db.db()) });
    let answer = client.get("/health").by(As::Operator).send().await;
    let body = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!((&body["status"], &body["service"]), (&json!("degraded"), &json!(site::SERVICE)));
    assert_eq!(body["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(body["dependencies"], json!({"database": "healthy", "stripe_api": "unhealthy"}));
    assert!(body["latency_ms"]["database"].is_u64());
    for who in [As::Nobody, As::Merchant(Uuid::nil())] {
        let stranger = client.get("/health").by(who).send().await;
        assert_eq!(stranger.json(), json!({"status": "healthy", "service": site::SERVICE}));
    }
    assert_eq!(client.get("/readyz").send().await.status, 200);
}

#[tokio::test]
async fn without_what_is_required_the_service_is_not_ready() {
    let db = site::some_db().await;
    let asked = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&asked);
    let check = HealthCheck::required("vault", move || {
        told.store(true, Ordering::SeqCst);
        async { Err(Error::internal("away")) }
    });
    let client = site::client(ServiceHttp { checks: vec![check], ..site::service(db.db()) });
    let (ready, health) = (client.get("/readyz").send().await, client.get("/health").send().await);
    assert_eq!((ready.status, health.status), (503, 503));
    assert_eq!(health.json()["status"], "unhealthy");
    assert_eq!(client.get("/livez").send().await.json(), json!({"status": "up"}));
    // What was just asked is not asked again.
    assert!(asked.swap(false, Ordering::SeqCst));
    assert_eq!(client.get("/readyz").send().await.status, 503);
    assert!(!asked.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_closed_database_is_seen() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    db.close(std::time::Duration::ZERO).await;
    assert_eq!(client.get("/readyz").send().await.status, 503);
    let health = client.get("/health").by(As::Admin).send().await;
    assert_eq!(health.json()["dependencies"]["database"], "unhealthy");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_nothing_longer() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    for id in 1..=3 {
        let path = format!("/api/v1/orders/018bcfe5-687b-7000-8000-00000000000{id}");
        client.get(&path).by(As::Operator).send().await;
        client.get(&format!("/nowhere/{id}")).send().await;
        client.request(http::Method::DELETE, &path).send().await;
    }
    client.get("/api/v1/broken").send().await;
    let page = client.get("/metrics").by(As::Service).send().await;
    assert!(page.header("content-type").starts_with("application/openmetrics-text"));
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let service = format!("service=\"{}\"", site::SERVICE);
    for line in [
        format!(
            "http_requests_total{{{service},method=\"GET\",path=\"/api/v1/orders/{{id}}\",status=\"200\"}} 3"
        ),
        format!(
            "http_requests_total{{{service},method=\"DELETE\",path=\"/api/v1/orders/{{id}}\",status=\"405\"}} 3"
        ),
        format!("http_requests_total{{{service},method=\"GET\",path=\"unmatched\",status=\"404\"}} 3"),
        format!("http_requests_total{{{service},method=\"GET\",path=\"/api/v1/broken\",status=\"500\"}} 1"),
        format!(
            "http_request_duration_seconds_count{{{service},method=\"GET\",path=\"/api/v1/orders/{{id}}\"}} 3"
        ),
        format!("http_requests_in_flight{{{service}}} 1"),
    ] {
        assert!(page.contains(&line), "{line}\n{page}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(line.matches("service=").count(), 1, "{line}");
        assert!(!line.contains("018bcfe5"), "{line}");
    }
}

#[tokio::test]
async fn the_document_describes_the_routes() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let document = client.get("/openapi.json").send().await.json();
    assert_eq!(document["info"]["title"], format!("payops {}", site::SERVICE));
    assert!(document["paths"]["/api/v1/orders"]["post"].is_object());
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    assert_eq!(document["security"][1], json!({"service_name": [], "service_secret": []}));
}

/// Every address that a page, a style sheet or the start-up script of the docs loads something from.
fn loaded(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (before, after) in
        [("src=\"", '"'), ("href=\"", '"'), ("url(", ')'), ("@import \"", '"'), ("url: \"", '"')]
    {
        for piece in text.split(before).skip(1) {
            found.push(piece.split(after).next().unwrap_or_default().trim_matches(['"', '\'']).to_owned());
        }
    }
    found
}

async fn page(client: &TestClient, path: &str) -> String {
    let answer = client.get(path).send().await;
    assert_eq!(answer.status, 200, "{path}");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'self';") && !policy.contains("http"), "{path}: {policy}");
    String::from_utf8_lossy(&answer.body).into_owned()
}

#[tokio::test]
async fn the_docs_load_nothing_from_elsewhere() {
    let db = site::some_db().await;
    let client = site::client(site::service(db.db()));
    let moved = client.get("/docs").send().await;
    assert_eq!((moved.status / 100, moved.header("location")), (3, "/docs/"));
    let html = page(&client, "/docs/").await;
    let assets = loaded(&html);
    assert!(assets.iter().any(|asset| asset.ends_with("swagger-ui-bundle.js")), "{assets:?}");
    for asset in &assets {
        assert!(!asset.contains("//") && !asset.starts_with("data:"), "{asset}");
        let text = page(&client, &format!("/docs/{}", asset.trim_start_matches("./"))).await;
        if asset.contains(".css") {
            let elsewhere =
                loaded(&text).into_iter().find(|used| used.starts_with("http") || used.starts_with("//"));
            assert_eq!(elsewhere, None, "{asset}");
        }
    }
    let start = page(&client, "/docs/swagger-initializer.js").await;
    assert!(start.contains("\"/openapi.json\"") && start.contains("\"validatorUrl\": \"none\""), "{start}");
    assert!(!start.contains("http"), "{start}");
}

#[tokio::test]
async fn a_port_of_its_own_shows_all_services() {
    let metrics = ["a-service", "b-service"].map(payops_platform::telemetry::Metrics::new);
    let router = payops_platform::http::metrics_router(metrics.to_vec());
    let authenticator = payops_platform::http::testing::authenticator().unwrap();
    let client = TestClient::new(router, authenticator, chrono::DateTime::default());
    let page = client.get("/metrics").send().await;
    assert_eq!(page.status, 200);
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(
        page.contains("build_info{service=\"a-service\"")
            && page.contains("build_info{service=\"b-service\"")
    );
    assert_eq!(Value::from(page.matches("# EOF").count()), json!(1));
}
