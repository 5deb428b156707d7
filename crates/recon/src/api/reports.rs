//! Reports: what a task found, as an answer or as a file.

use std::collections::VecDeque;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, PathId, StrictQuery};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::wire::{Record, Report, ReportQuery, Run, SettlementFile, Standing, Task};
use crate::Reconciliation;
use crate::error;
use crate::report::{self, Format};
use crate::store::task::Model as StoredTask;
use crate::store::{file, record, run, task};

/// How many records one read of an export fetches.
const RECORDS_PER_READ: u64 = 2_000;

/// Gives the report of a completed task.
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
    let task = completed(&app, task_id).await?;
    Ok(Answer::ok(gather(&app, task).await?))
}

/// Downloads the report with every record, as JSON or CSV.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/reports/{task_id}/download",
    tag = "reports",
    params(("task_id" = Uuid, Path, description = "The task"), ReportQuery),
    responses(
        (status = 200, description = "The file", content_type = "text/csv", body = String),
        (status = 400, description = "INVALID_REQUEST: a format that is not made"),
        (status = 404, description = "TASK_NOT_FOUND"),
        (status = 409, description = "TASK_NOT_COMPLETED: there is no result yet"),
    )
)]
pub(super) async fn download_report(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(task_id): PathId,
    StrictQuery(query): StrictQuery<ReportQuery>,
) -> Result<Response> {
    let format = Format::parse(&query.format)
        .ok_or_else(|| Error::invalid_field("format", "json or csv is expected", "应为 json 或 csv"))?;
    let task = completed(&app, task_id).await?;
    let name = format!("attachment; filename=\"{}.{}\"", task.task_no, format.extension());
    let head = match format {
        Format::Csv => report::csv_head(),
        Format::Json => report::json_head(&gather(&app, task).await?)?,
    };
    let export = Export {
        app,
        task_id,
        format,
        last_ordinal: -1,
        begun: false,
        ready: VecDeque::from([head]),
        done: false,
    };
    let body = Body::from_stream(stream::unfold(export, Export::next));
    let headers =
        [(header::CONTENT_TYPE, format.content_type().to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, body).into_response())
}

/// An export on its way: records are read as fast as the caller takes them.
struct Export {
    app: Reconciliation,
    task_id: Uuid,
    format: Format,
    last_ordinal: i64,
    begun: bool,
    ready: VecDeque<Bytes>,
    done: bool,
}

impl Export {
    async fn next(mut self) -> Option<(Result<Bytes>, Self)> {
        if self.ready.is_empty() && !self.done {
            match self.read().await {
                Ok(bytes) => self.ready.push_back(bytes),
                Err(error) => {
                    // The connection is cut, so that half a report is never taken for a whole one.
                    self.done = true;
                    return Some((Err(error), self));
                }
            }
        }
        self.ready.pop_front().map(|bytes| (Ok(bytes), self))
    }

    async fn read(&mut self) -> Result<Bytes> {
        let conn = self.app.context.db.read();
        let records = record::after(conn, self.task_id, self.last_ordinal, RECORDS_PER_READ).await?;
        let Some(last) = records.last() else {
            self.done = true;
            return Ok(self.format.tail());
        };
        self.last_ordinal = last.ordinal;
        let records: Vec<Record> = records.into_iter().map(Record::from).collect();
        let bytes = self.format.records(&records, self.begun)?;
        self.begun = true;
        Ok(bytes)
    }
}

async fn completed(app: &Reconciliation, id: Uuid) -> Result<StoredTask> {
    let task = task::find(app.context.db.read(), id).await?;
    if task.summary.is_none() {
        return Err(error::not_reconciled_yet(&task));
    }
    Ok(task)
}

/// The summary as it was stored; sums beyond 64 bits stay exact.
fn summary(task: &StoredTask) -> Result<Box<RawValue>> {
    let text = task.summary.clone().unwrap_or_else(|| "null".to_owned());
    RawValue::from_string(text)
        .map_err(|error| Error::impossible_row("reconciliation_tasks", "summary", task.id, error.to_string()))
}

async fn gather(app: &Reconciliation, task: StoredTask) -> Result<Report> {
    let conn = app.context.db.read();
    let runs = run::of_task(conn, task.id).await?;
    let standings = record::standings(conn, &[task.id]).await?;
    let mut files = Vec::new();
    for id in [task.settlement_file_id, task.summary_file_id, task.platform_file_id].into_iter().flatten() {
        files.extend(file::by_id(conn, id).await?.map(SettlementFile::from));
    }
    Ok(Report {
        summary: summary(&task)?,
        certificate: task.certificate.clone().unwrap_or_default(),
        task: Task::from(task),
        files,
        runs: runs.into_iter().map(Run::from).collect(),
        standings: standings.into_iter().map(Standing::from).collect(),
    })
}
