//! The client against the real service, and against servers that are away, slow or talk nonsense.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use payops_client::{
    Admission, CallError, Charge, Confirm, Decision, LimitsClient, Operation, Outcome, Release,
    ReservationStatus, Reserve, Rule, Settings, StandIn, Void, WhenAway,
};
use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_limits::{Limits, MIGRATIONS, Options, routes};
use payops_platform::both_databases;
use payops_platform::context::ServiceContext;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, SERVICE_NAME, SERVICE_SECRET, TestClient, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, serve, service_router};
use payops_platform::telemetry::Metrics;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

both_databases!(MIGRATIONS;
    a_payment_goes_its_way,
    declines_are_answers_and_mistakes_are_errors,
    a_batch_gives_what_single_calls_give,
    what_was_lost_is_taken_back,
    an_answer_that_is_lost_has_one_effect,
    what_was_taken_undecided_is_counted_later,
);

fn client(address: SocketAddr) -> LimitsClient {
    LimitsClient::new(settings(address)).unwrap()
}

fn settings(address: SocketAddr) -> Settings {
    let url = format!("http://{address}").parse().unwrap();
    let random = Arc::new(SystemRandom);
    let mut settings = Settings::new(url, SERVICE_NAME, SERVICE_SECRET.to_owned().into(), random);
    settings.attempt_time = Duration::from_secs(20);
    settings.total_time = Duration::from_mins(1);
    settings
}

async fn listening(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, CancellationToken::new(), Duration::ZERO));
    address
}

/// An address on which nobody listens, nor can as long as the socket is kept.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// The service on a port of its own, and a merchant of the seeded tier `starter`.
async fn service(db: &TestDb) -> (LimitsClient, Uuid) {
    let (router, merchant) = router(db).await;
    (client(listening(router).await), merchant)
}

/// The service without a port.
async fn router(db: &TestDb) -> (Router, Uuid) {
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
    (router, merchant)
}

fn usd(amount: i64) -> Money {
    Money::new(amount, Currency::USD)
}

fn charge(merchant_id: Uuid, payment_no: &str, amount: i64) -> Charge {
    let payment_no = payment_no.to_owned();
    Charge { merchant_id, payment_no, money: usd(amount), order_no: None, channel: None }
}

async fn a_payment_goes_its_way(db: TestDb) {
    let (client, merchant_id) = service(&db).await;
    let first = charge(merchant_id, "p1", 600);
    assert!(client.check(&first).await.unwrap().allowed);
    let counted = client.consume(&first).await.unwrap();
    assert_eq!((counted.allowed, counted.daily_remaining, counted.replayed), (true, Some(400), false));
    assert_eq!(counted.counted(), usd(600));
    let again = client.consume(&first).await.unwrap();
    assert!(again.replayed);
    assert_eq!(Decision { replayed: false, ..again }, counted);
    let release =
        Release { merchant_id, payment_no: "p1".into(), release_no: None, amount: None, reason: None };
    let released = client.release(&release).await.unwrap().unwrap();
    assert_eq!((released.money, released.releasable_amount), (usd(600), 0));
    let held = Reserve { charge: charge(merchant_id, "p2", 500), ttl_seconds: Some(60) };
    assert!(client.reserve(&held).await.unwrap().expires_at.is_some());
    let confirm = Confirm { merchant_id, payment_no: "p2".into(), amount: Some(300) };
    let confirmed = client.confirm(&confirm).await.unwrap();
    assert_eq!((confirmed.status, confirmed.freed_amount), (ReservationStatus::Confirmed, 200));
    assert_eq!(confirmed.money, usd(300));
    let never = Void { merchant_id, payment_no: "never".into() };
    assert_eq!(client.void(&never).await.unwrap(), None);
}

async fn a_batch_gives_what_single_calls_give(db: TestDb) {
    let (client, merchant_id) = service(&db).await;
    let held = Reserve { charge: charge(merchant_id, "p1", 1), ttl_seconds: None };
    let void = |number: &str| Operation::Void(Void { merchant_id, payment_no: number.into() });
    let operations = [
        Operation::Reserve(held),
        void("p1"),
        void("never"),
        Operation::Consume(charge(merchant_id, "p2", 1001)),
        Operation::Consume(charge(Uuid::from_u128(1), "p1", 1)),
        Operation::Consume(charge(merchant_id, "p2", 1000)),
    ];
    let outcomes = client.batch(&operations).await.unwrap();
    let Ok(Outcome::Decided(held)) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(held.allowed && held.expires_at.is_some());
    let Ok(Outcome::Voided(Some(voided))) = &outcomes[1] else { panic!("{outcomes:?}") };
    assert_eq!((voided.status, voided.freed_amount), (ReservationStatus::Voided, 1));
    assert!(matches!(outcomes[2], Ok(Outcome::Voided(None))), "{outcomes:?}");
    let Ok(Outcome::Decided(declined)) = &outcomes[3] else { panic!("{outcomes:?}") };
    assert_eq!((declined.allowed, declined.declined_by()), (false, Some(Rule::Daily)));
    let codes: Vec<&str> = outcomes[4..]
        .iter()
        .map(|outcome| match outcome {
            Err(CallError::Refused(refusal)) => refusal.code.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(codes, ["LIMIT_NOT_FOUND", "PAYMENT_MISMATCH"]);
}

async fn what_was_lost_is_taken_back(db: TestDb) {
    let (client, merchant_id) = service(&db).await;
    let arrived = charge(merchant_id, "arrived", 600);
    client.consume(&arrived).await.unwrap();
    assert_eq!(client.take_back(&arrived, "lost").await.unwrap().unwrap().money, usd(600));
    assert!(client.take_back(&arrived, "lost").await.unwrap().unwrap().replayed, "once, however often");
    let lost = charge(merchant_id, "lost", 700);
    assert_eq!(client.take_back(&lost, "lost").await.unwrap().unwrap().money, usd(700));
    assert!(client.consume(&lost).await.unwrap().replayed, "one that comes late counts nothing");
    let whole = client.check(&charge(merchant_id, "p", 1000)).await.unwrap();
    assert!(whole.allowed, "nothing is counted: {whole:?}");
    let too_much = charge(merchant_id, "much", 1001);
    assert_eq!(client.take_back(&too_much, "lost").await.unwrap(), None);
}

/// Hands calls on to a service and keeps back so many answers, as a connection that breaks would.
fn losing(router: Router, answers: u32) -> (Router, Arc<AtomicU32>) {
    let calls = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&calls);
    let lose = move |request: axum::extract::Request, next: axum::middleware::Next| {
        let call = counter.fetch_add(1, Ordering::SeqCst);
        async move {
            let answer = next.run(request).await;
            if call >= answers {
                return answer;
            }
            let broken = axum::body::Body::from_stream(tokio_util::io::ReaderStream::new(Broken));
            axum::response::Response::new(broken)
        }
    };
    (router.layer(axum::middleware::from_fn(lose)), calls)
}

/// A body that breaks at once.
struct Broken;

impl tokio::io::AsyncRead for Broken {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()))
    }
}

async fn an_answer_that_is_lost_has_one_effect(db: TestDb) {
    let (router, merchant_id) = router(&db).await;
    let (router, calls) = losing(router, 2);
    let client = client(listening(router).await);
    let counted = client.consume(&charge(merchant_id, "p1", 600)).await.unwrap();
    assert_eq!((counted.allowed, counted.replayed, counted.daily_remaining), (true, true, Some(400)));
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    let rest = client.check(&charge(merchant_id, "p2", 400)).await.unwrap();
    assert!(rest.allowed, "counted once: {rest:?}");
}

async fn what_was_taken_undecided_is_counted_later(db: TestDb) {
    let (router, merchant_id) = router(&db).await;
    let bounds = Arc::new(StandIn::new(usd(800), 1200));
    let choice = WhenAway::TakeUpTo(Arc::clone(&bounds));
    let (first, second) = (charge(merchant_id, "p1", 800), charge(merchant_id, "p2", 400));
    let (_kept, nobody) = nobody();
    let away = client(nobody);
    for charge in [&first, &second] {
        let taken = away.admit(charge, &choice).await.unwrap();
        assert!(matches!(taken, Admission::StoodIn(_)), "{taken:?}");
    }
    let beyond = away.admit(&charge(merchant_id, "p3", 1), &choice).await.unwrap();
    assert!(matches!(beyond, Admission::NotTaken(_)), "{beyond:?}");
    let declined = away.admit(&first, &WhenAway::Decline).await.unwrap();
    assert!(matches!(declined, Admission::NotTaken(_)), "{declined:?}");
    let back = client(listening(router).await);
    assert!(back.consume(&first).await.unwrap().allowed);
    assert!(!back.consume(&second).await.unwrap().allowed, "beyond the limit: the loss");
    bounds.settle(first.money);
    bounds.settle(second.money);
    assert_eq!(bounds.taken(), usd(0));
    let counted = back.admit(&charge(merchant_id, "p4", 200), &choice).await.unwrap();
    assert!(matches!(counted, Admission::Counted(_)), "{counted:?}");
}

async fn declines_are_answers_and_mistakes_are_errors(db: TestDb) {
    let (client, merchant_id) = service(&db).await;
    let declined = client.consume(&charge(merchant_id, "p1", 1001)).await.unwrap();
    assert!(!declined.allowed);
    assert_eq!(declined.declined_by(), Some(Rule::Daily));
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
    let (_kept, nobody) = nobody();
    let away = self::client(nobody).consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
    assert!(matches!(away, CallError::Away(_)), "{away}");
}

#[tokio::test]
async fn a_service_that_wants_time_is_not_asked_before() {
    let router = Router::new()
        .fallback(|| async { (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "3600")], "{}") });
    let client = client(listening(router).await);
    let away = client.consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
    let CallError::Away(absence) = away else { panic!("{away}") };
    assert_eq!((absence.attempts, absence.retry_after), (1, Some(Duration::from_hours(1))));
}

#[tokio::test]
async fn a_silent_service_is_away_when_the_time_of_the_call_is_over() {
    let router = Router::new().fallback(std::future::pending::<StatusCode>);
    let mut settings = settings(listening(router).await);
    // One attempt could last for an hour: only the time of the whole call ends it.
    settings.attempt_time = Duration::from_hours(1);
    settings.total_time = Duration::from_millis(50);
    let client = LimitsClient::new(settings).unwrap();
    let away = client.consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
    assert!(matches!(away, CallError::Away(_)), "{away}");
}

#[tokio::test]
async fn calls_carry_their_trace_on() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let router = Router::new().fallback(|headers: axum::http::HeaderMap| async move {
        let trace = headers.get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        let name = headers.get("x-service-name").unwrap().to_str().unwrap().to_owned();
        let body = serde_json::json!({ "code": trace.unwrap_or_default(), "message": name });
        (StatusCode::CONFLICT, axum::Json(body))
    });
    let client = client(listening(router).await);
    let mut headers = axum::http::HeaderMap::new();
    headers.insert("traceparent", TRACE.parse().unwrap());
    headers.insert("x-service-name", "somebody-else".parse().unwrap());
    for (client, trace) in [(client.carrying(headers), TRACE), (client, "")] {
        let seen = client.consume(&charge(Uuid::from_u128(1), "p", 1)).await.unwrap_err();
        let CallError::Refused(seen) = seen else { panic!("{seen}") };
        assert_eq!((seen.code.as_str(), seen.message.as_str()), (trace, SERVICE_NAME));
    }
}
