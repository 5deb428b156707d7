//! Reading disputes from their channel: many events are one reading, and an event that comes after a reading began causes
//! another.
//!
//! `wanted` counts the reasons to read. A reading notes the count at which it began before it asks the channel, and writes
//! down what it saw only if no reading that began later was faster.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::FutureExt;
use payops_channels::stripe::StripeError;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, ErrorKind, Result};
use payops_platform::jobs::{self, EnqueueOptions, JobError, Lease};

use super::observe::{self, Seen};
use super::{By, Source, payment};
use crate::Disputes;
use crate::error;
use crate::jobs::ReadDispute;
use crate::model::Channel;
use crate::store::dispute::Model as Dispute;
use crate::store::{reading, webhook};

/// How often a reading is tried: the back-off doubles up to ten minutes, so that is about a day.
const MOST_ATTEMPTS: u32 = 150;

/// Has a channel's dispute read, unless a reading waits to begin already.
pub(crate) async fn want(app: &Disputes, tx: &Tx, channel: Channel, channel_id: &str) -> Result<()> {
    want_all(app, tx, channel, &BTreeMap::from([(channel_id, 1)])).await
}

/// Has some of a channel's disputes read, each for so many reasons, unless a reading of it waits to begin already.
pub(crate) async fn want_all(
    app: &Disputes,
    tx: &Tx,
    channel: Channel,
    reasons: &BTreeMap<&str, i64>,
) -> Result<()> {
    if reasons.is_empty() {
        return Ok(());
    }
    for reading in reading::want(tx, channel, reasons).await? {
        let new = reasons.get(reading.channel_dispute_id.as_str()).copied().unwrap_or_default();
        let waits = reading.wanted - new > reading.begun;
        if !waits {
            let id = reading.channel_dispute_id;
            let job = ReadDispute { channel, channel_dispute_id: id, wanted: reading.wanted };
            let options = EnqueueOptions::default().unique(job.key()).attempts(MOST_ATTEMPTS);
            jobs::enqueue(tx, &app.context, &job, options).await?;
        }
    }
    Ok(())
}

/// Reads a dispute because an event said that there is news.
pub(crate) async fn read(app: &Disputes, job: &ReadDispute, lease: &Lease) -> Result<(), JobError> {
    let shared = Arc::new((job.clone(), lease.clone()));
    let begun = app.context.db.write("disputes.begin_reading", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (job, lease) = &*shared;
            lease.still_mine(tx).await?;
            begin(tx, job.channel, &job.channel_dispute_id, job.wanted).await
        }
        .boxed()
    });
    let Some(begun) = begun.await? else { return Ok(()) };
    let seen = look(app, job.channel, &job.channel_dispute_id).await?;
    write_down(app, Actor::system("disputes"), Source::Channel, begun, seen).await?;
    Ok(())
}

/// Lets later events cause readings again, after one that was given up.
pub(crate) async fn give_up(tx: &Tx, job: &ReadDispute, error: &Error) -> Result<()> {
    let mut reading = reading::lock(tx, job.channel, &job.channel_dispute_id).await?;
    reading.begun = reading.begun.max(reading.wanted);
    if error.code() == error::CHANNEL_DISPUTE_NOT_FOUND {
        // That the channel has no such dispute is an answer, and no news that is still to be read.
        reading.done = reading.done.max(job.wanted);
    }
    reading::update(tx, &reading).await
}

/// Reads a dispute now, for a person who waits for it.
///
/// # Errors
/// 404 `CHANNEL_DISPUTE_NOT_FOUND`; 422 `NOT_CONFIGURED`; 503 while the channel is away.
pub(crate) async fn read_now(
    app: &Disputes,
    actor: Actor,
    channel: Channel,
    channel_id: &str,
) -> Result<Dispute> {
    let wanted = channel_id.to_owned();
    let begun = app.context.db.write("disputes.begin_sync", move |tx| {
        let wanted = wanted.clone();
        async move {
            let mut reading = reading::lock(tx, channel, &wanted).await?;
            reading.wanted += 1;
            reading.begun = reading.wanted;
            reading::update(tx, &reading).await?;
            Ok(reading.wanted)
        }
        .boxed()
    });
    let begun = begun.await?;
    let seen = match look(app, channel, channel_id).await {
        Ok(seen) => seen,
        Err(error) => {
            forget(app, channel, channel_id, begun).await?;
            return Err(error);
        }
    };
    write_down(app, actor, Source::Api, begun, seen).await
}

/// Takes back a person's wish that came to nothing: the channel had no news, so that none is left to be read.
async fn forget(app: &Disputes, channel: Channel, channel_id: &str, begun: i64) -> Result<()> {
    let wanted = channel_id.to_owned();
    let write = app.context.db.write("disputes.forget_sync", move |tx| {
        let wanted = wanted.clone();
        async move {
            let mut reading = reading::lock(tx, channel, &wanted).await?;
            if reading.wanted == begun {
                reading.wanted -= 1;
                reading.begun = reading.begun.min(reading.wanted);
            }
            reading::update(tx, &reading).await
        }
        .boxed()
    });
    write.await
}

/// Notes that a reading begins; `None` when one that began later than the wish is done.
async fn begin(tx: &Tx, channel: Channel, channel_id: &str, wanted: i64) -> Result<Option<i64>> {
    let mut reading = reading::lock(tx, channel, channel_id).await?;
    if reading.done >= wanted {
        return Ok(None);
    }
    reading.begun = reading.wanted;
    reading::update(tx, &reading).await?;
    Ok(Some(reading.begun))
}

async fn look(app: &Disputes, channel: Channel, channel_id: &str) -> Result<Seen> {
    let Channel::Stripe = channel else {
        return Err(error::channel_not_configured(channel.as_str(), "an API of this channel"));
    };
    let stripe = app.stripe()?;
    let at = app.context.now();
    let object = stripe.dispute(channel_id).await.map_err(|error| away(&error, channel_id))?;
    let link = payment::payment_of(app, stripe, &object).await?;
    Ok(Seen { object, link, at })
}

async fn write_down(app: &Disputes, actor: Actor, source: Source, begun: i64, seen: Seen) -> Result<Dispute> {
    let shared = Arc::new((app.clone(), actor, seen));
    let write = app.context.db.write("disputes.write_reading", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, actor, seen) = &*shared;
            let by = By { app, tx, actor, source };
            let mut reading = reading::lock(tx, Channel::Stripe, &seen.object.id).await?;
            let newest = begun > reading.done;
            let dispute = observe::apply(&by, seen, newest).await?;
            reading.done = reading.done.max(begun);
            reading::update(tx, &reading).await?;
            webhook::mark_processed(tx, &seen.object.id, seen.at, app.context.now()).await?;
            Ok(dispute)
        }
        .boxed()
    });
    write.await
}

/// What the channel's failure means to whoever waits for the reading.
pub(super) fn away(error: &StripeError, channel_id: &str) -> Error {
    if error.status() == Some(404) {
        return error::channel_dispute_unknown(channel_id);
    }
    if error.is_retryable() {
        return Error::unavailable(error, error.remote.retry_after.unwrap_or_default());
    }
    Error::new(
        ErrorKind::Unprocessable,
        "CHANNEL_REFUSED",
        format!("the channel refuses to show the dispute: {error}"),
        format!("渠道拒绝提供该争议：{error}"),
    )
}
