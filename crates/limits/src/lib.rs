//! Merchant limits: may this merchant take this payment now?
//!
//! [`decide`] is the rule, a pure function. Around it, operations that wait for the same database are decided together
//! ([`coalesce`]), each as if it had come alone, and are answered after the commit. [`routes`] is the API.

pub mod alerts;
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
mod parts;
mod seal;
#[cfg(test)]
mod simulation;
mod store;

use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::Deref;
use std::sync::Arc;

use payops_core::time::Clock;
use payops_platform::context::ServiceContext;
use payops_platform::db::{Backend, Migration};
use payops_platform::error::Result;
use payops_platform::http::MerchantBudgets;

pub use api::{openapi, routes};
pub use ops::audit::{AuditReport, Checkpoint, Finding, audit};
pub use seal::{AuditKeys, KeyError, PublicKey};

use alerts::{Bell, Destinations, Outbox};
use coalesce::Coalescer;
use metrics::LimitMetrics;
use ops::check::Checks;
use parts::Parts;
use store::embedded::Embedded;
use store::hot::Lookup;
use store::pipelined::Pipelined;

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
    Migration::portable("0005_alert_delivery", include_str!("../migrations/0005_alert_delivery.sql")),
];

/// What the service is told at its start.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Decides by this clock instead of the database's; for tests. SQLite always decides by the process's clock.
    pub clock: Option<Arc<dyn Clock>>,
    /// How operations are decided together.
    pub coalescing: coalesce::Options,
    /// Who is told when thresholds are crossed.
    pub destinations: Destinations,
    /// The keys of the usage log's seals. Without one that signs, the job that seals fails.
    pub keys: Arc<AuditKeys>,
}

/// The limit service. Clones share everything, and cost as little as one reference: each request takes some.
#[derive(Debug, Clone)]
pub struct Limits(Arc<Parts>);

impl Deref for Limits {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl AsRef<ServiceContext> for Limits {
    fn as_ref(&self) -> &ServiceContext {
        &self.context
    }
}

impl Limits {
    /// How often merchants may call with their own tokens, as their tiers say.
    pub fn merchant_budgets(&self) -> MerchantBudgets {
        let db = self.context.db.clone();
        MerchantBudgets::new(move |merchant_id| {
            let db = db.clone();
            async move {
                let calls = store::tier::calls_per_minute(db.read(), merchant_id).await?;
                Ok(calls.and_then(|calls| u32::try_from(calls).ok()).and_then(NonZeroU32::new))
            }
        })
    }

    /// Puts the service together and starts its workers on the present runtime; they end when the last clone is
    /// dropped and everything accepted is answered.
    pub fn start(context: ServiceContext, options: Options) -> Self {
        let clock = options.clock.clone().unwrap_or_else(|| Arc::clone(&context.clock));
        let lookup = match (options.clock, context.db.backend()) {
            (None, Backend::Postgres) => Lookup::Database,
            _ => Lookup::Clock(Arc::clone(&clock)),
        };
        let metrics = Arc::new(LimitMetrics::register(&context.metrics));
        let outbox = Outbox::new(&context, options.destinations, &metrics);
        let bell = Bell::start(outbox.clone());
        let one = coalesce::Options { shards: NonZeroUsize::MIN, ..options.coalescing };
        let coalescing = context.db.backend().pick(one, options.coalescing);
        let (db, bells) = (context.db.clone(), bell.clone());
        let coalescer = match db.backend() {
            Backend::Sqlite => Coalescer::start(Embedded::new(db, clock, bells), &metrics, coalescing),
            Backend::Postgres => {
                Coalescer::start(Pipelined::new(db, lookup.clone(), bells), &metrics, coalescing)
            }
        };
        let checks = Checks::start(&context.db, &lookup);
        let keys = options.keys;
        Self(Arc::new(Parts { context, lookup, coalescer, checks, keys, metrics, outbox, bell }))
    }

    /// Seals the rows of the usage log that are not sealed, beside the job that does so every minute.
    pub async fn seal(&self) -> Result<()> {
        ops::seal::seal(self, None).await
    }
}
