//! Opening a database: pools, the claim on a SQLite file, migrations.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sea_orm::{DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};
use sqlx::pool::PoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, PgPool};
use tokio_util::task::TaskTracker;

use super::lock::FolderLock;
use super::metrics::Pools;
use super::{Backend, DatabaseTarget, Db, Inner, Migration, PostgresTarget, SessionLimits, migrate};

/// How long a statement waits for another process that holds the SQLite file.
pub(super) const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What every connection to a SQLite file is told. (That its journal is a WAL, the file itself remembers.)
/// The WAL is written back after 32 MiB: pages that many transactions change are then written back once.
pub(super) const SQLITE_SETTINGS: [(&str, &str); 4] = [
    ("synchronous", "FULL"),
    ("foreign_keys", "ON"),
    ("wal_autocheckpoint", "8192"),
    // The log grows while somebody reads for long; afterwards it gives its room back.
    ("journal_size_limit", "67108864"),
];
/// How long a transaction waits for its turn at the one SQLite writer before it is answered 503.
const SQLITE_WRITER_PATIENCE: Duration = Duration::from_secs(30);
/// Readers of a SQLite file; more would only share the same cores.
const SQLITE_READERS: u32 = 8;
/// A PostgreSQL connection that was idle longer is asked for a sign of life before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(5);

/// Why a database could not be opened. Each text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum DbOpenError {
    /// Another process serves this SQLite file.
    #[error(
        "another payops process is serving {}; stop it, give this one its own data folder, \
         or use PostgreSQL, which several processes may share", path.display()
    )]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// There is no such SQLite file, and it was asked for only to be read.
    #[error("there is no database at {}", path.display())]
    Missing {
        /// The database file.
        path: PathBuf,
    },
    /// The folder or a file in it cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The database does not answer, or refuses us.
    #[error("cannot connect to {target}: {source}")]
    Connect {
        /// The database, without its password.
        target: String,
        /// What the driver said.
        source: sqlx::Error,
    },
    /// The database has a migration that this binary does not know.
    #[error(
        "this database is of a newer payops: it has migration '{name}', which this one does not know; \
         start that version, or restore a backup taken before it"
    )]
    Newer {
        /// The unknown migration.
        name: String,
    },
    /// A migration was applied with another text.
    #[error(
        "migration '{name}' was applied to this database with another text (checksum {applied}, now {known}); \
         a migration never changes once it is released: start the version that applied it"
    )]
    Changed {
        /// The migration.
        name: String,
        /// Its checksum in the database.
        applied: String,
        /// Its checksum in this binary.
        known: String,
    },
    /// The database lacks a migration, and it was opened only to be read.
    #[error("this database is of an older payops: it lacks migration '{name}'; run `payops migrate`")]
    Older {
        /// The first migration it lacks.
        name: &'static str,
    },
    /// Two migrations of this binary have one name.
    #[error("two migrations are called '{name}'")]
    Duplicate {
        /// Their name.
        name: &'static str,
    },
    /// A migration failed; what it did was taken back.
    #[error("migration '{name}' failed and was taken back: {source}")]
    Migrate {
        /// The migration.
        name: String,
        /// What the database said.
        source: sqlx::Error,
    },
}

impl Db {
    /// Opens a database for serving: claims a SQLite file, connects, applies what is missing of the
    /// platform's migrations and of `migrations`. Several processes may open one PostgreSQL database at once.
    pub async fn open(target: &DatabaseTarget, migrations: &[Migration]) -> Result<Self, DbOpenError> {
        let plan = migrate::plan(migrations)?;
        match target {
            DatabaseTarget::Sqlite { path } => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)
                        .map_err(|source| DbOpenError::Io { path: folder.to_owned(), source })?;
                }
                let lock = FolderLock::take(path)?;
                let writer = sqlite_writer(path).await.map_err(|source| connect_error(target, source))?;
                migrate::sqlite(&writer, &plan).await?;
                let reader = sqlite_reader(path).await.map_err(|source| connect_error(target, source))?;
                Ok(Self::over_sqlite(reader, Some(writer), Some(lock)))
            }
            DatabaseTarget::Postgres(postgres) => {
                let pool = postgres_pool(postgres).await.map_err(|source| connect_error(target, source))?;
                migrate::postgres(&pool, &plan).await?;
                Ok(Self::over_postgres(pool, true, postgres.clone()))
            }
        }
    }

    /// Opens a database for reading only, beside any process that serves it. Nothing is created or migrated:
    /// a database whose schema is older or newer than this binary's is refused, and so is every write.
    pub async fn open_read_only(
        target: &DatabaseTarget,
        migrations: &[Migration],
    ) -> Result<Self, DbOpenError> {
        let plan = migrate::plan(migrations)?;
        match target {
            DatabaseTarget::Sqlite { path } => {
                if !path.exists() {
                    return Err(DbOpenError::Missing { path: path.clone() });
                }
                let reader = sqlite_reader(path).await.map_err(|source| connect_error(target, source))?;
                migrate::check_sqlite(&reader, &plan).await?;
                Ok(Self::over_sqlite(reader, None, None))
            }
            DatabaseTarget::Postgres(postgres) => {
                let pool = postgres_pool(postgres).await.map_err(|source| connect_error(target, source))?;
                migrate::check_postgres(&pool, &plan).await?;
                Ok(Self::over_postgres(pool, false, postgres.clone()))
            }
        }
    }

    fn over_sqlite(reader: SqlitePool, writer: Option<SqlitePool>, lock: Option<FolderLock>) -> Self {
        let pools = Pools::Sqlite { reader: reader.clone(), writer: writer.clone() };
        Self::assemble(
            Backend::Sqlite,
            SqlxSqliteConnector::from_sqlx_sqlite_pool(reader),
            writer.map(SqlxSqliteConnector::from_sqlx_sqlite_pool),
            pools,
            None,
            lock,
        )
    }

    fn over_postgres(pool: PgPool, serving: bool, server: PostgresTarget) -> Self {
        let connection = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        let writer = serving.then(|| connection.clone());
        let pools = Pools::Postgres { pool, natives: TaskTracker::new() };
        Self::assemble(Backend::Postgres, connection, writer, pools, Some(server), None)
    }

    fn assemble(
        backend: Backend,
        reader: DatabaseConnection,
        writer: Option<DatabaseConnection>,
        pools: Pools,
        server: Option<PostgresTarget>,
        lock: Option<FolderLock>,
    ) -> Self {
        Self(Arc::new(Inner {
            backend,
            reader,
            writer,
            pools,
            server,
            metrics: OnceLock::new(),
            writes: TaskTracker::new(),
            _lock: lock,
        }))
    }
}

fn connect_error(target: &DatabaseTarget, source: sqlx::Error) -> DbOpenError {
    DbOpenError::Connect { target: target.describe(), source }
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .disable_statement_logging();
    SQLITE_SETTINGS.into_iter().fold(options, |options, (name, value)| options.pragma(name, value))
}

/// Connections to a local file never go stale, so they are neither tested nor closed. One of which the driver thinks that a
/// transaction is open is closed: SQLite itself ends a transaction that meets a full disk, the driver's rollback fails,
/// and what came next would be a savepoint that nobody ever commits.
fn sqlite_pool_options(max_connections: u32) -> PoolOptions<sqlx::Sqlite> {
    PoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(SQLITE_WRITER_PATIENCE)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .before_acquire(|connection, _| Box::pin(is_outside_of_transactions(connection)))
}

async fn is_outside_of_transactions(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    if connection.is_in_transaction() {
        // A rollback of somebody who went away may be on its way to the connection's thread.
        connection.ping().await?;
    }
    let is_outside = !connection.is_in_transaction();
    if !is_outside {
        tracing::warn!("a connection to SQLite is replaced: a transaction of it could not be rolled back");
    }
    Ok(is_outside)
}

async fn sqlite_writer(path: &Path) -> sqlx::Result<SqlitePool> {
    let options = sqlite_options(path).create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
    sqlite_pool_options(1).connect_with(options).await
}

async fn sqlite_reader(path: &Path) -> sqlx::Result<SqlitePool> {
    sqlite_pool_options(SQLITE_READERS).connect_with(sqlite_options(path).read_only(true)).await
}

/// How the server finds out that this host has vanished: after a minute of silence, and while it works on a
/// statement, within ten seconds. Not every server that speaks PostgreSQL's protocol has these, and none needs
/// them. On a Unix socket they have no effect. (The driver offers no keepalives of its own.)
pub(super) const VANISHED_CLIENTS: [&str; 2] = [
    "SET tcp_keepalives_idle TO 30; SET tcp_keepalives_interval TO 10; SET tcp_keepalives_count TO 3; \
     SET tcp_user_timeout TO 60000",
    "SET client_connection_check_interval TO 10000",
];

/// What every session is told at its beginning. Sent as statements, because poolers in front of the server
/// refuse unknown start-up options. There is no time-out of statements: reads and purges take what they take,
/// and one that is working makes progress.
async fn begin_session(connection: &mut PgConnection, limits: SessionLimits) -> sqlx::Result<()> {
    connection.execute(AssertSqlSafe(session_settings(limits))).await?;
    for wish in VANISHED_CLIENTS {
        match connection.execute(wish).await {
            Ok(_) => {}
            Err(error @ sqlx::Error::Database(_)) => {
                tracing::debug!(%error, "the server does without: {wish}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What a session must be told.
pub(super) fn session_settings(limits: SessionLimits) -> String {
    // Transactions rely on READ COMMITTED, and answers on commits that a crash does not undo, whatever the server's own
    // defaults are. Compiling a statement takes longer than most of ours run.
    format!(
        "SET client_min_messages TO warning; SET default_transaction_isolation TO 'read committed'; \
         SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'; \
         SET jit TO off; SET idle_in_transaction_session_timeout TO {}; SET lock_timeout TO {}",
        limits.idle_in_transaction.as_millis(),
        limits.lock_wait.as_millis()
    )
}

async fn postgres_pool(target: &PostgresTarget) -> sqlx::Result<PgPool> {
    let limits = target.session;
    let options = target.connect_options().disable_statement_logging();
    let pool = PoolOptions::<sqlx::Postgres>::new()
        .max_connections(target.max_connections)
        .acquire_timeout(target.acquire_timeout)
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED_IDLE { connection.ping().await.map(|()| true) } else { Ok(true) }
            })
        })
        .after_connect(move |connection, _| Box::pin(begin_session(connection, limits)))
        .connect_with(options.clone())
        .await;
    match pool {
        // The pool has tried again and again and does not tell why in vain: one more try does.
        Err(sqlx::Error::PoolTimedOut) => {
            let tried = tokio::time::timeout(target.acquire_timeout, options.connect()).await;
            Err(tried.ok().and_then(Result::err).unwrap_or(sqlx::Error::PoolTimedOut))
        }
        pool => pool,
    }
}
