//! Calls to other systems: what can go wrong, and what is worth trying again.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};

/// Adds the headers of the current trace to a request. It is called inside the span of the call.
pub type HeaderInjector = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// The class of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RemoteErrorKind {
    /// No connection came about.
    Connect,
    /// An answer, or a part of one, did not come in time.
    TimedOut,
    /// The connection broke, or the answer is shorter than it says it is.
    CutShort,
    /// 429, or held back here by the client's own limit; then there is no status.
    RateLimited,
    /// 5xx.
    ServerError,
    /// 409: the same request is being handled, or was made with other parameters.
    Conflict,
    /// 400 and other answers that blame the request.
    BadRequest,
    /// 401 or 403: the key is wrong or may not do this.
    Unauthorized,
    /// 404.
    NotFound,
    /// An answer that is not what the interface promises.
    UnexpectedAnswer,
    /// A link to a host that does not get the key.
    ForeignHost,
    /// The file could not be written here.
    LocalDisk,
}

/// A call that failed. The text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RemoteError {
    /// The class.
    pub kind: RemoteErrorKind,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// What went wrong, with the other side's own words where it has some.
    pub message: String,
    /// The request parameter that the other side blames.
    pub param: Option<String>,
    /// How long the other side asks to wait before trying again.
    pub retry_after: Option<Duration>,
    retryable: bool,
}

impl RemoteError {
    pub(crate) fn new(kind: RemoteErrorKind, message: impl Into<String>) -> Self {
        use RemoteErrorKind as Kind;
        let retryable = matches!(
            kind,
            Kind::Connect | Kind::TimedOut | Kind::CutShort | Kind::RateLimited | Kind::ServerError
        );
        Self { kind, status: None, message: message.into(), param: None, retry_after: None, retryable }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    pub(crate) fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// An answer with a status that is no success.
    pub(crate) fn answered(status: StatusCode, headers: &HeaderMap, message: String) -> Self {
        use RemoteErrorKind as Kind;
        let kind = match status.as_u16() {
            401 | 403 => Kind::Unauthorized,
            404 => Kind::NotFound,
            408 => Kind::TimedOut,
            409 => Kind::Conflict,
            429 => Kind::RateLimited,
            400..=499 => Kind::BadRequest,
            500..=599 => Kind::ServerError,
            _ => Kind::UnexpectedAnswer,
        };
        Self { status: Some(status.as_u16()), retry_after: retry_after(headers), ..Self::new(kind, message) }
    }

    pub(crate) fn disk(error: &std::io::Error) -> Self {
        Self::new(RemoteErrorKind::LocalDisk, format!("the file cannot be written: {error}"))
    }
}

impl From<reqwest::Error> for RemoteError {
    fn from(error: reqwest::Error) -> Self {
        let kind = match () {
            () if error.is_timeout() => RemoteErrorKind::TimedOut,
            () if error.is_connect() => RemoteErrorKind::Connect,
            () if error.is_builder() || error.is_redirect() => RemoteErrorKind::UnexpectedAnswer,
            () => RemoteErrorKind::CutShort,
        };
        // The address may hold what nobody should read in a log.
        let error = error.without_url();
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::new(kind, message)
    }
}

/// `Retry-After` in seconds. A date is not read: it would need the other side's clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The whole body of an answer, up to `limit` bytes.
pub(crate) async fn bounded_body(response: &mut Response, limit: usize) -> Result<Vec<u8>, RemoteError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            let message = format!("the answer is longer than {limit} bytes");
            return Err(RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
