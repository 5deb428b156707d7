//! Where the rows of a file stand: one mark for every few rows, about half a byte a row.

use payops_channels::row::Position;

/// How many rows lie between two marks.
const BLOCK_ROWS: u64 = 8;

/// Consecutive rows that can be read on their own: the block starts with the first byte of an accepted row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Where the block's first row stands.
    pub(super) start: Position,
    /// Where the next block's first row stands; for the last block, the end of the file.
    pub(super) end_offset: u64,
    /// The line breaks inside the block.
    pub(super) lines: u64,
    /// The ordinals inside the block, those of rejected rows included.
    pub(super) rows: u64,
    /// A row of the block was rejected, always after its last accepted row. What a reader makes of the bytes
    /// that follow such a row is not certain, so it must not be fed the next block in one go with it.
    pub(super) ends_in_reject: bool,
}

/// The marks of a file. Each is three variable-length numbers: the block's rows, bytes and lines.
#[derive(Debug, Default)]
pub(super) struct RowIndex {
    marks: Vec<u8>,
    open: Option<Position>,
    first: Position,
    rejected: bool,
}

impl RowIndex {
    /// Takes note of an accepted row. Rows must come in file order.
    #[inline]
    pub(super) fn row(&mut self, position: Position) {
        match self.open {
            Some(open) if position.ordinal < open.ordinal + BLOCK_ROWS && !self.rejected => {}
            Some(open) => {
                self.close(open, position);
                self.open = Some(position);
            }
            None => {
                self.first = position;
                self.open = Some(position);
            }
        }
        self.rejected = false;
    }

    /// Takes note of a reject.
    pub(super) fn reject(&mut self) {
        self.rejected = true;
    }

    fn close(&mut self, open: Position, next: Position) {
        let rows = next.ordinal.saturating_sub(open.ordinal);
        put(&mut self.marks, rows << 1 | u64::from(self.rejected));
        put(&mut self.marks, next.offset.saturating_sub(open.offset));
        put(&mut self.marks, next.line.saturating_sub(open.line));
    }

    /// The blocks in file order; the last ends at `file_length`.
    pub(super) fn blocks(&self, file_length: u64) -> impl Iterator<Item = Block> {
        let mut marks = self.marks.as_slice();
        let mut start = self.first;
        let mut open = self.open;
        std::iter::from_fn(move || {
            if marks.is_empty() {
                let start = open.take()?;
                return Some(Block {
                    start,
                    end_offset: file_length,
                    lines: 0,
                    rows: u64::MAX,
                    ends_in_reject: true,
                });
            }
            let (rows, bytes, lines) = (get(&mut marks), get(&mut marks), get(&mut marks));
            let block = Block {
                start,
                end_offset: start.offset + bytes,
                lines,
                rows: rows >> 1,
                ends_in_reject: rows & 1 == 1,
            };
            start = Position {
                offset: block.end_offset,
                line: start.line + lines,
                ordinal: start.ordinal + block.rows,
            };
            Some(block)
        })
    }
}

/// Appends `value` in groups of seven bits, the lowest first.
fn put(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        out.push(u8::try_from(value & 0x7F).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap_or(0));
}

fn get(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_lies_in_its_block(
            start in 0_u64..1000,
            rows in proptest::collection::vec((1_u64..5_000_000, 1_u64..4, 0_u64..20), 0..200),
        ) {
            let mut index = RowIndex::default();
            let mut accepted = Vec::new();
            let mut at = Position { offset: start, line: 2, ordinal: 0 };
            for (bytes, lines, dice) in rows {
                if dice == 0 { index.reject() } else { index.row(at); accepted.push((at, dice)); }
                at = Position { offset: at.offset + bytes, line: at.line + lines, ordinal: at.ordinal + 1 };
            }
            let blocks: Vec<Block> = index.blocks(at.offset).collect();
            for pair in blocks.windows(2) {
                prop_assert_eq!(pair[0].end_offset, pair[1].start.offset);
                prop_assert_eq!(pair[0].start.ordinal + pair[0].rows, pair[1].start.ordinal);
                prop_assert_eq!(pair[0].start.line + pair[0].lines, pair[1].start.line);
            }
            for (position, _) in &accepted {
                let block = blocks.iter().rfind(|block| block.start.ordinal <= position.ordinal).unwrap();
                prop_assert!(block.start.offset <= position.offset && position.offset < block.end_offset);
                prop_assert!(position.ordinal < block.start.ordinal + BLOCK_ROWS);
            }
            prop_assert_eq!(blocks.last().map(|block| block.end_offset), accepted.last().map(|_| at.offset));
        }
    }
}
