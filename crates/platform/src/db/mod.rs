//! One database of one service: a SQLite file or a PostgreSQL database behind the same two doors.
//!
//! [`Db::read`] gives a connection for reading. [`Db::write`] is the only way to change anything: a named
//! transaction that is measured, retried when two transactions clash, and carried through even when the
//! caller goes away.

mod door;
#[doc(hidden)]
pub mod testing;

mod lock;
mod metrics;
mod migrate;
mod native;
mod open;
mod paging;
mod snapshot;
mod target;
#[cfg(test)]
mod tests;
mod tx;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::{DatabaseConnection, DbBackend, Statement, Value};
use tokio_util::task::TaskTracker;

pub use self::migrate::Migration;
pub use self::native::sqlite::NativeWriter;
pub use self::open::DbOpenError;
pub use self::paging::{count_rows, fetch_page};
pub use self::target::{DatabaseTarget, PostgresTarget, SessionLimits, SslMode};
pub use self::tx::{Locked, Tx};
use crate::error::{Error, Result};
use crate::telemetry::Metrics;

/// A boxed future that may borrow from a transaction.
pub type BoxFuture<'t, T> = Pin<Box<dyn Future<Output = T> + Send + 't>>;

/// The platform's own tables: jobs, schedules, idempotency keys, audit log. [`Db::open`] applies these
/// before those of the service.
pub const PLATFORM_MIGRATIONS: &[Migration] =
    &[Migration::portable("platform_0001", include_str!("../../migrations/platform_0001.sql"))];

/// How many rows one transaction purges at most, so that none is long.
pub(crate) const PURGED_AT_ONCE: u64 = 1000;

/// Which of the two databases a [`Db`] speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// An embedded file; one process serves it.
    Sqlite,
    /// A server; any number of processes share it.
    Postgres,
}

impl Backend {
    /// A statement for this database. Placeholders are `$1`, `$2`, … on both.
    pub fn statement(self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        let backend = match self {
            Self::Sqlite => DbBackend::Sqlite,
            Self::Postgres => DbBackend::Postgres,
        };
        Statement::from_sql_and_values(backend, sql, values)
    }

    /// The one of two values that belongs to this database; for statements that need a text of their own.
    pub fn pick<T>(self, sqlite: T, postgres: T) -> T {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// An open database. Clones share its pools.
#[derive(Debug, Clone)]
pub struct Db(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    backend: Backend,
    reader: DatabaseConnection,
    /// `None` when the database was opened for reading only.
    writer: Option<DatabaseConnection>,
    pools: metrics::Pools,
    /// Where the server is, for connections of another driver; `None` on SQLite.
    server: Option<PostgresTarget>,
    /// Set once the database belongs to a service that is measured.
    metrics: OnceLock<metrics::DbMetrics>,
    /// Transactions under way, so that closing can wait for them.
    writes: TaskTracker,
    /// Held as long as the database is open for serving.
    _lock: Option<lock::FolderLock>,
}

impl Db {
    /// Which database this is.
    pub fn backend(&self) -> Backend {
        self.0.backend
    }

    /// A connection for reading. On SQLite it belongs to a pool that cannot write; on PostgreSQL nothing but
    /// discipline forbids it. A read sees what was committed before it began.
    pub fn read(&self) -> &DatabaseConnection {
        &self.0.reader
    }

    /// Asks the database for a sign of life; 503 when there is none.
    pub async fn ping(&self) -> Result<()> {
        Ok(self.0.reader.ping().await?)
    }

    /// Shows this database on the page of `metrics`: `db_transaction_duration_seconds{name}` (waiting
    /// and retries included), `db_transaction_wait_seconds{name}` (until an attempt began),
    /// `db_transaction_retries_total{name}`, `db_pool_connections{pool,state}`. Only the first
    /// call counts.
    pub fn measure(&self, metrics: &Metrics) {
        self.0.metrics.get_or_init(|| metrics::DbMetrics::new(metrics, &self.0.pools));
    }

    /// Waits, at most for `patience`, until the transactions under way have ended, then closes the pools.
    /// Later calls answer 503.
    pub async fn close(&self, patience: Duration) {
        self.0.writes.close();
        if tokio::time::timeout(patience, self.0.writes.wait()).await.is_err() {
            tracing::warn!(
                transactions = self.0.writes.len(),
                "closing the database over running transactions"
            );
        }
        // The last connection to SQLite writes the log back into the file, which one that only reads cannot.
        for pool in std::iter::once(&self.0.reader).chain(&self.0.writer) {
            if let Err(error) = pool.close_by_ref().await {
                tracing::debug!(%error, "closing a pool");
            }
        }
    }

    fn writer(&self) -> Result<&DatabaseConnection> {
        self.0.writer.as_ref().ok_or_else(|| Error::internal("a write on a database opened for reading only"))
    }
}
