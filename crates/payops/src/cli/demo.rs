//! `payops demo`: everything on SQLite with the sandbox, one day reconciled, payments taken and disputes lived through by the
//! real services.

mod api;
mod clock;
mod disputes;
mod payments;
mod story;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use payops_core::random::SystemRandom;
use payops_core::time::Timestamp;
use payops_platform::auth::{Caller, Role};
use payops_platform::config::{ConfigSource, Scope, Service, Settings};
use payops_platform::http::{self, ServeOptions};
use payops_sandbox::{
    DEFAULT_GATEWAY_SECRET, DEFAULT_PORT, DEFAULT_STRIPE_API_KEY, DEFAULT_WEBHOOK_SECRET, RunningSandbox,
    Sandbox, SandboxConfig, WebhookTarget,
};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::token;
use crate::services::OpenService;
use crate::startup::{self, Surroundings};
use api::Api;
use clock::DemoClock;

/// The name of the sandbox's payment gateway among the services.
const GATEWAY: &str = "payment-gateway";
/// Tokens of the demo outlive the weeks that its disputes take.
const TOKEN_LIFETIME: Duration = Duration::from_hours(24 * 60);

/// Start everything on SQLite with the sandbox, reconcile a seeded day, take payments, live through three disputes and stay up.
///
/// With --once it ends after that: 0 when the result equals what the sandbox knows of the day and every payment and dispute
/// ended as it must, 1 when not.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the verdict
    #[arg(long)]
    once: bool,
    /// Folder of the demo's databases and files
    #[arg(long, value_name = "DIR", default_value = "./data/demo")]
    data: PathBuf,
    /// The port of the reconciliation service; 0 takes any free one, as --once does [default: 40020]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The port of the limit service; 0 takes any free one, as --once does [default: 40022]
    #[arg(long, value_name = "PORT")]
    limits_port: Option<u16>,
    /// The port of the dispute service; 0 takes any free one, as --once does [default: 40021]
    #[arg(long, value_name = "PORT")]
    disputes_port: Option<u16>,
    /// The port of the sandbox; 0 takes any free one, as --once does [default: 40091]
    #[arg(long, value_name = "PORT")]
    sandbox_port: Option<u16>,
}

pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode> {
    startup::block_on(async {
        let usual = |port: u16| if args.once { 0 } else { port };
        let listeners = Listeners {
            reconciliation: listen(args.port.unwrap_or_else(|| usual(40_020)), "--port")?,
            disputes: listen(args.disputes_port.unwrap_or_else(|| usual(40_021)), "--disputes-port")?,
            limits: listen(args.limits_port.unwrap_or_else(|| usual(40_022)), "--limits-port")?,
        };
        let sandbox = listen(args.sandbox_port.unwrap_or_else(|| usual(DEFAULT_PORT)), "--sandbox-port")?;
        let settings = settings(&args.data, &url_of(&sandbox)?)?;
        let clock = DemoClock::open(&args.data)?;
        let mut config = sandbox_config(sandbox, &listeners, &settings, &clock)?;
        // What the services know of disputes, Stripe must not forget.
        config.data = Some(args.data.join("sandbox"));
        let sandbox = Sandbox::start(config).context("the sandbox cannot start")?;
        let telemetry = startup::start_telemetry("payops-demo", &settings)?;
        let stop = startup::until_told_to_stop()?;
        let result = show(args, &settings, listeners, (&sandbox, &clock), stop).await;
        sandbox.shutdown().await;
        telemetry.shutdown().await;
        result
    })
}

/// Where the services will listen.
struct Listeners {
    reconciliation: TcpListener,
    disputes: TcpListener,
    limits: TcpListener,
}

/// Serves, tells the stories, and stays up unless they are to be told once.
async fn show(
    args: &DemoArgs,
    settings: &Settings,
    listeners: Listeners,
    (sandbox, clock): (&RunningSandbox, &DemoClock),
    stop: CancellationToken,
) -> Result<ExitCode> {
    let base_url = url_of(&listeners.reconciliation)?;
    let (disputes_url, limits_url) = (url_of(&listeners.disputes)?, url_of(&listeners.limits)?);
    let surroundings = Surroundings { clock: clock.shared(), ..Surroundings::real() };
    let open = async |service| {
        let opened = OpenService::open(service, settings, surroundings.clone()).await;
        opened
            .with_context(|| format!("the demo's folder is {}; delete it to start over", args.data.display()))
    };
    let reconciliation = open(Service::Reconciliation).await?;
    let disputes = open(Service::Disputes).await?;
    let limits = open(Service::Limits).await?;
    let options = || ServeOptions { drain: settings.drain, ..ServeOptions::default() };
    let serving = [
        tokio::spawn(reconciliation.run(listeners.reconciliation, stop.clone(), options())),
        tokio::spawn(disputes.run(listeners.disputes, stop.clone(), options())),
        tokio::spawn(limits.run(listeners.limits, stop.clone(), options())),
    ];
    let person = |name, role| person(settings, name, role, clock.now());
    let operator = person("demo-operator", Role::Operator)?;
    let admin = person("demo-admin", Role::Admin)?;
    let agent = person("demo-agent", Role::Operator)?;
    let stories = async {
        let api = Api::new(format!("{base_url}/api/v1/reconciliation"), operator.clone())?;
        let reconciled = story::tell(&api, sandbox).await?;
        let api = Api::new(format!("{limits_url}/api/v1/limits"), admin.clone())?;
        let paid = payments::tell(&api, sandbox.base_url(), &surroundings).await?;
        let api = &Api::new(format!("{disputes_url}/api/v1/disputes"), agent)?;
        let stage = disputes::Stage { api, stripe: sandbox.handle(), clock, merchant: paid.merchant };
        let answered = disputes::tell(&stage).await?;
        Ok((reconciled && paid.as_expected && answered, Some(paid)))
    };
    let told: Result<(bool, Option<payments::Told>)> = tokio::select! {
        told = stories => told,
        () = stop.cancelled() => Ok((false, None)),
    };
    match &told {
        Ok((_, Some(paid))) if !args.once => {
            links([&base_url, &disputes_url, &limits_url, sandbox.base_url()], &operator, &admin);
            payments::calls(&limits_url, sandbox.base_url(), &paid.merchant, gateway_secret(settings)?);
            println!("Everything stays up until Ctrl-C.");
        }
        _ => stop.cancel(),
    }
    for service in serving {
        service.await.context("the service ended by a fault")?;
    }
    Ok(if told?.0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn links([base_url, disputes_url, limits_url, sandbox]: [&str; 4], operator: &str, admin: &str) {
    println!();
    println!("Reconciliation         {base_url}/docs  {base_url}/health");
    println!("Disputes               {disputes_url}/docs  {disputes_url}/health");
    println!("Merchant limits        {limits_url}/docs  {limits_url}/health");
    println!("Sandbox                {sandbox}/");
    println!();
    println!("Paste this to call the APIs as an operator (ADMIN_TOKEN: as an admin):");
    println!("  TOKEN={operator}");
    println!("  ADMIN_TOKEN={admin}");
    println!();
    println!("For example:");
    println!(
        "  curl -H \"Authorization: Bearer $TOKEN\" \"{base_url}/api/v1/reconciliation/records?status=open\""
    );
    println!("  curl -H \"Authorization: Bearer $TOKEN\" {disputes_url}/api/v1/disputes/statistics");
}

/// The demo depends on nothing that is set outside.
fn settings(data: &Path, sandbox: &str) -> Result<Settings> {
    let flags = [
        ("PAYOPS_DATA_DIR", data.display().to_string()),
        ("STRIPE_API_KEY", DEFAULT_STRIPE_API_KEY.to_owned()),
        ("PAYOPS_STRIPE_API_BASE", sandbox.to_owned()),
        ("PAYOPS_STRIPE_WEBHOOK_SECRET", DEFAULT_WEBHOOK_SECRET.to_owned()),
        ("PAYMENT_GATEWAY_URL", sandbox.to_owned()),
        ("PAYOPS_GATEWAY_SECRET", DEFAULT_GATEWAY_SECRET.to_owned()),
        ("PAYOPS_LOG", "warn".to_owned()),
    ];
    let flags: BTreeMap<String, String> =
        flags.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let source = ConfigSource { flags, ..ConfigSource::default() };
    startup::complete(Settings::load(&source, Scope::All)?)
}

fn sandbox_config(
    listener: TcpListener,
    services: &Listeners,
    settings: &Settings,
    clock: &DemoClock,
) -> Result<SandboxConfig> {
    let mut config = SandboxConfig::listening(listener);
    config.clock = clock.shared();
    config.advance_all = Some(clock.mover());
    config.report_delay = chrono::TimeDelta::seconds(1);
    config.dispute_delay = chrono::TimeDelta::zero();
    config.decision_delay = disputes::DECISION;
    for service in [&services.reconciliation, &services.disputes] {
        config.webhooks.push(WebhookTarget {
            url: format!("{}/api/v1/webhooks/stripe", url_of(service)?),
            secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
        });
    }
    let limits = url_of(&services.limits)?.parse()?;
    let secret = gateway_secret(settings)?.clone();
    let limits = payops_client::Settings::new(limits, GATEWAY, secret, Arc::new(SystemRandom));
    config.limits = Some(payops_client::Settings {
        // The machine may be busy, and the demo shows decisions rather than patience.
        attempt_time: Duration::from_secs(10),
        total_time: Duration::from_secs(30),
        ..limits
    });
    Ok(config)
}

/// What the payment gateway shows to the limit service.
fn gateway_secret(settings: &Settings) -> Result<&SecretString> {
    settings.service_secret(GATEWAY).context("the payment gateway has no secret")
}

fn url_of(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

fn person(settings: &Settings, name: &str, role: Role, now: Timestamp) -> Result<String> {
    token::mint(settings, Caller::Person { subject: name.into(), role }, TOKEN_LIFETIME, now)
}

fn listen(port: u16, flag: &str) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    http::listen(address)
        .with_context(|| format!("{address} cannot be listened on; choose another port with {flag}"))
}
