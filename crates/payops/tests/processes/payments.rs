//! Payments through the sandbox's gateway, with the real limit service.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use chrono::TimeDelta;
use payops_core::random::SystemRandom;
use payops_core::time::{ManualClock, SystemClock};
use payops_limits::{Limits, MIGRATIONS, Options, routes};
use payops_platform::both_databases;
use payops_platform::context::ServiceContext;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, SERVICE_NAME, SERVICE_SECRET, TestClient, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, serve, service_router};
use payops_platform::telemetry::Metrics;
use payops_sandbox::{DEFAULT_GATEWAY_SECRET, RunningSandbox, Sandbox, SandboxConfig};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::harness::until;

both_databases!(MIGRATIONS;
    each_payment_ends_as_it_must,
    without_the_limit_service_nothing_is_taken_and_all_is_taken_back,
    a_lost_answer_is_asked_for_again_after_a_restart_and_charged_once,
    a_failed_charge_whose_limit_service_has_left_is_given_back_later_and_once,
    a_refund_without_the_limit_service_is_given_back_later_and_once,
    duplicates_in_parallel_charge_once,
);

/// The limit service, whose merchant may take 1000 a day, and a gateway on a clock that stands still.
struct Bed {
    limits: TestClient,
    service: axum::Router,
    merchant: Uuid,
    clock: ManualClock,
    folder: TempDir,
    http: reqwest::Client,
}

impl Bed {
    async fn new(db: &TestDb) -> Self {
        let name = "merchant-limit-service";
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let context = ServiceContext::new(name, db.db(), clock, random, Metrics::new(name));
        let app = Limits::start(context.clone(), Options::default());
        let authenticator = authenticator().unwrap();
        let budgets = Budgets { service_per_minute: NonZeroU32::MAX, ..Budgets::default() };
        let service = service_router(ServiceHttp {
            limiter: Arc::new(Limiter::in_process(budgets)),
            ..ServiceHttp::new(context.clone(), Arc::clone(&authenticator), routes(app))
        });
        let limits = TestClient::new(service.clone(), authenticator, context.now());
        let merchant = context.new_id();
        let body = json!({ "merchant_id": merchant, "tier_code": "starter", "custom_daily_limit": 1000 });
        let made = limits.post("/api/v1/limits/initialize", &body).by(As::Admin).send().await;
        assert_eq!(made.status, 201, "{}", made.json());
        let clock = ManualClock::new(context.now());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { limits, service, merchant, clock, folder: tempfile::tempdir().unwrap(), http }
    }

    /// The limit service on a port.
    async fn serve(&self) -> SocketAddr {
        Self::listen(self.service.clone()).await
    }

    /// The limit service on a port, which goes away before it can do `what`.
    async fn serve_until(&self, what: &'static str) -> SocketAddr {
        let away = middleware::from_fn(move |request: Request, next: Next| async move {
            if request.uri().path().ends_with(what) {
                StatusCode::SERVICE_UNAVAILABLE.into_response()
            } else {
                next.run(request).await
            }
        });
        Self::listen(self.service.clone().layer(away)).await
    }

    async fn listen(service: axum::Router) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, service, CancellationToken::new(), Duration::ZERO));
        address
    }

    async fn gateway(&self, limits: SocketAddr) -> Gateway {
        Gateway { sandbox: sandbox(self.folder.path(), &self.clock, limits).await, http: self.http.clone() }
    }

    fn payment(&self, payment_no: &str, amount: i64, card: &str) -> Value {
        json!({ "merchant_id": self.merchant, "payment_no": payment_no, "amount": amount, "currency": "USD",
                "channel": "stripe", "card": card })
    }

    /// What the merchant has used of its day.
    async fn used(&self) -> i64 {
        let path = format!("/api/v1/limits/{}", self.merchant);
        let shown = self.limits.get(&path).by(As::Admin).send().await;
        shown.data()["daily_used"].as_i64().unwrap()
    }
}

/// A sandbox in the folder, as soon as the one before it has let go of it.
async fn sandbox(folder: &Path, clock: &ManualClock, limits: SocketAddr) -> RunningSandbox {
    let mut started = None;
    until("the sandbox has started", async || {
        let mut config = SandboxConfig::on(([127, 0, 0, 1], 0).into()).await.unwrap();
        config.clock = Arc::new(clock.clone());
        config.data = Some(folder.to_owned());
        config.payments = 150;
        let url = format!("http://{limits}").parse().unwrap();
        let secret = SERVICE_SECRET.to_owned().into();
        let settings = payops_client::Settings::new(url, SERVICE_NAME, secret, Arc::new(SystemRandom));
        let (attempt_time, total_time) = (Duration::from_secs(20), Duration::from_mins(1));
        config.limits = Some(payops_client::Settings { attempt_time, total_time, ..settings });
        started = Sandbox::start(config).ok();
        started.is_some()
    })
    .await;
    started.unwrap()
}

/// An address on which nobody listens, nor can as long as the socket is kept.
fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

struct Gateway {
    sandbox: RunningSandbox,
    http: reqwest::Client,
}

impl Gateway {
    async fn send(&self, call: reqwest::RequestBuilder) -> (u16, Value) {
        let call = call.header("x-service-name", "shop").header("x-service-secret", DEFAULT_GATEWAY_SECRET);
        let answer = call.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}/internal/payments{path}", self.sandbox.base_url());
        self.send(self.http.post(url).json(body)).await
    }

    async fn payment(&self, payment_no: &str) -> Value {
        let url = format!("{}/internal/payments/{payment_no}", self.sandbox.base_url());
        self.send(self.http.get(url)).await.1
    }

    async fn state(&self, payment_no: &str) -> String {
        self.payment(payment_no).await["state"].as_str().unwrap().to_owned()
    }

    /// Each charge's key, how often it was asked for, and whether it was paid.
    fn charges(&self) -> Vec<(String, u32, bool)> {
        let charges = self.sandbox.handle().charges();
        charges.into_iter().map(|charge| (charge.idempotency_key, charge.calls, charge.paid)).collect()
    }
}

async fn each_payment_ends_as_it_must(db: TestDb) {
    let bed = Bed::new(&db).await;
    let gateway = bed.gateway(bed.serve().await).await;
    let good = bed.payment("good", 600, "good");
    let (status, paid) = gateway.post("", &good).await;
    assert_eq!(
        (status, &paid["state"], &paid["finished"]),
        (201, &json!("succeeded"), &json!(true)),
        "{paid}"
    );
    let (status, declined) = gateway.post("", &bed.payment("over", 401, "good")).await;
    assert_eq!((status, &declined["state"]), (201, &json!("declined")), "{declined}");
    assert_eq!(
        (&declined["reason"], &declined["refundable_amount"]),
        (&json!("Exceeds daily limit"), &json!(0))
    );
    let (_, failed) = gateway.post("", &bed.payment("card", 300, "declined")).await;
    assert_eq!((&failed["state"], bed.used().await), (&json!("failed"), 600), "{failed}");
    assert_eq!(gateway.charges(), [("card".to_owned(), 1, false), ("good".to_owned(), 1, true)]);

    assert_eq!(gateway.post("", &good).await, (200, paid), "the same again is the same record");
    let (status, other) = gateway.post("", &bed.payment("good", 601, "declined")).await;
    assert_eq!((status, &other["code"]), (409, &json!("PAYMENT_MISMATCH")));
    assert_eq!(other["data"]["fields"], json!(["amount", "card"]));

    let refund = |number: &str, amount: i64| json!({ "refund_no": number, "amount": amount });
    let (status, refunded) = gateway.post("/good/refunds", &refund("r1", 250)).await;
    assert_eq!((status, &refunded["refunds"][0]["state"]), (201, &json!("succeeded")), "{refunded}");
    assert_eq!(bed.used().await, 350);
    assert_eq!(gateway.post("/good/refunds", &refund("r1", 250)).await, (200, refunded));
    let (status, other) = gateway.post("/good/refunds", &refund("r1", 1)).await;
    assert_eq!((status, &other["data"]["fields"]), (409, &json!(["amount"])));
    let (status, over) = gateway.post("/good/refunds", &refund("r2", 351)).await;
    assert_eq!((status, &over["code"]), (422, &json!("REFUND_EXCEEDS_PAYMENT")));
    assert_eq!(over["data"]["refundable_amount"], 350);
    let (status, state) = gateway.post("/card/refunds", &refund("r3", 1)).await;
    assert_eq!((status, &state["code"]), (409, &json!("PAYMENT_STATE")));
    let (status, _) = gateway.post("/good/refunds", &refund("r4", 350)).await;
    assert_eq!((status, bed.used().await), (201, 0));
}

async fn without_the_limit_service_nothing_is_taken_and_all_is_taken_back(db: TestDb) {
    let bed = Bed::new(&db).await;
    let (_socket, nobody) = nobody();
    let gateway = bed.gateway(nobody).await;
    let payment = bed.payment("lost", 600, "good");
    let (status, cancelling) = gateway.post("", &payment).await;
    assert_eq!((status, &cancelling["state"]), (202, &json!("cancelling")), "{cancelling}");
    assert!(cancelling["reason"].as_str().unwrap().contains("the limit service is away"), "{cancelling}");
    gateway.sandbox.shutdown().await;

    // The call had arrived all the same.
    let mut charge = payment.clone();
    charge.as_object_mut().unwrap().remove("card");
    let counted = bed.limits.post("/api/v1/limits/consume", &charge).by(As::Service).send().await;
    assert_eq!((counted.status, bed.used().await), (200, 600));
    let gateway = bed.gateway(bed.serve().await).await;
    until("it is taken back", async || gateway.state("lost").await == "not_taken").await;
    assert_eq!((bed.used().await, gateway.charges()), (0, vec![]));
    let (status, same) = gateway.post("", &payment).await;
    assert_eq!((status, &same["state"]), (200, &json!("not_taken")), "it is final for its number");
}

async fn a_failed_charge_whose_limit_service_has_left_is_given_back_later_and_once(db: TestDb) {
    let bed = Bed::new(&db).await;
    let gateway = bed.gateway(bed.serve_until("/release").await).await;
    let payment = bed.payment("card", 600, "declined");
    let (status, releasing) = gateway.post("", &payment).await;
    assert_eq!((status, &releasing["finished"]), (202, &json!(false)), "{releasing}");
    assert_eq!((bed.used().await, gateway.charges()), (600, vec![("card".to_owned(), 1, false)]));
    gateway.sandbox.shutdown().await;

    let gateway = bed.gateway(bed.serve().await).await;
    until("it is given back", async || gateway.payment("card").await["finished"] == true).await;
    assert_eq!((gateway.state("card").await.as_str(), bed.used().await), ("failed", 0));
    assert_eq!(gateway.post("", &payment).await.0, 200);
    assert_eq!((bed.used().await, gateway.charges()), (0, vec![("card".to_owned(), 1, false)]));
}

async fn a_refund_without_the_limit_service_is_given_back_later_and_once(db: TestDb) {
    let bed = Bed::new(&db).await;
    let limits = bed.serve().await;
    let gateway = bed.gateway(limits).await;
    gateway.post("", &bed.payment("paid", 600, "good")).await;
    gateway.sandbox.shutdown().await;

    let (_socket, nobody) = nobody();
    let gateway = bed.gateway(nobody).await;
    let refund = json!({ "refund_no": "r1", "amount": 200 });
    let (status, releasing) = gateway.post("/paid/refunds", &refund).await;
    assert_eq!((status, &releasing["refunds"][0]["state"]), (202, &json!("releasing")), "{releasing}");
    assert_eq!((&releasing["refundable_amount"], bed.used().await), (&json!(400), 600));
    gateway.sandbox.shutdown().await;

    let gateway = bed.gateway(limits).await;
    until("it is given back", async || gateway.payment("paid").await["finished"] == true).await;
    assert_eq!(gateway.payment("paid").await["refunds"][0]["state"], "succeeded");
    assert_eq!((gateway.post("/paid/refunds", &refund).await.0, bed.used().await), (200, 400));
}

async fn a_lost_answer_is_asked_for_again_after_a_restart_and_charged_once(db: TestDb) {
    let bed = Bed::new(&db).await;
    let limits = bed.serve().await;
    let gateway = bed.gateway(limits).await;
    let payment = bed.payment("one", 600, "answer_lost");
    let (status, charging) = gateway.post("", &payment).await;
    assert_eq!((status, &charging["state"]), (202, &json!("charging")), "{charging}");
    assert_eq!(gateway.post("", &payment).await, (202, charging));
    assert_eq!(gateway.charges(), [("one".to_owned(), 1, true)], "its time has not come");
    gateway.sandbox.shutdown().await;

    let gateway = bed.gateway(limits).await;
    until("it has ended", async || gateway.state("one").await == "succeeded").await;
    assert_eq!((gateway.charges(), bed.used().await), (vec![("one".to_owned(), 2, true)], 600));

    // Without a restart it is the clock that brings it on.
    gateway.post("", &bed.payment("two", 100, "answer_lost")).await;
    assert_eq!(gateway.state("two").await, "charging");
    bed.clock.advance(TimeDelta::seconds(1));
    until("it has ended", async || gateway.state("two").await == "succeeded").await;
    assert_eq!(gateway.charges()[1], ("two".to_owned(), 2, true));
}

async fn duplicates_in_parallel_charge_once(db: TestDb) {
    let bed = Bed::new(&db).await;
    let gateway = bed.gateway(bed.serve().await).await;
    let payment = bed.payment("many", 600, "good");
    let calls = std::array::from_fn::<_, 8, _>(|_| gateway.post("", &payment));
    let mut answers = futures::future::join_all(calls).await;
    answers.sort_by_key(|(status, _)| *status);
    assert_eq!(answers[7].0, 201, "one of them made it");
    for (status, answer) in &answers {
        assert!(matches!(status, 200 | 201), "{status} {answer}");
        assert_eq!(answer, &answers[0].1);
    }
    assert!(answers[..7].iter().all(|(status, _)| *status == 200));
    assert_eq!((gateway.charges(), bed.used().await), (vec![("many".to_owned(), 1, true)], 600));
}
