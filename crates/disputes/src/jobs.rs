//! What disputes do outside of requests.

use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{Job, JobError, Lease, Runner, Worker};
use serde::{Deserialize, Serialize};

use crate::Disputes;
use crate::model::Channel;
use crate::ops::{readings, submission};

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

/// Registers the service's workers.
pub fn register(app: &Disputes, runner: Runner) -> Runner {
    runner.register::<ReadDispute>(Works(app.clone())).register::<SendSubmissions>(Works(app.clone()))
}

/// The service as a worker.
struct Works(Disputes);

impl Worker<ReadDispute> for Works {
    async fn run(&self, job: ReadDispute, lease: Lease) -> Result<(), JobError> {
        readings::read(&self.0, &job, &lease).await
    }

    async fn gave_up(&self, tx: &Tx, job: ReadDispute, _: &Error) -> Result<()> {
        readings::give_up(tx, &job).await
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
