//! The matching engine: two files in, every unit of money accounted for.
//!
//! It is a library of plain functions: no database, no network, no clock. [`reconcile`] reads both files
//! once, keeps 24 bytes of each row, meets the two sides and returns an [`Outcome`]: the [`Summary`] at once,
//! and the differences through [`Outcome::differences`], whose rows' text is read from the files again.
//!
//! # What is bounded
//!
//! Entries are held in memory up to [`Settings::memory`] and beyond it in a temporary file. Three things
//! grow without that bound: a quarter of a byte a row for finding rows again; 16 bytes a difference; and the rows of
//! one single key, which are compared in memory together.
//!
//! # How sure a match is
//!
//! Ids are not kept but hashed with seeds that nobody knows beforehand, to 119 bits where the files are large and
//! to 111 at least. For 100 million rows a side the chance that any two different ids are taken for one is below
//! 2^-64.

mod alias;
mod ambiguity;
mod carried;
mod certificate;
mod changes;
mod differences;
mod entry;
mod entry_store;
mod error;
pub mod export;
mod fetch;
mod join;
mod matching;
mod observer;
mod pairing;
mod partitions;
mod reading;
mod row_index;
mod rules;
mod side;
mod slab;
mod summary;
mod tally;
mod threads;
mod tie;
mod tolerance;
mod verdict;

#[cfg(test)]
mod file_tests;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod test_rows;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use payops_channels::options::ReadOptions;
use payops_channels::read::Format;
use payops_channels::report::FileReport;
use payops_channels::row::Reject;
use payops_core::time::DayWindow;

pub use carried::{Carried, CarriedRow};
pub use certificate::{Certificate, CertifiedInput, ENGINE_VERSION, Hashed, RULES_VERSION};
pub use changes::{
    Change, ChangeKind, ChangeTotals, ChangedMoney, Comparison, Figures, Told, for_each_change,
};
pub use differences::{Adjustment, Difference, DifferenceBatch, DifferenceReader, ListedRow};
pub use entry::Side;
pub use error::EngineError;
pub use observer::{Observer, Phase, Progress};
pub use rules::DiffType;
pub use side::{KEPT_REJECTS, Rejects};
pub use summary::{
    AdjustmentTotals, ByCurrency, KindTotals, MatchRate, MoneyTotals, PayoutTotals, RowCounts, SideSummary,
    Summary, TypeTotals,
};
pub use tie::{CurrencyTie, StatedBalance, StatedBalances, Tie};
pub use tolerance::{InvalidRules, RuleSet, Tolerance, ToleranceRule};
pub use verdict::{Reason, Verdict};

use differences::Listed;
use entry::{ENTRY_WORDS, KeyHasher};
use fetch::{OpenFile, RowSource};
use matching::MatchSettings;
use observer::Meter;
use pairing::PairingRules;
use partitions::{Budget, half_filled_bytes, partition_bits};
use row_index::RowIndex;
use side::{SideRows, SideSettings};
use threads::both;

use crate::payouts::{
    BankSide, PayoutDifference, PayoutFact, PayoutRules, PayoutSummary, ThirdLeg, facts_of,
};

const ENTRY_BYTES: usize = ENTRY_WORDS * 8;

/// One of the two files: plain UTF-8 text, as `payops_channels::decode::spool` leaves it.
#[derive(Debug, Clone)]
pub struct Input {
    /// Where the text is.
    pub path: PathBuf,
    /// What was found wrong while it was unpacked; counted among its rejects.
    pub damage: Vec<Reject>,
    /// How it is read.
    pub format: Format,
    /// The day asked about, and what is accepted.
    pub options: ReadOptions,
}

/// What the other side's next file may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutOff {
    /// The instants since the cut-off.
    pub window: DayWindow,
    /// Only rows of ours that are pending; else rows of both sides, whatever their status.
    pub pending_only: bool,
}

/// How a run goes about it. None of this changes what is found, `cut_off`, `net_by_payment`, `carried`, `tolerance` and
/// `keep_matched` apart.
#[derive(Debug, Clone)]
pub struct Settings {
    /// About how many bytes of memory may be used; see the module for what grows beyond it. Values below
    /// 36 MiB have the effect of 36 MiB.
    pub memory: u64,
    /// How many threads read the files, in parts, and meet the sides.
    pub threads: usize,
    /// Random numbers that the writers of the files cannot know. They do not show in the output.
    pub seed: [u64; 2],
    /// Whether matched rows, and failed ones that were not expected, are listed beside the differences.
    pub keep_matched: bool,
    /// The channel's cut-off: rows that happened inside and are absent on the other side are `timing`, not `platform_only` or
    /// `channel_only`. `None` switches the type off.
    pub cut_off: Option<CutOff>,
    /// Whether rows of one payment of which no two agree, its refunds among them, are compared by their sums.
    pub net_by_payment: bool,
    /// Rows of earlier days that are still looked for.
    pub carried: Arc<Carried>,
    /// How far the amounts of a pair may be apart.
    pub tolerance: Tolerance,
    /// Where temporary files may be made.
    pub temp_dir: PathBuf,
}

impl Settings {
    /// The memory that a run has unless it is told otherwise, in bytes. Rows beyond it go through a temporary file at no cost
    /// of time: that memory is used again and again, where more of it would have to be had from the system first.
    pub const MEMORY: u64 = 64 << 20;

    /// The usual memory, two threads, nothing optional.
    pub fn new(seed: [u64; 2], temp_dir: impl Into<PathBuf>) -> Self {
        Self {
            memory: Self::MEMORY,
            threads: 2,
            seed,
            keep_matched: false,
            cut_off: None,
            net_by_payment: false,
            carried: Arc::default(),
            tolerance: Tolerance::default(),
            temp_dir: temp_dir.into(),
        }
    }
}

/// A finished run.
#[derive(Debug)]
pub struct Outcome {
    /// Its figures.
    pub summary: Summary,
    listed: Listed,
    threads: usize,
    payouts: Vec<PayoutFact>,
    third_leg: Option<ThirdLeg>,
}

impl Outcome {
    /// What the channel's file says of payouts.
    pub fn payouts(&self) -> &[PayoutFact] {
        &self.payouts
    }

    /// Compares the payouts with the bank and judges again.
    pub fn tie_to_bank(&mut self, side: BankSide, rules: &PayoutRules) {
        self.add_third_leg(ThirdLeg::of(&self.payouts, side, rules));
    }

    /// Adds what became of the payouts and judges again.
    pub fn add_third_leg(&mut self, (third_leg, summary): (ThirdLeg, PayoutSummary)) {
        self.summary.add_payouts(summary);
        self.third_leg = Some(third_leg);
    }

    /// The differences between payouts and bank. They follow those of the two sides wherever both are listed.
    pub fn payout_differences(&self) -> impl Iterator<Item = PayoutDifference<'_>> {
        self.third_leg.iter().flat_map(ThirdLeg::differences)
    }

    /// How many rows and pairs are listed one by one: differences and `timing`, and with
    /// [`Settings::keep_matched`] everything.
    pub fn listed(&self) -> u64 {
        self.listed.refs.len() as u64
    }

    /// The listed rows in batches, from the first: rows of ours in file order, then the channel's.
    pub fn differences(&self) -> DifferenceReader<'_> {
        DifferenceReader::new(&self.listed, self.threads)
    }

    /// The columns that a differences file of this run has.
    pub fn columns(&self) -> export::Columns {
        export::Columns::of(&self.listed.tolerance)
    }

    /// Gives each listed row to `take`, in order, and stops at its first error. While it takes some, the next are read.
    pub fn for_each_difference<E: From<EngineError>>(
        &self,
        mut take: impl FnMut(&Difference<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut reader = self.differences();
        let mut next = reader.next_batch()?;
        while let Some(batch) = next {
            let read = || reader.next_batch();
            let (read, taken) =
                both(self.threads, read, || batch.iter().try_for_each(|difference| take(&difference)));
            taken?;
            next = read?;
        }
        Ok(())
    }
}

/// Reconciles our file with the channel's, and the channel's with its balance summary where there is one.
///
/// Blocks for as long as it takes to read both files. Whatever is wrong *in* the files ends in the summary.
pub fn reconcile(
    platform: &Input,
    channel: &Input,
    balance: Option<&StatedBalances>,
    settings: &Settings,
    observer: Observer<'_>,
) -> Result<Outcome, EngineError> {
    reconcile_by(reading::read_sides, [platform, channel], balance, settings, observer)
}

/// Reads both files.
type ReadSides = fn(
    [(&Input, &File); 2],
    &SideSettings<'_>,
    usize,
    &Meter<'_>,
) -> Result<[(SideRows, FileReport); 2], EngineError>;

fn reconcile_by(
    read_sides: ReadSides,
    [platform, channel]: [&Input; 2],
    balance: Option<&StatedBalances>,
    settings: &Settings,
    observer: Observer<'_>,
) -> Result<Outcome, EngineError> {
    let our_file = open(Side::Platform, &platform.path)?;
    let their_file = open(Side::Channel, &channel.path)?;
    let bytes = our_file.length + their_file.length;
    let bits = partition_bits(bytes, ENTRY_BYTES);
    let side_settings = SideSettings {
        hasher: KeyHasher::new(settings.seed),
        bits,
        budget: Budget::new(entry_budget(settings, bits, bytes)),
        temp_dir: &settings.temp_dir,
        cut_off: settings.cut_off,
        net: settings.net_by_payment,
        carried: &settings.carried,
        cancelled: observer.cancelled,
    };

    let meter = Meter::new(observer, Phase::Reading, bytes);
    let [(ours, our_report), (theirs, their_report)] = read_sides(
        [(platform, &our_file.file), (channel, &their_file.file)],
        &side_settings,
        settings.threads,
        &meter,
    )?;

    let match_settings = MatchSettings {
        rules: PairingRules {
            lists_failed: channel.format.lists_failed(),
            net: settings.net_by_payment,
            tolerance: &settings.tolerance,
        },
        keep_all: settings.keep_matched,
        threads: settings.threads.max(1),
        bits,
        budget: &side_settings.budget,
        temp_dir: &settings.temp_dir,
    };
    let found = matching::match_sides(&ours, &theirs, &match_settings, observer)?;

    let summary = summary::summarise(summary::Parts {
        tally: &found.tally,
        platform: (&our_report, ours.rejects),
        channel: (&their_report, theirs.rejects),
        tie: Tie::new(balance, &their_report),
        tolerance: &settings.tolerance,
        platform_proven_by: platform.format.proven_by(),
        channel_proven_by: channel.format.proven_by(),
    });
    Ok(Outcome {
        summary,
        payouts: facts_of(&their_report, &channel.options),
        third_leg: None,
        listed: Listed {
            refs: found.listed,
            candidates: found.candidates,
            tolerance: settings.tolerance.clone(),
            carried: Arc::clone(&settings.carried),
            platform: row_source(our_file, ours.index, our_report, platform),
            channel: row_source(their_file, theirs.index, their_report, channel),
        },
        threads: settings.threads,
    })
}

fn open(side: Side, path: &Path) -> Result<OpenFile, EngineError> {
    OpenFile::open(path).map_err(|source| EngineError::Input { side, source })
}

/// What is left of the memory for entries when the program, its buffers, half-filled extents and the marks that
/// find rows again have theirs.
fn entry_budget(settings: &Settings, bits: u32, file_bytes: u64) -> u64 {
    // Measured: what the process holds beyond its entries, marks and extents, at 1M and 10M rows a side.
    const PROGRAM: u64 = 36 << 20;
    const FILE_BYTES_PER_BYTE_OF_MARKS: u64 = 320;
    let memory = settings.memory.max(PROGRAM);
    let half_filled = half_filled_bytes(bits, settings.threads);
    let marks = file_bytes / FILE_BYTES_PER_BYTE_OF_MARKS;
    memory.saturating_sub(PROGRAM + half_filled + marks).max(memory / 4)
}

fn row_source(file: OpenFile, index: RowIndex, report: FileReport, input: &Input) -> RowSource {
    RowSource { file, index, bound: report.bound, options: input.options.clone() }
}
