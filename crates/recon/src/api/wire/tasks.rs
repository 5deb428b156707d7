//! Tasks on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::utc;
use crate::model::{Channel, FileRole, Phase, TaskStatus, TaskType};
use crate::ops::completeness::ExpectedDay;
use crate::store::task;

/// Asks for a reconciliation task.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "task_date": "2024-10-24", "channel": "stripe", "task_type": "daily" }))]
pub struct NewTask {
    /// The business day.
    pub task_date: NaiveDate,
    /// The channel.
    pub channel: Channel,
    /// What the task covers; `daily` when absent.
    #[serde(default)]
    pub task_type: TaskType,
    /// The channel account, where there are several.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub account: String,
    /// The IANA zone that defines the day; `Etc/UTC` when absent.
    #[serde(default = "utc")]
    pub timezone: String,
    /// Whether matched rows are stored as records too.
    #[serde(default)]
    pub store_matched: bool,
}

/// A reconciliation task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Task {
    /// Row id.
    pub id: Uuid,
    /// Number for people.
    pub task_no: String,
    /// The business day.
    pub task_date: NaiveDate,
    /// The zone that defines it.
    pub timezone: String,
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What it covers.
    pub task_type: TaskType,
    /// Where it stands.
    pub status: TaskStatus,
    /// What it is doing, while it is processing.
    pub phase: Option<Phase>,
    /// Percent; only grows within a run.
    pub progress: i32,
    /// What it waits for; of one that has ended, why what it rests on at the bank could not be read again after an upgrade.
    pub status_message: Option<String>,
    /// How often it was started.
    pub run_no: i64,
    /// The verdict of the last completed run: reconciled, differences, incomplete or `not_provable`.
    pub verdict: Option<String>,
    /// Rows of the platform that were compared, without those that are `not_expected`: their money never moved.
    pub platform_count: Option<i64>,
    /// Their sum; only when the day has one currency, else see the report.
    pub platform_amount: Option<i64>,
    /// Rows of the channel that were compared.
    pub channel_count: Option<i64>,
    /// Their sum.
    pub channel_amount: Option<i64>,
    /// Matched pairs.
    pub matched_count: Option<i64>,
    /// Their sum on the platform's side.
    pub matched_amount: Option<i64>,
    /// Differences: what somebody has to explain.
    pub diff_count: Option<i64>,
    /// Payments that are pending here and absent there. They are listed among the records, and are no differences: they
    /// bar no verdict.
    pub timing_count: Option<i64>,
    /// Differences between payouts and the bank, of the last completed run; absent where no bank statement was there.
    pub payout_diff_count: Option<i64>,
    /// The channel's sum less the platform's, over all compared rows.
    pub diff_amount: Option<i64>,
    /// The currency of the amounts above.
    pub currency: Option<String>,
    /// Why it failed, in a stable word.
    pub error_code: Option<String>,
    /// Why it failed, for people.
    pub error_message: Option<String>,
    /// The version of the rules of tolerance that was in force when the present run started; absent where nothing is
    /// tolerated.
    pub rule_set_version: Option<i64>,
    /// Whether matched rows are stored as records too.
    pub store_matched: bool,
    /// Who created it.
    pub created_by: String,
    /// Grows with each change; give it back in `If-Match`.
    pub version: i64,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// When the present run began.
    pub started_at: Option<DateTime<Utc>>,
    /// When the last run was completed.
    pub completed_at: Option<DateTime<Utc>>,
}

/// One task, with what it lacks.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TaskDetail {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// The expected files of its day that are due, not there and not excused: what it waits for, has failed for, or
    /// was not proven for, where that is so.
    pub late_inputs: Vec<LateInput>,
}

/// An expected file that is late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LateInput {
    /// The expected file.
    pub expected_file_id: Uuid,
    /// What it says.
    pub role: FileRole,
    /// When it was due.
    pub due_at: DateTime<Utc>,
}

impl From<ExpectedDay> for LateInput {
    fn from(day: ExpectedDay) -> Self {
        Self { expected_file_id: day.expected.id, role: day.expected.role, due_at: day.due_at }
    }
}

impl From<task::Model> for Task {
    fn from(task: task::Model) -> Self {
        Self {
            id: task.id,
            task_no: task.task_no,
            task_date: task.task_date,
            timezone: task.timezone,
            channel: task.channel,
            account: task.account,
            task_type: task.task_type,
            status: task.status,
            phase: task.phase,
            progress: task.progress,
            status_message: task.status_message,
            run_no: task.run_no,
            verdict: task.verdict,
            platform_count: task.platform_count,
            platform_amount: task.platform_amount,
            channel_count: task.channel_count,
            channel_amount: task.channel_amount,
            matched_count: task.matched_count,
            matched_amount: task.matched_amount,
            diff_count: task.diff_count,
            timing_count: task.timing_count,
            payout_diff_count: task.payout_diff_count,
            diff_amount: task.diff_amount,
            currency: task.currency,
            error_code: task.error_code,
            error_message: task.error_message,
            rule_set_version: task.rule_set_version,
            store_matched: task.store_matched,
            created_by: task.created_by,
            version: task.version,
            created_at: task.created_at,
            updated_at: task.updated_at,
            started_at: task.started_at,
            completed_at: task.completed_at,
        }
    }
}
