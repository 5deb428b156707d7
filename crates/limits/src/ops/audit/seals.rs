//! Whether the usage log is what was sealed, and the seals are what was signed.
//!
//! What is sealed never changes, so it is read page by page while decisions and seals go on, in bounded memory.

use payops_core::time::Timestamp;
use payops_platform::db::Db;
use payops_platform::error::Result;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Finding;
use crate::seal::{self, AuditKeys, CheckpointLink, Link, MARK, NOTHING, Verdict};
use crate::store::seal as store;
use crate::store::seal::{checkpoints, seals};

/// How many seals or checkpoints are read at once.
const SEALS_AT_ONCE: u64 = 100;
/// How many rows of the log are read at once.
const ROWS_AT_ONCE: u64 = 1000;
/// How many seals that belong to nothing are named.
const ORPHANS_NAMED: u64 = 100;

/// A checkpoint as it is kept outside of the database: it proves every seal up to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// 1, 2, 3, ….
    pub number: i64,
    /// How many seals it counts besides those of the checkpoints before it.
    pub seals: i64,
    /// In hexadecimal.
    pub hash: String,
    /// The key that signed.
    pub key_id: String,
    /// In hexadecimal.
    pub signature: String,
    /// When.
    pub created_at: Timestamp,
}

impl From<checkpoints::Model> for Checkpoint {
    fn from(row: checkpoints::Model) -> Self {
        Self {
            number: row.number,
            seals: row.seals,
            hash: hex::encode(row.hash),
            key_id: row.key_id,
            signature: hex::encode(row.signature),
            created_at: row.created_at,
        }
    }
}

impl Checkpoint {
    /// What is no hexadecimal was signed by nobody.
    fn row(&self) -> checkpoints::Model {
        checkpoints::Model {
            number: self.number,
            seals: self.seals,
            hash: hex::decode(&self.hash).unwrap_or_default(),
            key_id: self.key_id.clone(),
            signature: hex::decode(&self.signature).unwrap_or_default(),
            created_at: self.created_at,
        }
    }
}

/// The first of many faults, and how many more there are: one change may spoil everything after it.
#[derive(Debug, Default)]
struct Faults {
    first: Option<(Option<i64>, String)>,
    more: u64,
}

impl Faults {
    fn add(&mut self, seq: Option<i64>, what: String) {
        if self.first.is_some() {
            self.more += 1;
        } else {
            self.first = Some((seq, what));
        }
    }

    fn into_finding(self, merchant_id: Option<Uuid>) -> Option<Finding> {
        let (seq, mut what) = self.first?;
        if self.more > 0 {
            what = format!("{what}; {} more seals or checkpoints after it do not hold", self.more);
        }
        Some(Finding { merchant_id, seq, what })
    }
}

/// Proves the rows of a merchant against its seals. Gives how many are sealed, and the first fault.
pub(super) async fn chain(db: &Db, keys: &AuditKeys, merchant_id: Uuid) -> Result<(i64, Option<Finding>)> {
    let mut faults = Faults::default();
    let (mut after, mut sealed, mut before) = (0, 0, NOTHING.to_vec());
    loop {
        let page = store::of_merchant(db.read(), merchant_id, after, SEALS_AT_ONCE).await?;
        if page.is_empty() {
            return Ok((sealed, faults.into_finding(Some(merchant_id))));
        }
        for seal in page {
            if seal.from_seq != sealed + 1 {
                let what = format!(
                    "the seal of row {} is missing; the next begins at {}",
                    sealed + 1,
                    seal.from_seq
                );
                faults.add(Some(sealed + 1), what);
            } else if let Some((seq, what)) = rows(db, &seal, &before).await? {
                faults.add(Some(seq), what);
            } else if let Some(what) = unsigned(keys, &seal.key_id, &seal::seal_claim(&seal), &seal.signature)
            {
                let what = format!("the seal of rows {} to {} {what}", seal.from_seq, seal.through_seq);
                faults.add(Some(seal.from_seq), what);
            }
            (after, sealed, before) = (seal.from_seq, seal.through_seq, seal.hash);
        }
    }
}

/// The first row that is not what was sealed, if any.
async fn rows(db: &Db, seal: &seals::Model, before: &[u8]) -> Result<Option<(i64, String)>> {
    let mut link = Link::begin(seal.merchant_id, before, seal.from_seq);
    let mut marks = seal.marks.chunks_exact(MARK);
    let mut next = seal.from_seq;
    let mut changed = None;
    while next <= seal.through_seq {
        let range = (next, seal.through_seq);
        let page = store::log(db.read(), db.backend(), seal.merchant_id, range, ROWS_AT_ONCE).await?;
        if page.is_empty() {
            return Ok(Some(changed.unwrap_or_else(|| missing(next))));
        }
        for row in page {
            if row.seq != next {
                return Ok(Some(changed.unwrap_or_else(|| missing(next))));
            }
            let mark = link.add(&row);
            if marks.next() != Some(&mark[..]) && changed.is_none() {
                changed = Some((row.seq, format!("row {} was changed after it was sealed", row.seq)));
            }
            next += 1;
        }
    }
    let (hash, _) = link.end();
    if changed.is_none() && hash[..] != seal.hash {
        let what = format!(
            "the seal of rows {} to {} does not follow the one before it, or its hash was changed",
            seal.from_seq, seal.through_seq
        );
        changed = Some((seal.from_seq, what));
    }
    Ok(changed)
}

fn missing(seq: i64) -> (i64, String) {
    (seq, format!("row {seq} is missing, and was sealed"))
}

/// What is wrong with a signature, if anything.
fn unsigned(keys: &AuditKeys, key_id: &str, claim: &[u8], signature: &[u8]) -> Option<String> {
    match keys.verify(key_id, claim, signature) {
        Verdict::Genuine => None,
        Verdict::Forged => Some(format!("was not signed by key {key_id}, though it says so")),
        Verdict::UnknownKey => Some(format!(
            "is signed by key {key_id}, which is not among PAYOPS_AUDIT_KEY and PAYOPS_AUDIT_PUBLIC_KEYS"
        )),
    }
}

/// Proves that every seal that was ever counted is there, over all merchants, and that the checkpoints which were kept
/// elsewhere are among those of the database. Gives the newest.
pub(super) async fn checkpoints(
    db: &Db,
    keys: &AuditKeys,
    kept: &[Checkpoint],
    findings: &mut Vec<Finding>,
) -> Result<Option<Checkpoint>> {
    let mut faults = Faults::default();
    let mut last: Option<checkpoints::Model> = None;
    let mut waiting: Vec<&Checkpoint> = kept.iter().collect();
    loop {
        let after = last.as_ref().map_or(0, |last| last.number);
        let page = store::checkpoints_after(db.read(), after, SEALS_AT_ONCE).await?;
        if page.is_empty() {
            break;
        }
        for checkpoint in page {
            if let Some(what) = checkpoint_fault(db, keys, last.as_ref(), &checkpoint).await? {
                faults.add(None, format!("checkpoint {} {what}", checkpoint.number));
            }
            waiting.retain(|kept| {
                let found = kept.number == checkpoint.number;
                if found && **kept != Checkpoint::from(checkpoint.clone()) {
                    let what = "is not the one that was kept elsewhere: the log was rewritten since";
                    faults.add(None, format!("checkpoint {} {what}", checkpoint.number));
                }
                !found
            });
            last = Some(checkpoint);
        }
    }
    for kept in waiting {
        let what =
            "was kept elsewhere and is not in the database: its end was cut off, or an older state restored";
        faults.add(None, format!("checkpoint {} {what}", kept.number));
    }
    findings.extend(faults.into_finding(None));
    findings.extend(kept.iter().filter_map(|kept| not_genuine(keys, kept)));
    for (merchant_id, seq) in store::orphans(db.read(), db.backend(), ORPHANS_NAMED).await? {
        let what = "there is a seal whose merchant or whose checkpoint is gone".to_owned();
        findings.push(Finding { merchant_id: Some(merchant_id), seq: Some(seq), what });
    }
    Ok(last.map(Into::into))
}

async fn checkpoint_fault(
    db: &Db,
    keys: &AuditKeys,
    before: Option<&checkpoints::Model>,
    checkpoint: &checkpoints::Model,
) -> Result<Option<String>> {
    let (number, before) = before.map_or((1, &NOTHING[..]), |last| (last.number + 1, &last.hash));
    if checkpoint.number != number {
        return Ok(Some(format!("follows none: number {number} is missing")));
    }
    let seals = store::of_checkpoint(db.read(), number).await?;
    if i64::try_from(seals.len()).ok() != Some(checkpoint.seals) {
        return Ok(Some(format!("counted {} seals, and {} are there", checkpoint.seals, seals.len())));
    }
    let mut link = CheckpointLink::begin(number, before, checkpoint.created_at);
    for seal in &seals {
        link.add(seal);
    }
    if link.end()[..] != checkpoint.hash {
        return Ok(Some("does not follow the one before it, or its seals were changed".to_owned()));
    }
    let claim = seal::checkpoint_claim(checkpoint);
    Ok(unsigned(keys, &checkpoint.key_id, &claim, &checkpoint.signature))
}

/// Something that was kept elsewhere proves nothing unless it is genuine.
fn not_genuine(keys: &AuditKeys, kept: &Checkpoint) -> Option<Finding> {
    let row = kept.row();
    let what = unsigned(keys, &row.key_id, &seal::checkpoint_claim(&row), &row.signature)?;
    let what = format!("checkpoint {}, as it was kept elsewhere, {what}", kept.number);
    Some(Finding { merchant_id: None, seq: None, what })
}
