//! The mail server of the tests: a library of Python's. Tests start servers of their own from it, which end with them
//! (`crates/platform/tests/support/mail_server.py`), so here it is only come by.

use std::path::Path;

use anyhow::Result;

use super::obtain::{self, Place, Wanted};
use super::program::Program;

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
    python: Program,
    version: String,
}

impl MailServer {
    pub(super) fn find_or_obtain() -> Result<Self> {
        obtain::find_or_obtain(&WANTED, Self::find)
    }

    fn find(place: &Place) -> Result<Self> {
        let (python, version) = Program::python(place, PROBE)?;
        Ok(Self { python, version })
    }

    /// What was found, for people.
    pub(super) fn version(&self) -> String {
        format!("aiosmtpd {}", self.version)
    }

    /// Writes a program that needs no environment into a folder; gives the variable that tells the tests where it is.
    pub(super) fn wrap(&self, folder: &Path) -> Result<(&'static str, String)> {
        let wrapper = folder.join("python-with-aiosmtpd");
        self.python.wrap(&wrapper)?;
        Ok(("PAYOPS_TEST_SMTP_PYTHON", wrapper.to_string_lossy().into_owned()))
    }
}
