//! Services, by name and secret or by client certificate.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::AuthSetupError;
use super::certificate::{CertificateNames, SubjectName};

/// The shortest secret that a service may have, in bytes.
const SHORTEST: usize = 16;

/// A service and how it proves itself. Its `Debug` shows no name: where name and secret were swapped in the
/// settings, the secret stands there.
#[derive(Clone)]
pub struct ServiceIdentity {
    /// What the service calls itself in `X-Service-Name`.
    pub name: String,
    /// Any of these is accepted: several while one replaces the other, none when it comes by certificate only.
    pub secrets: Vec<SecretString>,
    /// A client certificate with any of these subject alternative names is the service's; none when it comes
    /// by secret only.
    pub certificates: Vec<String>,
}

impl fmt::Debug for ServiceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceIdentity")
            .field("secrets", &self.secrets.len())
            .field("certificates", &self.certificates)
            .finish_non_exhaustive()
    }
}

impl ServiceIdentity {
    /// The service of that name among `services`; it is added, without any proof, when it is not there.
    pub(crate) fn named<'s>(services: &'s mut Vec<Self>, name: &str) -> &'s mut Self {
        let found = services.iter().position(|service| service.name == name);
        let index = found.unwrap_or_else(|| {
            services.push(Self { name: name.to_owned(), secrets: Vec::new(), certificates: Vec::new() });
            services.len() - 1
        });
        &mut services[index]
    }
}

/// Secrets are kept as digests: they are compared in one length, and a dump of memory shows none.
pub(super) struct ServiceTable {
    secrets: HashMap<Arc<str>, Vec<[u8; 32]>>,
    certificates: HashMap<SubjectName, Arc<str>>,
}

/// Whose a client certificate is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holder {
    Service(Arc<str>),
    /// A certificate of a good authority, and of no service that may call.
    Nobody,
    Several,
}

impl ServiceTable {
    pub(super) fn new(services: &[ServiceIdentity]) -> Result<Self, AuthSetupError> {
        let mut table =
            Self { secrets: HashMap::with_capacity(services.len()), certificates: HashMap::new() };
        for (number, service) in (1..).zip(services) {
            let name: Arc<str> = service.name.as_str().into();
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(AuthSetupError::ServiceName(number));
            }
            if service.secrets.iter().any(|secret| secret.expose_secret().len() < SHORTEST) {
                return Err(AuthSetupError::ShortServiceSecret { number, least: SHORTEST });
            }
            for written in &service.certificates {
                let subject = SubjectName::written(written);
                let subject = subject.ok_or_else(|| AuthSetupError::CertificateName(written.clone()))?;
                let taken = table.certificates.insert(subject, Arc::clone(&name));
                if taken.is_some_and(|other| other != name) {
                    return Err(AuthSetupError::CertificateTwice(written.clone()));
                }
            }
            let digests = service.secrets.iter().map(|secret| digest(secret.expose_secret().as_bytes()));
            if table.secrets.insert(name, digests.collect()).is_some() {
                return Err(AuthSetupError::ServiceTwice(number));
            }
        }
        Ok(table)
    }

    /// The service's name when the secret is one of its own. Takes the same time whether the name is unknown
    /// or the secret wrong, wherever they differ.
    pub(super) fn check(&self, name: &str, secret: &[u8]) -> Option<Arc<str>> {
        let presented = digest(secret);
        // Equal to no digest that anybody can present.
        let nobody = [[0; 32]];
        let (known, digests) = match self.secrets.get_key_value(name) {
            Some((name, digests)) if !digests.is_empty() => (Some(name), digests.as_slice()),
            _ => (None, nobody.as_slice()),
        };
        let matches = digests.iter().fold(Choice::from(0), |found, digest| found | digest.ct_eq(&presented));
        known.filter(|_| bool::from(matches)).cloned()
    }

    /// Whose a certificate with these names is.
    pub(super) fn holder(&self, names: &CertificateNames) -> Holder {
        let mut services = names.iter().filter_map(|name| self.certificates.get(name));
        match services.next() {
            None => Holder::Nobody,
            Some(first) if services.all(|other| other == first) => Holder::Service(Arc::clone(first)),
            Some(_) => Holder::Several,
        }
    }
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, secrets: &[&str], certificates: &[&str]) -> ServiceIdentity {
        ServiceIdentity {
            name: name.to_owned(),
            secrets: secrets.iter().map(|secret| SecretString::from(*secret)).collect(),
            certificates: certificates.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn refusal(services: &[ServiceIdentity]) -> AuthSetupError {
        ServiceTable::new(services).err().unwrap()
    }

    #[test]
    fn any_of_a_service_s_own_secrets_opens() {
        let table = ServiceTable::new(&[
            service("gateway", &["old-secret-0123456789", "new-secret-0123456789"], &[]),
            service("portal", &["portal-secret-0123456789"], &[]),
            service("by-certificate", &[], &["by-certificate"]),
        ])
        .unwrap();
        let check = |name, secret: &str| table.check(name, secret.as_bytes()).as_deref() == Some(name);
        assert!(check("gateway", "old-secret-0123456789") && check("gateway", "new-secret-0123456789"));
        assert!(!check("gateway", "portal-secret-0123456789"));
        assert!(!check("gateway", "") && !check("nobody", "old-secret-0123456789"));
        assert!(!check("by-certificate", ""));
    }

    #[test]
    fn a_certificate_is_whose_name_is_listed() {
        let spiffe = "spiffe://shop/sa/Gateway";
        let table = ServiceTable::new(&[
            service("gateway", &[], &["Gateway.shop", spiffe]),
            service("portal", &[], &["portal"]),
        ])
        .unwrap();
        let holder = |dns: &[&str], uris: &[&str]| {
            table.holder(&CertificateNames::new(dns.iter().copied(), uris.iter().copied()))
        };
        let gateway = || Holder::Service("gateway".into());
        assert_eq!(holder(&["other", "GATEWAY.shop"], &[]), gateway());
        assert_eq!(holder(&[], &[spiffe]), gateway());
        assert_eq!(holder(&["gateway.shop"], &[spiffe]), gateway());
        assert_eq!(holder(&["gateway", "*.shop"], &["spiffe://shop/sa/gateway"]), Holder::Nobody);
        assert_eq!(holder(&["gateway.shop", "portal"], &[]), Holder::Several);
        assert_eq!(holder(&[], &[]), Holder::Nobody);
    }

    #[test]
    fn a_dns_name_is_no_uri_and_a_uri_no_dns_name() {
        let spiffe = "spiffe://shop/gateway";
        let table = ServiceTable::new(&[service("gateway", &[], &["gateway.shop", spiffe])]).unwrap();
        let holder = |dns: &[&str], uris: &[&str]| {
            table.holder(&CertificateNames::new(dns.iter().copied(), uris.iter().copied()))
        };
        assert_eq!(holder(&[], &["gateway.shop"]), Holder::Nobody);
        assert_eq!(holder(&[spiffe], &[]), Holder::Nobody);
        assert_eq!(holder(&["gateway.shop"], &[]), Holder::Service("gateway".into()));
    }

    #[test]
    fn what_may_be_a_swapped_secret_is_not_repeated() {
        let secret = "9f8e7d6c5b4a3f2e";
        let swapped = service(secret, &["portal"], &[]);
        assert!(!format!("{swapped:?}").contains(secret));
        let odd = service("9f8e 7d6c5b4a3f2e", &[], &[]);
        let twice = [service(secret, &[], &[]), service(secret, &[], &[])];
        for services in [&[swapped][..], &[odd][..], &twice[..]] {
            let refused = refusal(services);
            let said = format!("{refused} {refused:?}");
            assert!(!said.contains("7d6c5b4a3f2e"), "{said}");
        }
    }

    #[test]
    fn weak_settings_are_refused() {
        let short = refusal(&[service("a", &["short"], &[])]);
        assert!(matches!(short, AuthSetupError::ShortServiceSecret { .. }));
        let twice = refusal(&[service("a", &[], &[]), service("a", &[], &[])]);
        assert!(matches!(twice, AuthSetupError::ServiceTwice(_)));
        assert!(matches!(refusal(&[service("a b", &[], &[])]), AuthSetupError::ServiceName(_)));
        assert!(matches!(refusal(&[service("a", &[], &["*.shop"])]), AuthSetupError::CertificateName(_)));
        let shared = refusal(&[service("a", &[], &["x"]), service("b", &[], &["X"])]);
        assert!(matches!(shared, AuthSetupError::CertificateTwice(_)));
    }
}
