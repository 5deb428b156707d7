//! What fuzz targets, their corpus and the property tests run: every reader on any bytes. Each function
//! panics when a promise of the readers is broken.

use std::io::{Cursor, Read};

use payops_core::time::Zone;

use crate::Mapping;
use crate::bank::{BankFile, EntryStatus, read_bank_file};
use crate::decode::unpack;
use crate::fast::{PartBuffer, SharedFile};
use crate::options::{Limits, ReadOptions, Window};
use crate::read::{Format, read_rows, reread_rows};
use crate::report::FileReport;
use crate::row::{Position, Proof, Reject, Row, RowSink};
use crate::stripe::balance_summary::read_balance_summary;

/// Keeps everything, as text, and stops after `stop_after` rows.
#[derive(Default)]
struct Keep {
    rows: Vec<(Position, String)>,
    rejects: Vec<Reject>,
    stop_after: Option<usize>,
}

impl RowSink for Keep {
    fn row(&mut self, position: Position, row: &Row<'_>) {
        self.rows.push((position, format!("{row:?}")));
    }

    fn reject(&mut self, reject: Reject) {
        assert!(reject.message.chars().count() < 600, "a message is for people: {}", reject.message);
        self.rejects.push(reject);
    }

    fn cancelled(&self) -> bool {
        self.stop_after.is_some_and(|rows| self.rows.len() >= rows)
    }
}

/// Hands out a few bytes at a time.
struct Drip<'a>(&'a [u8]);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = buffer.len().min(13);
        self.0.read(&mut buffer[..count])
    }
}

fn options(chunk_bytes: usize) -> ReadOptions {
    let limits = Limits { max_row_bytes: 2048, max_id_bytes: 64, max_payout_groups: 3, ..Limits::default() };
    let day = chrono::NaiveDate::from_ymd_opt(2026, 1, 30).unwrap_or_default();
    let window = Some(Window { zone: Zone::utc(), day });
    ReadOptions { limits, window, chunk_bytes, ..ReadOptions::default() }
}

fn keep<R: Read>(source: R, format: &Format, chunk_bytes: usize) -> (Keep, FileReport) {
    let mut sink = Keep::default();
    let report = read_rows(source, format, &options(chunk_bytes), &mut sink);
    (sink, report)
}

/// Reads `bytes` in two ways and then again from the middle; all must agree.
fn read_in_every_way(bytes: &[u8], format: &Format) {
    let (whole, report) = keep(bytes, format, 1 << 13);
    assert_eq!(whole.rows.len() as u64, report.rows, "every row is delivered");
    assert_eq!(whole.rejects.len() as u64, report.rejects, "every reject is delivered");
    let in_order = whole.rows.windows(2).all(|pair| pair[0].0 < pair[1].0);
    assert!(in_order, "rows come in file order");
    let (pieces, _) = keep(Drip(bytes), format, 32);
    assert_eq!(whole.rows, pieces.rows, "chunks do not matter to rows");
    assert_eq!(whole.rejects, pieces.rejects, "chunks do not matter to rejects");
    for part_bytes in [32, 97, 1 << 13] {
        share(bytes, format, part_bytes, &whole, &report);
    }
    again(bytes, &whole, &report);
}

/// Reads `bytes` in parts by three readers in turn, as the fast path does; everything must be as `whole` and
/// `report` say.
fn share(bytes: &[u8], format: &Format, part_bytes: usize, whole: &Keep, report: &FileReport) {
    let options = options(part_bytes);
    let Ok(file) = SharedFile::open(bytes, format, &options) else { return };
    let mut readers = [file.reader(), file.reader(), file.reader()];
    let mut buffer = PartBuffer::default();
    let mut parts: Vec<(u64, Keep)> = Vec::new();
    let mut turn = bytes.len();
    loop {
        let mut sink = Keep::default();
        turn = turn.wrapping_mul(7).wrapping_add(3);
        match file.read_part(&mut readers[turn % 3], &mut buffer, &mut sink) {
            Ok(Some(number)) => parts.push((number, sink)),
            Ok(None) => break,
            Err(error) => unreachable!("bytes in memory can be read: {error}"),
        }
    }
    let numbers: Vec<u64> = parts.iter().map(|(number, _)| *number).collect();
    assert!(
        numbers.windows(2).all(|pair| pair[0] < pair[1]),
        "parts are numbered in file order: {numbers:?}"
    );
    let found = file.finish(readers.into()).map(|report| format!("{report:?}"));
    assert_eq!(found.ok(), Some(format!("{report:?}")), "parts of {part_bytes} give the same sums");
    let rows: Vec<_> = parts.iter().flat_map(|(_, part)| &part.rows).collect();
    assert!(rows.iter().copied().eq(&whole.rows), "parts of {part_bytes} give the same rows");
    let rejects: Vec<_> = parts.iter().flat_map(|(_, part)| &part.rejects).collect();
    assert!(rejects.iter().copied().eq(&whole.rejects), "parts of {part_bytes} give the same rejects");
}

fn again(bytes: &[u8], whole: &Keep, report: &FileReport) {
    let Some(bound) = &report.bound else {
        assert!(whole.rows.is_empty(), "there are no rows without a header");
        return;
    };
    for (position, row) in whole.rows.iter().rev().take(3) {
        let offset = usize::try_from(position.offset).unwrap_or(usize::MAX);
        let mut sink = Keep { stop_after: Some(1), ..Keep::default() };
        reread_rows(&bytes[offset..], *position, bound, &options(64), &mut sink);
        assert_eq!(sink.rows, [(*position, row.clone())], "a row is read again as it was");
    }
}

/// An itemised report, and the balance summary on the same bytes.
pub fn stripe_itemized(bytes: &[u8]) {
    read_in_every_way(bytes, &Format::StripeItemized);
    let summary = read_balance_summary(bytes, &options(64));
    let checks = crate::stripe::balance_summary::tie(Some(&summary), &[]);
    assert!(checks.len() <= summary.currencies.len() * 2);
}

/// A mapping, a line of three dashes, and a CSV that is read by it. Without the line the bytes are a CSV of the
/// platform.
pub fn mapping(bytes: &[u8]) {
    const DASHES: &[u8] = b"\n---\n";
    let Some(at) = memchr::memmem::find(bytes, DASHES) else {
        return read_in_every_way(bytes, &Format::PlatformCsv);
    };
    let Ok(text) = std::str::from_utf8(&bytes[..at]) else { return };
    if let Ok(mapping) = Mapping::parse(text) {
        read_in_every_way(&bytes[at + DASHES.len()..], &Format::Mapped(mapping));
    }
}

/// The platform's feed.
pub fn platform_feed(bytes: &[u8]) {
    read_in_every_way(bytes, &Format::PlatformNdjson);
}

/// A file of bank statements.
pub fn bank_statements(bytes: &[u8]) {
    let limits = Limits { max_bank_entries: 40, ..options(64).limits };
    let read = |source: &mut dyn Read, chunk_bytes| {
        read_bank_file(source, &ReadOptions { limits: limits.clone(), ..options(chunk_bytes) })
    };
    let file = read(&mut &bytes[..], 1 << 13);
    assert_eq!(file, read(&mut Drip(bytes), 32), "chunks do not matter");
    for reject in &file.rejects {
        assert!(reject.message.chars().count() < 600, "a message is for people: {}", reject.message);
    }
    assert!(file.format.is_some() || (file.statements.is_empty() && file.rejects.len() == 1));
    proves_itself(&file);
}

/// What is proven adds up, by another way of adding.
fn proves_itself(file: &BankFile) {
    let mut ordinals = Vec::new();
    for statement in &file.statements {
        let booked = |status| status == EntryStatus::Booked;
        let mut moved = 0;
        for entry in &statement.entries {
            ordinals.push(entry.ordinal);
            assert_eq!(entry.currency, statement.currency, "a statement has one currency");
            assert!(
                entry.references.iter().all(|reference| !reference.text.is_empty()),
                "no empty reference"
            );
            moved += if booked(entry.status) { i128::from(entry.amount) } else { 0 };
        }
        let balances = statement.opening.zip(statement.closing);
        let adds_up = balances
            .map(|(opening, closing)| i128::from(closing.amount) - i128::from(opening.amount) == moved);
        let proven = statement.control.proof == Proof::Proven;
        assert!(!proven || adds_up != Some(false), "a proven statement adds up");
    }
    assert!(ordinals.windows(2).all(|pair| pair[0] < pair[1]), "entries are numbered in file order");
    let proven = file.proof() == Proof::Proven;
    assert!(!proven || file.rejects.is_empty(), "what was refused is not proven");
}

/// A file of any shape, and its rows.
pub fn spool(bytes: &[u8]) {
    let limits = Limits { max_file_bytes: 1 << 20, ..Limits::default() };
    let mut text = Vec::new();
    let Ok(unpacked) = unpack(Cursor::new(bytes), bytes.len() as u64, &mut text, &limits) else { return };
    let kept = usize::try_from(unpacked.bytes).unwrap_or(usize::MAX);
    assert!(kept <= text.len(), "no more is kept than was written");
    assert!(text.len() <= (1 << 20) * 2, "a limit holds");
    if !unpacked.damage.is_empty() && !unpacked.encoding.is_utf16() {
        assert!(kept == 0 || text[kept - 1] == b'\n', "of damaged text only whole lines are kept");
    }
    keep(&text[..kept], &Format::StripeItemized, 1 << 12);
}
