//! `cargo xtask test`: the one command that runs the whole suite.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process;
use crate::servers::Servers;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run only tests whose name contains this.
    filter: Option<String>,
    /// Build and test only this package (may be repeated).
    #[arg(long, short)]
    package: Vec<String>,
    /// Leave the servers' folder behind, to look at their data and logs.
    #[arg(long)]
    keep: bool,
    /// Words for the test programs themselves, after `--`, for example `-- --nocapture`.
    #[arg(last = true)]
    forwarded: Vec<String>,
}

/// Settings of payops that bear no `PAYOPS_` prefix. A developer's own must not leak into the tests.
const SETTINGS: &[&str] = &[
    "DB_HOST",
    "DB_PORT",
    "DB_USER",
    "DB_PASSWORD",
    "DB_NAME",
    "PORT",
    "ENV",
    "JAEGER_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "PROMETHEUS_PORT",
    "REDIS_HOST",
    "REDIS_PORT",
    "STRIPE_API_KEY",
    "SETTLEMENT_FILE_PATH",
    "REPORT_PATH",
    "PAYMENT_GATEWAY_URL",
    "RUST_LOG",
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut servers = Servers::start(arguments.keep)?;
    eprintln!("xtask: {}", servers.description());

    let mut command = cargo_test(arguments);
    command.envs(servers.variables());
    // A test that was ended could not remove its files; they go with the servers.
    command.env("TMPDIR", servers.temporary_folder());
    let mut tests = command.spawn().context("cannot start cargo test")?;
    servers.end_with_us(&tests)?;
    let status = tests.wait().context("cannot wait for cargo test")?;
    let stopped = servers.stop();

    if !status.success() {
        bail!("cargo test ended with {status}");
    }
    stopped
}

fn cargo_test(arguments: &Arguments) -> Command {
    let mut command = process::cargo();
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        // libpq's variables (PGPASSWORD, PGSSLMODE, ...) are read by the database driver too.
        if text.starts_with("PAYOPS_") || text.starts_with("PG") || SETTINGS.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }

    command.args(["test", "--no-fail-fast"]);
    if arguments.package.is_empty() {
        command.arg("--workspace");
    }
    for package in &arguments.package {
        command.args(["--package", package]);
    }
    command.args(&arguments.filter);
    command.arg("--").args(&arguments.forwarded);
    // A group of its own: whatever ends xtask then ends Cargo, the compiler and the test programs together.
    command.process_group(0).stdin(Stdio::null());
    command
}
