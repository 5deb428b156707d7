//! Merchant limits: may this merchant take this payment now?
//!
//! [`decide`] is the rule, a pure function. Around it, operations that wait for the same database are decided together
//! ([`coalesce`]), each as if it had come alone, and are answered after the commit. [`routes`] is the API.

pub mod api;
pub mod coalesce;
pub mod decide;
pub mod jobs;
pub mod model;
pub mod patch;
pub mod rate;
pub mod replay;
pub mod window;

mod batch;
mod error;
mod metrics;
mod ops;
mod seal;
mod store;

use std::num::NonZeroUsize;
use std::sync::Arc;

use payops_core::time::Clock;
use payops_platform::context::ServiceContext;
use payops_platform::db::{Backend, Migration};
use payops_platform::error::Result;

pub use api::{openapi, routes};
pub use ops::audit::{AuditReport, Checkpoint, Finding, audit};
pub use seal::{AuditKeys, KeyError, PublicKey};

use coalesce::Coalescer;
use metrics::LimitMetrics;
use ops::check::Checks;
use store::decider::Transactional;
use store::hot::Lookup;

/// The service's tables, the oldest migration first.
pub const MIGRATIONS: &[Migration] = &[
    Migration::portable("0001_limits", include_str!("../migrations/0001_limits.sql")),
    Migration {
        name: "0002_usage_log",
        sqlite: include_str!("../migrations/0002_usage_log.sqlite.sql"),
        postgres: include_str!("../migrations/0002_usage_log.postgres.sql"),
    },
    Migration {
        name: "0003_tiers",
        sqlite: include_str!("../migrations/0003_tiers.sqlite.sql"),
        postgres: include_str!("../migrations/0003_tiers.postgres.sql"),
    },
    Migration {
        name: "0004_log_seals",
        sqlite: include_str!("../migrations/0004_log_seals.sqlite.sql"),
        postgres: include_str!("../migrations/0004_log_seals.postgres.sql"),
    },
];

/// What the service is told at its start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Decides by this clock instead of the database's; for tests. SQLite always decides by the process's clock.
    pub clock: Option<Arc<dyn Clock>>,
    /// How operations are decided together.
    pub coalescing: coalesce::Options,
    /// The keys of the usage log's seals. Without one that signs, the job that seals fails.
    pub keys: Arc<AuditKeys>,
}

/// The limit service. Clones share everything.
#[derive(Debug, Clone)]
pub struct Limits {
    pub(crate) context: ServiceContext,
    pub(crate) lookup: Lookup,
    pub(crate) coalescer: Arc<Coalescer>,
    pub(crate) checks: Checks,
    pub(crate) keys: Arc<AuditKeys>,
    pub(crate) metrics: Arc<LimitMetrics>,
}

impl AsRef<ServiceContext> for Limits {
    fn as_ref(&self) -> &ServiceContext {
        &self.context
    }
}

impl Limits {
    /// Puts the service together and starts its workers on the present runtime; they end when the last clone is
    /// dropped and everything accepted is answered.
    pub fn start(context: ServiceContext, options: Options) -> Self {
        let lookup = match (options.clock, context.db.backend()) {
            (Some(clock), _) => Lookup::Clock(clock),
            (None, Backend::Sqlite) => Lookup::Clock(Arc::clone(&context.clock)),
            (None, Backend::Postgres) => Lookup::Database,
        };
        let metrics = Arc::new(LimitMetrics::register(&context.metrics));
        let one = coalesce::Options { shards: NonZeroUsize::MIN, ..options.coalescing };
        let coalescing = context.db.backend().pick(one, options.coalescing);
        let decider = Transactional { db: context.db.clone(), lookup: lookup.clone() };
        let coalescer = Coalescer::start(decider, &metrics, coalescing);
        let checks = Checks::start(&context.db, &lookup);
        Self { context, lookup, coalescer: Arc::new(coalescer), checks, keys: options.keys, metrics }
    }

    /// Seals the rows of the usage log that are not sealed, beside the job that does so every minute.
    pub async fn seal(&self) -> Result<()> {
        ops::seal::seal(self, None).await
    }
}
