//! What an operator sees of one task in a collector of traces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use tokio::net::TcpListener;

use crate::harness::{Kind, Site};

type Spans = Arc<Mutex<Vec<Span>>>;

/// A collector that keeps every span; also its address.
async fn collector() -> (Spans, String) {
    let spans = Spans::default();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&spans));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (spans, address)
}

async fn take(State(spans): State<Spans>, body: Bytes) {
    let batch = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = batch.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_one_trace_from_its_creation_to_the_calls_it_makes() {
    let (spans, address) = collector().await;
    let mut site = Site::new(Kind::Sqlite).await;
    site.set("OTEL_EXPORTER_OTLP_ENDPOINT", address);
    let mut instance = site.start().await;
    let id = instance.begin(&json!({})).await;
    assert_eq!(instance.ended(&id).await["status"], "completed");
    assert!(instance.stop().await.success(), "the last spans are sent at the end");

    let spans = spans.lock().unwrap().clone();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let [created] = &named("reconciliation.CreateTask")[..] else { panic!("one creation") };
    let trace = &created.trace_id;
    let of_trace: HashMap<&[u8], &Span> = spans
        .iter()
        .filter(|span| &span.trace_id == trace)
        .map(|span| (span.span_id.as_slice(), span))
        .collect();
    for (name, ancestor) in [
        ("reconciliation.RunTask", "reconciliation.CreateTask"),
        ("reconciliation.DownloadFile", "reconciliation.RunTask"),
        ("stripe.ReportingAPI", "reconciliation.DownloadFile"),
        ("reconciliation.FetchPlatformData", "reconciliation.RunTask"),
        ("payment-gateway.GetPayments", "reconciliation.FetchPlatformData"),
        ("reconciliation.PerformMatching", "reconciliation.RunTask"),
        ("reconciliation.SaveRecords", "reconciliation.RunTask"),
    ] {
        let found = named(name);
        assert!(!found.is_empty(), "there is no span {name}");
        for span in found {
            let parent = of_trace.get(span.parent_span_id.as_slice());
            let parent = parent.unwrap_or_else(|| panic!("{name} has no parent in the trace"));
            assert_eq!((&span.trace_id, parent.name.as_str()), (trace, ancestor), "parent of {name}");
        }
    }
    let trace = format!("{:032x}", u128::from_be_bytes(trace[..].try_into().unwrap()));
    let calls = site.sandbox.handle().requests();
    for path in ["/v1/reporting/report_runs", "/v1/files/", "/internal/payments/reconciliation"] {
        let mut told = calls.iter().filter(|call| call.path.starts_with(path)).peekable();
        assert!(told.peek().is_some(), "nobody called {path}");
        for call in told {
            let traceparent = call.headers.get("traceparent").expect("each call has a traceparent");
            assert_eq!(traceparent.split('-').nth(1), Some(trace.as_str()), "{} {}", call.method, call.path);
        }
    }
}
