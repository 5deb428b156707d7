//! What waits in a shard.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
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

/// A bounded queue in which no merchant may take all places, and from which the merchants that wait are taken in turns.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Notify,
    options: Options,
    metrics: Arc<LimitMetrics>,
}

#[derive(Debug, Default)]
struct State {
    /// How many operations wait.
    count: usize,
    /// The operations that wait, those of a merchant in their order. None is empty.
    lines: AHashMap<Uuid, VecDeque<Waiting>>,
    /// The merchants that wait, in the order of their turns.
    turns: VecDeque<Uuid>,
    /// Calls with one operation, from their arrival to their answer.
    calls_of_merchant: AHashMap<Uuid, usize>,
    closed: bool,
}

impl State {
    /// Takes the first operation of the merchant whose turn it is.
    fn take_turn(&mut self, taken: &mut Vec<Waiting>) {
        let Some(merchant_id) = self.turns.pop_front() else { return };
        let Entry::Occupied(mut line) = self.lines.entry(merchant_id) else { return };
        taken.extend(line.get_mut().pop_front());
        if line.get().is_empty() {
            line.remove();
        } else {
            self.turns.push_back(merchant_id);
        }
    }
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
        if state.count >= self.options.queue {
            return false;
        }
        let merchant_id = waiting.operation.merchant_id;
        let line = state.lines.entry(merchant_id).or_default();
        if line.len() >= self.options.queue_per_merchant {
            return false;
        }
        line.push_back(waiting);
        let is_new = line.len() == 1;
        state.count += 1;
        if is_new {
            state.turns.push_back(merchant_id);
        }
        drop(state);
        self.metrics.queue_depth.inc();
        self.filled.notify_one();
        true
    }

    /// What waits, at most a batch of it; waits until there is something. `None` once the queue is closed
    /// and empty.
    pub(super) async fn take(&self) -> Option<Vec<Waiting>> {
        loop {
            let filled = self.filled.notified();
            {
                let mut state = self.lock();
                if state.count > 0 {
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

    /// One operation of each merchant in turn, until the batch is full, each merchant's share of it is used, or nothing
    /// waits.
    fn drain(&self, state: &mut State) -> Vec<Waiting> {
        let mut taken = Vec::with_capacity(state.count.min(self.options.batch));
        let mut rounds = 0;
        while rounds < self.options.batch_per_merchant && taken.len() < self.options.batch {
            let merchants = state.turns.len().min(self.options.batch - taken.len());
            if merchants == 0 {
                break;
            }
            for _ in 0..merchants {
                state.take_turn(&mut taken);
            }
            rounds += 1;
        }
        state.count -= taken.len();
        for waiting in &taken {
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
            batch_per_merchant: 2,
        };
        let queue = Queue::new(options, metrics);
        let room: Vec<bool> = [1, 1, 1, 1, 2, 2, 2].map(|merchant| queue.push(sweep(merchant))).into();
        assert_eq!(room, [true, true, true, false, true, true, false]);
        let merchants = |taken: Vec<Waiting>| -> Vec<u128> {
            taken.into_iter().map(|waiting| waiting.operation.merchant_id.as_u128()).collect()
        };
        assert_eq!(merchants(queue.take().await.unwrap()), [1, 2, 1, 2], "in turns");
        assert!(queue.push(sweep(1)) && queue.push(sweep(1)), "what was taken makes room");
        assert_eq!(merchants(queue.take().await.unwrap()), [1, 1], "its share of a batch");
        queue.close();
        assert_eq!(merchants(queue.take().await.unwrap()), [1]);
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
            batch_per_merchant: 10,
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
        assert_eq!(queue.lock().lines.len(), 2);
        assert_eq!(queue.take().await.map(|taken| taken.len()), Some(3));
        let state = queue.lock();
        assert!(state.lines.is_empty() && state.turns.is_empty() && state.count == 0);
        drop(state);
        assert!(queue.push(waiting(1)));
    }
}
