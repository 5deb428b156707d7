//! `payops demo`: everything on SQLite with the sandbox, one day reconciled through the real service.

mod api;
mod story;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use payops_platform::auth::{Caller, Role};
use payops_platform::config::{ConfigSource, Scope, Service, Settings};
use payops_platform::http::ServeOptions;
use payops_sandbox::{
    DEFAULT_GATEWAY_SECRET, DEFAULT_PORT, DEFAULT_STRIPE_API_KEY, DEFAULT_WEBHOOK_SECRET, RunningSandbox,
    Sandbox, SandboxConfig, WebhookTarget,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::token;
use crate::services::OpenService;
use crate::startup;
use api::Api;

/// Tokens of the demo are good for a working day.
const TOKEN_LIFETIME: Duration = Duration::from_hours(12);

/// Start everything on SQLite with the sandbox, reconcile a seeded day and stay up.
///
/// With --once it ends after the verdict: 0 when the result equals what the sandbox knows of the day, 1 when
/// it does not.
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
    /// The port of the sandbox; 0 takes any free one, as --once does [default: 40091]
    #[arg(long, value_name = "PORT")]
    sandbox_port: Option<u16>,
}

pub(crate) fn run(args: &DemoArgs) -> Result<ExitCode> {
    startup::block_on(async {
        let usual = |port: u16| if args.once { 0 } else { port };
        let service = listen(args.port.unwrap_or_else(|| usual(40_020)), "--port").await?;
        let sandbox =
            listen(args.sandbox_port.unwrap_or_else(|| usual(DEFAULT_PORT)), "--sandbox-port").await?;
        let base_url = format!("http://{}", service.local_addr()?);
        let sandbox = start_sandbox(sandbox, &base_url)?;
        let settings = settings(&args.data, sandbox.base_url())?;
        let telemetry = startup::start_telemetry("payops-demo", &settings)?;
        let stop = startup::until_told_to_stop()?;
        let result = show(args, &settings, service, &sandbox, stop).await;
        sandbox.shutdown().await;
        telemetry.shutdown().await;
        result
    })
}

/// Serves, tells the story, and stays up unless it is to be told once.
async fn show(
    args: &DemoArgs,
    settings: &Settings,
    listener: TcpListener,
    sandbox: &RunningSandbox,
    stop: CancellationToken,
) -> Result<ExitCode> {
    let base_url = format!("http://{}", listener.local_addr()?);
    let service = OpenService::open(Service::Reconciliation, settings).await?;
    let options = ServeOptions { drain: settings.drain, ..ServeOptions::default() };
    let serving = tokio::spawn(service.run(listener, stop.clone(), options));
    let operator = person(settings, "demo-operator", Role::Operator)?;
    let admin = person(settings, "demo-admin", Role::Admin)?;
    let api = Api::new(base_url.clone(), operator.clone())?;
    let told = tokio::select! {
        told = story::tell(&api, sandbox) => told,
        () = stop.cancelled() => Ok(false),
    };
    if args.once || told.is_err() {
        stop.cancel();
    } else {
        links(&base_url, sandbox.base_url(), &operator, &admin);
    }
    serving.await.context("the service ended by a fault")?;
    Ok(if told? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn links(base_url: &str, sandbox: &str, operator: &str, admin: &str) {
    println!();
    println!("API to read and try    {base_url}/docs");
    println!("Health, metrics        {base_url}/health  {base_url}/metrics");
    println!("Sandbox                {sandbox}/");
    println!();
    println!("Paste this to call the API as an operator (ADMIN_TOKEN: as an admin):");
    println!("  TOKEN={operator}");
    println!("  ADMIN_TOKEN={admin}");
    println!();
    println!("For example:");
    println!(
        "  curl -H \"Authorization: Bearer $TOKEN\" \"{base_url}/api/v1/reconciliation/records?status=open\""
    );
    println!();
    println!("Everything stays up until Ctrl-C.");
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
    startup::complete(Settings::load(&source, Scope::One(Service::Reconciliation))?)
}

fn start_sandbox(listener: TcpListener, service: &str) -> Result<RunningSandbox> {
    let mut config = SandboxConfig::listening(listener);
    config.report_delay = chrono::TimeDelta::seconds(1);
    config.webhooks.push(WebhookTarget {
        url: format!("{service}/api/v1/webhooks/stripe"),
        secret: DEFAULT_WEBHOOK_SECRET.to_owned(),
    });
    Sandbox::start(config).context("the sandbox cannot start")
}

fn person(settings: &Settings, name: &str, role: Role) -> Result<String> {
    token::mint(settings, Caller::Person { subject: name.into(), role }, TOKEN_LIFETIME)
}

async fn listen(port: u16, flag: &str) -> Result<TcpListener> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose another port with {flag}"))
}
