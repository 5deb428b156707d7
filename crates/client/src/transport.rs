//! One call: attempts, time-outs, and what an answer means.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use payops_core::random::Random;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Absence, CallError, Refusal};
use crate::wire::{Decision, Released, Reservation};

/// Adds the headers that carry a trace on.
pub type HeaderInjector = Arc<dyn Fn(&mut HeaderMap) + Send + Sync>;

/// Where the service is, who calls, and for how long.
#[derive(Clone)]
pub struct Settings {
    /// Where the service is, such as `http://127.0.0.1:40022`.
    pub base_url: Url,
    /// The caller's name among the service's secrets.
    pub service_name: String,
    /// Its secret.
    pub service_secret: SecretString,
    /// How long one attempt may take.
    pub attempt_time: Duration,
    /// How long a call may take with all its attempts and the pauses between them.
    pub total_time: Duration,
    /// The most attempts.
    pub attempts: u32,
    /// Where the jitter of pauses comes from.
    pub random: Arc<dyn Random>,
    /// Adds the headers that carry a trace on.
    pub inject: HeaderInjector,
}

impl Settings {
    /// Settings for the payment path: three attempts of half a second, within one and a half.
    pub fn new(
        base_url: Url,
        service_name: impl Into<String>,
        service_secret: SecretString,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            base_url,
            service_name: service_name.into(),
            service_secret,
            attempt_time: Duration::from_millis(500),
            total_time: Duration::from_millis(1500),
            attempts: 3,
            random,
            inject: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("base_url", &self.base_url.as_str())
            .field("service_name", &self.service_name)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Deserialize)]
struct Envelope {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Option<Value>,
}

/// An answer whose data can be read.
pub(crate) struct Answered {
    pub(crate) code: String,
    pub(crate) data: Option<Value>,
    pub(crate) replayed: bool,
}

/// What the service may give again for a number that it knows.
pub(crate) trait Replayable: DeserializeOwned {
    fn replayed(self, replayed: bool) -> Self;
}

macro_rules! replayable {
    ($($answer:ty),+) => {
        $(impl Replayable for $answer {
            fn replayed(self, replayed: bool) -> Self {
                Self { replayed, ..self }
            }
        })+
    };
}

replayable!(Decision, Reservation, Released);

impl Answered {
    pub(crate) fn data<T: DeserializeOwned>(self) -> Result<T, CallError> {
        serde_json::from_value(self.data.unwrap_or_default())
            .map_err(|error| CallError::Unreadable(error.to_string()))
    }

    pub(crate) fn read<T: Replayable>(self) -> Result<T, CallError> {
        let replayed = self.replayed;
        self.data().map(|answer: T| answer.replayed(replayed))
    }

    /// `None` when the answer says that there is no such payment.
    pub(crate) fn read_if_found<T: Replayable>(self) -> Result<Option<T>, CallError> {
        if crate::limits::NOTHING.contains(&self.code.as_str()) { Ok(None) } else { self.read().map(Some) }
    }
}

/// Sends calls.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    http: Client,
    settings: Arc<Settings>,
    headers: HeaderMap,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, CallError> {
        let unusable = |error: &dyn fmt::Display| CallError::Unusable(error.to_string());
        let http = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| unusable(&error))?;
        let mut secret = HeaderValue::from_str(settings.service_secret.expose_secret())
            .map_err(|error| unusable(&error))?;
        secret.set_sensitive(true);
        let name = HeaderValue::from_str(&settings.service_name).map_err(|error| unusable(&error))?;
        let mut headers = HeaderMap::new();
        headers.insert("x-service-name", name);
        headers.insert("x-service-secret", secret);
        Ok(Self { http, settings: Arc::new(settings), headers })
    }

    /// The same with more headers; those of the caller's identity stay.
    pub(crate) fn carrying(&self, mut headers: HeaderMap) -> Self {
        headers.extend(self.headers.clone());
        Self { headers, ..self.clone() }
    }

    /// Sends a body until there is an answer: success, or a refusal whose code is among `answers`.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: &impl Serialize,
        answers: &[&str],
    ) -> Result<Answered, CallError> {
        let url =
            self.settings.base_url.join(path).map_err(|error| CallError::Unusable(error.to_string()))?;
        let body = serde_json::to_vec(body).map_err(|error| CallError::Unusable(error.to_string()))?;
        let until = Instant::now() + self.settings.total_time;
        let mut attempt = 1;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let pause = match self.attempt(url.clone(), body.clone(), answers, left).await {
                Ok(answered) => return Ok(answered),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Again { why, after }) => {
                    let pause = after.unwrap_or_default() + self.pause(attempt);
                    if attempt >= self.settings.attempts || Instant::now() + pause >= until {
                        let absence = Absence { why, attempts: attempt, retry_after: after };
                        return Err(CallError::Away(absence));
                    }
                    tracing::debug!(attempt, why, "asking the limit service again");
                    pause
                }
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        url: Url,
        body: Vec<u8>,
        answers: &[&str],
        left: Duration,
    ) -> Result<Answered, Attempt> {
        let mut headers = self.headers.clone();
        (self.settings.inject)(&mut headers);
        let call = self.http.post(url).timeout(self.settings.attempt_time.min(left));
        let call = call.headers(headers).header("content-type", "application/json").body(body);
        let response = call.send().await.map_err(|error| Attempt::again(&error.without_url()))?;
        let (status, after) = (response.status(), retry_after(&response));
        let replayed = response.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
        let bytes = response.bytes().await.map_err(|error| Attempt::again(&error.without_url()))?;
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
            || status.is_server_error()
        {
            return Err(Attempt::Again { why: format!("it answered {status}"), after });
        }
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|error| {
            Attempt::Final(CallError::Unreadable(format!("{status}, no envelope: {error}")))
        })?;
        if status.is_success() || answers.contains(&envelope.code.as_str()) {
            return Ok(Answered { code: envelope.code, data: envelope.data, replayed });
        }
        Err(Attempt::Final(CallError::Refused(Box::new(Refusal {
            status: status.as_u16(),
            code: envelope.code,
            message: envelope.message,
            data: envelope.data,
        }))))
    }

    /// 25 ms, 50 ms, 100 ms, … and up to as much again.
    fn pause(&self, attempt: u32) -> Duration {
        let base = 25_u64.saturating_mul(1 << attempt.saturating_sub(1).min(10));
        Duration::from_millis(base + self.settings.random.below(base))
    }
}

enum Attempt {
    Again { why: String, after: Option<Duration> },
    Final(CallError),
}

impl Attempt {
    fn again(error: &reqwest::Error) -> Self {
        // The text of the error itself names the request, that of its cause what went wrong.
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Self::Again { why, after: None }
    }
}

fn retry_after(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}
