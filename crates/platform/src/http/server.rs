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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service;

use super::admission::{Connection, ConnectionFacts};

mod pulse;

use pulse::{Connections, Pulse, Watched};

/// Room for the head of a request.
const HEAD_BYTES: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(20);

/// How a server listens.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// How long requests at work may go on after the order to stop.
    pub drain: Duration,
    /// A connection is cut when, for this long and at most half as long again, no request is at work on it, no
    /// head of a request was completed and nothing could be sent: heads that trickle in, connections that are
    /// kept for nothing, and readers that do not read.
    pub patience: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { drain: Duration::from_secs(20), patience: Duration::from_mins(1) }
    }
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
    let server = Server {
        router,
        builder: builder(),
        graceful: GracefulShutdown::new(),
        shutdown: shutdown.clone(),
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
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    shutdown: CancellationToken,
    connections: Connections,
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
        let facts = ConnectionFacts { peer, certificate: None, shutdown: self.shutdown.clone() };
        let connection = Connection(Arc::new(facts));
        let router = self.router.clone();
        let pulse = Arc::new(Pulse::default());
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
        let io = TokioIo::new(Watched::new(stream, Arc::clone(&pulse)));
        let serving = self.graceful.watch(self.builder.serve_connection(io, service).into_owned());
        let task = tokio::spawn(async move {
            // What ends a connection early is the peer's affair: resets, nonsense, silence.
            let _ = serving.await;
        });
        self.connections.add(task.abort_handle(), pulse);
    }
}
