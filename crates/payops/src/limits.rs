//! Puts the merchant limit service together from settings.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use payops_limits::alerts::{Destinations, TIME_OUT};
use payops_limits::{AuditKeys, Limits, Options, jobs, routes};
use payops_platform::auth::Authenticator;
use payops_platform::config::{Service, Settings};
use payops_platform::context::ServiceContext;
use payops_platform::db::Db;
use payops_platform::http::{ServiceHttp, service_router};
use payops_platform::jobs::Runner;
use payops_platform::telemetry::Metrics;
use secrecy::ExposeSecret;

use crate::services::{OpenService, rate_limiter};
use crate::startup::Surroundings;

/// Opens the database, applies its migrations and puts the service together.
pub(crate) async fn open(
    settings: &Settings,
    authenticator: Arc<Authenticator>,
    surroundings: Surroundings,
) -> Result<OpenService> {
    let service = Service::Limits;
    let keys = Arc::new(audit_keys(settings)?);
    ensure!(keys.can_sign(), "PAYOPS_AUDIT_KEY is needed: PAYOPS_AUDIT_PUBLIC_KEYS verify, and do not sign");
    let db = Db::open(&settings.service(service).database, payops_limits::MIGRATIONS).await?;
    let Surroundings { clock, random } = surroundings;
    let metrics = Metrics::new(service.full_name());
    let context = ServiceContext::new(service.full_name(), db, clock, random, metrics.clone());
    jobs::schedule(&context).await?;
    let destinations = Destinations::new(&settings.limit_alerts, TIME_OUT)?;
    let app = Limits::start(context.clone(), Options { destinations, keys, ..Options::default() });
    let http = ServiceHttp {
        limits: settings.http,
        limiter: rate_limiter(settings, &metrics).await?,
        merchant_budgets: Some(app.merchant_budgets()),
        ..ServiceHttp::new(context.clone(), authenticator, routes(app.clone()))
    };
    let db = context.db.clone();
    let runner = Runner::new(context).with_options(settings.jobs.clone());
    let runner = jobs::register(&app, runner);
    Ok(OpenService { service, router: service_router(http), runner, metrics, db })
}

/// The keys of the usage log's seals.
pub(crate) fn audit_keys(settings: &Settings) -> Result<AuditKeys> {
    let private = settings.audit_keys.private.iter().map(ExposeSecret::expose_secret);
    let public = settings.audit_keys.public.iter().map(String::as_str);
    AuditKeys::new(private, public).context("PAYOPS_AUDIT_KEY or PAYOPS_AUDIT_PUBLIC_KEYS")
}
