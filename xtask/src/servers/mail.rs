//! The mail server of the tests: a library of Python's. Tests start servers of their own from it, which end with them
//! (`crates/limits/tests/service/mail_server.py`), so here it is only come by.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::obtain::{self, Place, Wanted};
use crate::process;

const WANTED: Wanted = Wanted {
    name: "aiosmtpd",
    package: "python3-aiosmtpd",
    advice: "The tests need Python 3 and its package aiosmtpd, a mail server. Install them and run the command again:\n  \
         Debian, Ubuntu:  apt-get install python3-aiosmtpd\n  \
         elsewhere:       pip install aiosmtpd, for the python3 on PATH",
    setting: None,
};

/// Prints the library's version once it has been loaded with everything it needs.
const PROBE: &str = "import aiosmtpd.smtp, aiosmtpd; print(aiosmtpd.__version__)";

/// A Python that finds the mail server.
pub(super) struct MailServer {
    python: PathBuf,
    /// Folders of packages and of shared libraries, where it does not find them anyway.
    environment: Vec<(&'static str, String)>,
    version: String,
}

impl MailServer {
    pub(super) fn find_or_obtain() -> Result<Self> {
        obtain::find_or_obtain(&WANTED, Self::find)
    }

    /// The first Python that can load it: Debian's own may stand behind another one on `PATH`.
    fn find(place: &Place) -> Result<Self> {
        let unpacked = place.folder("usr/lib/python3/dist-packages");
        let mut environment = Vec::new();
        if let Some(libraries) = place.library_path() {
            environment.push(("PYTHONPATH", unpacked.to_string_lossy().into_owned()));
            environment.push(("LD_LIBRARY_PATH", libraries));
        }
        let ours = process::find_program("python3");
        let system = Some(PathBuf::from("/usr/bin/python3"));
        let mut complaint = None;
        for python in [place.program("python3"), ours, system].into_iter().flatten() {
            let mut found = Self { python, environment: environment.clone(), version: String::new() };
            match process::output(found.command().args(["-c", PROBE])) {
                Ok(version) => {
                    version.trim().clone_into(&mut found.version);
                    return Ok(found);
                }
                Err(error) => complaint = Some(error),
            }
        }
        Err(complaint.context("there is no python3")?)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What was found, for people.
    pub(super) fn version(&self) -> String {
        format!("aiosmtpd {}", self.version)
    }

    /// Writes a program that needs no environment into a folder; gives the variable that tells the tests where it is.
    pub(super) fn wrap(&self, folder: &Path) -> Result<(&'static str, String)> {
        let wrapper = folder.join("python-with-aiosmtpd");
        let settings: Vec<String> =
            self.environment.iter().map(|(name, value)| format!("{name}='{value}' ")).collect();
        let text = format!("#!/bin/sh\n{}exec '{}' \"$@\"\n", settings.concat(), self.python.display());
        std::fs::write(&wrapper, text).with_context(|| format!("cannot write {}", wrapper.display()))?;
        std::fs::set_permissions(&wrapper, Permissions::from_mode(0o755))?;
        Ok(("PAYOPS_TEST_SMTP_PYTHON", wrapper.to_string_lossy().into_owned()))
    }
}
