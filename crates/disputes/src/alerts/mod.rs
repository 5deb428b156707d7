//! Telling people, and programs of theirs, what must not be overlooked: a deadline that comes near or has passed, a dispute of
//! which nobody knows the payment, an answer that was not taken.
//!
//! An alert, its row in the timeline and a job for every destination are written in one transaction; each job tries
//! until it has arrived or is given up.

pub mod event;
mod words;

use std::time::Duration;

use payops_core::time::Timestamp;
use payops_platform::config::{DisputeAlertSettings, MailSettings};
use payops_platform::outbound::{Event, Mail, Mailer, SetupError, Undelivered, Webhook};
use serde::{Deserialize, Serialize};

use event::AlertEvent;

/// How long a receiver of webhooks may take, and an SMTP server for each command.
pub const TIME_OUT: Duration = Duration::from_secs(10);

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
    pub(crate) fn word(&self) -> &str {
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
    pub fn new(settings: &DisputeAlertSettings, time_out: Duration) -> Result<Self, SetupError> {
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
    pub(crate) fn of(&self, event: &AlertEvent) -> Vec<Destination> {
        let supervisors = self.supervisors.iter().filter(|_| event.escalated);
        let mut addresses: Vec<&String> = Vec::new();
        for address in self.everybody.iter().chain(supervisors) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let webhook = self.webhook.iter().map(|_| Destination::Webhook);
        webhook.chain(addresses.into_iter().cloned().map(Destination::Mail)).collect()
    }

    /// Sends an alert to one of them.
    pub(crate) async fn send(
        &self,
        destination: &Destination,
        event: &AlertEvent,
        now: Timestamp,
    ) -> Result<(), Undelivered> {
        let gone = || Undelivered::NotTaken("this destination is not among the settings any more".to_owned());
        match destination {
            Destination::Webhook => {
                let body = serde_json::to_string(event)
                    .map_err(|error| Undelivered::Refused(format!("the event cannot be written: {error}")))?;
                let webhook = self.webhook.as_ref().ok_or_else(gone)?;
                webhook.send(Event { id: &event.id, body: &body }, now).await
            }
            Destination::Mail(to) => {
                let known = self.everybody.iter().chain(&self.supervisors).any(|known| known == to);
                let mailer = self.mail.as_ref().filter(|_| known).ok_or_else(gone)?;
                let (subject, body) = (words::subject(event), words::body(event));
                mailer.send(Mail { to, subject: &subject, body: &body, id: &event.id }, now).await
            }
        }
    }
}
