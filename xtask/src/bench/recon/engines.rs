//! Who reconciles: payops and, where they can be installed, its rivals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::floor;
use super::measure::{self, Usage};
use crate::{process, workspace};

/// How payops reads the channel's file.
pub(in crate::bench) const MAPPING: &str = include_str!("channel.toml");
/// Rivals in Python: name, package, program.
const IN_PYTHON: [(&str, &str, &str); 2] = [
    ("DuckDB 2.0.0", "duckdb==2.0.0", include_str!("duckdb_rival.py")),
    ("Polars 1.33.1", "polars==1.33.1", include_str!("polars_rival.py")),
];
/// The rival in Rust: name, and its folder under `xtask/rivals`, which names its version.
const IN_RUST: (&str, &str) = ("csv-diff 0.1.2", "csv-diff");

/// One way to reconcile the two files.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) name: &'static str,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Payops {
        program: PathBuf,
        mapping: PathBuf,
        arguments: &'static [&'static str],
    },
    /// A command that takes both files and where its differences go.
    Rival(Vec<PathBuf>),
    /// Reads both files and counts their lines: what nobody can do without.
    Floor,
}

/// Builds payops and, with rivals, installs and builds what can be had. What cannot is named, and left out.
pub(super) fn prepare(folder: &Path, with_rivals: bool) -> Result<Vec<Engine>> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    process::run(process::cargo().args(["build", "--quiet", "--release", "--package", "payops"]))?;
    let target = workspace::cache_folder()?;
    let program = target.with_file_name("release").join("payops");
    let mapping = folder.join("channel.toml");
    fs::write(&mapping, MAPPING).with_context(|| format!("cannot write {}", mapping.display()))?;
    let payops = |name, arguments| Engine {
        name,
        kind: Kind::Payops { program: program.clone(), mapping: mapping.clone(), arguments },
    };
    let mut engines = vec![
        payops("payops", &[]),
        Engine { name: "read, count lines", kind: Kind::Floor },
        payops("payops, one thread", &["--threads", "1"]),
        payops("payops, in memory", &["--memory", "8GiB"]),
    ];
    if with_rivals {
        let in_python = IN_PYTHON.map(|(name, package, script)| (name, install(folder, package, script)));
        let in_rust = (IN_RUST.0, build(folder, IN_RUST.1));
        for (name, command) in in_python.into_iter().chain([in_rust]) {
            match command {
                Ok(command) => engines.push(Engine { name, kind: Kind::Rival(command) }),
                Err(error) => eprintln!("{name} is left out: {error:#}"),
            }
        }
    }
    Ok(engines)
}

/// Builds a rival that is a library of Rust. Its program is a package of its own, of which the workspace knows nothing.
fn build(folder: &Path, name: &str) -> Result<Vec<PathBuf>> {
    let manifest = workspace::root().join("xtask/rivals").join(name).join("Cargo.toml");
    let target = folder.with_file_name(name);
    let mut cargo = process::cargo();
    cargo.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
    process::output(cargo.arg("--target-dir").arg(&target))?;
    Ok(vec![target.join("release").join(format!("payops-rival-{name}"))])
}

fn install(folder: &Path, package: &str, script: &str) -> Result<Vec<PathBuf>> {
    let environment = folder.with_file_name("python").join(package);
    let python = environment.join("bin/python");
    let installed = environment.join("installed");
    if !installed.is_file() {
        process::output(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"];
        process::output(Command::new(&python).args(pip).arg(package))?;
        fs::write(&installed, "")?;
    }
    let file = environment.join("rival.py");
    fs::write(&file, script)?;
    Ok(vec![python, file])
}

impl Engine {
    /// Reconciles the files in `place`. In the folder of [`Self::output`], differences go to `differences.csv` and
    /// figures, which every engine prints as JSON, to `figures.json`.
    pub(super) fn run(&self, place: &Path) -> Result<Usage> {
        let output = self.output(place);
        fs::create_dir_all(&output)?;
        let (platform, channel) = (place.join("platform.csv"), place.join("channel.csv"));
        let command = match &self.kind {
            Kind::Payops { program, mapping, arguments } => {
                let mut command = Command::new(program);
                command.args(["reconcile", "--channel", "generic", "--mapping"]).arg(mapping);
                command.arg("--platform").arg(platform).arg("--settlement").arg(channel);
                command.arg("--diffs").arg(output.join("differences.csv"));
                command.arg("--json").args(*arguments);
                command
            }
            Kind::Rival(words) => {
                let (program, arguments) = words.split_first().context("a rival without a command")?;
                let mut command = Command::new(program);
                command.args(arguments).arg(platform).arg(channel).arg(output.join("differences.csv"));
                command
            }
            Kind::Floor => floor::command(&[platform, channel])?,
        };
        measure::run(&command, &output.join("figures.json"))
    }

    /// The folder for what this engine writes.
    pub(super) fn output(&self, place: &Path) -> PathBuf {
        place.join(self.name.replace([' ', ','], "_"))
    }

    /// Whether it finds differences, so that they can be checked.
    pub(super) fn reconciles(&self) -> bool {
        !matches!(self.kind, Kind::Floor)
    }

    pub(super) fn is_payops(&self) -> bool {
        matches!(self.kind, Kind::Payops { .. })
    }
}
