//! `cargo xtask bench limits`: decisions about payments, beside the ways they could have been made.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::servers::Servers;

/// Builds the benchmark of merchant limits and runs it against a PostgreSQL of its own. `options` go to it: `--rounds N`,
/// `--seconds N`, `--only SCENARIO`.
pub(crate) fn run(options: &[String]) -> Result<()> {
    let build = cargo().args(["--no-run"]).status()?;
    ensure!(build.success(), "the benchmark was not built");
    let servers = Servers::start(false)?;
    let status = cargo().arg("--").args(options).envs(servers.variables()).status()?;
    servers.stop()?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["bench", "--quiet", "--package", "payops-limits", "--bench", "limits"]);
    cargo
}
