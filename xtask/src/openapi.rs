//! `cargo xtask openapi`: the committed OpenAPI documents are the ones that the services serve.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// The services that have a document.
const SERVICES: &[&str] = &["reconciliation"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fail when a file differs from what the service serves; change nothing.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let folder = workspace::root().join("docs/openapi");
    for service in SERVICES {
        let served = process::output(process::cargo().args([
            "run",
            "--quiet",
            "--package",
            "payops",
            "--",
            "openapi",
            service,
        ]))?;
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
