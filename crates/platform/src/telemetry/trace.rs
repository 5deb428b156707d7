//! W3C trace context: read from requests, continued in spans and jobs, written to outgoing calls.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceState};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::span::Id;
use tracing::{Dispatch, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::registry::{LookupSpan, Registry};

use super::fields::Fields;

/// The field of a span that holds the trace id while no exporter of traces is set up.
pub(super) const TRACE_ID_FIELD: &str = "trace_id";

/// The id that all spans and log lines of one story share, shown as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(u128);

impl TraceId {
    /// An id of 128 bits; zero, which stands for no trace, becomes one.
    pub fn new(bits: u128) -> Self {
        Self(bits.max(1))
    }

    /// The 32 lower-case hex digits.
    pub fn hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0.to_be_bytes()) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        text
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

/// A `traceparent` header: which trace, which span of it calls, and whether it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace_id: TraceId,
    span_id: u64,
    sampled: bool,
}

/// A text that is no `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a W3C traceparent")]
pub struct BadTraceParent;

impl FromStr for TraceParent {
    type Err = BadTraceParent;

    /// Reads version 00, and of later versions the part that they have in common with it.
    fn from_str(text: &str) -> Result<Self, BadTraceParent> {
        let mut parts = text.splitn(5, '-');
        let mut next = |length: usize| {
            let part = parts.next().filter(|part| part.len() == length).ok_or(BadTraceParent)?;
            let lower_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if lower_hex { Ok(part) } else { Err(BadTraceParent) }
        };
        let (version, trace, span, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return Err(BadTraceParent);
        }
        let trace = u128::from_str_radix(trace, 16).map_err(|_| BadTraceParent)?;
        let span_id = u64::from_str_radix(span, 16).map_err(|_| BadTraceParent)?;
        let flags = u8::from_str_radix(flags, 16).map_err(|_| BadTraceParent)?;
        if trace == 0 || span_id == 0 {
            return Err(BadTraceParent);
        }
        Ok(Self { trace_id: TraceId(trace), span_id, sampled: flags & 1 == 1 })
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }
}

impl TraceParent {
    /// Reads `traceparent` of a request. A malformed one counts as none, as the standard asks.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        headers.get("traceparent")?.to_str().ok()?.parse().ok()
    }

    /// Makes `span` a child of this one, where traces are exported.
    pub(crate) fn adopt(self, span: &Span, state: Option<&HeaderValue>) {
        let state =
            state.and_then(|state| state.to_str().ok()).and_then(|state| TraceState::from_str(state).ok());
        let flags = if self.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
        let parent = SpanContext::new(
            self.trace_id.0.into(),
            SpanId::from(self.span_id),
            flags,
            true,
            state.unwrap_or_default(),
        );
        // Without an exporter there is no such tree, and the trace id alone goes on.
        let _ = span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent));
    }
}

/// Makes `span` part of the trace that a stored `traceparent` names: for work that outlives its request.
/// The span declares `trace_id = tracing::field::Empty`. A text that is none is passed over.
pub fn continue_trace(span: &Span, traceparent: &str) {
    if let Ok(parent) = traceparent.parse::<TraceParent>() {
        parent.adopt(span, None);
        if trace_id_of(span).is_none() {
            span.record(TRACE_ID_FIELD, tracing::field::display(parent.trace_id));
        }
    }
}

/// The trace that the current span belongs to.
pub fn current_trace_id() -> Option<TraceId> {
    let span = Span::current();
    trace_id_of(&span)
        .or_else(|| span.with_subscriber(|(id, dispatch)| recorded_trace_id(dispatch, id)).flatten())
}

/// The current span as a `traceparent`, to be stored with work that outlives its request.
pub fn current_traceparent() -> Option<String> {
    let mut headers = HeaderMap::new();
    inject_traceparent(&mut headers);
    headers.get("traceparent")?.to_str().ok().map(str::to_owned)
}

/// Writes the current span to the headers of an outgoing call: `traceparent`, and `tracestate` when there is
/// one. Where no traces are exported, the trace id goes out unsampled, so that logs can still be joined.
pub fn inject_traceparent(headers: &mut HeaderMap) {
    let context = Span::current().context();
    if context.span().span_context().is_valid() {
        let mut carrier = HashMap::new();
        TraceContextPropagator::new().inject_context(&context, &mut carrier);
        for (name, value) in carrier {
            if value.is_empty() {
                continue;
            }
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
    } else if let Some(trace_id) = current_trace_id() {
        // Nothing records this span, so any id of it will do: half of the trace's is as good as another.
        let span_id = u64::try_from(trace_id.0 & u128::from(u64::MAX)).unwrap_or(0).max(1);
        let parent = TraceParent { trace_id, span_id, sampled: false };
        if let Ok(value) = HeaderValue::try_from(parent.to_string()) {
            headers.insert("traceparent", value);
        }
    }
}

/// The trace id under which `span` is exported; `None` where nothing is.
pub(crate) fn trace_id_of(span: &Span) -> Option<TraceId> {
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceId(u128::from_be_bytes(span.trace_id().to_bytes())))
}

/// As [`trace_id_of`], for a layer that has no `Span`.
pub(super) fn trace_id_in(dispatch: &Dispatch, id: &Id) -> Option<TraceId> {
    let context = tracing_opentelemetry::get_otel_context(id, dispatch)?;
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| TraceId(u128::from_be_bytes(span.trace_id().to_bytes())))
}

/// The trace id that a span or one around it holds as a field.
fn recorded_trace_id(dispatch: &Dispatch, id: &Id) -> Option<TraceId> {
    let registry = dispatch.downcast_ref::<Registry>()?;
    registry.span(id)?.scope().find_map(|span| {
        let extensions = span.extensions();
        let json = extensions.get::<Fields>()?.get(TRACE_ID_FIELD)?;
        u128::from_str_radix(json.trim_matches('"'), 16).ok().map(TraceId::new)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparents_are_read_as_the_standard_says() {
        let parent: TraceParent = GOOD.parse().unwrap();
        assert_eq!(parent.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.to_string(), GOOD);
        assert!(GOOD.replacen("00", "cc", 1).parse::<TraceParent>().is_ok());
        assert!(format!("{}-later", GOOD.replacen("00", "cc", 1)).parse::<TraceParent>().is_ok());
        for bad in [
            "",
            "00",
            &GOOD.to_uppercase(),
            &format!("{GOOD}-x"),
            &GOOD.replacen("00", "ff", 1),
            &GOOD.replace("00f067aa0ba902b7", "0000000000000000"),
            &GOOD.replace("4bf92f3577b34da6a3ce929d0e0e4736", "00000000000000000000000000000000"),
            &GOOD.replace("4bf9", "4bg9"),
            &GOOD.replace("4bf9", "+bf9"),
        ] {
            assert_eq!(bad.parse::<TraceParent>(), Err(BadTraceParent), "{bad}");
        }
    }
}
