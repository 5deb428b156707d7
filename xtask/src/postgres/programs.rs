//! The server's programs: which of those on this machine to use, and how to come by some.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::{download, server_user};
use crate::{process, workspace};

/// The oldest version that payops supports.
const OLDEST_MAJOR: u32 = 15;

const WHAT_TO_INSTALL: &str = "The tests need the server programs of PostgreSQL 15 or newer (initdb, pg_ctl, postgres). \
     Install them and run the command again:\n  \
     Debian, Ubuntu:  apt-get install postgresql\n  \
     Fedora:          dnf install postgresql-server\n  \
     Alpine:          apk add postgresql\n  \
     macOS:           brew install postgresql@15, and put its bin folder on PATH";

/// The folder with `initdb`, `pg_ctl` and `postgres`, known to run.
pub(crate) struct Programs {
    bin: PathBuf,
    library_path: Option<String>,
    /// What `postgres --version` prints.
    pub(crate) version: String,
}

impl Programs {
    /// Looks in the places where distributions put PostgreSQL and on `PATH`; installs it by apt as root, downloads
    /// and unpacks Debian's packages as anybody else; otherwise an error that says what to install.
    pub(crate) fn find_or_install() -> Result<Self> {
        if let Some(found) = Self::oldest_supported(&system_folders()) {
            return Ok(found);
        }
        if process::find_program("apt-get").is_none() {
            bail!(WHAT_TO_INSTALL);
        }
        let obtained = if server_user::running_as_root() { install() } else { Self::downloaded() };
        obtained.map_err(|error| anyhow!("{error:#}\n{WHAT_TO_INSTALL}"))
    }

    /// A program of this installation, ready to be given arguments.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        self.set_environment(&mut command);
        command
    }

    /// The path of a program, for commands that start it through another program.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }

    /// Lets the programs find their libraries, and no setting of the developer's own servers.
    pub(super) fn set_environment(&self, command: &mut Command) {
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PG") {
                command.env_remove(&name);
            }
        }
        if let Some(library_path) = &self.library_path {
            command.env("LD_LIBRARY_PATH", library_path);
        }
    }

    /// The oldest one is taken because it is the one that the promise of support is about.
    fn oldest_supported(folders: &[PathBuf]) -> Option<Self> {
        let mut usable: Vec<(u32, Self)> =
            folders.iter().filter_map(|folder| Self::at(folder, None).ok()).collect();
        usable.retain(|(major, _)| *major >= OLDEST_MAJOR);
        usable.sort_by_key(|(major, _)| *major);
        usable.into_iter().next().map(|(_, programs)| programs)
    }

    fn downloaded() -> Result<Self> {
        let tree = download::tree(&workspace::cache_folder()?)?;
        let folders = versioned_bin_folders(&tree.join("usr/lib/postgresql"));
        let bin = folders.last().with_context(|| format!("no PostgreSQL inside {}", tree.display()))?;
        let (major, programs) = Self::at(bin, Some(download::library_path(&tree)))?;
        if major < OLDEST_MAJOR {
            bail!("{} has only {}", bin.display(), programs.version);
        }
        Ok(programs)
    }

    fn at(bin: &Path, library_path: Option<String>) -> Result<(u32, Self)> {
        let programs = Self { bin: bin.to_path_buf(), library_path, version: String::new() };
        for program in ["initdb", "pg_ctl"] {
            process::output(programs.command(program).arg("--version"))?;
        }
        let version = process::output(programs.command("postgres").arg("--version"))?.trim().to_owned();
        let major =
            major_version(&version).with_context(|| format!("cannot read a version from {version:?}"))?;
        Ok((major, Self { version, ..programs }))
    }
}

fn install() -> Result<Programs> {
    // Debian's package makes and starts a server of its own unless it is told not to. Nobody asked for one.
    let folder = Path::new("/etc/postgresql-common/createcluster.d");
    let setting = folder.join("payops-xtask.conf");
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut file = OpenOptions::new().create(true).append(true).open(&setting)?;

    // The file is also the lock between two runs that both find nothing. The one that waited has nothing left to do.
    file.lock().with_context(|| format!("cannot lock {}", setting.display()))?;
    if let Some(found) = Programs::oldest_supported(&system_folders()) {
        return Ok(found);
    }
    eprintln!("xtask: PostgreSQL is not installed; installing it by apt-get");
    file.write_all(b"create_main_cluster = false\n")?;
    let installed = apt_get_install();
    std::fs::remove_file(&setting).with_context(|| format!("cannot remove {}", setting.display()))?;
    installed?;
    Programs::oldest_supported(&system_folders())
        .context("apt-get installed no PostgreSQL of version 15 or newer")
}

fn apt_get_install() -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        // Another installation may be under way, our own in a second run among them: wait for it.
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "DPkg::Lock::Timeout=600"]);
        command
    };
    // One unreachable source among many fails the update; whether it mattered shows in the installation.
    if let Err(error) = process::run(apt_get().arg("update")) {
        eprintln!("xtask: {error:#}");
    }
    process::run(apt_get().args(["install", "--yes", "--no-install-recommends", "postgresql"]))
}

fn system_folders() -> Vec<PathBuf> {
    let mut folders = versioned_bin_folders(Path::new("/usr/lib/postgresql"));
    if let Some(program) = process::find_program("initdb") {
        // A link on PATH leads to the folder where the other programs are.
        let program = program.canonicalize().unwrap_or(program);
        folders.extend(program.parent().map(Path::to_path_buf));
    }
    folders
}

/// `parent/15/bin`, `parent/16/bin`, … in this order.
fn versioned_bin_folders(parent: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(parent) else { return Vec::new() };
    let mut versions: Vec<u32> =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    versions.sort_unstable();
    versions.iter().map(|version| parent.join(version.to_string()).join("bin")).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` gives 15; a beta (`16beta1`) counts as its version.
fn major_version(text: &str) -> Option<u32> {
    let number = text.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = number.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_version;

    #[test]
    fn the_major_version_is_the_first_number() {
        assert_eq!(major_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"), Some(15));
        assert_eq!(major_version("postgres (PostgreSQL) 17beta2"), Some(17));
        assert_eq!(major_version("psql (PostgreSQL) 15.18"), None);
        assert_eq!(major_version("postgres (PostgreSQL) devel"), None);
    }
}
