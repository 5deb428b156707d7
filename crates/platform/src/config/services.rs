//! The services that may call, from `PAYOPS_SERVICE_SECRETS` and `PAYOPS_SERVICE_CERTIFICATES`.

use secrecy::ExposeSecret;

use super::load::list;
use super::parse;
use super::reader::Reader;
use crate::auth::{ServiceIdentity, SubjectName};

/// Shortest secret of a service, in bytes.
const SHORTEST_SECRET: usize = 16;

pub(super) fn read(reader: &mut Reader) -> Vec<ServiceIdentity> {
    let mut services = Vec::new();
    secrets(reader, &mut services);
    certificates(reader, &mut services);
    services
}

fn secrets(reader: &mut Reader, services: &mut Vec<ServiceIdentity>) {
    const NAME: &str = "PAYOPS_SERVICE_SECRETS";
    for (number, entry) in (1..).zip(list(reader.secret(NAME).as_ref())) {
        let Some((name, secret)) = entry.expose_secret().split_once('=') else {
            reader.refuse(NAME, format!("entry {number} has no '=': name=secret is expected"));
            continue;
        };
        if !is_name(name) {
            reader.refuse(NAME, format!("entry {number} has no name of letters, digits, '-', '_' and '.'"));
            continue;
        }
        if secret.len() < SHORTEST_SECRET {
            // The name is not said: in an entry that was written the wrong way round, it is the secret.
            let text = format!(
                "the secret of entry {number} is too short: name=secret is expected, with at least \
                 {SHORTEST_SECRET} bytes of secret"
            );
            reader.refuse(NAME, text);
        }
        ServiceIdentity::named(services, name).secrets.push(secret.into());
    }
}

/// `name=subject`, or `name` alone when the certificate says it in the same words.
fn certificates(reader: &mut Reader, services: &mut Vec<ServiceIdentity>) {
    const NAME: &str = "PAYOPS_SERVICE_CERTIFICATES";
    let written = reader.optional(NAME, parse::text).unwrap_or_default();
    let entries = written.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    for (number, entry) in (1..).zip(entries) {
        let (name, subject) = entry.split_once('=').unwrap_or((entry, entry));
        if !is_name(name) {
            reader.refuse(NAME, format!("entry {number} has no name of letters, digits, '-', '_' and '.'"));
            continue;
        }
        let Some(subject) = SubjectName::written(subject).map(SubjectName::into_text) else {
            let text =
                format!("entry {number}: a DNS name without wildcards, or a URI, is expected after '='");
            reader.refuse(NAME, text);
            continue;
        };
        match services.iter().find(|service| service.certificates.contains(&subject)) {
            Some(other) if other.name != name => {
                reader.refuse(NAME, format!("entry {number}: '{subject}' is of {} already", other.name));
            }
            _ => ServiceIdentity::named(services, name).certificates.push(subject),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
