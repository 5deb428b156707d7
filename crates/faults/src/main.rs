//! The program behind `cargo xtask faults`, which builds it, starts PostgreSQL for it, and hands it what it needs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use payops_faults::campaign;
use payops_faults::overload::{self, Times};
use payops_faults::plan::{FaultSet, Plan};
use payops_faults::site::Ground;

/// Merchant limits under load and faults, or under more load than they can take.
#[derive(Parser)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    /// The program `payops`.
    #[arg(long, env = "PAYOPS_FAULTS_PROGRAM")]
    payops: PathBuf,
    /// The folder of a PostgreSQL that may be killed.
    #[arg(long, env = "PAYOPS_TEST_POSTGRES_TO_KILL")]
    postgres: PathBuf,
    /// libfaketime, for instances whose clocks are wrong.
    #[arg(long, env = "PAYOPS_FAULTS_FAKETIME")]
    faketime: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// The fault sets, one after the other. Exit code 0: nothing was lost, doubled, exceeded or changed; 1: something was.
    Limits(Campaign),
    /// Ten times as much as the service can take, then one merchant's flood beside others.
    Overload(Overload),
}

#[derive(Args)]
struct Campaign {
    /// How many operations all sets send together.
    #[arg(long, default_value_t = 1_000_000)]
    operations: u64,
    /// Where everything that is chosen at random begins. The order of events is the machine's.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A few thousand operations with faults in quick succession.
    #[arg(long)]
    short: bool,
    /// Only this set (may be repeated).
    #[arg(long, value_enum)]
    set: Vec<FaultSet>,
}

#[derive(Args)]
struct Overload {
    /// How long the overload lasts, in seconds.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How long each other measurement lasts, in seconds.
    #[arg(long, default_value_t = 10)]
    measure: u64,
    /// Only the flood of one merchant.
    #[arg(long)]
    neighbours: bool,
}

fn main() -> ExitCode {
    match run(CommandLine::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("faults: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: CommandLine) -> Result<ExitCode> {
    let ground = Ground { payops: line.payops, postgres: Some(line.postgres), faketime: line.faketime };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match line.command {
            Command::Limits(campaign) => limits(&ground, &campaign).await,
            Command::Overload(overload) => {
                let times = Times {
                    overload: Duration::from_secs(overload.seconds),
                    measure: Duration::from_secs(overload.measure),
                };
                if !overload.neighbours {
                    overload::overload(&ground, times).await?;
                }
                overload::neighbours(&ground, times).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    })
}

async fn limits(ground: &Ground, campaign: &Campaign) -> Result<ExitCode> {
    let sets = if campaign.set.is_empty() { FaultSet::EVERY.to_vec() } else { campaign.set.clone() };
    let operations = if campaign.short { 2_000 } else { campaign.operations.div_ceil(sets.len() as u64) };
    ensure!(operations > 0, "a campaign of no operations proves nothing");
    let mut clean = true;
    for (set, seed) in sets.into_iter().zip(campaign.seed..) {
        let plan = if campaign.short { Plan::short(operations, seed) } else { Plan::new(operations, seed) };
        let report = campaign::run(ground, set, &plan).await?.report;
        println!("{report}");
        for example in &report.examples {
            println!("    {example}");
        }
        clean &= report.is_clean();
    }
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
