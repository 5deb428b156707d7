//! Listening: HTTP/1.1 and HTTP/2 on one port, until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::admission::{Connection, ConnectionFacts};

/// Room for the head of a request.
const HEAD_BYTES: usize = 64 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 256;
/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING: Duration = Duration::from_secs(30);

/// How a server listens.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// How long requests at work may go on after the order to stop.
    pub drain: Duration,
    /// How long the head of a request may take to arrive, and a kept connection may stay silent.
    pub head_time_out: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { drain: Duration::from_secs(20), head_time_out: Duration::from_secs(30) }
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
        builder: builder(options.head_time_out),
        graceful: GracefulShutdown::new(),
        shutdown: shutdown.clone(),
        cut: CancellationToken::new(),
        options,
    };
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => server.spawn(stream, peer),
                Err(error) => accept_failed(&error).await,
            },
            () = shutdown.cancelled() => break,
        }
    }
    drop(listener);
    let Server { graceful, cut, .. } = server;
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(
            drain_ms = options.drain.as_millis(),
            "connections are cut: their requests did not end in time"
        );
        cut.cancel();
    }
}

struct Server {
    router: Router,
    builder: auto::Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    shutdown: CancellationToken,
    cut: CancellationToken,
    options: ServeOptions,
}

fn builder(head_time_out: Duration) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time_out)
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
        self.spawn_on(stream, peer, None);
    }

    fn spawn_on<I>(&self, io: I, peer: SocketAddr, certificate: Option<Arc<str>>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let facts = ConnectionFacts { peer, certificate, shutdown: self.shutdown.clone() };
        let connection = Connection(Arc::new(facts));
        let router = self.router.clone();
        let spoke = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&spoke);
        let service = service_fn(move |mut request: Request<Incoming>| {
            heard.store(true, Ordering::Relaxed);
            request.extensions_mut().insert(connection.clone());
            router.clone().oneshot(request)
        });
        let serving = self.builder.serve_connection(TokioIo::new(io), service).into_owned();
        let serving = self.graceful.watch(serving);
        let (cut, patience) = (self.cut.clone(), self.options.head_time_out);
        tokio::spawn(async move {
            let mut serving = std::pin::pin!(serving);
            // The protocol is told by the first bytes, for which hyper itself waits without end.
            let first = tokio::time::timeout(patience, &mut serving);
            let ended = tokio::select! {
                ended = first => ended,
                () = cut.cancelled() => return,
            };
            if ended.is_err() && spoke.load(Ordering::Relaxed) {
                tokio::select! {
                    _ = &mut serving => {}
                    () = cut.cancelled() => {}
                }
            }
        });
    }
}
