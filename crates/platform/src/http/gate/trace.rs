//! The span of a request, and the ids under which it can be found again.

use http::{HeaderMap, HeaderValue};
use tracing::Span;
use tracing::field::{Empty, display};

use super::{Gate, MethodMeter, REQUEST_ID};
use crate::http::ids;
use crate::telemetry::{TraceId, TraceParent, trace_id_of};

pub(super) struct Trace {
    pub(super) span: Span,
    pub(super) id: TraceId,
    /// What goes back as `X-Request-Id`: the caller's own id if it is harmless, else a new one.
    pub(super) request_id: Option<HeaderValue>,
}

impl Trace {
    /// Opens the span as a child of the caller's, when one is named.
    pub(super) fn begin(gate: &Gate, meter: &MethodMeter, template: &str, headers: &HeaderMap) -> Self {
        let theirs = headers.get(REQUEST_ID).filter(|id| id.to_str().is_ok_and(ids::is_sane));
        let request_id = theirs.cloned().or_else(|| HeaderValue::from_bytes(&gate.ids.next().hex()).ok());
        let span = tracing::info_span!(
            target: "payops::http",
            "request",
            otel.name = meter.name.as_str(),
            otel.kind = "server",
            otel.status_code = Empty,
            service = gate.context.service,
            request_id = request_id.as_ref().and_then(|id| id.to_str().ok()),
            trace_id = Empty,
            http.request.method = meter.method,
            http.route = template,
            http.response.status_code = Empty,
        );
        let parent = TraceParent::of(headers);
        if let Some(parent) = parent {
            parent.adopt(&span, headers.get("tracestate"));
        }
        let id = trace_id_of(&span).unwrap_or_else(|| {
            let id = parent.map_or_else(|| gate.ids.next(), |parent| parent.trace_id);
            span.record("trace_id", display(id));
            id
        });
        Self { span, id, request_id }
    }
}
