//! One private server: a folder of its own, a free port of 127.0.0.1, thrown away at the end.

use std::fs::Permissions;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::cleaner::Cleaner;
use super::programs::Programs;
use super::server_user::ServerUser;
use crate::process;

/// Between the choice of a free port and the server's start somebody else may take the port.
const PORT_ATTEMPTS: u32 = 5;

/// The data lives for minutes, and no test cuts the machine's power: a killed server or client loses nothing without
/// `fsync`. The folder for sockets is switched off because a path there may be too long; tests come by TCP.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 300
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
timezone = 'GMT'
log_timezone = 'GMT'
";

/// A running server. It ends, and its folder goes, with [`Server::stop`] or when xtask ends in any other way.
///
/// The folder holds `postgresql/data` and `postgresql/log`, and `temporary` for files of the tests themselves.
pub(crate) struct Server {
    url: String,
    folder: PathBuf,
    keep: bool,
    cleaner: Cleaner,
}

impl Server {
    /// Makes a new database cluster and starts it, with the superuser `payops`, who needs no password.
    pub(crate) fn start(programs: &Programs, keep: bool) -> Result<Self> {
        let user = ServerUser::choose()?;
        let folder = private_folder(&user)?;
        let tool = Tool { programs, user: &user, folder: &folder.join("postgresql") };
        let cleaner = Cleaner::start(&folder, keep, &tool.stop())?;
        tool.initialize()?;
        let port = tool.start_on_free_port()?;
        let url = format!("postgres://payops@127.0.0.1:{port}/postgres");
        Ok(Self { url, folder, keep, cleaner })
    }

    /// Where the server's maintenance database is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// An empty folder for what the tests write; it goes with the server.
    pub(crate) fn temporary_folder(&self) -> PathBuf {
        self.folder.join("temporary")
    }

    /// Ends this process and all of its group when xtask is ended before it. It must lead a group.
    pub(crate) fn end_with_us(&mut self, group_leader: &Child) -> Result<()> {
        self.cleaner.guard(group_leader)
    }

    /// Stops the server and removes its folder, or says where the folder is kept.
    pub(crate) fn stop(self) -> Result<()> {
        self.cleaner.finish()?;
        if self.keep {
            eprintln!("xtask: the database's data and log are in {}", self.folder.display());
        }
        Ok(())
    }
}

/// A new folder of ours with the two parts that [`Server`] describes; the server's user can reach his.
fn private_folder(user: &ServerUser) -> Result<PathBuf> {
    let places = [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")];
    for place in &places {
        let Ok(folder) = tempfile::Builder::new().prefix("payops-test-").tempdir_in(place) else { continue };
        let part = folder.path().join("postgresql");
        std::fs::create_dir(&part)?;
        std::fs::create_dir(folder.path().join("temporary"))?;
        user.give(&part)?;
        // Others may pass through to their part, and see nothing on the way.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o711))?;
        if user.can_write(&part) {
            return Ok(folder.keep());
        }
    }
    bail!("found no folder for temporary files that the database's user can reach; tried {places:?}")
}

/// The server's own tools, run as its user inside its folder.
struct Tool<'a> {
    programs: &'a Programs,
    user: &'a ServerUser,
    folder: &'a Path,
}

impl Tool<'_> {
    fn initialize(&self) -> Result<()> {
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
        file.write_all(SETTINGS.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn start_on_free_port(&self) -> Result<u16> {
        let mut complaint = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let mut start = self.pg_ctl(&["start", "-w", "-s", "-o", &format!("-p {port}")]);
            start.arg("-l").arg(self.log()).stdin(Stdio::null());
            let status = start.status().context("cannot start pg_ctl")?;
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

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("cannot listen on 127.0.0.1")?;
    Ok(listener.local_addr()?.port())
}
