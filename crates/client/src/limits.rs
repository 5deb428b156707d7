//! Merchant limits as a gateway uses them.

use payops_core::currency::Currency;
use reqwest::header::HeaderMap;
use serde::Serialize;
use uuid::Uuid;

use crate::batch::{Batch, BatchAnswers, Operation, Outcome};
use crate::error::CallError;
use crate::transport::{Settings, Transport};
use crate::wire::{Charge, Confirm, Decision, Release, Released, Reservation, Reserve, Void};

/// The codes of 422 that are decisions, not mistakes: the whole decision stands in their data.
pub(crate) const DECLINES: [&str; 4] =
    ["LIMIT_EXCEEDED", "MERCHANT_SUSPENDED", "CHANNEL_NOT_ALLOWED", "CURRENCY_NOT_ALLOWED"];
/// Says that there is nothing to give back or to let go.
pub(crate) const NOTHING: [&str; 1] = ["PAYMENT_NOT_FOUND"];

/// Asks the limit service. Clones share connections.
#[derive(Debug, Clone)]
pub struct LimitsClient(Transport);

#[derive(Debug, Serialize)]
struct Check<'c> {
    merchant_id: Uuid,
    amount: i64,
    currency: Currency,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'c str>,
}

impl LimitsClient {
    /// A client with these settings.
    ///
    /// # Errors
    /// [`CallError::Unusable`] when name or secret hold characters that no header can carry.
    pub fn new(settings: Settings) -> Result<Self, CallError> {
        Transport::new(settings).map(Self)
    }

    /// The same client, whose calls carry these headers besides: `traceparent` of the request that they serve.
    #[must_use]
    pub fn carrying(&self, headers: HeaderMap) -> Self {
        Self(self.0.carrying(headers))
    }

    /// Whether a payment would be allowed now. It decides nothing: another payment may come first.
    pub async fn check(&self, charge: &Charge) -> Result<Decision, CallError> {
        let body = Check {
            merchant_id: charge.merchant_id,
            amount: charge.money.amount,
            currency: charge.money.currency,
            channel: charge.channel.as_deref(),
        };
        self.0.post("/api/v1/limits/check", &body, &[]).await?.read()
    }

    /// Counts a payment, or says why not. A decline is an answer, not an error.
    pub async fn consume(&self, charge: &Charge) -> Result<Decision, CallError> {
        self.0.post("/api/v1/limits/consume", charge, &DECLINES).await?.read()
    }

    /// Holds an amount, or says why not.
    pub async fn reserve(&self, reserve: &Reserve) -> Result<Decision, CallError> {
        self.0.post("/api/v1/limits/reserve", reserve, &DECLINES).await?.read()
    }

    /// Counts a held amount.
    pub async fn confirm(&self, confirm: &Confirm) -> Result<Reservation, CallError> {
        self.0.post("/api/v1/limits/confirm", confirm, &[]).await?.read()
    }

    /// Lets a held amount go. `None` when nothing was ever held under the number.
    pub async fn void(&self, void: &Void) -> Result<Option<Reservation>, CallError> {
        self.0.post("/api/v1/limits/void", void, &NOTHING).await?.read_if_found()
    }

    /// Gives a counted amount back. `None` when nothing was ever counted under the number.
    pub async fn release(&self, release: &Release) -> Result<Option<Released>, CallError> {
        self.0.post("/api/v1/limits/release", release, &NOTHING).await?.read_if_found()
    }

    /// Makes sure that nothing is counted for a payment whose consume may or may not have arrived. `None` when nothing
    /// was.
    ///
    /// A release alone would not do: a consume that is still on its way would be counted after it. So the number is
    /// decided first, which is final, and what that counted is given back.
    pub async fn take_back(&self, charge: &Charge, reason: &str) -> Result<Option<Released>, CallError> {
        if !self.consume(charge).await?.allowed {
            return Ok(None);
        }
        let release = Release {
            merchant_id: charge.merchant_id,
            payment_no: charge.payment_no.clone(),
            release_no: None,
            amount: None,
            reason: Some(reason.to_owned()),
        };
        self.release(&release).await
    }

    /// Decides up to 1,000 operations; what came of them stands in their order. Each fails alone: one that ended with
    /// [`CallError::Away`] may be sent again.
    pub async fn batch(
        &self,
        operations: &[Operation],
    ) -> Result<Vec<Result<Outcome, CallError>>, CallError> {
        let answers: BatchAnswers =
            self.0.post("/api/v1/limits/batch", &Batch { operations }, &[]).await?.data()?;
        if answers.results.len() != operations.len() {
            let text = format!("{} answers to {} operations", answers.results.len(), operations.len());
            return Err(CallError::Unreadable(text));
        }
        let pairs = answers.results.into_iter().zip(operations);
        Ok(pairs.map(|(answer, operation)| answer.outcome(operation)).collect())
    }
}
