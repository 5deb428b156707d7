//! Decides a batch on PostgreSQL in two round trips: lock and read, then write and commit. Statements of one trip follow one
//! another without waiting for answers, rows travel as one binary array a column, and every statement is prepared once a
//! connection.

mod read;
mod session;
#[cfg(test)]
mod tests;
mod write;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use payops_platform::db::Db;
use payops_platform::error::{Error, Result};

use super::hot::Lookup;
use crate::alerts::Bell;
use crate::coalesce::Decider;
use crate::decide::{Operation, Outcome};
use session::Session;

/// A batch is given up after this: longer than a statement may wait for a lock, shorter than a request may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// When a database that is away is worth another try.
const AWAY: Duration = Duration::from_secs(1);

/// Locks and reads, decides, writes and commits on connections of its own, one for each batch at a time.
#[derive(Debug)]
pub(crate) struct Pipelined {
    db: Db,
    lookup: Lookup,
    bell: Bell,
    idle: Mutex<Vec<Session>>,
}

impl Pipelined {
    /// On this database, which is a PostgreSQL; the bell is rung when alerts are committed.
    pub(crate) fn new(db: Db, lookup: Lookup, bell: Bell) -> Self {
        Self { db, lookup, bell, idle: Mutex::default() }
    }

    /// One attempt, with an end: a server that has vanished answers nothing. A session that has failed is not used
    /// again: the server rolls back what it had begun.
    async fn attempt(&self, operations: &[Operation]) -> Result<Vec<Outcome>> {
        let idle = self.idle().pop().filter(Session::is_open);
        let decided = async {
            let session = match idle {
                Some(session) => session,
                // Whatever keeps a connection from being made keeps every operation from being decided.
                None => Session::connect(&self.db).await.map_err(|error| Error::unavailable(error, AWAY))?,
            };
            let outcomes = session.decide(operations, &self.lookup, &self.bell).await?;
            Ok::<_, Error>((session, outcomes))
        };
        let (session, outcomes) = tokio::time::timeout(PATIENCE, decided)
            .await
            .map_err(|_| Error::unavailable("a batch was not decided in time", AWAY))??;
        self.idle().push(session);
        Ok(outcomes)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decider for Pipelined {
    async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        self.db.retrying("limits.decide", || self.attempt(&operations)).await
    }
}
