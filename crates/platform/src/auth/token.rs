//! What a bearer token must say.

use std::time::Duration;

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use payops_core::time::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::{Caller, Role};

/// How far the clocks of issuer and payops may differ, in seconds.
const LEEWAY: TimeDelta = TimeDelta::seconds(30);

/// Who a token is minted for.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// The caller: a person or somebody at a merchant. Services have secrets instead.
    pub caller: Caller,
    /// How long the token is good.
    pub lifetime: Duration,
}

/// Why no token was minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Tokens are issued elsewhere: payops only has the public keys.
    #[error("tokens are issued by the holder of the JWKS keys, not by payops")]
    NoSecret,
    /// Services do not call by token.
    #[error("a service calls with its name and secret, not with a token")]
    Service,
    /// The claims could not be signed.
    #[error("the token could not be signed")]
    Signing(#[from] jsonwebtoken::errors::Error),
}

/// Why a token is refused. The words are for the log; callers learn only whether it has expired.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("malformed, or signed by another key")]
    Invalid,
    #[error("signed with {found:?}, the key is for {expected:?}")]
    Algorithm { found: Algorithm, expected: Algorithm },
    #[error("no key is known as '{0}'")]
    UnknownKey(String),
    #[error("names no key, and there are several")]
    NoKeyNamed,
    #[error("demands extensions that payops does not know")]
    Critical,
    #[error("expired")]
    Expired,
    #[error("not valid yet")]
    NotYet,
    #[error("issued by another")]
    Issuer,
    #[error("meant for another")]
    Audience,
    #[error("has no subject of 1 to 255 bytes without control characters")]
    Subject,
    #[error("has no role that payops knows, or a merchant without its id")]
    Role,
}

/// The claims that payops reads; others are passed over.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    sub: String,
    iss: String,
    aud: Audience,
    #[serde(deserialize_with = "seconds")]
    exp: i64,
    #[serde(default, deserialize_with = "optional_seconds", skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iat: Option<serde_json::Number>,
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    merchant_id: Option<Uuid>,
}

/// One audience or several, as the standard allows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn includes(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

/// The standard allows fractions of seconds; they are cut off.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let text = number.to_string();
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().map_err(|_| serde::de::Error::custom("not a time in seconds"))
}

fn optional_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    seconds(deserializer).map(Some)
}

/// Checks the signature with a key that decides the algorithm by itself, whatever the header claims.
pub(super) fn verify(
    token: &str,
    header: &Header,
    algorithm: Algorithm,
    key: &DecodingKey,
) -> Result<Claims, TokenFault> {
    if header.alg != algorithm {
        return Err(TokenFault::Algorithm { found: header.alg, expected: algorithm });
    }
    if header.crit.is_some() {
        return Err(TokenFault::Critical);
    }
    let mut validation = Validation::new(algorithm);
    // Times and names are checked below, against a clock that is an argument.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, key, &validation).map(|token| token.claims).map_err(|_| TokenFault::Invalid)
}

impl Claims {
    pub(super) fn new(
        request: &TokenRequest,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<Self, MintError> {
        let (subject, merchant_id) = match &request.caller {
            Caller::Person { subject, .. } => (subject, None),
            Caller::Merchant { subject, merchant_id } => (subject, Some(*merchant_id)),
            Caller::Service { .. } => return Err(MintError::Service),
        };
        let lifetime = i64::try_from(request.lifetime.as_secs()).unwrap_or(i64::MAX);
        Ok(Self {
            sub: subject.to_string(),
            iss: issuer.to_owned(),
            aud: Audience::One(audience.to_owned()),
            exp: now.timestamp().saturating_add(lifetime),
            nbf: None,
            iat: Some(now.timestamp().into()),
            role: request.caller.role().to_owned(),
            merchant_id,
        })
    }

    pub(super) fn sign(&self, key: &EncodingKey) -> Result<String, MintError> {
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), self, key)?)
    }

    /// The caller, when the claims hold at `now`.
    pub(super) fn caller(self, issuer: &str, audience: &str, now: Timestamp) -> Result<Caller, TokenFault> {
        let leeway = LEEWAY.num_seconds();
        if self.exp.saturating_add(leeway) <= now.timestamp() {
            return Err(TokenFault::Expired);
        }
        if self.nbf.is_some_and(|start| start.saturating_sub(leeway) > now.timestamp()) {
            return Err(TokenFault::NotYet);
        }
        if self.iss != issuer {
            return Err(TokenFault::Issuer);
        }
        if !self.aud.includes(audience) {
            return Err(TokenFault::Audience);
        }
        if self.sub.is_empty() || self.sub.len() > 255 || self.sub.contains(char::is_control) {
            return Err(TokenFault::Subject);
        }
        let subject = self.sub.into();
        match (self.role.as_str(), self.merchant_id) {
            ("admin", None) => Ok(Caller::Person { subject, role: Role::Admin }),
            ("operator", None) => Ok(Caller::Person { subject, role: Role::Operator }),
            ("merchant", Some(merchant_id)) => Ok(Caller::Merchant { subject, merchant_id }),
            _ => Err(TokenFault::Role),
        }
    }
}
