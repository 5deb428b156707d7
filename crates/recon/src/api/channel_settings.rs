//! Settings of channel accounts: how their days are matched. Admins change them, operators read them.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId};
use uuid::Uuid;

use super::wire::{ChannelSettings, NewChannelSettings};
use super::{check_account, check_text, write};
use crate::Reconciliation;
use crate::ops::channel_settings::{self, Plan};
use crate::store;

/// Makes settings of a channel account: how its days are matched from the next run on.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/channel-settings",
    tag = "channel-settings",
    request_body = NewChannelSettings,
    responses(
        (status = 201, description = "Made; their ETag is their version", body = ChannelSettings),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 409, description = "CHANNEL_SETTINGS_EXIST: others hold for these days; data names them"),
    )
)]
pub(super) async fn create_channel_settings(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    command: Command<NewChannelSettings>,
) -> Result<Answer<ChannelSettings>> {
    let plan = plan(&command.body)?;
    write(&app, "reconciliation.create_channel_settings", caller.actor(), command, move |scope| {
        let plan = plan.clone();
        async move {
            let row = channel_settings::create(scope.app, scope.tx, scope.actor, &plan).await?;
            let version = row.version;
            Ok(Answer::created(ChannelSettings::from(row)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Lists settings of channel accounts, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/channel-settings",
    tag = "channel-settings",
    params(store::channel_settings::Filter, PageParams),
    responses((status = 200, description = "A page of settings", body = Vec<ChannelSettings>))
)]
pub(super) async fn list_channel_settings(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, store::channel_settings::Filter>,
) -> Result<Answer<Page<ChannelSettings>>> {
    let page = store::channel_settings::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(ChannelSettings::from)))
}

/// Gives the settings of one channel account.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/channel-settings/{id}",
    tag = "channel-settings",
    params(("id" = Uuid, Path, description = "The settings")),
    responses(
        (status = 200, description = "The settings; their ETag is their version", body = ChannelSettings),
        (status = 404, description = "CHANNEL_SETTINGS_NOT_FOUND"),
    )
)]
pub(super) async fn get_channel_settings(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
) -> Result<Answer<ChannelSettings>> {
    let row = store::channel_settings::find(app.context.db.read(), id).await?;
    let version = row.version;
    Ok(Answer::ok(ChannelSettings::from(row)).etag(version))
}

/// Puts others in their place, for every run from now on. Channel, account and zone stay; days that were run already stay as
/// they are until they are run again.
#[utoipa::path(
    put,
    path = "/api/v1/reconciliation/channel-settings/{id}",
    tag = "channel-settings",
    params(("id" = Uuid, Path, description = "The settings")),
    request_body = NewChannelSettings,
    responses(
        (status = 200, description = "Changed; their ETag is their version", body = ChannelSettings),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown, invalid or cannot be changed"),
        (status = 404, description = "CHANNEL_SETTINGS_NOT_FOUND"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn replace_channel_settings(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NewChannelSettings>,
) -> Result<Answer<ChannelSettings>> {
    let plan = plan(&command.body)?;
    write(&app, "reconciliation.replace_channel_settings", caller.actor(), command, move |scope| {
        let (plan, if_match) = (plan.clone(), if_match.clone());
        async move {
            let row =
                channel_settings::replace(scope.app, scope.tx, scope.actor, (id, &if_match), &plan).await?;
            let version = row.version;
            Ok(Answer::ok(ChannelSettings::from(row)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Removes settings: the usual way holds again.
#[utoipa::path(
    delete,
    path = "/api/v1/reconciliation/channel-settings/{id}",
    tag = "channel-settings",
    params(("id" = Uuid, Path, description = "The settings")),
    responses(
        (status = 200, description = "Removed: the settings as they were", body = ChannelSettings),
        (status = 404, description = "CHANNEL_SETTINGS_NOT_FOUND"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn remove_channel_settings(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<ChannelSettings>> {
    write(&app, "reconciliation.remove_channel_settings", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let row = channel_settings::remove(scope.app, scope.tx, scope.actor, (id, &if_match)).await?;
            Ok(Answer::ok(ChannelSettings::from(row)))
        }
        .boxed()
    })
    .await
}

fn plan(body: &NewChannelSettings) -> Result<Plan> {
    check_account(&body.account)?;
    if let Some(cut_off) = &body.cut_off {
        check_text("cut_off.time", &cut_off.time, 5, 5)?;
    }
    for (index, word) in body.payout_words.iter().flatten().enumerate() {
        check_text(&format!("payout_words[{index}]"), word, 1, 100)?;
    }
    Ok(Plan {
        channel: body.channel,
        account: body.account.trim().to_owned(),
        timezone: body.timezone.clone(),
        cut_off: body.cut_off.as_ref().map(|cut_off| (cut_off.time.clone(), cut_off.timezone.clone())),
        covers: body.cut_off.as_ref().map(|cut_off| cut_off.covers).unwrap_or_default(),
        lookback_days: body.lookback_days,
        net_by_payment: body.net_by_payment,
        payout_window: body.payout_window,
        payout_words: body.payout_words.clone(),
    })
}
