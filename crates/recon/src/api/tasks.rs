//! Tasks: create, list, start, cancel, watch.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::FutureExt;
use futures::stream::{self, Stream};
use payops_core::page::Page;
use payops_platform::auth::{Authorized, OperatorOnly, OperatorOrService};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, IfMatch, NoBody, PageParams, PageQuery, PathId};
use uuid::Uuid;

use super::wire::{LateInput, NewTask, Task, TaskDetail};
use super::{Scope, check_account, check_dates, check_word, write};
use crate::Reconciliation;
use crate::engine::Verdict;
use crate::model::TaskStatus;
use crate::ops::{completeness, tasks};
use crate::store::task;

/// How often a watched task is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Creates a reconciliation task for one business day of one channel.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/tasks",
    tag = "tasks",
    request_body = NewTask,
    responses(
        (status = 201, description = "Created", body = Task),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 409, description = "TASK_EXISTS: another task reconciles this day; data names it"),
    )
)]
pub(super) async fn create_task(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOrService>,
    command: Command<NewTask>,
) -> Result<Answer<Task>> {
    check_account(&command.body.account)?;
    write(&app, "reconciliation.create_task", caller.actor(), command, |scope| create(scope).boxed()).await
}

#[tracing::instrument(name = "reconciliation.CreateTask", skip_all, fields(channel = scope.body.channel.as_str()))]
async fn create(scope: Scope<'_, NewTask>) -> Result<Answer<Task>> {
    let body = scope.body;
    let new = tasks::NewTask {
        task_date: body.task_date,
        timezone: body.timezone.clone(),
        channel: body.channel,
        account: body.account.trim().to_owned(),
        task_type: body.task_type,
        store_matched: body.store_matched,
    };
    let task = tasks::create(scope.app, scope.tx, scope.actor, &new).await?;
    Ok(Answer::created(Task::from(task)))
}

/// Lists tasks, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/tasks",
    tag = "tasks",
    params(task::Filter, PageParams),
    responses((status = 200, description = "A page of tasks", body = Vec<Task>))
)]
pub(super) async fn list_tasks(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, task::Filter>,
) -> Result<Answer<Page<Task>>> {
    let filter = &query.filter;
    check_word("verdict", filter.verdict.as_deref(), &Verdict::ALL.map(Verdict::as_str))?;
    check_dates(&[
        ("task_date", filter.task_date),
        ("date_from", filter.date_from),
        ("date_to", filter.date_to),
    ])?;
    let page = task::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(Task::from)))
}

/// Gives one task, and the expected files of its day that are late.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/tasks/{id}",
    tag = "tasks",
    params(("id" = Uuid, Path, description = "The task")),
    responses(
        (status = 200, description = "The task; its ETag is its version", body = TaskDetail),
        (status = 404, description = "TASK_NOT_FOUND"),
    )
)]
pub(super) async fn get_task(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
) -> Result<Answer<TaskDetail>> {
    let task = task::find(app.context.db.read(), id).await?;
    let version = task.version;
    let late = completeness::late_inputs(&app, &task).await?;
    let late_inputs = late.into_iter().map(LateInput::from).collect();
    Ok(Answer::ok(TaskDetail { task: Task::from(task), late_inputs }).etag(version))
}

/// Starts a task: the first run, or another one of a completed or failed task.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/tasks/{id}/execute",
    tag = "tasks",
    params(("id" = Uuid, Path, description = "The task")),
    responses(
        (status = 202, description = "Started; watch it by GET or by its events", body = Task),
        (status = 404, description = "TASK_NOT_FOUND"),
        (status = 409, description = "TASK_STATE: it is running already, or cancelled"),
    )
)]
pub(super) async fn execute_task(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    command: Command<NoBody>,
) -> Result<Answer<Task>> {
    write(&app, "reconciliation.execute_task", caller.actor(), command, move |scope| {
        async move {
            let task = tasks::execute(scope.app, scope.tx, scope.actor, id).await?;
            Ok(Answer::accepted(Task::from(task)))
        }
        .boxed()
    })
    .await
}

/// Starts a failed task again.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/tasks/{id}/retry",
    tag = "tasks",
    params(("id" = Uuid, Path, description = "The task")),
    responses(
        (status = 202, description = "Started", body = Task),
        (status = 404, description = "TASK_NOT_FOUND"),
        (status = 409, description = "TASK_STATE: it has not failed"),
    )
)]
pub(super) async fn retry_task(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    command: Command<NoBody>,
) -> Result<Answer<Task>> {
    write(&app, "reconciliation.retry_task", caller.actor(), command, move |scope| {
        async move {
            let task = tasks::retry(scope.app, scope.tx, scope.actor, id).await?;
            Ok(Answer::accepted(Task::from(task)))
        }
        .boxed()
    })
    .await
}

/// Calls a task off. What a running one has found so far is dropped; the day is free for another task.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/tasks/{id}/cancel",
    tag = "tasks",
    params(("id" = Uuid, Path, description = "The task")),
    responses(
        (status = 200, description = "Cancelled; where an earlier run was completed, its run alone: failed with RUN_CANCELLED", body = Task),
        (status = 404, description = "TASK_NOT_FOUND"),
        (status = 409, description = "TASK_STATE: it is completed or cancelled"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn cancel_task(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<Task>> {
    write(&app, "reconciliation.cancel_task", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let task = tasks::cancel(scope.app, scope.tx, scope.actor, id, &if_match).await?;
            Ok(Answer::ok(Task::from(task)))
        }
        .boxed()
    })
    .await
}

/// Streams a task's progress as server-sent events (`event: task`, the task as JSON) until it ends.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/tasks/{id}/events",
    tag = "tasks",
    params(("id" = Uuid, Path, description = "The task")),
    responses(
        (status = 200, description = "The task each time it changed", content_type = "text/event-stream", body = Task),
        (status = 404, description = "TASK_NOT_FOUND"),
    )
)]
pub(super) async fn task_events(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let first = task::find(app.context.db.read(), id).await?;
    Ok(Sse::new(stream::unfold(Watch::new(app, first), Watch::next)).keep_alive(KeepAlive::default()))
}

/// A task that is being watched, and what was last told of it.
struct Watch {
    app: Reconciliation,
    id: Uuid,
    untold: Option<task::Model>,
    told: Option<task::Model>,
}

impl Watch {
    fn new(app: Reconciliation, first: task::Model) -> Self {
        Self { app, id: first.id, untold: Some(first), told: None }
    }

    /// The next change; none once the end was told, or when the task can no longer be read.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        if self.told.as_ref().is_some_and(|task| has_ended(task.status)) {
            return None;
        }
        loop {
            if let Some(task) = self.untold.take().filter(|task| Some(task) != self.told.as_ref()) {
                self.told = Some(task.clone());
                let event = Event::default().event("task").json_data(Task::from(task)).ok()?;
                return Some((Ok(event), self));
            }
            tokio::time::sleep(LOOK_EVERY).await;
            self.untold = Some(task::find(self.app.context.db.read(), self.id).await.ok()?);
        }
    }
}

fn has_ended(status: TaskStatus) -> bool {
    matches!(status, TaskStatus::Completed | TaskStatus::Failed | TaskStatus::Cancelled)
}
