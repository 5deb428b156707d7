//! Platforms that know a charge by another id than the channel's report: by the charge's or the payment
//! intent's. Their rows are moved to the key under which the channel reports the charge.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ahash::{HashMap, HashMapExt, HashSet, HashSetExt};
use payops_channels::row::Kind;

use super::carried;
use super::entry::{Entry, RowKey};
use super::entry_store::{EntryStore, EntryWriter, SealedEntries};
use super::error::EngineError;
use super::join::{Done, PartitionWorker, over_partitions};
use super::partitions::{Budget, SealedPartitions};

/// "The payment known as `alias` is reported under `target`".
#[derive(Debug, Clone, Copy)]
pub(super) struct Alias {
    pub(super) alias: RowKey,
    pub(super) target: RowKey,
}

/// How many words an alias is stored in.
pub(super) const ALIAS_WORDS: usize = 4;

impl Alias {
    pub(super) fn to_record(self) -> [u64; ALIAS_WORDS] {
        [self.alias.first, self.alias.second, self.target.first, self.target.second]
    }

    fn from_record([first, second, target_first, target_second]: [u64; ALIAS_WORDS]) -> Self {
        Self {
            alias: RowKey { first, second },
            target: RowKey { first: target_first, second: target_second },
        }
    }
}

/// The channel's other ids of its payments, in the order in which they are tried.
#[derive(Debug)]
pub(super) struct AliasStores<S> {
    pub(super) charges: S,
    pub(super) intents: S,
}

/// Rows of ours that have left the partition of their own trade number for that of the channel's.
#[derive(Debug, Default)]
pub(super) struct Moved {
    ordinals: Bits,
    entries: Option<SealedEntries>,
}

impl Moved {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_none()
    }

    pub(super) fn contains(&self, ordinal: u64) -> bool {
        self.ordinals.contains(ordinal)
    }

    pub(super) fn read_into(&self, partition: usize, out: &mut Vec<Entry>) -> io::Result<()> {
        let Some(store) = &self.entries else { return Ok(()) };
        store.read(partition, out)
    }
}

/// What the search for aliases works on.
#[derive(Debug, Clone, Copy)]
pub(super) struct AliasSearch<'a> {
    pub(super) platform: &'a SealedEntries,
    pub(super) channel: &'a SealedEntries,
    pub(super) aliases: &'a AliasStores<SealedPartitions<ALIAS_WORDS>>,
    pub(super) bits: u32,
    pub(super) budget: &'a Arc<Budget>,
    pub(super) temp_dir: &'a Path,
}

impl AliasSearch<'_> {
    /// Finds, for each payment of ours whose trade number the channel does not report, the one payment there
    /// that has it as its charge id, or else as its payment intent. An id that several payments share names
    /// none of them.
    pub(super) fn run(self, threads: usize, done: Done<'_>) -> Result<Moved, EngineError> {
        if self.aliases.charges.is_empty() && self.aliases.intents.is_empty() {
            return Ok(Moved::default());
        }
        let store = EntryStore::new(self.bits, self.budget, self.temp_dir);
        let new_worker = || Resolver { search: self, moved: store.writer(), ordinals: Bits::default() };
        let workers = over_partitions(self.platform.count(), threads, done, new_worker)?;
        let mut ordinals = Bits::default();
        for worker in workers {
            ordinals.merge(&worker.ordinals);
            worker.moved.finish()?;
        }
        let store = store.seal();
        Ok(Moved { ordinals, entries: Some(store).filter(|store| !store.is_empty()) })
    }
}

/// The state of one thread.
struct Resolver<'a> {
    search: AliasSearch<'a>,
    moved: EntryWriter<'a>,
    ordinals: Bits,
}

impl PartitionWorker for Resolver<'_> {
    fn work(&mut self, partition: usize) -> io::Result<()> {
        let charges = targets(&self.search.aliases.charges, partition)?;
        let intents = targets(&self.search.aliases.intents, partition)?;
        if charges.is_empty() && intents.is_empty() {
            return Ok(());
        }
        let mut reported = Vec::new();
        self.search.channel.read(partition, &mut reported)?;
        let mut known = HashSet::with_capacity(reported.len());
        let payments = reported.iter().filter(|entry| entry.kind() == Kind::Payment);
        known.extend(payments.map(|entry| entry.key));
        drop(reported);

        let mut ours = Vec::new();
        self.search.platform.read(partition, &mut ours)?;
        let unknown =
            ours.iter().filter(|entry| entry.kind() == Kind::Payment && !known.contains(&entry.key));
        for entry in unknown {
            let target = charges.get(&entry.key).or_else(|| intents.get(&entry.key));
            if let Some(Target::One(key)) = target {
                self.ordinals.insert(entry.ordinal());
                self.moved.push(&entry.with_key(*key))?;
            }
        }
        Ok(())
    }
}

/// What an alias names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    One(RowKey),
    Several,
}

fn targets(store: &SealedPartitions<ALIAS_WORDS>, partition: usize) -> io::Result<HashMap<RowKey, Target>> {
    let mut aliases = Vec::new();
    store.read(partition, &mut aliases, Alias::from_record)?;
    let mut targets = HashMap::with_capacity(aliases.len());
    for Alias { alias, target } in aliases {
        let known = targets.entry(alias).or_insert(Target::One(target));
        if *known != Target::One(target) {
            *known = Target::Several;
        }
    }
    Ok(targets)
}

/// A set of ordinals, one bit each: those of rows in the file, and those of carried rows.
#[derive(Debug, Default)]
struct Bits([Vec<u64>; 2]);

impl Bits {
    /// Which of the two, which word of it, and which bit.
    fn place(ordinal: u64) -> (usize, usize, u64) {
        let (set, place) = match ordinal.checked_sub(carried::FIRST_ORDINAL) {
            Some(place) => (1, place),
            None => (0, ordinal),
        };
        (set, usize::try_from(place / 64).unwrap_or(usize::MAX), 1 << (place % 64))
    }

    fn insert(&mut self, ordinal: u64) {
        let (set, word, bit) = Self::place(ordinal);
        let words = &mut self.0[set];
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        words[word] |= bit;
    }

    fn contains(&self, ordinal: u64) -> bool {
        let (set, word, bit) = Self::place(ordinal);
        self.0[set].get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            if ours.len() < theirs.len() {
                ours.resize(theirs.len(), 0);
            }
            for (ours, theirs) in ours.iter_mut().zip(theirs) {
                *ours |= theirs;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_remember_ordinals() {
        let (mut first, mut second) = (Bits::default(), Bits::default());
        first.insert(3);
        second.insert(1000);
        second.insert(carried::FIRST_ORDINAL + 3);
        first.merge(&second);
        assert!(first.contains(3) && first.contains(1000));
        assert!(first.contains(carried::FIRST_ORDINAL + 3) && !first.contains(carried::FIRST_ORDINAL + 1000));
        assert!(!first.contains(4) && !first.contains(1_000_000));
    }
}
