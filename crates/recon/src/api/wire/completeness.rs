//! The completeness of files on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::model::{Channel, DayState, FileRole, GapEnd, GapKind};
use crate::ops::completeness::ExpectedDay;
use crate::store::gap;

/// Which business days to look at.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CompletenessQuery {
    /// Only this channel.
    pub channel: Option<Channel>,
    /// Only this role.
    pub role: Option<FileRole>,
    /// The first business day; 30 days before `to` when absent.
    pub from: Option<NaiveDate>,
    /// The last business day, at most 92 days after the first; today (UTC) when absent.
    pub to: Option<NaiveDate>,
}

/// How business days stand whose files are expected.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Completeness {
    /// By channel, account and role, the first day first. Days on which no file is expected are left out.
    pub days: Vec<CompletenessDay>,
}

/// How one business day of one expected file stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct CompletenessDay {
    /// What is expected.
    pub expected_file_id: Uuid,
    /// Of which channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What the file says.
    pub role: FileRole,
    /// The zone that defines the day.
    pub timezone: String,
    /// The business day.
    pub settlement_date: NaiveDate,
    /// How it stands.
    pub state: DayState,
    /// Since when: when the file came, was due, was excused, or the gap was noticed. Absent before it is due.
    pub since: Option<DateTime<Utc>>,
    /// When its file is due.
    pub due_at: DateTime<Utc>,
    /// What was noted of it, the first first.
    pub gaps: Vec<FileGap>,
}

/// Something that is missing, or was.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct FileGap {
    /// What.
    pub kind: GapKind,
    /// Of sequences and parts: the first number that is missing, or the one that came twice; else 0.
    pub number: i64,
    /// The last number that is missing.
    pub up_to: i64,
    /// When it was noticed.
    pub opened_at: DateTime<Utc>,
    /// When it was told to supervisors too.
    pub escalated_at: Option<DateTime<Utc>>,
    /// When it was closed; absent while it is open.
    pub closed_at: Option<DateTime<Utc>>,
    /// How it was closed.
    pub closed_as: Option<GapEnd>,
    /// Who excused it.
    pub closed_by: Option<String>,
    /// Why.
    pub note: Option<String>,
}

/// Says that what is missing of a day need not come.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note": "Bank holiday in New York." }))]
pub struct ExcuseDay {
    /// Why.
    #[schema(min_length = 1, max_length = 2000)]
    pub note: String,
}

impl From<ExpectedDay> for CompletenessDay {
    fn from(day: ExpectedDay) -> Self {
        Self {
            expected_file_id: day.expected.id,
            channel: day.expected.channel,
            account: day.expected.account,
            role: day.expected.role,
            timezone: day.expected.timezone,
            settlement_date: day.day,
            state: day.state,
            since: day.since,
            due_at: day.due_at,
            gaps: day.gaps.into_iter().map(FileGap::from).collect(),
        }
    }
}

impl From<gap::Model> for FileGap {
    fn from(row: gap::Model) -> Self {
        Self {
            kind: row.kind,
            number: row.number,
            up_to: row.up_to,
            opened_at: row.opened_at,
            escalated_at: row.escalated_at,
            closed_at: row.closed_at,
            closed_as: row.closed_as,
            closed_by: row.closed_by,
            note: row.note,
        }
    }
}
