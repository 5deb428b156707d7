//! What consume would say.

use axum::extract::State;
use payops_platform::auth::{Authorized, ServiceOnly};
use payops_platform::error::Result;
use payops_platform::http::{Answer, StrictJson};

use super::wire::CheckLimit;
use crate::Limits;
use crate::decide::Decision;
use crate::ops::check;

/// Tells whether a payment would be allowed now. It decides nothing, holds nothing and is not logged: only consume and
/// reserve decide.
#[utoipa::path(
    post,
    path = "/api/v1/limits/check",
    tag = "enforcement",
    request_body = CheckLimit,
    responses(
        (status = 200, description = "Allowed or not, as of now; every failing limit is listed", body = Decision),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 422, description = "RATE_MISSING, AMOUNT_OUT_OF_RANGE"),
        (status = 503, description = "OVERLOADED"),
    )
)]
pub(super) async fn check(
    State(app): State<Limits>,
    _: Authorized<ServiceOnly>,
    StrictJson(body): StrictJson<CheckLimit>,
) -> Result<Answer<Decision>> {
    Ok(Answer::ok(check::check(&app, body.question()?).await?))
}
