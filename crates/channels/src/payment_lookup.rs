//! Asks the gateway which of the platform's payments a channel's id belongs to.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, Url};
use serde::Deserialize;
use tracing::Instrument;

use crate::gateway::Gateway;
use crate::remote::{HeaderInjector, RemoteError, RemoteErrorKind, bounded_body};

const ACCEPTED: HeaderValue = HeaderValue::from_static("application/json");
/// The longest answer, in bytes: two short texts, and what else a gateway tells of a payment.
const LARGEST: usize = 64 << 10;

/// Where the gateway is and how it is called.
#[derive(Clone)]
pub struct LookupSettings {
    /// The gateway, `PAYMENT_GATEWAY_URL`.
    pub base_url: Url,
    /// Headers that every request carries, such as the service's secret.
    pub headers: HeaderMap,
    /// How long a call may take from its beginning to the end of its answer.
    pub time_out: Duration,
    /// Adds the trace's headers.
    pub inject_headers: HeaderInjector,
}

impl LookupSettings {
    /// Settings with the usual time.
    pub fn new(base_url: Url, headers: HeaderMap, inject_headers: HeaderInjector) -> Self {
        Self { base_url, headers, time_out: Duration::from_secs(3), inject_headers }
    }
}

impl fmt::Debug for LookupSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host only: a URL may hold a password.
        f.debug_struct("LookupSettings").field("host", &self.base_url.host_str()).finish_non_exhaustive()
    }
}

/// A payment as the gateway tells of it. Whether the texts can be used is for the caller to say.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GatewayPayment {
    /// The platform's number of the payment.
    pub payment_no: String,
    /// Whose payment it is.
    pub merchant_id: String,
}

/// Looks payments up by the channel's ids. Cheap to clone; the connections are shared.
#[derive(Debug, Clone)]
pub struct PaymentLookup(Gateway);

impl PaymentLookup {
    /// A client.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(settings: LookupSettings) -> Result<Self, RemoteError> {
        let LookupSettings { base_url, headers, time_out, inject_headers } = settings;
        let client = Client::builder().timeout(time_out);
        Gateway::new(client, base_url, headers, inject_headers).map(Self)
    }

    /// The payment that the channel knows by `id`; `None` when the gateway knows none.
    ///
    /// # Errors
    /// `UnexpectedAnswer` for an answer that is no payment; the other kinds where there was no answer, or a refusal.
    pub async fn by_channel_id(&self, id: &str) -> Result<Option<GatewayPayment>, RemoteError> {
        // Of these, a URL would make another path.
        if matches!(id, "" | "." | "..") {
            return Ok(None);
        }
        let span =
            tracing::info_span!("payment-gateway.GetPaymentByChannel", otel.kind = "client", channel_id = id);
        self.look_up(id).instrument(span).await
    }

    async fn look_up(&self, id: &str) -> Result<Option<GatewayPayment>, RemoteError> {
        let path = ["internal", "payments", "by-channel", id];
        let mut response = match self.0.get(&path, &[], ACCEPTED).await {
            Ok(response) => response,
            Err(error) if error.kind == RemoteErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let body = bounded_body(&mut response, LARGEST).await?;
        serde_json::from_slice(&body).map(Some).map_err(|error| {
            // Not a word of it: it may be about the customer, and this is logged.
            let (bytes, line, column) = (body.len(), error.line(), error.column());
            let message = format!(
                "the gateway's answer of {bytes} bytes is no payment from line {line}, column {column} on"
            );
            RemoteError::new(RemoteErrorKind::UnexpectedAnswer, message)
        })
    }
}
