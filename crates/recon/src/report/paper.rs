//! Reports for people, row by row.

use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::cover::{Cover, Line};
use super::pdf::PdfReport;
use super::xlsx::XlsxReport;

/// A form of report for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// Pages.
    Pdf,
    /// A workbook.
    Xlsx,
}

/// A report for people that is being written.
pub enum PaperReport<'a> {
    /// Pages.
    Pdf(PdfReport<'a>),
    /// A workbook.
    Xlsx(Box<XlsxReport<'a>>),
}

impl<'a> PaperReport<'a> {
    /// Writes what comes before the rows. What has to wait is kept in a nameless file in `folder`.
    ///
    /// Errors of this and the other steps are those of the disk, and of the kind `Other` where the report itself could
    /// not be made.
    pub fn begin(paper: Paper, cover: &'a Cover, folder: &Path) -> io::Result<Self> {
        match paper {
            Paper::Pdf => PdfReport::begin(cover).map(Self::Pdf).map_err(io::Error::other),
            Paper::Xlsx => XlsxReport::begin(cover, folder).map(|report| Self::Xlsx(Box::new(report))),
        }
    }

    /// Adds a row, or leaves it out where the report shows the first only.
    pub fn row(&mut self, line: &Line<'_>) -> io::Result<()> {
        match self {
            Self::Pdf(report) => {
                report.row(line);
                Ok(())
            }
            Self::Xlsx(report) => report.row(line),
        }
    }

    /// Whether another row would be shown.
    pub fn wants_more(&self) -> bool {
        match self {
            Self::Pdf(report) => report.wants_more(),
            Self::Xlsx(_) => true,
        }
    }

    /// Writes the file, with the certificate of the run.
    pub fn finish(self, certificate: &Value, out: &mut (impl Write + Send)) -> io::Result<()> {
        match self {
            Self::Pdf(report) => out.write_all(&report.finish(certificate).map_err(io::Error::other)?)?,
            Self::Xlsx(report) => report.finish(certificate, &mut *out)?,
        }
        out.flush()
    }
}
