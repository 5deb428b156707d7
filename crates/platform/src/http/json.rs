//! JSON bodies, read strictly.

use std::time::Duration;

use axum::RequestExt;
use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError};
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, FieldError, Result};

pub(super) mod explain;
mod inspect;

/// How long a body may take to arrive.
const BODY_PATIENCE: Duration = Duration::from_secs(15);

/// A JSON body of type `T`.
///
/// 415 for another type of body or a compressed one, 413 beyond the limit (1 MiB unless the route sets `DefaultBodyLimit`), 408
/// when it comes too slowly, and 400 `INVALID_REQUEST` with the path of the field for anything that is not
/// exactly a `T`: malformed text, a field missing, unknown, of the wrong type, or given twice, and nesting
/// beyond 32 levels. `T` need not deny unknown fields itself. Parts flattened by serde take what they find, so
/// wire types do without `#[serde(flatten)]`.
#[derive(Debug, Clone)]
pub struct StrictJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for StrictJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        check_content_type(request.headers())?;
        parse(&read_body(request).await?).map(Self)
    }
}

/// Reads a whole body within the route's limit and within time.
pub(super) async fn read_body(request: Request) -> Result<Bytes> {
    let body = request.into_limited_body();
    match tokio::time::timeout(BODY_PATIENCE, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) => Err(broken_body(&error)),
        Err(_) => Err(super::patience::too_slow()),
    }
}

fn broken_body(error: &axum::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(current) = cause {
        if current.is::<LengthLimitError>() {
            return Error::new(
                ErrorKind::PayloadTooLarge,
                "BODY_TOO_LARGE",
                "The body is larger than this endpoint reads.",
                "请求体超过允许的大小。",
            );
        }
        cause = current.source();
    }
    Error::invalid_field("", "broke off before its end", "请求体不完整").with_internal(error.to_string())
}

/// `application/json`, or a type that is built on it, in UTF-8 and not compressed.
pub(super) fn check_content_type(headers: &HeaderMap) -> Result<()> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Error::new(
            ErrorKind::UnsupportedMediaType,
            "UNSUPPORTED_MEDIA_TYPE",
            "The body must come as it is, without Content-Encoding.",
            "请求体不得压缩（请勿使用 Content-Encoding）。",
        ));
    }
    let value = headers.get(CONTENT_TYPE).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default();
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let json =
        essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    let utf8 = parts.all(|parameter| match parameter.strip_prefix("charset=") {
        Some(charset) => matches!(charset.trim_matches('"'), "utf-8" | "utf8"),
        None => true,
    });
    if json && utf8 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::UnsupportedMediaType,
        "UNSUPPORTED_MEDIA_TYPE",
        "The body must be JSON: Content-Type: application/json.",
        "请求体必须为 JSON（Content-Type: application/json）。",
    ))
}

/// Reads exactly a `T`.
pub(super) fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(Error::invalid_field("", "a JSON body is required", "缺少 JSON 请求体"));
    }
    inspect::inspect(text)?;
    // serde would take the elements of an array for the fields of an object, in order.
    if text.trim_ascii_start().starts_with(b"[") {
        return Err(Error::invalid_field("", "must be an object", "必须为对象"));
    }
    let mut unknown = Vec::new();
    let mut json = serde_json::Deserializer::from_slice(text);
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(&mut json, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| {
        unknown.push(FieldError::new(explain::ignored_path(&path), "is not a known field", "未知字段"));
    });
    match read {
        Ok(value) if unknown.is_empty() => Ok(value),
        Ok(_) => Err(Error::invalid_fields(unknown)),
        Err(error) => Err(explain::fault(&track.path().to_string(), &error)),
    }
}
