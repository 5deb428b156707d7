//! Services by name and secret.

use std::collections::HashMap;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::AuthSetupError;

/// The shortest secret that a service may have, in bytes.
const SHORTEST: usize = 16;

/// A service and its secrets: several at once while one replaces the other, none when it comes by client
/// certificate only.
#[derive(Debug, Clone)]
pub struct ServiceSecrets {
    /// What the service calls itself in `X-Service-Name`, and in its certificate.
    pub name: String,
    /// Any of these is accepted.
    pub secrets: Vec<SecretString>,
}

/// Secrets are kept as digests: they are compared in one length, and a dump of memory shows none.
pub(super) struct ServiceTable(HashMap<Arc<str>, Vec<[u8; 32]>>);

impl ServiceTable {
    pub(super) fn new(services: &[ServiceSecrets]) -> Result<Self, AuthSetupError> {
        let mut table = HashMap::with_capacity(services.len());
        for service in services {
            let name: Arc<str> = service.name.as_str().into();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(AuthSetupError::ServiceName(service.name.clone()));
            }
            if service.secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST) {
                return Err(AuthSetupError::ShortServiceSecret {
                    name: service.name.clone(),
                    least: SHORTEST,
                });
            }
            let digests = service.secrets.iter().map(|secret| digest(secret.expose_secret().as_bytes()));
            if table.insert(name, digests.collect()).is_some() {
                return Err(AuthSetupError::ServiceTwice(service.name.clone()));
            }
        }
        Ok(Self(table))
    }

    /// The service's name when the secret is one of its own. Takes the same time whether the name is unknown
    /// or the secret wrong, wherever they differ.
    pub(super) fn check(&self, name: &str, secret: &[u8]) -> Option<Arc<str>> {
        let presented = digest(secret);
        // Equal to no digest that anybody can present.
        let nobody = [[0; 32]];
        let (known, digests) = match self.0.get_key_value(name) {
            Some((name, digests)) if !digests.is_empty() => (Some(name), digests.as_slice()),
            _ => (None, nobody.as_slice()),
        };
        let matches = digests.iter().fold(Choice::from(0), |found, digest| found | digest.ct_eq(&presented));
        known.filter(|_| bool::from(matches)).cloned()
    }

    /// The service's name as this table knows it, for callers whose certificate says it.
    pub(super) fn named(&self, name: &str) -> Option<Arc<str>> {
        self.0.get_key_value(name).map(|(name, _)| Arc::clone(name))
    }
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(services: &[(&str, &[&str])]) -> Result<ServiceTable, AuthSetupError> {
        let services = services.iter().map(|(name, secrets)| ServiceSecrets {
            name: (*name).into(),
            secrets: secrets.iter().map(|secret| SecretString::from(*secret)).collect(),
        });
        ServiceTable::new(&services.collect::<Vec<_>>())
    }

    #[test]
    fn any_of_a_service_s_own_secrets_opens() {
        let table = table(&[
            ("gateway", &["old-secret-0123456789", "new-secret-0123456789"]),
            ("portal", &["portal-secret-0123456789"]),
            ("by-certificate", &[]),
        ])
        .unwrap();
        let check = |name, secret: &str| table.check(name, secret.as_bytes()).as_deref() == Some(name);
        assert!(check("gateway", "old-secret-0123456789") && check("gateway", "new-secret-0123456789"));
        assert!(!check("gateway", "portal-secret-0123456789"));
        assert!(!check("gateway", "") && !check("nobody", "old-secret-0123456789"));
        assert!(!check("by-certificate", ""));
        assert!(table.named("by-certificate").is_some() && table.named("nobody").is_none());
    }

    #[test]
    fn weak_settings_are_refused() {
        assert!(matches!(table(&[("a", &["short"])]), Err(AuthSetupError::ShortServiceSecret { .. })));
        assert!(matches!(table(&[("a", &[]), ("a", &[])]), Err(AuthSetupError::ServiceTwice(_))));
        assert!(matches!(table(&[("a b", &[])]), Err(AuthSetupError::ServiceName(_))));
    }
}
