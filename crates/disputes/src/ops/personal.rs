//! Whose disputes they are, what is known of somebody, and its end.

use std::sync::Arc;

use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use uuid::Uuid;

use super::evidence::Opened;
use super::packet::Manifest;
use super::{By, Edit, vault};
use crate::Disputes;
use crate::error;
use crate::evidence::TextField;
use crate::model::TimelineEvent;
use crate::store::dispute::{self, Model as Dispute};
use crate::store::submission::{self, Model as Submission};
use crate::store::{channel_object, evidence, key, subject};
use crate::vault::DisputeKeys;

/// What the channel's object is among what its dispute seals.
const OBJECT: &str = "channel object";
/// In place of a ring key's id, where there never was a key.
const NO_KEY: &str = "none";

/// Whom personal data is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A customer, by e-mail address: all disputes in whose evidence it stands, or stood.
    Customer(String),
    /// Whoever one dispute is about.
    Of(Uuid),
}

/// Everything personal of one dispute.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) dispute: Dispute,
    pub(crate) erased_at: Option<Timestamp>,
    /// With what was taken away.
    pub(crate) evidence: Vec<Opened>,
    pub(crate) packets: Vec<(Submission, Manifest)>,
    pub(crate) channel_object: Option<Value>,
}

/// A dispute without personal data.
#[derive(Debug, Clone)]
pub(crate) struct Erased {
    pub(crate) dispute: Dispute,
    pub(crate) at: Timestamp,
}

/// Keeps the channel's dispute as it was read, and notes whose it is; nothing where that was erased.
pub(crate) async fn keep_object(by: &By<'_>, dispute: &Dispute, object: &str) -> Result<()> {
    let Some(keys) = vault::usable(by.app, by.tx, dispute).await? else { return Ok(()) };
    channel_object::put(by.tx, dispute.id, keys.seal(OBJECT, object.as_bytes())?).await?;
    let object: Value = serde_json::from_str(object).map_err(Error::internal)?;
    for address in addresses(&object["evidence"]) {
        note_subject(by, dispute.id, address).await?;
    }
    Ok(())
}

/// The channel's dispute as it was last read, where it is still known.
pub(crate) async fn channels_object(
    conn: &impl ConnectionTrait,
    keys: &DisputeKeys,
) -> Result<Option<Value>> {
    let Some(sealed) = channel_object::find(conn, keys.dispute_id()).await? else { return Ok(None) };
    let opened = keys.open(OBJECT, &sealed)?;
    opened.map(|json| serde_json::from_slice(&json).map_err(Error::internal)).transpose()
}

/// Notes that a dispute is about the customer with this e-mail address.
pub(crate) async fn note_subject(by: &By<'_>, dispute_id: Uuid, address: &str) -> Result<()> {
    match hash(by.app, address)? {
        Some(hash) => subject::note(by.tx, hash, dispute_id).await,
        None => Ok(()),
    }
}

/// An address as it is looked up: blanks and case do not tell two apart.
fn hash(app: &Disputes, address: &str) -> Result<Option<String>> {
    let address = address.trim().to_lowercase();
    if address.is_empty() { Ok(None) } else { Ok(Some(app.subjects.hash(&address)?)) }
}

/// The customer's addresses in the channel's evidence, however deep: what it compares payments by has its own.
fn addresses(evidence: &Value) -> Vec<&str> {
    match evidence {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| match value {
                Value::String(address) if name == TextField::CustomerEmailAddress.as_str() => {
                    vec![address.as_str()]
                }
                other => addresses(other),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(addresses).collect(),
        _ => Vec::new(),
    }
}

/// The disputes of a subject. One that is named must be here.
async fn disputes(app: &Disputes, conn: &impl ConnectionTrait, subject: &Subject) -> Result<Vec<Uuid>> {
    match subject {
        Subject::Of(id) => Ok(vec![dispute::find(conn, *id, None).await?.id]),
        Subject::Customer(address) => match hash(app, address)? {
            Some(hash) => subject::disputes(conn, &hash).await,
            None => Ok(Vec::new()),
        },
    }
}

/// Everything that is known of a subject. That somebody looked is written down first.
///
/// # Errors
/// 404 `DISPUTE_NOT_FOUND`.
pub(crate) async fn export(app: &Disputes, actor: Actor, subject: Subject) -> Result<Vec<Known>> {
    let db = &app.context.db;
    let ids = disputes(app, db.read(), &subject).await?;
    let shared = Arc::new((app.clone(), actor, ids.clone()));
    let write = db.write("disputes.export_subject", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, actor, ids) = &*shared;
            for id in ids {
                let (what, id) = ("dispute.personal_data_exported", id.to_string());
                audit::record(tx, &app.context, actor, what, "dispute", &id, json!({})).await?;
            }
            Ok(())
        }
        .boxed()
    });
    write.await?;
    let mut known = Vec::new();
    for dispute in dispute::some(db.read(), &ids).await? {
        known.push(known_of(app, dispute).await?);
    }
    Ok(known)
}

async fn known_of(app: &Disputes, dispute: Dispute) -> Result<Known> {
    let conn = app.context.db.read();
    let rows = key::of_disputes(conn, &[dispute.id]).await?;
    let keys = vault::opened(app, dispute.id, &rows)?;
    let evidence = evidence::ever_of_dispute(conn, dispute.id).await?;
    let evidence = evidence.into_iter().map(|row| Opened::of(&keys, row)).collect::<Result<_>>()?;
    let mut packets = Vec::new();
    for submission in submission::of_dispute(conn, dispute.id).await? {
        let Some(packet) = &submission.packet else { continue };
        match Manifest::kept(&keys, submission.id, packet) {
            Ok(manifest) => packets.push((submission, manifest)),
            Err(error) if error.code() == error::ERASED => {}
            Err(error) => return Err(error),
        }
    }
    let channel_object = channels_object(conn, &keys).await?;
    let erased_at = rows.iter().filter_map(|row| row.erased_at).next_back();
    Ok(Known { dispute, erased_at, evidence, packets, channel_object })
}

/// Erases what is known of a subject, by destroying the keys that it is encrypted with: contents, packets, files and what the
/// channel said become noise, and disputes, money and timelines stand. Again, it changes nothing.
///
/// # Errors
/// 404 `DISPUTE_NOT_FOUND`; 409 `SUBJECT_DISPUTES_OPEN`, and nothing is erased.
pub(crate) async fn erase(by: &By<'_>, subject: &Subject, reason: &str) -> Result<Vec<Erased>> {
    let ids = disputes(by.app, by.tx.conn(), subject).await?;
    let disputes = dispute::lock_all(by.tx, &ids).await?;
    let mut open = Vec::new();
    for dispute in &disputes {
        // One that is decided may still be told of an answer that is under way.
        if dispute.closed_at.is_none() || submission::lock_open(by.tx, dispute.id).await?.is_some() {
            open.push(&**dispute);
        }
    }
    if !open.is_empty() {
        return Err(error::subject_disputes_open(&open));
    }
    let mut erased = Vec::new();
    for dispute in disputes {
        let (id, now) = (dispute.id, by.app.context.now());
        let before = key::of_disputes(by.tx.conn(), &[id]).await?;
        if let Some(at) = before.last().and_then(|last| last.erased_at) {
            erased.push(Erased { dispute: dispute.into_inner(), at });
            continue;
        }
        destroy(by, id, now).await?;
        let mut edit = Edit::of(dispute);
        edit.tell(TimelineEvent::Erased, json!({ "reason": reason }));
        erased.push(Erased { dispute: edit.save(by).await?, at: now });
    }
    Ok(erased)
}

async fn destroy(by: &By<'_>, id: Uuid, now: Timestamp) -> Result<()> {
    if key::destroy(by.tx, id, &by.actor.id, now).await? == 0 {
        // Nothing is known yet; what the channel says later must not be kept either.
        let none = key::Model {
            dispute_id: id,
            number: 1,
            key_id: NO_KEY.to_owned(),
            wrapped_key: None,
            created_at: now,
            erased_at: Some(now),
            erased_by: Some(by.actor.id.clone()),
        };
        key::insert(by.tx, none).await?;
    }
    channel_object::delete(by.tx, id).await?;
    subject::forget(by.tx, id).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_however_deep() {
        let evidence = json!({
            "customer_email_address": "a@shop.example", "customer_name": "b@shop.example",
            "enhanced_evidence": { "visa_compelling_evidence_3": {
                "disputed_transaction": { "customer_email_address": "c@shop.example" },
                "prior_undisputed_transactions": [{ "customer_email_address": "d@shop.example" }],
            } },
        });
        let mut found = addresses(&evidence);
        found.sort_unstable();
        assert_eq!(found, ["a@shop.example", "c@shop.example", "d@shop.example"]);
        assert!(addresses(&json!({ "customer_email_address": null })).is_empty());
    }
}
