//! Budgets that instances share through a real Redis.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures::future::join_all;
use payops_platform::http::testing::{As, TestAnswer, TestClient, shared_redis};
use payops_platform::http::{Budgets, Limiter, MerchantBudgets, RedisSettings, ServiceHttp};
use payops_platform::telemetry::Metrics;
use uuid::Uuid;

use crate::redis::{OwnRedis, SlowWay, settings, until};
use crate::site;

/// Counted like all others, and answered without a database.
const NOWHERE: &str = "/nowhere";

/// One instance of a service.
struct Instance {
    client: TestClient,
    metrics: Metrics,
    _db: payops_platform::db::testing::TestDb,
}

impl Instance {
    async fn start(redis: &RedisSettings, service: &'static str, per_minute: u32) -> Self {
        let budgets =
            Budgets { caller_per_minute: NonZeroU32::new(per_minute).unwrap(), ..Budgets::default() };
        let metrics = Metrics::new(service);
        let limiter = Arc::new(Limiter::shared(redis, budgets, &metrics).await.unwrap());
        let db = site::some_db().await;
        let merchant_budgets = MerchantBudgets::new(|_| async { Ok(NonZeroU32::new(2)) });
        let client = site::client(ServiceHttp {
            limiter,
            merchant_budgets: Some(merchant_budgets),
            ..site::service(db.db())
        });
        Self { client, metrics, _db: db }
    }

    async fn call(&self, who: As) -> TestAnswer {
        self.client.get(NOWHERE).by(who).send().await
    }

    async fn counts(&self) -> bool {
        !self.call(As::Admin).await.header("ratelimit").is_empty()
    }

    /// How many requests passed uncounted.
    fn skipped(&self) -> u64 {
        let page = self.metrics.render().unwrap();
        let line = page.lines().find(|line| line.starts_with("http_rate_limits_skipped_total"));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    async fn health(&self) -> (String, String) {
        let answer = self.client.get("/health").by(As::Operator).send().await;
        assert_eq!(answer.status, 200);
        let page = answer.json();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (text(&page["status"]), text(&page["dependencies"]["redis"]))
    }
}

/// A name that no other test's counts go under.
fn service() -> &'static str {
    format!("test-{}", Uuid::from_u128(rand_number())).leak()
}

fn rand_number() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    u128::from(RandomState::new().hash_one("service"))
}

#[tokio::test]
async fn two_instances_give_one_budget_between_them() {
    let service = service();
    let (one, other) = (
        Instance::start(&shared_redis(), service, 3).await,
        Instance::start(&shared_redis(), service, 3).await,
    );
    for (instance, left) in [(&one, 2), (&other, 1), (&one, 0)] {
        let answer = instance.call(As::Operator).await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.header("ratelimit-policy"), "\"caller\";q=3;w=60");
        assert_eq!(answer.header("ratelimit"), format!("\"caller\";r={left};t={}", (3 - left) * 20));
    }
    for instance in [&other, &one] {
        let refused = instance.call(As::Operator).await;
        assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
        let wait: u32 = refused.header("retry-after").parse().unwrap();
        assert!((1..=20).contains(&wait), "{wait}");
        assert_eq!(refused.header("ratelimit"), format!("\"caller\";r=0;t={wait}"));
        // Others have their own.
        assert_eq!(instance.call(As::Admin).await.status, 404);
    }
    // A merchant's own budget is shared as well, and a service is never in its way.
    let merchant = As::Merchant(Uuid::nil());
    assert_eq!(one.call(merchant).await.header("ratelimit-policy"), "\"merchant\";q=2;w=60");
    assert_eq!(other.call(merchant).await.status, 404);
    assert_eq!(one.call(merchant).await.status, 429);
    assert_eq!(one.call(As::Service).await.header("ratelimit-policy"), "\"service\";q=600000;w=60");
    assert_eq!((one.skipped(), other.skipped()), (0, 0));
}

#[tokio::test]
async fn at_once_exactly_the_budget_passes() {
    let service = service();
    let (one, other) = (
        Instance::start(&shared_redis(), service, 10).await,
        Instance::start(&shared_redis(), service, 10).await,
    );
    let calls = (0..20).flat_map(|_| [one.call(As::Operator), other.call(As::Operator)]);
    let passed = join_all(calls).await.iter().filter(|answer| answer.status == 404).count();
    assert_eq!(u64::try_from(passed).unwrap(), 10 + one.skipped() + other.skipped());
}

#[tokio::test]
async fn without_redis_the_gate_opens_and_it_closes_again_by_itself() {
    let redis = OwnRedis::start(&[]).await;
    let port = redis.port;
    let instance = Instance::start(&settings(port), service(), 1).await;
    assert_eq!(instance.call(As::Operator).await.status, 404);
    assert_eq!(instance.call(As::Operator).await.status, 429);
    assert_eq!(instance.health().await, ("healthy".into(), "healthy".into()));

    redis.kill().await;
    let before = instance.skipped();
    for _ in 0..5 {
        let answer = instance.call(As::Operator).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (404, ""));
    }
    assert_eq!(instance.skipped(), before + 5);
    until("it is degraded", || async { instance.health().await == ("degraded".into(), "unhealthy".into()) })
        .await;

    // Its memory is gone, the script among it.
    let _redis = OwnRedis::start_on(port, &[]).await;
    until("it counts", || instance.counts()).await;
    assert_eq!(instance.call(As::Operator).await.status, 404);
    assert_eq!(instance.call(As::Operator).await.status, 429);
    until("it is healthy", || async { instance.health().await == ("healthy".into(), "healthy".into()) })
        .await;
}

#[tokio::test]
async fn a_service_starts_without_redis_and_counts_once_it_is_there() {
    let redis = OwnRedis::start(&[]).await;
    let port = redis.port;
    redis.kill().await;
    let instance = Instance::start(&settings(port), service(), 1).await;
    assert!(!instance.counts().await);
    assert_eq!(instance.skipped(), 1);
    let _redis = OwnRedis::start_on(port, &[]).await;
    until("it counts", || instance.counts()).await;
}

#[tokio::test]
async fn nobody_waits_for_a_redis_that_does_not_answer() {
    let redis = OwnRedis::start(&[]).await;
    let way = SlowWay::to(redis.port).await;
    let instance = Instance::start(&settings(way.port), service(), 1).await;
    assert_eq!(instance.call(As::Operator).await.status, 404);
    way.hold_answers(true);
    // No answer comes as long as these are under way, so that they end at all shows that they gave up.
    for _ in 0..20 {
        let answer = instance.call(As::Operator).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (404, ""));
    }
    assert_eq!(instance.skipped(), 20);
    way.hold_answers(false);
    until("it counts", || instance.counts()).await;
}

#[tokio::test]
async fn a_forgotten_script_is_told_again() {
    let redis = OwnRedis::start(&[]).await;
    let instance = Instance::start(&settings(redis.port), service(), 1).await;
    redis.command::<()>(&["SCRIPT", "FLUSH"]).await;
    assert_eq!(instance.call(As::Operator).await.status, 404);
    assert_eq!(instance.call(As::Operator).await.status, 429);
    assert_eq!(instance.skipped(), 0);
}

#[tokio::test]
async fn redis_learns_no_names_and_forgets_within_the_minute() {
    let redis = OwnRedis::start(&[]).await;
    let instance = Instance::start(&settings(redis.port), service(), 100).await;
    let merchant = Uuid::from_u128(7);
    for who in [As::Operator, As::Merchant(merchant), As::Service, As::Nobody] {
        instance.call(who).await;
    }
    let mut keys: Vec<String> = redis.command(&["KEYS", "*"]).await;
    keys.retain(|key| !key.contains(":probe:"));
    // One each of the person, the merchant and the address; services are counted in the process.
    assert_eq!(keys.len(), 3, "{keys:?}");
    for key in &keys {
        assert!(key.starts_with("payops:rate:test-"), "{key}");
        assert!(!key.contains("operator") && !key.contains(&merchant.to_string()), "{key}");
        let left: i64 = redis.command(&["PTTL", key]).await;
        assert!(left <= 60_000 && left != -1, "{key}: {left}");
    }
}

#[tokio::test]
async fn redis_may_ask_for_a_password() {
    let redis = OwnRedis::start(&["--requirepass", "a password for tests"]).await;
    let known = RedisSettings { password: Some("a password for tests".into()), ..settings(redis.port) };
    let instance = Instance::start(&known, service(), 1).await;
    assert!(instance.counts().await);
    let wrong = RedisSettings { password: Some("another".into()), database: 1, ..settings(redis.port) };
    let instance = Instance::start(&wrong, service(), 1).await;
    assert!(!instance.counts().await);
    assert!(!format!("{known:?}").contains("a password"));
}

#[tokio::test]
async fn a_redis_that_may_not_write_counts_as_away() {
    let redis = OwnRedis::start(&[]).await;
    let instance = Instance::start(&settings(redis.port), service(), 1).await;
    assert!(instance.counts().await);
    redis.command::<()>(&["REPLICAOF", "127.0.0.1", "1"]).await;
    until("it is degraded", || async { instance.health().await == ("degraded".into(), "unhealthy".into()) })
        .await;
    assert!(!instance.counts().await);
    redis.command::<()>(&["REPLICAOF", "NO", "ONE"]).await;
    until("it counts", || instance.counts()).await;
}
