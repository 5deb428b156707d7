//! The HTTP API of disputes: extract, call an operation, answer.

mod desk;
mod disputes;
mod evidence;
mod form;
mod packet;
mod personal;
mod submission;
mod webhooks;
pub mod wire;

use axum::extract::DefaultBodyLimit;
use payops_platform::http::openapi_document;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Disputes;

/// The routes as the service serves them.
pub fn routes(app: Disputes) -> OpenApiRouter {
    documented_routes().with_state(app)
}

/// The OpenAPI document of the service, called `name`.
pub fn openapi(name: &str) -> OpenApi {
    openapi_document(name, &documented_routes())
}

/// Every route of the service, each with its documentation.
fn documented_routes() -> OpenApiRouter<Disputes> {
    let uploads = OpenApiRouter::new()
        .routes(routes!(evidence::add_evidence, evidence::list_evidence))
        .layer(DefaultBodyLimit::max(form::MOST_BODY));
    OpenApiRouter::new()
        .routes(routes!(disputes::create_dispute, disputes::list_disputes))
        .routes(routes!(disputes::get_dispute))
        .routes(routes!(disputes::set_status))
        .routes(routes!(disputes::set_product_type))
        .routes(routes!(disputes::assign_dispute))
        .routes(routes!(disputes::add_note))
        .routes(routes!(disputes::timeline))
        .routes(routes!(disputes::sync_dispute))
        .routes(routes!(evidence::delete_evidence))
        .routes(routes!(evidence::evidence_content))
        .routes(routes!(packet::checklist))
        .routes(routes!(packet::preflight))
        .routes(routes!(packet::packet))
        .routes(routes!(submission::submit_dispute))
        .routes(routes!(submission::accept_dispute))
        .routes(routes!(submission::withdraw_submission))
        .routes(routes!(submission::list_submissions))
        .routes(routes!(desk::get_statistics))
        .routes(routes!(desk::list_queue))
        .routes(routes!(desk::assign_disputes))
        .routes(routes!(desk::export_disputes))
        .routes(routes!(desk::about_payment))
        .routes(routes!(personal::export_personal_data))
        .routes(routes!(personal::erase_personal_data))
        .routes(routes!(webhooks::receive_stripe_event))
        .merge(uploads)
}
