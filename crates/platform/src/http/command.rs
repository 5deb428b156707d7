//! Requests that change something, made safe to send twice.

use std::fmt;

use axum::extract::{FromRequest, Request};
use http::HeaderMap;
use http::request::Parts;
use serde::Serialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};
use sha2::{Digest, Sha256};

use super::answer::Answer;
use super::json;
use crate::auth::Actor;
use crate::context::ServiceContext;
use crate::db::Tx;
use crate::error::{Error, ErrorKind, Result};
use crate::idempotency::{self, Claim, DEFAULT_KEEP};

const HEADER: &str = "idempotency-key";

/// A body as [`super::StrictJson`] reads it, where no body at all counts as `{}`, and the request's
/// `Idempotency-Key`.
#[derive(Debug, Clone)]
pub struct Command<T> {
    /// What is to be done.
    pub body: T,
    /// The key, if one came.
    pub idempotency: Idempotency,
}

impl<T> Command<T> {
    /// See [`Idempotency::once`].
    pub async fn once<R: Serialize>(
        &self,
        tx: &Tx,
        context: &ServiceContext,
        actor: &Actor,
        work: impl Future<Output = Result<Answer<R>>>,
    ) -> Result<Answer<R>> {
        self.idempotency.once(tx, context, actor, work).await
    }
}

/// The body of a command that needs none: nothing, or `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoBody;

impl<'de> serde::Deserialize<'de> for NoBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Empty;
        impl<'de> Visitor<'de> for Empty {
            type Value = NoBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map without entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<NoBody, A::Error> {
                match entries.next_entry::<String, IgnoredAny>()? {
                    None => Ok(NoBody),
                    Some((name, _)) => Err(serde::de::Error::unknown_field(&name, &[])),
                }
            }
        }
        deserializer.deserialize_map(Empty)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Command<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let (parts, body) = request.into_parts();
        let key = key(&parts.headers)?;
        let text = json::read_body(Request::from_parts(parts.clone(), body)).await?;
        let body = if text.is_empty() {
            json::parse(b"{}")?
        } else {
            json::check_content_type(&parts.headers)?;
            json::parse(&text)?
        };
        Ok(Self { body, idempotency: Idempotency::new(key, &parts, &text) })
    }
}

/// An `Idempotency-Key` and what it stands for.
#[derive(Debug, Clone)]
pub struct Idempotency {
    key: Option<String>,
    request: Sha256,
}

impl Idempotency {
    /// For requests whose body is not JSON, such as uploads: `content` is a digest of what was sent. 400 when
    /// the key has not 1 to 255 visible ASCII characters.
    pub fn of(parts: &Parts, content: &[u8]) -> Result<Self> {
        Ok(Self::new(key(&parts.headers)?, parts, content))
    }

    fn new(key: Option<String>, parts: &Parts, content: &[u8]) -> Self {
        let mut request = Sha256::new();
        if key.is_some() {
            let query = parts.uri.query().unwrap_or_default();
            for part in [parts.method.as_str(), parts.uri.path(), query] {
                // None of these can hold a zero byte, so no two requests run together.
                request.update(part.as_bytes());
                request.update([0]);
            }
            request.update(content);
        }
        Self { key, request }
    }

    /// Runs `work` once for this key, whatever happens to the answers on their way.
    ///
    /// Call it inside the transaction of the effect. The answer is stored with a hash of the request (method,
    /// path, query, body, caller) in that transaction. The same request again gets the stored answer and
    /// `Idempotency-Replayed: true`; another request with the same key is 422 `IDEMPOTENCY_KEY_REUSED`. Errors
    /// are not stored: their transaction is taken back. Without a key, `work` simply runs.
    pub async fn once<R: Serialize>(
        &self,
        tx: &Tx,
        context: &ServiceContext,
        actor: &Actor,
        work: impl Future<Output = Result<Answer<R>>>,
    ) -> Result<Answer<R>> {
        let Some(key) = &self.key else { return work.await };
        let caller = actor.to_string();
        let hash =
            hex::encode(self.request.clone().chain_update([0]).chain_update(caller.as_bytes()).finalize());
        match idempotency::claim(tx, context.now(), &caller, key, &hash, DEFAULT_KEEP).await? {
            Claim::Stored(answer) => Answer::replayed(answer),
            Claim::OtherRequest => Err(Error::new(
                ErrorKind::Unprocessable,
                "IDEMPOTENCY_KEY_REUSED",
                "This Idempotency-Key was used for another request.",
                "该 Idempotency-Key 已用于其他请求。",
            )),
            Claim::Fresh => {
                let answer = work.await?;
                idempotency::store(tx, &caller, key, &answer.to_stored()?).await?;
                Ok(answer)
            }
        }
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let visible = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if visible && values.next().is_none() {
        return Ok(Some(text.to_owned()));
    }
    Err(Error::invalid_field(
        "Idempotency-Key",
        "must be one value of 1 to 255 visible ASCII characters",
        "必须为单个值，由 1 到 255 个可见 ASCII 字符组成",
    ))
}
