//! The services of a process: opened from settings, then served until told to stop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use payops_platform::auth::Authenticator;
use payops_platform::config::{GatewaySettings, Service, Settings};
use payops_platform::db::Db;
use payops_platform::error::Error;
use payops_platform::http::{HealthCheck, Limiter, ServeOptions, serve_with};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::Metrics;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::startup::Surroundings;
use crate::{disputes, limits, reconciliation};

/// How long a dependency may take to answer a health check.
const PROBE_TIME: Duration = Duration::from_secs(2);
/// How long transactions may take to end that nobody waits for any more.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// The services that this binary has.
pub(crate) const BUILT: [Service; 3] = [Service::Reconciliation, Service::Disputes, Service::Limits];

/// A service that is ready to listen and to work.
pub(crate) struct OpenService {
    pub(crate) service: Service,
    pub(crate) router: Router,
    pub(crate) runner: Runner,
    pub(crate) metrics: Metrics,
    pub(crate) db: Db,
}

impl OpenService {
    /// The service with whom it believes and what it allows.
    pub(crate) async fn open(
        service: Service,
        settings: &Settings,
        surroundings: Surroundings,
    ) -> Result<Self> {
        let auth = settings.auth().context("there are no keys for tokens")?;
        let authenticator = Arc::new(Authenticator::new(auth)?);
        match service {
            Service::Reconciliation => reconciliation::open(settings, authenticator, surroundings).await,
            Service::Limits => limits::open(settings, authenticator, surroundings).await,
            Service::Disputes => disputes::open(settings, authenticator, surroundings).await,
        }
    }

    /// Listens and works until `stop`, then closes the database: SQLite leaves all of it in one file.
    pub(crate) async fn run(self, listener: TcpListener, stop: CancellationToken, options: ServeOptions) {
        let working = self.runner.run(stop.clone());
        let serving = serve_with(listener, self.router, stop, options);
        tokio::join!(working, serving);
        self.db.close(CLOSING_TIME).await;
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

/// Where the payment gateway is, and what `service` shows it.
pub(crate) fn gateway_access(gateway: &GatewaySettings, service: Service) -> Result<(Url, HeaderMap)> {
    let base_url = gateway.url.parse().context("PAYMENT_GATEWAY_URL is no URL")?;
    let mut headers = HeaderMap::new();
    if let Some(secret) = &gateway.secret {
        let mut secret = HeaderValue::from_str(secret.expose_secret())
            .context("PAYOPS_GATEWAY_SECRET holds characters that no header can carry")?;
        secret.set_sensitive(true);
        headers.insert("x-service-name", HeaderValue::from_static(service.full_name()));
        headers.insert("x-service-secret", secret);
    }
    Ok((base_url, headers))
}

/// Looks whether dependencies are there that a service can do without for a while: it is `degraded` then. Any answer at all
/// shows that the other side is there.
pub(crate) struct Probes(reqwest::Client);

impl Probes {
    pub(crate) fn new() -> Result<Self> {
        let none = reqwest::redirect::Policy::none();
        Ok(Self(reqwest::Client::builder().timeout(PROBE_TIME).redirect(none).build()?))
    }

    fn of(&self, name: &'static str, url: String) -> HealthCheck {
        let http = self.0.clone();
        HealthCheck::optional(name, move || {
            let call = http.head(&url).send();
            async move {
                call.await.map(drop).map_err(|error| Error::unavailable(error.without_url(), PROBE_TIME))
            }
        })
    }

    /// The payment gateway, where it is configured.
    pub(crate) fn gateway(&self, settings: &Settings) -> Option<HealthCheck> {
        settings.gateway.as_ref().map(|gateway| self.of("payment_gateway", gateway.url.clone()))
    }

    /// Stripe, where it is configured.
    pub(crate) fn stripe(&self, settings: &Settings) -> Option<HealthCheck> {
        let stripe = &settings.stripe;
        stripe.api_key.as_ref().map(|_| self.of("stripe_api", stripe.api_base.clone()))
    }
}
