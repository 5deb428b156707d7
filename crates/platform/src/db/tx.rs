//! A transaction, and rows that it has locked.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::sqlx::error::DatabaseError;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, RuntimeErr, Statement,
    TransactionTrait,
};

use super::{Backend, BoxFuture};
use crate::error::{Error, Result};

type Afterwards = Box<dyn FnOnce() + Send>;

/// A transaction of the write door. It is a connection for `SeaORM`: pass it, or [`Tx::conn`], to any query.
///
/// A statement that failed spoils the transaction on PostgreSQL: whatever follows would be lost without a
/// word. So a body that goes on after a failed statement and returns `Ok` is refused, on both databases.
/// Where a failure is expected, put the statement into a [`Tx::savepoint`].
///
/// A full disk, or one that fails, ends the whole transaction on SQLite, savepoints or not: no statement goes through after
/// that, since it would be committed by itself.
pub struct Tx {
    transaction: DatabaseTransaction,
    backend: Backend,
    failed: Mutex<Option<DbErr>>,
    /// What has ended the transaction; known to all of its savepoints.
    ended: Arc<OnceLock<DbErr>>,
    afterwards: Mutex<Vec<Afterwards>>,
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("backend", &self.backend).finish_non_exhaustive()
    }
}

impl Tx {
    pub(super) fn new(transaction: DatabaseTransaction, backend: Backend) -> Self {
        Self::part(transaction, backend, Arc::default())
    }

    fn part(transaction: DatabaseTransaction, backend: Backend, ended: Arc<OnceLock<DbErr>>) -> Self {
        let (failed, afterwards) = (Mutex::new(None), Mutex::new(Vec::new()));
        Self { transaction, backend, failed, ended, afterwards }
    }

    /// The connection to give to `SeaORM`; the transaction itself.
    pub fn conn(&self) -> &Self {
        self
    }

    /// Which database this is.
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// A statement for this database; see [`Backend::statement`].
    pub fn statement(&self, sql: &str, values: impl IntoIterator<Item = sea_orm::Value>) -> Statement {
        self.backend.statement(sql, values)
    }

    /// What to append to a `SELECT` that locks its rows: nothing on SQLite, whose write transactions exclude
    /// each other anyway.
    pub fn for_update(&self) -> &'static str {
        self.backend.pick("", " FOR UPDATE")
    }

    /// Runs `hook` once the transaction is committed; never, if it is not. The hook must not block.
    pub fn after_commit(&self, hook: impl FnOnce() + Send + 'static) {
        self.afterwards.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Runs a part that may fail without spoiling the rest: what it did is taken back when it returns an
    /// error, and the transaction goes on.
    pub async fn savepoint<T, F>(&self, body: F) -> Result<T>
    where
        F: for<'s> FnOnce(&'s Tx) -> BoxFuture<'s, Result<T>> + Send,
        T: Send,
    {
        self.check()?;
        let part = Self::part(self.transaction.begin().await?, self.backend, Arc::clone(&self.ended));
        let outcome = body(&part).await;
        let (value, hooks) = part.finish(outcome).await?;
        self.afterwards.lock().unwrap_or_else(PoisonError::into_inner).extend(hooks);
        Ok(value)
    }

    /// Commits when the outcome is good, else rolls back. Returns the hooks to be run after the commit.
    pub(super) async fn finish<T>(self, outcome: Result<T>) -> Result<(T, Vec<Afterwards>)> {
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.ended.get().map_or(outcome, |error| Err(error.clone().into()));
        match outcome.and_then(|value| failed.map_or(Ok(value), |error| Err(swallowed(error)))) {
            Ok(value) => {
                self.transaction.commit().await?;
                Ok((value, self.afterwards.into_inner().unwrap_or_else(PoisonError::into_inner)))
            }
            Err(error) => {
                if let Err(rollback) = self.transaction.rollback().await {
                    // The server ends the transaction of a connection that is gone.
                    tracing::debug!(error = %rollback, "rollback");
                }
                Err(error)
            }
        }
    }

    /// Whether statements still belong to the transaction.
    fn check(&self) -> Result<(), DbErr> {
        self.ended.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn watch<T>(&self, result: Result<T, DbErr>) -> Result<T, DbErr> {
        if let Err(error) = &result {
            if self.backend == Backend::Sqlite && ends_transaction(error) {
                self.ended.get_or_init(|| error.clone());
            }
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| error.clone());
        }
        result
    }
}

/// Whether SQLite has ended the transaction, or may have, that a statement failed in: out of memory, interrupted, an error of
/// the disk, or a full one (<https://www.sqlite.org/lang_transaction.html>).
fn ends_transaction(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(cause)) | DbErr::Query(RuntimeErr::SqlxError(cause))) = error
    else {
        return false;
    };
    let code = cause.as_database_error().and_then(DatabaseError::code);
    let code = code.and_then(|code| code.parse::<u32>().ok());
    matches!(code.map(|extended| extended & 0xff), Some(7 | 9 | 10 | 13))
}

fn swallowed(error: DbErr) -> Error {
    let error = Error::from(error);
    if error.is_retryable() {
        return error;
    }
    let cause = error.internal_text().unwrap_or_default();
    Error::internal(format!("a transaction went on after a failed statement: {cause}"))
}

#[async_trait]
impl ConnectionTrait for Tx {
    fn get_database_backend(&self) -> DbBackend {
        self.transaction.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.check()?;
        self.watch(self.transaction.execute_raw(statement).await)
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.check()?;
        self.watch(self.transaction.execute_unprepared(sql).await)
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.check()?;
        self.watch(self.transaction.query_one_raw(statement).await)
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.check()?;
        self.watch(self.transaction.query_all_raw(statement).await)
    }
}

/// A row that the transaction at hand has locked: nobody else changes it before the transaction ends.
///
/// Functions that update a row take it in this form, so that forgetting to lock it does not compile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked<T>(T);

impl<T> Locked<T> {
    /// Says that `row` was read under a lock, or inserted, by the transaction at hand. Only functions of a
    /// store that read `FOR UPDATE` or have just written the row may say so.
    pub fn assert_locked(row: T) -> Self {
        Self(row)
    }

    /// The row without its mark.
    pub fn into_inner(self) -> T {
        self.0
    }

    /// Replaces the row by what an update made of it; the lock stays.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Locked<U> {
        Locked(change(self.0))
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
