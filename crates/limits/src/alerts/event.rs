//! An alert as it is sent.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::LimitKind;

/// An alert as the receiver of webhooks gets it, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// The same however often the alert is sent: whoever gets it twice knows it by this.
    pub id: String,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The merchant's alerts are numbered 1, 2, 3, …, in the order in which they came, without gaps.
    pub sequence: i64,
    /// When it happened.
    pub created_at: DateTime<Utc>,
    /// To whom, and by how much.
    pub data: AlertData,
}

/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventType {
    /// Usage has reached a threshold.
    #[serde(rename = "limit.threshold_crossed")]
    Crossed,
    /// Usage is below a threshold again, in the same window.
    #[serde(rename = "limit.threshold_recovered")]
    Recovered,
}

/// To whom it has happened, and by how much.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertData {
    /// The merchant.
    pub merchant_id: Uuid,
    /// Its tier's code.
    pub tier_code: String,
    /// Its tier's name.
    pub tier_name: String,
    /// Which limit.
    pub limit_kind: LimitKind,
    /// Percent of the limit.
    pub threshold: i16,
    /// Used and pending, afterwards: minor units of `currency`.
    pub used_amount: i64,
    /// The limit in force: minor units of `currency`.
    pub limit_amount: i64,
    /// The limit currency.
    pub currency: String,
    /// First instant of the window.
    pub window_start: DateTime<Utc>,
    /// IANA name of the merchant's time zone, whose days and months the windows are.
    pub timezone: String,
}
