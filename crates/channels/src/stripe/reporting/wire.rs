//! What Stripe answers. Fields that payops does not need are not read.

use payops_core::time::Timestamp;
use serde::Deserialize;

/// A kind of report.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReportType {
    /// Its id, such as `balance.summary.1`.
    pub id: String,
    /// The first instant there are data of.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub data_available_start: Timestamp,
    /// The first instant there are no data of yet.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub data_available_end: Timestamp,
    /// The columns of a run that names none.
    #[serde(default)]
    pub default_columns: Option<Vec<String>>,
}

/// A report that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReportRun {
    /// Its id, `frr_…`.
    pub id: String,
    /// What was asked for.
    pub report_type: String,
    /// How far it is.
    pub status: RunStatus,
    /// Its file, once it succeeded.
    #[serde(default)]
    pub result: Option<ReportFile>,
    /// Why it failed, in Stripe's words.
    #[serde(default)]
    pub error: Option<String>,
}

/// How far a report is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Being made.
    Pending,
    /// Its file is there.
    Succeeded,
    /// It will never be there.
    Failed,
    /// A word that payops does not know.
    #[serde(untagged)]
    Unknown(String),
}

/// A file that Stripe keeps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReportFile {
    /// Its id, `file_…`.
    pub id: String,
    /// Where its content is.
    #[serde(default)]
    pub url: Option<String>,
    /// The size of its content in bytes.
    #[serde(default)]
    pub size: Option<u64>,
    /// Its name.
    #[serde(default)]
    pub filename: Option<String>,
}
