//! Many disputes at once: the order of work, figures, files, and what a refund has to know.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{
    AdminOnly, Authorized, Caller, OperatorOnly, OperatorOrMerchant, OperatorOrService,
};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, PageParams, PageQuery, PathParams, StrictQuery, write};
use uuid::Uuid;

use super::wire::{Assigned, BulkAssignment, PaymentQuery, RefundAdvice, Statistics, StatisticsQuery, Work};
use crate::Disputes;
use crate::error;
use crate::ops::{By, Source, desk, export, refund, statistics};
use crate::store::sums::Dimension;
use crate::store::{dispute, queue};

/// Counts disputes by how they ended, with the money of each currency. A merchant sees its own.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/statistics",
    tag = "disputes",
    params(StatisticsQuery),
    responses(
        (status = 200, description = "The figures", body = Statistics),
        (status = 400, description = "INVALID_REQUEST: a day or a time zone that does not exist"),
        (status = 404, description = "MERCHANT_NOT_FOUND: a merchant asked for another's"),
    )
)]
pub(super) async fn get_statistics(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    StrictQuery(query): StrictQuery<StatisticsQuery>,
) -> Result<Answer<Statistics>> {
    let merchant = own(&caller.caller, query.merchant_id)?;
    let (period, timezone) = query.period()?;
    let dimension = query.group_by.unwrap_or(Dimension::Currency);
    let found = statistics::statistics(&app, dimension, period, merchant).await?;
    Ok(Answer::ok(Statistics::of(&query, timezone, found)?))
}

/// Lists what waits for an answer of ours, in the order of work: what is due within a day, within three, within a week,
/// later, without a known deadline, and what cannot be answered any more; among these by currency, and the largest
/// amount first.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/queue",
    tag = "disputes",
    params(queue::Filter, PageParams),
    responses((status = 200, description = "A page of work", body = Vec<Work>))
)]
pub(super) async fn list_queue(
    State(app): State<Disputes>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<queue::Cursor, queue::Filter>,
) -> Result<Answer<Page<Work>>> {
    let (db, now) = (&app.context.db, app.context.now());
    let page = queue::list(db.read(), db.backend(), &query.filter, &query.page, now).await?;
    Ok(Answer::ok(page.map(|work| Work::at(now, work))))
}

/// Gives up to 500 disputes to somebody: all of them or none.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/bulk/assign",
    tag = "disputes",
    request_body = BulkAssignment,
    responses(
        (status = 200, description = "All given", body = Assigned),
        (status = 400, description = "INVALID_REQUEST: none, too many, or one named twice"),
        (status = 409, description = "BULK_REFUSED: nothing was changed; data.problems names each that stands in the way"),
    )
)]
pub(super) async fn assign_disputes(
    State(app): State<Disputes>,
    caller: Authorized<AdminOnly>,
    command: Command<BulkAssignment>,
) -> Result<Answer<Assigned>> {
    command.body.check()?;
    write(&app, "disputes.bulk_assign", caller.actor(), command, |scope| {
        async move {
            let by = By { app: scope.app, tx: scope.tx, actor: scope.actor, source: Source::Api };
            let BulkAssignment { dispute_ids, assigned_to } = scope.body;
            desk::assign_all(&by, dispute_ids, assigned_to.as_deref()).await?;
            Ok(Answer::ok(Assigned { count: dispute_ids.len() }))
        }
        .boxed()
    })
    .await
}

/// Downloads disputes as CSV, the newest first, with the filters of the list. A merchant gets its own. Each dispute that
/// was there all the while is in it once, as it stood when it was reached.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/export",
    tag = "disputes",
    params(dispute::Filter),
    responses(
        (status = 200, description = "The file", content_type = "text/csv", body = String),
        (status = 400, description = "INVALID_REQUEST: a filter that does not exist, or that nothing can pass"),
        (status = 404, description = "MERCHANT_NOT_FOUND: a merchant asked for another's"),
    )
)]
pub(super) async fn export_disputes(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    StrictQuery(mut filter): StrictQuery<dispute::Filter>,
) -> Result<Response> {
    filter.merchant_id = own(&caller.caller, filter.merchant_id)?;
    filter.check()?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"disputes.csv\"")),
    ];
    Ok((headers, Body::from_stream(export::csv(&app, filter))).into_response())
}

/// Tells whether a refund of a payment would pay the customer twice, and how fresh that knowledge is. `unknown` is not
/// `no`.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/by-payment/{payment_no}",
    tag = "disputes",
    params(("payment_no" = String, Path, description = "Our payment"), PaymentQuery),
    responses((status = 200, description = "What is known", body = RefundAdvice))
)]
pub(super) async fn about_payment(
    State(app): State<Disputes>,
    _: Authorized<OperatorOrService>,
    PathParams(payment_no): PathParams<String>,
    StrictQuery(query): StrictQuery<PaymentQuery>,
) -> Result<Answer<RefundAdvice>> {
    let known = refund::would_pay_twice(&app, query.about(payment_no.clone())?).await?;
    Ok(Answer::ok(RefundAdvice::at(app.context.now(), payment_no, known)))
}

/// Whose disputes are asked for: a merchant's are its own.
pub(super) fn own(caller: &Caller, asked: Option<Uuid>) -> Result<Option<Uuid>> {
    match (caller.merchant_id(), asked) {
        (Some(own), Some(asked)) if own != asked => Err(error::no_such_merchant()),
        (own, asked) => Ok(own.or(asked)),
    }
}
