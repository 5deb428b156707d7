//! `payops serve`: the services, until told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use payops_platform::config::{Scope, Service, Settings};
use payops_platform::http::{self, ServeOptions, Tls, metrics_router, serve};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::services::{BUILT, OpenService};
use crate::startup::{self, SettingFlags, Surroundings};

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
    /// The dispute service
    Disputes,
    /// The merchant limit service
    Limits,
}

pub(crate) fn run(args: ServeArgs) -> Result<ExitCode> {
    let one = |service: Service| (Scope::One(service), service.full_name(), vec![service]);
    let (scope, name, services) = match args.what {
        What::All => (Scope::All, "payops", BUILT.to_vec()),
        What::Reconciliation => one(Service::Reconciliation),
        What::Disputes => one(Service::Disputes),
        What::Limits => one(Service::Limits),
    };
    let settings = args.settings.load(scope)?;
    startup::block_on(async {
        let telemetry = startup::start_telemetry(name, &settings)?;
        let stop = startup::until_told_to_stop()?;
        let result = serve_all(services, &settings, stop).await;
        telemetry.shutdown().await;
        result.map(|()| ExitCode::SUCCESS)
    })
}

async fn serve_all(services: Vec<Service>, settings: &Settings, stop: CancellationToken) -> Result<()> {
    let tls = settings.tls.clone().map(Tls::open).transpose().context("TLS cannot be spoken")?;
    let options = ServeOptions { drain: settings.drain, tls, ..ServeOptions::default() };
    let mut open = Vec::new();
    for service in services {
        // The port first: whoever cannot have it must not touch the database.
        let listener = listen(settings, settings.service(service).port)?;
        open.push((listener, OpenService::open(service, settings, Surroundings::real()).await?));
    }
    let metrics = match settings.prometheus_port {
        Some(port) => {
            let all = open.iter().map(|(_, service)| service.metrics.clone()).collect();
            Some((listen(settings, port)?, metrics_router(all)))
        }
        None => None,
    };
    let mut running = JoinSet::new();
    for (listener, service) in open {
        let address = listener.local_addr()?;
        tracing::info!(%address, tls = options.tls.is_some(), service = service.service.full_name(), "listening");
        running.spawn(service.run(listener, stop.clone(), options.clone()));
    }
    if let Some((listener, router)) = metrics {
        running.spawn(serve(listener, router, stop, settings.drain));
    }
    while let Some(ended) = running.join_next().await {
        ended.context("a service ended by a fault")?;
    }
    Ok(())
}

fn listen(settings: &Settings, port: u16) -> Result<TcpListener> {
    let address = SocketAddr::new(settings.bind, port);
    http::listen(address).with_context(|| {
        format!(
            "{address} cannot be listened on; choose another port (PORT with one service, else PAYOPS_…_PORT)"
        )
    })
}
