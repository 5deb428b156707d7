//! A merchant's limits: initialize, read, change, suspend.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, AdminOrService, Authorized, OperatorOnly, OperatorOrMerchant};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, IfMatch, PageParams, PageQuery, PathId, Scope, write};
use uuid::Uuid;

use super::rights::check_own;
use super::wire::{ChangeTier, InitializeLimit, Limit, LimitChange, Suspend, Unsuspend};
use crate::Limits;
use crate::ops::view::{self, Seen};
use crate::ops::{Change, limits};
use crate::store::limit;

/// Gives a merchant limits.
#[utoipa::path(
    post,
    path = "/api/v1/limits/initialize",
    tag = "limits",
    request_body = InitializeLimit,
    responses(
        (status = 201, description = "The merchant has limits now", body = Limit),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 404, description = "TIER_NOT_FOUND"),
        (status = 409, description = "LIMIT_EXISTS: the merchant has limits already"),
    )
)]
pub(super) async fn initialize(
    State(app): State<Limits>,
    caller: Authorized<AdminOrService>,
    command: Command<InitializeLimit>,
) -> Result<Answer<Limit>> {
    let beginning = command.body.beginning()?;
    write(&app, "limits.initialize", caller.actor(), command, move |scope| {
        let beginning = beginning.clone();
        async move {
            let seen = limits::initialize(&change(&scope, &IfMatch::Any), &beginning).await?;
            let (version, path) = (seen.limit.version, format!("/api/v1/limits/{}", seen.limit.merchant_id));
            Ok(Answer::created(Limit::from(seen)).etag(version).location(path))
        }
        .boxed()
    })
    .await
}

/// Lists merchants that have limits, in the order of their ids.
#[utoipa::path(
    get,
    path = "/api/v1/limits",
    tag = "limits",
    params(limit::Filter, PageParams),
    responses((status = 200, description = "A page of merchants", body = Vec<Limit>))
)]
pub(super) async fn list_limits(
    State(app): State<Limits>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, limit::Filter>,
) -> Result<Answer<Page<Limit>>> {
    if query.filter.near_limit.is_some_and(|percent| !(1..=1000).contains(&percent)) {
        return Err(Error::invalid_field(
            "near_limit",
            "must lie between 1 and 1000",
            "必须在 1 到 1000 之间",
        ));
    }
    let page = view::list(&app, query.filter, query.page).await?;
    Ok(Answer::ok(page.map(Limit::from)))
}

/// Gives a merchant's limits, where each comes from, and what is used of it. Merchants see their own.
#[utoipa::path(
    get,
    path = "/api/v1/limits/{merchant_id}",
    tag = "limits",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    responses(
        (status = 200, description = "The limits; the ETag is their version", body = Limit),
        (status = 404, description = "LIMIT_NOT_FOUND"),
    )
)]
pub(super) async fn get_limit(
    State(app): State<Limits>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(merchant_id): PathId,
) -> Result<Answer<Limit>> {
    check_own(&caller.caller, merchant_id)?;
    view::find(&app, merchant_id).await.map(shown)
}

/// Changes a merchant's own limits and its time zone. What is left out stays, null is the tier's again; what is used
/// stays. Another zone holds from the next day and month on.
#[utoipa::path(
    put,
    path = "/api/v1/limits/{merchant_id}",
    tag = "limits",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    request_body = LimitChange,
    responses(
        (status = 200, description = "Changed", body = Limit),
        (status = 400, description = "INVALID_REQUEST: a field is unknown or invalid"),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn change_limit(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(merchant_id): PathId,
    if_match: IfMatch,
    command: Command<LimitChange>,
) -> Result<Answer<Limit>> {
    let edit = command.body.edit()?;
    write(&app, "limits.change", caller.actor(), command, move |scope| {
        let (if_match, edit) = (if_match.clone(), edit.clone());
        async move { limits::edit(&change(&scope, &if_match), merchant_id, &edit).await.map(shown) }.boxed()
    })
    .await
}

/// Moves a merchant to another tier. Its own limits, its overrides and what is used stay.
#[utoipa::path(
    post,
    path = "/api/v1/limits/{merchant_id}/change-tier",
    tag = "limits",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    request_body = ChangeTier,
    responses(
        (status = 200, description = "Moved", body = Limit),
        (status = 404, description = "LIMIT_NOT_FOUND, TIER_NOT_FOUND"),
        (status = 409, description = "CURRENCY_DIFFERS: something is counted or set in the present tier's currency; data says what"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn move_to_tier(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(merchant_id): PathId,
    if_match: IfMatch,
    command: Command<ChangeTier>,
) -> Result<Answer<Limit>> {
    let tier = command.body.tier()?;
    write(&app, "limits.move_to_tier", caller.actor(), command, move |scope| {
        let (if_match, tier) = (if_match.clone(), tier.clone());
        async move { limits::change_tier(&change(&scope, &if_match), merchant_id, &tier).await.map(shown) }
            .boxed()
    })
    .await
}

/// Suspends a merchant: after this answer nothing more is approved. Confirm, void and release still work.
#[utoipa::path(
    post,
    path = "/api/v1/limits/{merchant_id}/suspend",
    tag = "limits",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    request_body = Suspend,
    responses(
        (status = 200, description = "Suspended", body = Limit),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 409, description = "ALREADY_SUSPENDED: data says why and since when"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn suspend(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(merchant_id): PathId,
    if_match: IfMatch,
    command: Command<Suspend>,
) -> Result<Answer<Limit>> {
    command.body.check()?;
    write(&app, "limits.suspend", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let reason = &scope.body.reason;
            limits::suspend(&change(&scope, &if_match), merchant_id, reason).await.map(shown)
        }
        .boxed()
    })
    .await
}

/// Ends a suspension.
#[utoipa::path(
    post,
    path = "/api/v1/limits/{merchant_id}/unsuspend",
    tag = "limits",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    request_body = Unsuspend,
    responses(
        (status = 200, description = "No longer suspended", body = Limit),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 409, description = "NOT_SUSPENDED"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn unsuspend(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(merchant_id): PathId,
    if_match: IfMatch,
    command: Command<Unsuspend>,
) -> Result<Answer<Limit>> {
    command.body.check()?;
    write(&app, "limits.unsuspend", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let reason = scope.body.reason.as_deref();
            limits::unsuspend(&change(&scope, &if_match), merchant_id, reason).await.map(shown)
        }
        .boxed()
    })
    .await
}

pub(super) fn change<'c, B>(scope: &Scope<'c, Limits, B>, if_match: &'c IfMatch) -> Change<'c> {
    Change { app: scope.app, tx: scope.tx, actor: scope.actor, if_match }
}

fn shown(seen: Seen) -> Answer<Limit> {
    let version = seen.limit.version;
    Answer::ok(Limit::from(seen)).etag(version)
}
