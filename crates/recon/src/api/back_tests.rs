//! Back-tests of rules of tolerance. Admins make them, call them off and remove them, operators read them.

use axum::extract::State;
use futures::FutureExt;
use payops_core::page::Page;
use payops_platform::auth::{AdminOnly, Authorized, OperatorOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, NoBody, PageParams, PageQuery, PathId, PathParams};
use uuid::Uuid;

use super::wire::{BackTest, BackTestChange, BackTestTask, NewBackTest};
use super::{check_account, check_dates, check_word, write};
use crate::Reconciliation;
use crate::engine::ChangeKind;
use crate::ops::back_tests::{self, Choice, Plan};
use crate::store::back_test;

/// Asks what a version of the rules would make of days that were reconciled. It changes nothing of them.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/rule-sets/{version}/back-tests",
    tag = "tolerance",
    params(("version" = i64, Path, description = "The version that is tried")),
    request_body = NewBackTest,
    responses(
        (status = 202, description = "Made; watch it by GET", body = BackTest),
        (status = 400, description = "INVALID_REQUEST: name either a channel with its days, or task_ids"),
        (status = 404, description = "RULE_SET_NOT_FOUND; TASK_NOT_FOUND"),
        (status = 422, description = "BACK_TEST_EMPTY: no task has a completed run; BACK_TEST_TOO_LARGE: data says how many tasks there are and may be"),
    )
)]
pub(super) async fn create_back_test(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathParams(version): PathParams<i64>,
    command: Command<NewBackTest>,
) -> Result<Answer<BackTest>> {
    let plan = plan(version, &command.body)?;
    write(&app, "reconciliation.create_back_test", caller.actor(), command, move |scope| {
        let plan = plan.clone();
        async move {
            let test = back_tests::create(scope.app, scope.tx, scope.actor, &plan).await?;
            Ok(Answer::accepted(BackTest::try_from(test)?))
        }
        .boxed()
    })
    .await
}

/// Lists back-tests, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/back-tests",
    tag = "tolerance",
    params(back_test::Filter, PageParams),
    responses((status = 200, description = "A page of back-tests", body = Vec<BackTest>))
)]
pub(super) async fn list_back_tests(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    query: PageQuery<Uuid, back_test::Filter>,
) -> Result<Answer<Page<BackTest>>> {
    let page = back_test::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(each(page)?))
}

/// Gives one back-test with what it has found so far.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/back-tests/{id}",
    tag = "tolerance",
    params(("id" = Uuid, Path, description = "The back-test")),
    responses(
        (status = 200, description = "The back-test", body = BackTest),
        (status = 404, description = "BACK_TEST_NOT_FOUND"),
    )
)]
pub(super) async fn get_back_test(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
) -> Result<Answer<BackTest>> {
    Ok(Answer::ok(back_test::find(app.context.db.read(), id).await?.try_into()?))
}

/// Calls a back-test off. What it has found until then is kept.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/back-tests/{id}/cancel",
    tag = "tolerance",
    params(("id" = Uuid, Path, description = "The back-test")),
    responses(
        (status = 200, description = "Cancelled", body = BackTest),
        (status = 404, description = "BACK_TEST_NOT_FOUND"),
        (status = 409, description = "BACK_TEST_OVER: data says how it ended"),
    )
)]
pub(super) async fn cancel_back_test(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    command: Command<NoBody>,
) -> Result<Answer<BackTest>> {
    write(&app, "reconciliation.cancel_back_test", caller.actor(), command, move |scope| {
        async move {
            let test = back_tests::cancel(scope.app, scope.tx, scope.actor, id).await?;
            Ok(Answer::ok(BackTest::try_from(test)?))
        }
        .boxed()
    })
    .await
}

/// Removes a back-test that is over, with all that it has found. That it was made and removed stays in the audit log.
#[utoipa::path(
    delete,
    path = "/api/v1/reconciliation/back-tests/{id}",
    tag = "tolerance",
    params(("id" = Uuid, Path, description = "The back-test")),
    responses(
        (status = 200, description = "Removed: the back-test as it was", body = BackTest),
        (status = 404, description = "BACK_TEST_NOT_FOUND"),
        (status = 409, description = "BACK_TEST_NOT_OVER: it is pending or being worked on; cancel it first"),
    )
)]
pub(super) async fn remove_back_test(
    State(app): State<Reconciliation>,
    caller: Authorized<AdminOnly>,
    PathId(id): PathId,
    command: Command<NoBody>,
) -> Result<Answer<BackTest>> {
    write(&app, "reconciliation.remove_back_test", caller.actor(), command, move |scope| {
        async move {
            let test = back_tests::remove(scope.app, scope.tx, scope.actor, id).await?;
            Ok(Answer::ok(BackTest::try_from(test)?))
        }
        .boxed()
    })
    .await
}

/// Lists the tasks of a back-test, the oldest day first.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/back-tests/{id}/tasks",
    tag = "tolerance",
    params(("id" = Uuid, Path, description = "The back-test"), PageParams),
    responses(
        (status = 200, description = "A page of tasks", body = Vec<BackTestTask>),
        (status = 404, description = "BACK_TEST_NOT_FOUND"),
    )
)]
pub(super) async fn list_back_test_tasks(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
    query: PageQuery<i64>,
) -> Result<Answer<Page<BackTestTask>>> {
    let conn = app.context.db.read();
    let test = back_test::find(conn, id).await?;
    Ok(Answer::ok(each(back_test::task::list(conn, test.id, &query.page).await?)?))
}

/// Lists what both versions tell otherwise: task by task, inside a task in the order of its files.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/back-tests/{id}/changes",
    tag = "tolerance",
    params(("id" = Uuid, Path, description = "The back-test"), back_test::change::Filter, PageParams),
    responses(
        (status = 200, description = "A page of changes", body = Vec<BackTestChange>),
        (status = 404, description = "BACK_TEST_NOT_FOUND"),
    )
)]
pub(super) async fn list_back_test_changes(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
    query: PageQuery<back_test::change::Cursor, back_test::change::Filter>,
) -> Result<Answer<Page<BackTestChange>>> {
    check_word("kind", query.filter.kind.as_deref(), &ChangeKind::ALL.map(ChangeKind::as_str))?;
    let conn = app.context.db.read();
    let test = back_test::find(conn, id).await?;
    let page = back_test::change::list(conn, test.id, &query.filter, &query.page).await?;
    Ok(Answer::ok(each(page)?))
}

fn plan(version: i64, body: &NewBackTest) -> Result<Plan> {
    let choice = match (&body.task_ids, body.channel) {
        (Some(ids), None) => {
            let of_days = [
                ("account", body.account.is_some()),
                ("first_date", body.first_date.is_some()),
                ("last_date", body.last_date.is_some()),
            ];
            if let Some((field, _)) = of_days.into_iter().find(|(_, given)| *given) {
                return Err(not_both(field));
            }
            Choice::Tasks(ids.iter().copied().collect())
        }
        (Some(_), Some(_)) => return Err(not_both("channel")),
        (None, channel) => {
            let channel = channel.ok_or_else(|| missing("channel"))?;
            if let Some(account) = &body.account {
                check_account(account)?;
            }
            check_dates(&[("first_date", body.first_date), ("last_date", body.last_date)])?;
            let first = body.first_date.ok_or_else(|| missing("first_date"))?;
            let last = body.last_date.ok_or_else(|| missing("last_date"))?;
            if last < first {
                return Err(Error::invalid_field("last_date", "lies before first_date", "早于 first_date"));
            }
            let account = body.account.as_ref().map(|account| account.trim().to_owned());
            Choice::Days { channel, account, days: first..=last }
        }
    };
    Ok(Plan { version, baseline: body.baseline, choice })
}

fn not_both(field: &str) -> Error {
    Error::invalid_field(
        field,
        "give a channel with its days, or task_ids, not both",
        "渠道日期与 task_ids 只能二选一",
    )
}

fn missing(field: &str) -> Error {
    Error::invalid_field(
        field,
        "give a channel with first_date and last_date, or task_ids",
        "请提供 channel、first_date 与 last_date，或提供 task_ids",
    )
}

fn each<T, U: TryFrom<T, Error = Error>>(page: Page<T>) -> Result<Page<U>> {
    let items = page.items.into_iter().map(U::try_from).collect::<Result<Vec<U>>>()?;
    Ok(Page {
        items,
        page: page.page,
        page_size: page.page_size,
        total: page.total,
        total_capped: page.total_capped,
        next_cursor: page.next_cursor,
    })
}
