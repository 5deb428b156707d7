//! Programs that may lie in unpacked packages, and then need to be told where their libraries are.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::obtain::Place;
use crate::process;

/// A program and the variables that it needs.
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) environment: Vec<(&'static str, String)>,
}

impl Program {
    /// A program of a place, which finds the place's shared libraries.
    pub(super) fn in_place(place: &Place, path: PathBuf) -> Self {
        let libraries = place.library_path().map(|folders| ("LD_LIBRARY_PATH", folders));
        Self { path, environment: libraries.into_iter().collect() }
    }

    /// The first Python that runs this text, and what it printed. Debian's own may stand behind another one on `PATH`.
    pub(super) fn python(place: &Place, text: &str) -> Result<(Self, String)> {
        let on_path = process::find_program("python3");
        let system = Some(PathBuf::from("/usr/bin/python3"));
        let mut complaint = None;
        for path in [place.program("python3"), on_path, system].into_iter().flatten() {
            let mut python = Self::in_place(place, path);
            if matches!(place, Place::Unpacked(_)) {
                let packages = place.folder("usr/lib/python3/dist-packages");
                python.environment.push(("PYTHONPATH", packages.to_string_lossy().into_owned()));
            }
            match process::output(python.command().args(["-c", text])) {
                Ok(printed) => return Ok((python, printed.trim().to_owned())),
                Err(error) => complaint = Some(error),
            }
        }
        Err(complaint.context("there is no python3")?)
    }

    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Writes a program that needs no variables and does the same.
    pub(super) fn wrap(&self, wrapper: &Path) -> Result<()> {
        let settings: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
        let text = format!("#!/bin/sh\n{}exec '{}' \"$@\"\n", settings.concat(), self.path.display());
        std::fs::write(wrapper, text).with_context(|| format!("cannot write {}", wrapper.display()))?;
        std::fs::set_permissions(wrapper, Permissions::from_mode(0o755))
            .with_context(|| format!("cannot change {}", wrapper.display()))
    }
}
