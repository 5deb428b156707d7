//! `payops config`: the settings as they are in effect.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use payops_platform::config::{ConfigSource, Scope, Settings};

/// Print every setting as it is in effect and where it comes from. Secrets are hidden.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(flatten)]
    settings: crate::startup::SettingFlags,
}

pub(crate) fn run(args: ConfigArgs) -> Result<ExitCode> {
    let source: ConfigSource = args.settings.gather()?;
    let settings = Settings::load(&source, Scope::All)?;
    let mut out = io::stdout().lock();
    for setting in settings.effective() {
        let value = setting.value.as_deref().unwrap_or("(not set)");
        writeln!(out, "{:<34} {:<40} {}", setting.name, value, setting.origin.name())?;
    }
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}
