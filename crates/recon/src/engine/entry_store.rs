//! Entries in partitions: nearly all in the compact form, the others beside them.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{ENTRY_WORDS, Entry, Packing, WIDE_WORDS};
use super::partitions::{Budget, Partitions, SealedPartitions, Writer};

/// A store of entries that is being filled.
#[derive(Debug)]
pub(super) struct EntryStore {
    packing: Packing,
    compact: Partitions<ENTRY_WORDS>,
    wide: Partitions<WIDE_WORDS>,
}

impl EntryStore {
    /// As [`Partitions::new`].
    pub(super) fn new(bits: u32, budget: &Arc<Budget>, directory: &Path) -> Self {
        Self {
            packing: Packing::new(bits),
            compact: Partitions::new(bits, budget, directory),
            wide: Partitions::new(bits, budget, directory),
        }
    }

    /// A way to add entries.
    pub(super) fn writer(&self) -> EntryWriter<'_> {
        EntryWriter { packing: self.packing, compact: self.compact.writer(), wide: self.wide.writer() }
    }

    /// Ends the filling.
    pub(super) fn seal(self) -> SealedEntries {
        SealedEntries { packing: self.packing, compact: self.compact.seal(), wide: self.wide.seal() }
    }
}

/// A thread's way into a store.
#[derive(Debug)]
pub(super) struct EntryWriter<'s> {
    packing: Packing,
    compact: Writer<'s, ENTRY_WORDS>,
    wide: Writer<'s, WIDE_WORDS>,
}

impl EntryWriter<'_> {
    /// Adds an entry to the partition of its key.
    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    pub(super) fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let partition = self.packing.partition(entry.key);
        match self.packing.pack(entry) {
            Some(record) => self.compact.push(partition, record),
            None => self.push_wide(partition, entry),
        }
    }

    #[cold]
    fn push_wide(&mut self, partition: usize, entry: &Entry) -> io::Result<()> {
        self.wide.push(partition, entry.with_key(self.packing.kept(entry.key)).to_wide())
    }

    /// Hands on what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        self.compact.finish()?;
        self.wide.finish()
    }
}

/// A store of entries that is complete.
#[derive(Debug)]
pub(super) struct SealedEntries {
    pub(super) packing: Packing,
    compact: SealedPartitions<ENTRY_WORDS>,
    wide: SealedPartitions<WIDE_WORDS>,
}

impl SealedEntries {
    /// How many partitions there are.
    pub(super) fn count(&self) -> usize {
        self.compact.count()
    }

    /// Whether there is no entry at all.
    pub(super) fn is_empty(&self) -> bool {
        self.compact.is_empty() && self.wide.is_empty()
    }

    /// Appends the entries of a partition to `out`, in any order.
    pub(super) fn read(&self, partition: usize, out: &mut Vec<Entry>) -> io::Result<()> {
        self.compact.read(partition, out, |record| self.packing.unpack(partition, record))?;
        self.wide.read(partition, out, Entry::from_wide)
    }
}
