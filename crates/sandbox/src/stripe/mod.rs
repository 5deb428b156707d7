//! Stripe's API as far as payops uses it: reporting, disputes and what leads to them, files, events and webhooks.

mod account;
mod books;
mod create;
mod disputes;
mod download;
mod endpoints;
mod error;
mod form;
mod gate;
mod idempotency;
mod kept;
mod lists;
mod objects;
mod pay;
mod post;
mod read;
mod runs;
mod uploads;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::server::Shared;
pub(crate) use account::{
    Account, Act, Capture, Card, EvidenceUpdate, NewCharge, NewDispute, Payer, Settings,
};
pub use account::{DisputeStatus, Settlement};
pub(crate) use books::Books;
pub(crate) use endpoints::Endpoint;
pub(crate) use gate::RateLimit;
pub(crate) use idempotency::IdempotencyKeys;
pub(crate) use kept::{KeptAnswer, KeptRun};
pub(crate) use runs::{Outcome, Run, Runs};
pub(crate) use uploads::follow_link;
pub use webhooks::{Delivery, DeliveryState, WebhookTarget, stripe_signature};
pub(crate) use webhooks::{Webhooks, attempt};

/// Everything below `/v1`.
pub(crate) fn routes(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .merge(reporting())
        .merge(payments())
        .merge(disputes())
        .merge(files())
        .route("/events", get(read::events))
        .route("/events/{id}", get(read::event))
        .route("/webhook_endpoints", get(endpoints::list).post(endpoints::create))
        .route(
            "/webhook_endpoints/{id}",
            get(endpoints::one).post(endpoints::update).delete(endpoints::remove),
        )
        .method_not_allowed_fallback(gate::unknown_url)
        .fallback(gate::unknown_url)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shared), gate::pass))
}

fn reporting() -> Router<Arc<Shared>> {
    Router::new()
        .route("/reporting/report_types", get(read::report_types))
        .route("/reporting/report_types/{id}", get(read::report_type))
        .route("/reporting/report_runs", get(read::report_runs).post(create::create_run))
        .route("/reporting/report_runs/{id}", get(read::report_run))
}

fn payments() -> Router<Arc<Shared>> {
    Router::new()
        .route("/charges", get(objects::charges).post(pay::create_charge))
        .route("/charges/{id}", get(objects::charge))
        .route("/charges/{id}/capture", post(pay::capture_charge))
        .route("/payment_intents", get(objects::intents).post(pay::create_intent))
        .route("/payment_intents/{id}", get(objects::intent))
        .route("/payment_intents/{id}/confirm", post(pay::confirm_intent))
        .route("/payment_intents/{id}/capture", post(pay::capture_intent))
        .route("/refunds", get(objects::refunds).post(pay::create_refund))
        .route("/refunds/{id}", get(objects::refund))
        .route("/balance_transactions", get(objects::balance_rows))
        .route("/balance_transactions/{id}", get(objects::balance_row))
}

fn disputes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/disputes", get(disputes::list))
        .route("/disputes/{id}", get(disputes::one).post(disputes::update))
        .route("/disputes/{id}/close", post(disputes::close))
        .route("/charges/{id}/dispute", get(disputes::of_charge).post(disputes::update_of_charge))
        .route("/charges/{id}/dispute/close", post(disputes::close_of_charge))
        .route("/radar/early_fraud_warnings", get(objects::warnings))
        .route("/radar/early_fraud_warnings/{id}", get(objects::warning))
}

fn files() -> Router<Arc<Shared>> {
    Router::new()
        .route("/files", get(objects::files).post(uploads::upload))
        .layer(DefaultBodyLimit::max(uploads::MOST_BODY))
        .route("/files/{id}", get(objects::file))
        .route("/files/{id}/contents", get(download::contents))
        .route("/file_links", get(objects::links).post(uploads::create_link))
        .route("/file_links/{id}", get(objects::link).post(uploads::update_link))
}
