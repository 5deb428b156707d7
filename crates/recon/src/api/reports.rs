//! Reports: what a task found, as an answer or as a file.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::{Error, Language, Result};
use payops_platform::http::{Answer, PathId, StrictQuery};

use super::wire::{Report, ReportLanguage, ReportQuery};
use crate::Reconciliation;
use crate::ops::reports::{self, About};
use crate::report::{Format, Words};

/// The run that a downloaded report shows.
const RUN: HeaderName = HeaderName::from_static("reconciliation-run");
/// The run that was started since, where there is one.
const NEWER_RUN: HeaderName = HeaderName::from_static("reconciliation-newer-run");

/// Gives the report of a task's last completed run. While a newer run is under way, `newer_run` says so.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/reports/{task_id}",
    tag = "reports",
    params(("task_id" = Uuid, Path, description = "The task")),
    responses(
        (status = 200, description = "The report", body = Report),
        (status = 404, description = "TASK_NOT_FOUND"),
        (status = 409, description = "TASK_NOT_COMPLETED: there is no result yet"),
    )
)]
pub(super) async fn get_report(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(task_id): PathId,
) -> Result<Answer<Report>> {
    Ok(Answer::ok(reports::report(&app, task_id).await?))
}

/// Downloads the report: as JSON or CSV with every record; as a PDF with charts, totals, proofs, the first differences
/// and the certificate; or as a workbook with every record and formulas that tie them to the totals. All of it is one picture of one run, whatever happens to
/// the task during the download. The header `Reconciliation-Run` names the run, and `Reconciliation-Newer-Run` the
/// run that was started since, if one was.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/reports/{task_id}/download",
    tag = "reports",
    params(("task_id" = Uuid, Path, description = "The task"), ReportQuery),
    responses(
        (status = 200, description = "The file", content_type = "text/csv", body = String),
        (status = 400, description = "INVALID_REQUEST: a format or language that is not made"),
        (status = 404, description = "TASK_NOT_FOUND"),
        (status = 409, description = "TASK_NOT_COMPLETED: there is no result yet"),
        (status = 503, description = "UNAVAILABLE: the service's disk is full, or the database is away"),
    )
)]
pub(super) async fn download_report(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(task_id): PathId,
    StrictQuery(query): StrictQuery<ReportQuery>,
) -> Result<Response> {
    let format = Format::parse(&query.format).ok_or_else(|| {
        Error::invalid_field("format", "json, csv, pdf or xlsx is expected", "应为 json、csv、pdf 或 xlsx")
    })?;
    let language = match query.language {
        ReportLanguage::En => Language::English,
        ReportLanguage::Zh => Language::Chinese,
    };
    let export = reports::export(&app, task_id, format, Words(language)).await?;
    let About { task_no, run_no, newer_run } = &export.about;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    let name = format!("attachment; filename=\"{task_no}-run-{run_no}.{}\"", format.extension());
    headers.insert(header::CONTENT_DISPOSITION, HeaderValue::try_from(name).map_err(Error::internal)?);
    headers.insert(RUN, HeaderValue::from(*run_no));
    if let Some(newer) = newer_run {
        headers.insert(NEWER_RUN, HeaderValue::from(*newer));
    }
    Ok((headers, Body::from_stream(export.into_stream())).into_response())
}
