//! Looks at 64 bytes at a time and says in the bits of a word which of them are meant.

use wide::u8x16;

/// How many bytes a word of bits speaks of.
const BLOCK: usize = 64;
/// What fills up the last block: neither a blank nor anything that is looked for.
const FILLER: u8 = b'x';

/// What a text of whole lines is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Survey {
    /// How many line ends it has.
    pub(super) lines: u64,
    /// It has a quote or a NUL byte, or a line that begins with a blank or is empty.
    pub(super) special: bool,
    /// Every byte is ASCII.
    pub(super) ascii: bool,
    /// Each line has as many fields as was asked.
    pub(super) even: bool,
}

/// Where the fields of a text end, those that end a line included.
#[derive(Debug, Default)]
pub(super) struct Index {
    ends: Vec<u32>,
    length: usize,
}

impl Index {
    /// Finds every delimiter and line end of a text below 2^31 bytes that begins at the beginning of a line, and says
    /// what else it has. Lines should have `width` fields.
    pub(super) fn fill(&mut self, text: &[u8], delimiter: u8, width: usize) -> Survey {
        if self.ends.len() < text.len() + 2 * BLOCK {
            // Zeroed memory costs nothing before it is written, and few of the places are.
            self.ends = vec![0; text.len() + 2 * BLOCK];
        }
        let (delimiter, newline, quote) = (splat(delimiter), splat(b'\n'), splat(b'"'));
        let (mut quotes, mut lowest, mut all) = (splat(0), splat(u8::MAX), splat(0));
        let mut count = Count::default();
        // The text begins as if a line end stood before it.
        self.ends[0] = u32::MAX;
        let mut length = 1;
        let (whole, rest) = text.as_chunks::<BLOCK>();
        let mut last = [FILLER; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        for (number, base) in (0..text.len().div_ceil(BLOCK)).zip((0..).step_by(BLOCK)) {
            let lanes = lanes_of(whole.get(number).unwrap_or(&last));
            for lane in lanes {
                quotes |= lane.simd_eq(quote);
                lowest = lowest.min(lane);
                all |= lane;
            }
            let feeds = lanes.map(|lane| lane.simd_eq(newline));
            for feed in feeds {
                count.add(feed);
            }
            count.end_block();
            let mut ends = lanes.map(|lane| lane.simd_eq(delimiter));
            for (end, feed) in ends.iter_mut().zip(feeds) {
                *end |= feed;
            }
            let ends = bits(ends);
            if let Some(out) = self.ends.get_mut(length..).and_then(<[u32]>::first_chunk_mut) {
                places(out, ends, base);
            }
            length += ends.count_ones() as usize;
        }
        self.length = length;
        let lines = count.total();
        let (even, blank) = self.shape(text, lines, width);
        let unwanted = quotes | lowest.simd_eq(splat(0));
        let special = blank || unwanted.to_bitmask() != 0;
        Survey { lines, special, ascii: all.to_bitmask() == 0, even }
    }

    /// The ends of all fields; first the end before the text, which is -1 as a wrapped number.
    pub(super) fn ends(&self) -> &[u32] {
        &self.ends[..self.length]
    }

    /// Whether each of the text's `lines` lines has `width` fields, and whether a line is empty or begins with a blank.
    fn shape(&self, text: &[u8], lines: u64, width: usize) -> (bool, bool) {
        let ends = &self.ends()[1..];
        let is_blank = |at: usize| text.get(at).is_some_and(|byte| *byte <= b' ');
        let mut blank = is_blank(0);
        // There are no more line ends than lines, so if one stands at each of these places, none stands between.
        let mut even = width > 0 && lines.checked_mul(width as u64) == Some(ends.len() as u64);
        if even {
            for line in ends.chunks_exact(width) {
                even &= is_line_end(text, line[width - 1]);
                blank |= is_blank(line[width - 1] as usize + 1);
            }
        }
        if !even {
            let line_ends = ends.iter().filter(|end| is_line_end(text, **end));
            blank |= line_ends.into_iter().any(|end| is_blank(*end as usize + 1));
        }
        (even, blank)
    }
}

/// Counts bytes of all ones in the lanes of blocks.
#[derive(Debug, Default)]
struct Count {
    /// The counts since the last flush, place by place and negative.
    lanes: u8x16,
    added: u8,
    total: u64,
}

impl Count {
    #[inline]
    fn add(&mut self, ones: u8x16) {
        self.lanes += ones;
        self.added += 1;
    }

    #[inline]
    fn end_block(&mut self) {
        // A byte counts to 255.
        if self.added > u8::MAX - 4 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.total += self.lanes.to_array().iter().map(|count| u64::from(count.wrapping_neg())).sum::<u64>();
        (self.lanes, self.added) = (splat(0), 0);
    }

    fn total(mut self) -> u64 {
        self.flush();
        self.total
    }
}

/// Whether a field ends there with its line.
#[inline]
pub(super) fn is_line_end(text: &[u8], end: u32) -> bool {
    text.get(end as usize) == Some(&b'\n')
}

/// Writes the place of each bit. What stands behind them afterwards means nothing: eight are written at once, since
/// a block has eight or fewer as a rule, and a processor does not foresee how many.
#[inline]
fn places(out: &mut [u32; BLOCK], mut bits: u64, base: u32) {
    // A bit that is always there spares the question whether there is one.
    const LAST: u64 = 1 << (BLOCK - 1);
    for eight in out.as_chunks_mut::<8>().0 {
        for place in eight {
            *place = base + (bits | LAST).trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
        if bits == 0 {
            return;
        }
    }
}

#[inline]
fn splat(byte: u8) -> u8x16 {
    u8x16::splat(byte)
}

#[inline]
fn lanes_of(block: &[u8; BLOCK]) -> [u8x16; 4] {
    let (lanes, _) = block.as_chunks::<16>();
    [lanes[0], lanes[1], lanes[2], lanes[3]].map(u8x16::from)
}

#[inline]
fn bits(lanes: [u8x16; 4]) -> u64 {
    let [a, b, c, d] = lanes.map(|lane| u64::from(lane.to_bitmask()));
    a | b << 16 | c << 32 | d << 48
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_text() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![
            20 => Just(b'a'), 4 => Just(b','), 2 => Just(b'\n'), 1 => Just(b' '), 1 => Just(b'\r'),
        ];
        let odd = prop_oneof![Just(b'"'), Just(0), Just(0xC3), Just(b'\t')];
        prop_oneof![
            3 => proptest::collection::vec(byte.clone(), 0..400),
            1 => proptest::collection::vec(prop_oneof![30 => byte, 1 => odd], 0..400),
        ]
    }

    proptest! {
        #[test]
        fn bits_say_what_bytes_say(text in any_text()) {
            let mut index = Index::default();
            let found = index.fill(&text, b',', 1);
            let starts = std::iter::once(b'\n').chain(text.iter().copied()).zip(&text);
            let special = text.iter().any(|byte| matches!(byte, b'"' | 0))
                || starts.into_iter().any(|(before, byte)| before == b'\n' && *byte <= b' ');
            let lines = memchr::memchr_iter(b'\n', &text).count() as u64;
            prop_assert_eq!((found.lines, found.special, found.ascii), (lines, special, text.is_ascii()));

            let ends: Vec<u32> =
                (0..).zip(&text).filter(|(_, byte)| matches!(byte, b',' | b'\n')).map(|(at, _)| at).collect();
            prop_assert_eq!(&index.ends()[1..], &ends);

            // A part ends with a line end.
            let whole = memchr::memrchr(b'\n', &text).map_or(0, |last| last + 1);
            let lines: Vec<&[u8]> = text[..whole].split_inclusive(|byte| *byte == b'\n').collect();
            for width in 1..4 {
                let found = index.fill(&text[..whole], b',', width);
                let fits = |line: &&[u8]| {
                    line.ends_with(b"\n") && memchr::memchr_iter(b',', line).count() + 1 == width
                };
                prop_assert_eq!(found.even, lines.iter().all(fits));
            }
        }
    }
}
