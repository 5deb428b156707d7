//! From credentials to a caller.

use std::fmt;
use std::path::PathBuf;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use payops_core::time::{Clock, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use super::certificate::CertificateNames;
use super::jwks::{Jwks, Source};
use super::services::{Holder, ServiceIdentity, ServiceTable};
use super::token::{self, Claims, MintError, TokenFault, TokenRequest};
use super::{Caller, unauthenticated};
use crate::error::{Error, ErrorKind, Result};

/// HS256 asks for a key as long as its digest.
const SHORTEST_SECRET: usize = 32;
/// No token that payops reads is longer.
const LONGEST_TOKEN: usize = 8 * 1024;

pub(crate) const SERVICE_NAME: HeaderName = HeaderName::from_static("x-service-name");
pub(crate) const SERVICE_SECRET: HeaderName = HeaderName::from_static("x-service-secret");

/// Whom to believe.
#[derive(Debug, Clone)]
pub struct AuthSettings {
    /// What tokens must say in `iss`.
    pub issuer: String,
    /// What tokens must say in `aud`, at least among others.
    pub audience: String,
    /// The keys that tokens are signed with.
    pub tokens: TokenKeys,
    /// The services that may call.
    pub services: Vec<ServiceIdentity>,
}

/// The keys that tokens are signed with.
#[derive(Debug, Clone)]
pub enum TokenKeys {
    /// HS256. The first signs new tokens; all check, so that one can replace another.
    Secrets(Vec<SecretString>),
    /// RS256, ES256 or EdDSA, by a JWKS file.
    JwksFile(PathBuf),
    /// RS256, ES256 or EdDSA, by a JWKS address.
    JwksUrl(String),
}

/// Settings that would not be safe, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthSetupError {
    /// No secret at all.
    #[error("at least one token secret is needed")]
    NoSecret,
    /// A secret that can be guessed.
    #[error("a token secret has at least {SHORTEST_SECRET} bytes")]
    ShortSecret,
    /// The address of the keys.
    #[error("this is not an http or https address of token keys")]
    KeysAddress,
    /// The client that reads the keys.
    #[error("the client for token keys could not be made")]
    Client(#[from] reqwest::Error),
    /// A secret that can be guessed.
    #[error("a secret of service {number} is too short: at least {least} bytes are needed")]
    ShortServiceSecret {
        /// Which service, counted from 1: its name may be a secret that was put in the wrong place.
        number: usize,
        /// The least number of bytes.
        least: usize,
    },
    /// A name that cannot stand in a header.
    #[error("service {0} has no name of visible ASCII characters")]
    ServiceName(usize),
    /// A name given twice.
    #[error("service {0} has the name of one before it")]
    ServiceTwice(usize),
    /// A name that no certificate can hold, or that would stand for many.
    #[error("'{0}' is neither a DNS name without wildcards nor a URI")]
    CertificateName(String),
    /// A certificate cannot be two services at once.
    #[error("certificates with the name '{0}' are given to two services")]
    CertificateTwice(String),
    /// An empty issuer or audience would match tokens that name none.
    #[error("issuer and audience of tokens must be set")]
    EmptyName,
}

/// Checks credentials. Shared by all services of a process.
pub struct Authenticator {
    issuer: String,
    audience: String,
    keys: Keys,
    services: ServiceTable,
}

/// What credentials say about who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// There are none.
    Nobody,
    /// They are this caller's.
    Caller(Caller),
    /// A client certificate of a good authority, and nothing else, makes nobody of its holder: why.
    Stranger(&'static str),
}

impl Known {
    /// The caller, if there is one.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::Nobody | Self::Stranger(_) => None,
        }
    }
}

enum Keys {
    Secrets { sign: EncodingKey, verify: Vec<DecodingKey> },
    Public(Jwks),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (issuer, audience) = (&self.issuer, &self.audience);
        f.debug_struct("Authenticator")
            .field("issuer", issuer)
            .field("audience", audience)
            .finish_non_exhaustive()
    }
}

impl Authenticator {
    /// Checks the settings. Keys by address are read when the first token comes.
    pub fn new(settings: AuthSettings) -> Result<Self, AuthSetupError> {
        if settings.issuer.is_empty() || settings.audience.is_empty() {
            return Err(AuthSetupError::EmptyName);
        }
        let keys = match settings.tokens {
            TokenKeys::Secrets(secrets) => secret_keys(&secrets)?,
            TokenKeys::JwksFile(path) => Keys::Public(Jwks::new(Source::File(path))),
            TokenKeys::JwksUrl(url) => Keys::Public(Jwks::new(address(&url)?)),
        };
        let services = ServiceTable::new(&settings.services)?;
        Ok(Self { issuer: settings.issuer, audience: settings.audience, keys, services })
    }

    /// Signs a token with the first secret.
    pub fn mint(&self, request: &TokenRequest, now: Timestamp) -> Result<String, MintError> {
        let Keys::Secrets { sign, .. } = &self.keys else { return Err(MintError::NoSecret) };
        Claims::new(request, &self.issuer, &self.audience, now)?.sign(sign)
    }

    /// Who calls; 401 when credentials are bad, incomplete or contradict each other; 503 when the keys cannot be
    /// had. `certificate` is of a client certificate that was checked. It makes a service of the caller when
    /// there are no other credentials; beside a secret it must be of the same service; beside a token it says
    /// nothing, since whoever brings somebody's token calls for that somebody. A certificate of no service, or of
    /// several, is a fault only where a caller is needed: clients show it without being asked for a caller.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&CertificateNames>,
        clock: &dyn Clock,
    ) -> Result<Known> {
        let service = headers.contains_key(SERVICE_NAME) || headers.contains_key(SERVICE_SECRET);
        match (service, headers.contains_key(AUTHORIZATION)) {
            (false, false) => Ok(certificate.map_or(Known::Nobody, |names| self.by_certificate(names))),
            (true, true) => Err(bad_credentials("a token and a service secret at once")),
            (true, false) => self.by_service_secret(headers, certificate).map(Known::Caller),
            (false, true) => Box::pin(self.by_token(headers, clock)).await.map(Known::Caller),
        }
    }

    fn by_certificate(&self, names: &CertificateNames) -> Known {
        match self.services.holder(names) {
            Holder::Service(name) => Known::Caller(Caller::Service { name }),
            Holder::Nobody => Known::Stranger("the client certificate names no service that may call"),
            Holder::Several => Known::Stranger("the client certificate names several services"),
        }
    }

    fn by_service_secret(
        &self,
        headers: &HeaderMap,
        certificate: Option<&CertificateNames>,
    ) -> Result<Caller> {
        let name = single(headers, &SERVICE_NAME)?.to_str().unwrap_or_default();
        let secret = single(headers, &SERVICE_SECRET)?.as_bytes();
        let holder = certificate.map(|names| self.services.holder(names));
        // Before the secret is looked at: a service that guesses at another's learns nothing.
        if !matches!(&holder, None | Some(Holder::Nobody)) && holder != Some(Holder::Service(name.into())) {
            return Err(contradiction());
        }
        let known = self.services.check(name, secret);
        known
            .map(|name| Caller::Service { name })
            .ok_or_else(|| bad_credentials("unknown service, or a wrong secret"))
    }

    async fn by_token(&self, headers: &HeaderMap, clock: &dyn Clock) -> Result<Caller> {
        let value = single(headers, &AUTHORIZATION)?.to_str().unwrap_or_default();
        let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
        let token = token.trim();
        if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || token.len() > LONGEST_TOKEN {
            return Err(bad_credentials("not a bearer token"));
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| refused(&TokenFault::Invalid))?;
        let claims = match &self.keys {
            Keys::Secrets { verify, .. } => by_any_secret(token, &header, verify),
            Keys::Public(jwks) => match jwks.key(&header).await? {
                Ok(key) => token::verify(token, &header, key.algorithm, &key.key),
                Err(fault) => Err(fault),
            },
        };
        claims
            .and_then(|claims| claims.caller(&self.issuer, &self.audience, clock.now()))
            .map_err(|fault| refused(&fault))
    }
}

fn secret_keys(secrets: &[SecretString]) -> Result<Keys, AuthSetupError> {
    if secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST_SECRET) {
        return Err(AuthSetupError::ShortSecret);
    }
    let bytes = || secrets.iter().map(|secret| secret.expose_secret().as_bytes());
    let sign = bytes().next().map(EncodingKey::from_secret).ok_or(AuthSetupError::NoSecret)?;
    Ok(Keys::Secrets { sign, verify: bytes().map(DecodingKey::from_secret).collect() })
}

fn address(text: &str) -> Result<Source, AuthSetupError> {
    let url = reqwest::Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or(AuthSetupError::KeysAddress)?;
    // A redirect would let whoever answers choose where keys come from.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    Ok(Source::Url { url, client })
}

fn by_any_secret(token: &str, header: &Header, secrets: &[DecodingKey]) -> Result<Claims, TokenFault> {
    let mut outcome = Err(TokenFault::Invalid);
    for key in secrets {
        outcome = token::verify(token, header, Algorithm::HS256, key);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The value of a header that may come once.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h http::HeaderValue> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(bad_credentials("a credential is missing, or came twice")),
    }
}

fn refused(fault: &TokenFault) -> Error {
    let error = match fault {
        TokenFault::Expired => {
            Error::new(ErrorKind::Unauthorized, "TOKEN_EXPIRED", "The token has expired.", "令牌已过期。")
        }
        _ => bad_credentials("the token was refused"),
    };
    error.with_internal(fault.to_string())
}

pub(crate) fn bad_credentials(why: &'static str) -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "INVALID_CREDENTIALS",
        "The credentials are not valid.",
        "身份凭证无效。",
    )
    .with_internal(why)
}

fn contradiction() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        "CREDENTIALS_CONFLICT",
        "The client certificate and X-Service-Name are not of the same service.",
        "客户端证书与 X-Service-Name 不属于同一服务。",
    )
}

/// Whether an error says that credentials came and were bad, as opposed to none at all.
pub(crate) fn is_bad_credentials(error: &Error) -> bool {
    error.kind() == ErrorKind::Unauthorized && error.code() != unauthenticated().code()
}
