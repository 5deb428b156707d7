//! The budgets that merchants have of their own.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::time::Instant;
use uuid::Uuid;

use crate::error::Result;

/// How long a budget is believed: so soon takes a change effect.
const KEPT: Duration = Duration::from_secs(2);
/// How long it may take to learn one.
const PATIENCE: Duration = Duration::from_secs(1);
/// So many budgets are remembered at most.
const MOST: usize = 10_000;

type Lookup = Arc<dyn Fn(Uuid) -> BoxFuture<'static, Result<Option<NonZeroU32>>> + Send + Sync>;

/// Knows how many requests a minute each merchant may make with its own token. Clones share what they remember.
#[derive(Clone)]
pub struct MerchantBudgets {
    lookup: Lookup,
    known: Arc<Mutex<HashMap<Uuid, Known>>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    since: Instant,
    per_minute: Option<NonZeroU32>,
}

impl fmt::Debug for MerchantBudgets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MerchantBudgets").finish_non_exhaustive()
    }
}

impl MerchantBudgets {
    /// `lookup` gives a merchant's requests a minute, or `None` where the default of all callers holds. Its answer is
    /// believed for two seconds.
    pub fn new<F>(lookup: impl Fn(Uuid) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Option<NonZeroU32>>> + Send + 'static,
    {
        Self { lookup: Arc::new(move |merchant_id| Box::pin(lookup(merchant_id))), known: Arc::default() }
    }

    /// The merchant's requests a minute. Where they cannot be learnt in time, what was known last, or the default,
    /// goes on: a rate limit stands in nobody's way because of its own troubles.
    pub(super) async fn per_minute(&self, merchant_id: Uuid) -> Option<NonZeroU32> {
        let last = self.known().get(&merchant_id).copied();
        if let Some(known) = last
            && known.since.elapsed() < KEPT
        {
            return known.per_minute;
        }
        let per_minute = match tokio::time::timeout(PATIENCE, (self.lookup)(merchant_id)).await {
            Ok(Ok(per_minute)) => per_minute,
            Ok(Err(error)) => {
                tracing::debug!(%error, "a merchant's rate limit is not known");
                last.and_then(|known| known.per_minute)
            }
            Err(_) => last.and_then(|known| known.per_minute),
        };
        self.remember(merchant_id, per_minute);
        per_minute
    }

    fn remember(&self, merchant_id: Uuid, per_minute: Option<NonZeroU32>) {
        let mut known = self.known();
        if known.len() >= MOST && !known.contains_key(&merchant_id) {
            known.retain(|_, known| known.since.elapsed() < KEPT);
            if known.len() >= MOST {
                known.clear();
            }
        }
        known.insert(merchant_id, Known { since: Instant::now(), per_minute });
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Uuid, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::Error;

    /// Asked how often, and what it answers: 0 is an error.
    fn budgets(answer: &Arc<AtomicU32>, asked: &Arc<AtomicU32>) -> MerchantBudgets {
        let (answer, asked) = (Arc::clone(answer), Arc::clone(asked));
        MerchantBudgets::new(move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            let answer = NonZeroU32::new(answer.load(Ordering::Relaxed));
            async move { answer.map(Some).ok_or_else(|| Error::internal("away")) }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_asked_for_again_after_two_seconds_and_survives_an_error() {
        let (answer, asked) = (Arc::new(AtomicU32::new(0)), Arc::default());
        let budgets = budgets(&answer, &asked);
        let merchant = Uuid::nil();
        assert_eq!(budgets.per_minute(merchant).await, None);
        answer.store(5, Ordering::Relaxed);
        assert_eq!(budgets.per_minute(merchant).await, None);
        tokio::time::advance(KEPT).await;
        assert_eq!(budgets.per_minute(merchant).await, NonZeroU32::new(5));
        answer.store(0, Ordering::Relaxed);
        tokio::time::advance(KEPT).await;
        assert_eq!(budgets.per_minute(merchant).await, NonZeroU32::new(5));
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_in_time_gives_the_default() {
        let budgets = MerchantBudgets::new(|_| std::future::pending());
        assert_eq!(budgets.per_minute(Uuid::nil()).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn merchants_do_not_pile_up() {
        let budgets = budgets(&Arc::new(AtomicU32::new(1)), &Arc::default());
        for number in 0..=MOST {
            budgets.per_minute(Uuid::from_u128(u128::try_from(number).unwrap())).await;
        }
        assert!(budgets.known().len() <= MOST);
    }
}
