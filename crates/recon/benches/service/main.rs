//! What the reconciliation service costs beside the command line, and how long its lists take. `cargo xtask bench
//! reconciliation` runs it; docs/performance.md explains the figures.
//!
//! Service and PostgreSQL share this machine with the sandbox, which is a process of its own; commits are durable.

#![expect(clippy::print_stdout, reason = "a benchmark tells its results")]

mod back_test;
mod lists;
mod service;
mod store;
mod task;

use anyhow::{Context, bail};

/// What is measured, and how much of it.
#[derive(Debug, Clone)]
pub struct Plan {
    only: Option<String>,
    database: Option<String>,
    /// Rows a side, of the days that are reconciled.
    rows: u64,
    /// Rows a side of a day that has nothing in common with the other side.
    differing: u64,
    /// Rows a side of the day that memory is compared by.
    large: u64,
    /// How many records lie in the store.
    records: u64,
    /// How long each question is asked again and again, in milliseconds.
    milliseconds: u64,
}

impl Plan {
    fn wants(&self, part: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == part)
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [name, payments, seed] = &arguments[..]
        && name == "--sandbox"
    {
        return service::be_sandbox(payments.parse()?, seed.parse()?);
    }
    let plan = plan(arguments)?;
    service::make_durable()?;
    if plan.wants("task") || plan.wants("differing") || plan.wants("together") || plan.wants("large") {
        task::run(&plan)?;
    }
    if plan.wants("back_test") {
        back_test::run(&plan)?;
    }
    if plan.wants("lists") {
        lists::run(&plan)?;
    }
    Ok(())
}

/// `--only task|large|differing|together|back_test|lists`, `--database PostgreSQL|SQLite`, `--rows N`, `--large N`, `--differing N`,
/// `--records N`, `--milliseconds N`.
fn plan(arguments: Vec<String>) -> anyhow::Result<Plan> {
    let mut plan = Plan {
        only: None,
        database: None,
        rows: 1_000_000,
        differing: 500_000,
        large: 3_000_000,
        records: 1_000_000,
        milliseconds: 1_000,
    };
    let mut arguments = arguments.into_iter();
    while let Some(name) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--only" => plan.only = Some(value),
            "--database" => plan.database = Some(value),
            "--rows" => plan.rows = value.parse()?,
            "--large" => plan.large = value.parse()?,
            "--differing" => plan.differing = value.parse()?,
            "--records" => plan.records = value.parse::<u64>()?.max(10_000),
            "--milliseconds" => plan.milliseconds = value.parse::<u64>()?.max(100),
            _ => bail!("unknown option {name}"),
        }
    }
    Ok(plan)
}
