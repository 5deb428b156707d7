//! What can be read: report types, runs, files, events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::error::StripeError;
use super::form::Form;
use crate::faults::{FaultTarget, Strike};
use crate::report::ReportType;
use crate::server::Shared;
use crate::stream::cut;

type Answer = Result<Json<Value>, StripeError>;

fn form_of(query: Option<&str>) -> Form {
    Form::parse(query.unwrap_or_default().as_bytes())
}

async fn under(strike: Strike, answer: impl Future<Output = Answer>) -> Response {
    strike.delay().await;
    if let Some((status, retry_after)) = strike.status {
        return StripeError::from_fault(status, retry_after).into_response();
    }
    let response = answer.await.into_response();
    match strike.cut {
        Some(bytes) => cut(response, bytes),
        None => response,
    }
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
        &[
            "limit",
            "starting_after",
            "ending_before",
            "created",
            "created[gt]",
            "created[gte]",
            "created[lt]",
            "created[lte]",
        ],
        &["expand"],
    )?;
    let created = |name: &str| form.integer(name);
    let (at, gt, gte) = (created("created")?, created("created[gt]")?, created("created[gte]")?);
    let (lt, lte) = (created("created[lt]")?, created("created[lte]")?);
    let newest_first = shared.runs.all().into_iter().rev().filter(|run| {
        let seconds = run.created.timestamp();
        at.is_none_or(|at| seconds == at)
            && gt.is_none_or(|gt| seconds > gt)
            && gte.is_none_or(|gte| seconds >= gte)
            && lt.is_none_or(|lt| seconds < lt)
            && lte.is_none_or(|lte| seconds <= lte)
    });
    let objects: Vec<Value> = newest_first.map(|run| run.object(&shared.base_url, 0)).collect();
    page(&form, &objects, "report run", "/v1/reporting/report_runs")
}

pub(crate) async fn events(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer {
    let form = form_of(query.as_deref());
    form.refuse_others(&["limit", "starting_after", "ending_before", "type"], &["expand"])?;
    let wanted = form.get("type");
    let newest_first = shared.webhooks.events().into_iter().rev();
    let objects: Vec<Value> =
        newest_first.filter(|event| wanted.is_none_or(|wanted| event["type"] == wanted)).collect();
    page(&form, &objects, "event", "/v1/events")
}

pub(crate) async fn event(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let event = shared.webhooks.events().into_iter().find(|event| event["id"] == id.as_str());
    event.map(Json).ok_or_else(|| StripeError::no_such("event", &id))
}

pub(crate) async fn file(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let object = shared.runs.by_file(&id).and_then(|run| run.file_object(&shared.base_url, 0));
    object.map(Json).ok_or_else(|| StripeError::no_such("file upload", &id))
}

/// One page of `objects`, which are listed newest first. A limit outside of 1..=100 is moved into it, as the
/// live API does silently.
fn page(form: &Form, objects: &[Value], noun: &str, url: &str) -> Answer {
    let limit = usize::try_from(form.integer("limit")?.unwrap_or(10).clamp(1, 100)).unwrap_or(10);
    let position = |param: &str| {
        let find = |id: &str| {
            objects
                .iter()
                .position(|object| object["id"] == id)
                .ok_or_else(|| StripeError::no_such_cursor(noun, param, id))
        };
        form.get(param).map(find).transpose()
    };
    let (after, before) = (position("starting_after")?, position("ending_before")?);
    let (from, to) = match (after, before) {
        (Some(_), Some(_)) => {
            return Err(StripeError::invalid_request(
                "Received both starting_after and ending_before parameters. Please pass in only one.",
            ));
        }
        (Some(after), None) => (after + 1, (after + 1 + limit).min(objects.len())),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit.min(objects.len())),
    };
    let has_more = if before.is_some() { from > 0 } else { to < objects.len() };
    let data = objects.get(from..to).unwrap_or_default();
    Ok(Json(json!({ "object": "list", "data": data, "has_more": has_more, "url": url })))
}
