//! Traces as a collector receives them. A program of its own, since telemetry is set up once in a process.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]
#![expect(clippy::similar_names, reason = "a route and its router, a server and its service")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use http::HeaderMap;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use payops_core::random::SeededRandom;
use payops_core::time::{Clock, SystemClock};
use payops_platform::http::testing::{TestClient, authenticator};
use payops_platform::http::{Answer, ServiceHttp, service_router};
use payops_platform::telemetry::{self, Metrics, TelemetrySettings, current_trace_id, inject_traceparent};
use payops_platform::{Error, Result, ServiceContext};
use prost::Message;
use tokio::net::TcpListener;
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    services: Vec<String>,
}

type Collected = Arc<Mutex<Received>>;

async fn collector() -> (Collected, String) {
    let collected = Collected::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&collected));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (collected, address)
}

async fn take(State(collected): State<Collected>, body: Bytes) {
    let mut collected = collected.lock().unwrap();
    for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
        let attributes = resource.resource.unwrap_or_default().attributes;
        let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
        if let Some(Value::StringValue(name)) = name.and_then(|name| name.value).and_then(|name| name.value) {
            collected.services.push(name);
        }
        collected.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

/// What an outgoing call from within the handler would carry.
async fn outgoing() -> Answer<HashMap<String, String>> {
    let inner = tracing::info_span!(target: "payops", "stripe.ReportingAPI");
    async {
        let mut headers = HeaderMap::new();
        inject_traceparent(&mut headers);
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        let mut told: HashMap<_, _> =
            headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        told.insert("current".into(), current_trace_id().map(|id| id.to_string()).unwrap_or_default());
        Answer::ok(told)
    }
    .instrument(inner)
    .await
}

async fn broken() -> Result<Answer<()>> {
    Err(Error::internal("broken"))
}

fn hex(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

fn attribute(span: &Span, name: &str) -> String {
    let found = span.attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.clone()).and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

async fn site() -> (TestClient, payops_platform::db::testing::TestDb) {
    let db = payops_platform::db::testing::sqlite(&[]).await;
    let context = ServiceContext::new(
        "test-service",
        db.db(),
        Arc::new(SystemClock),
        Arc::new(SeededRandom::new(7)),
        Metrics::new("test-service"),
    );
    let routes = OpenApiRouter::new().route("/out/{id}", get(outgoing)).route("/broken", get(broken));
    let authenticator = authenticator().unwrap();
    let router = service_router(ServiceHttp::new(context, Arc::clone(&authenticator), routes));
    (TestClient::new(router, authenticator, SystemClock.now()), db)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_continues_its_caller_s_trace() {
    let (collected, endpoint) = collector().await;
    let settings = TelemetrySettings {
        otlp_endpoint: Some(endpoint),
        // A quiet log does not make traces quiet.
        filter: "error".into(),
        ..TelemetrySettings::new("payops")
    };
    let guard = telemetry::init(&settings).unwrap();
    assert!(telemetry::init(&settings).is_err());
    let (client, _db) = site().await;

    let sampled = client.get("/out/7").header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
    let sampled = sampled.header("tracestate", "vendor=x").send().await;
    let plain = client.get("/out/8").send().await;
    let unsampled = client.get("/out/9").header("traceparent", format!("00-{}-{PARENT}-00", "a".repeat(32)));
    let unsampled = unsampled.send().await;
    client.get("/broken").send().await;
    guard.shutdown().await;

    let received = collected.lock().unwrap();
    assert!(received.services.iter().all(|name| name == "payops") && !received.services.is_empty());
    let spans = &received.spans;
    let of_trace = |trace: &str| spans.iter().filter(|span| hex(&span.trace_id) == trace).collect::<Vec<_>>();
    let served = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();

    // The caller's trace: its span, ours, and the outgoing one.
    assert_eq!(sampled.json()["trace_id"], TRACE);
    let [child, server] = of_trace(TRACE)[..] else { panic!("two spans: {spans:#?}") };
    assert_eq!((server.name.as_str(), hex(&server.parent_span_id).as_str()), ("GET /out/{id}", PARENT));
    assert_eq!(server.kind, i32::from(SpanKind::Server as u8));
    assert_eq!(attribute(server, "http.route"), "/out/{id}");
    assert_eq!(attribute(server, "http.request.method"), "GET");
    assert_eq!(attribute(server, "http.response.status_code"), "200");
    assert_eq!((child.name.as_str(), &child.parent_span_id), ("stripe.ReportingAPI", &server.span_id));
    let told = sampled.data();
    assert_eq!(told["traceparent"], format!("00-{TRACE}-{}-01", hex(&child.span_id)));
    assert_eq!((&told["tracestate"], &told["current"]), (&"vendor=x".into(), &TRACE.into()));

    // A trace of its own; no empty tracestate goes out.
    let own = plain.json()["trace_id"].as_str().unwrap().to_owned();
    assert_eq!(of_trace(&own).len(), 2);
    assert!(plain.data()["tracestate"].is_null() && plain.data()["current"] == own);

    // The caller decided against recording: followed, and passed on.
    assert_eq!(unsampled.json()["trace_id"], "a".repeat(32));
    assert!(of_trace(&"a".repeat(32)).is_empty());
    assert!(unsampled.data()["traceparent"].as_str().unwrap().ends_with("-00"));

    let [failed] = served("GET /broken")[..] else { panic!("one failure") };
    assert_eq!(failed.status.as_ref().unwrap().code, i32::from(StatusCode::Error as u8));
}
