//! What a decision costs: payops beside the ways it could have been done, in one run. `cargo xtask bench limits` runs it;
//! docs/performance.md explains the figures.
//!
//! All servers, the load and PostgreSQL share this machine; commits are durable. The rivals stand behind the same HTTP
//! stack as payops, the empty handler stands bare. In each round every server has its turn; what counts is the median
//! of the ratios of one round.

#![expect(clippy::print_stdout, reason = "a benchmark tells its results")]

mod load;
mod rivals;
mod scenarios;
mod servers;

use anyhow::{Context, bail};

/// What is measured, how often and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    rounds: usize,
    seconds: u64,
    only: Option<String>,
    server: Option<String>,
}

fn main() -> anyhow::Result<()> {
    scenarios::run(&plan()?)
}

/// `--rounds N`, `--seconds N` (of each turn), `--only SCENARIO`, and `--server NAME` for a profile of one server alone
/// (both by how the name begins). cargo adds `--bench`.
fn plan() -> anyhow::Result<Plan> {
    let mut plan = Plan { rounds: 5, seconds: 3, only: None, server: None };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--rounds" => plan.rounds = value.parse::<usize>()?.max(1),
            "--seconds" => plan.seconds = value.parse::<u64>()?.max(1),
            "--only" => plan.only = Some(value),
            "--server" => plan.server = Some(value),
            _ => bail!("unknown option {name}"),
        }
    }
    Ok(plan)
}
