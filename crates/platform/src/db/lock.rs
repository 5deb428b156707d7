//! One serving process a SQLite file.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use super::DbOpenError;

/// The claim of this process on a SQLite file, given up when it is dropped or the process ends, however it
/// ends: the operating system releases the lock.
#[derive(Debug)]
pub(super) struct FolderLock(#[expect(dead_code, reason = "an open file is what holds the lock")] File);

impl FolderLock {
    /// Claims the database at `path` through a file beside it.
    pub(super) fn take(path: &Path) -> Result<Self, DbOpenError> {
        let beside = beside(path);
        let io = |source| DbOpenError::Io { path: beside.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).open(&beside).map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(DbOpenError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io(source)),
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}
