//! The one layer around every route: see the order in the documentation of [`crate::http`].
//!
//! One layer instead of a dozen, since each costs an allocation or two for every request, and since the steps
//! share what they find out.

use std::collections::HashSet;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use http::header::{AUTHORIZATION, CACHE_CONTROL, COOKIE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tokio::time::error::Elapsed;
use tower::{Layer, Service};
use tracing::Instrument;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{OpenApi, RefOr};

use super::admission::{Admission, Connection};
use super::budget::{Limiter, MerchantBudgets, Ruling};
use super::ids::Ids;
use super::meter::{HttpMetrics, MethodMeter, Refusal, RouteMeter, UNMATCHED};
use super::patience::Stalled;
use super::service::{AccessLog, HttpLimits};
use super::{envelope, language, query};
use crate::auth::{Authenticator, Caller, Known, SERVICE_SECRET, is_bad_credentials};
use crate::context::ServiceContext;
use crate::error::{Error, ErrorKind};

mod access;
mod trace;

use access::AccessLine;
use trace::Trace;

/// What all gates of a service share.
pub(super) struct Gate {
    pub(super) context: ServiceContext,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) limiter: Arc<Limiter>,
    pub(super) merchant_budgets: Option<MerchantBudgets>,
    pub(super) limits: HttpLimits,
    pub(super) access_log: AccessLog,
    pub(super) metrics: HttpMetrics,
    pub(super) ids: Ids,
    pub(super) queryless: Queryless,
}

/// The routes that, as their documents say, take no query.
#[derive(Debug, Default)]
pub(super) struct Queryless(HashSet<(Method, String)>);

impl Queryless {
    pub(super) fn of(api: &OpenApi) -> Self {
        let asks = |operation: &Operation| {
            operation.parameters.iter().flatten().any(|parameter| match parameter {
                RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
                RefOr::Ref(_) => true,
            })
        };
        let mut found = HashSet::new();
        for (path, item) in &api.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                if operation.as_ref().is_some_and(|operation| !asks(operation)) {
                    found.insert((method, path.clone()));
                }
            }
        }
        Self(found)
    }

    /// A parameter that a route does not know is an error, also where the route knows none.
    fn refusal(&self, template: &str, request: &Request) -> Option<Error> {
        let query = request.uri().query().filter(|query| !query.is_empty())?;
        let route = (request.method().clone(), template.to_owned());
        if self.0.contains(&route) { query::expect_none(query).err() } else { None }
    }
}

/// Which steps a route's gate takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// All of them.
    Api,
    /// Probes and documents: answered however busy the service is, and off nobody's budget.
    Operational,
}

#[derive(Clone)]
pub(super) struct GateLayer {
    pub(super) gate: Arc<Gate>,
    pub(super) kind: Kind,
}

impl<S> Layer<S> for GateLayer {
    type Service = GateService<S>;

    fn layer(&self, inner: S) -> GateService<S> {
        GateService { gate: Arc::clone(&self.gate), kind: self.kind, route: Arc::default(), inner }
    }
}

/// The router makes one for each route, so the route's metrics are looked up once.
#[derive(Clone)]
pub(super) struct GateService<S> {
    gate: Arc<Gate>,
    kind: Kind,
    route: Arc<OnceLock<RouteMeter>>,
    inner: S,
}

impl<S> Service<Request> for GateService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Passing;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone was not polled for readiness, so it stays behind and the ready one goes.
        let clone = self.clone();
        let ready = std::mem::replace(self, clone);
        Box::pin(ready.pass(request))
    }
}

/// A request on its way.
pub(super) type Passing = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

/// What was decided about a request before its handler runs.
struct Admitted<'g> {
    /// Given back when the handler is done.
    seat: Option<Seat<'g>>,
    known: Known,
    ruling: Option<Ruling>,
    refusal: Option<Error>,
}

impl<S> GateService<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    /// Every request carries this future around, so it is kept below a kilobyte: nothing large is held twice,
    /// and the rare ways (tokens, keys) are boxed.
    fn pass(self, request: Request) -> impl Future<Output = Result<Response, Infallible>> + Send {
        let started = Instant::now();
        let Self { gate, kind, route, inner } = self;
        let known = route.get_or_init(|| RouteMeter::new(template(&request)));
        let language = language::preferred(request.headers());
        let place = known.method(request.method(), &gate.metrics);
        let trace = Trace::begin(&gate, place, &known.template, request.headers());
        let method = request.method().clone();
        let handled = handle(Arc::clone(&gate), kind, inner, request).instrument(trace.span.clone());
        handled.map(move |(response, caller)| {
            let (mut response, remark) = envelope::write_out(response, language, trace.id);
            let status = response.status();
            common_headers(response.headers_mut(), trace.request_id);
            let took = started.elapsed();
            if let Some(known) = route.get() {
                let meter = known.method(&method, &gate.metrics);
                known.count(meter, status, took, &gate.metrics);
                let line = AccessLine { meter, status, took, caller: caller.as_ref(), remark };
                line.write(&trace.span, gate.access_log);
            }
            Ok(response)
        })
    }
}

/// The part of a request's way that happens inside its span.
async fn handle<S>(
    gate: Arc<Gate>,
    kind: Kind,
    mut inner: S,
    mut request: Request,
) -> (Response, Option<Caller>)
where
    S: Service<Request, Response = Response, Error = Infallible> + Send,
    S::Future: Send,
{
    let time_out = gate.limits.time_out_of(request.headers());
    let mut admitted = gate.admit(kind, &mut request).await;
    if let (None, Known::Caller(_)) = (&admitted.refusal, &admitted.known) {
        admitted.refusal = gate.queryless.refusal(template(&request), &request);
    }
    let stalled = gate.watch(kind, &mut request);
    let mut response = if let Some(refusal) = admitted.refusal.take() {
        refusal.into_response()
    } else {
        // Ready since `poll_ready` of the gate's service.
        let handler = AssertUnwindSafe(inner.call(request)).catch_unwind();
        let response = gate.ended(tokio::time::timeout(time_out, handler).await);
        match stalled {
            Some(stalled) => stalled.explain(response),
            None => response,
        }
    };
    if let Some(ruling) = admitted.ruling {
        ruling.write(response.headers_mut());
    }
    let Known::Caller(caller) = admitted.known else { return (response, None) };
    (response, Some(caller))
}

/// Calls that a signature over their body proves, which their handler checks. They come without credentials and in bursts: a
/// channel that has much to tell is no flood.
const SIGNED: &str = "/api/v1/webhooks/";

impl Gate {
    /// Room, credentials, budget, in this order.
    async fn admit(&self, kind: Kind, request: &mut Request) -> Admitted<'_> {
        let mut admitted =
            Admitted { seat: Seat::take(self, kind), known: Known::Nobody, ruling: None, refusal: None };
        if admitted.seat.is_none() {
            admitted.refusal = Some(self.refusal(overloaded(), "overload"));
            return admitted;
        }
        let connection = request.extensions().get::<Connection>().map(|connection| Arc::clone(&connection.0));
        let certificate = connection.as_ref().and_then(|facts| facts.certificate.as_ref());
        let clock = &*self.context.clock;
        let known = self.authenticator.authenticate(request.headers(), certificate, clock).await;
        if kind == Kind::Api && !template(request).starts_with(SIGNED) {
            let caller = known.as_ref().ok().and_then(Known::caller);
            let peer = connection.as_ref().map(|facts| facts.peer.ip());
            admitted.ruling = self.limiter.take(caller, peer, self.merchant_budgets.as_ref()).await;
            let spent = admitted.ruling.as_ref().and_then(Ruling::refusal);
            admitted.refusal = spent.map(|error| self.refusal(error, "rate"));
        }
        match known {
            Ok(known) => admitted.known = known,
            // A probe asks how the service is, whoever asks: an expired token must not look like an outage.
            Err(_) if kind == Kind::Operational => {}
            // Whoever guesses at secrets learns nothing more once the budget is spent.
            Err(error) if admitted.refusal.is_none() => {
                let reason = if is_bad_credentials(&error) { "credentials" } else { "keys" };
                admitted.refusal = Some(self.refusal(error, reason));
            }
            Err(_) => {}
        }
        mark_sensitive(request.headers_mut());
        if !request.body().is_end_stream() {
            DefaultBodyLimit::max(self.limits.body_bytes).apply(request);
        }
        request.extensions_mut().insert(Admission { known: admitted.known.clone() });
        admitted
    }

    /// Keeps a body that stops arriving from holding its seat.
    fn watch(&self, kind: Kind, request: &mut Request) -> Option<Stalled> {
        if kind == Kind::Operational || request.body().is_end_stream() {
            return None;
        }
        let stalled = Stalled::default();
        let body = std::mem::take(request.body_mut());
        *request.body_mut() = stalled.watch(body, self.limits.body_idle);
        Some(stalled)
    }

    /// The answer of a handler; a panic ends the request, not the connection.
    fn ended(&self, outcome: Result<Handled, Elapsed>) -> Response {
        match outcome {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(never))) => match never {},
            Ok(Err(panic)) => {
                let said = panic.downcast_ref::<&str>().copied().map(str::to_owned);
                let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                Error::internal(format!("the handler panicked: {said}")).into_response()
            }
            Err(_) => self.refusal(timed_out(), "time_out").into_response(),
        }
    }

    fn refusal(&self, error: Error, reason: &'static str) -> Error {
        self.metrics.refused.get_or_create(&Refusal { reason }).inc();
        error
    }
}

/// How a handler ended: with an answer, or with a panic and what it said.
type Handled = std::thread::Result<Result<Response, Infallible>>;

/// One of the places for requests at work; given back when the handler is done.
struct Seat<'g>(&'g Gate);

impl<'g> Seat<'g> {
    fn take(gate: &'g Gate, kind: Kind) -> Option<Self> {
        let taken = gate.metrics.in_flight.inc();
        let seat = Self(gate);
        let room = i64::try_from(gate.limits.concurrency).unwrap_or(i64::MAX);
        (kind == Kind::Operational || taken < room).then_some(seat)
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.metrics.in_flight.dec();
    }
}

fn template(request: &Request) -> &str {
    request.extensions().get::<MatchedPath>().map_or(UNMATCHED, MatchedPath::as_str)
}

/// Whatever prints headers prints no secrets.
fn mark_sensitive(headers: &mut HeaderMap) {
    for name in [AUTHORIZATION, SERVICE_SECRET, COOKIE] {
        if let Some(value) = headers.get_mut(name) {
            value.set_sensitive(true);
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn common_headers(headers: &mut HeaderMap, request_id: Option<HeaderValue>) {
    if let Some(request_id) = request_id {
        headers.insert(REQUEST_ID, request_id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn overloaded() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "OVERLOADED",
        "Too many requests are being worked on; try again shortly.",
        "服务繁忙，请稍后重试。",
    )
    .with_retry_after(Duration::from_secs(1))
}

fn timed_out() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "TIMED_OUT",
        "The request took too long and was given up; whether it had an effect is not known.",
        "请求处理超时，已放弃；其是否生效未知。",
    )
    .with_retry_after(Duration::from_secs(1))
}
