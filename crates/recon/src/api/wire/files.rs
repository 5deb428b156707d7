//! Files on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::utc;
use crate::model::{Channel, FileFormat, FileRole, FileSource, FileStatus};
use crate::store::file;

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

/// Takes a bank statement out of force.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note": "the statement of another company" }))]
pub struct WithdrawFile {
    /// Why.
    #[schema(min_length = 1, max_length = 2000)]
    pub note: String,
}

/// What became of a withdrawn file.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Withdrawn {
    /// The file's row.
    pub file: SettlementFile,
    /// The tasks that reconcile days again without it. Others, of days whose payouts it took back, may follow.
    pub rerun_task_ids: Vec<Uuid>,
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
    /// Of these, rows of the business day; a row without a time counts as one.
    pub day_record_count: Option<i64>,
    /// Of a bank statement, the first day that it tells of.
    pub covers_from: Option<NaiveDate>,
    /// And the last one.
    pub covers_to: Option<NaiveDate>,
    /// The bank accounts that it is about, each with its currency and as all of its forms are read: `DE89… EUR`.
    pub bank_accounts: Option<String>,
    /// Rows that could not.
    pub reject_count: Option<i64>,
    /// The first of them, with line, column and reason.
    #[schema(value_type = Option<Vec<Object>>)]
    pub rejects: Option<serde_json::Value>,
    /// The row that had these bytes before.
    pub same_as: Option<Uuid>,
    /// The file that corrects this one; of one that was withdrawn, none.
    pub superseded_by: Option<Uuid>,
    /// Why it could not be fetched, or by whom it was withdrawn and why; of a bank statement in force, why it could not be read
    /// again after an upgrade.
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
            day_record_count: file.day_record_count,
            covers_from: file.covers_from,
            covers_to: file.covers_to,
            bank_accounts: Some(file.bank_accounts).filter(|accounts| !accounts.is_empty()),
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
    /// `new`, `correction` (it took the place of another file) or `already_known` (these bytes were there already).
    pub outcome: String,
    /// The task that reconciles the day again because of this file; of several days, the first.
    pub rerun_task_id: Option<Uuid>,
    /// All tasks that do: a bank statement may tell of payouts of several days.
    #[serde(default)]
    pub rerun_task_ids: Vec<Uuid>,
}

fn settlement() -> FileRole {
    FileRole::Settlement
}
