//! Deliveries are tried until they have arrived or are given up.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures::FutureExt;
use payops_core::random::Random;
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{JobError, Lease};
use payops_platform::outbound::Undelivered;

use super::Outbox;
use crate::model::Channel;
use crate::store::delivery::{self, Due};

/// How many deliveries one look finds.
const AT_ONCE: u64 = 50;
/// After so many attempts a delivery has failed: about eight hours after the first.
const MOST_ATTEMPTS: i32 = 20;
/// The longest pause before the second attempt; it doubles with each further one.
const FIRST_BACK_OFF: Duration = Duration::from_secs(5);
/// No pause before an attempt is longer.
const LONGEST_BACK_OFF: Duration = Duration::from_hours(1);
/// How long a channel rests that could not be reached at all.
const REST: TimeDelta = TimeDelta::seconds(10);
/// When a channel is looked at again for which nothing waits, should everything that wakes it have failed.
const IDLE: TimeDelta = TimeDelta::hours(1);
/// Pause between tries to write down that something has arrived.
const WRITE_AGAIN: Duration = Duration::from_millis(250);

impl Outbox {
    /// Delivers what is due on a channel; ends with when to look again.
    pub(crate) async fn deliver(&self, channel: Channel, lease: &Lease) -> Result<(), JobError> {
        let db = &self.context.db;
        loop {
            let due = delivery::due(db.read(), db.backend(), channel, self.context.now(), AT_ONCE).await?;
            if due.is_empty() {
                break;
            }
            for due in due {
                if lease.cancelled().is_cancelled() {
                    let stopping = Error::unavailable("the process is stopping", Duration::ZERO);
                    return Err(JobError::Retry { error: stopping, after: None });
                }
                if let Err(Undelivered::Unreachable(_)) = self.attempt(due, lease).await? {
                    // What waits for the same place would wait for its time-outs too.
                    return wait(self.context.now() + REST, "the destination cannot be reached");
                }
            }
        }
        match delivery::next_due(db.read(), channel).await? {
            Some(next) => wait(next, "the next attempt"),
            None => wait(self.context.now() + IDLE, "alerts"),
        }
    }

    async fn attempt(&self, due: Due, lease: &Lease) -> Result<Result<(), Undelivered>> {
        let due = Arc::new(due);
        if !self.begin(&due, lease).await? {
            return Ok(Ok(()));
        }
        let destination = (due.channel, due.recipient.as_str());
        let outcome = self.destinations.send(destination, &due.event, self.context.now()).await;
        match &outcome {
            Ok(()) => self.arrived(&due).await,
            Err(why) => self.came_to_nothing(&due, why).await?,
        }
        Ok(outcome)
    }

    /// Written before anything is sent: a process that dies on the way has used up an attempt.
    async fn begin(&self, due: &Arc<Due>, lease: &Lease) -> Result<bool> {
        let next = self.context.now() + back_off(due.attempts, &*self.context.random);
        let shared = (Arc::clone(due), lease.clone());
        let write = self.context.db.write("limits.begin_delivery", move |tx| {
            let (due, lease) = shared.clone();
            async move {
                lease.still_mine(tx).await?;
                delivery::begin(tx, &due, next).await
            }
            .boxed()
        });
        write.await
    }

    /// Whoever has answered that it has the alert does not get it again: this is tried until it is written.
    async fn arrived(&self, due: &Arc<Due>) {
        self.metrics.delivered(due.channel, "delivered");
        let now = self.context.now();
        loop {
            let shared = Arc::clone(due);
            let write = self.context.db.write("limits.delivered", move |tx| {
                let due = Arc::clone(&shared);
                async move { delivery::delivered(tx, &due, now).await }.boxed()
            });
            match write.await {
                Ok(()) => return,
                Err(error) => tracing::warn!(?error, "a delivery could not be written down yet"),
            }
            tokio::time::sleep(WRITE_AGAIN).await;
        }
    }

    async fn came_to_nothing(&self, due: &Arc<Due>, why: &Undelivered) -> Result<()> {
        let last = matches!(why, Undelivered::Refused(_)) || due.attempts + 1 >= MOST_ATTEMPTS;
        self.metrics.delivered(due.channel, if last { "failed" } else { "retried" });
        let (merchant_id, alert_no, channel) = (due.merchant_id, due.alert_no, due.channel.word());
        let attempt = due.attempts + 1;
        if last {
            tracing::error!(%merchant_id, alert_no, channel, attempt, error = %why, "an alert is given up");
        } else {
            tracing::warn!(%merchant_id, alert_no, channel, attempt, error = %why, "an alert has not arrived yet");
        }
        let shared = (Arc::clone(due), why.to_string());
        let write = self.context.db.write("limits.not_delivered", move |tx| {
            let (due, why) = shared.clone();
            async move { delivery::not_delivered(tx, &due, &why, last).await }.boxed()
        });
        write.await
    }
}

fn wait(until: Timestamp, reason: &str) -> Result<(), JobError> {
    Err(JobError::Wait { until, reason: reason.to_owned() })
}

/// The pause after an attempt that followed `before` others: half of a bound that doubles, and up to as much again by
/// chance.
fn back_off(before: i32, random: &dyn Random) -> TimeDelta {
    let doublings = u32::try_from(before).unwrap_or(0).min(30);
    let bound = FIRST_BACK_OFF.saturating_mul(1 << doublings).min(LONGEST_BACK_OFF);
    let half = u64::try_from((bound / 2).as_millis()).unwrap_or(u64::MAX);
    TimeDelta::milliseconds(i64::try_from(half + random.below(half + 1)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use payops_core::random::SeededRandom;

    use super::*;

    #[test]
    fn pauses_double_with_chance_and_a_cap_and_last_for_hours() {
        let random = SeededRandom::new(5);
        for (before, most) in [(0, 5), (1, 10), (4, 80), (9, 2560), (10, 3600), (i32::MAX, 3600)] {
            let most = TimeDelta::seconds(most);
            for _ in 0..50 {
                let pause = back_off(before, &random);
                assert!(pause >= most / 2 && pause <= most, "{before}: {pause}");
            }
        }
        let all: TimeDelta = (0..MOST_ATTEMPTS - 1).map(|before| back_off(before, &random)).sum();
        assert!(all > TimeDelta::hours(5) && all < TimeDelta::hours(11), "{all}");
    }
}
