//! Reconciliation: given what we believe and what the channel says, account for every unit of money.
//!
//! [`engine`] compares two files and knows nothing of databases or networks; `payops reconcile` uses it alone.
//! The service around it fetches the files of a business day, keeps what was found as records that people
//! work on, and does so again when a file is corrected: [`routes`] is its API, [`jobs::register`] its work.

pub mod alerts;
pub mod api;
mod completeness;
pub mod engine;
mod error;
mod file_store;
mod formats;
mod identity;
pub mod jobs;
mod lifecycle;
mod metrics;
pub mod model;
mod ops;
pub mod payouts;
pub mod report;
mod store;

use std::io;
use std::path::Path;
use std::sync::Arc;

use payops_channels::platform_feed::FeedClient;
use payops_channels::stripe::reporting::ReportingClient;
use payops_platform::context::ServiceContext;
use payops_platform::db::Migration;
use secrecy::SecretString;
use tokio::sync::Semaphore;

pub use api::{openapi, routes};
pub use file_store::FileStore;

use metrics::ReconciliationMetrics;

/// The service's tables, the oldest migration first.
pub const MIGRATIONS: &[Migration] = &[
    Migration::portable("0001_reconciliation", include_str!("../migrations/0001_reconciliation.sql")),
    Migration::portable("0002_run_files", include_str!("../migrations/0002_run_files.sql")),
    Migration::portable("0003_schedules", include_str!("../migrations/0003_schedules.sql")),
    Migration::portable(
        "0004_what_came_meanwhile",
        include_str!("../migrations/0004_what_came_meanwhile.sql"),
    ),
    Migration::portable("0005_expected_files", include_str!("../migrations/0005_expected_files.sql")),
    Migration::portable("0006_records_in_steps", include_str!("../migrations/0006_records_in_steps.sql")),
    Migration::portable("0007_record_lists", include_str!("../migrations/0007_record_lists.sql")),
    Migration {
        name: "0008_record_statistics",
        sqlite: include_str!("../migrations/0008_record_statistics.sqlite.sql"),
        postgres: include_str!("../migrations/0008_record_statistics.postgres.sql"),
    },
    Migration::portable("0009_tolerance_rules", include_str!("../migrations/0009_tolerance_rules.sql")),
    Migration::portable("0010_carried_rows", include_str!("../migrations/0010_carried_rows.sql")),
    Migration::portable("0011_bank_statements", include_str!("../migrations/0011_bank_statements.sql")),
    Migration {
        name: "0012_expected_bank_statements",
        sqlite: include_str!("../migrations/0012_expected_bank_statements.sqlite.sql"),
        postgres: include_str!("../migrations/0012_expected_bank_statements.postgres.sql"),
    },
    Migration::portable("0013_tolerance_records", include_str!("../migrations/0013_tolerance_records.sql")),
    Migration::portable("0014_channel_settings", include_str!("../migrations/0014_channel_settings.sql")),
    Migration::portable("0015_payout_reports", include_str!("../migrations/0015_payout_reports.sql")),
    Migration {
        name: "0016_expected_payout_reports",
        sqlite: include_str!("../migrations/0016_expected_payout_reports.sqlite.sql"),
        postgres: include_str!("../migrations/0016_expected_payout_reports.postgres.sql"),
    },
    Migration::portable("0017_payout_settings", include_str!("../migrations/0017_payout_settings.sql")),
    Migration::portable("0018_open_payouts", include_str!("../migrations/0018_open_payouts.sql")),
    Migration::portable("0019_back_tests", include_str!("../migrations/0019_back_tests.sql")),
    Migration::portable("0020_bank_reversals", include_str!("../migrations/0020_bank_reversals.sql")),
    Migration::portable("0021_removed_back_tests", include_str!("../migrations/0021_removed_back_tests.sql")),
    Migration {
        name: "0022_lists_of_a_currency",
        sqlite: include_str!("../migrations/0022_lists_of_a_currency.sqlite.sql"),
        postgres: include_str!("../migrations/0022_lists_of_a_currency.postgres.sql"),
    },
    Migration::portable(
        "0023_ends_of_carried_rows",
        include_str!("../migrations/0023_ends_of_carried_rows.sql"),
    ),
    Migration::portable("0024_bank_accounts", include_str!("../migrations/0024_bank_accounts.sql")),
    Migration::portable("0025_stated_payouts", include_str!("../migrations/0025_stated_payouts.sql")),
    Migration::portable(
        "0026_what_was_read_before",
        include_str!("../migrations/0026_what_was_read_before.sql"),
    ),
    Migration::portable("0027_reversals_of_a_run", include_str!("../migrations/0027_reversals_of_a_run.sql")),
];

/// What the service is told at its start.
#[derive(Debug)]
pub struct Options {
    /// The largest file that may be handed over, in bytes as sent.
    pub max_upload_bytes: u64,
    /// About how many bytes of memory one comparison may use.
    pub engine_memory_bytes: u64,
    /// How many comparisons run at once.
    pub engines: usize,
    /// The secrets that Stripe signs its webhooks with; several while one is being replaced.
    pub stripe_webhook_secrets: Vec<SecretString>,
    /// The report that settlement files come from.
    pub settlement_report_type: String,
    /// The report that control totals come from.
    pub summary_report_type: String,
    /// The report that states payouts.
    pub payouts_report_type: String,
    /// The report that lists the rows which payouts carry.
    pub payout_rows_report_type: String,
    /// Who is told of files that are missing.
    pub alerts: alerts::Destinations,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_upload_bytes: 2 << 30,
            engine_memory_bytes: engine::Settings::MEMORY,
            engines: 2,
            stripe_webhook_secrets: Vec::new(),
            settlement_report_type: "balance_change_from_activity.itemized.3".to_owned(),
            summary_report_type: "balance.summary.1".to_owned(),
            payouts_report_type: "payouts.itemized.3".to_owned(),
            // The last version that names each row's payout unless it is asked not to.
            payout_rows_report_type: "payout_reconciliation.itemized.5".to_owned(),
            alerts: alerts::Destinations::default(),
        }
    }
}

/// Where files are fetched from. What is not configured is refused when a task needs it.
#[derive(Debug, Default)]
pub struct Sources {
    /// Stripe's reporting API.
    pub stripe: Option<ReportingClient>,
    /// The payment gateway's feed.
    pub gateway: Option<FeedClient>,
}

/// The reconciliation service. Clones share everything.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    pub(crate) context: ServiceContext,
    pub(crate) files: FileStore,
    pub(crate) sources: Arc<Sources>,
    pub(crate) metrics: Arc<ReconciliationMetrics>,
    pub(crate) options: Arc<Options>,
    pub(crate) engines: Arc<Semaphore>,
}

impl AsRef<ServiceContext> for Reconciliation {
    fn as_ref(&self) -> &ServiceContext {
        &self.context
    }
}

impl Reconciliation {
    /// Puts the service together and makes its folders under `files`.
    pub async fn open(
        context: ServiceContext,
        files: &Path,
        sources: Sources,
        options: Options,
    ) -> io::Result<Self> {
        Ok(Self {
            files: FileStore::open(files, context.now()).await?,
            sources: Arc::new(sources),
            metrics: Arc::new(ReconciliationMetrics::register(&context.metrics)),
            engines: Arc::new(Semaphore::new(options.engines.max(1))),
            options: Arc::new(options),
            context,
        })
    }
}
