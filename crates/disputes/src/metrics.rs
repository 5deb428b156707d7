//! What disputes count, under the original's names where it has one.

use payops_core::time::Timestamp;
use payops_platform::telemetry::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

/// Upper bounds in seconds: from a call to a day of a channel that is away.
const SUBMISSION_BUCKETS: &[f64] =
    &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0];
/// Upper bounds in seconds: from a minute to a month.
const LEFT_BUCKETS: &[f64] =
    &[60.0, 600.0, 3600.0, 10_800.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The metrics of the dispute service.
#[derive(Debug, Clone)]
pub struct DisputeMetrics {
    submissions: Family<OutcomeLabel, Counter>,
    submission_seconds: Histogram,
    time_left: Histogram,
    missed: Counter,
}

impl DisputeMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        let histogram = |buckets: &'static [f64]| move || Histogram::new(buckets.iter().copied());
        Self {
            submissions: metrics
                .counters("disputes_submissions", "Answers and concessions that ended, by how"),
            submission_seconds: metrics.family(
                "evidence_submission_duration_seconds",
                "Time from the moment at which an answer was to be sent until the channel had taken it",
                histogram(SUBMISSION_BUCKETS),
            ),
            time_left: metrics.family(
                "disputes_submission_time_left_seconds",
                "Time that was left before the deadline when an answer was taken",
                histogram(LEFT_BUCKETS),
            ),
            missed: metrics.family(
                "disputes_missed_deadlines",
                "Answers that were to be sent and were not before the deadline",
                Counter::default,
            ),
        }
    }

    /// The channel took an answer that was to be sent at `wanted`.
    pub fn sent(&self, wanted: Timestamp, due_by: Option<Timestamp>, now: Timestamp) {
        self.submission_seconds.observe(seconds(now - wanted));
        if let Some(due_by) = due_by {
            self.time_left.observe(seconds(due_by - now));
        }
    }

    /// A submission ended.
    pub fn ended(&self, outcome: &'static str) {
        self.submissions.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// An answer was not sent in time.
    pub fn missed(&self) {
        self.missed.inc();
    }
}

fn seconds(length: chrono::TimeDelta) -> f64 {
    length.as_seconds_f64().max(0.0)
}
