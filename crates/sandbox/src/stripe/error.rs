//! Errors in Stripe's form.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

/// An error object of Stripe with its status.
#[derive(Debug, Clone)]
pub(crate) struct StripeError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: Box<str>,
    /// The charge that a card was declined for.
    declined: Option<Box<str>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl StripeError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into().into_boxed_str();
        Self { status, kind, code: None, param: None, message, declined: None, headers: Vec::new() }
    }

    /// 400 with a parameter to blame.
    pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        Self { param: Some(param.into()), ..error }
    }

    /// 400 with no parameter to blame.
    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    pub(crate) fn missing(param: &str) -> Self {
        Self {
            code: Some("parameter_missing"),
            ..Self::invalid(param, format!("Missing required param: {param}."))
        }
    }

    pub(crate) fn unknown(param: &str) -> Self {
        let error = Self::invalid(param, format!("Received unknown parameter: {param}"));
        Self { code: Some("parameter_unknown"), ..error }
    }

    pub(crate) fn not_an_integer(param: &str, value: &str) -> Self {
        let error = Self::invalid(param, format!("Invalid integer: {value}"));
        Self { code: Some("parameter_invalid_integer"), ..error }
    }

    /// 404 for an object that is not there.
    pub(crate) fn no_such(object: &str, id: &str) -> Self {
        let error = Self::invalid("id", format!("No such {object}: '{id}'"));
        Self { status: StatusCode::NOT_FOUND, code: Some("resource_missing"), ..error }
    }

    /// 404 for an object that is not there, blaming `param`.
    pub(crate) fn no_such_object(object: &str, param: &str, id: &str) -> Self {
        Self { param: Some(param.to_owned()), ..Self::no_such(object, id) }
    }

    /// The same error with a code.
    pub(crate) fn with_code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// 404 with no parameter or code to blame.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    /// 402 for a card whose issuer says no.
    pub(crate) fn card_declined(charge: &str) -> Self {
        let mut error = Self::new(StatusCode::PAYMENT_REQUIRED, "card_error", "Your card was declined.");
        error.code = Some("card_declined");
        error.declined = Some(charge.into());
        error
    }

    /// Whether the call had been carried out when this came of it, so that repeats get the same answer.
    pub(crate) fn is_an_outcome(&self) -> bool {
        self.status == StatusCode::PAYMENT_REQUIRED || self.status.is_server_error()
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// 400 for a cursor that names nothing.
    pub(crate) fn no_such_cursor(object: &str, param: &str, id: &str) -> Self {
        let error = Self::invalid(param, format!("No such {object}: '{id}'"));
        Self { code: Some("resource_missing"), ..error }
    }

    pub(crate) fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!("Unrecognized request URL ({method}: {path}).");
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
    }

    pub(crate) fn unauthorized(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message);
        error.headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"Stripe\"")));
        error
    }

    pub(crate) fn idempotency(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "idempotency_error", message)
    }

    pub(crate) fn key_in_use(key: &str) -> Self {
        let message =
            format!("There is currently another in-progress request using this idempotency key: {key}");
        Self {
            code: Some("idempotency_key_in_use"),
            ..Self::new(StatusCode::CONFLICT, "idempotency_error", message)
        }
    }

    /// 429 as a limit of Stripe gives it; Stripe sends no `Retry-After`.
    pub(crate) fn rate_limited() -> Self {
        let mut error =
            Self::new(StatusCode::TOO_MANY_REQUESTS, "invalid_request_error", "Request rate limit exceeded.");
        error.code = Some("rate_limit");
        let reason = HeaderName::from_static("stripe-rate-limited-reason");
        error.headers.push((reason, HeaderValue::from_static("global-rate")));
        error
    }

    /// The error that a fault asks for.
    pub(crate) fn from_fault(status: u16, retry_after: Option<u64>) -> Self {
        let mut error = match StatusCode::from_u16(status) {
            Ok(StatusCode::TOO_MANY_REQUESTS) => Self::rate_limited(),
            Ok(StatusCode::UNAUTHORIZED) => Self::unauthorized("Invalid API Key provided: sk_test_****"),
            Ok(status) if status.is_client_error() => Self::new(
                status,
                "invalid_request_error",
                "The request was refused by a fault of the sandbox.",
            ),
            Ok(status) => {
                Self::new(status, "api_error", "Sorry, something went wrong (a fault of the sandbox).")
            }
            Err(_) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", "Sorry, something went wrong.")
            }
        };
        if error.status.is_server_error() {
            let retry = HeaderName::from_static("stripe-should-retry");
            error.headers.push((retry, HeaderValue::from_static("true")));
        }
        if let Some(seconds) = retry_after {
            error.headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        error
    }
}

impl StripeError {
    /// The body of the answer.
    pub(crate) fn object(&self) -> Value {
        let mut error = Map::new();
        error.insert("type".to_owned(), Value::from(self.kind));
        error.insert("message".to_owned(), Value::from(&*self.message));
        if let Some(charge) = &self.declined {
            error.insert("charge".to_owned(), Value::from(&**charge));
            error.insert("decline_code".to_owned(), Value::from("generic_decline"));
        }
        if let Some(code) = self.code {
            error.insert("code".to_owned(), Value::from(code));
            error.insert(
                "doc_url".to_owned(),
                Value::from(format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"))),
            );
        }
        if let Some(param) = &self.param {
            error.insert("param".to_owned(), Value::from(param.as_str()));
        }
        json!({ "error": error })
    }
}

impl IntoResponse for StripeError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.object())).into_response();
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }
}
