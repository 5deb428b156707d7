//! `payops migrate`: brings databases up to date and says so.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use payops_platform::config::{Scope, Service};
use payops_platform::db::Db;

use crate::startup::{self, SettingFlags};

/// Bring the databases up to date. `serve` does so too; this is for those who do it beforehand.
#[derive(Debug, Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    settings: SettingFlags,
}

pub(crate) fn run(args: MigrateArgs) -> Result<ExitCode> {
    let settings = args.settings.load(Scope::All)?;
    startup::block_on(async {
        for (service, migrations) in [
            (Service::Reconciliation, payops_recon::MIGRATIONS),
            (Service::Disputes, payops_disputes::MIGRATIONS),
            (Service::Limits, payops_limits::MIGRATIONS),
        ] {
            let db = Db::open(&settings.service(service).database, migrations).await?;
            db.ping().await?;
            db.close(Duration::ZERO).await;
            println!("{}: up to date", service.name());
        }
        Ok(ExitCode::SUCCESS)
    })
}
