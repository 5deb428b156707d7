//! Redis.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cleaner::Cleaner;
use super::folder::{PORT_ATTEMPTS, PrivateFolder, free_port};
use super::obtain::{self, Place, Wanted};
use super::program::Program;
use super::user::ServerUser;
use crate::process;

const WANTED: Wanted = Wanted {
    name: "Redis",
    package: "redis-server",
    advice: "The tests need Redis 6 or newer (redis-server), or Valkey. Install it and run the command again:\n  \
         Debian, Ubuntu:  apt-get install redis-server\n  \
         Fedora:          dnf install valkey\n  \
         Alpine:          apk add redis\n  \
         macOS:           brew install redis",
    setting: None,
};

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// `redis-server`, known to run.
pub(super) struct Found {
    program: Program,
    version: String,
}

impl Found {
    pub(super) fn find_or_obtain() -> Result<Self> {
        obtain::find_or_obtain(&WANTED, Self::find)
    }

    fn find(place: &Place) -> Result<Self> {
        let path = place.program("redis-server").or_else(|| place.program("valkey-server"));
        let program = Program::in_place(place, path.context("there is no redis-server")?);
        let printed = process::output(program.command().arg("--version"))?;
        let version = short_version(&printed)
            .with_context(|| format!("cannot read a version from {:?}", printed.trim()))?;
        Ok(Self { program, version })
    }
}

/// A running server without a disk. It is stopped by the cleaner.
pub(super) struct Redis {
    port: u16,
    version: String,
    wrapper: PathBuf,
    process: Child,
}

impl Redis {
    pub(super) fn start(found: &Found, folder: &PrivateFolder, cleaner: &mut Cleaner) -> Result<Self> {
        let home = folder.part("redis", &ServerUser::Ourselves)?;
        let log = home.join("log");
        let wrapper = home.join("redis-server");
        // Tests that kill a server start one of their own.
        found.program.wrap(&wrapper)?;
        let mut complaint = String::new();
        for _ in 0..PORT_ATTEMPTS {
            let port = free_port()?;
            let mut process = spawn(&found.program, &home, port)?;
            cleaner.end_group(&process)?;
            if answers(&mut process, port)? {
                return Ok(Self { port, version: found.version.clone(), wrapper, process });
            }
            cleaner.forget_last()?;
            complaint = std::fs::read_to_string(&log).unwrap_or_default();
            if !complaint.contains("Address already in use") {
                break;
            }
        }
        bail!("Redis did not start; its log says:\n{complaint}")
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Where the server is, and the program for tests that need one to kill.
    pub(super) fn variables(&self) -> [(&'static str, String); 2] {
        [
            ("PAYOPS_TEST_REDIS_URL", format!("redis://127.0.0.1:{}", self.port)),
            ("PAYOPS_TEST_REDIS_SERVER", self.wrapper.to_string_lossy().into_owned()),
        ]
    }

    /// Waits until the server, which was told to end, is gone.
    pub(super) fn reap(mut self) {
        if let Err(error) = self.process.wait() {
            eprintln!("xtask: cannot wait for Redis: {error}");
        }
    }
}

fn spawn(program: &Program, home: &Path, port: u16) -> Result<Child> {
    let mut command = program.command();
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--daemonize", "no"]);
    command.arg("--dir").arg(home).arg("--logfile").arg(home.join("log"));
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().context("cannot start redis-server")
}

/// Waits for the first answer; false when the server ended instead.
fn answers(process: &mut Child, port: u16) -> Result<bool> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if process.try_wait().context("cannot wait for redis-server")?.is_some() {
            return Ok(false);
        }
        if ping(port).is_ok_and(|answer| answer == *b"+PONG") {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("Redis started on port {port} and did not answer within {PATIENCE:?}")
}

fn ping(port: u16) -> std::io::Result<[u8; 5]> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"PING\r\n")?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// `Redis server v=7.0.15 sha=…` gives `Redis 7.0.15`.
fn short_version(text: &str) -> Option<String> {
    let name = text.split_whitespace().next()?;
    let number = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    Some(format!("{name} {number}"))
}

#[cfg(test)]
mod tests {
    use super::short_version;

    #[test]
    fn the_version_is_read_from_what_the_server_prints() {
        let debian =
            "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=d81b8ff71cfb150e\n";
        assert_eq!(short_version(debian).as_deref(), Some("Redis 7.0.15"));
        assert_eq!(short_version("Valkey server v=8.1.1 sha=0:0").as_deref(), Some("Valkey 8.1.1"));
        assert_eq!(short_version("redis-cli 7.0.15"), None);
    }
}
