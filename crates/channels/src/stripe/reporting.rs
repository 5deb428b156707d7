//! The client of Stripe's reporting API: report types, report runs, and the files they make.

mod download;
mod wire;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use payops_core::time::Timestamp;
use reqwest::header::HeaderValue;
use reqwest::{Client, RequestBuilder, Url};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use super::http::{Http, address, files_host, idempotency_key};
use crate::remote::{HeaderInjector, RemoteError};
use crate::stored::StoredFile;
pub use wire::{ReportFile, ReportRun, ReportType, RunStatus};

/// Answers other than files are small.
const LARGEST_ANSWER: usize = 4 << 20;

/// Where Stripe is and how it is called.
#[derive(Clone)]
pub struct ReportingSettings {
    /// The API, `https://api.stripe.com` or a sandbox.
    pub base_url: Url,
    /// A second host that gets the key when a file is there. For Stripe itself this is
    /// `https://files.stripe.com`.
    pub files_url: Option<Url>,
    /// The secret key.
    pub api_key: SecretString,
    /// `Stripe-Version`; the account's own version when `None`.
    pub api_version: Option<String>,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long an answer may take, and how long a download may stand still.
    pub idle_timeout: Duration,
    /// How often a download that was cut is taken up again before it counts as failed.
    pub max_resumes: u32,
    /// The pause before the first of these; it doubles each time, up to 30 s.
    pub resume_pause: Duration,
    /// Adds the trace's headers.
    pub inject_headers: HeaderInjector,
}

impl ReportingSettings {
    /// Settings with the usual times.
    pub fn new(base_url: Url, api_key: SecretString, inject_headers: HeaderInjector) -> Self {
        Self {
            files_url: files_host(&base_url),
            base_url,
            api_key,
            api_version: None,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            max_resumes: 5,
            resume_pause: Duration::from_millis(500),
            inject_headers,
        }
    }
}

impl fmt::Debug for ReportingSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The host only: a URL may hold a password.
        f.debug_struct("ReportingSettings").field("host", &self.base_url.host_str()).finish_non_exhaustive()
    }
}

/// A report to be made: of `report_type`, over the instants from `interval_start` to before `interval_end`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReportRun {
    /// Such as `balance_change_from_activity.itemized.6`.
    pub report_type: String,
    /// First instant, inclusive.
    pub interval_start: Timestamp,
    /// First instant after the interval.
    pub interval_end: Timestamp,
    /// The zone in which times are printed; it does not move the interval. Etc/UTC when `None`.
    pub timezone: Option<String>,
    /// The columns; the type's default ones when empty.
    pub columns: Vec<String>,
    /// The account that the report is about, where it is not the key's own.
    pub connected_account: Option<String>,
}

impl NewReportRun {
    fn form(&self) -> Vec<(&'static str, String)> {
        let mut form = vec![
            ("report_type", self.report_type.clone()),
            ("parameters[interval_start]", self.interval_start.timestamp().to_string()),
            ("parameters[interval_end]", self.interval_end.timestamp().to_string()),
        ];
        form.extend(self.timezone.clone().map(|zone| ("parameters[timezone]", zone)));
        form.extend(self.connected_account.clone().map(|account| ("parameters[connected_account]", account)));
        form.extend(self.columns.iter().map(|column| ("parameters[columns][]", column.clone())));
        form
    }
}

/// Calls Stripe's reporting API. Cheap to clone; the connections are shared.
#[derive(Debug, Clone)]
pub struct ReportingClient {
    settings: ReportingSettings,
    http: Http,
}

impl ReportingClient {
    /// A client. Redirects are never followed, since they could lead the key astray.
    pub fn new(settings: ReportingSettings) -> Result<Self, RemoteError> {
        let client = Client::builder()
            .connect_timeout(settings.connect_timeout)
            .read_timeout(settings.idle_timeout)
            .redirect(reqwest::redirect::Policy::none())
            // A range of a compressed body is no range of the file.
            .gzip(false)
            .build()?;
        let http = Http {
            client,
            api_key: settings.api_key.clone(),
            api_version: settings.api_version.as_deref().and_then(|text| HeaderValue::from_str(text).ok()),
            inject_headers: settings.inject_headers.clone(),
        };
        Ok(Self { settings, http })
    }

    /// A report type, which tells up to when its data are there.
    pub async fn report_type(&self, id: &str) -> Result<ReportType, RemoteError> {
        let url = self.url(&["v1", "reporting", "report_types", id])?;
        self.call("report_type", self.http.get(url)).await
    }

    /// Asks for a report. The same key with the same parameters gives the same run, however often it is sent.
    pub async fn create_run(
        &self,
        run: &NewReportRun,
        idempotency_key: &str,
    ) -> Result<ReportRun, RemoteError> {
        let key = self::idempotency_key(idempotency_key)?;
        let url = self.url(&["v1", "reporting", "report_runs"])?;
        let request = self.http.post(url, &key).form(&run.form());
        self.call("create_report_run", request).await
    }

    /// The state of a report that was asked for.
    pub async fn run(&self, id: &str) -> Result<ReportRun, RemoteError> {
        let url = self.url(&["v1", "reporting", "report_runs", id])?;
        self.call("report_run", self.http.get(url)).await
    }

    /// Stores a report's file at `target`, which is either not there or whole: its content goes to a `.part`
    /// file first. A cut connection is taken up again where it broke; the size that Stripe names is checked.
    pub async fn download(&self, file: &ReportFile, target: &Path) -> Result<StoredFile, RemoteError> {
        let span = tracing::info_span!(
            "stripe.ReportingAPI",
            otel.kind = "client",
            operation = "download",
            file_id = %file.id
        );
        download::download(self, file, target).instrument(span).await
    }

    fn url(&self, path: &[&str]) -> Result<Url, RemoteError> {
        address(&self.settings.base_url, path)
    }

    async fn call<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<T, RemoteError> {
        let span = tracing::info_span!("stripe.ReportingAPI", otel.kind = "client", operation);
        let request = request.timeout(self.settings.idle_timeout);
        Ok(self.http.answer(request, LARGEST_ANSWER).instrument(span).await?)
    }
}
