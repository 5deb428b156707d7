//! The OpenAPI document and a page to read it, with nothing from other hosts.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName};
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Info, OpenApi, SecurityRequirement};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

/// The browser itself refuses whatever the page might ask of another host. Swagger UI styles its elements
/// directly and draws its icons from `data:`.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// The OpenAPI document of a service: what its routes say, and how callers are known. The same text is served
/// at `/openapi.json` and written by `payops openapi`.
pub fn openapi_document<S>(service: &str, routes: &OpenApiRouter<S>) -> OpenApi
where
    S: Clone + Send + Sync + 'static,
{
    describe(service, routes.get_openapi().clone())
}

pub(super) fn describe(service: &str, mut api: OpenApi) -> OpenApi {
    api.info = Info::new(format!("payops {service}").as_str(), env!("CARGO_PKG_VERSION"));
    let components = api.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build()),
    );
    for (name, header) in [("service_name", "X-Service-Name"), ("service_secret", "X-Service-Secret")] {
        components
            .add_security_scheme(name, SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new(header))));
    }
    let none = || -> [&str; 0] { [] };
    api.security = Some(vec![
        SecurityRequirement::new("token", none()),
        SecurityRequirement::new("service_name", none()).add("service_secret", none()),
    ]);
    api
}

/// `/openapi.json` and `/docs`.
pub(super) fn router(api: &OpenApi) -> Result<Router, serde_json::Error> {
    let document = Bytes::from(serde_json::to_vec(api)?);
    let page = SwaggerUi::new("/docs").config(
        Config::new(["/openapi.json"]).validator_url("none").display_request_duration(true).filter(true),
    );
    let header =
        |name: HeaderName, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    let pages = Router::from(page)
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(http::header::REFERRER_POLICY, "no-referrer"));
    let serve = move || {
        let document = document.clone();
        async move { ([(CONTENT_TYPE, "application/json")], document).into_response() }
    };
    Ok(pages.route("/openapi.json", get(serve)))
}
