//! What a sandbox keeps between its runs: one file, whole or not at all.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::days::DayPlan;
use crate::faults::ActiveFault;
use crate::gateway::known::KnownPayment;
use crate::gateway::payments::{Charge, Payment};
use crate::stripe::{Account, Endpoint, KeptAnswer, KeptRun};

/// The file in the folder.
const FILE: &str = "sandbox.json";
/// Raised when older sandboxes could not read what newer ones write.
const FORMAT: u32 = 2;

/// Everything that does not follow from the seed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) payments: u64,
    /// How far the clock is ahead of the machine's.
    pub(crate) clock_ahead_micros: i64,
    pub(crate) plans: BTreeMap<NaiveDate, DayPlan>,
    /// The number of the last fault that was added.
    pub(crate) last_fault: u64,
    pub(crate) faults: Vec<ActiveFault>,
    pub(crate) runs: Vec<KeptRun>,
    pub(crate) idempotency_keys: Vec<KeptAnswer>,
    /// Charges, disputes, files and the rest of Stripe's account; the content of files lies beside this one.
    #[serde(default)]
    pub(crate) account: Account,
    #[serde(default)]
    pub(crate) webhook_endpoints: Vec<Endpoint>,
    /// Payments that were taken through the gateway; the days' are not among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) live_payments: Vec<Payment>,
    /// What the channel knows of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) charges: Vec<Charge>,
    /// What the gateway knows of payments by the channel's ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) known_payments: BTreeMap<String, KnownPayment>,
}

/// The state as it lies on disk. The hash tells a file that was cut off or changed from a good one.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'s> {
    format: u32,
    sha256: String,
    #[serde(borrow)]
    state: &'s RawValue,
}

/// A folder that one sandbox at a time keeps its state in.
#[derive(Debug)]
pub(crate) struct Keeper {
    path: PathBuf,
    /// The hash of what was written last.
    written: Mutex<String>,
    /// Held as long as the sandbox runs; the operating system gives it up when the process ends.
    _claim: File,
}

impl Keeper {
    /// Claims the folder, which is made if it is not there, and reads the state in it, if there is one.
    pub(crate) fn open(folder: &Path) -> io::Result<(Self, Option<State>)> {
        fs::create_dir_all(folder).map_err(|error| about(folder, &error))?;
        let claim = folder.join(format!("{FILE}.lock"));
        let claim = File::options().create(true).truncate(false).write(true).open(&claim);
        let claim = claim.map_err(|error| about(folder, &error))?;
        claim.try_lock().map_err(|error| match error {
            fs::TryLockError::WouldBlock => refused(folder, "another sandbox keeps its state in this folder"),
            fs::TryLockError::Error(error) => about(folder, &error),
        })?;
        let path = folder.join(FILE);
        let state = match fs::read(&path) {
            Ok(text) => Some(
                read(&text).map_err(|why| refused(&path, format!("{why}; move it away to start anew")))?,
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(about(&path, &error)),
        };
        Ok((Self { path, written: Mutex::default(), _claim: claim }, state))
    }

    /// Writes the state unless it is what was written last. It is taken while others wait, so that an older
    /// one never comes last. Blocks until the disk has it.
    pub(crate) fn write(&self, state: impl FnOnce() -> State) -> io::Result<()> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let state = serde_json::value::to_raw_value(&state())?;
        let sha256 = hash(&state);
        if *written == sha256 {
            return Ok(());
        }
        let text = serde_json::to_vec(&Envelope { format: FORMAT, sha256: sha256.clone(), state: &state })?;
        replace(&self.path, &text).map_err(|error| about(&self.path, &error))?;
        *written = sha256;
        Ok(())
    }
}

fn hash(state: &RawValue) -> String {
    hex::encode(Sha256::digest(state.get()))
}

fn read(text: &[u8]) -> Result<State, String> {
    let damaged =
        |error: serde_json::Error| format!("this is no state of a sandbox, or it is damaged: {error}");
    let envelope: Envelope<'_> = serde_json::from_slice(text).map_err(damaged)?;
    if envelope.format != FORMAT {
        return Err(format!("the state has format {}, and this sandbox knows {FORMAT}", envelope.format));
    }
    if hash(envelope.state) != envelope.sha256 {
        return Err("the state is damaged: it does not have the hash that stands beside it".to_owned());
    }
    serde_json::from_str(envelope.state.get()).map_err(damaged)
}

/// Puts a file in the place of another: readers, and whoever comes after a crash, see the one or the other.
fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    file.write_all(text)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

pub(crate) fn refused(path: &Path, why: impl fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()))
}
