//! The overview of some days.

use axum::extract::State;
use chrono::Days;
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, StrictQuery};

use super::check_dates;
use super::wire::{Overview, OverviewQuery};
use crate::Reconciliation;
use crate::ops::overview;

/// How many days one call may cover.
const MOST_DAYS: i64 = 366;

/// Sums up the days that were completed once: match rate, money at risk and ageing, by channel and day. A day that is
/// being run again, or failed to, shows its last completed run and names the newer one.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/summary",
    tag = "overview",
    params(OverviewQuery),
    responses((status = 200, description = "The overview", body = Overview))
)]
pub(super) async fn get_summary(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    StrictQuery(query): StrictQuery<OverviewQuery>,
) -> Result<Answer<Overview>> {
    check_dates(&[("date_from", query.date_from), ("date_to", query.date_to)])?;
    let today = app.context.now().date_naive();
    let to = query.date_to.unwrap_or(today);
    let from = query.date_from.unwrap_or_else(|| to.checked_sub_days(Days::new(30)).unwrap_or(to));
    if from > to {
        let (en, zh) = ("date_from lies after date_to", "date_from 晚于 date_to");
        return Err(Error::invalid_field("date_from", en, zh));
    }
    if (to - from).num_days() > MOST_DAYS {
        return Err(Error::invalid_field(
            "date_from",
            format!("date_from lies at most {MOST_DAYS} days before date_to"),
            format!("date_from 最多早于 date_to {MOST_DAYS} 天"),
        ));
    }
    Ok(Answer::ok(overview::overview(&app, (from, to), query.channel, today).await?))
}
