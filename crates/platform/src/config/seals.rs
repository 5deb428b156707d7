//! The keys of the seals of the usage log, from `PAYOPS_AUDIT_KEY` and `PAYOPS_AUDIT_PUBLIC_KEYS`.

use secrecy::ExposeSecret;

use super::load::list;
use super::reader::Reader;
use super::{AuditKeySettings, parse};

/// An Ed25519 key, private or public, in hexadecimal digits.
const DIGITS: usize = 64;

pub(super) fn read(reader: &mut Reader) -> AuditKeySettings {
    const PRIVATE: &str = "PAYOPS_AUDIT_KEY";
    const PUBLIC: &str = "PAYOPS_AUDIT_PUBLIC_KEYS";
    let private = list(reader.secret(PRIVATE).as_ref());
    for (number, key) in (1..).zip(&private) {
        check(reader, PRIVATE, number, key.expose_secret());
    }
    let public = reader.optional(PUBLIC, parse::text).unwrap_or_default();
    let public = public.split(',').map(str::trim).filter(|key| !key.is_empty());
    let public: Vec<String> = public.map(str::to_owned).collect();
    for (number, key) in (1..).zip(&public) {
        check(reader, PUBLIC, number, key);
    }
    AuditKeySettings { private, public }
}

fn check(reader: &mut Reader, name: &str, number: usize, key: &str) {
    if key.len() != DIGITS || !key.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        reader.refuse(name, format!("entry {number}: {DIGITS} hexadecimal digits are expected"));
    }
}
