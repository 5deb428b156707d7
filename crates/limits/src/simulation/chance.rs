//! The one source of chance of a run, and what it has led to.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use payops_core::random::{Random, SeededRandom};

#[derive(Debug)]
pub(super) struct Chance {
    random: SeededRandom,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed), counts: Mutex::default() }
    }

    /// A number in `0..bound`.
    pub(super) fn below(&self, bound: u64) -> u64 {
        self.random.below(bound)
    }

    /// A number in `from..=to`.
    pub(super) fn between(&self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to - from).unwrap() + 1;
        from + i64::try_from(self.below(span)).unwrap()
    }

    pub(super) fn of_a_thousand(&self, often: u64) -> bool {
        self.below(1000) < often
    }

    pub(super) fn pick<T: Clone>(&self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()].clone()
    }

    pub(super) fn maybe<T>(&self, often: u64, value: impl FnOnce() -> T) -> Option<T> {
        self.of_a_thousand(often).then(value)
    }

    /// Notes that something happened.
    pub(super) fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
