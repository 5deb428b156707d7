//! Ids for requests and traces: unique, never secret, and cheap, since every request takes some.

use std::sync::atomic::{AtomicU64, Ordering};

use payops_core::random::Random;

use crate::telemetry::TraceId;

/// Counts from a random start; the count is stirred so that ids do not look alike.
#[derive(Debug)]
pub(super) struct Ids {
    seed: u64,
    next: AtomicU64,
}

impl Ids {
    pub(super) fn new(random: &dyn Random) -> Self {
        Self { seed: random.next_u64(), next: AtomicU64::new(random.next_u64()) }
    }

    /// 128 bits that no other call of this process gives, and no other process is likely to.
    pub(super) fn next(&self) -> TraceId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        TraceId::new((u128::from(stir(count ^ self.seed)) << 64) | u128::from(stir(count)))
    }
}

/// The finishing step of `SplitMix64`: one to one, so different counts stay different.
fn stir(count: u64) -> u64 {
    let mut bits = count.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Whether a request id of a caller may be taken over: short, and safe in headers and logs.
pub(super) fn is_sane(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use payops_core::random::SeededRandom;

    use super::*;

    #[test]
    fn ids_differ() {
        let ids = Ids::new(&SeededRandom::new(1));
        let seen: HashSet<TraceId> = (0..10_000).map(|_| ids.next()).collect();
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn only_harmless_ids_are_taken_over() {
        assert!(is_sane("7f9c-1_a.b:c/d+e=f@g~"));
        for bad in ["", "a b", "a\"b", "a\nb", "é", "<x>", &"x".repeat(129)] {
            assert!(!is_sane(bad), "{bad}");
        }
    }
}
