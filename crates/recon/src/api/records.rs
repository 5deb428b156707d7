//! Records: list, take, close, reopen, discuss.

use std::collections::HashMap;

use axum::extract::State;
use futures::FutureExt;
use payops_channels::row::Kind;
use payops_core::page::Page;
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, IfMatch, PageParams, PageQuery, PathId};
use uuid::Uuid;

use super::wire::{
    AssignRecords, Changed, CloseRecord, CloseRecords, ClosedStatus, NewComment, Record, RecordEvent,
    RecordWithHistory, ReopenRecord,
};
use super::{Scope, check_dates, check_text, check_word, is_blank, write};
use crate::Reconciliation;
use crate::engine::DiffType;
use crate::model::ReasonCode;
use crate::ops::records::{self, Change, Closing};
use crate::payouts::PayoutOutcome;
use crate::store::record;

/// The most records that one call may change.
const MOST_AT_ONCE: usize = 500;

/// Lists records: newest task first, inside a task in the order of its output.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/records",
    tag = "records",
    params(record::Filter, PageParams),
    responses((status = 200, description = "A page of records", body = Vec<Record>))
)]
pub(super) async fn list_records(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    mut query: PageQuery<record::Cursor, record::Filter>,
) -> Result<Answer<Page<Record>>> {
    let filter = &query.filter;
    let of_payouts = PayoutOutcome::ALL.into_iter().filter(|outcome| outcome.is_difference());
    let types: Vec<&str> = DiffType::ALL
        .into_iter()
        .map(DiffType::as_str)
        .chain(of_payouts.map(PayoutOutcome::as_str))
        .collect();
    check_word("diff_type", filter.diff_type.as_deref(), &types)?;
    check_word("kind", filter.kind.as_deref(), &Kind::ALL.map(Kind::as_str))?;
    check_dates(&[("task_date", filter.task_date)])?;
    query.filter.currency = query.filter.currency.map(|currency| currency.to_ascii_uppercase());
    let page = record::list(app.context.db.read(), &query.filter, &query.page).await?;
    Ok(Answer::ok(page.map(Record::from)))
}

/// Gives one record with its history.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/records/{id}",
    tag = "records",
    params(("id" = Uuid, Path, description = "The record")),
    responses(
        (status = 200, description = "The record; its ETag is its version", body = RecordWithHistory),
        (status = 404, description = "RECORD_NOT_FOUND"),
    )
)]
pub(super) async fn get_record(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    PathId(id): PathId,
) -> Result<Answer<RecordWithHistory>> {
    let found = record::find(app.context.db.read(), id).await?;
    let history = record::events(app.context.db.read(), id).await?;
    let version = found.version;
    let history = history.into_iter().map(RecordEvent::from).collect();
    let lines: Vec<i64> = found.candidates()?.iter().filter_map(|candidate| candidate.line).collect();
    let ids = if lines.is_empty() {
        HashMap::new()
    } else {
        record::candidates_of(app.context.db.read(), &found, &lines).await?
    };
    let mut record = Record::from(found);
    for candidate in &mut record.candidates {
        candidate.record_id =
            candidate.line.and_then(|line| ids.get(&line).copied()).or(candidate.carried_from);
    }
    Ok(Answer::ok(RecordWithHistory { record, history }).etag(version))
}

/// Closes a record. Of two callers at once one wins, the other gets 409.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/records/{id}/resolve",
    tag = "records",
    params(("id" = Uuid, Path, description = "The record")),
    request_body = CloseRecord,
    responses(
        (status = 200, description = "Closed", body = Record),
        (status = 404, description = "RECORD_NOT_FOUND"),
        (status = 409, description = "RECORD_ALREADY_CLOSED: data says by whom; or RECORD_GONE"),
        (status = 422, description = "NOT_A_CANDIDATE: the record could not belong to the one that was chosen"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn resolve_record(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<CloseRecord>,
) -> Result<Answer<Record>> {
    let body = &command.body;
    let candidate = body.candidate_record_id;
    let closing = closing(body.reason_code, body.note.as_deref(), body.status, candidate)?;
    write(&app, "reconciliation.resolve_record", caller.actor(), command, move |scope| {
        let (closing, if_match) = (closing.clone(), if_match.clone());
        async move {
            let by = Change { actor: scope.actor, if_match: &if_match };
            let record = records::close(scope.app, scope.tx, &by, id, &closing).await?;
            let version = record.version;
            Ok(Answer::ok(Record::from(record)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Takes a closing back, with a reason.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/records/{id}/reopen",
    tag = "records",
    params(("id" = Uuid, Path, description = "The record")),
    request_body = ReopenRecord,
    responses(
        (status = 200, description = "Open again", body = Record),
        (status = 404, description = "RECORD_NOT_FOUND"),
        (status = 409, description = "RECORD_NOT_CLOSED or RECORD_GONE"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
    )
)]
pub(super) async fn reopen_record(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<ReopenRecord>,
) -> Result<Answer<Record>> {
    check_text("reason", &command.body.reason, 1, 2000)?;
    write(&app, "reconciliation.reopen_record", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move {
            let by = Change { actor: scope.actor, if_match: &if_match };
            let record = records::reopen(scope.app, scope.tx, &by, id, &scope.body.reason).await?;
            let version = record.version;
            Ok(Answer::ok(Record::from(record)).etag(version))
        }
        .boxed()
    })
    .await
}

/// Adds a comment to a record.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/records/{id}/comments",
    tag = "records",
    params(("id" = Uuid, Path, description = "The record")),
    request_body = NewComment,
    responses(
        (status = 201, description = "Added", body = RecordEvent),
        (status = 404, description = "RECORD_NOT_FOUND"),
    )
)]
pub(super) async fn comment_record(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    command: Command<NewComment>,
) -> Result<Answer<RecordEvent>> {
    check_text("comment", &command.body.comment, 1, 2000)?;
    write(&app, "reconciliation.comment_record", caller.actor(), command, move |scope| {
        async move {
            let event = records::comment(scope.app, scope.tx, scope.actor, id, &scope.body.comment).await?;
            Ok(Answer::created(RecordEvent::from(event)))
        }
        .boxed()
    })
    .await
}

/// Closes up to 500 records in one step: all of them or none.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/records/bulk-resolve",
    tag = "records",
    request_body = CloseRecords,
    responses(
        (status = 200, description = "All closed", body = Changed),
        (status = 404, description = "RECORD_NOT_FOUND: nothing was changed"),
        (status = 409, description = "RECORD_ALREADY_CLOSED or RECORD_GONE: nothing was changed"),
    )
)]
pub(super) async fn bulk_resolve_records(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    command: Command<CloseRecords>,
) -> Result<Answer<Changed>> {
    check_ids(&command.body.record_ids)?;
    let body = &command.body;
    let closing = closing(body.reason_code, body.note.as_deref(), body.status, None)?;
    write(&app, "reconciliation.bulk_resolve", caller.actor(), command, move |scope| {
        let closing = closing.clone();
        async move {
            let by = Change { actor: scope.actor, if_match: &IfMatch::Any };
            for id in in_lock_order(&scope.body.record_ids) {
                records::close(scope.app, scope.tx, &by, id, &closing).await?;
            }
            Ok(Answer::ok(Changed { count: scope.body.record_ids.len() }))
        }
        .boxed()
    })
    .await
}

/// Gives up to 500 records an owner: all of them or none.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/records/assign",
    tag = "records",
    request_body = AssignRecords,
    responses(
        (status = 200, description = "All assigned", body = Changed),
        (status = 404, description = "RECORD_NOT_FOUND: nothing was changed"),
        (status = 409, description = "RECORD_ALREADY_CLOSED or RECORD_GONE: nothing was changed"),
    )
)]
pub(super) async fn assign_records(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    command: Command<AssignRecords>,
) -> Result<Answer<Changed>> {
    check_ids(&command.body.record_ids)?;
    check_text("assigned_to", &command.body.assigned_to, 1, 200)?;
    write(&app, "reconciliation.assign_records", caller.actor(), command, |scope| assign(scope).boxed()).await
}

async fn assign(scope: Scope<'_, AssignRecords>) -> Result<Answer<Changed>> {
    let by = Change { actor: scope.actor, if_match: &IfMatch::Any };
    for id in in_lock_order(&scope.body.record_ids) {
        records::assign(scope.app, scope.tx, &by, id, scope.body.assigned_to.trim()).await?;
    }
    Ok(Answer::ok(Changed { count: scope.body.record_ids.len() }))
}

/// Two bulk calls that share records lock them in the same order, so that neither waits for the other.
fn in_lock_order(ids: &[Uuid]) -> Vec<Uuid> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids
}

fn closing(
    reason_code: ReasonCode,
    note: Option<&str>,
    status: ClosedStatus,
    candidate: Option<Uuid>,
) -> Result<Closing> {
    // A note that shows nothing says nothing: it is no note.
    let note = note.filter(|note| !is_blank(note));
    if let Some(note) = note {
        check_text("note", note, 1, 2000)?;
    }
    let ignore = status == ClosedStatus::Ignored;
    let closing = Closing { ignore, reason_code, note: note.map(str::to_owned), candidate };
    closing.check()?;
    Ok(closing)
}

fn check_ids(ids: &[Uuid]) -> Result<()> {
    let mut distinct = ids.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    if (1..=MOST_AT_ONCE).contains(&ids.len()) && distinct.len() == ids.len() {
        return Ok(());
    }
    Err(Error::invalid_field(
        "record_ids",
        format!("1 to {MOST_AT_ONCE} records are accepted, each once; {} were given", ids.len()),
        format!("允许 1 到 {MOST_AT_ONCE} 个不同的记录；收到 {} 个", ids.len()),
    ))
}
