//! What every command that needs settings does first.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use payops_core::random::{Random, SystemRandom};
use payops_core::time::{Clock, SystemClock};
use payops_platform::config::{ConfigSource, Problems, Scope, Settings};
use payops_platform::telemetry::{self, TelemetryGuard, TelemetrySettings};
use tokio_util::sync::CancellationToken;

/// Settings that are often given on the command line. Every other one is an environment variable or a line
/// of `payops.toml`: see docs/configuration.md.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingFlags {
    /// Folder of the SQLite databases, of generated secrets and of files [`PAYOPS_DATA_DIR`, ./data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Any setting by its name, such as `--set PAYOPS_LOG=debug`; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
}

impl SettingFlags {
    /// The settings for a process that is about `scope`, with the secrets that development makes up.
    pub(crate) fn load(self, scope: Scope) -> Result<Settings> {
        complete(Settings::load(&self.gather()?, scope)?)
    }

    /// Everything that settings are read from.
    pub(crate) fn gather(self) -> Result<ConfigSource> {
        let mut flags: BTreeMap<String, String> = self.set.into_iter().collect();
        if let Some(data) = self.data {
            flags.insert("PAYOPS_DATA_DIR".to_owned(), data.display().to_string());
        }
        Ok(ConfigSource::gather(flags)?)
    }
}

/// Settings with the secrets that development makes up.
pub(crate) fn complete(mut settings: Settings) -> Result<Settings> {
    let folder = settings.data_dir.display().to_string();
    settings
        .generate_missing_secrets(&SystemRandom)
        .with_context(|| format!("the secrets in {folder} can be neither read nor made"))?;
    Ok(settings)
}

/// Where time and chance come from.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

impl Surroundings {
    /// Those of a real process.
    pub(crate) fn real() -> Self {
        Self { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom) }
    }
}

/// Runs a command to its end on a runtime with all processors.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(work)
}

/// Logs and traces as the settings say.
pub(crate) fn start_telemetry(service: &'static str, settings: &Settings) -> Result<TelemetryGuard> {
    let guard = telemetry::init(&TelemetrySettings {
        service,
        format: settings.telemetry.format,
        filter: settings.telemetry.filter.clone(),
        otlp_endpoint: settings.telemetry.otlp_endpoint.clone(),
        sample_ratio: settings.telemetry.sample_ratio,
        clock: Arc::new(SystemClock),
    })?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    Ok(guard)
}

/// Is cancelled by SIGTERM or Ctrl-C.
pub(crate) fn until_told_to_stop() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: requests and jobs under way are finished first");
        told.cancel();
    });
    Ok(stop)
}

/// Says why a command failed: each cause once, whatever the one before it has quoted of it. Whoever has stopped reading
/// our output (`| head`) wants to hear no more.
pub(crate) fn tell(error: &anyhow::Error) {
    let is_deaf = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == ErrorKind::BrokenPipe)
    };
    if error.chain().any(is_deaf) {
        return;
    }
    let mut told = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if told.is_empty() {
            told = cause;
        } else if !told.contains(&cause) {
            told = format!("{told}: {cause}");
        }
    }
    eprintln!("payops: {told}");
}

/// 2 for settings that are not usable, as for wrong usage; 1 for everything else.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Problems>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.to_owned(), value.to_owned()))
}
