//! The service in one process: its API on a port, its jobs, and the sandbox as Stripe, which tells it of events.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::HeaderMap;
use payops_channels::payment_lookup::{LookupSettings, PaymentLookup};
use payops_channels::stripe::api::{StripeClient, StripeSettings};
use payops_core::random::{SeededRandom, SystemRandom};
use payops_core::time::{Clock, SystemClock};
use payops_disputes::{Channels, Disputes, Files, Options, jobs, routes};
use payops_platform::config::FilePlace;
use payops_platform::context::ServiceContext;
use payops_platform::db::DatabaseTarget;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer, TestClient, TestRequest, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, listen, serve, service_router};
use payops_platform::jobs::{Runner, RunnerOptions};
use payops_platform::telemetry::{Metrics, inject_traceparent};
use payops_platform::vault::KeyRing;
use payops_sandbox::{
    DEFAULT_GATEWAY_SECRET, DEFAULT_STRIPE_API_KEY, DEFAULT_WEBHOOK_SECRET, DisputeOrder, RunningSandbox,
    Sandbox, SandboxConfig, VirtualClock, WebhookTarget,
};
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for something that the service does by itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(25);

/// What the key of personal data follows from.
pub const RING_SEED: u64 = 1;

/// The merchant of most tests.
pub const MERCHANT: &str = "0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b";

/// A running service. Dropping it stops its jobs.
pub struct App {
    pub client: TestClient,
    pub sandbox: RunningSandbox,
    clock: Arc<VirtualClock>,
    service: Disputes,
    context: ServiceContext,
    instances: Mutex<Instances>,
    /// Where evidence lies.
    pub folder: tempfile::TempDir,
    /// Is removed with it.
    db: TestDb,
}

/// The instances that work on jobs, and what stops them.
#[derive(Default)]
struct Instances {
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl Drop for App {
    fn drop(&mut self) {
        self.instances.lock().unwrap().stop.cancel();
    }
}

impl App {
    /// The service, and a sandbox that tells it of every event.
    pub async fn start(db: TestDb) -> Self {
        Self::start_with(db, |_| {}).await
    }

    /// The same, with another sandbox.
    pub async fn start_with(db: TestDb, change: impl FnOnce(&mut SandboxConfig)) -> Self {
        Self::start_as(db, change, |_| {}).await
    }

    /// The same, with another sandbox and other options.
    pub async fn start_as(
        db: TestDb,
        change: impl FnOnce(&mut SandboxConfig),
        choose: impl FnOnce(&mut Options),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = FilePlace::Folder(folder.path().to_owned());
        Self::start_on(db, folder, &place, change, choose).await
    }

    /// The same, with evidence in another place, for which `folder` is kept.
    pub async fn start_on(
        db: TestDb,
        folder: tempfile::TempDir,
        place: &FilePlace,
        change: impl FnOnce(&mut SandboxConfig),
        choose: impl FnOnce(&mut Options),
    ) -> Self {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Arc::new(VirtualClock::new(Arc::new(SystemClock)));
        let mut config = SandboxConfig::on(([127, 0, 0, 1], 0).into()).await.unwrap();
        config.clock = Arc::<VirtualClock>::clone(&clock);
        config.dispute_delay = chrono::TimeDelta::zero();
        config.decision_delay = chrono::TimeDelta::zero();
        config.webhooks = vec![WebhookTarget {
            url: format!("http://{address}/api/v1/webhooks/stripe"),
            secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
        }];
        change(&mut config);
        let sandbox = Sandbox::start(config).unwrap();
        let metrics = Metrics::new("dispute-service");
        let shared: Arc<dyn Clock> = Arc::<VirtualClock>::clone(&clock);
        let context =
            ServiceContext::new("dispute-service", db.db(), shared, Arc::new(SystemRandom), metrics);
        let mut options = Options {
            stripe_webhook_secrets: vec![SecretString::from(DEFAULT_WEBHOOK_SECRET)],
            ..Options::default()
        };
        choose(&mut options);
        let channels =
            Channels { stripe: Some(stripe(sandbox.base_url())), gateway: Some(gateway(sandbox.base_url())) };
        let files = Files::open(place).unwrap();
        let ring = KeyRing::parse(&KeyRing::draw("tests", &SeededRandom::new(RING_SEED))).unwrap();
        let service = Disputes::start(context.clone(), files, ring, channels, options).await.unwrap();
        let authenticator = authenticator().unwrap();
        // Tests look at a dispute more often than people may.
        let budgets = Budgets { caller_per_minute: NonZeroU32::MAX, ..Budgets::default() };
        let http = ServiceHttp {
            limiter: Arc::new(Limiter::in_process(budgets)),
            ..ServiceHttp::new(context.clone(), Arc::clone(&authenticator), routes(service.clone()))
        };
        let router = service_router(http);
        let client = TestClient::new(router.clone(), authenticator, context.now());
        let instances = Mutex::default();
        let app = Self { client, sandbox, clock, service, context, instances, folder, db };
        let stop = app.instances.lock().unwrap().stop.clone();
        let serving = tokio::spawn(serve(listener, router, stop, Duration::from_secs(1)));
        app.instances.lock().unwrap().running.push(serving);
        app.run_jobs();
        app
    }

    /// Has the service do what it does by the clock, at the instants that the tests let pass.
    pub async fn keep_schedules(&self) {
        jobs::schedule(&self.context).await.unwrap();
    }

    /// Waits until all work that is due by now is done.
    pub async fn work_is_through(&self) {
        const WAITING: &str = "SELECT (SELECT COUNT(*) FROM schedules WHERE next_at <= $1)
            + (SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') AND run_at <= $1) AS waiting";
        self.until_true(async || {
            // Later than what a schedule has made meanwhile.
            let (db, now) = (&self.context.db, self.context.now());
            let row = db.read().query_one_raw(db.backend().statement(WAITING, [now.into()])).await.unwrap();
            let waiting: i64 = row.unwrap().try_get("", "waiting").unwrap();
            if waiting == 0 { Ok(()) } else { Err(json!(waiting)) }
        })
        .await;
    }

    /// Has one more instance work on the jobs.
    pub fn run_jobs(&self) {
        let runner = jobs::register(&self.service, Runner::new(self.context.clone()).with_options(quick()));
        let mut instances = self.instances.lock().unwrap();
        let running = tokio::spawn(runner.run(instances.stop.clone()));
        instances.running.push(running);
    }

    /// Has all instances that work on jobs end as if their processes were killed. Nothing is handed back: their leases
    /// run out with the clock.
    pub async fn crash(&self) {
        let workers: Vec<_> = self.instances.lock().unwrap().running.drain(1..).collect();
        for worker in workers {
            worker.abort();
            // It ends by that, which is no success.
            assert!(worker.await.is_err());
        }
    }

    /// Stripe, as the service's owner sees it.
    pub fn stripe(&self) -> StripeClient {
        stripe(self.sandbox.base_url())
    }

    /// Where the database is.
    pub fn target(&self) -> &DatabaseTarget {
        self.db.target()
    }

    /// What the service works with.
    pub fn context(&self) -> &ServiceContext {
        &self.context
    }

    /// Lets time pass, for the service and for Stripe, which does what is due until then.
    pub fn advance(&self, by: chrono::TimeDelta) {
        self.clock.advance(by);
        self.sandbox.handle().advance(chrono::TimeDelta::zero());
    }

    /// Has Stripe open a dispute of the payment `payment_no`; gives Stripe's id of it.
    pub fn opened(&self, payment_no: &str, change: impl FnOnce(&mut DisputeOrder)) -> String {
        let mut order = DisputeOrder::of(12_300);
        order.charge_metadata.insert("payment_no".to_owned(), payment_no.to_owned());
        order.charge_metadata.insert("merchant_id".to_owned(), MERCHANT.to_owned());
        change(&mut order);
        let dispute = self.sandbox.handle().make_dispute(order).unwrap();
        dispute["id"].as_str().unwrap().to_owned()
    }

    pub async fn get(&self, path: &str) -> TestAnswer {
        self.client.get(path).by(As::Operator).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> TestAnswer {
        self.client.post(path, body).by(As::Operator).send().await
    }

    /// Begins a `PUT` of an operator's.
    pub fn put(&self, path: &str, body: &Value) -> TestRequest<'_> {
        self.client.request(http::Method::PUT, path).json(body).by(As::Operator)
    }

    /// Waits until the dispute of Stripe's id looks as wanted.
    pub async fn until(&self, channel_id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/disputes?channel_dispute_id={channel_id}");
        self.until_true(async || {
            let page = self.get(&path).await.data();
            page["items"].get(0).filter(|dispute| wanted(dispute)).cloned().ok_or(page)
        })
        .await
    }

    /// Waits until `look` finds what it looks for; otherwise it tells what there is.
    pub async fn until_true<T>(&self, look: impl AsyncFn() -> Result<T, Value>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let seen = match look().await {
                Ok(found) => return found,
                Err(seen) => seen,
            };
            assert!(tokio::time::Instant::now() < deadline, "not yet after {PATIENCE:?}: {seen}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The kinds of the rows of a dispute's timeline, the first first.
    pub async fn story(&self, id: &str) -> Vec<String> {
        let page = self.get(&format!("/api/v1/disputes/{id}/timeline?page_size=100")).await.data();
        let rows = page["items"].as_array().unwrap().iter();
        rows.rev().map(|row| row["event_type"].as_str().unwrap().to_owned()).collect()
    }

    /// Enters a dispute by hand; gives its id.
    pub async fn entered(&self, payment_no: &str) -> String {
        let created = self.post("/api/v1/disputes", &entry(payment_no)).await;
        assert_eq!(created.status, 201, "{:?}", created.json());
        created.data()["id"].as_str().unwrap().to_owned()
    }
}

/// A dispute as people enter it.
pub fn entry(payment_no: &str) -> Value {
    json!({
        "channel": "stripe", "payment_no": payment_no, "merchant_id": MERCHANT, "amount": 12_300,
        "currency": "USD", "reason": "fraudulent"
    })
}

fn stripe(base_url: &str) -> StripeClient {
    let key = SecretString::from(DEFAULT_STRIPE_API_KEY);
    let mut settings = StripeSettings::new(base_url.parse().unwrap(), key, Arc::new(inject_traceparent));
    // The sandbox has no limit of its own.
    settings.requests_per_second = NonZeroU32::new(250).unwrap();
    StripeClient::new(settings, Arc::new(SystemRandom)).unwrap()
}

fn gateway(base_url: &str) -> PaymentLookup {
    let mut headers = HeaderMap::new();
    headers.insert("x-service-name", "dispute-service".parse().unwrap());
    headers.insert("x-service-secret", DEFAULT_GATEWAY_SECRET.parse().unwrap());
    let inject = Arc::new(inject_traceparent);
    PaymentLookup::new(LookupSettings::new(base_url.parse().unwrap(), headers, inject)).unwrap()
}

fn quick() -> RunnerOptions {
    RunnerOptions {
        poll: Duration::from_millis(50),
        first_back_off: Duration::from_millis(50),
        longest_back_off: Duration::from_millis(500),
        ..RunnerOptions::default()
    }
}
