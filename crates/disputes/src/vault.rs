//! The keys of one dispute, and what is sealed with them.
//!
//! What is sealed begins with the number of its key, and is bound to the dispute, the key and what it is: the evidence of one
//! dispute cannot pass for another's. A key that was destroyed is known to have been.

use std::collections::BTreeMap;
use std::sync::Arc;

use payops_core::random::Random;
use payops_platform::error::Result;
use payops_platform::vault::{DataKey, VaultError};
use uuid::Uuid;

use crate::error;

/// Bytes of a key's number.
const NUMBER: usize = 4;

/// The keys of one dispute.
#[derive(Debug)]
pub struct DisputeKeys {
    dispute_id: Uuid,
    random: Arc<dyn Random>,
    /// By number; `None`: destroyed.
    keys: BTreeMap<i32, Option<DataKey>>,
}

impl DisputeKeys {
    /// Those of a dispute that has none yet.
    pub fn none(dispute_id: Uuid, random: Arc<dyn Random>) -> Self {
        Self { dispute_id, random, keys: BTreeMap::new() }
    }

    /// With one more, which seals from now on; `None`: it was destroyed.
    #[must_use]
    pub fn with(mut self, key: Option<DataKey>) -> Self {
        self.keys.insert(self.next_number(), key);
        self
    }

    /// The dispute.
    pub(crate) fn dispute_id(&self) -> Uuid {
        self.dispute_id
    }

    /// The number of the key that seals; 0: there is none.
    pub(crate) fn number(&self) -> i32 {
        self.keys.last_key_value().map_or(0, |(number, _)| *number)
    }

    pub(crate) fn next_number(&self) -> i32 {
        self.number() + 1
    }

    /// Whether there is a key that seals.
    pub(crate) fn seals(&self) -> bool {
        self.keys.last_key_value().is_some_and(|(_, key)| key.is_some())
    }

    /// Whether what is personal in the dispute was erased, and nothing came after that.
    pub(crate) fn is_erased(&self) -> bool {
        self.keys.last_key_value().is_some_and(|(_, key)| key.is_none())
    }

    /// Seals something of the dispute; `what` tells it from everything else that is sealed there.
    ///
    /// # Errors
    /// 410 `ERASED`.
    pub(crate) fn seal(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let last = self.keys.last_key_value();
        let Some((&number, Some(key))) = last else { return Err(error::erased(self.dispute_id)) };
        let mut sealed = number.to_be_bytes().to_vec();
        sealed.extend(key.seal(&*self.random, &self.place(what, number), plain)?);
        Ok(sealed)
    }

    /// What was sealed; `None`: its key was destroyed.
    ///
    /// # Errors
    /// 500: it was changed, or belongs elsewhere.
    pub(crate) fn open(&self, what: &str, sealed: &[u8]) -> Result<Option<Vec<u8>>> {
        let (number, sealed) = sealed.split_first_chunk::<NUMBER>().ok_or(VaultError::NotGenuine)?;
        let number = i32::from_be_bytes(*number);
        match self.keys.get(&number).ok_or(VaultError::NotGenuine)? {
            Some(key) => Ok(Some(key.open(&self.place(what, number), sealed)?)),
            None => Ok(None),
        }
    }

    /// The same, where what was erased is of no use.
    ///
    /// # Errors
    /// 410 `ERASED`; 500: it was changed, or belongs elsewhere.
    pub(crate) fn open_kept(&self, what: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        self.open(what, sealed)?.ok_or_else(|| error::erased(self.dispute_id))
    }

    fn place(&self, what: &str, number: i32) -> String {
        format!("{what} of {} {number}", self.dispute_id)
    }
}

/// The place of a dispute's key in the ring's eyes.
pub(crate) fn key_place(dispute_id: Uuid, number: i32) -> String {
    format!("key {number} of dispute {dispute_id}")
}

#[cfg(test)]
mod tests {
    use payops_core::random::SystemRandom;

    use super::*;

    fn keys(dispute: u128) -> DisputeKeys {
        DisputeKeys::none(Uuid::from_u128(dispute), Arc::new(SystemRandom))
    }

    #[test]
    fn what_is_sealed_belongs_to_its_dispute_its_key_and_what_it_is() {
        let key = || Some(DataKey::draw(&payops_core::random::SeededRandom::new(7)));
        let (one, other) = (keys(1).with(key()), keys(2).with(key()));
        let sealed = one.seal("evidence 1", b"Mr. Sandman").unwrap();
        assert_eq!(one.open("evidence 1", &sealed).unwrap().unwrap(), b"Mr. Sandman");
        assert_eq!(
            one.open("evidence 2", &sealed).unwrap_err().code(),
            "INTERNAL_ERROR",
            "moved to another row"
        );
        assert_eq!(
            other.open("evidence 1", &sealed).unwrap_err().code(),
            "INTERNAL_ERROR",
            "to another dispute"
        );
        let renumbered = [&2_i32.to_be_bytes(), &sealed[4..]].concat();
        let two = keys(1).with(key()).with(key());
        assert_eq!(
            two.open("evidence 1", &renumbered).unwrap_err().code(),
            "INTERNAL_ERROR",
            "to another key"
        );
        for short in [&sealed[..3], &sealed[..4], b""] {
            assert_eq!(one.open("evidence 1", short).unwrap_err().code(), "INTERNAL_ERROR");
        }
    }

    #[test]
    fn what_was_erased_is_known_to_be() {
        let before = keys(1).with(Some(DataKey::draw(&SystemRandom)));
        let sealed = before.seal("packet", b"contents").unwrap();
        let erased = keys(1).with(None);
        assert!(erased.is_erased() && !erased.seals() && !before.is_erased() && !keys(1).is_erased());
        assert_eq!(erased.open("packet", &sealed).unwrap(), None);
        assert_eq!(erased.open_kept("packet", &sealed).unwrap_err().code(), "ERASED");
        assert_eq!(erased.seal("packet", b"more").unwrap_err().code(), "ERASED");
        let again = erased.with(Some(DataKey::draw(&SystemRandom)));
        assert_eq!((again.number(), again.is_erased()), (2, false));
        assert_eq!(again.open("packet", &sealed).unwrap(), None, "it stays erased");
        let new = again.seal("packet", b"more").unwrap();
        assert_eq!(again.open("packet", &new).unwrap().unwrap(), b"more");
    }
}
