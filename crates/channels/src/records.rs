//! Splits bytes into records and fields, without an allocation per record.
//!
//! A line without quotes is split at its delimiters; only a record that contains a quote is walked byte by
//! byte. A line ends with LF or CR LF; a CR elsewhere is data. A field is quoted when it *begins* with `"`;
//! inside, `""` means one quote, and delimiters and line ends are data. Lines of nothing but blanks are
//! skipped. A record that cannot be split is reported with its line, and reading goes on at the line after
//! the one where the trouble began.

use std::io::{self, Read};

use memchr::{memchr, memchr_iter, memchr2, memrchr};

use crate::row::{Position, Reject, RejectReason};

const NEVER_CLOSED: &str = "a quoted field opens on this line and is never closed";
const NOWHERE: usize = usize::MAX;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// One record: its fields are borrowed from the reader's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'b> {
    text: &'b [u8],
    spans: &'b [(u32, u32)],
    /// Where the record stands.
    pub(crate) position: Position,
    /// True when every byte is ASCII; false means that it was not looked into.
    pub(crate) ascii: bool,
}

impl<'b> Record<'b> {
    /// A line without quotes as a record. `spans` is used again from line to line.
    pub(crate) fn of_line(
        line: &'b [u8],
        spans: &'b mut Vec<(u32, u32)>,
        delimiter: u8,
        position: Position,
        ascii: bool,
    ) -> Self {
        split(spans, line, Some(delimiter));
        Self { text: line, spans, position, ascii }
    }

    /// How many fields the record has; at least one.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether a carriage return stands in it that no line feed follows.
    pub(crate) fn lone_carriage_return(&self) -> bool {
        memchr::memchr_iter(b'\r', self.text).any(|at| self.text.get(at + 1) != Some(&b'\n'))
    }

    /// A field, or nothing (an empty text) beyond the last one.
    #[inline]
    pub(crate) fn field(&self, index: usize) -> &'b [u8] {
        match self.spans.get(index) {
            Some(&(from, to)) => &self.text[from as usize..to as usize],
            None => &[],
        }
    }
}

/// A record that cannot be split.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    /// Where it starts; the line is the one where the trouble begins.
    pub(crate) position: Position,
    pub(crate) reason: RejectReason,
    pub(crate) message: String,
}

impl Broken {
    pub(crate) fn too_long(position: Position, max_row: usize) -> Self {
        let message = format!("the row is longer than {max_row} bytes");
        Self { position, reason: RejectReason::RowTooLong, message }
    }

    pub(crate) fn into_reject(self) -> Reject {
        Reject { line: self.position.line, column: None, reason: self.reason, message: self.message }
    }
}

/// What stands next in the file.
#[derive(Debug)]
pub(crate) enum Next<'b> {
    Record(Record<'b>),
    Broken(Broken),
    End,
}

/// Reads records from any source of bytes.
#[derive(Debug)]
pub(crate) struct Records<R> {
    source: R,
    buffer: Vec<u8>,
    /// The part of the buffer that holds bytes which are read but not consumed.
    start: usize,
    end: usize,
    /// Bytes of the source before `buffer[0]`.
    base: u64,
    line: u64,
    ordinal: u64,
    /// `None`: a record is a line, quotes mean nothing.
    delimiter: Option<u8>,
    max_row: usize,
    chunk: usize,
    /// The first quote or NUL at or after `start`, or `NOWHERE` within the buffer.
    special: usize,
    ascii: bool,
    ended: bool,
    error: Option<io::Error>,
    spans: Vec<(u32, u32)>,
    unquoted: Vec<u8>,
}

/// How one look for the end of a line came out. Indexes are relative to `start`.
enum Line {
    At { content: usize, next: usize },
    TooLong,
    End,
}

/// How one walk over a record with quotes came out.
enum Walk {
    Done {
        next: usize,
    },
    /// The record goes on behind the bytes given; in a quoted field, where that opened.
    NeedsMore {
        opened: Option<usize>,
    },
    Bad {
        opened: usize,
        message: &'static str,
    },
}

impl<R: Read> Records<R> {
    /// Reads fields between `delimiter`s from the beginning of a file.
    pub(crate) fn new(source: R, delimiter: u8, max_row: usize, chunk: usize) -> Self {
        let first = Position { offset: 0, line: 1, ordinal: 0 };
        Self::build(source, Some(delimiter), max_row, chunk, chunk, first)
    }

    /// As [`Self::new`], from the middle of a file. Small reads come first, since often one row is wanted.
    pub(crate) fn resume(source: R, delimiter: u8, max_row: usize, chunk: usize, start: Position) -> Self {
        Self::build(source, Some(delimiter), max_row, chunk.min(4096), chunk, start)
    }

    /// Reads whole lines, each as a record of one field.
    pub(crate) fn lines(source: R, max_row: usize, chunk: usize, start: Position) -> Self {
        let first_read = if start.offset == 0 { chunk } else { chunk.min(4096) };
        Self::build(source, None, max_row, first_read, chunk, start)
    }

    fn build(
        source: R,
        delimiter: Option<u8>,
        max_row: usize,
        first_read: usize,
        chunk: usize,
        start: Position,
    ) -> Self {
        Self {
            source,
            buffer: vec![0; first_read.max(1)],
            start: 0,
            end: 0,
            base: start.offset,
            line: start.line,
            ordinal: start.ordinal,
            delimiter,
            // Spans are 32 bits wide.
            max_row: max_row.clamp(1, 1 << 30),
            chunk: chunk.max(1),
            special: NOWHERE,
            ascii: true,
            ended: false,
            error: None,
            spans: Vec::new(),
            unquoted: Vec::new(),
        }
    }

    /// Counts rows from here on: what was read before was the header.
    pub(crate) fn restart_ordinals(&mut self) {
        self.ordinal = 0;
    }

    /// How many bytes of the source were consumed.
    pub(crate) fn consumed(&self) -> u64 {
        self.base + self.start as u64
    }

    /// Where the next record is looked for.
    pub(crate) fn next_position(&self) -> Position {
        Position { offset: self.consumed(), line: self.line, ordinal: self.ordinal }
    }

    /// The error that ended the reading early, if one did.
    pub(crate) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// The next record. After [`Next::End`] it stays at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Next<'_> {
        let (content, next) = loop {
            if self.base == 0 && self.start == 0 {
                self.skip_byte_order_mark();
            }
            match self.find_line() {
                Line::End => return Next::End,
                Line::TooLong => return Next::Broken(self.skip_long_line()),
                Line::At { content, next } => {
                    let line = &self.buffer[self.start..self.start + content];
                    if line.first().is_some_and(|&first| first > b' ') || !line.trim_ascii().is_empty() {
                        break (content, next);
                    }
                    self.advance(next, 1);
                }
            }
        };
        if self.special < self.start + content {
            return self.special_record(content, next);
        }
        let position = self.take_position();
        let from = self.start;
        self.advance(next, 1);
        let text = &self.buffer[from..from + content];
        split(&mut self.spans, text, self.delimiter);
        Next::Record(Record { text, spans: &self.spans, position, ascii: self.ascii })
    }

    /// The end of the line that begins at `start`, reading more as needed.
    #[inline]
    fn find_line(&mut self) -> Line {
        let mut searched = 0;
        loop {
            let pending = &self.buffer[self.start..self.end];
            if let Some(at) = memchr(b'\n', &pending[searched..]) {
                let newline = searched + at;
                let content = newline - usize::from(newline > 0 && pending[newline - 1] == b'\r');
                if content > self.max_row {
                    return Line::TooLong;
                }
                return Line::At { content, next: newline + 1 };
            }
            searched = pending.len();
            if searched > self.max_row + 1 {
                return Line::TooLong;
            }
            if !self.fill() {
                let pending = &self.buffer[self.start..self.end];
                let content = pending.len() - usize::from(pending.last() == Some(&b'\r'));
                return match (pending.is_empty(), content > self.max_row) {
                    (true, _) => Line::End,
                    (false, true) => Line::TooLong,
                    (false, false) => Line::At { content, next: pending.len() },
                };
            }
        }
    }

    /// A record whose first line has a quote or a NUL byte.
    fn special_record(&mut self, content: usize, next: usize) -> Next<'_> {
        let Some(delimiter) = self.delimiter else {
            return Next::Broken(self.refuse_nul(next, 1));
        };
        if memchr(b'"', &self.buffer[self.start..self.start + content]).is_none() {
            return Next::Broken(self.refuse_nul(next, 1));
        }
        let next = loop {
            // One byte beyond the limit, so that a record of just the allowed length is seen to end.
            let limit = self.end.min(self.start + self.max_row + 2);
            let complete = self.ended && limit == self.end;
            let pending = &self.buffer[self.start..limit];
            let more_is_allowed = pending.len() <= self.max_row + 1;
            match walk(pending, delimiter, complete, &mut self.spans, &mut self.unquoted) {
                Walk::Done { next } => break next,
                Walk::NeedsMore { .. } if more_is_allowed => {
                    self.fill();
                }
                Walk::NeedsMore { opened: None } => return Next::Broken(self.skip_long_line()),
                Walk::NeedsMore { opened: Some(opened) } => {
                    let message = format!(
                        "a quoted field that opens on this line is not closed within {} bytes",
                        self.max_row
                    );
                    return Next::Broken(self.refuse_quoting(opened, message));
                }
                Walk::Bad { opened, message } => {
                    return Next::Broken(self.refuse_quoting(opened, message.to_owned()));
                }
            }
        };
        let record = &self.buffer[self.start..self.start + next];
        let lines = memchr_iter(b'\n', record).count() as u64;
        if memchr(0, record).is_some() {
            return Next::Broken(self.refuse_nul(next, lines));
        }
        let position = self.take_position();
        self.advance(next, lines);
        Next::Record(Record { text: &self.unquoted, spans: &self.spans, position, ascii: self.ascii })
    }

    fn refuse_nul(&mut self, next: usize, lines: u64) -> Broken {
        let position = self.take_position();
        self.advance(next, lines);
        Broken { position, reason: RejectReason::NulByte, message: "the row contains a NUL byte".into() }
    }

    /// Refuses a record for its quotes and goes on after the line on which the bad field opened.
    fn refuse_quoting(&mut self, opened: usize, message: String) -> Broken {
        let mut position = self.take_position();
        let lines = memchr_iter(b'\n', &self.buffer[self.start..self.start + opened]).count() as u64;
        position.line += lines;
        self.advance(opened, lines);
        self.skip_line();
        Broken { position, reason: RejectReason::BadQuoting, message }
    }

    fn skip_long_line(&mut self) -> Broken {
        let position = self.take_position();
        self.skip_line();
        Broken::too_long(position, self.max_row)
    }

    /// Drops what is left of a line, however long, holding no more of it than one chunk.
    fn skip_line(&mut self) {
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[self.start..self.end]) {
                return self.advance(at + 1, 1);
            }
            self.advance(self.end - self.start, 0);
            if !self.fill() {
                return;
            }
        }
    }

    fn take_position(&mut self) -> Position {
        let position =
            Position { offset: self.base + self.start as u64, line: self.line, ordinal: self.ordinal };
        self.ordinal += 1;
        position
    }

    #[inline]
    fn advance(&mut self, by: usize, lines: u64) {
        self.start += by;
        self.line += lines;
        if self.special < self.start {
            self.special = self.find_special(self.start);
        }
    }

    fn find_special(&self, from: usize) -> usize {
        let bytes = &self.buffer[from..self.end];
        let found = if self.delimiter.is_some() { memchr2(b'"', 0, bytes) } else { memchr(0, bytes) };
        found.map_or(NOWHERE, |at| from + at)
    }

    fn skip_byte_order_mark(&mut self) {
        while self.end - self.start < BYTE_ORDER_MARK.len() && self.fill() {}
        if self.buffer[self.start..self.end].starts_with(BYTE_ORDER_MARK) {
            self.start += BYTE_ORDER_MARK.len();
        }
    }

    /// Reads on; false at the end of the source.
    fn fill(&mut self) -> bool {
        if self.ended {
            return false;
        }
        self.make_room();
        let old_end = self.end;
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.ended = true,
                Ok(count) => self.end += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // What follows the last line end is a piece of a row, which must not pass for a row.
                    self.end = memrchr(b'\n', &self.buffer[self.start..self.end])
                        .map_or(self.start, |at| self.start + at + 1);
                    self.error = Some(error);
                    self.ended = true;
                    return false;
                }
            }
            break;
        }
        self.ascii = (self.ascii || self.start == old_end) && self.buffer[old_end..self.end].is_ascii();
        if self.special == NOWHERE {
            self.special = self.find_special(old_end);
        }
        self.end > old_end
    }

    fn make_room(&mut self) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.base += self.start as u64;
            self.end -= self.start;
            if self.special != NOWHERE {
                self.special -= self.start;
            }
            self.start = 0;
        }
        let length = self.buffer.len();
        if length < self.chunk {
            self.buffer.resize((length * 2).min(self.chunk), 0);
        } else if self.end == length {
            self.buffer.resize(length * 2, 0);
        }
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end * 2, 0);
        }
    }
}

/// Notes where the fields of a line without quotes are. A line is at most 2^30 bytes long.
///
/// Fields are a few bytes long, so eight bytes are compared at a time: a search that starts anew for each
/// field takes longer to start than to search.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "rows are at most 2^30 bytes, see Records::build")]
fn split(spans: &mut Vec<(u32, u32)>, text: &[u8], delimiter: Option<u8>) {
    spans.clear();
    let mut from = 0;
    if let Some(delimiter) = delimiter {
        let (words, rest) = text.as_chunks::<8>();
        let mut before = 0;
        for word in words {
            let mut hits = equal_bytes(*word, delimiter);
            while hits != 0 {
                let at = before + hits.trailing_zeros() / 8;
                spans.push((from, at));
                from = at + 1;
                hits &= hits - 1;
            }
            before += 8;
        }
        for (at, &byte) in (before..).zip(rest) {
            if byte == delimiter {
                spans.push((from, at));
                from = at + 1;
            }
        }
    }
    spans.push((from, text.len() as u32));
}

/// The highest bit of each byte that equals `byte`, the first byte lowest.
#[inline]
fn equal_bytes(word: [u8; 8], byte: u8) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let different = u64::from_le_bytes(word) ^ u64::from_le_bytes([byte; 8]);
    // Adding carries into a byte's highest bit unless its lower bits are all zero; no carry crosses bytes.
    !(((different & LOW) + LOW) | different) & !LOW
}

/// Walks over one record that has quotes, and collects its fields without them. `complete` says that nothing
/// follows `bytes`.
#[expect(clippy::cast_possible_truncation, reason = "rows are at most 2^30 bytes, see Records::build")]
fn walk(
    bytes: &[u8],
    delimiter: u8,
    complete: bool,
    spans: &mut Vec<(u32, u32)>,
    unquoted: &mut Vec<u8>,
) -> Walk {
    spans.clear();
    unquoted.clear();
    let mut at = 0;
    loop {
        let from = unquoted.len() as u32;
        let mut close = |unquoted: &Vec<u8>| spans.push((from, unquoted.len() as u32));
        if bytes.get(at) != Some(&b'"') {
            let rest = &bytes[at..];
            let (field, next) = match memchr2(delimiter, b'\n', rest) {
                Some(to) => (&rest[..to], at + to + 1),
                None if complete => (rest, bytes.len()),
                None => return Walk::NeedsMore { opened: None },
            };
            let ends = bytes.get(at + field.len()) != Some(&delimiter);
            let field = if ends { field.strip_suffix(b"\r").unwrap_or(field) } else { field };
            unquoted.extend_from_slice(field);
            close(unquoted);
            if ends {
                return Walk::Done { next };
            }
            at = next;
            continue;
        }
        let opened = at;
        at = match unquote(bytes, opened, unquoted) {
            Some(closed) => closed,
            None if complete => return Walk::Bad { opened, message: NEVER_CLOSED },
            None => return Walk::NeedsMore { opened: Some(opened) },
        };
        close(unquoted);
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(&byte), _) if byte == delimiter => at += 1,
            (None, _) | (Some(b'\r'), None) if !complete => return Walk::NeedsMore { opened: Some(opened) },
            (None, _) => return Walk::Done { next: at },
            (Some(b'\n'), _) | (Some(b'\r'), None) => return Walk::Done { next: at + 1 },
            (Some(b'\r'), Some(b'\n')) => return Walk::Done { next: at + 2 },
            (Some(_), _) => return Walk::Bad { opened, message: "text follows a closing quote" },
        }
    }
}

/// Collects the text of the quoted field that opens at `opened`; gives the index behind its closing quote.
fn unquote(bytes: &[u8], opened: usize, unquoted: &mut Vec<u8>) -> Option<usize> {
    let mut at = opened + 1;
    loop {
        let to = memchr(b'"', &bytes[at..])?;
        unquoted.extend_from_slice(&bytes[at..at + to]);
        at += to + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        unquoted.push(b'"');
        at += 1;
    }
}

#[cfg(test)]
mod tests;
