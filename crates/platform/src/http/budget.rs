//! How many requests a caller may make.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use super::envelope::whole_seconds;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
/// After so many checks, keys that say nothing any more are dropped.
const SWEEP_EVERY: u32 = 8 * 1024;

/// Requests a minute. A budget that was not used fills up again evenly, and may be spent at once.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    /// For each person; for each merchant, however many of its people call.
    pub caller_per_minute: NonZeroU32,
    /// For each service: high, since a payment must never be refused for it.
    pub service_per_minute: NonZeroU32,
    /// For each address without (good) credentials. IPv6 counts by /64.
    pub anonymous_per_minute: NonZeroU32,
}

impl Default for Budgets {
    fn default() -> Self {
        let per_minute = |count| NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN);
        Self {
            caller_per_minute: per_minute(100),
            service_per_minute: per_minute(600_000),
            anonymous_per_minute: per_minute(100),
        }
    }
}

/// Where budgets are counted.
#[derive(Debug)]
pub enum Limiter {
    /// In this process alone.
    InProcess(InProcess),
}

impl Limiter {
    /// Counts in this process: with several instances, each gives the whole budget.
    pub fn in_process(budgets: Budgets) -> Self {
        Self::InProcess(InProcess {
            callers: Budget::new("caller", budgets.caller_per_minute),
            services: Budget::new("service", budgets.service_per_minute),
            anonymous: Budget::new("anonymous", budgets.anonymous_per_minute),
            hasher: RandomState::new(),
        })
    }

    /// Takes one request off the budget of the caller, or of the address when nobody known calls.
    #[expect(
        clippy::unused_async,
        reason = "a limiter that is shared by instances has to ask over the network"
    )]
    pub(super) async fn take(&self, caller: Option<&Caller>, peer: Option<IpAddr>) -> Ruling<'_> {
        match self {
            Self::InProcess(budgets) => budgets.take(caller, peer),
        }
    }
}

/// Budgets counted in memory.
#[derive(Debug)]
pub struct InProcess {
    callers: Budget,
    services: Budget,
    anonymous: Budget,
    hasher: RandomState,
}

impl InProcess {
    fn take(&self, caller: Option<&Caller>, peer: Option<IpAddr>) -> Ruling<'_> {
        match caller {
            Some(Caller::Person { subject, .. }) => {
                self.callers.take(self.hasher.hash_one(("person", subject)))
            }
            Some(Caller::Merchant { merchant_id, .. }) => {
                self.callers.take(self.hasher.hash_one(("merchant", merchant_id)))
            }
            Some(Caller::Service { name }) => self.services.take(self.hasher.hash_one(name)),
            None => self.anonymous.take(self.hasher.hash_one(peer.map(network))),
        }
    }
}

/// Whoever has one IPv6 address has 2^64 of them.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            let site = IpAddr::from([a, b, c, d, 0, 0, 0, 0]);
            address.to_ipv4_mapped().map_or(site, IpAddr::V4)
        }
    }
}

/// The keys are hashes of names, with a secret of the process in them: nothing is copied, and nobody can aim
/// at another's key.
type Gcra = RateLimiter<u64, DefaultKeyedStateStore<u64>, Monotonic, StateInformationMiddleware>;

/// One policy and how far each key has spent it.
struct Budget {
    name: &'static str,
    per_minute: NonZeroU32,
    policy: HeaderValue,
    gcra: Gcra,
    clock: Monotonic,
    checks: AtomicU32,
}

impl std::fmt::Debug for Budget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, per_minute) = (self.name, self.per_minute);
        f.debug_struct("Budget").field("name", &name).field("per_minute", &per_minute).finish_non_exhaustive()
    }
}

impl Budget {
    fn new(name: &'static str, per_minute: NonZeroU32) -> Self {
        let clock = Monotonic(Instant::now());
        let quota = Quota::per_minute(per_minute);
        let store = DefaultKeyedStateStore::default();
        let policy = HeaderValue::try_from(format!("\"{name}\";q={per_minute};w=60"));
        Self {
            name,
            per_minute,
            policy: policy.unwrap_or_else(|_| HeaderValue::from_static("")),
            gcra: Gcra::new(quota, store, clock),
            clock,
            checks: AtomicU32::new(0),
        }
    }

    fn take(&self, key: u64) -> Ruling<'_> {
        if self.checks.fetch_add(1, Ordering::Relaxed).is_multiple_of(SWEEP_EVERY) {
            self.gcra.retain_recent();
        }
        let (remaining, wait) = match self.gcra.check_key(&key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => (0, Some(not_until.wait_time_from(self.clock.now()))),
        };
        Ruling { budget: self, remaining, wait }
    }
}

/// Time that never steps back, in tests moved by tokio.
#[derive(Debug, Clone, Copy)]
struct Monotonic(Instant);

impl Clock for Monotonic {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// What a budget says about one request.
#[derive(Debug)]
pub(super) struct Ruling<'l> {
    budget: &'l Budget,
    remaining: u32,
    wait: Option<Duration>,
}

impl Ruling<'_> {
    /// 429 when the budget is spent.
    pub(super) fn refusal(&self) -> Option<Error> {
        let wait = self.wait?;
        let error = Error::new(
            ErrorKind::TooManyRequests,
            "RATE_LIMITED",
            "More requests than the caller's budget; see Retry-After.",
            "请求过于频繁，请参见 Retry-After。",
        );
        let data = serde_json::json!({
            "type": "https://iana.org/assignments/http-problem-types#quota-exceeded",
            "violated_policies": [self.budget.name],
            "retry_after_seconds": whole_seconds(wait),
        });
        Some(error.with_data(data).with_retry_after(wait))
    }

    /// `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-11: `r` requests are left
    /// and within `t` seconds the budget is whole again; when refused, `t` is when the next one passes.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let until_whole = || {
            let whole = self.budget.per_minute.get();
            let spent = u64::from(whole.saturating_sub(self.remaining));
            (spent * 60).div_ceil(u64::from(whole))
        };
        let seconds = self.wait.map_or_else(until_whole, whole_seconds);
        let state = format!("\"{}\";r={};t={seconds}", self.budget.name, self.remaining);
        if let Ok(state) = HeaderValue::try_from(state) {
            headers.insert(POLICY, self.budget.policy.clone());
            headers.insert(STATE, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(ruling: Ruling<'_>) -> (String, String) {
        let mut headers = HeaderMap::new();
        ruling.write(&mut headers);
        let text = |name| headers[name].to_str().unwrap().to_owned();
        (text("ratelimit-policy"), text("ratelimit"))
    }

    fn person(name: &str) -> Caller {
        Caller::Person { subject: name.into(), role: crate::auth::Role::Operator }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_spent_and_fills_up_again() {
        let limiter = Limiter::in_process(Budgets::default());
        let alice = person("alice");
        for left in (0..100).rev() {
            let ruling = limiter.take(Some(&alice), None).await;
            assert!(ruling.refusal().is_none());
            let (policy, state) = headers(ruling);
            assert_eq!(policy, "\"caller\";q=100;w=60");
            assert_eq!(state, format!("\"caller\";r={left};t={}", ((100_u32 - left) * 60).div_ceil(100)));
        }
        let refused = limiter.take(Some(&alice), None).await;
        let error = refused.refusal().unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_millis(600)));
        assert_eq!(error.data().unwrap()["violated_policies"], serde_json::json!(["caller"]));
        assert_eq!(headers(refused).1, "\"caller\";r=0;t=1");
        assert!(limiter.take(Some(&person("bob")), None).await.refusal().is_none());

        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(limiter.take(Some(&alice), None).await.refusal().is_none());
        assert!(limiter.take(Some(&alice), None).await.refusal().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn each_kind_of_caller_has_its_budget() {
        let one = NonZeroU32::MIN;
        let limiter = Limiter::in_process(Budgets {
            caller_per_minute: one,
            anonymous_per_minute: one,
            ..Budgets::default()
        });
        let merchant =
            |subject: &str| Caller::Merchant { subject: subject.into(), merchant_id: uuid::Uuid::nil() };
        let service = Caller::Service { name: "gateway".into() };
        assert!(limiter.take(Some(&merchant("a")), None).await.refusal().is_none());
        assert!(
            limiter.take(Some(&merchant("b")), None).await.refusal().is_some(),
            "one merchant, one budget"
        );
        for _ in 0..1000 {
            assert!(limiter.take(Some(&service), None).await.refusal().is_none());
        }
        let from = |address: &str| Some(address.parse().unwrap());
        assert!(limiter.take(None, from("192.0.2.1")).await.refusal().is_none());
        assert!(limiter.take(None, from("192.0.2.2")).await.refusal().is_none());
        assert!(limiter.take(None, from("::ffff:192.0.2.2")).await.refusal().is_some());
        assert!(limiter.take(None, from("2001:db8::1")).await.refusal().is_none());
        assert!(limiter.take(None, from("2001:db8::ffff:2")).await.refusal().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_do_not_pile_up() {
        let budget = Budget::new("caller", NonZeroU32::MIN);
        for key in 0..u64::from(SWEEP_EVERY) {
            budget.take(key);
        }
        assert_eq!(budget.gcra.len(), 8 * 1024);
        tokio::time::advance(Duration::from_mins(2)).await;
        budget.take(u64::MAX);
        assert_eq!(budget.gcra.len(), 1);
    }
}
