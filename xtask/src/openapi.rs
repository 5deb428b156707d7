//! `cargo xtask openapi`: the committed OpenAPI documents are the ones that the services serve.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{process, workspace};

/// The services that have a document.
const SERVICES: &[&str] = &["reconciliation", "disputes", "limits"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fail when a file differs from what the service serves; change nothing.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = workspace::root().join("docs/openapi");
    let payops = built_payops()?;
    for service in SERVICES {
        let served = process::output(Command::new(&payops).args(["openapi", service]))?;
        let file = folder.join(format!("{service}.json"));
        if arguments.check {
            compare(&file, &served)?;
        } else {
            std::fs::create_dir_all(&folder)?;
            std::fs::write(&file, &served).with_context(|| format!("cannot write {}", file.display()))?;
            eprintln!("xtask: wrote {}", file.display());
        }
    }
    Ok(())
}

/// The binary as the test suite uses it. A build of its own would compile half of the dependencies again, because
/// tests switch on more of their features.
fn built_payops() -> Result<PathBuf> {
    let mut build = process::cargo();
    build.args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"]);
    let messages = process::output(build.stderr(Stdio::inherit()))?;
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == "payops" && message["profile"]["test"] == false)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .context("cargo test built no binary named payops")
}

fn compare(file: &Path, served: &str) -> Result<()> {
    const REMEDY: &str = "run `cargo xtask openapi`, look at the change, and commit it";
    let committed =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}; {REMEDY}", file.display()))?;
    if let Some(line) = first_difference(&committed, served) {
        bail!("{} differs from what the service serves, from line {line} on; {REMEDY}", file.display());
    }
    Ok(())
}

/// The number, from 1, of the first line that differs.
fn first_difference(left: &str, right: &str) -> Option<usize> {
    if left == right {
        return None;
    }
    let equal_lines = left.lines().zip(right.lines()).take_while(|(left, right)| left == right).count();
    Some(equal_lines + 1)
}

#[cfg(test)]
mod tests {
    use super::first_difference;

    #[test]
    fn a_difference_is_named_by_its_line() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("a\n", "a"), Some(2), "a missing newline at the end counts");
    }
}
