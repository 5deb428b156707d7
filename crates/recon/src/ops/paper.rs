//! Reports for people: set on a thread of their own, while the database is read for them.

use std::io::{self, BufWriter, Seek};
use std::path::PathBuf;

use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use serde_json::Value;
use tokio::fs::File;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::reports::{RECORDS_PER_READ, abandoned};
use crate::api::wire::{Record, Report, Standing};
use crate::engine::DiffType;
use crate::file_store::disk;
use crate::model::{FileRole, RecordStatus};
use crate::report::{Cover, Line, Paper, PaperReport, Words, exponents};
use crate::store::record::{self, Wanted};

/// How many batches of records wait for the setting before the database is read on.
const BATCHES_AHEAD: usize = 2;
/// How many bytes of a file are written at once.
const WRITTEN_AT_ONCE: usize = 256 << 10;

/// What the reader of the database hands over.
enum Read {
    Records(Vec<Record>),
    /// There are no more. A queue that ends without this word was cut off.
    All,
}

/// Where a report is written, and in which form.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) file: std::fs::File,
    /// For what has to wait until the rows are complete.
    pub(super) folder: PathBuf,
    pub(super) paper: Paper,
    pub(super) words: Words,
}

/// Writes the report of a task. The database is read no further than the report shows.
pub(super) async fn write(
    sheet: Sheet,
    conn: &impl ConnectionTrait,
    report: Report,
    stop: &CancellationToken,
) -> Result<File> {
    let wanted = match sheet.paper {
        Paper::Pdf => Wanted::Differences,
        Paper::Xlsx => Wanted::All,
    };
    let (cover, certificate) = (cover(&report, sheet.words)?, report.certificate);
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let setting = tokio::task::spawn_blocking(move || set(sheet, &cover, &certificate, receiver));
    let mut last_ordinal = -1;
    loop {
        if stop.is_cancelled() {
            return Err(abandoned());
        }
        let task = report.task.id;
        let records = record::after(conn, task, wanted, last_ordinal, RECORDS_PER_READ).await?;
        last_ordinal = records.last().map_or(last_ordinal, |record| record.ordinal);
        let is_last = records.is_empty();
        let records = records.into_iter().map(Record::from).collect();
        let read = if is_last { Read::All } else { Read::Records(records) };
        // A report that has all that it shows takes no more.
        if sender.send(read).await.is_err() || is_last {
            break;
        }
    }
    setting.await.map_err(Error::internal)?.map(File::from_std)
}

fn set(
    sheet: Sheet,
    cover: &Cover,
    certificate: &Value,
    mut records: mpsc::Receiver<Read>,
) -> Result<std::fs::File> {
    let mut report = PaperReport::begin(sheet.paper, cover, &sheet.folder).map_err(failed)?;
    while report.wants_more() {
        match records.blocking_recv().ok_or_else(abandoned)? {
            Read::All => break,
            Read::Records(batch) => {
                batch.iter().try_for_each(|record| report.row(&Line::from(record))).map_err(failed)?;
            }
        }
    }
    drop(records);
    let mut out = BufWriter::with_capacity(WRITTEN_AT_ONCE, sheet.file);
    report.finish(certificate, &mut out).map_err(failed)?;
    let mut file = out.into_inner().map_err(|error| disk(error.into_error()))?;
    file.rewind().map_err(disk)?;
    Ok(file)
}

/// A disk that refuses can be cured; a report that cannot be made is our fault.
fn failed(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::Other { Error::internal(error) } else { disk(error) }
}

fn cover(report: &Report, words: Words) -> Result<Cover> {
    let (task, channel) = (&report.task, report.task.channel.as_str());
    let summary = serde_json::from_str(report.summary.get()).map_err(|error| {
        Error::impossible_row("reconciliation_tasks", "summary", task.id, error.to_string())
    })?;
    let shown = report.runs.iter().find(|run| run.run_no == report.run_no);
    let files = report.files.iter().map(|file| {
        let role = if file.role == FileRole::Settlement { "channel" } else { file.role.as_str() };
        let own_name = file.file_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        (role.to_owned(), format!("{}{own_name}", file.file_no))
    });
    Ok(Cover {
        words,
        exponents: exponents(channel),
        task_no: Some(task.task_no.clone()),
        channel: channel.to_owned(),
        account: task.account.clone(),
        day: Some((task.task_date, task.timezone.clone())),
        run_no: Some(report.run_no),
        completed_at: shown.map(|run| run.completed_at),
        files: files.collect(),
        summary,
        work: work(report),
        rest: words
            .pick(
                "All of them are in the same report as a workbook or CSV (format=xlsx, format=csv).",
                "全部明细请下载工作簿或 CSV 格式的报告（format=xlsx、format=csv）。",
            )
            .to_owned(),
    })
}

/// How many differences stand in which state.
fn work(report: &Report) -> Vec<(RecordStatus, u64)> {
    use RecordStatus::{Assigned, Ignored, Open, Resolved};
    let is_difference =
        |standing: &&Standing| DiffType::named(&standing.diff_type).is_some_and(DiffType::is_difference);
    let count = |status| {
        let standings = report.standings.iter().filter(|standing| standing.status == status);
        standings.filter(is_difference).map(|standing| u64::try_from(standing.count).unwrap_or(0)).sum()
    };
    [Open, Assigned, Resolved, Ignored].into_iter().map(|status| (status, count(status))).collect()
}
