//! Schedules: what creates and starts tasks by itself. Admins only.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId};
use uuid::Uuid;

use super::wire::{NewSchedule, Schedule};
use super::{check_account, check_text, write};
use crate::Reconciliation;
use crate::ops::schedules::{self, Plan};
use crate::store::schedule;

/// Makes a schedule. At each of its times it creates and starts the task of the day before, in its zone, and of
/// every day that was missed while the service was away: each once. A day that has a task already is left alone.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/schedules",
    tag = "schedules",
    request_body = NewSchedule,
    responses(
        (status = 201, description = "Made; its ETag is its version", body = Schedule),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 409, description = "SCHEDULE_EXISTS: another schedule makes the tasks of these days; data names it"),
    )
)]
pub(super) async fn create_schedule(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    command: Command<NewSchedule>,
) -> Result<Answer<Schedule>> {
    let plan = plan(&command.body)?;
    write(&app, "reconciliation.create_schedule", caller.actor(), command, move |scope| {
        let plan = plan.clone();
        async move {
            let planned = schedules::create(scope.app, scope.tx, scope.actor, &plan).await?;
            let version = planned.schedule.version;
            Ok(Answer::created(Schedule::from(planned)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Lists schedules, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/schedules",
    tag = "schedules",
    params(schedule::Filter, PageParams),
    responses((status = 200, description = "A page of schedules", body = Vec<Schedule>))
)]
pub(super) async fn list_schedules(
    State(app): State<Reconciliation>,
    _: Authorized<AdminOnly>,
    query: PageQuery<Uuid, schedule::Filter>,
) -> Result<Answer<Page<Schedule>>> {
    let page = schedules::list(&app, query.filter, query.page).await?;
    Ok(Answer::ok(page.map(Schedule::from)))
}

/// Gives one schedule.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/schedules/{id}",
    tag = "schedules",
    params(("id" = Uuid, Path, description = "The schedule")),
    responses(
        (status = 200, description = "The schedule; its ETag is its version", body = Schedule),
        (status = 404, description = "SCHEDULE_NOT_FOUND"),
    )
)]
pub(super) async fn get_schedule(
    State(app): State<Reconciliation>,
    _: Authorized<AdminOnly>,
    PathId(id): PathId,
) -> Result<Answer<Schedule>> {
    let planned = schedules::find(&app, id).await?;
    let version = planned.schedule.version;
    Ok(Answer::ok(Schedule::from(planned)).etag(version))
}

/// Puts another plan in the place of a schedule's. A schedule that is switched on again, or whose channel, account or
/// zone changes, begins anew with the day before its next time; any other change loses no day.
#[utoipa::path(
    put,
    path = "/api/v1/reconciliation/schedules/{id}",
    tag = "schedules",
    params(("id" = Uuid, Path, description = "The schedule")),
    request_body = NewSchedule,
    responses(
        (status = 200, description = "Changed; its ETag is its version", body = Schedule),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 404, description = "SCHEDULE_NOT_FOUND"),
        (status = 409, description = "SCHEDULE_EXISTS: another schedule makes the tasks of these days; data names it"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn replace_schedule(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NewSchedule>,
) -> Result<Answer<Schedule>> {
    let plan = plan(&command.body)?;
    write(&app, "reconciliation.replace_schedule", caller.actor(), command, move |scope| {
        let (plan, if_match) = (plan.clone(), if_match.clone());
        async move {
            let planned =
                schedules::replace(scope.app, scope.tx, scope.actor, (id, &if_match), &plan).await?;
            let version = planned.schedule.version;
            Ok(Answer::ok(Schedule::from(planned)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Removes a schedule. The tasks that it made stay.
#[utoipa::path(
    delete,
    path = "/api/v1/reconciliation/schedules/{id}",
    tag = "schedules",
    params(("id" = Uuid, Path, description = "The schedule")),
    responses(
        (status = 200, description = "Removed: the schedule as it was", body = Schedule),
        (status = 404, description = "SCHEDULE_NOT_FOUND"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn remove_schedule(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<Schedule>> {
    write(&app, "reconciliation.remove_schedule", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let planned = schedules::remove(scope.app, scope.tx, scope.actor, (id, &if_match)).await?;
            Ok(Answer::ok(Schedule::from(planned)))
        }
        .boxed()
    })
    .await
}

fn plan(body: &NewSchedule) -> Result<Plan> {
    check_account(&body.account)?;
    check_text("cron", &body.cron, 1, 200)?;
    Ok(Plan {
        channel: body.channel,
        account: body.account.trim().to_owned(),
        task_type: body.task_type,
        timezone: body.timezone.clone(),
        cron: body.cron.clone(),
        store_matched: body.store_matched,
        enabled: body.enabled,
    })
}
