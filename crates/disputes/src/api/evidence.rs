//! Evidence: add, list, look, take away.

use axum::extract::{FromRequest, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use payops_platform::auth::{Authorized, Caller, OperatorOrMerchant, Role};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, Idempotency, NoBody, PathId, write};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::disputes::by;
use super::form::{self, EvidenceForm, MOST_DESCRIPTION, Upload};
use super::wire::{Evidence, NewText};
use crate::Disputes;
use crate::documents::inspect;
use crate::error;
use crate::ops::evidence::{self, Content, NewEvidence, Opened};
use crate::ops::vault;
use crate::store::{dispute, evidence as rows};

/// Adds evidence: a file as a form, or a text as JSON. A text takes the place of the one of its field; what is there
/// already stays as it is.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/evidence",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The dispute")),
    request_body(content((EvidenceForm = "multipart/form-data"), (NewText = "application/json"))),
    responses(
        (status = 201, description = "Added", body = Evidence),
        (status = 200, description = "It was there already: the same bytes as the same kind, or the same text", body = Evidence),
        (status = 400, description = "INVALID_REQUEST: a field is missing, unknown or invalid"),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 409, description = "DISPUTE_STATUS: it is closed"),
        (status = 413, description = "FILE_TOO_LARGE"),
        (status = 415, description = "FILE_TYPE_UNSUPPORTED: neither PDF, JPEG nor PNG"),
        (status = 422, description = "FILE_EMPTY, FILE_ENCRYPTED, FILE_MALFORMED, FILE_TOO_COMPLEX; EVIDENCE_FULL: 50 files or 25,000,000 bytes are there"),
        (status = 503, description = "UNAVAILABLE: the store of files is away"),
    )
)]
pub(super) async fn add_evidence(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
    request: Request,
) -> Result<Answer<Evidence>> {
    let merchant = caller.caller.merchant_id();
    let command = if form::is_form(request.headers()) {
        let (parts, body) = request.into_parts();
        let upload = form::read(Request::from_parts(parts.clone(), body)).await?;
        // Nothing is stored for a dispute that is not the caller's.
        let dispute = dispute::find(app.context.db.read(), id, merchant).await?;
        store(&app, &dispute, &parts, upload).await?
    } else {
        let Command { body, idempotency } = Command::<NewText>::from_request(request, &()).await?;
        Command { body: body.evidence(MOST_DESCRIPTION)?, idempotency }
    };
    let added = write(&app, "disputes.add_evidence", caller.actor(), command, move |scope| {
        async move {
            let (piece, is_new) = evidence::add(&by(&scope), id, merchant, scope.body).await?;
            let path = Evidence::content_path(piece.row.id);
            let shown = Evidence::from(piece).without_personal();
            Ok(if is_new { Answer::created(shown).location(path) } else { Answer::ok(shown) })
        }
        .boxed()
    });
    with_personal(&app, added.await?).await
}

/// Adds to an answer what is not kept with it for an `Idempotency-Key`.
async fn with_personal(app: &Disputes, answer: Answer<Evidence>) -> Result<Answer<Evidence>> {
    let tell = async |shown: Evidence| {
        let db = app.context.db.read();
        let row = rows::find_ever(db, shown.id).await?;
        let keys = vault::of(app, db, row.dispute_id).await?;
        Ok(shown.with_personal(Opened::of(&keys, row)?.personal))
    };
    answer.told_as(tell).await
}

/// Reads a file and stores it, before any row names it.
async fn store(
    app: &Disputes,
    dispute: &dispute::Model,
    parts: &Parts,
    upload: Upload,
) -> Result<Command<NewEvidence>> {
    let Upload { kind, description, name, bytes } = upload;
    let (called, content) = (name.clone(), bytes.clone());
    let inspection = tokio::task::spawn_blocking(move || inspect(&called, &content));
    let inspection = inspection.await.map_err(Error::internal)??;
    let size = bytes.len();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let key_number = match vault::ready(app, dispute.id).await? {
        Some(keys) => {
            app.files.put(&keys, bytes).await?;
            keys.number()
        }
        // What was personal is erased: nothing is stored, and only what was asked for before is answered.
        None => 0,
    };
    // The boundary of a form is another one each time it is sent.
    let said = json!([kind.as_str(), description, name, sha256]).to_string();
    let idempotency = Idempotency::of(parts, said.as_bytes())?;
    let content = Content::File { inspection, bytes: size, sha256, key_number };
    Ok(Command { body: NewEvidence { evidence_type: kind.as_str(), description, content }, idempotency })
}

/// Lists the evidence of a dispute, the oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/{id}/evidence",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 200, description = "All of it, without what was deleted or replaced", body = Vec<Evidence>),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
    )
)]
pub(super) async fn list_evidence(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
) -> Result<Answer<Vec<Evidence>>> {
    let db = app.context.db.read();
    dispute::find(db, id, caller.caller.merchant_id()).await?;
    let keys = vault::of(&app, db, id).await?;
    let pieces = rows::of_dispute(db, id).await?.into_iter().map(|row| Opened::of(&keys, row));
    Ok(Answer::ok(pieces.map(|piece| Ok(piece?.into())).collect::<Result<_>>()?))
}

/// Takes evidence away. What was sent stays.
#[utoipa::path(
    delete,
    path = "/api/v1/disputes/evidence/{id}",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The evidence")),
    responses(
        (status = 200, description = "Taken away; this is what it was", body = Evidence),
        (status = 404, description = "EVIDENCE_NOT_FOUND"),
        (status = 409, description = "EVIDENCE_SUBMITTED: an answer with it was sent or is on its way; DISPUTE_STATUS: the dispute is closed"),
    )
)]
pub(super) async fn delete_evidence(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
    command: Command<NoBody>,
) -> Result<Answer<Evidence>> {
    let merchant = caller.caller.merchant_id();
    let deleted = write(&app, "disputes.delete_evidence", caller.actor(), command, move |scope| {
        async move {
            let piece = evidence::delete(&by(&scope), id, merchant).await?;
            Ok(Answer::ok(Evidence::from(piece).without_personal()))
        }
        .boxed()
    });
    with_personal(&app, deleted.await?).await
}

/// Gives what a piece of evidence is: the bytes of its file, or its text. An admin gets what was deleted as well, which is part of
/// what is known of a customer.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/evidence/{id}/content",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The evidence")),
    responses(
        (status = 200, description = "The file as it was handed over: application/pdf, image/jpeg or image/png; a text is text/plain", content_type = "application/pdf", body = Vec<u8>),
        (status = 404, description = "EVIDENCE_NOT_FOUND"),
        (status = 410, description = "ERASED: the personal data of the dispute was erased"),
        (status = 422, description = "EVIDENCE_FILE_MISSING: the store has lost the file"),
        (status = 503, description = "UNAVAILABLE: the store of files is away"),
    )
)]
pub(super) async fn evidence_content(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
) -> Result<Response> {
    let row = find(&app, id, &caller.caller).await?;
    let keys = vault::of(&app, app.context.db.read(), row.dispute_id).await?;
    let Opened { row, personal } = Opened::of(&keys, row)?;
    let personal = personal.ok_or_else(|| error::erased(row.dispute_id))?;
    if let Some(text) = personal.text {
        return Ok(attachment("text/plain; charset=utf-8", &format!("{}.txt", row.evidence_type), text));
    }
    let bytes = app.files.get(&keys, row.sha256.as_deref().unwrap_or_default()).await?;
    let content_type = row.content_type.as_deref().unwrap_or("application/octet-stream");
    Ok(attachment(content_type, personal.file_name.as_deref().unwrap_or("file"), bytes))
}

/// The piece of evidence. Whoever may not see its dispute does not learn that it is there.
async fn find(app: &Disputes, id: Uuid, caller: &Caller) -> Result<rows::Model> {
    let (db, merchant) = (app.context.db.read(), caller.merchant_id());
    let is_admin = matches!(caller, Caller::Person { role: Role::Admin, .. });
    let row = if is_admin { rows::find_ever(db, id).await? } else { rows::find(db, id).await? };
    let dispute = dispute::find(db, row.dispute_id, None).await?;
    if merchant.is_some() && dispute.merchant_id != merchant {
        return Err(error::evidence_not_found(id));
    }
    Ok(row)
}

/// A file to be kept rather than shown: it comes from a stranger.
pub(super) fn attachment(content_type: &str, name: &str, bytes: impl IntoResponse) -> Response {
    let headers = [(CONTENT_TYPE, content_type.to_owned()), (CONTENT_DISPOSITION, disposition(name))];
    (headers, bytes).into_response()
}

/// The name twice, as RFC 6266 wants it: in ASCII for old clients, and as it is.
fn disposition(name: &str) -> String {
    use std::fmt::Write;
    let plain =
        |c: char| if c.is_ascii_graphic() && !matches!(c, '"' | '\\' | '%') || c == ' ' { c } else { '_' };
    let mut value = format!(
        "attachment; filename=\"{}\"; filename*=UTF-8''",
        name.chars().map(plain).collect::<String>()
    );
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::disposition;

    #[test]
    fn a_name_of_any_script_is_a_header() {
        assert_eq!(
            disposition("收据 1.pdf"),
            "attachment; filename=\"__ 1.pdf\"; filename*=UTF-8''%E6%94%B6%E6%8D%AE%201.pdf"
        );
        assert_eq!(disposition("a\".pdf"), "attachment; filename=\"a_.pdf\"; filename*=UTF-8''a%22.pdf");
    }
}
