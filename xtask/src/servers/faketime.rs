//! libfaketime, which makes one process believe in another time.

use std::path::PathBuf;

use anyhow::{Context, Result};

use super::obtain::{self, Place, Wanted};

const WANTED: Wanted = Wanted {
    name: "libfaketime",
    package: "libfaketime",
    advice: "Clocks are set wrong by libfaketime. Install it and run the command again:\n  \
         Debian, Ubuntu:  apt-get install libfaketime",
    setting: None,
};

/// The library for `LD_PRELOAD`.
pub(crate) fn find_or_obtain() -> Result<PathBuf> {
    obtain::find_or_obtain(&WANTED, find)
}

/// Debian puts libraries into one folder for each architecture.
fn find(place: &Place) -> Result<PathBuf> {
    let architectures = std::fs::read_dir(place.folder("usr/lib")).into_iter().flatten().flatten();
    let mut libraries = architectures.map(|folder| folder.path().join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.is_file()).context("there is no libfaketime")
}
