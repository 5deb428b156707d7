//! What `ENV=production` refuses.

use secrecy::{ExposeSecret, SecretString};

use super::reader::Reader;
use super::{
    AlertSettings, AuditKeySettings, EscalatedAlertSettings, FilePlace, GatewaySettings, IdentitySettings,
    ServiceSettings, StripeSettings, data_keys,
};
use crate::auth::TokenKeys;
use crate::db::DatabaseTarget;
use crate::http::RedisSettings;

/// Secrets that stand in examples and tutorials.
const DEFAULT_SECRETS: [&str; 15] = [
    "minioadmin",
    "postgres",
    "password",
    "passw0rd",
    "changeme",
    "change-me",
    "secret",
    "admin",
    "root",
    "test",
    "example",
    "payops",
    "payment",
    "123456",
    "12345678",
];

pub(super) fn check(
    reader: &mut Reader,
    services: Option<&[ServiceSettings; 3]>,
    stripe: Option<&StripeSettings>,
    gateway: Option<&GatewaySettings>,
    identity: Option<&IdentitySettings>,
) {
    if let Some([service, ..]) = services {
        database(reader, &service.database);
    }
    if let Some(stripe) = stripe {
        if is_sandbox(&stripe.api_base) {
            let text = format!(
                "'{}' is the sandbox or a local address, refused with ENV=production",
                stripe.api_base
            );
            reader.refuse("PAYOPS_STRIPE_API_BASE", text);
        }
        not_default(reader, "STRIPE_API_KEY", stripe.api_key.iter());
        not_default(reader, "PAYOPS_STRIPE_WEBHOOK_SECRET", stripe.webhook_secrets.iter());
    }
    if let Some(gateway) = gateway {
        if gateway.secret.is_none() {
            let text = "is needed with PAYMENT_GATEWAY_URL and ENV=production";
            reader.refuse("PAYOPS_GATEWAY_SECRET", text);
        }
        not_default(reader, "PAYOPS_GATEWAY_SECRET", gateway.secret.iter());
    }
    if let Some(identity) = identity {
        tokens(reader, identity);
    }
}

/// What is said about merchants crosses no foreign network in the clear.
pub(super) fn alerts(
    reader: &mut Reader,
    alerts: &AlertSettings,
    disputes: &EscalatedAlertSettings,
    reconciliation: &EscalatedAlertSettings,
) {
    for (webhook, url, secret) in [
        (&alerts.webhook, "PAYOPS_LIMIT_ALERT_WEBHOOK_URL", "PAYOPS_LIMIT_ALERT_WEBHOOK_SECRET"),
        (&disputes.webhook, "PAYOPS_DISPUTE_REMINDER_WEBHOOK_URL", "PAYOPS_DISPUTE_REMINDER_WEBHOOK_SECRET"),
        (
            &reconciliation.webhook,
            "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_URL",
            "PAYOPS_RECONCILIATION_ALERT_WEBHOOK_SECRET",
        ),
    ] {
        let Some(webhook) = webhook else { continue };
        if !webhook.url.starts_with("https:") && !webhook.allow_private {
            let text = "is without TLS, refused with ENV=production unless private addresses are allowed";
            reader.refuse(url, text);
        }
        not_default(reader, secret, webhook.secrets.iter());
    }
    let escalated = [disputes, reconciliation].into_iter().flat_map(|to| [&to.mail, &to.supervisors]);
    let mut mail = [&alerts.mail].into_iter().chain(escalated).flatten();
    let credentials = mail.next().and_then(|mail| mail.server.credentials.as_ref());
    not_default(reader, "PAYOPS_SMTP_PASSWORD", credentials.iter().map(|credentials| &credentials.password));
}

fn database(reader: &mut Reader, database: &DatabaseTarget) {
    let DatabaseTarget::Postgres(target) = database else { return };
    if target.password.is_none() && !target.host.starts_with('/') {
        reader.refuse("DB_PASSWORD", "is needed with ENV=production");
    }
    not_default(reader, "DB_PASSWORD", target.password.iter());
}

fn tokens(reader: &mut Reader, identity: &IdentitySettings) {
    match &identity.tokens {
        // When two of them were given, that has been said already.
        None if reader.is_given("PAYOPS_JWT_SECRET") => {}
        None => {
            let text = "is needed with ENV=production; or PAYOPS_JWKS_FILE or PAYOPS_JWKS_URL instead";
            reader.refuse("PAYOPS_JWT_SECRET", text);
        }
        Some(TokenKeys::Secrets(secrets)) => not_default(reader, "PAYOPS_JWT_SECRET", secrets.iter()),
        Some(TokenKeys::JwksFile(_) | TokenKeys::JwksUrl(_)) => {}
    }
    let secrets = identity.services.iter().flat_map(|service| &service.secrets);
    not_default(reader, "PAYOPS_SERVICE_SECRETS", secrets);
}

/// Redis may be without a password where nobody else reaches it, but not with one that everybody knows.
pub(super) fn redis(reader: &mut Reader, redis: Option<&RedisSettings>) {
    not_default(reader, "PAYOPS_REDIS_PASSWORD", redis.and_then(|redis| redis.password.as_ref()).into_iter());
}

/// What merchants and cardholders show for themselves crosses no network in the clear.
pub(super) fn evidence(reader: &mut Reader, place: Option<&FilePlace>) {
    let Some(FilePlace::Bucket(bucket)) = place else { return };
    if bucket.endpoint.as_ref().is_some_and(|endpoint| !endpoint.starts_with("https:")) {
        reader.refuse("PAYOPS_EVIDENCE_S3_ENDPOINT", "is without TLS, refused with ENV=production");
    }
    let key = std::iter::once(&bucket.secret_access_key);
    not_default(reader, "PAYOPS_EVIDENCE_S3_SECRET_ACCESS_KEY", key);
}

/// The usage log of limits is sealed with a key of its owner's, or looked at by somebody who believes one.
pub(super) fn audit_keys(reader: &mut Reader, keys: &AuditKeySettings) {
    const NAME: &str = "PAYOPS_AUDIT_KEY";
    // A key that cannot be read has been named already.
    if !reader.is_given(NAME) && !reader.is_given("PAYOPS_AUDIT_PUBLIC_KEYS") {
        reader.refuse(
            NAME,
            "is needed with ENV=production by merchant limits: `openssl rand -hex 32` makes one",
        );
    }
    not_default(reader, NAME, keys.private.iter());
}

/// The personal data of disputes is encrypted under keys of its owner's.
pub(super) fn data_keys(reader: &mut Reader) {
    // A ring that cannot be read has been named already.
    if !reader.is_given(data_keys::NAME) {
        let text = "is needed with ENV=production by disputes: `openssl rand -base64 32` makes a key";
        reader.refuse(data_keys::NAME, text);
    }
}

fn not_default<'s>(reader: &mut Reader, name: &str, mut secrets: impl Iterator<Item = &'s SecretString>) {
    if secrets.any(|secret| is_default(secret.expose_secret())) {
        reader.refuse(name, "is a default or an example, refused with ENV=production: choose one at random");
    }
}

/// A well-known word, alone or over and over, or one letter over and over.
fn is_default(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    let repeats = |word: &str| !word.is_empty() && lower.replace(word, "").is_empty();
    DEFAULT_SECRETS.iter().any(|word| repeats(word))
        || lower.chars().next().is_some_and(|letter| repeats(&letter.to_string()))
}

/// Stripe is nowhere near: not on this machine, and not without TLS.
fn is_sandbox(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else { return true };
    let host = url.host_str().unwrap_or_default().to_lowercase();
    let local =
        host == "localhost" || host.ends_with(".localhost") || host.starts_with("127.") || host == "[::1]";
    url.scheme() != "https" || local || host.contains("sandbox")
}
