//! The service that is measured, in this process, and the sandbox, in one of its own.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::TimeDelta;
use http::Method;
use payops_channels::HeaderInjector;
use payops_channels::platform_feed::{FeedClient, FeedSettings};
use payops_channels::stripe::reporting::{ReportingClient, ReportingSettings};
use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_platform::ServiceContext;
use payops_platform::auth::{Authenticator, Caller, Role};
use payops_platform::db::testing::{self, TestDb};
use payops_platform::http::load::runtime;
use payops_platform::http::testing::{As, TestClient, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, listen, serve, service_router};
use payops_platform::jobs::{Runner, RunnerOptions};
use payops_platform::telemetry::{Metrics, inject_traceparent};
use payops_recon::{MIGRATIONS, Options, Reconciliation, Sources, jobs, routes};
use payops_sandbox::days::{DayPlan, Variant};
use payops_sandbox::{DEFAULT_GATEWAY_SECRET, DEFAULT_STRIPE_API_KEY, Sandbox, SandboxConfig};
use reqwest::header::{HeaderMap, HeaderValue};
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::Plan;

/// Any free port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Days of few payments in every sandbox.
pub const SMALL_DAYS: [&str; 12] = [
    "2025-12-01",
    "2025-12-02",
    "2025-12-03",
    "2025-12-04",
    "2025-12-05",
    "2025-12-06",
    "2025-12-07",
    "2025-12-08",
    "2025-12-09",
    "2025-12-10",
    "2025-12-11",
    "2025-12-12",
];
/// How many payments such a day has.
pub const SMALL: u64 = 1_000;

/// The service on a database; dropping it stops its jobs.
pub struct Service {
    pub address: SocketAddr,
    /// An operator's header line.
    pub operator: String,
    /// Where its files are.
    pub files: tempfile::TempDir,
    client: TestClient,
    context: ServiceContext,
    stop: CancellationToken,
}

impl Service {
    /// The service, with the sides of a day from these sandboxes.
    pub async fn start(
        db: &TestDb,
        channel: &SandboxProcess,
        platform: &SandboxProcess,
    ) -> anyhow::Result<Self> {
        let name = "reconciliation-service";
        let random = Arc::new(SystemRandom);
        let context = ServiceContext::new(name, db.db(), Arc::new(SystemClock), random, Metrics::new(name));
        let files = tempfile::tempdir()?;
        let sources = Sources { stripe: Some(channel.stripe()?), gateway: Some(platform.gateway()?) };
        let app = Reconciliation::open(context.clone(), files.path(), sources, Options::default()).await?;
        let authenticator = authenticator()?;
        let limiter = Budgets { caller_per_minute: NonZeroU32::MAX, ..Budgets::default() };
        let http = ServiceHttp {
            limiter: Arc::new(Limiter::in_process(limiter)),
            ..ServiceHttp::new(
                context.clone(),
                Arc::<Authenticator>::clone(&authenticator),
                routes(app.clone()),
            )
        };
        let router = service_router(http);
        let client = TestClient::new(router.clone(), authenticator, context.now());
        let token = client.token(Caller::Person { subject: "olga".into(), role: Role::Operator })?;
        let operator = format!("authorization: Bearer {token}\r\n");
        let listener = listen(LOOPBACK)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, stop.clone(), Duration::ZERO));
        let options = RunnerOptions { poll: Duration::from_millis(100), ..RunnerOptions::default() };
        let runner = jobs::register(&app, Runner::new(context.clone()).with_options(options));
        tokio::spawn(runner.run(stop.clone()));
        Ok(Self { address, operator, files, client, context, stop })
    }

    /// Creates the task of a day of a zone and starts it. Days of one zone carry rows into each other, and are run again for them.
    pub async fn begin(&self, date: &str, timezone: &str) -> anyhow::Result<String> {
        let day = json!({ "task_date": date, "channel": "stripe", "timezone": timezone });
        let created = self.post("/api/v1/reconciliation/tasks", &day).await?;
        let id = created["id"].as_str().context("a task without an id")?.to_owned();
        self.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await?;
        Ok(id)
    }

    async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.client.post(path, body).by(As::Operator).send().await;
        ensure!(answer.status < 300, "{path}: {:?}", answer.json());
        Ok(answer.data())
    }

    /// What the service answers an admin.
    pub async fn as_admin(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.client.post(path, body).by(As::Admin).send().await;
        ensure!(answer.status < 300, "{path}: {:?}", answer.json());
        Ok(answer.data())
    }

    /// Removes something, as an admin.
    pub async fn remove(&self, path: &str) -> anyhow::Result<()> {
        let answer = self.client.request(Method::DELETE, path).by(As::Admin).send().await;
        ensure!(answer.status == 200, "{path}: {:?}", answer.json());
        Ok(())
    }

    /// What the service says.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let answer = self.client.get(path).by(As::Operator).send().await;
        ensure!(answer.status == 200, "{path}: {:?}", answer.json());
        Ok(answer.data())
    }

    /// How many rows a query of the database counts, as `counted`.
    pub async fn count(&self, sql: &str) -> anyhow::Result<i64> {
        let db = &self.context.db;
        let row = db.read().query_one_raw(db.backend().statement(sql, [])).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get("", "counted"))?)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A sandbox in a process of its own, which ends with this value.
pub struct SandboxProcess {
    pub url: String,
    child: Child,
}

impl SandboxProcess {
    /// One whose days have about so many payments.
    pub fn start(payments: u64, seed: u64) -> anyhow::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--sandbox", &payments.to_string(), &seed.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let said = child.stdout.take().context("the sandbox says nothing")?;
        BufReader::new(said).read_line(&mut url)?;
        ensure!(!url.trim().is_empty(), "the sandbox did not start");
        Ok(Self { url: url.trim().to_owned(), child })
    }

    /// A client of its Stripe side.
    pub fn stripe(&self) -> anyhow::Result<ReportingClient> {
        let inject: HeaderInjector = Arc::new(inject_traceparent);
        let key = SecretString::from(DEFAULT_STRIPE_API_KEY);
        Ok(ReportingClient::new(ReportingSettings::new(self.url.parse()?, key, inject))?)
    }

    fn gateway(&self) -> anyhow::Result<FeedClient> {
        let inject: HeaderInjector = Arc::new(inject_traceparent);
        Ok(FeedClient::new(FeedSettings::new(self.url.parse()?, gateway_headers(), inject))?)
    }
}

impl Drop for SandboxProcess {
    fn drop(&mut self) {
        // Without its input it ends by itself, whatever becomes of this.
        if self.child.kill().is_ok() {
            let _ended = self.child.wait();
        }
    }
}

/// What the gateway is asked with.
pub fn gateway_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("x-service-name", HeaderValue::from_static("reconciliation-service"));
    headers.insert("x-service-secret", HeaderValue::from_static(DEFAULT_GATEWAY_SECRET));
    headers
}

/// Is a sandbox until its input ends.
pub fn be_sandbox(payments: u64, seed: u64) -> anyhow::Result<()> {
    let runtime = runtime("sandbox", 2)?;
    let sandbox = runtime.block_on(async {
        let mut config = SandboxConfig::on(LOOPBACK).await?;
        (config.payments, config.seed, config.report_delay) = (payments, seed, TimeDelta::zero());
        let small = DayPlan { variant: Variant::Seeded, payments: payments.min(SMALL) };
        config.plans =
            SMALL_DAYS.map(|date| Ok((date.parse()?, small))).into_iter().collect::<anyhow::Result<_>>()?;
        config.webhooks.clear();
        Ok::<_, anyhow::Error>(Sandbox::start(config)?)
    })?;
    println!("{}", sandbox.base_url());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

/// A database of each kind that is asked for, with the service's tables, and what it is called.
pub async fn database(name: &str) -> TestDb {
    if name == "SQLite" { testing::sqlite(MIGRATIONS).await } else { testing::postgres(MIGRATIONS).await }
}

/// The names of the databases that are measured.
pub fn databases(plan: &Plan) -> impl Iterator<Item = &'static str> {
    ["PostgreSQL", "SQLite"].into_iter().filter(|name| plan.database.as_ref().is_none_or(|only| only == name))
}

/// Makes commits as durable as they are in production: the server for tests does without.
pub fn make_durable() -> anyhow::Result<()> {
    runtime("settings", 1)?.block_on(async {
        let db = testing::postgres(&[]).await;
        for setting in
            ["fsync = on", "full_page_writes = on", "synchronous_commit = on", "max_wal_size = '2GB'"]
        {
            db.read().execute_unprepared(&format!("ALTER SYSTEM SET {setting}")).await?;
        }
        db.read().execute_unprepared("SELECT pg_reload_conf()").await?;
        anyhow::Ok(())
    })
}

/// The files that the service has stored, the largest first.
pub fn stored(service: &Service) -> anyhow::Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![service.files.path().to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((std::fs::metadata(&path)?.len(), path));
            }
        }
    }
    found.sort();
    Ok(found.into_iter().rev().map(|(_, path)| path).collect())
}

/// The most memory that this process has had since [`forget_peak`], in MiB.
pub fn peak_mib() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib / 1024)
}

/// Begins to watch memory anew.
pub fn forget_peak() -> anyhow::Result<()> {
    Ok(std::fs::write("/proc/self/clear_refs", "5")?)
}
