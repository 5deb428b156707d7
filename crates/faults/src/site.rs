//! Where a set takes place: a fresh database, and instances that serve limits from it.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use payops_client::{LimitsClient, Settings};
use payops_core::random::{Random, SeededRandom};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use secrecy::SecretString;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::call::Callers;
use crate::instance::{Instance, Setup};
use crate::overload::Sender;
use crate::plan::FaultSet;
use crate::postgres::Postgres;
use crate::process::free_port;
use crate::proxy::Proxy;

const SERVICE: &str = "payment-gateway";
const SECRET: &str = "a-secret-for-the-time-of-one-campaign";
/// Whichever instance seals the log, all of them and the audit believe it.
const AUDIT_KEY: &str = "5a1d7c0b9e3f48261b4c6d8f0a2e3957c1b3d5f7092a4c6e8f1b3d5c7a9e0f24";
/// How long an attempt may take before the caller asks elsewhere.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How far the clocks of instances are from the database's, in the words of libfaketime.
const SKEWS: [&str; 2] = ["-600", "+600"];
/// From a commit to its answer where the disk is slow.
const SLOW_COMMIT: Duration = Duration::from_millis(40);

/// What is on this machine.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The program `payops`.
    pub payops: PathBuf,
    /// The folder of a PostgreSQL that may be killed, made by `cargo xtask`; without it one instance serves from SQLite.
    pub postgres: Option<PathBuf>,
    /// libfaketime, for sets in which clocks are wrong.
    pub faketime: Option<PathBuf>,
}

/// Instances and their database. Everything is gone when it is dropped, but the database on PostgreSQL.
#[derive(Debug)]
pub struct Site {
    pub(crate) instances: Vec<Instance>,
    pub(crate) proxies: Vec<Proxy>,
    postgres: Option<Postgres>,
    database: String,
    url: String,
    folder: TempDir,
}

impl Site {
    /// Makes a fresh database, and starts two instances on PostgreSQL, or one on SQLite.
    ///
    /// # Errors
    /// What does not start, and a set that this ground cannot bear.
    pub async fn open(ground: &Ground, set: FaultSet) -> Result<Self> {
        let instances = if ground.postgres.is_some() { 2 } else { 1 };
        let settings = if set.is_slow() { vec![("PAYOPS_DB_MAX_CONNECTIONS", "2")] } else { Vec::new() };
        Self::with(ground, set, instances, &settings).await
    }

    pub(crate) async fn with(
        ground: &Ground,
        set: FaultSet,
        instances: usize,
        settings: &[(&str, &str)],
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("payops-faults-").tempdir()?;
        let mut site = Self {
            instances: Vec::new(),
            proxies: Vec::new(),
            postgres: ground.postgres.as_deref().map(Postgres::at).transpose()?,
            database: format!("faults_{}", set.name().replace('-', "_")),
            url: format!("sqlite://{}?mode=rw", folder.path().join("instance-0/limits.db").display()),
            folder,
        };
        if let Some(postgres) = site.postgres.clone() {
            site.url = postgres.url(&site.database);
            site.create_database().await?;
        }
        for place in 0..instances {
            let mut setup = site.setup(&ground.payops, place, settings).await?;
            if set.skews_clocks() {
                let library =
                    ground.faketime.as_deref().context("clocks cannot be set wrong without libfaketime")?;
                setup.settings.extend(wrong_clock(library, SKEWS[place % SKEWS.len()]));
            }
            if let (true, Some(proxy)) = (set.is_slow(), site.proxies.last()) {
                proxy.delay_commits(SLOW_COMMIT);
            }
            site.instances.push(Instance::start(setup).await?);
        }
        Ok(site)
    }

    async fn create_database(&self) -> Result<()> {
        let server = Database::connect(self.postgres()?.url("postgres")).await?;
        server.execute_unprepared(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database)).await?;
        server.execute_unprepared(&format!("CREATE DATABASE {}", self.database)).await?;
        Ok(server.close().await?)
    }

    /// Starts a proxy where there is something to stand before.
    async fn setup(&mut self, payops: &Path, place: usize, more: &[(&str, &str)]) -> Result<Setup> {
        let mut settings = vec![
            ("PAYOPS_SERVICE_SECRETS".to_owned(), format!("{SERVICE}={SECRET}")),
            ("PAYOPS_AUDIT_KEY".to_owned(), AUDIT_KEY.to_owned()),
            ("PAYOPS_RATE_LIMIT_SERVICE".to_owned(), "100000000".to_owned()),
            ("PAYOPS_LOG".to_owned(), "warn".to_owned()),
        ];
        if let Some(postgres) = &self.postgres {
            let proxy = Proxy::start(postgres.port()?).await?;
            settings.extend([
                ("DB_HOST".to_owned(), "127.0.0.1".to_owned()),
                ("DB_PORT".to_owned(), proxy.port().to_string()),
                ("DB_USER".to_owned(), "payops".to_owned()),
                ("DB_NAME".to_owned(), self.database.clone()),
                ("PAYOPS_DB_SSLMODE".to_owned(), "disable".to_owned()),
            ]);
            self.proxies.push(proxy);
        }
        settings.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let data = self.folder.path().join(format!("instance-{place}"));
        std::fs::create_dir(&data)?;
        Ok(Setup { program: payops.to_path_buf(), data, port: free_port()?, settings })
    }

    pub(crate) fn postgres(&self) -> Result<&Postgres> {
        self.postgres.as_ref().context("there is no PostgreSQL that may be killed")
    }

    /// The database itself, past every proxy.
    ///
    /// # Errors
    /// The database's.
    pub async fn database(&self) -> Result<DatabaseConnection> {
        Ok(Database::connect(&self.url).await?)
    }

    /// Clients that ask once; asking again is the caller's part here.
    pub(crate) fn callers(&self, seed: u64) -> Result<Callers> {
        let client = |instance: &Instance| {
            let random: Arc<dyn Random> = Arc::new(SeededRandom::new(seed));
            let secret = SecretString::from(SECRET);
            let settings = Settings::new(instance.setup().base_url()?, SERVICE, secret, random);
            let once = Settings { attempts: 1, attempt_time: ATTEMPT, total_time: ATTEMPT, ..settings };
            Ok(LimitsClient::new(once)?)
        };
        let clients = self.instances.iter().map(client).collect::<Result<_>>()?;
        Ok(Callers { clients, retries: AtomicU64::new(0) })
    }

    /// Sends to the first instance; each `series` has payment numbers of its own.
    pub(crate) fn sender(&self, series: u64) -> Sender {
        Sender::new(self.instances[0].setup().port, SERVICE, SECRET, series)
    }

    /// Gives a merchant its limits.
    pub(crate) async fn initialize(&self, merchant: Uuid, daily: i64, monthly: i64) -> Result<()> {
        let first = self.instances.first().context("no instance runs")?;
        let body = json!({
            "merchant_id": merchant, "tier_code": "premium",
            "custom_daily_limit": daily, "custom_monthly_limit": monthly,
        });
        let url = first.setup().base_url()?.join("/api/v1/limits/initialize")?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let call = http.post(url).header("x-service-name", SERVICE).header("x-service-secret", SECRET);
        let answer = call.json(&body).send().await?;
        let status = answer.status();
        ensure!(status.is_success(), "a merchant got no limits: {status} {}", answer.text().await?);
        Ok(())
    }

    /// What the audit of the service itself finds.
    pub(crate) async fn audit(&self) -> Result<Vec<String>> {
        let first = self.instances.first().context("no instance was started")?;
        let mut command = first.setup().command(&["limits", "audit", "--json"]);
        // It looks past the proxy, whose faults are over by now, and with the right time.
        if let Some(postgres) = &self.postgres {
            command.env("DB_PORT", postgres.port()?.to_string()).env_remove("LD_PRELOAD");
        }
        let output = command.output().await?;
        let report: Value = serde_json::from_slice(&output.stdout)
            .with_context(|| audit_failed(output.status, &output.stderr))?;
        let findings = report["findings"].as_array().context("the audit lists no findings")?;
        if output.status.success() != findings.is_empty() {
            bail!(audit_failed(output.status, &output.stderr));
        }
        Ok(findings.iter().map(|finding| format!("audit: {finding}")).collect())
    }

    /// Kills the instances, so that nothing changes any more, and lets everything pass.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        for instance in &mut self.instances {
            instance.kill().await?;
        }
        for proxy in &self.proxies {
            proxy.cut();
        }
        Ok(())
    }
}

fn audit_failed(status: ExitStatus, complaint: &[u8]) -> String {
    format!("payops limits audit ended with {status}: {}", String::from_utf8_lossy(complaint))
}

/// The environment of a process whose clock is wrong by `seconds`; its timers go on as they are.
fn wrong_clock(library: &Path, seconds: &str) -> [(String, String); 3] {
    [
        ("LD_PRELOAD".to_owned(), library.display().to_string()),
        ("FAKETIME".to_owned(), seconds.to_owned()),
        ("DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned()),
    ]
}
