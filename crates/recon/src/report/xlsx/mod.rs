//! The report as a workbook: the figures with formulas that tie them to the rows, every row, and the certificate.
//!
//! A spreadsheet computes with binary numbers of 53 bits. So each amount stands there twice: in major units for people,
//! and in minor units, which are integers and exact up to 2^53; beyond that the minor units are text, and the check of
//! their sum says that it cannot be made.

mod sheet;
mod summary;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use payops_core::currency::Currency;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};
use serde_json::Value;

use super::cover::{Cover, Line, Work};
use super::facts::certificate;
use super::listed;
use super::words::Words;
use sheet::{Formats, Sheet};

/// The rows that a sheet can have, its head among them.
const SHEET_ROWS: u32 = 1_048_576;
/// Where rows stand in the workbook: behind the summary.
const FIRST_ROWS_SHEET: usize = 1;
/// Sheets with more text than this need the larger form of the archive.
const LARGE_BYTES: u64 = 1 << 30;

/// The columns that formulas speak of.
const TYPE: u16 = 0;
const PLATFORM: SideColumns = SideColumns { currency: 6, amount: 7, minor: 8, status: 9, line: 10 };
const CHANNEL: SideColumns = SideColumns { currency: 11, amount: 12, minor: 13, status: 14, line: 15 };

/// Where the rows of one side stand.
#[derive(Debug, Clone, Copy)]
struct SideColumns {
    currency: u16,
    amount: u16,
    minor: u16,
    status: u16,
    line: u16,
}

/// The rows of one type in one currency, as they were written.
#[derive(Debug, Clone, Copy, Default)]
struct Listed {
    platform: ListedSide,
    channel: ListedSide,
}

#[derive(Debug, Clone, Copy, Default)]
struct ListedSide {
    rows: u64,
    minor: i128,
    /// An amount is text, which formulas do not add.
    inexact: bool,
}

/// A workbook that is being written.
pub struct XlsxReport<'a> {
    cover: &'a Cover,
    book: Workbook,
    formats: Formats,
    /// The rows of each sheet of rows, without its head.
    sheets: Vec<u32>,
    /// By the type's word and the currency.
    listed: BTreeMap<(String, Currency), Listed>,
    text_bytes: u64,
    most_rows: u32,
}

impl<'a> XlsxReport<'a> {
    /// Begins a workbook whose rows wait in `folder` until it is finished.
    pub fn begin(cover: &'a Cover, folder: &Path) -> io::Result<Self> {
        Self::with_sheets_of(cover, folder, SHEET_ROWS - 1)
    }

    pub(super) fn with_sheets_of(cover: &'a Cover, folder: &Path, most_rows: u32) -> io::Result<Self> {
        guarded(|| {
            let mut book = Workbook::new();
            book.set_tempdir(folder)?;
            book.set_properties(&properties(cover)?);
            book.add_worksheet().set_name(cover.words.pick("Summary", "汇总"))?;
            let mut report = Self {
                cover,
                book,
                formats: Formats::new(),
                sheets: Vec::new(),
                listed: BTreeMap::new(),
                text_bytes: 0,
                most_rows,
            };
            report.add_rows_sheet()?;
            Ok(report)
        })
    }

    /// Adds a row.
    pub fn row(&mut self, line: &Line<'_>) -> io::Result<()> {
        guarded(|| {
            if self.sheets.last().is_none_or(|rows| *rows >= self.most_rows) {
                self.add_rows_sheet()?;
            }
            self.tally(line);
            self.write_row(line)
        })
    }

    /// Writes the figures and the certificate, and the whole workbook to `out`.
    pub fn finish(mut self, stated: &Value, out: impl Write + Send) -> io::Result<()> {
        guarded(|| {
            self.end_rows_sheets()?;
            self.write_summary()?;
            self.write_certificate(stated)?;
            self.book.use_zip_large_file(self.text_bytes > LARGE_BYTES);
            self.book.save_to_writer(out)
        })
    }

    fn rows_sheet_name(&self, index: usize) -> String {
        let name = self.cover.words.pick("Differences", "差异");
        if index == 0 { name.to_owned() } else { format!("{name} {}", index + 1) }
    }

    fn add_rows_sheet(&mut self) -> Result<(), XlsxError> {
        let name = self.rows_sheet_name(self.sheets.len());
        let heads = heads(self.cover);
        let sheet = self.book.add_worksheet_with_constant_memory()?.set_name(name)?;
        sheet.set_freeze_panes(1, 0)?;
        let mut sheet = Sheet { sheet, formats: &self.formats };
        for (column, (head, width)) in (0_u16..).zip(heads) {
            sheet.sheet.set_column_width(column, width)?;
            sheet.head(0, column, head)?;
        }
        self.sheets.push(0);
        Ok(())
    }

    fn end_rows_sheets(&mut self) -> Result<(), XlsxError> {
        let last_column = self.last_column();
        for (index, rows) in self.sheets.iter().enumerate() {
            let sheet = self.book.worksheet_from_index(FIRST_ROWS_SHEET + index)?;
            sheet.autofilter(0, 0, *rows, last_column)?;
        }
        Ok(())
    }

    fn last_column(&self) -> u16 {
        u16::try_from(heads(self.cover).len().saturating_sub(1)).unwrap_or(0)
    }

    fn tally(&mut self, line: &Line<'_>) {
        let name = self.cover.words.named_diff_type(&line.diff_type).to_owned();
        for (side, is_platform) in [(&line.platform, true), (&line.channel, false)] {
            let Some((minor, currency)) = side.money else { continue };
            let listed = self.listed.entry((name.clone(), currency)).or_default();
            let listed = if is_platform { &mut listed.platform } else { &mut listed.channel };
            listed.rows += 1;
            listed.minor += minor;
            listed.inexact |= !sheet::is_exact(minor);
        }
    }

    fn write_row(&mut self, line: &Line<'_>) -> Result<(), XlsxError> {
        let (words, exponents) = (self.cover.words, self.cover.exponents);
        let Some((index, rows)) = self.sheets.iter_mut().enumerate().next_back() else { return Ok(()) };
        *rows += 1;
        let row = *rows;
        let sheet = self.book.worksheet_from_index(FIRST_ROWS_SHEET + index)?;
        let mut sheet = Sheet { sheet, formats: &self.formats };
        let texts = [
            (TYPE, words.named_diff_type(&line.diff_type)),
            (1, words.named_kind(&line.kind)),
            (2, line.channel_trade_no.as_ref()),
            (3, line.payment_no.as_ref()),
            (4, line.channel_row_id.as_ref()),
            (5, line.merchant_id.as_ref()),
        ];
        for (column, text) in texts {
            self.text_bytes += text.len() as u64;
            sheet.text(row, column, text)?;
        }
        for (columns, side) in [(PLATFORM, &line.platform), (CHANNEL, &line.channel)] {
            if let Some((minor, currency)) = side.money {
                sheet.text(row, columns.currency, currency.as_str())?;
                sheet.major(row, columns.amount, minor, exponents.of(currency))?;
                sheet.minor(row, columns.minor, minor)?;
            }
            sheet.text(row, columns.status, &side.status)?;
            if let Some(number) = side.line {
                sheet.count(row, columns.line, number)?;
            }
        }
        if let Some((minor, currency)) = line.gap() {
            sheet.major(row, 16, minor, exponents.of(currency))?;
        }
        sheet.text(row, 17, &line.payout_id)?;
        sheet.text(row, 18, &line.occurred_at)?;
        sheet.text(row, 19, &line.rule)?;
        if let Some((minor, currency)) = line.booked() {
            sheet.major(row, 20, minor, exponents.of(currency))?;
        }
        if line.candidate_count > 0 {
            sheet.count(row, 21, line.candidate_count)?;
            sheet.text(row, 22, &listed(&line.candidate_lines))?;
        }
        if let Some(work) = &line.work {
            self.text_bytes += work.note.len() as u64;
            write_work(&mut sheet, row, words, work)?;
        }
        Ok(())
    }

    fn write_certificate(&mut self, stated: &Value) -> Result<(), XlsxError> {
        let words = self.cover.words;
        let sheet = self.book.add_worksheet().set_name(words.pick("Certificate", "证书"))?;
        sheet.set_column_width(0, 28)?.set_column_width(1, 90)?;
        let mut sheet = Sheet { sheet, formats: &self.formats };
        sheet.head(0, 0, words.pick("Certificate", "对账证书"))?;
        for (row, (label, value)) in (1_u32..).zip(certificate(words, stated)) {
            sheet.text(row, 0, &label)?;
            sheet.text(row, 1, &value)?;
        }
        Ok(())
    }
}

fn write_work(sheet: &mut Sheet<'_>, row: u32, words: Words, work: &Work<'_>) -> Result<(), XlsxError> {
    sheet.text(row, 23, words.record_status(work.status))?;
    sheet.text(row, 24, work.assigned_to)?;
    sheet.text(row, 25, work.reason.map_or("", |reason| words.reason_code(reason)))?;
    sheet.text(row, 26, work.note)?;
    sheet.text(row, 27, work.resolved_by)?;
    let at = work.resolved_at.map_or_else(String::new, |at| at.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    sheet.text(row, 28, &at)
}

/// The heads of a sheet of rows, and how wide its columns are in characters.
fn heads(cover: &Cover) -> Vec<(&'static str, f64)> {
    let pick = |english, chinese| cover.words.pick(english, chinese);
    let mut heads = vec![
        (pick("type", "类型"), 18.0),
        (pick("kind", "业务"), 12.0),
        (pick("channel trade no", "渠道交易号"), 30.0),
        (pick("payment no", "平台支付号"), 26.0),
        (pick("channel row id", "渠道流水号"), 26.0),
        (pick("merchant", "商户"), 14.0),
        (pick("platform currency", "平台币种"), 10.0),
        (pick("platform amount", "平台金额"), 16.0),
        (pick("platform minor units", "平台金额（最小单位）"), 16.0),
        (pick("platform status", "平台状态"), 16.0),
        (pick("platform line", "平台文件行"), 10.0),
        (pick("channel currency", "渠道币种"), 10.0),
        (pick("channel amount", "渠道金额"), 16.0),
        (pick("channel minor units", "渠道金额（最小单位）"), 16.0),
        (pick("channel status", "渠道状态"), 16.0),
        (pick("channel line", "渠道文件行"), 10.0),
        (pick("channel less platform", "渠道减平台"), 16.0),
        (pick("payout", "打款号"), 22.0),
        (pick("occurred at", "发生时间"), 22.0),
        (pick("rule", "容差规则"), 18.0),
        (pick("adjustment", "调整金额"), 14.0),
        (pick("candidates", "候选数"), 10.0),
        (pick("lines of candidates", "候选行"), 20.0),
    ];
    if !cover.work.is_empty() {
        heads.extend([
            (pick("status", "处理状态"), 12.0),
            (pick("assigned to", "处理人"), 16.0),
            (pick("reason", "原因"), 18.0),
            (pick("note", "说明"), 30.0),
            (pick("resolved by", "关闭人"), 16.0),
            (pick("resolved at", "关闭时间"), 22.0),
        ]);
    }
    heads
}

/// What the file says of itself; the same for the same task.
fn properties(cover: &Cover) -> Result<DocProperties, XlsxError> {
    let made = match (cover.completed_at, &cover.day) {
        (Some(at), _) => ExcelDateTime::from_timestamp(at.timestamp())?,
        (None, Some((day, _))) => ExcelDateTime::parse_from_str(&day.to_string())?,
        // The library would take the clock's time, and no two files would be the same.
        (None, None) => ExcelDateTime::from_timestamp(0)?,
    };
    Ok(DocProperties::new().set_title(cover.title()).set_creation_datetime(&made))
}

/// Does a step of the library, which panics where it cannot write a row to its temporary file: on a full disk.
fn guarded<T>(step: impl FnOnce() -> Result<T, XlsxError>) -> io::Result<T> {
    match catch_unwind(AssertUnwindSafe(step)) {
        Ok(done) => done.map_err(|error| match error {
            XlsxError::IoError(error) => error,
            XlsxError::ZipError(error) => error.into(),
            error => io::Error::other(error.to_string()),
        }),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
            Err(told(text))
        }
    }
}

/// The error of the operating system that a panic tells of.
fn told(panic: &str) -> io::Error {
    let code = panic.split_once("Os { code: ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
    code.map_or_else(|| io::Error::other(panic.to_owned()), io::Error::from_raw_os_error)
}

#[cfg(test)]
mod panics {
    use super::*;

    #[test]
    fn a_full_disk_is_known_by_the_panic_of_the_library() {
        let full = io::Error::from_raw_os_error(28);
        let caught: io::Result<()> = guarded(|| panic!("Couldn't write to xml file: {full:?}"));
        assert_eq!(caught.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(told("index out of bounds").kind(), io::ErrorKind::Other);
    }
}
