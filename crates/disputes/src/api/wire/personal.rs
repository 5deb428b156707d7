//! Personal data on the wire.

use chrono::{DateTime, Utc};
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use payops_platform::http::{check_line, check_text};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Dispute, Evidence};
use crate::ops::evidence::Opened;
use crate::ops::packet::Manifest;
use crate::ops::personal::{Erased, Known, Subject};
use crate::store::submission::SubmissionState;

/// As long as the text of the evidence may be.
const MOST_ADDRESS: usize = 5_000;

/// Whom personal data is of: one of the two.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "customer_email": "mia@customer.example" }))]
pub struct SubjectQuery {
    /// The customer's e-mail address; blanks around it and case do not matter. All disputes in whose evidence it stands or
    /// stood, ours or the channel's.
    #[serde(default)]
    #[schema(max_length = 5000)]
    pub customer_email: Option<String>,
    /// One dispute, where no address is known.
    #[serde(default)]
    pub dispute_id: Option<Uuid>,
}

impl SubjectQuery {
    pub(crate) fn subject(&self) -> Result<Subject> {
        match (&self.customer_email, self.dispute_id) {
            (Some(address), None) => {
                let address = address.trim();
                check_line("customer_email", address, 1, MOST_ADDRESS)?;
                Ok(Subject::Customer(address.to_owned()))
            }
            (None, Some(id)) => Ok(Subject::Of(id)),
            _ => Err(Error::invalid_field(
                "customer_email",
                "give customer_email or dispute_id: one of them",
                "customer_email 与 dispute_id 必须且只能填写一个",
            )),
        }
    }
}

/// Whose personal data is to be erased, and why.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "customer_email": "mia@customer.example", "reason": "Request 2027-118 of the customer." }))]
pub struct ErasureOrder {
    /// The customer's e-mail address; blanks around it and case do not matter. All disputes in whose evidence it stands or
    /// stood, ours or the channel's.
    #[serde(default)]
    #[schema(max_length = 5000)]
    pub customer_email: Option<String>,
    /// One dispute, where no address is known.
    #[serde(default)]
    pub dispute_id: Option<Uuid>,
    /// Why, for the timelines, which keep it: it must not hold the address.
    #[schema(max_length = 500)]
    pub reason: String,
}

impl ErasureOrder {
    pub(crate) fn order(&self) -> Result<(Subject, String)> {
        let query = SubjectQuery { customer_email: self.customer_email.clone(), dispute_id: self.dispute_id };
        let (subject, reason) = (query.subject()?, self.reason.trim());
        check_text("reason", reason, 1, 500)?;
        if let Subject::Customer(address) = &subject
            && reason.to_lowercase().contains(&address.to_lowercase())
        {
            return Err(Error::invalid_field(
                "reason",
                "it is kept, and must not hold the address that is to be forgotten",
                "删除原因会被保留，不能包含要删除的邮箱地址",
            ));
        }
        Ok((subject, reason.to_owned()))
    }
}

/// Everything personal that is known.
#[derive(Serialize, ToSchema)]
pub struct PersonalData {
    /// When it was looked up.
    pub exported_at: DateTime<Utc>,
    /// By dispute, the oldest first.
    pub disputes: Vec<DisputeData>,
}

/// What is known from one dispute.
#[derive(Serialize, ToSchema)]
pub struct DisputeData {
    /// The dispute.
    pub dispute: Dispute,
    /// When personal data of it was erased last; null: never.
    pub erased_at: Option<DateTime<Utc>>,
    /// The evidence, with what was deleted or replaced.
    pub evidence: Vec<EvidenceData>,
    /// What was or is to be sent to the channel.
    pub packets: Vec<PacketData>,
    /// The channel's dispute as it was last read.
    #[schema(value_type = Option<Object>)]
    pub channel_object: Option<Value>,
}

/// A piece of evidence, and where its content is.
#[derive(Serialize, ToSchema)]
pub struct EvidenceData {
    /// The piece.
    #[serde(flatten)]
    pub evidence: Evidence,
    /// When it was deleted or replaced; null: it counts.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Where an admin gets its file or text, also after it was deleted; null: it was erased.
    pub content: Option<String>,
}

/// What was sent to the channel, or is to be.
#[derive(Serialize, ToSchema)]
pub struct PacketData {
    /// The number of the submission.
    pub number: i32,
    /// How far that has come.
    pub state: SubmissionState,
    /// What is in it. Its files are those of the evidence, those of a kind as one.
    pub packet: Manifest,
}

impl PersonalData {
    pub(crate) fn of(now: Timestamp, known: Vec<Known>) -> Self {
        let disputes = known.into_iter().map(|known| DisputeData::at(now, known)).collect();
        Self { exported_at: now, disputes }
    }
}

impl DisputeData {
    fn at(now: Timestamp, known: Known) -> Self {
        let packets = known.packets.into_iter();
        Self {
            dispute: Dispute::at(now, known.dispute),
            erased_at: known.erased_at,
            evidence: known.evidence.into_iter().map(Into::into).collect(),
            packets: packets
                .map(|(row, packet)| PacketData { number: row.number, state: row.state, packet })
                .collect(),
            channel_object: known.channel_object,
        }
    }
}

impl From<Opened> for EvidenceData {
    fn from(piece: Opened) -> Self {
        let content = piece.personal.as_ref().map(|_| Evidence::content_path(piece.row.id));
        Self { deleted_at: piece.row.deleted_at, content, evidence: piece.into() }
    }
}

/// What was erased.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    /// The disputes of which nothing personal is known any more.
    pub disputes: Vec<ErasedDispute>,
}

/// A dispute of which nothing personal is known any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErasedDispute {
    /// Its id.
    pub dispute_id: Uuid,
    /// Its number, for people.
    pub dispute_no: String,
    /// Since when.
    pub erased_at: DateTime<Utc>,
}

impl Erasure {
    pub(crate) fn of(erased: Vec<Erased>) -> Self {
        let told = |Erased { dispute, at }| ErasedDispute {
            dispute_id: dispute.id,
            dispute_no: dispute.dispute_no,
            erased_at: at,
        };
        Self { disputes: erased.into_iter().map(told).collect() }
    }
}
