//! A way to PostgreSQL that can be cut where it hurts most.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use payops_platform::db::{DatabaseTarget, Db};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use crate::harness::TABLES;

/// Passes bytes both ways, until it is told to cut.
pub struct Proxy {
    cut: Arc<AtomicBool>,
    away: watch::Sender<bool>,
    target: DatabaseTarget,
}

impl Proxy {
    /// A proxy before the server of `target`, which must be PostgreSQL.
    pub async fn before(target: &DatabaseTarget) -> Self {
        let DatabaseTarget::Postgres(server) = target else { panic!("a proxy is for PostgreSQL") };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let mut through = server.clone();
        through.acquire_timeout = Duration::from_secs(2);
        "127.0.0.1".clone_into(&mut through.host);
        through.port = listener.local_addr().unwrap().port();
        let (cut, away) = (Arc::new(AtomicBool::new(false)), watch::Sender::new(false));
        let gone = away.subscribe();
        let (host, port, armed) = (server.host.clone(), server.port, Arc::clone(&cut));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (armed, gone) = (Arc::clone(&armed), gone.clone());
                if *gone.borrow() {
                    continue;
                }
                if host.starts_with('/') {
                    let path = Path::new(&host).join(format!(".s.PGSQL.{port}"));
                    tokio::spawn(pass(client, UnixStream::connect(path).await.unwrap(), armed, gone));
                } else {
                    let server = TcpStream::connect((host.as_str(), port)).await.unwrap();
                    tokio::spawn(pass(client, server, armed, gone));
                }
            }
        });
        Self { cut, away, target: DatabaseTarget::Postgres(through) }
    }

    /// The database, by way of the proxy.
    pub async fn open(&self) -> Db {
        Db::open(&self.target, TABLES).await.unwrap()
    }

    /// Cuts the next connection on which the server says that it has committed, before the client hears of it.
    pub fn cut_after_commit(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    /// Takes the database away, connections that are open included, or brings it back.
    pub fn set_away(&self, away: bool) {
        self.away.send_replace(away);
    }

    /// Whether what was asked for has happened.
    pub fn has_cut(&self) -> bool {
        !self.cut.load(Ordering::SeqCst)
    }
}

async fn pass(
    client: TcpStream,
    server: impl AsyncRead + AsyncWrite,
    armed: Arc<AtomicBool>,
    mut gone: watch::Receiver<bool>,
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let asking = tokio::io::copy(&mut from_client, &mut to_server);
    let answering = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let count = from_server.read(&mut bytes).await.unwrap_or(0);
            // The tag of the message that ends a statement.
            let committed = bytes[..count].windows(7).any(|tag| tag == b"COMMIT\0");
            if count == 0 || (committed && armed.swap(false, Ordering::SeqCst)) {
                return;
            }
            if to_client.write_all(&bytes[..count]).await.is_err() {
                return;
            }
        }
    };
    // Whichever ends first takes both ends of both connections with it.
    tokio::select! {
        _ = asking => {}
        () = answering => {}
        _ = gone.wait_for(|gone| *gone) => {}
    }
}
