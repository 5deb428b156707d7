//! PostgreSQL for somebody who may not install anything: Debian's packages, unpacked into a folder.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// The folder with the unpacked packages, laid out like `/`: the one of an earlier run, or a fresh download.
pub(super) fn tree(cache: &Path) -> Result<PathBuf> {
    let finished = cache.join("postgresql");
    if finished.is_dir() {
        return Ok(finished);
    }
    eprintln!("xtask: PostgreSQL is not installed; unpacking Debian's packages into {}", finished.display());
    let work = tempfile::Builder::new().prefix("postgresql-download-").tempdir_in(cache)?;
    let tree = work.path().join("tree");
    std::fs::create_dir(&tree)?;
    for package in packages(work.path())? {
        process::run(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&tree))?;
    }
    // A rename is all or nothing. Where a run beside this one was faster, its tree serves as well.
    match std::fs::rename(&tree, &finished) {
        Err(_) if finished.is_dir() => Ok(finished),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", finished.display())),
        Ok(()) => Ok(finished),
    }
}

/// The folders of shared libraries inside the tree, as `LD_LIBRARY_PATH` wants them.
pub(super) fn library_path(tree: &Path) -> String {
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
    folders.join(":")
}

/// Downloads what installing PostgreSQL would add to this machine: the server and every library that is missing.
fn packages(work: &Path) -> Result<Vec<PathBuf>> {
    for folder in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(work.join(folder))?;
    }
    // The machine's own package lists may be missing or old and cannot be refreshed without being root.
    if let Err(error) = process::run(apt_get(work).arg("update")) {
        eprintln!("xtask: {error:#}");
    }
    process::run(apt_get(work).args([
        "install",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        "postgresql",
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

fn apt_get(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    command.args(["-qq", "-o", "Debug::NoLocking=true"]);
    for (setting, folder) in [("Dir::State::Lists", "lists"), ("Dir::Cache", "cache")] {
        let mut value = OsString::from(setting);
        value.push("=");
        value.push(work.join(folder));
        command.arg("-o").arg(value);
    }
    command
}
