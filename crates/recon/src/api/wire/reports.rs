//! Reports and the overview on the wire.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{RuleSet, SettlementFile, Task};
use crate::model::{Channel, RecordStatus, TaskStatus};
use crate::store::{run, standing, task};

/// The report of a task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The task as it stands now. Its verdict, counts and sums are those of `run_no`; its status may already be
    /// that of a newer run.
    pub task: Task,
    /// The run that the figures, the files and the records of this report come from.
    pub run_no: i64,
    /// The run that was started since. Until it is completed, this report shows the run before it.
    pub newer_run: Option<NewerRun>,
    /// Totals per type and currency, control totals, the tie, rejects and the reasons of the verdict.
    #[schema(value_type = Object)]
    pub summary: Box<RawValue>,
    /// Input hashes, versions and output hash: what it takes to repeat the run and compare.
    #[schema(value_type = Object)]
    pub certificate: serde_json::Value,
    /// The version of the rules of tolerance that this run followed; absent where nothing was tolerated.
    pub rule_set: Option<RuleSet>,
    /// The files that this run compared, as they stand now: one that was corrected since is `superseded`.
    pub files: Vec<SettlementFile>,
    /// Every completed run.
    pub runs: Vec<Run>,
    /// How many records stand in which state, by type and currency.
    pub standings: Vec<Standing>,
}

/// A run that has no figures: it is under way, or ended without any.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NewerRun {
    /// Its number.
    pub run_no: i64,
    /// `processing`, `failed` or `cancelled`.
    pub status: TaskStatus,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
}

impl From<&task::Model> for NewerRun {
    fn from(task: &task::Model) -> Self {
        Self { run_no: task.run_no, status: task.status, started_at: task.started_at }
    }
}

/// A completed run of a task.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// Its number, from 1.
    pub run_no: i64,
    /// Its verdict.
    pub verdict: String,
    /// The version of the rules of tolerance that it followed; absent where nothing was tolerated.
    pub rule_set_version: Option<i64>,
    /// Differences that the run before did not have.
    pub records_added: i64,
    /// That it had too; their resolutions stand.
    pub records_kept: i64,
    /// That it had and this one has not.
    pub records_gone: i64,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was completed.
    pub completed_at: DateTime<Utc>,
}

impl From<run::Model> for Run {
    fn from(run: run::Model) -> Self {
        Self {
            run_no: run.run_no,
            verdict: run.verdict,
            rule_set_version: run.rule_set_version,
            records_added: run.records_added,
            records_kept: run.records_kept,
            records_gone: run.records_gone,
            started_at: run.started_at,
            completed_at: run.completed_at,
        }
    }
}

/// How many records stand in one state.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Standing {
    /// The type of difference.
    pub diff_type: String,
    /// The day that ages are counted from, where it is an earlier one than the task's.
    pub first_date: Option<NaiveDate>,
    /// What was done about it.
    pub status: RecordStatus,
    /// The currency of `at_risk`.
    pub currency: String,
    /// How many records.
    pub count: i64,
    /// What they put at risk, minor units; may exceed 64 bits.
    #[schema(value_type = i64)]
    pub at_risk: i128,
}

impl From<standing::Standing> for Standing {
    fn from(standing: standing::Standing) -> Self {
        Self {
            diff_type: standing.diff_type,
            first_date: standing.first_date,
            status: standing.status,
            currency: standing.currency,
            count: standing.count,
            at_risk: standing.at_risk,
        }
    }
}

/// What to download.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ReportQuery {
    /// `json`, `csv`, `pdf` or `xlsx`.
    pub format: String,
    /// The language of a PDF or workbook; `en` unless named. JSON and CSV are the same in every language.
    #[serde(default)]
    #[param(inline)]
    pub language: ReportLanguage,
}

/// The language of a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportLanguage {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// Which days to overlook.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OverviewQuery {
    /// The first day; 30 days before `date_to` when absent.
    pub date_from: Option<NaiveDate>,
    /// The last day; today (UTC) when absent.
    pub date_to: Option<NaiveDate>,
    /// Only this channel.
    pub channel: Option<Channel>,
}

/// The state of reconciliation over some days.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Overview {
    /// The first day.
    pub date_from: NaiveDate,
    /// The last day.
    pub date_to: NaiveDate,
    /// Each day of each channel that was completed once, newest first.
    pub days: Vec<OverviewDay>,
    /// Money at risk in records that are not closed, `timing` among them, by currency.
    pub open_at_risk: Vec<MoneyAtRisk>,
    /// Records that are not closed, `timing` among them, by the age of their business day.
    pub ageing: Vec<AgeBucket>,
}

/// One day of one channel, as its last completed run left it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct OverviewDay {
    /// The task.
    pub task_id: Uuid,
    /// Its number.
    pub task_no: String,
    /// The day.
    pub task_date: NaiveDate,
    /// The channel.
    pub channel: Channel,
    /// The verdict.
    pub verdict: Option<String>,
    /// Matched pairs.
    pub matched_count: i64,
    /// Differences.
    pub diff_count: i64,
    /// Payments that are pending here and absent there: listed among the records, and no differences.
    pub timing_count: i64,
    /// Records that are not closed, `timing` among them.
    pub open_count: i64,
    /// Matched of all compared, as a percentage with two decimals, rounded down; absent when nothing was compared.
    pub match_rate: Option<String>,
    /// The run that was started since. Until it is completed, the figures are those of the run before it.
    pub newer_run: Option<NewerRun>,
}

/// Money at risk in one currency.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MoneyAtRisk {
    /// The currency.
    pub currency: String,
    /// Minor units; may exceed 64 bits.
    #[schema(value_type = i64)]
    pub amount: i128,
    /// In how many records.
    pub count: i64,
}

/// Records of one span of age.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct AgeBucket {
    /// From this many days.
    pub days_from: i64,
    /// To this many days; absent for the last span.
    pub days_to: Option<i64>,
    /// How many records.
    pub count: i64,
}
