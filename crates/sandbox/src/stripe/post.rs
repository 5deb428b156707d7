//! How a call that changes something is answered: once for each idempotency key, under the faults that wait for it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use payops_core::time::Clock;
use serde_json::Value;

use super::error::StripeError;
use super::form::Form;
use super::gate::RequestId;
use super::idempotency::{Answered, Begin};
use super::webhooks::Cause;
use crate::faults::{FaultTarget, Strike};
use crate::server::Shared;
use crate::stream::cut;

/// A form-encoded call that changes something.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) form: Form,
    pub(crate) cause: Cause,
    path: String,
    content_type: String,
}

impl Call {
    /// A call with a body of another kind, whose form was made up from it.
    pub(crate) fn new(request_id: RequestId, headers: &HeaderMap, path: &str, form: Form) -> Self {
        let text = |name: HeaderName| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        Self {
            form,
            cause: Cause {
                request_id: request_id.0,
                idempotency_key: text(HeaderName::from_static("idempotency-key")),
            },
            path: path.to_owned(),
            content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
        }
    }
}

impl FromRequest<Arc<Shared>> for Call {
    type Rejection = Response;

    async fn from_request(request: Request, shared: &Arc<Shared>) -> Result<Self, Response> {
        let headers = request.headers().clone();
        // A key is bound to it.
        let path = request.uri().path().to_owned();
        let id = request.extensions().get::<RequestId>().cloned();
        let id = id.unwrap_or_else(|| RequestId(shared.new_id("req_")));
        let body = Bytes::from_request(request, shared).await.map_err(IntoResponse::into_response)?;
        Ok(Self::new(id, &headers, &path, Form::parse(&body)))
    }
}

/// Carries a call out unless its key has been used, and answers as the faults at `target` have it.
pub(crate) async fn once(
    shared: &Shared,
    call: Call,
    (target, report_type): (FaultTarget, Option<&str>),
    act: impl FnOnce(&Call, &Strike) -> Result<Value, StripeError>,
) -> Response {
    let strike = shared.faults.strike(target, report_type);
    if let Some((status, retry_after)) = strike.status {
        strike.delay().await;
        return StripeError::from_fault(status, retry_after).into_response();
    }
    let response = match carry_out(shared, &call, &strike, act).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    };
    strike.delay_answer().await;
    match strike.cut {
        Some(bytes) => cut(response, bytes),
        None => response,
    }
}

async fn carry_out(
    shared: &Shared,
    call: &Call,
    strike: &Strike,
    act: impl FnOnce(&Call, &Strike) -> Result<Value, StripeError>,
) -> Result<Response, StripeError> {
    let content_type = &call.content_type;
    let is_read = ["application/x-www-form-urlencoded", "multipart/form-data"]
        .iter()
        .any(|known| content_type.starts_with(known));
    // Calls without parameters come without a type.
    if !(is_read || content_type.is_empty() && call.form.is_empty()) {
        return Err(StripeError::invalid_request(format!(
            "Invalid request: bodies must be form-encoded (application/x-www-form-urlencoded), not '{content_type}'."
        )));
    }
    let fingerprint = format!("{}?{}", call.path, call.form.fingerprint());
    match shared.idempotency.begin(call.cause.idempotency_key.clone(), fingerprint, shared.clock.now())? {
        Begin::Repeat(Answered { status, body, original_request }) => {
            let mut response = json_response(status, body);
            let headers = response.headers_mut();
            headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
            if let Ok(original) = HeaderValue::from_str(&original_request) {
                headers.insert(HeaderName::from_static("original-request"), original);
            }
            Ok(response)
        }
        Begin::First(in_flight) => {
            strike.delay().await;
            let acted = match strike.error_kept {
                Some(status) => Err(StripeError::from_fault(status, None)),
                None => act(call, strike),
            };
            let (status, body) = match acted {
                Ok(object) => (StatusCode::OK, object),
                Err(error) if error.is_an_outcome() || strike.error_kept.is_some() => {
                    (error.status(), error.object())
                }
                Err(error) => return Err(error),
            };
            let (status, body) = match strike.error_after {
                Some(status) => {
                    let error = StripeError::from_fault(status, None);
                    (error.status(), error.object())
                }
                None => (status, body),
            };
            let body = Bytes::from(body.to_string());
            let answered = Answered {
                status: status.as_u16(),
                body: body.clone(),
                original_request: call.cause.request_id.clone(),
            };
            in_flight.answered(answered, shared.clock.now());
            Ok(json_response(status.as_u16(), body))
        }
    }
}

fn json_response(status: u16, body: Bytes) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
