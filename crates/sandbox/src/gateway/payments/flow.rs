//! How a payment goes: check, create, consume, charge; release when it failed.
//!
//! Where it stands is kept before each call to the outside, and every such call can be made again under the same number.
//! So whoever is stopped anywhere goes on from the state that was kept.

use std::sync::Arc;

use chrono::TimeDelta;
use futures::stream::{self, StreamExt};
use payops_client::{Admission, CallError, Decision, LimitsClient, Release, WhenAway};
use payops_core::time::Clock;

use super::channel::SimulatedChannel;
use super::record::{Entry, Payment, RefundState, State};
use crate::server::{Shared, TICK};

/// After how long an answer that did not come is asked for again, by the sandbox's clock.
const PAUSE: TimeDelta = TimeDelta::seconds(1);

/// How many payments are carried on at once in the background: one that waits for an answer holds no other up.
const AT_ONCE: usize = 16;

/// What comes of one step.
enum Step {
    /// Go on there.
    To(State),
    /// Go on there, for this reason.
    Because(State, String),
    /// A refund is done, or cannot be.
    Refunded { refund_no: String, state: RefundState, reason: Option<String> },
    /// Nobody answered: ask again.
    Again(String),
}

/// Carries a payment on as far as it goes now, also when the caller hangs up meanwhile.
pub(super) async fn carry_on_detached(shared: &Arc<Shared>, client: &LimitsClient, entry: &Arc<Entry>) {
    let (shared, client, entry) = (Arc::clone(shared), client.clone(), Arc::clone(entry));
    let stop = shared.stop.clone();
    let work = tokio::spawn(async move {
        stop.run_until_cancelled(carry_on(&shared, &client, &entry)).await;
    });
    if let Err(error) = work.await {
        tracing::error!(%error, "a payment was not carried on");
    }
}

/// Carries on what waits for an answer, and, after a start, what an earlier sandbox left.
pub(crate) async fn carry_on_in_the_background(shared: Arc<Shared>) {
    let Some(client) = &shared.limits else { return };
    while shared.stop.run_until_cancelled(tokio::time::sleep(TICK)).await.is_some() {
        let mut due = shared.payments.entries();
        // One that somebody else carries on is left to them.
        due.retain(|entry| entry.is_due(shared.clock.now()) && entry.turn.try_lock().is_ok());
        let carry = |entry: Arc<Entry>| {
            let (shared, client) = (Arc::clone(&shared), client.clone());
            async move { carry_on(&shared, &client, &entry).await }
        };
        let work = stream::iter(due).for_each_concurrent(AT_ONCE, carry);
        shared.stop.run_until_cancelled(work).await;
    }
}

async fn carry_on(shared: &Arc<Shared>, client: &LimitsClient, entry: &Entry) {
    let _turn = entry.turn.lock().await;
    while entry.is_due(shared.clock.now()) {
        if let Err(error) = Shared::keep(shared).await {
            tracing::error!(%error, "the state could not be kept, so the payment waits");
            return entry.again_at(shared.clock.now() + PAUSE);
        }
        let step = step(client, &shared.payments.channel, &entry.payment()).await;
        if matches!(step, Step::Again(_) | Step::Because(State::Cancelling, _)) {
            entry.again_at(shared.clock.now() + PAUSE);
        }
        entry.change(|payment| take(payment, step));
    }
    if let Err(error) = Shared::keep(shared).await {
        tracing::error!(%error, "the state could not be kept");
    }
}

fn take(payment: &mut Payment, step: Step) {
    match step {
        Step::To(state) => payment.state = state,
        Step::Because(state, reason) => {
            payment.state = state;
            payment.reason = Some(reason);
        }
        Step::Refunded { refund_no, state, reason } => {
            for refund in payment.refunds.iter_mut().filter(|refund| refund.number == refund_no) {
                (refund.state, refund.reason) = (state, reason.clone());
            }
        }
        Step::Again(why) => {
            tracing::info!(payment_no = payment.payment_no(), why, "a payment waits for an answer");
        }
    }
}

async fn step(client: &LimitsClient, channel: &SimulatedChannel, payment: &Payment) -> Step {
    match payment.state {
        State::Checking => check(client, payment).await,
        State::Created => consume(client, payment).await,
        State::Charging => charge(channel, payment),
        State::Releasing => release(client, payment).await,
        State::Cancelling => take_back(client, payment).await,
        State::Succeeded | State::Failed | State::Declined | State::NotTaken => refund(client, payment).await,
    }
}

/// Only a no that would be one later too ends a payment here: a check decides nothing.
async fn check(client: &LimitsClient, payment: &Payment) -> Step {
    match client.check(&payment.charge()).await {
        Ok(decision) if !decision.allowed => Step::Because(State::Declined, declined(&decision)),
        Err(error @ CallError::Refused(_)) => Step::Because(State::Declined, error.to_string()),
        Ok(_) | Err(_) => Step::To(State::Created),
    }
}

async fn consume(client: &LimitsClient, payment: &Payment) -> Step {
    match client.admit(&payment.charge(), &WhenAway::Decline).await {
        Ok(Admission::Counted(_)) => Step::To(State::Charging),
        Ok(Admission::Declined(decision)) => Step::Because(State::Declined, declined(&decision)),
        Ok(Admission::NotTaken(absence) | Admission::StoodIn(absence)) => {
            Step::Because(State::Cancelling, format!("the limit service is away: {absence}"))
        }
        Err(error @ CallError::Unreadable(_)) => Step::Because(State::Cancelling, error.to_string()),
        Err(error) => Step::Because(State::Declined, error.to_string()),
    }
}

/// The number of the payment is the channel's idempotency key, so money is taken once.
fn charge(channel: &SimulatedChannel, payment: &Payment) -> Step {
    match channel.charge(payment.payment_no(), payment.money(), payment.asked.card) {
        Some(true) => Step::To(State::Succeeded),
        Some(false) => Step::Because(State::Releasing, "the card was declined".to_owned()),
        None => Step::Again("the channel's answer was lost".to_owned()),
    }
}

async fn release(client: &LimitsClient, payment: &Payment) -> Step {
    match client.release(&give_back(payment, None)).await {
        Ok(_) => Step::To(State::Failed),
        Err(error) if is_final(&error) => Step::Because(State::Failed, format!("not released: {error}")),
        Err(error) => Step::Again(error.to_string()),
    }
}

async fn take_back(client: &LimitsClient, payment: &Payment) -> Step {
    match client.take_back(&payment.charge(), "the limit service was away").await {
        Ok(_) => Step::To(State::NotTaken),
        Err(error) if is_final(&error) => Step::Because(State::NotTaken, error.to_string()),
        Err(error) => Step::Again(error.to_string()),
    }
}

async fn refund(client: &LimitsClient, payment: &Payment) -> Step {
    let waiting = payment.refunds.iter().find(|refund| refund.state == RefundState::Releasing);
    let Some(waiting) = waiting else { return Step::To(payment.state) };
    let done = |state, reason| Step::Refunded { refund_no: waiting.number.clone(), state, reason };
    match client.release(&give_back(payment, Some((&waiting.number, waiting.amount)))).await {
        Ok(Some(_)) => done(RefundState::Succeeded, None),
        Ok(None) => done(RefundState::NotReleased, Some("nothing was counted under the number".to_owned())),
        Err(error) if is_final(&error) => done(RefundState::NotReleased, Some(error.to_string())),
        Err(error) => Step::Again(error.to_string()),
    }
}

fn give_back(payment: &Payment, part: Option<(&str, i64)>) -> Release {
    Release {
        merchant_id: payment.asked.merchant_id,
        payment_no: payment.asked.payment_no.clone(),
        release_no: part.map(|(number, _)| number.to_owned()),
        amount: part.map(|(_, amount)| amount),
        reason: Some(if part.is_some() { "refund" } else { "the channel took no money" }.to_owned()),
    }
}

fn is_final(error: &CallError) -> bool {
    matches!(error, CallError::Refused(_) | CallError::Unusable(_))
}

fn declined(decision: &Decision) -> String {
    decision.reason.clone().unwrap_or_else(|| "declined by a limit".to_owned())
}
