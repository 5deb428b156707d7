//! What the service counts.

use payops_platform::telemetry::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use crate::model::{Channel, Rule};
use crate::ops::audit::AuditReport;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    channel: &'static str,
    outcome: &'static str,
}

/// The service's metrics.
#[derive(Debug)]
pub(crate) struct LimitMetrics {
    checks: Family<CheckLabels, Counter>,
    exceeded: Family<ReasonLabels, Counter>,
    pub(crate) batch_size: Histogram,
    pub(crate) queue_depth: Gauge,
    pub(crate) queue_wait: Histogram,
    pub(crate) commit: Histogram,
    drift: Gauge,
    deliveries: Family<DeliveryLabels, Counter>,
}

impl LimitMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let seconds = || Histogram::new(exponential_buckets(0.000_1, 2.0, 16));
        Self {
            checks: metrics.counters("limit_checks", "Decisions of check, consume and reserve"),
            exceeded: metrics.counters("limit_exceeded", "Payments refused, by the first rule that refused"),
            batch_size: metrics.family("limit_batch_size", "Operations decided in one transaction", || {
                Histogram::new(exponential_buckets(1.0, 2.0, 13))
            }),
            queue_depth: metrics.family(
                "limit_queue_depth",
                "Operations that wait to be decided",
                Gauge::default,
            ),
            queue_wait: metrics.family(
                "limit_queue_wait_seconds",
                "How long an operation waited before it was taken",
                seconds,
            ),
            commit: metrics.family("limit_commit_seconds", "How long a batch took, commit included", seconds),
            drift: metrics.family(
                "limit_audit_drift",
                "Differences between counters, log, payments and seals at the last audit; must be 0",
                Gauge::default,
            ),
            deliveries: metrics
                .counters("limit_alert_deliveries", "Attempts to deliver alerts, by how they ended"),
        }
    }

    /// Counts the answer to a check. A check refuses nothing: it only tells.
    pub(crate) fn checked(&self, allowed: bool) {
        let result = if allowed { "allowed" } else { "denied" };
        self.checks.get_or_create(&CheckLabels { result }).inc();
    }

    /// Counts a decision: allowed, or refused by its first failing rule.
    pub(crate) fn decided(&self, refused_by: Option<Rule>) {
        self.checked(refused_by.is_none());
        if let Some(rule) = refused_by {
            self.exceeded.get_or_create(&ReasonLabels { reason: rule.word() }).inc();
        }
    }

    /// An attempt to deliver an alert has ended: `delivered`, `retried` or `failed`.
    pub(crate) fn delivered(&self, channel: Channel, outcome: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabels { channel: channel.word(), outcome }).inc();
    }

    /// An audit is over.
    pub(crate) fn audited(&self, report: &AuditReport) {
        self.drift.set(i64::try_from(report.findings.len()).unwrap_or(i64::MAX));
    }
}
