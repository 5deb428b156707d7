//! How many requests a caller may make.

mod local;
mod merchants;
mod shared;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::envelope::whole_seconds;
use super::health::HealthCheck;
use crate::auth::Caller;
use crate::error::{Error, ErrorKind};
use crate::telemetry::Metrics;

pub use local::InProcess;
pub use merchants::MerchantBudgets;
pub use shared::{RedisSettings, Shared};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Requests a minute. A budget that was not used fills up again evenly, and may be spent at once.
#[derive(Debug, Clone, Copy)]
pub struct Budgets {
    /// For each person; for each merchant, however many of its people call, unless its tier says otherwise.
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
    /// For all instances of the service.
    Shared(Shared),
}

impl Limiter {
    /// Counts in this process: with several instances, each gives the whole budget.
    pub fn in_process(budgets: Budgets) -> Self {
        Self::InProcess(InProcess::new(budgets))
    }

    /// Counts in Redis, exactly, however many instances of the service there are. While Redis is away, or answers too
    /// late, requests pass uncounted, and `http_rate_limits_skipped_total` tells how many; it is counted again as soon
    /// as Redis answers. Services are counted in this process: their budget is a fuse against a runaway, and the way
    /// of a payment is not made longer for it.
    ///
    /// Tries for a second to reach Redis before it returns. An error means that the settings cannot be used.
    pub async fn shared(
        redis: &RedisSettings,
        budgets: Budgets,
        metrics: &Metrics,
    ) -> crate::error::Result<Self> {
        Ok(Self::Shared(Shared::open(redis, budgets, metrics).await?))
    }

    /// Whether Redis is there, where it is used.
    pub(super) fn health_check(&self) -> Option<HealthCheck> {
        match self {
            Self::InProcess(_) => None,
            Self::Shared(shared) => Some(shared.health_check()),
        }
    }

    /// Takes one request off the budget of the caller, or of the address when nobody known calls. `None` when the
    /// request could not be counted, and passes.
    pub(super) async fn take(
        &self,
        caller: Option<&Caller>,
        peer: Option<IpAddr>,
        merchants: Option<&MerchantBudgets>,
    ) -> Option<Ruling> {
        let own = match (caller.and_then(Caller::merchant_id), merchants) {
            // Boxed: services do not come this way, and every request would carry its state along.
            (Some(merchant_id), Some(merchants)) => Box::pin(merchants.per_minute(merchant_id)).await,
            _ => None,
        };
        match (self, caller) {
            (Self::InProcess(budgets), _) => Some(budgets.take(caller, peer, own)),
            (Self::Shared(shared), Some(Caller::Service { name })) => Some(shared.take_service(name)),
            (Self::Shared(shared), _) => Box::pin(shared.take(caller, peer, own)).await,
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

/// A budget's name and size, as callers are told.
#[derive(Debug, Clone)]
struct Policy {
    name: &'static str,
    per_minute: NonZeroU32,
    header: HeaderValue,
}

impl Policy {
    fn new(name: &'static str, per_minute: NonZeroU32) -> Self {
        let header = HeaderValue::try_from(format!("\"{name}\";q={per_minute};w=60"));
        Self { name, per_minute, header: header.unwrap_or_else(|_| HeaderValue::from_static("")) }
    }

    /// For people, and for merchants without a budget of their own.
    fn callers(budgets: Budgets) -> Self {
        Self::new("caller", budgets.caller_per_minute)
    }

    /// What a merchant's tier allows.
    fn merchant(per_minute: NonZeroU32) -> Self {
        Self::new("merchant", per_minute)
    }

    fn services(budgets: Budgets) -> Self {
        Self::new("service", budgets.service_per_minute)
    }

    fn anonymous(budgets: Budgets) -> Self {
        Self::new("anonymous", budgets.anonymous_per_minute)
    }
}

/// What a budget says about one request.
#[derive(Debug)]
pub(super) struct Ruling {
    policy: Policy,
    remaining: u32,
    wait: Option<Duration>,
}

impl Ruling {
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
            "violated_policies": [self.policy.name],
            "retry_after_seconds": whole_seconds(wait),
        });
        Some(error.with_data(data).with_retry_after(wait))
    }

    /// `RateLimit-Policy` and `RateLimit` as in draft-ietf-httpapi-ratelimit-headers-11: `r` requests are left
    /// and within `t` seconds the budget is whole again; when refused, `t` is when the next one passes.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        let until_whole = || {
            let whole = self.policy.per_minute.get();
            let spent = u64::from(whole.saturating_sub(self.remaining));
            (spent * 60).div_ceil(u64::from(whole))
        };
        let seconds = self.wait.map_or_else(until_whole, whole_seconds);
        let state = format!("\"{}\";r={};t={seconds}", self.policy.name, self.remaining);
        if let Ok(state) = HeaderValue::try_from(state) {
            headers.insert(POLICY, self.policy.header);
            headers.insert(STATE, state);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(ruling: Ruling) -> (String, String) {
        let mut headers = HeaderMap::new();
        ruling.write(&mut headers);
        let text = |name| headers[name].to_str().unwrap().to_owned();
        (text("ratelimit-policy"), text("ratelimit"))
    }

    async fn take(limiter: &Limiter, caller: Option<&Caller>, peer: Option<IpAddr>) -> Ruling {
        limiter.take(caller, peer, None).await.unwrap()
    }

    fn person(name: &str) -> Caller {
        Caller::Person { subject: name.into(), role: crate::auth::Role::Operator }
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_is_spent_and_fills_up_again() {
        let limiter = Limiter::in_process(Budgets::default());
        let alice = person("alice");
        for left in (0..100).rev() {
            let ruling = take(&limiter, Some(&alice), None).await;
            assert!(ruling.refusal().is_none());
            let (policy, state) = headers(ruling);
            assert_eq!(policy, "\"caller\";q=100;w=60");
            assert_eq!(state, format!("\"caller\";r={left};t={}", ((100_u32 - left) * 60).div_ceil(100)));
        }
        let refused = take(&limiter, Some(&alice), None).await;
        let error = refused.refusal().unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_millis(600)));
        assert_eq!(error.data().unwrap()["violated_policies"], serde_json::json!(["caller"]));
        assert_eq!(headers(refused).1, "\"caller\";r=0;t=1");
        assert!(take(&limiter, Some(&person("bob")), None).await.refusal().is_none());

        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(take(&limiter, Some(&alice), None).await.refusal().is_none());
        assert!(take(&limiter, Some(&alice), None).await.refusal().is_some());
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
        assert!(take(&limiter, Some(&merchant("a")), None).await.refusal().is_none());
        assert!(
            take(&limiter, Some(&merchant("b")), None).await.refusal().is_some(),
            "one merchant, one budget"
        );
        for _ in 0..1000 {
            assert!(take(&limiter, Some(&service), None).await.refusal().is_none());
        }
        let from = |address: &str| Some(address.parse().unwrap());
        assert!(take(&limiter, None, from("192.0.2.1")).await.refusal().is_none());
        assert!(take(&limiter, None, from("192.0.2.2")).await.refusal().is_none());
        assert!(take(&limiter, None, from("::ffff:192.0.2.2")).await.refusal().is_some());
        assert!(take(&limiter, None, from("2001:db8::1")).await.refusal().is_none());
        assert!(take(&limiter, None, from("2001:db8::ffff:2")).await.refusal().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_merchants_own_budget_takes_the_place_of_the_default() {
        let limiter = Limiter::in_process(Budgets::default());
        let merchants = MerchantBudgets::new(|merchant_id| async move {
            Ok((merchant_id == uuid::Uuid::nil()).then_some(2).and_then(NonZeroU32::new))
        });
        let of = |merchant_id| Caller::Merchant { subject: "a".into(), merchant_id };
        let (own, other) = (of(uuid::Uuid::nil()), of(uuid::Uuid::max()));
        for left in [1, 0] {
            let ruling = limiter.take(Some(&own), None, Some(&merchants)).await.unwrap();
            let (policy, state) = headers(ruling);
            assert_eq!(policy, "\"merchant\";q=2;w=60");
            assert_eq!(state, format!("\"merchant\";r={left};t={}", (2 - left) * 30));
        }
        let refused = limiter.take(Some(&own), None, Some(&merchants)).await.unwrap();
        let error = refused.refusal().unwrap();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));
        assert_eq!(error.data().unwrap()["violated_policies"], serde_json::json!(["merchant"]));
        let ruling = limiter.take(Some(&other), None, Some(&merchants)).await.unwrap();
        assert_eq!(headers(ruling).0, "\"caller\";q=100;w=60");
    }
}
