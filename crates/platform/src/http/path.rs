//! Parameters of a path.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, RawPathParams};
use http::request::Parts;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::{Error, Result};

/// The one id in a path, such as `{id}`. Anything but a UUID is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathId(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for PathId {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let PathParams(all) = PathParams::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        let (name, value) =
            all.into_iter().next().ok_or_else(|| Error::internal("PathId on a route without a parameter"))?;
        // The hyphenated form only: one id has one spelling in links and logs.
        let id = Uuid::try_parse(&value).ok().filter(|_| value.len() == 36);
        id.map(Self).ok_or_else(|| Error::invalid_field(name, "is not a UUID", "不是有效的 UUID"))
    }
}

/// Parameters of a path by type: a value, a tuple in order, or a struct by name. What does not fit is 400.
#[derive(Debug, Clone)]
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(failure)) => {
                let names = RawPathParams::from_request_parts(parts, state).await;
                let names = names.map(|all| all.iter().map(|(name, _)| name.to_owned()).collect::<Vec<_>>());
                Err(fault(failure.into_kind(), &names.unwrap_or_default()))
            }
            Err(rejection) => Err(Error::internal(rejection)),
        }
    }
}

/// `names` are those of the route's parameters, in order.
fn fault(kind: ErrorKind, names: &[String]) -> Error {
    let misformed = |name: &str| Error::invalid_field(name, "does not have the right form", "格式不正确");
    let label = |index: usize| names.get(index).map_or("path", String::as_str);
    match kind {
        ErrorKind::InvalidUtf8InPathParam { key } => {
            Error::invalid_field(key, "is not valid UTF-8", "不是有效的 UTF-8 文本")
        }
        ErrorKind::ParseErrorAtKey { key, .. } | ErrorKind::DeserializeError { key, .. } => misformed(&key),
        ErrorKind::ParseErrorAtIndex { index, .. } => misformed(label(index)),
        ErrorKind::ParseError { .. } => misformed(label(0)),
        // Wrong number or unsupported type: the handler does not fit its route.
        other => Error::internal(other.to_string()),
    }
}
