//! Brings a file of any shape (packed, with a byte-order mark, UTF-16) into plain UTF-8 text.

mod pump;
mod unpack;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::options::Limits;
use crate::row::{Position, Reject};
pub(crate) use unpack::unpack;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_LE_MARK: &[u8] = b"\xff\xfe";
const UTF16_BE_MARK: &[u8] = b"\xfe\xff";

/// How a file's text is encoded, as its byte-order mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8 without a mark. Nothing else is guessed: bytes that are no UTF-8 are rejected row by row.
    Utf8,
    /// UTF-8 with a mark.
    Utf8Marked,
    /// UTF-16, little-endian.
    Utf16Le,
    /// UTF-16, big-endian.
    Utf16Be,
}

impl Encoding {
    fn detect(beginning: &[u8]) -> Self {
        match beginning {
            _ if beginning.starts_with(UTF8_MARK) => Self::Utf8Marked,
            _ if beginning.starts_with(UTF16_LE_MARK) => Self::Utf16Le,
            _ if beginning.starts_with(UTF16_BE_MARK) => Self::Utf16Be,
            _ => Self::Utf8,
        }
    }

    /// How many bytes the mark takes.
    fn mark_length(self) -> u64 {
        match self {
            Self::Utf8 => 0,
            Self::Utf8Marked => 3,
            Self::Utf16Le | Self::Utf16Be => 2,
        }
    }

    pub(crate) fn is_utf16(self) -> bool {
        matches!(self, Self::Utf16Le | Self::Utf16Be)
    }
}

/// How a file is packed, as its first bytes say; its name is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip, one stream or several behind each other.
    Gzip,
    /// A zip archive of one file.
    Zip,
}

impl Packing {
    fn detect(beginning: &[u8]) -> Self {
        match beginning {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            _ => Self::None,
        }
    }
}

/// Why a file cannot be brought into plain text at all.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The file cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The plain copy of it cannot be written.
    #[error("its plain copy cannot be written: {0}")]
    Copy(io::Error),
    /// A zip archive whose directory cannot be read.
    #[error("the zip archive cannot be read: {0}")]
    Archive(String),
    /// A zip archive without a file.
    #[error("the zip archive holds no file")]
    NoMember,
    /// A zip archive of several files: it is not said which one is meant.
    #[error("the zip archive holds {count} files and exactly one is expected: {}", names.join(", "))]
    SeveralMembers {
        /// How many.
        count: usize,
        /// The names of the first ten.
        names: Vec<String>,
    },
    /// A member whose name points out of the archive.
    #[error("the zip archive holds a file with an unsafe name: '{0}'")]
    UnsafeName(String),
    /// A member that needs a password.
    #[error("the zip archive is encrypted")]
    Encrypted,
    /// An archive inside an archive.
    #[error("the packed file is itself packed")]
    Nested,
    /// A plain file beyond the limit.
    #[error("the file has {bytes} bytes and at most {limit} are accepted")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// [`Limits::max_file_bytes`].
        limit: u64,
    },
}

/// A file as plain UTF-8 text: the original where it is that already, else a temporary copy, which is removed
/// when this is dropped.
#[derive(Debug)]
pub struct PlainFile {
    path: PathBuf,
    start: u64,
    bytes: u64,
    /// The encoding that was found.
    pub encoding: Encoding,
    /// The packing that was found.
    pub packing: Packing,
    /// What is missing from the text, as file-level rejects: a cut stream, a bad checksum, a limit. What
    /// could be unpacked is kept, up to the last whole line.
    pub damage: Vec<Reject>,
    _temporary: Option<TempPath>,
}

impl PlainFile {
    /// Where the text is. It begins at [`Self::start`].
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many bytes to skip: a byte-order mark.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// How many bytes of text there are.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Opens the text at its beginning.
    pub fn open(&self) -> io::Result<File> {
        self.open_at(Position::default())
    }

    /// Opens the text at a row that was read from it.
    pub fn open_at(&self, position: Position) -> io::Result<File> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.start + position.offset))?;
        Ok(file)
    }
}

/// Brings the file at `path` into plain UTF-8 text. Copies go to `directory`.
pub fn spool(path: &Path, directory: &Path, limits: &Limits) -> Result<PlainFile, SpoolError> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut beginning = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut beginning)?;
    file.rewind()?;
    let (packing, encoding) = (Packing::detect(&beginning), Encoding::detect(&beginning));
    if packing == Packing::None && !encoding.is_utf16() {
        if bytes > limits.max_file_bytes {
            return Err(SpoolError::TooLarge { bytes, limit: limits.max_file_bytes });
        }
        let start = encoding.mark_length();
        return Ok(PlainFile {
            path: path.to_owned(),
            start,
            bytes: bytes - start,
            encoding,
            packing,
            damage: Vec::new(),
            _temporary: None,
        });
    }
    let made = tempfile::Builder::new().prefix("spool-").tempfile_in(directory);
    let mut copy = made.map_err(SpoolError::Copy)?;
    let unpacked = unpack(file, bytes, copy.as_file_mut(), limits)?;
    copy.as_file().set_len(unpacked.bytes).map_err(SpoolError::Copy)?;
    let temporary = copy.into_temp_path();
    Ok(PlainFile {
        path: temporary.to_path_buf(),
        start: 0,
        bytes: unpacked.bytes,
        encoding: unpacked.encoding,
        packing,
        damage: unpacked.damage,
        _temporary: Some(temporary),
    })
}

#[cfg(test)]
mod tests;
