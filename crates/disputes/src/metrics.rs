//! What disputes count, under the original's names where it has them.

use std::sync::atomic::AtomicU64;

use payops_core::time::Timestamp;
use payops_platform::telemetry::Metrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::model::Status;

/// Upper bounds in seconds: from a call to a day of a channel that is away.
const SUBMISSION_BUCKETS: &[f64] =
    &[0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 43_200.0];
/// Upper bounds in seconds: from a minute to a month.
const LEFT_BUCKETS: &[f64] =
    &[60.0, 600.0, 3600.0, 10_800.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 2_592_000.0];
/// Upper bounds in seconds: an event comes within a second, or after days of retries.
const LAG_BUCKETS: &[f64] = &[0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 21_600.0, 86_400.0, 259_200.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// The metrics of the dispute service.
#[derive(Debug, Clone)]
pub struct DisputeMetrics {
    disputes: Family<StatusLabel, Counter>,
    win_rate: Family<ChannelLabel, Gauge<f64, AtomicU64>>,
    queue_age: Gauge,
    submissions: Family<OutcomeLabel, Counter>,
    submission_seconds: Histogram,
    time_left: Histogram,
    missed: Counter,
    unlinked: Gauge,
    lag: Histogram,
}

impl DisputeMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        let histogram = |buckets: &'static [f64]| move || Histogram::new(buckets.iter().copied());
        Self {
            disputes: metrics.counters("disputes", "Disputes that came to a status, by that status"),
            win_rate: metrics.family(
                "disputes_win_rate",
                "Won of all decided disputes, 0 to 1, by channel; none while nothing is decided",
                Family::default,
            ),
            queue_age: metrics.family(
                "disputes_queue_age_seconds",
                "Since when the dispute waits that waits longest for an answer and can still be answered",
                Gauge::default,
            ),
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
                "Deadlines that passed without an answer",
                Counter::default,
            ),
            unlinked: metrics.family(
                "disputes_unlinked",
                "Open disputes that nobody could tie to a payment; 10000 stands for as many or more",
                Gauge::default,
            ),
            lag: metrics.family(
                "disputes_webhook_lag_seconds",
                "From what happened at the channel to having stored its event",
                histogram(LAG_BUCKETS),
            ),
        }
    }

    /// A dispute came to a status.
    pub fn came_to(&self, status: Status) {
        self.disputes.get_or_create(&StatusLabel { status: status.as_str() }).inc();
    }

    /// How many disputes of a channel were decided, and how many of them for us.
    pub fn decided(&self, channel: &str, won: i64, decided: i64) {
        if decided > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a gauge for a chart, not a money fact")]
            let rate = won as f64 / decided as f64;
            self.win_rate.get_or_create(&ChannelLabel { channel: channel.to_owned() }).set(rate);
        }
    }

    /// How long work waits.
    pub fn queue_age(&self, seconds: i64) {
        self.queue_age.set(seconds);
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

    /// A deadline passed without an answer.
    pub fn deadline_missed(&self) {
        self.missed.inc();
    }

    /// So many open disputes nobody could tie to a payment.
    pub fn unlinked(&self, count: i64) {
        self.unlinked.set(count);
    }

    /// An event was stored so long after what it tells of.
    pub fn event_stored(&self, after: chrono::TimeDelta) {
        self.lag.observe(seconds(after));
    }
}

fn seconds(length: chrono::TimeDelta) -> f64 {
    length.as_seconds_f64().max(0.0)
}
