//! What every call to Stripe passes: request id, API version, key, rate limit.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{OriginalUri, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use payops_core::time::Clock;

use super::error::StripeError;
use crate::server::Shared;

/// The API version that is answered in when the caller names none.
pub(crate) const API_VERSION: &str = "2024-06-20";

/// The id of a call, `req_…`.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

/// A limit of calls in each second of the sandbox's clock.
#[derive(Debug)]
pub(crate) struct RateLimit {
    per_second: Mutex<Option<u32>>,
    current: Mutex<(i64, u32)>,
}

impl RateLimit {
    pub(crate) fn new(per_second: Option<u32>) -> Self {
        Self { per_second: Mutex::new(per_second), current: Mutex::default() }
    }

    /// Another limit from now on; `None` for none.
    pub(crate) fn set(&self, per_second: Option<u32>) {
        *self.per_second.lock().unwrap_or_else(PoisonError::into_inner) = per_second;
    }

    fn admits(&self, second: i64) -> bool {
        let most = *self.per_second.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(most) = most else { return true };
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != second {
            *current = (second, 0);
        }
        current.1 = current.1.saturating_add(1);
        current.1 <= most
    }
}

pub(crate) async fn pass(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let id = RequestId(shared.new_id("req_"));
    let version = request.headers().get("stripe-version").cloned();
    let key = request.headers().get("idempotency-key").cloned();
    request.extensions_mut().insert(id.clone());
    let mut response = match check(&shared, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(HeaderName::from_static("request-id"), id);
    }
    let version = version.unwrap_or(HeaderValue::from_static(API_VERSION));
    headers.insert(HeaderName::from_static("stripe-version"), version);
    if let Some(key) = key {
        headers.insert(HeaderName::from_static("idempotency-key"), key);
    }
    response
}

fn check(shared: &Shared, headers: &HeaderMap) -> Result<(), StripeError> {
    check_key(&shared.stripe_api_key, headers)?;
    if let Some(version) = headers.get("stripe-version") {
        check_version(version)?;
    }
    if shared.rate_limit.admits(shared.clock.now().timestamp()) {
        Ok(())
    } else {
        Err(StripeError::rate_limited())
    }
}

fn check_key(expected: &str, headers: &HeaderMap) -> Result<(), StripeError> {
    match given_key(headers) {
        Some(key) if key == expected => Ok(()),
        Some(key) => {
            let end: String = key.chars().skip(key.chars().count().saturating_sub(4)).collect();
            Err(StripeError::unauthorized(format!("Invalid API Key provided: ****{end}")))
        }
        None => Err(StripeError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, \
             using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        )),
    }
}

/// The key of `Authorization: Bearer KEY` or of `Basic`, where it is the user's name.
fn given_key(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, value) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    Some(text.split_once(':').map_or(text.as_str(), |(user, _)| user).to_owned())
}

/// A version is a date, and since 2024 a name behind it.
fn check_version(version: &HeaderValue) -> Result<(), StripeError> {
    let text = version.to_str().unwrap_or_default();
    let date = text.split('.').next().unwrap_or_default();
    match date.parse::<chrono::NaiveDate>() {
        Ok(_) if date.len() == 10 => Ok(()),
        _ => Err(StripeError::invalid_request(format!("Invalid Stripe API version: {text}"))),
    }
}

pub(crate) async fn unknown_url(method: Method, OriginalUri(uri): OriginalUri) -> StripeError {
    StripeError::unknown_url(method.as_str(), uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_anew_each_second() {
        let limit = RateLimit::new(Some(2));
        assert_eq!(
            [0, 0, 0, 1, 1, 1].map(|second| limit.admits(second)),
            [true, true, false, true, true, false]
        );
        assert!((0..100).all(|_| RateLimit::new(None).admits(0)));
    }
}
