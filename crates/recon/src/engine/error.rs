//! Why a run could not be finished.

use std::io;

use super::entry::Side;

/// Why a run could not be finished. Faults *in* the files are no errors: they are rejects of a finished run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A file could not be read to its end.
    #[error("the {} file cannot be read: {source}", side.as_str())]
    Input {
        /// Whose file.
        side: Side,
        /// What the system says.
        source: io::Error,
    },
    /// A file is not the same as when its rows were matched.
    #[error("the {} file changed while it was being reconciled", side.as_str())]
    InputChanged {
        /// Whose file.
        side: Side,
    },
    /// The temporary file for what exceeds the memory budget could not be written or read.
    #[error("temporary storage failed: {0}")]
    Temporary(#[from] io::Error),
    /// The run was called off.
    #[error("the run was cancelled")]
    Cancelled,
}
