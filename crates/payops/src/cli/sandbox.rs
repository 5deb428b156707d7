//! `payops sandbox`: a stand-in for Stripe and for the payment gateway.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use chrono::NaiveDate;
use clap::{Args, Subcommand};
use payops_core::random::SystemRandom;
use payops_core::time::Zone;
use payops_sandbox::days::{Channel, DayPlan, Variant, World};
use payops_sandbox::{DEFAULT_PORT, DEFAULT_SEED, Sandbox, SandboxConfig, WebhookTarget, write_files};
use secrecy::SecretString;

use crate::startup;

/// Serve the sandbox, or write one of its days to disk.
#[derive(Debug, Args)]
pub(crate) struct SandboxArgs {
    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = DEFAULT_PORT)]
    port: u16,
    /// About how many payments a day has
    #[arg(long, default_value_t = DayPlan::USUAL_PAYMENTS)]
    payments: u64,
    /// What the days follow from
    #[arg(long, default_value_t = DEFAULT_SEED)]
    seed: u64,
    /// Keep report runs, disputes, files, clock, changed days, faults, idempotency keys and payments in this folder
    /// between runs, instead of in memory
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Tell this address about events, as Stripe would by webhook
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// What webhooks are signed with
    #[arg(long, value_name = "SECRET")]
    webhook_secret: Option<String>,
    /// Where the limit service is that the gateway asks about payments; without one it takes none
    #[arg(long, value_name = "URL", requires = "limits_secret")]
    limits_url: Option<reqwest::Url>,
    /// The secret of `payment-gateway` among the service secrets of the limit service
    #[arg(long, value_name = "SECRET", requires = "limits_url")]
    limits_secret: Option<SecretString>,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    Files(FilesArgs),
}

/// Write a day as its files: both sides, balance summary, payouts with their rows, bank statement, and the truth.
#[derive(Debug, Args)]
struct FilesArgs {
    /// The business day
    #[arg(long)]
    date: NaiveDate,
    /// The zone that defines it
    #[arg(long, default_value = "Etc/UTC")]
    timezone: String,
    /// The folder, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// `seeded` (known differences), `clean` (none) or `corrected` (as the channel tells it later); Sundays are
    /// clean and other days seeded unless told otherwise
    #[arg(long, value_parser = variant)]
    variant: Option<Variant>,
}

pub(crate) fn run(args: SandboxArgs) -> Result<ExitCode> {
    match &args.action {
        Some(Action::Files(files)) => write_day(&args, files),
        None => serve(args),
    }
}

fn write_day(args: &SandboxArgs, files: &FilesArgs) -> Result<ExitCode> {
    let zone = Zone::named(&files.timezone)?;
    let mut world = World::new(args.seed, args.payments);
    if let Some(variant) = files.variant {
        world = world.with_plan(files.date, DayPlan { variant, payments: args.payments });
    }
    let day = world.day(files.date, Channel::Stripe, &zone)?;
    let written = write_files(&day, &files.out)
        .with_context(|| format!("{} cannot be written", files.out.display()))?;
    let (channel, bank) = ([written.settlement, written.balance_summary], written.bank);
    let payouts = [written.payouts, written.payout_rows];
    let files = [written.platform].into_iter().chain(channel).chain(payouts).chain([bank, written.truth]);
    for path in files {
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(args: SandboxArgs) -> Result<ExitCode> {
    startup::block_on(async {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        let mut config = SandboxConfig::on(address)
            .await
            .with_context(|| format!("{address} cannot be listened on; choose another port with --port"))?;
        config.payments = args.payments;
        config.seed = args.seed;
        config.data = args.data;
        if let (Some(url), Some(secret)) = (args.webhook_url, args.webhook_secret) {
            config.webhooks.push(WebhookTarget { url, secret });
        }
        if let (Some(url), Some(secret)) = (args.limits_url, args.limits_secret) {
            let random = Arc::new(SystemRandom);
            config.limits = Some(payops_client::Settings::new(url, "payment-gateway", secret, random));
        }
        let (key, secret) = (config.stripe_api_key.clone(), config.gateway_secret.clone());
        let sandbox = Sandbox::start(config).context("the sandbox cannot start")?;
        // Whoever reads that it is there may tell it to stop at once.
        let stop = startup::until_told_to_stop()?;
        println!("the sandbox accepts STRIPE_API_KEY={key} and");
        println!("PAYOPS_GATEWAY_SECRET={secret}");
        println!("PAYOPS_STRIPE_API_BASE={0} PAYMENT_GATEWAY_URL={0}", sandbox.base_url());
        stop.cancelled().await;
        sandbox.shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn variant(word: &str) -> Result<Variant, String> {
    match word {
        "seeded" => Ok(Variant::Seeded),
        "clean" => Ok(Variant::Clean),
        "corrected" => Ok(Variant::Corrected),
        _ => Err("seeded, clean or corrected is expected".to_owned()),
    }
}
