//! What is hashed and signed so that nobody changes the usage log unseen. Plain functions of rows.
//!
//! Everything that is hashed is first written in [`encode::Parts`], which can be read in one way only, and begins with the
//! name and version of what it is. A new column of the log needs a new version here.

pub(crate) mod encode;
mod keys;

use payops_core::time::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

pub(crate) use self::keys::Verdict;
pub use self::keys::{AuditKeys, KeyError, PublicKey};
use crate::store::seal::{LogRecord, checkpoints, seals};
use encode::Parts;

/// Bytes of a row's hash that a seal keeps, to tell which row was changed.
pub(crate) const MARK: usize = 8;

/// SHA-256.
pub(crate) type Hash = [u8; 32];

/// Stands before the first seal of a merchant, and before the first checkpoint.
pub(crate) const NOTHING: Hash = [0; 32];

/// The hash of a seal while its rows are read, one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    hash: Sha256,
    marks: Vec<u8>,
}

impl Link {
    /// Of a merchant's rows from `from_seq` on, after a seal of the hash `before`.
    pub(crate) fn begin(merchant_id: Uuid, before: &[u8], from_seq: i64) -> Self {
        let head = Parts::of("payops usage log 1").uuid(merchant_id).bytes(before).number(from_seq);
        Self { hash: Sha256::new_with_prefix(head.into_bytes()), marks: Vec::new() }
    }

    /// The next row. Gives its mark.
    pub(crate) fn add(&mut self, row: &LogRecord) -> [u8; MARK] {
        let digest = Sha256::digest(encode::row(row));
        self.hash.update(digest);
        let mut mark = [0; MARK];
        mark.copy_from_slice(&digest[..MARK]);
        self.marks.extend_from_slice(&mark);
        mark
    }

    /// The hash, and the marks of all rows.
    pub(crate) fn end(self) -> (Hash, Vec<u8>) {
        (self.hash.finalize().into(), self.marks)
    }
}

/// What the signature of a seal is about.
pub(crate) fn seal_claim(seal: &seals::Model) -> Vec<u8> {
    Parts::of("payops limit seal 1")
        .uuid(seal.merchant_id)
        .number(seal.from_seq)
        .number(seal.through_seq)
        .bytes(&seal.hash)
        .number(seal.checkpoint)
        .text(&seal.key_id)
        .time(seal.sealed_at)
        .into_bytes()
}

/// The hash of a checkpoint while the seals that it counts are read, by merchant and number of their first row.
#[derive(Debug)]
pub(crate) struct CheckpointLink(Sha256);

impl CheckpointLink {
    /// Of the checkpoint `number`, after one of the hash `before`.
    pub(crate) fn begin(number: i64, before: &[u8], created_at: Timestamp) -> Self {
        let head = Parts::of("payops limit seals 1").number(number).bytes(before).time(created_at);
        Self(Sha256::new_with_prefix(head.into_bytes()))
    }

    /// The next seal.
    pub(crate) fn add(&mut self, seal: &seals::Model) {
        self.0.update(Sha256::digest(seal_claim(seal)));
    }

    /// The hash.
    pub(crate) fn end(self) -> Hash {
        self.0.finalize().into()
    }
}

/// What the signature of a checkpoint is about.
pub(crate) fn checkpoint_claim(checkpoint: &checkpoints::Model) -> Vec<u8> {
    Parts::of("payops limit checkpoint 1")
        .number(checkpoint.number)
        .number(checkpoint.seals)
        .bytes(&checkpoint.hash)
        .text(&checkpoint.key_id)
        .time(checkpoint.created_at)
        .into_bytes()
}
