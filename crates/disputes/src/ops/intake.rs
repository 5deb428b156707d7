//! Events that come at the same time are stored together: one transaction, and one wait for the disk, for all that wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use payops_platform::error::{Error, Result};
use tokio::sync::oneshot;

use super::webhooks::{self, Received};
use crate::Disputes;

/// How many events one transaction stores.
const AT_ONCE: usize = 256;

/// The events that wait to be stored.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intake {
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    /// Whoever holds it stores what waits, for all.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct Waiting {
    event: Received,
    stored: oneshot::Sender<Result<()>>,
}

impl Intake {
    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let most = waiting.len().min(AT_ONCE);
        waiting.drain(..most).collect()
    }
}

/// Stores a verified event, and has its dispute read. It is carried through even when the caller goes away.
pub(crate) async fn store(app: &Disputes, event: Received) -> Result<()> {
    let (stored, mut answer) = oneshot::channel();
    let waiting = Waiting { event, stored };
    app.intake.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(waiting);
    loop {
        let turn = tokio::select! {
            biased;
            outcome = &mut answer => {
                return outcome.unwrap_or_else(|_| Err(Error::internal("an event was given up")));
            }
            turn = Arc::clone(&app.intake.turn).lock_owned() => turn,
        };
        let (app, batch) = (app.clone(), app.intake.take());
        // A task of its own: the caller who happens to have the turn may go away, and others wait for this.
        tokio::spawn(async move {
            store_all(&app, batch).await;
            drop(turn);
        });
    }
}

async fn store_all(app: &Disputes, batch: Vec<Waiting>) {
    let (events, replies): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|waiting| (waiting.event, waiting.stored)).unzip();
    if events.is_empty() {
        return;
    }
    let outcome = write(app, events.clone()).await;
    let alone = outcome.is_err() && events.len() > 1;
    if let (true, Err(error)) = (alone, &outcome) {
        tracing::warn!(%error, events = events.len(), "events cannot be stored together; each is stored alone");
    }
    let mut outcome = Some(outcome);
    for (event, reply) in events.into_iter().zip(replies) {
        let own = if alone {
            write(app, vec![event]).await
        } else {
            // There is one, or all are stored.
            outcome.take().unwrap_or(Ok(()))
        };
        // Whoever asked may have gone away.
        let _gone = reply.send(own);
    }
}

async fn write(app: &Disputes, events: Vec<Received>) -> Result<()> {
    let shared = Arc::new((app.clone(), events));
    let write = app.context.db.write("disputes.stripe_events", move |tx| {
        let shared = Arc::clone(&shared);
        async move { webhooks::receive(&shared.0, tx, &shared.1).await }.boxed()
    });
    write.await
}
