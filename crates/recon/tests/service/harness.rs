//! The service in one process: its API without a network, its jobs, and the sandbox as Stripe and gateway.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use payops_channels::platform_feed::{FeedClient, FeedSettings};
use payops_channels::stripe::reporting::{ReportingClient, ReportingSettings};
use payops_core::random::SystemRandom;
use payops_core::time::{Clock, SystemClock, Zone};
use payops_platform::context::ServiceContext;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer, TestClient, authenticator};
use payops_platform::http::{Budgets, HttpLimits, Limiter, ServiceHttp, service_router};
use payops_platform::jobs::{Runner, RunnerOptions};
use payops_platform::telemetry::{Metrics, inject_traceparent};
use payops_recon::{Options, Reconciliation, Sources, jobs, routes};
use payops_sandbox::days::Variant;
use payops_sandbox::{DEFAULT_WEBHOOK_SECRET, Fault, RunningSandbox, Sandbox, SandboxConfig, VirtualClock};
use reqwest::header::{HeaderMap, HeaderValue};
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a test waits for something that the service does by itself.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(25);

/// A running service. Dropping it stops its jobs.
pub struct App {
    pub client: TestClient,
    pub sandbox: RunningSandbox,
    pub files: tempfile::TempDir,
    pub db: TestDb,
    pub clock: Arc<VirtualClock>,
    service: Reconciliation,
    context: ServiceContext,
    instances: Mutex<Instances>,
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
    /// The service with a sandbox whose reports are ready at once.
    pub async fn start(db: TestDb) -> Self {
        Self::start_with(db, |_| {}).await
    }

    /// The same, with another sandbox.
    pub async fn start_with(db: TestDb, change: impl FnOnce(&mut SandboxConfig)) -> Self {
        Self::start_as(db, change, |_| {}).await
    }

    /// The same, with another sandbox and another service.
    pub async fn start_as(
        db: TestDb,
        change: impl FnOnce(&mut SandboxConfig),
        set: impl FnOnce(&mut Options),
    ) -> Self {
        Self::start_on(db, change, set, |_| {}).await
    }

    /// The service with another gateway than the sandbox's.
    pub async fn start_with_gateway(db: TestDb, gateway: &Gateway) -> Self {
        let own = sources(&gateway.url).gateway;
        Self::start_on(db, |_| {}, |_| {}, |sources| sources.gateway = own).await
    }

    async fn start_on(
        db: TestDb,
        change: impl FnOnce(&mut SandboxConfig),
        set: impl FnOnce(&mut Options),
        redirect: impl FnOnce(&mut Sources),
    ) -> Self {
        let mut config = SandboxConfig::on(([127, 0, 0, 1], 0).into()).await.unwrap();
        config.report_delay = chrono::TimeDelta::zero();
        change(&mut config);
        let sandbox = Sandbox::start(config).unwrap();
        let clock = Arc::new(VirtualClock::new(Arc::new(SystemClock)));
        let shared: Arc<dyn Clock> = Arc::<VirtualClock>::clone(&clock);
        let metrics = Metrics::new("reconciliation-service");
        let context =
            ServiceContext::new("reconciliation-service", db.db(), shared, Arc::new(SystemRandom), metrics);
        let files = tempfile::tempdir().unwrap();
        let mut options = Options {
            stripe_webhook_secrets: vec![SecretString::from(DEFAULT_WEBHOOK_SECRET)],
            ..Options::default()
        };
        set(&mut options);
        let mut sources = sources(sandbox.base_url());
        redirect(&mut sources);
        let app = Reconciliation::open(context.clone(), files.path(), sources, options).await.unwrap();
        let authenticator = authenticator().unwrap();
        // Tests look at a task more often than people may.
        let budgets = Budgets { caller_per_minute: NonZeroU32::MAX, ..Budgets::default() };
        let http = ServiceHttp {
            limiter: Arc::new(Limiter::in_process(budgets)),
            ..ServiceHttp::new(context.clone(), Arc::clone(&authenticator), routes(app.clone()))
        };
        let router = service_router(http);
        let client = TestClient::new(router, authenticator, context.now());
        let instances = Mutex::default();
        let started = Self { client, sandbox, files, db, clock, service: app, context, instances };
        started.run_jobs();
        started
    }

    /// Has one more instance work on the jobs.
    pub fn run_jobs(&self) {
        let runner = jobs::register(&self.service, Runner::new(self.context.clone()).with_options(quick()));
        let mut instances = self.instances.lock().unwrap();
        let running = tokio::spawn(runner.run(instances.stop.clone()));
        instances.running.push(running);
    }

    /// Has the service do what it does by the clock.
    pub async fn keep_schedules(&self) {
        jobs::schedule(&self.context).await.unwrap();
    }

    /// Has all instances end as if their processes were killed: their leases run out with the clock.
    pub async fn crash(&self) {
        let workers = std::mem::take(&mut self.instances.lock().unwrap().running);
        for worker in workers {
            worker.abort();
            // It ends by that, which is no success.
            assert!(worker.await.is_err());
        }
    }

    /// What the service works with.
    pub fn context(&self) -> &ServiceContext {
        &self.context
    }

    /// A client of the same service with other limits.
    pub fn client_within(&self, limits: HttpLimits) -> TestClient {
        let authenticator = authenticator().unwrap();
        let routes = routes(self.service.clone());
        let http = ServiceHttp {
            limits,
            ..ServiceHttp::new(self.context.clone(), Arc::clone(&authenticator), routes)
        };
        TestClient::new(service_router(http), authenticator, self.context.now())
    }

    /// Has every instance stop working on jobs, and waits until they have.
    pub async fn stop_jobs(&self) {
        let instances = std::mem::take(&mut *self.instances.lock().unwrap());
        instances.stop.cancel();
        for running in instances.running {
            running.await.unwrap();
        }
    }

    pub async fn get(&self, path: &str) -> TestAnswer {
        self.client.get(path).by(As::Operator).send().await
    }

    pub async fn post(&self, path: &str, body: &Value) -> TestAnswer {
        self.client.post(path, body).by(As::Operator).send().await
    }

    /// Hands over a day of a channel without a report of its own: our rows by the platform's columns, the channel's as id,
    /// amount, currency and status.
    pub async fn hand_over_day(&self, date: &str, platform: &str, channel: &str) {
        let columns = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id";
        // Some days go back to what they were.
        let about = [("channel", "adyen"), ("settlement_date", date), ("restore", "true")];
        let ours = self.upload("platform-files", &about, format!("{columns}\n{platform}").as_bytes()).await;
        assert!(matches!(ours.status, 200 | 201), "{:?}", ours.json());
        let mapping = "unit = \"minor\"\n[columns]\nchannel_trade_no = \"id\"\namount = \"sum\"\ncurrency = \"currency\"\n\
                       status = \"status\"\n[constants]\nkind = \"payment\"\n[status]\nsucceeded = [\"paid\"]\n";
        let theirs = [about[0], about[1], about[2], ("mapping", mapping)];
        let theirs = self
            .upload("settlement-files", &theirs, format!("id,sum,currency,status\n{channel}").as_bytes())
            .await;
        assert!(matches!(theirs.status, 200 | 201), "{:?}", theirs.json());
    }

    /// Uploads a file as a form whose last part it is.
    pub async fn upload(&self, kind: &str, parts: &[(&str, &str)], file: &[u8]) -> TestAnswer {
        self.upload_named(kind, parts, "../../etc/passwd", file).await
    }

    /// The same for a file of this name.
    pub async fn upload_named(
        &self,
        kind: &str,
        parts: &[(&str, &str)],
        name: &str,
        file: &[u8],
    ) -> TestAnswer {
        let boundary = "----payops-test";
        let mut form = Vec::new();
        for (name, value) in parts {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
            form.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
        }
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        form.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
        form.extend_from_slice(file);
        form.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let path = format!("/api/v1/reconciliation/{kind}");
        let request = self.client.request(http::Method::POST, &path).by(As::Operator);
        request.body("multipart/form-data; boundary=----payops-test", form).send().await
    }

    /// What a day of the sandbox looks like as the two files.
    pub fn day_files(&self, date: &str, variant: Variant) -> (Vec<u8>, Vec<u8>) {
        let (date, channel) = (date.parse().unwrap(), "stripe".parse().unwrap());
        let day = self.sandbox.handle().day(date, channel, &Zone::utc()).unwrap().with_variant(variant);
        let (mut platform, mut settlement) = (Vec::new(), Vec::new());
        payops_sandbox::write_platform_csv(&day, &mut platform).unwrap();
        payops_sandbox::write_settlement_csv(&day, &mut settlement).unwrap();
        (platform, settlement)
    }

    /// Makes something go wrong at the sandbox.
    pub fn fault(&self, fault: Fault) {
        self.sandbox.handle().add_fault(fault).unwrap();
    }

    /// Creates a task of a Stripe day and starts it.
    pub async fn begin(&self, date: &str) -> String {
        let created = self
            .post("/api/v1/reconciliation/tasks", &json!({ "task_date": date, "channel": "stripe" }))
            .await;
        assert_eq!(created.status, 201, "{:?}", created.json());
        let id = created.data()["id"].as_str().unwrap().to_owned();
        let started = self.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
        assert_eq!(started.status, 202, "{:?}", started.json());
        id
    }

    /// Waits until a task has ended, one way or another.
    pub async fn ended(&self, id: &str) -> Value {
        self.until(id, |task| matches!(task["status"].as_str(), Some("completed" | "failed" | "cancelled")))
            .await
    }

    /// Waits until a task's feed is asked for: until the gateway, told to be slow, has the call.
    pub async fn fetching(&self, id: &str) {
        self.until(id, |task| task["phase"] == "fetching" && self.sandbox.handle().faults().is_empty()).await;
    }

    /// Waits until no job is left to be done.
    pub async fn idle(&self) {
        const LEFT: &str =
            "SELECT CAST(COUNT(*) AS BIGINT) AS left_over FROM jobs WHERE state IN ('queued', 'running')";
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let row = self.db.read().query_one_raw(self.db.backend().statement(LEFT, [])).await.unwrap();
            let left: i64 = row.unwrap().try_get("", "left_over").unwrap();
            if left == 0 {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{left} jobs are left after {PATIENCE:?}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a task looks as wanted.
    pub async fn until(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/reconciliation/tasks/{id}");
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let task = self.get(&path).await.data();
            if wanted(&task) {
                return task;
            }
            assert!(tokio::time::Instant::now() < deadline, "not yet after {PATIENCE:?}: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reconciles a Stripe day and gives the completed task.
    pub async fn reconcile(&self, date: &str) -> Value {
        let id = self.begin(date).await;
        let task = self.ended(&id).await;
        assert_eq!(task["status"], "completed", "{task}");
        task
    }

    /// What the sandbox knows of a Stripe day.
    pub fn truth(&self, date: &str) -> Value {
        self.truth_in(date, "Etc/UTC")
    }

    /// The same for a day of another zone.
    pub fn truth_in(&self, date: &str, zone: &str) -> Value {
        let (date, channel) = (date.parse().unwrap(), "stripe".parse().unwrap());
        let truth = self.sandbox.handle().truth(date, channel, &Zone::named(zone).unwrap()).unwrap();
        serde_json::to_value(truth).unwrap()
    }

    /// The report of a completed task.
    pub async fn report(&self, task: &Value) -> Value {
        let path = format!("/api/v1/reconciliation/reports/{}", task["id"].as_str().unwrap());
        let report = self.get(&path).await;
        assert_eq!(report.status, 200, "{:?}", report.json());
        report.data()
    }

    /// Every record of a task.
    pub async fn records(&self, task_id: &str) -> Vec<Value> {
        let mut records = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/api/v1/reconciliation/records?task_id={task_id}&page_size=100{cursor}");
            let page = self.get(&path).await.data();
            records.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return records,
            }
        }
    }
}

/// A gateway that answers every call for its feed with one page.
pub struct Gateway {
    url: String,
    page: Arc<Mutex<String>>,
    answers: Arc<Semaphore>,
}

impl Gateway {
    pub async fn start(page: &str) -> Self {
        let page = Arc::new(Mutex::new(page.to_owned()));
        let answers = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        let (shown, may_answer) = (Arc::clone(&page), Arc::clone(&answers));
        let answer = move || {
            let (shown, may_answer) = (Arc::clone(&shown), Arc::clone(&may_answer));
            async move {
                may_answer.acquire().await.unwrap().forget();
                let page = shown.lock().unwrap().clone();
                ([("content-type", "application/x-ndjson")], page)
            }
        };
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(answer);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, page, answers }
    }

    /// From now on calls wait until each is let through.
    pub fn holds_calls(&self) {
        self.answers.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Answers one call that waits, or the next one.
    pub fn answers_one(&self) {
        self.answers.add_permits(1);
    }

    /// From now on it answers with this page.
    pub fn turns_to(&self, page: &str) {
        page.clone_into(&mut self.page.lock().unwrap());
    }
}

/// A stored file whose reader waits: a pipe in its place. A run that is to be held so must have chosen the file before.
pub struct HeldFile {
    path: PathBuf,
    aside: PathBuf,
}

impl HeldFile {
    pub fn new(path: PathBuf) -> Self {
        let aside = path.with_extension("aside");
        std::fs::rename(&path, &aside).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success(), "{made}");
        Self { path, aside }
    }

    /// Does `meanwhile` while a run waits for the file, and lets it go on then.
    pub async fn while_it_is_read<T>(self, meanwhile: impl Future<Output = T>) -> T {
        let Self { path, aside } = self;
        let pipe = path.clone();
        // It opens when somebody reads.
        let writer = tokio::task::spawn_blocking(move || std::fs::File::create(pipe));
        let mut writer = tokio::time::timeout(PATIENCE, writer).await.unwrap().unwrap().unwrap();
        let done = meanwhile.await;
        // Whoever opens it from now on has the file itself.
        std::fs::rename(aside, &path).unwrap();
        std::io::copy(&mut std::fs::File::open(path).unwrap(), &mut writer).unwrap();
        done
    }
}

/// Clients of the sandbox in both of its parts.
pub fn sources(base_url: &str) -> Sources {
    let base_url: reqwest::Url = base_url.parse().unwrap();
    let inject: payops_channels::HeaderInjector = Arc::new(inject_traceparent);
    let key = SecretString::from(payops_sandbox::DEFAULT_STRIPE_API_KEY);
    let mut stripe = ReportingSettings::new(base_url.clone(), key, Arc::clone(&inject));
    stripe.resume_pause = Duration::from_millis(10);
    let mut headers = HeaderMap::new();
    headers.insert("x-service-name", HeaderValue::from_static("reconciliation-service"));
    headers.insert("x-service-secret", HeaderValue::from_static(payops_sandbox::DEFAULT_GATEWAY_SECRET));
    Sources {
        stripe: Some(ReportingClient::new(stripe).unwrap()),
        gateway: Some(FeedClient::new(FeedSettings::new(base_url, headers, inject)).unwrap()),
    }
}

fn quick() -> RunnerOptions {
    RunnerOptions {
        poll: Duration::from_millis(50),
        first_back_off: Duration::from_millis(50),
        longest_back_off: Duration::from_millis(500),
        ..RunnerOptions::default()
    }
}
