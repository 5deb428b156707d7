//! `GET /v1/files/{id}/contents`: a run's file, whole or in part, or a file that was uploaded.

use std::io::{self, Write};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::error::StripeError;
use super::runs::{Measured, Run};
use super::uploads;
use crate::faults::{CorruptMode, FaultTarget, Strike};
use crate::report::{Alteration, Report};
use crate::server::Shared;
use crate::stream::{Flip, Part, cut, streamed};

pub(crate) async fn contents(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let run = shared.runs.by_file(&id);
    let report_type = run.as_ref().map(|run| run.report.kind.to_string());
    let strike = shared.faults.strike(FaultTarget::StripeDownload, report_type.as_deref());
    strike.delay().await;
    if let Some((status, retry_after)) = strike.status {
        return StripeError::from_fault(status, retry_after).into_response();
    }
    let response = match &run {
        Some(run) => match run.measure().await {
            Ok(measured) => answer(run, measured, &headers, &strike),
            Err(_) => StripeError::from_fault(500, None).into_response(),
        },
        None => uploads::content_of(&shared, &id)
            .unwrap_or_else(|| StripeError::no_such("file upload", &id).into_response()),
    };
    strike.delay_answer().await;
    match strike.cut {
        Some(bytes) => cut(response, bytes),
        None => response,
    }
}

fn answer(run: &Run, measured: &Measured, headers: &HeaderMap, strike: &Strike) -> Response {
    let alteration = Alteration {
        corrupt_row: strike.corrupt == Some(CorruptMode::Row),
        keep_rows: strike.truncate_rows.map(|rows| measured.rows.saturating_sub(rows)),
        unbalanced: strike.broken_summary,
    };
    let flip = strike.corrupt == Some(CorruptMode::Bytes);
    let report = Arc::clone(&run.report);
    if alteration.keep_rows.is_some() || alteration.unbalanced {
        // The length is another one, so none is stated and no part is served: the end looks like the end.
        let body = streamed(move |out| write_part(&report, alteration, flip, out, 0, u64::MAX));
        return respond(StatusCode::OK, body, run, measured);
    }
    let range = match range_of(headers, measured) {
        Ok(range) => range,
        Err(size) => return unsatisfiable(size),
    };
    let (first, length) = range.unwrap_or((0, measured.size));
    let body = streamed(move |out| write_part(&report, alteration, flip, out, first, length));
    let status = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = respond(status, body, run, measured);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if range.is_some() {
        let text = format!("bytes {first}-{}/{}", first + length - 1, measured.size);
        headers.extend(HeaderValue::from_str(&text).ok().map(|value| (header::CONTENT_RANGE, value)));
    }
    response
}

fn respond(status: StatusCode, body: Body, run: &Run, measured: &Measured) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    headers.extend(HeaderValue::from_str(&measured.etag).ok().map(|etag| (header::ETAG, etag)));
    let disposition = format!("attachment; filename=\"{}.csv\"", run.id);
    headers
        .extend(HeaderValue::from_str(&disposition).ok().map(|value| (header::CONTENT_DISPOSITION, value)));
    response
}

fn unsatisfiable(size: u64) -> Response {
    let mut response = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
    let text = HeaderValue::from_str(&format!("bytes */{size}"));
    response.headers_mut().extend(text.ok().map(|value| (header::CONTENT_RANGE, value)));
    response
}

fn write_part(
    report: &Report,
    alteration: Alteration,
    flip: bool,
    out: &mut dyn Write,
    first: u64,
    length: u64,
) -> io::Result<()> {
    let mut part = Part::new(out, first, length);
    let written = if flip {
        report.write(&mut Flip::new(&mut part), alteration)
    } else {
        report.write(&mut part, alteration)
    };
    match written {
        Err(_) if part.is_complete() => Ok(()),
        other => other.map(drop),
    }
}

/// The first byte and the length that are asked for; `None` for the whole file, which is also the answer to
/// several ranges, to what cannot be read, and when `If-Range` names another version. The error is the size.
fn range_of(headers: &HeaderMap, measured: &Measured) -> Result<Option<(u64, u64)>, u64> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|version| version != measured.etag) {
        return Ok(None);
    }
    let asked = text(header::RANGE).and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((from, to)) = asked else { return Ok(None) };
    let size = measured.size;
    let (first, last) = match (from.parse::<u64>(), to.parse::<u64>()) {
        (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
        (Ok(first), Err(_)) if to.is_empty() => (first, size.saturating_sub(1)),
        (Err(_), Ok(0)) if from.is_empty() => return Err(size),
        (Err(_), Ok(suffix)) if from.is_empty() => (size.saturating_sub(suffix), size.saturating_sub(1)),
        _ => return Ok(None),
    };
    if first >= size { Err(size) } else { Ok(Some((first, last - first + 1))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        let measured = Measured { size: 100, rows: 1, etag: "\"x\"".to_owned() };
        let range = |range: &str, if_range: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RANGE, HeaderValue::from_str(range).unwrap());
            headers.extend(if_range.map(|text| (header::IF_RANGE, HeaderValue::from_str(text).unwrap())));
            range_of(&headers, &measured)
        };
        assert_eq!(range("bytes=10-19", None), Ok(Some((10, 10))));
        assert_eq!(range("bytes=90-", None), Ok(Some((90, 10))));
        assert_eq!(range("bytes=-5", None), Ok(Some((95, 5))));
        assert_eq!(range("bytes=0-1000", None), Ok(Some((0, 100))));
        assert_eq!(range("bytes=100-", None), Err(100));
        assert_eq!(range("bytes=-0", None), Err(100));
        for whole in ["bytes=1-2,5-6", "lines=1-2", "bytes=x-", "bytes=9-3"] {
            assert_eq!(range(whole, None), Ok(None), "{whole}");
        }
        assert_eq!(range("bytes=10-19", Some("\"x\"")), Ok(Some((10, 10))));
        assert_eq!(range("bytes=10-19", Some("\"y\"")), Ok(None));
    }
}
