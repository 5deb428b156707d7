//! Operations that wait at the same time are decided together.
//!
//! An operation goes to the shard of its merchant and waits there. The shard's worker takes what waits, the merchants in
//! turns, never lingering for more, decides it in one transaction, and answers after the commit. While one batch commits, the next
//! one fills. The rows of the database stay the only truth, so any number of instances may do the same.

mod queue;
mod worker;

use std::future::Future;
use std::num::NonZeroUsize;
use std::sync::Arc;

use payops_platform::error::{Error, Result};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::decide::{Operation, Outcome};
use crate::error;
use crate::metrics::LimitMetrics;
use queue::{Queue, Waiting};
use worker::Worker;

/// Decides what a worker has taken.
pub(crate) trait Decider: Send + Sync + 'static {
    /// Decides a batch, all of it or nothing, and gives the outcomes in the order of the operations once they are
    /// stored.
    fn decide(&self, operations: Arc<Vec<Operation>>) -> impl Future<Output = Result<Vec<Outcome>>> + Send;
}

/// How operations are decided together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Workers on PostgreSQL, each with one transaction at a time. `SQLite` has one writer and so one worker.
    pub shards: NonZeroUsize,
    /// The most operations that may wait in a shard; more are answered 503.
    pub queue: usize,
    /// The most operations of one merchant that may wait, so that a flood leaves room for the others.
    pub queue_per_merchant: usize,
    /// The most calls with one operation of one merchant that may be under way. Each holds one of the places for requests
    /// that a service works on at once (`PAYOPS_REQUEST_CONCURRENCY`), which no merchant may take from all others.
    pub calls_per_merchant: usize,
    /// The most operations that are decided in one transaction.
    pub batch: usize,
    /// The most operations of one merchant among them: a flood makes no transaction so long that all others, who wait
    /// for its end, feel it.
    pub batch_per_merchant: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            shards: NonZeroUsize::MIN.saturating_add(1),
            queue: 8192,
            queue_per_merchant: 4096,
            calls_per_merchant: 512,
            batch: 1024,
            batch_per_merchant: 192,
        }
    }
}

/// Takes operations and answers them once they are decided and stored.
#[derive(Debug)]
pub(crate) struct Coalescer {
    shards: Vec<Arc<Queue>>,
}

impl Coalescer {
    /// Starts the workers on the present runtime.
    pub(crate) fn start(decider: impl Decider, metrics: &Arc<LimitMetrics>, options: Options) -> Self {
        let decider = Arc::new(decider);
        let shards: Vec<Arc<Queue>> =
            (0..options.shards.get()).map(|_| Arc::new(Queue::new(options, Arc::clone(metrics)))).collect();
        for queue in &shards {
            let worker = Worker {
                queue: Arc::clone(queue),
                decider: Arc::clone(&decider),
                metrics: Arc::clone(metrics),
            };
            tokio::spawn(worker.run());
        }
        Self { shards }
    }

    /// Decides one operation. It is carried through even when the caller goes away.
    ///
    /// # Errors
    /// 503 `OVERLOADED` when too much waits already; then nothing has happened. Other errors are the database's.
    pub(crate) async fn submit(&self, operation: Operation) -> Result<Outcome> {
        let _place =
            self.shard(operation.merchant_id).place(operation.merchant_id).ok_or_else(error::overloaded)?;
        self.enqueue(operation)?
            .await
            .unwrap_or_else(|_| Err(Error::internal("a worker gave an operation up")))
    }

    /// Decides many, those of one merchant in their order; each is answered on its own.
    pub(crate) async fn submit_all(&self, operations: Vec<Result<Operation>>) -> Vec<Result<Outcome>> {
        let waiting: Vec<_> = operations
            .into_iter()
            .map(|operation| operation.and_then(|operation| self.enqueue(operation)))
            .collect();
        let mut outcomes = Vec::with_capacity(waiting.len());
        for answer in waiting {
            outcomes.push(match answer {
                Ok(answer) => {
                    answer.await.unwrap_or_else(|_| Err(Error::internal("a worker gave an operation up")))
                }
                Err(error) => Err(error),
            });
        }
        outcomes
    }

    fn enqueue(&self, operation: Operation) -> Result<oneshot::Receiver<Result<Outcome>>> {
        let (reply, answer) = oneshot::channel();
        let shard = self.shard(operation.merchant_id);
        if shard.push(Waiting::new(operation, reply)) { Ok(answer) } else { Err(error::overloaded()) }
    }

    fn shard(&self, merchant_id: Uuid) -> &Queue {
        &self.shards[shard_of(merchant_id, self.shards.len())]
    }
}

impl Drop for Coalescer {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.close();
        }
    }
}

/// The same in every process, so that the shards of all instances hold the same merchants.
fn shard_of(merchant_id: Uuid, shards: usize) -> usize {
    // The last bytes of an id are random, whatever its version.
    let (_, random) = merchant_id.as_u64_pair();
    usize::try_from(random % shards as u64).unwrap_or(0)
}
