//! Puts the dispute service together from settings.

use std::sync::Arc;

use anyhow::{Context, Result};
use payops_channels::payment_lookup::{LookupSettings, PaymentLookup};
use payops_channels::stripe::api::{StripeClient, StripeSettings};
use payops_disputes::alerts::{Destinations, TIME_OUT};
use payops_disputes::{Channels, Disputes, Files, Options, jobs, routes};
use payops_platform::auth::Authenticator;
use payops_platform::config::{Service, Settings};
use payops_platform::context::ServiceContext;
use payops_platform::db::Db;
use payops_platform::http::{ServiceHttp, service_router};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::{Metrics, inject_traceparent};

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
    jobs::schedule(&context).await?;
    let options = Options {
        stripe_webhook_secrets: settings.stripe.webhook_secrets.clone(),
        submission_margin: settings.dispute_submission_margin,
        alerts: Destinations::new(&settings.dispute_alerts, TIME_OUT)?,
        ..Options::default()
    };
    let place = &settings.evidence_files;
    let files = Files::open(place).with_context(|| format!("{place} cannot be used"))?;
    let app = Disputes::new(context.clone(), files, channels, options);
    let probes = Probes::new()?;
    let http = ServiceHttp {
        limits: settings.http,
        limiter: rate_limiter(settings, &metrics).await?,
        checks: probes.stripe(settings).into_iter().chain(probes.gateway(settings)).collect(),
        ..ServiceHttp::new(context.clone(), authenticator, routes(app.clone()))
    };
    let runner = Runner::new(context).with_options(settings.jobs.clone());
    Ok(OpenService { service, router: service_router(http), runner: jobs::register(&app, runner), metrics })
}
