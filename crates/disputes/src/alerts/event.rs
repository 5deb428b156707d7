//! A reminder as it is sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{Channel, Status};

/// A reminder as the receiver of webhooks gets it, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReminderEvent {
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
    pub data: ReminderData,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// A deadline comes near.
    #[serde(rename = "dispute.deadline_near")]
    Near,
    /// A deadline has passed without an answer.
    #[serde(rename = "dispute.deadline_missed")]
    Missed,
}

/// Which dispute, and what is at stake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReminderData {
    /// The dispute.
    pub dispute_id: Uuid,
    /// Its number, for people.
    pub dispute_no: String,
    /// Where it was opened.
    pub channel: Channel,
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
    /// When an answer has to be there.
    pub evidence_due_by: DateTime<Utc>,
    /// 7, 3 or 1: so many days or fewer are left; 0: none.
    pub days_before: i32,
    /// Who works on it.
    pub assigned_to: Option<String>,
}
