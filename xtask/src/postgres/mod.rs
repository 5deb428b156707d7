//! A private PostgreSQL for the tests: found or installed, started on a free port, gone afterwards.

mod cleaner;
mod download;
mod programs;
mod server;
mod server_user;

pub(crate) use programs::Programs;
pub(crate) use server::Server;

use anyhow::Result;

/// Starts a server for work outside `cargo xtask test` (an IDE, `cargo test -p ...`) and keeps it until Ctrl-C.
pub(crate) fn serve_until_interrupted() -> Result<()> {
    let programs = Programs::find_or_install()?;
    let server = Server::start(&programs, false)?;
    eprintln!("{} is ready; Ctrl-C ends it. In another terminal:", programs.version);
    println!("export PAYOPS_TEST_POSTGRES_URL={}", server.url());
    loop {
        std::thread::park();
    }
}
