//! What is measured of jobs.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use payops_core::time::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::store::Backlog;
use crate::telemetry::{HistogramFamily, Metrics};

/// Upper bounds in seconds: a job takes anything from a blink to an hour.
const SECONDS: &[f64] = &[0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    name: String,
    outcome: &'static str,
}

/// The metric families of one service's jobs: `job_runs_total{name,outcome}`,
/// `job_duration_seconds{name}`, `jobs_running{name}`, `jobs_due{name}` and
/// `jobs_due_age_seconds{name}`.
#[derive(Debug)]
pub(super) struct JobMetrics {
    runs: Family<Ended, Counter>,
    duration: HistogramFamily<Named>,
    running: Family<Named, Gauge>,
    due: Family<Named, Gauge>,
    age: Family<Named, Gauge>,
    /// Names with a backlog when it was last looked at: they fall back to 0.
    backlogged: Mutex<HashSet<String>>,
}

impl JobMetrics {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            runs: metrics.counters("job_runs", "Runs of jobs by how they ended"),
            duration: metrics.histograms("job_duration_seconds", "Time that runs of jobs took", SECONDS),
            running: metrics.gauges("jobs_running", "Jobs that run in this process"),
            due: metrics.gauges("jobs_due", "Jobs whose time has come and that nobody runs yet"),
            age: metrics.gauges("jobs_due_age_seconds", "How long the oldest of the due jobs has waited"),
            backlogged: Mutex::default(),
        }
    }

    pub(super) fn began(&self, name: &str) {
        self.running.get_or_create(&named(name)).inc();
    }

    pub(super) fn ended(&self, name: &str) {
        self.running.get_or_create(&named(name)).dec();
    }

    pub(super) fn settled(&self, name: &str, outcome: &'static str, took: Duration) {
        let labels = Ended { name: name.to_owned(), outcome };
        self.runs.get_or_create(&labels).inc();
        self.duration.get_or_create(&named(name)).observe(took.as_secs_f64());
    }

    pub(super) fn backlog(&self, backlog: &[Backlog], now: Timestamp) {
        let mut known = self.backlogged.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(backlog.iter().map(|entry| entry.name.clone()));
        for name in known.iter() {
            let entry = backlog.iter().find(|entry| entry.name == *name);
            let due = entry.map_or(0, |entry| entry.due);
            let age = entry.map_or(0, |entry| (now - entry.oldest).num_seconds());
            self.due.get_or_create(&named(name)).set(due);
            self.age.get_or_create(&named(name)).set(age);
        }
    }
}

fn named(name: &str) -> Named {
    Named { name: name.to_owned() }
}
