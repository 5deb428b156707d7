//! Stripe's webhooks: the signature is the caller's identity.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use payops_channels::stripe::webhook::{self, Refusal};
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::http::Answer;
use serde::Serialize;
use utoipa::ToSchema;

use crate::Disputes;
use crate::error;
use crate::ops::intake;
use crate::ops::webhooks::Received;

/// Says that an event is stored.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Stored {
    /// Always true.
    received: bool,
}

/// Takes an event of Stripe in. It is stored before it is acted upon; a repeated one changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/webhooks/stripe",
    tag = "webhooks",
    request_body(content = String, content_type = "application/json", description = "The event, with its Stripe-Signature header"),
    responses(
        (status = 200, description = "Stored", body = Stored),
        (status = 400, description = "WEBHOOK_SIGNATURE: missing, wrong or too old; or WEBHOOK_PAYLOAD"),
        (status = 422, description = "NOT_CONFIGURED: no webhook secret is set"),
    )
)]
pub(super) async fn receive_stripe_event(
    State(app): State<Disputes>,
    headers: HeaderMap,
    payload: Bytes,
) -> Result<Answer<Stored>> {
    let secrets = &app.options.stripe_webhook_secrets;
    if secrets.is_empty() {
        return Err(error::channel_not_configured("stripe", "PAYOPS_STRIPE_WEBHOOK_SECRET"));
    }
    let signature = headers.get("stripe-signature").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let notification =
        webhook::receive(&payload, signature, secrets, app.context.now()).map_err(|why| refused(&why))?;
    let event = Received::of(&notification, &payload).map_err(|why| refused(&why.into()))?;
    intake::store(&app, event).await?;
    Ok(Answer::ok(Stored { received: true }))
}

fn refused(why: &Refusal) -> Error {
    Error::new(ErrorKind::BadRequest, why.code(), why.to_string(), why.zh())
}
