//! The HTTP API of merchant limits: extract, call an operation, answer.

mod alerts;
mod check;
mod enforcement;
mod limits;
mod overrides;
mod rates;
mod rights;
mod tiers;
mod usage;
pub mod wire;

use payops_platform::http::openapi_document;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Limits;

/// The routes as the service serves them.
pub fn routes(app: Limits) -> OpenApiRouter {
    documented_routes().with_state(app)
}

/// The OpenAPI document of the service, called `name`.
pub fn openapi(name: &str) -> OpenApi {
    openapi_document(name, &documented_routes())
}

/// Every route of the service, each with its documentation.
fn documented_routes() -> OpenApiRouter<Limits> {
    OpenApiRouter::new()
        .routes(routes!(enforcement::consume))
        .routes(routes!(enforcement::release))
        .routes(routes!(enforcement::reserve))
        .routes(routes!(enforcement::confirm))
        .routes(routes!(enforcement::void))
        .routes(routes!(enforcement::batch))
        .routes(routes!(check::check))
        .routes(routes!(tiers::create_tier, tiers::list_tiers))
        .routes(routes!(tiers::get_tier, tiers::change_tier, tiers::delete_tier))
        .routes(routes!(limits::initialize))
        .routes(routes!(limits::list_limits))
        .routes(routes!(limits::get_limit, limits::change_limit))
        .routes(routes!(limits::move_to_tier))
        .routes(routes!(limits::suspend))
        .routes(routes!(limits::unsuspend))
        .routes(routes!(overrides::add_override, overrides::list_overrides))
        .routes(routes!(overrides::delete_override))
        .routes(routes!(alerts::list_alerts))
        .routes(routes!(alerts::resend_alert))
        .routes(routes!(rates::put_rates, rates::list_rates))
        .routes(routes!(usage::usage_history))
        .routes(routes!(usage::statistics))
        .routes(routes!(usage::payment))
        .routes(routes!(usage::replay_period))
}
