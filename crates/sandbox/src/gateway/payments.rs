//! Payments that the gateway takes now: it asks the limit service, charges at the channel, and gives back what came to
//! nothing.
//!
//! They stand apart from the days' payments, which follow from the seed: no feed tells them.

mod channel;
mod flow;
mod record;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use payops_client::LimitsClient;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Refusal, check_caller};
use crate::server::Shared;
pub use channel::Charge;
use channel::SimulatedChannel;
pub(crate) use flow::carry_on_in_the_background;
pub(crate) use record::Payment;
use record::{Entry, NewPayment, NewRefund, Refund, State as PaymentState};

/// Every payment by its number, and the channel that they are charged at.
#[derive(Debug)]
pub(crate) struct LivePayments {
    entries: Mutex<BTreeMap<String, Arc<Entry>>>,
    pub(crate) channel: SimulatedChannel,
}

impl LivePayments {
    pub(crate) fn new(payments: Vec<Payment>, charges: Vec<Charge>) -> Self {
        let entries =
            payments.into_iter().map(|payment| (payment.payment_no().to_owned(), Entry::new(payment)));
        Self { entries: Mutex::new(entries.collect()), channel: SimulatedChannel::new(charges) }
    }

    pub(crate) fn all(&self) -> Vec<Payment> {
        self.entries().iter().map(|entry| entry.payment()).collect()
    }

    fn entries(&self) -> Vec<Arc<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn find(&self, payment_no: &str) -> Result<Arc<Entry>, Refusal> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.get(payment_no).cloned().ok_or_else(|| {
            let message = format!("the gateway has taken no payment '{payment_no}'");
            Refusal::new(StatusCode::NOT_FOUND, "PAYMENT_NOT_FOUND", message)
        })
    }

    /// The payment of the number and whether it is new.
    fn find_or_add(&self, wanted: NewPayment) -> Result<(Arc<Entry>, bool), Refusal> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(&wanted.payment_no) {
            let fields = entry.payment().differences(&wanted);
            return if fields.is_empty() { Ok((Arc::clone(entry), false)) } else { Err(mismatch(&fields)) };
        }
        let payment_no = wanted.payment_no.clone();
        let entry = Entry::new(Payment::new(wanted));
        entries.insert(payment_no, Arc::clone(&entry));
        Ok((entry, true))
    }
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/internal/payments", post(pay))
        .route("/internal/payments/{payment_no}", get(show))
        .route("/internal/payments/{payment_no}/refunds", post(refund))
}

async fn pay(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_caller(&shared.gateway_secret, &headers)?;
    let client = limits(&shared)?;
    let wanted: NewPayment = read(&body)?;
    wanted.check().map_err(Refusal::invalid)?;
    let (entry, is_new) = shared.payments.find_or_add(wanted)?;
    // One that somebody else carries on is waited for.
    flow::carry_on_detached(&shared, client, &entry).await;
    Ok(answer(&entry.payment(), is_new))
}

async fn show(
    State(shared): State<Arc<Shared>>,
    Path(payment_no): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Refusal> {
    check_caller(&shared.gateway_secret, &headers)?;
    Ok(Json(shown(&shared.payments.find(&payment_no)?.payment())))
}

async fn refund(
    State(shared): State<Arc<Shared>>,
    Path(payment_no): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    check_caller(&shared.gateway_secret, &headers)?;
    let client = limits(&shared)?;
    let wanted: NewRefund = read(&body)?;
    wanted.check().map_err(Refusal::invalid)?;
    let entry = shared.payments.find(&payment_no)?;
    let is_new = entry.change(|payment| add_refund(payment, &wanted))?;
    flow::carry_on_detached(&shared, client, &entry).await;
    Ok(answer(&entry.payment(), is_new))
}

/// Adds a refund unless there is such a one; true when it is new.
fn add_refund(payment: &mut Payment, wanted: &NewRefund) -> Result<bool, Refusal> {
    if let Some(known) = payment.refund(&wanted.refund_no) {
        return if known.amount == wanted.amount { Ok(false) } else { Err(mismatch(&["amount"])) };
    }
    if payment.state() != PaymentState::Succeeded {
        let message = format!("the payment is {}: only one that has succeeded is refunded", payment.state());
        return Err(Refusal::new(StatusCode::CONFLICT, "PAYMENT_STATE", message));
    }
    let left = payment.refundable();
    if wanted.amount > left {
        let message =
            format!("{} is more than the {left} minor units that are left to refund", wanted.amount);
        let data = Some(json!({ "refundable_amount": left }));
        let refusal = Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, "REFUND_EXCEEDS_PAYMENT", message);
        return Err(Refusal { data, ..refusal });
    }
    payment.refunds.push(Refund::new(wanted));
    Ok(true)
}

/// 201 for what this call has brought to its end, 200 for what was there, 202 for what is still under way.
fn answer(payment: &Payment, is_new: bool) -> Response {
    let status = match (payment.is_finished(), is_new) {
        (false, _) => StatusCode::ACCEPTED,
        (true, true) => StatusCode::CREATED,
        (true, false) => StatusCode::OK,
    };
    (status, Json(shown(payment))).into_response()
}

fn shown(payment: &Payment) -> Value {
    let mut shown = json!(payment);
    shown["finished"] = payment.is_finished().into();
    shown["refundable_amount"] = payment.refundable().into();
    shown
}

fn limits(shared: &Shared) -> Result<&LimitsClient, Refusal> {
    shared.limits.as_ref().ok_or_else(|| {
        let message =
            "no limit service is configured: start the sandbox with --limits-url and --limits-secret";
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "LIMITS_NOT_CONFIGURED", message)
    })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::invalid(format!("the body cannot be used: {error}")))
}

fn mismatch(fields: &[&str]) -> Refusal {
    let message = format!("the number was used with another {}; choose a new one", fields.join(", "));
    let data = Some(json!({ "fields": fields }));
    Refusal { data, ..Refusal::new(StatusCode::CONFLICT, "PAYMENT_MISMATCH", message) }
}
