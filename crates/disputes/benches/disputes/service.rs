//! The service that is measured, in this process, with Stripe's sandbox where it needs one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use payops_channels::stripe::api::{StripeClient, StripeSettings};
use payops_core::random::{SeededRandom, SystemRandom};
use payops_core::time::Clock;
use payops_disputes::{Channels, Disputes, Files, MIGRATIONS, Options, jobs, routes};
use payops_platform::ServiceContext;
use payops_platform::auth::{Authenticator, Caller, Role};
use payops_platform::config::FilePlace;
use payops_platform::db::testing::{self, TestDb};
use payops_platform::http::load::runtime;
use payops_platform::http::testing::{TestClient, authenticator};
use payops_platform::http::{Budgets, Limiter, ServiceHttp, listen, serve, service_router};
use payops_platform::jobs::{Runner, RunnerOptions};
use payops_platform::telemetry::{Metrics, inject_traceparent};
use payops_platform::vault::KeyRing;
use payops_sandbox::{DEFAULT_STRIPE_API_KEY, DEFAULT_WEBHOOK_SECRET};
use sea_orm::ConnectionTrait;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

/// Any free port.
pub const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The service on a database; dropping it stops its jobs.
pub struct Service {
    pub address: SocketAddr,
    /// An operator's header line.
    pub operator: String,
    pub client: TestClient,
    pub context: ServiceContext,
    disputes: Disputes,
    stop: CancellationToken,
    _files: tempfile::TempDir,
}

/// Stripe, and how often a second it may be called.
pub struct Stripe<'a> {
    pub base_url: &'a str,
    pub per_second: u32,
}

impl Service {
    pub async fn start(
        db: &TestDb,
        clock: Arc<dyn Clock>,
        stripe: Option<&Stripe<'_>>,
    ) -> anyhow::Result<Self> {
        let name = "dispute-service";
        let context = ServiceContext::new(name, db.db(), clock, Arc::new(SystemRandom), Metrics::new(name));
        let options = Options {
            stripe_webhook_secrets: vec![SecretString::from(DEFAULT_WEBHOOK_SECRET)],
            ..Options::default()
        };
        let files = tempfile::tempdir()?;
        let place = Files::open(&FilePlace::Folder(files.path().to_owned()))?;
        let channels = Channels { stripe: stripe.map(Stripe::client).transpose()?, gateway: None };
        let ring = KeyRing::parse(&KeyRing::draw("bench", &SeededRandom::new(1)))?;
        let disputes = Disputes::start(context.clone(), place, ring, channels, options).await?;
        let authenticator = authenticator()?;
        let limiter = Budgets { caller_per_minute: NonZeroU32::MAX, ..Budgets::default() };
        let http = ServiceHttp {
            limiter: Arc::new(Limiter::in_process(limiter)),
            ..ServiceHttp::new(
                context.clone(),
                Arc::<Authenticator>::clone(&authenticator),
                routes(disputes.clone()),
            )
        };
        let router = service_router(http);
        let client = TestClient::new(router.clone(), authenticator, context.now());
        let token = client.token(Caller::Person { subject: "olga".into(), role: Role::Operator })?;
        let operator = format!("authorization: Bearer {token}\r\n");
        let listener = listen(LOOPBACK)?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, stop.clone(), Duration::ZERO));
        Ok(Self { address, operator, client, context, disputes, stop, _files: files })
    }

    /// Has the service work on its jobs.
    pub fn run_jobs(&self) {
        let options = RunnerOptions { poll: Duration::from_millis(100), ..RunnerOptions::default() };
        let runner = jobs::register(&self.disputes, Runner::new(self.context.clone()).with_options(options));
        tokio::spawn(runner.run(self.stop.clone()));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Stripe<'_> {
    fn client(&self) -> anyhow::Result<StripeClient> {
        let key = SecretString::from(DEFAULT_STRIPE_API_KEY);
        let mut settings = StripeSettings::new(self.base_url.parse()?, key, Arc::new(inject_traceparent));
        settings.requests_per_second = NonZeroU32::new(self.per_second).unwrap_or(NonZeroU32::MIN);
        Ok(StripeClient::new(settings, Arc::new(SystemRandom))?)
    }
}

/// A database with the service's tables, and what it is called.
pub async fn databases() -> Vec<(&'static str, TestDb)> {
    vec![("PostgreSQL", testing::postgres(MIGRATIONS).await), ("SQLite", testing::sqlite(MIGRATIONS).await)]
}

/// Makes commits as durable as they are in production: the server for tests does without.
pub fn make_durable() -> anyhow::Result<()> {
    runtime("settings", 1)?.block_on(async {
        let db = testing::postgres(&[]).await;
        for setting in
            ["fsync = on", "full_page_writes = on", "synchronous_commit = on", "shared_buffers = '512MB'"]
        {
            db.read().execute_unprepared(&format!("ALTER SYSTEM SET {setting}")).await?;
        }
        db.read().execute_unprepared("SELECT pg_reload_conf()").await?;
        anyhow::Ok(())
    })
}
