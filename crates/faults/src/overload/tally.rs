//! What came back.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What came back since the beginning.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    all: Second,
    /// What was told already.
    told: usize,
    told_refused: u64,
}

/// What came back in some time.
#[derive(Debug, Default, Clone)]
pub(super) struct Second {
    /// From the moment an operation was due to its answer, of those that were decided.
    accepted_micros: Vec<u64>,
    refused: u64,
    /// Refused without being told when to come again.
    without_retry_after: u64,
    /// No answer, or another one.
    failed: u64,
}

/// One answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    Decision,
    Refusal { retry_after: bool },
    Failure,
}

impl Tally {
    pub(super) fn add(&self, came: Came, after: Duration) {
        let all = &mut self.lock().all;
        match came {
            Came::Decision => {
                all.accepted_micros.push(u64::try_from(after.as_micros()).unwrap_or(u64::MAX));
            }
            Came::Refusal { retry_after } => {
                all.refused += 1;
                all.without_retry_after += u64::from(!retry_after);
            }
            Came::Failure => all.failed += 1,
        }
    }

    pub(super) fn take(&self) -> Second {
        std::mem::take(&mut self.lock().all)
    }

    /// What came since this was asked last.
    pub(super) fn since_last(&self) -> Second {
        let state = &mut *self.lock();
        let part = Second {
            accepted_micros: state.all.accepted_micros[state.told..].to_vec(),
            refused: state.all.refused - state.told_refused,
            ..Second::default()
        };
        (state.told, state.told_refused) = (state.all.accepted_micros.len(), state.all.refused);
        part
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Second {
    pub(super) fn accepted_per_second(&self, time: Duration) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let accepted = self.accepted_micros.len() as f64;
        accepted / time.as_secs_f64()
    }

    pub(super) fn p99_micros(&self) -> u64 {
        self.quantile(99)
    }

    fn quantile(&self, percent: usize) -> u64 {
        let mut sorted = self.accepted_micros.clone();
        sorted.sort_unstable();
        let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
        sorted.get(place).copied().unwrap_or_default()
    }
}

impl fmt::Display for Second {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |micros: u64| format!("{}.{:02}", micros / 1000, micros % 1000 / 10);
        write!(
            f,
            "{} decided (p50 {} ms, p99 {} ms), {} answered 503 ({} without Retry-After), {} failed",
            self.accepted_micros.len(),
            millis(self.quantile(50)),
            millis(self.quantile(99)),
            self.refused,
            self.without_retry_after,
            self.failed
        )
    }
}
