//! What is measured of a database.

use std::fmt;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use sqlx::sqlite::SqlitePool;
use sqlx::{PgPool, Pool};
use tokio_util::task::TaskTracker;

use crate::telemetry::{HistogramFamily, LATENCY_BUCKETS, Metrics};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Transaction {
    name: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolState {
    pool: &'static str,
    state: &'static str,
}

/// The metric families of one service's database.
#[derive(Debug)]
pub(super) struct DbMetrics {
    duration: HistogramFamily<Transaction>,
    wait: HistogramFamily<Transaction>,
    retries: Family<Transaction, Counter>,
}

impl DbMetrics {
    /// Joins the families of the service, and shows `pools` on its page.
    pub(super) fn new(metrics: &Metrics, pools: &Pools) -> Self {
        let pools = pools.clone();
        metrics.register_with(|registry| registry.register_collector(Box::new(pools)));
        Self {
            duration: metrics.histograms(
                "db_transaction_duration_seconds",
                "Time from asking for a transaction to its end, retries included",
                LATENCY_BUCKETS,
            ),
            wait: metrics.histograms(
                "db_transaction_wait_seconds",
                "Time until an attempt at a transaction began",
                LATENCY_BUCKETS,
            ),
            retries: metrics.counters(
                "db_transaction_retries",
                "Transactions that ran again because they clashed with another",
            ),
        }
    }

    pub(super) fn began(&self, name: &'static str, waited: Duration) {
        self.wait.get_or_create(&Transaction { name }).observe(waited.as_secs_f64());
    }

    pub(super) fn retried(&self, name: &'static str) {
        self.retries.get_or_create(&Transaction { name }).inc();
    }

    pub(super) fn ended(&self, name: &'static str, took: Duration) {
        self.duration.get_or_create(&Transaction { name }).observe(took.as_secs_f64());
    }
}

/// The pools of one database, counted when somebody looks.
#[derive(Debug, Clone)]
pub(super) enum Pools {
    Sqlite {
        reader: SqlitePool,
        writer: Option<SqlitePool>,
    },
    /// The pool, and the connections of the native driver: a task each, as long as they are open.
    Postgres {
        pool: PgPool,
        natives: TaskTracker,
    },
}

impl Pools {
    /// The pool of the one connection that writes to a SQLite file; `None` where there is none.
    pub(super) fn sqlite_writer(&self) -> Option<&SqlitePool> {
        match self {
            Self::Sqlite { writer, .. } => writer.as_ref(),
            Self::Postgres { .. } => None,
        }
    }

    fn counts(&self) -> Vec<(PoolState, i64)> {
        match self {
            Self::Sqlite { reader, writer } => {
                let mut counts = states("reader", reader);
                counts.extend(writer.iter().flat_map(|writer| states("writer", writer)));
                counts
            }
            Self::Postgres { pool, natives } => {
                let mut counts = states("shared", pool);
                let open = i64::try_from(natives.len()).unwrap_or(i64::MAX);
                counts.push((PoolState { pool: "native", state: "used" }, open));
                counts
            }
        }
    }
}

fn states<D: sqlx::Database>(pool: &'static str, of: &Pool<D>) -> Vec<(PoolState, i64)> {
    let idle = i64::try_from(of.num_idle()).unwrap_or(i64::MAX);
    let used = (i64::from(of.size()) - idle).max(0);
    vec![(PoolState { pool, state: "idle" }, idle), (PoolState { pool, state: "used" }, used)]
}

impl Collector for Pools {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (name, help) = ("db_pool_connections", "Open connections to the database");
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, count) in self.counts() {
            ConstGauge::new(count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
