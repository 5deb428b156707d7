//! What waits in a shard.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ahash::AHashMap;
use payops_platform::error::Result;
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

use super::Options;
use crate::decide::{Operation, Outcome};
use crate::metrics::LimitMetrics;

/// An operation, and where its answer goes.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) operation: Operation,
    pub(super) reply: oneshot::Sender<Result<Outcome>>,
    since: Instant,
}

impl Waiting {
    pub(super) fn new(operation: Operation, reply: oneshot::Sender<Result<Outcome>>) -> Self {
        Self { operation, reply, since: Instant::now() }
    }
}

/// A bounded queue in which no merchant may take all places.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    options: Options,
    metrics: Arc<LimitMetrics>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Waiting>,
    of_merchant: AHashMap<Uuid, usize>,
    /// Calls with one operation, from their arrival to their answer.
    calls_of_merchant: AHashMap<Uuid, usize>,
    closed: bool,
}

/// A call's place among those of its merchant; given back when it is answered, or given up.
#[derive(Debug)]
pub(super) struct Place<'q> {
    queue: &'q Queue,
    merchant_id: Uuid,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        take_one(&mut self.queue.lock().calls_of_merchant, self.merchant_id);
    }
}

impl Queue {
    pub(super) fn new(options: Options, metrics: Arc<LimitMetrics>) -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), options, metrics }
    }

    /// A place for a call; `None` when the merchant has all that one merchant may have.
    pub(super) fn place(&self, merchant_id: Uuid) -> Option<Place<'_>> {
        let mut state = self.lock();
        let count = state.calls_of_merchant.entry(merchant_id).or_default();
        if *count >= self.options.calls_per_merchant {
            return None;
        }
        *count += 1;
        Some(Place { queue: self, merchant_id })
    }

    /// False when there is no room.
    pub(super) fn push(&self, waiting: Waiting) -> bool {
        let mut state = self.lock();
        // Only who waits is counted: what is refused must leave nothing behind, however long the overload lasts.
        if state.waiting.len() >= self.options.queue {
            return false;
        }
        let count = state.of_merchant.entry(waiting.operation.merchant_id).or_default();
        if *count >= self.options.queue_per_merchant {
            return false;
        }
        *count += 1;
        state.waiting.push_back(waiting);
        drop(state);
        self.metrics.queue_depth.inc();
        self.filled.notify_one();
        true
    }

    /// Everything that waits, at most a batch of it; waits until there is something. `None` once the queue is closed
    /// and empty.
    pub(super) async fn take(&self) -> Option<Vec<Waiting>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if !state.waiting.is_empty() {
                    return Some(self.drain(&mut state));
                }
                if state.closed {
                    return None;
                }
            }
            filled.await;
        }
    }

    /// No more will come.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_one();
    }

    fn drain(&self, state: &mut State) -> Vec<Waiting> {
        let count = state.waiting.len().min(self.options.batch);
        let taken: Vec<Waiting> = state.waiting.drain(..count).collect();
        for waiting in &taken {
            take_one(&mut state.of_merchant, waiting.operation.merchant_id);
            self.metrics.queue_wait.observe(waiting.since.elapsed().as_secs_f64());
        }
        self.metrics.queue_depth.dec_by(i64::try_from(taken.len()).unwrap_or(i64::MAX));
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one less, and forgets a merchant that has none.
fn take_one(counts: &mut AHashMap<Uuid, usize>, merchant_id: Uuid) {
    if let Some(count) = counts.get_mut(&merchant_id) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&merchant_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use payops_platform::telemetry::Metrics;

    use super::*;
    use crate::decide::Action;

    fn sweep(merchant: u128) -> Waiting {
        let merchant_id = Uuid::from_u128(merchant);
        let operation = Operation { merchant_id, payment_no: String::new(), action: Action::Sweep };
        Waiting::new(operation, oneshot::channel().0)
    }

    #[tokio::test]
    async fn a_flood_of_one_merchant_leaves_room_for_the_others() {
        let metrics = Arc::new(LimitMetrics::register(&Metrics::new("test")));
        let options = Options {
            shards: NonZeroUsize::MIN,
            queue: 5,
            queue_per_merchant: 3,
            calls_per_merchant: 3,
            batch: 4,
        };
        let queue = Queue::new(options, metrics);
        let room: Vec<bool> = [1, 1, 1, 1, 2, 2, 2].map(|merchant| queue.push(sweep(merchant))).into();
        assert_eq!(room, [true, true, true, false, true, true, false]);
        let merchants = |taken: Vec<Waiting>| -> Vec<u128> {
            taken.into_iter().map(|waiting| waiting.operation.merchant_id.as_u128()).collect()
        };
        assert_eq!(merchants(queue.take().await.unwrap()), [1, 1, 1, 2]);
        assert!(queue.push(sweep(1)), "what was taken makes room");
        queue.close();
        assert_eq!(merchants(queue.take().await.unwrap()), [2, 1]);
        assert!(queue.take().await.is_none());
    }

    fn waiting(merchant: u128) -> Waiting {
        let operation = Operation {
            merchant_id: Uuid::from_u128(merchant),
            payment_no: "P-1".to_owned(),
            action: Action::Void,
        };
        Waiting::new(operation, oneshot::channel().0)
    }

    fn queue() -> Queue {
        let options = Options {
            shards: NonZeroUsize::MIN,
            queue: 3,
            queue_per_merchant: 2,
            calls_per_merchant: 2,
            batch: 10,
        };
        Queue::new(options, Arc::new(LimitMetrics::register(&Metrics::new("limits"))))
    }

    #[test]
    fn a_merchant_has_its_share_of_calls_until_they_are_answered() {
        let queue = queue();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (first, second) = (queue.place(one), queue.place(one));
        assert!(first.is_some() && second.is_some());
        assert!(queue.place(one).is_none(), "the flood");
        assert!(queue.place(other).is_some(), "its neighbour");
        drop(first);
        assert!(queue.place(one).is_some());
        drop(second);
        assert!(queue.lock().calls_of_merchant.is_empty());
    }

    #[tokio::test]
    async fn what_is_refused_leaves_nothing_behind() {
        let queue = queue();
        assert!(queue.push(waiting(1)) && queue.push(waiting(1)));
        assert!(!queue.push(waiting(1)), "one merchant's share");
        assert!(queue.push(waiting(2)), "room for another");
        for stranger in 3..100 {
            assert!(!queue.push(waiting(stranger)), "no room at all");
        }
        assert_eq!(queue.lock().of_merchant.len(), 2);
        assert_eq!(queue.take().await.map(|taken| taken.len()), Some(3));
        assert!(queue.lock().of_merchant.is_empty());
        assert!(queue.push(waiting(1)));
    }
}
