//! What merchant limits do outside of requests.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use payops_core::time::Zone;
use payops_platform::context::ServiceContext;
use payops_platform::db::Backend;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::schedule::{self, NewSchedule, Timetable};
use payops_platform::jobs::{Job, JobError, Lease, Runner, Worker};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Limits;
use crate::model::Channel;
use crate::ops::{audit, limits, seal, upkeep};
use crate::store::limit;

/// How many merchants one transaction goes through.
const MERCHANTS_AT_ONCE: u64 = 200;

/// Lets reservations go whose time is over, of merchants that nobody asks about. Decisions do not wait for it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SweepReservations {}

impl Job for SweepReservations {
    const NAME: &'static str = "limits.sweep_reservations";
}

/// Makes the partitions of the usage log for the months to come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PartUsageLog {}

impl Job for PartUsageLog {
    const NAME: &'static str = "limits.part_usage_log";
}

/// Proves counters, log and payments against each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuditUsage {}

impl Job for AuditUsage {
    const NAME: &'static str = "limits.audit_usage";
}

/// Seals what was added to the usage log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SealUsageLog {}

impl Job for SealUsageLog {
    const NAME: &'static str = "limits.seal_usage_log";
}

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

/// Takes up alerts that nobody has looked at, should the process that made them have died.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NumberAlerts {}

impl Job for NumberAlerts {
    const NAME: &'static str = "limits.number_alerts";
}

/// Delivers alerts on one channel. There is one such job for each, and it never ends: it waits for what is due next.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliverAlerts {
    /// The channel.
    pub channel: Channel,
}

impl Job for DeliverAlerts {
    const NAME: &'static str = "limits.deliver_alerts";
}

/// Registers the service's workers.
pub fn register(app: &Limits, runner: Runner) -> Runner {
    runner
        .register::<SweepReservations>(Works(app.clone()))
        .register::<PartUsageLog>(Works(app.clone()))
        .register::<RecountAlerts>(Works(app.clone()))
        .register::<NumberAlerts>(Works(app.clone()))
        .register::<DeliverAlerts>(Works(app.clone()))
        .register::<AuditUsage>(Works(app.clone()))
        .register::<SealUsageLog>(Works(app.clone()))
}

/// Makes sure of the service's schedules, and of this month's partition. Called once at the start.
pub async fn schedule(context: &ServiceContext) -> Result<()> {
    let shared = context.clone();
    context
        .db
        .write("limits.schedule", move |tx| {
            let context = shared.clone();
            async move {
                let every_minute = timetable("* * * * *")?;
                let sweep =
                    NewSchedule { name: SweepReservations::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &sweep, &SweepReservations {}).await?;
                let number =
                    NewSchedule { name: NumberAlerts::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &number, &NumberAlerts {}).await?;
                let seal = NewSchedule { name: SealUsageLog::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &seal, &SealUsageLog {}).await?;
                let hourly = timetable("41 * * * *")?;
                let audit = NewSchedule { name: AuditUsage::NAME, timetable: &hourly, enabled: true };
                schedule::ensure(tx, &context, &audit, &AuditUsage {}).await?;
                if tx.backend() == Backend::Postgres {
                    let daily = timetable("17 3 * * *")?;
                    let part = NewSchedule { name: PartUsageLog::NAME, timetable: &daily, enabled: true };
                    schedule::ensure(tx, &context, &part, &PartUsageLog {}).await?;
                    upkeep::part_usage_log(tx, context.now()).await?;
                }
                Ok(())
            }
            .boxed()
        })
        .await
}

fn timetable(cron: &str) -> Result<Timetable> {
    Timetable::new(cron, Zone::utc()).map_err(Error::internal)
}

/// The service as a worker.
struct Works(Limits);

impl Worker<SweepReservations> for Works {
    async fn run(&self, _: SweepReservations, _: Lease) -> Result<(), JobError> {
        Ok(upkeep::sweep(&self.0).await?)
    }
}

impl Worker<PartUsageLog> for Works {
    async fn run(&self, _: PartUsageLog, _: Lease) -> Result<(), JobError> {
        let context = self.0.context.clone();
        self.0
            .context
            .db
            .write("limits.part_usage_log", move |tx| {
                let now = context.now();
                async move { upkeep::part_usage_log(tx, now).await }.boxed()
            })
            .await?;
        Ok(())
    }
}

impl Worker<NumberAlerts> for Works {
    async fn run(&self, _: NumberAlerts, _: Lease) -> Result<(), JobError> {
        self.0.outbox.number_new().await?;
        Ok(self.0.outbox.revive().await?)
    }
}

impl Worker<DeliverAlerts> for Works {
    async fn run(&self, job: DeliverAlerts, lease: Lease) -> Result<(), JobError> {
        self.0.outbox.deliver(job.channel, &lease).await
    }
}

impl Worker<AuditUsage> for Works {
    async fn run(&self, _: AuditUsage, _: Lease) -> Result<(), JobError> {
        Ok(audit::audit_and_measure(&self.0).await?)
    }
}

impl Worker<SealUsageLog> for Works {
    async fn run(&self, _: SealUsageLog, lease: Lease) -> Result<(), JobError> {
        Ok(seal::seal(&self.0, Some(&lease)).await?)
    }
}

impl Worker<RecountAlerts> for Works {
    async fn run(&self, job: RecountAlerts, lease: Lease) -> Result<(), JobError> {
        let db = &self.0.context.db;
        let mut after = None;
        loop {
            let merchants = limit::of_tier(db.read(), job.tier_id, after, MERCHANTS_AT_ONCE).await?;
            let Some(last) = merchants.last() else { return Ok(()) };
            after = Some(*last);
            let shared = Arc::new((self.0.clone(), merchants));
            let write = db.write("limits.recount_alerts", move |tx| {
                let shared = Arc::clone(&shared);
                async move { limits::recount(&shared.0, tx, &shared.1).await.map(drop) }.boxed()
            });
            write.await?;
            if lease.cancelled().is_cancelled() {
                let stopping = Error::unavailable("the process is stopping", Duration::ZERO);
                return Err(JobError::Retry { error: stopping, after: None });
            }
        }
    }
}
