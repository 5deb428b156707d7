//! Decides what waits in a shard, batch after batch.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
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
        let mut is_away = false;
        for operation in operations {
            if is_away {
                outcomes.push(Err(Error::unavailable(&error, AWAY)));
                continue;
            }
            let outcome = self.decide(Arc::new(vec![operation.clone()])).await;
            // One that cannot be reached now keeps all that wait from being answered, once for each.
            is_away = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Unavailable);
            outcomes.push(outcome.and_then(|mut one| one.pop().ok_or_else(|| Error::internal("no outcome"))));
        }
        outcomes
    }

    async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        let started = Instant::now();
        #[expect(clippy::cast_precision_loss, reason = "a size for a chart")]
        self.metrics.batch_size.observe(operations.len() as f64);
        // A panic ends a batch, not the worker: nobody would take what waits after it.
        let decided = AssertUnwindSafe(self.decider.decide(operations)).catch_unwind().await;
        let outcomes = decided.unwrap_or_else(|_| Err(Error::internal("deciding a batch panicked")));
        self.metrics.commit.observe(started.elapsed().as_secs_f64());
        outcomes
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use payops_platform::telemetry::Metrics;
    use uuid::Uuid;

    use super::super::{Coalescer, Options};
    use super::*;
    use crate::decide::{Action, Refusal};

    /// Does one thing after another, and knows how many operations each batch had.
    struct Scripted(Arc<Mutex<(Vec<Act>, Vec<usize>)>>);

    enum Act {
        Panic,
        Fail,
        Away,
    }

    impl Decider for Scripted {
        async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
            let act = {
                let mut script = self.0.lock().unwrap();
                script.1.push(operations.len());
                (!script.0.is_empty()).then(|| script.0.remove(0))
            };
            match act {
                Some(Act::Panic) => panic!("a bad row"),
                Some(Act::Fail) => Err(Error::internal("a bad operation")),
                Some(Act::Away) => Err(Error::unavailable("away", AWAY)),
                None => Ok(operations.iter().map(|_| Outcome::Refused(Refusal::UnknownPayment)).collect()),
            }
        }
    }

    async fn decided(script: Vec<Act>, operations: usize) -> (Vec<Result<Outcome>>, Vec<usize>) {
        let script = Arc::new(Mutex::new((script, Vec::new())));
        let metrics = Arc::new(LimitMetrics::register(&Metrics::new("test")));
        let coalescer = Coalescer::start(Scripted(Arc::clone(&script)), &metrics, Options::default());
        let operation = || Operation {
            merchant_id: Uuid::from_u128(2),
            payment_no: "p".to_owned(),
            action: Action::Void,
        };
        let outcomes = coalescer.submit_all((0..operations).map(|_| Ok(operation())).collect()).await;
        let batches = script.lock().unwrap().1.clone();
        (outcomes, batches)
    }

    #[tokio::test]
    async fn a_panic_fails_an_operation_and_not_the_worker() {
        let (outcomes, batches) = decided(vec![Act::Panic, Act::Panic], 2).await;
        assert_eq!(outcomes[0].as_ref().unwrap_err().kind(), ErrorKind::Internal);
        assert!(outcomes[1].is_ok(), "{outcomes:?}");
        assert_eq!(batches, [2, 1, 1]);
    }

    #[tokio::test]
    async fn a_database_that_goes_away_is_not_asked_once_for_each() {
        let (outcomes, batches) = decided(vec![Act::Fail, Act::Away], 100).await;
        assert!(
            outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().kind() == ErrorKind::Unavailable)
        );
        assert_eq!(batches, [100, 1]);
    }
}
