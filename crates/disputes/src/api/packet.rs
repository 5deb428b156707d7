//! What the evidence amounts to: checklist, preflight and packet.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::HeaderName;
use axum::response::{IntoResponse, Response};
use payops_platform::auth::{Authorized, OperatorOrMerchant};
use payops_platform::error::{Language, Result};
use payops_platform::http::{Answer, Command, NoBody, PathId, StrictQuery};

use super::evidence::attachment;
use super::wire::{
    Checklist, PacketFormat, PacketLanguage, PacketProblem, PacketQuery, PacketState, PacketView, Preflight,
};
use crate::Disputes;
use crate::evidence::preflight::may_send;
use crate::ops::packet::{Manifest, assemble};
use crate::ops::print::print;
use crate::ops::submission::waits_for_answer;
use crate::ops::vault;
use crate::store::{dispute, sent};

const PACKET_SHA256: HeaderName = HeaderName::from_static("packet-sha256");

/// Says what a dispute calls for, by its reason and by what was sold, and what of it is there.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/{id}/checklist",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 200, description = "The list", body = Checklist),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 410, description = "ERASED: the personal data of the dispute was erased"),
        (status = 422, description = "EVIDENCE_FILE_MISSING: the store has lost a file"),
        (status = 503, description = "UNAVAILABLE: the store of files is away"),
    )
)]
pub(super) async fn checklist(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
) -> Result<Answer<Checklist>> {
    let dispute = dispute::find(app.context.db.read(), id, caller.caller.merchant_id()).await?;
    let packet = assemble(&app, &dispute).await?;
    Ok(Answer::ok(Checklist::of(&dispute, &packet.checklist(&dispute))))
}

/// Tells everything that stands against sending what the dispute has now. Nothing is sent.
#[utoipa::path(
    post,
    path = "/api/v1/disputes/{id}/preflight",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The dispute")),
    responses(
        (status = 200, description = "What was found", body = Preflight),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 410, description = "ERASED: the personal data of the dispute was erased"),
        (status = 422, description = "EVIDENCE_FILE_MISSING: the store has lost a file"),
        (status = 503, description = "UNAVAILABLE: the store of files is away"),
    )
)]
pub(super) async fn preflight(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
    _: Command<NoBody>,
) -> Result<Answer<Preflight>> {
    let dispute = dispute::find(app.context.db.read(), id, caller.caller.merchant_id()).await?;
    let packet = assemble(&app, &dispute).await?;
    let problems = packet.problems(&dispute);
    let refused = waits_for_answer(&dispute, app.context.now()).err();
    let may_send = refused.is_none() && may_send(&problems);
    let told = problems.iter().map(|problem| PacketProblem::of(problem, &packet.attached_ids));
    let problems = refused.iter().map(PacketProblem::refusal).chain(told).collect();
    Ok(Answer::ok(Preflight { may_send, packet_sha256: packet.sha256, problems }))
}

/// Gives exactly what was sent for this phase or, before that, what would be sent now.
#[utoipa::path(
    get,
    path = "/api/v1/disputes/{id}/packet",
    tag = "evidence",
    params(("id" = Uuid, Path, description = "The dispute"), PacketQuery),
    responses(
        (status = 200, description = "The list with its hash; with format=pdf the whole packet as a PDF, the hash of the list in the header Packet-SHA256", body = PacketView),
        (status = 400, description = "INVALID_REQUEST: a format or language that is not made"),
        (status = 404, description = "DISPUTE_NOT_FOUND"),
        (status = 410, description = "ERASED: the personal data of the dispute was erased"),
        (status = 422, description = "EVIDENCE_FILE_MISSING: the store has lost a file; FILE_TOO_COMPLEX: the files cannot be one PDF"),
        (status = 503, description = "UNAVAILABLE: the store of files is away"),
    )
)]
pub(super) async fn packet(
    State(app): State<Disputes>,
    caller: Authorized<OperatorOrMerchant>,
    PathId(id): PathId,
    StrictQuery(query): StrictQuery<PacketQuery>,
) -> Result<Response> {
    let db = app.context.db.read();
    let dispute = dispute::find(db, id, caller.caller.merchant_id()).await?;
    let keys = vault::of(&app, db, id).await?;
    let kept = sent::last_packet(db, id).await?;
    // What was sent for an earlier phase does not answer this one.
    let kept = kept.filter(|kept| kept.state == "sending" || dispute.evidence_submitted);
    let (state, packet, packet_sha256, contents) = if let Some(kept) = kept {
        let state = if kept.state == "sending" { PacketState::Sending } else { PacketState::Sent };
        (state, Manifest::kept(&keys, kept.id, &kept.packet)?, kept.packet_sha256, BTreeMap::new())
    } else {
        let made = assemble(&app, &dispute).await?;
        (PacketState::Draft, made.manifest, made.sha256, made.contents)
    };
    match query.format {
        PacketFormat::Json => Ok(Answer::ok(PacketView { state, packet_sha256, packet }).into_response()),
        PacketFormat::Pdf => {
            let language = match query.language {
                PacketLanguage::En => Language::English,
                PacketLanguage::Zh => Language::Chinese,
            };
            let name = format!("{}.pdf", dispute.dispute_no);
            let printed = print(&app, &keys, dispute, packet, contents, language).await?;
            let file = attachment("application/pdf", &name, printed.bytes);
            Ok(([(PACKET_SHA256, packet_sha256)], file).into_response())
        }
    }
}
