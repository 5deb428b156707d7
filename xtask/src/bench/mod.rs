//! `cargo xtask bench`: payops and its rivals on the same work in the same run. Prints ratios; speed is measured here
//! and in no test.

mod http;
mod limits;
mod recon;

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
    /// An authenticated, traced, metered, rate-limited empty route beside a bare handler.
    Http,
    /// Decisions about payments, beside the ways they could have been made.
    Limits,
    /// Two files reconciled on the command line, beside DuckDB and Polars.
    Recon,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    match arguments.what {
        Subject::Http => http::run(&arguments.options),
        Subject::Limits => limits::run(&arguments.options),
        Subject::Recon => recon::run(&arguments.options),
    }
}
