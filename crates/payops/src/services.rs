//! The services of a process: opened from settings, then served until told to stop.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use axum::Router;
use payops_platform::auth::Authenticator;
use payops_platform::config::{Service, Settings};
use payops_platform::http::{Limiter, ServeOptions, serve_with};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::Metrics;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{limits, reconciliation};

/// The services that this binary has.
pub(crate) const BUILT: [Service; 2] = [Service::Reconciliation, Service::Limits];

/// A service that is ready to listen and to work.
pub(crate) struct OpenService {
    pub(crate) service: Service,
    pub(crate) router: Router,
    pub(crate) runner: Runner,
    pub(crate) metrics: Metrics,
}

impl OpenService {
    /// The service with whom it believes and what it allows.
    pub(crate) async fn open(service: Service, settings: &Settings) -> Result<Self> {
        let auth = settings.auth().context("there are no keys for tokens")?;
        let authenticator = Arc::new(Authenticator::new(auth)?);
        match service {
            Service::Reconciliation => reconciliation::open(settings, authenticator).await,
            Service::Limits => limits::open(settings, authenticator).await,
            Service::Disputes => bail!("the dispute service is not part of this version"),
        }
    }

    /// Listens and works until `stop`.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken, options: ServeOptions) {
        let working = self.runner.run(stop.clone());
        let serving = serve_with(listener, self.router, stop, options);
        tokio::join!(working, serving);
    }
}

/// Counts a service's calls in Redis, if there is one, or in this process.
pub(crate) async fn rate_limiter(settings: &Settings, metrics: &Metrics) -> Result<Arc<Limiter>> {
    let limiter = match &settings.redis {
        None => Limiter::in_process(settings.budgets),
        Some(redis) => {
            let shared = Limiter::shared(redis, settings.budgets, metrics).await;
            shared.with_context(|| format!("REDIS_HOST {} cannot be used", redis.host))?
        }
    };
    Ok(Arc::new(limiter))
}
