//! What a handler returns when all went well.

use axum::response::{IntoResponse, Response};
use http::header::{ETAG, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::envelope::Draft;
use crate::error::{Error, Result};
use crate::idempotency::StoredAnswer;

/// Says that an answer was stored when the same request came first.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Names of headers in a stored answer.
const STORED_VERSION: &str = "etag";
const STORED_LOCATION: &str = "location";

/// A successful answer. It becomes `{"code":"SUCCESS","message","data","trace_id"}`.
#[derive(Debug, Clone)]
pub struct Answer<R> {
    status: StatusCode,
    data: Data<R>,
    version: Option<i64>,
    location: Option<String>,
}

#[derive(Debug, Clone)]
enum Data<R> {
    Fresh(R),
    Replayed(Value),
}

impl<R: Serialize> Answer<R> {
    /// 200: here it is, or it is done.
    pub fn ok(data: R) -> Self {
        Self::new(StatusCode::OK, data)
    }

    /// 201: it exists now.
    pub fn created(data: R) -> Self {
        Self::new(StatusCode::CREATED, data)
    }

    /// 202: it will be done.
    pub fn accepted(data: R) -> Self {
        Self::new(StatusCode::ACCEPTED, data)
    }

    fn new(status: StatusCode, data: R) -> Self {
        Self { status, data: Data::Fresh(data), version: None, location: None }
    }

    /// Gives the resource's version as `ETag`, for a later `If-Match`.
    #[must_use]
    pub fn etag(mut self, version: i64) -> Self {
        self.version = Some(version);
        self
    }

    /// Gives the path of the resource as `Location`.
    #[must_use]
    pub fn location(mut self, path: impl Into<String>) -> Self {
        self.location = Some(path.into());
        self
    }

    /// The data, unless the answer was stored earlier and is repeated.
    pub fn fresh(&self) -> Option<&R> {
        match &self.data {
            Data::Fresh(data) => Some(data),
            Data::Replayed(_) => None,
        }
    }

    /// Tells something else than what is kept for repetition; an answer that is repeated goes the same way. So what must not
    /// be kept, or not in the clear, is added after the transaction.
    ///
    /// # Errors
    /// What `tell` says, and 500 where a kept answer is none of this type.
    pub async fn told_as<T: Serialize>(self, tell: impl AsyncFnOnce(R) -> Result<T>) -> Result<Answer<T>>
    where
        R: DeserializeOwned,
    {
        let data = match self.data {
            Data::Fresh(data) => Data::Fresh(tell(data).await?),
            Data::Replayed(kept) => {
                let told = tell(serde_json::from_value(kept).map_err(Error::internal)?).await?;
                Data::Replayed(serde_json::to_value(told).map_err(Error::internal)?)
            }
        };
        Ok(Answer { status: self.status, data, version: self.version, location: self.location })
    }

    pub(super) fn to_stored(&self) -> Result<StoredAnswer> {
        let body = match &self.data {
            Data::Fresh(data) => serde_json::to_value(data).map_err(Error::internal)?,
            Data::Replayed(data) => data.clone(),
        };
        let version = self.version.map(|version| (STORED_VERSION.to_owned(), version.to_string()));
        let location = self.location.clone().map(|path| (STORED_LOCATION.to_owned(), path));
        Ok(StoredAnswer {
            status: self.status.as_u16(),
            headers: version.into_iter().chain(location).collect(),
            body,
        })
    }

    pub(super) fn replayed(mut stored: StoredAnswer) -> Result<Self> {
        Ok(Self {
            status: StatusCode::from_u16(stored.status).map_err(Error::internal)?,
            data: Data::Replayed(stored.body),
            version: stored.headers.get(STORED_VERSION).and_then(|version| version.parse().ok()),
            location: stored.headers.remove(STORED_LOCATION),
        })
    }
}

impl<R: Serialize> IntoResponse for Answer<R> {
    fn into_response(self) -> Response {
        let (data, replayed) = match &self.data {
            Data::Fresh(data) => (serde_json::to_vec(data), false),
            Data::Replayed(data) => (serde_json::to_vec(data), true),
        };
        let data = match data {
            Ok(data) => data,
            Err(error) => return Error::internal(error).into_response(),
        };
        let mut response = Draft::answer(data).into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(version) = self.version {
            headers.insert(ETAG, super::etag::header(version));
        }
        if let Some(location) = self.location.and_then(|path| HeaderValue::try_from(path).ok()) {
            headers.insert(LOCATION, location);
        }
        if replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
