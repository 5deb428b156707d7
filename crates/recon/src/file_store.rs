//! Files on disk: received under a temporary name, placed under the hash of their bytes once whole.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chrono::TimeDelta;
use futures::{Stream, StreamExt};
use payops_core::time::Timestamp;
use payops_platform::error::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use tokio::fs::{self, File};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::model::FileRole;
use crate::store::file::{Model as StoredFile, Subject};

/// After this time without a change a file that is being received is received by nobody.
const ABANDONED_AFTER: TimeDelta = TimeDelta::days(1);

/// The folder that holds every file of reconciliation. Instances that share a database share this folder;
/// one that does not find a file fetches it again.
#[derive(Debug, Clone)]
pub struct FileStore {
    root: PathBuf,
}

/// The place of a file that is being received. Whatever lies there when this is dropped is removed, so that a
/// request that ends early leaves nothing behind; what [`FileStore::place`] has moved away stays. Only a process
/// that is killed leaves a file, for the next start to remove.
#[derive(Debug)]
pub struct Incoming {
    path: PathBuf,
}

impl Incoming {
    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            let path = self.path.display();
            tracing::warn!(%path, %error, "a file that is no longer needed could not be removed");
        }
    }
}

/// A file that lies in the folder for incoming ones, whole and synced.
#[derive(Debug)]
pub struct Received {
    /// Where it lies.
    pub place: Incoming,
    /// Its size in bytes.
    pub size: u64,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

impl FileStore {
    /// Opens the store, makes its folders, and removes what processes that died left behind a day ago or
    /// earlier: they share the folder with others that are at work.
    pub async fn open(root: &Path, now: Timestamp) -> io::Result<Self> {
        let store = Self { root: root.to_owned() };
        fs::create_dir_all(store.scratch()).await?;
        let mut entries = fs::read_dir(store.scratch()).await?;
        while let Some(entry) = entries.next_entry().await? {
            let Ok(modified) = entry.metadata().await.and_then(|metadata| metadata.modified()) else {
                continue;
            };
            if Timestamp::from(modified) < now - ABANDONED_AFTER {
                drop(Incoming { path: entry.path() });
            }
        }
        Ok(store)
    }

    /// Where a file that is being received lies until it is whole.
    pub fn incoming(&self, id: Uuid) -> Incoming {
        Incoming { path: self.scratch().join(id.to_string()) }
    }

    /// The folder for files that live as long as one run.
    pub fn scratch(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// Where a stored file lies. The name is made of its hash and its day, never of a sender's words.
    pub fn path_of(&self, file: &StoredFile) -> PathBuf {
        self.path(&file.subject(), file.file_hash.as_deref().unwrap_or("unknown"))
    }

    /// Whether the file is on this machine's disk, whole.
    pub async fn has(&self, file: &StoredFile) -> bool {
        let size = fs::metadata(self.path_of(file)).await.map(|metadata| metadata.len()).ok();
        size.is_some() && size == file.file_size.and_then(|size| u64::try_from(size).ok())
    }

    /// Writes a stream to disk; more than `limit` bytes are refused. What was written so far is removed when
    /// anything fails, or when nobody waits for it any more.
    pub async fn receive<E>(
        &self,
        id: Uuid,
        body: impl Stream<Item = Result<Bytes, E>>,
        limit: u64,
    ) -> Result<Received>
    where
        E: Into<Error>,
    {
        let place = self.incoming(id);
        let (size, sha256) = write(place.path(), body, limit).await?;
        Ok(Received { place, size, sha256 })
    }

    /// Moves a received file to its place. The rename is one step: a file in its place is whole. The same bytes
    /// have the same place, so two deliveries cannot disturb one another.
    pub async fn place(&self, received: &Path, subject: &Subject, sha256: &str) -> Result<()> {
        let target = self.path(subject, sha256);
        let folder = target.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await.map_err(disk)?;
        fs::rename(received, &target).await.map_err(disk)?;
        File::open(folder).await.map_err(disk)?.sync_all().await.map_err(disk)?;
        Ok(())
    }

    fn path(&self, subject: &Subject, sha256: &str) -> PathBuf {
        let role = match subject.role {
            FileRole::Settlement => "settlement",
            FileRole::BalanceSummary => "balance-summary",
            FileRole::Platform => "platform",
            FileRole::BankStatement => "bank-statement",
            FileRole::Payouts => "payouts",
            FileRole::PayoutRows => "payout-rows",
        };
        let day = subject.date.format("%Y-%m-%d").to_string();
        self.root.join(subject.channel.as_str()).join(day).join(format!("{role}-{sha256}"))
    }
}

async fn write<E: Into<Error>>(
    path: &Path,
    body: impl Stream<Item = Result<Bytes, E>>,
    limit: u64,
) -> Result<(u64, String)> {
    // Opened on this thread: a caller that goes away must not leave an opening behind that makes the file after
    // its place was cleared.
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path);
    let mut file = File::from_std(opened.map_err(disk)?);
    let (mut size, mut hash) = (0_u64, Sha256::new());
    futures::pin_mut!(body);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(Into::into)?;
        size += chunk.len() as u64;
        if size > limit {
            return Err(too_large(limit));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(disk)?;
    }
    // What the last write met is told by the flush alone: `sync_all` does not tell.
    file.flush().await.map_err(disk)?;
    file.sync_all().await.map_err(disk)?;
    Ok((size, hex::encode(hash.finalize())))
}

fn too_large(limit: u64) -> Error {
    Error::new(
        ErrorKind::PayloadTooLarge,
        "FILE_TOO_LARGE",
        format!("the file is larger than {limit} bytes; nothing was stored"),
        format!("文件大于 {limit} 字节；未保存任何内容"),
    )
}

/// A disk that refuses is worth another try later; one that is full says so, whoever asks.
#[expect(clippy::needless_pass_by_value, reason = "it is the argument of map_err")]
pub(crate) fn disk(error: io::Error) -> Error {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let why = format!("file store: {error}");
    if matches!(error.kind(), FileTooLarge | QuotaExceeded | StorageFull) {
        return Error::no_room(why);
    }
    Error::unavailable(why, std::time::Duration::from_secs(30))
}
