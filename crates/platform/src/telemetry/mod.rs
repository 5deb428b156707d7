//! What a running payops tells about itself: log lines, traces and metrics.
//!
//! [`init`] is called once, first thing, inside the runtime. Spans carry ids and routes; a log line carries
//! the fields of all spans around it. Neither ever carries a credential, a body or a header value.

mod export;
mod fields;
mod filter;
mod log;
mod metrics;
mod process;
mod setup;
mod trace;

pub use metrics::{Buckets, HistogramFamily, LATENCY_BUCKETS, Labels, Metrics};
pub use setup::{LogFormat, TelemetryError, TelemetryGuard, TelemetrySettings, init};
pub use trace::{
    TraceId, TraceParent, continue_trace, current_trace_id, current_traceparent, inject_traceparent,
};

pub(crate) use trace::trace_id_of;
