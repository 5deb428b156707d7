//! The state of reconciliation over some days: match rate, money at risk, ageing.

use std::collections::{BTreeMap, HashMap};

use chrono::NaiveDate;
use futures::FutureExt;
use payops_platform::error::Result;
use uuid::Uuid;

use crate::Reconciliation;
use crate::api::wire::{AgeBucket, MoneyAtRisk, NewerRun, Overview, OverviewDay};
use crate::engine::DiffType;
use crate::model::{Channel, RecordStatus, TaskStatus};
use crate::store::standing::{self, Standing};
use crate::store::task::{self, Model as Task};

/// The spans of age, in days, that open records are counted in. The last one has no end.
const AGE_SPANS: [(i64, Option<i64>); 5] =
    [(0, Some(1)), (2, Some(3)), (4, Some(7)), (8, Some(30)), (31, None)];

/// Sums up the days from `from` to `to` that were completed once, each by its last completed run; ages are counted to
/// `today`.
pub async fn overview(
    app: &Reconciliation,
    (from, to): (NaiveDate, NaiveDate),
    channel: Option<Channel>,
    today: NaiveDate,
) -> Result<Overview> {
    // One picture, so that the records are those of the figures beside them.
    let read = app.context.db.snapshot(move |conn| {
        async move {
            let tasks = task::with_figures_between(conn, from, to, channel).await?;
            let ids: Vec<Uuid> = tasks.iter().map(|task| task.id).collect();
            Ok((standing::of_tasks(conn, &ids).await?, tasks))
        }
        .boxed()
    });
    let (standings, tasks) = read.await?;
    let standings: Vec<Standing> = standings.into_iter().filter(is_open).collect();
    Ok(Overview {
        date_from: from,
        date_to: to,
        open_at_risk: at_risk(&standings),
        ageing: ageing(&tasks, &standings, today),
        days: tasks.into_iter().map(|task| day(task, &standings)).collect(),
    })
}

/// Matched of all compared, as a percentage with two decimals. It is rounded down: only a day without any
/// difference shows 100.00.
pub fn match_rate(matched: i64, differing: i64) -> Option<String> {
    let (matched, compared) = (i128::from(matched), i128::from(matched) + i128::from(differing));
    if compared <= 0 {
        return None;
    }
    let hundredths = matched * 10_000 / compared;
    Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
}

fn is_open(standing: &Standing) -> bool {
    matches!(standing.status, RecordStatus::Open | RecordStatus::Assigned)
        && !DiffType::unlisted().any(|unlisted| standing.diff_type == unlisted)
}

fn at_risk(open: &[Standing]) -> Vec<MoneyAtRisk> {
    let mut by_currency: BTreeMap<&str, (i128, i64)> = BTreeMap::new();
    for standing in open {
        let (amount, count) = by_currency.entry(&standing.currency).or_default();
        *amount += standing.at_risk;
        *count += standing.count;
    }
    by_currency
        .into_iter()
        .map(|(currency, (amount, count))| MoneyAtRisk { currency: currency.to_owned(), amount, count })
        .collect()
}

fn ageing(tasks: &[Task], open: &[Standing], today: NaiveDate) -> Vec<AgeBucket> {
    let dates: HashMap<Uuid, NaiveDate> = tasks.iter().map(|task| (task.id, task.task_date)).collect();
    let age = |standing: &Standing| {
        let since = standing.first_date.or_else(|| dates.get(&standing.task_id).copied());
        since.map_or(0, |date| (today - date).num_days().max(0))
    };
    AGE_SPANS
        .into_iter()
        .map(|(days_from, days_to)| AgeBucket {
            days_from,
            days_to,
            count: open
                .iter()
                .filter(|standing| (days_from..=days_to.unwrap_or(i64::MAX)).contains(&age(standing)))
                .map(|standing| standing.count)
                .sum(),
        })
        .collect()
}

fn day(task: Task, open: &[Standing]) -> OverviewDay {
    let (matched_count, diff_count) = (task.matched_count.unwrap_or(0), task.diff_count.unwrap_or(0));
    // Only a task whose last run is its last completed one is itself completed.
    let newer_run = (task.status != TaskStatus::Completed).then(|| NewerRun::from(&task));
    OverviewDay {
        open_count: open
            .iter()
            .filter(|standing| standing.task_id == task.id)
            .map(|standing| standing.count)
            .sum(),
        match_rate: match_rate(matched_count, diff_count),
        task_id: task.id,
        task_no: task.task_no,
        task_date: task.task_date,
        channel: task.channel,
        verdict: task.verdict,
        matched_count,
        diff_count,
        timing_count: task.timing_count.unwrap_or(0),
        newer_run,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_day_without_differences_shows_a_hundred() {
        assert_eq!(match_rate(0, 0), None);
        assert_eq!(match_rate(7, 0).as_deref(), Some("100.00"));
        assert_eq!(match_rate(999_999, 1).as_deref(), Some("99.99"));
        assert_eq!(match_rate(1, 2).as_deref(), Some("33.33"));
    }
}
