//! `payops rotate-keys`: wraps the keys of personal data anew.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use clap::Args;
use payops_core::random::SystemRandom;
use payops_disputes::{MIGRATIONS, rotate_keys};
use payops_platform::config::{Scope, Service};
use payops_platform::db::Db;

use crate::disputes::{data_keys, with_internal};
use crate::startup::{self, SettingFlags};

/// Wrap the keys of personal data anew under the first of `PAYOPS_DATA_KEYS`, and say how many were under another.
///
/// On PostgreSQL it may run beside serving processes that have all these keys; on SQLite stop the process first. It may be
/// broken off and repeated. Once it says 0, the other keys can be taken from `PAYOPS_DATA_KEYS`.
#[derive(Debug, Args)]
pub(crate) struct RotateKeysArgs {
    #[command(flatten)]
    settings: SettingFlags,
}

pub(crate) fn run(args: RotateKeysArgs) -> Result<ExitCode> {
    let settings = args.settings.load(Scope::One(Service::Disputes))?;
    let ring = data_keys(&settings)?;
    let count = startup::block_on(async {
        let db = Db::open(&settings.service(Service::Disputes).database, MIGRATIONS).await?;
        let rotated = rotate_keys(&db, &ring, Arc::new(SystemRandom)).await;
        rotated.map_err(|error| with_internal(&error))
    })?;
    println!("keys that were wrapped anew: {count}; all are under '{}'", ring.first());
    Ok(ExitCode::SUCCESS)
}
