//! The fast path: one file read by several threads at once, by bit masks and without text.
//!
//! # How it works
//!
//! A [`SharedFile`] is cut into parts of about 64 KiB that begin and end at line ends ([`cut`]). Each
//! thread has a [`PartReader`], takes the next part, finds all delimiters and line ends in it by comparing 64
//! bytes at a time ([`masks`]), and turns the lines into rows from the places of their fields alone ([`line`]).
//!
//! # Why it is right
//!
//! [`crate::read::read_rows`] defines what a file holds; this path gives the same rows, rejects and sums, and the
//! property tests and a fuzz target hold it to that. Whatever is out of the ordinary is handed to the plain
//! reader, which is the same code as there:
//!
//! - **a part** with a quote, a NUL byte, an empty line, a line that begins with a blank, or no line end: the plain
//!   reader reads it, from its beginning to the first record that begins behind it;
//! - **a line** that is too long, not ASCII, of an odd width, or that the short way does not take: it is made a
//!   record, and read as the plain reader reads records;
//! - **a file** whose rows belong to more payouts than are summed: which of them are summed depends on the order,
//!   so the sums alone are made again by the plain reader;
//! - **a feed** in JSON: it is one single part.
//!
//! A thread's sums are those of its parts; they are added up at the end. What depends on the order of the file
//! (lines of totals, the first rows that do not balance) carries the number of the part or the line.

mod columns;
mod cut;
mod line;
mod masks;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

pub(crate) use columns::AmountForm;
pub(crate) use line::{Columns, KindWords, Plan};

use crate::control::ControlTally;
use crate::mapping::read::MappedReader;
use crate::options::ReadOptions;
use crate::platform_feed;
use crate::read::{Bound, BoundFormat, Format, bind, no_day};
use crate::records::{Broken, Next, Record, Records};
use crate::report::FileReport;
use crate::row::{Position, Reject, RowSink};
use crate::rows::{RowReader, refuse};
use crate::stripe::itemized::{self, ItemizedReader};
use crate::time::{TimeFormat, TimeReader};
use cut::{CleanPart, Cutter, Part};
use line::{LINES, Line, ShortWay};
use masks::{Index, is_line_end};

/// What is read behind a part's text without being looked at.
const PADDING: usize = 64;

/// A source that can be read at any place, by several threads.
pub trait ReadAt: Sync {
    /// Reads some bytes that begin at `offset`; none means that the source ends there.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// A [`ReadAt`] as a stream. The plain reader takes an error for the end; here it is kept.
struct Stream<'a, A: ?Sized> {
    source: &'a A,
    offset: u64,
    error: Option<io::Error>,
}

impl<'a, A: ReadAt + ?Sized> Stream<'a, A> {
    fn new(source: &'a A, offset: u64) -> Self {
        Self { source, offset, error: None }
    }
}

impl<A: ReadAt + ?Sized> Read for Stream<'_, A> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.source.read_at(buffer, self.offset);
        match &result {
            Ok(count) => self.offset += *count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                self.error.get_or_insert(io::Error::new(error.kind(), error.to_string()));
            }
        }
        result
    }
}

/// A file that several threads read, each part by one of them.
#[derive(Debug)]
pub struct SharedFile<'a, A: ?Sized> {
    source: &'a A,
    format: &'a Format,
    options: &'a ReadOptions,
    /// `None` when the header was refused.
    bound: Option<Arc<Bound>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    cutter: Cutter,
    /// What is wrong with the file as a whole, until somebody takes it.
    refused: Vec<Reject>,
}

/// What a thread reads parts into, whichever file they are of.
#[derive(Debug, Default)]
pub struct PartBuffer {
    text: Vec<u8>,
    index: Index,
    spans: Vec<(u32, u32)>,
}

impl<'a, A: ReadAt + ?Sized> SharedFile<'a, A> {
    /// Reads the header. An error is one of the source.
    pub fn open(source: &'a A, format: &'a Format, options: &'a ReadOptions) -> io::Result<Self> {
        let first = Position { offset: 0, line: 1, ordinal: 0 };
        let opened = |bound, next, refused: Vec<Reject>| {
            let cutter = Cutter { next, taken: 0, ended: !refused.is_empty() };
            Self { source, format, options, bound, state: Mutex::new(State { cutter, refused }) }
        };
        let Some(delimiter) = format.delimiter() else {
            return Ok(opened(Some(Arc::new(Bound::Ndjson)), first, Vec::new()));
        };
        let limits = &options.limits;
        let mut stream = Stream::new(source, 0);
        let mut records =
            Records::resume(&mut stream, delimiter, limits.max_row_bytes, options.chunk_bytes, first);
        let bound = bind(&mut records, format);
        records.restart_ordinals();
        let next = records.next_position();
        match (bound, stream.error) {
            (_, Some(error)) => Err(error),
            (Ok(bound), None) => {
                let refused = refusals(&bound, options);
                let next = if refused.is_empty() { next } else { first };
                Ok(opened(Some(Arc::new(bound)), next, refused))
            }
            (Err(rejects), None) => Ok(opened(None, next, rejects)),
        }
    }

    /// Reads the times of the file's rows as its readers do.
    pub fn times(&self) -> TimeReader {
        match self.bound.as_deref() {
            Some(Bound::Stripe(binding)) => {
                TimeReader::new(TimeFormat::Iso8601, itemized::zone(binding, self.options))
            }
            Some(Bound::Mapped(mapping, _)) => {
                TimeReader::new(mapping.rules().time.clone(), mapping.rules().zone.clone())
            }
            Some(Bound::Ndjson) | None => TimeReader::default(),
        }
    }

    /// A reader for one more thread.
    pub fn reader(&self) -> PartReader<'_> {
        let rows = match self.bound.as_deref() {
            Some(Bound::Mapped(mapping, binding)) => {
                MappedReader::new(mapping.rules(), binding, self.options).map(|reader| {
                    let short = ShortWay::new(reader.plan());
                    Rows::Mapped(Csv::new(reader, short))
                })
            }
            Some(Bound::Stripe(binding)) => ItemizedReader::new(binding, self.options).map(|reader| {
                let short = ShortWay::new(reader.plan());
                Rows::Stripe(Csv::new(reader, short))
            }),
            Some(Bound::Ndjson) | None => Ok(Rows::Whole),
        };
        // A day that does not exist was refused when the file was opened.
        PartReader { rows: rows.unwrap_or(Rows::Whole), report: FileReport::empty() }
    }

    /// Takes the next part of the file and delivers its rows and rejects, in file order. Returns the part's
    /// number, which counts in file order, or `None` when there is no further part. An error is one of the source.
    pub fn read_part<'s, S: RowSink>(
        &'s self,
        reader: &mut PartReader<'s>,
        buffer: &mut PartBuffer,
        sink: &mut S,
    ) -> io::Result<Option<u64>> {
        let report = &mut reader.report;
        match &mut reader.rows {
            Rows::Mapped(csv) => csv.read_part(self, buffer, sink, report),
            Rows::Stripe(csv) => csv.read_part(self, buffer, sink, report),
            Rows::Whole => self.read_whole(sink, report),
        }
    }

    /// The only part of a file that is not cut.
    fn read_whole<S: RowSink>(&self, sink: &mut S, report: &mut FileReport) -> io::Result<Option<u64>> {
        {
            let mut state = self.lock();
            if !state.refused.is_empty() {
                refuse(std::mem::take(&mut state.refused), sink, report);
                state.cutter.taken += 1;
                return Ok(Some(0));
            }
            if std::mem::replace(&mut state.cutter.ended, true) {
                return Ok(None);
            }
        }
        let first = Position { offset: 0, line: 1, ordinal: 0 };
        let mut stream = Stream::new(self.source, 0);
        platform_feed::read(&mut stream, first, self.options, sink, report);
        stream.error.map_or(Ok(Some(0)), Err)
    }

    /// Adds up what the threads found. Every part must have been read.
    pub fn finish(&self, readers: Vec<PartReader<'_>>) -> io::Result<FileReport> {
        let mut report = FileReport::empty();
        let (mut mapped, mut stripe) = (Vec::new(), Vec::new());
        for reader in readers {
            report.rows += reader.report.rows;
            report.rejects += reader.report.rejects;
            report.rows_outside_window += reader.report.rows_outside_window;
            report.stopped_early |= reader.report.stopped_early;
            match reader.rows {
                Rows::Mapped(csv) => mapped.push(csv),
                Rows::Stripe(csv) => stripe.push(csv),
                Rows::Whole if self.bound.is_some() && reader.report.bytes > 0 => report = reader.report,
                Rows::Whole => {}
            }
        }
        let has_all_sums = join(mapped, &mut report) && join(stripe, &mut report);
        if !has_all_sums {
            self.sum_again(&mut report)?;
        }
        if self.format.delimiter().is_some() {
            report.bytes = self.lock().cutter.next.offset;
        }
        report.bound = self.bound.clone().map(BoundFormat::new);
        Ok(report)
    }

    /// Has the plain reader sum the file.
    fn sum_again(&self, report: &mut FileReport) -> io::Result<()> {
        struct Nobody;
        impl RowSink for Nobody {
            fn row(&mut self, _: Position, _: &crate::row::Row<'_>) {}
            fn reject(&mut self, _: Reject) {}
        }
        let mut stream = Stream::new(self.source, 0);
        *report = crate::read::read_rows(&mut stream, self.format, self.options, &mut Nobody);
        stream.error.map_or(Ok(()), Err)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What bars every row of the file.
fn refusals(bound: &Bound, options: &ReadOptions) -> Vec<Reject> {
    let refused = match bound {
        Bound::Mapped(mapping, binding) => MappedReader::new(mapping.rules(), binding, options).err(),
        Bound::Stripe(binding) => ItemizedReader::new(binding, options).err(),
        Bound::Ndjson => None,
    };
    refused.iter().map(no_day).collect()
}

/// What one thread knows of one file.
#[derive(Debug)]
pub struct PartReader<'s> {
    rows: Rows<'s>,
    report: FileReport,
}

#[derive(Debug)]
enum Rows<'s> {
    Mapped(Csv<'s, MappedReader<'s>>),
    Stripe(Csv<'s, ItemizedReader<'s>>),
    Whole,
}

/// The two ways of reading a line, and the lines of totals by part.
#[derive(Debug)]
struct Csv<'s, T> {
    short: ShortWay<'s>,
    plain: T,
    controls: Vec<(u64, ControlTally)>,
}

impl<'s, T: RowReader> Csv<'s, T> {
    fn new(plain: T, short: ShortWay<'s>) -> Self {
        Self { short, plain, controls: Vec::new() }
    }

    fn read_part<A: ReadAt + ?Sized, S: RowSink>(
        &mut self,
        file: &SharedFile<'_, A>,
        buffer: &mut PartBuffer,
        sink: &mut S,
        report: &mut FileReport,
    ) -> io::Result<Option<u64>> {
        let mut state = file.lock();
        let number = state.cutter.taken;
        if !state.refused.is_empty() {
            refuse(std::mem::take(&mut state.refused), sink, report);
            state.cutter.taken += 1;
            return Ok(Some(number));
        }
        let part = {
            let form = (file.delimiter(), self.short.width());
            state.cutter.cut(file.source, file.options.chunk_bytes.max(1), form, buffer)?
        };
        match part {
            Part::End => return Ok(None),
            Part::Clean(part) => {
                state.cutter.taken += 1;
                drop(state);
                self.read_clean(file, part, buffer, sink, report);
            }
            Part::Special { start, end } => {
                state.cutter.taken += 1;
                self.read_special(file, (start, end), &mut state.cutter, sink, report)?;
            }
        }
        if let Some(control) = self.plain.take_control() {
            self.controls.push((number, control));
        }
        Ok(Some(number))
    }

    fn read_clean<A: ReadAt + ?Sized, S: RowSink>(
        &mut self,
        file: &SharedFile<'_, A>,
        part: CleanPart,
        buffer: &mut PartBuffer,
        sink: &mut S,
        report: &mut FileReport,
    ) {
        let (options, delimiter) = (file.options, file.delimiter());
        let CleanPart { start, lines, ascii, even } = part;
        let PartBuffer { text, index, spans } = buffer;
        let (ends, width) = (index.ends(), self.short.width());
        // Where the fields of the line end, after the end of the line before; and the lines whose columns were read.
        let (mut before, mut batch) = (0, 0..0_usize);
        for (index, number) in (0..).zip(0..lines) {
            let from = ends[before].wrapping_add(1) as usize;
            let position = Position {
                offset: start.offset + from as u64,
                line: start.line + number,
                ordinal: start.ordinal + number,
            };
            let fields = if even {
                width
            } else {
                ends[before + 1..].iter().take_while(|end| !is_line_end(text, **end)).count() + 1
            };
            if fields == width && !batch.contains(&index) {
                let left = (ends.len() - 1 - before) / width;
                let count = if even { left.min(LINES) } else { 1 };
                self.short.read_columns(text, &ends[before..=before + count * width]);
                batch = index..index + count;
            }
            let bounds = &ends[before..=before + fields];
            before += fields;
            let whole = || &text[from..ends[before] as usize];
            if fields == width && (ascii || whole().is_ascii()) {
                let line = Line { part: text, bounds };
                let read = self.short.row::<T, S>(index - batch.start, &line, &mut self.plain, |row| {
                    report.rows += 1;
                    report.rows_outside_window += u64::from(!row.in_window);
                    sink.row(position, row);
                });
                if read.is_some() {
                    continue;
                }
            }
            let whole = whole();
            let content = whole.strip_suffix(b"\r").unwrap_or(whole);
            if content.len() > options.limits.max_row_bytes.clamp(1, 1 << 30) {
                report.rejects += 1;
                sink.reject(Broken::too_long(position, options.limits.max_row_bytes).into_reject());
                continue;
            }
            let record = Record::of_line(content, spans, delimiter, position, ascii);
            self.read_record(&record, sink, report);
        }
        report.stopped_early |= sink.cancelled();
    }

    fn read_special<A: ReadAt + ?Sized, S: RowSink>(
        &mut self,
        file: &SharedFile<'_, A>,
        (start, end): (Position, u64),
        cutter: &mut Cutter,
        sink: &mut S,
        report: &mut FileReport,
    ) -> io::Result<()> {
        let options = file.options;
        let mut stream = Stream::new(file.source, start.offset);
        let max_row = options.limits.max_row_bytes;
        let mut records = Records::resume(&mut stream, file.delimiter(), max_row, options.chunk_bytes, start);
        while records.consumed() < end && !cutter.ended {
            match records.next() {
                Next::Record(record) => self.read_record(&record, sink, report),
                Next::Broken(broken) => {
                    report.rejects += 1;
                    sink.reject(broken.into_reject());
                }
                Next::End => cutter.ended = true,
            }
            if sink.cancelled() {
                report.stopped_early = true;
                break;
            }
        }
        cutter.next = records.next_position();
        stream.error.map_or(Ok(()), Err)
    }

    #[inline(never)]
    fn read_record<S: RowSink>(&mut self, record: &Record<'_>, sink: &mut S, report: &mut FileReport) {
        match self.plain.read(record) {
            Ok(Some(row)) => {
                report.rows += 1;
                report.rows_outside_window += u64::from(!row.in_window);
                sink.row(record.position, &row);
            }
            Ok(None) => {}
            Err(fault) => {
                report.rejects += 1;
                sink.reject(fault.at(record.position));
            }
        }
    }
}

impl<A: ?Sized> SharedFile<'_, A> {
    fn delimiter(&self) -> u8 {
        self.format.delimiter().unwrap_or(b',')
    }
}

/// Adds the sums of all threads to the report; false when they do not suffice.
fn join<T: RowReader>(parts: Vec<Csv<'_, T>>, report: &mut FileReport) -> bool {
    let mut controls = Vec::new();
    let mut all: Option<T> = None;
    for Csv { short, mut plain, controls: of_thread } in parts {
        short.finish(plain.tally());
        controls.extend(of_thread);
        match &mut all {
            Some(all) => all.tally().merge(plain.into_tally()),
            None => all = Some(plain),
        }
    }
    let Some(mut all) = all else { return true };
    controls.sort_by_key(|(number, _)| *number);
    all.put_control(controls.into_iter().map(|(_, control)| control));
    let is_complete = all.tally().is_complete();
    all.finish(report);
    is_complete
}
