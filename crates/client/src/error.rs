//! Why a call gave no decision.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

/// Why a call gave no decision. A decline is none of these: it is an answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service did not answer, or said that it cannot now, until the last attempt. Whether the call had an effect is
    /// not known; the same number may be sent again at any time.
    #[error("the limit service is away: {0}")]
    Away(Absence),
    /// The service refused the call as it stands, and nothing has happened. Sending it again does not help.
    #[error("{} ({}): {}", .0.code, .0.status, .0.message)]
    Refused(Box<Refusal>),
    /// The answer is none that this client knows. Whether the call had an effect is not known.
    #[error("the limit service gave an answer that cannot be read: {0}")]
    Unreadable(String),
    /// The client cannot be made, or the call cannot be sent, as it stands.
    #[error("the call cannot be sent: {0}")]
    Unusable(String),
}

/// What is known of a service that is away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absence {
    /// What came of the last attempt.
    pub why: String,
    /// How often it was asked.
    pub attempts: u32,
    /// When it wants to be asked again, if it said so.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (attempts: {})", self.why, self.attempts)
    }
}

/// What the service says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The stable code, such as `LIMIT_NOT_FOUND`.
    pub code: String,
    /// The same in words.
    pub message: String,
    /// More about it, in the shape that the code has.
    pub data: Option<Value>,
}
