//! Telling people, and programs of theirs, that a merchant comes near a limit.
//!
//! A decision only writes down that a threshold was crossed. Afterwards each such alert is numbered, put into words once
//! ([`event`]), and gets a row for every destination; a job works through those rows until each has arrived or is given up.

mod bell;
pub mod event;
mod words;

use std::time::Duration;

use payops_core::time::Timestamp;
use payops_platform::config::AlertSettings;
use payops_platform::outbound::{Event, Mail, Mailer, SetupError, Undelivered, Webhook};

pub(crate) use crate::ops::alerts::Outbox;
pub(crate) use bell::Bell;
use event::AlertEvent;

use crate::model::Channel;

/// How long a receiver of webhooks may take, and an SMTP server for each command.
pub const TIME_OUT: Duration = Duration::from_secs(10);

/// Who is told; nobody by default.
#[derive(Debug, Clone, Default)]
pub struct Destinations {
    webhook: Option<Webhook>,
    mail: Option<(Mailer, Vec<String>)>,
}

impl Destinations {
    /// Those that the settings name, which have `time_out` as [`TIME_OUT`] says.
    ///
    /// # Errors
    /// When the file with the mail server's authority cannot be read.
    pub fn new(settings: &AlertSettings, time_out: Duration) -> Result<Self, SetupError> {
        let webhook = settings.webhook.as_ref().map(|webhook| Webhook::new(webhook, time_out)).transpose()?;
        let mailer = settings.mail.as_ref().map(|mail| Mailer::new(&mail.server, time_out)).transpose()?;
        let to = settings.mail.as_ref().map(|mail| mail.to.clone()).unwrap_or_default();
        Ok(Self { webhook, mail: mailer.map(|mailer| (mailer, to)) })
    }

    /// Each, as a delivery names it: the channel, and the recipient's address for mail.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Channel, &str)> {
        let mail = self.mail.iter().flat_map(|(_, to)| to).map(|to| (Channel::Mail, to.as_str()));
        self.webhook.iter().map(|_| (Channel::Webhook, "")).chain(mail)
    }

    /// Sends an alert, as it was put into words, to one of them.
    pub(crate) async fn send(
        &self,
        (channel, recipient): (Channel, &str),
        event: &str,
        now: Timestamp,
    ) -> Result<(), Undelivered> {
        let gone = || Undelivered::NotTaken("this destination is not among the settings any more".to_owned());
        let alert: AlertEvent = serde_json::from_str(event)
            .map_err(|error| Undelivered::Refused(format!("the stored event cannot be read: {error}")))?;
        match channel {
            Channel::Webhook => {
                let webhook = self.webhook.as_ref().ok_or_else(gone)?;
                webhook.send(Event { id: &alert.id, body: event }, now).await
            }
            Channel::Mail => {
                let known = self.mail.as_ref().filter(|(_, to)| to.iter().any(|to| to == recipient));
                let (mailer, _) = known.ok_or_else(gone)?;
                let (subject, body) = (words::subject(&alert), words::body(&alert));
                let mail = Mail { to: recipient, subject: &subject, body: &body, id: &alert.id };
                mailer.send(mail, now).await
            }
        }
    }
}
