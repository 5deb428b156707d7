//! Encryption of what is kept: AES-256-GCM, keys that are wrapped under a ring of keys, and a keyed hash to look things up by.
//!
//! A [`KeyRing`] is a setting. Its keys encrypt no contents but [`DataKey`]s, which are kept beside what they encrypt: so the
//! ring is replaced without touching the contents, and contents are destroyed by destroying their key. Whatever is encrypted
//! is bound to a *place*, a text that says what it is and whose: moved to another place it cannot be opened.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use payops_core::random::Random;
use secrecy::{ExposeSecret, SecretBox};
use sha2::Sha256;

use crate::error::{Error, ErrorKind};

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// How sealed bytes begin: another way to encrypt would have another number.
const VERSION: u8 = 1;
/// Characters of a ring key's id, at most.
const MOST_ID: usize = 40;

/// Why something cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// It is wrapped under a key that this process does not have.
    #[error("it is wrapped under the key '{0}', which PAYOPS_DATA_KEYS does not have: add that key again")]
    UnknownKey(String),
    /// It was changed, belongs elsewhere, or was encrypted with another key.
    #[error("it was changed, belongs to another place, or is of another key of the same id")]
    NotGenuine,
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::UnknownKey(_) => Self::new(
                ErrorKind::Unavailable,
                "DATA_KEY_MISSING",
                "This is encrypted under a key that the service does not have now.",
                "该内容所用的加密密钥目前不可用。",
            )
            .with_internal(format!("a key of personal data cannot be opened: {error}")),
            VaultError::NotGenuine => Self::internal(format!("what is encrypted cannot be opened: {error}")),
        }
    }
}

/// Why a ring cannot be used. Nothing of the keys is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// There is no key.
    #[error("there is no key in it; `id:key` is expected, the key as base64 of 32 random bytes")]
    Empty,
    /// An entry is none.
    #[error("entry {0}: `id:key` is expected, the id of 1 to 40 letters, digits, '-', '_' and '.'")]
    Malformed(usize),
    /// A key is no key.
    #[error(
        "entry {0}: base64 of 32 random bytes is expected behind the id: `openssl rand -base64 32` makes them"
    )]
    Length(usize),
    /// A key is not random.
    #[error("entry {0}: all bytes of the key are the same: `openssl rand -base64 32` makes a random one")]
    NotRandom(usize),
    /// Two keys have one id.
    #[error("entry {0} has the id of an entry before it")]
    Duplicate(usize),
}

/// Keys that wrap other keys: the first wraps, all unwrap. Clones share them.
#[derive(Clone)]
pub struct KeyRing {
    first: Arc<str>,
    keys: Arc<BTreeMap<String, DataKey>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("first", &self.first)
            .field("ids", &self.keys.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// A key that is wrapped under one of a ring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The id of the ring's key.
    pub key_id: String,
    /// The key, encrypted.
    pub bytes: Vec<u8>,
}

impl KeyRing {
    /// Reads `id:base64-of-32-bytes`, separated by commas or line breaks.
    pub fn parse(text: &str) -> Result<Self, RingError> {
        let entries = text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty());
        let (mut first, mut keys) = (None, BTreeMap::new());
        for (number, entry) in (1..).zip(entries) {
            let (id, key) = entry.split_once(':').ok_or(RingError::Malformed(number))?;
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if !(1..=MOST_ID).contains(&id.len()) || !id.chars().all(fits) {
                return Err(RingError::Malformed(number));
            }
            let decoded = STANDARD.decode(key.trim()).map_err(|_| RingError::Length(number))?;
            let bytes = <[u8; KEY_LEN]>::try_from(decoded).map_err(|_| RingError::Length(number))?;
            if bytes == [bytes[0]; KEY_LEN] {
                return Err(RingError::NotRandom(number));
            }
            if keys.insert(id.to_owned(), DataKey(SecretBox::new(Box::new(bytes)))).is_some() {
                return Err(RingError::Duplicate(number));
            }
            first.get_or_insert_with(|| Arc::from(id));
        }
        Ok(Self { first: first.ok_or(RingError::Empty)?, keys: Arc::new(keys) })
    }

    /// One key at random, as the text of a ring.
    pub fn draw(id: &str, random: &dyn Random) -> String {
        let mut bytes = [0; KEY_LEN];
        random.fill(&mut bytes);
        format!("{id}:{}", STANDARD.encode(bytes))
    }

    /// The id of the key that wraps.
    pub fn first(&self) -> &str {
        &self.first
    }

    /// Whether it has the key of this id.
    pub fn has(&self, id: &str) -> bool {
        self.keys.contains_key(id)
    }

    /// Wraps `key`, which belongs to `place`, under the first key.
    pub fn wrap(&self, random: &dyn Random, place: &str, key: &DataKey) -> Result<Wrapped, VaultError> {
        let first =
            self.keys.get(&*self.first).ok_or_else(|| VaultError::UnknownKey(self.first.to_string()))?;
        let bytes = first.seal(random, place, key.0.expose_secret())?;
        Ok(Wrapped { key_id: self.first.to_string(), bytes })
    }

    /// The key that was wrapped as one of `place`.
    pub fn unwrap(&self, place: &str, wrapped: &Wrapped) -> Result<DataKey, VaultError> {
        let key = self.keys.get(&wrapped.key_id);
        let key = key.ok_or_else(|| VaultError::UnknownKey(wrapped.key_id.clone()))?;
        let bytes = key.open(place, &wrapped.bytes)?;
        let bytes = <[u8; KEY_LEN]>::try_from(bytes).map_err(|_| VaultError::NotGenuine)?;
        Ok(DataKey(SecretBox::new(Box::new(bytes))))
    }
}

/// A key of contents. It is forgotten when it is dropped, and never shown.
pub struct DataKey(SecretBox<[u8; KEY_LEN]>);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

impl DataKey {
    /// A new key.
    pub fn draw(random: &dyn Random) -> Self {
        let mut bytes = Box::new([0; KEY_LEN]);
        random.fill(&mut *bytes);
        Self(SecretBox::new(bytes))
    }

    /// Encrypts `plain` for `place`. The same bytes are never sealed alike.
    pub fn seal(&self, random: &dyn Random, place: &str, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0; NONCE_LEN];
        random.fill(&mut nonce);
        let mut sealed = Vec::with_capacity(1 + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let contents = &mut sealed[1 + NONCE_LEN..];
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.cipher()?.seal_in_place_separate_tag(nonce, Aad::from(place), contents);
        sealed.extend_from_slice(tag.map_err(|_| VaultError::NotGenuine)?.as_ref());
        Ok(sealed)
    }

    /// What was sealed for `place` with this key.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (head, rest) = sealed.split_at_checked(1 + NONCE_LEN).ok_or(VaultError::NotGenuine)?;
        let nonce = head.strip_prefix(&[VERSION]).ok_or(VaultError::NotGenuine)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| VaultError::NotGenuine)?;
        let mut contents = rest.to_vec();
        let opened = self.cipher()?.open_in_place(nonce, Aad::from(place), &mut contents);
        let length = opened.map_err(|_| VaultError::NotGenuine)?.len();
        contents.truncate(length);
        Ok(contents)
    }

    /// HMAC-SHA-256 of `text` in lower-case hexadecimal: the same for the same text, and no more than that to whoever lacks
    /// the key.
    pub fn hash(&self, text: &str) -> Result<String, VaultError> {
        let mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret());
        let mut mac = mac.map_err(|_| VaultError::NotGenuine)?;
        mac.update(text.as_bytes());
        Ok(hex::encode(mac.finalize().into_bytes()))
    }

    fn cipher(&self) -> Result<LessSafeKey, VaultError> {
        let key = UnboundKey::new(&AES_256_GCM, self.0.expose_secret());
        Ok(LessSafeKey::new(key.map_err(|_| VaultError::NotGenuine)?))
    }
}

#[cfg(test)]
mod tests {
    use payops_core::random::{SeededRandom, SystemRandom};

    use super::*;

    fn ring(entries: &[&str]) -> KeyRing {
        KeyRing::parse(&entries.join(",")).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_in_its_place_and_nowhere_else() {
        let (key, other) = (DataKey::draw(&SystemRandom), DataKey::draw(&SystemRandom));
        let sealed = key.seal(&SystemRandom, "evidence/1", b"Mr. Sandman").unwrap();
        assert_eq!(key.open("evidence/1", &sealed).unwrap(), b"Mr. Sandman");
        assert!(!sealed.windows(7).any(|window| window == b"Sandman"));
        assert_ne!(key.seal(&SystemRandom, "evidence/1", b"Mr. Sandman").unwrap(), sealed);
        assert_eq!(key.open("evidence/2", &sealed), Err(VaultError::NotGenuine));
        assert_eq!(other.open("evidence/1", &sealed), Err(VaultError::NotGenuine));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key.open("evidence/1", &changed), Err(VaultError::NotGenuine), "byte {place}");
            assert_eq!(key.open("evidence/1", &sealed[..place]), Err(VaultError::NotGenuine));
        }
        let nothing = key.seal(&SystemRandom, "p", b"").unwrap();
        assert_eq!(key.open("p", &nothing).unwrap(), b"");
    }

    #[test]
    fn a_key_is_wrapped_under_the_first_of_the_ring_and_unwrapped_by_any() {
        let random = SeededRandom::new(1);
        let (old, new) = (KeyRing::draw("2026", &random), KeyRing::draw("2027", &random));
        let key = DataKey::draw(&random);
        let sealed = key.seal(&random, "p", b"contents").unwrap();
        let wrapped = ring(&[&old]).wrap(&random, "dispute/1", &key).unwrap();
        assert_eq!(wrapped.key_id, "2026");
        let both = ring(&[&new, &old]);
        let again = both.unwrap("dispute/1", &wrapped).unwrap();
        assert_eq!(again.open("p", &sealed).unwrap(), b"contents");
        let rewrapped = both.wrap(&random, "dispute/1", &again).unwrap();
        assert_eq!((rewrapped.key_id.as_str(), both.first()), ("2027", "2027"));
        let without_old = ring(&[&new]);
        let last = without_old.unwrap("dispute/1", &rewrapped).unwrap();
        assert_eq!(last.open("p", &sealed).unwrap(), b"contents");
        let missing = without_old.unwrap("dispute/1", &wrapped).unwrap_err();
        assert!(missing.to_string().contains("'2026'"), "{missing}");
        assert_eq!(both.unwrap("dispute/2", &wrapped).unwrap_err(), VaultError::NotGenuine);
        let namesake = ring(&[&KeyRing::draw("2026", &random)]);
        assert_eq!(namesake.unwrap("dispute/1", &wrapped).unwrap_err(), VaultError::NotGenuine);
    }

    #[test]
    fn a_ring_says_what_is_wrong_and_shows_no_key() {
        let key = STANDARD.encode([7, 8].repeat(16));
        let wrong = [
            (" ,\n", RingError::Empty),
            ("2027", RingError::Malformed(1)),
            (&format!(":{key}"), RingError::Malformed(1)),
            (&format!("a b:{key}"), RingError::Malformed(1)),
            (&format!("{}:{key}", "x".repeat(41)), RingError::Malformed(1)),
            (&format!("a:{key},b:AAAA"), RingError::Length(2)),
            (&format!("a:{key},b:?"), RingError::Length(2)),
            (&format!("a:{key}\nb:{}", STANDARD.encode([9; 32])), RingError::NotRandom(2)),
            (&format!("a:{key}\na:{key}"), RingError::Duplicate(2)),
        ];
        for (text, error) in wrong {
            assert_eq!(KeyRing::parse(text).unwrap_err(), error, "{text}");
        }
        let ring = KeyRing::parse(&format!("b:{key}\r\na:{key},\n")).unwrap();
        assert!(ring.first() == "b" && ring.has("a") && !ring.has("c"));
        let shown = format!("{ring:?} {:?}", DataKey::draw(&SystemRandom));
        assert!(shown.contains("\"a\"") && !shown.contains(&key) && !shown.contains("7, 8"), "{shown}");
    }

    #[test]
    fn a_hash_is_the_same_for_the_same_text_and_key() {
        let (key, other) = (DataKey::draw(&SystemRandom), DataKey::draw(&SystemRandom));
        assert_eq!(key.hash("a@shop.example").unwrap(), key.hash("a@shop.example").unwrap());
        assert_eq!(key.hash("a@shop.example").unwrap().len(), 64);
        assert_ne!(key.hash("a@shop.example").unwrap(), key.hash("b@shop.example").unwrap());
        assert_ne!(key.hash("a@shop.example").unwrap(), other.hash("a@shop.example").unwrap());
    }
}
