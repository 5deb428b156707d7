//! Stands between an instance and PostgreSQL: lets through, delays, holds up, and cuts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What PostgreSQL says after a commit, whichever way it was asked for one.
const COMMITTED: &[u8] = b"COMMIT\0";
const COMMIT: &[u8] = b"COMMIT";

/// Where the next commit is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It never arrives.
    Before,
    /// It is done, and nobody hears of it.
    After,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    /// Nothing passes while this is true.
    partitioned: watch::Sender<bool>,
    /// Every connection ends when this changes.
    generation: watch::Sender<u64>,
    /// The next commit's fate: 0 none, 1 before, 2 after.
    armed: AtomicU8,
    /// Milliseconds from a commit to its answer.
    commit_delay: AtomicU64,
}

/// One proxy. Dropping it ends its connections.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    listener: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

impl Proxy {
    pub(crate) async fn start(upstream: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("cannot listen on 127.0.0.1")?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream: ([127, 0, 0, 1], upstream).into(),
            partitioned: watch::Sender::new(false),
            generation: watch::Sender::new(0),
            armed: AtomicU8::new(0),
            commit_delay: AtomicU64::new(0),
        });
        let connections = Arc::clone(&shared);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, Arc::clone(&connections)));
            }
        });
        Ok(Self { port, shared, listener })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends all connections.
    pub(crate) fn cut(&self) {
        self.shared.generation.send_modify(|generation| *generation += 1);
    }

    /// Ends the connection that commits next, then.
    pub(crate) fn cut_next_commit(&self, cut: Cut) {
        self.shared.armed.store(if cut == Cut::Before { 1 } else { 2 }, Ordering::SeqCst);
    }

    /// Whether the commit of [`Self::cut_next_commit`] is still to come.
    pub(crate) fn is_armed(&self) -> bool {
        self.shared.armed.load(Ordering::SeqCst) != 0
    }

    pub(crate) fn disarm(&self) {
        self.shared.armed.store(0, Ordering::SeqCst);
    }

    pub(crate) fn partition(&self, yes: bool) {
        self.shared.partitioned.send_replace(yes);
    }

    pub(crate) fn delay_commits(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.shared.commit_delay.store(millis, Ordering::SeqCst);
    }
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    let mut generation = shared.generation.subscribe();
    let cut = generation.changed();
    let work = async {
        passing(&shared).await;
        let Ok(server) = TcpStream::connect(shared.upstream).await else { return };
        // Small messages must not wait for one another.
        let _nodelay = (client.set_nodelay(true), server.set_nodelay(true));
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = requests(from_client, to_server, &shared) => {}
            () = answers(from_server, to_client, &shared) => {}
        }
    };
    tokio::select! {
        () = work => {}
        _ = cut => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let data = &buffer[..length];
        passing(shared).await;
        if holds(data, COMMIT) && shared.fires(Cut::Before) {
            return;
        }
        if to.write_all(data).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let data = &buffer[..length];
        passing(shared).await;
        if holds(data, COMMITTED) {
            if shared.fires(Cut::After) {
                return;
            }
            let delay = shared.commit_delay.load(Ordering::SeqCst);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
        }
        if to.write_all(data).await.is_err() {
            return;
        }
    }
}

/// Waits while the network is partitioned.
async fn passing(shared: &Shared) {
    // The sender lives as long as `shared`.
    let mut partitioned = shared.partitioned.subscribe();
    let _open = partitioned.wait_for(|partitioned| !partitioned).await;
}

impl Shared {
    /// True for the one commit that was armed.
    fn fires(&self, cut: Cut) -> bool {
        let armed = if cut == Cut::Before { 1 } else { 2 };
        self.armed.compare_exchange(armed, 0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

fn holds(data: &[u8], word: &[u8]) -> bool {
    data.windows(word.len()).any(|window| window == word)
}
