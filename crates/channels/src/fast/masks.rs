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
}

/// Surveys a text that begins at the beginning of a line.
pub(super) fn survey(text: &[u8]) -> Survey {
    let (quote, nul, feed, blank) = (splat(b'"'), splat(0), splat(b'\n'), splat(b' '));
    let (mut unwanted, mut all) = (splat(0), splat(0));
    let (mut count, mut blank_starts, mut at_start) = (0, 0, 1);
    blocks(text, |_, block| {
        let lanes = lanes(block);
        for lane in lanes {
            unwanted |= lane.simd_eq(quote) | lane.simd_eq(nul);
            all |= lane;
        }
        let newlines = bits(lanes, |lane| lane.simd_eq(feed));
        // A byte is at most a blank when the smaller of the two is the byte.
        let low = bits(lanes, |lane| lane.min(blank).simd_eq(lane));
        count += u64::from(newlines.count_ones());
        blank_starts |= (newlines << 1 | at_start) & low;
        at_start = newlines >> (BLOCK - 1);
    });
    let special = blank_starts != 0 || unwanted.to_bitmask() != 0;
    Survey { lines: count, special, ascii: all.to_bitmask() == 0 }
}

/// Where the fields of a text end, those that end a line included.
#[derive(Debug, Default)]
pub(super) struct Index {
    ends: Vec<u32>,
    length: usize,
}

impl Index {
    /// Finds every delimiter and line end of a text below 2^31 bytes.
    pub(super) fn fill(&mut self, text: &[u8], delimiter: u8) {
        if self.ends.len() < text.len() + 2 * BLOCK {
            // Zeroed memory costs nothing before it is written, and few of the places are.
            self.ends = vec![0; text.len() + 2 * BLOCK];
        }
        let (delimiter, newline) = (splat(delimiter), splat(b'\n'));
        // The text begins as if a line end stood before it.
        self.ends[0] = u32::MAX;
        let mut length = 1;
        blocks(text, |base, block| {
            let ends = bits(lanes(block), |lane| lane.simd_eq(newline) | lane.simd_eq(delimiter));
            if let Some(out) = self.ends.get_mut(length..).and_then(<[u32]>::first_chunk_mut) {
                places(out, ends, base);
            }
            length += ends.count_ones() as usize;
        });
        self.length = length;
    }

    /// The ends of all fields; first the end before the text, which is -1 as a wrapped number.
    pub(super) fn ends(&self) -> &[u32] {
        &self.ends[..self.length]
    }

    /// Whether each of the text's `lines` lines has `width` fields.
    pub(super) fn is_even(&self, text: &[u8], lines: u64, width: usize) -> bool {
        // There are no more line ends than lines, so if one stands at each of these places, none stands between.
        let ends = self.ends();
        lines.checked_mul(width as u64) == Some(ends.len() as u64 - 1)
            && ends[1..].chunks_exact(width).all(|line| is_line_end(text, line[width - 1]))
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
    for eight in out.as_chunks_mut::<8>().0 {
        for place in eight {
            *place = base + bits.trailing_zeros();
            bits &= bits.wrapping_sub(1);
        }
        if bits == 0 {
            return;
        }
    }
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a part is far smaller than 2^32 bytes")]
fn blocks(text: &[u8], mut each: impl FnMut(u32, &[u8; BLOCK])) {
    let (whole, rest) = text.as_chunks::<BLOCK>();
    for (number, block) in whole.iter().enumerate() {
        each((number * BLOCK) as u32, block);
    }
    if !rest.is_empty() {
        let mut last = [FILLER; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        each((whole.len() * BLOCK) as u32, &last);
    }
}

#[inline]
fn splat(byte: u8) -> u8x16 {
    u8x16::splat(byte)
}

#[inline]
fn lanes(block: &[u8; BLOCK]) -> [u8x16; 4] {
    let (lanes, _) = block.as_chunks::<16>();
    [lanes[0], lanes[1], lanes[2], lanes[3]].map(u8x16::from)
}

#[inline]
fn bits(lanes: [u8x16; 4], test: impl Fn(u8x16) -> u8x16) -> u64 {
    let [a, b, c, d] = lanes.map(|lane| u64::from(test(lane).to_bitmask()));
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
            let found = survey(&text);
            let starts = std::iter::once(b'\n').chain(text.iter().copied()).zip(&text);
            let special = text.iter().any(|byte| matches!(byte, b'"' | 0))
                || starts.into_iter().any(|(before, byte)| before == b'\n' && *byte <= b' ');
            prop_assert_eq!(found, Survey {
                lines: memchr::memchr_iter(b'\n', &text).count() as u64,
                special,
                ascii: text.is_ascii(),
            });

            let mut index = Index::default();
            index.fill(&text, b',');
            let ends: Vec<u32> =
                (0..).zip(&text).filter(|(_, byte)| matches!(byte, b',' | b'\n')).map(|(at, _)| at).collect();
            prop_assert_eq!(&index.ends()[1..], &ends);

            // A part ends with a line end.
            let whole = memchr::memrchr(b'\n', &text).map_or(0, |last| last + 1);
            index.fill(&text[..whole], b',');
            let lines: Vec<&[u8]> = text[..whole].split_inclusive(|byte| *byte == b'\n').collect();
            for width in 1..4 {
                let fits = |line: &&[u8]| {
                    line.ends_with(b"\n") && memchr::memchr_iter(b',', line).count() + 1 == width
                };
                prop_assert_eq!(index.is_even(&text, found.lines, width), lines.iter().all(fits));
            }
        }
    }
}
