//! Personal data: told of, and erased.

use std::sync::Arc;

use axum::extract::State;
use futures::FutureExt;
use payops_platform::auth::{AdminOnly, Authorized};
use payops_platform::error::Result;
use payops_platform::http::{Answer, Command};

use super::wire::{Erasure, ErasureOrder, PersonalData, SubjectQuery};
use crate::Disputes;
use crate::ops::{By, Source, personal};

/// Tells everything personal that is known of a customer, or of one dispute. That it was told is written down.
///
/// It is a `POST` because an address does not belong into one of the web: those are logged.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/personal-data/export",
    tag = "personal data",
    request_body = SubjectQuery,
    responses(
        (status = 200, description = "All of it; no disputes where nothing is known, or all of it was erased", body = PersonalData),
        (status = 400, description = "INVALID_REQUEST: neither customer_email nor dispute_id, or both"),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
    )
)]
pub(super) async fn export_personal_data(
    State(app): State<Disputes>,
    caller: Authorized<AdminOnly>,
    command: Command<SubjectQuery>,
) -> Result<Answer<PersonalData>> {
    let subject = command.body.subject()?;
    // Not kept for an Idempotency-Key: nothing personal is written down in the clear.
    let known = personal::export(&app, caller.actor(), subject).await?;
    Ok(Answer::ok(PersonalData::of(app.context.now(), known)))
}

/// Erases everything personal that is known of a customer, or of one dispute, for good. What happened to the disputes, and
/// their money, stands. Again, it changes nothing.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/personal-data/erase",
    tag = "personal data",
    request_body = ErasureOrder,
    responses(
        (status = 200, description = "The disputes of which nothing personal is known any more; none where nothing was known", body = Erasure),
        (status = 400, description = "INVALID_REQUEST: neither customer_email nor dispute_id, or both; a reason is missing, or says the address"),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "SUBJECT_DISPUTES_OPEN: data names those that are still open; nothing was erased"),
    )
)]
pub(super) async fn erase_personal_data(
    State(app): State<Disputes>,
    caller: Authorized<AdminOnly>,
    command: Command<ErasureOrder>,
) -> Result<Answer<Erasure>> {
    let order = command.body.order()?;
    // It may be repeated without a key, of which a hash of the address would be kept.
    let shared = Arc::new((app.clone(), caller.actor(), order));
    let erased = app.context.db.write("disputes.erase", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, actor, (subject, reason)) = &*shared;
            personal::erase(&By { app, tx, actor, source: Source::Api }, subject, reason).await
        }
        .boxed()
    });
    Ok(Answer::ok(Erasure::of(erased.await?)))
}
