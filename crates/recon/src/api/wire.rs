//! What the API takes and gives. Field names follow the original system; times are RFC 3339 UTC, amounts are
//! minor units of the currency beside them.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::model::{
    Channel, FileFormat, FileRole, FileSource, FileStatus, Phase, ReasonCode, RecordStatus, TaskStatus,
    TaskType,
};
use crate::store::{file, record, run, task};

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
    /// What it waits for.
    pub status_message: Option<String>,
    /// How often it was started.
    pub run_no: i64,
    /// The verdict of the last completed run: reconciled, differences, incomplete or `not_provable`.
    pub verdict: Option<String>,
    /// Rows of the platform that were compared.
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
    /// Differences.
    pub diff_count: Option<i64>,
    /// The channel's sum less the platform's, over all compared rows.
    pub diff_amount: Option<i64>,
    /// The currency of the amounts above.
    pub currency: Option<String>,
    /// Why it failed, in a stable word.
    pub error_code: Option<String>,
    /// Why it failed, for people.
    pub error_message: Option<String>,
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
            diff_amount: task.diff_amount,
            currency: task.currency,
            error_code: task.error_code,
            error_message: task.error_message,
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

/// A difference, or a matched pair where the task stores them.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Record {
    /// Row id.
    pub id: Uuid,
    /// The task that found it.
    pub task_id: Uuid,
    /// That task's number.
    pub task_no: String,
    /// The business day.
    pub task_date: NaiveDate,
    /// The channel.
    pub channel: Channel,
    /// `matched`, `platform_only`, `channel_only`, `amount_diff`, `status_diff`, `currency_diff`,
    /// `duplicate_platform`, `duplicate_channel` or `timing`.
    pub diff_type: String,
    /// What the money moved for.
    pub kind: String,
    /// The platform's number.
    pub payment_no: Option<String>,
    /// The channel's id.
    pub channel_trade_no: Option<String>,
    /// The id of the channel's row.
    pub channel_row_id: Option<String>,
    /// The merchant.
    pub merchant_id: Option<String>,
    /// The payout that carried the money.
    pub payout_id: Option<String>,
    /// The platform's amount.
    pub platform_amount: Option<i64>,
    /// The channel's amount.
    pub channel_amount: Option<i64>,
    /// The channel's less the platform's; absent when the currencies differ.
    pub diff_amount: Option<i64>,
    /// The currency of `platform_amount`.
    pub platform_currency: Option<String>,
    /// The currency of `channel_amount`.
    pub channel_currency: Option<String>,
    /// The platform's word.
    pub platform_status: Option<String>,
    /// The channel's word.
    pub channel_status: Option<String>,
    /// The line in the platform's file.
    pub platform_line: Option<i64>,
    /// The line in the channel's file.
    pub channel_line: Option<i64>,
    /// When the money moved, as it stands in the source.
    pub occurred_at: Option<String>,
    /// What was done about it.
    pub status: RecordStatus,
    /// Who works on it.
    pub assigned_to: Option<String>,
    /// Since when.
    pub assigned_at: Option<DateTime<Utc>>,
    /// Why it was closed.
    pub reason_code: Option<ReasonCode>,
    /// In words.
    pub resolution_note: Option<String>,
    /// Who closed it.
    pub resolved_by: Option<String>,
    /// When.
    pub resolved_at: Option<DateTime<Utc>>,
    /// When a later run no longer had it.
    pub gone_at: Option<DateTime<Utc>>,
    /// Grows with each change; give it back in `If-Match`.
    pub version: i64,
    /// When it was found.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
}

impl From<record::Model> for Record {
    fn from(record: record::Model) -> Self {
        Self {
            id: record.id,
            task_id: record.task_id,
            task_no: record.task_no,
            task_date: record.task_date,
            channel: record.channel,
            diff_type: record.diff_type,
            kind: record.kind,
            payment_no: record.payment_no,
            channel_trade_no: record.channel_trade_no,
            channel_row_id: record.channel_row_id,
            merchant_id: record.merchant_id,
            payout_id: record.payout_id,
            platform_amount: record.platform_amount,
            channel_amount: record.channel_amount,
            diff_amount: record.diff_amount,
            platform_currency: record.platform_currency,
            channel_currency: record.channel_currency,
            platform_status: record.platform_status,
            channel_status: record.channel_status,
            platform_line: record.platform_line,
            channel_line: record.channel_line,
            occurred_at: record.occurred_at,
            status: record.status,
            assigned_to: record.assigned_to,
            assigned_at: record.assigned_at,
            reason_code: record.reason_code,
            resolution_note: record.resolution_note,
            resolved_by: record.resolved_by,
            resolved_at: record.resolved_at,
            gone_at: record.gone_at,
            version: record.version,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

/// A record with all that happened to it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordWithHistory {
    /// The record.
    #[serde(flatten)]
    pub record: Record,
    /// Its history, the first first.
    pub history: Vec<RecordEvent>,
}

/// Something that happened to a record.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RecordEvent {
    /// Row id.
    pub id: Uuid,
    /// assigned, resolved, ignored, reopened, commented, gone or returned.
    pub action: String,
    /// Why, for an end.
    pub reason_code: Option<String>,
    /// The comment, the note or the owner.
    pub note: Option<String>,
    /// Who.
    pub actor: String,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl From<record::event::Model> for RecordEvent {
    fn from(event: record::event::Model) -> Self {
        Self {
            id: event.id,
            action: event.action,
            reason_code: event.reason_code,
            note: event.note,
            actor: event.actor,
            created_at: event.created_at,
        }
    }
}

/// Closes a record.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason_code": "platform_corrected", "note": "booked twice, one entry reversed" }))]
pub struct CloseRecord {
    /// Why.
    pub reason_code: ReasonCode,
    /// In words, at most 2,000 characters; needed with `other`.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
    /// `resolved` when absent; `ignored` leaves the difference as it is.
    #[serde(default)]
    pub status: ClosedStatus,
}

/// The two ends of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosedStatus {
    /// Explained or put right.
    #[default]
    Resolved,
    /// Known and left as it is.
    Ignored,
}

/// Takes a closing back.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReopenRecord {
    /// Why, 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub reason: String,
}

/// Closes many records in one step: all of them or none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseRecords {
    /// 1 to 500 records.
    #[schema(min_items = 1, max_items = 500)]
    pub record_ids: Vec<Uuid>,
    /// Why.
    pub reason_code: ReasonCode,
    /// In words, at most 2,000 characters; needed with `other`.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
    /// `resolved` when absent; `ignored` leaves the differences as they are.
    #[serde(default)]
    pub status: ClosedStatus,
}

/// Gives many records an owner: all of them or none.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AssignRecords {
    /// 1 to 500 records.
    #[schema(min_items = 1, max_items = 500)]
    pub record_ids: Vec<Uuid>,
    /// The owner's id, 1 to 200 characters.
    #[schema(min_length = 1, max_length = 200)]
    pub assigned_to: String,
}

/// How many records were changed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// How many.
    pub count: usize,
}

/// Adds a comment.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewComment {
    /// 1 to 2,000 characters.
    #[schema(min_length = 1, max_length = 2000)]
    pub comment: String,
}

/// Asks for a channel's file of a day.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "channel": "stripe", "settlement_date": "2024-10-24" }))]
pub struct DownloadFile {
    /// The channel.
    pub channel: Channel,
    /// The business day.
    pub settlement_date: NaiveDate,
    /// The channel account, where there are several.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub account: String,
    /// The IANA zone that defines the day; `Etc/UTC` when absent.
    #[serde(default = "utc")]
    pub timezone: String,
    /// `settlement` when absent; `balance_summary` fetches the control totals.
    #[serde(default = "settlement")]
    pub role: FileRole,
}

/// A file that reconciliation reads.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct SettlementFile {
    /// Row id.
    pub id: Uuid,
    /// Number for people.
    pub file_no: String,
    /// What it says.
    pub role: FileRole,
    /// Whose.
    pub channel: Channel,
    /// The channel account.
    pub account: String,
    /// The business day.
    pub settlement_date: NaiveDate,
    /// The zone that defines it.
    pub timezone: String,
    /// Where it stands.
    pub status: FileStatus,
    /// How it came.
    pub source: FileSource,
    /// Which reader reads it.
    pub format: FileFormat,
    /// The channel's name of the report.
    pub report_type: Option<String>,
    /// The channel's id of the report run.
    pub external_id: Option<String>,
    /// As the sender called it.
    pub file_name: Option<String>,
    /// Bytes.
    pub file_size: Option<i64>,
    /// SHA-256 of the bytes as received, lower-case hex.
    pub file_hash: Option<String>,
    /// Rows that could be read.
    pub record_count: Option<i64>,
    /// Rows that could not.
    pub reject_count: Option<i64>,
    /// The first of them, with line, column and reason.
    #[schema(value_type = Option<Vec<Object>>)]
    pub rejects: Option<serde_json::Value>,
    /// The row that had these bytes before.
    pub same_as: Option<Uuid>,
    /// The file that corrects this one.
    pub superseded_by: Option<Uuid>,
    /// Why it could not be fetched.
    pub error_message: Option<String>,
    /// Who asked for it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When it was complete on disk.
    pub downloaded_at: Option<DateTime<Utc>>,
}

impl From<file::Model> for SettlementFile {
    fn from(file: file::Model) -> Self {
        Self {
            id: file.id,
            file_no: file.file_no,
            role: file.role,
            channel: file.channel,
            account: file.account,
            settlement_date: file.settlement_date,
            timezone: file.timezone,
            status: file.status,
            source: file.source,
            format: file.format,
            report_type: file.report_type,
            external_id: file.external_id,
            file_name: file.file_name,
            file_size: file.file_size,
            file_hash: file.file_hash,
            record_count: file.record_count,
            reject_count: file.reject_count,
            rejects: file.rejects,
            same_as: file.same_as,
            superseded_by: file.superseded_by,
            error_message: file.error_message,
            created_by: file.created_by,
            created_at: file.created_at,
            downloaded_at: file.downloaded_at,
        }
    }
}

/// What became of an upload.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Uploaded {
    /// The file's row: the new one, or the one that had these bytes before.
    pub file: SettlementFile,
    /// `new`, `correction` (it took the place of another file) or `already_known` (nothing changed).
    pub outcome: String,
    /// The task that reconciles the day again because of a correction.
    pub rerun_task_id: Option<Uuid>,
}

/// The report of a task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The task.
    pub task: Task,
    /// Totals per type and currency, control totals, the tie, rejects and the reasons of the verdict.
    #[schema(value_type = Object)]
    pub summary: Box<RawValue>,
    /// Input hashes, versions and output hash: what it takes to repeat the run and compare.
    #[schema(value_type = Object)]
    pub certificate: serde_json::Value,
    /// The files that were compared.
    pub files: Vec<SettlementFile>,
    /// Every completed run.
    pub runs: Vec<Run>,
    /// How many records stand in which state, by type and currency.
    pub standings: Vec<Standing>,
}

/// A completed run of a task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its number, from 1.
    pub run_no: i64,
    /// Its verdict.
    pub verdict: String,
    /// Differences that the run before did not have.
    pub records_added: i64,
    /// That it had too; their resolutions stand.
    pub records_kept: i64,
    /// That it had and this one has not.
    pub records_gone: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was completed.
    pub completed_at: DateTime<Utc>,
}

impl From<run::Model> for Run {
    fn from(run: run::Model) -> Self {
        Self {
            run_no: run.run_no,
            verdict: run.verdict,
            records_added: run.records_added,
            records_kept: run.records_kept,
            records_gone: run.records_gone,
            started_at: run.started_at,
            completed_at: run.completed_at,
        }
    }
}

/// How many records stand in one state.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// The type of difference.
    pub diff_type: String,
    /// What was done about it.
    pub status: RecordStatus,
    /// The currency of `at_risk`.
    pub currency: String,
    /// How many records.
    pub count: i64,
    /// What they put at risk, minor units.
    pub at_risk: i64,
}

impl From<record::Standing> for Standing {
    fn from(standing: record::Standing) -> Self {
        Self {
            diff_type: standing.diff_type,
            status: standing.status,
            currency: standing.currency,
            count: standing.count,
            at_risk: standing.at_risk,
        }
    }
}

/// What to download.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// `json` or `csv`.
    pub format: String,
}

/// Which days to overlook.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OverviewQuery {
    /// The first day; 30 days before `date_to` when absent.
    pub date_from: Option<NaiveDate>,
    /// The last day; today (UTC) when absent.
    pub date_to: Option<NaiveDate>,
    /// Only this channel.
    pub channel: Option<Channel>,
}

/// The state of reconciliation over some days.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// The first day.
    pub date_from: NaiveDate,
    /// The last day.
    pub date_to: NaiveDate,
    /// Each completed day of each channel, newest first.
    pub days: Vec<OverviewDay>,
    /// Money at risk in records that are not closed, by currency.
    pub open_at_risk: Vec<MoneyAtRisk>,
    /// Records that are not closed, by the age of their business day.
    pub ageing: Vec<AgeBucket>,
}

/// One completed day of one channel.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OverviewDay {
    /// The task.
    pub task_id: Uuid,
    /// Its number.
    pub task_no: String,
    /// The day.
    pub task_date: NaiveDate,
    /// The channel.
    pub channel: Channel,
    /// The verdict.
    pub verdict: Option<String>,
    /// Matched pairs.
    pub matched_count: i64,
    /// Differences.
    pub diff_count: i64,
    /// Records that are not closed.
    pub open_count: i64,
    /// Matched of all compared, as a percentage with two decimals, rounded down; absent when nothing was compared.
    pub match_rate: Option<String>,
}

/// Money at risk in one currency.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MoneyAtRisk {
    /// The currency.
    pub currency: String,
    /// Minor units.
    pub amount: i64,
    /// In how many records.
    pub count: i64,
}

/// Records of one span of age.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgeBucket {
    /// From this many days.
    pub days_from: i64,
    /// To this many days; absent for the last span.
    pub days_to: Option<i64>,
    /// How many records.
    pub count: i64,
}

fn utc() -> String {
    "Etc/UTC".to_owned()
}

fn settlement() -> FileRole {
    FileRole::Settlement
}
