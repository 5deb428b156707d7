//! A service's routes with everything around them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use utoipa_axum::router::OpenApiRouter;

use super::budget::{Budgets, Limiter, MerchantBudgets};
use super::compress::CompressLayer;
use super::gate::{Gate, GateLayer, Kind, Queryless};
use super::health::{self, Health, HealthCheck};
use super::ids::Ids;
use super::meter::HttpMetrics;
use super::{docs, metrics_page};
use crate::auth::Authenticator;
use crate::context::ServiceContext;

/// What a service will not exceed.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Requests worked on at once; one more is 503.
    pub concurrency: usize,
    /// How long a handler may take until its answer begins; then 503.
    pub time_out: Duration,
    /// The same for a form (`multipart/form-data`), whose file has to arrive first.
    pub upload_time_out: Duration,
    /// How long nothing of a body may arrive while it is read; then 408. A body may take longer as a whole.
    pub body_idle: Duration,
    /// The largest body, unless a route sets `axum::extract::DefaultBodyLimit` for itself.
    pub body_bytes: usize,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            concurrency: 1024,
            time_out: Duration::from_secs(30),
            upload_time_out: Duration::from_hours(1),
            body_idle: Duration::from_secs(20),
            body_bytes: 1024 * 1024,
        }
    }
}

impl HttpLimits {
    pub(super) fn time_out_of(&self, headers: &HeaderMap) -> Duration {
        let is_form =
            headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/"));
        if is_form { self.upload_time_out } else { self.time_out }
    }
}

/// Which requests get a line in the log at `info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// Those that failed; the others are lines at `debug`, since a line costs as much as the request.
    #[default]
    Failures,
    /// All.
    All,
}

/// A service as [`service_router`] takes it.
pub struct ServiceHttp {
    /// The service's own things.
    pub context: ServiceContext,
    /// Whom to believe.
    pub authenticator: Arc<Authenticator>,
    /// The routes, with their state.
    pub routes: OpenApiRouter,
    /// What the service will not exceed.
    pub limits: HttpLimits,
    /// Where budgets are counted; services of one process may share one.
    pub limiter: Arc<Limiter>,
    /// What merchants may spend with their own tokens, where the service knows; elsewhere the budget of all callers.
    pub merchant_budgets: Option<MerchantBudgets>,
    /// What the service depends on, beside its database.
    pub checks: Vec<HealthCheck>,
    /// Which requests get a line.
    pub access_log: AccessLog,
}

impl fmt::Debug for ServiceHttp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceHttp").field("service", &self.context.service).finish_non_exhaustive()
    }
}

impl ServiceHttp {
    /// A service with the defaults of everything else.
    pub fn new(context: ServiceContext, authenticator: Arc<Authenticator>, routes: OpenApiRouter) -> Self {
        Self {
            context,
            authenticator,
            routes,
            limits: HttpLimits::default(),
            limiter: Arc::new(Limiter::in_process(Budgets::default())),
            merchant_budgets: None,
            checks: Vec::new(),
            access_log: AccessLog::default(),
        }
    }
}

/// The routes behind the gate, with `/health`, `/livez`, `/readyz`, `/metrics`, `/openapi.json` and `/docs`
/// beside them.
pub fn service_router(service: ServiceHttp) -> Router {
    let ServiceHttp {
        context,
        authenticator,
        routes,
        limits,
        limiter,
        merchant_budgets,
        mut checks,
        access_log,
    } = service;
    checks.extend(limiter.health_check());
    let (routes, api) = routes.split_for_parts();
    let queryless = Queryless::of(&api);
    let operational = operational(&context, &docs::describe(context.service, api), checks);
    let gate = Arc::new(Gate {
        metrics: HttpMetrics::new(&context.metrics),
        ids: Ids::new(&*context.random),
        context,
        authenticator,
        limiter,
        merchant_budgets,
        limits,
        access_log,
        queryless,
    });
    // Its own, so that paths nobody serves are counted, limited and answered like all others.
    let routes = routes.fallback(|| async { StatusCode::NOT_FOUND });
    let routes = routes.layer((CompressLayer, GateLayer { gate: Arc::clone(&gate), kind: Kind::Api }));
    let operational = operational.layer((CompressLayer, GateLayer { gate, kind: Kind::Operational }));
    // Giving the state now lets each route be wrapped once, and not again for every request.
    routes.merge(operational).with_state(())
}

fn operational(context: &ServiceContext, api: &utoipa::openapi::OpenApi, checks: Vec<HealthCheck>) -> Router {
    let health = Arc::new(Health::new(context, checks));
    let probes = Router::new()
        .route("/health", get(health::health))
        .route("/readyz", get(health::readyz))
        .with_state(health)
        .route("/livez", get(health::livez));
    let metrics =
        Router::new().route("/metrics", get(metrics_page::metrics)).with_state(context.metrics.clone());
    let documents = docs::router(api).unwrap_or_else(|error| {
        tracing::error!(%error, "the OpenAPI document cannot be written, and is not served");
        Router::new()
    });
    probes.merge(metrics).merge(documents)
}
