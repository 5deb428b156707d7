//! `payops limits`: what operators do with merchant limits beside the API.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use payops_platform::config::{Scope, Service};
use payops_platform::db::Db;
use uuid::Uuid;

use crate::startup::{self, SettingFlags};

/// Look after merchant limits.
#[derive(Debug, Args)]
pub(crate) struct LimitsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Audit(AuditArgs),
}

/// Prove that counters, usage log and payments tell the same story, or show where they do not.
///
/// It only reads, so it may run beside a serving process. Exit code 0: all is well; 1: something differs.
#[derive(Debug, Args)]
struct AuditArgs {
    /// Only this merchant
    #[arg(long, value_name = "MERCHANT_ID")]
    merchant: Option<Uuid>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

pub(crate) fn run(args: LimitsArgs) -> Result<ExitCode> {
    match args.command {
        Command::Audit(args) => audit(args),
    }
}

fn audit(args: AuditArgs) -> Result<ExitCode> {
    let settings = args.settings.load(Scope::One(Service::Limits))?;
    let report = startup::block_on(async {
        let target = &settings.service(Service::Limits).database;
        let db = Db::open_read_only(target, payops_limits::MIGRATIONS).await?;
        Ok(payops_limits::audit(&db, args.merchant).await?)
    })?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        for finding in &report.findings {
            println!("{}: {}", finding.merchant_id, finding.what);
        }
        println!(
            "{} merchants, {} log rows, {} differences",
            report.merchants,
            report.log_rows,
            report.findings.len()
        );
    }
    Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
