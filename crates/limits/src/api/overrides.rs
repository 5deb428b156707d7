//! Limits that hold for a time.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly};
use payops_platform::error::Result;
use payops_platform::http::{
    Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId, PathParams, write,
};
use uuid::Uuid;

use super::limits::change;
use super::wire::{NewOverride, Override};
use crate::Limits;
use crate::ops::{overrides, view};
use crate::store;

/// Adds a limit that holds for a time. It comes into force and ends by itself; two of one limit never hold at once.
#[utoipa::path(
    post,
    path = "/api/v1/limits/{merchant_id}/overrides",
    tag = "overrides",
    params(("merchant_id" = Uuid, Path, description = "The merchant")),
    request_body = NewOverride,
    responses(
        (status = 201, description = "Added", body = Override),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 404, description = "LIMIT_NOT_FOUND"),
        (status = 409, description = "OVERRIDE_OVERLAPS: data names the other"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version of the limits"),
        (status = 422, description = "TOO_MANY_OVERRIDES"),
    )
)]
pub(super) async fn add_override(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathId(merchant_id): PathId,
    if_match: IfMatch,
    command: Command<NewOverride>,
) -> Result<Answer<Override>> {
    let new = command.body.checked()?;
    write(&app, "limits.add_override", caller.actor(), command, move |scope| {
        let (if_match, new) = (if_match.clone(), new.clone());
        async move {
            let (added, now) = overrides::create(&change(&scope, &if_match), merchant_id, &new).await?;
            Ok(Answer::created(Override::at(now, added)))
        }
        .boxed()
    })
    .await
}

/// Lists a merchant's overrides, those of the past included, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/limits/{merchant_id}/overrides",
    tag = "overrides",
    params(
        ("merchant_id" = Uuid, Path, description = "The merchant"),
        store::overrides::Filter,
        PageParams,
    ),
    responses(
        (status = 200, description = "A page of overrides", body = Vec<Override>),
        (status = 404, description = "LIMIT_NOT_FOUND"),
    )
)]
pub(super) async fn list_overrides(
    State(app): State<Limits>,
    _: Authorized<OperatorOnly>,
    PathId(merchant_id): PathId,
    query: PageQuery<Uuid, store::overrides::Filter>,
) -> Result<Answer<Page<Override>>> {
    let now = view::find(&app, merchant_id).await?.now;
    let db = app.context.db.read();
    let page = store::overrides::list(db, merchant_id, &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(|row| Override::at(now, row))))
}

/// Takes an override back. One that is over cannot be: it has held.
#[utoipa::path(
    delete,
    path = "/api/v1/limits/{merchant_id}/overrides/{id}",
    tag = "overrides",
    params(
        ("merchant_id" = Uuid, Path, description = "The merchant"),
        ("id" = Uuid, Path, description = "The override"),
    ),
    responses(
        (status = 200, description = "Taken back", body = Override),
        (status = 404, description = "LIMIT_NOT_FOUND, OVERRIDE_NOT_FOUND"),
        (status = 409, description = "OVERRIDE_OVER"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version of the limits"),
    )
)]
pub(super) async fn delete_override(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    PathParams((merchant_id, id)): PathParams<(Uuid, Uuid)>,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<Override>> {
    write(&app, "limits.delete_override", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let (deleted, now) = overrides::delete(&change(&scope, &if_match), merchant_id, id).await?;
            Ok(Answer::ok(Override::at(now, deleted)))
        }
        .boxed()
    })
    .await
}
