//! Where the rows of a file stand: one mark for every few rows, about a quarter of a byte a row.

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

/// The marks of a file, by part and in file order.
#[derive(Debug, Default)]
pub(super) struct RowIndex {
    parts: Vec<PartIndex>,
}

/// The marks of a part of a file. Each is a variable-length number: the block's bytes, and whether it has as many rows and
/// lines as a block has, no reject among them. If not, two more follow: its rows and its lines.
#[derive(Debug, Default)]
pub(super) struct PartIndex {
    marks: Vec<u8>,
    /// Where the first row of the part and that of the block which is not closed stand.
    first_and_open: Option<(Position, Position)>,
    /// A row was rejected before the first accepted one.
    rejected_before: bool,
    /// A row was rejected in the open block.
    rejected: bool,
    /// The ordinals below it belong to the open block; zero when the next row opens another.
    open_below: u64,
}

impl PartIndex {
    /// Takes note of an accepted row. Rows must come in file order.
    #[inline]
    pub(super) fn row(&mut self, position: Position) {
        if position.ordinal >= self.open_below {
            self.open_block(position);
        }
    }

    #[inline(never)]
    fn open_block(&mut self, position: Position) {
        match &mut self.first_and_open {
            Some((_, open)) => {
                let block = Block::between(*open, position, self.rejected);
                *open = position;
                let is_odd =
                    (block.rows, block.lines, block.ends_in_reject) != (BLOCK_ROWS, BLOCK_ROWS, false);
                put(&mut self.marks, (block.end_offset - block.start.offset) << 1 | u64::from(is_odd));
                if is_odd {
                    put(&mut self.marks, block.rows << 1 | u64::from(block.ends_in_reject));
                    put(&mut self.marks, block.lines);
                }
            }
            None => self.first_and_open = Some((position, position)),
        }
        self.rejected = false;
        self.open_below = position.ordinal + BLOCK_ROWS;
    }

    /// Takes note of a reject.
    pub(super) fn reject(&mut self) {
        self.open_below = 0;
        match self.first_and_open {
            Some(_) => self.rejected = true,
            None => self.rejected_before = true,
        }
    }

    /// Whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.first_and_open.is_none() && !self.rejected_before
    }

    /// Gives back memory that is not needed.
    pub(super) fn shrink(&mut self) {
        self.marks.shrink_to_fit();
    }
}

impl Block {
    /// Whether each of its records is one line, with nothing between them.
    pub(super) fn is_plain(&self) -> bool {
        self.rows == self.lines && !self.ends_in_reject
    }

    pub(super) fn between(start: Position, end: Position, ends_in_reject: bool) -> Self {
        Self {
            start,
            end_offset: end.offset.max(start.offset),
            lines: end.line.saturating_sub(start.line),
            rows: end.ordinal.saturating_sub(start.ordinal),
            ends_in_reject,
        }
    }

    fn end(&self) -> Position {
        Position {
            offset: self.end_offset,
            line: self.start.line + self.lines,
            ordinal: self.start.ordinal + self.rows,
        }
    }
}

impl RowIndex {
    /// The marks of a whole file; parts must come in file order.
    pub(super) fn of(parts: Vec<PartIndex>) -> Self {
        Self { parts }
    }

    /// Gives `take` each block in which rows of `wanted` stand, which must ascend, in file order, and how many of them stand
    /// there. The last block of the file ends at `file_length`.
    pub(super) fn blocks(&self, file_length: u64, mut wanted: &[u64], mut take: impl FnMut(Block, usize)) {
        let first_of = |(number, part): (usize, &PartIndex)| Some((number, part.first_and_open?.0));
        let mut parts = self.parts.iter().enumerate().filter_map(first_of).peekable();
        while let (Some((number, first)), Some(_)) = (parts.next(), wanted.first()) {
            let end = parts.peek().map_or(u64::MAX, |(_, next)| next.ordinal);
            let (inside, behind) = wanted.split_at(wanted.partition_point(|ordinal| *ordinal < end));
            if !inside.is_empty() {
                self.blocks_of_part(number, first, file_length, inside, &mut take);
            }
            wanted = behind;
        }
    }

    fn blocks_of_part(
        &self,
        number: usize,
        first: Position,
        file_length: u64,
        mut wanted: &[u64],
        take: &mut impl FnMut(Block, usize),
    ) {
        let mut marks = self.parts[number].marks.as_slice();
        let mut start = first;
        while let (false, Some(next)) = (marks.is_empty(), wanted.first()) {
            let bytes = get(&mut marks);
            let (rows, lines) = if bytes & 1 == 1 {
                (get(&mut marks), get(&mut marks))
            } else {
                (BLOCK_ROWS << 1, BLOCK_ROWS)
            };
            let block = Block {
                start,
                end_offset: start.offset + (bytes >> 1),
                lines,
                rows: rows >> 1,
                ends_in_reject: rows & 1 == 1,
            };
            start = block.end();
            if *next < start.ordinal {
                let inside = wanted.iter().take_while(|ordinal| **ordinal < start.ordinal).count();
                take(block, inside);
                wanted = &wanted[inside..];
            }
        }
        if !wanted.is_empty() {
            take(self.last_block(number, file_length), wanted.len());
        }
    }

    /// The block at the end of a part: it goes on to the first row of a later one.
    fn last_block(&self, number: usize, file_length: u64) -> Block {
        let part = &self.parts[number];
        let start = part.first_and_open.map(|(_, open)| open).unwrap_or_default();
        let mut rejected = part.rejected;
        for later in &self.parts[number + 1..] {
            rejected |= later.rejected_before;
            if let Some((first, _)) = later.first_and_open {
                return Block::between(start, first, rejected);
            }
        }
        Block { start, end_offset: file_length, lines: 0, rows: u64::MAX, ends_in_reject: true }
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
            let mut parts = vec![PartIndex::default()];
            let mut accepted = Vec::new();
            let mut at = Position { offset: start, line: 2, ordinal: 0 };
            for (bytes, lines, dice) in rows {
                if dice == 19 {
                    parts.push(PartIndex::default());
                }
                let index = parts.last_mut().unwrap();
                if dice == 0 { index.reject() } else { index.row(at); accepted.push((at, dice)); }
                at = Position { offset: at.offset + bytes, line: at.line + lines, ordinal: at.ordinal + 1 };
            }
            let index = RowIndex::of(parts);
            let wanted: Vec<u64> = accepted.iter().map(|(at, _)| at.ordinal).collect();
            let mut blocks = Vec::new();
            let mut found = 0;
            index.blocks(at.offset, &wanted, |block, count| {
                blocks.push(block);
                found += count;
            });
            prop_assert_eq!(found, wanted.len());
            for number in 0..wanted.len() {
                index.blocks(at.offset, &wanted[number..=number], |block, count| {
                    let expected = blocks.iter().rfind(|block| block.start.ordinal <= wanted[number]);
                    assert!(count == 1 && Some(&block) == expected);
                });
            }
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
