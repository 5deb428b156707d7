//! Expected files on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::utc;
use crate::completeness::Weekdays;
use crate::model::{Channel, FileRole, Weekday};
use crate::store::expected_file;

/// Asks for an expected file, or for another plan of one.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "channel": "paypal", "timezone": "America/Los_Angeles", "due_time": "12:00",
    "name_pattern": "STL-(?<date>\\d{8})\\.(?<sequence>\\d{2})\\.\\d{3}\\.(?i:csv)", "sequence_restarts": true
}))]
pub struct NewExpectedFile {
    /// The channel.
    pub channel: Channel,
    /// The channel account, where there are several.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub account: String,
    /// What the file says; `settlement` when absent.
    #[serde(default = "settlement")]
    pub role: FileRole,
    /// The IANA zone that defines the days, and in which `due_time` is meant; `Etc/UTC` when absent.
    #[serde(default = "utc")]
    pub timezone: String,
    /// So many calendar days after its business day a file is due; 1 when absent.
    #[serde(default = "one")]
    #[schema(minimum = 0, maximum = 31)]
    pub due_after_days: i32,
    /// At this time of that day, as HH:MM.
    #[schema(max_length = 5)]
    pub due_time: String,
    /// The days of the week that have a file; all when absent.
    #[serde(default = "all_days")]
    #[schema(min_items = 1)]
    pub weekdays: Vec<Weekday>,
    /// Business days that have none.
    #[serde(default)]
    #[schema(max_items = 400)]
    pub holidays: Vec<NaiveDate>,
    /// The first business day that counts, at most 400 days back. When absent, today in the zone; for another plan, the
    /// day of before.
    #[serde(default)]
    pub counts_from: Option<NaiveDate>,
    /// So many hours after it was due, what is still missing is told once more, to supervisors too; 24 when absent.
    #[serde(default = "a_day")]
    #[schema(minimum = 1, maximum = 720)]
    pub escalate_after_hours: i32,
    /// A regular expression for the whole name of a file, with the named groups `date` (20260106), `sequence`, `part` and
    /// `parts`. Names say nothing when it is absent.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub name_pattern: Option<String>,
    /// Whether sequence numbers begin at 1 each day; otherwise they run on from file to file.
    #[serde(default)]
    pub sequence_restarts: bool,
}

/// Which file is expected for each business day, and when it is late.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ExpectedFile {
    /// Row id.
    pub id: Uuid,
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What the file says.
    pub role: FileRole,
    /// The zone that defines the days, and in which `due_time` is meant.
    pub timezone: String,
    /// So many calendar days after its business day a file is due.
    pub due_after_days: i32,
    /// At this time of that day.
    pub due_time: String,
    /// The days of the week that have a file.
    pub weekdays: Vec<Weekday>,
    /// Business days that have none.
    #[schema(value_type = Vec<NaiveDate>)]
    pub holidays: serde_json::Value,
    /// The first business day that counts.
    pub counts_from: NaiveDate,
    /// So many hours after it was due, what is still missing is escalated.
    pub escalate_after_hours: i32,
    /// How names of files are read.
    pub name_pattern: Option<String>,
    /// Whether sequence numbers begin at 1 each day.
    pub sequence_restarts: bool,
    /// Who made it.
    pub created_by: String,
    /// Grows with each change; give it back in `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody changed it last.
    pub updated_at: DateTime<Utc>,
}

impl From<expected_file::Model> for ExpectedFile {
    fn from(row: expected_file::Model) -> Self {
        let among = |day: &Weekday| {
            Weekdays::from_bits(row.weekdays).is_some_and(|weekdays| weekdays.contains((*day).into()))
        };
        Self {
            weekdays: Weekday::ALL.into_iter().filter(among).collect(),
            id: row.id,
            channel: row.channel,
            account: row.account,
            role: row.role,
            timezone: row.timezone,
            due_after_days: row.due_after_days,
            due_time: row.due_time,
            holidays: row.holidays,
            counts_from: row.counts_from,
            escalate_after_hours: row.escalate_after_hours,
            name_pattern: row.name_pattern,
            sequence_restarts: row.sequence_restarts,
            created_by: row.created_by,
            version: row.version,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

fn settlement() -> FileRole {
    FileRole::Settlement
}

fn one() -> i32 {
    1
}

fn all_days() -> Vec<Weekday> {
    Weekday::ALL.to_vec()
}

fn a_day() -> i32 {
    24
}
