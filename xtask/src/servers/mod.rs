//! The servers that the tests need: found or installed, started on free ports in a private folder, gone afterwards.
//!
//! How a program is come by is in `obtain`, how it is ended in `cleaner`; each server has a module of its own.

mod cleaner;
pub(crate) mod faketime;
mod folder;
mod mail;
mod obtain;
mod postgres;
mod redis;
mod user;

use std::path::PathBuf;
use std::process::Child;

use anyhow::Result;

use cleaner::Cleaner;
use folder::PrivateFolder;
use mail::MailServer;
use postgres::Postgres;
use redis::Redis;

/// All servers, running. They end, and their folder goes, with [`Servers::stop`] or when xtask ends in any other way.
pub(crate) struct Servers {
    postgres: Postgres,
    postgres_to_kill: Postgres,
    redis: Redis,
    /// What it is, for people, and the variable that tells the tests where it is.
    mail: (String, (&'static str, String)),
    folder: PrivateFolder,
    keep: bool,
    cleaner: Cleaner,
}

impl Servers {
    /// Makes sure of the programs first, then starts everything. With `keep` the folder stays behind.
    pub(crate) fn start(keep: bool) -> Result<Self> {
        let programs = postgres::Programs::find_or_obtain()?;
        let redis = redis::Program::find_or_obtain()?;
        let mail = MailServer::find_or_obtain()?;
        let folder = PrivateFolder::create()?;
        let mut cleaner = Cleaner::start(folder.path(), keep)?;
        let postgres = Postgres::start(&programs, &folder, &mut cleaner)?;
        let postgres_to_kill = Postgres::start_to_be_killed(&programs, &folder, &mut cleaner)?;
        let redis = Redis::start(&redis, &folder, &mut cleaner)?;
        let mail = (mail.version(), mail.wrap(folder.path())?);
        Ok(Self { postgres, postgres_to_kill, redis, mail, folder, keep, cleaner })
    }

    /// What runs, for people.
    pub(crate) fn description(&self) -> String {
        let (mail, _) = &self.mail;
        format!("{}, {}, {mail}", self.postgres.version(), self.redis.version())
    }

    /// The variables that tell the tests where the servers are.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let to_kill = self.postgres_to_kill.folder().to_string_lossy().into_owned();
        let postgres = [
            ("PAYOPS_TEST_POSTGRES_URL", self.postgres.url().to_owned()),
            ("PAYOPS_TEST_POSTGRES_TO_KILL", to_kill),
        ];
        postgres.into_iter().chain(self.redis.variables()).chain([self.mail.1.clone()]).collect()
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
