//! What every call of Stripe has in common: addresses, the key, and how answers and refusals are read.

use std::fmt;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, RequestBuilder, Response, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;

use super::error::{Certainty, StripeError};
use crate::fault::excerpt;
use crate::remote::{HeaderInjector, RemoteError, RemoteErrorKind, bounded_body};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const STRIPE_VERSION: HeaderName = HeaderName::from_static("stripe-version");
const LONGEST_IDEMPOTENCY_KEY: usize = 255;

/// Connections to Stripe, and who is calling.
#[derive(Clone)]
pub(super) struct Http {
    pub(super) client: Client,
    pub(super) api_key: SecretString,
    pub(super) api_version: Option<HeaderValue>,
    pub(super) inject_headers: HeaderInjector,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("api_version", &self.api_version).finish_non_exhaustive()
    }
}

impl Http {
    pub(super) fn get(&self, url: Url) -> RequestBuilder {
        self.client.get(url)
    }

    /// A call that changes something, under a key which [`idempotency_key`] made.
    pub(super) fn post(&self, url: Url, key: &HeaderValue) -> RequestBuilder {
        self.client.post(url).header(IDEMPOTENCY_KEY, key)
    }

    /// The request with the key, the version and the trace's headers.
    pub(super) fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        let mut headers = HeaderMap::new();
        (self.inject_headers)(&mut headers);
        headers.extend(self.api_version.clone().map(|version| (STRIPE_VERSION, version)));
        request.headers(headers).bearer_auth(self.api_key.expose_secret())
    }

    /// One attempt. The answer is read up to `largest` bytes.
    pub(super) async fn answer<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        largest: usize,
    ) -> Result<T, StripeError> {
        let mut response = self.signed(request).send().await.map_err(StripeError::from)?;
        if !response.status().is_success() {
            return Err(refusal(&mut response).await);
        }
        let unread = |error| StripeError::new(error, Certainty::Unknown);
        let body = bounded_body(&mut response, largest).await.map_err(unread)?;
        serde_json::from_slice(&body).map_err(|error| {
            let message = format!("Stripe's answer cannot be read ({error}): {}", excerpt(&body));
            unread(RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message))
        })
    }
}

/// The error of an answer that is no success, in Stripe's words.
pub(super) async fn refusal(response: &mut Response) -> StripeError {
    const LARGEST: usize = 64 << 10;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = bounded_body(response, LARGEST).await.unwrap_or_default();
    StripeError::answered(status, &headers, &body)
}

/// `path` below `base`. Segments are escaped, so that no id can reach another path.
pub(super) fn address(base: &Url, path: &[&str]) -> Result<Url, RemoteError> {
    let mut url = base.clone();
    let Ok(mut segments) = url.path_segments_mut() else {
        let message = "the base URL of Stripe cannot have a path";
        return Err(RemoteError::new(RemoteErrorKind::BadRequest, message));
    };
    segments.pop_if_empty().extend(path);
    drop(segments);
    Ok(url)
}

/// The host of Stripe's files, if the API at `base_url` has one apart.
pub(super) fn files_host(base_url: &Url) -> Option<Url> {
    match base_url.host_str() {
        Some("api.stripe.com") => Url::parse("https://files.stripe.com").ok(),
        _ => None,
    }
}

/// The header of a key that the caller chose.
pub(super) fn idempotency_key(key: &str) -> Result<HeaderValue, RemoteError> {
    let bad =
        |what: &str| RemoteError::new(RemoteErrorKind::BadRequest, format!("the idempotency key is {what}"));
    if key.is_empty() || key.len() > LONGEST_IDEMPOTENCY_KEY {
        return Err(bad("empty or longer than 255 characters"));
    }
    HeaderValue::from_str(key).map_err(|_| bad("not printable ASCII"))
}
