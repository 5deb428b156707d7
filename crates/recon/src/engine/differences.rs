//! The differences: kept as references, given out with the text of their rows.

use payops_channels::row::{Kind, Position, Row};

use super::entry::Side;
use super::error::EngineError;
use super::fetch::{RowSource, RowTexts};
use super::rules::DiffType;
use super::threads::both;

/// How many differences are given out at once. Their rows' text is all that is in memory of them.
const BATCH: usize = 16_384;
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

/// A row with its text, and where it stands in its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRow<'a> {
    /// Its place in the decoded text of the file.
    pub position: Position,
    /// The row as it was read.
    pub row: Row<'a>,
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
        self.refs.iter().map(|reference| Difference {
            diff_type: reference.diff_type(),
            platform: listed(&self.platform, reference.platform()),
            channel: listed(&self.channel, reference.channel()),
        })
    }
}

fn listed(texts: &RowTexts, ordinal: Option<u64>) -> Option<ListedRow<'_>> {
    let (position, row) = texts.get(ordinal?)?;
    Some(ListedRow { position, row })
}

/// Gives out the differences of a run, batch by batch, in the order of the output.
#[derive(Debug)]
pub struct DifferenceReader<'a> {
    left: &'a [DifferenceRef],
    next: u64,
    platform: &'a RowSource,
    channel: &'a RowSource,
    threads: usize,
}

impl<'a> DifferenceReader<'a> {
    pub(super) fn new(
        refs: &'a [DifferenceRef],
        platform: &'a RowSource,
        channel: &'a RowSource,
        threads: usize,
    ) -> Self {
        Self { left: refs, next: 0, platform, channel, threads }
    }

    /// The next differences, or `None` after the last. Reads the rows' text from the files again, so it
    /// blocks, and fails when a file has changed since.
    pub fn next_batch(&mut self) -> Result<Option<DifferenceBatch<'a>>, EngineError> {
        let (refs, left) = self.left.split_at(self.left.len().min(BATCH));
        if refs.is_empty() {
            return Ok(None);
        }
        let ours = || fetch(self.platform, Side::Platform, refs.iter().filter_map(|one| one.platform()));
        let theirs = || fetch(self.channel, Side::Channel, refs.iter().filter_map(|one| one.channel()));
        let (platform, channel) = both(self.threads, ours, theirs);
        let (platform, channel) = (platform?, channel?);
        let first = self.next;
        self.left = left;
        self.next += refs.len() as u64;
        Ok(Some(DifferenceBatch { first, refs, platform, channel }))
    }
}

fn fetch(source: &RowSource, side: Side, wanted: impl Iterator<Item = u64>) -> Result<RowTexts, EngineError> {
    let mut wanted: Vec<u64> = wanted.collect();
    wanted.sort_unstable();
    let unreadable = |source| EngineError::Input { side, source };
    let texts = source.fetch(&wanted).map_err(unreadable)?;
    let is_missing = wanted.iter().any(|ordinal| texts.get(*ordinal).is_none());
    if is_missing || source.file.has_changed().map_err(unreadable)? {
        return Err(EngineError::InputChanged { side });
    }
    Ok(texts)
}
