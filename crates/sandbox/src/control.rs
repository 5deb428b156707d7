//! The sandbox's own endpoints: faults, clock, truth, variants, the log.

use std::fmt::Display;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use bytes::Bytes;
use chrono::{NaiveDate, TimeDelta};
use http::StatusCode;
use payops_core::time::{Clock, Timestamp, Zone};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::days::{Channel, Day, DayPlan, Variant};
use crate::faults::FaultRequest;
use crate::server::Shared;
use crate::stripe::WebhookTarget;

/// 4xx with a text.
#[derive(Debug)]
pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    pub(crate) fn bad(message: impl Display) -> Self {
        Self(StatusCode::BAD_REQUEST, format!("{message}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

type Answer = Result<Json<Value>, Refusal>;

/// Everything that is the sandbox's own.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(page))
        .route("/sandbox/faults", post(add_fault).get(list_faults).delete(clear_faults))
        .route("/sandbox/faults/{id}", delete(remove_fault))
        .route("/sandbox/clock", post(advance_clock).get(show_clock))
        .route("/sandbox/days/{date}/truth", get(truth))
        .route("/sandbox/days/{date}/variant", post(set_variant))
        .route("/sandbox/requests", get(list_requests).delete(clear_requests))
        .route("/sandbox/webhooks", post(add_webhook).get(list_webhooks))
        .merge(crate::disputes::routes())
}

pub(crate) fn body_of<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::bad)
}

async fn add_fault(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let fault = body_of::<FaultRequest>(&body)?.into_fault().map_err(Refusal::bad)?;
    let added = shared.faults.add(fault).map_err(Refusal::bad)?;
    Ok((StatusCode::CREATED, Json(json!(added))))
}

async fn list_faults(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "items": shared.faults.all() }))
}

async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    match id.parse().map(|id| shared.faults.remove(id)) {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        _ => Err(Refusal(StatusCode::NOT_FOUND, format!("no fault has the number '{id}'"))),
    }
}

/// How the clock is moved: by so much, to an instant, or to the deadline of a dispute.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Move {
    By {
        advance_seconds: i64,
    },
    To {
        advance_to: Timestamp,
    },
    Deadline {
        deadline_of: String,
        #[serde(default)]
        seconds_before: i32,
    },
}

async fn advance_clock(State(shared): State<Arc<Shared>>, body: Bytes) -> Answer {
    let ways = "advance_seconds, advance_to, or deadline_of with seconds_before, is expected";
    let movement =
        body_of::<Move>(&body).map_err(|refused| Refusal::bad(format!("{ways}: {}", refused.1)))?;
    let moved = match movement {
        Move::By { advance_seconds } => {
            let by = u32::try_from(advance_seconds).map(|seconds| TimeDelta::seconds(seconds.into()));
            let by = by.map_err(|_| Refusal::bad("advance_seconds must be from 0 to 4294967295"))?;
            shared.advance(by).map(|()| shared.clock.now()).map_err(|error| error.to_string())
        }
        Move::To { advance_to } => shared.jump_to(advance_to),
        Move::Deadline { deadline_of, seconds_before } => {
            shared.jump_to_deadline(&deadline_of, TimeDelta::seconds(seconds_before.into()))
        }
    };
    moved.map_err(Refusal::bad)?;
    shared.settle_books();
    Shared::settle_runs(&shared).await;
    Ok(clock_object(&shared))
}

async fn show_clock(State(shared): State<Arc<Shared>>) -> Json<Value> {
    clock_object(&shared)
}

fn clock_object(shared: &Shared) -> Json<Value> {
    let (_, available) = shared.availability();
    let available = chrono::DateTime::from_timestamp(available, 0);
    Json(json!({ "now": shared.clock.now(), "data_available_end": available }))
}

/// The day that a path and a query name.
fn day_of(shared: &Shared, date: &str, query: Option<&str>) -> Result<Day, Refusal> {
    let (mut channel, mut zone) = (Channel::Stripe, Zone::utc());
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "channel" => channel = value.parse().map_err(Refusal::bad)?,
            "timezone" => zone = Zone::named(&value).map_err(Refusal::bad)?,
            other => return Err(Refusal::bad(format!("unknown parameter '{other}'"))),
        }
    }
    shared.world().day(date_of(date)?, channel, &zone).map_err(Refusal::bad)
}

fn date_of(text: &str) -> Result<NaiveDate, Refusal> {
    text.parse().map_err(|_| Refusal::bad(format!("'{text}' is no date such as 2024-10-24")))
}

async fn truth(
    State(shared): State<Arc<Shared>>,
    Path(date): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let day = day_of(&shared, &date, query.as_deref())?;
    let truth = tokio::task::spawn_blocking(move || day.truth()).await;
    truth
        .map(|truth| Json(json!(truth)))
        .map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetVariant {
    variant: Variant,
    payments: Option<u64>,
    timezone: Option<String>,
}

async fn set_variant(State(shared): State<Arc<Shared>>, Path(date): Path<String>, body: Bytes) -> Answer {
    let SetVariant { variant, payments, timezone } = body_of(&body)?;
    let zone = timezone.map_or_else(|| Ok(Zone::utc()), |name| Zone::named(&name)).map_err(Refusal::bad)?;
    if payments.is_some_and(|payments| payments > DayPlan::MOST_PAYMENTS) {
        return Err(Refusal::bad(format!("payments must be at most {}", DayPlan::MOST_PAYMENTS)));
    }
    let day = shared.world().day(date_of(&date)?, Channel::Stripe, &zone).map_err(Refusal::bad)?;
    let changed: Vec<Value> = day
        .utc_dates()
        .map(|date| {
            let plan = shared.change_plan(date, variant, payments);
            json!({ "date": date, "variant": plan.variant, "payments": plan.payments })
        })
        .collect();
    Ok(Json(json!({ "days": changed })))
}

async fn list_requests(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer {
    let mut items = shared.requests.all();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        match name.as_ref() {
            "path" => items.retain(|entry| entry.path.starts_with(value.as_ref())),
            "method" => items.retain(|entry| entry.method.eq_ignore_ascii_case(&value)),
            other => return Err(Refusal::bad(format!("unknown parameter '{other}'"))),
        }
    }
    Ok(Json(json!({ "items": items })))
}

async fn clear_requests(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.requests.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AddWebhook {
    url: String,
    secret: String,
}

async fn add_webhook(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<StatusCode, Refusal> {
    let AddWebhook { url, secret } = body_of(&body)?;
    if !(url.starts_with("http://") || url.starts_with("https://")) || secret.is_empty() {
        return Err(Refusal::bad("url must be an http(s) URL and secret must not be empty"));
    }
    shared.webhooks.add_target(WebhookTarget { url, secret });
    Ok(StatusCode::CREATED)
}

async fn list_webhooks(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "deliveries": shared.webhooks.deliveries() }))
}

async fn page(State(shared): State<Arc<Shared>>) -> Html<String> {
    let page = include_str!("page.html");
    Html(
        page.replace("{{base_url}}", &shared.base_url)
            .replace("{{api_key}}", &escape(&shared.stripe_api_key))
            .replace("{{seed}}", &shared.world().seed().to_string()),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
