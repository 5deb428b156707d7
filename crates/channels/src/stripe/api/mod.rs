//! The client of Stripe's disputes and of what is needed to answer them: evidence, files, charges, the ledger and
//! events.
//!
//! A call that fails in a way that may pass is made again, under the same idempotency key, until the attempts are
//! used up. Every call that changes something takes that key from its caller, who stores it first: after a crash the
//! same call then means the same thing. [`StripeError::certainty`] says whether a failed call may have had an effect.

mod balance;
mod charge;
mod dispute;
mod event;
mod evidence;
mod file;
mod form;
mod list;
mod pace;
mod retry;
mod settings;
mod tolerant;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use payops_core::random::Random;
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, Url, multipart};
use serde::de::DeserializeOwned;
use tracing::Instrument;

pub use balance::{BalanceQuery, BalanceTransaction, FeeDetail};
pub use charge::{
    Address, BillingDetails, CardChecks, Charge, ChargeMethod, ChargedCard, Outcome, PaymentIntent, Shipping,
    ThreeDSecure,
};
pub use dispute::{
    CaseType, CompellingEvidence, CompellingEvidenceStatus, Compliance, ComplianceStatus, Dispute,
    DisputeQuery, DisputeReason, DisputeStatus, DisputedAmazonPay, DisputedCard, DisputedKlarna,
    DisputedPayPal, EnhancedEligibility, EnhancedEligibilityType, EvidenceDetails, PaymentMethodDetails,
};
pub use event::{
    Event, EventData, EventQuery, EventRequest, Notification, RelatedObject, ThinEvent, UnreadableEvent,
};
pub use evidence::{DisputeUpdate, Evidence, FileField, MOST_EVIDENCE_CHARS, TextField};
pub use file::{EvidenceFile, FileContent, FileLink, FileType, OpenContent, StripeFile};
use form::Form;
pub use list::{Listing, Page};
use pace::{Lane, Pace};
pub use settings::{API_VERSION, Retries, StripeSettings};
pub use tolerant::Kept;

use super::error::{Certainty, StripeError};
use super::http::{Http, address, idempotency_key};
use crate::remote::{RemoteError, RemoteErrorKind};

/// A page of a hundred disputes with all the text that evidence may have.
const LARGEST_ANSWER: usize = 64 << 20;

/// Calls Stripe. Cheap to clone; connections and the limit on requests a second are shared.
#[derive(Clone)]
pub struct StripeClient {
    shared: Arc<Shared>,
    retries: Retries,
    lane: Lane,
}

struct Shared {
    settings: StripeSettings,
    http: Http,
    pace: Pace,
    random: Arc<dyn Random>,
}

impl fmt::Debug for StripeClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.shared.settings;
        f.debug_struct("StripeClient")
            .field("settings", settings)
            .field("retries", &self.retries)
            .field("lane", &self.lane)
            .finish()
    }
}

impl StripeClient {
    /// A client; `random` spreads the pauses between attempts. Redirects are never followed, since they could lead
    /// the key astray.
    pub fn new(settings: StripeSettings, random: Arc<dyn Random>) -> Result<Self, StripeError> {
        let client = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let api_version = HeaderValue::from_str(&settings.api_version).map_err(|_| {
            let message = "the version of Stripe's API is not printable ASCII";
            StripeError::not_sent(RemoteError::new(RemoteErrorKind::BadRequest, message))
        })?;
        let http = Http {
            client,
            api_key: settings.api_key.clone(),
            api_version: Some(api_version),
            inject_headers: Arc::clone(&settings.inject_headers),
        };
        let pace = Pace::new(settings.requests_per_second, settings.longest_wait_for_turn);
        let retries = settings.retries;
        let shared = Arc::new(Shared { settings, http, pace, random });
        Ok(Self { shared, retries, lane: Lane::Ordinary })
    }

    /// The same client, whose calls are one attempt each.
    ///
    /// For what can be spent only once: a submission, or closing a dispute. The error's [`Certainty`] then is that of
    /// the one attempt, and the caller looks at the dispute before it makes another one.
    #[must_use]
    pub fn once(&self) -> Self {
        let retries = Retries { attempts: 1, ..self.retries };
        Self { shared: Arc::clone(&self.shared), retries, lane: self.lane }
    }

    /// The same client, whose calls do not wait behind those of others: where calls wait for their turn under the limit
    /// on requests a second, these go first.
    #[must_use]
    pub fn first(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), retries: self.retries, lane: Lane::First }
    }

    async fn read<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        query: &Form,
    ) -> Result<T, StripeError> {
        let Shared { settings, http, .. } = &*self.shared;
        let url = versioned(&settings.base_url, path)?;
        let request = || Ok(http.get(url.clone()).query(&query.0));
        self.call(operation, request, settings.answer_timeout).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        form: &Form,
        key: &str,
    ) -> Result<T, StripeError> {
        let Shared { settings, http, .. } = &*self.shared;
        let url = versioned(&settings.base_url, path)?;
        let key = idempotency_key(key).map_err(StripeError::not_sent)?;
        let request = || Ok(http.post(url.clone(), &key).form(&form.0));
        self.call(operation, request, settings.answer_timeout).await
    }

    async fn upload<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        path: &[&str],
        form: impl Fn() -> reqwest::Result<multipart::Form> + Send + Sync,
        key: &str,
    ) -> Result<T, StripeError> {
        let Shared { settings, http, .. } = &*self.shared;
        let url = versioned(&settings.files_url, path)?;
        let key = idempotency_key(key).map_err(StripeError::not_sent)?;
        let request = || Ok(http.post(url.clone(), &key).multipart(form()?));
        self.call(operation, request, settings.upload_timeout).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: impl Fn() -> reqwest::Result<RequestBuilder> + Send + Sync,
        timeout: Duration,
    ) -> Result<T, StripeError> {
        let span = tracing::info_span!("stripe.API", otel.kind = "client", operation);
        let Shared { http, pace, random, .. } = &*self.shared;
        let attempts = async {
            let mut certainty = Certainty::NotSent;
            let mut attempt = 1;
            loop {
                pace.turn(self.lane).await.map_err(|held_back| StripeError::new(held_back, certainty))?;
                let mut failed = match http.answer(request()?.timeout(timeout), LARGEST_ANSWER).await {
                    Ok(answer) => return Ok(answer),
                    Err(failed) => failed,
                };
                certainty = certainty.max(failed.certainty);
                failed.certainty = certainty;
                let Some(pause) = self.retries.pause(attempt, &failed, &**random) else {
                    return Err(failed);
                };
                tracing::warn!(
                    error = failed.without_words(),
                    attempt,
                    "the call of Stripe failed, it is made again"
                );
                tokio::time::sleep(pause).await;
                attempt += 1;
            }
        };
        attempts.instrument(span).await
    }
}

fn versioned(base: &Url, path: &[&str]) -> Result<Url, StripeError> {
    let path: Vec<&str> = std::iter::once("v1").chain(path.iter().copied()).collect();
    address(base, &path).map_err(StripeError::not_sent)
}
