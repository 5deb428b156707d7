//! The envelope around every answer, and the one place where it is written.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::is_bad_credentials;
use crate::error::{Error, ErrorKind, Language, Text};
use crate::telemetry::TraceId;

/// The envelope of a successful answer, for OpenAPI documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct Envelope<T> {
    /// `SUCCESS`.
    #[schema(example = "SUCCESS")]
    pub code: String,
    /// A sentence for people, in English or Chinese.
    #[schema(example = "Success.")]
    pub message: String,
    /// The answer itself.
    pub data: T,
    /// Under this id the request stands in logs and traces.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: String,
}

/// The envelope of an error, for OpenAPI documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorEnvelope {
    /// A stable code in upper snake case.
    #[schema(example = "INVALID_REQUEST")]
    pub code: String,
    /// A sentence for people, in English or Chinese.
    pub message: String,
    /// What helps to understand the error; for `INVALID_REQUEST` see `InvalidFields`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
    /// Under this id the request stands in logs and traces.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub trace_id: String,
}

/// `data` of an `INVALID_REQUEST`, for OpenAPI documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct InvalidFields {
    /// Every field that is wrong.
    pub fields: Vec<FieldProblem>,
}

/// One invalid field, for OpenAPI documents.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldProblem {
    /// Where the field is: in the body, the query, the path or the headers. Empty for the body as a whole.
    #[schema(example = "items[2].amount")]
    pub path: String,
    /// What is wrong with it.
    #[schema(example = "is required")]
    pub message: String,
}

/// What is to be said, until trace and language are known. Travels as an extension of the response.
#[derive(Clone)]
pub(super) struct Draft(Arc<Said>);

pub(super) enum Said {
    /// The data of a success, as JSON.
    Answer(Vec<u8>),
    Error(Error),
}

impl Draft {
    pub(super) fn answer(data: Vec<u8>) -> Self {
        Self(Arc::new(Said::Answer(data)))
    }
}

impl IntoResponse for Draft {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        if let Said::Error(error) = &*self.0 {
            *response.status_mut() =
                StatusCode::from_u16(error.kind().status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Draft(Arc::new(Said::Error(self))).into_response()
    }
}

/// What the access line says about an answer.
#[derive(Default)]
pub(super) struct Remark {
    pub(super) code: Option<&'static str>,
    pub(super) internal: Option<String>,
}

/// Writes an answer out. What did not come from a handler of payops (axum's own 404, 405, 413 …) gets an
/// envelope by its status.
pub(super) fn write_out(response: Response, language: Language, trace_id: TraceId) -> (Response, Remark) {
    let (mut parts, body) = response.into_parts();
    let Some(Draft(said)) = parts.extensions.remove::<Draft>() else {
        let json =
            parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
        if json || !(parts.status.is_client_error() || parts.status.is_server_error()) {
            return (Response::from_parts(parts, body), Remark::default());
        }
        let (code, text) = foreign(parts.status);
        parts.headers.remove(CONTENT_LENGTH);
        parts.headers.insert(CONTENT_TYPE, JSON);
        let text = envelope(code, text.in_language(language), None, trace_id);
        let remark = Remark { code: Some(code), internal: None };
        return (Response::from_parts(parts, Body::from(text)), remark);
    };
    parts.headers.insert(CONTENT_TYPE, JSON);
    let (text, remark) = match &*said {
        Said::Answer(data) => {
            let message = match language {
                Language::English => "Success.",
                Language::Chinese => "操作成功",
            };
            (envelope("SUCCESS", message, Some(data), trace_id), Remark::default())
        }
        Said::Error(error) => {
            error_headers(&mut parts, error);
            let data = error.data_in(language).and_then(|data| serde_json::to_vec(&data).ok());
            let message = error.text().in_language(language);
            let text = envelope(error.code(), message, data.as_deref(), trace_id);
            let internal = error.internal_text().map(str::to_owned);
            (text, Remark { code: Some(error.code()), internal })
        }
    };
    (Response::from_parts(parts, Body::from(text)), remark)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn error_headers(parts: &mut http::response::Parts, error: &Error) {
    let retry_after = error.retry_after().or(match error.kind() {
        ErrorKind::Unavailable | ErrorKind::TooManyRequests => Some(Duration::from_secs(1)),
        _ => None,
    });
    if let Some(wait) = retry_after {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(wait)));
    }
    if error.kind() == ErrorKind::Unauthorized {
        let challenge = if is_bad_credentials(error) {
            "Bearer realm=\"payops\", error=\"invalid_token\""
        } else {
            "Bearer realm=\"payops\""
        };
        parts.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
}

/// Rounded up, at least one: nobody is told to come back too early.
pub(super) fn whole_seconds(wait: Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

fn envelope(code: &str, message: &str, data: Option<&[u8]>, trace_id: TraceId) -> Vec<u8> {
    let mut text = Vec::with_capacity(data.map_or(0, <[u8]>::len) + message.len() + 128);
    text.extend_from_slice(b"{\"code\":\"");
    text.extend_from_slice(code.as_bytes());
    text.extend_from_slice(b"\",\"message\":");
    // Writing a string to memory cannot fail.
    let _ = serde_json::to_writer(&mut text, message);
    if let Some(data) = data {
        text.extend_from_slice(b",\"data\":");
        text.extend_from_slice(data);
    }
    text.extend_from_slice(b",\"trace_id\":\"");
    text.extend_from_slice(&trace_id.hex());
    text.extend_from_slice(b"\"}");
    text
}

/// Code and text of an error that only has a status.
fn foreign(status: StatusCode) -> (&'static str, Text) {
    let (code, en, zh) = match status.as_u16() {
        400 => ("INVALID_REQUEST", "The request cannot be read.", "无法读取该请求。"),
        404 => ("ROUTE_NOT_FOUND", "There is nothing at this path.", "该路径不存在。"),
        405 => (
            "METHOD_NOT_ALLOWED",
            "This path does not take this method; see Allow.",
            "该路径不支持此方法，参见 Allow。",
        ),
        408 => ("REQUEST_TIMEOUT", "The request came too slowly.", "请求发送过慢。"),
        413 => ("BODY_TOO_LARGE", "The body is larger than this endpoint reads.", "请求体超过允许的大小。"),
        415 => (
            "UNSUPPORTED_MEDIA_TYPE",
            "This endpoint does not read this type of body.",
            "不支持该类型的请求体。",
        ),
        503 => {
            ("UNAVAILABLE", "The service is not available; try again shortly.", "服务暂不可用，请稍后重试。")
        }
        status if status < 500 => ("INVALID_REQUEST", "The request was refused.", "请求被拒绝。"),
        _ => ("INTERNAL_ERROR", "Something went wrong on our side.", "服务内部错误。"),
    };
    (code, Text::new(en, zh))
}
