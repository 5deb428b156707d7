//! What is counted of requests. Labels are bounded: routes by their template, methods and statuses by lists.

use std::sync::OnceLock;
use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::telemetry::{HistogramFamily, LATENCY_BUCKETS, Metrics};

/// The label of requests that no route took.
pub(super) const UNMATCHED: &str = "unmatched";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: &'static str,
    path: String,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    method: &'static str,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
}

/// `http_requests_total{service,method,path,status}`, `http_request_duration_seconds{service,method,path}`,
/// `http_requests_in_flight{service}` and `http_requests_refused_total{service,reason}`.
#[derive(Debug)]
pub(super) struct HttpMetrics {
    requests: Family<Request, Counter>,
    durations: HistogramFamily<Route>,
    pub(super) in_flight: Gauge,
    pub(super) refused: Family<Refusal, Counter>,
}

impl HttpMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counters("http_requests", "Requests answered."),
            durations: metrics.histograms(
                "http_request_duration_seconds",
                "Time from a request's head to its answer's head.",
                LATENCY_BUCKETS,
            ),
            in_flight: metrics.family("http_requests_in_flight", "Requests being worked on.", Gauge::default),
            refused: metrics.counters("http_requests_refused", "Requests refused before their handler ran."),
        }
    }
}

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];
/// Statuses that have a place of their own; others are looked up each time.
const STATUSES: [u16; 16] = [200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 412, 422, 429, 500, 503];

/// The metrics of one route, looked up once and kept.
#[derive(Debug)]
pub(super) struct RouteMeter {
    pub(super) template: Box<str>,
    methods: [OnceLock<MethodMeter>; METHODS.len()],
}

#[derive(Debug)]
pub(super) struct MethodMeter {
    /// `GET /api/v1/…`: the span's name.
    pub(super) name: String,
    pub(super) method: &'static str,
    duration: Histogram,
    counts: [OnceLock<Counter>; STATUSES.len()],
}

impl RouteMeter {
    pub(super) fn new(template: &str) -> Self {
        Self { template: template.into(), methods: Default::default() }
    }

    /// The metrics of one method of the route; methods that HTTP does not name share one place.
    pub(super) fn method(&self, method: &Method, metrics: &HttpMetrics) -> &MethodMeter {
        let place = METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1);
        let label = METHODS.get(place).copied().unwrap_or("other");
        // `place` lies within the array by construction; the first slot stands in for the impossible.
        let slot = self.methods.get(place).unwrap_or(&self.methods[0]);
        slot.get_or_init(|| MethodMeter {
            name: format!("{label} {}", self.template),
            method: label,
            duration: metrics
                .durations
                .get_or_create_owned(&Route { method: label, path: self.template.to_string() }),
            counts: Default::default(),
        })
    }

    pub(super) fn count(
        &self,
        meter: &MethodMeter,
        status: StatusCode,
        took: Duration,
        metrics: &HttpMetrics,
    ) {
        meter.duration.observe(took.as_secs_f64());
        let counter = || {
            metrics.requests.get_or_create_owned(&Request {
                method: meter.method,
                path: self.template.to_string(),
                status: status.as_u16().into(),
            })
        };
        let place = STATUSES.iter().position(|known| *known == status.as_u16());
        match place.and_then(|place| meter.counts.get(place)) {
            Some(slot) => slot.get_or_init(counter).inc(),
            None => counter().inc(),
        };
    }
}
