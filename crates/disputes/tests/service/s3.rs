//! An S3 server: a folder behind the protocol, with keys and signatures. It can be away.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use payops_platform::config::{Bucket, FilePlace};
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{S3Result, s3_error};
use s3s_fs::FileSystem;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

const NAME: &str = "evidence";
const KEY_ID: &str = "payops-tests";
const KEY: &str = "fG7hR2kT9vWq4LmX";

/// A running server. Dropping it stops it.
pub struct S3 {
    /// What its one bucket is reached by.
    pub bucket: Bucket,
    root: PathBuf,
    is_away: watch::Sender<bool>,
    turned_away: Arc<watch::Sender<()>>,
}

impl S3 {
    /// A server of what is in `root`, with an empty bucket.
    pub async fn start(root: &Path) -> Self {
        std::fs::create_dir(root.join(NAME)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(root).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY_ID, KEY));
        service.set_access(OneBucket);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let bucket = Bucket {
            name: NAME.to_owned(),
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            region: "us-east-1".to_owned(),
            access_key_id: KEY_ID.to_owned(),
            secret_access_key: KEY.into(),
            path_style: true,
        };
        let (is_away, told) = watch::channel(false);
        let turned_away = Arc::new(watch::Sender::new(()));
        tokio::spawn(serve(listener, service.build(), told, Arc::clone(&turned_away)));
        Self { bucket, root: root.to_owned(), is_away, turned_away }
    }

    /// Its bucket.
    pub fn place(&self) -> FilePlace {
        FilePlace::Bucket(self.bucket.clone())
    }

    /// Cuts every connection, and every new one until [`S3::come_back`]. Its port stays its own.
    pub fn go_away(&self) {
        self.is_away.send_replace(true);
    }

    /// Serves again.
    pub fn come_back(&self) {
        self.is_away.send_replace(false);
    }

    /// Changes whenever a connection is turned away from now on.
    pub fn turned_away(&self) -> watch::Receiver<()> {
        self.turned_away.subscribe()
    }

    /// Where the dispute's file with this SHA-256 lies.
    pub fn path_of(&self, dispute: &str, sha256: &str) -> PathBuf {
        self.root.join(NAME).join(&dispute[34..]).join(dispute).join(sha256)
    }
}

/// The server would make any bucket that is written to.
struct OneBucket;

impl S3Access for OneBucket {
    fn check<'a, 'b, 'c, 'all>(
        &'a self,
        request: &'b mut S3AccessContext<'c>,
    ) -> BoxFuture<'all, S3Result<()>>
    where
        'a: 'all,
        'b: 'all,
        'c: 'all,
    {
        let known = request.s3_path().get_bucket_name() == Some(NAME);
        let checked = match request.credentials() {
            None => Err(s3_error!(AccessDenied)),
            Some(_) if known => Ok(()),
            Some(_) => Err(s3_error!(NoSuchBucket)),
        };
        std::future::ready(checked).boxed()
    }
}

async fn serve(
    listener: TcpListener,
    service: S3Service,
    mut told: watch::Receiver<bool>,
    turned_away: Arc<watch::Sender<()>>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            changed = told.changed() => match changed {
                Ok(()) => connections.shutdown().await,
                Err(_) => return,
            },
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                if *told.borrow() {
                    turned_away.send_replace(());
                    continue;
                }
                let service = service.clone();
                connections.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    // A client that leaves is no matter of the server's.
                    let _ = server.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        }
    }
}
