//! What a reading of the channel's dispute means for the one that is here.

use chrono::TimeDelta;
use payops_channels::stripe::api::{BalanceTransaction, Dispute as StripeDispute, Kept};
use payops_core::time::Timestamp;
use payops_platform::db::Locked;
use payops_platform::error::Result;
use serde_json::json;
use uuid::Uuid;

use super::disputes::{blank, lost_cause};
use super::payment::{self, Link};
use super::{By, Edit, personal, submission};
use crate::lifecycle::{Event, Phase, State, Status, step};
use crate::model::{Channel, Doubt, TimelineEvent};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::movement::{self, Kind};

/// How far the channel's clock may be ahead of ours, by which it ends a dispute at its deadline.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// A channel's dispute as it was read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) object: Kept<StripeDispute>,
    pub(crate) link: Link,
    /// Before it was asked for: what it shows is at least as new.
    pub(crate) at: Timestamp,
}

/// Writes down what was seen. Where a reading that began later was written down before, only the money counts, which never
/// becomes less.
pub(crate) async fn apply(by: &By<'_>, seen: &Seen, newest: bool) -> Result<Dispute> {
    let object = &seen.object;
    let here = dispute::lock_channels(by.tx, Channel::Stripe, &object.id).await?;
    let mut edit = match here {
        Some(dispute) => Edit::of(dispute),
        None => Edit::of(adopt_or_create(by, seen).await?),
    };
    if newest {
        facts(by, &mut edit, seen);
        payment::link(by, &mut edit, &seen.link).await?;
        personal::keep_object(by, &edit.after, object.json.get()).await?;
        submission::deadline_moved(by, &edit).await?;
    }
    for movement in movements(edit.before().id, object, by.app.context.now()) {
        if movement::insert_new(by.tx, movement.clone()).await? {
            edit.tell(
                TimelineEvent::MoneyMoved,
                json!({
                    "kind": movement.kind, "amount": movement.amount, "currency": movement.currency,
                    "channel_transaction_id": movement.channel_transaction_id,
                }),
            );
        }
    }
    edit.save(by).await
}

/// The one open dispute that was entered by hand for the same payment, amount and currency, else a new one.
async fn adopt_or_create(by: &By<'_>, seen: &Seen) -> Result<Locked<Dispute>> {
    let (object, now) = (&seen.object, by.app.context.now());
    let mut entered = match &seen.link {
        Link::To(payment) => {
            let (amount, currency) = (object.amount, object.currency.as_str());
            dispute::lock_entered(by.tx, Channel::Stripe, payment.number(), amount, currency).await?
        }
        Link::NotAsked | Link::Nobody { .. } => Vec::new(),
    };
    if let [_] = entered.as_slice()
        && let Some(only) = entered.pop()
    {
        let mut edit = Edit::of(only);
        edit.after.channel_dispute_id = Some(object.id.clone());
        edit.tell(TimelineEvent::Adopted, json!({ "channel_dispute_id": object.id }));
        let id = edit.save(by).await?.id;
        return dispute::lock(by.tx, id, None).await;
    }
    let reason = object.reason.as_str();
    let new = Dispute {
        channel_dispute_id: Some(object.id.clone()),
        doubt: (!entered.is_empty()).then_some(Doubt::MaybeTheSame),
        disputed_at: object.created,
        created_by: by.actor.id.clone(),
        phase: Phase::Chargeback,
        status: Status::Unknown,
        ..blank(by.app.context.new_id(), Channel::Stripe, object.amount, object.currency, reason, now)
    };
    let detail =
        json!({ "channel_dispute_id": object.id, "amount": object.amount, "currency": object.currency });
    let created = Edit::insert(by, new, detail).await.map_err(super::disputes::retry_unique)?;
    dispute::lock(by.tx, created.id, None).await
}

/// Everything that the channel says of it.
fn facts(by: &By<'_>, edit: &mut Edit, seen: &Seen) {
    let (object, now) = (&seen.object, by.app.context.now());
    let before = edit.before().clone();
    let card = object.payment_method_details.as_ref().and_then(|method| method.card.as_ref());
    let after = &mut edit.after;
    after.channel_charge_id = Some(object.charge.clone());
    after.channel_payment_id.clone_from(&object.payment_intent);
    after.amount = object.amount;
    object.currency.as_str().clone_into(&mut after.currency);
    object.reason.as_str().clone_into(&mut after.reason);
    after.network_reason_code = object.network_reason_code().map(str::to_owned);
    after.card_brand = card.and_then(|card| card.brand.clone());
    after.channel_status = Some(object.status.as_str().to_owned());
    after.evidence_due_by = object.evidence_details.due_by;
    after.submission_count = i32::try_from(object.evidence_details.submission_count).unwrap_or(i32::MAX);
    after.is_charge_refundable = Some(object.is_charge_refundable);
    after.channel_read_at = Some(seen.at);
    let facts = |dispute: &Dispute| {
        json!({
            "amount": dispute.amount, "currency": dispute.currency, "reason": dispute.reason,
            "evidence_due_by": dispute.evidence_due_by, "submission_count": dispute.submission_count,
            "is_charge_refundable": dispute.is_charge_refundable,
        })
    };
    let (was, is) = (facts(&before), facts(&edit.after));
    if was != is {
        edit.tell(TimelineEvent::Updated, json!({ "before": was, "after": is }));
    }
    let status = known(object.status.as_str());
    let state = step(before.state(), before.owner(), Event::Observed(status));
    let answered = answered(&before, &edit.after, state.unwrap_or(before.state()));
    if let Some(state) = state {
        let cause = lost_cause(answered, edit.after.deadline_passed(now + CLOCK_SKEW));
        edit.move_to(state, Some(cause), now);
    }
    edit.after.evidence_submitted = answered;
}

/// Whether the phase of `state` was answered. The channel counts answers without saying to what: one to an inquiry is told
/// from one to the chargeback that it became only where the dispute was read in between.
fn answered(before: &Dispute, after: &Dispute, state: State) -> bool {
    let goes_on = before.channel_read_at.is_some() && state.phase == before.phase;
    let known = goes_on && before.evidence_submitted;
    let more = after.submission_count > before.submission_count;
    match state.status {
        Status::UnderReview | Status::WarningUnderReview => true,
        status if status.awaits_answer() => known || (goes_on && more),
        _ => known || more,
    }
}

/// The status that the channel's word means.
fn known(word: &str) -> Status {
    match word {
        "warning_needs_response" => Status::WarningNeedsResponse,
        "warning_under_review" => Status::WarningUnderReview,
        "warning_closed" => Status::WarningClosed,
        "needs_response" => Status::NeedsResponse,
        "under_review" => Status::UnderReview,
        "won" => Status::Won,
        "lost" => Status::Lost,
        "prevented" => Status::Prevented,
        "charge_refunded" => Status::ChargeRefunded,
        _ => Status::Unknown,
    }
}

/// What the channel's rows say was taken, given back and charged.
fn movements(dispute_id: Uuid, object: &StripeDispute, now: Timestamp) -> Vec<movement::Model> {
    let mut movements = Vec::new();
    for row in &object.balance_transactions {
        let of = |kind, amount| movement::Model {
            dispute_id,
            channel_transaction_id: row.id.clone(),
            kind,
            amount,
            currency: row.currency.as_str().to_owned(),
            description: row.description.as_ref().map(|text| text.chars().take(500).collect()),
            occurred_at: row.created,
            created_at: now,
        };
        movements.push(of(kind(row), row.amount));
        if row.fee != 0 {
            movements.push(of(Kind::Fee, row.fee.saturating_neg()));
        }
    }
    movements
}

fn kind(row: &BalanceTransaction) -> Kind {
    if row.amount < 0 { Kind::Withdrawn } else { Kind::Reinstated }
}
