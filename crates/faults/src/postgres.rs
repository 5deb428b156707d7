//! A PostgreSQL that may be killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::Signal;
use tokio::process::Command;

use crate::process::{children, signal, until};

/// How long a start with recovery may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// A server that xtask has made for this: its folder holds `url`, the script `start`, and `data/postmaster.pid` while it
/// runs.
#[derive(Debug, Clone)]
pub(crate) struct Postgres {
    folder: PathBuf,
    url: String,
}

impl Postgres {
    pub(crate) fn at(folder: &Path) -> Result<Self> {
        let path = folder.join("url");
        let url = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}: no server of `cargo xtask`", path.display()))?;
        Ok(Self { folder: folder.to_path_buf(), url: url.trim().to_owned() })
    }

    /// The address of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        let server = self.url.rsplit_once('/').map_or(self.url.as_str(), |(server, _)| server);
        format!("{server}/{database}")
    }

    pub(crate) fn port(&self) -> Result<u16> {
        let url = reqwest::Url::parse(&self.url)?;
        url.port().context("the server's address has no port")
    }

    /// Ends every process of it at once, and returns when it is up again.
    pub(crate) async fn kill_and_start(&self) -> Result<()> {
        let postmaster = self.postmaster()?;
        // Nothing is born between the look and the end.
        signal(postmaster, Signal::SIGSTOP)?;
        for child in children(postmaster) {
            // It may have ended by itself.
            let _gone = signal(child, Signal::SIGKILL);
        }
        signal(postmaster, Signal::SIGKILL)?;
        self.start().await
    }

    /// Tries until the last process of the killed one is gone.
    async fn start(&self) -> Result<()> {
        let mut complaint = String::new();
        let started = until("PostgreSQL starts again", PATIENCE, async || {
            // The server's user may not be able to look into the folder where this runs.
            let script = self.folder.join("start");
            let output = Command::new("sh").arg(script).current_dir("/").output().await?;
            complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok(output.status.success())
        });
        if let Err(error) = started.await {
            bail!("{error}: {complaint}");
        }
        Ok(())
    }

    pub(crate) async fn pause(&self, time: Duration) -> Result<()> {
        let postmaster = self.postmaster()?;
        let mut all = vec![postmaster];
        all.extend(children(postmaster));
        for process in &all {
            let _gone = signal(*process, Signal::SIGSTOP);
        }
        tokio::time::sleep(time).await;
        for process in &all {
            let _gone = signal(*process, Signal::SIGCONT);
        }
        Ok(())
    }

    fn postmaster(&self) -> Result<u32> {
        let path = self.folder.join("data/postmaster.pid");
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        text.lines().next().and_then(|line| line.trim().parse().ok()).context("postmaster.pid has no number")
    }
}
