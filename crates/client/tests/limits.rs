//! The client against the real service, and against servers that are away, slow or talk nonsense.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use payops_client::{CallError, Charge, Confirm, LimitsClient, Operation, Release, Reserve, Settings, Void};
use payops_core::currency::Currency;
use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_limits::{Limits, MIGRATIONS, Options, routes};
use payops_platform::both_databases;
use payops_platform::context::ServiceContext;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, SERVICE_NAME, SERVICE_SECRET, TestClient, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, serve, service_router};
use payops_platform::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

both_databases!(MIGRATIONS; a_payment_goes_its_way, declines_are_answers_and_mistakes_are_errors);

fn client(address: SocketAddr) -> LimitsClient {
    let url = format!("http://{address}").parse().unwrap();
    let random = Arc::new(SystemRandom);
    let mut settings = Settings::new(url, SERVICE_NAME, SERVICE_SECRET.to_owned().into(), random);
    settings.attempt_time = Duration::from_secs(20);
    settings.total_time = Duration::from_mins(1);
    LimitsClient::new(settings).unwrap()
}

async fn listening(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, CancellationToken::new(), Duration::ZERO));
    address
}

/// The service on a port of its own, and a merchant of the seeded tier `starter`.
async fn service(db: &TestDb) -> (LimitsClient, Uuid) {
    let context = ServiceContext::new(
        "merchant-limit-service",
        db.db(),
        Arc::new(SystemClock),
        Arc::new(SystemRandom),
        Metrics::new("merchant-limit-service"),
    );
    let app = Limits::start(context.clone(), Options::default());
    let authenticator = authenticator().unwrap();
    let budgets = Budgets { service_per_minute: NonZeroU32::MAX, ..Budgets::default() };
    let router = service_router(ServiceHttp {
        limiter: Arc::new(Limiter::in_process(budgets)),
        ..ServiceHttp::new(context.clone(), Arc::clone(&authenticator), routes(app))
    });
    let merchant = context.new_id();
    let body =
        serde_json::json!({ "merchant_id": merchant, "tier_code": "starter", "custom_daily_limit": 1000 });
    let test = TestClient::new(router.clone(), authenticator, context.now());
    let made = test.post("/api/v1/limits/initialize", &body).by(As::Admin).send().await;
    assert_eq!(made.status, 201, "{}", made.json());
    (client(listening(router).await), merchant)
}

fn charge(merchant_id: Uuid, payment_no: &str, amount: i64) -> Charge {
    let payment_no = payment_no.to_owned();
    Charge { merchant_id, payment_no, amount, currency: Currency::USD, order_no: None, channel: None }
}

async fn a_payment_goes_its_way(db: TestDb) {
    let (client, merchant_id) = service(&db).await;
    let first = charge(merchant_id, "p1", 600);
    assert!(client.check(&first).await.unwrap().allowed);
    let counted = client.consume(&first).await.unwrap();
    assert_eq!((counted.allowed, counted.daily_remaining), (true, Some(400)));
    assert_eq!(client.consume(&first).await.unwrap(), counted);
    let release =
        Release { merchant_id, payment_no: "p1".into(), release_no: None, amount: None, reason: None };
    assert_eq!(client.release(&release).await.unwrap().unwrap().amount, 600);
    let held = Reserve { charge: charge(merchant_id, "p2", 500), ttl_seconds: Some(60) };
    assert!(client.reserve(&held).await.unwrap().expires_at.is_some());
    let confirm = Confirm { merchant_id, payment_no: "p2".into(), amount: Some(300) };
    let confirmed = client.confirm(&confirm).await.unwrap();
    assert_eq!((confirmed.status.as_str(), confirmed.freed_amount), ("confirmed", 200));
    let held = Reserve { charge: charge(merchant_id, "p3", 1), ttl_seconds: None };
    let void = Void { merchant_id, payment_no: "p3".into() };
    let answers = client.batch(&[Operation::Reserve(held), Operation::Void(void)]).await.unwrap();
    assert!(answers.iter().all(|answer| answer.code == "SUCCESS"), "{answers:?}");
}

async fn declines_are_answers_and_mistakes_are_errors(db: TestDb) {
    let (client, merchant_id) = service(&db).await;
    let declined = client.consume(&charge(merchant_id, "p1", 1001)).await.unwrap();
    assert!(!declined.allowed);
    assert_eq!(declined.failures[0].rule, "daily");
    let never =
        Release { merchant_id, payment_no: "no".into(), release_no: None, amount: None, reason: None };
    assert_eq!(client.release(&never).await.unwrap(), None);
    let unknown = client.consume(&charge(Uuid::from_u128(1), "p1", 1)).await.unwrap_err();
    let CallError::Refused(refusal) = unknown else { panic!("{unknown}") };
    assert_eq!((refusal.status, refusal.code.as_str()), (404, "LIMIT_NOT_FOUND"));
}

async fn answering(
    answer: impl Fn(u32) -> (StatusCode, &'static str) + Clone + Send + Sync + 'static,
) -> (LimitsClient, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let router = Router::new().fallback(move || {
        let call = counter.fetch_add(1, Ordering::SeqCst);
        let answer = answer.clone();
        async move { answer(call) }
    });
    (client(listening(router).await), calls)
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again() {
    const ALLOWED: &str = r#"{"code":"SUCCESS","data":{"merchant_id":"00000000-0000-0000-0000-000000000001",
        "allowed":true,"counted_amount":1,"limit_currency":"USD","daily_remaining":null,"monthly_remaining":null,
        "as_of":"2026-11-23T12:00:00Z"}}"#;
    let (client, calls) = answering(|call| match call {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "{}"),
        1 => (StatusCode::BAD_GATEWAY, "<html>"),
        _ => (StatusCode::OK, ALLOWED),
    })
    .await;
    assert!(client.consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap().allowed);
    assert_eq!(calls.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn silence_is_never_a_yes() {
    let (client, calls) = answering(|_| (StatusCode::SERVICE_UNAVAILABLE, "{}")).await;
    let away = client.consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
    assert!(matches!(away, CallError::Away(_)), "{away}");
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let (client, calls) = answering(|_| (StatusCode::OK, "hello")).await;
    let nonsense = client.consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
    assert!(matches!(nonsense, CallError::Unreadable(_)), "{nonsense}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = self::client(nobody).consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
    assert!(matches!(away, CallError::Away(_)), "{away}");
}
