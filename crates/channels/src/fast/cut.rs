//! Cuts a file into parts at line ends, so that several threads can read it at once.
//!
//! Whoever takes the next part holds the lock of the [`Cutter`] while the part's bytes are read and their delimiters
//! found. Its lines are counted on the way, so the next taker knows its position before this part is parsed. A part
//! with a quote (or anything else for which a line may not be a record) is read by the plain reader *under the
//! lock*, from the part's first byte until it stands behind the part at the beginning of a record: only then is
//! it known where the next part begins. So a part always begins with a record, quotes or not.

use std::io;

use memchr::{memchr, memrchr};

use super::masks::Survey;
use super::{PADDING, PartBuffer, ReadAt};
use crate::row::Position;

/// A piece of the file that begins with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Whole lines, each a record.
    Clean(CleanPart),
    /// To be read by the plain reader until it stands at or behind `end`.
    Special { start: Position, end: u64 },
    /// There is nothing left.
    End,
}

/// Whole lines at the beginning of the buffer, and their index. The last has its line end even where the file lacks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CleanPart {
    pub(super) start: Position,
    pub(super) lines: u64,
    pub(super) ascii: bool,
    /// Each line has as many fields as the header.
    pub(super) even: bool,
}

/// A part that stays in the processor's cache is the fastest, but of each part something is kept. So there are at most as
/// many of the first size, of twice that and of four times that.
const PARTS_OF_A_SIZE: u64 = 8192;

/// Where the next part begins.
#[derive(Debug)]
pub(super) struct Cutter {
    pub(super) next: Position,
    /// How many parts were taken.
    pub(super) taken: u64,
    /// Nothing further is to be read.
    pub(super) ended: bool,
}

impl Cutter {
    /// Takes the next part of about `part_bytes`, or more where there were many. After a clean one the cutter stands behind it; after a special
    /// one whoever reads it says where it ended.
    pub(super) fn cut<A: ReadAt + ?Sized>(
        &mut self,
        source: &A,
        part_bytes: usize,
        (delimiter, width): (u8, usize),
        buffer: &mut PartBuffer,
    ) -> io::Result<Part> {
        let PartBuffer { text: buffer, index, .. } = buffer;
        let part_bytes = part_bytes << (self.taken / PARTS_OF_A_SIZE).min(3);
        // One byte of the padding takes a line end that the file lacks.
        buffer.resize(part_bytes + PADDING, 0);
        let start = self.next;
        let read = if self.ended { 0 } else { read_full(source, &mut buffer[..part_bytes], start.offset)? };
        if read == 0 {
            self.ended = true;
            return Ok(Part::End);
        }
        let mut length = read;
        if buffer[read - 1] != b'\n' {
            if read < part_bytes {
                buffer[read] = b'\n';
                length += 1;
            } else {
                let Some(last) = memrchr(b'\n', &buffer[..read]) else {
                    return Ok(Part::Special { start, end: start.offset + read as u64 });
                };
                length = last + 1;
            }
        }
        let end = start.offset + length.min(read) as u64;
        let text = &buffer[..length];
        // Where there are quotes, there is one soon as a rule.
        if memchr(b'"', &text[..length.min(1024)]).is_some() {
            return Ok(Part::Special { start, end });
        }
        let Survey { lines, special, ascii, even } = index.fill(text, delimiter, width);
        if special {
            return Ok(Part::Special { start, end });
        }
        self.next = Position { offset: end, line: start.line + lines, ordinal: start.ordinal + lines };
        Ok(Part::Clean(CleanPart { start, lines, ascii, even }))
    }
}

/// Reads until the buffer is full or the source ends.
fn read_full<A: ReadAt + ?Sized>(source: &A, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
