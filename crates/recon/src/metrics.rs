//! What reconciliation counts, under the original's names.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use payops_core::time::Timestamp;
use payops_platform::telemetry::{HistogramFamily, Metrics};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use crate::model::{Channel, Phase, TaskStatus};
use crate::store::gap::OpenGaps;

/// Upper bounds in seconds: a run takes from a blink to an hour.
const PHASE_BUCKETS: &[f64] = &[0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];
/// Upper bounds in seconds: a report takes from a second to half a day.
const WAIT_BUCKETS: &[f64] = &[1.0, 5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 43_200.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabel {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ChannelLabel {
    channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DiffLabel {
    diff_type: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PhaseLabel {
    phase: &'static str,
}

/// The metrics of the reconciliation service.
#[derive(Debug, Clone)]
pub struct ReconciliationMetrics {
    tasks: Family<StatusLabel, Counter>,
    match_rate: Family<ChannelLabel, Gauge<f64, AtomicU64>>,
    differences: Family<DiffLabel, Counter>,
    rows: Family<PhaseLabel, Counter>,
    phase_seconds: HistogramFamily<PhaseLabel>,
    report_wait: Histogram,
    open_gaps: Family<ChannelLabel, Gauge>,
    oldest_gap: Family<ChannelLabel, Gauge>,
}

impl ReconciliationMetrics {
    /// Registers the metrics.
    pub fn register(metrics: &Metrics) -> Self {
        Self {
            tasks: metrics.counters("reconciliation_tasks", "Tasks that ended, by how"),
            match_rate: metrics.family(
                "reconciliation_match_rate",
                "Matched of all compared rows in the last completed task, 0 to 1",
                Family::default,
            ),
            differences: metrics.counters("reconciliation_diff_count", "Differences found by completed runs"),
            rows: metrics.counters("reconciliation_rows", "Rows handled, by phase"),
            phase_seconds: metrics.histograms(
                "reconciliation_phase_duration_seconds",
                "How long the phases of a run take",
                PHASE_BUCKETS,
            ),
            report_wait: metrics.family(
                "reconciliation_report_wait_seconds",
                "From asking the channel for a report to having it ready",
                || Histogram::new(WAIT_BUCKETS.iter().copied()),
            ),
            open_gaps: metrics.family(
                "reconciliation_open_gaps",
                "Days, sequence numbers and parts of expected files that are missing",
                Family::default,
            ),
            oldest_gap: metrics.family(
                "reconciliation_oldest_gap_age_seconds",
                "Since when the file of the oldest open gap is due; 0 without one",
                Family::default,
            ),
        }
    }

    /// A task ended.
    pub fn task_ended(&self, status: TaskStatus) {
        let status = match status {
            TaskStatus::Completed => "completed",
            TaskStatus::Failed => "failed",
            TaskStatus::Cancelled => "cancelled",
            TaskStatus::Pending | TaskStatus::Processing => return,
        };
        self.tasks.get_or_create(&StatusLabel { status }).inc();
    }

    /// A run compared a channel's day.
    pub fn matched(&self, channel: Channel, matched: u64, differing: u64) {
        let compared = matched + differing;
        if compared > 0 {
            #[expect(clippy::cast_precision_loss, reason = "a gauge for a chart, not a money fact")]
            let rate = matched as f64 / compared as f64;
            self.match_rate.get_or_create(&ChannelLabel { channel: channel.as_str() }).set(rate);
        }
    }

    /// A run found differences of one type.
    pub fn differences(&self, diff_type: &str, count: u64) {
        self.differences.get_or_create(&DiffLabel { diff_type: diff_type.to_owned() }).inc_by(count);
    }

    /// A phase handled rows.
    pub fn phase_done(&self, phase: Phase, rows: u64, took: Duration) {
        let phase = match phase {
            Phase::Waiting => "waiting",
            Phase::Downloading => "downloading",
            Phase::Fetching => "fetching",
            Phase::Matching => "matching",
            Phase::Saving => "saving",
        };
        self.rows.get_or_create(&PhaseLabel { phase }).inc_by(rows);
        self.phase_seconds.get_or_create(&PhaseLabel { phase }).observe(took.as_secs_f64());
    }

    /// What is missing now; of a channel that is not among it, nothing.
    pub fn open_gaps(&self, open: &[OpenGaps], now: Timestamp) {
        for channel in Channel::ALL {
            let gaps = open.iter().find(|gaps| gaps.channel == channel);
            let label = ChannelLabel { channel: channel.as_str() };
            self.open_gaps.get_or_create(&label).set(gaps.map_or(0, |gaps| gaps.count));
            let age = gaps.map_or(0, |gaps| (now - gaps.oldest).num_seconds().max(0));
            self.oldest_gap.get_or_create(&label).set(age);
        }
    }

    /// A report that was asked for became ready.
    pub fn report_ready(&self, waited: Duration) {
        self.report_wait.observe(waited.as_secs_f64());
    }
}
