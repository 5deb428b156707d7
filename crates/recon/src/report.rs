//! The forms in which a report is downloaded.

mod charts;
mod cover;
mod facts;
mod paper;
mod pdf;
#[cfg(test)]
mod tests;
mod words;
mod xlsx;

use bytes::Bytes;
use payops_platform::error::{Error, Result};

use crate::api::wire::{Record, Report};

pub use cover::{Cover, Line, exponents, major};
pub use paper::{Paper, PaperReport};
pub use words::Words;

/// A form of report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object: the report, with all records under `records`.
    Json,
    /// The records as CSV (RFC 4180, UTF-8).
    Csv,
    /// Figures, charts and the first differences.
    Pdf,
    /// Figures with formulas, and every row.
    Xlsx,
}

/// A form that is written as it is read from the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// [`Format::Json`].
    Json,
    /// [`Format::Csv`].
    Csv,
}

/// The columns of the CSV: those of the differences file, then what people did, then what rules of tolerance say.
const COLUMNS: [&str; 24] = [
    "diff_type",
    "kind",
    "channel_trade_no",
    "payment_no",
    "channel_row_id",
    "platform_amount",
    "channel_amount",
    "platform_currency",
    "channel_currency",
    "platform_status",
    "channel_status",
    "platform_line",
    "channel_line",
    "merchant_id",
    "status",
    "assigned_to",
    "reason_code",
    "resolution_note",
    "resolved_by",
    "resolved_at",
    "adjustment",
    "rule",
    "candidates",
    "candidate_lines",
];

impl Format {
    /// The format with this name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "json" => Some(Self::Json),
            "csv" => Some(Self::Csv),
            "pdf" => Some(Self::Pdf),
            "xlsx" => Some(Self::Xlsx),
            _ => None,
        }
    }

    /// The ending of a file of this form.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Csv => "csv",
            Self::Pdf => "pdf",
            Self::Xlsx => "xlsx",
        }
    }

    /// Its media type.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Pdf => "application/pdf",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        }
    }
}

impl Text {
    /// What the file begins with: for JSON the report up to the place where its records begin, for CSV the line
    /// that names the columns.
    pub fn head(self, report: &Report) -> Result<Bytes> {
        match self {
            Self::Json => json_head(report),
            Self::Csv => Ok(Bytes::from(COLUMNS.join(",") + "\r\n")),
        }
    }

    /// Some records in this form; `begun` says that others went before.
    pub fn records(self, records: &[Record], begun: bool) -> Result<Bytes> {
        match self {
            Self::Csv => csv_records(records),
            Self::Json => {
                let mut text = Vec::with_capacity(records.len() * 512);
                for (index, record) in records.iter().enumerate() {
                    if begun || index > 0 {
                        text.push(b',');
                    }
                    serde_json::to_writer(&mut text, record).map_err(Error::internal)?;
                }
                Ok(text.into())
            }
        }
    }

    /// What ends the file.
    pub fn tail(self) -> Bytes {
        match self {
            Self::Json => Bytes::from_static(b"]}\n"),
            Self::Csv => Bytes::new(),
        }
    }
}

fn json_head(report: &Report) -> Result<Bytes> {
    let mut text = serde_json::to_vec(report).map_err(Error::internal)?;
    text.pop();
    text.extend_from_slice(b",\"records\":[");
    Ok(text.into())
}

fn csv_records(records: &[Record]) -> Result<Bytes> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    for record in records {
        writer.write_record(fields(record)).map_err(Error::internal)?;
    }
    writer.into_inner().map(Bytes::from).map_err(|error| Error::internal(error.to_string()))
}

fn fields(record: &Record) -> [String; 24] {
    let text = |value: &Option<String>| harmless(value.as_deref().unwrap_or_default());
    let number = |value: Option<i64>| value.map(|value| value.to_string()).unwrap_or_default();
    let word = |value: serde_json::Result<serde_json::Value>| {
        value.ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    [
        record.diff_type.clone(),
        record.kind.clone(),
        text(&record.channel_trade_no),
        text(&record.payment_no),
        text(&record.channel_row_id),
        number(record.platform_amount),
        number(record.channel_amount),
        text(&record.platform_currency),
        text(&record.channel_currency),
        text(&record.platform_status),
        text(&record.channel_status),
        number(record.platform_line),
        number(record.channel_line),
        text(&record.merchant_id),
        word(serde_json::to_value(record.status)),
        text(&record.assigned_to),
        record.reason_code.map(|reason| word(serde_json::to_value(reason))).unwrap_or_default(),
        text(&record.resolution_note),
        text(&record.resolved_by),
        record.resolved_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        number(record.adjustment),
        text(&record.tolerance_rule),
        number(record.candidate_count),
        listed(record.candidates.iter().filter_map(|candidate| candidate.line)),
    ]
}

/// Line numbers with blanks between.
fn listed(lines: impl IntoIterator<Item: ToString>) -> String {
    lines.into_iter().map(|line| line.to_string()).collect::<Vec<_>>().join(" ")
}

/// A text that a spreadsheet would run as a formula gets an apostrophe in front: notes and ids come from
/// outside.
fn harmless(text: &str) -> String {
    if harmful(text) { format!("'{text}") } else { text.to_owned() }
}

/// Whether a spreadsheet would run a text as a formula.
fn harmful(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod format_tests {
    use super::*;

    #[test]
    fn formulas_do_not_reach_a_spreadsheet() {
        assert_eq!(harmless("=1+1"), "'=1+1");
        assert_eq!(harmless("ch_1"), "ch_1");
    }

    #[test]
    fn only_made_formats_are_known() {
        assert_eq!(Format::parse("csv"), Some(Format::Csv));
        assert_eq!(Format::parse("exe"), None);
    }
}
