//! The one door to every row format.

use std::io::Read;
use std::sync::Arc;

use chrono::NaiveDate;
use payops_core::time::NoSuchDay;

use crate::mapping::Mapping;
use crate::mapping::read::MappedReader;
use crate::options::ReadOptions;
use crate::platform_feed;
use crate::records::Records;
use crate::report::FileReport;
use crate::row::{Position, Reject, RejectReason, RowSink};
use crate::rows::{Binding, RowReader, drive, read_header, records, refuse};
use crate::stripe::itemized::{self, ItemizedReader};
use crate::time::TimeFormat;

/// The formats that rows are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Stripe's itemised balance and payout reports.
    StripeItemized,
    /// Any CSV, by a mapping.
    Mapped(Mapping),
    /// The platform's payments as CSV, by the built-in mapping.
    PlatformCsv,
    /// The platform's payments as one JSON object a line, with a trailer.
    PlatformNdjson,
}

/// What proves that a file is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProvenBy {
    /// A report of its own beside it: the balance summary.
    BalanceSummary,
    /// Its last line, with count and sums.
    Trailer,
    /// A row of totals, which its mapping speaks of.
    Totals,
    /// Nothing: a person hands it over, and it has no means of proof.
    Nothing,
}

impl Format {
    /// The mapping that the format is read by, where it is one.
    fn mapping(&self) -> Option<Mapping> {
        match self {
            Self::Mapped(mapping) => Some(mapping.clone()),
            Self::PlatformCsv => Some(Mapping::platform()),
            Self::StripeItemized | Self::PlatformNdjson => None,
        }
    }

    /// What stands between two fields; `None` where a row is no list of fields.
    pub(crate) fn delimiter(&self) -> Option<u8> {
        match self {
            Self::StripeItemized | Self::PlatformCsv => Some(b','),
            Self::Mapped(mapping) => Some(mapping.rules().delimiter),
            Self::PlatformNdjson => None,
        }
    }

    /// What proves that a file of this format is whole.
    pub fn proven_by(&self) -> ProvenBy {
        match self {
            Self::StripeItemized => ProvenBy::BalanceSummary,
            Self::PlatformNdjson => ProvenBy::Trailer,
            Self::Mapped(mapping) if mapping.has_proof() => ProvenBy::Totals,
            Self::Mapped(_) | Self::PlatformCsv => ProvenBy::Nothing,
        }
    }

    /// Whether the source lists payments that failed or were cancelled, so that one that is absent there is
    /// worth a question.
    pub fn lists_failed(&self) -> bool {
        match self {
            Self::StripeItemized => false,
            Self::PlatformNdjson => true,
            Self::Mapped(_) | Self::PlatformCsv => {
                self.mapping().is_some_and(|mapping| mapping.lists_failed())
            }
        }
    }
}

/// A format with its columns found in one file's header: all that is needed to read rows of that file from
/// its middle. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BoundFormat(Arc<Bound>);

impl BoundFormat {
    pub(crate) fn new(bound: Arc<Bound>) -> Self {
        Self(bound)
    }

    /// Whether rows are lines of fields, or records of several such lines.
    pub fn is_csv(&self) -> bool {
        !matches!(&*self.0, Bound::Ndjson)
    }

    /// The business day of a time as the file prints it: in the zone of the day asked about, else in the file's own.
    /// `None` when it is no time, or the format has none.
    pub fn date_of(&self, text: &str, options: &ReadOptions) -> Option<NaiveDate> {
        let (format, zone) = match &*self.0 {
            Bound::Stripe(binding) => (TimeFormat::Iso8601, itemized::zone(binding, options)),
            Bound::Mapped(mapping, _) => (mapping.rules().time.clone(), mapping.rules().zone.clone()),
            Bound::Ndjson => return None,
        };
        let target = options.window.as_ref().map_or(&zone, |window| &window.zone);
        format.date(text.as_bytes(), &zone, target)
    }
}

#[derive(Debug)]
pub(crate) enum Bound {
    Stripe(Binding),
    Mapped(Mapping, Binding),
    Ndjson,
}

/// Reads a whole file of decoded text from its beginning and delivers every row and every reject, in file
/// order. It never fails: what cannot be read is rejected, and the rest is read. After each row and reject the
/// sink is asked whether to stop.
pub fn read_rows<R: Read, S: RowSink>(
    source: R,
    format: &Format,
    options: &ReadOptions,
    sink: &mut S,
) -> FileReport {
    let mut report = FileReport::empty();
    let Some(delimiter) = format.delimiter() else {
        report.bound = Some(BoundFormat(Arc::new(Bound::Ndjson)));
        platform_feed::read(source, Position { offset: 0, line: 1, ordinal: 0 }, options, sink, &mut report);
        return report;
    };
    let mut records = records(source, delimiter, options);
    let bound = match bind(&mut records, format) {
        Ok(bound) => Arc::new(bound),
        Err(rejects) => {
            refuse(rejects, sink, &mut report);
            report.bytes = records.consumed();
            return report;
        }
    };
    records.restart_ordinals();
    report.bound = Some(BoundFormat(Arc::clone(&bound)));
    read_bound(&mut records, &bound, options, sink, &mut report);
    report
}

/// Reads the header of a CSV file and finds the columns of the format in it.
pub(crate) fn bind<R: Read>(records: &mut Records<R>, format: &Format) -> Result<Bound, Vec<Reject>> {
    match format.mapping() {
        Some(mapping) => {
            let binding = read_header(records, &mapping.rules().wanted())?;
            Ok(Bound::Mapped(mapping, binding))
        }
        None => read_header(records, &itemized::WANTED).map(Bound::Stripe),
    }
}

/// Reads rows again, from the middle of a file that [`read_rows`] has read: `source` stands at
/// `start.offset`. Rows come until the sink asks to stop or the file ends, as they came the first time: the
/// same text, position and window. The sums of the report cover only what was read.
pub fn reread_rows<R: Read, S: RowSink>(
    source: R,
    start: Position,
    bound: &BoundFormat,
    options: &ReadOptions,
    sink: &mut S,
) -> FileReport {
    let mut report = FileReport::empty();
    report.bound = Some(bound.clone());
    let delimiter = match &*bound.0 {
        Bound::Ndjson => {
            platform_feed::read(source, start, options, sink, &mut report);
            return report;
        }
        Bound::Mapped(mapping, _) => mapping.rules().delimiter,
        Bound::Stripe(_) => b',',
    };
    let mut records =
        Records::resume(source, delimiter, options.limits.max_row_bytes, options.chunk_bytes, start);
    read_bound(&mut records, &bound.0, options, sink, &mut report);
    report
}

fn read_bound<R: Read, S: RowSink>(
    records: &mut Records<R>,
    bound: &Bound,
    options: &ReadOptions,
    sink: &mut S,
    report: &mut FileReport,
) {
    match bound {
        Bound::Stripe(binding) => run(records, ItemizedReader::new(binding, options), sink, report),
        Bound::Mapped(mapping, binding) => {
            run(records, MappedReader::new(mapping.rules(), binding, options), sink, report);
        }
        Bound::Ndjson => {}
    }
}

fn run<R: Read, T: RowReader, S: RowSink>(
    records: &mut Records<R>,
    reader: Result<T, NoSuchDay>,
    sink: &mut S,
    report: &mut FileReport,
) {
    match reader {
        Ok(mut reader) => {
            drive(records, &mut reader, sink, report);
            reader.finish(report);
        }
        Err(no_such_day) => refuse(vec![no_day(&no_such_day)], sink, report),
    }
}

pub(crate) fn no_day(error: &NoSuchDay) -> Reject {
    Reject { line: 0, column: None, reason: RejectReason::BadTime, message: error.to_string() }
}
