//! TLS on a listener: its certificate, the authorities of client certificates, and their renewal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::auth::CertificateNames;

/// How often the files are looked at again.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// What a client that speaks plain HTTP is told.
const PLAIN_HTTP: &str = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 24\r\n\
                          connection: close\r\n\r\nThis port speaks HTTPS.\n";

/// The files that TLS is made of, all of them PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by those between it and its authority.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities whose client certificates are believed. Without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// A file that TLS cannot be made of.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct TlsError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it. Never a part of a key.
    pub why: String,
}

/// TLS for a listener. Clones share one state, which follows its files: when they change, new connections get
/// what is in them. Files that cannot be used are reported, and the ones before them stay in use.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    files: TlsFiles,
    renew_every: Duration,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    /// Of the files as they were read last, whether they could be used or not.
    digest: [u8; 32],
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.files).finish()
    }
}

impl Tls {
    /// Reads the files. Blocks for as long as that takes.
    pub fn open(files: TlsFiles) -> Result<Self, TlsError> {
        Self::renewing(files, RENEW_EVERY)
    }

    /// As [`Tls::open`], looking for changes of the files at another interval than every half minute.
    pub fn renewing(files: TlsFiles, every: Duration) -> Result<Self, TlsError> {
        let read = Read::all(&files)?;
        let state = State { config: read.config(&files)?, digest: read.digest() };
        Ok(Self(Arc::new(Inner { files, renew_every: every, state: Mutex::new(state) })))
    }

    /// Follows the files until `stop`.
    pub(super) async fn keep_current(self, stop: CancellationToken) {
        while stop.run_until_cancelled(tokio::time::sleep(self.0.renew_every)).await.is_some() {
            let tls = self.clone();
            // Reading may block. That it cannot be waited for means that the runtime ends.
            let _ = tokio::task::spawn_blocking(move || tls.renew()).await;
        }
    }

    fn renew(&self) {
        let files = &self.0.files;
        let read = match Read::all(files) {
            Ok(read) => read,
            Err(error) => {
                tracing::error!(%error, "the TLS files cannot be read: what they held before stays in use");
                return;
            }
        };
        let digest = read.digest();
        if std::mem::replace(&mut self.state().digest, digest) == digest {
            return;
        }
        match read.config(files) {
            Ok(config) => {
                self.state().config = config;
                tracing::info!(certificate = %files.certificate.display(), "the TLS files were read anew");
            }
            Err(error) => {
                tracing::error!(%error, "the new TLS files cannot be used: the ones before stay in use");
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shakes hands, and tells the names in the client's certificate when it showed one that is good.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<Accepted> {
        if speaks_plain_http(&stream).await? {
            tell_plain_http(&mut stream).await?;
            return Err(io::Error::new(io::ErrorKind::InvalidData, "plain HTTP on a port of TLS"));
        }
        let acceptor = TlsAcceptor::from(Arc::clone(&self.state().config));
        let stream = acceptor.accept(stream).await?;
        let certificates = stream.get_ref().1.peer_certificates();
        let names = certificates.and_then(<[_]>::first).map(names);
        Ok(Accepted { stream, names })
    }
}

/// A connection after its handshake.
pub(super) struct Accepted {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) names: Option<CertificateNames>,
}

/// A handshake begins with a byte that no method begins with.
async fn speaks_plain_http(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(stream.peek(&mut first).await? > 0 && first[0].is_ascii_uppercase())
}

async fn tell_plain_http(stream: &mut TcpStream) -> io::Result<()> {
    // What is left unread would reset the connection before the answer arrives.
    let mut head = vec![0; 16 * 1024];
    let _length = stream.read(&mut head).await?;
    stream.write_all(PLAIN_HTTP.as_bytes()).await?;
    stream.shutdown().await
}

/// The verifier has checked the certificate: who signed it, when it is good, and that it is for clients. The
/// names in it are looked up, not verified against a host, so wildcards stand for nothing here.
fn names(certificate: &CertificateDer<'_>) -> CertificateNames {
    match webpki::EndEntityCert::try_from(certificate) {
        Ok(certificate) => {
            CertificateNames::new(certificate.valid_dns_names(), certificate.valid_uri_names())
        }
        Err(_) => CertificateNames::default(),
    }
}

/// The files' bytes.
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Read {
    fn all(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    fn digest(&self) -> [u8; 32] {
        let parts = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        let digest = |part: &Vec<u8>| Sha256::digest(part);
        let whole = parts.into_iter().flatten().map(digest).fold(Sha256::new(), Sha256::chain_update);
        whole.finalize().into()
    }

    fn config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&files.certificate, &self.certificate)?;
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| wrong(&files.key, "holds no private key in PEM that is not encrypted"))?;
        // Named, since a process may have linked several.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&files.certificate, error))?;
        let builder = match (&files.client_ca, &self.client_ca) {
            (Some(path), Some(pem)) => {
                let roots = Arc::new(authorities(path, pem)?);
                // Not demanded at the handshake: people come with tokens instead.
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .allow_unauthenticated()
                    .build()
                    .map_err(|error| wrong(path, error))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| {
            wrong(&files.certificate, format!("does not go with {}: {error}", files.key.display()))
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if self.client_ca.is_some() {
            // A resumed session would bring back a certificate that has since expired, unchecked.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| wrong(path, error))
}

fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|error| wrong(path, error))?;
    if certificates.is_empty() {
        return Err(wrong(path, "holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn authorities(path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, pem)? {
        roots.add(certificate).map_err(|error| wrong(path, error))?;
    }
    Ok(roots)
}

fn wrong(path: &Path, why: impl fmt::Display) -> TlsError {
    TlsError { path: path.to_owned(), why: why.to_string() }
}
