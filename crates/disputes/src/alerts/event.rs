//! An alert as it is sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{Channel, Status};
use crate::store::submission::Kind;

/// An alert as the receiver of webhooks gets it, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// The same however often it is sent: whoever gets it twice knows it by this.
    pub id: String,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Whether a supervisor is told as well.
    pub escalated: bool,
    /// Which dispute, and what is at stake.
    pub data: AlertData,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// A deadline comes near.
    #[serde(rename = "dispute.deadline_near")]
    DeadlineNear,
    /// A deadline has passed without an answer.
    #[serde(rename = "dispute.deadline_missed")]
    DeadlineMissed,
    /// Nobody could say which payment it is about.
    #[serde(rename = "dispute.payment_unknown")]
    PaymentUnknown,
    /// An answer or a concession was not taken.
    #[serde(rename = "dispute.submission_refused")]
    SubmissionRefused,
}

/// Which dispute, and what is at stake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertData {
    /// The dispute.
    pub dispute_id: Uuid,
    /// Its number, for people.
    pub dispute_no: String,
    /// Where it was opened.
    pub channel: Channel,
    /// The channel's id of it, where it is known.
    pub channel_dispute_id: Option<String>,
    /// The payment, where it is known.
    pub payment_no: Option<String>,
    /// Whose payment it is.
    pub merchant_id: Option<Uuid>,
    /// What is disputed, in minor units.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// Why, in the channel's word.
    pub reason: String,
    /// Where it stands.
    pub status: Status,
    /// When an answer has to be there, if one is expected.
    pub evidence_due_by: Option<DateTime<Utc>>,
    /// Of deadlines. 7, 3 or 1: so many days or fewer are left; 0: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days_before: Option<i32>,
    /// What was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub submission: Option<RefusedSubmission>,
    /// Who works on it.
    pub assigned_to: Option<String>,
}

/// An answer or a concession that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedSubmission {
    /// Its number among those of the dispute.
    pub number: i32,
    /// `answer` or `concession`.
    pub kind: Kind,
    /// Why, in the channel's words where it refused.
    pub outcome: String,
}
