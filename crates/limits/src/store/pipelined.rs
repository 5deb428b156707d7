//! Decides a batch on PostgreSQL in two round trips: lock and read, then write and commit. Statements of one trip follow one
//! another without waiting for answers, rows travel as one binary array a column, and every statement is prepared once a
//! connection.

mod read;
mod session;
#[cfg(test)]
mod tests;
mod write;

use std::sync::{Arc, Mutex, PoisonError};

use payops_platform::db::Db;
use payops_platform::error::Result;

use super::hot::Lookup;
use crate::alerts::Bell;
use crate::coalesce::Decider;
use crate::decide::{Operation, Outcome};
use session::Session;

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

    /// One attempt. A session that has failed is not used again: the server rolls back what it had begun.
    async fn attempt(&self, operations: &[Operation]) -> Result<Vec<Outcome>> {
        let idle = self.idle().pop().filter(Session::is_open);
        let session = match idle {
            Some(session) => session,
            None => Session::connect(&self.db).await?,
        };
        let outcomes = session.decide(operations, &self.lookup, &self.bell).await?;
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
