//! Which business days have their files, and excusing those that will have none.

use std::ops::RangeInclusive;

use chrono::NaiveDate;
use payops_core::time::Timestamp;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::ActiveValue::Set;
use sea_orm::ConnectionTrait;
use serde_json::json;
use uuid::Uuid;

use crate::Reconciliation;
use crate::completeness::{Calendar, DayFacts};
use crate::error;
use crate::model::{DayState, FileStatus, GapEnd, GapKind, TaskStatus};
use crate::ops::carry;
use crate::ops::expected_files::calendar;
use crate::store::expected_file::{self, Filter, Model as ExpectedFile};
use crate::store::file::{self, Kept};
use crate::store::gap::{self, Model as Gap};
use crate::store::task::Model as Task;

/// A business day whose file is expected.
#[derive(Debug, Clone)]
pub struct ExpectedDay {
    /// What is expected.
    pub expected: ExpectedFile,
    /// The business day.
    pub day: NaiveDate,
    /// When its file is due.
    pub due_at: Timestamp,
    /// How it stands.
    pub state: DayState,
    /// Since when.
    pub since: Option<Timestamp>,
    /// What was missing of it, the first first.
    pub gaps: Vec<Gap>,
}

/// How some business days stand, by channel, account and role. Days without a file are among them when something of them
/// is missing.
pub async fn overview(
    app: &Reconciliation,
    filter: &Filter,
    days: RangeInclusive<NaiveDate>,
) -> Result<Vec<ExpectedDay>> {
    let (conn, now) = (app.context.db.read(), app.context.now());
    let mut all = Vec::new();
    for expected in expected_file::all(conn, filter).await? {
        all.extend(days_of(conn, &expected, days.clone(), now).await?);
    }
    Ok(all)
}

/// The expected files of a task's day that are due and not there, by role. None of a task that was called off: nobody waits
/// for them there.
pub async fn late_inputs(app: &Reconciliation, task: &Task) -> Result<Vec<ExpectedDay>> {
    if task.status == TaskStatus::Cancelled {
        return Ok(Vec::new());
    }
    let (conn, now, timezone) = (app.context.db.read(), app.context.now(), carry::zone_name(task));
    let mut late = Vec::new();
    for expected in expected_file::of(conn, carry::days(task, &timezone)).await? {
        let days = days_of(conn, &expected, task.task_date..=task.task_date, now).await?;
        late.extend(days.into_iter().filter(|day| day.state == DayState::Late));
    }
    Ok(late)
}

/// Says that what is missing of a business day need not come: open gaps are closed, and a day that is not due yet will not
/// be told of. 409 when there is nothing to excuse.
pub async fn excuse(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, day): (Uuid, NaiveDate),
    note: &str,
) -> Result<ExpectedDay> {
    let expected = expected_file::lock(tx, id).await?;
    let (now, calendar) = (app.context.now(), calendar(&expected)?);
    let gaps = gap::of_days(tx.conn(), id, day..=day).await?;
    let open: Vec<Gap> = gaps.iter().filter(|gap| gap.closed_at.is_none()).cloned().collect();
    let excused = open.len();
    for gap in open {
        gap::update(tx, gap, |row| {
            row.closed_at = Set(Some(now));
            row.closed_as = Set(Some(GapEnd::Excused));
            row.closed_by = Set(Some(actor.id.clone()));
            row.note = Set(Some(note.to_owned()));
        })
        .await?;
    }
    if excused == 0 {
        let there = file::current(tx.conn(), &expected.subject(day)).await?.is_some();
        refuse_needless(&calendar, day, &gaps, there)?;
        let row = Gap {
            id: app.context.new_id(),
            expected_file_id: id,
            settlement_date: day,
            kind: GapKind::Missing,
            number: 0,
            up_to: 0,
            due_at: due_at(&calendar, day)?,
            opened_at: now,
            escalated_at: None,
            closed_at: Some(now),
            closed_as: Some(GapEnd::Excused),
            closed_by: Some(actor.id.clone()),
            note: Some(note.to_owned()),
        };
        gap::insert(tx, row).await?;
    }
    let detail = json!({
        "settlement_date": day, "channel": expected.channel, "account": expected.account, "role": expected.role,
        "open_gaps": excused, "note": note,
    });
    let (action, object) = ("expected_file.day_excused", id.to_string());
    audit::record(tx, &app.context, actor, action, "expected_file", &object, detail).await?;
    let days = days_of(tx.conn(), &expected, day..=day, now).await?;
    days.into_iter()
        .next()
        .ok_or_else(|| Error::internal(format!("{day} of {id} has no gap after it was excused")))
}

fn refuse_needless(calendar: &Calendar, day: NaiveDate, gaps: &[Gap], there: bool) -> Result<()> {
    if gaps.iter().any(|gap| gap.kind == GapKind::Missing && gap.closed_as == Some(GapEnd::Excused)) {
        return Err(error::nothing_to_excuse(day, "it is excused already", "已豁免"));
    }
    if there {
        return Err(error::nothing_to_excuse(day, "its file is there", "文件已到达"));
    }
    if !calendar.expects(day) {
        return Err(error::nothing_to_excuse(day, "no file is expected", "该日无需文件"));
    }
    Ok(())
}

async fn days_of(
    conn: &impl ConnectionTrait,
    expected: &ExpectedFile,
    days: RangeInclusive<NaiveDate>,
    now: Timestamp,
) -> Result<Vec<ExpectedDay>> {
    let calendar = calendar(expected)?;
    let kept = file::kept(conn, &expected.subject(*days.start()), days.clone()).await?;
    let gaps = gap::of_days(conn, expected.id, days.clone()).await?;
    let mut all = Vec::new();
    for day in days.start().iter_days().take_while(|day| day <= days.end()) {
        let gaps: Vec<Gap> = gaps
            .iter()
            .filter(|gap| gap.settlement_date == day && gap.closed_as != Some(GapEnd::NotExpected))
            .cloned()
            .collect();
        if !calendar.expects(day) && gaps.is_empty() {
            continue;
        }
        let facts = DayFacts {
            due_at: due_at(&calendar, day)?,
            arrived_at: arrived_at(&kept, day),
            gap_since: open_of_names(&gaps),
            excused_at: gaps
                .iter()
                .rfind(|gap| gap.kind == GapKind::Missing && gap.closed_as == Some(GapEnd::Excused))
                .and_then(|gap| gap.closed_at),
        };
        let (state, since) = facts.state(now);
        all.push(ExpectedDay { expected: expected.clone(), day, due_at: facts.due_at, state, since, gaps });
    }
    Ok(all)
}

fn due_at(calendar: &Calendar, day: NaiveDate) -> Result<Timestamp> {
    calendar.due_at(day).ok_or_else(|| Error::internal("the calendar has ended"))
}

/// When the first file of a day came that has one in force.
fn arrived_at(kept: &[Kept], day: NaiveDate) -> Option<Timestamp> {
    let of_day = || kept.iter().filter(|file| file.settlement_date == day);
    of_day().find(|file| file.status == FileStatus::Stored)?;
    of_day().filter_map(|file| file.downloaded_at).min()
}

/// Since when something is missing that names tell of.
fn open_of_names(gaps: &[Gap]) -> Option<Timestamp> {
    let open = gaps.iter().filter(|gap| gap.kind != GapKind::Missing && gap.closed_at.is_none());
    open.map(|gap| gap.opened_at).min()
}
