//! The client's own limit on requests a second.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::remote::{RemoteError, RemoteErrorKind};

/// Whose calls go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// They wait behind all that go first, and behind one another.
    Ordinary,
    /// They wait behind one ordinary call at the most.
    First,
}

/// Gives turns in the order in which they are asked for in each lane, evenly spaced, one a second fewer than are allowed. There is
/// no burst: a burst after a pause would be within a mean of n a second, and beyond what a window of Stripe's counts. And
/// what leaves evenly does not arrive so: where one request is late and the next is not, a window counts one more.
#[derive(Debug)]
pub(super) struct Pace {
    spacing: Duration,
    longest_wait: Duration,
    next: Mutex<Option<Instant>>,
    /// Of the ordinary calls, the one that holds this has a turn: those that go first are not behind the others.
    ordinary: tokio::sync::Mutex<()>,
    /// How many ordinary calls wait for that.
    queued: AtomicU32,
}

impl Pace {
    pub(super) fn new(per_second: NonZeroU32, longest_wait: Duration) -> Self {
        Self {
            spacing: Duration::from_secs(1) / per_second.get().saturating_sub(1).max(1),
            longest_wait,
            next: Mutex::new(None),
            ordinary: tokio::sync::Mutex::default(),
            queued: AtomicU32::new(0),
        }
    }

    /// Waits for a turn. One that is further away than the longest wait is not waited for, and takes nobody's place.
    pub(super) async fn turn(&self, lane: Lane) -> Result<(), RemoteError> {
        let _only = match lane {
            Lane::First => None,
            Lane::Ordinary => Some(self.queue(Instant::now()).await?),
        };
        let turn = self.reserve(Instant::now())?;
        tokio::time::sleep_until(turn).await;
        Ok(())
    }

    /// Waits behind the ordinary calls that are here already.
    async fn queue(&self, now: Instant) -> Result<tokio::sync::MutexGuard<'_, ()>, RemoteError> {
        let place = Place::take(&self.queued);
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or(now);
        self.check(next.saturating_duration_since(now) + self.spacing * place.ahead)?;
        Ok(self.ordinary.lock().await)
    }

    fn check(&self, wait: Duration) -> Result<(), RemoteError> {
        if wait <= self.longest_wait {
            return Ok(());
        }
        let message = format!(
            "the request was not sent: its turn under the limit on requests to Stripe is {} s away",
            wait.as_secs()
        );
        let mut error = RemoteError::new(RemoteErrorKind::RateLimited, message);
        error.retry_after = Some(wait);
        Err(error)
    }

    fn reserve(&self, now: Instant) -> Result<Instant, RemoteError> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = next.unwrap_or(now).max(now);
        self.check(turn - now)?;
        *next = Some(turn + self.spacing);
        Ok(turn)
    }
}

/// A place in the queue, until its turn has come or is given up.
struct Place<'a> {
    queued: &'a AtomicU32,
    ahead: u32,
}

impl<'a> Place<'a> {
    fn take(queued: &'a AtomicU32) -> Self {
        Self { queued, ahead: queued.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
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
        let pace = pace(26, 60);
        let start = Instant::now();
        for turn in 0..100 {
            pace.turn(Lane::Ordinary).await.unwrap();
            let behind = start.elapsed().abs_diff(Duration::from_millis(40) * turn);
            // tokio's timer goes by whole milliseconds.
            assert!(behind <= Duration::from_millis(1), "{behind:?}");
        }
        tokio::time::advance(Duration::from_mins(1)).await;
        let start = Instant::now();
        for _ in 0..26 {
            pace.turn(Lane::Ordinary).await.unwrap();
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
                    pace.turn(Lane::Ordinary).await.unwrap();
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
    async fn those_that_go_first_wait_behind_one_ordinary_call_at_the_most() {
        let pace = pace(10, 60);
        let order = Arc::new(Mutex::new(Vec::new()));
        let begin = |lane, name: &'static str| {
            let (pace, order) = (Arc::clone(&pace), Arc::clone(&order));
            tokio::spawn(async move {
                pace.turn(lane).await.unwrap();
                order.lock().unwrap().push(name);
            })
        };
        let mut waiting: Vec<_> = (0..20).map(|_| begin(Lane::Ordinary, "ordinary")).collect();
        tokio::task::yield_now().await;
        waiting.extend((0..5).map(|_| begin(Lane::First, "first")));
        for task in waiting {
            task.await.unwrap();
        }
        let order = order.lock().unwrap();
        assert_eq!(order.len(), 25);
        let last = order.iter().rposition(|name| *name == "first").unwrap();
        assert!(last <= 6, "{order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordinary_call_with_too_many_before_it_is_refused_at_once() {
        let pace = pace(1, 2);
        let begin = || {
            let pace = Arc::clone(&pace);
            tokio::spawn(async move { pace.turn(Lane::Ordinary).await })
        };
        let waiting: Vec<_> = (0..3).map(|_| begin()).collect();
        tokio::task::yield_now().await;
        let refused = pace.turn(Lane::Ordinary).await.unwrap_err();
        assert_eq!((refused.kind, refused.status), (RemoteErrorKind::RateLimited, None));
        for task in waiting {
            task.await.unwrap().unwrap();
        }
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
