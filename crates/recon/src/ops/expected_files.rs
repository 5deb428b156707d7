//! Expected files: which file a channel account has for each business day, and when it is late.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate, NaiveTime};
use payops_core::time::business_date;
use payops_platform::audit;
use payops_platform::auth::Actor;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::http::IfMatch;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::Reconciliation;
use crate::completeness::names::Pattern;
use crate::completeness::{Calendar, Weekdays};
use crate::error;
use crate::model::{Channel, FileRole};
use crate::ops::tasks::{retry_unique, zone_named};
use crate::store::expected_file::{self, Model as ExpectedFile};
use crate::store::gap;

/// How far back the first day that counts may lie.
const FARTHEST_BACK: u64 = 400;
/// How times of the day are written.
const TIME: &str = "%H:%M";

/// What is expected.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The channel.
    pub channel: Channel,
    /// The channel account; empty where there is only one.
    pub account: String,
    /// What the file says.
    pub role: FileRole,
    /// The IANA name of the zone that defines the days, and the clock of `due_time`.
    pub timezone: String,
    /// So many calendar days after the business day ...
    pub due_after_days: i32,
    /// ... at this time, HH:MM, its file is due.
    pub due_time: String,
    /// The days of the week that have a file.
    pub weekdays: Weekdays,
    /// Business days that have none.
    pub holidays: BTreeSet<NaiveDate>,
    /// The first business day that counts; for a new one today, and for another plan the one of before, when absent.
    pub counts_from: Option<NaiveDate>,
    /// So long after it was due, an open gap is escalated.
    pub escalate_after_hours: i32,
    /// How names of files are read.
    pub name_pattern: Option<String>,
    /// Whether sequence numbers begin at 1 each day.
    pub sequence_restarts: bool,
}

/// Makes an expected file.
pub async fn create(app: &Reconciliation, tx: &Tx, actor: &Actor, plan: &Plan) -> Result<ExpectedFile> {
    let (now, zone) = (app.context.now(), zone_named(&plan.timezone)?);
    let today = zone.date_of(now);
    let row = ExpectedFile {
        id: app.context.new_id(),
        channel: plan.channel,
        account: plan.account.clone(),
        role: plan.role,
        timezone: zone.name().to_owned(),
        counts_from: plan.counts_from.unwrap_or(today),
        created_by: actor.id.clone(),
        version: 1,
        created_at: now,
        updated_at: now,
        ..planned(plan)?
    };
    let row = ExpectedFile { next_date: check_first(row.counts_from, today)?, ..row };
    if let Some(existing) = expected_file::watching_the_same(tx.conn(), &row).await? {
        return Err(error::expected_file_exists(&existing));
    }
    // Lost a race for the days: the next try sees the other one.
    let row = expected_file::insert(tx, row).await.map_err(retry_unique)?;
    record(app, tx, actor, "expected_file.created", &row, json!({})).await?;
    Ok(row)
}

/// Puts another plan in the place of an expected file's, for every day since the first that counts: days that were looked
/// at are looked at again.
pub async fn replace(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, if_match): (Uuid, &IfMatch),
    plan: &Plan,
) -> Result<ExpectedFile> {
    let old = expected_file::lock(tx, id).await?;
    if_match.check(old.version)?;
    let now = app.context.now();
    let zone = zone_named(&plan.timezone)?;
    error::check_same_subject([
        ("channel", old.channel == plan.channel),
        ("account", old.account == plan.account),
        ("role", old.role == plan.role),
        ("timezone", old.timezone == zone.name()),
    ])?;
    let counts_from = plan.counts_from.unwrap_or(old.counts_from);
    if counts_from != old.counts_from {
        check_first(counts_from, zone.date_of(now))?;
    }
    let new = planned(plan)?;
    let row = ExpectedFile {
        due_after_days: new.due_after_days,
        due_time: new.due_time,
        weekdays: new.weekdays,
        holidays: new.holidays,
        counts_from,
        escalate_after_hours: new.escalate_after_hours,
        name_pattern: new.name_pattern,
        sequence_restarts: new.sequence_restarts,
        next_date: counts_from,
        ..old.clone().into_inner()
    };
    let row = expected_file::replace(tx, old, row, now).await?;
    record(app, tx, actor, "expected_file.changed", &row, json!({})).await?;
    Ok(row)
}

/// Removes an expected file with all its gaps. Gives it as it was.
pub async fn remove(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    (id, if_match): (Uuid, &IfMatch),
) -> Result<ExpectedFile> {
    let old = expected_file::lock(tx, id).await?;
    if_match.check(old.version)?;
    let row = old.clone().into_inner();
    let open = gap::open(tx.conn(), id).await?.len();
    let gaps = gap::remove_all(tx, id).await?;
    expected_file::remove(tx, old).await?;
    record(app, tx, actor, "expected_file.removed", &row, json!({ "gaps": gaps, "open_gaps": open })).await?;
    Ok(row)
}

/// When the files of a row are due.
pub(crate) fn calendar(row: &ExpectedFile) -> Result<Calendar> {
    let impossible =
        |column: &'static str, why: String| Error::impossible_row("expected_files", column, row.id, why);
    let zone = zone_named(&row.timezone).map_err(|error| impossible("timezone", error.to_string()))?;
    let due_time = NaiveTime::parse_from_str(&row.due_time, TIME)
        .map_err(|error| impossible("due_time", error.to_string()))?;
    let holidays = serde_json::from_value(row.holidays.clone())
        .map_err(|error| impossible("holidays", error.to_string()))?;
    let weekdays =
        Weekdays::from_bits(row.weekdays).ok_or_else(|| impossible("weekdays", row.weekdays.to_string()))?;
    let due_after_days =
        u64::try_from(row.due_after_days).map_err(|error| impossible("due_after_days", error.to_string()))?;
    Ok(Calendar { zone, due_after_days, due_time, weekdays, holidays, counts_from: row.counts_from })
}

/// A row with what a plan says, once that was checked; the rest of it is blank.
fn planned(plan: &Plan) -> Result<ExpectedFile> {
    let field = Error::invalid_field;
    if !(0..=31).contains(&plan.due_after_days) {
        return Err(field("due_after_days", "0 to 31 are accepted", "允许 0 到 31"));
    }
    if !(1..=720).contains(&plan.escalate_after_hours) {
        return Err(field("escalate_after_hours", "1 to 720 are accepted", "允许 1 到 720"));
    }
    let whole = Some(plan.due_time.as_str()).filter(|time| time.len() == 5);
    let due_time = whole.and_then(|time| NaiveTime::parse_from_str(time, TIME).ok()).ok_or_else(|| {
        field("due_time", "a time of the day is expected, such as 09:30", "应为一天中的时间，例如 09:30")
    })?;
    for day in &plan.holidays {
        business_date(*day).map_err(|error| error::implausible_date("holidays", error))?;
    }
    plan.name_pattern.as_deref().map(Pattern::new).transpose()?;
    Ok(ExpectedFile {
        due_after_days: plan.due_after_days,
        due_time: due_time.format(TIME).to_string(),
        weekdays: plan.weekdays.bits(),
        holidays: serde_json::to_value(&plan.holidays).map_err(Error::internal)?,
        escalate_after_hours: plan.escalate_after_hours,
        name_pattern: plan.name_pattern.clone(),
        sequence_restarts: plan.sequence_restarts,
        id: Uuid::nil(),
        channel: plan.channel,
        account: String::new(),
        role: plan.role,
        timezone: String::new(),
        counts_from: NaiveDate::default(),
        next_date: NaiveDate::default(),
        created_by: String::new(),
        version: 0,
        created_at: chrono::DateTime::UNIX_EPOCH,
        updated_at: chrono::DateTime::UNIX_EPOCH,
    })
}

/// Refuses a first day that lies far in the past: it would be told of as hundreds of gaps.
fn check_first(counts_from: NaiveDate, today: NaiveDate) -> Result<NaiveDate> {
    business_date(counts_from).map_err(|error| error::implausible_date("counts_from", error))?;
    if today.checked_sub_days(Days::new(FARTHEST_BACK)).is_some_and(|farthest| counts_from < farthest) {
        return Err(Error::invalid_field(
            "counts_from",
            format!("lies more than {FARTHEST_BACK} days back"),
            format!("不能早于 {FARTHEST_BACK} 天前"),
        ));
    }
    Ok(counts_from)
}

async fn record(
    app: &Reconciliation,
    tx: &Tx,
    actor: &Actor,
    action: &str,
    row: &ExpectedFile,
    more: Value,
) -> Result<()> {
    let mut detail = json!({
        "channel": row.channel, "account": row.account, "role": row.role, "timezone": row.timezone,
        "due_after_days": row.due_after_days, "due_time": row.due_time, "weekdays": row.weekdays,
        "holidays": row.holidays, "counts_from": row.counts_from,
        "escalate_after_hours": row.escalate_after_hours, "name_pattern": row.name_pattern,
        "sequence_restarts": row.sequence_restarts, "version": row.version,
    });
    if let (Value::Object(detail), Value::Object(more)) = (&mut detail, more) {
        detail.extend(more);
    }
    audit::record(tx, &app.context, actor, action, "expected_file", &row.id.to_string(), detail).await
}
