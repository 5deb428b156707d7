//! Reading several things as they stood at one instant.

use sea_orm::{
    AccessMode, DatabaseTransaction, IsolationLevel, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};
use tracing::Instrument;

use super::{BoxFuture, Db};
use crate::error::{Error, Result};

impl Db {
    /// Runs `body` on one picture of the database: whatever others commit meanwhile, all that it reads stood
    /// there at the instant of its first read. It cannot write.
    ///
    /// The picture holds a connection and keeps old rows from being cleared away: let `body` wait for nothing
    /// but the database and the disk, never for a client. It runs in a task of its own, to its end, even if
    /// the caller is dropped: long work looks for a reason to stop by itself.
    pub async fn snapshot<T, F>(&self, body: F) -> Result<T>
    where
        F: for<'s> FnOnce(&'s DatabaseTransaction) -> BoxFuture<'s, Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let db = self.clone();
        let work = async move {
            let options = TransactionOptions {
                // SQLite's readers see one picture as they are, in a pool that cannot write.
                isolation_level: db.backend().pick(None, Some(IsolationLevel::RepeatableRead)),
                access_mode: db.backend().pick(None, Some(AccessMode::ReadOnly)),
                sqlite_transaction_mode: db.backend().pick(Some(SqliteTransactionMode::Deferred), None),
            };
            let transaction = db.read().begin_with_options(options).await?;
            let outcome = body(&transaction).await;
            if let Err(error) = transaction.rollback().await {
                // Nothing was written; the server ends the transaction of a connection that is gone.
                tracing::debug!(%error, "rollback");
            }
            outcome
        };
        // Spawned for the reason of the write door: a caller dropped during BEGIN would hand a connection with
        // an open transaction back to the pool.
        tokio::spawn(work.in_current_span()).await.map_err(Error::internal)?
    }
}
