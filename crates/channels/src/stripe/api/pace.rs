//! The client's own limit on requests a second.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::remote::{RemoteError, RemoteErrorKind};

/// Gives turns in the order in which they are asked for, evenly spaced. There is no burst: a burst after a pause
/// would be within a mean of n a second, and beyond what a window of Stripe's counts.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    longest_wait: Duration,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(per_second: NonZeroU32, longest_wait: Duration) -> Self {
        Self { spacing: Duration::from_secs(1) / per_second.get(), longest_wait, next: Mutex::new(None) }
    }

    /// Waits for a turn. One that is further away than the longest wait is not waited for, and takes nobody's place.
    pub(super) async fn turn(&self) -> Result<(), RemoteError> {
        let turn = self.reserve(Instant::now())?;
        tokio::time::sleep_until(turn).await;
        Ok(())
    }

    fn reserve(&self, now: Instant) -> Result<Instant, RemoteError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.unwrap_or(now).max(now);
        let wait = turn - now;
        if wait > self.longest_wait {
            let message = format!(
                "the request was not sent: its turn under the limit on requests to Stripe is {} s away",
                wait.as_secs()
            );
            let mut error = RemoteError::new(RemoteErrorKind::RateLimited, message);
            error.retry_after = Some(wait);
            return Err(error);
        }
        *next = Some(turn + self.spacing);
        Ok(turn)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn pace(per_second: u32, longest_wait: u64) -> Arc<Pace> {
        Arc::new(Pace::new(NonZeroU32::new(per_second).unwrap(), Duration::from_secs(longest_wait)))
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_evenly_spaced_and_a_pause_earns_no_burst() {
        let pace = pace(25, 60);
        let start = Instant::now();
        for turn in 0..100 {
            pace.turn().await.unwrap();
            let behind = start.elapsed().abs_diff(Duration::from_millis(40) * turn);
            // tokio's timer goes by whole milliseconds.
            assert!(behind <= Duration::from_millis(1), "{behind:?}");
        }
        tokio::time::advance(Duration::from_mins(1)).await;
        let start = Instant::now();
        for _ in 0..26 {
            pace.turn().await.unwrap();
        }
        assert!(start.elapsed() >= Duration::from_secs(1), "26 requests lie within more than a second");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_together_go_in_their_order() {
        let pace = pace(10, 60);
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..50)
            .map(|number| {
                let (pace, order) = (Arc::clone(&pace), Arc::clone(&order));
                tokio::spawn(async move {
                    pace.turn().await.unwrap();
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..50).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit() {
        let pace = pace(1, 2);
        let now = Instant::now();
        assert!((0..3).all(|_| pace.reserve(now).is_ok()));
        let refused = pace.reserve(now).unwrap_err();
        assert_eq!(refused.kind, RemoteErrorKind::RateLimited);
        assert_eq!((refused.status, refused.retry_after), (None, Some(Duration::from_secs(3))));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(pace.reserve(Instant::now()).is_ok());
    }
}
