//! How the records of tasks stand: counts and money at risk.

use chrono::NaiveDate;
use payops_platform::error::Result;
use sea_orm::QuerySelect;
use sea_orm::entity::prelude::*;
use sea_orm::sea_query::{ExprTrait, Func};

use super::record::{Column, Entity, shown};
use crate::model::RecordStatus;

/// How many records of some tasks stand in which state, by type of difference.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The task.
    pub task_id: Uuid,
    /// The day that ages are counted from, where it is an earlier one than the task's.
    pub first_date: Option<NaiveDate>,
    /// The type of difference.
    pub diff_type: String,
    /// What was done about it.
    pub status: RecordStatus,
    /// The currency of `at_risk`: the platform's where it has the row, else the channel's.
    pub currency: String,
    /// How many records.
    pub count: i64,
    /// The sum of what each difference puts at risk, minor units, never negative. It may exceed 64 bits.
    pub at_risk: i128,
}

/// Sums are taken of billions and of the rest apart: neither can leave 64 bits, whatever the amounts.
const BILLION: i64 = 1_000_000_000;

/// The sum of a part of what records put at risk. Two rows that differ in their status alone put all of their amount at
/// risk. A gap beyond 64 bits, which is not stored, lies between amounts of unlike signs.
fn risk(part: &str) -> Expr {
    Expr::cust(format!(
        "CAST(SUM(CASE \
         WHEN diff_type = 'status_diff' THEN ABS(channel_amount {part}) \
         WHEN diff_type = 'amount_diff' AND diff_amount IS NULL \
         THEN ABS(platform_amount {part}) + ABS(channel_amount {part}) \
         ELSE ABS(COALESCE(diff_amount, platform_amount, channel_amount) {part}) END) AS BIGINT)"
    ))
}

/// Counts the records of tasks by type, state and currency.
pub async fn of_tasks(conn: &impl ConnectionTrait, tasks: &[Uuid]) -> Result<Vec<Standing>> {
    type Row = (Uuid, Option<NaiveDate>, String, RecordStatus, String, i64, i64, i64);
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    // Without a parameter inside, so that PostgreSQL sees one expression in SELECT and GROUP BY.
    let currency =
        || Func::coalesce([Expr::col(Column::PlatformCurrency), Expr::col(Column::ChannelCurrency)]);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .columns([Column::TaskId, Column::FirstDate, Column::DiffType, Column::Status])
        .expr_as(currency(), "currency")
        .expr_as(ExprTrait::cast_as(Func::count(Expr::col(Column::Id)), "BIGINT"), "count")
        .expr_as(risk(&format!("/ {BILLION}")), "billions")
        .expr_as(risk(&format!("% {BILLION}")), "rest")
        .filter(Column::TaskId.is_in(tasks.iter().copied()))
        .filter(shown())
        .group_by(Column::TaskId)
        .group_by(Column::FirstDate)
        .group_by(Column::DiffType)
        .group_by(Column::Status)
        .group_by(currency())
        .into_tuple()
        .all(conn)
        .await?;
    let standing =
        |(task_id, first_date, diff_type, status, currency, count, billions, rest): Row| Standing {
            task_id,
            first_date,
            diff_type,
            status,
            currency,
            count,
            at_risk: i128::from(billions) * i128::from(BILLION) + i128::from(rest),
        };
    Ok(rows.into_iter().map(standing).collect())
}
