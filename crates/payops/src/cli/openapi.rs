//! `payops openapi`: the description of a service's API.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use payops_platform::config::Service;

/// Print the OpenAPI document of a service.
#[derive(Debug, Args)]
pub(crate) struct OpenapiArgs {
    /// The service
    #[arg(value_enum)]
    service: Described,
}

/// What is described.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Described {
    Reconciliation,
    Disputes,
    Limits,
}

pub(crate) fn run(args: &OpenapiArgs) -> Result<ExitCode> {
    let document = match args.service {
        Described::Reconciliation => payops_recon::openapi(Service::Reconciliation.full_name()),
        Described::Disputes => payops_disputes::openapi(Service::Disputes.full_name()),
        Described::Limits => payops_limits::openapi(Service::Limits.full_name()),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&document)?)?;
    Ok(ExitCode::SUCCESS)
}
