//! One `payops serve limits`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::process::{signal, until};

/// How long a start may take; the machine may be busy, and the database just coming back.
const PATIENCE: Duration = Duration::from_mins(2);

/// How to start it.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// The program `payops`.
    pub(crate) program: PathBuf,
    /// Its data folder; the log lies beside it.
    pub(crate) data: PathBuf,
    pub(crate) port: u16,
    pub(crate) settings: Vec<(String, String)>,
}

/// A process that runs, or is about to be started again. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Instance {
    setup: Setup,
    http: reqwest::Client,
    child: Child,
}

impl Setup {
    /// The program with these arguments, these settings and nothing else from outside.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.env("PORT", self.port.to_string()).env("PAYOPS_DATA_DIR", &self.data);
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.folder());
        command
    }

    fn folder(&self) -> &Path {
        self.data.parent().unwrap_or(&self.data)
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    pub(crate) fn base_url(&self) -> Result<reqwest::Url> {
        Ok(reqwest::Url::parse(&format!("http://127.0.0.1:{}", self.port))?)
    }

    fn spawn(&self) -> Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let mut command = self.command(&["serve", "limits"]);
        command.stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {}", self.program.display()))
    }
}

impl Instance {
    /// Starts it and waits until it is ready.
    pub(crate) async fn start(setup: Setup) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let child = setup.spawn()?;
        let mut instance = Self { setup, http, child };
        instance.ready().await?;
        Ok(instance)
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.setup
    }

    /// Waits until it says that it is ready; one that ended by itself is an error with the end of its log.
    async fn ready(&mut self) -> Result<()> {
        let url = self.setup.base_url()?.join("readyz")?;
        until("an instance is ready", PATIENCE, async || {
            let ended = self.child.try_wait()?;
            ensure!(ended.is_none(), "an instance ended ({ended:?}): {}", self.end_of_log());
            let answer = self.http.get(url.clone()).send().await;
            Ok(answer.is_ok_and(|answer| answer.status().is_success()))
        })
        .await
        .with_context(|| self.end_of_log())
    }

    fn end_of_log(&self) -> String {
        let text = std::fs::read_to_string(self.setup.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn pid(&self) -> Result<u32> {
        self.child.id().context("an instance has ended")
    }

    /// Ends it as `kill -9` does, and starts it again.
    pub(crate) async fn kill_and_start(&mut self) -> Result<()> {
        self.kill().await?;
        self.child = self.setup.spawn()?;
        self.ready().await
    }

    pub(crate) async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("cannot kill an instance")
    }

    pub(crate) async fn pause(&self, time: Duration) -> Result<()> {
        let pid = self.pid()?;
        signal(pid, Signal::SIGSTOP)?;
        tokio::time::sleep(time).await;
        signal(pid, Signal::SIGCONT)
    }

    /// Resident memory in bytes, where the system tells.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid().ok()?)).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kibibytes << 10)
    }
}
