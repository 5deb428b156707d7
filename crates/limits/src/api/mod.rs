//! The HTTP API of merchant limits: extract, call an operation, answer.

mod enforcement;
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
}
