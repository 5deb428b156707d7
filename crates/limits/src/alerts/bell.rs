//! Has new alerts looked at as soon as they are committed, so that they need not wait for the job of every minute.

use payops_platform::db::Tx;
use tokio::sync::mpsc;

use super::Outbox;
use crate::batch::Effects;

/// Rings when alerts were committed. However often it rings while somebody looks, one look more follows.
#[derive(Debug, Clone)]
pub(crate) struct Bell(mpsc::Sender<()>);

impl Bell {
    /// Begins to listen on the present runtime, until the last clone is dropped.
    pub(crate) fn start(outbox: Outbox) -> Self {
        let (bell, mut rung) = mpsc::channel(1);
        tokio::spawn(async move {
            while rung.recv().await.is_some() {
                if let Err(error) = outbox.number_new().await {
                    tracing::warn!(?error, "new alerts could not be looked at; a job will, within a minute");
                }
            }
        });
        Self(bell)
    }

    /// Rings once `tx` is committed, if there are alerts among its effects.
    pub(crate) fn ring_after(&self, tx: &Tx, effects: &Effects) {
        if !effects.alerts.is_empty() {
            let bell = self.clone();
            tx.after_commit(move || bell.ring());
        }
    }

    /// Rings now: alerts are committed.
    pub(crate) fn ring(&self) {
        // Full means that a look follows already; closed, that the process ends.
        let _ = self.0.try_send(());
    }
}
