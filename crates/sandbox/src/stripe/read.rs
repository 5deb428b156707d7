//! What can be read: report types, runs, files, events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use payops_core::time::Clock;
use serde_json::{Value, json};

use super::error::StripeError;
use super::form::Form;
use super::lists::{Created, PAGING, page};
use super::webhooks::Event;
use crate::faults::{FaultTarget, Strike};
use crate::report::ReportType;
use crate::server::Shared;
use crate::stream::cut;

type Answer = Result<Json<Value>, StripeError>;

pub(super) fn form_of(query: Option<&str>) -> Form {
    Form::parse(query.unwrap_or_default().as_bytes())
}

async fn under(strike: Strike, answer: impl Future<Output = Answer>) -> Response {
    strike.delay().await;
    if let Some((status, retry_after)) = strike.status {
        return StripeError::from_fault(status, retry_after).into_response();
    }
    let response = answer.await.into_response();
    strike.delay_answer().await;
    match strike.cut {
        Some(bytes) => cut(response, bytes),
        None => response,
    }
}

/// Answers a call that reads, under the faults that wait at `target`.
pub(super) async fn reading(
    shared: &Shared,
    target: FaultTarget,
    answer: impl FnOnce() -> Result<Value, StripeError>,
) -> Response {
    under(shared.faults.strike(target, None), async { answer().map(Json) }).await
}

fn report_type_object(shared: &Shared, report_type: ReportType) -> Value {
    let (start, end) = shared.availability();
    json!({
        "id": report_type.to_string(),
        "object": "reporting.report_type",
        "data_available_end": end,
        "data_available_start": start,
        "default_columns": report_type.default_columns(),
        "livemode": false,
        "name": report_type.name(),
        "updated": end,
        "version": report_type.version,
    })
}

pub(crate) async fn report_types(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    let strike = shared.faults.strike(FaultTarget::StripeTypes, None);
    under(strike, async {
        form_of(query.as_deref()).refuse_others(&[], &["expand"])?;
        let data: Vec<Value> =
            ReportType::all().map(|report_type| report_type_object(&shared, report_type)).collect();
        Ok(Json(json!({
            "object": "list",
            "data": data,
            "has_more": false,
            "url": "/v1/reporting/report_types",
        })))
    })
    .await
}

pub(crate) async fn report_type(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let strike = shared.faults.strike(FaultTarget::StripeTypes, Some(&id));
    under(strike, async {
        form_of(query.as_deref()).refuse_others(&[], &["expand"])?;
        let known = ReportType::parse(&id).ok_or_else(|| StripeError::no_such("report type", &id))?;
        Ok(Json(report_type_object(&shared, known)))
    })
    .await
}

pub(crate) async fn report_run(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let report_type = shared.runs.get(&id).map(|run| run.report.kind.to_string());
    let strike = shared.faults.strike(FaultTarget::StripePoll, report_type.as_deref());
    let size_lie = strike.lie_size;
    under(strike, async {
        form_of(query.as_deref()).refuse_others(&[], &["expand"])?;
        Shared::settle_runs(&shared).await;
        let run = shared.runs.get(&id).ok_or_else(|| StripeError::no_such("report run", &id))?;
        Ok(Json(run.object(&shared.base_url, size_lie)))
    })
    .await
}

pub(crate) async fn report_runs(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer {
    Shared::settle_runs(&shared).await;
    let form = form_of(query.as_deref());
    form.refuse_others(
        &[&PAGING[..], &["created", "created[gt]", "created[gte]", "created[lt]", "created[lte]"]].concat(),
        &["expand"],
    )?;
    let created = Created::of(&form)?;
    let runs = shared.runs.all();
    let wanted: Vec<_> = runs.iter().rev().filter(|run| created.holds(run.created.timestamp())).collect();
    let words = ("report run", "/v1/reporting/report_runs");
    page(&form, &wanted, words, |run| run.id.as_str(), |run| run.object(&shared.base_url, 0)).map(Json)
}

pub(crate) async fn events(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Response {
    shared.settle_books();
    reading(&shared, FaultTarget::StripeRead, || {
        let form = form_of(query.as_deref());
        form.allow(&[&PAGING[..], &["type", "delivery_success"]].concat(), &["types", "created", "expand"])?;
        let created = Created::of(&form)?;
        let mut types = form.list("types");
        types.extend(form.get("type"));
        let now = shared.clock.now();
        let newest_first: Vec<Event> = shared
            .webhooks
            .events(now)
            .into_iter()
            .rev()
            .filter(|event| types.is_empty() || types.contains(&event.kind))
            .filter(|event| created.holds(event.created.timestamp()))
            .collect();
        let words = ("event", "/v1/events");
        page(&form, &newest_first, words, |event| event.id.as_str(), |event| shared.webhooks.shown(event))
    })
    .await
}

pub(crate) async fn event(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Response {
    shared.settle_books();
    reading(&shared, FaultTarget::StripeRead, || {
        let event = shared.webhooks.events(shared.clock.now()).into_iter().find(|event| event.id == id);
        let missing = || StripeError::no_such("event", &id);
        event.map(|event| shared.webhooks.shown(&event)).ok_or_else(missing)
    })
    .await
}
