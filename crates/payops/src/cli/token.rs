//! `payops token`: a token for a person or a merchant.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use payops_core::time::Timestamp;
use payops_platform::auth::{Authenticator, Caller, Role, TokenRequest};
use payops_platform::config::{Scope, Settings};
use uuid::Uuid;

use crate::startup::{self, SettingFlags, Surroundings};

/// Mint a token from the configured secret, or in development from the generated one.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// What the caller may do
    #[arg(long, value_enum, default_value = "operator")]
    role: TokenRole,
    /// Who the caller is: this stands in the audit log
    #[arg(long, default_value = "local")]
    subject: String,
    /// The merchant, for the role merchant
    #[arg(long, value_name = "UUID", required_if_eq("role", "merchant"))]
    merchant_id: Option<Uuid>,
    /// How long the token is good, in hours
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=8760))]
    hours: u32,
    #[command(flatten)]
    settings: SettingFlags,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TokenRole {
    /// Works cases: tasks, files, records, disputes
    Operator,
    /// Everything
    Admin,
    /// Sees its own limits and disputes
    Merchant,
}

pub(crate) fn run(args: TokenArgs) -> Result<ExitCode> {
    let settings = Settings::load(&args.settings.gather()?, Scope::None)?;
    if settings.lacks_token_secret() {
        bail!(
            "no service has been started with the data folder {} yet, so none would know the token; name the folder that is \
             served (--data), or start the service first",
            settings.data_dir.display()
        );
    }
    let settings = startup::complete(settings)?;
    let subject = args.subject.as_str().into();
    let caller = match args.role {
        TokenRole::Operator => Caller::Person { subject, role: Role::Operator },
        TokenRole::Admin => Caller::Person { subject, role: Role::Admin },
        TokenRole::Merchant => {
            let merchant_id = args.merchant_id.context("--merchant-id is needed for the role merchant")?;
            Caller::Merchant { subject, merchant_id }
        }
    };
    let lifetime = Duration::from_secs(u64::from(args.hours) * 3600);
    println!("{}", mint(&settings, caller, lifetime, Surroundings::real().clock.now())?);
    Ok(ExitCode::SUCCESS)
}

/// A token that the services with these settings accept.
pub(crate) fn mint(
    settings: &Settings,
    caller: Caller,
    lifetime: Duration,
    now: Timestamp,
) -> Result<String> {
    let auth = settings.auth().context("there are no keys for tokens")?;
    Ok(Authenticator::new(auth)?.mint(&TokenRequest { caller, lifetime }, now)?)
}
