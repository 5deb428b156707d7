//! Who signs, and whose signatures are believed.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use payops_platform::error::{Error, Result};
use sha2::{Digest, Sha256};

/// The keys of seals and checkpoints: Ed25519.
#[derive(Debug, Default)]
pub struct AuditKeys {
    signing: Option<(String, Ed25519KeyPair)>,
    /// By id.
    believed: BTreeMap<String, [u8; 32]>,
}

/// A public key, for whoever is to verify and not to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// By which seals and checkpoints name it.
    pub id: String,
    /// In hexadecimal.
    pub public_key: String,
    /// Whether this process signs with it.
    pub signs: bool,
}

/// A key that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an Ed25519 key of 32 bytes is expected, as 64 hexadecimal digits")]
pub struct KeyError;

/// What a signature is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Genuine,
    Forged,
    UnknownKey,
}

impl AuditKeys {
    /// From private keys, of which the first signs, and public keys that are believed besides; in hexadecimal.
    pub fn new<'k>(
        private: impl IntoIterator<Item = &'k str>,
        public: impl IntoIterator<Item = &'k str>,
    ) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for seed in private {
            let pair = Ed25519KeyPair::from_seed_unchecked(&bytes(seed)?).map_err(|_| KeyError)?;
            let id = keys.believe(pair.public_key().as_ref().try_into().map_err(|_| KeyError)?);
            keys.signing.get_or_insert((id, pair));
        }
        for key in public {
            keys.believe(bytes(key)?);
        }
        Ok(keys)
    }

    fn believe(&mut self, key: [u8; 32]) -> String {
        let id = hex::encode(&Sha256::digest(key)[..8]);
        self.believed.insert(id.clone(), key);
        id
    }

    /// Whether there is a key to sign with.
    pub fn can_sign(&self) -> bool {
        self.signing.is_some()
    }

    /// The public keys of all of them.
    pub fn public_keys(&self) -> Vec<PublicKey> {
        let signs = |id: &String| self.signing.as_ref().is_some_and(|(signing, _)| signing == id);
        let shown = |(id, key): (&String, &[u8; 32])| PublicKey {
            id: id.clone(),
            public_key: hex::encode(key),
            signs: signs(id),
        };
        self.believed.iter().map(shown).collect()
    }

    /// Signs what `claim` makes of the id of the key.
    pub(crate) fn sign(&self, claim: impl FnOnce(&str) -> Vec<u8>) -> Result<Vec<u8>> {
        let (id, pair) = self
            .signing
            .as_ref()
            .ok_or_else(|| Error::internal("there is no key to sign seals with: set PAYOPS_AUDIT_KEY"))?;
        let signature =
            pair.try_sign(&claim(id)).map_err(|_| Error::internal("Ed25519 gave no signature"))?;
        Ok(signature.as_ref().to_vec())
    }

    pub(crate) fn verify(&self, key_id: &str, claim: &[u8], signature: &[u8]) -> Verdict {
        let Some(key) = self.believed.get(key_id) else { return Verdict::UnknownKey };
        match UnparsedPublicKey::new(&ED25519, key).verify(claim, signature) {
            Ok(()) => Verdict::Genuine,
            Err(_) => Verdict::Forged,
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let signs = if self.signs { " (signs)" } else { "" };
        write!(f, "{} {}{signs}", self.id, self.public_key)
    }
}

fn bytes(text: &str) -> Result<[u8; 32], KeyError> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).map_err(|_| KeyError)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_key_signs_as_the_standard_says() {
        // RFC 8032, 7.1, test 1.
        let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
        let keys = AuditKeys::new([seed], []).unwrap();
        let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        assert_eq!(keys.public_keys()[0].public_key, public);
        let mut id = String::new();
        let signature = keys
            .sign(|key_id| {
                key_id.clone_into(&mut id);
                Vec::new()
            })
            .unwrap();
        assert!(hex::encode(&signature).starts_with("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974"));
        let auditor = AuditKeys::new([], [public]).unwrap();
        assert!(!auditor.can_sign());
        assert_eq!(auditor.verify(&id, b"", &signature), Verdict::Genuine);
        assert_eq!(auditor.verify(&id, b"x", &signature), Verdict::Forged);
        assert_eq!(auditor.verify(&id, b"", b""), Verdict::Forged);
        assert_eq!(auditor.verify("0", b"", &signature), Verdict::UnknownKey);
        assert_eq!(AuditKeys::new(["ab"], []).unwrap_err(), KeyError);
    }
}
