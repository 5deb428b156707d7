//! Seals the usage log behind the decisions: what was written stays as it was, or an audit shows where it does not.
//!
//! Rows are read and hashed before the transaction, which only adds the seals and the checkpoint that counts them. Nobody
//! waits for a lock that a decision needs, and several instances at once do no harm: the keys of both tables let one of two
//! equal seals in.

use std::sync::Arc;

use futures::FutureExt;
use payops_platform::db::Tx;
use payops_platform::error::Result;
use payops_platform::jobs::Lease;
use uuid::Uuid;

use crate::Limits;
use crate::seal::{self, CheckpointLink, Link, NOTHING};
use crate::store::seal as store;
use crate::store::seal::{Unsealed, checkpoints, seals};

/// How many merchants one transaction seals.
const MERCHANTS_AT_ONCE: u64 = 100;
/// How many rows one seal covers at most.
const ROWS_A_SEAL: i64 = 5000;
/// How many rows are in memory at once.
const ROWS_AT_ONCE: u64 = 1000;

/// A seal that is not signed yet.
#[derive(Debug)]
struct Draft {
    merchant_id: Uuid,
    from_seq: i64,
    through_seq: i64,
    hash: Vec<u8>,
    marks: Vec<u8>,
}

impl Draft {
    fn is_full(&self) -> bool {
        self.through_seq - self.from_seq + 1 == ROWS_A_SEAL
    }
}

/// Seals every row that is there and not sealed. What comes meanwhile may wait for the next time.
pub(crate) async fn seal(app: &Limits, fence: Option<&Lease>) -> Result<()> {
    let mut after = Uuid::nil();
    let mut more = false;
    loop {
        let db = &app.context.db;
        let merchants = store::unsealed(db.read(), db.backend(), after, MERCHANTS_AT_ONCE).await?;
        match merchants.last() {
            Some(last) => after = last.merchant_id,
            // Whoever had more than one seal holds gets another one.
            None if more => (after, more) = (Uuid::nil(), false),
            None => return Ok(()),
        }
        let mut drafts = Vec::with_capacity(merchants.len());
        for merchant in merchants {
            drafts.extend(draft(app, merchant).await?);
        }
        more |= drafts.iter().any(Draft::is_full);
        if !drafts.is_empty() {
            commit(app, fence, drafts).await?;
        }
        if fence.is_some_and(|lease| lease.cancelled().is_cancelled()) {
            return Ok(());
        }
    }
}

/// Hashes the rows after a merchant's last seal; nothing when there are none, or another instance has sealed them.
async fn draft(app: &Limits, unsealed: Unsealed) -> Result<Option<Draft>> {
    let db = &app.context.db;
    let merchant_id = unsealed.merchant_id;
    let last = store::last(db.read(), merchant_id).await?;
    let (sealed, before) = last.map_or((0, NOTHING.to_vec()), |seal| (seal.through_seq, seal.hash));
    let from_seq = sealed + 1;
    let end = unsealed.seq.min(sealed + ROWS_A_SEAL);
    let mut link = Link::begin(merchant_id, &before, from_seq);
    let mut next = from_seq;
    while next <= end {
        let rows = store::log(db.read(), db.backend(), merchant_id, (next, end), ROWS_AT_ONCE).await?;
        let whole = rows.iter().zip(next..).take_while(|(row, seq)| row.seq == *seq);
        let added = whole.map(|(row, _)| link.add(row)).count();
        next += i64::try_from(added).unwrap_or_default();
        if added == 0 || added < rows.len() {
            tracing::error!(%merchant_id, seq = next, "a row of the usage log is missing; what follows is not sealed");
            break;
        }
    }
    if next == from_seq {
        return Ok(None);
    }
    let (hash, marks) = link.end();
    Ok(Some(Draft { merchant_id, from_seq, through_seq: next - 1, hash: hash.to_vec(), marks }))
}

/// Signs and adds the seals and their checkpoint, all or none. Another instance that was faster is no error.
async fn commit(app: &Limits, fence: Option<&Lease>, drafts: Vec<Draft>) -> Result<()> {
    let shared = Arc::new((app.clone(), fence.cloned(), drafts));
    let write = app.context.db.write("limits.seal", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, fence, drafts) = &*shared;
            if let Some(lease) = fence {
                lease.still_mine(tx).await?;
            }
            sign(app, tx, drafts).await
        }
        .boxed()
    });
    match write.await {
        Ok(checkpoint) => {
            // Kept by whoever keeps the log, out of reach of those who can write to the database.
            tracing::info!(
                checkpoint = checkpoint.number,
                seals = checkpoint.seals,
                hash = hex::encode(&checkpoint.hash),
                key_id = checkpoint.key_id,
                signature = hex::encode(&checkpoint.signature),
                "sealed the usage log"
            );
            Ok(())
        }
        Err(error) if error.unique_violation() => {
            tracing::debug!("another instance has sealed these rows");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

async fn sign(app: &Limits, tx: &Tx, drafts: &[Draft]) -> Result<checkpoints::Model> {
    let now = app.context.now();
    let before = store::last_checkpoint(tx).await?;
    let (number, before) = before.map_or((1, NOTHING.to_vec()), |last| (last.number + 1, last.hash));
    let mut link = CheckpointLink::begin(number, &before, now);
    let mut sealed = Vec::with_capacity(drafts.len());
    for draft in drafts {
        let mut seal = seals::Model {
            merchant_id: draft.merchant_id,
            from_seq: draft.from_seq,
            through_seq: draft.through_seq,
            hash: draft.hash.clone(),
            marks: draft.marks.clone(),
            checkpoint: number,
            key_id: String::new(),
            signature: Vec::new(),
            sealed_at: now,
        };
        seal.signature = app.keys.sign(|key_id| {
            key_id.clone_into(&mut seal.key_id);
            seal::seal_claim(&seal)
        })?;
        link.add(&seal);
        sealed.push(seal);
    }
    let mut checkpoint = checkpoints::Model {
        number,
        seals: i64::try_from(sealed.len()).unwrap_or(i64::MAX),
        hash: link.end().to_vec(),
        key_id: String::new(),
        signature: Vec::new(),
        created_at: now,
    };
    checkpoint.signature = app.keys.sign(|key_id| {
        key_id.clone_into(&mut checkpoint.key_id);
        seal::checkpoint_claim(&checkpoint)
    })?;
    store::add(tx, checkpoint.clone(), sealed).await?;
    Ok(checkpoint)
}
