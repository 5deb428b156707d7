//! The names in client certificates.

/// The subject alternative names of a client certificate that was checked at the handshake: DNS names, in
/// lower case, and URIs. Its common name says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificateNames(Vec<String>);

impl CertificateNames {
    /// Of a certificate with these names.
    pub fn new<'n>(dns: impl Iterator<Item = &'n str>, uris: impl Iterator<Item = &'n str>) -> Self {
        Self(dns.map(str::to_ascii_lowercase).chain(uris.map(str::to_owned)).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// A name as settings write it, in the form in which it is looked up; `None` when no certificate can hold it.
/// What has a colon is a URI. A wildcard is no name: it would stand for services that nobody listed.
pub(crate) fn subject_name(written: &str) -> Option<String> {
    let dns = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if written.contains(':') {
        written.bytes().all(|byte| byte.is_ascii_graphic()).then(|| written.to_owned())
    } else {
        (!written.is_empty() && written.bytes().all(dns)).then(|| written.to_ascii_lowercase())
    }
}
