//! How often a merchant may call with its own token.

use std::time::Duration;

use http::Method;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::Limiter;
use payops_platform::http::testing::{As, TestAnswer, shared_redis};
use payops_platform::telemetry::Metrics;
use serde_json::json;
use uuid::Uuid;

use crate::harness::{App, TABLES, plenty};
use crate::people::{LIMITS, TIERS, new_tier};

both_databases!(TABLES;
    a_merchants_tier_says_how_often_it_may_call,
    a_service_call_while_the_merchants_own_api_budget_is_spent_passes,
    a_change_of_the_tier_takes_effect_within_seconds,
    a_merchant_without_limits_has_the_budget_of_all_callers,
    instances_share_a_merchants_budget_through_redis,
);

/// A tier that allows so many calls, and a merchant of it.
async fn merchant_of(app: &App, calls: i32) -> (String, Uuid) {
    let mut tier = new_tier("calls", "USD", (Some(1_000_000), None, None));
    tier["max_api_calls_per_min"] = json!(calls);
    let made = app.post(TIERS, &tier).await;
    assert_eq!(made.status, 201, "{:?}", made.json());
    (made.data()["id"].as_str().unwrap().to_owned(), app.initialize("calls").await)
}

async fn own_call(app: &App, merchant: Uuid) -> TestAnswer {
    app.client.get(&format!("{LIMITS}/{merchant}")).by(As::Merchant(merchant)).send().await
}

async fn spend(app: &App, merchant: Uuid, calls: i32) {
    for left in (0..calls).rev() {
        let answer = own_call(app, merchant).await;
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        assert_eq!(answer.header("ratelimit-policy"), format!("\"merchant\";q={calls};w=60"));
        assert!(answer.header("ratelimit").starts_with(&format!("\"merchant\";r={left};t=")));
    }
    let refused = own_call(app, merchant).await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "RATE_LIMITED"));
    assert_eq!(refused.data()["violated_policies"], json!(["merchant"]));
    assert!(!refused.header("retry-after").is_empty());
}

async fn a_merchants_tier_says_how_often_it_may_call(db: TestDb) {
    let app = App::start(db).await;
    let (_, merchant) = merchant_of(&app, 3).await;
    // What others do about the merchant is not off its budget.
    for _ in 0..5 {
        assert_eq!(app.get(&format!("{LIMITS}/{merchant}")).await.status, 200);
    }
    let other = app.initialize("calls").await;
    spend(&app, merchant, 3).await;
    assert_eq!(own_call(&app, other).await.status, 200, "each merchant has its own");
}

async fn a_service_call_while_the_merchants_own_api_budget_is_spent_passes(db: TestDb) {
    let app = App::start(db).await;
    let (_, merchant) = merchant_of(&app, 2).await;
    spend(&app, merchant, 2).await;
    for number in 0..5 {
        let passed = app.consume(merchant, &format!("p{number}"), 100).await;
        assert_eq!(
            (passed.status, passed.header("ratelimit-policy").starts_with("\"service\"")),
            (200, true)
        );
    }
    assert_eq!(own_call(&app, merchant).await.status, 429);
    assert_eq!(app.counters(merchant).await.0, 500);
}

async fn a_change_of_the_tier_takes_effect_within_seconds(db: TestDb) {
    let app = App::start(db).await;
    let (tier, merchant) = merchant_of(&app, 2).await;
    spend(&app, merchant, 2).await;
    let changed =
        app.admin(Method::PUT, &format!("{TIERS}/{tier}"), &json!({ "max_api_calls_per_min": 1000 })).await;
    assert_eq!(changed.status, 200, "{:?}", changed.json());
    let looking = async {
        loop {
            let answer = own_call(&app, merchant).await;
            if answer.status == 200 {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let answer = tokio::time::timeout(Duration::from_mins(1), looking).await.unwrap();
    assert_eq!(answer.header("ratelimit-policy"), "\"merchant\";q=1000;w=60");
}

async fn a_merchant_without_limits_has_the_budget_of_all_callers(db: TestDb) {
    let app = App::start(db).await;
    let answer = own_call(&app, Uuid::from_u128(5)).await;
    assert_eq!(answer.status, 404);
    assert!(answer.header("ratelimit-policy").starts_with("\"caller\";"));
}

async fn instances_share_a_merchants_budget_through_redis(db: TestDb) {
    let app = App::start(db).await;
    let (_, merchant) = merchant_of(&app, 2).await;
    // A name of this run's own, so that nothing of another run is counted.
    let service: &'static str = format!("limits-{}", app.id().simple()).leak();
    let limiter = async || Limiter::shared(&shared_redis(), plenty(), &Metrics::new(service)).await.unwrap();
    let (one, other) = (app.another_with(limiter().await).await, app.another_with(limiter().await).await);
    assert_eq!(own_call(&one, merchant).await.status, 200);
    assert_eq!(own_call(&other, merchant).await.status, 200);
    assert_eq!(own_call(&one, merchant).await.status, 429);
    assert_eq!(own_call(&other, merchant).await.status, 429);
    assert_eq!(one.consume(merchant, "p1", 100).await.status, 200);
}
