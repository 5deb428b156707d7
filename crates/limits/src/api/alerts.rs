//! Alerts, and what became of them at those who are told.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::Result;
use payops_platform::http::{
    Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId, PathParams, write,
};
use uuid::Uuid;

use super::limits::change;
use super::wire::{Alert, AlertFilter};
use crate::Limits;
use crate::ops::alerts;
use crate::store::alert::Place;

/// Lists the thresholds that a merchant has crossed, the newest first, and what became of each alert at those who are
/// told.
#[utoipa::path(
    get,
    path = "/api/v1/limits/{merchant_id}/alerts",
    tag = "alerts",
    params(("merchant_id" = Uuid, Path, description = "The merchant"), AlertFilter, PageParams),
    responses(
        (status = 200, description = "A page of alerts", body = Vec<Alert>),
        (status = 404, description = "LIMIT_NOT_FOUND"),
    )
)]
pub(super) async fn list_alerts(
    State(app): State<Limits>,
    _: Authorized<OperatorOnly>,
    PathId(merchant_id): PathId,
    query: PageQuery<Place, AlertFilter>,
) -> Result<Answer<Page<Alert>>> {
    let page = alerts::list(&app, merchant_id, query.filter.delivery_state, query.page).await?;
    Ok(Answer::ok(page.map(Alert::from)))
}

/// Sends an alert again, under its old id, to every destination of the settings that does not have it: at once, and with
/// all attempts.
#[utoipa::path(
    post,
    path = "/api/v1/limits/{merchant_id}/alerts/{alert_no}/resend",
    tag = "alerts",
    params(
        ("merchant_id" = Uuid, Path, description = "The merchant"),
        ("alert_no" = i64, Path, description = "The merchant's number of the alert"),
    ),
    responses(
        (status = 200, description = "It will be sent", body = Alert),
        (status = 404, description = "ALERT_NOT_FOUND"),
        (status = 409, description = "NOTHING_TO_RESEND: every destination has it, or there is none"),
    )
)]
pub(super) async fn resend_alert(
    State(app): State<Limits>,
    caller: Authorized<OperatorOnly>,
    PathParams((merchant_id, alert_no)): PathParams<(Uuid, i64)>,
    command: Command<NoBody>,
) -> Result<Answer<Alert>> {
    write(&app, "limits.resend_alert", caller.actor(), command, move |scope| {
        async move {
            let by = change(&scope, &IfMatch::Any);
            alerts::resend(&by, merchant_id, alert_no).await.map(|standing| Answer::ok(Alert::from(standing)))
        }
        .boxed()
    })
    .await
}
