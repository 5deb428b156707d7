//! A folder of files and the program to run in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A folder with the fixtures and whatever a test adds.
pub(crate) struct Folder(TempDir);

/// What came of one run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

const FIXTURES: [(&str, &str); 8] = [
    ("platform.csv", include_str!("fixtures/platform.csv")),
    ("settlement.csv", include_str!("fixtures/settlement.csv")),
    ("balance_summary.csv", include_str!("fixtures/balance_summary.csv")),
    ("agreeing_platform.csv", include_str!("fixtures/agreeing_platform.csv")),
    ("agreeing_settlement.csv", include_str!("fixtures/agreeing_settlement.csv")),
    ("agreeing_summary.csv", include_str!("fixtures/agreeing_summary.csv")),
    ("agreeing_feed.ndjson", include_str!("fixtures/agreeing_feed.ndjson")),
    ("bank.toml", include_str!("fixtures/bank.toml")),
];

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder"));
        for (name, text) in FIXTURES {
            folder.write(name, text);
        }
        folder
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).expect("a file can be written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("the file was written")
    }

    /// The names in the folder that are no fixtures, in order.
    pub(crate) fn others(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("the folder can be listed");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> =
            names.filter(|name| FIXTURES.iter().all(|(fixture, _)| fixture != name)).collect();
        names.sort();
        names
    }

    /// The fixture's text with one piece of it replaced, which must be there.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}");
        self.write(name, text.replacen(from, to, 1));
    }

    /// Runs `payops` with `arguments`, split at blanks, inside the folder.
    pub(crate) fn run(&self, arguments: &str) -> Ran {
        self.run_with(arguments, &[])
    }

    pub(crate) fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ran {
        let output = self.command(arguments).envs(environment.iter().copied()).output().expect("payops runs");
        Ran {
            code: output.status.code().expect("payops ends by itself"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on stdout"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on stderr"),
        }
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payops"));
        command.current_dir(self.0.path()).args(arguments.split_whitespace());
        command.env_remove("LC_ALL").env_remove("LC_MESSAGES").env("LANG", "C.UTF-8");
        command
    }

    /// The verdict and reasons of `reconcile --json` with these arguments.
    pub(crate) fn verdict(&self, arguments: &str) -> (i32, String, Vec<String>) {
        let ran = self.run(&format!("reconcile --json {arguments}"));
        let summary: serde_json::Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        let reasons = summary["reasons"].as_array().expect("reasons").iter();
        let codes = reasons.map(|reason| reason["code"].as_str().expect("a code").to_owned());
        (ran.code, summary["verdict"].as_str().expect("a verdict").to_owned(), codes.collect())
    }
}
