//! What comes to a webhook: checks that Stripe signed it, then reads it.

use hmac::{Hmac, KeyInit, Mac};
use payops_core::time::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::api::{Notification, UnreadableEvent};

/// How far a signature's time may be from the present, as Stripe recommends.
pub const DEFAULT_TOLERANCE: chrono::Duration = chrono::Duration::seconds(300);

/// Why a webhook is refused. None of these says which secret was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The header is not of the form `t=…,v1=…`.
    #[error("the signature header cannot be read")]
    BadHeader,
    /// No signature was made with one of the secrets over this body.
    #[error("the signature does not fit")]
    NoMatch,
    /// The signature is right but too old, or from the future.
    #[error("the signature's time is outside the tolerance")]
    OutsideTolerance,
}

/// Why what came to a webhook is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It may not be Stripe's.
    #[error(transparent)]
    Signature(#[from] WebhookError),
    /// It is Stripe's and no event.
    #[error(transparent)]
    Payload(#[from] UnreadableEvent),
}

impl Refusal {
    /// The stable word for it in an answer.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "WEBHOOK_SIGNATURE",
            Self::Payload(_) => "WEBHOOK_PAYLOAD",
        }
    }

    /// What it says, in Chinese.
    pub fn zh(&self) -> &'static str {
        match self {
            Self::Signature(_) => "签名缺失、错误或已过期",
            Self::Payload(_) => "无法读取该事件",
        }
    }
}

/// The event in a webhook's body, whose signature is checked first, within [`DEFAULT_TOLERANCE`]. `signature` is the header
/// `Stripe-Signature`, empty when there is none.
pub fn receive(
    payload: &[u8],
    signature: &str,
    secrets: &[SecretString],
    now: Timestamp,
) -> Result<Notification, Refusal> {
    verify(payload, signature, secrets, now, DEFAULT_TOLERANCE)?;
    Ok(Notification::parse(payload)?)
}

/// Checks the `Stripe-Signature` header over the body as received. Several secrets may be valid at once while
/// one is being replaced. Signatures are compared in constant time; other schemes than `v1` are ignored.
pub fn verify(
    payload: &[u8],
    header: &str,
    secrets: &[SecretString],
    now: Timestamp,
    tolerance: chrono::Duration,
) -> Result<(), WebhookError> {
    let mut time = None;
    let mut signatures: Vec<[u8; 32]> = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=') {
            Some(("t", value)) => time = Some(value),
            Some(("v1", value)) => {
                let mut signature = [0; 32];
                if hex::decode_to_slice(value, &mut signature).is_ok() {
                    signatures.push(signature);
                }
            }
            _ => {}
        }
    }
    let time = time.ok_or(WebhookError::BadHeader)?;
    let signed_at: i64 = time.parse().map_err(|_| WebhookError::BadHeader)?;
    if signatures.is_empty() {
        return Err(WebhookError::BadHeader);
    }
    let mut fits = subtle::Choice::from(0);
    for secret in secrets {
        let expected = signature(secret, time, payload);
        for signature in &signatures {
            fits |= signature.as_slice().ct_eq(&expected);
        }
    }
    if !bool::from(fits) {
        return Err(WebhookError::NoMatch);
    }
    let distance = now.timestamp().saturating_sub(signed_at).unsigned_abs();
    if distance > tolerance.num_seconds().unsigned_abs() {
        return Err(WebhookError::OutsideTolerance);
    }
    Ok(())
}

/// The header that [`verify`] accepts: what Stripe would send for `payload`.
pub fn sign(payload: &[u8], secret: &SecretString, at: Timestamp) -> String {
    let time = at.timestamp().to_string();
    format!("t={time},v1={}", hex::encode(signature(secret, &time, payload)))
}

/// HMAC-SHA256 over time, a dot and the body; the key is the whole secret, `whsec_` included.
fn signature(secret: &SecretString, time: &str, payload: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("any key length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(payload);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"id":"evt_test","object":"event"}"#;
    const VALID: &str = "691252e266ce41cb94d709c84e9580d4172b117a510bbc81723f657d2cd5d215";
    const SIGNED_AT: i64 = 1_492_774_577;

    fn check(header: &str, body: &[u8], secrets: &[&str], after: i64) -> Result<(), WebhookError> {
        let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
        let now = Timestamp::from_timestamp(SIGNED_AT + after, 0).unwrap();
        verify(body, header, &secrets, now, DEFAULT_TOLERANCE)
    }

    #[test]
    fn a_signature_is_accepted_with_any_valid_secret() {
        let header = format!("t={SIGNED_AT},v1={VALID},v0=6ffbb59b");
        assert_eq!(check(&header, BODY, &["whsec_test_secret"], 300), Ok(()));
        assert_eq!(check(&header, BODY, &["whsec_new", "whsec_test_secret"], -300), Ok(()));
        let two = format!("t={SIGNED_AT}, v1={}, v1={VALID}", "0".repeat(64));
        assert_eq!(check(&two, BODY, &["whsec_test_secret"], 0), Ok(()));
        let ours = sign(BODY, &"whsec_test_secret".into(), Timestamp::from_timestamp(SIGNED_AT, 0).unwrap());
        assert_eq!(ours, format!("t={SIGNED_AT},v1={VALID}"));
    }

    #[test]
    fn anything_else_is_refused() {
        let header = format!("t={SIGNED_AT},v1={VALID}");
        let secrets = ["whsec_test_secret"];
        assert_eq!(check(&header, b"{}", &secrets, 0), Err(WebhookError::NoMatch));
        assert_eq!(check(&header, BODY, &["whsec_other"], 0), Err(WebhookError::NoMatch));
        assert_eq!(check(&header, BODY, &[], 0), Err(WebhookError::NoMatch));
        assert_eq!(check(&header, BODY, &secrets, 301), Err(WebhookError::OutsideTolerance));
        assert_eq!(check(&header, BODY, &secrets, -301), Err(WebhookError::OutsideTolerance));
        for bad in
            ["", "t=1", "v1=00", "t=,v1=00", &format!("t=x,v1={VALID}"), &format!("v1={VALID}"), "t=1,v1=zz"]
        {
            assert_eq!(check(bad, BODY, &secrets, 0), Err(WebhookError::BadHeader), "{bad}");
        }
    }

    #[test]
    fn the_tolerance_ends_after_300_seconds_in_both_directions() {
        let header = format!("t={SIGNED_AT},v1={VALID}");
        for (after, inside) in
            [(299, true), (300, true), (301, false), (-299, true), (-300, true), (-301, false)]
        {
            let checked = check(&header, BODY, &["whsec_test_secret"], after);
            assert_eq!(checked, if inside { Ok(()) } else { Err(WebhookError::OutsideTolerance) }, "{after}");
        }
        let elsewhen = format!("t={},v1={VALID}", SIGNED_AT + 301);
        assert_eq!(check(&elsewhen, BODY, &["whsec_test_secret"], 301), Err(WebhookError::NoMatch));
    }

    #[test]
    fn a_signed_event_is_read_and_anything_else_is_refused_with_a_word() {
        let at = Timestamp::from_timestamp(SIGNED_AT, 0).unwrap();
        let secrets = ["whsec_test_secret".into()];
        let received = |body: &[u8], header: &str| receive(body, header, &secrets, at);
        let event =
            br#"{"id":"evt_1","object":"event","type":"x","created":1,"data":{"object":{"id":"x_1"}}}"#;
        assert_eq!(received(event, &sign(event, &secrets[0], at)).unwrap().id(), "evt_1");
        assert_eq!(received(event, "").unwrap_err().code(), "WEBHOOK_SIGNATURE");
        assert_eq!(received(BODY, &sign(BODY, &secrets[0], at)).unwrap_err().code(), "WEBHOOK_PAYLOAD");
    }

    #[test]
    fn no_byte_of_body_or_signature_may_differ() {
        let header = format!("t={SIGNED_AT},v1={VALID}");
        for index in 0..BODY.len() {
            let mut changed = BODY.to_vec();
            changed[index] ^= 1;
            assert_eq!(check(&header, &changed, &["whsec_test_secret"], 0), Err(WebhookError::NoMatch));
        }
        for index in 0..VALID.len() {
            let other = if VALID.as_bytes()[index] == b'0' { "1" } else { "0" };
            let mut changed = VALID.to_owned();
            changed.replace_range(index..=index, other);
            let header = format!("t={SIGNED_AT},v1={changed}");
            assert_eq!(check(&header, BODY, &["whsec_test_secret"], 0), Err(WebhookError::NoMatch));
        }
    }

    #[test]
    fn while_a_secret_is_rolled_both_sides_may_know_either() {
        let at = Timestamp::from_timestamp(SIGNED_AT, 0).unwrap();
        let signature = |secret: &str| sign(BODY, &secret.into(), at).split_once(',').unwrap().1.to_owned();
        let both = format!("t={SIGNED_AT},{},{}", signature("whsec_old"), signature("whsec_new"));
        for secrets in [&["whsec_old"][..], &["whsec_new"], &["whsec_other", "whsec_new"]] {
            assert_eq!(check(&both, BODY, secrets, 0), Ok(()), "{secrets:?}");
        }
        assert_eq!(check(&both, BODY, &["whsec_other"], 0), Err(WebhookError::NoMatch));
        let other_scheme = format!("t={SIGNED_AT},v0={VALID}");
        assert_eq!(check(&other_scheme, BODY, &["whsec_test_secret"], 0), Err(WebhookError::BadHeader));
    }
}
