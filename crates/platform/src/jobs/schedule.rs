//! Jobs that come again, by cron expression and zone.
//!
//! A schedule is a row. Whichever runner sees first that its time has come writes the job and moves the row
//! on, in one transaction: it fires once however many instances run. Fires that were missed while none ran
//! are made up for by one.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Zoned;
use payops_core::time::{Timestamp, Zone};
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value;

use super::queue::{self, EnqueueOptions, Job, NewJob};
use crate::context::ServiceContext;
use crate::db::{Backend, Tx};
use crate::error::{Error, Result};

const COLUMNS: &str =
    "name, cron, zone, job_name, payload, enabled, next_at, last_fired_at, version, created_at, updated_at";
/// How many schedules one look fires at most.
const FIRED_AT_ONCE: u32 = 100;

/// When something is to happen, again and again.
#[derive(Debug, Clone)]
pub struct Timetable {
    text: String,
    cron: Cron,
    zone: Zone,
}

impl Timetable {
    /// Reads five cron fields (minute, hour, day of month, month, day of week), meant in `zone`. 400 about
    /// the field `cron` when they are not five, not valid, or never come true.
    ///
    /// A time that the zone's clocks skip comes when they have skipped it; of one that comes twice, the first
    /// counts.
    pub fn new(text: &str, zone: Zone) -> Result<Self> {
        let fields: Vec<&str> = text.split_whitespace().collect();
        let refuse = |en: String, zh: String| Error::invalid_field("cron", en, zh);
        if fields.len() != 5 {
            return Err(refuse(
                format!(
                    "has {} fields; five are expected: minute, hour, day of month, month, day of week",
                    fields.len()
                ),
                format!("包含 {} 个字段，应为五个：分 时 日 月 周", fields.len()),
            ));
        }
        let text = fields.join(" ");
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(&text).map_err(|error| {
            refuse(format!("is no cron expression: {error}"), "不是有效的 cron 表达式".to_owned())
        })?;
        let timetable = Self { text, cron, zone };
        timetable
            .next_after(Timestamp::UNIX_EPOCH)
            .ok_or_else(|| refuse("never comes true".to_owned(), "永远不会触发".to_owned()))?;
        Ok(timetable)
    }

    /// The first instant after `instant`; `None` at the end of the calendar.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        from_zoned(&self.cron.find_next_occurrence(&self.zoned(instant)?, false).ok()?)
    }

    /// The latest instant up to and including `instant`.
    fn latest_until(&self, instant: Timestamp) -> Option<Timestamp> {
        from_zoned(&self.cron.find_previous_occurrence(&self.zoned(instant)?, true).ok()?)
    }

    fn zoned(&self, instant: Timestamp) -> Option<Zoned> {
        let zone = jiff::tz::TimeZone::get(self.zone.name()).ok()?;
        Some(jiff::Timestamp::from_microsecond(instant.timestamp_micros()).ok()?.to_zoned(zone))
    }
}

fn from_zoned(zoned: &Zoned) -> Option<Timestamp> {
    Timestamp::from_timestamp_micros(zoned.timestamp().as_microsecond())
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// What it is called.
    pub name: String,
    /// Five cron fields.
    pub cron: String,
    /// IANA name of the zone in which they are meant.
    pub zone: String,
    /// [`Job::NAME`] of the job it makes.
    pub job_name: String,
    /// The job's arguments.
    pub payload: Value,
    /// Whether it fires.
    pub enabled: bool,
    /// When it fires next, if it is enabled.
    pub next_at: Timestamp,
    /// The nominal instant of its latest fire.
    pub last_fired_at: Option<Timestamp>,
    /// Counts edits, from 1.
    pub version: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last edited or fired.
    pub updated_at: Timestamp,
}

impl Schedule {
    fn timetable(&self) -> Option<Timetable> {
        Timetable::new(&self.cron, Zone::named(&self.zone).ok()?).ok()
    }

    /// The latest time that has come and that no runner has seen, if it is to fire at all.
    fn overdue(&self, now: Timestamp) -> Option<Timestamp> {
        let due = Some(self.next_at).filter(|next_at| self.enabled && *next_at <= now)?;
        // What a schedule was before an edit, its timetable no longer knows.
        let latest = self.timetable().and_then(|timetable| timetable.latest_until(now));
        Some(latest.map_or(due, |latest| latest.max(due)))
    }
}

/// What [`put`] and [`ensure`] write.
#[derive(Debug, Clone)]
pub struct NewSchedule<'a> {
    /// What it is to be called.
    pub name: &'a str,
    /// When it is to fire.
    pub timetable: &'a Timetable,
    /// Whether it is to fire at all.
    pub enabled: bool,
}

/// Makes a schedule, or replaces the one of that name. It fires next at its first time after now; a time that has come
/// already and that no runner has seen yet is not lost by an edit, unless that switches the schedule off.
pub async fn put<J: Job>(
    tx: &Tx,
    context: &ServiceContext,
    new: &NewSchedule<'_>,
    job: &J,
) -> Result<Schedule> {
    const REPLACE: &str = "ON CONFLICT (name) DO UPDATE SET cron = excluded.cron, zone = excluded.zone,
        job_name = excluded.job_name, payload = excluded.payload, enabled = excluded.enabled,
        next_at = excluded.next_at, version = schedules.version + 1, updated_at = excluded.updated_at";
    let overdue =
        lock(tx, new.name).await?.filter(|_| new.enabled).and_then(|old| old.overdue(context.now()));
    let next = overdue.map_or_else(|| first_after_now(context, new), Ok)?;
    insert(tx, context, new, next, job, REPLACE).await?;
    let written = find(tx, tx.backend(), new.name).await?;
    written.ok_or_else(|| Error::internal(format!("schedule {} was not written", new.name)))
}

/// Makes a schedule unless there is one of that name, whatever that looks like: for the schedules that a
/// service comes with and that people may have edited since.
pub async fn ensure<J: Job>(tx: &Tx, context: &ServiceContext, new: &NewSchedule<'_>, job: &J) -> Result<()> {
    let next = first_after_now(context, new)?;
    insert(tx, context, new, next, job, "ON CONFLICT (name) DO NOTHING").await
}

fn first_after_now(context: &ServiceContext, new: &NewSchedule<'_>) -> Result<Timestamp> {
    let next = new.timetable.next_after(context.now());
    next.ok_or_else(|| Error::internal("the calendar has ended"))
}

async fn insert<J: Job>(
    tx: &Tx,
    context: &ServiceContext,
    new: &NewSchedule<'_>,
    next: Timestamp,
    job: &J,
    on_conflict: &str,
) -> Result<()> {
    let now = context.now();
    let payload = serde_json::to_value(job).map_err(Error::internal)?;
    let statement = format!(
        "-- jobs::schedule::insert
        INSERT INTO schedules (name, cron, zone, job_name, payload, enabled, next_at, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8) {on_conflict}"
    );
    let values = [
        new.name.into(),
        new.timetable.text.as_str().into(),
        new.timetable.zone.name().into(),
        J::NAME.into(),
        payload.into(),
        new.enabled.into(),
        next.into(),
        now.into(),
    ];
    tx.execute_raw(tx.statement(&statement, values)).await?;
    Ok(())
}

/// All schedules by name.
pub async fn list(conn: &impl ConnectionTrait, backend: Backend) -> Result<Vec<Schedule>> {
    let select = format!("-- jobs::schedule::list\nSELECT {COLUMNS} FROM schedules ORDER BY name");
    conn.query_all_raw(backend.statement(&select, [])).await?.iter().map(schedule).collect()
}

/// The schedule of a name.
pub async fn find(conn: &impl ConnectionTrait, backend: Backend, name: &str) -> Result<Option<Schedule>> {
    let select = format!("-- jobs::schedule::find\nSELECT {COLUMNS} FROM schedules WHERE name = $1");
    let row = conn.query_one_raw(backend.statement(&select, [name.into()])).await?;
    row.as_ref().map(schedule).transpose()
}

async fn lock(tx: &Tx, name: &str) -> Result<Option<Schedule>> {
    let lock = tx.for_update();
    let select = format!("-- jobs::schedule::lock\nSELECT {COLUMNS} FROM schedules WHERE name = $1{lock}");
    let row = tx.query_one_raw(tx.statement(&select, [name.into()])).await?;
    row.as_ref().map(schedule).transpose()
}

/// Removes a schedule; returns whether there was one. Jobs that it made stay.
pub async fn remove(tx: &Tx, name: &str) -> Result<bool> {
    const DELETE: &str = "-- jobs::schedule::remove
        DELETE FROM schedules WHERE name = $1";
    Ok(tx.execute_raw(tx.statement(DELETE, [name.into()])).await?.rows_affected() == 1)
}

fn schedule(row: &QueryResult) -> Result<Schedule> {
    Ok(Schedule {
        name: row.try_get_by("name")?,
        cron: row.try_get_by("cron")?,
        zone: row.try_get_by("zone")?,
        job_name: row.try_get_by("job_name")?,
        payload: row.try_get_by("payload")?,
        enabled: row.try_get_by("enabled")?,
        next_at: row.try_get_by("next_at")?,
        last_fired_at: row.try_get_by("last_fired_at")?,
        version: row.try_get_by("version")?,
        created_at: row.try_get_by("created_at")?,
        updated_at: row.try_get_by("updated_at")?,
    })
}

/// Fires whatever is due and returns how many schedules that were.
pub(super) async fn fire_due(context: &ServiceContext) -> Result<u64> {
    let context = context.clone();
    let db = context.db.clone();
    db.write("schedules.fire", move |tx| {
        let context = context.clone();
        Box::pin(async move { fire_due_in(tx, &context).await })
    })
    .await
}

async fn fire_due_in(tx: &Tx, context: &ServiceContext) -> Result<u64> {
    let now = context.now();
    let select = format!(
        "-- jobs::schedule::fire_due
        SELECT {COLUMNS} FROM schedules WHERE enabled AND next_at <= $1 ORDER BY next_at LIMIT {FIRED_AT_ONCE} {}",
        tx.backend().pick("", "FOR UPDATE SKIP LOCKED")
    );
    let mut fired = 0;
    for row in tx.query_all_raw(tx.statement(&select, [now.into()])).await? {
        fired += u64::from(fire(tx, context, schedule(&row)?, now).await?);
    }
    Ok(fired)
}

async fn fire(tx: &Tx, context: &ServiceContext, due: Schedule, now: Timestamp) -> Result<bool> {
    const ADVANCE: &str = "-- jobs::schedule::fire
        UPDATE schedules SET next_at = $2, last_fired_at = $3, updated_at = $4 WHERE name = $1";
    let next = due.timetable().and_then(|timetable| timetable.next_after(now));
    let Some((nominal, next)) = due.overdue(now).zip(next) else {
        return disable_broken(tx, &due, now).await;
    };
    let options = EnqueueOptions::default().unique(format!("schedule:{}:{}", due.name, nominal.to_rfc3339()));
    let job = NewJob { name: &due.job_name, payload: due.payload, options, scheduled_for: Some(nominal) };
    let id = queue::enqueue_raw(tx, context, job).await?;
    let values = [due.name.as_str().into(), next.into(), nominal.into(), now.into()];
    tx.execute_raw(tx.statement(ADVANCE, values)).await?;
    tracing::info!(schedule = due.name, job.id = %id, %nominal, "a schedule has fired");
    Ok(true)
}

/// A row that nothing of payops can have written must not keep the others from firing.
async fn disable_broken(tx: &Tx, due: &Schedule, now: Timestamp) -> Result<bool> {
    const DISABLE: &str = "-- jobs::schedule::disable_broken
        UPDATE schedules SET enabled = FALSE, updated_at = $2 WHERE name = $1";
    tracing::error!(
        schedule = due.name,
        cron = due.cron,
        zone = due.zone,
        "a schedule that makes no sense was switched off"
    );
    tx.execute_raw(tx.statement(DISABLE, [due.name.as_str().into(), now.into()])).await?;
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn next(cron: &str, zone: &str, after: &str) -> String {
        let timetable = Timetable::new(cron, Zone::named(zone).unwrap()).unwrap();
        timetable.next_after(at(after)).unwrap().to_rfc3339()
    }

    #[test]
    fn times_are_meant_in_the_zone() {
        assert_eq!(next("30 2 * * *", "Asia/Shanghai", "2024-10-24T00:00:00Z"), "2024-10-24T18:30:00+00:00");
        assert_eq!(next("30 2 * * *", "Etc/UTC", "2024-10-24T02:30:00Z"), "2024-10-25T02:30:00+00:00");
        assert_eq!(next("  0 9  * * MON ", "Etc/UTC", "2024-10-24T00:00:00Z"), "2024-10-28T09:00:00+00:00");
    }

    #[test]
    fn clock_changes_neither_lose_nor_double_a_fire() {
        let zone = "America/New_York";
        assert_eq!(next("30 2 * * *", zone, "2024-03-10T05:00:00Z"), "2024-03-10T07:00:00+00:00");
        assert_eq!(next("30 2 * * *", zone, "2024-03-10T07:00:00Z"), "2024-03-11T06:30:00+00:00");
        assert_eq!(next("30 1 * * *", zone, "2024-11-03T04:00:00Z"), "2024-11-03T05:30:00+00:00");
        assert_eq!(next("30 1 * * *", zone, "2024-11-03T05:30:00Z"), "2024-11-04T06:30:00+00:00");
    }

    #[test]
    fn the_latest_fire_is_found_across_clock_changes() {
        let latest = |cron: &str, now: &str| {
            let timetable = Timetable::new(cron, Zone::named("America/New_York").unwrap()).unwrap();
            timetable.latest_until(at(now)).unwrap().to_rfc3339()
        };
        assert_eq!(latest("30 1 * * *", "2024-11-03T12:00:00Z"), "2024-11-03T05:30:00+00:00");
        assert_eq!(latest("30 2 * * *", "2024-03-10T12:00:00Z"), "2024-03-10T07:00:00+00:00");
    }

    #[test]
    fn what_is_no_timetable_is_refused() {
        for cron in [
            "",
            "* * * *",
            "0 * * * * *",
            "@daily",
            "60 * * * *",
            "0 0 30 2 *",
            "a b c d e",
            "* * * * * 2030",
        ] {
            let error = Timetable::new(cron, Zone::utc()).unwrap_err();
            assert_eq!(error.fields()[0].path, "cron", "{cron}: {error}");
        }
    }
}
