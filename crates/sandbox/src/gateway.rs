//! The payment gateway: its reconciliation feed (`GET /internal/payments/reconciliation`), payments that it takes, and
//! payments that it knows by the channel's id (`GET /internal/payments/by-channel/{id}`).

pub(crate) mod known;
pub(crate) mod payments;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use payops_core::currency::Currency;
use payops_core::time::Zone;
use serde::Serialize;
use serde_json::{Value, json};

use crate::days::{Amounts, Channel, Day, Place, Placed, PlatformRow};
use crate::faults::{CorruptMode, FaultTarget, Strike};
use crate::server::Shared;
use crate::stream::{Flip, cut, streamed};

/// Rows of a page when the caller names no number.
const USUAL_PAGE: usize = 200;
/// Rows of the largest page.
const LARGEST_PAGE: usize = 1000;

/// Why a call is refused.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after: Option<u64>,
    data: Option<Value>,
}

impl Refusal {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None, data: None }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "INVALID_REQUEST", message)
    }

    fn from_fault(status: u16, retry_after: Option<u64>) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = match status {
            StatusCode::TOO_MANY_REQUESTS => "RATE_LIMITED",
            StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE",
            status if status.is_client_error() => "REFUSED",
            _ => "INTERNAL_ERROR",
        };
        Self { retry_after, ..Self::new(status, code, "a fault of the sandbox") }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut body = json!({ "code": self.code, "message": self.message });
        if let Some(data) = self.data {
            body["data"] = data;
        }
        let mut response = (self.status, Json(body)).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// In which form the rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One object a line, the trailer last.
    Lines,
    /// One JSON array, without a trailer.
    Array,
    /// Pages with a cursor, the trailer on the last.
    Pages,
    /// The same pages inside an envelope's `data`.
    Envelope,
}

struct Query {
    day: Day,
    form: Form,
    place: Option<Place>,
    page_size: usize,
}

pub(crate) async fn reconciliation_feed(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let strike = shared.faults.strike(FaultTarget::GatewayFeed, None);
    strike.delay().await;
    let response = match answer(&shared, query.as_deref(), &headers, &strike) {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    match strike.cut {
        Some(bytes) => cut(response, bytes),
        None => response,
    }
}

fn answer(
    shared: &Shared,
    query: Option<&str>,
    headers: &HeaderMap,
    strike: &Strike,
) -> Result<Response, Refusal> {
    check_caller(&shared.gateway_secret, headers)?;
    if let Some((status, retry_after)) = strike.status {
        return Err(Refusal::from_fault(status, retry_after));
    }
    let query = read_query(shared, query.unwrap_or_default(), headers)?;
    let feed = Feed { day: query.day, strike: strike.clone() };
    let (content_type, body) = match query.form {
        Form::Lines => ("application/x-ndjson", feed.stream(Feed::write_lines)),
        Form::Array => ("application/json", feed.stream(Feed::write_array)),
        Form::Pages => ("application/json", feed.page_body(query.place, query.page_size, |page| page)),
        Form::Envelope => {
            let wrap = |page| json!({ "code": "SUCCESS", "message": "ok", "data": page });
            ("application/json", feed.page_body(query.place, query.page_size, wrap))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

fn check_caller(expected: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let given = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !given("x-service-name").is_empty() && given("x-service-secret") == expected {
        return Ok(());
    }
    let message = "X-Service-Name and X-Service-Secret of a known service are required";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message))
}

fn read_query(shared: &Shared, query: &str, headers: &HeaderMap) -> Result<Query, Refusal> {
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
        if !["date", "channel", "timezone", "cursor", "page_size", "format"].contains(&name.as_str()) {
            return Err(Refusal::invalid(format!("unknown parameter '{name}'")));
        }
        given.insert(name, value);
    }
    let required = |name: &str| {
        given.get(name).ok_or_else(|| Refusal::invalid(format!("the parameter '{name}' is required")))
    };
    let date = required("date")?;
    let date: chrono::NaiveDate =
        date.parse().map_err(|_| Refusal::invalid(format!("date '{date}' is no date such as 2024-10-24")))?;
    let channel: Channel =
        required("channel")?.parse().map_err(|error| Refusal::invalid(format!("{error}")))?;
    let zone = given.get("timezone").map_or_else(|| Ok(Zone::utc()), |name| Zone::named(name));
    let zone = zone.map_err(|error| Refusal::invalid(error.to_string()))?;
    let day =
        shared.world().day(date, channel, &zone).map_err(|error| Refusal::invalid(error.to_string()))?;
    let page_size = match given.get("page_size").map(|text| text.parse()) {
        None => USUAL_PAGE,
        Some(Ok(size)) if (1..=LARGEST_PAGE).contains(&size) => size,
        Some(_) => return Err(Refusal::invalid(format!("page_size must be from 1 to {LARGEST_PAGE}"))),
    };
    let form = form_wanted(given.get("format").map(String::as_str), headers)?;
    let place = given.get("cursor").map(|cursor| {
        read_cursor(cursor, &day).ok_or_else(|| Refusal::invalid("the cursor does not belong to this query"))
    });
    Ok(Query { form, place: place.transpose()?, page_size, day })
}

/// The form that is named, else the one that is accepted.
fn form_wanted(format: Option<&str>, headers: &HeaderMap) -> Result<Form, Refusal> {
    let accepts_lines = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/x-ndjson"));
    match format {
        None if accepts_lines => Ok(Form::Lines),
        None | Some("pages") => Ok(Form::Pages),
        Some("ndjson") => Ok(Form::Lines),
        Some("array") => Ok(Form::Array),
        Some("envelope") => Ok(Form::Envelope),
        Some(other) => {
            Err(Refusal::invalid(format!("format '{other}' is none of ndjson, pages, array, envelope")))
        }
    }
}

/// A cursor: a place, bound to the query by its first part.
fn write_cursor(place: Place, day: &Day) -> String {
    let text = format!("{}|{}|{}|{}", binding(day), place.day, place.position, place.skip);
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
}

fn read_cursor(cursor: &str, day: &Day) -> Option<Place> {
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut parts = text.strip_prefix(&binding(day))?.strip_prefix('|')?.split('|');
    let place = Place {
        day: parts.next()?.parse().ok()?,
        position: parts.next()?.parse().ok()?,
        skip: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(place)
}

fn binding(day: &Day) -> String {
    format!("{}/{}/{}", day.date(), day.channel(), day.zone().name())
}

/// What the last line or page says about all rows before it.
#[derive(Debug, Default)]
struct Trailer {
    count: u64,
    sums: Amounts,
}

impl Trailer {
    fn add(&mut self, row: &PlatformRow) {
        self.count += 1;
        *self.sums.entry(row.currency).or_default() += row.amount;
    }

    /// The trailer as it is sent; `None` when a fault keeps it back.
    fn object(&self, strike: &Strike) -> Option<Value> {
        if strike.no_trailer {
            return None;
        }
        let (mut count, mut sums) = (self.count, self.sums.clone());
        if strike.wrong_trailer {
            count += 1;
            *sums.entry(Currency::USD).or_default() += 1;
        }
        Some(json!({ "count": count, "sums": sums }))
    }
}

/// A row as it is sent.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Sent<'row> {
    AsItIs(&'row PlatformRow),
    Corrupt(Value),
}

/// A day's rows as they are sent, faults included.
#[derive(Debug, Clone)]
struct Feed {
    day: Day,
    strike: Strike,
}

impl Feed {
    fn stream(self, write: impl FnOnce(&Self, &mut dyn Write) -> io::Result<()> + Send + 'static) -> Body {
        streamed(move |out| {
            if self.strike.corrupt == Some(CorruptMode::Bytes) {
                write(&self, &mut Flip::new(out))
            } else {
                write(&self, out)
            }
        })
    }

    /// Hands every row that is sent to `each`, and counts all rows, sent or not.
    fn for_each(&self, mut each: impl FnMut(Sent<'_>) -> io::Result<()>) -> io::Result<Trailer> {
        let most = match self.strike.truncate_rows {
            None => u64::MAX,
            Some(missing) => (self.day.platform_rows().count() as u64).saturating_sub(missing),
        };
        let mut trailer = Trailer::default();
        for row in self.day.platform_rows() {
            if trailer.count < most {
                each(self.sent(&row, trailer.count == 0))?;
            }
            trailer.add(&row);
        }
        Ok(trailer)
    }

    fn sent<'row>(&self, row: &'row PlatformRow, is_first: bool) -> Sent<'row> {
        if is_first && self.strike.corrupt == Some(CorruptMode::Row) {
            let mut object = json!(row);
            object["amount"] = Value::from("x".repeat(row.amount.to_string().len()));
            return Sent::Corrupt(object);
        }
        Sent::AsItIs(row)
    }

    fn write_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        let trailer = self.for_each(|row| {
            serde_json::to_writer(&mut *out, &row)?;
            out.write_all(b"\n")
        })?;
        if let Some(trailer) = trailer.object(&self.strike) {
            serde_json::to_writer(&mut *out, &json!({ "trailer": trailer }))?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn write_array(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut separator: &[u8] = b"[";
        self.for_each(|row| {
            out.write_all(separator)?;
            separator = b",\n";
            Ok(serde_json::to_writer(&mut *out, &row)?)
        })?;
        out.write_all(if separator == b"[" { b"[]" } else { b"]" })
    }

    fn page_body(
        self,
        place: Option<Place>,
        size: usize,
        wrap: impl FnOnce(Value) -> Value + Send + 'static,
    ) -> Body {
        self.stream(move |feed, out| Ok(serde_json::to_writer(&mut *out, &wrap(feed.page(place, size)))?))
    }

    fn page(&self, place: Option<Place>, size: usize) -> Value {
        let mut rows = self.day.platform_rows_from(place).peekable();
        let mut items = Vec::new();
        let mut next = None;
        while items.len() < size
            && let Some(Placed { row, next: after }) = rows.next()
        {
            items.push(json!(self.sent(&row, items.is_empty() && place.is_none())));
            next = Some(after);
        }
        if rows.peek().is_some() {
            let cursor = next.map(|place| write_cursor(place, &self.day));
            return json!({ "items": items, "next_cursor": cursor });
        }
        let missing = self.strike.truncate_rows.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(0);
        items.truncate(items.len().saturating_sub(missing));
        let mut page = json!({ "items": items, "next_cursor": null });
        let mut trailer = Trailer::default();
        self.day.platform_rows().for_each(|row| trailer.add(&row));
        if let Some(trailer) = trailer.object(&self.strike) {
            page["trailer"] = trailer;
        }
        page
    }
}
