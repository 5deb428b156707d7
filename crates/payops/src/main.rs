//! Payment operations in one binary: reconciliation, disputes and merchant limits.

mod cli;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "payops", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Reconcile(Box<cli::reconcile::ReconcileArgs>),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Reconcile(args) => cli::reconcile::run(&args),
    }
}
