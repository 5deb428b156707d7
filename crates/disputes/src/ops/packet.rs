//! What is sent to the channel as evidence, or would be if it were sent now.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use payops_platform::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;
use uuid::Uuid;

use super::evidence::{Opened, not_erased};
use super::{personal, vault};
use crate::Disputes;
use crate::documents::kind::{Format, misnamed};
use crate::documents::merge::{Source, merge};
use crate::documents::{Inspection, Refusal};
use crate::error;
use crate::evidence::checklist::{Checklist, Item, checklist};
use crate::evidence::preflight::{Attached, Draft, Limits, Prepared, Problem, preflight};
use crate::evidence::{EvidenceKind, Given, TextField};
use crate::store::dispute::Model as Dispute;
use crate::store::evidence::{FEE_ACKNOWLEDGED, Model as Evidence};
use crate::store::{evidence, sent};
use crate::vault::DisputeKeys;

/// A packet without the bytes of its files: what is kept of it, and what its hash is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// Our texts, by field.
    #[schema(value_type = BTreeMap<String, String>)]
    pub texts: BTreeMap<TextField, String>,
    /// Our files, one of a kind.
    pub files: Vec<ManifestFile>,
    /// Whether the network's fee for contesting a compliance case is accepted.
    pub fee_acknowledged: bool,
    /// What the channel has by itself, in fields for which there is nothing of ours. A submission sends it as well.
    pub given: Given,
    /// Fields of the channel that hold what we once stored there and took away since: they are to be emptied.
    pub to_clear: Vec<String>,
    /// The pieces of evidence that this was made of.
    pub evidence_ids: Vec<Uuid>,
}

/// One file as the channel gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManifestFile {
    /// What it shows.
    #[schema(value_type = String)]
    pub evidence_type: EvidenceKind,
    /// The name that it is sent under.
    pub file_name: String,
    /// What its bytes are: `pdf`, `jpeg` or `png`.
    #[schema(value_type = String)]
    pub format: Format,
    /// How many bytes it has.
    pub file_size: u64,
    /// How many pages it has.
    pub pages: usize,
    /// The SHA-256 of its bytes, under which they are kept once the packet is.
    pub sha256: String,
}

impl Manifest {
    /// The packet that a submission was made with.
    ///
    /// # Errors
    /// 410 `ERASED`.
    pub(crate) fn kept(keys: &DisputeKeys, submission_id: Uuid, packet: &[u8]) -> Result<Self> {
        let json = keys.open_kept(&place(submission_id), packet)?;
        serde_json::from_slice(&json).map_err(Error::internal)
    }

    /// As it is kept for a submission.
    pub(crate) fn seal(&self, keys: &DisputeKeys, submission_id: Uuid) -> Result<Vec<u8>> {
        keys.seal(&place(submission_id), &self.to_json()?)
    }

    /// Its JSON, with the names in order and without blanks.
    fn to_json(&self) -> Result<Vec<u8>> {
        let value = serde_json::to_value(self).map_err(Error::internal)?;
        serde_json::to_vec(&value).map_err(Error::internal)
    }

    /// The SHA-256 of its JSON in lower-case hexadecimal.
    pub(crate) fn sha256(&self) -> Result<String> {
        Ok(hex::encode(Sha256::digest(self.to_json()?)))
    }

    /// Everything that the issuer will see.
    fn present(&self) -> BTreeSet<Item> {
        let texts = self.texts.keys().chain(self.given.texts.keys()).map(|&field| Item::Text(field));
        let files = self.files.iter().map(|file| file.evidence_type).chain(self.given.files.keys().copied());
        let fee = self.fee_acknowledged.then_some(Item::FeeAcknowledged);
        texts.chain(files.map(Item::File)).chain(fee).collect()
    }
}

/// What a packet is among what its dispute seals.
fn place(submission_id: Uuid) -> String {
    format!("packet {submission_id}")
}

/// A packet with all that has to be known about it before it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) manifest: Manifest,
    /// The manifest's.
    pub(crate) sha256: String,
    /// The bytes of each of the manifest's files, by their SHA-256.
    pub(crate) contents: BTreeMap<String, Bytes>,
    /// The files as people attached them, the refused among them, which are not part of it.
    attached: Vec<Attached>,
    /// Which pieces of evidence those are.
    pub(crate) attached_ids: Vec<Uuid>,
}

impl Packet {
    /// What stands against sending it, and what should be known before.
    pub(crate) fn problems(&self, dispute: &Dispute) -> Vec<Problem> {
        let files = self.manifest.files.iter();
        let prepared =
            files.map(|file| (file.evidence_type, Prepared { bytes: file.file_size, pages: file.pages }));
        let draft = Draft {
            reason: &dispute.reason,
            product: dispute.product_type,
            card_brand: dispute.card_brand.as_deref(),
            attached: &self.attached,
            prepared: &prepared.collect(),
            texts: &self.manifest.texts,
            given: &self.manifest.given,
            fee_acknowledged: self.manifest.fee_acknowledged,
        };
        preflight(&Limits::STRIPE, &draft)
    }

    /// What the dispute calls for, and what of it is there.
    pub(crate) fn checklist(&self, dispute: &Dispute) -> Checklist {
        checklist(&dispute.reason, dispute.product_type, &self.manifest.present())
    }

    /// Keeps the files, so that what is sent later is what was packed, whatever becomes of the evidence.
    pub(crate) async fn keep(&self, app: &Disputes, keys: &DisputeKeys) -> Result<()> {
        for bytes in self.contents.values() {
            app.files.put(keys, bytes.clone()).await?;
        }
        Ok(())
    }
}

/// Makes the packet of what the dispute has now.
///
/// # Errors
/// 410 `ERASED`; 422 `EVIDENCE_FILE_MISSING` where the store has lost a file; 503 while the store is away.
pub(crate) async fn assemble(app: &Disputes, dispute: &Dispute) -> Result<Packet> {
    let conn = app.context.db.read();
    let keys = vault::of(app, conn, dispute.id).await?;
    if keys.is_erased() {
        return Err(error::erased(dispute.id));
    }
    let ever = not_erased(&keys, evidence::ever_of_dispute(conn, dispute.id).await?)?;
    let channels = personal::channels_object(conn, &keys).await?;
    let uploaded = sent::uploaded_files(conn, dispute.id).await?;
    let mut manifest = Manifest::default();
    let mut pieces = Vec::new();
    for piece in ever.iter().filter(|piece| piece.row.deleted_at.is_none()) {
        let row = &piece.row;
        manifest.evidence_ids.push(row.id);
        match piece.text() {
            Some(_) if row.evidence_type == FEE_ACKNOWLEDGED => manifest.fee_acknowledged = true,
            Some(text) => {
                // Of two, the first was part of an earlier answer.
                let field = TextField::parse(&row.evidence_type).ok_or_else(|| impossible(row))?;
                manifest.texts.insert(field, text.to_owned());
            }
            None => pieces.push(Piece::read(app, &keys, piece).await?),
        }
    }
    let made = tokio::task::spawn_blocking(move || prepare(pieces)).await.map_err(Error::internal)?;
    manifest.files = made.files;
    channels_own(channels.as_ref(), &ever, &uploaded, &mut manifest);
    let sha256 = manifest.sha256()?;
    let Prepare { contents, attached, attached_ids, .. } = made;
    Ok(Packet { manifest, sha256, contents, attached, attached_ids })
}

/// Tells what the channel has by itself from what we once stored there.
fn channels_own(object: Option<&Value>, ever: &[Opened], uploaded: &[String], manifest: &mut Manifest) {
    let Some(held) = object.and_then(|object| object.get("evidence")) else { return };
    for &field in TextField::ALL {
        let text = held.get(field.as_str()).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
        let Some(text) = text.filter(|_| !manifest.texts.contains_key(&field)) else { continue };
        let is_ours =
            |piece: &Opened| piece.row.evidence_type == field.as_str() && piece.text() == Some(text);
        if ever.iter().any(is_ours) {
            manifest.to_clear.push(field.as_str().to_owned());
        } else {
            manifest.given.texts.insert(field, text.to_owned());
        }
    }
    for kind in EvidenceKind::all() {
        let value = held.get(kind.stripe_field());
        let id = value.and_then(|value| value.as_str().or_else(|| value.get("id")?.as_str()));
        let replaced = manifest.files.iter().any(|file| file.evidence_type == kind);
        let Some(id) = id.filter(|id| !id.is_empty() && !replaced) else { continue };
        if uploaded.iter().any(|ours| ours == id) {
            manifest.to_clear.push(kind.stripe_field().to_owned());
        } else {
            manifest.given.files.insert(kind, id.to_owned());
        }
    }
}

/// A file as it was attached.
struct Piece {
    id: Uuid,
    kind: EvidenceKind,
    inspection: Inspection,
    bytes: Bytes,
}

impl Piece {
    async fn read(app: &Disputes, keys: &DisputeKeys, piece: &Opened) -> Result<Self> {
        let row = &piece.row;
        let kind = EvidenceKind::parse(&row.evidence_type).ok_or_else(|| impossible(row))?;
        let format = row.content_type.as_deref().and_then(Format::of_media_type);
        let format = format.ok_or_else(|| impossible(row))?;
        let name = piece.file_name().unwrap_or_default().to_owned();
        let pages = row.pages.and_then(|pages| usize::try_from(pages).ok()).unwrap_or_default();
        let notices = misnamed(&name, format).into_iter().collect();
        let bytes = app.files.get(keys, row.sha256.as_deref().unwrap_or_default()).await?;
        Ok(Self { id: row.id, kind, inspection: Inspection { name, format, pages, notices }, bytes })
    }

    fn attached(&self, refusal: Option<&Refusal>) -> Attached {
        Attached {
            kind: self.kind,
            name: self.inspection.name.clone(),
            bytes: self.bytes.len() as u64,
            inspected: refusal.map_or_else(|| Ok(self.inspection.clone()), |refusal| Err(refusal.clone())),
        }
    }
}

/// What becomes of the attached files.
#[derive(Default)]
struct Prepare {
    files: Vec<ManifestFile>,
    contents: BTreeMap<String, Bytes>,
    attached: Vec<Attached>,
    attached_ids: Vec<Uuid>,
}

/// Makes one file of each kind. One that stands against that is told, and its kind is left out.
fn prepare(pieces: Vec<Piece>) -> Prepare {
    let mut by_kind: BTreeMap<EvidenceKind, Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        by_kind.entry(piece.kind).or_default().push(piece);
    }
    let mut made = Prepare::default();
    for (kind, pieces) in by_kind {
        let (file, refused) = match pieces.as_slice() {
            [only] => (Some((only.inspection.clone(), only.bytes.clone())), None),
            several => match merged(kind, several) {
                Ok(file) => (Some(file), None),
                Err(refused) => (None, Some(refused)),
            },
        };
        for (index, piece) in pieces.iter().enumerate() {
            let refusal = refused.as_ref().filter(|(at, _)| at.is_none_or(|at| at == index));
            made.attached.push(piece.attached(refusal.map(|(_, refusal)| refusal)));
            made.attached_ids.push(piece.id);
        }
        let Some((Inspection { name, format, pages, .. }, bytes)) = file else { continue };
        let (sha256, file_size) = (hex::encode(Sha256::digest(&bytes)), bytes.len() as u64);
        made.contents.insert(sha256.clone(), bytes);
        made.files.push(ManifestFile {
            evidence_type: kind,
            file_name: name,
            format,
            file_size,
            pages,
            sha256,
        });
    }
    made
}

/// Several files of a kind as one PDF; or the place of the one that cannot be merged, or none if it is all together, and why.
fn merged(kind: EvidenceKind, pieces: &[Piece]) -> Result<(Inspection, Bytes), (Option<usize>, Refusal)> {
    let sources: Vec<_> =
        pieces.iter().map(|piece| Source { format: piece.inspection.format, bytes: &piece.bytes }).collect();
    let merged = merge(&sources).map_err(|error| (error.index, error.refusal))?;
    let name = format!("{}.pdf", kind.as_str());
    let whole = Inspection { name, format: Format::Pdf, pages: merged.pages, notices: Vec::new() };
    Ok((whole, merged.bytes.into()))
}

fn impossible(row: &Evidence) -> Error {
    Error::impossible_row("dispute_evidence", "evidence_type", row.id, &row.evidence_type)
}
