//! `cargo xtask bench`: payops and its rivals on the same work in the same run. Prints ratios; speed is measured here
//! and in no test.

mod http;
mod recon;
mod reports;
mod service;

use anyhow::Result;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    what: Subject,
    /// Options of that benchmark; `--help` lists them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// Lists and figures of a full store of disputes, the intake of webhooks, and an hour of ten thousand submissions.
    Disputes,
    /// An authenticated, traced, metered, rate-limited empty route beside a bare handler.
    Http,
    /// Decisions about payments, beside the ways they could have been made.
    Limits,
    /// Two files reconciled on the command line, beside DuckDB, Polars and csv-diff.
    Recon,
    /// The service: a task beside the command line, several at once, its memory, and lists of a full store.
    Reconciliation,
    /// The report of a large task in every form, downloaded from the service and written on the command line.
    Reports,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match arguments.what {
        Subject::Disputes => service::run("payops-disputes", "disputes", &arguments.options),
        Subject::Http => http::run(&arguments.options),
        Subject::Limits => service::run("payops-limits", "limits", &arguments.options),
        Subject::Recon => recon::run(&arguments.options),
        Subject::Reconciliation => service::run("payops-recon", "service", &arguments.options),
        Subject::Reports => reports::run(&arguments.options),
    }
}
