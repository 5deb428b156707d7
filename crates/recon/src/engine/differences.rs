//! The differences: kept as references, given out with the text of their rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use payops_channels::row::{Kind, Position, Row};

use super::ambiguity::Candidates;
use super::carried::{self, Carried};
use super::entry::Side;
use super::error::EngineError;
use super::fetch::{RowSource, RowTexts};
use super::rules::DiffType;
use super::threads::both;
use super::tolerance::Tolerance;

/// How many differences are given out at once: first few, so that who writes them can begin, then twice as many each time. The
/// text of their rows is all that is in memory of them.
const FIRST_BATCH: usize = 2048;
const LARGEST_BATCH: usize = 8192;
/// The ordinal of a row that is not there; above every ordinal that is.
const NO_ROW: u64 = (1 << 40) - 1;

/// A difference in 16 bytes: the rows by their ordinals. The order of these is the order of the output:
/// rows of ours as they stand in the file, then the channel's as they stand in theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct DifferenceRef {
    platform: u64,
    channel_and_type: u64,
}

impl DifferenceRef {
    #[inline]
    pub(super) fn new(diff_type: DiffType, platform: Option<u64>, channel: Option<u64>) -> Self {
        Self {
            platform: platform.unwrap_or(NO_ROW),
            channel_and_type: channel.unwrap_or(NO_ROW) << 8 | u64::from(diff_type as u8),
        }
    }

    pub(super) fn platform(self) -> Option<u64> {
        Some(self.platform).filter(|ordinal| *ordinal != NO_ROW)
    }

    pub(super) fn channel(self) -> Option<u64> {
        Some(self.channel_and_type >> 8).filter(|ordinal| *ordinal != NO_ROW)
    }

    pub(super) fn diff_type(self) -> DiffType {
        let index = usize::try_from(self.channel_and_type & 0xFF).unwrap_or(0);
        DiffType::ALL.get(index).copied().unwrap_or(DiffType::Matched)
    }
}

/// What is listed one by one, and what that is told from.
#[derive(Debug)]
pub(super) struct Listed {
    /// In the order of the output.
    pub(super) refs: Vec<DifferenceRef>,
    pub(super) candidates: BTreeMap<DifferenceRef, Candidates>,
    pub(super) tolerance: Tolerance,
    pub(super) carried: Arc<Carried>,
    pub(super) platform: RowSource,
    pub(super) channel: RowSource,
}

/// A row with its text, and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRow<'a> {
    /// Its place in the decoded text of the file.
    pub position: Position,
    /// The row as it was read.
    pub row: Row<'a>,
}

impl ListedRow<'_> {
    /// The place of a row of an earlier day among those of its side in [`Carried`]; `None` for a row of the day's file.
    pub fn carried(&self) -> Option<usize> {
        carried::index_of(self.position.ordinal)
    }

    /// The line on which it starts, from 1; `None` for a row of an earlier day's file.
    pub fn line(&self) -> Option<u64> {
        Some(self.position.line).filter(|_| self.carried().is_none())
    }
}

/// One outcome with the rows it is about; at least one of them is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference<'a> {
    /// How it came out.
    pub diff_type: DiffType,
    /// Our row.
    pub platform: Option<ListedRow<'a>>,
    /// The channel's row.
    pub channel: Option<ListedRow<'a>>,
    /// What was booked, for a pair within tolerance.
    pub adjustment: Option<Adjustment<'a>>,
    /// The rows of the other side that an ambiguous one could belong to: the first of them, in file order.
    pub candidates: Vec<ListedRow<'a>>,
    /// How many of those there are.
    pub candidate_count: u64,
}

/// The gap that a rule of tolerance allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Adjustment<'a> {
    /// The rule's name.
    pub rule: &'a str,
    /// The channel's amount less ours, in minor units.
    pub amount: i128,
}

impl<'a> Adjustment<'a> {
    /// The same rules say the same of the same pair as they did when it was judged.
    fn of(tolerance: &'a Tolerance, ours: &Row<'_>, theirs: &Row<'_>) -> Option<Self> {
        let band = tolerance.band(ours.kind, ours.currency, ours.amount)?;
        let amount = i128::from(theirs.amount) - i128::from(ours.amount);
        Some(Self { rule: tolerance.name(band.rule), amount })
    }
}

impl<'a> Difference<'a> {
    /// What the money moved for.
    pub fn kind(&self) -> Kind {
        self.rows().next().map_or(Kind::Payment, |row| row.row.kind)
    }

    /// The channel's id of the movement: as the channel reports it where it does, else as we booked it.
    pub fn channel_trade_no(&self) -> &'a [u8] {
        let channel = self.channel.as_ref().or(self.platform.as_ref());
        channel.map_or(b"", |row| row.row.channel_trade_no)
    }

    /// The platform's number of the payment or refund; empty where the row is only the channel's.
    pub fn payment_no(&self) -> &'a [u8] {
        self.platform.as_ref().map_or(b"", |row| row.row.row_id)
    }

    /// The channel's id of its row; empty where the row is only ours.
    pub fn channel_row_id(&self) -> &'a [u8] {
        self.channel.as_ref().map_or(b"", |row| row.row.row_id)
    }

    fn rows(&self) -> impl Iterator<Item = &ListedRow<'a>> {
        self.platform.iter().chain(&self.channel)
    }
}

/// Some consecutive differences with the text of their rows.
#[derive(Debug)]
pub struct DifferenceBatch<'a> {
    first: u64,
    refs: &'a [DifferenceRef],
    listed: &'a Listed,
    texts: Texts,
}

/// The text of the rows that some differences tell of.
#[derive(Debug)]
pub(super) struct Texts {
    platform: RowTexts,
    channel: RowTexts,
}

impl DifferenceBatch<'_> {
    /// The place of the first one in the whole output, from 0.
    pub fn first_index(&self) -> u64 {
        self.first
    }

    /// How many there are; a batch is never empty.
    pub fn len(&self) -> usize {
        self.refs.len()
    }

    /// Whether there are none: never.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }

    /// The differences in order.
    pub fn iter(&self) -> impl Iterator<Item = Difference<'_>> {
        self.refs.iter().map(|reference| self.listed.difference(&self.texts, *reference))
    }
}

fn listed(texts: &RowTexts, ordinal: Option<u64>) -> Option<ListedRow<'_>> {
    let (position, row) = texts.get(ordinal?)?;
    Some(ListedRow { position, row })
}

/// Gives out the differences of a run, batch by batch, in the order of the output.
#[derive(Debug)]
pub struct DifferenceReader<'a> {
    listed: &'a Listed,
    left: &'a [DifferenceRef],
    next: u64,
    batch: usize,
    threads: usize,
}

impl<'a> DifferenceReader<'a> {
    pub(super) fn new(listed: &'a Listed, threads: usize) -> Self {
        Self { listed, left: &listed.refs, next: 0, batch: FIRST_BATCH, threads }
    }

    /// The next differences, or `None` after the last. Reads the rows' text from the files again, so it
    /// blocks, and fails when a file has changed since.
    pub fn next_batch(&mut self) -> Result<Option<DifferenceBatch<'a>>, EngineError> {
        let (refs, left) = self.left.split_at(self.left.len().min(self.batch));
        if refs.is_empty() {
            return Ok(None);
        }
        let listed = self.listed;
        let texts = listed.texts(refs, self.threads)?;
        let first = self.next;
        self.left = left;
        self.next += refs.len() as u64;
        self.batch = (self.batch * 2).min(LARGEST_BATCH);
        Ok(Some(DifferenceBatch { first, refs, listed, texts }))
    }
}

impl Listed {
    /// The text of the rows of these differences, which may stand in any order.
    pub(super) fn texts(&self, refs: &[DifferenceRef], threads: usize) -> Result<Texts, EngineError> {
        let ours = || self.fetch(Side::Platform, refs);
        let theirs = || self.fetch(Side::Channel, refs);
        let (platform, channel) = both(threads, ours, theirs);
        Ok(Texts { platform: platform?, channel: channel? })
    }

    /// One difference with its text, which was asked for.
    pub(super) fn difference<'a>(&'a self, texts: &'a Texts, reference: DifferenceRef) -> Difference<'a> {
        let diff_type = reference.diff_type();
        let platform = listed(&texts.platform, reference.platform());
        let channel = listed(&texts.channel, reference.channel());
        let adjustment = match (diff_type, &platform, &channel) {
            (DiffType::WithinTolerance, Some(ours), Some(theirs)) => {
                Adjustment::of(&self.tolerance, &ours.row, &theirs.row)
            }
            _ => None,
        };
        let candidates = self.candidates.get(&reference);
        let of_other_side = if platform.is_some() { &texts.channel } else { &texts.platform };
        let first = candidates.map_or(&[][..], |candidates| &candidates.first);
        Difference {
            diff_type,
            platform,
            channel,
            adjustment,
            candidates: first.iter().filter_map(|ordinal| listed(of_other_side, Some(*ordinal))).collect(),
            candidate_count: candidates.map_or(0, |candidates| candidates.count),
        }
    }

    /// The rows of one side that are told of in these differences.
    fn wanted(&self, refs: &[DifferenceRef], side: Side) -> Vec<u64> {
        let own = |one: DifferenceRef| match side {
            Side::Platform => one.platform(),
            Side::Channel => one.channel(),
        };
        let mut wanted: Vec<u64> = refs.iter().filter_map(|one| own(*one)).collect();
        if !self.candidates.is_empty() {
            let ambiguous = refs.iter().filter(|one| own(**one).is_none());
            let candidates = ambiguous.filter_map(|one| self.candidates.get(one));
            wanted.extend(candidates.flat_map(|candidates| &candidates.first));
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }

    /// The rows of one side that are told of in these differences, with their text.
    fn fetch(&self, side: Side, refs: &[DifferenceRef]) -> Result<RowTexts, EngineError> {
        let source = match side {
            Side::Platform => &self.platform,
            Side::Channel => &self.channel,
        };
        let wanted = self.wanted(refs, side);
        let (in_file, carried) = wanted.split_at(wanted.partition_point(|one| *one < carried::FIRST_ORDINAL));
        let unreadable = |source| EngineError::Input { side, source };
        let mut texts = source.fetch(in_file).map_err(unreadable)?;
        let is_missing = in_file.iter().any(|ordinal| texts.get(*ordinal).is_none());
        if is_missing || source.file.has_changed().map_err(unreadable)? {
            return Err(EngineError::InputChanged { side });
        }
        for ordinal in carried {
            if let Some(row) = self.carried.get(side, *ordinal) {
                texts.push(carried::position(*ordinal), &row.as_row());
            }
        }
        Ok(texts)
    }
}
