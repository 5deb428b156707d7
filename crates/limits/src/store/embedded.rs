//! Decides a batch on SQLite on the thread of the native writer: every statement is prepared once and binds one row at a
//! time.

mod read;
mod write;

use std::sync::Arc;

use chrono::SecondsFormat;
use payops_core::time::{Clock, Timestamp};
use payops_platform::db::{Db, NativeWriter};
use payops_platform::error::Result;

use crate::alerts::Bell;
use crate::batch;
use crate::coalesce::Decider;
use crate::decide::{Operation, Outcome};

/// Reads, decides, writes and commits in one transaction of the native writer.
#[derive(Debug)]
pub(crate) struct Embedded {
    db: Db,
    writer: tokio::sync::OnceCell<NativeWriter>,
    clock: Arc<dyn Clock>,
    bell: Bell,
}

impl Embedded {
    /// On this database, which is a SQLite file; the bell is rung when alerts are committed.
    pub(crate) fn new(db: Db, clock: Arc<dyn Clock>, bell: Bell) -> Self {
        Self { db, writer: tokio::sync::OnceCell::new(), clock, bell }
    }
}

impl Decider for Embedded {
    async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        let writer = self.writer.get_or_try_init(async || self.db.native_writer()).await?;
        let (clock, bell) = (Arc::clone(&self.clock), self.bell.clone());
        let decided = writer.write("limits.decide", move |connection| {
            let (mut loaded, now) = read::load(connection, &operations, &*clock)?;
            let (outcomes, effects) = batch::decide(&mut loaded, operations.iter(), now);
            write::save(connection, &effects)?;
            Ok((outcomes, !effects.alerts.is_empty()))
        });
        let (outcomes, alerts) = decided.await?;
        if alerts {
            bell.ring();
        }
        Ok(outcomes)
    }
}

/// An instant as SQLite keeps it.
fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}
