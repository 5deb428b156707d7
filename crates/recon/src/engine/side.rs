//! Takes the rows of one file as threads read them and keeps of each what matching needs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use payops_channels::TimeReader;
use payops_channels::row::{Kind, Position, Reject, RejectReason, Row, RowSink, Status};
use serde::{Deserialize, Serialize};

use super::CutOff;
use super::alias::{ALIAS_WORDS, Alias, AliasStores};
use super::carried::{self, Carried};
use super::entry::{Entry, KeyHasher, MAX_ORDINAL, Packing, RowKey, Side};
use super::entry_store::{EntryStore, EntryWriter, SealedEntries};
use super::partitions::{Budget, Partitions, SealedPartitions, Writer};
use super::row_index::{PartIndex, RowIndex};

/// How many rejects of a file are kept with their text; beyond it they are only counted.
pub const KEPT_REJECTS: usize = 1000;

/// How many rows pass between two questions whether to stop.
const ROWS_PER_QUESTION: u64 = 4096;

/// What could not be read of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rejects {
    /// How many there are.
    pub count: u64,
    /// How many there are of each reason.
    pub reasons: BTreeMap<RejectReason, u64>,
    /// The first of them, at most [`KEPT_REJECTS`].
    pub first: Vec<Reject>,
}

impl Rejects {
    /// Counts one more.
    pub fn add(&mut self, reject: Reject) {
        self.count += 1;
        *self.reasons.entry(reject.reason).or_default() += 1;
        if self.first.len() < KEPT_REJECTS {
            self.first.push(reject);
        }
    }
}

/// What both sides of a run share.
pub(super) struct SideSettings<'a> {
    pub(super) hasher: KeyHasher,
    /// How many bits of the hash choose the partition.
    pub(super) bits: u32,
    pub(super) budget: Arc<Budget>,
    pub(super) temp_dir: &'a Path,
    /// What the other side may still have later.
    pub(super) cut_off: Option<CutOff>,
    /// Whether refunds have the keys of their payments, so that they meet them.
    pub(super) net: bool,
    /// Rows of earlier days, beside those of the files.
    pub(super) carried: &'a Carried,
    pub(super) cancelled: &'a (dyn Fn() -> bool + Sync),
}

/// A side while its file is read, by one thread or several.
pub(super) struct SideBuilder<'a> {
    side: Side,
    settings: &'a SideSettings<'a>,
    times: TimeReader,
    entries: EntryStore,
    aliases: AliasStores<Partitions<ALIAS_WORDS>>,
}

/// A side that is complete.
#[derive(Debug)]
pub(super) struct SideRows {
    pub(super) entries: SealedEntries,
    pub(super) aliases: AliasStores<SealedPartitions<ALIAS_WORDS>>,
    pub(super) index: RowIndex,
    pub(super) rejects: Rejects,
}

impl<'a> SideBuilder<'a> {
    /// `times` reads when a row happened.
    pub(super) fn new(side: Side, settings: &'a SideSettings<'a>, times: TimeReader) -> Self {
        let (bits, budget, directory) = (settings.bits, &settings.budget, settings.temp_dir);
        Self {
            side,
            settings,
            times,
            entries: EntryStore::new(bits, budget, directory),
            aliases: AliasStores {
                charges: Partitions::new(bits, budget, directory),
                intents: Partitions::new(bits, budget, directory),
            },
        }
    }

    /// Takes the rows that one thread reads.
    pub(super) fn writer(&self) -> SideWriter<'_> {
        SideWriter {
            side: self.side,
            settings: self.settings,
            times: &self.times,
            entries: self.entries.writer(),
            aliases: AliasStores {
                charges: self.aliases.charges.writer(),
                intents: self.aliases.intents.writer(),
            },
            index: PartIndex::default(),
            part_rejects: Vec::new(),
            notes: PartNotes::default(),
            failure: None,
            stop: false,
        }
    }

    /// Ends the reading. `damage` stands before everything that was rejected in the file itself. An error means that the
    /// temporary file could not be written.
    pub(super) fn finish(self, notes: Vec<PartNotes>, damage: &[Reject]) -> io::Result<SideRows> {
        self.keep_carried()?;
        let mut rejects = Rejects::default();
        damage.iter().cloned().for_each(|reject| rejects.add(reject));
        let (mut indexes, mut first) = (Vec::new(), Vec::new());
        for notes in notes {
            indexes.extend(notes.indexes);
            first.extend(notes.first_rejects);
            rejects.count += notes.rejects;
            for (reason, count) in notes.reasons {
                *rejects.reasons.entry(reason).or_default() += count;
            }
        }
        // Stable, so that rejects of one part keep their order.
        first.sort_by_key(|(part, _)| *part);
        let room = KEPT_REJECTS.saturating_sub(rejects.first.len());
        rejects.first.extend(first.into_iter().map(|(_, reject)| reject).take(room));
        indexes.sort_unstable_by_key(|(part, _)| *part);
        Ok(SideRows {
            entries: self.entries.seal(),
            aliases: AliasStores {
                charges: self.aliases.charges.seal(),
                intents: self.aliases.intents.seal(),
            },
            index: RowIndex::of(indexes.into_iter().map(|(_, index)| index).collect()),
            rejects,
        })
    }

    fn keep_carried(&self) -> io::Result<()> {
        let mut writer = self.writer();
        let rows = (carried::FIRST_ORDINAL..).zip(self.settings.carried.of(self.side));
        for (ordinal, carried) in rows.filter(|(_, row)| row.kind().is_booked_by_platform()) {
            let row = carried.as_row();
            let key = writer.key(ordinal, &row)?;
            writer.entries.push(&Entry::new(key, ordinal, &row, false))?;
        }
        writer.finish().map(drop)
    }
}

/// What one thread has found in its parts of a file, each with the part's number.
#[derive(Debug, Default)]
pub(super) struct PartNotes {
    indexes: Vec<(u64, PartIndex)>,
    rejects: u64,
    reasons: BTreeMap<RejectReason, u64>,
    first_rejects: Vec<(u64, Reject)>,
}

/// One thread's way into a side.
pub(super) struct SideWriter<'s> {
    side: Side,
    settings: &'s SideSettings<'s>,
    times: &'s TimeReader,
    entries: EntryWriter<'s>,
    aliases: AliasStores<Writer<'s, ALIAS_WORDS>>,
    index: PartIndex,
    part_rejects: Vec<Reject>,
    notes: PartNotes,
    failure: Option<io::Error>,
    stop: bool,
}

impl SideWriter<'_> {
    /// Ends a part. A thread's parts must come in file order.
    pub(super) fn end_part(&mut self, number: u64) {
        let mut index = std::mem::take(&mut self.index);
        if !index.is_empty() {
            index.shrink();
            self.notes.indexes.push((number, index));
        }
        self.notes.first_rejects.extend(self.part_rejects.drain(..).map(|reject| (number, reject)));
    }

    /// What stopped the writer early.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        self.failure.take()
    }

    /// Ends the writing. An error means that the temporary file could not be written.
    pub(super) fn finish(self) -> io::Result<PartNotes> {
        self.entries.finish()?;
        self.aliases.charges.finish()?;
        self.aliases.intents.finish()?;
        self.failure.map_or(Ok(self.notes), Err)
    }

    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    fn keep(&mut self, position: Position, row: &Row<'_>) -> io::Result<()> {
        if position.ordinal > MAX_ORDINAL {
            return Err(io::Error::other("a file with more than 2^39 rows cannot be reconciled"));
        }
        let key = self.key(position.ordinal, row)?;
        let in_cut_off = match &self.settings.cut_off {
            Some(cut_off) => self.in_cut_off(cut_off, row.status, row.occurred_at),
            None => false,
        };
        self.entries.push(&Entry::new(key, position.ordinal, row, in_cut_off))
    }

    /// The key of a row; its other ids are kept on the way.
    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    fn key(&mut self, ordinal: u64, row: &Row<'_>) -> io::Result<RowKey> {
        let hasher = &self.settings.hasher;
        let key = match row.channel_trade_no {
            [] => hasher.lonely_key(self.side, ordinal),
            id if self.settings.net && row.kind == Kind::Refund => hasher.key(Kind::Payment, id),
            id => hasher.key(row.kind, id),
        };
        let has_other_ids = !row.charge_id.is_empty() || !row.payment_intent_id.is_empty();
        if has_other_ids && self.side == Side::Channel && row.kind == Kind::Payment {
            self.keep_aliases(key, row.channel_trade_no, [row.charge_id, row.payment_intent_id])?;
        }
        Ok(key)
    }

    fn keep_aliases(&mut self, target: RowKey, trade_no: &[u8], ids: [&[u8]; 2]) -> io::Result<()> {
        let stores = [&mut self.aliases.charges, &mut self.aliases.intents];
        for (id, store) in ids.into_iter().zip(stores) {
            if !id.is_empty() && id != trade_no {
                let packing = Packing::new(self.settings.bits);
                let alias = packing.kept(self.settings.hasher.key(Kind::Payment, id));
                let target = packing.kept(target);
                store.push(packing.partition(alias), Alias { alias, target }.to_record())?;
            }
        }
        Ok(())
    }

    fn in_cut_off(&self, cut_off: &CutOff, status: Option<Status>, occurred_at: &[u8]) -> bool {
        let is_meant = match self.side {
            Side::Platform => !cut_off.pending_only || status == Some(Status::Pending),
            Side::Channel => !cut_off.pending_only,
        };
        is_meant && self.times.instant(occurred_at).is_some_and(|instant| cut_off.window.contains(instant))
    }
}

impl RowSink for SideWriter<'_> {
    const TAKES_ALL_TEXTS: bool = false;

    #[expect(clippy::inline_always, reason = "it is a part of the reader's innermost loop")]
    #[inline(always)]
    fn row(&mut self, position: Position, row: &Row<'_>) {
        if !row.kind.is_booked_by_platform() {
            return;
        }
        self.index.row(position);
        if let Err(error) = self.keep(position, row) {
            self.failure.get_or_insert(error);
            self.stop = true;
        }
        if position.ordinal.is_multiple_of(ROWS_PER_QUESTION) {
            self.stop |= (self.settings.cancelled)();
        }
    }

    fn reject(&mut self, reject: Reject) {
        self.index.reject();
        self.notes.rejects += 1;
        *self.notes.reasons.entry(reject.reason).or_default() += 1;
        if self.notes.first_rejects.len() + self.part_rejects.len() < KEPT_REJECTS {
            self.part_rejects.push(reject);
        }
        self.stop |= (self.settings.cancelled)();
    }

    fn cancelled(&self) -> bool {
        self.stop
    }
}
