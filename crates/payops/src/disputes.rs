//! Puts the dispute service together from settings.

use std::sync::Arc;

use anyhow::{Context, Result};
use payops_channels::payment_lookup::{LookupSettings, PaymentLookup};
use payops_channels::stripe::api::{StripeClient, StripeSettings};
use payops_disputes::alerts::{Destinations, TIME_OUT};
use payops_disputes::{Channels, Disputes, Files, Options, check_ring, jobs, routes};
use payops_platform::auth::Authenticator;
use payops_platform::config::{Service, Settings};
use payops_platform::context::ServiceContext;
use payops_platform::db::Db;
use payops_platform::error::Error;
use payops_platform::http::{HealthCheck, ServiceHttp, service_router};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::{Metrics, inject_traceparent};
use payops_platform::vault::KeyRing;

use crate::services::{OpenService, Probes, gateway_access, rate_limiter};
use crate::startup::Surroundings;

/// Opens the database, applies its migrations and puts the service together.
pub(crate) async fn open(
    settings: &Settings,
    authenticator: Arc<Authenticator>,
    surroundings: Surroundings,
) -> Result<OpenService> {
    let service = Service::Disputes;
    let db = Db::open(&settings.service(service).database, payops_disputes::MIGRATIONS).await?;
    let Surroundings { clock, random } = surroundings;
    let metrics = Metrics::new(service.full_name());
    let context = ServiceContext::new(service.full_name(), db, clock, Arc::clone(&random), metrics.clone());
    let stripe = settings.stripe.api_key.clone().map(|key| {
        let base_url = settings.stripe.api_base.parse().context("PAYOPS_STRIPE_API_BASE is no URL")?;
        let settings = StripeSettings::new(base_url, key, Arc::new(inject_traceparent));
        StripeClient::new(settings, random).context("the client of Stripe cannot be made")
    });
    let gateway = settings.gateway.as_ref().map(|gateway| {
        let (base_url, headers) = gateway_access(gateway, service)?;
        PaymentLookup::new(LookupSettings::new(base_url, headers, Arc::new(inject_traceparent)))
            .context("the client of the payment gateway cannot be made")
    });
    let channels = Channels { stripe: stripe.transpose()?, gateway: gateway.transpose()? };
    let options = Options {
        stripe_webhook_secrets: settings.stripe.webhook_secrets.clone(),
        submission_margin: settings.dispute_submission_margin,
        alerts: Destinations::new(&settings.dispute_alerts, TIME_OUT)?,
        ..Options::default()
    };
    let place = &settings.evidence_files;
    let files = Files::open(place).with_context(|| format!("{place} cannot be used"))?;
    let ring = data_keys(settings)?;
    let app = Disputes::start(context.clone(), files, ring.clone(), channels, options).await;
    let app = app.map_err(|error| with_internal(&error))?;
    jobs::schedule(&context).await?;
    let probes = Probes::new()?;
    let mut checks: Vec<HealthCheck> =
        probes.stripe(settings).into_iter().chain(probes.gateway(settings)).collect();
    checks.push(keys_are_there(context.db.clone(), ring));
    let http = ServiceHttp {
        limits: settings.http,
        limiter: rate_limiter(settings, &metrics).await?,
        checks,
        ..ServiceHttp::new(context.clone(), authenticator, routes(app.clone()))
    };
    let db = context.db.clone();
    let runner = Runner::new(context).with_options(settings.jobs.clone());
    let runner = jobs::register(&app, runner);
    Ok(OpenService { service, router: service_router(http), runner, metrics, db })
}

/// What the keys of personal data are wrapped under.
pub(crate) fn data_keys(settings: &Settings) -> Result<KeyRing> {
    settings.data_keys.clone().context("PAYOPS_DATA_KEYS is needed")
}

/// An error with what only the log may hold: here it is for whoever starts the process.
pub(crate) fn with_internal(error: &Error) -> anyhow::Error {
    anyhow::anyhow!("{}", error.internal_text().map_or_else(|| error.to_string(), str::to_owned))
}

/// Another process may have wrapped keys under one that this one does not have.
fn keys_are_there(db: Db, ring: KeyRing) -> HealthCheck {
    HealthCheck::required("data_keys", move || {
        let (db, ring) = (db.clone(), ring.clone());
        async move { check_ring(db.read(), &ring).await }
    })
}
