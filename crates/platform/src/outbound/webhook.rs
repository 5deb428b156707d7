//! Webhooks that others receive: JSON by `POST`, signed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use payops_core::time::Timestamp;
use reqwest::{Client, Response, StatusCode, Url, header, redirect};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::address::{self, PrivateAddress, PublicNames};
use super::{SetupError, Undelivered, one_line, reason};

/// `t=10d5e6b3014a63bba430058afa3b1c037248de043169017e99262e84d6f27a7fS,v1=HEX,…`: see [`signature`].
pub const SIGNATURE_HEADER: &str = "PayOps-Signature";
/// The event's id, the same however often it is sent.
pub const EVENT_HEADER: &str = "PayOps-Event-Id";
/// How much of an answer is read, in bytes, and shown, in characters.
const READ_OF_ANSWER: usize = 4096;
const SHOWN_OF_ANSWER: usize = 200;

/// Where a webhook goes.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// The receiver's address.
    pub url: String,
    /// What bodies are signed with: a signature each, so that one can replace another.
    pub secrets: Vec<SecretString>,
    /// Whether the receiver may be in a private network or on this machine.
    pub allow_private: bool,
}

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct Event<'e> {
    /// Known by this to whoever receives it twice.
    pub id: &'e str,
    /// JSON, sent to the byte as it is.
    pub body: &'e str,
}

/// A receiver of webhooks.
#[derive(Debug, Clone)]
pub struct Webhook {
    url: Url,
    secrets: Vec<SecretString>,
    allow_private: bool,
    http: Client,
}

impl Webhook {
    /// A receiver that has `time_out` for each request, from the look-up of its name to its answer.
    pub fn new(settings: &WebhookSettings, time_out: Duration) -> Result<Self, SetupError> {
        // Whatever the receiver says, payops goes nowhere else: no redirects, and no proxy that resolves names itself.
        let builder = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .timeout(time_out)
            .user_agent(concat!("payops/", env!("CARGO_PKG_VERSION")));
        let builder =
            if settings.allow_private { builder } else { builder.dns_resolver(Arc::new(PublicNames)) };
        Ok(Self {
            url: Url::parse(&settings.url)
                .map_err(|error| SetupError::new("the address of the webhook", &error))?,
            secrets: settings.secrets.clone(),
            allow_private: settings.allow_private,
            http: builder.build().map_err(|error| SetupError::new("HTTP to the webhook", &error))?,
        })
    }

    /// Sends an event, signed at `now`. `Ok` is an answer of 200 to 299.
    pub async fn send(&self, event: Event<'_>, now: Timestamp) -> Result<(), Undelivered> {
        if !self.allow_private {
            address::check_literal(&self.url).map_err(|error| Undelivered::Refused(error.to_string()))?;
        }
        let request = self
            .http
            .post(self.url.clone())
            .header(header::CONTENT_TYPE, "application/json")
            .header(EVENT_HEADER, event.id)
            .header(SIGNATURE_HEADER, signature(&self.secrets, now, event.body))
            .body(event.body.to_owned());
        let answer = request.send().await.map_err(unsent)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = beginning(answer).await;
        let said =
            if said.is_empty() { format!("answered {status}") } else { format!("answered {status}: {said}") };
        Err(if status == StatusCode::GONE { Undelivered::Refused(said) } else { Undelivered::NotTaken(said) })
    }
}

/// The value of [`SIGNATURE_HEADER`]: `t` is the Unix time of the signature in seconds, and each `v1` is, in hex, the
/// HMAC-SHA256 of `t`, a full stop and the body with one of the secrets.
pub fn signature(secrets: &[SecretString], now: Timestamp, body: &str) -> String {
    let seconds = now.timestamp();
    let mut header = format!("t={seconds}");
    for secret in secrets {
        // An HMAC takes a key of any length.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()) else { continue };
        mac.update(format!("{seconds}.{body}").as_bytes());
        let _ = write!(header, ",v1={}", hex::encode(mac.finalize().into_bytes()));
    }
    header
}

fn unsent(error: reqwest::Error) -> Undelivered {
    // The address may hold what only the receiver is to know.
    let error = error.without_url();
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if let Some(private) = found.downcast_ref::<PrivateAddress>() {
            return Undelivered::Refused(private.to_string());
        }
        cause = found.source();
    }
    Undelivered::Unreachable(reason(&error))
}

async fn beginning(mut answer: Response) -> String {
    let mut read = Vec::new();
    while read.len() < READ_OF_ANSWER {
        match answer.chunk().await {
            Ok(Some(more)) => read.extend_from_slice(&more),
            Ok(None) | Err(_) => break,
        }
    }
    one_line(&String::from_utf8_lossy(&read), SHOWN_OF_ANSWER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values were computed by another program.
    #[test]
    fn every_secret_has_its_signature() {
        let now: Timestamp = "2023-11-14T22:13:20Z".parse().unwrap();
        let secrets = ["first-secret-0123456".into(), "second-secret-012345".into()];
        let expected = "t=1700000000,v1=0c22c151f9b462c74abbcc4c7495dbe24e40985a5a911cd14b14c501d492d3c1,v1=10d5e6b3014a63bba430058afa3b1c037248de043169017e99262e84d6f27a7f";
        assert_eq!(signature(&secrets, now, r#"{"a":1}"#), expected);
    }
}
