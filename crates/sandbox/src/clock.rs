//! The sandbox's own time: a clock that can be moved ahead of the one it stands on.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::Duration;
use payops_core::time::{Clock, Timestamp};

/// A clock that runs as its base does, ahead by as much as it has been advanced.
#[derive(Debug)]
pub struct VirtualClock {
    base: Arc<dyn Clock>,
    ahead_micros: AtomicI64,
}

impl VirtualClock {
    /// A clock that shows what `base` shows.
    pub fn new(base: Arc<dyn Clock>) -> Self {
        Self { base, ahead_micros: AtomicI64::new(0) }
    }

    /// Moves the clock ahead; a negative duration moves it back.
    pub fn advance(&self, by: Duration) {
        self.ahead_micros.fetch_add(by.num_microseconds().unwrap_or(0), Ordering::SeqCst);
    }

    /// How far the clock is ahead of its base.
    pub fn ahead(&self) -> Duration {
        Duration::microseconds(self.ahead_micros.load(Ordering::SeqCst))
    }

    /// What the base shows: the time that receivers of webhooks live in.
    pub fn base_now(&self) -> Timestamp {
        self.base.now()
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.base.now().checked_add_signed(self.ahead()).unwrap_or_else(|| self.base.now())
    }
}

#[cfg(test)]
mod tests {
    use payops_core::time::ManualClock;

    use super::*;

    #[test]
    fn it_runs_ahead_of_its_base() {
        let base = ManualClock::new(chrono::DateTime::from_timestamp(1_700_000_000, 0).unwrap());
        let clock = VirtualClock::new(Arc::new(base.clone()));
        clock.advance(Duration::hours(1));
        base.advance(Duration::seconds(5));
        assert_eq!(clock.now().timestamp(), 1_700_003_605);
        assert_eq!(clock.base_now().timestamp(), 1_700_000_005);
    }
}
