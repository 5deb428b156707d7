//! `payops limits`: what operators do with merchant limits beside the API.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use payops_limits::{AuditReport, Checkpoint};
use payops_platform::config::{Scope, Service};
use payops_platform::db::Db;
use uuid::Uuid;

use crate::limits::audit_keys;
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
    Keys(KeysArgs),
}

/// Prove that counters, usage log and payments tell the same story and that the log is the one that was sealed, or show
/// where not.
///
/// It only reads, so it may run beside a serving process. Exit code 0: all is well; 1: something differs. Who could change
/// the database could restore an older state of all of it: keep a checkpoint elsewhere, and have it looked for.
#[derive(Debug, Args)]
struct AuditArgs {
    /// Only this merchant; checkpoints, which are about all of them, are left out
    #[arg(long, value_name = "MERCHANT_ID", conflicts_with_all = ["checkpoint", "export_checkpoint"])]
    merchant: Option<Uuid>,
    /// Look for the checkpoints in this file, as --export-checkpoint wrote them; may be repeated
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// When all is well, add the newest checkpoint to this file, to be kept out of reach of whoever has the database
    #[arg(long, value_name = "FILE")]
    export_checkpoint: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Print the public keys of the configured audit keys, for those who only verify.
///
/// One a line: the id by which seals and checkpoints name it, the key, and whether this configuration signs with it.
#[derive(Debug, Args)]
struct KeysArgs {
    #[command(flatten)]
    settings: SettingFlags,
}

pub(crate) fn run(args: LimitsArgs) -> Result<ExitCode> {
    match args.command {
        Command::Audit(args) => audit(args),
        Command::Keys(args) => keys(args),
    }
}

fn keys(args: KeysArgs) -> Result<ExitCode> {
    let settings = args.settings.load(Scope::One(Service::Limits))?;
    let mut out = io::stdout().lock();
    for key in audit_keys(&settings)?.public_keys() {
        writeln!(out, "{key}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn audit(args: AuditArgs) -> Result<ExitCode> {
    let settings = args.settings.load(Scope::One(Service::Limits))?;
    let keys = audit_keys(&settings)?;
    let mut kept = Vec::new();
    for file in &args.checkpoint {
        kept.extend(read_checkpoints(file)?);
    }
    let report = startup::block_on(async {
        let target = &settings.service(Service::Limits).database;
        let db = Db::open_read_only(target, payops_limits::MIGRATIONS).await?;
        Ok(payops_limits::audit(&db, &keys, args.merchant, &kept).await?)
    })?;
    if args.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        print(&report)?;
    }
    if !report.findings.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(file) = &args.export_checkpoint {
        let newest = report.checkpoint.as_ref().context("there is no checkpoint yet: nothing is sealed")?;
        add_checkpoint(file, newest)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(report: &AuditReport) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in &report.findings {
        match finding.merchant_id {
            Some(merchant_id) => writeln!(out, "{merchant_id}: {}", finding.what)?,
            None => writeln!(out, "{}", finding.what)?,
        }
    }
    if let Some(checkpoint) = &report.checkpoint {
        writeln!(out, "checkpoint {} {}", checkpoint.number, checkpoint.hash)?;
    }
    writeln!(
        out,
        "{} merchants, {} log rows, {} of them sealed, {} differences",
        report.merchants,
        report.log_rows,
        report.sealed_rows,
        report.findings.len()
    )
}

/// The checkpoints of a file, one a line.
fn read_checkpoints(file: &Path) -> Result<Vec<Checkpoint>> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let read = |(line, number): (&str, u32)| {
        serde_json::from_str(line)
            .with_context(|| format!("{}, line {number}: no checkpoint", file.display()))
    };
    let checkpoints: Vec<Checkpoint> = lines.map(read).collect::<Result<_>>()?;
    // An empty file would prove nothing, and look as if it did.
    ensure!(!checkpoints.is_empty(), "{}: there is no checkpoint in it", file.display());
    Ok(checkpoints)
}

fn add_checkpoint(file: &Path, checkpoint: &Checkpoint) -> Result<()> {
    let line = format!("{}\n", serde_json::to_string(checkpoint)?);
    let mut opened =
        File::options().create(true).append(true).open(file).with_context(|| file.display().to_string())?;
    opened
        .write_all(line.as_bytes())
        .and_then(|()| opened.sync_all())
        .with_context(|| file.display().to_string())
}
