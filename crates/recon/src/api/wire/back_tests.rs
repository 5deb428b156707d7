//! Back-tests on the wire.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use payops_platform::error::{Error, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::engine::{
    AdjustmentTotals, ByCurrency, ChangeKind, ChangeTotals, ChangedMoney, Comparison, Figures,
};
use crate::model::{BackTestStatus, BackTestTaskStatus, Channel};
use crate::ops::back_tests::comparison;
use crate::store::back_test::change::{Model as StoredChange, ToldRows};
use crate::store::back_test::{self, task::Model as StoredTask};

/// Asks what a version of the rules of tolerance would make of days that were reconciled: of a channel's days, or of tasks that
/// are named one by one.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "channel": "stripe", "first_date": "2026-01-01", "last_date": "2026-01-31" }))]
pub struct NewBackTest {
    /// The channel whose days are compared; with `first_date` and `last_date`.
    #[serde(default)]
    pub channel: Option<Channel>,
    /// Only of this account; absent for every account.
    #[serde(default)]
    #[schema(max_length = 128)]
    pub account: Option<String>,
    /// The first business day.
    #[serde(default)]
    pub first_date: Option<NaiveDate>,
    /// The last business day.
    #[serde(default)]
    pub last_date: Option<NaiveDate>,
    /// The tasks, instead of a channel's days; at most 400.
    #[serde(default)]
    #[schema(max_items = 400)]
    pub task_ids: Option<Vec<Uuid>>,
    /// The version that it is compared with; absent for the one that each task's last completed run followed.
    #[serde(default)]
    pub baseline: Option<i64>,
}

/// A back-test, and what it has found so far.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTest {
    /// Its id.
    pub id: Uuid,
    /// The version that is tried.
    pub rule_set_version: i64,
    /// The version that it is compared with; absent where that is the one that each task's run followed.
    pub baseline_version: Option<i64>,
    /// The channel whose days are compared; absent where tasks were named.
    pub channel: Option<Channel>,
    /// The account; absent for every account.
    pub account: Option<String>,
    /// The first business day.
    pub first_date: Option<NaiveDate>,
    /// The last business day.
    pub last_date: Option<NaiveDate>,
    /// Where it stands.
    pub status: BackTestStatus,
    /// How many tasks are compared.
    pub tasks_total: i64,
    /// How many of them are done, those that failed among them.
    pub tasks_done: i64,
    /// How many of them cannot be compared, each for a reason of its own.
    pub tasks_failed: i64,
    /// How many tasks were asked for that have no completed run.
    pub tasks_left_out: i64,
    /// What was found of the tasks that are done.
    #[serde(flatten)]
    pub comparison: BackTestComparison,
    /// Why it failed.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// When its work began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended, one way or another.
    pub completed_at: Option<DateTime<Utc>>,
}

/// What both versions make of the same files. Money is in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestComparison {
    /// By the baseline.
    pub before: BackTestFigures,
    /// By the version that is tried.
    pub after: BackTestFigures,
    /// What lies between.
    pub changes: BackTestChanges,
}

/// What one version makes of the files.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestFigures {
    /// Matches, pairs within tolerance among them.
    pub matched: u64,
    /// Differences.
    pub differences: u64,
    /// Pairs within tolerance.
    pub within_tolerance: u64,
    /// What is booked for them, by rule and currency.
    #[schema(value_type = BTreeMap<String, BTreeMap<String, BackTestAdjustments>>)]
    pub adjustments: BTreeMap<String, ByCurrency<BackTestAdjustments>>,
}

/// What a rule books in one currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestAdjustments {
    /// For how many pairs.
    pub count: u64,
    /// The channel's amounts less ours.
    pub amount: i128,
}

/// What lies between two versions. The `differences_before` of all three less their `differences_after` are the differences
/// that the version takes away.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestChanges {
    /// Differences that would be matches.
    pub gained: BackTestTotals,
    /// Matches that would be differences.
    pub lost: BackTestTotals,
    /// What would be another difference, or booked otherwise.
    pub changed: BackTestTotals,
}

/// The changes of one kind.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestTotals {
    /// How many.
    pub count: u64,
    /// How many differences their rows are by the baseline.
    pub differences_before: u64,
    /// How many they are by the version that is tried.
    pub differences_after: u64,
    /// The same by currency.
    #[schema(value_type = BTreeMap<String, BackTestMoney>)]
    pub currencies: ByCurrency<BackTestMoney>,
}

/// The changes of one kind in one currency.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestMoney {
    /// How many: each under our row's currency where there is one.
    pub count: u64,
    /// The sum of our rows.
    pub platform_amount: i128,
    /// The sum of the channel's rows.
    pub channel_amount: i128,
    /// What is booked for them by the baseline.
    pub adjustments_before: i128,
    /// What is booked for them by the version that is tried.
    pub adjustments_after: i128,
}

/// A task of a back-test.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestTask {
    /// The task.
    pub task_id: Uuid,
    /// Its number.
    pub task_no: String,
    /// Its business day.
    pub task_date: NaiveDate,
    /// Its channel.
    pub channel: Channel,
    /// Its account; empty where there is only one.
    pub account: String,
    /// The completed run whose files are compared.
    pub run_no: i64,
    /// The version that it is compared with; absent where nothing was tolerated.
    pub baseline_version: Option<i64>,
    /// Where it stands.
    pub status: BackTestTaskStatus,
    /// Why it cannot be compared.
    pub error_code: Option<String>,
    /// The same in words.
    pub error_message: Option<String>,
    /// What was found.
    #[serde(flatten)]
    pub comparison: BackTestComparison,
    /// How many changes there are.
    pub change_count: i64,
    /// Whether only the first 10,000 of them are listed. The figures are of all.
    pub is_truncated: bool,
    /// When it was done.
    pub completed_at: Option<DateTime<Utc>>,
}

/// Rows that both versions tell otherwise.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BackTestChange {
    /// The task.
    pub task_id: Uuid,
    /// The place among the changes of the task, from 0: rows of ours in file order, then the channel's.
    pub ordinal: i64,
    /// `gained`: a difference that would be a match; `lost`: a match that would be a difference; `changed`: another type, rule,
    /// adjustment or partner.
    pub kind: String,
    /// What the baseline makes of the rows.
    pub before: ToldRows,
    /// What the version that is tried makes of them.
    pub after: ToldRows,
}

impl TryFrom<back_test::Model> for BackTest {
    type Error = Error;

    fn try_from(test: back_test::Model) -> Result<Self> {
        Ok(Self {
            comparison: comparison(test.id, &test.comparison)?.into(),
            id: test.id,
            rule_set_version: test.rule_set_version,
            baseline_version: test.baseline_version,
            channel: test.channel,
            account: test.account,
            first_date: test.first_date,
            last_date: test.last_date,
            status: test.status,
            tasks_total: test.tasks_total,
            tasks_done: test.tasks_done,
            tasks_failed: test.tasks_failed,
            tasks_left_out: test.tasks_left_out,
            error_code: test.error_code,
            error_message: test.error_message,
            created_by: test.created_by,
            created_at: test.created_at,
            started_at: test.started_at,
            completed_at: test.completed_at,
        })
    }
}

impl From<Comparison> for BackTestComparison {
    fn from(mut comparison: Comparison) -> Self {
        let mut totals = |kind| comparison.changes.remove(&kind).unwrap_or_default().into();
        Self {
            changes: BackTestChanges {
                gained: totals(ChangeKind::Gained),
                lost: totals(ChangeKind::Lost),
                changed: totals(ChangeKind::Changed),
            },
            before: comparison.before.into(),
            after: comparison.after.into(),
        }
    }
}

impl From<Figures> for BackTestFigures {
    fn from(figures: Figures) -> Self {
        let adjustments = figures.adjustments.into_iter();
        Self {
            matched: figures.matched,
            differences: figures.differences,
            within_tolerance: figures.within_tolerance,
            adjustments: adjustments.map(|(rule, booked)| (rule, each(booked))).collect(),
        }
    }
}

impl From<AdjustmentTotals> for BackTestAdjustments {
    fn from(booked: AdjustmentTotals) -> Self {
        Self { count: booked.count, amount: booked.amount }
    }
}

impl From<ChangeTotals> for BackTestTotals {
    fn from(totals: ChangeTotals) -> Self {
        Self {
            count: totals.count,
            differences_before: totals.differences_before,
            differences_after: totals.differences_after,
            currencies: each(totals.currencies),
        }
    }
}

impl From<ChangedMoney> for BackTestMoney {
    fn from(money: ChangedMoney) -> Self {
        Self {
            count: money.count,
            platform_amount: money.platform_amount,
            channel_amount: money.channel_amount,
            adjustments_before: money.adjustments_before,
            adjustments_after: money.adjustments_after,
        }
    }
}

fn each<T, U: From<T>>(sums: ByCurrency<T>) -> ByCurrency<U> {
    sums.into_iter().map(|(currency, sum)| (currency, sum.into())).collect()
}

impl TryFrom<StoredTask> for BackTestTask {
    type Error = Error;

    fn try_from(task: StoredTask) -> Result<Self> {
        Ok(Self {
            comparison: comparison(task.back_test_id, &task.comparison)?.into(),
            task_id: task.task_id,
            task_no: task.task_no,
            task_date: task.task_date,
            channel: task.channel,
            account: task.account,
            run_no: task.run_no,
            baseline_version: task.baseline_version,
            status: task.status,
            error_code: task.error_code,
            error_message: task.error_message,
            change_count: task.change_count,
            is_truncated: task.stored_count < task.change_count,
            completed_at: task.completed_at,
        })
    }
}

impl TryFrom<StoredChange> for BackTestChange {
    type Error = Error;

    fn try_from(change: StoredChange) -> Result<Self> {
        let [before, after] = change.told()?;
        Ok(Self { task_id: change.task_id, ordinal: change.ordinal, kind: change.kind, before, after })
    }
}
