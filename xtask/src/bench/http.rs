//! `cargo xtask bench http`: the HTTP stack beside a bare axum handler.

use std::process::Command;

use anyhow::ensure;

/// Builds the benchmark of the platform and runs it. `options` go to it: `--rounds N`, `--seconds N`,
/// `--connections N`, `--no-traces`.
pub(crate) fn run(options: &[String]) -> anyhow::Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["bench", "--quiet", "--package", "payops-platform", "--bench", "http", "--"])
        .args(options)
        .status()?;
    ensure!(status.success(), "the benchmark ended with {status}");
    Ok(())
}
