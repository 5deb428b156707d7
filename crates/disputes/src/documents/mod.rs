//! The files of a dispute: what they are, how many pages they have, and how they become what the channel takes.
//!
//! Files come from strangers. Nothing here panics on one, and none can take unbounded memory: see [`pages`] for what
//! bounds a PDF. All output is the same to the byte for the same input.

mod image;
pub mod kind;
pub mod merge;
pub mod packet;
pub mod pages;
mod reader;
mod refusal;

pub use refusal::Refusal;

use kind::{Format, Notice};

/// How large one file may be, in bytes.
pub const MAX_FILE_BYTES: usize = 5_000_000;

/// What is known of a file that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The name without folders and without what a name must not hold.
    pub name: String,
    /// What the bytes are.
    pub format: Format,
    /// How many pages the channel will count; an image is one.
    pub pages: usize,
    /// What its owner should know, though the file is taken.
    pub notices: Vec<Notice>,
}

impl Inspection {
    /// The name as it came, where it had to be cleaned.
    pub fn sent_as(&self) -> Option<&str> {
        self.notices.iter().find_map(|notice| match notice {
            Notice::Renamed { from } => Some(from.as_str()),
            Notice::Misnamed { .. } => None,
        })
    }
}

/// Reads a file as somebody handed it over. It waits for the reading of a PDF, up to [`pages::DEADLINE`]: call it where
/// waiting is allowed.
pub fn inspect(name: &str, bytes: &[u8]) -> Result<Inspection, Refusal> {
    let (clean, renamed) = kind::clean_name(name);
    let format = kind::format(bytes)?;
    let notices = renamed.into_iter().chain(kind::misnamed(&clean, format)).collect();
    let pages = pages::count(format, bytes)?;
    Ok(Inspection { name: clean, format, pages, notices })
}
