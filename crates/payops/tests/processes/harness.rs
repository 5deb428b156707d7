//! A folder or database, a sandbox, and instances of `payops serve` that share them.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use payops_platform::db::testing::{TestPlace, postgres_place};
use payops_platform::db::{DatabaseTarget, Db};
use payops_recon::MIGRATIONS;
use payops_sandbox::{
    DEFAULT_GATEWAY_SECRET, DEFAULT_STRIPE_API_KEY, RunningSandbox, Sandbox, SandboxConfig,
};
use reqwest::{Method, StatusCode};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// How long a test waits for anything; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(15);
/// A Friday, with differences of every type.
pub(crate) const DATE: &str = "2026-01-16";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

/// What instances share.
pub(crate) struct Site {
    pub(crate) sandbox: RunningSandbox,
    pub(crate) folder: TempDir,
    settings: Vec<(&'static str, String)>,
    /// Who calls instances that speak TLS.
    tls_client: Option<reqwest::Client>,
    postgres: Option<TestPlace>,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Site {
    /// A place with a sandbox whose reports are ready at once.
    pub(crate) async fn new(kind: Kind) -> Self {
        let mut config = SandboxConfig::on(([127, 0, 0, 1], 0).into()).await.unwrap();
        config.report_delay = chrono::TimeDelta::zero();
        let sandbox = Sandbox::start(config).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let postgres = match kind {
            Kind::Sqlite => None,
            Kind::Postgres => Some(postgres_place().await),
        };
        let url = sandbox.base_url().to_owned();
        let mut settings = vec![
            ("PAYOPS_DATA_DIR", folder.path().join("data").display().to_string()),
            ("STRIPE_API_KEY", DEFAULT_STRIPE_API_KEY.to_owned()),
            ("PAYOPS_STRIPE_API_BASE", url.clone()),
            ("PAYMENT_GATEWAY_URL", url),
            ("PAYOPS_GATEWAY_SECRET", DEFAULT_GATEWAY_SECRET.to_owned()),
            ("PAYOPS_JOB_LEASE", "2s".to_owned()),
            // Tests look at a task more often than people may.
            ("PAYOPS_RATE_LIMIT_CALLER", "1000000".to_owned()),
        ];
        if let Some(DatabaseTarget::Postgres(target)) = postgres.as_ref().map(|place| &place.target) {
            settings.push(("DB_HOST", target.host.clone()));
            settings.push(("DB_PORT", target.port.to_string()));
            settings.push(("DB_USER", target.user.clone()));
            // One service runs at a place.
            settings.push(("PAYOPS_RECONCILIATION_DB_NAME", target.database.clone()));
            settings.push(("PAYOPS_DISPUTES_DB_NAME", target.database.clone()));
            if let Some(password) = &target.password {
                settings.push(("DB_PASSWORD", secrecy::ExposeSecret::expose_secret(password).to_owned()));
            }
        }
        Self { sandbox, folder, settings, tls_client: None, postgres }
    }

    /// Changes or adds a setting for everything that is started from now on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.into()));
    }

    /// Instances from now on speak TLS, and are called by `client`.
    pub(crate) fn speak_tls(&mut self, client: reqwest::Client) {
        self.tls_client = Some(client);
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.folder.path().join("data/settlement-files")
    }

    /// What lies in the folder of files that are on their way.
    pub(crate) fn incoming(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.files().join("incoming")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// `payops` with these arguments, the settings of this place and nothing else from outside.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).env_clear().kill_on_drop(true);
        command.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `payops` to its end, arguments split at blanks.
    pub(crate) async fn run(&self, arguments: &str) -> Ran {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        ended(self.command(PAYOPS, &arguments)).await
    }

    pub(crate) async fn token(&self, arguments: &str) -> String {
        let ran = self.run(&format!("token {arguments}")).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        ran.stdout.trim().to_owned()
    }

    /// Starts an instance and waits until it is ready.
    pub(crate) async fn start(&self) -> Instance {
        let port = free_port().await;
        let serve = self.command(PAYOPS, &["serve", "reconciliation"]);
        self.start_as(serve, port).await
    }

    /// The same of the dispute service.
    pub(crate) async fn start_disputes(&self) -> Instance {
        let port = free_port().await;
        self.start_as(self.command(PAYOPS, &["serve", "disputes"]), port).await
    }

    /// The same under a limit on the size of any file it writes, in bytes.
    pub(crate) async fn start_with_file_limit(&self, bytes: usize) -> Instance {
        let port = free_port().await;
        let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" serve reconciliation", bytes / 512);
        self.start_as(self.command("/bin/sh", &["-c", &script, PAYOPS]), port).await
    }

    async fn start_as(&self, mut serve: Command, port: u16) -> Instance {
        let log = self.folder.path().join(format!("instance-{port}.log"));
        let output = std::fs::File::create(&log).unwrap();
        serve.env("PORT", port.to_string()).stdout(output.try_clone().unwrap()).stderr(output);
        let child = serve.spawn().unwrap();
        let plain = || reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        let scheme = if self.tls_client.is_some() { "https" } else { "http" };
        let http = self.tls_client.clone().unwrap_or_else(plain);
        let base_url = format!("{scheme}://127.0.0.1:{port}");
        let mut instance = Instance { child, log, base_url, token: String::new(), http, progress: 0 };
        until("the instance is ready", async || {
            assert!(instance.child.try_wait().unwrap().is_none(), "it ended: {}", instance.log());
            let ready = instance.http.get(format!("{}/readyz", instance.base_url)).send().await;
            ready.is_ok_and(|answer| answer.status() == StatusCode::OK)
        })
        .await;
        instance.token = self.token("--role operator").await;
        instance
    }

    pub(crate) fn target(&self) -> DatabaseTarget {
        match &self.postgres {
            Some(place) => place.target.clone(),
            None => DatabaseTarget::Sqlite { path: self.folder.path().join("data/reconciliation.db") },
        }
    }

    /// The database, beside whoever serves it.
    pub(crate) async fn database(&self) -> Db {
        Db::open_read_only(&self.target(), MIGRATIONS).await.unwrap()
    }

    /// One number from the database.
    pub(crate) async fn count(&self, sql: &str) -> i64 {
        count(&self.database().await, sql).await
    }

    /// What the sandbox knows of the day.
    pub(crate) fn truth(&self) -> Value {
        let (date, channel) = (DATE.parse().unwrap(), "stripe".parse().unwrap());
        let truth = self.sandbox.handle().truth(date, channel, &payops_core::time::Zone::utc()).unwrap();
        serde_json::to_value(truth).unwrap()
    }

    /// The task is complete, right in every number, and nothing is there twice.
    pub(crate) async fn assert_whole(&self, instance: &Instance, task: &Value) {
        let truth = self.truth();
        assert_eq!((&task["status"], &task["verdict"]), (&json!("completed"), &truth["verdict"]), "{task}");
        let path = format!("reports/{}", task["id"].as_str().unwrap());
        let summary = &instance.get(&path).await["summary"];
        let mut records = 0;
        for (name, expected) in truth["types"].as_object().unwrap() {
            let found = &summary["types"][name];
            for part in ["count", "platform_amounts", "channel_amounts"] {
                assert_eq!(found[part], expected[part], "{name} {part}");
            }
            if name != "matched" || task["store_matched"] == true {
                records += expected["count"].as_i64().unwrap();
            }
        }
        if task["store_matched"] == true {
            records += truth["not_expected"]["count"].as_i64().unwrap();
        }
        let db = self.database().await;
        for (sql, expected) in [
            ("SELECT count(*) FROM reconciliation_records", records),
            ("SELECT count(DISTINCT identity) FROM reconciliation_records WHERE gone_at IS NULL", records),
            ("SELECT count(DISTINCT ordinal) FROM reconciliation_records", records),
            ("SELECT count(*) FROM reconciliation_runs WHERE run_no = 1", 1),
            ("SELECT count(*) FROM reconciliation_runs", 1),
            ("SELECT count(*) FROM channel_settlement_files WHERE status = 'stored'", 3),
            ("SELECT count(*) FROM channel_settlement_files", 3),
        ] {
            assert_eq!(count(&db, sql).await, expected, "{sql}");
        }
    }
}

pub(crate) async fn count(db: &Db, sql: &str) -> i64 {
    let backend = db.read().get_database_backend();
    let row = db.read().query_one_raw(Statement::from_string(backend, sql)).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// A `payops serve` that runs. Dropping it kills it; a test that fails shows its log.
pub(crate) struct Instance {
    child: Child,
    log: PathBuf,
    pub(crate) base_url: String,
    pub(crate) token: String,
    pub(crate) http: reqwest::Client,
    /// The furthest that its task was seen.
    progress: i64,
}

impl Drop for Instance {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.start_kill();
        if std::thread::panicking() {
            eprintln!("--- {} ---\n{}", self.base_url, self.log());
        }
    }
}

impl Instance {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Ends it as `kill -9` does. Returns how far its task was seen.
    pub(crate) async fn kill(mut self) -> i64 {
        self.child.kill().await.unwrap();
        self.progress
    }

    /// Asks it to end, as an orchestrator does, and waits until it has: not as long as a call to a silent
    /// source may last.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        signal("TERM", self.pid()).await;
        tokio::time::timeout(PATIENCE / 2, self.child.wait()).await.expect("it ends").unwrap()
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/api/v1/reconciliation/{path}", self.base_url);
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) fn disputes(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}/api/v1/disputes{path}", self.base_url)).bearer_auth(&self.token)
    }

    /// The data of a call that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        data(self.request(Method::GET, path)).await
    }

    /// Creates the day's task and starts it.
    pub(crate) async fn begin(&self, more: &Value) -> String {
        let mut body = json!({ "task_date": DATE, "channel": "stripe" });
        body.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
        let task = data(self.request(Method::POST, "tasks").json(&body)).await;
        let id = task["id"].as_str().unwrap().to_owned();
        data(self.request(Method::POST, &format!("tasks/{id}/execute"))).await;
        id
    }

    /// What was seen of the task's progress on another instance holds here too.
    pub(crate) fn expect_progress(&mut self, seen: i64) {
        self.progress = seen;
    }

    /// Watches the task, whose progress must never fall, until it is as wanted.
    pub(crate) async fn watch(&mut self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.get(&format!("tasks/{id}")).await;
            let progress = task["progress"].as_i64().unwrap();
            assert!(progress >= self.progress, "it was at {}: {task}", self.progress);
            self.progress = progress;
            if wanted(&task) {
                return task;
            }
            assert!(Instant::now() < deadline, "not yet after {PATIENCE:?}: {task}");
            sleep(LOOK).await;
        }
    }

    pub(crate) async fn ended(&mut self, id: &str) -> Value {
        self.watch(id, |task| matches!(task["status"].as_str(), Some("completed" | "failed"))).await
    }
}

pub(crate) const PAYOPS: &str = env!("CARGO_BIN_EXE_payops");

/// The data of an answer that must be a success.
pub(crate) async fn data(request: reqwest::RequestBuilder) -> Value {
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let mut body: Value = answer.json().await.unwrap();
    assert!(status.is_success(), "{status} {body}");
    body["data"].take()
}

/// Runs `payops` with nothing set but `environment`, in `folder`.
pub(crate) async fn bare(folder: &TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(PAYOPS);
    command.args(arguments).current_dir(folder.path()).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command.envs(environment.iter().copied());
    ended(command).await
}

async fn ended(mut command: Command) -> Ran {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("payops ends").unwrap();
    Ran {
        code: output.status.code().expect("payops ends by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        sleep(LOOK).await;
    }
}

pub(crate) async fn signal(name: &str, pid: u32) {
    let script = format!("kill -{name} {pid}");
    assert!(Command::new("/bin/sh").args(["-c", &script]).status().await.unwrap().success());
}

/// A port that nobody has at the moment.
pub(crate) async fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    listener.local_addr().unwrap().port()
}
