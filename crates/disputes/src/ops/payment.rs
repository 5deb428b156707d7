//! Which of our payments a dispute is about: what the channel's metadata say, else the gateway, else whoever entered it.
//!
//! A reading asks the gateway once. Where that gives no answer, the dispute is written down without a payment, or with the
//! one that was entered, and the gateway is asked again later, apart from readings, until it is settled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_channels::payment_lookup::PaymentLookup;
use payops_channels::stripe::StripeError;
use payops_channels::stripe::api::{Dispute as StripeDispute, StripeClient};
use payops_channels::{RemoteError, RemoteErrorKind};
use payops_core::time::Timestamp;
use payops_platform::auth::Actor;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};
use serde_json::json;
use uuid::Uuid;

use super::{By, Edit, Source, alerts};
use crate::Disputes;
use crate::model::{Channel, Doubt, TimelineEvent};
use crate::store::dispute::{self, Model as Dispute};
use crate::store::lookup::{self, Model as Lookup};

/// How many lookups one look finds.
const AT_ONCE: u64 = 100;
/// So many failures in a row mean that the gateway is away.
const AWAY_AFTER: u32 = 3;
/// For so long after a failure no reading asks the gateway: each would wait for its time-out.
const AWAY_FOR: TimeDelta = TimeDelta::seconds(10);
/// The pause before the gateway is asked again; it doubles.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
/// No pause is longer after a call without an answer.
const LONGEST_WHILE_AWAY: TimeDelta = TimeDelta::minutes(10);
/// No pause is longer where the gateway does not know the payment.
const LONGEST_WHILE_UNKNOWN: TimeDelta = TimeDelta::hours(12);

/// Which of our payments a dispute is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Payment {
    number: String,
    merchant_id: Uuid,
    /// Who says so, for the timeline.
    said_by: &'static str,
}

impl Payment {
    fn new(payment_no: &str, merchant_id: &str, said_by: &'static str) -> Option<Self> {
        let fits = (1..=64).contains(&payment_no.chars().count()) && !payment_no.contains(char::is_control);
        let merchant_id = merchant_id.parse().ok()?;
        fits.then(|| Self { number: payment_no.to_owned(), merchant_id, said_by })
    }

    /// Our number of it.
    pub(crate) fn number(&self) -> &str {
        &self.number
    }
}

/// What a reading found out about the payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nobody was asked: it is settled, or the call was about something else.
    NotAsked,
    /// It is this one.
    To(Payment),
    /// Nobody says. `settled`: the gateway was asked and does not know it, or there is none.
    Nobody {
        /// Whether what was entered by hand stands.
        settled: bool,
    },
}

/// When the gateway failed last, so that readings do not wait for it in vain. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct GatewayHealth(Arc<Mutex<Option<Timestamp>>>);

impl GatewayHealth {
    fn is_away(&self, now: Timestamp) -> bool {
        let failed = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        failed.is_some_and(|failed| now - failed < AWAY_FOR)
    }

    fn set(&self, failed: Option<Timestamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }
}

/// What the gateway says of a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Known(Payment),
    /// It has no such payment, or tells of it what cannot be used.
    Unknown,
    /// It gave no answer.
    Nothing,
}

/// Which payment a dispute is about, as the notes on its charge or its payment intent say, else the gateway.
pub(crate) async fn payment_of(
    app: &Disputes,
    stripe: &StripeClient,
    dispute: &StripeDispute,
) -> Result<Link> {
    let db = app.context.db.read();
    let known = dispute::channels(db, Channel::Stripe, &dispute.id).await?;
    let is_open = match &known {
        Some(known) => lookup::is_open(db, known.id).await?,
        None => false,
    };
    // Once it was read and nothing is open, it stays tied to what was found then.
    if known.is_some_and(|known| known.payment_no.is_some() && known.channel_read_at.is_some()) && !is_open {
        return Ok(Link::NotAsked);
    }
    let intent = dispute.payment_intent.as_deref();
    if let Some(payment) = noted(app, stripe, &dispute.charge, intent).await? {
        return Ok(Link::To(payment));
    }
    let Some(gateway) = &app.channels.gateway else { return Ok(Link::Nobody { settled: true }) };
    // Those that are open are asked about apart from readings, with pauses.
    if is_open || app.gateway_health.is_away(app.context.now()) {
        return Ok(Link::Nobody { settled: false });
    }
    let ids = [Some(dispute.charge.as_str()), intent];
    Ok(match ask(app, gateway, ids.into_iter().flatten()).await {
        Said::Known(payment) => Link::To(payment),
        Said::Unknown => Link::Nobody { settled: true },
        Said::Nothing => Link::Nobody { settled: false },
    })
}

/// The payment that the metadata of a charge, or of its payment intent, name.
async fn noted(
    app: &Disputes,
    stripe: &StripeClient,
    charge: &str,
    intent: Option<&str>,
) -> Result<Option<Payment>> {
    let read = |metadata: &BTreeMap<String, String>| {
        let payment_no = metadata.get(&app.options.payment_no_key)?;
        Payment::new(payment_no, metadata.get(&app.options.merchant_id_key)?, "metadata")
    };
    let away = |error: StripeError| Error::unavailable(&error, error.remote.retry_after.unwrap_or_default());
    let charge = stripe.charge(charge).await.map_err(away)?;
    if let Some(payment) = read(&charge.metadata) {
        return Ok(Some(payment));
    }
    let Some(intent) = intent else { return Ok(None) };
    let intent = stripe.payment_intent(intent).await.map_err(away)?;
    Ok(read(&intent.metadata))
}

/// Asks the gateway by the channel's ids, one after the other, until it knows one.
async fn ask<'i>(
    app: &Disputes,
    gateway: &PaymentLookup,
    channel_ids: impl IntoIterator<Item = &'i str>,
) -> Said {
    for id in channel_ids {
        let answer = gateway.by_channel_id(id).await;
        let failed = answer.as_ref().is_err_and(is_no_answer).then(|| app.context.now());
        app.gateway_health.set(failed);
        match answer {
            Ok(None) => {}
            Ok(Some(found)) => {
                let payment = Payment::new(&found.payment_no, &found.merchant_id, "gateway");
                if let Some(payment) = payment {
                    return Said::Known(payment);
                }
                tracing::warn!(id, "the gateway's number or merchant of a payment cannot be used");
            }
            Err(error) => {
                tracing::warn!(id, %error, "the gateway does not say which payment a dispute is about");
                if is_no_answer(&error) {
                    return Said::Nothing;
                }
            }
        }
    }
    Said::Unknown
}

/// Everything but an answer that is no payment: a secret that is refused today may be accepted tomorrow.
fn is_no_answer(error: &RemoteError) -> bool {
    error.kind != RemoteErrorKind::UnexpectedAnswer
}

/// Ties the dispute to our payment, or says that nobody knows it.
pub(super) async fn link(by: &By<'_>, edit: &mut Edit, link: &Link) -> Result<()> {
    let (id, now) = (edit.before().id, by.app.context.now());
    match link {
        Link::NotAsked => Ok(()),
        Link::To(payment) => {
            lookup::settle(by.tx, id).await?;
            tie(by, edit, payment).await
        }
        Link::Nobody { settled: true } if edit.after.payment_no.is_some() => lookup::settle(by.tx, id).await,
        Link::Nobody { .. } => {
            let open = Lookup { dispute_id: id, asked: 1, next_at: now + FIRST_PAUSE };
            let is_new = lookup::insert_new(by.tx, open).await?;
            if !is_new || edit.after.payment_no.is_some() {
                return Ok(());
            }
            edit.after.doubt = edit.after.doubt.or(Some(Doubt::PaymentUnknown));
            // The row of the lookup is written once, so that this is told once.
            alerts::payment_unknown(by, edit).await
        }
    }
}

async fn tie(by: &By<'_>, edit: &mut Edit, payment: &Payment) -> Result<()> {
    let here = (edit.after.payment_no.as_deref(), edit.after.merchant_id);
    if here == (Some(payment.number.as_str()), Some(payment.merchant_id)) {
        return Ok(());
    }
    if edit.after.doubt == Some(Doubt::PaymentUnknown) {
        // It is too late to take over what was entered by hand for this payment meanwhile, or before.
        let entered = dispute::is_entered(by.tx.conn(), &edit.after, &payment.number).await?;
        edit.after.doubt = entered.then_some(Doubt::MaybeTheSame);
    }
    edit.after.payment_no = Some(payment.number.clone());
    edit.after.merchant_id = Some(payment.merchant_id);
    edit.tell(
        TimelineEvent::Linked,
        json!({
            "payment_no": payment.number, "merchant_id": payment.merchant_id, "said_by": payment.said_by,
        }),
    );
    Ok(())
}

/// Asks the gateway about every dispute whose time to be asked about has come.
pub(crate) async fn look_up_all(app: &Disputes, lease: &Lease) -> Result<(), JobError> {
    let Some(gateway) = &app.channels.gateway else { return Ok(()) };
    let db = app.context.db.read();
    let mut failures = 0;
    loop {
        let due = lookup::due(db, app.context.now(), AT_ONCE).await?;
        if due.is_empty() {
            return Ok(());
        }
        for open in due {
            if lease.cancelled().is_cancelled() {
                let error = Error::unavailable("the process is stopping", Duration::ZERO);
                return Err(JobError::Retry { error, after: None });
            }
            let dispute = dispute::find(db, open.dispute_id, None).await?;
            let ids = [dispute.channel_charge_id.as_deref(), dispute.channel_payment_id.as_deref()];
            let said = ask(app, gateway, ids.into_iter().flatten()).await;
            failures = if said == Said::Nothing { failures + 1 } else { 0 };
            write_down(app, dispute, said).await?;
            if failures >= AWAY_AFTER {
                return Ok(());
            }
        }
    }
}

async fn write_down(app: &Disputes, dispute: Dispute, said: Said) -> Result<()> {
    let shared = Arc::new((app.clone(), dispute.id, said));
    let write = app.context.db.write("disputes.link", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, id, said) = &*shared;
            let actor = Actor::system("disputes");
            answered(&By { app, tx, actor: &actor, source: Source::Job }, *id, said).await
        }
        .boxed()
    });
    write.await
}

async fn answered(by: &By<'_>, id: Uuid, said: &Said) -> Result<()> {
    let mut edit = Edit::of(dispute::lock(by.tx, id, None).await?);
    // A reading may have settled it meanwhile.
    let Some(open) = lookup::lock(by.tx, id).await? else { return Ok(()) };
    let now = by.app.context.now();
    match said {
        Said::Known(payment) => {
            link(by, &mut edit, &Link::To(payment.clone())).await?;
            edit.save(by).await?;
        }
        Said::Unknown if edit.after.payment_no.is_some() => lookup::settle(by.tx, id).await?,
        Said::Unknown => {
            lookup::again(by.tx, &open, now + pause_after(open.asked).min(LONGEST_WHILE_UNKNOWN)).await?;
        }
        Said::Nothing => {
            lookup::again(by.tx, &open, now + pause_after(open.asked).min(LONGEST_WHILE_AWAY)).await?;
        }
    }
    Ok(())
}

/// The pause after so many calls in vain.
fn pause_after(asked: i32) -> TimeDelta {
    FIRST_PAUSE * (1 << asked.clamp(0, 16))
}
