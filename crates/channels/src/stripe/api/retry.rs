//! When a failed call is made again.

use std::time::Duration;

use payops_core::random::Random;

use super::super::error::StripeError;
use super::settings::Retries;

impl Retries {
    /// The pause after the failed attempt number `attempt` (from 1); `None` when the call has failed for good.
    pub(super) fn pause(&self, attempt: u32, failed: &StripeError, random: &dyn Random) -> Option<Duration> {
        if attempt >= self.attempts || !failed.is_retryable() {
            return None;
        }
        let asked = failed.remote.retry_after.unwrap_or_default();
        (asked <= self.longest_retry_after).then(|| asked.max(self.backoff(attempt, random)))
    }

    /// Anything from nothing to the bound, so that callers who failed together do not come back together.
    fn backoff(&self, attempt: u32, random: &dyn Random) -> Duration {
        let doubled = self.first_pause.saturating_mul(1_u32.checked_shl(attempt - 1).unwrap_or(u32::MAX));
        let bound = u64::try_from(doubled.min(self.longest_pause).as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(random.below(bound.saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use payops_core::random::SeededRandom;

    use super::*;
    use crate::remote::{RemoteError, RemoteErrorKind as Kind};
    use crate::stripe::Certainty;

    /// Gives the greatest number there is.
    #[derive(Debug)]
    struct Greatest;

    impl Random for Greatest {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0xff);
        }
    }

    fn failed(kind: Kind, retry_after: Option<u64>) -> StripeError {
        let mut remote = RemoteError::new(kind, "failed");
        remote.retry_after = retry_after.map(Duration::from_secs);
        StripeError::new(remote, Certainty::Unknown)
    }

    #[test]
    fn pauses_lie_anywhere_below_a_bound_that_doubles() {
        let retries = Retries { attempts: u32::MAX, ..Retries::default() };
        let down = failed(Kind::ServerError, None);
        let bounds: Vec<_> = (1..=7).map(|attempt| retries.pause(attempt, &down, &Greatest)).collect();
        let expected = [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000];
        assert_eq!(bounds, expected.map(|millis| Some(Duration::from_millis(millis))));
        assert_eq!(retries.pause(40, &down, &Greatest), Some(Duration::from_secs(8)));
        let random = SeededRandom::new(1);
        let drawn: Vec<_> = (0..1_000).filter_map(|_| retries.pause(2, &down, &random)).collect();
        let (least, most) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(
            *least < Duration::from_millis(50) && *most > Duration::from_millis(950),
            "{least:?} {most:?}"
        );
        assert!(*most <= Duration::from_secs(1));
    }

    #[test]
    fn a_call_is_made_again_only_where_that_may_help() {
        let retries = Retries::default();
        let random = SeededRandom::new(1);
        assert_eq!(retries.pause(1, &failed(Kind::BadRequest, None), &random), None);
        assert!(retries.pause(3, &failed(Kind::Connect, None), &random).is_some());
        assert_eq!(retries.pause(4, &failed(Kind::Connect, None), &random), None, "the attempts are used up");
    }

    #[test]
    fn retry_after_is_the_least_pause_within_its_limit() {
        let retries = Retries::default();
        let pause = |seconds| retries.pause(1, &failed(Kind::RateLimited, Some(seconds)), &Greatest);
        assert_eq!(pause(0), Some(Duration::from_millis(500)));
        assert_eq!(pause(30), Some(Duration::from_secs(30)));
        assert_eq!(pause(31), None);
    }
}
