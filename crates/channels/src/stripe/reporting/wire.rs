//! What Stripe answers. Fields that payops does not need are not read.

use payops_core::time::Timestamp;
use reqwest::Response;
use serde::Deserialize;

use crate::fault::excerpt;
use crate::remote::{RemoteError, bounded_body};

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

#[derive(Debug, Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Deserialize)]
struct ErrorDetail {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    code: Option<String>,
}

/// The error of an answer that is no success, in Stripe's words.
pub(super) async fn error(response: &mut Response) -> RemoteError {
    const LARGEST: usize = 64 << 10;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = bounded_body(response, LARGEST).await.unwrap_or_default();
    let detail = serde_json::from_slice::<ErrorBody>(&body).ok().map(|body| body.error);
    let said = match &detail {
        Some(detail) => detail.message.clone().or_else(|| detail.kind.clone()).unwrap_or_default(),
        None => excerpt(&body),
    };
    let mut error = RemoteError::answered(status, &headers, format!("Stripe answered {status}: {said}"));
    if let Some(detail) = detail {
        // While the first request with a key is in flight, the second one only has to wait.
        if detail.code.as_deref() == Some("idempotency_key_in_use") {
            error = error.retryable(true);
        }
        error.param = detail.param;
    }
    match headers.get("stripe-should-retry").map(reqwest::header::HeaderValue::as_bytes) {
        Some(b"true") => error.retryable(true),
        Some(b"false") => error.retryable(false),
        _ => error,
    }
}
