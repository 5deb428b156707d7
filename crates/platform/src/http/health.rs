//! Is the service alive, ready, healthy?

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use futures::future::{BoxFuture, join_all};
use http::StatusCode;
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::admission::{Admission, Connection};
use crate::auth::Caller;
use crate::context::ServiceContext;
use crate::error::{Error, Result};

/// How long an outcome is repeated instead of asking again: probes must not become load.
const KEPT: Duration = Duration::from_secs(2);
/// How long a dependency may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

type Probe = Arc<dyn Fn() -> BoxFuture<'static, Result<()>> + Send + Sync>;

/// A dependency and how to ask it whether it is there.
#[derive(Clone)]
pub struct HealthCheck {
    name: &'static str,
    required: bool,
    probe: Probe,
}

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, required) = (self.name, self.required);
        f.debug_struct("HealthCheck")
            .field("name", &name)
            .field("required", &required)
            .finish_non_exhaustive()
    }
}

impl HealthCheck {
    /// Without this the service is `unhealthy` and not ready.
    pub fn required<F>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self { name, required: true, probe: Arc::new(move || Box::pin(probe())) }
    }

    /// Without this the service is `degraded`.
    pub fn optional<F>(name: &'static str, probe: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        Self { required: false, ..Self::required(name, probe) }
    }

    async fn ask(&self) -> Outcome {
        let started = Instant::now();
        let fault = match tokio::time::timeout(PATIENCE, (self.probe)()).await {
            Ok(outcome) => outcome.err(),
            Err(_) => Some(Error::internal("no answer in time")),
        };
        if let Some(error) = &fault {
            let internal = error.internal_text();
            tracing::warn!(dependency = self.name, %error, internal, "a dependency is away");
        }
        Outcome {
            name: self.name,
            required: self.required,
            healthy: fault.is_none(),
            took: started.elapsed(),
        }
    }
}

struct Outcome {
    name: &'static str,
    required: bool,
    healthy: bool,
    took: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

impl Status {
    fn of(outcomes: &[Outcome]) -> Self {
        let away = |required| outcomes.iter().any(|outcome| !outcome.healthy && outcome.required == required);
        match (away(true), away(false)) {
            (true, _) => Self::Unhealthy,
            (false, true) => Self::Degraded,
            (false, false) => Self::Healthy,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }

    fn http(self) -> StatusCode {
        if self == Self::Unhealthy { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }
    }
}

/// The checks of a service and what they said last.
pub(super) struct Health {
    service: &'static str,
    checks: Vec<HealthCheck>,
    last: Mutex<Option<(Instant, Arc<Vec<Outcome>>)>>,
}

impl Health {
    /// `checks` beside that of the service's own database.
    pub(super) fn new(context: &ServiceContext, mut checks: Vec<HealthCheck>) -> Self {
        let db = context.db.clone();
        let database = HealthCheck::required("database", move || {
            let db = db.clone();
            async move { db.ping().await }
        });
        checks.insert(0, database);
        Self { service: context.service, checks, last: Mutex::new(None) }
    }

    /// Asks all at once, or repeats what was just said; whoever comes meanwhile waits for the same answer.
    async fn outcomes(&self) -> Arc<Vec<Outcome>> {
        let mut last = self.last.lock().await;
        if let Some((at, outcomes)) = &*last
            && at.elapsed() < KEPT
        {
            return Arc::clone(outcomes);
        }
        let outcomes = Arc::new(join_all(self.checks.iter().map(HealthCheck::ask)).await);
        *last = Some((Instant::now(), Arc::clone(&outcomes)));
        outcomes
    }

    fn page(&self, outcomes: &[Outcome], caller: Option<&Caller>) -> Value {
        let status = Status::of(outcomes);
        // Strangers and merchants learn up or down, nothing about what payops is built on.
        if !matches!(caller, Some(Caller::Person { .. } | Caller::Service { .. })) {
            let status = if status == Status::Unhealthy { status } else { Status::Healthy };
            return json!({ "status": status.as_str(), "service": self.service });
        }
        let word = |outcome: &Outcome| if outcome.healthy { "healthy" } else { "unhealthy" };
        let named = |value: &dyn Fn(&Outcome) -> Value| {
            outcomes.iter().map(|outcome| (outcome.name.to_owned(), value(outcome))).collect::<Map<_, _>>()
        };
        json!({
            "status": status.as_str(),
            "service": self.service,
            "version": env!("CARGO_PKG_VERSION"),
            "dependencies": named(&|outcome| word(outcome).into()),
            "latency_ms": named(&|outcome| u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX).into()),
        })
    }
}

/// `GET /health`: as in the original, for people; 503 when something required is away.
pub(super) async fn health(State(health): State<Arc<Health>>, request: Request) -> Response {
    let outcomes = health.outcomes().await;
    let caller = request.extensions().get::<Admission>().and_then(|admission| admission.known.caller());
    (Status::of(&outcomes).http(), Json(health.page(&outcomes, caller))).into_response()
}

/// `GET /livez`: the process answers. It asks nothing, so that a database that is away restarts nobody.
pub(super) async fn livez() -> Json<Value> {
    Json(json!({ "status": "up" }))
}

/// `GET /readyz`: may be sent requests. 503 while something required is away, and once shutdown began.
pub(super) async fn readyz(State(health): State<Arc<Health>>, request: Request) -> Response {
    let connection = request.extensions().get::<Connection>();
    let stopping = connection.is_some_and(|connection| connection.0.shutdown.is_cancelled());
    let ready = !stopping && Status::of(&health.outcomes().await) != Status::Unhealthy;
    let (status, word) =
        if ready { (StatusCode::OK, "up") } else { (StatusCode::SERVICE_UNAVAILABLE, "down") };
    (status, Json(json!({ "status": word }))).into_response()
}
