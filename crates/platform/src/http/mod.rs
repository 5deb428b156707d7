//! The HTTP stack that every service stands on.
//!
//! What happens to a request, in this order:
//!
//! 1. [`serve`] reads its head within a time-out, over TLS when [`ServeOptions`] say so, and tells which
//!    connection it came on, with the names in a client certificate;
//! 2. the router finds the route; bodies of answers are compressed on the way out, except event streams;
//! 3. the gate (`gate`), one layer around every route:
//!    request id and trace context, a span, then in turn: room (else 503), credentials (else 401), budget
//!    (else 429), time-outs of the handler (503) and of a body that stops arriving (408) and panics (500) around the handler; on the way back the envelope in the
//!    caller's language, headers, metrics and the access line;
//! 4. the handler's extractors: permission ([`crate::auth::Authorized`]), path, query, body.
//!
//! Handlers return [`Answer`] or [`crate::Error`]. Neither is written out before the gate has it, since only
//! the gate knows the trace and the language; errors that axum makes by itself become envelopes there too.

mod admission;
mod answer;
mod budget;
mod command;
mod compress;
mod docs;
mod envelope;
mod etag;
mod gate;
mod health;
mod ids;
mod json;
mod language;
pub mod load;
mod meter;
mod metrics_page;
mod path;
mod patience;
mod query;
mod server;
mod service;
pub mod testing;
mod text;
mod write;

pub use admission::ShuttingDown;
pub use answer::Answer;
pub use budget::{Budgets, Limiter, MerchantBudgets, RedisSettings};
pub use command::{Command, Idempotency, NoBody};
pub use docs::openapi_document;
pub use envelope::{Envelope, ErrorEnvelope, FieldProblem, InvalidFields};
pub use etag::IfMatch;
pub use health::HealthCheck;
pub use json::StrictJson;
pub use metrics_page::metrics_router;
pub use path::{PathId, PathParams};
pub use query::{NoFilter, PageParams, PageQuery, StrictQuery};
pub use server::{ServeOptions, Tls, TlsError, TlsFiles, listen, serve, serve_with};
pub use service::{AccessLog, HttpLimits, ServiceHttp, service_router};
pub use text::{Problems, check_line, check_text, is_blank, is_invisible, replace_nul};
pub use write::{Scope, write};

pub(crate) use admission::Admission;
