//! Evidence as people add it and take it away.

use std::time::Duration;

use payops_platform::error::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::disputes::require;
use super::packet::Manifest;
use super::submission::{evidence_changed, evidence_will_change};
use super::{By, Edit, personal, vault};
use crate::documents::Inspection;
use crate::error;
use crate::evidence::TextField;
use crate::lifecycle::Action;
use crate::model::TimelineEvent;
use crate::store::dispute;
use crate::store::evidence::{self, Model as Evidence};
use crate::store::submission::{self, SubmissionState};
use crate::vault::DisputeKeys;

/// How many files a dispute may hold: a channel takes fewer pages than that.
pub(crate) const MOST_FILES: usize = 50;
/// How many bytes these may have together. A packet is made in memory.
pub(crate) const MOST_BYTES: u64 = 25_000_000;

/// Evidence that is to be added.
#[derive(Debug, Clone)]
pub(crate) struct NewEvidence {
    /// A kind of file, or the name of a text.
    pub(crate) evidence_type: &'static str,
    pub(crate) description: String,
    pub(crate) content: Content,
}

/// What is added.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// A file that lies in the store, sealed with the dispute's key of this number.
    File { inspection: Inspection, bytes: usize, sha256: String, key_number: i32 },
    /// A text.
    Text(String),
}

/// A piece of evidence, with what is personal in it.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) row: Evidence,
    /// `None`: it was erased.
    pub(crate) personal: Option<Personal>,
}

/// What is personal in a piece of evidence, beside the bytes of its file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Personal {
    /// Of texts.
    pub(crate) text: Option<String>,
    pub(crate) description: String,
    /// Of files, cleaned.
    #[serde(default)]
    pub(crate) file_name: Option<String>,
    /// Of files whose name had to be cleaned: as it came.
    #[serde(default)]
    pub(crate) sent_as: Option<String>,
}

impl Opened {
    pub(crate) fn of(keys: &DisputeKeys, row: Evidence) -> Result<Self> {
        let opened = keys.open(&place(row.id), &row.sealed)?;
        let read = |json: Vec<u8>| serde_json::from_slice(&json).map_err(Error::internal);
        Ok(Self { personal: opened.map(read).transpose()?, row })
    }

    /// The text, where it is one that is still there.
    pub(crate) fn text(&self) -> Option<&str> {
        self.personal.as_ref()?.text.as_deref()
    }

    /// The name of the file, where it is one that is still there.
    pub(crate) fn file_name(&self) -> Option<&str> {
        self.personal.as_ref()?.file_name.as_deref()
    }
}

/// What is still there of some pieces of evidence, which all are of one dispute.
pub(crate) fn not_erased(keys: &DisputeKeys, rows: Vec<Evidence>) -> Result<Vec<Opened>> {
    let mut opened = rows.into_iter().map(|row| Opened::of(keys, row)).collect::<Result<Vec<_>>>()?;
    opened.retain(|piece| piece.personal.is_some());
    Ok(opened)
}

fn place(id: Uuid) -> String {
    format!("evidence {id}")
}

/// Adds a piece of evidence; a text takes the place of the one of its field. What is there already stays as it is, and
/// `false` says so.
///
/// # Errors
/// 404 `DISPUTE_NOT_FOUND`; 409 `DISPUTE_STATUS` where it is closed; 422 `EVIDENCE_FULL`.
pub(crate) async fn add(
    by: &By<'_>,
    id: Uuid,
    merchant: Option<Uuid>,
    new: &NewEvidence,
) -> Result<(Opened, bool)> {
    evidence_will_change(by, id).await?;
    let (dispute, now) = (dispute::lock(by.tx, id, merchant).await?, by.app.context.now());
    require(&dispute, Action::AddEvidence, now, "given evidence", "补充证据")?;
    let keys = vault::usable(by.app, by.tx, &dispute).await?.ok_or_else(|| error::erased(id))?;
    let held = not_erased(&keys, evidence::of_dispute(by.tx.conn(), id).await?)?;
    let new = new_piece(by, &keys, new)?;
    let row = &new.row;
    let same = |old: &&Opened| {
        old.row.evidence_type == row.evidence_type && old.row.sha256 == row.sha256 && old.text() == new.text()
    };
    let known = if row.sha256.is_some() {
        held.iter().find(same)
    } else {
        // Of a text's two rows the later one counts: the first was part of an earlier answer.
        held.iter().rfind(|old| old.row.evidence_type == row.evidence_type).filter(same)
    };
    if let Some(known) = known {
        return Ok((known.clone(), false));
    }
    check_room(&held, row)?;
    let mut edit = Edit::of(dispute);
    if let Some(text) = new.text() {
        let older = held.iter().map(|old| &old.row).filter(|old| old.evidence_type == row.evidence_type);
        for old in older.filter(|old| old.submitted_at.is_none()) {
            remove(by, &mut edit, old.id, Some(row.id)).await?;
        }
        if row.evidence_type == TextField::CustomerEmailAddress.as_str() {
            personal::note_subject(by, id, text).await?;
        }
    }
    edit.tell(TimelineEvent::EvidenceAdded, told(row));
    edit.save(by).await?;
    evidence::insert(by.tx, row.clone()).await?;
    evidence_changed(by, id).await?;
    Ok((new, true))
}

/// Takes a piece of evidence away. Its row and its file stay, for the history.
///
/// # Errors
/// 404 `EVIDENCE_NOT_FOUND`; 409 `EVIDENCE_SUBMITTED` where it is part of an answer that was sent or is on its way;
/// 409 `DISPUTE_STATUS` where the dispute is closed.
pub(crate) async fn delete(by: &By<'_>, id: Uuid, merchant: Option<Uuid>) -> Result<Opened> {
    let found = evidence::find(by.tx.conn(), id).await?;
    evidence_will_change(by, found.dispute_id).await?;
    // Whoever may not see the dispute does not learn that there is evidence.
    let dispute = dispute::lock(by.tx, found.dispute_id, None).await?;
    if merchant.is_some() && dispute.merchant_id != merchant {
        return Err(error::evidence_not_found(id));
    }
    // It may have been sent while the lock was waited for.
    let row = evidence::find(by.tx.conn(), id).await?;
    if row.submitted_at.is_some() || is_on_its_way(by, &row).await? {
        return Err(error::evidence_submitted(id));
    }
    require(&dispute, Action::AddEvidence, by.app.context.now(), "rid of evidence", "删除证据")?;
    let mut edit = Edit::of(dispute);
    remove(by, &mut edit, id, None).await?;
    edit.save(by).await?;
    evidence_changed(by, row.dispute_id).await?;
    Opened::of(&vault::of(by.app, by.tx.conn(), row.dispute_id).await?, row)
}

async fn remove(by: &By<'_>, edit: &mut Edit, id: Uuid, replaced_by: Option<Uuid>) -> Result<()> {
    let row = evidence::lock(by.tx, id).await?;
    let mut detail = told(&row);
    detail["replaced_by"] = json!(replaced_by);
    edit.tell(TimelineEvent::EvidenceDeleted, detail);
    evidence::delete(by.tx, row, &by.actor.id, by.app.context.now()).await
}

/// Whether a call that cannot be taken back may be under way with it.
async fn is_on_its_way(by: &By<'_>, row: &Evidence) -> Result<bool> {
    let open = submission::lock_open(by.tx, row.dispute_id).await?;
    let Some(sending) = open.filter(|open| open.state == SubmissionState::Sending) else { return Ok(false) };
    let Some(packet) = &sending.packet else { return Ok(false) };
    let keys = vault::of(by.app, by.tx.conn(), row.dispute_id).await?;
    Ok(Manifest::kept(&keys, sending.id, packet)?.evidence_ids.contains(&row.id))
}

fn check_room(held: &[Opened], new: &Evidence) -> Result<()> {
    if new.sha256.is_none() {
        return Ok(());
    }
    let sizes = held.iter().map(|old| &old.row).chain([new]).filter_map(|row| row.file_size);
    let (files, bytes) =
        sizes.fold((0, 0_u64), |(files, bytes), size| (files + 1, bytes + size.unsigned_abs()));
    if files > MOST_FILES || bytes > MOST_BYTES {
        return Err(error::evidence_full(MOST_FILES, MOST_BYTES));
    }
    Ok(())
}

/// What the timeline keeps of it: nothing personal, for a timeline stands for ever.
fn told(row: &Evidence) -> Value {
    json!({
        "evidence_id": row.id, "evidence_type": row.evidence_type, "file_size": row.file_size, "sha256": row.sha256,
    })
}

fn new_piece(by: &By<'_>, keys: &DisputeKeys, new: &NewEvidence) -> Result<Opened> {
    let id = by.app.context.new_id();
    let mut personal = Personal { description: new.description.clone(), ..Personal::default() };
    match &new.content {
        Content::Text(text) => personal.text = Some(text.clone()),
        Content::File { inspection, .. } => {
            personal.file_name = Some(inspection.name.clone());
            personal.sent_as = inspection.sent_as().map(str::to_owned);
        }
    }
    let blank = Evidence {
        id,
        dispute_id: keys.dispute_id(),
        evidence_type: new.evidence_type.to_owned(),
        content_type: None,
        file_size: None,
        pages: None,
        sha256: None,
        sealed: keys.seal(&place(id), &serde_json::to_vec(&personal).map_err(Error::internal)?)?,
        uploaded_by: by.actor.id.clone(),
        submitted_at: None,
        created_at: by.app.context.now(),
        deleted_at: None,
        deleted_by: None,
    };
    let row = match &new.content {
        Content::Text(_) => blank,
        Content::File { key_number, .. } if *key_number != keys.number() => {
            // What was personal was erased, and the dispute opened again, since the file was stored.
            return Err(Error::unavailable("the dispute's key is another one now", Duration::ZERO));
        }
        Content::File { inspection, bytes, sha256, .. } => Evidence {
            content_type: Some(inspection.format.media_type().to_owned()),
            file_size: i64::try_from(*bytes).ok(),
            pages: i32::try_from(inspection.pages).ok(),
            sha256: Some(sha256.clone()),
            ..blank
        },
    };
    Ok(Opened { row, personal: Some(personal) })
}
