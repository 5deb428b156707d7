//! Reads single rows of a file again, for their text.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::SystemTime;

use memchr::memchr;
use payops_channels::options::ReadOptions;
use payops_channels::read::{BoundFormat, reread_rows};
use payops_channels::row::{Kind, Position, ROW_TEXTS, Reject, Row, RowSink, Status};
use payops_core::currency::Currency;

use super::row_index::{Block, RowIndex};

/// A file that stays open, and how it looked when it was opened.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub(super) file: File,
    pub(super) length: u64,
    modified: Option<SystemTime>,
}

impl OpenFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { file, length: metadata.len(), modified: metadata.modified().ok() })
    }

    /// Whether somebody has written to the file since.
    pub(super) fn has_changed(&self) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        Ok(metadata.len() != self.length || metadata.modified().ok() != self.modified)
    }
}

/// A file that was read once, and where its rows stand.
#[derive(Debug)]
pub(super) struct RowSource {
    pub(super) file: OpenFile,
    pub(super) index: RowIndex,
    /// `None` when the header was refused; then there is no row.
    pub(super) bound: Option<BoundFormat>,
    pub(super) options: ReadOptions,
}

/// Blocks that are read as if they stood one behind the other, and the wanted rows in them. Of plain blocks there are only
/// the lines of wanted rows, each a block.
#[derive(Debug, Default)]
struct Run<'w> {
    blocks: Vec<Block>,
    /// The bytes of all plain blocks.
    lines: Vec<u8>,
    wanted: &'w [u64],
}

impl RowSource {
    /// The rows with the ordinals `wanted`, which must ascend. A row that the file no longer has is left out.
    ///
    /// Only the blocks around wanted rows are read, and as many of them as possible by one call of the
    /// reader, so that thousands of scattered rows cost little more than their bytes.
    pub(super) fn fetch(&self, wanted: &[u64]) -> io::Result<RowTexts> {
        let mut texts = RowTexts::default();
        let Some(bound) = &self.bound else { return Ok(texts) };
        for run in self.runs(wanted, bound.is_csv())? {
            let Some(first) = run.blocks.first() else { continue };
            let mut reader = BlockReader {
                file: &self.file.file,
                blocks: &run.blocks,
                lines: &run.lines,
                offset: first.start.offset,
                error: None,
            };
            let mut sink =
                RunSink { blocks: &run.blocks, reported: first.start, wanted: run.wanted, texts: &mut texts };
            reread_rows(&mut reader, first.start, bound, &self.options, &mut sink);
            if let Some(error) = reader.error {
                return Err(error);
            }
        }
        Ok(texts)
    }

    fn runs<'w>(&self, mut wanted: &'w [u64], is_csv: bool) -> io::Result<Vec<Run<'w>>> {
        let mut runs = Vec::new();
        let (mut open, mut taken) = (Run::default(), 0);
        let (mut text, mut read) = (Vec::new(), Ok(()));
        self.index.blocks(self.file.length, wanted, |block, inside| {
            let of_block = &wanted[taken..taken + inside];
            taken += inside;
            if read.is_err() {
                return;
            }
            if is_csv && block.is_plain() {
                read = self.read_lines(block, of_block, &mut text, &mut open);
                return;
            }
            open.blocks.push(block);
            if block.ends_in_reject {
                (open.wanted, wanted) = wanted.split_at(taken);
                taken = 0;
                runs.push(std::mem::take(&mut open));
            }
        });
        open.wanted = &wanted[..taken];
        runs.push(open);
        read.map(|()| runs)
    }

    /// Adds the lines of the wanted rows of a plain block, as far as the file still has them. `text` is used again.
    fn read_lines(
        &self,
        block: Block,
        wanted: &[u64],
        text: &mut Vec<u8>,
        run: &mut Run<'_>,
    ) -> io::Result<()> {
        let bytes = usize::try_from(block.end_offset - block.start.offset).map_err(io::Error::other)?;
        text.resize(bytes, 0);
        match self.file.file.read_exact_at(text, block.start.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        let (mut start, mut rest) = (block.start, text.as_slice());
        for ordinal in wanted {
            while let Some(end) = memchr(b'\n', rest) {
                let (line, behind) = rest.split_at(end + 1);
                let next = Position {
                    offset: start.offset + line.len() as u64,
                    line: start.line + 1,
                    ordinal: start.ordinal + 1,
                };
                if start.ordinal == *ordinal {
                    run.lines.extend_from_slice(line);
                    run.blocks.push(Block::between(start, next, false));
                }
                (start, rest) = (next, behind);
                if start.ordinal > *ordinal {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Gives the bytes of some blocks of a file, one block behind the other.
#[derive(Debug)]
struct BlockReader<'a> {
    file: &'a File,
    blocks: &'a [Block],
    /// The bytes of those that are plain.
    lines: &'a [u8],
    offset: u64,
    /// Why the reading stopped early, if it did.
    error: Option<io::Error>,
}

impl Read for BlockReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some((block, rest)) = self.blocks.split_first() {
            let left = usize::try_from(block.end_offset - self.offset).unwrap_or(usize::MAX);
            if left > 0 {
                let wanted = left.min(buffer.len());
                if let (true, Some((line, behind))) = (block.is_plain(), self.lines.split_at_checked(wanted))
                {
                    buffer[..wanted].copy_from_slice(line);
                    self.lines = behind;
                    self.offset += wanted as u64;
                    return Ok(wanted);
                }
                match self.file.read_at(&mut buffer[..wanted], self.offset) {
                    Ok(0) => break,
                    Ok(count) => {
                        self.offset += count as u64;
                        return Ok(count);
                    }
                    Err(error) => {
                        self.error.get_or_insert(io::Error::new(error.kind(), error.to_string()));
                        return Err(error);
                    }
                }
            }
            self.blocks = rest;
            self.offset = rest.first().map_or(0, |next| next.start.offset);
        }
        Ok(0)
    }
}

/// Keeps the wanted rows of a run and puts their positions right.
struct RunSink<'a> {
    blocks: &'a [Block],
    /// Where the reader believes that the first of `blocks` stands.
    reported: Position,
    wanted: &'a [u64],
    texts: &'a mut RowTexts,
}

impl RunSink<'_> {
    /// Where a row really stands that the reader believes to stand at `position`.
    fn actual(&mut self, position: Position) -> Option<Position> {
        while let [block, _, ..] = self.blocks {
            let next = Position {
                offset: self.reported.offset + (block.end_offset - block.start.offset),
                line: self.reported.line + block.lines,
                ordinal: self.reported.ordinal + block.rows,
            };
            if position.ordinal < next.ordinal {
                break;
            }
            self.reported = next;
            self.blocks = &self.blocks[1..];
        }
        let start = self.blocks.first()?.start;
        Some(Position {
            offset: start.offset + (position.offset - self.reported.offset),
            line: start.line + (position.line - self.reported.line),
            ordinal: start.ordinal + (position.ordinal - self.reported.ordinal),
        })
    }
}

impl RowSink for RunSink<'_> {
    fn row(&mut self, position: Position, row: &Row<'_>) {
        let Some(position) = self.actual(position) else { return };
        while let Some((&first, rest)) = self.wanted.split_first()
            && first <= position.ordinal
        {
            if first == position.ordinal {
                self.texts.push(position, row);
            }
            self.wanted = rest;
        }
    }

    fn wants(&mut self, position: Position) -> bool {
        let position = self.actual(position);
        position.is_some_and(|position| self.wanted.first().is_some_and(|first| *first <= position.ordinal))
    }

    fn reject(&mut self, _: Reject) {}

    fn cancelled(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// Rows with their text, in file order, all text in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct RowTexts {
    bytes: Vec<u8>,
    rows: Vec<StoredRow>,
}

#[derive(Debug)]
struct StoredRow {
    position: Position,
    start: usize,
    lengths: [u32; ROW_TEXTS],
    kind: Kind,
    amount: i64,
    currency: Currency,
    status: Option<Status>,
    fee: Option<i64>,
    net: Option<i64>,
    in_window: bool,
}

impl RowTexts {
    pub(super) fn push(&mut self, position: Position, row: &Row<'_>) {
        let texts = row.texts();
        let start = self.bytes.len();
        for text in texts {
            self.bytes.extend_from_slice(text);
        }
        self.rows.push(StoredRow {
            position,
            start,
            lengths: texts.map(|text| u32::try_from(text.len()).unwrap_or(u32::MAX)),
            kind: row.kind,
            amount: row.amount,
            currency: row.currency,
            status: row.status,
            fee: row.fee,
            net: row.net,
            in_window: row.in_window,
        });
    }

    /// The row with this ordinal, and where it stands.
    pub(super) fn get(&self, ordinal: u64) -> Option<(Position, Row<'_>)> {
        let index = self.rows.binary_search_by_key(&ordinal, |row| row.position.ordinal).ok()?;
        let stored = self.rows.get(index)?;
        let mut rest = self.bytes.get(stored.start..)?;
        let mut texts: [&[u8]; ROW_TEXTS] = [&[]; ROW_TEXTS];
        for (text, length) in texts.iter_mut().zip(stored.lengths) {
            (*text, rest) = rest.split_at_checked(length as usize)?;
        }
        let row = Row {
            status: stored.status,
            fee: stored.fee,
            net: stored.net,
            in_window: stored.in_window,
            ..Row::of_texts(stored.kind, stored.amount, stored.currency, texts)
        };
        Some((stored.position, row))
    }
}
