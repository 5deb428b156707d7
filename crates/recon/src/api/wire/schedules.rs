//! Schedules on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::utc;
use crate::model::{Channel, TaskType};
use crate::ops::schedules::Planned;

/// Asks for a schedule, or for another plan of one.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "channel": "stripe", "timezone": "Asia/Shanghai", "cron": "0 6 * * *" }))]
pub struct NewSchedule {
    /// The channel.
    pub channel: Channel,
    /// The channel account, where there are several.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub account: String,
    /// What its tasks cover; `daily` when absent.
    #[serde(default)]
    pub task_type: TaskType,
    /// The IANA zone that defines the days, and in which `cron` is meant; `Etc/UTC` when absent.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Minute, hour, day of month, month, day of week: when it creates and starts the task of the day before.
    #[schema(max_length = 200)]
    pub cron: String,
    /// Whether its tasks store matched rows as records too.
    #[serde(default)]
    pub store_matched: bool,
    /// Whether it does anything; `true` when absent.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// What creates and starts tasks by itself.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Schedule {
    /// Row id.
    pub id: Uuid,
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What its tasks cover.
    pub task_type: TaskType,
    /// The zone that defines the days, and in which `cron` is meant.
    pub timezone: String,
    /// Minute, hour, day of month, month, day of week.
    pub cron: String,
    /// Whether its tasks store matched rows as records too.
    pub store_matched: bool,
    /// Whether it does anything.
    pub enabled: bool,
    /// When it does so next; absent while it is switched off.
    pub next_at: Option<DateTime<Utc>>,
    /// The first business day that it has not taken care of yet. Every day from it to the day before `next_at` gets
    /// its task then.
    pub next_date: NaiveDate,
    /// The nominal time of its latest fire.
    pub last_fired_at: Option<DateTime<Utc>>,
    /// Who made it.
    pub created_by: String,
    /// Grows with each change by a person; give it back in `If-Match`.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody changed it last.
    pub updated_at: DateTime<Utc>,
}

impl From<Planned> for Schedule {
    fn from(planned: Planned) -> Self {
        let Planned { schedule, timing } = planned;
        Self {
            id: schedule.id,
            channel: schedule.channel,
            account: schedule.account,
            task_type: schedule.task_type,
            timezone: schedule.timezone,
            cron: schedule.cron,
            store_matched: schedule.store_matched,
            enabled: timing.as_ref().is_some_and(|timing| timing.enabled),
            next_at: timing.as_ref().filter(|timing| timing.enabled).map(|timing| timing.next_at),
            next_date: schedule.next_date,
            last_fired_at: timing.and_then(|timing| timing.last_fired_at),
            created_by: schedule.created_by,
            version: schedule.version,
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
        }
    }
}

fn yes() -> bool {
    true
}
