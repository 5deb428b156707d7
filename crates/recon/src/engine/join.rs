//! Meets the two sides, partition by partition, each in an open-addressing table that fits the cache.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::alias::Moved;
use super::ambiguity::Candidates;
use super::differences::DifferenceRef;
use super::entry::{Entry, RowKey};
use super::entry_store::SealedEntries;
use super::error::EngineError;
use super::pairing::{self, Outcomes, PairingRules};
use super::rules::DiffType;
use super::tally::Tally;

/// What the join found: sums of everything, and references to the rows that are listed one by one.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) tally: Tally,
    pub(super) listed: Vec<DifferenceRef>,
    /// What each ambiguous row could belong to.
    pub(super) candidates: BTreeMap<DifferenceRef, Candidates>,
    keep_all: bool,
}

impl Found {
    fn new(keep_all: bool) -> Self {
        Self { tally: Tally::new(), listed: Vec::new(), candidates: BTreeMap::new(), keep_all }
    }

    fn merge(&mut self, other: Self) {
        self.tally.merge(&other.tally);
        self.listed.extend(other.listed);
        self.candidates.extend(other.candidates);
    }
}

impl Outcomes for Found {
    #[inline]
    fn outcome(&mut self, outcome: DiffType, platform: Option<&Entry>, channel: Option<&Entry>) {
        self.tally.add(outcome, platform, channel);
        if self.keep_all || outcome.is_listed() {
            let (ours, theirs) = (platform.map(Entry::ordinal), channel.map(Entry::ordinal));
            self.listed.push(DifferenceRef::new(outcome, ours, theirs));
        }
    }

    fn adjusted(&mut self, rule: usize, platform: &Entry, channel: &Entry) {
        self.tally.add_adjustment(rule, platform, channel);
        self.outcome(DiffType::WithinTolerance, Some(platform), Some(channel));
    }

    fn ambiguous(&mut self, platform: Option<&Entry>, channel: Option<&Entry>, candidates: Candidates) {
        let (ours, theirs) = (platform.map(Entry::ordinal), channel.map(Entry::ordinal));
        self.candidates.insert(DifferenceRef::new(DiffType::Ambiguous, ours, theirs), candidates);
        self.outcome(DiffType::Ambiguous, platform, channel);
    }
}

/// The two sides, ready to be met.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sides<'a> {
    pub(super) platform: &'a SealedEntries,
    pub(super) channel: &'a SealedEntries,
    /// Rows of ours that are matched through another id than their trade number.
    pub(super) moved: &'a Moved,
}

/// Called after each partition; an error stops the run.
pub(super) type Done<'a> = &'a (dyn Fn() -> Result<(), EngineError> + Sync);

/// Meets the sides on `threads` threads and frees their entries on the way.
pub(super) fn join(
    sides: Sides<'_>,
    rules: PairingRules<'_>,
    keep_all: bool,
    threads: usize,
    done: Done<'_>,
) -> Result<Found, EngineError> {
    let parts =
        over_partitions(sides.platform.count(), threads, done, || Joiner::new(sides, rules, keep_all))?;
    let mut parts = parts.into_iter().map(|joiner| joiner.found);
    let mut all = parts.next().unwrap_or_else(|| Found::new(keep_all));
    parts.for_each(|part| all.merge(part));
    all.listed.sort_unstable();
    Ok(all)
}

/// Works on one partition after the other.
pub(super) trait PartitionWorker: Send {
    fn work(&mut self, partition: usize) -> io::Result<()>;
}

/// Shares `count` partitions among `threads` workers. The first error stops all.
pub(super) fn over_partitions<W: PartitionWorker>(
    count: usize,
    threads: usize,
    done: Done<'_>,
    new_worker: impl Fn() -> W,
) -> Result<Vec<W>, EngineError> {
    let next = AtomicUsize::new(0);
    let run = |mut worker: W| {
        loop {
            let partition = next.fetch_add(1, Ordering::Relaxed);
            if partition >= count {
                return Ok(worker);
            }
            let worked = worker.work(partition).map_err(EngineError::from).and_then(|()| done());
            if let Err(error) = worked {
                next.store(count, Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    let run = &run;
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads)
            .map(|_| {
                let worker = new_worker();
                scope.spawn(move || run(worker))
            })
            .collect();
        let first = run(new_worker());
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        std::iter::once(first).chain(others).collect()
    })
}

const NONE: u32 = u32::MAX;

/// The state of one thread: the table and the entries of the partition at hand, used again for the next.
struct Joiner<'a> {
    sides: Sides<'a>,
    rules: PairingRules<'a>,
    /// The platform's entries, then the channel's, each in any order.
    entries: Vec<Entry>,
    /// Where the channel's entries begin.
    split: usize,
    table: KeyTable,
    found: Found,
}

impl<'a> Joiner<'a> {
    fn new(sides: Sides<'a>, rules: PairingRules<'a>, keep_all: bool) -> Self {
        Self {
            sides,
            rules,
            entries: Vec::new(),
            split: 0,
            table: KeyTable::default(),
            found: Found::new(keep_all),
        }
    }

    fn load(&mut self, partition: usize) -> io::Result<()> {
        self.entries.clear();
        self.sides.platform.read(partition, &mut self.entries)?;
        if !self.sides.moved.is_empty() {
            self.entries.retain(|entry| !self.sides.moved.contains(entry.ordinal()));
            self.sides.moved.read_into(partition, &mut self.entries)?;
        }
        self.split = self.entries.len();
        self.sides.channel.read(partition, &mut self.entries)
    }

    fn judge(&mut self, head: usize) {
        let Self { entries, split, table, found, rules, .. } = self;
        let second = table.next[head];
        let split = *split;
        if second == NONE {
            let lonely = [&entries[head]];
            if head < split {
                rules.left_on_platform(&lonely, false, found);
            } else {
                pairing::left_on_channel(&lonely, false, found);
            }
            return;
        }
        if head < split && second as usize >= split && table.following(second) == NONE {
            let (ours, theirs) = (&entries[head], &entries[second as usize]);
            if ours.kind() == theirs.kind() && ours.takes_back() == theirs.takes_back() {
                rules.pair(ours, theirs, found);
                return;
            }
        }
        let chain = std::iter::successors(u32::try_from(head).ok(), |index| {
            Some(table.following(*index)).filter(|next| *next != NONE)
        });
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for index in chain.map(|index| index as usize) {
            if index < split { ours.push(entries[index]) } else { theirs.push(entries[index]) }
        }
        rules.group(&ours, &theirs, found);
    }
}

impl PartitionWorker for Joiner<'_> {
    fn work(&mut self, partition: usize) -> io::Result<()> {
        self.load(partition)?;
        self.table.fill(&self.entries)?;
        for index in 0..self.entries.len() {
            if !self.table.follows[index] {
                self.judge(index);
            }
        }
        Ok(())
    }
}

/// Groups entries by key. Each slot holds the first entry of a key; `next` leads to the others, ours before
/// theirs, and `follows` tells which these are.
#[derive(Debug, Default)]
struct KeyTable {
    slots: Vec<u32>,
    next: Vec<u32>,
    follows: Vec<bool>,
}

impl KeyTable {
    fn fill(&mut self, entries: &[Entry]) -> io::Result<()> {
        let count = u32::try_from(entries.len()).ok().filter(|count| *count < NONE);
        let count = count.ok_or_else(|| io::Error::other("too many rows have the same key"))?;
        let size = (entries.len() * 2).next_power_of_two();
        self.slots.clear();
        self.slots.resize(size, NONE);
        self.next.clear();
        self.next.resize(entries.len(), NONE);
        self.follows.clear();
        self.follows.resize(entries.len(), false);
        let mask = size - 1;
        // From the last to the first, so that pushing in front leaves ours before theirs.
        for index in (0..count).rev() {
            let key = entries[index as usize].key;
            let mut slot = home(key) & mask;
            loop {
                let head = self.slots[slot];
                if head == NONE {
                    self.slots[slot] = index;
                    break;
                }
                if entries[head as usize].key == key {
                    self.next[index as usize] = head;
                    self.follows[head as usize] = true;
                    self.slots[slot] = index;
                    break;
                }
                slot = (slot + 1) & mask;
            }
        }
        Ok(())
    }

    fn following(&self, index: u32) -> u32 {
        self.next[index as usize]
    }
}

/// Where a key is looked for first. The highest bits of this half have chosen the partition already.
fn home(key: RowKey) -> usize {
    usize::try_from(key.first & u64::from(u32::MAX)).unwrap_or(0)
}
