//! The write door: every change of a database passes through here.

use std::time::{Duration, Instant};

use payops_core::random::{Random, SystemRandom};
use sea_orm::{IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use tracing::Instrument;

use super::{Backend, BoxFuture, Db, Tx};
use crate::error::{Error, Result};

/// How often a transaction that clashed runs again before its error goes to the caller.
const MAX_RETRIES: u32 = 12;
/// The first back-off is at most this; each further one at most twice the one before.
const FIRST_BACK_OFF: Duration = Duration::from_millis(4);
/// No back-off is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_millis(500);

impl Db {
    /// Runs `body` in a transaction called `name` and commits what it did when it returns `Ok`.
    ///
    /// READ COMMITTED on PostgreSQL: lock the rows you decide upon. On SQLite, writers run one after
    /// another. When the transaction clashes with another one, `body` runs again, a dozen times at most: it
    /// must have no effect but on the database. It runs in a task of its own, so it is carried through even
    /// if the caller is dropped. A panic in it is an internal error, and nothing is kept.
    pub async fn write<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
        T: Send + 'static,
    {
        self.spawn_write(name, None, body).await
    }

    /// As [`Db::write`], under SERIALIZABLE: reads count as decisions, and PostgreSQL aborts one of two
    /// transactions that could not have run one after the other.
    pub async fn write_serializable<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
        T: Send + 'static,
    {
        // SQLite's write transactions are serializable as they are.
        let isolation = self.backend().pick(None, Some(IsolationLevel::Serializable));
        self.spawn_write(name, isolation, body).await
    }

    async fn spawn_write<T, F>(
        &self,
        name: &'static str,
        isolation: Option<IsolationLevel>,
        body: F,
    ) -> Result<T>
    where
        F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let db = self.clone();
        // Spawned also because a caller dropped during BEGIN would hand a connection with an open transaction back
        // to the pool (sqlx 0.9).
        let work = async move { db.retrying(name, || db.write_once(name, isolation, &body)).await };
        self.carry_through(name, work).await
    }

    /// Runs `work` in a task of its own, which closing waits for: a client that hangs up must not cut an operation in
    /// half.
    pub(super) async fn carry_through<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match self.0.writes.spawn(work.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(ended) => Err(Error::internal(format!("transaction {name}: {ended}"))),
        }
    }

    /// Attempts a transaction called `name`, again and again while it clashes with another one, and measures it; closing
    /// waits for it. For transactions on a connection of [`Db::connect_native`]; every other goes through [`Db::write`].
    pub async fn retrying<T, A>(&self, name: &'static str, mut attempt: impl FnMut() -> A) -> Result<T>
    where
        A: Future<Output = Result<T>>,
    {
        let _under_way = self.0.writes.token();
        let started = Instant::now();
        let mut retries = 0;
        let outcome = loop {
            let outcome = attempt().await;
            if retries == MAX_RETRIES || !outcome.as_ref().is_err_and(Error::is_retryable) {
                break outcome;
            }
            if let Some(metrics) = self.0.metrics.get() {
                metrics.retried(name);
            }
            tokio::time::sleep(back_off(retries, &SystemRandom)).await;
            retries += 1;
        };
        if let Some(metrics) = self.0.metrics.get() {
            metrics.ended(name, started.elapsed());
        }
        outcome
    }

    pub(super) fn began(&self, name: &'static str, asked: Instant) {
        if let Some(metrics) = self.0.metrics.get() {
            metrics.began(name, asked.elapsed());
        }
    }

    async fn write_once<T, F>(
        &self,
        name: &'static str,
        isolation: Option<IsolationLevel>,
        body: &F,
    ) -> Result<T>
    where
        F: for<'t> Fn(&'t Tx) -> BoxFuture<'t, Result<T>> + Send + Sync,
        T: Send,
    {
        let options = TransactionOptions {
            isolation_level: isolation,
            access_mode: None,
            sqlite_transaction_mode: match self.backend() {
                Backend::Sqlite => Some(SqliteTransactionMode::Immediate),
                Backend::Postgres => None,
            },
        };
        let asked = Instant::now();
        let transaction = self.writer()?.begin_with_options(options).await?;
        self.began(name, asked);
        let tx = Tx::new(transaction, self.backend());
        let outcome = body(&tx).await;
        let (value, hooks) = tx.finish(outcome).await?;
        for hook in hooks {
            hook();
        }
        Ok(value)
    }
}

/// Full jitter: anything up to a bound that doubles.
fn back_off(retries: u32, random: &dyn Random) -> Duration {
    let bound = FIRST_BACK_OFF.saturating_mul(1 << retries.min(16)).min(LONGEST_BACK_OFF);
    Duration::from_micros(random.below(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use payops_core::random::SeededRandom;

    use super::*;

    #[test]
    fn back_off_grows_and_is_capped() {
        let random = SeededRandom::new(1);
        assert!((0..100).all(|_| back_off(0, &random) <= FIRST_BACK_OFF));
        assert!((0..100).all(|_| back_off(u32::MAX, &random) <= LONGEST_BACK_OFF));
        assert!((0..100).any(|_| back_off(30, &random) > FIRST_BACK_OFF));
    }
}
