//! Public keys from a JWKS file or address: cached, read again when a token names a key that is not there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::token::TokenFault;
use crate::error::{Error, Result};

/// Tokens cannot make payops read the keys more often than this.
const LEAST_PAUSE: Duration = Duration::from_mins(1);
/// Keys older than this are read again, so that a withdrawn one stops working.
const LONGEST_USE: Duration = Duration::from_mins(15);
/// What reading may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// No set of keys is larger.
const LARGEST: usize = 256 * 1024;

/// A key and the one algorithm that it is for.
pub(super) struct VerifyingKey {
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

/// The usable keys of a set. Keys without a name get an empty one.
#[derive(Default)]
struct KeySet {
    by_name: HashMap<String, Arc<VerifyingKey>>,
}

#[derive(Debug)]
pub(super) enum Source {
    File(PathBuf),
    Url { url: reqwest::Url, client: reqwest::Client },
}

/// Where keys come from, and what came last.
pub(super) struct Jwks {
    source: Source,
    keys: RwLock<Arc<KeySet>>,
    reading: Mutex<Readings>,
    fresh_until: RwLock<Option<Instant>>,
}

/// When keys were asked for last, and whether any ever came.
#[derive(Default)]
struct Readings {
    asked_at: Option<Instant>,
    have_keys: bool,
}

impl Jwks {
    pub(super) fn new(source: Source) -> Self {
        Self { source, keys: RwLock::default(), reading: Mutex::default(), fresh_until: RwLock::new(None) }
    }

    /// The key that a token's header names. Errors: inside, the token's fault; outside, no keys to be had.
    pub(super) async fn key(&self, header: &Header) -> Result<Result<Arc<VerifyingKey>, TokenFault>> {
        if self.is_fresh()
            && let Ok(key) = self.find(header)
        {
            return Ok(Ok(key));
        }
        // Boxed: reading takes kilobytes of state, which every request would carry along otherwise.
        Box::pin(self.read_again()).await?;
        Ok(self.find(header))
    }

    fn is_fresh(&self) -> bool {
        let until = *self.fresh_until.read().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    fn find(&self, header: &Header) -> Result<Arc<VerifyingKey>, TokenFault> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match (&header.kid, keys.by_name.len()) {
            (Some(name), _) => {
                let named = keys.by_name.get(name).cloned();
                named.ok_or_else(|| TokenFault::UnknownKey(name.chars().take(64).collect()))
            }
            (None, 1) => keys.by_name.values().next().cloned().ok_or(TokenFault::NoKeyNamed),
            (None, _) => Err(TokenFault::NoKeyNamed),
        }
    }

    /// Reads the keys, unless that was done within [`LEAST_PAUSE`]. While the source is away, the keys that
    /// are there stay good.
    async fn read_again(&self) -> Result<()> {
        let mut readings = self.reading.lock().await;
        let too_early = readings.asked_at.is_some_and(|asked| asked.elapsed() < LEAST_PAUSE);
        if !too_early {
            readings.asked_at = Some(Instant::now());
            match self.source.read().await.and_then(|text| KeySet::parse(&text)) {
                Ok(keys) => {
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                    *self.fresh_until.write().unwrap_or_else(PoisonError::into_inner) =
                        Some(Instant::now() + LONGEST_USE);
                    readings.have_keys = true;
                }
                Err(error) => {
                    tracing::warn!(error, source = ?self.source, "the token keys could not be read");
                }
            }
        }
        if readings.have_keys {
            return Ok(());
        }
        Err(Error::unavailable("no token keys could be read yet", LEAST_PAUSE))
    }
}

impl Source {
    async fn read(&self) -> Result<Vec<u8>, String> {
        let text = match self {
            Self::File(path) => tokio::fs::read(path).await.map_err(|error| error.to_string())?,
            Self::Url { url, client } => {
                let fetched = tokio::time::timeout(PATIENCE, fetch(client, url.clone())).await;
                fetched.map_err(|_| String::from("no answer in time"))?.map_err(|error| error.to_string())?
            }
        };
        if text.len() > LARGEST { Err(String::from("too large for a set of keys")) } else { Ok(text) }
    }
}

async fn fetch(client: &reqwest::Client, url: reqwest::Url) -> reqwest::Result<Vec<u8>> {
    let mut answer = client.get(url).send().await?.error_for_status()?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        text.extend_from_slice(&chunk);
        if text.len() > LARGEST {
            break;
        }
    }
    Ok(text)
}

/// Entries are read one by one, so that a key of a kind unknown to payops does not spoil the others.
#[derive(serde::Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let raw: RawSet = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        let mut by_name = HashMap::new();
        for value in raw.keys {
            let Some((name, key)) = usable(value) else { continue };
            by_name.insert(name, Arc::new(key));
        }
        if by_name.is_empty() { Err(String::from("no usable key in the set")) } else { Ok(Self { by_name }) }
    }
}

/// A key that may check tokens, with the algorithm that follows from the key alone. Secrets (`oct`) are never
/// usable: a set of public keys that holds one is a mistake, and anybody may have read it.
fn usable(value: serde_json::Value) -> Option<(String, VerifyingKey)> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let (algorithm, expected) = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => (Algorithm::RS256, KeyAlgorithm::RS256),
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, KeyAlgorithm::ES256)
        }
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
        }
        _ => return None,
    };
    if jwk.common.key_algorithm.is_some_and(|stated| stated != expected) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some((jwk.common.key_id.unwrap_or_default(), VerifyingKey { algorithm, key }))
}
