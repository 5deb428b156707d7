//! The way to tell the runner of this process that there may be work.

use std::sync::Arc;

use tokio::sync::Notify;

/// Tells the runner of this process that there may be work. Clones wake the same runner.
#[derive(Debug, Clone, Default)]
pub struct JobWaker(Arc<Notify>);

impl JobWaker {
    /// Makes the runner look for work now instead of at its next poll. Calls add up to one.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Returns once somebody has called [`JobWaker::wake`] since the last return.
    pub(super) async fn woken(&self) {
        self.0.notified().await;
    }
}
