//! Drives a CSV file through a reader of rows: header, width of rows, counting, stopping.

use std::io::Read;

use payops_core::currency::{Currency, Exponents};

use crate::control::ControlTally;
use crate::fault::{Fault, excerpt};
use crate::header::{ABSENT, Header};
use crate::options::ReadOptions;
use crate::records::{Next, Record, Records};
use crate::report::FileReport;
use crate::row::{Reject, RejectReason, Row, RowSink};
use crate::tally::Tally;

/// The most fields that a format has.
const FIELDS: usize = 16;

/// Where the columns of one file are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    /// Per field of the format, the column, or [`ABSENT`].
    columns: [usize; FIELDS],
    /// The columns a row must reach.
    needed: Vec<usize>,
    /// The header as it stands in the file.
    names: Vec<String>,
}

impl Binding {
    /// Looks for each `(name, needed)` in the header. An empty name is a field that the format does not have.
    pub(crate) fn find(header: Header, wanted: &[(&str, bool)]) -> Result<Self, Vec<Reject>> {
        let mut rejects = Vec::new();
        let mut binding = Self { columns: [ABSENT; FIELDS], needed: Vec::new(), names: Vec::new() };
        for ((name, needed), place) in wanted.iter().zip(&mut binding.columns) {
            *place = match (name.is_empty(), needed) {
                (true, _) => ABSENT,
                (false, true) => header.needed(name, &mut rejects),
                (false, false) => header.optional(name, &mut rejects),
            };
            if *needed && *place != ABSENT {
                binding.needed.push(*place);
            }
        }
        binding.names = header.into_names();
        if rejects.is_empty() { Ok(binding) } else { Err(rejects) }
    }

    /// The column of a field, or [`ABSENT`].
    pub(crate) fn column(&self, field: usize) -> usize {
        self.columns[field]
    }

    /// How many columns the header has.
    pub(crate) fn width(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn has(&self, field: usize) -> bool {
        self.columns[field] != ABSENT
    }

    /// A field's text, trimmed; empty when the file does not have it.
    #[inline]
    pub(crate) fn get<'r>(&self, record: &Record<'r>, field: usize) -> &'r [u8] {
        record.field(self.columns[field]).trim_ascii()
    }

    /// The column's name in the file, for messages.
    #[cold]
    pub(crate) fn name(&self, field: usize) -> &str {
        self.names.get(self.columns[field]).map_or("?", String::as_str)
    }

    /// Refuses a row that ends before a needed column or goes on with text behind the last one.
    #[inline]
    pub(crate) fn check_width(&self, record: &Record<'_>) -> Result<(), Fault> {
        if record.len() == self.names.len() { Ok(()) } else { self.check_odd_width(record) }
    }

    #[cold]
    fn check_odd_width(&self, record: &Record<'_>) -> Result<(), Fault> {
        let (fields, columns) = (record.len(), self.names.len());
        if let Some(&cut) = self.needed.iter().find(|&&column| column >= fields) {
            let name = self.names.get(cut).map_or("?", String::as_str);
            let message =
                format!("the row has {fields} fields and ends before '{name}', which is field {}", cut + 1);
            return Err(Fault::new(RejectReason::ShortRow, Some(name), message));
        }
        match (columns..fields).find(|&index| !record.field(index).trim_ascii().is_empty()) {
            Some(index) => {
                let value = excerpt(record.field(index));
                let message = format!(
                    "the row has {fields} fields, the header {columns}; field {} is '{value}'",
                    index + 1
                );
                Err(Fault::new(RejectReason::LongRow, None, message))
            }
            None => Ok(()),
        }
    }

    /// An id: valid text of a bearable length.
    #[inline]
    pub(crate) fn id<'r>(
        &self,
        record: &Record<'r>,
        field: usize,
        longest: usize,
    ) -> Result<&'r [u8], Fault> {
        let text = self.text(record, field)?;
        if text.len() > longest {
            let name = self.name(field);
            let what = format!("{} bytes are longer than the {longest} that are accepted", text.len());
            return Err(Fault::value(RejectReason::FieldTooLong, name, &what, text));
        }
        Ok(text)
    }

    /// A text that must be valid UTF-8.
    #[inline]
    pub(crate) fn text<'r>(&self, record: &Record<'r>, field: usize) -> Result<&'r [u8], Fault> {
        let text = self.get(record, field);
        if record.ascii || std::str::from_utf8(text).is_ok() {
            return Ok(text);
        }
        let what = "the bytes are not valid in the file's encoding";
        Err(Fault::value(RejectReason::BadEncoding, self.name(field), what, text))
    }
}

/// Currencies as a file writes them, with their exponents: few, so a short list is the fastest map.
#[derive(Debug)]
pub(crate) struct Currencies {
    exponents: Exponents,
    seen: Vec<([u8; 3], Currency, u8)>,
}

impl Currencies {
    pub(crate) fn new(exponents: Exponents) -> Self {
        Self { exponents, seen: Vec::new() }
    }

    pub(crate) fn exponent(&self, currency: Currency) -> u8 {
        self.exponents.of(currency)
    }

    /// The currency and its exponent, or `None` when `text` is not a currency code.
    #[inline]
    pub(crate) fn read(&mut self, text: &[u8]) -> Option<(Currency, u8)> {
        const REMEMBERED: usize = 32;
        let code = <[u8; 3]>::try_from(text).ok()?;
        if let Some((_, currency, exponent)) = self.seen.iter().find(|(seen, _, _)| *seen == code) {
            return Some((*currency, *exponent));
        }
        let currency = Currency::parse(&code).ok()?;
        let exponent = self.exponents.of(currency);
        if self.seen.len() < REMEMBERED {
            self.seen.push((code, currency, exponent));
        }
        Some((currency, exponent))
    }
}

/// Turns records of one format into rows, and keeps the file's sums.
pub(crate) trait RowReader {
    /// Reads one record; `None` for one that is no row, such as a line of totals.
    fn read<'r>(&mut self, record: &Record<'r>) -> Result<Option<Row<'r>>, Fault>
    where
        Self: 'r;

    /// Writes the sums into the report.
    fn finish(self, report: &mut FileReport);

    /// The sums, for rows that were read elsewhere and for those of another reader of the same file.
    fn tally(&mut self) -> &mut Tally;

    /// The sums, when nothing more is read.
    fn into_tally(self) -> Tally;

    /// Counts the amount, as written, of a row that was read elsewhere and may be covered by a line of totals.
    fn count_written(&mut self, _currency: Currency, _amount: i64) {}

    /// Takes what lines of totals cover and state so far; `None` in formats without them.
    fn take_control(&mut self) -> Option<ControlTally> {
        None
    }

    /// Puts back what was taken, in file order.
    fn put_control(&mut self, _parts: impl Iterator<Item = ControlTally>) {}
}

/// Reads the header of a file, or rejects.
pub(crate) fn read_header<R: Read>(
    records: &mut Records<R>,
    wanted: &[(&str, bool)],
) -> Result<Binding, Vec<Reject>> {
    let rejects = match records.next() {
        // Left alone, rows would be taken for a part of the header, and the file for one without rows.
        Next::Record(record) if record.lone_carriage_return() => vec![Reject {
            line: record.position.line,
            column: None,
            reason: RejectReason::BadLineEnd,
            message: "the header contains a carriage return: lines must end in LF or CR LF".into(),
        }],
        Next::Record(record) => return Binding::find(Header::read(&record), wanted),
        Next::Broken(broken) => vec![broken.into_reject()],
        Next::End => match records.take_error() {
            Some(error) => vec![cut_short(&error)],
            None => vec![Reject {
                line: 0,
                column: None,
                reason: RejectReason::MissingColumn,
                message: "the file is empty: a header was expected".into(),
            }],
        },
    };
    Err(rejects)
}

/// Feeds every record behind the header to `reader` and the outcome to `sink`.
pub(crate) fn drive<R: Read, T: RowReader, S: RowSink>(
    records: &mut Records<R>,
    reader: &mut T,
    sink: &mut S,
    report: &mut FileReport,
) {
    loop {
        let reject = match records.next() {
            Next::Record(record) if !sink.wants(record.position) => None,
            Next::Record(record) => match reader.read(&record) {
                Ok(Some(row)) => {
                    report.rows += 1;
                    report.rows_outside_window += u64::from(!row.in_window);
                    sink.row(record.position, &row);
                    None
                }
                Ok(None) => None,
                Err(fault) => Some(fault.at(record.position)),
            },
            Next::Broken(broken) => Some(broken.into_reject()),
            Next::End => break,
        };
        if let Some(reject) = reject {
            report.rejects += 1;
            sink.reject(reject);
        }
        if sink.cancelled() {
            report.stopped_early = true;
            break;
        }
    }
    if let Some(error) = records.take_error() {
        report.rejects += 1;
        sink.reject(cut_short(&error));
    }
    report.bytes = records.consumed();
}

/// Delivers rejects that concern the whole file.
pub(crate) fn refuse<S: RowSink>(rejects: Vec<Reject>, sink: &mut S, report: &mut FileReport) {
    report.rejects += rejects.len() as u64;
    for reject in rejects {
        sink.reject(reject);
    }
}

/// A file-level reject: the source broke off.
pub(crate) fn cut_short(error: &std::io::Error) -> Reject {
    let message = format!("reading stopped before the end of the file: {error}");
    Reject { line: 0, column: None, reason: RejectReason::Truncated, message }
}

/// Opens the records of a CSV file from its beginning.
pub(crate) fn records<R: Read>(source: R, delimiter: u8, options: &ReadOptions) -> Records<R> {
    Records::new(source, delimiter, options.limits.max_row_bytes, options.chunk_bytes)
}
