//! Opens gzip streams and zip archives.

use std::io::{BufReader, Read, Seek, SeekFrom, Write};

use flate2::read::MultiGzDecoder;
use zip::ZipArchive;
use zip::result::ZipError;

use super::pump::{Pumped, pump};
use super::{Packing, SpoolError};
use crate::fault::excerpt;
use crate::options::Limits;

/// Below this size no ratio is asked for.
const FREE_OF_RATIO: u64 = 64 << 20;

/// Writes the plain text of `source`, which has `bytes` bytes and stands at its beginning, to `sink`.
pub(crate) fn unpack<R: Read + Seek, W: Write>(
    mut source: R,
    bytes: u64,
    sink: W,
    limits: &Limits,
) -> Result<Pumped, SpoolError> {
    let mut beginning = Vec::with_capacity(4);
    source.by_ref().take(4).read_to_end(&mut beginning)?;
    source.seek(SeekFrom::Start(0))?;
    match Packing::detect(&beginning) {
        Packing::None => pump(source, sink, limits.max_file_bytes),
        Packing::Gzip => {
            let unpacked = MultiGzDecoder::new(BufReader::with_capacity(128 << 10, source));
            pump(unpacked, sink, largest(bytes, limits))
        }
        Packing::Zip => unzip(source, sink, limits),
    }
}

/// How large a packed file of `packed` bytes may become.
fn largest(packed: u64, limits: &Limits) -> u64 {
    packed.saturating_mul(limits.max_unpack_ratio).max(FREE_OF_RATIO).min(limits.max_file_bytes)
}

fn unzip<R: Read + Seek, W: Write>(source: R, sink: W, limits: &Limits) -> Result<Pumped, SpoolError> {
    let mut archive = ZipArchive::new(BufReader::with_capacity(128 << 10, source)).map_err(archive_error)?;
    let index = the_only_member(&mut archive)?;
    let member = archive.by_index(index).map_err(archive_error)?;
    let limit = largest(member.compressed_size(), limits);
    pump(member, sink, limit)
}

/// The one file of the archive; folders do not count.
fn the_only_member<R: Read + Seek>(archive: &mut ZipArchive<R>) -> Result<usize, SpoolError> {
    const NAMED: usize = 10;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(archive_error)?;
        let name = member.name().map_or_else(|_| "?".to_owned(), |name| excerpt(name.as_bytes()));
        if member.enclosed_name().is_none() || name.contains('\\') {
            return Err(SpoolError::UnsafeName(name));
        }
        if member.encrypted() {
            return Err(SpoolError::Encrypted);
        }
        if !member.is_dir() {
            files.push((index, name));
        }
    }
    match files.as_slice() {
        [] => Err(SpoolError::NoMember),
        [(index, _)] => Ok(*index),
        _ => Err(SpoolError::SeveralMembers {
            count: files.len(),
            names: files.into_iter().take(NAMED).map(|(_, name)| name).collect(),
        }),
    }
}

fn archive_error(error: ZipError) -> SpoolError {
    match error {
        ZipError::Io(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => SpoolError::Io(error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => SpoolError::Encrypted,
        other => SpoolError::Archive(other.to_string()),
    }
}
