//! The names in client certificates.

/// A subject alternative name by which a service is known. A DNS name is never a URI, whatever it spells: an
/// authority that lets anybody write URIs need not let them take hosts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum SubjectName {
    /// In lower case.
    Dns(String),
    Uri(String),
}

impl SubjectName {
    /// A name as settings write it; `None` when no certificate can hold it. What has a colon is a URI. A wildcard
    /// is no name: it would stand for services that nobody listed.
    pub(crate) fn written(text: &str) -> Option<Self> {
        let dns = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if text.contains(':') {
            text.bytes().all(|byte| byte.is_ascii_graphic()).then(|| Self::Uri(text.to_owned()))
        } else {
            let fits = !text.is_empty() && text.bytes().all(dns);
            fits.then(|| Self::Dns(text.to_ascii_lowercase()))
        }
    }

    /// As settings write it.
    pub(crate) fn into_text(self) -> String {
        match self {
            Self::Dns(name) | Self::Uri(name) => name,
        }
    }
}

/// The subject alternative names of a client certificate that was checked at the handshake: DNS names, in
/// lower case, and URIs. Its common name says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames(Vec<SubjectName>);

impl CertificateNames {
    /// Of a certificate with these names.
    pub fn new<'n>(dns: impl Iterator<Item = &'n str>, uris: impl Iterator<Item = &'n str>) -> Self {
        let dns = dns.map(|name| SubjectName::Dns(name.to_ascii_lowercase()));
        Self(dns.chain(uris.map(|name| SubjectName::Uri(name.to_owned()))).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &SubjectName> {
        self.0.iter()
    }
}
