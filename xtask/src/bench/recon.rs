//! `cargo xtask bench recon`: two files in, differences and figures out, by payops and by its rivals in turn.
//!
//! Data is made afresh under `target/bench`, with known differences. Every engine must first find exactly those;
//! only then is it measured, as a whole process, in rounds in which each engine runs once.

pub(super) mod data;
pub(super) mod engines;
mod floor;
mod measure;
mod verify;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::workspace;
use data::{Dataset, Shape};
use engines::Engine;
use measure::Usage;

/// Reconcile generated files with payops, DuckDB, Polars and csv-diff, and compare time and memory.
#[derive(Parser)]
#[command(name = "cargo xtask bench recon")]
struct Options {
    /// Rows a side, several by commas: 100k, 1M, 10M.
    #[arg(long, value_delimiter = ',', default_value = "100k,1M", value_parser = parse_rows)]
    rows: Vec<u32>,
    /// Leave out the rivals, whose memory ends where files are very large.
    #[arg(long)]
    no_rivals: bool,
    /// How often each engine runs.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
    /// Keep the data and the outputs; without this they are removed.
    #[arg(long)]
    keep: bool,
    /// Measures one command and prints what it used: how the benchmark calls itself.
    #[arg(long, hide = true, num_args = 1.., allow_hyphen_values = true)]
    measured: Option<Vec<String>>,
    /// Reads files and counts their lines: the floor.
    #[arg(long, hide = true, num_args = 1..)]
    floor: Vec<PathBuf>,
    /// Where that command's output goes.
    #[arg(long, hide = true, requires = "measured")]
    printed_to: Option<PathBuf>,
}

/// Runs the benchmark with the options that follow its name.
pub(crate) fn run(options: &[String]) -> Result<()> {
    let options = Options::parse_from(std::iter::once("recon".to_owned()).chain(options.iter().cloned()));
    if !options.floor.is_empty() {
        return floor::in_this_process(&options.floor);
    }
    if let (Some(command), Some(printed_to)) = (&options.measured, &options.printed_to) {
        return measure::in_this_process(command, printed_to);
    }
    let folder = workspace::cache_folder()?.with_file_name("bench").join("recon");
    let engines = engines::prepare(&folder, !options.no_rivals)?;
    for rows in &options.rows {
        let place = folder.join(rows.to_string());
        compare(*rows, &place, &engines, options.rounds)?;
        if !options.keep {
            fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
        }
    }
    Ok(())
}

fn compare(rows: u32, place: &Path, engines: &[Engine], rounds: u8) -> Result<()> {
    fs::create_dir_all(place).with_context(|| format!("cannot create {}", place.display()))?;
    let dataset = Dataset::write(rows, Shape::MONTH, place)?;
    let (megabytes, differences) = (dataset.bytes / 1_000_000, dataset.differences.len());
    println!("\n{rows} rows a side, {megabytes} MB of CSV, {differences} differences");
    let mut usages: Vec<Vec<Usage>> = Vec::new();
    for engine in engines {
        engine.run(place)?;
        if engine.reconciles() {
            verify::check(engine, place, &dataset).with_context(|| format!("{} is wrong", engine.name))?;
        }
        usages.push(Vec::new());
    }
    for _ in 0..rounds {
        for (engine, usages) in engines.iter().zip(&mut usages) {
            usages.push(engine.run(place)?);
        }
    }
    print(engines, &usages);
    Ok(())
}

fn print(engines: &[Engine], usages: &[Vec<Usage>]) {
    let ours = usages.first().map_or(1.0, |usages| Usage::median(usages, |usage| usage.wall));
    println!(
        "{:24} {:>9} {:>9} {:>9} {:>9} {:>10} {:>9}",
        "engine", "wall min", "median", "max", "cpu", "peak", "to payops"
    );
    for (engine, usages) in engines.iter().zip(usages) {
        let wall =
            |pick: fn(f64, f64) -> f64, start: f64| usages.iter().map(|usage| usage.wall).fold(start, pick);
        let median = Usage::median(usages, |usage| usage.wall);
        let peak = usages.iter().map(|usage| usage.peak_bytes).fold(0.0, f64::max) / f64::from(1 << 20);
        println!(
            "{:24} {:>8.3}s {median:>8.3}s {:>8.3}s {:>8.3}s {peak:>6.0} MiB {:>8.2}x",
            engine.name,
            wall(f64::min, f64::INFINITY),
            wall(f64::max, 0.0),
            Usage::median(usages, |usage| usage.cpu),
            median / ours,
        );
    }
}

fn parse_rows(text: &str) -> Result<u32> {
    let (digits, unit) = match text.trim().split_at_checked(text.trim().len().saturating_sub(1)) {
        Some((digits, "k" | "K")) => (digits, 1_000),
        Some((digits, "m" | "M")) => (digits, 1_000_000),
        _ => (text.trim(), 1),
    };
    let rows = digits.parse::<u32>().ok().and_then(|rows| rows.checked_mul(unit));
    match rows {
        Some(rows @ 1_000..=99_000_000) => Ok(rows),
        _ => bail!("a number from 1k to 99M is expected, such as 100k"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_rows_are_read() {
        assert_eq!(parse_rows("100k").unwrap(), 100_000);
        assert_eq!(parse_rows("10M").unwrap(), 10_000_000);
        assert_eq!(parse_rows("5000").unwrap(), 5_000);
        for bad in ["", "k", "1", "100M", "1.5M", "many"] {
            assert!(parse_rows(bad).is_err(), "{bad}");
        }
    }
}
