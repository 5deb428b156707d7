//! Report runs and their files: created, waiting, ready or failed.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use crate::report::{Alteration, Report};

/// How long a file can be fetched: a year.
const FILE_LIFE_SECONDS: i64 = 365 * 86_400;

/// What will become of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Succeeds,
    Fails,
    StaysPending,
}

/// Where a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunStatus {
    Pending,
    Succeeded,
    Failed,
}

impl RunStatus {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// What the file of a run is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measured {
    pub(crate) size: u64,
    pub(crate) rows: u64,
    /// In quotes, as in the header.
    pub(crate) etag: String,
}

/// One run of a report.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) file_id: String,
    pub(crate) created: Timestamp,
    pub(crate) ready_at: Timestamp,
    pub(crate) report: Arc<Report>,
    /// As the caller gave them.
    pub(crate) parameters: Value,
    pub(crate) outcome: Outcome,
    pub(crate) status: RunStatus,
    pub(crate) finished_at: Option<Timestamp>,
    pub(super) measured: Arc<OnceCell<Measured>>,
}

impl Run {
    pub(crate) fn new(
        (id, file_id): (String, String),
        (created, ready_at): (Timestamp, Timestamp),
        report: Report,
        parameters: Value,
        outcome: Outcome,
    ) -> Self {
        Self {
            id,
            file_id,
            created,
            ready_at,
            report: Arc::new(report),
            parameters,
            outcome,
            status: RunStatus::Pending,
            finished_at: None,
            measured: Arc::default(),
        }
    }

    /// The size and hash of the run's file. The first call writes the whole report to nowhere.
    pub(crate) async fn measure(&self) -> io::Result<&Measured> {
        self.measured
            .get_or_try_init(|| async {
                let report = Arc::clone(&self.report);
                tokio::task::spawn_blocking(move || measure(&report)).await.map_err(io::Error::other)?
            })
            .await
    }

    /// The run as the API shows it. `size_lie` is added to the stated size of the file.
    pub(crate) fn object(&self, base_url: &str, size_lie: i64) -> Value {
        let error = (self.status == RunStatus::Failed)
            .then_some("An internal error occurred while running the report (a fault of the sandbox).");
        let succeeded_at =
            self.finished_at.filter(|_| self.status == RunStatus::Succeeded).map(|at| at.timestamp());
        json!({
            "id": self.id,
            "object": "reporting.report_run",
            "created": self.created.timestamp(),
            "error": error,
            "livemode": false,
            "parameters": self.parameters,
            "report_type": self.report.kind.to_string(),
            "result": self.file_object(base_url, size_lie),
            "status": self.status.as_str(),
            "succeeded_at": succeeded_at,
        })
    }

    /// The run's file as the API shows it; `None` while there is none.
    pub(crate) fn file_object(&self, base_url: &str, size_lie: i64) -> Option<Value> {
        let measured = self.measured.get().filter(|_| self.status == RunStatus::Succeeded)?;
        let created = self.finished_at.unwrap_or(self.created).timestamp();
        let size = i64::try_from(measured.size).unwrap_or(i64::MAX).saturating_add(size_lie).max(0);
        Some(json!({
            "id": self.file_id,
            "object": "file",
            "created": created,
            "expires_at": created + FILE_LIFE_SECONDS,
            "filename": format!("{}.csv", self.id),
            "links": {
                "object": "list",
                "data": [],
                "has_more": false,
                "url": format!("/v1/file_links?file={}", self.file_id),
            },
            "purpose": "finance_report_run",
            "size": size,
            "title": format!("FinanceReportRun {}", self.id),
            "type": "csv",
            "url": format!("{base_url}/v1/files/{}/contents", self.file_id),
        }))
    }
}

fn measure(report: &Report) -> io::Result<Measured> {
    let mut meter = Meter { size: 0, hash: Sha256::new() };
    let rows = report.write(&mut meter, Alteration::default())?;
    let hash = hex::encode(meter.hash.finalize());
    Ok(Measured { size: meter.size, rows, etag: format!("\"{}\"", hash.get(..32).unwrap_or(&hash)) })
}

struct Meter {
    size: u64,
    hash: Sha256,
}

impl Write for Meter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.size += bytes.len() as u64;
        self.hash.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Every run, oldest first.
#[derive(Debug)]
pub(crate) struct Runs {
    runs: Mutex<Vec<Run>>,
}

impl Runs {
    pub(crate) fn new(runs: Vec<Run>) -> Self {
        Self { runs: Mutex::new(runs) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Run>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, run: Run) {
        self.lock().push(run);
    }

    pub(crate) fn get(&self, id: &str) -> Option<Run> {
        self.lock().iter().find(|run| run.id == id).cloned()
    }

    pub(crate) fn by_file(&self, file_id: &str) -> Option<Run> {
        let run = self.lock().iter().find(|run| run.file_id == file_id).cloned();
        run.filter(|run| run.status == RunStatus::Succeeded)
    }

    pub(crate) fn all(&self) -> Vec<Run> {
        self.lock().clone()
    }

    /// The runs whose time has come.
    pub(crate) fn due(&self, now: Timestamp) -> Vec<Run> {
        let is_due = |run: &&Run| {
            run.status == RunStatus::Pending && run.outcome != Outcome::StaysPending && run.ready_at <= now
        };
        self.lock().iter().filter(is_due).cloned().collect()
    }

    /// Ends a run, once: `None` when somebody else has.
    pub(crate) fn finish(&self, id: &str, at: Timestamp) -> Option<Run> {
        let mut runs = self.lock();
        let run = runs.iter_mut().find(|run| run.id == id && run.status == RunStatus::Pending)?;
        run.status = if run.outcome == Outcome::Fails { RunStatus::Failed } else { RunStatus::Succeeded };
        run.finished_at = Some(at);
        Some(run.clone())
    }
}
