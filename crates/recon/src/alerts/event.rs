//! An alert as it is sent.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::{Channel, FileRole, GapKind};

/// An alert as the receiver of webhooks gets it, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// The same however often it is sent: whoever gets it twice knows it by this.
    pub id: String,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// When it was noticed.
    pub created_at: DateTime<Utc>,
    /// Whether supervisors are told as well.
    pub escalated: bool,
    /// Which files.
    pub data: AlertData,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventType {
    /// The file of a business day is not there though it is due; escalated: it still is not.
    #[serde(rename = "reconciliation.file_missing")]
    FileMissing,
    /// Names of files say that others are missing; escalated: they still are.
    #[serde(rename = "reconciliation.file_gap")]
    FileGap,
    /// One number came with two contents.
    #[serde(rename = "reconciliation.file_repeated")]
    FileRepeated,
    /// What was told to be missing has come.
    #[serde(rename = "reconciliation.file_arrived")]
    FileArrived,
}

/// Which files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertData {
    /// What was expected.
    pub expected_file_id: Uuid,
    /// Of which channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What the files say.
    pub role: FileRole,
    /// The zone of the business days.
    pub timezone: String,
    /// What is, or was, missing.
    pub gaps: Vec<AlertGap>,
}

/// One thing that is, or was, missing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertGap {
    /// The business day; of a sequence, that of the file behind the hole.
    pub settlement_date: NaiveDate,
    /// What is missing.
    pub kind: GapKind,
    /// Of sequences and parts: the first number that is missing, or the one that came twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i64>,
    /// The last number that is missing, where it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<i64>,
    /// When the day's file was due.
    pub due_at: DateTime<Utc>,
}
