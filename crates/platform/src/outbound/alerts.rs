//! What people, and programs of theirs, must not overlook: who is told, and how each of them is until it has arrived.
//!
//! [`tell`] writes a job for every destination in the transaction of what has happened; each job calls
//! [`Destinations::deliver`] until that has arrived or is given up.

use std::time::Duration;

use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Event, Mail, Mailer, SetupError, Undelivered, Webhook};
use crate::config::{EscalatedAlertSettings, MailSettings};
use crate::context::ServiceContext;
use crate::db::Tx;
use crate::error::{Error, Result};
use crate::jobs::{self, EnqueueOptions, Job, JobError};

/// How long a receiver of webhooks may take, and an SMTP server for each command.
pub const TIME_OUT: Duration = Duration::from_secs(10);
/// How often an alert is tried: the back-off doubles up to ten minutes, so that is about a day.
const MOST_ATTEMPTS: u32 = 150;

/// What is told. Receivers of webhooks get it as JSON.
pub trait Alert: Serialize + Sync {
    /// The same however often it is sent.
    fn id(&self) -> &str;
    /// Whether supervisors are told as well.
    fn escalated(&self) -> bool;
    /// Subject and body of the mail.
    fn mail(&self) -> (String, String);
}

/// One place that is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// The receiver of webhooks.
    Webhook,
    /// An address.
    Mail(String),
}

impl Destination {
    /// The word for it among jobs.
    fn word(&self) -> &str {
        match self {
            Self::Webhook => "webhook",
            Self::Mail(address) => address,
        }
    }
}

/// Who is told; nobody by default.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    webhook: Option<Webhook>,
    mail: Option<Mailer>,
    everybody: Vec<String>,
    supervisors: Vec<String>,
}

impl Destinations {
    /// Those that the settings name, which have `time_out` as [`TIME_OUT`] says.
    ///
    /// # Errors
    /// When the file with the mail server's authority cannot be read.
    pub fn new(settings: &EscalatedAlertSettings, time_out: Duration) -> Result<Self, SetupError> {
        let webhook = settings.webhook.as_ref().map(|webhook| Webhook::new(webhook, time_out)).transpose()?;
        let mut mail = [&settings.mail, &settings.supervisors].into_iter().flatten();
        let server = mail.next().map(|mail| &mail.server);
        let to = |mail: &Option<MailSettings>| mail.as_ref().map(|mail| mail.to.clone()).unwrap_or_default();
        Ok(Self {
            webhook,
            mail: server.map(|server| Mailer::new(server, time_out)).transpose()?,
            everybody: to(&settings.mail),
            supervisors: to(&settings.supervisors),
        })
    }

    /// Those who are told of this, each once.
    fn of(&self, alert: &impl Alert) -> Vec<Destination> {
        let supervisors = self.supervisors.iter().filter(|_| alert.escalated());
        let mut addresses: Vec<&String> = Vec::new();
        for address in self.everybody.iter().chain(supervisors) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let webhook = self.webhook.iter().map(|_| Destination::Webhook);
        webhook.chain(addresses.into_iter().cloned().map(Destination::Mail)).collect()
    }

    /// Sends an alert to one of them; what has not arrived is tried again by the job, unless it never will.
    pub async fn deliver(
        &self,
        destination: &Destination,
        alert: &impl Alert,
        now: Timestamp,
    ) -> Result<(), JobError> {
        let Err(why) = self.send(destination, alert, now).await else { return Ok(()) };
        tracing::warn!(event = alert.id(), error = %why, "an alert has not arrived");
        let error = Error::unavailable(&why, Duration::ZERO);
        match why {
            Undelivered::Refused(_) => Err(JobError::Fail(error)),
            Undelivered::Unreachable(_) | Undelivered::NotTaken(_) => {
                Err(JobError::Retry { error, after: None })
            }
        }
    }

    async fn send(
        &self,
        destination: &Destination,
        alert: &impl Alert,
        now: Timestamp,
    ) -> Result<(), Undelivered> {
        let gone = || Undelivered::NotTaken("this destination is not among the settings any more".to_owned());
        match destination {
            Destination::Webhook => {
                let body = serde_json::to_string(alert)
                    .map_err(|error| Undelivered::Refused(format!("the event cannot be written: {error}")))?;
                let webhook = self.webhook.as_ref().ok_or_else(gone)?;
                webhook.send(Event { id: alert.id(), body: &body }, now).await
            }
            Destination::Mail(to) => {
                let known = self.everybody.iter().chain(&self.supervisors).any(|known| known == to);
                let mailer = self.mail.as_ref().filter(|_| known).ok_or_else(gone)?;
                let (subject, body) = alert.mail();
                mailer.send(Mail { to, subject: &subject, body: &body, id: alert.id() }, now).await
            }
        }
    }
}

/// Has every destination told, in the transaction of what has happened: `job` makes what sends it to one of them.
pub async fn tell<J: Job>(
    tx: &Tx,
    context: &ServiceContext,
    destinations: &Destinations,
    alert: &impl Alert,
    job: impl Fn(Destination) -> J,
) -> Result<()> {
    for destination in destinations.of(alert) {
        let key = format!("{}/{}", alert.id(), destination.word());
        let options = EnqueueOptions::default().unique(key).attempts(MOST_ATTEMPTS);
        jobs::enqueue(tx, context, &job(destination), options).await?;
    }
    Ok(())
}
