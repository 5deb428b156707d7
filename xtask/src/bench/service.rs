//! `cargo xtask bench limits`, `disputes` and `reconciliation`: a service's own benchmark, with a PostgreSQL of its own.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::servers::Servers;

/// Builds the benchmark of a service and runs it against a PostgreSQL of its own. `options` go to it; its `main.rs` lists
/// them.
pub(crate) fn run(package: &str, bench: &str, options: &[String]) -> Result<()> {
    let build = cargo(package, bench).args(["--no-run"]).status()?;
    ensure!(build.success(), "the benchmark was not built");
    let servers = Servers::start(false)?;
    let status = cargo(package, bench).arg("--").args(options).envs(servers.variables()).status()?;
    servers.stop()?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}

fn cargo(package: &str, bench: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["bench", "--quiet", "--package", package, "--bench", bench]);
    cargo
}
