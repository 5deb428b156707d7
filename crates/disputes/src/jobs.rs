//! What disputes do outside of requests.

use futures::FutureExt;
use payops_core::time::Zone;
use payops_platform::context::ServiceContext;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::schedule::{self, NewSchedule, Timetable};
use payops_platform::jobs::{self, EnqueueOptions, Job, JobError, Lease, Runner, Worker};
use serde::{Deserialize, Serialize};

use crate::Disputes;
use crate::alerts::Destination;
use crate::alerts::event::AlertEvent;
use crate::model::Channel;
use crate::ops::{alerts, desk, payment, readings, submission, sweep};
use crate::store::sweep::read_at;

/// Reads a dispute from its channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadDispute {
    /// The channel.
    pub channel: Channel,
    /// The channel's id of the dispute.
    pub channel_dispute_id: String,
    /// How many reasons to read there were when this job was made.
    pub wanted: i64,
}

impl Job for ReadDispute {
    const NAME: &'static str = "disputes.read";
}

impl ReadDispute {
    /// What this is known by among unfinished jobs.
    pub(crate) fn key(&self) -> String {
        format!("{}/{}/{}", self.channel.as_str(), self.channel_dispute_id, self.wanted)
    }
}

/// Sends answers and concessions: there is one of it, and it never ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendSubmissions {}

impl Job for SendSubmissions {
    const NAME: &'static str = "disputes.send";
}

/// Folds what changed into the sums of statistics, and measures.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeepSums {}

impl Job for KeepSums {
    const NAME: &'static str = "disputes.keep_sums";
}

/// Gives the reminders of deadlines that are due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemindOfDeadlines {}

impl Job for RemindOfDeadlines {
    const NAME: &'static str = "disputes.remind_of_deadlines";
}

/// Sends an alert to one destination.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SendAlert {
    /// What is told.
    pub event: AlertEvent,
    /// To whom.
    pub destination: Destination,
}

impl Job for SendAlert {
    const NAME: &'static str = "disputes.send_alert";
}

/// Asks the gateway again which payments disputes are about.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LookUpPayments {}

impl Job for LookUpPayments {
    const NAME: &'static str = "disputes.look_up_payments";
}

/// Lists the channel's disputes, should events of some have been lost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SweepChannel {}

impl Job for SweepChannel {
    const NAME: &'static str = "disputes.sweep_channel";
}

/// Makes sure of the service's schedules. Called once at the start.
pub async fn schedule(context: &ServiceContext) -> Result<()> {
    let shared = context.clone();
    context
        .db
        .write("disputes.schedule", move |tx| {
            let context = shared.clone();
            async move {
                let every_minute = timetable("* * * * *")?;
                let sums = NewSchedule { name: KeepSums::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &sums, &KeepSums {}).await?;
                let remind =
                    NewSchedule { name: RemindOfDeadlines::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &remind, &RemindOfDeadlines {}).await?;
                let look_up =
                    NewSchedule { name: LookUpPayments::NAME, timetable: &every_minute, enabled: true };
                schedule::ensure(tx, &context, &look_up, &LookUpPayments {}).await?;
                let hourly = timetable("23 * * * *")?;
                let sweep = NewSchedule { name: SweepChannel::NAME, timetable: &hourly, enabled: true };
                schedule::ensure(tx, &context, &sweep, &SweepChannel {}).await?;
                if read_at(tx.conn(), Channel::Stripe).await?.is_none() {
                    // Until the channel's list was read once, nothing can be said of a payment that nobody disputes.
                    let first = EnqueueOptions::default().unique("first");
                    jobs::enqueue(tx, &context, &SweepChannel {}, first).await?;
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

/// Registers the service's workers.
pub fn register(app: &Disputes, runner: Runner) -> Runner {
    runner
        .register::<ReadDispute>(Works(app.clone()))
        .register::<SendSubmissions>(Works(app.clone()))
        .register::<KeepSums>(Works(app.clone()))
        .register::<RemindOfDeadlines>(Works(app.clone()))
        .register::<SendAlert>(Works(app.clone()))
        .register::<LookUpPayments>(Works(app.clone()))
        .register::<SweepChannel>(Works(app.clone()))
}

/// The service as a worker.
struct Works(Disputes);

impl Worker<ReadDispute> for Works {
    async fn run(&self, job: ReadDispute, lease: Lease) -> Result<(), JobError> {
        readings::read(&self.0, &job, &lease).await
    }

    async fn gave_up(&self, tx: &Tx, job: ReadDispute, error: &Error) -> Result<()> {
        readings::give_up(tx, &job, error).await
    }
}

impl Worker<SendSubmissions> for Works {
    async fn run(&self, _: SendSubmissions, lease: Lease) -> Result<(), JobError> {
        submission::dispatch::run(&self.0, lease).await
    }

    async fn gave_up(&self, tx: &Tx, _: SendSubmissions, _: &Error) -> Result<()> {
        submission::want(&self.0, tx).await
    }
}

impl Worker<KeepSums> for Works {
    async fn run(&self, _: KeepSums, _: Lease) -> Result<(), JobError> {
        Ok(desk::keep_sums(&self.0).await?)
    }
}

impl Worker<RemindOfDeadlines> for Works {
    async fn run(&self, _: RemindOfDeadlines, _: Lease) -> Result<(), JobError> {
        Ok(alerts::remind_all(&self.0).await?)
    }
}

impl Worker<SendAlert> for Works {
    async fn run(&self, job: SendAlert, _: Lease) -> Result<(), JobError> {
        alerts::send(&self.0, &job).await
    }
}

impl Worker<LookUpPayments> for Works {
    async fn run(&self, _: LookUpPayments, lease: Lease) -> Result<(), JobError> {
        payment::look_up_all(&self.0, &lease).await
    }
}

impl Worker<SweepChannel> for Works {
    async fn run(&self, _: SweepChannel, lease: Lease) -> Result<(), JobError> {
        sweep::sweep(&self.0, &lease).await
    }
}
