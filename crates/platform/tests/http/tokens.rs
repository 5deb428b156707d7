//! Tokens: what is believed and what is not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::HeaderMap;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use payops_core::time::{Clock, ManualClock};
use payops_platform::auth::{AuthSettings, Authenticator, Caller, Role, TokenKeys, TokenRequest};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

const NOW: i64 = 1_700_000_000;
const SECRET: &str = "a token secret that only tests know about";

fn clock() -> ManualClock {
    ManualClock::new(chrono::DateTime::from_timestamp(NOW, 0).unwrap())
}

fn authenticator(tokens: TokenKeys) -> Authenticator {
    let settings =
        AuthSettings { issuer: "payops".into(), audience: "payops-api".into(), tokens, services: Vec::new() };
    Authenticator::new(settings).unwrap()
}

fn by_secrets(secrets: &[&str]) -> Authenticator {
    authenticator(TokenKeys::Secrets(secrets.iter().map(|secret| SecretString::from(*secret)).collect()))
}

fn claims() -> Value {
    json!({"sub": "alice", "iss": "payops", "aud": "payops-api", "exp": NOW + 600, "role": "operator"})
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn signed(claims: &Value) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// The caller, or the code and what the log says.
async fn outcome(authenticator: &Authenticator, token: &str) -> Result<Caller, (String, String)> {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    match authenticator.authenticate(&headers, None, &clock()).await {
        Ok(known) => Ok(known.caller().expect("credentials came").clone()),
        Err(error) => Err((error.code().into(), error.internal_text().unwrap_or_default().into())),
    }
}

async fn refusal(authenticator: &Authenticator, token: &str) -> String {
    let (code, internal) = outcome(authenticator, token).await.expect_err("a refusal");
    format!("{code} {internal}")
}

#[tokio::test]
async fn the_three_kinds_of_tokens() {
    let authenticator = by_secrets(&[SECRET]);
    let merchant_id = Uuid::from_u128(7);
    for (changes, caller) in [
        (json!({}), Caller::Person { subject: "alice".into(), role: Role::Operator }),
        (json!({"role": "admin"}), Caller::Person { subject: "alice".into(), role: Role::Admin }),
        (
            json!({"role": "merchant", "merchant_id": merchant_id}),
            Caller::Merchant { subject: "alice".into(), merchant_id },
        ),
        (
            json!({"aud": ["other", "payops-api"], "scope": "x", "exp": 1_700_000_600.5}),
            Caller::Person { subject: "alice".into(), role: Role::Operator },
        ),
        // Clocks may differ by half a minute.
        (
            json!({"exp": NOW - 29, "nbf": NOW + 30}),
            Caller::Person { subject: "alice".into(), role: Role::Operator },
        ),
    ] {
        assert_eq!(outcome(&authenticator, &signed(&with(&changes))).await, Ok(caller), "{changes}");
    }
}

#[tokio::test]
async fn claims_that_do_not_hold() {
    let authenticator = by_secrets(&[SECRET]);
    for (changes, expected) in [
        (json!({"exp": NOW - 30}), "TOKEN_EXPIRED expired"),
        (json!({"exp": i64::MIN}), "TOKEN_EXPIRED expired"),
        (json!({"exp": null}), "malformed"),
        (json!({"exp": "soon"}), "malformed"),
        (json!({"nbf": NOW + 31}), "not valid yet"),
        (json!({"iss": "other"}), "issued by another"),
        (json!({"iss": null}), "malformed"),
        (json!({"aud": "other"}), "meant for another"),
        (json!({"aud": []}), "meant for another"),
        (json!({"aud": null}), "malformed"),
        (json!({"sub": null}), "malformed"),
        (json!({"sub": ""}), "has no subject"),
        (json!({"sub": "x".repeat(256)}), "has no subject"),
        (json!({"role": "root"}), "has no role"),
        (json!({"role": null}), "malformed"),
        (json!({"role": "merchant"}), "has no role"),
        (json!({"role": "merchant", "merchant_id": "x"}), "malformed"),
        (json!({"role": "admin", "merchant_id": Uuid::nil()}), "has no role"),
        (json!({"role": "service"}), "has no role"),
    ] {
        let refusal = refusal(&authenticator, &signed(&with(&changes))).await;
        assert!(refusal.contains(expected), "{changes}: {refusal}");
    }
}

fn unsigned(header: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(&claims()))
}

#[tokio::test]
async fn signatures_that_do_not_hold() {
    let authenticator = by_secrets(&[SECRET]);
    let good = signed(&claims());
    assert!(outcome(&authenticator, &good).await.is_ok());
    let (body, signature) = good.rsplit_once('.').unwrap();
    let other = encode(
        &Header::new(Algorithm::HS256),
        &claims(),
        &EncodingKey::from_secret(b"another secret of the same length, or so"),
    );
    let mut critical = Header::new(Algorithm::HS256);
    critical.crit = Some(vec!["exp".into()]);
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    for (name, token) in [
        ("no signature", body.to_owned()),
        ("an empty signature", format!("{body}.")),
        ("a cut signature", format!("{body}.{}", &signature[..20])),
        ("alg none", unsigned(&json!({"alg": "none"}), "")),
        ("alg None", unsigned(&json!({"alg": "None"}), signature)),
        ("no alg", unsigned(&json!({"typ": "JWT"}), signature)),
        ("another secret", other.unwrap()),
        ("HS512", encode(&Header::new(Algorithm::HS512), &claims(), &key).unwrap()),
        ("unknown extensions", encode(&critical, &claims(), &key).unwrap()),
        ("claims exchanged", format!("{}.{}.{signature}", body.split('.').next().unwrap(), "e30")),
        ("five parts", format!("{good}.a.b")),
        ("no token", "x".into()),
        ("far too long", format!("{good}{}", "x".repeat(10_000))),
    ] {
        let refusal = refusal(&authenticator, &token).await;
        assert!(refusal.starts_with("INVALID_CREDENTIALS"), "{name}: {refusal}");
    }
}

#[tokio::test]
async fn a_new_secret_may_replace_the_old_one_while_both_are_good() {
    let (old, new) = (SECRET, "the next token secret, just as secret as the last");
    let before = by_secrets(&[old]);
    let during = by_secrets(&[new, old]);
    let after = by_secrets(&[new]);
    let caller = Caller::Merchant { subject: "mia".into(), merchant_id: Uuid::from_u128(7) };
    let request = TokenRequest { caller: caller.clone(), lifetime: Duration::from_mins(1) };
    let now = clock().now();
    let (first, second) = (before.mint(&request, now).unwrap(), during.mint(&request, now).unwrap());
    assert_eq!(outcome(&during, &first).await.as_ref(), Ok(&caller));
    assert_eq!(outcome(&after, &second).await.as_ref(), Ok(&caller));
    assert!(outcome(&after, &first).await.is_err());
}

/// A key pair and the public half as it stands in a set.
struct Pair {
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
    public_der: Vec<u8>,
}

fn pem(pkcs8: &[u8]) -> Vec<u8> {
    format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8))
        .into_bytes()
}

fn named(jwk: impl serde::Serialize, name: &str) -> Value {
    let mut jwk = serde_json::to_value(jwk).unwrap();
    jwk["kid"] = name.into();
    jwk
}

fn rsa(name: &str) -> Pair {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pkcs8: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let key = EncodingKey::from_rsa_pem(&pem(pkcs8.as_ref())).unwrap();
    let jwk = named(Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap(), name);
    Pair { algorithm: Algorithm::RS256, key, jwk, public_der: pair.public_key().as_ref().to_vec() }
}

fn ecdsa(name: &str) -> Pair {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let key = EncodingKey::from_ec_pem(&pem(pair.to_pkcs8v1().unwrap().as_ref())).unwrap();
    let jwk = named(Jwk::from_encoding_key(&key, Algorithm::ES256).unwrap(), name);
    Pair { algorithm: Algorithm::ES256, key, jwk, public_der: pair.public_key().as_ref().to_vec() }
}

fn ed25519(name: &str) -> Pair {
    let pair = Ed25519KeyPair::generate().unwrap();
    let key = EncodingKey::from_ed_pem(&pem(pair.to_pkcs8v1().unwrap().as_ref())).unwrap();
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": name, "x": x});
    Pair { algorithm: Algorithm::EdDSA, key, jwk, public_der: pair.public_key().as_ref().to_vec() }
}

fn token(pair: &Pair, name: Option<&str>) -> String {
    let mut header = Header::new(pair.algorithm);
    header.kid = name.map(str::to_owned);
    encode(&header, &claims(), &pair.key).unwrap()
}

fn set(pairs: &[&Pair]) -> String {
    json!({"keys": pairs.iter().map(|pair| &pair.jwk).collect::<Vec<_>>()}).to_string()
}

#[tokio::test]
async fn public_keys_of_every_kind() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (first, second, third) = (rsa("a"), ecdsa("b"), ed25519("c"));
    std::fs::write(file.path(), set(&[&first, &second, &third])).unwrap();
    let authenticator = authenticator(TokenKeys::JwksFile(file.path().into()));
    for (pair, name) in [(&first, "a"), (&second, "b"), (&third, "c")] {
        let good = outcome(&authenticator, &token(pair, Some(name))).await;
        assert!(good.is_ok(), "{name}: {good:?}");
        let nameless = refusal(&authenticator, &token(pair, None)).await;
        assert!(nameless.contains("names no key"), "{nameless}");
    }
    // Under another key's name, and so under its algorithm.
    assert!(refusal(&authenticator, &token(&first, Some("b"))).await.contains("the key is for ES256"));
    assert!(refusal(&authenticator, &token(&second, Some("zzz"))).await.contains("no key is known as 'zzz'"));
    assert!(authenticator.mint(&request(), clock().now()).is_err());
}

fn request() -> TokenRequest {
    let caller = Caller::Person { subject: "alice".into(), role: Role::Admin };
    TokenRequest { caller, lifetime: Duration::from_mins(1) }
}

#[tokio::test]
async fn a_public_key_is_no_secret() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let pair = rsa("a");
    std::fs::write(file.path(), set(&[&pair])).unwrap();
    let authenticator = authenticator(TokenKeys::JwksFile(file.path().into()));
    let modulus = pair.jwk["n"].as_str().unwrap();
    let candidates = [
        pair.public_der.clone(),
        pem(&pair.public_der),
        modulus.as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(modulus).unwrap(),
        pair.jwk.to_string().into_bytes(),
    ];
    for secret in candidates {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("a".into());
        let forged = encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert!(refusal(&authenticator, &forged).await.contains("signed with HS256"));
    }
    // Nor is a secret a public key.
    let by_secret = by_secrets(&[SECRET]);
    assert!(refusal(&by_secret, &token(&pair, Some("a"))).await.contains("signed with RS256"));
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_are_passed_over() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let pair = ecdsa("good");
    let secret = URL_SAFE_NO_PAD.encode(SECRET);
    let (mut encrypting, mut mislabelled) = (pair.jwk.clone(), pair.jwk.clone());
    encrypting["kid"] = "enc".into();
    encrypting["use"] = "enc".into();
    mislabelled["kid"] = "es384".into();
    mislabelled["alg"] = "ES384".into();
    let keys = json!({"keys": [
        {"kty": "oct", "kid": "secret", "alg": "HS256", "k": secret},
        {"kty": "unheard of", "kid": "x"},
        "nonsense", encrypting, mislabelled, pair.jwk,
    ]});
    std::fs::write(file.path(), keys.to_string()).unwrap();
    let authenticator = authenticator(TokenKeys::JwksFile(file.path().into()));
    assert!(outcome(&authenticator, &token(&pair, Some("good"))).await.is_ok());
    // Only one is usable, so it need not be named.
    assert!(outcome(&authenticator, &token(&pair, None)).await.is_ok());
    for name in ["enc", "es384"] {
        assert!(outcome(&authenticator, &token(&pair, Some(name))).await.is_err(), "{name}");
    }
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("secret".into());
    let forged = encode(&header, &claims(), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap();
    assert!(refusal(&authenticator, &forged).await.contains("no key is known"));
}

/// Lets a minute and a bit pass without waiting for it.
async fn minutes_later(minutes: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(minutes * 60 + 1)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn rotated_keys_are_read_again_but_seldom() {
    let (old, new) = (ecdsa("old"), ecdsa("new"));
    let keys = Arc::new(std::sync::Mutex::new(set(&[&old])));
    let reads = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    let (served, counted) = (Arc::clone(&keys), Arc::clone(&reads));
    let router = axum::Router::new().route(
        "/keys",
        axum::routing::get(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            let text = served.lock().unwrap().clone();
            async move { if text.is_empty() { Err(http::StatusCode::BAD_GATEWAY) } else { Ok(text) } }
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    let authenticator = authenticator(TokenKeys::JwksUrl(url));
    let (old_token, new_token) = (token(&old, Some("old")), token(&new, Some("new")));

    for _ in 0..5 {
        assert!(outcome(&authenticator, &old_token).await.is_ok());
    }
    assert_eq!(reads.load(Ordering::SeqCst), 1);

    *keys.lock().unwrap() = set(&[&new]);
    // Unknown names make payops look again, once a minute however many come.
    for _ in 0..5 {
        assert!(refusal(&authenticator, &new_token).await.contains("no key is known as 'new'"));
    }
    assert_eq!(reads.load(Ordering::SeqCst), 1);
    minutes_later(1).await;
    for _ in 0..5 {
        assert!(outcome(&authenticator, &new_token).await.is_ok());
        assert!(refusal(&authenticator, &old_token).await.contains("no key is known as 'old'"));
    }
    assert_eq!(reads.load(Ordering::SeqCst), 2);

    // The address being away, what is known stays good.
    keys.lock().unwrap().clear();
    minutes_later(16).await;
    for _ in 0..5 {
        assert!(outcome(&authenticator, &new_token).await.is_ok());
    }
    assert_eq!(reads.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn without_keys_nobody_is_refused_for_good() {
    let authenticator = authenticator(TokenKeys::JwksFile("/nowhere/keys.json".into()));
    let (code, _) = outcome(&authenticator, &token(&ecdsa("a"), Some("a"))).await.unwrap_err();
    assert_eq!(code, "UNAVAILABLE");
}
