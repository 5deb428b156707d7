//! Packing: what the dispute has becomes a packet, its files are uploaded and all of it is staged at the channel, so that
//! one call remains. Nothing of this is irrevocable; evidence that changes afterwards is packed anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use payops_channels::stripe::api::{EvidenceFile, FileContent, FileType};
use payops_channels::stripe::{Certainty, StripeError};
use payops_platform::error::Result;
use sha2::{Digest, Sha256};

use super::QUIET;
use super::step::{Hold, Pair, Run, Why, is_for_all};
use crate::documents::kind::Format;
use crate::error;
use crate::evidence::preflight::may_send;
use crate::ops::observe::Seen;
use crate::ops::packet::{self, ManifestFile, Packet};
use crate::ops::payment::Link;
use crate::ops::vault;
use crate::store::evidence::{self, Model as Evidence};
use crate::store::submission::{self, Model as Submission, SubmissionState, file};
use crate::vault::DisputeKeys;

/// What a packet of these pieces of evidence is made of, in short. A text never changes: another one is another piece.
pub(super) fn fingerprint(rows: &[Evidence]) -> String {
    let mut hash = Sha256::new();
    for row in rows {
        let file = row.sha256.as_deref().unwrap_or_default();
        for part in [row.id.as_bytes().as_slice(), row.evidence_type.as_bytes(), file.as_bytes()] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    hex::encode(hash.finalize())
}

/// Packs a submission and stages it. What is done of it already is not done again.
pub(super) async fn seal(run: &Run, pair: &Pair) -> Result<()> {
    let Some(pair) = pack(run, pair).await? else { return Ok(()) };
    for file in submission::files(run.app.context.db.read(), pair.submission.id).await? {
        if run.stops() {
            return Ok(());
        }
        if file.channel_file_id.is_none() && !upload(run, &pair, file).await? {
            return Ok(());
        }
    }
    stage(run, &pair).await
}

/// Writes the packet down, with the keys of its uploads. `None` where that leads nowhere.
async fn pack(run: &Run, pair: &Pair) -> Result<Option<Pair>> {
    let rows = evidence::of_dispute(run.app.context.db.read(), pair.dispute.id).await?;
    let made_from = fingerprint(&rows);
    let is_packed = pair.submission.sealed_from.as_deref() == Some(made_from.as_str());
    if is_packed && pair.submission.packet.is_some() {
        return Ok(Some(pair.clone()));
    }
    let packet = packet::assemble(&run.app, &pair.dispute).await?;
    let problems = packet.problems(&pair.dispute);
    if !may_send(&problems) {
        let codes: Vec<_> =
            problems.iter().filter(|problem| problem.blocks).map(|problem| problem.code).collect();
        return blocked(run, pair, made_from, codes.join(", ")).await.map(|()| None);
    }
    let keys = vault::ready(&run.app, pair.dispute.id).await?;
    let keys = keys.ok_or_else(|| error::erased(pair.dispute.id))?;
    packet.keep(&run.app, &keys).await?;
    let shared = Arc::new((packet, keys, made_from));
    let written = run.step("submissions.pack", pair, move |hold| {
        let shared = Arc::clone(&shared);
        async move { write_packet(hold, &shared.0, &shared.1, &shared.2).await }.boxed()
    });
    Ok(written.await?.map(|submission| Pair { submission, dispute: pair.dispute.clone() }))
}

/// What the dispute has now would not be taken. What was packed before stays and is sent when its time comes: better than
/// nothing at the deadline. Without that, people are told.
async fn blocked(run: &Run, pair: &Pair, made_from: String, codes: String) -> Result<()> {
    let shared = Arc::new((made_from, codes));
    run.step("submissions.blocked", pair, move |hold| {
        let shared = Arc::clone(&shared);
        async move {
            let (made_from, codes) = &*shared;
            if hold.submission.staged_at.is_none() {
                return hold
                    .end(
                        SubmissionState::Refused,
                        &format!("the packet cannot be sent: {codes}").as_str().into(),
                    )
                    .await;
            }
            tracing::error!(codes, "changed evidence cannot be sent; the packet from before it stays");
            let mut after = (*hold.submission).clone();
            after.sealed_from = Some(made_from.clone());
            hold.write(after).await.map(|_| ())
        }
        .boxed()
    })
    .await?;
    Ok(())
}

async fn write_packet(
    hold: Hold<'_>,
    packet: &Packet,
    keys: &DisputeKeys,
    made_from: &str,
) -> Result<Submission> {
    let mut after = (*hold.submission).clone();
    after.seal_no += 1;
    after.sealed_from = Some(made_from.to_owned());
    after.packet = Some(packet.manifest.seal(keys, after.id)?);
    after.packet_sha256 = Some(packet.sha256.clone());
    after.staged_at = None;
    let known = submission::files(hold.by.tx.conn(), after.id).await?;
    let known: BTreeMap<_, _> = known.into_iter().map(|file| (file.field.clone(), file)).collect();
    let files = packet.manifest.files.iter().map(|wanted| {
        let field = wanted.evidence_type.stripe_field();
        match known.get(field).filter(|known| known.sha256 == wanted.sha256) {
            Some(known) => known.clone(),
            None => file::Model {
                submission_id: after.id,
                field: field.to_owned(),
                sha256: wanted.sha256.clone(),
                idempotency_key: key(&hold),
                channel_file_id: None,
            },
        }
    });
    let files: Vec<_> = files.collect();
    submission::replace_files(hold.by.tx, after.id, &files).await?;
    hold.write(after).await
}

fn key(hold: &Hold<'_>) -> String {
    format!("payops-{}", hold.by.app.context.new_id())
}

/// Uploads one file under its key; false when the submission has to wait or has ended.
async fn upload(run: &Run, pair: &Pair, file: file::Model) -> Result<bool> {
    let keys = vault::of(&run.app, run.app.context.db.read(), pair.dispute.id).await?;
    let wanted = packed(pair, &keys, &file)?;
    let bytes = run.app.files.get(&keys, &file.sha256).await?;
    let kind = match wanted.format {
        Format::Pdf => FileType::Pdf,
        Format::Jpeg => FileType::Jpeg,
        Format::Png => FileType::Png,
    };
    let evidence = EvidenceFile { name: wanted.file_name, kind, content: FileContent::Bytes(bytes) };
    let uploaded = run.app.stripe()?.once().upload_evidence(&evidence, &file.idempotency_key).await;
    match uploaded {
        Ok(uploaded) => {
            let file = file::Model { channel_file_id: Some(uploaded.id), ..file };
            Ok(write_file(run, pair, file).await?.is_some())
        }
        Err(failed) => {
            // The channel repeats an error of its own under this key for a day; a second upload harms nobody.
            if failed.status().is_some_and(|status| status >= 500) {
                let key = format!("payops-{}", run.app.context.new_id());
                write_file(run, pair, file::Model { idempotency_key: key, ..file }).await?;
            }
            failed_to_seal(run, pair, &failed).await.map(|()| false)
        }
    }
}

fn packed(pair: &Pair, keys: &DisputeKeys, file: &file::Model) -> Result<ManifestFile> {
    let submission = &pair.submission;
    let packet = submission.packet.as_deref().unwrap_or_default();
    let manifest = packet::Manifest::kept(keys, submission.id, packet)?;
    let found = manifest.files.into_iter().find(|wanted| wanted.evidence_type.stripe_field() == file.field);
    found.ok_or_else(|| payops_platform::error::Error::internal("a file is not in its packet"))
}

async fn write_file(run: &Run, pair: &Pair, file: file::Model) -> Result<Option<()>> {
    let file = Arc::new(file);
    run.step("submissions.upload", pair, move |hold| {
        let file = Arc::clone(&file);
        async move { submission::update_file(hold.by.tx, &file).await }.boxed()
    })
    .await
}

/// Stores the evidence at the channel without submitting it.
async fn stage(run: &Run, pair: &Pair) -> Result<()> {
    let begun =
        run.step("submissions.stage", pair, |mut hold| async move { hold.begin_reading().await }.boxed());
    let Some(begun) = begun.await? else { return Ok(()) };
    let update = run.update(pair, false).await?;
    let at = run.app.context.now();
    // Staging twice is staging once, so that this key need not outlive the call.
    let key = format!("payops-{}", run.app.context.new_id());
    match run.app.stripe()?.once().update_dispute(pair.channel_id(), &update, &key).await {
        Ok(object) => {
            let shared = Arc::new((Seen { object, link: Link::NotAsked, at }, pair.submission.seal_no));
            run.step("submissions.staged", pair, move |hold| {
                let shared = Arc::clone(&shared);
                async move { staged(hold, &shared.0, begun, shared.1).await }.boxed()
            })
            .await?;
            Ok(())
        }
        Err(failed) => failed_to_seal(run, pair, &failed).await,
    }
}

async fn staged(mut hold: Hold<'_>, seen: &Seen, begun: i64, seal_no: i32) -> Result<()> {
    let now = hold.by.app.context.now();
    let mut after = (*hold.submission).clone();
    if after.seal_no != seal_no {
        return Ok(());
    }
    let counted = i32::try_from(seen.object.evidence_details.submission_count).unwrap_or(i32::MAX);
    after.staged_at = Some(now);
    after.count_before = counted;
    after.delays = 0;
    let rows = evidence::of_dispute(hold.by.tx.conn(), hold.dispute.id).await?;
    let is_current = after.sealed_from.as_deref() == Some(fingerprint(&rows).as_str());
    // What changed while this was packed is packed anew.
    after.next_at = if is_current { after.submit_at } else { after.submit_at.min(now + QUIET) };
    hold.write(after).await?;
    hold.write_reading(seen, begun).await
}

/// What a failure on the way to a staged packet means: nothing of it is irrevocable.
async fn failed_to_seal(run: &Run, pair: &Pair, failed: &StripeError) -> Result<()> {
    if is_for_all(failed) {
        run.pause(failed);
        return Ok(());
    }
    if failed.certainty != Certainty::Refused {
        tracing::warn!(error = failed.without_words(), submission = %pair.submission.id, "packing will be tried again");
        return run.later(pair).await;
    }
    let why = Arc::new(Why::from(failed));
    run.step("submissions.refused", pair, move |hold| {
        let why = Arc::clone(&why);
        async move { hold.end(SubmissionState::Refused, &why).await }.boxed()
    })
    .await?;
    Ok(())
}
