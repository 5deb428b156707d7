//! Tiers: everybody reads, admins write.

use axum::extract::State;
use chrono::DateTime;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, AnyCaller, Authorized};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId, write};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::wire::{NewTier, Tier, TierChange};
use crate::Limits;
use crate::ops::{Change, tiers};
use crate::store::tier;

/// What was removed.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Removed {
    /// Its id.
    id: Uuid,
}

/// Makes a tier.
#[utoipa::path(
    post,
    path = "/api/v1/tiers",
    tag = "tiers",
    request_body = NewTier,
    responses(
        (status = 201, description = "Made; its ETag is its version", body = Tier),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 409, description = "TIER_EXISTS: the code is taken"),
    )
)]
pub(super) async fn create_tier(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    command: Command<NewTier>,
) -> Result<Answer<Tier>> {
    let change = command.body.clone().into_change();
    change.check()?;
    write(&app, "limits.create_tier", caller.actor(), command, move |scope| {
        let mut new = blank();
        change.apply(&mut new);
        async move {
            let by = Change { app: scope.app, tx: scope.tx, actor: scope.actor, if_match: &IfMatch::Any };
            let tier = tiers::create(&by, new).await?;
            let (version, path) = (tier.version, format!("/api/v1/tiers/{}", tier.id));
            Ok(Answer::created(Tier::from(tier)).etag(version).location(path))
        }
        .boxed()
    })
    .await
}

/// Lists tiers, the lowest level first.
#[utoipa::path(
    get,
    path = "/api/v1/tiers",
    tag = "tiers",
    params(tier::Filter, PageParams),
    responses((status = 200, description = "A page of tiers", body = Vec<Tier>))
)]
pub(super) async fn list_tiers(
    State(app): State<Limits>,
    _: Authorized<AnyCaller>,
    query: PageQuery<tier::Cursor, tier::Filter>,
) -> Result<Answer<Page<Tier>>> {
    let page = tier::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(Tier::from)))
}

/// Gives one tier.
#[utoipa::path(
    get,
    path = "/api/v1/tiers/{id}",
    tag = "tiers",
    params(("id" = Uuid, Path, description = "The tier")),
    responses(
        (status = 200, description = "The tier; its ETag is its version", body = Tier),
        (status = 404, description = "TIER_NOT_FOUND"),
    )
)]
pub(super) async fn get_tier(
    State(app): State<Limits>,
    _: Authorized<AnyCaller>,
    PathId(id): PathId,
) -> Result<Answer<Tier>> {
    let tier = tier::find(app.context.db.read(), &tier::Name::Id(id)).await?;
    let version = tier.version;
    Ok(Answer::ok(Tier::from(tier)).etag(version))
}

/// Changes a tier. What is left out stays; what its merchants have used stays. It holds for every decision that begins
/// after the answer.
#[utoipa::path(
    put,
    path = "/api/v1/tiers/{id}",
    tag = "tiers",
    params(("id" = Uuid, Path, description = "The tier")),
    request_body = TierChange,
    responses(
        (status = 200, description = "Changed", body = Tier),
        (status = 400, description = "INVALID_REQUEST: a field is unknown or invalid"),
        (status = 404, description = "TIER_NOT_FOUND"),
        (status = 409, description = "TIER_EXISTS: the code is taken; TIER_IN_USE: merchants are counted in its currency"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn change_tier(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<TierChange>,
) -> Result<Answer<Tier>> {
    command.body.check()?;
    write(&app, "limits.change_tier", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let by = Change { app: scope.app, tx: scope.tx, actor: scope.actor, if_match: &if_match };
            let tier = tiers::update(&by, id, |tier| scope.body.apply(tier)).await?;
            let version = tier.version;
            Ok(Answer::ok(Tier::from(tier)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Removes a tier that no merchant has.
#[utoipa::path(
    delete,
    path = "/api/v1/tiers/{id}",
    tag = "tiers",
    params(("id" = Uuid, Path, description = "The tier")),
    responses(
        (status = 200, description = "Removed", body = Removed),
        (status = 404, description = "TIER_NOT_FOUND"),
        (status = 409, description = "TIER_IN_USE: data says by how many merchants"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn delete_tier(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<Removed>> {
    write(&app, "limits.delete_tier", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let by = Change { app: scope.app, tx: scope.tx, actor: scope.actor, if_match: &if_match };
            tiers::delete(&by, id).await?;
            Ok(Answer::ok(Removed { id }))
        }
        .boxed()
    })
    .await
}

/// A tier before its fields are set.
fn blank() -> tier::Model {
    tier::Model {
        id: Uuid::nil(),
        tier_code: String::new(),
        tier_name: String::new(),
        tier_level: 0,
        description: String::new(),
        currency: String::new(),
        daily_limit: None,
        monthly_limit: None,
        single_trans_limit: None,
        transaction_fee_rate: 0,
        withdrawal_fee_rate: 0,
        allowed_channels: None,
        allowed_currencies: None,
        max_api_calls_per_min: 0,
        alert_thresholds: serde_json::Value::Null,
        version: 1,
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}
