//! Where things are: the workspace's root and the folder for what xtask downloads.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process;

/// The folder that holds the workspace's `Cargo.toml`.
///
/// Cargo names this crate's folder when it runs the command, so a workspace that was moved is found where it is now.
pub(crate) fn root() -> PathBuf {
    let own_folder =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let own_folder = PathBuf::from(own_folder);
    own_folder.parent().map(Path::to_path_buf).unwrap_or(own_folder)
}

/// Where Cargo builds.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let metadata =
        process::output(process::cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let target = metadata["target_directory"].as_str().context("cargo metadata names no target folder")?;
    Ok(PathBuf::from(target))
}

/// `xtask` inside Cargo's target folder, created if missing: tools and packages that xtask fetched live there, and
/// `cargo clean` removes them.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let folder = target_folder()?.join("xtask");
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// The folder of this name in the cache: the one of an earlier run, or a fresh one that `fill` has filled.
pub(crate) fn cached(name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = cache_folder()?;
    let finished = cache.join(name);
    if finished.is_dir() {
        return Ok(finished);
    }
    eprintln!("xtask: fetching {name} into {}", finished.display());
    let work = tempfile::Builder::new().prefix(&format!("{name}-")).tempdir_in(&cache)?;
    let tree = work.path().join("tree");
    std::fs::create_dir(&tree)?;
    fill(&tree)?;
    // A rename is all or nothing. Where a run beside this one was faster, its folder serves as well.
    match std::fs::rename(&tree, &finished) {
        Err(_) if finished.is_dir() => Ok(finished),
        Err(error) => Err(error).with_context(|| format!("cannot create {}", finished.display())),
        Ok(()) => Ok(finished),
    }
}
