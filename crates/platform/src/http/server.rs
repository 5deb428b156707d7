//! Listening: HTTP/1.1 and HTTP/2 on one port, until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::admission::{Connection, ConnectionFacts};
use crate::auth::CertificateNames;

mod pulse;
mod tls;

use pulse::{Connections, Pulse, Watched};
use tls::Accepted;
pub use tls::{Tls, TlsError, TlsFiles};

/// Room for the head of a request.
const HEAD_BYTES: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// Connections that may wait to be accepted, where the system allows as many (`net.core.somaxconn`). One that finds no
/// place comes again after a whole second, and the usual 128 are fewer than a gateway opens at once after a pause.
const WAITING: u32 = 4096;

/// How a server listens.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// How long requests at work may go on after the order to stop.
    pub drain: Duration,
    /// A connection is cut when, for this long and at most half as long again, no request is at work on it, no
    /// head of a request was completed and nothing could be sent: heads that trickle in, connections that are
    /// kept for nothing, and readers that do not read.
    pub patience: Duration,
    /// Speaks TLS, and nothing else, when it is given.
    pub tls: Option<Tls>,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(20),
            patience: Duration::from_mins(1),
            tls: None,
            handshake: Duration::from_secs(10),
        }
    }
}

/// Listens on `address`; port 0 takes a free one. Fails when the port is taken or may not be used.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // The port of a server that was just stopped is free for the next one.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Serves until `shutdown`, then stops accepting, lets requests at work finish for at most `drain`, and
/// returns. Answers that never end by themselves watch [`super::ShuttingDown`].
pub async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, drain: Duration) {
    serve_with(listener, router, shutdown, ServeOptions { drain, ..ServeOptions::default() }).await;
}

/// As [`serve`], with every option.
pub async fn serve_with(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    options: ServeOptions,
) {
    if let Some(tls) = options.tls.clone() {
        tokio::spawn(tls.keep_current(shutdown.clone()));
    }
    let server = Server {
        http: Arc::new(Http { router, builder: builder(), shutdown: shutdown.clone() }),
        tls: options.tls,
        handshake: options.handshake,
        graceful: GracefulShutdown::new(),
        connections: Connections::default(),
    };
    let mut rounds = tokio::time::interval((options.patience / 2).max(Duration::from_millis(1)));
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => server.spawn(stream, peer),
                Err(error) => accept_failed(&error).await,
            },
            _ = rounds.tick() => server.connections.cut_silent(),
            () = shutdown.cancelled() => break,
        }
    }
    drop(listener);
    let Server { graceful, connections, .. } = server;
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        let left = connections.cut_all();
        tracing::warn!(left, "connections are cut: their requests did not end in time");
    }
}

struct Server {
    http: Arc<Http>,
    tls: Option<Tls>,
    handshake: Duration,
    graceful: GracefulShutdown,
    connections: Connections,
}

/// What all connections share.
struct Http {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    shutdown: CancellationToken,
}

/// HTTP/1 gets no timer: hyper would set and drop one for every request, and [`Connections`] keeps watch over
/// all connections with one.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .max_buf_size(HEAD_BYTES)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX));
    builder
}

/// Out of file descriptors, most likely: waiting lets some come back. Errors of a single connection pass.
async fn accept_failed(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionRefused | ConnectionAborted | ConnectionReset) {
        tracing::error!(%error, "no connection could be accepted");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Server {
    fn spawn(&self, stream: TcpStream, peer: SocketAddr) {
        // Answers are written in one piece; waiting to fill a packet only delays them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        let pulse = Arc::new(Pulse::default());
        let watcher = self.graceful.watcher();
        let task = match &self.tls {
            None => tokio::spawn(self.http.serve(stream, peer, None, Arc::clone(&pulse), watcher)),
            Some(tls) => {
                let (tls, http, handshake) = (tls.clone(), Arc::clone(&self.http), self.handshake);
                let pulse = Arc::clone(&pulse);
                tokio::spawn(async move {
                    if let Some(Accepted { stream, names }) =
                        http.shake_hands(&tls, stream, peer, handshake).await
                    {
                        http.serve(stream, peer, names, pulse, watcher).await;
                    }
                })
            }
        };
        self.connections.add(task.abort_handle(), pulse);
    }
}

impl Http {
    /// `None` when the handshake fails, takes too long, or the server stops before its end.
    async fn shake_hands(
        &self,
        tls: &Tls,
        stream: TcpStream,
        peer: SocketAddr,
        patience: Duration,
    ) -> Option<Accepted> {
        let shaken = tokio::time::timeout(patience, tls.accept(stream));
        match self.shutdown.run_until_cancelled(shaken).await? {
            Ok(Ok(accepted)) => Some(accepted),
            Ok(Err(error)) => {
                tracing::info!(%peer, %error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::info!(%peer, "a TLS handshake took too long");
                None
            }
        }
    }

    /// Serves a connection to its end.
    fn serve<S>(
        &self,
        stream: S,
        peer: SocketAddr,
        certificate: Option<CertificateNames>,
        pulse: Arc<Pulse>,
        watcher: Watcher,
    ) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let facts = ConnectionFacts { peer, certificate, shutdown: self.shutdown.clone() };
        let connection = Connection(Arc::new(facts));
        let router = self.router.clone();
        let beating = Arc::clone(&pulse);
        let service = service_fn(move |mut request: Request<Incoming>| {
            let at_work = Pulse::request(&beating);
            request.extensions_mut().insert(connection.clone());
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await;
                drop(at_work);
                answer
            }
        });
        let io = TokioIo::new(Watched::new(stream, pulse));
        let serving = watcher.watch(self.builder.serve_connection(io, service).into_owned());
        async move {
            // What ends a connection early is the peer's affair: resets, nonsense, silence.
            let _ = serving.await;
        }
    }
}
