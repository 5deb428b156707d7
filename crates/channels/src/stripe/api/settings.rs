//! Where Stripe is and how it is called.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use reqwest::Url;
use secrecy::SecretString;

use super::super::http::files_host;
use crate::remote::HeaderInjector;

/// The version of Stripe's API that this client was written for.
pub const API_VERSION: &str = "2026-06-24.dahlia";

/// Where Stripe is and how it is called.
#[derive(Clone)]
pub struct StripeSettings {
    /// The API, `https://api.stripe.com` or a sandbox.
    pub base_url: Url,
    /// Where files are uploaded. For Stripe itself this is `https://files.stripe.com`, for a sandbox the API.
    pub files_url: Url,
    /// The secret key.
    pub api_key: SecretString,
    /// `Stripe-Version`.
    pub api_version: String,
    /// How long a connection may take to come about. Shorter than the time of an answer, or a host that cannot be
    /// reached looks like one that does not answer.
    pub connect_timeout: Duration,
    /// How long an answer may take.
    pub answer_timeout: Duration,
    /// How long an upload may take.
    pub upload_timeout: Duration,
    /// How failed calls are made again.
    pub retries: Retries,
    /// So many requests a second are begun at the most, evenly spaced, by all clones of the client together.
    /// Stripe's own limits are 25 in test mode and 100 in live mode.
    pub requests_per_second: NonZeroU32,
    /// A request that would have to wait longer than this for its turn is refused here.
    pub longest_wait_for_turn: Duration,
    /// Adds the trace's headers.
    pub inject_headers: HeaderInjector,
}

/// How failed calls are made again: after a random pause below a bound that doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts in all, the first one included. 0 counts as 1.
    pub attempts: u32,
    /// The bound of the first pause.
    pub first_pause: Duration,
    /// Where the bound stops doubling.
    pub longest_pause: Duration,
    /// The longest `Retry-After` that is waited for; after a longer one the call has failed.
    pub longest_retry_after: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(8),
            longest_retry_after: Duration::from_secs(30),
        }
    }
}

impl StripeSettings {
    /// Settings with the usual times.
    pub fn new(base_url: Url, api_key: SecretString, inject_headers: HeaderInjector) -> Self {
        Self {
            files_url: files_host(&base_url).unwrap_or_else(|| base_url.clone()),
            base_url,
            api_key,
            api_version: API_VERSION.to_owned(),
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            upload_timeout: Duration::from_mins(2),
            retries: Retries::default(),
            requests_per_second: NonZeroU32::new(25).unwrap_or(NonZeroU32::MIN),
            longest_wait_for_turn: Duration::from_secs(30),
            inject_headers,
        }
    }
}

impl fmt::Debug for StripeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host only: a URL may hold a password.
        f.debug_struct("StripeSettings").field("host", &self.base_url.host_str()).finish_non_exhaustive()
    }
}
