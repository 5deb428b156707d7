//! Exchange rates.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, IfMatch, PageParams, PageQuery, write};
use uuid::Uuid;

use super::limits::change;
use super::wire::{Rate, Rates, RatesInForce};
use crate::Limits;
use crate::ops::rates;
use crate::store::rate;

/// Puts exchange rates in force, all of them or none. Other pairs stay as they are, and so does every payment that was
/// counted at an earlier rate.
#[utoipa::path(
    put,
    path = "/api/v1/rates",
    tag = "rates",
    request_body = Rates,
    responses(
        (status = 200, description = "In force", body = RatesInForce),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
    )
)]
pub(super) async fn put_rates(
    State(app): State<Limits>,
    caller: Authorized<AdminOnly>,
    command: Command<Rates>,
) -> Result<Answer<RatesInForce>> {
    let new = command.body.checked()?;
    write(&app, "limits.put_rates", caller.actor(), command, move |scope| {
        let new = new.clone();
        async move {
            let rates = rates::put(&change(&scope, &IfMatch::Any), &new).await?;
            Ok(Answer::ok(RatesInForce { rates: rates.into_iter().map(Rate::from).collect() }))
        }
        .boxed()
    })
    .await
}

/// Lists exchange rates, the newest first: those in force, or with `history` all there ever were.
#[utoipa::path(
    get,
    path = "/api/v1/rates",
    tag = "rates",
    params(rate::Filter, PageParams),
    responses((status = 200, description = "A page of rates", body = Vec<Rate>))
)]
pub(super) async fn list_rates(
    State(app): State<Limits>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, rate::Filter>,
) -> Result<Answer<Page<Rate>>> {
    let page = rate::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(Rate::from)))
}
