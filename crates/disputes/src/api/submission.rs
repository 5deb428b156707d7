//! Submissions: order an answer, call it off, concede, look.

use std::sync::Arc;

use axum::extract::State;
use futures::FutureExt;
use payops_platform::auth::{Authorized, OperatorOnly, OperatorOrMerchant};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command, IfMatch, NoBody, PathId, write};

use super::disputes::by;
use super::wire::{NewSubmission, Submission};
use crate::Disputes;
use crate::ops::{submission, vault};
use crate::store::{dispute, submission as rows};

/// Orders the answer: it is packed at once and sent now, at `submit_at`, or a margin before the deadline.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/submit",
    tag = "submissions",
    params(("id" = Uuid, Path, description = "The dispute")),
    request_body = NewSubmission,
    responses(
        (status = 202, description = "Ordered; GET …/submissions shows how far it has come", body = Submission),
        (status = 400, description = "INVALID_REQUEST: submit_at is not before the deadline, or there is none to hold it for"),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "DISPUTE_STATUS: no answer is waited for; SUBMISSION_OPEN: one is under way; NOT_THE_CHANNELS: it was entered by hand"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
        (status = 422, description = "PACKET_BLOCKED: data.problems says why the channel would not take it; DEADLINE_PASSED; EVIDENCE_FILE_MISSING; NOT_CONFIGURED"),
    )
)]
pub(super) async fn submit_dispute(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NewSubmission>,
) -> Result<Answer<Submission>> {
    let when = command.body.when()?;
    let problems = Arc::new(submission::problems(&app, id).await?);
    write(&app, "disputes.submit", caller.actor(), command, move |scope| {
        let (if_match, problems) = (if_match.clone(), Arc::clone(&problems));
        async move {
            let row = submission::submit(&by(&scope), id, &if_match, when, &problems).await?;
            Ok(ordered(row))
        }
        .boxed()
    })
    .await
}

/// Concedes a chargeback, which is lost at once and for good.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/accept",
    tag = "submissions",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 202, description = "Ordered; GET …/submissions shows how far it has come", body = Submission),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "DISPUTE_STATUS: only a chargeback that waits for an answer is conceded; SUBMISSION_OPEN; NOT_THE_CHANNELS"),
        (status = 412, description = "VERSION_MISMATCH: If-Match names an older version"),
        (status = 422, description = "NOT_CONFIGURED: no Stripe key is set"),
    )
)]
pub(super) async fn accept_dispute(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    if_match: IfMatch,
    command: Command<NoBody>,
) -> Result<Answer<Submission>> {
    write(&app, "disputes.accept", caller.actor(), command, move |scope| {
        let if_match = if_match.clone();
        async move { Ok(ordered(submission::accept(&by(&scope), id, &if_match).await?)) }.boxed()
    })
    .await
}

/// Calls off what waits for its time. What is being sent cannot be taken back.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/submission/withdraw",
    tag = "submissions",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 200, description = "Called off", body = Submission),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "SUBMISSION_NOT_HELD: nothing waits, or it is being sent"),
    )
)]
pub(super) async fn withdraw_submission(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOnly>,
    PathId(id): PathId,
    command: Command<NoBody>,
) -> Result<Answer<Submission>> {
    write(&app, "disputes.withdraw", caller.actor(), command, move |scope| {
        async move { Ok(Answer::ok(submission::withdraw(&by(&scope), id).await?.into())) }.boxed()
    })
    .await
}

/// Lists the answers and concessions of a dispute, the last first. There are few: one of a phase, and those called off.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/{id}/submissions",
    tag = "submissions",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 200, description = "All of them", body = Vec<Submission>),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
    )
)]
pub(super) async fn list_submissions(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
) -> Result<Answer<Vec<Submission>>> {
    let db = app.context.db.read();
    dispute::find(db, id, caller.caller.merchant_id()).await?;
    let keys = vault::of(&app, db, id).await?;
    let told = rows::of_dispute(db, id).await?.into_iter().map(|row| {
        let channel_words = submission::channel_words(&keys, &row)?;
        Ok(Submission { channel_words, ..row.into() })
    });
    Ok(Answer::ok(told.collect::<Result<_>>()?))
}

fn ordered(row: rows::Model) -> Answer<Submission> {
    let path = format!("/api/v1/disputes/{}/submissions", row.dispute_id);
    Answer::accepted(row.into()).location(path)
}
