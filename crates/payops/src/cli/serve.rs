//! `payops serve`: the services, until told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use payops_platform::auth::Authenticator;
use payops_platform::config::{Scope, Service, Settings};
use payops_platform::http::{Limiter, ServeOptions, Tls, metrics_router, serve, serve_with};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::reconciliation::{self, ReconciliationService};
use crate::startup::{self, SettingFlags};

/// Serve one service, or all of them in one process.
///
/// Settings come from flags, the environment and payops.toml, in this order; docs/configuration.md lists
/// them. SIGTERM or Ctrl-C stops the process: requests and jobs under way are finished first.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What to serve
    #[arg(value_enum, default_value = "all")]
    what: What,
    #[command(flatten)]
    settings: SettingFlags,
}

/// What can be served.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Every service
    All,
    /// The reconciliation service
    Reconciliation,
}

pub(crate) fn run(args: ServeArgs) -> Result<ExitCode> {
    let scope = match args.what {
        What::All => Scope::All,
        What::Reconciliation => Scope::One(Service::Reconciliation),
    };
    let settings = args.settings.load(scope)?;
    startup::block_on(async {
        let name = match scope {
            Scope::All => "payops",
            Scope::One(service) => service.full_name(),
        };
        let telemetry = startup::start_telemetry(name, &settings)?;
        let stop = startup::until_told_to_stop()?;
        let result = serve_all(&settings, stop).await;
        telemetry.shutdown().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}

async fn serve_all(settings: &Settings, stop: CancellationToken) -> Result<()> {
    let tls = settings.tls.clone().map(Tls::open).transpose().context("TLS cannot be spoken")?;
    let listener = listen(settings, settings.service(Service::Reconciliation).port).await?;
    let address = listener.local_addr()?;
    let service = open(settings).await?;
    let metrics = match settings.prometheus_port {
        Some(port) => Some((listen(settings, port).await?, metrics_router(vec![service.metrics.clone()]))),
        None => None,
    };
    tracing::info!(%address, tls = tls.is_some(), service = Service::Reconciliation.full_name(), "listening");
    let drain = settings.drain;
    let options = ServeOptions { drain, tls, ..ServeOptions::default() };
    let metrics_stop = stop.clone();
    let serving_metrics = async move {
        if let Some((listener, router)) = metrics {
            serve(listener, router, metrics_stop, drain).await;
        }
    };
    tokio::join!(run_service(service, listener, stop, options), serving_metrics);
    Ok(())
}

/// The service with whom it believes and what it allows.
pub(crate) async fn open(settings: &Settings) -> Result<ReconciliationService> {
    let auth = settings.auth().context("there are no keys for tokens")?;
    let authenticator = Arc::new(Authenticator::new(auth)?);
    let limiter = Arc::new(Limiter::in_process(settings.budgets));
    reconciliation::open(settings, authenticator, limiter).await
}

/// Listens and works until `stop`.
pub(crate) async fn run_service(
    service: ReconciliationService,
    listener: TcpListener,
    stop: CancellationToken,
    options: ServeOptions,
) {
    let working = service.runner.run(stop.clone());
    let serving = serve_with(listener, service.router, stop, options);
    tokio::join!(working, serving);
}

async fn listen(settings: &Settings, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(settings.bind, port);
    TcpListener::bind(address).await.with_context(|| format!("{address} cannot be listened on"))
}
