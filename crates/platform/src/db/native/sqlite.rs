//! A writer of SQLite without `SeaORM`, for what binds many rows: statements that are prepared once, on one thread.

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::{Connection, OpenFlags};
use tokio::sync::oneshot;

use crate::db::Db;
use crate::db::open::{SQLITE_BUSY_TIMEOUT, SQLITE_SETTINGS};
use crate::error::{Error, Result};

/// Statements that stay prepared.
const PREPARED: usize = 64;
/// What the writer remembers of the file, in KiB (below zero, as SQLite has it): rows of a thousand merchants come in no
/// order, and each page that it has forgotten is read again.
const CACHE: i64 = -64 * 1024;

type Work = Box<dyn FnOnce(Result<&Connection>) + Send>;

/// A connection that writes to a SQLite file, and its thread. Clones share it; with the last one both end.
#[derive(Debug, Clone)]
pub struct NativeWriter(Arc<Writer>);

#[derive(Debug)]
struct Writer {
    db: Db,
    /// `None` only while it is dropped.
    work: Option<mpsc::Sender<Work>>,
    thread: Option<JoinHandle<()>>,
}

impl Db {
    /// Opens a writer of the native driver, with the settings of all other connections. Its transactions and those of
    /// [`Db::write`] exclude each other.
    ///
    /// # Errors
    /// 503 when the file cannot be opened. On PostgreSQL, and on a database opened for reading only, there is none,
    /// which is a mistake of the caller's.
    pub fn native_writer(&self) -> Result<NativeWriter> {
        let pool = self.0.pools.sqlite_writer();
        let pool = pool.ok_or_else(|| Error::internal("there is no native writer of this database"))?;
        let path: PathBuf = pool.connect_options().get_filename().to_owned();
        let connection = open(&path)?;
        let (work, waiting) = mpsc::channel::<Work>();
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || work_on(&path, connection, waiting))
            .map_err(|error| Error::internal(format!("no thread for the native writer: {error}")))?;
        Ok(NativeWriter(Arc::new(Writer { db: self.clone(), work: Some(work), thread: Some(thread) })))
    }
}

fn work_on(path: &Path, connection: Connection, waiting: mpsc::Receiver<Work>) {
    let mut connection = Some(connection);
    for work in waiting {
        match connection.take().map_or_else(|| open(path), Ok) {
            Ok(opened) => {
                work(Ok(&opened));
                // A transaction that could not be rolled back ends with its connection, and keeps nobody from writing.
                connection = opened.is_autocommit().then_some(opened);
            }
            Err(error) => work(Err(error)),
        }
    }
}

fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(SQLITE_BUSY_TIMEOUT)?;
    for (name, value) in SQLITE_SETTINGS {
        connection.pragma_update(None, name, value)?;
    }
    connection.pragma_update(None, "cache_size", CACHE)?;
    connection.set_prepared_statement_cache_capacity(PREPARED);
    Ok(connection)
}

impl NativeWriter {
    /// As [`Db::write`]: runs `body` in a transaction called `name`, on the writer's thread, and commits what it did when
    /// it returns `Ok`. `body` runs again when the transaction clashes with one of another process: it must have no effect
    /// but on the database.
    pub async fn write<T, F>(&self, name: &'static str, body: F) -> Result<T>
    where
        F: Fn(&Connection) -> Result<T> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let writer = self.clone();
        let body = Arc::new(body);
        let work =
            async move { writer.0.db.retrying(name, || writer.0.attempt(name, Arc::clone(&body))).await };
        self.0.db.carry_through(name, work).await
    }
}

impl Writer {
    async fn attempt<T, F>(&self, name: &'static str, body: Arc<F>) -> Result<T>
    where
        F: Fn(&Connection) -> Result<T> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let asked = Instant::now();
        let pool = self.db.0.pools.sqlite_writer();
        let pool = pool.ok_or_else(|| Error::internal("there is no native writer of this database"))?;
        // Whoever has the one connection of the pool may write, so nobody waits in SQLite's busy handler.
        let _turn = pool.acquire().await?;
        self.db.began(name, asked);
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // Nobody listens when the runtime is shutting down.
            let _ = reply.send(connection.and_then(|connection| transact(name, connection, &*body)));
        });
        let ended = || Error::internal(format!("transaction {name}: the writer's thread has ended"));
        self.work.as_ref().ok_or_else(ended)?.send(work).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl Drop for Writer {
    /// Waits for the thread, so that the file is closed before the database's claim on it ends.
    fn drop(&mut self) {
        self.work.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the native writer's thread had panicked");
        }
    }
}

fn transact<T>(
    name: &'static str,
    connection: &Connection,
    body: &impl Fn(&Connection) -> Result<T>,
) -> Result<T> {
    run(connection, "BEGIN IMMEDIATE")?;
    let outcome = catch_unwind(AssertUnwindSafe(|| body(connection)))
        .unwrap_or_else(|_| Err(Error::internal(format!("transaction {name} panicked"))))
        .and_then(|value| run(connection, "COMMIT").map(|()| value));
    // After some failures, such as a full disk, SQLite has rolled back by itself.
    if outcome.is_err()
        && !connection.is_autocommit()
        && let Err(error) = run(connection, "ROLLBACK")
    {
        tracing::warn!(?error, name, "a transaction was not rolled back");
    }
    outcome
}

fn run(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([])?;
    Ok(())
}
