//! Files that are either whole or not there.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

use crate::remote::RemoteError;

/// A file that was stored whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredFile {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its content, lower-case hexadecimal.
    pub sha256: String,
}

/// A file that is being written. It is named `….part` beside its target and is removed unless it is finished;
/// of a killed process it may be left over, and nobody takes it for the file.
pub(crate) struct PartFile {
    file: File,
    part: TempPath,
    target: PathBuf,
    hash: Sha256,
    bytes: u64,
}

impl PartFile {
    pub(crate) async fn create(target: &Path) -> Result<Self, RemoteError> {
        let target = target.to_owned();
        let made = tokio::task::spawn_blocking(move || {
            let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = directory.unwrap_or_else(|| Path::new(".")).to_owned();
            let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let part = tempfile::Builder::new()
                .prefix(&format!("{name}."))
                .suffix(".part")
                .tempfile_in(directory)?;
            let (file, part) = part.into_parts();
            Ok((file, part, target))
        });
        let (file, part, target) = blocking(made.await)?;
        Ok(Self { file: File::from_std(file), part, target, hash: Sha256::new(), bytes: 0 })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), RemoteError> {
        self.file.write_all(bytes).await.map_err(|error| RemoteError::disk(&error))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Throws away what was written.
    pub(crate) async fn restart(&mut self) -> Result<(), RemoteError> {
        let emptied = async {
            self.file.flush().await?;
            self.file.set_len(0).await?;
            self.file.seek(SeekFrom::Start(0)).await
        };
        emptied.await.map_err(|error| RemoteError::disk(&error))?;
        self.hash = Sha256::new();
        self.bytes = 0;
        Ok(())
    }

    /// Gives the file its name, once the disk has it.
    pub(crate) async fn finish(mut self) -> Result<StoredFile, RemoteError> {
        let synced = async {
            self.file.flush().await?;
            self.file.sync_all().await
        };
        synced.await.map_err(|error| RemoteError::disk(&error))?;
        drop(self.file.into_std().await);
        let (part, target) = (self.part, self.target);
        let named = tokio::task::spawn_blocking(move || {
            part.persist(&target).map_err(|error| error.error)?;
            // The name is on the disk when the folder is.
            match target.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(folder) => std::fs::File::open(folder)?.sync_all(),
                None => Ok(()),
            }
        });
        blocking(named.await)?;
        Ok(StoredFile { bytes: self.bytes, sha256: hex::encode(self.hash.finalize()) })
    }
}

fn blocking<T>(outcome: Result<std::io::Result<T>, tokio::task::JoinError>) -> Result<T, RemoteError> {
    let outcome = outcome.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    outcome.map_err(|error| RemoteError::disk(&error))
}
