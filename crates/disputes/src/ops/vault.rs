//! The keys of disputes, from the database and into it.

use std::sync::Arc;

use futures::FutureExt;
use payops_platform::context::ServiceContext;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::vault::{DataKey, KeyRing, Wrapped};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Disputes;
use crate::store::dispute::{self, Model as Dispute};
use crate::store::key::{self, service};
use crate::vault::{DisputeKeys, key_place};

/// The name of the key that addresses are hashed with.
const SUBJECTS: &str = "subjects";

/// The keys of a dispute.
///
/// # Errors
/// 503 `DATA_KEY_MISSING` where the ring lacks one.
pub(crate) async fn of(app: &Disputes, conn: &impl ConnectionTrait, dispute_id: Uuid) -> Result<DisputeKeys> {
    opened(app, dispute_id, &key::of_disputes(conn, &[dispute_id]).await?)
}

/// The keys of a dispute from their rows.
pub(crate) fn opened(app: &Disputes, dispute_id: Uuid, rows: &[key::Model]) -> Result<DisputeKeys> {
    let mut keys = DisputeKeys::none(dispute_id, Arc::clone(&app.context.random));
    for row in rows.iter().filter(|row| row.dispute_id == dispute_id) {
        if row.number != keys.next_number() {
            return Err(Error::impossible_row("dispute_keys", "number", dispute_id, row.number));
        }
        let key = match &row.wrapped_key {
            Some(bytes) => {
                let wrapped = Wrapped { key_id: row.key_id.clone(), bytes: bytes.clone() };
                Some(app.ring.unwrap(&key_place(dispute_id, row.number), &wrapped)?)
            }
            None => None,
        };
        keys = keys.with(key);
    }
    Ok(keys)
}

/// The keys of a locked dispute with one that seals, which is made where it is missing. `None`: what is personal was erased,
/// and the dispute is closed, so that nothing personal is kept of it any more.
pub(crate) async fn usable(app: &Disputes, tx: &Tx, dispute: &Dispute) -> Result<Option<DisputeKeys>> {
    let keys = of(app, tx.conn(), dispute.id).await?;
    if keys.seals() {
        return Ok(Some(keys));
    }
    if keys.is_erased() && dispute.closed_at.is_some() {
        return Ok(None);
    }
    // There is none yet; or the dispute was opened again after an erasure, and wants an answer.
    let (random, number) = (&*app.context.random, keys.next_number());
    let key = DataKey::draw(random);
    let wrapped = app.ring.wrap(random, &key_place(dispute.id, number), &key)?;
    let row = key::Model {
        dispute_id: dispute.id,
        number,
        key_id: wrapped.key_id,
        wrapped_key: Some(wrapped.bytes),
        created_at: app.context.now(),
        erased_at: None,
        erased_by: None,
    };
    key::insert(tx, row).await?;
    Ok(Some(keys.with(Some(key))))
}

/// The same outside of a transaction: for files, which are stored before any row names them.
pub(crate) async fn ready(app: &Disputes, dispute_id: Uuid) -> Result<Option<DisputeKeys>> {
    let keys = of(app, app.context.db.read(), dispute_id).await?;
    if keys.seals() {
        return Ok(Some(keys));
    }
    let shared = app.clone();
    let write = app.context.db.write("disputes.make_key", move |tx| {
        let app = shared.clone();
        async move {
            let dispute = dispute::lock(tx, dispute_id, None).await?;
            usable(&app, tx, &dispute).await
        }
        .boxed()
    });
    write.await
}

/// The key that addresses are hashed with, which is made once.
pub(crate) async fn subjects_key(context: &ServiceContext, ring: &KeyRing) -> Result<DataKey> {
    let row = match key::service_key(context.db.read(), SUBJECTS).await? {
        Some(row) => row,
        None => make_subjects_key(context, ring).await?,
    };
    Ok(ring.unwrap(SUBJECTS, &Wrapped { key_id: row.key_id, bytes: row.wrapped_key })?)
}

async fn make_subjects_key(context: &ServiceContext, ring: &KeyRing) -> Result<service::Model> {
    let wrapped = ring.wrap(&*context.random, SUBJECTS, &DataKey::draw(&*context.random))?;
    let row = service::Model {
        name: SUBJECTS.to_owned(),
        key_id: wrapped.key_id,
        wrapped_key: wrapped.bytes,
        created_at: context.now(),
    };
    let write = context.db.write("disputes.make_subjects_key", move |tx| {
        let row = row.clone();
        async move {
            // Another instance may be faster: then it is the other's.
            key::insert_service_key(tx, row).await?;
            let kept = key::service_key(tx.conn(), SUBJECTS).await?;
            kept.ok_or_else(|| Error::internal("a key that was just made is gone"))
        }
        .boxed()
    });
    write.await
}
