//! What the desk, the webhooks and the submissions of disputes cost. `cargo xtask bench disputes` runs it; docs/performance.md
//! explains the figures.
//!
//! Service, load, sandbox and PostgreSQL share this machine; commits are durable.

#![expect(clippy::print_stdout, reason = "a benchmark tells its results")]

mod held;
mod intake;
mod lists;
mod service;
mod store;

use anyhow::{Context, bail};

/// What is measured, how often and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    rounds: usize,
    seconds: u64,
    only: Option<String>,
    /// How many disputes lie in the store.
    disputes: usize,
    /// How many submissions come due within an hour.
    held: usize,
}

fn main() -> anyhow::Result<()> {
    let plan = plan()?;
    let asked = |name: &str| plan.only.as_ref().is_none_or(|only| name.starts_with(only.as_str()));
    service::make_durable()?;
    if asked("lists") {
        lists::run(&plan)?;
    }
    if asked("intake") {
        intake::run(&plan)?;
    }
    if asked("held") {
        held::run(&plan)?;
    }
    Ok(())
}

/// `--rounds N`, `--seconds N` (of each turn), `--only lists|intake|held`, `--disputes N`, `--held N`. cargo adds `--bench`.
fn plan() -> anyhow::Result<Plan> {
    let mut plan = Plan { rounds: 3, seconds: 3, only: None, disputes: 1_000_000, held: 10_000 };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--rounds" => plan.rounds = value.parse::<usize>()?.max(1),
            "--seconds" => plan.seconds = value.parse::<u64>()?.max(1),
            "--only" => plan.only = Some(value),
            "--disputes" => plan.disputes = value.parse::<usize>()?.max(1000),
            "--held" => plan.held = value.parse::<usize>()?.max(1),
            _ => bail!("unknown option {name}"),
        }
    }
    Ok(plan)
}
