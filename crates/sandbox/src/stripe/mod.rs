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
use objects::{BALANCE, CHARGES, FILES, INTENTS, LINKS, REFUNDS, WARNINGS, list, one};
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
        .route("/charges", get(|shared, query| list(shared, query, &CHARGES)).post(pay::create_charge))
        .route("/charges/{id}", get(|shared, id, query| one(shared, id, query, &CHARGES)))
        .route("/charges/{id}/capture", post(pay::capture_charge))
        .route(
            "/payment_intents",
            get(|shared, query| list(shared, query, &INTENTS)).post(pay::create_intent),
        )
        .route("/payment_intents/{id}", get(|shared, id, query| one(shared, id, query, &INTENTS)))
        .route("/payment_intents/{id}/confirm", post(pay::confirm_intent))
        .route("/payment_intents/{id}/capture", post(pay::capture_intent))
        .route("/refunds", get(|shared, query| list(shared, query, &REFUNDS)).post(pay::create_refund))
        .route("/refunds/{id}", get(|shared, id, query| one(shared, id, query, &REFUNDS)))
        .route("/balance_transactions", get(|shared, query| list(shared, query, &BALANCE)))
        .route("/balance_transactions/{id}", get(|shared, id, query| one(shared, id, query, &BALANCE)))
}

fn disputes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/disputes", get(disputes::list))
        .route("/disputes/{id}", get(disputes::one).post(disputes::update))
        .route("/disputes/{id}/close", post(disputes::close))
        .route("/charges/{id}/dispute", get(disputes::of_charge).post(disputes::update_of_charge))
        .route("/charges/{id}/dispute/close", post(disputes::close_of_charge))
        .route("/radar/early_fraud_warnings", get(|shared, query| list(shared, query, &WARNINGS)))
        .route("/radar/early_fraud_warnings/{id}", get(|shared, id, query| one(shared, id, query, &WARNINGS)))
}

fn files() -> Router<Arc<Shared>> {
    Router::new()
        .route("/files", get(|shared, query| list(shared, query, &FILES)).post(uploads::upload))
        .layer(DefaultBodyLimit::max(uploads::MOST_BODY))
        .route("/files/{id}", get(|shared, id, query| one(shared, id, query, &FILES)))
        .route("/files/{id}/contents", get(download::contents))
        .route("/file_links", get(|shared, query| list(shared, query, &LINKS)).post(uploads::create_link))
        .route(
            "/file_links/{id}",
            get(|shared, id, query| one(shared, id, query, &LINKS)).post(uploads::update_link),
        )
}
