//! The net under the webhooks: the channel's own list says which disputes there are. An event that never came loses nothing.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::{FutureExt, StreamExt, TryStreamExt};
use payops_channels::stripe::api::{DisputeQuery, Listing};
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};

use super::readings;
use crate::Disputes;
use crate::model::Channel;
use crate::store::dispute;
use crate::store::sweep;

/// How far back the first list goes: longer than any dispute stays open.
const FIRST: TimeDelta = TimeDelta::days(180);
/// How far a list overlaps the one before it, so that an outcome that no event told of is seen.
const OVERLAP: TimeDelta = TimeDelta::days(3);
/// Open disputes are read again when the last reading is older.
const OLD: TimeDelta = TimeDelta::hours(12);
/// How many of those at most, in one sweep: as many as are read within the hour at Stripe's pace.
const MOST_OLD: u64 = 2_000;
/// Objects of one page and of one transaction.
const PAGE: u8 = 100;

/// Lists Stripe's recent disputes, and has those read that are not known or not known well.
pub(crate) async fn sweep(app: &Disputes, lease: &Lease) -> Result<(), JobError> {
    let Some(stripe) = &app.channels.stripe else { return Ok(()) };
    let (db, now) = (&app.context.db, app.context.now());
    let before = sweep::read_at(db.read(), Channel::Stripe).await?;
    let listing = Listing {
        created_from: Some(before.map_or(now - FIRST, |before| before - OVERLAP)),
        limit: Some(PAGE),
        ..Listing::default()
    };
    let query = DisputeQuery { listing, ..DisputeQuery::default() };
    let mut pages = pin!(stripe.disputes(&query).try_chunks(PAGE.into()));
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| readings::away(&error.1, "of the list"))?;
        let shown = page.iter().map(|seen| (seen.id.clone(), seen.status.as_str().to_owned()));
        want_what_differs(app, shown.collect(), now).await?;
        if lease.cancelled().is_cancelled() {
            let stopping = Error::unavailable("the process is stopping", Duration::ZERO);
            return Err(JobError::Retry { error: stopping, after: None });
        }
    }
    let old = dispute::unread_since(db.read(), Channel::Stripe, now - OLD, MOST_OLD).await?;
    for some in old.chunks(PAGE.into()) {
        want_all(app, some.to_vec()).await?;
    }
    let write = db.write("disputes.sweep_done", move |tx| {
        async move { sweep::done(tx, Channel::Stripe, now).await }.boxed()
    });
    Ok(write.await?)
}

/// Has those read of which nothing is known, or another status.
async fn want_what_differs(app: &Disputes, shown: Vec<(String, String)>, now: Timestamp) -> Result<()> {
    let ids: Vec<String> = shown.iter().map(|(id, _)| id.clone()).collect();
    let known = dispute::knowledge(app.context.db.read(), Channel::Stripe, &ids).await?;
    let known: HashMap<String, Option<String>> = known
        .into_iter()
        // What was read after the list was asked for is newer than the list.
        .map(|row| {
            let newer = row.read_at.is_some_and(|read| read > now);
            (row.id, if newer { None } else { Some(row.status.unwrap_or_default()) })
        })
        .collect();
    let differs = |(id, status): &(String, String)| match known.get(id) {
        None => true,
        Some(None) => false,
        Some(Some(here)) => here != status,
    };
    want_all(app, shown.into_iter().filter(differs).map(|(id, _)| id).collect()).await
}

async fn want_all(app: &Disputes, ids: Vec<String>) -> Result<()> {
    let shared = Arc::new((app.clone(), ids));
    let write = app.context.db.write("disputes.sweep", move |tx| {
        let shared = Arc::clone(&shared);
        async move {
            let (app, ids) = &*shared;
            let reasons = ids.iter().map(|id| (id.as_str(), 1)).collect();
            readings::want_all(app, tx, Channel::Stripe, &reasons).await
        }
        .boxed()
    });
    write.await
}
