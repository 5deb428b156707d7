//! Progress out of a run, and the wish to stop into it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use payops_channels::fast::ReadAt;
use serde::{Deserialize, Serialize};

use super::error::EngineError;

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Reading both files; progress is in bytes.
    Reading,
    /// Meeting the two sides; progress is in partitions.
    Matching,
}

/// How far a run is. Two threads report, so one report may be a little behind the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of it is done.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// Whoever started a run. Both functions are called from the run's threads, many times a second.
#[derive(Clone, Copy)]
pub struct Observer<'a> {
    /// Told how far the run is.
    pub progress: &'a (dyn Fn(Progress) + Sync),
    /// Asked whether to stop; then the run ends with [`EngineError::Cancelled`].
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Observer<'static> {
    /// Nobody.
    pub fn none() -> Self {
        Self { progress: &|_| {}, cancelled: &|| false }
    }
}

impl std::fmt::Debug for Observer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

/// Adds up the work of several threads in one phase.
pub(super) struct Meter<'a> {
    observer: Observer<'a>,
    phase: Phase,
    done: AtomicU64,
    total: u64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(observer: Observer<'a>, phase: Phase, total: u64) -> Self {
        (observer.progress)(Progress { phase, done: 0, total });
        Self { observer, phase, done: AtomicU64::new(0), total }
    }

    pub(super) fn advance(&self, by: u64) {
        let done = self.done.fetch_add(by, Ordering::Relaxed) + by;
        (self.observer.progress)(Progress { phase: self.phase, done, total: self.total });
    }

    pub(super) fn check_cancelled(&self) -> Result<(), EngineError> {
        if (self.observer.cancelled)() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

/// A file whose reading is metered.
pub(super) struct MeteredFile<'a> {
    file: &'a File,
    meter: &'a Meter<'a>,
    /// What lies before this was read. Some of it is read twice.
    furthest: AtomicU64,
}

impl<'a> MeteredFile<'a> {
    pub(super) fn new(file: &'a File, meter: &'a Meter<'a>) -> Self {
        Self { file, meter, furthest: AtomicU64::new(0) }
    }
}

impl ReadAt for MeteredFile<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = FileExt::read_at(self.file, buffer, offset)?;
        let end = offset + count as u64;
        let before = self.furthest.fetch_max(end, Ordering::Relaxed);
        if end > before {
            self.meter.advance(end - before);
        }
        Ok(count)
    }
}
