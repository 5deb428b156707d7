//! Payment operations in one binary: reconciliation, disputes and merchant limits.

mod cli;
mod disputes;
mod limits;
mod reconciliation;
mod services;
mod startup;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Payment operations: does the channel's money agree with our books?
#[derive(Debug, Parser)]
#[command(name = "payops", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(cli::serve::ServeArgs),
    Demo(cli::demo::DemoArgs),
    Reconcile(Box<cli::reconcile::ReconcileArgs>),
    Migrate(cli::migrate::MigrateArgs),
    Config(cli::config::ConfigArgs),
    Token(cli::token::TokenArgs),
    Openapi(cli::openapi::OpenapiArgs),
    Sandbox(cli::sandbox::SandboxArgs),
    Limits(cli::limits::LimitsArgs),
    RotateKeys(cli::rotate_keys::RotateKeysArgs),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Reconcile(args) => return cli::reconcile::run(&args),
        Command::Serve(args) => cli::serve::run(args),
        Command::Demo(args) => cli::demo::run(&args),
        Command::Migrate(args) => cli::migrate::run(args),
        Command::Config(args) => cli::config::run(args),
        Command::Token(args) => cli::token::run(args),
        Command::Openapi(args) => cli::openapi::run(&args),
        Command::Sandbox(args) => cli::sandbox::run(args),
        Command::Limits(args) => cli::limits::run(args),
        Command::RotateKeys(args) => cli::rotate_keys::run(args),
    };
    result.unwrap_or_else(|error| {
        startup::tell(&error);
        startup::exit_code(&error)
    })
}
