//! Disputes: what they are and how the API shows them.

use std::collections::BTreeMap;

use chrono::{Days, NaiveTime, TimeDelta};
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::evidence::FIELDS;
use super::{Account, BalanceTransaction};

/// How many days after its creation a dispute of the test mode must be answered, until the last second.
const DAYS_TO_ANSWER: u64 = 8;

/// Where a dispute stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStatus {
    /// An inquiry waits for an answer.
    WarningNeedsResponse,
    /// An inquiry was answered.
    WarningUnderReview,
    /// An inquiry came to nothing.
    WarningClosed,
    /// A chargeback waits for evidence.
    NeedsResponse,
    /// The issuer looks at the evidence.
    UnderReview,
    /// The money came back.
    Won,
    /// The money is gone.
    Lost,
    /// It was settled before it became a dispute.
    Prevented,
}

impl DisputeStatus {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WarningNeedsResponse => "warning_needs_response",
            Self::WarningUnderReview => "warning_under_review",
            Self::WarningClosed => "warning_closed",
            Self::NeedsResponse => "needs_response",
            Self::UnderReview => "under_review",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Prevented => "prevented",
        }
    }

    pub(super) fn is_inquiry(self) -> bool {
        matches!(self, Self::WarningNeedsResponse | Self::WarningUnderReview | Self::WarningClosed)
    }

    pub(super) fn is_closed(self) -> bool {
        matches!(self, Self::WarningClosed | Self::Won | Self::Lost | Self::Prevented)
    }
}

/// What an issuer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Won,
    Lost,
    Escalated,
}

/// A dispute as it shall be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewDispute {
    pub(crate) charge: String,
    /// Minor units of the charge's currency.
    pub(crate) amount: i64,
    pub(crate) reason: String,
    pub(crate) network_code: Option<String>,
    /// `block`, `chargeback`, `compliance`, `inquiry` or `resolution`.
    pub(crate) case_type: String,
    /// Unix seconds; `None` for the usual time, 0 when no answer is allowed.
    pub(crate) due_by: Option<i64>,
    pub(crate) metadata: BTreeMap<String, String>,
}

/// A dispute.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dispute {
    pub(crate) id: String,
    pub(crate) charge: String,
    pub(crate) payment_intent: Option<String>,
    pub(crate) created: i64,
    pub(super) customer: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) reason: String,
    pub(super) network_code: Option<String>,
    pub(super) case_type: String,
    pub(super) brand: String,
    pub(super) status: DisputeStatus,
    pub(super) due_by: Option<i64>,
    pub(super) submission_count: u32,
    /// The merchant has staged or sent something.
    pub(super) has_evidence: bool,
    pub(super) evidence: BTreeMap<String, String>,
    pub(super) enhanced: Map<String, Value>,
    /// The additional evidence that it can take, if any.
    pub(super) enhanced_eligibility: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    /// Ids.
    pub(super) balance_transactions: Vec<String>,
}

impl Dispute {
    /// Where it stands.
    pub(crate) fn status(&self) -> DisputeStatus {
        self.status
    }

    /// When its answer is due, Unix seconds; `None` when none is expected.
    pub(crate) fn due_by(&self) -> Option<i64> {
        self.due_by.filter(|seconds| *seconds > 0)
    }

    pub(super) fn is_refundable(&self) -> bool {
        match self.status {
            DisputeStatus::Won => true,
            DisputeStatus::Prevented => self.case_type == "block",
            status => status.is_inquiry(),
        }
    }

    fn evidence_object(&self) -> Value {
        let mut object: Map<String, Value> =
            FIELDS.iter().map(|(name, _)| ((*name).to_owned(), json!(self.evidence.get(*name)))).collect();
        object.insert("enhanced_evidence".to_owned(), Value::Object(self.enhanced.clone()));
        Value::Object(object)
    }

    fn details_object(&self) -> Value {
        let eligibility = match self.enhanced_eligibility.as_deref() {
            Some(name) => json!({ name: self.eligibility_of(name) }),
            None => json!({}),
        };
        json!({
            "due_by": self.due_by,
            "enhanced_eligibility": eligibility,
            "has_evidence": self.has_evidence,
            "past_due": false,
            "submission_count": self.submission_count,
        })
    }

    fn eligibility_of(&self, name: &str) -> Value {
        if name != "visa_compelling_evidence_3" {
            let status =
                if self.has_acknowledged_fee() { "fee_acknowledged" } else { "requires_fee_acknowledgement" };
            return json!({ "status": status });
        }
        let given = self.enhanced.get(name);
        let prior = given.and_then(|given| given["prior_undisputed_transactions"].as_array());
        if prior.is_some_and(|prior| prior.len() == 2) {
            json!({ "required_actions": [], "status": "qualified" })
        } else {
            let actions = ["missing_prior_undisputed_transactions", "missing_customer_identifiers"];
            json!({ "required_actions": actions, "status": "requires_action" })
        }
    }

    /// Whether the fee of a compliance case is acknowledged, where there is one.
    pub(super) fn has_acknowledged_fee(&self) -> bool {
        let name = self.enhanced_eligibility.as_deref().unwrap_or_default();
        let given = self.enhanced.get(name).map(|given| &given["fee_acknowledged"]);
        given.is_some_and(|given| *given == json!(true))
    }
}

/// The last second of the day by which a dispute that is made at `now` must be answered.
pub(super) fn usual_deadline(now: Timestamp) -> i64 {
    let last_second = NaiveTime::from_hms_opt(23, 59, 59).unwrap_or_default();
    let day = now.date_naive().checked_add_days(Days::new(DAYS_TO_ANSWER));
    day.map_or_else(
        || (now + TimeDelta::days(8)).timestamp(),
        |day| day.and_time(last_second).and_utc().timestamp(),
    )
}

impl Account {
    pub(crate) fn dispute_object(&self, dispute: &Dispute) -> Value {
        let rows = dispute.balance_transactions.iter().filter_map(|id| self.balance_transaction(id));
        let rows: Vec<Value> = rows.map(BalanceTransaction::object).collect();
        let types: Vec<&str> = dispute.enhanced_eligibility.as_deref().into_iter().collect();
        json!({
            "id": dispute.id,
            "object": "dispute",
            "amount": dispute.amount,
            "balance_transaction": dispute.balance_transactions.first(),
            "balance_transactions": rows,
            "charge": dispute.charge,
            "created": dispute.created,
            "currency": dispute.currency,
            "customer": dispute.customer,
            "enhanced_eligibility_types": types,
            "evidence": dispute.evidence_object(),
            "evidence_details": dispute.details_object(),
            "is_charge_refundable": dispute.is_refundable(),
            "livemode": false,
            "metadata": dispute.metadata,
            "payment_intent": dispute.payment_intent,
            "payment_method_details": {
                "card": {
                    "brand": dispute.brand,
                    "case_type": dispute.case_type,
                    "network": dispute.brand,
                    "network_reason_code": dispute.network_code,
                },
                "type": "card",
            },
            "reason": dispute.reason,
            "status": dispute.status.as_str(),
        })
    }

    pub(super) fn object_of(&self, dispute: &str) -> Value {
        self.dispute(dispute).map_or(Value::Null, |dispute| self.dispute_object(dispute))
    }
}
