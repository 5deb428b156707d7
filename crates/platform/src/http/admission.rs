//! What is known about a request before its handler runs. Both types travel as extensions of the request.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use tokio_util::sync::CancellationToken;

use crate::auth::{CertificateNames, Known};

/// What the gate found out.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// Who calls.
    pub(crate) known: Known,
}

/// What the server knows of the connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection(pub(crate) Arc<ConnectionFacts>);

#[derive(Debug)]
pub(crate) struct ConnectionFacts {
    pub(crate) peer: SocketAddr,
    /// The names in a client certificate that was checked.
    pub(crate) certificate: Option<CertificateNames>,
    pub(crate) shutdown: CancellationToken,
}

/// Tells a handler when the server stops: answers that never end by themselves, such as event streams, end
/// then. Without a server around it, in tests, it never fires.
#[derive(Debug, Clone)]
pub struct ShuttingDown(pub CancellationToken);

impl<S: Sync> FromRequestParts<S> for ShuttingDown {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<Connection>();
        Ok(Self(connection.map(|connection| connection.0.shutdown.clone()).unwrap_or_default()))
    }
}
