//! The page that Prometheus reads.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;

use crate::auth::{Authorized, OperatorOrService};
use crate::error::{Error, Result};
use crate::telemetry::Metrics;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `GET /metrics` beside the API: for operators and services, since it tells how much business is done.
pub(super) async fn metrics(
    _: Authorized<OperatorOrService>,
    State(metrics): State<Metrics>,
) -> Result<Response> {
    page(&[metrics])
}

fn page(services: &[Metrics]) -> Result<Response> {
    let text = Metrics::render_all(services).map_err(Error::internal)?;
    Ok(([(CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}

/// `GET /metrics` of all services of a process, for a port of its own (`PROMETHEUS_PORT`). It asks for no
/// credentials: who reaches the port may read.
pub fn metrics_router(services: Vec<Metrics>) -> Router {
    let read = |State(services): State<Vec<Metrics>>| async move {
        page(&services).map_err(|_| http::StatusCode::INTERNAL_SERVER_ERROR)
    };
    Router::new().route("/metrics", get(read)).with_state(services)
}
