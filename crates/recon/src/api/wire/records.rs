//! Records, and what people do about them, on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::model::{Channel, ReasonCode, RecordStatus};
use crate::store::record;

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
    /// `matched`, `within_tolerance`, `carried`, `netted`, `platform_only`, `channel_only`, `amount_diff`, `status_diff`,
    /// `currency_diff`, `duplicate_platform`, `duplicate_channel`, `ambiguous`, `timing`, or of payouts against the bank
    /// `payout_missing`, `payout_short`, `payout_excess`, `payout_unknown` or `payout_ambiguous`: then the channel's
    /// columns are the payouts', and the platform's are the bank's.
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
    /// The rule of tolerance that allows the gap of a `within_tolerance` pair.
    pub tolerance_rule: Option<String>,
    /// What is booked as an adjustment: the channel's amount less ours, by the rule, or with the candidate that was chosen (then
    /// on our row's record alone).
    pub adjustment: Option<i64>,
    /// How many rows of the other side an `ambiguous` one could belong to.
    pub candidate_count: Option<i64>,
    /// The first ten of them.
    #[serde(default)]
    pub candidates: Vec<Candidate>,
    /// The record of the candidate that was chosen: both were closed together.
    pub paired_with: Option<Uuid>,
    /// When a later run no longer had it.
    pub gone_at: Option<DateTime<Utc>>,
    /// Grows with each change; give it back in `If-Match`.
    pub version: i64,
    /// When it was found.
    pub created_at: DateTime<Utc>,
    /// When it was last changed.
    pub updated_at: DateTime<Utc>,
    /// The business day that its age is counted from: that of an earlier day's row, where it tells of one.
    pub first_date: NaiveDate,
    /// The record of that row on its first day.
    pub carried_from: Option<Uuid>,
}

impl From<record::Model> for Record {
    fn from(record: record::Model) -> Self {
        // What cannot be read here is an error where the record itself is asked for.
        let candidates = record.candidates().unwrap_or_default();
        Self {
            tolerance_rule: record.tolerance_rule,
            adjustment: record.adjustment,
            candidate_count: record.candidate_count,
            candidates: candidates.into_iter().map(Candidate::from).collect(),
            paired_with: record.paired_with,
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
            first_date: record.first_date.unwrap_or(record.task_date),
            carried_from: record.carried_from,
        }
    }
}

/// A row of the other side that an ambiguous one could belong to.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Candidate {
    /// The line in the other side's file; absent for a row of an earlier day.
    pub line: Option<i64>,
    /// Its amount, minor units.
    pub amount: i64,
    /// The currency of `amount`.
    pub currency: String,
    /// The row's own id: the platform's number, or the channel's id of its row.
    pub row_id: Option<String>,
    /// When the money moved, as it stands in the source.
    pub occurred_at: Option<String>,
    /// Its record, by which it is chosen. Told where one record is asked for, absent in lists and reports.
    pub record_id: Option<Uuid>,
    /// Of a row of an earlier day: the record of that row on its first day.
    pub carried_from: Option<Uuid>,
}

impl From<record::Candidate> for Candidate {
    fn from(candidate: record::Candidate) -> Self {
        Self {
            line: candidate.line,
            amount: candidate.amount,
            currency: candidate.currency,
            row_id: candidate.row_id,
            occurred_at: candidate.occurred_at,
            record_id: None,
            carried_from: candidate.carried_from,
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
    /// Of an `ambiguous` record: the record of the candidate that it belongs to. Both are closed, and the gap is booked.
    #[serde(default)]
    pub candidate_record_id: Option<Uuid>,
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
