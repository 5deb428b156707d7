//! One private server: a folder of its own, a free port of 127.0.0.1, thrown away at the end.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::programs::Programs;
use crate::process;
use crate::servers::cleaner::{Cleaner, script};
use crate::servers::folder::{PORT_ATTEMPTS, PrivateFolder, free_port};
use crate::servers::user::ServerUser;

/// The folder for sockets is switched off because a path there may be too long; tests come by TCP.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
wal_level = minimal
max_wal_senders = 0
timezone = 'GMT'
log_timezone = 'GMT'
";

/// The data lives for minutes, and no test cuts the machine's power: a killed server or client loses nothing without
/// `fsync`.
const WITHOUT_SYNC: &str = "
fsync = off
full_page_writes = off
";

/// A running server. It is stopped by the cleaner.
pub(in crate::servers) struct Postgres {
    folder: PathBuf,
    url: String,
    version: String,
}

impl Postgres {
    /// Makes a new database cluster in `postgresql/data` and starts it, with the superuser `payops`, who needs no
    /// password.
    pub(in crate::servers) fn start(
        programs: &Programs,
        folder: &PrivateFolder,
        cleaner: &mut Cleaner,
    ) -> Result<Self> {
        Self::start_with(programs, &[SETTINGS, WITHOUT_SYNC].concat(), folder, "postgresql", cleaner)
    }

    /// Another one, with durable commits, for whoever kills it: the script `start` in its folder starts it again at the
    /// same place.
    pub(in crate::servers) fn start_to_be_killed(
        programs: &Programs,
        folder: &PrivateFolder,
        cleaner: &mut Cleaner,
    ) -> Result<Self> {
        Self::start_with(programs, SETTINGS, folder, "postgresql-to-kill", cleaner)
    }

    fn start_with(
        programs: &Programs,
        settings: &str,
        folder: &PrivateFolder,
        name: &str,
        cleaner: &mut Cleaner,
    ) -> Result<Self> {
        let user = ServerUser::choose()?;
        let tool = Tool { programs, user: &user, folder: &folder.part(name, &user)? };
        // While `initdb` works there is a `postmaster.pid` too, but no server that could be stopped.
        tool.initialize(settings)?;
        cleaner.run_if_exists(&tool.data().join("postmaster.pid"), &tool.stop())?;
        let port = tool.start_on_free_port()?;
        let url = format!("postgres://payops@127.0.0.1:{port}/postgres");
        std::fs::write(tool.folder.join("url"), &url)?;
        std::fs::write(tool.folder.join("start"), script(&tool.start(port)))?;
        Ok(Self { folder: tool.folder.to_path_buf(), url, version: programs.version.clone() })
    }

    pub(in crate::servers) fn version(&self) -> &str {
        &self.version
    }

    /// Where the server's maintenance database is.
    pub(in crate::servers) fn url(&self) -> &str {
        &self.url
    }

    /// Its files `url` and `start`, and its `data`.
    pub(in crate::servers) fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The server's own tools, run as its user inside its folder.
struct Tool<'a> {
    programs: &'a Programs,
    user: &'a ServerUser,
    folder: &'a Path,
}

impl Tool<'_> {
    fn initialize(&self, settings: &str) -> Result<()> {
        let mut initdb = self.command("initdb");
        initdb.args([
            "--username=payops",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        ]);
        process::output(initdb.arg("-D").arg(self.data()))?;
        let path = self.data().join("postgresql.conf");
        let mut file = std::fs::OpenOptions::new().append(true).open(&path)?;
        file.write_all(settings.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn start_on_free_port(&self) -> Result<u16> {
        let mut complaint = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let status = self.start(port).status().context("cannot start pg_ctl")?;
            if status.success() {
                return Ok(port);
            }
            complaint = std::fs::read_to_string(self.log()).unwrap_or_default();
            if !complaint.contains("could not bind") {
                break;
            }
        }
        bail!("PostgreSQL did not start; its log says:\n{complaint}")
    }

    fn start(&self, port: u16) -> Command {
        let mut start = self.pg_ctl(&["start", "-w", "-s", "-o", &format!("-p {port}")]);
        start.arg("-l").arg(self.log()).stdin(Stdio::null());
        start
    }

    /// At once: the data is thrown away, and open connections are of no interest any more.
    fn stop(&self) -> Command {
        self.pg_ctl(&["stop", "-w", "-s", "-m", "immediate"])
    }

    fn pg_ctl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("pg_ctl");
        command.args(arguments).arg("-D").arg(self.data());
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.user.command(self.programs.path(program));
        self.programs.set_environment(&mut command);
        command.current_dir(self.folder);
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}
