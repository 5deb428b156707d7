//! `cargo xtask faults`: merchant limits while everything around them fails, or while more comes than they can take.
//!
//! The work is done by the crate `faults`, built here with `payops` in release mode; this brings a PostgreSQL that may be
//! killed, and a library that sets clocks wrong.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::servers::{Servers, faketime};
use crate::{process, workspace};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave the servers' folder behind, to look at their data and logs.
    #[arg(long)]
    keep: bool,
    /// `limits` or `overload`, and its options; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    words: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let packages = ["--package", "payops", "--package", "payops-faults"];
    process::run(process::cargo().args(["build", "--release"]).args(packages))?;
    let release = workspace::target_folder()?.join("release");
    let faketime = faketime::find_or_obtain()?;
    let mut servers = Servers::start(arguments.keep)?;
    eprintln!("xtask: {}", servers.description());

    let mut command = campaign(&release, &faketime, &servers);
    let mut campaign = command.args(&arguments.words).spawn().context("cannot start the campaign")?;
    servers.end_with_us(&campaign)?;
    let status = campaign.wait().context("cannot wait for the campaign")?;
    let stopped = servers.stop();
    if !status.success() {
        bail!("the campaign ended with {status}");
    }
    stopped
}

fn campaign(release: &Path, faketime: &Path, servers: &Servers) -> Command {
    let mut command = Command::new(release.join("payops-faults"));
    for (name, _) in std::env::vars_os() {
        // The database driver reads libpq's variables too.
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(&name);
        }
    }
    command
        .envs(servers.variables())
        .env("PAYOPS_FAULTS_PROGRAM", release.join("payops"))
        .env("PAYOPS_FAULTS_FAKETIME", faketime)
        .env("TMPDIR", servers.temporary_folder());
    // A group of its own: whatever ends xtask then ends the campaign and the instances together.
    command.process_group(0).stdin(Stdio::null());
    command
}
