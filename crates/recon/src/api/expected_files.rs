//! Expected files: what a channel owes us for each day. Admins change them, operators read them.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId};
use uuid::Uuid;

use super::wire::{ExpectedFile, NewExpectedFile};
use super::{check_account, check_text, write};
use crate::Reconciliation;
use crate::completeness::Weekdays;
use crate::completeness::names::LONGEST_PATTERN;
use crate::ops::expected_files::{self, Plan};
use crate::store::expected_file;

/// The most holidays of one expected file.
const MOST_HOLIDAYS: usize = 400;

/// Makes an expected file: from its first day on, every business day's file is watched for, and told of when it is late.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/expected-files",
    tag = "completeness",
    request_body = NewExpectedFile,
    responses(
        (status = 201, description = "Made; its ETag is its version", body = ExpectedFile),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 409, description = "EXPECTED_FILE_EXISTS: another one watches these days; data names it"),
    )
)]
pub(super) async fn create_expected_file(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    command: Command<NewExpectedFile>,
) -> Result<Answer<ExpectedFile>> {
    let plan = plan(&command.body)?;
    write(&app, "reconciliation.create_expected_file", caller.actor(), command, move |scope| {
        let plan = plan.clone();
        async move {
            let row = expected_files::create(scope.app, scope.tx, scope.actor, &plan).await?;
            let version = row.version;
            Ok(Answer::created(ExpectedFile::from(row)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Lists expected files, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/expected-files",
    tag = "completeness",
    params(expected_file::Filter, PageParams),
    responses((status = 200, description = "A page of expected files", body = Vec<ExpectedFile>))
)]
pub(super) async fn list_expected_files(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, expected_file::Filter>,
) -> Result<Answer<Page<ExpectedFile>>> {
    let page = expected_file::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(ExpectedFile::from)))
}

/// Gives one expected file.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/expected-files/{id}",
    tag = "completeness",
    params(("id" = Uuid, Path, description = "The expected file")),
    responses(
        (status = 200, description = "The expected file; its ETag is its version", body = ExpectedFile),
        (status = 404, description = "EXPECTED_FILE_NOT_FOUND"),
    )
)]
pub(super) async fn get_expected_file(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
) -> Result<Answer<ExpectedFile>> {
    let row = expected_file::find(app.context.db.read(), id).await?;
    let version = row.version;
    Ok(Answer::ok(ExpectedFile::from(row)).etag(version))
}

/// Puts another plan in the place of an expected file's, for every day since its first: what is not expected any more is
/// closed, and what was not expected before is told of if it is missing. Channel, account, role and zone stay.
#[utoipa::path(
    put,
    path = "/api/v1/reconciliation/expected-files/{id}",
    tag = "completeness",
    params(("id" = Uuid, Path, description = "The expected file")),
    request_body = NewExpectedFile,
    responses(
        (status = 200, description = "Changed; its ETag is its version", body = ExpectedFile),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown, invalid or cannot be changed"),
        (status = 404, description = "EXPECTED_FILE_NOT_FOUND"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn replace_expected_file(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NewExpectedFile>,
) -> Result<Answer<ExpectedFile>> {
    let plan = plan(&command.body)?;
    write(&app, "reconciliation.replace_expected_file", caller.actor(), command, move |scope| {
        let (plan, if_match) = (plan.clone(), if_match.clone());
        async move {
            let row =
                expected_files::replace(scope.app, scope.tx, scope.actor, (id, &if_match), &plan).await?;
            let version = row.version;
            Ok(Answer::ok(ExpectedFile::from(row)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Removes an expected file and what was noted of its days. The files that came stay.
#[utoipa::path(
    delete,
    path = "/api/v1/reconciliation/expected-files/{id}",
    tag = "completeness",
    params(("id" = Uuid, Path, description = "The expected file")),
    responses(
        (status = 200, description = "Removed: the expected file as it was", body = ExpectedFile),
        (status = 404, description = "EXPECTED_FILE_NOT_FOUND"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn remove_expected_file(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<ExpectedFile>> {
    write(&app, "reconciliation.remove_expected_file", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let row = expected_files::remove(scope.app, scope.tx, scope.actor, (id, &if_match)).await?;
            Ok(Answer::ok(ExpectedFile::from(row)))
        }
        .boxed()
    })
    .await
}

fn plan(body: &NewExpectedFile) -> Result<Plan> {
    check_account(&body.account)?;
    if let Some(pattern) = &body.name_pattern {
        check_text("name_pattern", pattern, 1, LONGEST_PATTERN)?;
    }
    if body.holidays.len() > MOST_HOLIDAYS {
        return Err(Error::invalid_field(
            "holidays",
            format!("has more than {MOST_HOLIDAYS} dates; remove those that are long past"),
            format!("超过 {MOST_HOLIDAYS} 个日期，请删除早已过去的日期"),
        ));
    }
    let weekdays = Weekdays::of(body.weekdays.iter().map(|day| (*day).into()));
    let weekdays = weekdays
        .ok_or_else(|| Error::invalid_field("weekdays", "at least one day is needed", "至少需要一天"))?;
    Ok(Plan {
        channel: body.channel,
        account: body.account.trim().to_owned(),
        role: body.role,
        timezone: body.timezone.clone(),
        due_after_days: body.due_after_days,
        due_time: body.due_time.clone(),
        weekdays,
        holidays: body.holidays.iter().copied().collect(),
        counts_from: body.counts_from,
        escalate_after_hours: body.escalate_after_hours,
        name_pattern: body.name_pattern.clone(),
        sequence_restarts: body.sequence_restarts,
    })
}
