//! Payments that the gateway knows by the channel's id of the charge or payment intent. They are told to it: Stripe's
//! side of the sandbox makes charges for anybody, and only the gateway knows for whom it was.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Refusal, check_caller};
use crate::control;
use crate::faults::{CorruptMode, FaultTarget, Strike};
use crate::server::{SandboxHandle, Shared};
use crate::stream::cut;

/// A payment of the platform's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownPayment {
    /// The platform's number.
    pub payment_no: String,
    /// Whose payment it is.
    pub merchant_id: Uuid,
}

/// Payments by the channel's id.
#[derive(Debug, Default)]
pub(crate) struct KnownPayments(Mutex<BTreeMap<String, KnownPayment>>);

impl KnownPayments {
    pub(crate) fn new(known: BTreeMap<String, KnownPayment>) -> Self {
        Self(Mutex::new(known))
    }

    pub(crate) fn all(&self) -> BTreeMap<String, KnownPayment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, channel_id: &str) -> Option<KnownPayment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(channel_id).cloned()
    }

    fn add(&self, channel_id: String, payment: KnownPayment) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(channel_id, payment);
    }
}

impl SandboxHandle {
    /// Has the gateway know a payment by the channel's id of its charge or payment intent.
    pub fn know_payment(&self, channel_id: &str, payment: KnownPayment) {
        self.shared.known_payments.add(channel_id.to_owned(), payment);
    }
}

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/internal/payments/by-channel/{id}", get(by_channel))
        .route("/sandbox/payments", post(know))
}

async fn by_channel(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let strike = shared.faults.strike(FaultTarget::GatewayPayment, None);
    strike.delay().await;
    let response = match answer(&shared, &id, &headers, &strike) {
        Ok(body) => ([("content-type", "application/json")], body).into_response(),
        Err(refusal) => refusal.into_response(),
    };
    match strike.cut {
        Some(bytes) => cut(response, bytes),
        None => response,
    }
}

fn answer(shared: &Shared, id: &str, headers: &HeaderMap, strike: &Strike) -> Result<Vec<u8>, Refusal> {
    check_caller(&shared.gateway_secret, headers)?;
    if let Some((status, retry_after)) = strike.status {
        return Err(Refusal::from_fault(status, retry_after));
    }
    let payment = shared.known_payments.find(id).ok_or_else(|| {
        let message = format!("the gateway knows no payment by the channel's id '{id}'");
        Refusal::new(StatusCode::NOT_FOUND, "PAYMENT_NOT_FOUND", message)
    })?;
    let mut body = json!(payment);
    if strike.corrupt == Some(CorruptMode::Row) {
        body["merchant_id"] = json!("x".repeat(36));
    }
    let mut body = body.to_string().into_bytes();
    if let (Some(CorruptMode::Bytes), Some(first)) = (strike.corrupt, body.first_mut()) {
        *first ^= 0x80;
    }
    Ok(body)
}

/// A payment as it is told to the gateway.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    channel_id: String,
    payment_no: String,
    merchant_id: Uuid,
}

async fn know(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), control::Refusal> {
    let Told { channel_id, payment_no, merchant_id } = control::body_of(&body)?;
    let payment = KnownPayment { payment_no, merchant_id };
    let shown = json!(payment);
    shared.known_payments.add(channel_id, payment);
    Ok((StatusCode::CREATED, Json(shown)))
}
