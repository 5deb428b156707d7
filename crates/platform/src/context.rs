//! What a service has at hand wherever it works.

use std::sync::Arc;

use payops_core::id;
use payops_core::random::Random;
use payops_core::time::{Clock, Timestamp};
use uuid::Uuid;

use crate::db::Db;
use crate::jobs::JobWaker;
use crate::telemetry::Metrics;

/// What the operations, handlers and jobs of one service share. Clones share everything.
#[derive(Debug, Clone)]
pub struct ServiceContext {
    /// The service's full name, such as `reconciliation-service`.
    pub service: &'static str,
    /// The service's own database.
    pub db: Db,
    /// Where the present comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
    pub random: Arc<dyn Random>,
    /// The process's metrics.
    pub metrics: Metrics,
    /// Tells this process's job runner that there may be work.
    pub jobs: JobWaker,
}

impl ServiceContext {
    /// Puts a context together, and shows its database among the service's metrics.
    pub fn new(
        service: &'static str,
        db: Db,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        metrics: Metrics,
    ) -> Self {
        db.measure(&metrics);
        Self { service, db, clock, random, metrics, jobs: JobWaker::default() }
    }

    /// The present instant, whole microseconds.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new row id.
    pub fn new_id(&self) -> Uuid {
        id::new_id(&*self.clock, &*self.random)
    }
}
