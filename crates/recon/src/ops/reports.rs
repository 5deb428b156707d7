//! Reports: one picture of a task, taken at one instant, however long somebody takes to download it. A run that
//! ends meanwhile is in the next report, never in half of this one.

use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt, TryStreamExt, stream};
use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use serde_json::value::RawValue;
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::io::ReaderStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::Reconciliation;
use crate::api::wire::{NewerRun, Record, Report, RuleSet, Run, SettlementFile, Standing, Task};
use crate::error;
use crate::file_store::disk;
use crate::ops::paper::{self, Sheet};
use crate::report::{Format, Paper, Text, Words};
use crate::store::record::Wanted;
use crate::store::run::Model as StoredRun;
use crate::store::task::Model as StoredTask;
use crate::store::{file, record, rule_set, run, standing, task};

/// How many records one read of an export fetches.
pub(super) const RECORDS_PER_READ: u64 = 2_000;
/// How long an answer waits for the whole file, so that what goes wrong can still be told.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// How many bytes of a report are sent at once.
const SENT_AT_ONCE: usize = 64 << 10;

/// The report of a task that was completed once; 409 when it has no result yet.
pub async fn report(app: &Reconciliation, task_id: Uuid) -> Result<Report> {
    app.context.db.snapshot(move |conn| gather(conn, task_id).boxed()).await
}

/// A report that is being written to a file, and what is known of it already.
#[derive(Debug)]
pub struct Export {
    /// What it is a report of.
    pub about: About,
    file: Progress,
    stop: DropGuard,
}

/// How far a report is.
#[derive(Debug)]
enum Progress {
    Begun(JoinHandle<Result<File>>),
    Done(File),
}

/// What a report is about.
#[derive(Debug, Clone)]
pub struct About {
    /// The task's number.
    pub task_no: String,
    /// The run that all of its figures come from.
    pub run_no: i64,
    /// The run that was started since.
    pub newer_run: Option<i64>,
}

/// Writes a report to a nameless file on this machine's disk: the database is read as fast as it can be, not as fast as
/// the caller takes it. Returns when the file is whole, or after [`TOLD_WITHIN`] what is known of it by then; errors up
/// to there are told.
pub async fn export(app: &Reconciliation, task_id: Uuid, format: Format, words: Words) -> Result<Export> {
    let stop = CancellationToken::new();
    let (announce, announced) = oneshot::channel();
    let mut writing = {
        let (app, stop) = (app.clone(), stop.clone());
        let db = app.context.db.clone();
        tokio::spawn(async move {
            db.snapshot(move |conn| {
                async move {
                    let report = gather(conn, task_id).await?;
                    let file = tempfile::tempfile_in(app.files.scratch()).map_err(disk)?;
                    // Nobody waits for it any more when the caller has gone; `stop` then ends the work.
                    let _ = announce.send(About::of(&report));
                    let sheet = |file, paper| Sheet { file, folder: app.files.scratch(), paper, words };
                    match format {
                        Format::Json => write(file, conn, &report, Text::Json, &stop).await,
                        Format::Csv => write(file, conn, &report, Text::Csv, &stop).await,
                        Format::Pdf => paper::write(sheet(file, Paper::Pdf), conn, report, &stop).await,
                        Format::Xlsx => paper::write(sheet(file, Paper::Xlsx), conn, report, &stop).await,
                    }
                }
                .boxed()
            })
            .await
        })
    };
    let stop = stop.drop_guard();
    match announced.await {
        Ok(about) => {
            let file = match tokio::time::timeout(TOLD_WITHIN, &mut writing).await {
                Ok(written) => Progress::Done(written.map_err(Error::internal)??),
                Err(_) => Progress::Begun(writing),
            };
            Ok(Export { about, file, stop })
        }
        Err(_) => match writing.await.map_err(Error::internal)? {
            Err(error) => Err(error),
            Ok(_) => Err(Error::internal("a report was written without being announced")),
        },
    }
}

impl About {
    fn of(report: &Report) -> Self {
        Self {
            task_no: report.task.task_no.clone(),
            run_no: report.run_no,
            newer_run: report.newer_run.as_ref().map(|run| run.run_no),
        }
    }
}

impl Export {
    /// The report's bytes, once all of it is on disk. An error cuts the connection, so that half a report is
    /// never taken for a whole one. Dropping the stream ends the writing too.
    pub fn into_stream(self) -> impl Stream<Item = Result<bytes::Bytes>> {
        let Self { file, stop, .. } = self;
        let whole = async move {
            let file = match file {
                Progress::Begun(writing) => writing.await.map_err(Error::internal)??,
                Progress::Done(file) => file,
            };
            Ok::<_, Error>(ReaderStream::with_capacity(file, SENT_AT_ONCE).map_err(disk))
        };
        stream::once(whole).try_flatten().inspect(move |part| {
            _ = &stop;
            if let Err(error) = part {
                tracing::error!(%error, "a report breaks off");
            }
        })
    }
}

async fn write(
    file: std::fs::File,
    conn: &impl ConnectionTrait,
    report: &Report,
    format: Text,
    stop: &CancellationToken,
) -> Result<File> {
    let mut file = File::from_std(file);
    file.write_all(&format.head(report)?).await.map_err(disk)?;
    let (mut last_ordinal, mut begun) = (-1, false);
    loop {
        if stop.is_cancelled() {
            return Err(abandoned());
        }
        let task = report.task.id;
        let records = record::after(conn, task, Wanted::All, last_ordinal, RECORDS_PER_READ).await?;
        let Some(last) = records.last() else { break };
        last_ordinal = last.ordinal;
        let records: Vec<Record> = records.into_iter().map(Record::from).collect();
        file.write_all(&format.records(&records, begun)?).await.map_err(disk)?;
        begun = true;
    }
    file.write_all(&format.tail()).await.map_err(disk)?;
    file.flush().await.map_err(disk)?;
    file.rewind().await.map_err(disk)?;
    Ok(file)
}

/// The caller has gone, so nobody gets this.
pub(super) fn abandoned() -> Error {
    Error::internal("nobody waits for this report any more")
}

/// All of a report but its records. The figures of a task are those of its last completed run, and so are the
/// files that are shown beside them, whatever a newer run has fetched since.
async fn gather(conn: &impl ConnectionTrait, task_id: Uuid) -> Result<Report> {
    let task = task::find(conn, task_id).await?;
    let runs = run::of_task(conn, task_id).await?;
    let Some(shown) = runs.last().filter(|_| task.summary.is_some()) else {
        return Err(error::not_reconciled_yet(&task));
    };
    let standings = standing::of_tasks(conn, &[task_id]).await?;
    Ok(Report {
        run_no: shown.run_no,
        newer_run: (task.run_no > shown.run_no).then(|| NewerRun::from(&task)),
        summary: summary(&task)?,
        certificate: shown.certificate.clone(),
        rule_set: rule_set_of(conn, shown).await?,
        files: files(conn, shown).await?,
        task: Task::from(task),
        runs: runs.into_iter().map(Run::from).collect(),
        standings: standings.into_iter().map(Standing::from).collect(),
    })
}

async fn rule_set_of(conn: &impl ConnectionTrait, run: &StoredRun) -> Result<Option<RuleSet>> {
    match run.rule_set_version {
        Some(version) => Ok(Some(RuleSet::from(rule_set::find(conn, version).await?))),
        None => Ok(None),
    }
}

async fn files(conn: &impl ConnectionTrait, run: &StoredRun) -> Result<Vec<SettlementFile>> {
    let mut files = Vec::new();
    for id in run.files().chain(run.bank_files()) {
        files.extend(file::by_id(conn, id).await?.map(SettlementFile::from));
    }
    Ok(files)
}

/// The summary as it was stored; sums beyond 64 bits stay exact.
fn summary(task: &StoredTask) -> Result<Box<RawValue>> {
    let text = task.summary.clone().unwrap_or_else(|| "null".to_owned());
    RawValue::from_string(text)
        .map_err(|error| Error::impossible_row("reconciliation_tasks", "summary", task.id, error.to_string()))
}
