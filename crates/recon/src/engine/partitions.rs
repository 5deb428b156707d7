//! Records spread over partitions by their hash, in memory while the budget lasts, then in a temporary file.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::entry::Record;

/// The bytes of one record.
pub(super) const RECORD_BYTES: usize = size_of::<Record>();
/// How many records a partition collects before it hands them on.
const TAIL_RECORDS: usize = 128;
pub(super) const TAIL_BYTES: u64 = (TAIL_RECORDS * RECORD_BYTES) as u64;
/// How much is encoded before it is written to the temporary file.
const WRITE_BYTES: usize = 1 << 20;
/// The size a partition of both sides should have to be joined inside the processor's cache.
const CACHE_BYTES: u64 = 1 << 20;
/// A short row: estimates of the number of rows must not be too low.
const SHORT_ROW_BYTES: u64 = 96;

/// How many bits of the hash select the partition, for inputs of `bytes` in all.
pub(super) fn partition_bits(bytes: u64) -> u32 {
    let records = bytes / SHORT_ROW_BYTES;
    let partitions = (records * RECORD_BYTES as u64 / CACHE_BYTES).clamp(8, 2048);
    partitions.next_power_of_two().trailing_zeros()
}

/// The memory that all stores of a run may fill together. Nothing is refused: a store that finds the budget
/// used up moves what it holds to its temporary file.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Takes `bytes` if they are free.
    fn take(&self, bytes: u64) -> bool {
        let take = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Some records of one partition, in the order in which they came.
#[derive(Debug)]
enum Extent {
    Memory(Vec<Record>),
    Disk { offset: u64, records: usize },
}

/// A store that is being filled.
#[derive(Debug)]
pub(super) struct Partitions {
    shift: u32,
    tails: Vec<Vec<Record>>,
    extents: Vec<Vec<Extent>>,
    budget: Arc<Budget>,
    spill: Spill,
    records: u64,
}

impl Partitions {
    /// An empty store of 2^`bits` partitions, `bits` from 1 to 32. Its temporary file, if it ever needs one,
    /// has no name in `directory` and vanishes with the process.
    pub(super) fn new(bits: u32, budget: &Arc<Budget>, directory: &Path) -> Self {
        let count = 1_usize << bits;
        Self {
            shift: u64::BITS - bits,
            tails: vec![Vec::new(); count],
            extents: std::iter::repeat_with(Vec::new).take(count).collect(),
            budget: Arc::clone(budget),
            spill: Spill { directory: directory.to_owned(), file: None, length: 0, buffer: Vec::new() },
            records: 0,
        }
    }

    /// Adds a record to the partition that its first word names.
    #[inline]
    pub(super) fn push(&mut self, record: Record) -> io::Result<()> {
        let index = usize::try_from(record[0] >> self.shift).unwrap_or(0);
        let Some(tail) = self.tails.get_mut(index) else { return Ok(()) };
        if tail.capacity() == 0 {
            tail.reserve_exact(TAIL_RECORDS);
        }
        tail.push(record);
        self.records += 1;
        if tail.len() == TAIL_RECORDS {
            let full = std::mem::take(tail);
            self.extents[index].push(Extent::Memory(full));
            if !self.budget.take(TAIL_BYTES) {
                self.spill_all()?;
            }
        }
        Ok(())
    }

    /// How many records were added.
    pub(super) fn len(&self) -> u64 {
        self.records
    }

    /// Moves every full extent to the temporary file, one run of each partition after the other.
    fn spill_all(&mut self) -> io::Result<()> {
        let mut moved: u64 = 0;
        for extents in &mut self.extents {
            let in_memory = extents.iter().position(|extent| matches!(extent, Extent::Memory(_)));
            let Some(start) = in_memory else { continue };
            let offset = self.spill.length;
            let mut records = 0;
            for extent in extents.drain(start..) {
                if let Extent::Memory(run) = extent {
                    self.spill.write(&run)?;
                    records += run.len();
                    moved += 1;
                }
            }
            extents.push(Extent::Disk { offset, records });
        }
        self.spill.flush()?;
        // The extent that found the budget used up had not been taken from it.
        self.budget.give_back(moved.saturating_sub(1) * TAIL_BYTES);
        Ok(())
    }

    /// Ends the filling.
    pub(super) fn seal(self) -> SealedPartitions {
        let parts = self.extents.into_iter().zip(self.tails).map(|(mut extents, tail)| {
            if !tail.is_empty() {
                extents.push(Extent::Memory(tail));
            }
            Mutex::new(extents)
        });
        SealedPartitions { parts: parts.collect(), file: self.spill.file, records: self.records }
    }
}

#[derive(Debug)]
struct Spill {
    directory: PathBuf,
    file: Option<File>,
    /// Bytes written, those in `buffer` included.
    length: u64,
    buffer: Vec<u8>,
}

impl Spill {
    fn write(&mut self, run: &[Record]) -> io::Result<()> {
        self.buffer.extend(run.iter().flatten().flat_map(|word| word.to_le_bytes()));
        self.length += (run.len() * RECORD_BYTES) as u64;
        if self.buffer.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut file = match self.file.take() {
            Some(file) => file,
            None => tempfile::tempfile_in(&self.directory)?,
        };
        file.write_all(&self.buffer)?;
        self.buffer.clear();
        self.file = Some(file);
        Ok(())
    }
}

/// What becomes of the records that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// They stay for another reading.
    Keep,
    /// Their memory is freed.
    Take,
}

/// A store that is complete. Several threads may read it, each its own partitions.
#[derive(Debug)]
pub(super) struct SealedPartitions {
    parts: Vec<Mutex<Vec<Extent>>>,
    file: Option<File>,
    records: u64,
}

impl SealedPartitions {
    /// How many partitions there are.
    pub(super) fn count(&self) -> usize {
        self.parts.len()
    }

    /// Whether there is no record at all.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether the budget did not suffice.
    #[cfg(test)]
    pub(super) fn is_spilled(&self) -> bool {
        self.file.is_some()
    }

    /// Appends the records of a partition to `out`, in the order in which they were added.
    pub(super) fn read<T>(
        &self,
        index: usize,
        access: Access,
        out: &mut Vec<T>,
        decode: impl Fn(Record) -> T,
    ) -> io::Result<()> {
        let Some(part) = self.parts.get(index) else { return Ok(()) };
        let mut extents = part.lock().unwrap_or_else(PoisonError::into_inner);
        let records = extents.iter().map(|extent| match extent {
            Extent::Memory(run) => run.len(),
            Extent::Disk { records, .. } => *records,
        });
        out.reserve(records.sum());
        let mut bytes = Vec::new();
        for extent in extents.iter() {
            match extent {
                Extent::Memory(run) => out.extend(run.iter().map(|record| decode(*record))),
                Extent::Disk { offset, records } => {
                    let file = self.file.as_ref().ok_or_else(|| io::Error::other("no temporary file"))?;
                    bytes.resize(records * RECORD_BYTES, 0);
                    file.read_exact_at(&mut bytes, *offset)?;
                    out.extend(bytes.chunks_exact(RECORD_BYTES).map(|bytes| decode(record_of(bytes))));
                }
            }
        }
        if access == Access::Take {
            *extents = Vec::new();
        }
        Ok(())
    }
}

fn record_of(bytes: &[u8]) -> Record {
    let mut record = Record::default();
    for (word, bytes) in record.iter_mut().zip(bytes.chunks_exact(size_of::<u64>())) {
        *word = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(limit: u64, records: u64) -> SealedPartitions {
        let mut store = Partitions::new(3, &Budget::new(limit), &std::env::temp_dir());
        for number in 0..records {
            let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            store.push([hash, number, !number, 3]).unwrap();
        }
        assert_eq!(store.len(), records);
        store.seal()
    }

    fn read_all(store: &SealedPartitions, access: Access) -> Vec<Vec<Record>> {
        let read = |index| {
            let mut out = Vec::new();
            store.read(index, access, &mut out, |record| record).unwrap();
            out
        };
        (0..store.count()).map(read).collect()
    }

    #[test]
    fn what_is_spilled_comes_back_in_order() {
        for records in [0, 1, 127, 128, 10_000, 100_000] {
            let in_memory = fill(u64::MAX, records);
            let expected = read_all(&in_memory, Access::Keep);
            assert_eq!(expected.iter().map(Vec::len).sum::<usize>() as u64, records);
            assert!(!in_memory.is_spilled());
            for limit in [0, 100_000, 1_000_000] {
                let spilled = fill(limit, records);
                assert_eq!(spilled.is_spilled(), records * 32 > limit + 8 * TAIL_BYTES, "{records} {limit}");
                assert_eq!(read_all(&spilled, Access::Keep), expected);
                assert_eq!(read_all(&spilled, Access::Take), expected);
                assert!(read_all(&spilled, Access::Take).iter().all(Vec::is_empty));
            }
        }
    }

    #[test]
    fn partitions_grow_with_the_input() {
        assert_eq!(partition_bits(0), 3);
        assert_eq!(partition_bits(224 << 20), 7);
        assert_eq!(partition_bits(u64::MAX / 2), 11);
    }
}
