//! A bounded log of the calls that came in, for tests and for people who wonder what their client sends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use payops_core::time::{Clock, Timestamp};
use serde::{Deserialize, Serialize};

use crate::server::Shared;

/// How many calls are remembered.
const MOST: usize = 2000;

/// The headers that are remembered. Credentials are not among them.
const HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "if-range",
    "range",
    "stripe-version",
    "traceparent",
    "tracestate",
    "user-agent",
    "x-service-name",
];

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedRequest {
    /// Counted from 1 since the start.
    pub number: u64,
    /// When it came in, by the sandbox's clock.
    pub at: Timestamp,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, as it was written.
    pub query: Option<String>,
    /// The headers of interest, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The answer's status; `None` while none has been given, and when the caller hung up before.
    pub status: Option<u16>,
}

#[derive(Debug, Default)]
pub(crate) struct RequestLog {
    entries: Mutex<(u64, VecDeque<LoggedRequest>)>,
}

impl RequestLog {
    fn lock(&self) -> MutexGuard<'_, (u64, VecDeque<LoggedRequest>)> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, at: Timestamp, request: &Request) -> u64 {
        let mut entries = self.lock();
        entries.0 += 1;
        let number = entries.0;
        if entries.1.len() == MOST {
            entries.1.pop_front();
        }
        entries.1.push_back(LoggedRequest {
            number,
            at,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().map(str::to_owned),
            headers: headers_of_interest(request.headers()),
            status: None,
        });
        number
    }

    fn end(&self, number: u64, status: u16) {
        let mut entries = self.lock();
        if let Some(entry) = entries.1.iter_mut().rev().find(|entry| entry.number == number) {
            entry.status = Some(status);
        }
    }

    pub(crate) fn all(&self) -> Vec<LoggedRequest> {
        self.lock().1.iter().cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.lock().1.clear();
    }
}

fn headers_of_interest(headers: &HeaderMap) -> BTreeMap<String, String> {
    let value = |name: &&str| {
        let value = headers.get(*name)?.to_str().ok()?;
        Some(((*name).to_owned(), value.chars().take(300).collect()))
    };
    HEADERS.iter().filter_map(value).collect()
}

/// Logs each call to the two stood-in systems. The sandbox's own pages are left out.
pub(crate) async fn log_request(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !(path.starts_with("/v1/") || path.starts_with("/internal/")) {
        return next.run(request).await;
    }
    let number = shared.requests.begin(shared.clock.now(), &request);
    let (method, path) = (request.method().clone(), path.to_owned());
    let response = next.run(request).await;
    shared.requests.end(number, response.status().as_u16());
    tracing::debug!(%method, %path, status = response.status().as_u16(), "sandbox call");
    response
}
