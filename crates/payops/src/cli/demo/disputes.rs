//! Three disputes of Stripe's and what becomes of them, on a clock that jumps: one that is answered and won, one that nobody
//! answers, and an inquiry that becomes a chargeback and is answered while nobody is awake.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::TimeDelta;
use payops_core::time::Timestamp;
use payops_sandbox::{DisputeOrder, DisputeStatus, SandboxHandle};
use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Api;
use super::clock::DemoClock;

/// How often a dispute is looked at: below the budget of calls that a person has.
const LOOK: Duration = Duration::from_secs(1);
/// How long the service may take for a step.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long an issuer takes to decide, in the demo.
pub(super) const DECISION: TimeDelta = TimeDelta::days(1);
/// An answer that is held goes out six hours before its deadline.
const AFTER_IT_WENT_OUT: TimeDelta = TimeDelta::hours(5);

/// What the story is told with.
pub(super) struct Stage<'a> {
    pub(super) api: &'a Api,
    pub(super) stripe: &'a SandboxHandle,
    pub(super) clock: &'a DemoClock,
    pub(super) merchant: Uuid,
}

/// A dispute, and how it must end.
struct Case {
    what: &'static str,
    /// Stripe's id.
    stripes: String,
    status: &'static str,
    lost_cause: Option<&'static str>,
    answers: i64,
    /// What the channel took and gave back, in order.
    movements: &'static [&'static str],
}

/// Lives through the three disputes and prints what came out; true when each ended as it must.
pub(super) async fn tell(stage: &Stage<'_>) -> Result<bool> {
    println!();
    println!("Three disputes, on a clock that jumps to their deadlines:");
    println!();
    let begun = stage.clock.now();
    let case = |what, order, status, lost_cause, answers, movements| {
        let stripes = stage.opened(order)?;
        anyhow::Ok(Case { what, stripes, status, lost_cause, answers, movements })
    };
    let returned = &["withdrawn", "fee", "reinstated"][..];
    let chargeback = DisputeStatus::NeedsResponse;
    let answered = case("answered", (1, chargeback), "won", None, 1, returned)?;
    let forgotten =
        case("answered by nobody", (2, chargeback), "lost", Some("expired"), 0, &["withdrawn", "fee"])?;
    let inquiry = (3, DisputeStatus::WarningNeedsResponse);
    let escalated = case("inquiry, then chargeback", inquiry, "won", None, 2, returned)?;

    let id = stage.seen(&answered).await?;
    stage.seen(&forgotten).await?;
    stage.text(&id, "product_description", "Two oak chairs, delivered and signed for.").await?;
    // Stripe's test mode decides by this word.
    stage.text(&id, "uncategorized_text", "winning_evidence").await?;
    stage.submit(&id, &json!({})).await?;
    let inquiry = stage.seen(&escalated).await?;
    stage.text(&inquiry, "product_description", "A year's subscription, cancelled by nobody.").await?;
    stage.submit(&inquiry, &json!({})).await?;
    stage.until(&answered, |dispute| dispute["status"] == "under_review").await?;
    stage.until(&escalated, |dispute| dispute["status"] == "warning_under_review").await?;

    stage.clock.pass_until(begun + DECISION + TimeDelta::hours(1), stage.stripe)?;
    stage.until(&answered, |dispute| dispute["status"] == "won").await?;
    stage.stripe.decide_dispute(&escalated.stripes, chargeback).map_err(anyhow::Error::msg)?;
    let dispute = stage.until(&escalated, |dispute| dispute["status"] == "needs_response").await?;
    stage.text(&inquiry, "uncategorized_text", "winning_evidence").await?;
    stage.submit(&inquiry, &json!({ "hold": "until_deadline" })).await?;
    let deadline = deadline(&dispute)?;
    stage.clock.pass_until(deadline - AFTER_IT_WENT_OUT, stage.stripe)?;
    stage.until(&escalated, |dispute| dispute["status"] == "under_review").await?;
    stage.until(&forgotten, |dispute| dispute["status"] == "lost").await?;
    stage.clock.pass_until(stage.clock.now() + DECISION + TimeDelta::hours(1), stage.stripe)?;
    stage.until(&escalated, |dispute| dispute["status"] == "won").await?;

    println!("{:<26} {:<14} {:<12} {:>7}  {:<34} dispute", "", "status", "lost cause", "answers", "money");
    let mut as_expected = true;
    for case in [&answered, &forgotten, &escalated] {
        as_expected &= stage.print(case).await?;
    }
    println!();
    let days = (stage.clock.now() - begun).num_days();
    println!(
        "Disputes {}; {days} days passed",
        if as_expected { "ended as they must, each of them" } else { "DID NOT END AS THEY MUST" }
    );
    Ok(as_expected)
}

fn deadline(dispute: &Value) -> Result<Timestamp> {
    let due_by = dispute["evidence_due_by"].as_str().context("the dispute has no deadline")?;
    due_by.parse().context("the deadline is no instant")
}

impl Stage<'_> {
    /// Has a cardholder dispute a payment of the merchant's; gives Stripe's id.
    fn opened(&self, (number, status): (u8, DisputeStatus)) -> Result<String> {
        let mut order = DisputeOrder { status, ..DisputeOrder::of(12_300) };
        let payment_no = format!("DEMO-{}-D{number}", self.clock.now().timestamp());
        order.charge_metadata.insert("payment_no".to_owned(), payment_no);
        order.charge_metadata.insert("merchant_id".to_owned(), self.merchant.to_string());
        let made = self.stripe.make_dispute(order).map_err(anyhow::Error::msg)?;
        Ok(made["id"].as_str().context("Stripe's dispute has no id")?.to_owned())
    }

    /// Our id of a dispute, once its webhook has told of it.
    async fn seen(&self, case: &Case) -> Result<String> {
        let dispute = self.until(case, |dispute| dispute["payment_no"].is_string()).await?;
        Ok(dispute["id"].as_str().context("a dispute without an id")?.to_owned())
    }

    async fn text(&self, id: &str, field: &str, text: &str) -> Result<()> {
        let body = json!({ "evidence_type": field, "text_content": text });
        self.api.post(&format!("/{id}/evidence"), &body).await.map(drop)
    }

    async fn submit(&self, id: &str, when: &Value) -> Result<()> {
        self.api.post(&format!("/{id}/submit"), when).await.map(drop)
    }

    /// The dispute as soon as it looks so.
    async fn until(&self, case: &Case, so: impl Fn(&Value) -> bool) -> Result<Value> {
        let stripes = &case.stripes;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let page = self.api.get(&format!("?channel_dispute_id={stripes}")).await?;
            let dispute = &page["items"][0];
            if so(dispute) {
                return Ok(dispute.clone());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("{} ({stripes}) stands at {} after {PATIENCE:?}", case.what, dispute["status"]);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Prints how one ended; true when it is as it must be.
    async fn print(&self, case: &Case) -> Result<bool> {
        let listed = self.until(case, |dispute| dispute["status"] == case.status).await?;
        let id = listed["id"].as_str().unwrap_or_default();
        let dispute = self.api.get(&format!("/{id}")).await?;
        let movements = dispute["money_movements"].as_array();
        let kinds: Vec<&str> =
            movements.into_iter().flatten().filter_map(|row| row["kind"].as_str()).collect();
        let at_stripe = self.stripe.dispute(&case.stripes).context("Stripe has forgotten a dispute")?;
        let answers = at_stripe["evidence_details"]["submission_count"].as_i64();
        let [status, why] = ["status", "lost_cause"].map(|name| dispute[name].as_str().unwrap_or_default());
        println!(
            "{:<26} {status:<14} {why:<12} {:>7}  {:<34} {}",
            case.what,
            answers.unwrap_or_default(),
            kinds.join(", "),
            dispute["dispute_no"].as_str().unwrap_or_default()
        );
        Ok(status == case.status
            && dispute["lost_cause"].as_str() == case.lost_cause
            && answers == Some(case.answers)
            && kinds == case.movements)
    }
}
