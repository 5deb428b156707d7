//! How the tests come by a server's programs: those of the machine, else an installation by apt as root, else
//! Debian's packages unpacked into a folder of ours.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use super::user;
use crate::{process, workspace};

/// A server and what to do where it is missing.
pub(super) struct Wanted {
    /// What people call it.
    pub(super) name: &'static str,
    /// Debian's package.
    pub(super) package: &'static str,
    /// Says what to install on other systems.
    pub(super) advice: &'static str,
    /// A file and its text that keep Debian's installation from making a server of its own.
    pub(super) setting: Option<(&'static str, &'static str)>,
}

/// Where programs may lie.
pub(super) enum Place {
    /// Wherever this machine has its programs.
    Machine,
    /// A folder laid out like `/`, with unpacked packages.
    Unpacked(PathBuf),
}

impl Place {
    /// A folder of the place, given as it would be under `/`.
    pub(super) fn folder(&self, path: &str) -> PathBuf {
        match self {
            Self::Machine => Path::new("/").join(path),
            Self::Unpacked(tree) => tree.join(path),
        }
    }

    /// The first program of this name, on `PATH` or where Debian puts programs.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let on_path = matches!(self, Self::Machine).then(|| process::find_program(name)).flatten();
        on_path.or_else(|| {
            let folders = ["usr/bin", "usr/sbin", "bin", "sbin"];
            folders.iter().map(|folder| self.folder(folder).join(name)).find(|path| path.is_file())
        })
    }

    /// The folders of shared libraries, as `LD_LIBRARY_PATH` wants them, if programs do not find them anyway.
    pub(super) fn library_path(&self) -> Option<String> {
        let Self::Unpacked(tree) = self else { return None };
        let mut folders = Vec::new();
        for parent in [tree.join("usr/lib"), tree.join("lib")] {
            let architectures = std::fs::read_dir(&parent).into_iter().flatten().flatten();
            folders.extend(
                architectures
                    .map(|entry| entry.path())
                    .filter(|path| path.to_string_lossy().contains("-linux-gnu"))
                    .map(|path| path.to_string_lossy().into_owned()),
            );
        }
        Some(folders.join(":"))
    }
}

/// What `find` finds on this machine, or after an installation as root, or in packages downloaded by anybody else.
pub(super) fn find_or_obtain<T>(wanted: &Wanted, find: impl Fn(&Place) -> Result<T>) -> Result<T> {
    let missing = match find(&Place::Machine) {
        Ok(found) => return Ok(found),
        Err(missing) => missing,
    };
    if process::find_program("apt-get").is_none() {
        bail!("{missing:#}\n{}", wanted.advice);
    }
    let obtained = if user::running_as_root() {
        install(wanted, &find)
    } else {
        unpacked(wanted).and_then(|tree| find(&Place::Unpacked(tree)))
    };
    obtained.map_err(|error| anyhow!("{error:#}\n{}", wanted.advice))
}

fn install<T>(wanted: &Wanted, find: impl Fn(&Place) -> Result<T>) -> Result<T> {
    // Two runs may both find nothing. The one that waited has nothing left to do.
    let lock = File::open("/etc/apt").context("cannot open /etc/apt")?;
    lock.lock().context("cannot lock /etc/apt")?;
    if let Ok(found) = find(&Place::Machine) {
        return Ok(found);
    }
    eprintln!("xtask: {} is not installed; installing it by apt-get", wanted.name);
    let quiet = QuietInstallation::prepare(wanted)?;
    let installed = apt_get_install(wanted.package);
    drop(quiet);
    installed?;
    find(&Place::Machine).with_context(|| format!("apt-get installed no {} that serves", wanted.name))
}

fn apt_get_install(package: &str) -> Result<()> {
    let apt_get = || {
        let mut command = Command::new("apt-get");
        // Standard output is for what `cargo xtask servers` prints.
        command.stdout(std::io::stderr());
        // Another installation may be under way: wait for it.
        command.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "DPkg::Lock::Timeout=600"]);
        command
    };
    // One unreachable source among many fails the update; whether it mattered shows in the installation.
    if let Err(error) = process::run(apt_get().arg("update")) {
        eprintln!("xtask: {error:#}");
    }
    process::run(apt_get().args(["install", "--yes", "--no-install-recommends", package]))
}

/// While this lives, Debian's packages set up and start no server of their own. Nobody asked for one.
struct QuietInstallation {
    files: Vec<PathBuf>,
}

impl QuietInstallation {
    fn prepare(wanted: &Wanted) -> Result<Self> {
        let mut quiet = Self { files: Vec::new() };
        if let Some((path, text)) = wanted.setting {
            quiet.write(path, text, 0o644)?;
        }
        // Debian asks this program whether a service may be started. Should we be killed, it stops saying no.
        let policy = "/usr/sbin/policy-rc.d";
        if !Path::new(policy).exists() {
            let text =
                format!("#!/bin/sh\nif kill -0 {} 2>/dev/null; then exit 101; fi\n", std::process::id());
            quiet.write(policy, &text, 0o755)?;
        }
        Ok(quiet)
    }

    fn write(&mut self, path: &str, text: &str, mode: u32) -> Result<()> {
        let path = PathBuf::from(path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        self.files.push(path.clone());
        std::fs::set_permissions(&path, Permissions::from_mode(mode))
            .with_context(|| format!("cannot change {}", path.display()))
    }
}

impl Drop for QuietInstallation {
    fn drop(&mut self) {
        for path in &self.files {
            if let Err(error) = std::fs::remove_file(path) {
                eprintln!("xtask: cannot remove {}: {error}", path.display());
            }
        }
    }
}

/// The folder with the unpacked packages, laid out like `/`.
fn unpacked(wanted: &Wanted) -> Result<PathBuf> {
    workspace::cached(wanted.package, |tree| {
        let downloads = tempfile::tempdir_in(workspace::cache_folder()?)?;
        for package in packages(downloads.path(), wanted.package)? {
            process::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(tree))?;
        }
        Ok(())
    })
}

/// Downloads what installing the package would add to this machine: itself and every library that is missing.
fn packages(work: &Path, package: &str) -> Result<Vec<PathBuf>> {
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(work.join(folder))?;
    }
    // The machine's own package lists may be missing or old and cannot be refreshed without being root.
    if let Err(error) = process::run(apt_get_into(work).arg("update")) {
        eprintln!("xtask: {error:#}");
    }
    process::run(apt_get_into(work).args([
        "install",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        package,
    ]))?;

    let archives = std::fs::read_dir(work.join("cache/archives"))?;
    let mut packages: Vec<PathBuf> = archives.flatten().map(|entry| entry.path()).collect();
    packages.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    packages.sort();
    if packages.is_empty() {
        bail!("apt-get downloaded nothing");
    }
    Ok(packages)
}

fn apt_get_into(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.stdout(std::io::stderr()).args(["-qq", "-o", "Debug::NoLocking=true"]);
    for (setting, folder) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
        let mut value = OsString::from(setting);
        value.push("=");
        value.push(work.join(folder));
        command.arg("-o").arg(value);
    }
    command
}
