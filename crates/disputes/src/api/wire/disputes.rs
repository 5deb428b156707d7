//! Disputes on the wire.

use chrono::{DateTime, Datelike, Utc};
use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use payops_platform::http::{Problems, check_line, check_text};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::evidence::checklist::ProductType;
use crate::lifecycle::{Action, Phase, Status, actions, enterable};
use crate::model::{Channel, Doubt, LostCause, Outcome, TimelineEvent};
use crate::ops::disputes::Entry;
use crate::store::dispute::Model;
use crate::store::movement::{self, Kind};
use crate::store::timeline;

/// A dispute that is entered.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "channel": "stripe", "payment_no": "PAY-123", "merchant_id": "0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b",
    "amount": 10000, "currency": "USD", "reason": "fraudulent"
}))]
pub struct NewDispute {
    /// Where it was opened.
    pub channel: Channel,
    /// The payment that is disputed.
    #[schema(max_length = 64)]
    pub payment_no: String,
    /// Whose payment it is.
    pub merchant_id: Uuid,
    /// What is disputed, in minor units.
    #[schema(minimum = 1)]
    pub amount: i64,
    /// ISO 4217.
    #[schema(value_type = String)]
    pub currency: Currency,
    /// Why, in the channel's word.
    #[schema(max_length = 100)]
    pub reason: String,
    /// The channel's id of it, where it is known; the channel then says how it stands.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub channel_dispute_id: Option<String>,
    /// What was sold; `physical` unless named.
    #[serde(default)]
    pub product_type: ProductType,
    /// `inquiry` or `chargeback`; the latter unless named.
    #[serde(default)]
    pub phase: NewPhase,
    /// When an answer has to be there; left out: none is expected.
    #[serde(default)]
    pub evidence_due_by: Option<DateTime<Utc>>,
}

/// How a dispute begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewPhase {
    /// A question; no money has moved.
    Inquiry,
    /// The money is withdrawn.
    #[default]
    Chargeback,
}

impl NewDispute {
    /// The entry, or every field that is wrong.
    pub(crate) fn entry(&self) -> Result<Entry> {
        let mut problems = Problems::default();
        problems.note(check_line("payment_no", &self.payment_no, 1, 64));
        problems.note(check_line("reason", &self.reason, 1, 100));
        if self.amount < 1 {
            problems.refuse("amount", "amount must be above 0", "amount 必须大于 0");
        }
        if let Some(id) = &self.channel_dispute_id {
            problems.note(check_channel_id(id));
        }
        if self.evidence_due_by.is_some_and(|due_by| !(1970..=9999).contains(&due_by.year())) {
            problems.refuse(
                "evidence_due_by",
                "evidence_due_by must lie in the years 1970 to 9999",
                "evidence_due_by 必须在 1970 至 9999 年之间",
            );
        }
        problems.none()?;
        Ok(Entry {
            channel: self.channel,
            channel_dispute_id: self.channel_dispute_id.clone(),
            payment_no: self.payment_no.clone(),
            merchant_id: self.merchant_id,
            amount: self.amount,
            currency: self.currency,
            reason: self.reason.clone(),
            product_type: self.product_type,
            inquiry: self.phase == NewPhase::Inquiry,
            evidence_due_by: self.evidence_due_by,
        })
    }
}

/// Refuses what cannot be a channel's id of a dispute, which becomes a part of a path.
pub(crate) fn check_channel_id(id: &str) -> Result<()> {
    check_line("channel_dispute_id", id, 1, 128)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    if id.chars().all(fits) && id.contains(|c: char| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    Err(Error::invalid_field(
        "channel_dispute_id",
        "channel_dispute_id must be made of letters, digits, '_', '-', '.' and ':'",
        "channel_dispute_id 只能由字母、数字以及 _ - . : 组成",
    ))
}

/// How a dispute stands that no channel says it of.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "status": "under_review", "note": "Sent by post." }))]
pub struct StatusChange {
    /// One of the dispute's `allowed_statuses`.
    pub status: Status,
    /// Why, for the timeline.
    #[serde(default)]
    #[schema(max_length = 2000)]
    pub note: Option<String>,
}

impl StatusChange {
    pub(crate) fn check(&self) -> Result<()> {
        self.note.as_deref().map_or(Ok(()), |note| check_text("note", note, 1, 2000))
    }
}

/// What was sold.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "product_type": "digital" }))]
pub struct ProductTypeChange {
    /// `physical`, `digital` or `offline_service`.
    pub product_type: ProductType,
}

/// Who works on a dispute.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "assigned_to": "agent-7" }))]
pub struct Assignment {
    /// The `sub` of the person; null takes it from whoever has it.
    #[schema(max_length = 200)]
    #[serde(deserialize_with = "Option::deserialize")]
    pub assigned_to: Option<String>,
}

impl Assignment {
    pub(crate) fn check(&self) -> Result<()> {
        self.assigned_to.as_deref().map_or(Ok(()), |owner| check_line("assigned_to", owner, 1, 200))
    }
}

/// Something to be written down.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNote {
    /// What.
    #[schema(max_length = 2000)]
    pub note: String,
}

impl NewNote {
    pub(crate) fn check(&self) -> Result<()> {
        check_text("note", &self.note, 1, 2000)
    }
}

/// A dispute.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Dispute {
    /// Its id.
    pub id: Uuid,
    /// Its number, for people.
    pub dispute_no: String,
    /// Where it was opened.
    pub channel: Channel,
    /// The channel's id of it; null: entered by hand, and no channel's dispute was found for it.
    pub channel_dispute_id: Option<String>,
    /// The channel's id of the charge.
    pub channel_charge_id: Option<String>,
    /// The channel's id of the payment, where it has one beside the charge.
    pub channel_payment_id: Option<String>,
    /// Our payment; null: not known yet.
    pub payment_no: Option<String>,
    /// Whose payment it is; null: not known yet.
    pub merchant_id: Option<Uuid>,
    /// What is disputed, in minor units of `currency`.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// Why, in the channel's word.
    pub reason: String,
    /// The card network's code of the reason.
    pub network_reason_code: Option<String>,
    /// The card's brand.
    pub card_brand: Option<String>,
    /// What was sold.
    pub product_type: ProductType,
    /// How far it has gone.
    pub phase: Phase,
    /// Where it stands.
    pub status: Status,
    /// The channel's own word for that.
    pub channel_status: Option<String>,
    /// When an answer has to be there; null: none is expected.
    pub evidence_due_by: Option<DateTime<Utc>>,
    /// Seconds until then; null where no answer is waited for.
    pub seconds_left: Option<i64>,
    /// Whether this phase was answered.
    pub evidence_submitted: bool,
    /// When payops sent that answer.
    pub submitted_at: Option<DateTime<Utc>>,
    /// How many answers the channel has counted, of all phases.
    pub submission_count: i32,
    /// Whether the payment may be refunded now; null: the channel has not said.
    pub is_charge_refundable: Option<bool>,
    /// Who works on it.
    pub assigned_to: Option<String>,
    /// Since when.
    pub assigned_at: Option<DateTime<Utc>>,
    /// How it was decided.
    pub result: Option<Outcome>,
    /// Why it was lost, where it was.
    pub lost_cause: Option<LostCause>,
    /// When it ended.
    pub closed_at: Option<DateTime<Utc>>,
    /// What a person should look at.
    pub doubt: Option<Doubt>,
    /// When the channel was read last; null: never.
    pub channel_read_at: Option<DateTime<Utc>>,
    /// What can be done now.
    pub allowed_actions: Vec<Action>,
    /// What can be entered as its status.
    pub allowed_statuses: Vec<Status>,
    /// Who entered it.
    pub created_by: String,
    /// Grows with every change; also the `ETag`.
    pub version: i64,
    /// When it was opened.
    pub disputed_at: DateTime<Utc>,
    /// When it became known here.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

impl Dispute {
    /// As it is shown at `now`, which what can be done depends on.
    pub(crate) fn at(now: Timestamp, row: Model) -> Self {
        let (state, owner) = (row.state(), row.owner());
        let left = row.evidence_due_by.filter(|_| row.status.awaits_answer());
        Self {
            allowed_actions: actions(state, owner, row.deadline_passed(now)),
            allowed_statuses: enterable(state, owner).to_vec(),
            seconds_left: left.map(|due| (due - now).num_seconds().max(0)),
            id: row.id,
            dispute_no: row.dispute_no,
            channel: row.channel,
            channel_dispute_id: row.channel_dispute_id,
            channel_charge_id: row.channel_charge_id,
            channel_payment_id: row.channel_payment_id,
            payment_no: row.payment_no,
            merchant_id: row.merchant_id,
            amount: row.amount,
            currency: row.currency,
            reason: row.reason,
            network_reason_code: row.network_reason_code,
            card_brand: row.card_brand,
            product_type: row.product_type,
            phase: row.phase,
            status: row.status,
            channel_status: row.channel_status,
            evidence_due_by: row.evidence_due_by,
            evidence_submitted: row.evidence_submitted,
            submitted_at: row.submitted_at,
            submission_count: row.submission_count,
            is_charge_refundable: row.is_charge_refundable,
            assigned_to: row.assigned_to,
            assigned_at: row.assigned_at,
            result: row.result,
            lost_cause: row.lost_cause,
            closed_at: row.closed_at,
            doubt: row.doubt,
            channel_read_at: row.channel_read_at,
            created_by: row.created_by,
            version: row.version,
            disputed_at: row.disputed_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A dispute with the money that moved.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct DisputeWithMoney {
    /// The dispute.
    #[serde(flatten)]
    pub dispute: Dispute,
    /// What the channel took and gave back, the first first.
    pub money_movements: Vec<MoneyMovement>,
}

/// Money that moved, in the currency that the channel settles in.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct MoneyMovement {
    /// Which way.
    pub kind: Kind,
    /// Minor units; below zero: taken from us.
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// The channel's id of it.
    pub channel_transaction_id: String,
    /// The channel's words for it.
    pub description: Option<String>,
    /// When it moved.
    pub occurred_at: DateTime<Utc>,
}

impl From<movement::Model> for MoneyMovement {
    fn from(row: movement::Model) -> Self {
        Self {
            kind: row.kind,
            amount: row.amount,
            currency: row.currency,
            channel_transaction_id: row.channel_transaction_id,
            description: row.description,
            occurred_at: row.occurred_at,
        }
    }
}

/// Something that happened to a dispute.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TimelineRow {
    /// Its number: 1, 2, 3, … of the dispute, without gaps.
    pub seq: i64,
    /// What happened.
    pub event_type: TimelineEvent,
    /// `person`, `merchant`, `service` or `system`.
    pub actor_kind: String,
    /// Who.
    pub actor: String,
    /// From where: `api`, `channel` or `job`.
    pub source: String,
    /// What was before and after, or what was said.
    pub detail: serde_json::Value,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl From<timeline::Model> for TimelineRow {
    fn from(row: timeline::Model) -> Self {
        Self {
            seq: row.seq,
            event_type: row.event_type,
            actor_kind: row.actor_kind,
            actor: row.actor,
            source: row.source,
            detail: row.detail,
            created_at: row.created_at,
        }
    }
}
