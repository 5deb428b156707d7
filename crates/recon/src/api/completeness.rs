//! Completeness: which days have their files, and excusing those that will have none.

use axum::extract::State;
use chrono::{Days, NaiveDate};
use futures::FutureExt;
use payops_platform::auth::{Authorized, OperatorOnly};
use payops_platform::error::{Error, Result};
use payops_platform::http::{Answer, Command, PathParams, StrictQuery};
use uuid::Uuid;

use super::wire::{Completeness, CompletenessDay, CompletenessQuery, ExcuseDay};
use super::{check_dates, check_text, write};
use crate::Reconciliation;
use crate::ops::completeness;
use crate::store::expected_file::Filter;

/// How many days one call may cover.
const MOST_DAYS: i64 = 92;

/// Shows how business days stand whose files are expected: in time, late, with a gap, excused.
#[utoipa::path(
    get,
    path = "/api/v1/reconciliation/completeness",
    tag = "completeness",
    params(CompletenessQuery),
    responses(
        (status = 200, description = "The days", body = Completeness),
        (status = 400, description = "INVALID_REQUEST: a parameter is unknown or invalid, or the days are too many"),
    )
)]
pub(super) async fn get_completeness(
    State(app): State<Reconciliation>,
    _: Authorized<OperatorOnly>,
    StrictQuery(query): StrictQuery<CompletenessQuery>,
) -> Result<Answer<Completeness>> {
    check_dates(&[("from", query.from), ("to", query.to)])?;
    let to = query.to.unwrap_or_else(|| app.context.now().date_naive());
    let from = query.from.unwrap_or_else(|| to.checked_sub_days(Days::new(30)).unwrap_or(to));
    if from > to {
        return Err(Error::invalid_field("from", "lies after to", "from 晚于 to"));
    }
    if (to - from).num_days() > MOST_DAYS {
        return Err(Error::invalid_field(
            "from",
            format!("lies at most {MOST_DAYS} days before to"),
            format!("from 最多早于 to {MOST_DAYS} 天"),
        ));
    }
    let filter = Filter { channel: query.channel, role: query.role };
    let days = completeness::overview(&app, &filter, from..=to).await?;
    Ok(Answer::ok(Completeness { days: days.into_iter().map(CompletenessDay::from).collect() }))
}

/// Says that what is missing of a business day need not come, such as on a bank holiday: it is told of no more. A day that
/// is not due yet can be excused too. Should its file come, the day has arrived all the same.
#[utoipa::path(
    post,
    path = "/api/v1/reconciliation/completeness/{expected_file_id}/{settlement_date}/excuse",
    tag = "completeness",
    params(
        ("expected_file_id" = Uuid, Path, description = "The expected file"),
        ("settlement_date" = NaiveDate, Path, description = "The business day"),
    ),
    request_body = ExcuseDay,
    responses(
        (status = 200, description = "Excused: the day as it stands now", body = CompletenessDay),
        (status = 400, description = "INVALID_REQUEST: the note is missing or too long"),
        (status = 404, description = "EXPECTED_FILE_NOT_FOUND"),
        (status = 409, description = "NOTHING_TO_EXCUSE: the file is there, was excused already, or is not expected"),
    )
)]
pub(super) async fn excuse_day(
    State(app): State<Reconciliation>,
    caller: Authorized<OperatorOnly>,
    PathParams((id, day)): PathParams<(Uuid, NaiveDate)>,
    command: Command<ExcuseDay>,
) -> Result<Answer<CompletenessDay>> {
    check_text("note", &command.body.note, 1, 2000)?;
    check_dates(&[("settlement_date", Some(day))])?;
    write(&app, "reconciliation.excuse_day", caller.actor(), command, move |scope| {
        async move {
            let note = scope.body.note.trim();
            let day = completeness::excuse(scope.app, scope.tx, scope.actor, (id, day), note).await?;
            Ok(Answer::ok(CompletenessDay::from(day)))
        }
        .boxed()
    })
    .await
}
