//! `cargo xtask sdks`: the checks of the sandbox with Stripe's own SDKs, against one that runs already.

use anyhow::{Result, bail};

use crate::process;
use crate::servers::sdks::Sdk;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the sandbox is.
    #[arg(default_value = "http://127.0.0.1:40091")]
    url: String,
    /// The key of its Stripe, if it is not the built-in one.
    key: Option<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut failed = Vec::new();
    for obtain in Sdk::ALL {
        let sdk = obtain()?;
        println!("{}", sdk.version());
        if let Err(error) = process::run(sdk.check().arg(&arguments.url).args(&arguments.key)) {
            failed.push(format!("{}: {error:#}", sdk.version()));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("\n"));
    }
    Ok(())
}
