//! Budgets counted in memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::{Budgets, Policy, Ruling, network};
use crate::auth::Caller;

/// After so many checks, keys that say nothing any more are dropped.
const SWEEP_EVERY: u32 = 8 * 1024;
/// So many sizes of merchants' budgets are kept before those that nobody has spent of are dropped.
const MOST_SIZES: usize = 256;

/// Budgets counted in memory.
#[derive(Debug)]
pub struct InProcess {
    callers: Budget,
    /// By size, since a merchant whose tier changes begins with a whole budget of the new size.
    merchants: Mutex<HashMap<NonZeroU32, Arc<Budget>>>,
    services: Budget,
    anonymous: Budget,
    hasher: RandomState,
}

impl InProcess {
    pub(super) fn new(budgets: Budgets) -> Self {
        Self {
            callers: Budget::new(Policy::callers(budgets)),
            merchants: Mutex::default(),
            services: Budget::new(Policy::services(budgets)),
            anonymous: Budget::new(Policy::anonymous(budgets)),
            hasher: RandomState::new(),
        }
    }

    /// `own` is the budget of the merchant that calls, if it has one of its own.
    pub(super) fn take(
        &self,
        caller: Option<&Caller>,
        peer: Option<IpAddr>,
        own: Option<NonZeroU32>,
    ) -> Ruling {
        match caller {
            Some(Caller::Person { subject, .. }) => {
                self.callers.take(self.hasher.hash_one(("person", subject)))
            }
            Some(Caller::Merchant { merchant_id, .. }) => {
                let key = self.hasher.hash_one(("merchant", merchant_id));
                own.map_or_else(|| self.callers.take(key), |size| self.merchants(size).take(key))
            }
            Some(Caller::Service { name }) => self.take_service(name),
            None => self.anonymous.take(self.hasher.hash_one(peer.map(network))),
        }
    }

    pub(super) fn take_service(&self, name: &str) -> Ruling {
        self.services.take(self.hasher.hash_one(name))
    }

    fn merchants(&self, size: NonZeroU32) -> Arc<Budget> {
        let mut sizes = self.merchants.lock().unwrap_or_else(PoisonError::into_inner);
        if sizes.len() >= MOST_SIZES {
            sizes.retain(|_, budget| budget.in_use());
        }
        let budget = sizes.entry(size).or_insert_with(|| Arc::new(Budget::new(Policy::merchant(size))));
        Arc::clone(budget)
    }
}

/// The keys are hashes of names, with a secret of the process in them: nothing is copied, and nobody can aim
/// at another's key.
type Gcra = RateLimiter<u64, DefaultKeyedStateStore<u64>, Monotonic, StateInformationMiddleware>;

/// One policy and how far each key has spent it.
pub(super) struct Budget {
    policy: Policy,
    gcra: Gcra,
    clock: Monotonic,
    checks: AtomicU32,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Budget").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Budget {
    pub(super) fn new(policy: Policy) -> Self {
        let clock = Monotonic(Instant::now());
        let gcra = Gcra::new(Quota::per_minute(policy.per_minute), DefaultKeyedStateStore::default(), clock);
        Self { policy, gcra, clock, checks: AtomicU32::new(0) }
    }

    /// Whether anybody's budget is not whole.
    fn in_use(&self) -> bool {
        self.gcra.retain_recent();
        !self.gcra.is_empty()
    }

    pub(super) fn take(&self, key: u64) -> Ruling {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.gcra.retain_recent();
        }
        let (remaining, wait) = match self.gcra.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => (0, Some(not_until.wait_time_from(self.clock.now()))),
        };
        Ruling { policy: self.policy.clone(), remaining, wait }
    }
}

/// Time that never steps back, in tests moved by tokio.
#[derive(Debug, Clone, Copy)]
struct Monotonic(Instant);

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_pile_up() {
        let budget = Budget::new(Policy::merchant(NonZeroU32::MIN));
        for key in 0..u64::from(SWEEP_EVERY) {
            budget.take(key);
        }
        assert_eq!(budget.gcra.len(), 8 * 1024);
        tokio::time::advance(Duration::from_mins(2)).await;
        budget.take(u64::MAX);
        assert_eq!(budget.gcra.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sizes_do_not_pile_up() {
        let limiter = InProcess::new(Budgets::default());
        let caller = Caller::Merchant { subject: "a".into(), merchant_id: uuid::Uuid::nil() };
        let sizes = || (1..=256).filter_map(NonZeroU32::new);
        for size in sizes() {
            limiter.take(Some(&caller), None, Some(size));
        }
        assert_eq!(limiter.merchants.lock().unwrap().len(), MOST_SIZES);
        tokio::time::advance(Duration::from_mins(2)).await;
        limiter.take(Some(&caller), None, NonZeroU32::new(1000));
        assert_eq!(limiter.merchants.lock().unwrap().len(), 1);
    }
}
