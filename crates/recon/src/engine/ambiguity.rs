//! Which rows of one key are each other's only one within tolerance, and which could belong to several.
//!
//! Every row of ours has a band of amounts; the channel's rows are sorted by amount, so that those within a band stand
//! beside each other. Thus rows are counted without looking at every pair, however many rows have the key.

use std::collections::BTreeSet;
use std::ops::Range;

use super::entry::{CurrencyCode, Entry};
use super::tolerance::Tolerance;

/// How many candidates of a row are listed.
const LISTED: usize = 10;

/// The rows of the other side that one could belong to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Candidates {
    /// How many there are.
    pub(super) count: u64,
    /// The ordinals of the first [`LISTED`] of them, in file order as far as they are listed.
    pub(super) first: Vec<u64>,
}

impl Candidates {
    fn of<'e>(count: usize, rows: impl Iterator<Item = &'e Entry>) -> Self {
        let mut first: Vec<u64> = rows.take(LISTED).map(Entry::ordinal).collect();
        first.sort_unstable();
        Self { count: count as u64, first }
    }
}

/// The rows of one key that agree with none, sorted out.
#[derive(Debug, Default)]
pub(super) struct Split<'e> {
    /// Each other's only one.
    pub(super) pairs: Vec<(&'e Entry, &'e Entry)>,
    pub(super) ambiguous_platform: Vec<(&'e Entry, Candidates)>,
    pub(super) ambiguous_channel: Vec<(&'e Entry, Candidates)>,
    /// Rows of ours that nothing is within tolerance of, in their order.
    pub(super) platform: Vec<&'e Entry>,
    /// Rows of the channel's that are within no tolerance, in their order.
    pub(super) channel: Vec<&'e Entry>,
}

impl<'e> Split<'e> {
    /// Sorts out rows of one key, each side in the order in which its rows are taken.
    pub(super) fn of(platform: &[&'e Entry], channel: &[&'e Entry], tolerance: &Tolerance) -> Self {
        let mut sorted = channel.to_vec();
        sorted.sort_by_key(|entry| (money(entry), entry.ordinal()));
        let within: Vec<Range<usize>> =
            platform.iter().map(|ours| within_band(ours, &sorted, tolerance)).collect();
        let suitors = suitors(&within, sorted.len());
        let mut split = Self::default();
        for (ours, range) in platform.iter().zip(within) {
            match range.len() {
                0 => split.platform.push(ours),
                1 if suitors[range.start].count == 1 => split.pairs.push((ours, sorted[range.start])),
                count => {
                    let candidates = Candidates::of(count, sorted[range].iter().copied());
                    split.ambiguous_platform.push((ours, candidates));
                }
            }
        }
        let paired: BTreeSet<u64> = split.pairs.iter().map(|(_, theirs)| theirs.ordinal()).collect();
        let mut left = BTreeSet::new();
        for (theirs, suitors) in sorted.iter().zip(suitors) {
            if suitors.count == 0 {
                left.insert(theirs.ordinal());
            } else if !paired.contains(&theirs.ordinal()) {
                let rows = suitors.first.iter().map(|index| platform[*index]);
                split.ambiguous_channel.push((theirs, Candidates::of(suitors.count, rows)));
            }
        }
        split.channel = channel.iter().copied().filter(|entry| left.contains(&entry.ordinal())).collect();
        split
    }
}

fn money(entry: &Entry) -> (CurrencyCode, i64) {
    (entry.currency(), entry.amount)
}

/// The places of the channel's rows, sorted by amount, that are within the tolerance of a row of ours.
fn within_band(ours: &Entry, sorted: &[&Entry], tolerance: &Tolerance) -> Range<usize> {
    let currency = ours.currency();
    let Some(band) = tolerance.band(ours.kind(), currency.currency(), ours.amount) else { return 0..0 };
    let from = sorted.partition_point(|theirs| money(theirs) < (currency, band.least));
    let to = sorted.partition_point(|theirs| money(theirs) <= (currency, band.most));
    from..to
}

/// The ranges that a place lies in.
#[derive(Debug, Clone, Default)]
struct Suitors {
    count: usize,
    /// The places of the first of them.
    first: Vec<usize>,
}

/// For each place the ranges that it lies in.
fn suitors(ranges: &[Range<usize>], places: usize) -> Vec<Suitors> {
    let mut begins = vec![Vec::new(); places + 1];
    let mut ends = vec![Vec::new(); places + 1];
    for (index, range) in ranges.iter().enumerate().filter(|(_, range)| !range.is_empty()) {
        begins[range.start].push(index);
        ends[range.end].push(index);
    }
    let mut open = BTreeSet::new();
    let at = |(begin, end): (Vec<usize>, Vec<usize>)| {
        for index in end {
            open.remove(&index);
        }
        open.extend(begin);
        Suitors { count: open.len(), first: open.iter().copied().take(LISTED).collect() }
    };
    begins.into_iter().zip(ends).take(places).map(at).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_place_knows_the_ranges_that_it_lies_in(
            ranges in proptest::collection::vec((0_usize..12, 0_usize..12).prop_map(|(a, b)| a.min(b)..a.max(b)), 0..30),
        ) {
            for (place, found) in suitors(&ranges, 12).into_iter().enumerate() {
                let expected: Vec<usize> =
                    (0..ranges.len()).filter(|index| ranges[*index].contains(&place)).collect();
                prop_assert_eq!(found.count, expected.len());
                prop_assert_eq!(&found.first[..], &expected[..expected.len().min(LISTED)]);
            }
        }
    }
}
