//! How a call of Stripe fails, and what is certain about it then.

use std::fmt;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderValue};
use serde::Deserialize;

use super::words::open_words;
use crate::fault::excerpt;
use crate::remote::{RemoteError, RemoteErrorKind};

/// What a failed call says about its effect. Of several attempts of one call the least certain one counts.
///
/// A call whose effect matters once (submitting evidence, closing a dispute) may simply be made again after
/// `NotSent` and, where [`StripeError::is_retryable`] says so (429), after `Refused`. After `Unknown` the object is
/// read first: Stripe keeps even a 500 as the answer to its idempotency key, and forgets keys after a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Certainty {
    /// Nothing reached Stripe: no connection came about, or the call was held back here.
    NotSent,
    /// Stripe answered that it did not do it: a 4xx other than those below.
    Refused,
    /// It may have been done: no answer in time, a cut connection, an unreadable answer, 5xx, 408, 424, or 409
    /// `idempotency_key_in_use`, which says that an earlier call with this key is still under way.
    Unknown,
}

/// A failed call of Stripe. The text holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeError {
    /// What went wrong in general, and whether the same call may succeed later.
    pub remote: RemoteError,
    /// Whether the call may have had an effect.
    pub certainty: Certainty,
    /// Stripe's own words, where an answer of its form came.
    pub detail: Option<Box<ErrorDetail>>,
    /// `req_…`, by which Stripe's support finds the call.
    pub request_id: Option<String>,
}

open_words! {
    /// Stripe's classes of errors.
    pub enum ErrorType {
        /// Stripe's fault.
        ApiError = "api_error",
        /// A card cannot be charged.
        CardError = "card_error",
        /// The idempotency key was used with other parameters.
        IdempotencyError = "idempotency_error",
        /// The request is at fault.
        InvalidRequestError = "invalid_request_error",
    }
}

/// The object `error` of an answer. Stripe promises only the type.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ErrorDetail {
    /// The class.
    #[serde(rename = "type")]
    pub kind: Option<ErrorType>,
    /// A word for programs, such as `resource_missing`.
    pub code: Option<String>,
    /// Why a card was declined.
    pub decline_code: Option<String>,
    /// A text for people.
    pub message: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// The charge that the error is about.
    pub charge: Option<String>,
}

impl ErrorDetail {
    fn said(&self) -> &str {
        let kind = || self.kind.as_ref().map_or("", ErrorType::as_str);
        self.message.as_deref().unwrap_or_else(kind)
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

impl StripeError {
    pub(super) fn new(remote: RemoteError, certainty: Certainty) -> Self {
        Self { remote, certainty, detail: None, request_id: None }
    }

    /// An error that was found before anything was sent.
    pub(super) fn not_sent(remote: RemoteError) -> Self {
        Self::new(remote, Certainty::NotSent)
    }

    pub(super) fn answered(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let detail = serde_json::from_slice::<ErrorBody>(body).ok().map(|body| body.error);
        let said = match &detail {
            Some(detail) => detail.said().to_owned(),
            None => excerpt(body),
        };
        let mut remote = RemoteError::answered(status, headers, format!("Stripe answered {status}: {said}"));
        remote.param = detail.as_ref().and_then(|detail| detail.param.clone());
        let in_use = detail.as_ref().is_some_and(|detail| is_in_use(detail.code.as_deref()));
        // While the first request with a key is in flight, the second one only has to wait.
        if in_use || status == StatusCode::FAILED_DEPENDENCY {
            remote = remote.retryable(true);
        }
        remote = match headers.get("stripe-should-retry").map(HeaderValue::as_bytes) {
            Some(b"true") => remote.retryable(true),
            Some(b"false") => remote.retryable(false),
            _ => remote,
        };
        let certainty = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::FAILED_DEPENDENCY => Certainty::Unknown,
            _ if status.is_client_error() && !in_use => Certainty::Refused,
            _ => Certainty::Unknown,
        };
        let request_id = headers.get("request-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        Self { remote, certainty, detail: detail.map(Box::new), request_id }
    }

    /// What happened, without Stripe's own text, which may quote what it was sent.
    pub fn without_words(&self) -> String {
        let Some(status) = self.status() else { return self.to_string() };
        let detail = self.detail.as_deref();
        let code = detail.and_then(|detail| detail.code.as_deref());
        let param = detail.and_then(|detail| detail.param.as_deref());
        let id = self.request_id.as_deref();
        let more: Vec<&str> = [code, param, id].into_iter().flatten().collect();
        if more.is_empty() {
            format!("Stripe answered {status}")
        } else {
            format!("Stripe answered {status} ({})", more.join(", "))
        }
    }

    /// Stripe's own text.
    pub fn words(&self) -> Option<&str> {
        self.detail.as_ref()?.message.as_deref()
    }

    /// The class of the failure.
    pub fn kind(&self) -> RemoteErrorKind {
        self.remote.kind
    }

    /// The status of the answer, if there was one.
    pub fn status(&self) -> Option<u16> {
        self.remote.status
    }

    /// Stripe's code for the error, such as `resource_missing`. Several errors have none.
    pub fn code(&self) -> Option<&str> {
        self.detail.as_ref()?.code.as_deref()
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.remote.is_retryable()
    }
}

fn is_in_use(code: Option<&str>) -> bool {
    code == Some("idempotency_key_in_use")
}

impl fmt::Display for StripeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remote.fmt(f)?;
        match &self.request_id {
            Some(id) => write!(f, " ({id})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for StripeError {}

impl From<reqwest::Error> for StripeError {
    fn from(error: reqwest::Error) -> Self {
        let unsent = error.is_connect() || error.is_builder();
        let certainty = if unsent { Certainty::NotSent } else { Certainty::Unknown };
        Self::new(error.into(), certainty)
    }
}

impl From<StripeError> for RemoteError {
    fn from(error: StripeError) -> Self {
        error.remote
    }
}
