//! What the service does outside of requests.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{Job, JobError, Lease, Runner, Worker};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Limits;
use crate::ops::limits;
use crate::store::limit;

/// How many merchants one transaction goes through.
const MERCHANTS_AT_ONCE: u64 = 200;

/// Brings the thresholds of a tier's merchants up to its new limits. Without it they would be told with the next payment
/// of each.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecountAlerts {
    /// The tier.
    pub tier_id: Uuid,
    /// The version of the tier that made it necessary.
    pub version: i64,
}

impl Job for RecountAlerts {
    const NAME: &'static str = "limits.recount_alerts";
}

impl RecountAlerts {
    /// What this is known by among unfinished jobs.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}", self.tier_id, self.version)
    }
}

/// Registers the service's workers.
pub fn register(app: &Limits, runner: Runner) -> Runner {
    runner.register::<RecountAlerts>(Works(app.clone()))
}

/// The service as a worker.
struct Works(Limits);

impl Worker<RecountAlerts> for Works {
    async fn run(&self, job: RecountAlerts, lease: Lease) -> Result<(), JobError> {
        let context = &self.0.context;
        let mut after = None;
        loop {
            let merchants = limit::of_tier(context.db.read(), job.tier_id, after, MERCHANTS_AT_ONCE).await?;
            let Some(last) = merchants.last() else { return Ok(()) };
            after = Some(*last);
            let shared = Arc::new((self.0.clone(), merchants));
            let write = context.db.write("limits.recount_alerts", move |tx| {
                let shared = Arc::clone(&shared);
                async move { limits::recount(&shared.0, tx, &shared.1).await }.boxed()
            });
            write.await?;
            if lease.cancelled().is_cancelled() {
                let stopping = Error::unavailable("the process is stopping", Duration::ZERO);
                return Err(JobError::Retry { error: stopping, after: None });
            }
        }
    }
}
