//! A caller that asks until there is an answer, now one instance and now the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use payops_client::{CallError, LimitsClient};
use payops_core::random::{Random, SeededRandom};

/// Longer than anything is away. A call that is not answered by then is a fault of the service.
const PATIENCE: Duration = Duration::from_mins(3);
/// The longest pause between two attempts.
const PAUSE_MILLIS: u64 = 200;
/// One of so many failed attempts is the last: some callers go away.
const GIVES_UP: u64 = 12;

/// Clients of all instances, and how often they had to ask again.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) clients: Vec<LimitsClient>,
    pub(crate) retries: AtomicU64,
}

impl Callers {
    /// The answer; `None` when the caller went away without one. An answer that no caller should get is an error.
    pub(crate) async fn ask<T, F>(
        &self,
        random: &SeededRandom,
        call: impl Fn(LimitsClient) -> F,
    ) -> Result<Option<T>>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let until = Instant::now() + PATIENCE;
        let mut which = random.below(self.clients.len() as u64);
        let mut pause = 10;
        loop {
            let client = &self.clients[usize::try_from(which)? % self.clients.len()];
            let why = match call(client.clone()).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(CallError::Away(why)) => why,
                Err(other) => bail!("{other}"),
            };
            self.retries.fetch_add(1, Ordering::Relaxed);
            if random.below(GIVES_UP) == 0 {
                return Ok(None);
            }
            if Instant::now() >= until {
                bail!("no answer within {PATIENCE:?}: {why}");
            }
            tokio::time::sleep(Duration::from_millis(pause + random.below(pause))).await;
            pause = (pause * 2).min(PAUSE_MILLIS);
            which += 1;
        }
    }
}
