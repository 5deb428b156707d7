//! What payops sends to others on its own account: webhooks and mail.

pub mod address;
pub mod alerts;
mod mail;
pub mod testing;
mod webhook;

pub use mail::{Mail, Mailer, SmtpCredentials, SmtpSecurity, SmtpSettings};
pub use webhook::{EVENT_HEADER, Event, SIGNATURE_HEADER, Webhook, WebhookSettings, signature};

/// The longest reason that is kept of something that could not be sent, in characters.
const LONGEST_REASON: usize = 500;

/// Why something did not arrive. The reason is for operators; it holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// Nobody was there, or nobody answered in time: what else waits for the same place need not try now.
    #[error("{0}")]
    Unreachable(String),
    /// It was answered, and not taken. Later it may be.
    #[error("{0}")]
    NotTaken(String),
    /// It will never be taken like this.
    #[error("{0}")]
    Refused(String),
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(String);

impl SetupError {
    fn new(what: &str, why: &dyn std::error::Error) -> Self {
        Self(format!("{what}: {}", reason(why)))
    }
}

/// An error with everything behind it, on one line of bounded length.
fn reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    one_line(&text, LONGEST_REASON)
}

/// Text from elsewhere as one line of at most `most` characters.
pub fn one_line(text: &str, most: usize) -> String {
    let shown = |letter: char| if letter.is_control() { ' ' } else { letter };
    text.chars().map(shown).take(most).collect::<String>().trim().to_owned()
}
