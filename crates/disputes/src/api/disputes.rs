//! Disputes: enter, list, look, say how they stand, give to somebody, discuss.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly, OperatorOrMerchant, OperatorOrService};
use payops_platform::error::Result;
use payops_platform::http::{
    Answer, Command, IfMatch, NoBody, NoFilter, PageParams, PageQuery, PathId, PathParams, write,
};

use super::desk::own;
use super::wire::{
    Assignment, Dispute, DisputeWithMoney, NewDispute, NewNote, ProductTypeChange, StatusChange, TimelineRow,
    check_channel_id,
};
use crate::Disputes;
use crate::model::Channel;
use crate::ops::{By, Source, disputes, readings};
use crate::store::{dispute, movement, timeline};

/// Enters a dispute that payops does not know of yet. Most come by webhook.
#[utoipa::path(
    post,
    path = "/api/v1/disputes",
    tag = "disputes",
    request_body = NewDispute,
    responses(
        (status = 201, description = "Entered; its ETag is its version", body = Dispute),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 409, description = "DISPUTE_EXISTS: the channel's dispute is here already; data says which"),
    )
)]
pub(super) async fn create_dispute(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrService>,
    command: Command<NewDispute>,
) -> Result<Answer<Dispute>> {
    let entry = command.body.entry()?;
    write(&app, "disputes.enter", caller.actor(), command, move |scope| {
        let entry = entry.clone();
        async move {
            let by = by(&scope);
            let dispute = disputes::enter(&by, entry).await?;
            let (version, path) = (dispute.version, format!("/api/v1/disputes/{}", dispute.id));
            Ok(Answer::created(Dispute::at(by.app.context.now(), dispute)).etag(version).location(path))
        }
        .boxed()
    })
    .await
}

/// Lists disputes, the newest first. A merchant sees its own.
#[utoipa::path(
    get,
    path = "/api/v1/disputes",
    tag = "disputes",
    params(dispute::Filter, PageParams),
    responses(
        (status = 200, description = "A page of disputes", body = Vec<Dispute>),
        (status = 400, description = "INVALID_REQUEST: a filter that does not exist, or that nothing can pass"),
        (status = 404, description = "MERCHANT_NOT_FOUND: a merchant asked for another's"),
    )
)]
pub(super) async fn list_disputes(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    mut query: PageQuery<dispute::Cursor, dispute::Filter>,
) -> Result<Answer<Page<Dispute>>> {
    query.filter.merchant_id = own(&caller.caller, query.filter.merchant_id)?;
    query.filter.check()?;
    let page = dispute::list(app.context.db.read(), &query.filter, &query.page).await?;
    let now = app.context.now();
    Ok(Answer::ok(page.map(|row| Dispute::at(now, row))))
}

/// Gets one dispute with the money that moved.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/{id}",
    tag = "disputes",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 200, description = "The dispute; its ETag is its version", body = DisputeWithMoney),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
    )
)]
pub(super) async fn get_dispute(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
) -> Result<Answer<DisputeWithMoney>> {
    let db = app.context.db.read();
    let row = dispute::find(db, id, caller.caller.merchant_id()).await?;
    let money_movements = movement::of_dispute(db, id).await?.into_iter().map(Into::into).collect();
    let version = row.version;
    let dispute = Dispute::at(app.context.now(), row);
    Ok(Answer::ok(DisputeWithMoney { dispute, money_movements }).etag(version))
}

/// Says how a dispute stands that was entered by hand. Where the channel says it, this is refused.
#[utoipa::path(
    put,
    path = "/api/v1/disputes/{id}/status",
    tag = "disputes",
    params(("id" = Uuid, Path, description = "The dispute")),
    request_body = StatusChange,
    responses(
        (status = 200, description = "Changed", body = Dispute),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "DISPUTE_STATUS: data says which statuses are possible"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn set_status(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<StatusChange>,
) -> Result<Answer<Dispute>> {
    command.body.check()?;
    write(&app, "disputes.set_status", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let StatusChange { status, note } = scope.body;
            let by = by(&scope);
            Ok(shown(&by, disputes::set_status(&by, id, &if_match, *status, note.as_deref()).await?))
        }
        .boxed()
    })
    .await
}

/// Says what was sold: the checklist and the preflight go by it.
#[utoipa::path(
    put,
    path = "/api/v1/disputes/{id}/product-type",
    tag = "disputes",
    params(("id" = Uuid, Path, description = "The dispute")),
    request_body = ProductTypeChange,
    responses(
        (status = 200, description = "Changed, or it was so before", body = Dispute),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "DISPUTE_STATUS: it is closed"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn set_product_type(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<ProductTypeChange>,
) -> Result<Answer<Dispute>> {
    write(&app, "disputes.set_product_type", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let (by, product_type) = (by(&scope), scope.body.product_type);
            Ok(shown(&by, disputes::set_product_type(&by, id, &if_match, product_type).await?))
        }
        .boxed()
    })
    .await
}

/// Gives a dispute to somebody.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/assign",
    tag = "disputes",
    params(("id" = Uuid, Path, description = "The dispute")),
    request_body = Assignment,
    responses(
        (status = 200, description = "Given", body = Dispute),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "DISPUTE_STATUS: it is closed"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn assign_dispute(
    State(app): State<Disputes>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<Assignment>,
) -> Result<Answer<Dispute>> {
    command.body.check()?;
    write(&app, "disputes.assign", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let by = by(&scope);
            let owner = scope.body.assigned_to.as_deref();
            Ok(shown(&by, disputes::assign(&by, id, &if_match, owner).await?))
        }
        .boxed()
    })
    .await
}

/// Writes something into a dispute's timeline.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/notes",
    tag = "disputes",
    params(("id" = Uuid, Path, description = "The dispute")),
    request_body = NewNote,
    responses(
        (status = 200, description = "Written", body = Dispute),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
    )
)]
pub(super) async fn add_note(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    command: Command<NewNote>,
) -> Result<Answer<Dispute>> {
    command.body.check()?;
    write(&app, "disputes.note", caller.actor(), command, move |scope| {
        async move {
            let by = by(&scope);
            Ok(shown(&by, disputes::note(&by, id, &scope.body.note).await?))
        }
        .boxed()
    })
    .await
}

/// Lists what happened to a dispute, the newest first.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/{id}/timeline",
    tag = "disputes",
    params(("id" = Uuid, Path, description = "The dispute"), PageParams),
    responses(
        (status = 200, description = "A page of the timeline", body = Vec<TimelineRow>),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
    )
)]
pub(super) async fn timeline(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
    query: PageQuery<timeline::Cursor, NoFilter>,
) -> Result<Answer<Page<TimelineRow>>> {
    let db = app.context.db.read();
    let merchant = caller.caller.merchant_id();
    dispute::find(db, id, merchant).await?;
    // Notes are said among those who work on it.
    Ok(Answer::ok(timeline::list(db, id, merchant.is_none(), &query.page).await?.map(TimelineRow::from)))
}

/// Reads a dispute from Stripe now, and enters it where it is not known.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/sync/{channel_dispute_id}",
    tag = "disputes",
    params(("channel_dispute_id" = String, Path, description = "Stripe's id of it")),
    responses(
        (status = 200, description = "As Stripe shows it", body = Dispute),
        (status = 404, description = "CHANNEL_DISPUTE_NOT_FOUND"),
        (status = 422, description = "NOT_CONFIGURED: no Stripe key is set; CHANNEL_REFUSED: Stripe does not show it"),
        (status = 503, description = "UNAVAILABLE: Stripe is away"),
    )
)]
pub(super) async fn sync_dispute(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathParams(channel_dispute_id): PathParams<String>,
    _: Command<NoBody>,
) -> Result<Answer<Dispute>> {
    check_channel_id(&channel_dispute_id)?;
    let row = readings::read_now(&app, caller.actor(), Channel::Stripe, &channel_dispute_id).await?;
    let version = row.version;
    Ok(Answer::ok(Dispute::at(app.context.now(), row)).etag(version))
}

pub(super) fn by<'t, B>(scope: &payops_platform::http::Scope<'t, Disputes, B>) -> By<'t> {
    By { app: scope.app, tx: scope.tx, actor: scope.actor, source: Source::Api }
}

fn shown(by: &By<'_>, row: dispute::Model) -> Answer<Dispute> {
    let version = row.version;
    Answer::ok(Dispute::at(by.app.context.now(), row)).etag(version)
}
