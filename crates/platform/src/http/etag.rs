//! Editing one resource twice at once: versions as `ETag` and `If-Match`.

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::IF_MATCH;
use http::request::Parts;

use crate::error::{Error, ErrorKind, Result};

/// What `If-Match` asks for. Without the header everything passes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// No header came, or `*`: any version will do.
    Any,
    /// Only these versions will do. Tags that payops never gave match none.
    Versions(Vec<i64>),
}

impl IfMatch {
    /// 412 when the resource has meanwhile become another version than the caller knows.
    pub fn check(&self, current: i64) -> Result<()> {
        match self {
            Self::Versions(versions) if !versions.contains(&current) => Err(Error::new(
                ErrorKind::PreconditionFailed,
                "VERSION_MISMATCH",
                "The resource has changed since it was read; read it again.",
                "资源已被修改，请重新读取后再提交。",
            )
            .with_data(serde_json::json!({ "current_version": current }))),
            _ => Ok(()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        let mut versions = Vec::new();
        let mut came = false;
        for value in parts.headers.get_all(IF_MATCH) {
            came = true;
            let text = value.to_str().map_err(|_| malformed())?.trim();
            if text == "*" {
                return Ok(Self::Any);
            }
            for tag in text.split(',') {
                versions.extend(version(tag.trim())?);
            }
        }
        Ok(if came { Self::Versions(versions) } else { Self::Any })
    }
}

/// The version a tag names; `None` for a well-formed tag that is none of ours, weak ones included.
fn version(tag: &str) -> Result<Option<i64>> {
    let (weak, strong) = tag.strip_prefix("W/").map_or((false, tag), |tag| (true, tag));
    let inner = strong.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).ok_or_else(malformed)?;
    Ok(inner.parse().ok().filter(|_| !weak))
}

fn malformed() -> Error {
    Error::invalid_field("If-Match", "is not a list of quoted tags", "不是带引号的标签列表")
}

pub(super) fn header(version: i64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(values: &[&str]) -> Result<IfMatch> {
        let request =
            values.iter().fold(http::Request::builder(), |request, value| request.header(IF_MATCH, *value));
        IfMatch::from_request_parts(&mut request.body(()).unwrap().into_parts().0, &()).await
    }

    #[tokio::test]
    async fn versions_are_compared() {
        assert!(read(&[]).await.unwrap().check(7).is_ok());
        assert!(read(&["*"]).await.unwrap().check(7).is_ok());
        assert!(read(&["\"6\", \"7\""]).await.unwrap().check(7).is_ok());
        assert!(read(&["\"6\"", "\"7\""]).await.unwrap().check(7).is_ok());
        for stale in ["\"6\"", "W/\"7\"", "\"abc\"", "\"\""] {
            let error = read(&[stale]).await.unwrap().check(7).unwrap_err();
            assert_eq!(error.code(), "VERSION_MISMATCH", "{stale}");
        }
        for bad in ["7", "\"7", ""] {
            assert_eq!(read(&[bad]).await.unwrap_err().code(), "INVALID_REQUEST", "{bad}");
        }
    }
}
