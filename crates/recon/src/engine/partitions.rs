//! Records spread over partitions by their hash, in memory while the budget lasts, then in a temporary file.
//!
//! Several threads fill one store, each through a [`Writer`] with memory of its own, so that they never wait for one
//! another. A partition holds the records of one thread in their order, and those of several threads one after the other.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::slab::Slab;

/// The memory that is given to a partition at a time. Records of two, three and four words fill it.
const EXTENT: u32 = 1536;
const EXTENT_BYTES: usize = EXTENT as usize;
/// How much is collected before it is written to the temporary file.
const WRITE_BYTES: usize = 256 << 10;
/// The size a partition of both sides should have to be joined inside the processor's cache.
const CACHE_BYTES: u64 = 1 << 18;
/// A short row: estimates of the number of rows must not be too low.
const SHORT_ROW_BYTES: u64 = 96;
/// The part of the budget that a writer must hold before it moves anything to the temporary file. Without it, a
/// writer that holds little would write tiny runs while another holds the budget.
const SPILLED_PART: u64 = 16;

/// How many bits of the hash select the partition, for inputs of `bytes` in all with records of `record_bytes`.
pub(super) fn partition_bits(bytes: u64, record_bytes: usize) -> u32 {
    let records = bytes / SHORT_ROW_BYTES;
    let partitions = (records * record_bytes as u64 / CACHE_BYTES).clamp(8, 2048);
    partitions.next_power_of_two().trailing_zeros()
}

/// About what half-filled extents of `threads` threads take, for two sides.
pub(super) fn half_filled_bytes(bits: u32, threads: usize) -> u64 {
    ((threads * EXTENT_BYTES) as u64) << bits
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

/// What a thread moved to the temporary file at one time: records of each partition, one partition behind the other. There may
/// be a thousand times of two thousand partitions, so of each partition nothing is kept but a number.
#[derive(Debug)]
struct Spilled {
    offset: u64,
    /// Where each partition ends, in words behind `offset`.
    ends: Box<[u32]>,
}

impl Spilled {
    const WORD: u64 = size_of::<u64>() as u64;

    /// Where the records of a partition stand in the file, and how many bytes they are.
    fn of(&self, index: usize) -> Option<(u64, usize)> {
        let start = index.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        let words = self.ends.get(index)?.checked_sub(start)?;
        let bytes = usize::try_from(u64::from(words) * Self::WORD).ok()?;
        Some((self.offset + u64::from(start) * Self::WORD, bytes))
    }
}

/// Where an extent lies in a writer's memory.
#[derive(Debug, Clone, Copy)]
struct Place {
    slab: u32,
    offset: u32,
}

/// What one thread has written to one partition.
#[derive(Debug, Default)]
struct Part {
    /// What is in memory, oldest first. All but the last are full.
    extents: Vec<Place>,
    /// How many bytes of the last are records.
    last: u32,
}

/// What one thread has written.
#[derive(Debug, Default)]
struct Written {
    slabs: Vec<Slab>,
    /// One for each partition; none when nothing was written.
    parts: Vec<Part>,
    /// What is in the temporary file, oldest first.
    spilled: Vec<Spilled>,
}

impl Written {
    /// The bytes of the records of a partition that are in memory.
    fn in_memory(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let Part { extents, last, .. } = self.parts.get(index).unwrap_or(&NOTHING);
        extents.iter().enumerate().filter_map(move |(number, place)| {
            let bytes = if number + 1 == extents.len() { *last as usize } else { EXTENT_BYTES };
            self.slabs.get(place.slab as usize)?.get(place.offset as usize..)?.get(..bytes)
        })
    }
}

static NOTHING: Part = Part { extents: Vec::new(), last: 0 };

/// A store of records of `N` words that is being filled.
#[derive(Debug)]
pub(super) struct Partitions<const N: usize> {
    bits: u32,
    budget: Arc<Budget>,
    spill: Mutex<Spill>,
    written: Mutex<Vec<Written>>,
}

impl<const N: usize> Partitions<N> {
    /// An empty store of 2^`bits` partitions. Its temporary file, if it ever needs one,
    /// has no name in `directory` and vanishes with the process.
    pub(super) fn new(bits: u32, budget: &Arc<Budget>, directory: &Path) -> Self {
        let spill = Spill { directory: directory.to_owned(), file: None, length: 0, buffer: Vec::new() };
        Self { bits, budget: Arc::clone(budget), spill: Mutex::new(spill), written: Mutex::default() }
    }

    /// A way to add records.
    pub(super) fn writer(&self) -> Writer<'_, N> {
        let written = Written::default();
        Writer { store: self, written, open: Vec::new(), fresh: 0, free: Vec::new(), full: 0 }
    }

    /// Ends the filling.
    pub(super) fn seal(self) -> SealedPartitions<N> {
        let spill = self.spill.into_inner().unwrap_or_else(PoisonError::into_inner);
        let written = self.written.into_inner().unwrap_or_else(PoisonError::into_inner);
        SealedPartitions { count: 1 << self.bits, written, file: spill.file }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the next record of a partition goes; nowhere when `next` is `end`.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    slab: u32,
    next: u32,
    end: u32,
}

/// A thread's way into a store.
#[derive(Debug)]
pub(super) struct Writer<'p, const N: usize> {
    store: &'p Partitions<N>,
    written: Written,
    /// One for each partition; none before the first record.
    open: Vec<Open>,
    /// Where the part of the last slab begins that was not given to a partition yet.
    fresh: u32,
    /// Extents whose records went to the temporary file.
    free: Vec<Place>,
    /// How many extents in memory are full.
    full: u64,
}

impl<const N: usize> Writer<'_, N> {
    const RECORD: usize = N * size_of::<u64>();
    #[expect(clippy::cast_possible_truncation, reason = "a record has a few words")]
    const STEP: u32 = Self::RECORD as u32;

    /// Adds a record to a partition.
    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    pub(super) fn push(&mut self, index: usize, record: [u64; N]) -> io::Result<()> {
        const { assert!(EXTENT_BYTES.is_multiple_of(N * size_of::<u64>()), "an extent is full of records") };
        if self.open.get(index).is_none_or(|open| open.next == open.end) {
            self.open_extent(index)?;
        }
        let open = &mut self.open[index];
        let start = open.next as usize;
        let out = &mut self.written.slabs[open.slab as usize][start..start + Self::RECORD];
        for (place, word) in out.as_chunks_mut().0.iter_mut().zip(record) {
            *place = word.to_le_bytes();
        }
        open.next += Self::STEP;
        Ok(())
    }

    /// Gives a partition memory for further records.
    #[cold]
    fn open_extent(&mut self, index: usize) -> io::Result<()> {
        if self.open.is_empty() {
            self.open = vec![Open::default(); 1 << self.store.bits];
            self.written.parts.resize_with(1 << self.store.bits, Part::default);
        }
        if !self.written.parts[index].extents.is_empty() {
            self.full += 1;
            let budget = &self.store.budget;
            let held = self.full * EXTENT_BYTES as u64;
            if !budget.take(EXTENT_BYTES as u64) && held >= budget.limit / SPILLED_PART {
                self.spill(false)?;
            }
        }
        let place = self.take_extent()?;
        self.written.parts[index].extents.push(place);
        self.open[index] = Open { slab: place.slab, next: place.offset, end: place.offset + EXTENT };
        Ok(())
    }

    fn take_extent(&mut self) -> io::Result<Place> {
        if let Some(place) = self.free.pop() {
            return Ok(place);
        }
        let slabs = &mut self.written.slabs;
        let has_room = slabs.last().is_some_and(|slab| slab.len() - self.fresh as usize >= EXTENT_BYTES);
        if !has_room {
            slabs.push(Slab::following(slabs.len())?);
            self.fresh = 0;
        }
        let slab = u32::try_from(slabs.len() - 1).map_err(io::Error::other)?;
        let place = Place { slab, offset: self.fresh };
        self.fresh += EXTENT;
        Ok(place)
    }

    /// Moves every full extent, or everything, to the temporary file, one partition after the other.
    fn spill(&mut self, everything: bool) -> io::Result<()> {
        let mut spill = lock(&self.store.spill);
        let offset = spill.length;
        let mut ends = Vec::with_capacity(self.written.parts.len());
        for (part, open) in self.written.parts.iter_mut().zip(&mut self.open) {
            let is_open = open.next != open.end;
            let count = part.extents.len() - usize::from(is_open && !everything);
            for (number, place) in part.extents.drain(..count).enumerate() {
                let start = place.offset as usize;
                let end = if is_open && number + 1 == count && everything {
                    open.next as usize
                } else {
                    start + EXTENT_BYTES
                };
                spill.write(&self.written.slabs[place.slab as usize][start..end])?;
                self.free.push(place);
            }
            ends.push(u32::try_from((spill.length - offset) / Spilled::WORD).map_err(io::Error::other)?);
            if part.extents.is_empty() {
                *open = Open::default();
            }
        }
        spill.flush()?;
        self.written.spilled.push(Spilled { offset, ends: ends.into() });
        self.store.budget.give_back(self.full * EXTENT_BYTES as u64);
        self.full = 0;
        Ok(())
    }

    /// Hands on what was written. Who has used the temporary file leaves nothing in memory.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if !self.written.spilled.is_empty() {
            self.spill(true)?;
            self.written.slabs.clear();
        }
        for (part, open) in self.written.parts.iter_mut().zip(&self.open) {
            if let Some(last) = part.extents.last() {
                part.last = open.next - last.offset;
            }
        }
        if !self.written.parts.is_empty() {
            lock(&self.store.written).push(self.written);
        }
        Ok(())
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
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
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

/// A store that is complete. Several threads may read it.
#[derive(Debug)]
pub(super) struct SealedPartitions<const N: usize> {
    count: usize,
    written: Vec<Written>,
    file: Option<File>,
}

impl<const N: usize> SealedPartitions<N> {
    /// How many partitions there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether there is no record at all.
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty()
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
        out: &mut Vec<T>,
        decode: impl Fn([u64; N]) -> T,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        for written in &self.written {
            for (offset, length) in written.spilled.iter().filter_map(|spilled| spilled.of(index)) {
                let file = self.file.as_ref().ok_or_else(|| io::Error::other("no temporary file"))?;
                bytes.resize(length, 0);
                file.read_exact_at(&mut bytes, offset)?;
                out.extend(records(&bytes).map(&decode));
            }
            for extent in written.in_memory(index) {
                out.extend(records(extent).map(&decode));
            }
        }
        Ok(())
    }
}

/// Records from their bytes.
fn records<const N: usize>(bytes: &[u8]) -> impl ExactSizeIterator<Item = [u64; N]> {
    bytes.as_chunks().0.as_chunks::<N>().0.iter().map(|words| words.map(u64::from_le_bytes))
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

    fn read_all(store: &SealedPartitions<4>) -> Vec<Vec<[u64; 4]>> {
        let read = |index| {
            let mut out = Vec::new();
            store.read(index, &mut out, |record| record).unwrap();
            out
        };
        (0..store.count()).map(read).collect()
    }

    #[test]
    fn what_one_thread_spills_comes_back_in_order() {
        for records in [0, 1, 127, 128, 10_000, 100_000] {
            let in_memory = fill(u64::MAX, records);
            let expected = read_all(&in_memory);
            assert_eq!(expected.iter().map(Vec::len).sum::<usize>() as u64, records);
            assert!(!in_memory.is_spilled());
            for limit in [0, 100_000, 1_000_000] {
                let spilled = fill(limit, records);
                let half_filled = 8 * EXTENT_BYTES as u64;
                assert_eq!(spilled.is_spilled(), records * 32 > limit + half_filled, "{records} {limit}");
                assert_eq!(read_all(&spilled), expected);
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
                store.read(index, &mut found, |[number, thread]| (number, thread)).unwrap();
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
        assert_eq!(partition_bits(224 << 20, 32), 9);
        assert_eq!(partition_bits(u64::MAX / 2, 32), 11);
    }
}
