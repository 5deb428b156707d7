//! Submissions on the wire.

use chrono::{DateTime, Utc};
use payops_platform::error::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::lifecycle::Phase;
use crate::ops::submission::When;
use crate::store::submission::{Kind, Model, SubmissionState};

/// When an answer is to be sent: now, unless one of the fields says otherwise.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "hold": "until_deadline" }))]
pub struct NewSubmission {
    /// Not before this instant, which lies before the deadline; one in the past means now.
    #[serde(default)]
    pub submit_at: Option<DateTime<Utc>>,
    /// Holds it until a margin before the deadline.
    #[serde(default)]
    pub hold: Option<HoldUntil>,
}

/// Until when an answer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HoldUntil {
    /// Until a margin before the deadline, six hours unless the service is set otherwise.
    UntilDeadline,
}

impl NewSubmission {
    pub(crate) fn when(&self) -> Result<When> {
        match (self.submit_at, self.hold) {
            (None, None) => Ok(When::Now),
            (Some(at), None) => Ok(When::At(at)),
            (None, Some(HoldUntil::UntilDeadline)) => Ok(When::UntilDeadline),
            (Some(_), Some(_)) => Err(Error::invalid_field(
                "hold",
                "give submit_at or hold, not both",
                "submit_at 与 hold 只能填写一个",
            )),
        }
    }
}

/// An answer or a concession, and how far it has come.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Submission {
    /// Its id.
    pub id: Uuid,
    /// The dispute.
    pub dispute_id: Uuid,
    /// 1, 2, … of the dispute.
    pub number: i32,
    /// What is sent.
    pub kind: Kind,
    /// The phase that it answers.
    pub phase: Phase,
    /// How far it has come.
    pub state: SubmissionState,
    /// It is not sent before.
    pub submit_at: DateTime<Utc>,
    /// Whether `submit_at` follows the deadline.
    pub until_deadline: bool,
    /// It is not sent at this instant or later.
    pub due_by: Option<DateTime<Utc>>,
    /// The SHA-256 of what is sent; null: not packed yet, or a concession.
    pub packet_sha256: Option<String>,
    /// When the packet lay ready at the channel.
    pub staged_at: Option<DateTime<Utc>>,
    /// When the channel had taken it.
    pub sent_at: Option<DateTime<Utc>>,
    /// Why it was not sent.
    pub outcome: Option<String>,
    /// What the channel said when it refused, which the list alone tells; null after it was erased.
    pub channel_words: Option<String>,
    /// Who ordered it.
    pub created_by: String,
    /// When it was ordered.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<Model> for Submission {
    fn from(row: Model) -> Self {
        Self {
            id: row.id,
            dispute_id: row.dispute_id,
            number: row.number,
            kind: row.kind,
            phase: row.phase,
            state: row.state,
            submit_at: row.submit_at,
            until_deadline: row.until_deadline,
            due_by: row.due_by,
            packet_sha256: row.packet_sha256,
            staged_at: row.staged_at,
            sent_at: row.sent_at,
            outcome: row.outcome,
            channel_words: None,
            created_by: row.created_by,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}
