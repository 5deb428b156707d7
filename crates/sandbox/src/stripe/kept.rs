//! Runs and the answers of idempotency keys in the form in which they are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::create::zone_named;
use super::runs::{Measured, Outcome, Run, RunStatus};
use crate::days::{Channel, DayPlan, World};
use crate::report::{Flaw, Report, ReportType};

/// A run with all that its file follows from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptRun {
    id: String,
    file_id: String,
    created: Timestamp,
    ready_at: Timestamp,
    parameters: Value,
    outcome: Outcome,
    status: RunStatus,
    finished_at: Option<Timestamp>,
    measured: Option<Measured>,
    report: KeptReport,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptReport {
    /// As the days were when the run was created; the seed is the sandbox's.
    plans: BTreeMap<NaiveDate, DayPlan>,
    channel: Channel,
    report_type: String,
    start: i64,
    end: i64,
    columns: Vec<String>,
    timezone: String,
    currency: Option<Currency>,
    category: Option<String>,
    decimal_separator: char,
    flaw: Option<Flaw>,
}

/// An answer that repeats of its call get.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeptAnswer {
    pub(super) key: String,
    pub(super) fingerprint: String,
    pub(super) request_id: String,
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) at: Timestamp,
}

impl KeptRun {
    pub(crate) fn of(run: &Run) -> Self {
        let report = &run.report;
        Self {
            id: run.id.clone(),
            file_id: run.file_id.clone(),
            created: run.created,
            ready_at: run.ready_at,
            parameters: run.parameters.clone(),
            outcome: run.outcome,
            status: run.status,
            finished_at: run.finished_at,
            measured: run.measured.get().cloned(),
            report: KeptReport {
                plans: report.world.plans().clone(),
                channel: report.channel,
                report_type: report.kind.to_string(),
                start: report.start,
                end: report.end,
                columns: report.columns.clone(),
                timezone: report
                    .zone
                    .iana_name()
                    .filter(|name| *name != "UTC")
                    .unwrap_or("Etc/UTC")
                    .to_owned(),
                currency: report.currency,
                category: report.category.clone(),
                decimal_separator: report.decimal_separator,
                flaw: report.flaw,
            },
        }
    }

    /// The run as it was, in a world with this seed and size; `None` for a report that there is not.
    pub(crate) fn into_run(self, seed: u64, payments: u64) -> Option<Run> {
        let kept = self.report;
        let world = World::new(seed, payments).with_plans(kept.plans);
        let kind = ReportType::parse(&kept.report_type)?;
        let report = Report {
            columns: kept.columns,
            zone: zone_named(&kept.timezone).ok()?,
            currency: kept.currency,
            category: kept.category,
            decimal_separator: kept.decimal_separator,
            flaw: kept.flaw,
            ..Report::plain(&world, kept.channel, kind, (kept.start, kept.end))
        };
        let plain = Run::new(
            (self.id, self.file_id),
            (self.created, self.ready_at),
            report,
            self.parameters,
            self.outcome,
        );
        Some(Run {
            status: self.status,
            finished_at: self.finished_at,
            measured: Arc::new(OnceCell::new_with(self.measured)),
            ..plain
        })
    }
}
