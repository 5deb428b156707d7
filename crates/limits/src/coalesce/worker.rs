//! Decides what waits in a shard, batch after batch.

use std::sync::Arc;
use std::time::{Duration, Instant};

use payops_platform::error::{Error, ErrorKind, Result};

use super::Decider;
use super::queue::{Queue, Waiting};
use crate::decide::{Operation, Outcome};
use crate::metrics::LimitMetrics;

/// When a database that is away is worth another try.
const AWAY: Duration = Duration::from_secs(1);

pub(super) struct Worker<D> {
    pub(super) queue: Arc<Queue>,
    pub(super) decider: Arc<D>,
    pub(super) metrics: Arc<LimitMetrics>,
}

impl<D: Decider> Worker<D> {
    /// Works until the queue is closed and empty.
    pub(super) async fn run(self) {
        while let Some(waiting) = self.queue.take().await {
            self.answer(waiting).await;
        }
    }

    async fn answer(&self, waiting: Vec<Waiting>) {
        let (operations, replies): (Vec<Operation>, Vec<_>) =
            waiting.into_iter().map(|waiting| (waiting.operation, waiting.reply)).unzip();
        let operations = Arc::new(operations);
        let outcomes = match self.decide(Arc::clone(&operations)).await {
            Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
            Err(error) => self.one_by_one(&operations, error).await,
        };
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Whoever asked may have gone away; asking again with the same number gives the stored answer.
            let _ = reply.send(outcome);
        }
    }

    /// A batch fails for one bad operation: then each is tried alone, so that the bad one fails alone. A database that
    /// is away fails all of them.
    async fn one_by_one(&self, operations: &[Operation], error: Error) -> Vec<Result<Outcome>> {
        if operations.len() == 1 {
            return vec![Err(error)];
        }
        if error.kind() == ErrorKind::Unavailable {
            return operations.iter().map(|_| Err(Error::unavailable(&error, AWAY))).collect();
        }
        tracing::warn!(operations = operations.len(), %error, "a batch failed and is decided one by one");
        let mut outcomes = Vec::with_capacity(operations.len());
        for operation in operations {
            let outcome = self.decide(Arc::new(vec![operation.clone()])).await;
            outcomes.push(outcome.and_then(|mut one| one.pop().ok_or_else(|| Error::internal("no outcome"))));
        }
        outcomes
    }

    async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        let started = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a size for a chart")]
        self.metrics.batch_size.observe(operations.len() as f64);
        let outcomes = self.decider.decide(operations).await;
        self.metrics.commit.observe(started.elapsed().as_secs_f64());
        outcomes
    }
}
