//! Writes down what an edit has changed.

use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::{ActiveEnum, ConnectionTrait};
use serde_json::{Value, json};

use crate::batch::Effects;
use crate::model::{Alert, LogRow, Payment, Usage};
use crate::store::native::{ALERT, LOG};
use crate::store::rows::{Kind, id, optional_time, pack, time, unpack};

/// Writes what the present and an edit do to merchants. Their rows are locked, so they are as they were read.
pub(crate) async fn save(tx: &Tx, effects: &Effects) -> Result<()> {
    if !(effects.new_payments.is_empty() && effects.releases.is_empty()) {
        return Err(Error::internal("payments are decided by the coalescer, not by an edit"));
    }
    usages(tx, effects).await?;
    change_payments(tx, &effects.changed_payments).await?;
    insert(tx, LOG_ROWS, effects.log.iter().map(log_row)).await?;
    insert(tx, ALERTS, effects.alerts.iter().map(alert)).await
}

async fn usages(tx: &Tx, effects: &Effects) -> Result<()> {
    use Kind::{Number, Small, Time, Uuid};
    let columns = [Uuid, Number, Number, Number, Number, Time, Time, Time, Time, Time, Small, Small];
    let sql = format!(
        "UPDATE merchant_limits SET seq = n.c1, daily_used = n.c2, monthly_used = n.c3, pending_amount = n.c4, \
         day_start = n.c5, daily_reset_at = n.c6, month_start = n.c7, monthly_reset_at = n.c8, \
         next_expiry_at = n.c9, daily_alert = n.c10, monthly_alert = n.c11 \
         FROM ({}) n WHERE merchant_limits.merchant_id = n.c0",
        unpack(tx.backend(), &columns)
    );
    let rows = effects.usages.iter().map(|(merchant, usage)| usage_row(*merchant, usage));
    changed(tx, &sql, pack(rows), effects.usages.len()).await
}

fn usage_row(merchant: uuid::Uuid, usage: &Usage) -> Value {
    json!([
        id(merchant),
        usage.seq,
        usage.daily_used,
        usage.monthly_used,
        usage.pending,
        time(usage.day.start),
        time(usage.day.end),
        time(usage.month.start),
        time(usage.month.end),
        optional_time(usage.next_expiry),
        usage.daily_alert,
        usage.monthly_alert,
    ])
}

/// A table and its columns, in the order in which rows are packed, and what each of them holds.
pub(in crate::store) type Table = (&'static str, &'static str, &'static [Kind]);

async fn change_payments(tx: &Tx, payments: &[Payment]) -> Result<()> {
    use Kind::{Number, Text, Time, Uuid};
    let columns = [Uuid, Text, Text, Number, Number, Time, Time, Number, Number, Text, Time];
    let sql = format!(
        "UPDATE limit_payments SET state = n.c2, booked_amount = n.c3, booked_counted_amount = n.c4, \
         day_start = n.c5, month_start = n.c6, released_amount = n.c7, returned_amount = n.c8, end_answer = n.c9, \
         updated_at = n.c10 FROM ({}) n \
         WHERE limit_payments.merchant_id = n.c0 AND limit_payments.payment_no = n.c1",
        unpack(tx.backend(), &columns)
    );
    let rows = payments.iter().map(|payment| {
        json!([
            id(payment.merchant_id),
            payment.payment_no,
            payment.state.to_value(),
            payment.booked,
            payment.booked_counted,
            optional_time(payment.day_start),
            optional_time(payment.month_start),
            payment.released,
            payment.returned,
            payment.end_answer,
            time(payment.updated_at),
        ])
    });
    changed(tx, &sql, pack(rows), payments.len()).await
}

const LOG_ROWS: Table = {
    use Kind::{Bool, Number, Text, Time, Uuid};
    let kinds = &[
        Uuid, Number, Time, Text, Text, Text, Text, Number, Text, Number, Number, Number, Number, Number,
        Number, Number, Bool, Text,
    ];
    ("limit_usage_logs", LOG, kinds)
};

fn log_row(row: &LogRow) -> Value {
    json!([
        id(row.merchant_id),
        row.seq,
        time(row.created_at),
        row.action.to_value(),
        row.payment_no,
        row.order_no,
        row.release_no,
        row.amount,
        row.currency,
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

const ALERTS: Table = {
    use Kind::{Bool, Number, Small, Text, Time, Uuid};
    ("limit_alerts", ALERT, &[Uuid, Number, Text, Small, Bool, Time, Number, Number, Time])
};

fn alert(alert: &Alert) -> Value {
    json!([
        id(alert.merchant_id),
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

/// Adds rows; none is not asked for.
pub(in crate::store) async fn insert(
    tx: &Tx,
    (table, columns, kinds): Table,
    rows: impl ExactSizeIterator<Item = Value>,
) -> Result<()> {
    let sql = format!("INSERT INTO {table} ({columns}) {}", unpack(tx.backend(), kinds));
    let count = rows.len();
    changed(tx, &sql, pack(rows), count).await
}

/// Runs a statement that must change `count` rows; none is not asked for.
pub(in crate::store) async fn changed(tx: &Tx, sql: &str, rows: sea_orm::Value, count: usize) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    let done = tx.execute_raw(tx.statement(sql, [rows])).await?.rows_affected();
    if usize::try_from(done).is_ok_and(|done| done == count) {
        return Ok(());
    }
    Err(Error::internal(format!("{done} rows instead of {count} were changed by: {sql}")))
}
