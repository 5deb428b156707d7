//! Schedules: at its time, each creates and starts the task of yesterday, and of every day before that was missed.
//!
//! `next_date` is the whole memory of a schedule: the first business day that it has not taken care of. It moves
//! on in the transaction that creates the day's task, so each day is made once, however often the service was
//! away, however many instances run and wherever one dies.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::NaiveDate;
use futures::FutureExt;
use payops_core::page::{Page, PageRequest};
use payops_core::time::{Timestamp, Zone};
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use payops_platform::jobs::schedule::{self as timing, NewSchedule, Schedule as Timing, Timetable};
use payops_platform::jobs::{JobError, Lease};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Reconciliation;
use crate::error;
use crate::jobs::MakeTasks;
use crate::model::{Channel, TaskType};
use crate::ops::tasks::{self, NewTask, retry_unique, zone_named};
use crate::store::schedule::{self, Filter, Model as Schedule};
use crate::store::task;

/// What a schedule is to do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What its tasks cover.
    pub task_type: TaskType,
    /// The IANA name of the zone that defines the days, and the clock of `cron`.
    pub timezone: String,
    /// Five cron fields.
    pub cron: String,
    /// Whether its tasks store matched rows too.
    pub store_matched: bool,
    /// Whether it does anything.
    pub enabled: bool,
}

/// A schedule, and when it fires.
#[derive(Debug, Clone)]
pub struct Planned {
    /// What it does.
    pub schedule: Schedule,
    /// When; `None` only for a row that lost its timetable, which then never fires.
    pub timing: Option<Timing>,
}

/// Makes a schedule. The first day that it takes care of is the one before its first time.
pub async fn create(app: &Reconciliation, tx: &Tx, actor: &Actor, plan: &Plan) -> Result<Planned> {
    let (now, zone) = (app.context.now(), zone_named(&plan.timezone)?);
    let row = Schedule {
        id: app.context.new_id(),
        channel: plan.channel,
        account: plan.account.clone(),
        task_type: plan.task_type,
        timezone: zone.name().to_owned(),
        cron: plan.cron.clone(),
        store_matched: plan.store_matched,
        enabled: plan.enabled,
        next_date: NaiveDate::default(),
        created_by: actor.id.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
    };
    refuse_second(tx, &row).await?;
    let timing = set_time(app, tx, &row, &zone).await?;
    let row = Schedule { next_date: day_before(&zone, timing.next_at), cron: timing.cron.clone(), ..row };
    // Lost a race for the days: the next try sees the other schedule.
    let row = schedule::insert(tx, row).await.map_err(retry_unique)?;
    record(app, tx, actor, "reconciliation_schedule.created", &row).await?;
    Ok(Planned { schedule: row, timing: Some(timing) })
}

/// Puts another plan in the place of a schedule's. One that is switched on, or whose days are other days than
/// before, begins anew: what lies before its next time is not made up for. Every other change loses no day, and
/// a time that has come already still makes its tasks.
pub async fn replace(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, if_match): (Uuid, &IfMatch),
    plan: &Plan,
) -> Result<Planned> {
    let old = schedule::lock(tx, id).await?;
    if_match.check(old.version)?;
    let zone = zone_named(&plan.timezone)?;
    let row = Schedule {
        channel: plan.channel,
        account: plan.account.clone(),
        task_type: plan.task_type,
        timezone: zone.name().to_owned(),
        cron: plan.cron.clone(),
        store_matched: plan.store_matched,
        enabled: plan.enabled,
        ..old.clone().into_inner()
    };
    refuse_second(tx, &row).await?;
    let days = |row: &Schedule| (row.channel, row.account.clone(), row.task_type, row.timezone.clone());
    let other_days = days(&old) != days(&row);
    let anew = other_days || (row.enabled && !old.enabled);
    if other_days {
        // A time that is due and was not seen yet belongs to the days of before.
        timing::remove(tx, &name_of(id)).await?;
    }
    let timing = set_time(app, tx, &row, &zone).await?;
    let next_date = if anew { day_before(&zone, timing.next_at) } else { old.next_date };
    let row = Schedule { next_date, cron: timing.cron.clone(), ..row };
    let row = schedule::replace(tx, old, row, app.context.now()).await.map_err(retry_unique)?;
    record(app, tx, actor, "reconciliation_schedule.changed", &row).await?;
    Ok(Planned { schedule: row, timing: Some(timing) })
}

/// Removes a schedule; its tasks stay. Gives it as it was.
pub async fn remove(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, if_match): (Uuid, &IfMatch),
) -> Result<Planned> {
    let old = schedule::lock(tx, id).await?;
    if_match.check(old.version)?;
    let name = name_of(id);
    let timing = timing::find(tx.conn(), tx.backend(), &name).await?;
    let planned = Planned { schedule: old.clone().into_inner(), timing };
    timing::remove(tx, &name).await?;
    schedule::remove(tx, old).await?;
    record(app, tx, actor, "reconciliation_schedule.removed", &planned.schedule).await?;
    Ok(planned)
}

/// The schedule with its times, or 404.
pub async fn find(app: &Reconciliation, id: Uuid) -> Result<Planned> {
    let backend = app.context.db.backend();
    let read = app.context.db.snapshot(move |conn| {
        async move {
            let schedule = schedule::find(conn, id).await?;
            Ok(Planned { timing: timing::find(conn, backend, &name_of(id)).await?, schedule })
        }
        .boxed()
    });
    read.await
}

/// A page of schedules with their times.
pub async fn list(app: &Reconciliation, filter: Filter, request: PageRequest<Uuid>) -> Result<Page<Planned>> {
    let backend = app.context.db.backend();
    let read = app.context.db.snapshot(move |conn| {
        async move {
            let page = schedule::list(conn, &filter, &request).await?;
            Ok((page, timing::list(conn, backend).await?))
        }
        .boxed()
    });
    let (page, timings) = read.await?;
    let mut timings: HashMap<String, Timing> =
        timings.into_iter().map(|timing| (timing.name.clone(), timing)).collect();
    Ok(page.map(|schedule| Planned { timing: timings.remove(&name_of(schedule.id)), schedule }))
}

/// Does what a schedule is there for, a day a transaction.
pub async fn make_tasks(app: &Reconciliation, job: &MakeTasks, lease: &Lease) -> Result<(), JobError> {
    let fired_at = lease.scheduled_for.unwrap_or_else(|| app.context.now());
    loop {
        if lease.cancelled().is_cancelled() {
            let why = Error::unavailable("this process is stopping", Duration::from_secs(1));
            return Err(why.into());
        }
        let shared = Arc::new((app.clone(), job.clone(), lease.clone()));
        let more = app.context.db.write("reconciliation.scheduled_task", move |tx| {
            let shared = Arc::clone(&shared);
            async move {
                let (app, job, lease) = &*shared;
                lease.still_mine(tx).await?;
                make_next(app, tx, job.schedule_id, fired_at).await
            }
            .boxed()
        });
        if !more.await? {
            return Ok(());
        }
    }
}

/// Takes care of one day; false when there was none left.
async fn make_next(app: &Reconciliation, tx: &Tx, id: Uuid, fired_at: Timestamp) -> Result<bool> {
    let Some(schedule) = schedule::try_lock(tx, id).await?.filter(|schedule| schedule.enabled) else {
        return Ok(false);
    };
    let zone = Zone::named(&schedule.timezone).map_err(|error| {
        Error::impossible_row("reconciliation_schedules", "timezone", id, error.to_string())
    })?;
    let day = schedule.next_date;
    if day > day_before(&zone, fired_at) {
        return Ok(false);
    }
    // A zone that crossed the date line has left a day out.
    if zone.day(day).is_ok_and(|window| window.start < window.end) {
        make_task(app, tx, &schedule, &zone, day).await?;
    }
    let next = day.succ_opt().ok_or_else(|| Error::internal("the calendar has ended"))?;
    schedule::advance(tx, schedule, next).await?;
    Ok(true)
}

/// A day that somebody reconciles already stays with him.
async fn make_task(
    app: &Reconciliation,
    tx: &Tx,
    schedule: &Schedule,
    zone: &Zone,
    day: NaiveDate,
) -> Result<()> {
    let key = (day, zone.name());
    if let Some(task) = task::holding(tx.conn(), key, schedule.channel, &schedule.account).await? {
        tracing::info!(schedule.id = %schedule.id, task_no = task.task_no, %day, "the day of a schedule has a task already");
        return Ok(());
    }
    let new = NewTask {
        task_date: day,
        timezone: schedule.timezone.clone(),
        channel: schedule.channel,
        account: schedule.account.clone(),
        task_type: schedule.task_type,
        store_matched: schedule.store_matched,
    };
    let actor = Actor::system(format!("schedule:{}", schedule.id));
    let task = tasks::create(app, tx, &actor, &new).await?;
    tasks::execute(app, tx, &actor, task.id).await?;
    tracing::info!(schedule.id = %schedule.id, task_no = task.task_no, %day, "a schedule has made a task");
    Ok(())
}

/// The business day before the one that `instant` belongs to: the last one that is over.
fn day_before(zone: &Zone, instant: Timestamp) -> NaiveDate {
    let today = zone.date_of(instant);
    today.pred_opt().unwrap_or(today)
}

async fn refuse_second(tx: &Tx, row: &Schedule) -> Result<()> {
    match schedule::making_the_same(tx.conn(), row).await? {
        Some(existing) => Err(error::schedule_exists(&existing)),
        None => Ok(()),
    }
}

async fn set_time(app: &Reconciliation, tx: &Tx, row: &Schedule, zone: &Zone) -> Result<Timing> {
    let timetable = Timetable::new(&row.cron, zone.clone())?;
    let new = NewSchedule { name: &name_of(row.id), timetable: &timetable, enabled: row.enabled };
    timing::put(tx, &app.context, &new, &MakeTasks { schedule_id: row.id }).await
}

/// The name of a schedule in the platform's table.
fn name_of(id: Uuid) -> String {
    format!("reconciliation:{id}")
}

async fn record(app: &Reconciliation, tx: &Tx, actor: &Actor, action: &str, row: &Schedule) -> Result<()> {
    let detail: Value = json!({
        "channel": row.channel, "account": row.account, "timezone": row.timezone, "cron": row.cron,
        "enabled": row.enabled, "store_matched": row.store_matched, "next_date": row.next_date,
        "version": row.version,
    });
    let id = row.id.to_string();
    audit::record(tx, &app.context, actor, action, "reconciliation_schedule", &id, detail).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last day that each fire of a year takes care of.
    fn days_of(cron: &str, zone: &str, from: &str, fires: usize) -> Vec<NaiveDate> {
        let zone = Zone::named(zone).unwrap();
        let timetable = Timetable::new(cron, zone.clone()).unwrap();
        let next = |instant: &Timestamp| timetable.next_after(*instant);
        std::iter::successors(next(&from.parse().unwrap()), next)
            .take(fires)
            .map(|instant| day_before(&zone, instant))
            .collect()
    }

    #[test]
    fn a_daily_schedule_has_a_day_for_each_fire_wherever_clocks_change() {
        for zone in ["America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Asia/Shanghai", "Etc/UTC"] {
            for cron in ["0 0 * * *", "30 1 * * *", "30 2 * * *", "59 23 * * *"] {
                let days = days_of(cron, zone, "2023-12-31T23:59:59Z", 366);
                let followed = days.windows(2).all(|pair| pair[0].succ_opt() == Some(pair[1]));
                assert!(followed, "{zone} {cron}: {days:?}");
            }
        }
    }

    #[test]
    fn yesterday_is_meant_in_the_zone() {
        let shanghai = Zone::named("Asia/Shanghai").unwrap();
        let day = |instant: &str| day_before(&shanghai, instant.parse().unwrap()).to_string();
        assert_eq!(day("2026-01-15T15:59:59Z"), "2026-01-14");
        assert_eq!(day("2026-01-15T16:00:00Z"), "2026-01-15");
    }
}
