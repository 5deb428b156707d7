//! What merchant limits do outside of requests.

use futures::FutureExt;
use payops_core::time::Zone;
use payops_platform::context::ServiceContext;
use payops_platform::db::Backend;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::schedule::{self, NewSchedule, Timetable};
use payops_platform::jobs::{Job, JobError, Lease, Runner, Worker};
use serde::{Deserialize, Serialize};

use crate::Limits;
use crate::ops::{audit, upkeep};

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

/// Registers the service's workers.
pub fn register(app: &Limits, runner: Runner) -> Runner {
    runner.register::<SweepReservations>(Works(app.clone())).register::<PartUsageLog>(Works(app.clone()))
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

impl Worker<AuditUsage> for Works {
    async fn run(&self, _: AuditUsage, _: Lease) -> Result<(), JobError> {
        Ok(audit::audit_and_measure(&self.0).await?)
    }
}
