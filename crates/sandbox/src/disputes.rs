//! Disputes on demand: made, decided and brought to their deadline, over HTTP or on the handle.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use chrono::TimeDelta;
use http::StatusCode;
use payops_core::currency::Currency;
use payops_core::time::{Clock, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Refusal, body_of};
use crate::server::{SandboxHandle, Shared};
use crate::stripe::{
    Account, Act, Capture, Card, DisputeStatus, EvidenceUpdate, NewCharge, NewDispute, Payer,
};

/// A dispute to be made, with the charge under it unless one is named.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisputeOrder {
    /// What is disputed, in minor units; 1 to 99,999,999.
    pub amount: i64,
    /// The currency of the charge; `usd` unless told otherwise.
    #[serde(default = "usd")]
    pub currency: String,
    /// A charge of the sandbox that is disputed; one is made when there is none.
    #[serde(default)]
    pub charge: Option<String>,
    /// Stripe's word for the reason.
    #[serde(default = "fraudulent")]
    pub reason: String,
    /// Where it shall stand. What leads there happens at once, with its events.
    #[serde(default = "needs_response")]
    pub status: DisputeStatus,
    /// Unix seconds by which it must be answered: `None` for the usual eight days, 0 when no answer is allowed, and
    /// it is lost at once.
    #[serde(default)]
    pub due_by: Option<i64>,
    /// The network's code of the reason.
    #[serde(default)]
    pub network_reason_code: Option<String>,
    /// `block`, `chargeback`, `compliance`, `inquiry` or `resolution`; follows from the status unless given.
    #[serde(default)]
    pub case_type: Option<String>,
    /// The card of the charge that is made.
    #[serde(default)]
    pub card: Option<String>,
    /// Metadata of the charge that is made.
    #[serde(default)]
    pub charge_metadata: BTreeMap<String, String>,
    /// Metadata of the dispute.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
    /// The customer of the charge that is made.
    #[serde(default)]
    pub customer_name: Option<String>,
    /// The address that its receipt goes to.
    #[serde(default)]
    pub receipt_email: Option<String>,
    /// What was bought.
    #[serde(default)]
    pub description: Option<String>,
}

fn usd() -> String {
    "usd".to_owned()
}

fn fraudulent() -> String {
    "fraudulent".to_owned()
}

fn needs_response() -> DisputeStatus {
    DisputeStatus::NeedsResponse
}

impl DisputeOrder {
    /// A fraudulent chargeback in dollars that needs an answer in the usual time.
    pub fn of(amount: i64) -> Self {
        Self {
            amount,
            currency: usd(),
            charge: None,
            reason: fraudulent(),
            status: needs_response(),
            due_by: None,
            network_reason_code: None,
            case_type: None,
            card: None,
            charge_metadata: BTreeMap::new(),
            metadata: BTreeMap::new(),
            customer_name: None,
            receipt_email: None,
            description: None,
        }
    }

    fn case_type(&self) -> Result<String, String> {
        use DisputeStatus::{Prevented, WarningClosed, WarningNeedsResponse, WarningUnderReview};
        let possible: &[&str] = match self.status {
            WarningNeedsResponse | WarningUnderReview | WarningClosed => &["inquiry"],
            Prevented => &["resolution", "block"],
            _ => &["chargeback", "compliance"],
        };
        let case_type = self.case_type.as_deref().unwrap_or(possible[0]);
        if possible.contains(&case_type) {
            return Ok(case_type.to_owned());
        }
        let status = self.status.as_str();
        Err(format!(
            "a dispute that is {status} cannot have the case type {case_type}; {possible:?} are possible"
        ))
    }

    fn new_charge(&self) -> Result<NewCharge, String> {
        let name = self.card.as_deref().unwrap_or("pm_card_visa");
        let currency = Currency::parse(self.currency.as_bytes()).map_err(|error| error.to_string())?;
        Ok(NewCharge {
            amount: self.amount,
            currency: currency.as_str().to_ascii_lowercase(),
            card: Card::named(name).ok_or_else(|| format!("{name} is no card of the test mode"))?,
            capture: Capture::Automatic,
            customer: None,
            description: self.description.clone(),
            receipt_email: self.receipt_email.clone(),
            payer: Payer { name: self.customer_name.clone(), ..Payer::default() },
            metadata: self.charge_metadata.clone(),
        })
    }

    fn carry_out(self, account: &mut Account, act: &mut Act<'_>) -> Result<Value, String> {
        if !(1..=99_999_999).contains(&self.amount) {
            return Err("amount must be from 1 to 99999999 minor units".to_owned());
        }
        let case_type = self.case_type()?;
        let charge = if let Some(id) = &self.charge {
            let known = account.charge(id).map(|charge| charge.id.clone());
            known.ok_or_else(|| format!("there is no charge {id}"))?
        } else {
            let made = account.make_charge(act, self.new_charge()?, None);
            made.map_err(|_| "the card of the charge is declined".to_owned())?
        };
        let new = NewDispute {
            charge,
            amount: self.amount,
            reason: self.reason,
            network_code: self.network_reason_code,
            case_type,
            due_by: self.due_by,
            metadata: self.metadata,
        };
        let id = account.open_dispute(act, new).ok_or("the charge is not there")?;
        match self.status {
            DisputeStatus::UnderReview | DisputeStatus::WarningUnderReview => {
                let sent = account.update_dispute(act, &id, EvidenceUpdate::submission(), |_| ());
                sent.map_err(|_| "a dispute of such a card cannot be submitted without evidence".to_owned())?;
            }
            status => {
                // Those that it has from the start cannot be decided, and need not be.
                account.decide(act, &id, status);
            }
        }
        Ok(account.object(act.settings, &id).unwrap_or_default())
    }
}

impl Shared {
    fn make_dispute(&self, order: DisputeOrder) -> Result<Value, String> {
        self.with_account(None, |account, act| order.carry_out(account, act))
    }

    fn decide_dispute(&self, id: &str, to: DisputeStatus) -> Result<Value, String> {
        self.with_account(None, |account, act| {
            let dispute = account.dispute(id).ok_or_else(|| format!("there is no dispute {id}"))?;
            let from = dispute.status().as_str();
            if account.decide(act, id, to) {
                return Ok(account.object(act.settings, id).unwrap_or_default());
            }
            Err(format!("a dispute that is {from} cannot become {}", to.as_str()))
        })
    }

    /// Moves the clock to so long before the deadline of a dispute; a negative time is after it.
    pub(crate) fn jump_to_deadline(&self, id: &str, before: TimeDelta) -> Result<Timestamp, String> {
        let due_by = self.with_account(None, |account, _| {
            let dispute = account.dispute(id).ok_or_else(|| format!("there is no dispute {id}"))?;
            dispute.due_by().ok_or_else(|| format!("the dispute {id} has no deadline"))
        })?;
        let due_by = chrono::DateTime::from_timestamp(due_by, 0).ok_or("the deadline is out of range")?;
        self.jump_to(due_by - before)
    }

    /// Moves the clock ahead to an instant, and does what is due by then.
    pub(crate) fn jump_to(&self, to: Timestamp) -> Result<Timestamp, String> {
        let now = self.clock.now();
        if to < now {
            return Err(format!("the clock shows {now} and is only moved ahead, not back to {to}"));
        }
        self.advance(to - now).map_err(|error| error.to_string())?;
        self.settle_books();
        Ok(to)
    }
}

impl SandboxHandle {
    /// Makes a dispute, as the API shows it.
    pub fn make_dispute(&self, order: DisputeOrder) -> Result<Value, String> {
        self.shared.make_dispute(order)
    }

    /// A dispute as the API shows it.
    pub fn dispute(&self, id: &str) -> Option<Value> {
        self.shared
            .with_account(None, |account, _| account.dispute(id).map(|one| account.dispute_object(one)))
    }

    /// Has the issuer decide. `Won` also turns a lost dispute (a late win); `NeedsResponse` makes an inquiry a
    /// chargeback under the same id.
    pub fn decide_dispute(&self, id: &str, to: DisputeStatus) -> Result<Value, String> {
        self.shared.decide_dispute(id, to)
    }

    /// Moves the sandbox's clock ahead to an instant; everything due until then happens, each at its own time.
    pub fn advance_to(&self, to: Timestamp) -> Result<(), String> {
        self.shared.jump_to(to).map(drop)
    }

    /// Moves the sandbox's clock to so long before the deadline of a dispute.
    pub fn advance_to_deadline(&self, dispute: &str, before: TimeDelta) -> Result<Timestamp, String> {
        self.shared.jump_to_deadline(dispute, before)
    }

    /// Answers at most so many calls in a second of the sandbox's clock; `None` for no limit.
    pub fn set_rate_limit(&self, per_second: Option<u32>) {
        self.shared.rate_limit.set(per_second);
    }
}

/// Everything about disputes that is the sandbox's own.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/sandbox/disputes", post(create))
        .route("/sandbox/disputes/{id}/decide", post(decide))
        .route("/sandbox/disputes/{id}/escalate", post(escalate))
        .route("/sandbox/disputes/{id}/late_win", post(late_win))
        .route("/sandbox/rate_limit", post(limit))
}

async fn create(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    let made = shared.make_dispute(body_of(&body)?).map_err(Refusal::bad)?;
    Ok((StatusCode::CREATED, Json(made)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    status: DisputeStatus,
}

async fn decide(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, Refusal> {
    let Decision { status } = body_of(&body)?;
    shared.decide_dispute(&id, status).map(Json).map_err(Refusal::bad)
}

async fn escalate(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    shared.decide_dispute(&id, DisputeStatus::NeedsResponse).map(Json).map_err(Refusal::bad)
}

async fn late_win(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let is_lost = shared.with_account(None, |account, _| {
        account.dispute(&id).is_some_and(|dispute| dispute.status() == DisputeStatus::Lost)
    });
    if !is_lost {
        return Err(Refusal::bad(format!("{id} is no dispute that is lost")));
    }
    shared.decide_dispute(&id, DisputeStatus::Won).map(Json).map_err(Refusal::bad)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    per_second: Option<u32>,
}

async fn limit(State(shared): State<Arc<Shared>>, body: Bytes) -> Result<Json<Value>, Refusal> {
    let Limit { per_second } = body_of(&body)?;
    shared.rate_limit.set(per_second);
    Ok(Json(json!({ "per_second": per_second })))
}
