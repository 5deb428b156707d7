//! What a run can be repeated and checked by.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the matching rules. It grows whenever the same inputs may give another output.
pub const RULES_VERSION: u32 = 6;
/// The version of the engine.
pub const ENGINE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// States that these inputs, by these rules, gave this output. Anybody with the inputs can run again and
/// compare; there is no time and no chance in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// The version of the engine that ran.
    pub engine_version: String,
    /// The version of the rules it followed.
    pub rules_version: u32,
    /// The files, the mappings among them.
    pub inputs: Vec<CertifiedInput>,
    /// What else the output depends on: channel, day, zone.
    pub parameters: std::collections::BTreeMap<String, String>,
    /// SHA-256, in lower-case hex, of the summary's JSON on one line followed by the differences file.
    pub output_sha256: String,
}

/// A file that went into a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertifiedInput {
    /// What it was used as: `platform`, `channel`, `balance_summary`, `bank`, `bank_reversals`, `payouts`, `payout_rows`,
    /// `mapping`, `platform_mapping`.
    pub role: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes as they were received, in lower-case hex.
    pub sha256: String,
}

impl CertifiedInput {
    /// Hashes what `source` has left.
    pub fn read(role: impl Into<String>, mut source: impl Read) -> io::Result<Self> {
        let mut hashed = Hashed::new(io::sink());
        let bytes = io::copy(&mut source, &mut hashed)?;
        Ok(Self { role: role.into(), bytes, sha256: hashed.finish().1 })
    }
}

impl Certificate {
    /// The certificate of a run of this engine.
    pub fn new(
        inputs: Vec<CertifiedInput>,
        parameters: impl IntoIterator<Item = (String, String)>,
        output_sha256: String,
    ) -> Self {
        let parameters = parameters.into_iter().collect();
        let engine_version = ENGINE_VERSION.to_owned();
        Self { engine_version, rules_version: RULES_VERSION, inputs, parameters, output_sha256 }
    }
}

/// A writer that hashes what passes through it.
pub struct Hashed<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Hashed<W> {
    /// Hashes what is written to `inner` from here on.
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new() }
    }

    /// The writer, and SHA-256 in lower-case hex of what was written.
    pub fn finish(self) -> (W, String) {
        (self.inner, hex::encode(self.hash.finalize()))
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
