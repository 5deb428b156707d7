//! Decides a batch in one transaction.

use std::sync::Arc;

use futures::FutureExt;
use payops_platform::db::Db;
use payops_platform::error::Result;

use super::hot::{self, Lookup};
use crate::alerts::Bell;
use crate::batch;
use crate::coalesce::Decider;
use crate::decide::{Operation, Outcome};

/// Locks and reads, decides, writes and commits through [`Db::write`].
#[derive(Debug)]
pub(crate) struct Transactional {
    /// Where the merchants' rows are.
    pub(crate) db: Db,
    /// Where the time comes from.
    pub(crate) lookup: Lookup,
    /// Rung when alerts are committed.
    pub(crate) bell: Bell,
}

impl Decider for Transactional {
    async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        let (lookup, bell) = (self.lookup.clone(), self.bell.clone());
        let outcomes = self.db.write("limits.decide", move |tx| {
            let (operations, lookup, bell) = (Arc::clone(&operations), lookup.clone(), bell.clone());
            async move {
                let (mut loaded, now) = hot::load(tx, &operations, &lookup).await?;
                let (outcomes, effects) = batch::decide(&mut loaded, operations.iter(), now);
                if !effects.is_empty() {
                    bell.ring_after(tx, &effects);
                    hot::save(tx, &effects).await?;
                }
                Ok(outcomes)
            }
            .boxed()
        });
        outcomes.await
    }
}
