//! What a whole process uses: wall time, processor time, peak memory.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};

/// What one run of a command used.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usage {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// Seconds of processor time, user and system.
    pub(super) cpu: f64,
    /// The most memory that was resident at once.
    pub(super) peak_bytes: f64,
}

impl Usage {
    pub(super) fn median(usages: &[Self], value: impl Fn(&Self) -> f64) -> f64 {
        let mut values: Vec<f64> = usages.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    }
}

/// Runs `command` under a process of its own, which then knows the peak memory of this one child and no other. What the
/// command prints goes to the file `printed_to`.
pub(super) fn run(command: &Command, printed_to: &Path) -> Result<Usage> {
    let itself = std::env::current_exe().context("cannot find the program that runs")?;
    let mut outer = Command::new(itself);
    outer.args(["bench", "recon", "--printed-to"]).arg(printed_to);
    outer.arg("--measured").arg(command.get_program()).args(command.get_args());
    let printed = crate::process::output(&mut outer)?;
    let numbers: Vec<f64> = printed.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        [wall, cpu, peak_bytes] => Ok(Usage { wall: *wall, cpu: *cpu, peak_bytes: *peak_bytes }),
        _ => bail!("cannot read what was measured: {printed}"),
    }
}

/// The inner half of [`run`]: runs the command and prints what it used. Exit code 1 counts as success, since payops
/// ends with it when there are differences.
pub(super) fn in_this_process(command: &[String], printed_to: &Path) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command to measure")?;
    let output = File::create(printed_to)?;
    let start = Instant::now();
    let status = Command::new(program).args(arguments).stdin(Stdio::null()).stdout(output).status()?;
    let wall = start.elapsed().as_secs_f64();
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("{program} ended with {status}");
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let [user, system] = [usage.user_time(), usage.system_time()].map(|time| {
        std::time::Duration::from_micros(
            u64::try_from(time.tv_sec() * 1_000_000 + time.tv_usec()).unwrap_or(0),
        )
    });
    // The system counts in KiB.
    println!("{wall} {} {}", (user + system).as_secs_f64(), usage.max_rss().saturating_mul(1024));
    Ok(())
}
