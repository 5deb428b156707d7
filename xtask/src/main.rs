//! Developer commands, run as `cargo xtask COMMAND` from any folder of the workspace.

mod bench;
mod deny;
mod faults;
mod fuzz;
mod openapi;
mod process;
mod python_tools;
mod sdks;
mod servers;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of payops.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs every test against a private PostgreSQL and Redis that are started for it (and installed if need be).
    Test(test::Arguments),
    /// Starts the servers of the tests, prints how to use them, and keeps them until Ctrl-C.
    Servers,
    /// Uses a running sandbox through Stripe's own SDKs, which must not notice the difference.
    Sdks(sdks::Arguments),
    /// Writes docs/openapi/*.json from what the services serve; --check only compares.
    Openapi(openapi::Arguments),
    /// Checks licences, sources and banned crates of all dependencies (deny.toml).
    Deny,
    /// Runs the fuzz targets in fuzz/, each for some seconds.
    Fuzz(fuzz::Arguments),
    /// Measures payops and its rivals side by side and prints ratios.
    Bench(bench::Arguments),
    /// Serves merchant limits under load, kills and cuts whatever they stand on, and checks that nothing was lost.
    Faults(faults::Arguments),
}

fn main() -> ExitCode {
    match run(CommandLine::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Servers => servers::serve_until_interrupted(),
        Command::Sdks(arguments) => sdks::run(&arguments),
        Command::Openapi(arguments) => openapi::run(&arguments),
        Command::Deny => deny::run(),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Faults(arguments) => faults::run(&arguments),
    }
}
