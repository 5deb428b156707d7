//! Overrides on the wire.

use chrono::{DateTime, Utc};
use payops_platform::error::Result;
use payops_platform::http::{Problems, check_text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::LimitKind;
use crate::ops::overrides;
use crate::store::overrides::Model;

/// A limit that is to hold for a time, in place of the merchant's own and the tier's.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "limit_kind": "daily", "value": 500_000_000, "starts_at": "2026-11-11T00:00:00+08:00",
    "ends_at": "2026-11-12T00:00:00+08:00", "reason": "Singles' Day"
}))]
pub struct NewOverride {
    /// Which limit.
    pub limit_kind: LimitKind,
    /// Minor units of the limit currency; 0 allows nothing.
    #[schema(minimum = 0)]
    pub value: i64,
    /// First instant at which it holds; now unless named, and no earlier.
    #[serde(default)]
    pub starts_at: Option<DateTime<Utc>>,
    /// First instant at which it no longer does.
    pub ends_at: DateTime<Utc>,
    /// Why.
    #[schema(min_length = 1, max_length = 500)]
    pub reason: String,
}

impl NewOverride {
    /// The override, or every field that is not usable.
    pub(crate) fn checked(&self) -> Result<overrides::NewOverride> {
        let mut problems = Problems::default();
        if self.value < 0 {
            problems.refuse("value", "must not be below 0", "不能小于 0");
        }
        problems.note(check_text("reason", &self.reason, 1, 500));
        let instants = [("starts_at", self.starts_at), ("ends_at", Some(self.ends_at))];
        for (path, instant) in instants {
            problems.note(super::usage::check_instant(path, instant));
        }
        problems.none()?;
        Ok(overrides::NewOverride {
            kind: self.limit_kind,
            value: self.value,
            starts_at: self.starts_at.map(whole_micros),
            ends_at: whole_micros(self.ends_at),
            reason: self.reason.clone(),
        })
    }
}

/// As fine as both databases keep it.
fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at)
}

/// Where an override stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverrideStatus {
    /// It will hold.
    Scheduled,
    /// It holds.
    InForce,
    /// It has held.
    Over,
    /// It was taken back.
    Deleted,
}

/// A limit that holds for a time.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Override {
    /// Row id.
    pub id: Uuid,
    /// The merchant.
    pub merchant_id: Uuid,
    /// Which limit.
    pub limit_kind: LimitKind,
    /// Minor units of the limit currency.
    pub value: i64,
    /// First instant at which it holds.
    pub starts_at: DateTime<Utc>,
    /// First instant at which it no longer does.
    pub ends_at: DateTime<Utc>,
    /// Where it stands now.
    pub status: OverrideStatus,
    /// Why.
    pub reason: String,
    /// Who added it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// Who took it back.
    pub deleted_by: Option<String>,
    /// When.
    pub deleted_at: Option<DateTime<Utc>>,
}

impl Override {
    /// The row as it stands at `now`.
    pub(crate) fn at(now: DateTime<Utc>, row: Model) -> Self {
        let status = match row.deleted_at {
            Some(_) => OverrideStatus::Deleted,
            None if now < row.starts_at => OverrideStatus::Scheduled,
            None if now < row.ends_at => OverrideStatus::InForce,
            None => OverrideStatus::Over,
        };
        Self {
            id: row.id,
            merchant_id: row.merchant_id,
            limit_kind: row.limit_kind,
            value: row.value,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            status,
            reason: row.reason,
            created_by: row.created_by,
            created_at: row.created_at,
            deleted_by: row.deleted_by,
            deleted_at: row.deleted_at,
        }
    }
}
