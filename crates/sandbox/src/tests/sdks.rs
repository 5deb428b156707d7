//! Stripe's own SDKs, which must not notice that they talk to the sandbox.

use std::io::{Read, Seek};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use payops_core::time::SystemClock;
use tokio::process::Command;

use super::Bed;

/// Far more than a run of a script takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(5);

/// What a script prints when all is well, and only then.
const ALL_IS_WELL: &str = "the SDK noticed nothing";

#[tokio::test]
async fn the_sdk_for_python_notices_nothing() {
    sdk_notices_nothing("PAYOPS_TEST_STRIPE_PYTHON", "check_with_python.py").await;
}

#[tokio::test]
async fn the_sdk_for_node_notices_nothing() {
    sdk_notices_nothing("PAYOPS_TEST_STRIPE_NODE", "check_with_node.mjs").await;
}

/// Runs a script with the program that a variable names, against a sandbox of its own whose clock runs.
async fn sdk_notices_nothing(variable: &str, script: &str) {
    let program = std::env::var_os(variable).unwrap_or_else(|| {
        panic!(
            "{variable} is not set: run the tests by `cargo xtask test`, which fetches Stripe's SDKs or says why it \
             cannot, or see `cargo xtask servers`"
        )
    });
    let bed = Bed::start_with(|config| config.clock = Arc::new(SystemClock)).await;
    let mut output = tempfile::tempfile().unwrap();
    let mut process = Command::new(program)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(script))
        .arg(bed.sandbox.base_url())
        .env("PYTHONUNBUFFERED", "1")
        .stdout(output.try_clone().unwrap())
        .stderr(output.try_clone().unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await;

    let mut printed = Vec::new();
    output.rewind().unwrap();
    output.read_to_end(&mut printed).unwrap();
    let printed = String::from_utf8_lossy(&printed);
    let Ok(status) = ended else { panic!("{script} did not end within {PATIENCE:?}:\n{printed}") };
    assert!(status.unwrap().success(), "{script} failed:\n{printed}");
    assert_eq!(printed.lines().last(), Some(ALL_IS_WELL), "{script} ended early:\n{printed}");
}
