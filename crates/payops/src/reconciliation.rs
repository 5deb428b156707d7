//! Puts the reconciliation service together from settings.

use std::sync::Arc;

use anyhow::{Context, Result};
use payops_channels::HeaderInjector;
use payops_channels::platform_feed::{FeedClient, FeedSettings};
use payops_channels::stripe::reporting::{ReportingClient, ReportingSettings};
use payops_platform::auth::Authenticator;
use payops_platform::config::{Service, Settings};
use payops_platform::context::ServiceContext;
use payops_platform::db::Db;
use payops_platform::http::{ServiceHttp, service_router};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::{Metrics, inject_traceparent};
use payops_recon::alerts::{Destinations, TIME_OUT};
use payops_recon::{Options, Reconciliation, Sources, jobs, routes};

use crate::services::{OpenService, Probes, gateway_access, rate_limiter};
use crate::startup::Surroundings;

/// Opens the database, applies its migrations and puts the service together.
pub(crate) async fn open(
    settings: &Settings,
    authenticator: Arc<Authenticator>,
    surroundings: Surroundings,
) -> Result<OpenService> {
    let service = Service::Reconciliation;
    let db = Db::open(&settings.service(service).database, payops_recon::MIGRATIONS).await?;
    let Surroundings { clock, random } = surroundings;
    let metrics = Metrics::new(service.full_name());
    let context = ServiceContext::new(service.full_name(), db, clock, random, metrics.clone());
    let options = Options {
        max_upload_bytes: settings.upload_bytes,
        stripe_webhook_secrets: settings.stripe.webhook_secrets.clone(),
        alerts: Destinations::new(&settings.reconciliation_alerts, TIME_OUT)?,
        ..Options::default()
    };
    let folder = &settings.settlement_files;
    let app = Reconciliation::open(context.clone(), folder, sources(settings)?, options)
        .await
        .with_context(|| format!("SETTLEMENT_FILE_PATH {} cannot be used", folder.display()))?;
    jobs::schedule(&context).await?;
    let probes = Probes::new()?;
    let http = ServiceHttp {
        limits: settings.http,
        limiter: rate_limiter(settings, &metrics).await?,
        checks: probes.stripe(settings).into_iter().chain(probes.gateway(settings)).collect(),
        ..ServiceHttp::new(context.clone(), authenticator, routes(app.clone()))
    };
    let db = context.db.clone();
    let runner = Runner::new(context).with_options(settings.jobs.clone());
    let runner = jobs::register(&app, runner);
    Ok(OpenService { service, router: service_router(http), runner, metrics, db })
}

fn sources(settings: &Settings) -> Result<Sources> {
    let inject: HeaderInjector = Arc::new(inject_traceparent);
    let stripe = settings.stripe.api_key.clone().map(|key| {
        let base_url = settings.stripe.api_base.parse().context("PAYOPS_STRIPE_API_BASE is no URL")?;
        let settings = ReportingSettings::new(base_url, key, Arc::clone(&inject));
        ReportingClient::new(settings).context("the client of Stripe cannot be made")
    });
    let gateway = settings.gateway.as_ref().map(|gateway| {
        let (base_url, headers) = gateway_access(gateway, Service::Reconciliation)?;
        FeedClient::new(FeedSettings::new(base_url, headers, inject))
            .context("the client of the payment gateway cannot be made")
    });
    Ok(Sources { stripe: stripe.transpose()?, gateway: gateway.transpose()? })
}
