//! The servers that the tests need: found or installed, started on free ports in a private folder, gone afterwards.
//!
//! How a program is come by is in `obtain`, how it is ended in `cleaner`; each server has a module of its own.

mod cleaner;
pub(crate) mod faketime;
mod folder;
mod mail;
mod obtain;
mod postgres;
mod program;
mod redis;
pub(crate) mod sdks;
mod user;

use std::path::PathBuf;
use std::process::Child;

use anyhow::Result;

use cleaner::Cleaner;
use folder::PrivateFolder;
use mail::MailServer;
use postgres::Postgres;
use redis::Redis;
use sdks::Sdk;

/// All servers, running. They end, and their folder goes, with [`Servers::stop`] or when xtask ends in any other way.
pub(crate) struct Servers {
    postgres: Postgres,
    postgres_to_kill: Postgres,
    redis: Redis,
    /// What tests start for themselves: for people, and the variables that tell the tests where it is.
    programs: (Vec<String>, Vec<(&'static str, String)>),
    folder: PrivateFolder,
    keep: bool,
    cleaner: Cleaner,
}

impl Servers {
    /// Makes sure of the programs first, then starts everything. With `keep` the folder stays behind.
    pub(crate) fn start(keep: bool) -> Result<Self> {
        let postgres_programs = postgres::Programs::find_or_obtain()?;
        let redis = redis::Found::find_or_obtain()?;
        let mail = MailServer::find_or_obtain()?;
        let sdks = obtainable_sdks();
        let folder = PrivateFolder::create()?;
        let mut cleaner = Cleaner::start(folder.path(), keep)?;
        let postgres = Postgres::start(&postgres_programs, &folder, &mut cleaner)?;
        let postgres_to_kill = Postgres::start_to_be_killed(&postgres_programs, &folder, &mut cleaner)?;
        let redis = Redis::start(&redis, &folder, &mut cleaner)?;
        let mut programs = (vec![mail.version()], vec![mail.wrap(folder.path())?]);
        for sdk in sdks {
            programs.0.push(sdk.version().to_owned());
            programs.1.push(sdk.wrap(folder.path())?);
        }
        Ok(Self { postgres, postgres_to_kill, redis, programs, folder, keep, cleaner })
    }

    /// What runs, for people.
    pub(crate) fn description(&self) -> String {
        format!("{}, {}, {}", self.postgres.version(), self.redis.version(), self.programs.0.join(", "))
    }

    /// The variables that tell the tests where the servers are.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let to_kill = self.postgres_to_kill.folder().to_string_lossy().into_owned();
        let postgres = [
            ("PAYOPS_TEST_POSTGRES_URL", self.postgres.url().to_owned()),
            ("PAYOPS_TEST_POSTGRES_TO_KILL", to_kill),
        ];
        let programs = self.programs.1.iter().cloned();
        postgres.into_iter().chain(self.redis.variables()).chain(programs).collect()
    }

    /// An empty folder for what the tests write; it goes with the servers.
    pub(crate) fn temporary_folder(&self) -> PathBuf {
        self.folder.temporary()
    }

    /// Ends this process and all of its group when xtask is ended before it. It must lead a group.
    pub(crate) fn end_with_us(&mut self, group_leader: &Child) -> Result<()> {
        self.cleaner.end_group(group_leader)
    }

    /// Stops the servers and removes their folder, or says where the folder is kept.
    pub(crate) fn stop(self) -> Result<()> {
        let stopped = self.cleaner.finish();
        self.redis.reap();
        stopped?;
        if self.keep {
            eprintln!("xtask: the servers' data and logs are in {}", self.folder.path().display());
        }
        Ok(())
    }
}

/// They come from outside of the machine's own sources of packages, which may be out of reach. Only the tests that
/// need one fail for it, so the others still run.
fn obtainable_sdks() -> Vec<Sdk> {
    let sdks = Sdk::ALL.iter().map(|obtain| obtain());
    let told = sdks.map(|sdk| sdk.inspect_err(|error| eprintln!("xtask: {error:#}")));
    told.flatten().collect()
}

/// Starts the servers for work outside `cargo xtask test` (an IDE, `cargo test -p ...`) and keeps them until Ctrl-C.
pub(crate) fn serve_until_interrupted() -> Result<()> {
    let servers = Servers::start(false)?;
    eprintln!("{}: ready; Ctrl-C ends them. In another terminal:", servers.description());
    for (name, value) in servers.variables() {
        println!("export {name}={value}");
    }
    loop {
        std::thread::park();
    }
}
