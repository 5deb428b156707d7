//! Writes down what a batch has changed.

use std::sync::LazyLock;

use payops_platform::error::{Error, Result};
use rusqlite::{Connection, Statement, params};
use sea_orm::ActiveEnum;
use uuid::Uuid;

use super::time;
use crate::batch::Effects;
use crate::model::{Alert, LogRow, Payment, Release, Rule, Usage};
use crate::store::native::{ALERT, LOG, PAYMENT, RELEASE};

const USAGE: &str = "UPDATE merchant_limits SET seq = ?2, daily_used = ?3, monthly_used = ?4, pending_amount = ?5, \
     day_start = ?6, daily_reset_at = ?7, month_start = ?8, monthly_reset_at = ?9, next_expiry_at = ?10, \
     daily_alert = ?11, monthly_alert = ?12 WHERE merchant_id = ?1";

const CHANGED_PAYMENT: &str = "UPDATE limit_payments SET state = ?3, booked_amount = ?4, booked_counted_amount = ?5, \
     day_start = ?6, month_start = ?7, released_amount = ?8, returned_amount = ?9, end_answer = ?10, \
     updated_at = ?11 WHERE merchant_id = ?1 AND payment_no = ?2";

static NEW_PAYMENT: LazyLock<String> = LazyLock::new(|| insert("limit_payments", PAYMENT));
static NEW_RELEASE: LazyLock<String> = LazyLock::new(|| insert("limit_releases", RELEASE));
static NEW_LOG_ROW: LazyLock<String> = LazyLock::new(|| insert("limit_usage_logs", LOG));
static NEW_ALERT: LazyLock<String> = LazyLock::new(|| insert("limit_alerts", ALERT));

/// The statement that adds one row.
fn insert(table: &str, columns: &str) -> String {
    let places: Vec<String> = (1..=columns.split(',').count()).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO {table} ({columns}) VALUES ({})", places.join(", "))
}

/// Writes the effects. Nobody else writes meanwhile, so the rows are as they were read.
pub(super) fn save(connection: &Connection, effects: &Effects) -> Result<()> {
    each(connection, USAGE, &effects.usages, change_usage)?;
    each(connection, &NEW_PAYMENT, &effects.new_payments, add_payment)?;
    each(connection, CHANGED_PAYMENT, &effects.changed_payments, change_payment)?;
    each(connection, &NEW_RELEASE, &effects.releases, add_release)?;
    each(connection, &NEW_LOG_ROW, &effects.log, add_log)?;
    each(connection, &NEW_ALERT, &effects.alerts, add_alert)
}

/// Runs a statement for each row; each time it must change one.
fn each<R>(
    connection: &Connection,
    sql: &str,
    rows: &[R],
    run: impl Fn(&mut Statement<'_>, &R) -> rusqlite::Result<usize>,
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(sql)?;
    for row in rows {
        let done = run(&mut statement, row)?;
        if done != 1 {
            return Err(Error::internal(format!("{done} rows instead of one were changed by: {sql}")));
        }
    }
    Ok(())
}

fn change_usage(
    statement: &mut Statement<'_>,
    (merchant_id, usage): &(Uuid, Usage),
) -> rusqlite::Result<usize> {
    statement.execute(params![
        merchant_id.as_bytes(),
        usage.seq,
        usage.daily_used,
        usage.monthly_used,
        usage.pending,
        time(usage.day.start),
        time(usage.day.end),
        time(usage.month.start),
        time(usage.month.end),
        usage.next_expiry.map(time),
        usage.daily_alert,
        usage.monthly_alert,
    ])
}

fn add_payment(statement: &mut Statement<'_>, payment: &Payment) -> rusqlite::Result<usize> {
    statement.execute(params![
        payment.merchant_id.as_bytes(),
        payment.payment_no,
        payment.state.to_value(),
        payment.declined_by.map(Rule::word),
        payment.ttl_seconds,
        payment.order_no,
        payment.channel,
        payment.amount,
        payment.currency.as_str(),
        payment.counted,
        payment.rate.as_ref().map(|applied| applied.id.as_bytes()),
        payment.rate.as_ref().map(|applied| applied.rate.to_string()),
        payment.expires_at.map(time),
        payment.booked,
        payment.booked_counted,
        payment.day_start.map(time),
        payment.month_start.map(time),
        payment.released,
        payment.returned,
        payment.answer,
        payment.end_answer,
        time(payment.created_at),
        time(payment.updated_at),
    ])
}

fn change_payment(statement: &mut Statement<'_>, payment: &Payment) -> rusqlite::Result<usize> {
    statement.execute(params![
        payment.merchant_id.as_bytes(),
        payment.payment_no,
        payment.state.to_value(),
        payment.booked,
        payment.booked_counted,
        payment.day_start.map(time),
        payment.month_start.map(time),
        payment.released,
        payment.returned,
        payment.end_answer,
        time(payment.updated_at),
    ])
}

fn add_release(statement: &mut Statement<'_>, release: &Release) -> rusqlite::Result<usize> {
    statement.execute(params![
        release.merchant_id.as_bytes(),
        release.payment_no,
        release.release_no,
        release.asked,
        release.amount,
        release.returned,
        release.reason,
        release.answer,
        time(release.created_at),
    ])
}

fn add_log(statement: &mut Statement<'_>, row: &LogRow) -> rusqlite::Result<usize> {
    statement.execute(params![
        row.merchant_id.as_bytes(),
        row.seq,
        time(row.created_at),
        row.action.word(),
        row.payment_no,
        row.order_no,
        row.release_no,
        row.amount,
        row.currency.as_str(),
        row.counted,
        row.before.daily,
        row.after.daily,
        row.before.monthly,
        row.after.monthly,
        row.before.pending,
        row.after.pending,
        row.success,
        row.reason,
    ])
}

fn add_alert(statement: &mut Statement<'_>, alert: &Alert) -> rusqlite::Result<usize> {
    statement.execute(params![
        alert.merchant_id.as_bytes(),
        alert.seq,
        alert.kind.to_value(),
        alert.threshold,
        alert.crossed,
        time(alert.window_start),
        alert.used,
        alert.limit,
        time(alert.created_at),
    ])
}
