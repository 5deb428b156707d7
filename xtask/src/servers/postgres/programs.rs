//! The server's programs: which of those on this machine to use, and how to come by some.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;
use crate::servers::obtain::{self, Place, Wanted};

/// The oldest version that payops supports.
const OLDEST_MAJOR: u32 = 15;

const WANTED: Wanted = Wanted {
    name: "PostgreSQL",
    package: "postgresql",
    advice: "The tests need the server programs of PostgreSQL 15 or newer (initdb, pg_ctl, postgres). \
         Install them and run the command again:\n  \
         Debian, Ubuntu:  apt-get install postgresql\n  \
         Fedora:          dnf install postgresql-server\n  \
         Alpine:          apk add postgresql\n  \
         macOS:           brew install postgresql@15, and put its bin folder on PATH",
    setting: Some((
        "/etc/postgresql-common/createcluster.d/payops-xtask.conf",
        "create_main_cluster = false\n",
    )),
};

/// The folder with `initdb`, `pg_ctl` and `postgres`, known to run.
pub(in crate::servers) struct Programs {
    bin: PathBuf,
    library_path: Option<String>,
    /// What `postgres --version` prints.
    pub(super) version: String,
}

impl Programs {
    /// Looks in the places where distributions put PostgreSQL and on `PATH`, else obtains it.
    pub(in crate::servers) fn find_or_obtain() -> Result<Self> {
        obtain::find_or_obtain(&WANTED, Self::find)
    }

    /// The oldest supported one is taken because it is the one that the promise of support is about.
    fn find(place: &Place) -> Result<Self> {
        let mut folders = versioned_bin_folders(&place.folder("usr/lib/postgresql"));
        if let Some(program) = place.program("initdb") {
            // A link on PATH leads to the folder where the other programs are.
            let program = program.canonicalize().unwrap_or(program);
            folders.extend(program.parent().map(Path::to_path_buf));
        }
        let library_path = place.library_path();
        let mut usable: Vec<(u32, Self)> =
            folders.iter().filter_map(|folder| Self::at(folder, library_path.clone()).ok()).collect();
        usable.retain(|(major, _)| *major >= OLDEST_MAJOR);
        usable.sort_by_key(|(major, _)| *major);
        let oldest = usable.into_iter().next().map(|(_, programs)| programs);
        oldest.with_context(|| format!("there is no PostgreSQL of version {OLDEST_MAJOR} or newer"))
    }

    /// A program of this installation, ready to be given arguments.
    fn command(&self, program: &str) -> Command {
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
