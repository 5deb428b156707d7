//! Stripe's reporting API: report types, runs, files, events and webhooks.

mod create;
mod download;
mod error;
mod form;
mod gate;
mod idempotency;
mod kept;
mod read;
mod runs;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::server::Shared;
pub(crate) use gate::RateLimit;
pub(crate) use idempotency::IdempotencyKeys;
pub(crate) use kept::{KeptAnswer, KeptRun};
pub(crate) use runs::{Outcome, Run, Runs};
pub use webhooks::{Delivery, DeliveryState, WebhookTarget, stripe_signature};
pub(crate) use webhooks::{Webhooks, attempt};

/// Everything below `/v1`.
pub(crate) fn routes(shared: &Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .route("/reporting/report_types", get(read::report_types))
        .route("/reporting/report_types/{id}", get(read::report_type))
        .route("/reporting/report_runs", get(read::report_runs).post(create::create_run))
        .route("/reporting/report_runs/{id}", get(read::report_run))
        .route("/files/{id}", get(read::file))
        .route("/files/{id}/contents", get(download::contents))
        .route("/events", get(read::events))
        .route("/events/{id}", get(read::event))
        .method_not_allowed_fallback(gate::unknown_url)
        .fallback(gate::unknown_url)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(shared), gate::pass))
}
