//! What a merchant has used. Merchants see their own.

use axum::extract::State;
use payops_core::page::Page;
use payops_platform::auth::{AnyCaller, Authorized, OperatorOnly, OperatorOrMerchant};
use payops_platform::error::Result;
use payops_platform::http::{Answer, PageParams, PageQuery, PathId, PathParams, StrictJson, StrictQuery};
use uuid::Uuid;

use super::rights::check_own;
use super::wire::{
    HistoryFilter, PaymentStanding, StatisticsPeriod, UsageLog, UsageStatistics, WhatIf, WhatIfReport,
};
use crate::Limits;
use crate::decide::Refusal;
use crate::ops::{usage, what_if};

/// Lists every decision about a merchant, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/limits/{merchant_id}/usage-history",
    tag = "usage",
    params(("merchant_id" = Uuid, Path, description = "The merchant"), HistoryFilter, PageParams),
    responses(
        (status = 200, description = "A page of the usage log", body = Vec<UsageLog>),
        (status = 404, description = "LIMIT_NOT_FOUND"),
    )
)]
pub(super) async fn usage_history(
    State(app): State<Limits>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(merchant_id): PathId,
    query: PageQuery<i64, HistoryFilter>,
) -> Result<Answer<Page<UsageLog>>> {
    check_own(&caller.caller, merchant_id)?;
    let page = usage::history(&app, merchant_id, query.filter.checked()?, query.page).await?;
    Ok(Answer::ok(page.map(UsageLog::from)))
}

/// Tells how a merchant stands, and how many payments of a period were allowed and refused.
#[utoipa::path(
    get,
    path = "/api/v1/limits/{merchant_id}/statistics",
    tag = "usage",
    params(("merchant_id" = Uuid, Path, description = "The merchant"), StatisticsPeriod),
    responses(
        (status = 200, description = "Limits, usage and counts", body = UsageStatistics),
        (status = 404, description = "LIMIT_NOT_FOUND"),
    )
)]
pub(super) async fn statistics(
    State(app): State<Limits>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(merchant_id): PathId,
    StrictQuery(period): StrictQuery<StatisticsPeriod>,
) -> Result<Answer<UsageStatistics>> {
    check_own(&caller.caller, merchant_id)?;
    let statistics = usage::statistics(&app, merchant_id, period.checked()?).await?;
    Ok(Answer::ok(UsageStatistics::from(statistics)))
}

/// Tells what is held for one payment, with its releases and its rows of the usage log.
#[utoipa::path(
    get,
    path = "/api/v1/limits/{merchant_id}/payments/{payment_no}",
    tag = "usage",
    params(
        ("merchant_id" = Uuid, Path, description = "The merchant"),
        ("payment_no" = String, Path, description = "The gateway's number of the payment"),
    ),
    responses(
        (status = 200, description = "The payment", body = PaymentStanding),
        (status = 404, description = "LIMIT_NOT_FOUND, PAYMENT_NOT_FOUND"),
    )
)]
pub(super) async fn payment(
    State(app): State<Limits>,
    caller: Authorized<AnyCaller>,
    PathParams((merchant_id, payment_no)): PathParams<(Uuid, String)>,
) -> Result<Answer<PaymentStanding>> {
    check_own(&caller.caller, merchant_id)?;
    if payment_no.contains('\0') {
        // No payment has such a number, and PostgreSQL can not even be asked for it.
        return Err(crate::error::refused(&Refusal::UnknownPayment));
    }
    let history = usage::payment(&app, merchant_id, payment_no).await?;
    Ok(Answer::ok(PaymentStanding::from(history)))
}

/// Replays a period of a merchant's usage log against another tier or other limits of its own: which payments would have
/// been declined, and which that were declined would have been allowed. Nothing is changed. What a payment channel would
/// have done is not looked at, since the log does not tell it.
#[utoipa::path(
    post,
    path = "/api/v1/limits/{merchant_id}/what-if",
    tag = "usage",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    request_body = WhatIf,
    responses(
        (status = 200, description = "What would have been", body = WhatIfReport),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 404, description = "LIMIT_NOT_FOUND, TIER_NOT_FOUND"),
        (status = 409, description = "CURRENCY_DIFFERS: the tier is in another currency"),
        (status = 422, description = "PERIOD_TOO_LONG, AMOUNT_OUT_OF_RANGE"),
    )
)]
pub(super) async fn replay_period(
    State(app): State<Limits>,
    _: Authorized<OperatorOnly>,
    PathId(merchant_id): PathId,
    StrictJson(body): StrictJson<WhatIf>,
) -> Result<Answer<WhatIfReport>> {
    let (seen, report) = what_if::replay(&app, merchant_id, body.proposal()?).await?;
    Ok(Answer::ok(WhatIfReport::of(&body, seen, report)?))
}
