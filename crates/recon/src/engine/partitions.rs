//! Records spread over partitions by their hash, in memory while the budget lasts, then in a temporary file.
//!
//! Several threads fill one store, each through a [`Writer`] of its own that hands records on in small batches.
//! So a partition holds the records of one thread in their order, and those of several threads in any.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The size that a run of records of one partition should have in memory.
const EXTENT_BYTES: usize = 3072;
/// How many records of a partition a writer collects before it hands them on.
const BATCH_RECORDS: usize = 16;
/// How much is encoded before it is written to the temporary file.
const WRITE_BYTES: usize = 1 << 20;
/// The size a partition of both sides should have to be joined inside the processor's cache.
const CACHE_BYTES: u64 = 1 << 20;
/// A short row: estimates of the number of rows must not be too low.
const SHORT_ROW_BYTES: u64 = 96;
/// The part of the budget that a store must hold before it moves anything to its temporary file. Without it, a
/// store that holds little would write tiny runs while another holds the budget.
const SPILLED_PART: u64 = 8;

/// How many bits of the hash select the partition, for inputs of `bytes` in all with records of `record_bytes`.
pub(super) fn partition_bits(bytes: u64, record_bytes: usize) -> u32 {
    let records = bytes / SHORT_ROW_BYTES;
    let partitions = (records * record_bytes as u64 / CACHE_BYTES).clamp(8, 2048);
    partitions.next_power_of_two().trailing_zeros()
}

/// About what half-filled extents and the batches of `threads` threads take, for two sides.
pub(super) fn half_filled_bytes(bits: u32, record_bytes: usize, threads: usize) -> u64 {
    let batches = threads * BATCH_RECORDS * record_bytes;
    (2 * (EXTENT_BYTES / 2 + batches) as u64) << bits
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

    /// Takes `bytes`; false when more are taken than there are.
    fn take(&self, bytes: u64) -> bool {
        self.used.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Some records of one partition.
#[derive(Debug)]
enum Extent<const N: usize> {
    Memory(Vec<[u64; N]>),
    Disk { offset: u64, records: usize },
}

/// One partition. The last extent in memory may have room.
type Part<const N: usize> = Vec<Extent<N>>;

/// A store of records of `N` words that is being filled.
#[derive(Debug)]
pub(super) struct Partitions<const N: usize> {
    parts: Vec<Mutex<Part<N>>>,
    budget: Arc<Budget>,
    /// Bytes of full extents in memory.
    held: AtomicU64,
    records: AtomicU64,
    spill: Mutex<Spill>,
}

impl<const N: usize> Partitions<N> {
    /// How many records an extent holds.
    const EXTENT: usize = EXTENT_BYTES / (N * 8);

    /// An empty store of 2^`bits` partitions. Its temporary file, if it ever needs one,
    /// has no name in `directory` and vanishes with the process.
    pub(super) fn new(bits: u32, budget: &Arc<Budget>, directory: &Path) -> Self {
        Self {
            parts: std::iter::repeat_with(Mutex::default).take(1 << bits).collect(),
            budget: Arc::clone(budget),
            held: AtomicU64::new(0),
            records: AtomicU64::new(0),
            spill: Mutex::new(Spill {
                directory: directory.to_owned(),
                file: None,
                length: 0,
                buffer: Vec::new(),
            }),
        }
    }

    /// A way to add records.
    pub(super) fn writer(&self) -> Writer<'_, N> {
        Writer { store: self, batches: Vec::new(), lengths: Vec::new() }
    }

    fn append(&self, index: usize, mut records: &[[u64; N]]) -> io::Result<()> {
        self.records.fetch_add(records.len() as u64, Ordering::Relaxed);
        let mut full = 0;
        let mut part = lock(&self.parts[index]);
        while !records.is_empty() {
            let room = match part.last_mut() {
                Some(Extent::Memory(run)) if run.len() < Self::EXTENT => run,
                _ => {
                    part.push(Extent::Memory(Vec::with_capacity(Self::EXTENT)));
                    continue;
                }
            };
            let (now, later) = records.split_at(records.len().min(Self::EXTENT - room.len()));
            room.extend_from_slice(now);
            full += u64::from(room.len() == Self::EXTENT);
            records = later;
        }
        drop(part);
        if full > 0 {
            let bytes = full * EXTENT_BYTES as u64;
            let held = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes;
            if !self.budget.take(bytes) && held >= self.budget.limit / SPILLED_PART {
                self.spill_all()?;
            }
        }
        Ok(())
    }

    /// Moves every full extent to the temporary file, one run of each partition after the other.
    fn spill_all(&self) -> io::Result<()> {
        let mut spill = lock(&self.spill);
        if self.budget.used.load(Ordering::Relaxed) <= self.budget.limit {
            // Another thread has spilled meanwhile.
            return Ok(());
        }
        let mut moved = 0;
        for part in &self.parts {
            let mut part = lock(part);
            let is_full =
                |extent: &Extent<N>| matches!(extent, Extent::Memory(run) if run.len() == Self::EXTENT);
            let Some(start) = part.iter().position(is_full) else { continue };
            let end = start + part[start..].iter().take_while(|extent| is_full(extent)).count();
            let offset = spill.length;
            let mut records = 0;
            for extent in part.drain(start..end) {
                if let Extent::Memory(run) = extent {
                    spill.write(run.as_flattened())?;
                    records += run.len();
                    moved += 1;
                }
            }
            part.insert(start, Extent::Disk { offset, records });
        }
        spill.flush()?;
        self.held.fetch_sub(moved * EXTENT_BYTES as u64, Ordering::Relaxed);
        self.budget.give_back(moved * EXTENT_BYTES as u64);
        Ok(())
    }

    /// Ends the filling.
    pub(super) fn seal(self) -> SealedPartitions<N> {
        let spill = self.spill.into_inner().unwrap_or_else(PoisonError::into_inner);
        SealedPartitions { parts: self.parts, file: spill.file, records: self.records.into_inner() }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's way into a store.
#[derive(Debug)]
pub(super) struct Writer<'p, const N: usize> {
    store: &'p Partitions<N>,
    /// A batch for each partition; nothing before the first record.
    batches: Vec<[[u64; N]; BATCH_RECORDS]>,
    lengths: Vec<u8>,
}

impl<const N: usize> Writer<'_, N> {
    /// Adds a record to a partition.
    #[inline]
    pub(super) fn push(&mut self, index: usize, record: [u64; N]) -> io::Result<()> {
        if self.batches.is_empty() {
            self.begin();
        }
        let (batch, length) = (&mut self.batches[index], &mut self.lengths[index]);
        batch[usize::from(*length) % BATCH_RECORDS] = record;
        *length += 1;
        if usize::from(*length) == BATCH_RECORDS {
            *length = 0;
            self.store.append(index, batch)?;
        }
        Ok(())
    }

    #[cold]
    fn begin(&mut self) {
        self.batches = vec![[[0; N]; BATCH_RECORDS]; self.store.parts.len()];
        self.lengths = vec![0; self.store.parts.len()];
    }

    /// Hands on what is left.
    pub(super) fn finish(self) -> io::Result<()> {
        let batches = self.batches.iter().zip(&self.lengths).enumerate();
        batches
            .filter(|(_, (_, length))| **length > 0)
            .try_for_each(|(index, (batch, length))| self.store.append(index, &batch[..usize::from(*length)]))
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
    fn write(&mut self, words: &[u64]) -> io::Result<()> {
        self.buffer.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        self.length += size_of_val(words) as u64;
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
pub(super) struct SealedPartitions<const N: usize> {
    parts: Vec<Mutex<Part<N>>>,
    file: Option<File>,
    records: u64,
}

impl<const N: usize> SealedPartitions<N> {
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

    /// Appends the records of a partition to `out`.
    pub(super) fn read<T>(
        &self,
        index: usize,
        access: Access,
        out: &mut Vec<T>,
        decode: impl Fn([u64; N]) -> T,
    ) -> io::Result<()> {
        let Some(part) = self.parts.get(index) else { return Ok(()) };
        let mut extents = lock(part);
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
                    bytes.resize(records * N * 8, 0);
                    file.read_exact_at(&mut bytes, *offset)?;
                    out.extend(bytes.chunks_exact(N * 8).map(|bytes| decode(record_of(bytes))));
                }
            }
        }
        if access == Access::Take {
            *extents = Vec::new();
        }
        Ok(())
    }
}

fn record_of<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut record = [0; N];
    for (word, bytes) in record.iter_mut().zip(bytes.chunks_exact(size_of::<u64>())) {
        *word = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(limit: u64, records: u64) -> SealedPartitions<4> {
        let store = Partitions::new(3, &Budget::new(limit), &std::env::temp_dir());
        let mut writer = store.writer();
        for number in 0..records {
            let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            writer.push(usize::try_from(hash >> 61).unwrap(), [hash, number, !number, 3]).unwrap();
        }
        writer.finish().unwrap();
        store.seal()
    }

    fn read_all(store: &SealedPartitions<4>, access: Access) -> Vec<Vec<[u64; 4]>> {
        let read = |index| {
            let mut out = Vec::new();
            store.read(index, access, &mut out, |record| record).unwrap();
            out
        };
        (0..store.count()).map(read).collect()
    }

    #[test]
    fn what_one_thread_spills_comes_back_in_order() {
        for records in [0, 1, 127, 128, 10_000, 100_000] {
            let in_memory = fill(u64::MAX, records);
            let expected = read_all(&in_memory, Access::Keep);
            assert_eq!(expected.iter().map(Vec::len).sum::<usize>() as u64, records);
            assert!(!in_memory.is_spilled());
            for limit in [0, 100_000, 1_000_000] {
                let spilled = fill(limit, records);
                let half_filled = 8 * EXTENT_BYTES as u64;
                assert_eq!(spilled.is_spilled(), records * 32 > limit + half_filled, "{records} {limit}");
                assert_eq!(read_all(&spilled, Access::Keep), expected);
                assert_eq!(read_all(&spilled, Access::Take), expected);
                assert!(read_all(&spilled, Access::Take).iter().all(Vec::is_empty));
            }
        }
    }

    #[test]
    fn several_threads_lose_nothing() {
        for limit in [u64::MAX, 100_000] {
            let store: Partitions<2> = Partitions::new(2, &Budget::new(limit), &std::env::temp_dir());
            std::thread::scope(|scope| {
                for thread in 0..4_u64 {
                    let mut writer = store.writer();
                    scope.spawn(move || {
                        for number in 0..20_000 {
                            writer.push(usize::try_from(number % 4).unwrap(), [number, thread]).unwrap();
                        }
                        writer.finish().unwrap();
                    });
                }
            });
            let store = store.seal();
            let mut found = Vec::new();
            for index in 0..store.count() {
                store.read(index, Access::Take, &mut found, |[number, thread]| (number, thread)).unwrap();
            }
            found.sort_unstable();
            let expected: Vec<(u64, u64)> =
                (0..20_000).flat_map(|number| (0..4).map(move |thread| (number, thread))).collect();
            assert!(found == expected);
        }
    }

    #[test]
    fn partitions_grow_with_the_input() {
        assert_eq!(partition_bits(0, 32), 3);
        assert_eq!(partition_bits(224 << 20, 32), 7);
        assert_eq!(partition_bits(u64::MAX / 2, 32), 11);
    }
}
