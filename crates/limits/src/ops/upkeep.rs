//! Work that keeps the tables tidy and that no decision waits for.

use chrono::{Datelike, Months, NaiveDate};
use futures::FutureExt;
use payops_core::time::Timestamp;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Limits;
use crate::decide::{Action, Operation};
use crate::ops::limits;
use crate::store::overrides;

/// How many merchants one sweep takes up; the rest wait for the next.
const SWEPT_AT_ONCE: u64 = 1000;
/// How many months ahead the usage log has partitions for.
const MONTHS_AHEAD: u32 = 3;

/// Lets go what has expired, by the same way as every decision: the counters change under the merchant's lock.
pub(crate) async fn sweep(app: &Limits) -> Result<()> {
    turn_overrides(app).await?;
    let db = &app.context.db;
    let sql = "SELECT merchant_id FROM limit_payments WHERE state = 'reserved' AND expires_at <= $1 \
         GROUP BY merchant_id ORDER BY merchant_id LIMIT $2";
    // Which merchants are looked at is no decision, so this process's clock is good enough.
    let statement = db.backend().statement(sql, [app.context.now().into(), SWEPT_AT_ONCE.into()]);
    let rows = db.read().query_all_raw(statement).await?;
    let merchants: Result<Vec<Uuid>> = rows.iter().map(|row| Ok(row.try_get("", "merchant_id")?)).collect();
    let sweeps = merchants?
        .into_iter()
        .map(|merchant_id| Ok(Operation { merchant_id, payment_no: String::new(), action: Action::Sweep }));
    for outcome in app.coalescer.submit_all(sweeps.collect()).await {
        outcome?;
    }
    Ok(())
}

/// Tells the thresholds that are crossed because an override has begun or ended.
async fn turn_overrides(app: &Limits) -> Result<()> {
    let db = &app.context.db;
    let merchants = overrides::turned(db.read(), app.context.now(), SWEPT_AT_ONCE).await?;
    for merchant in merchants {
        let shared = app.clone();
        let write = db.write("limits.turn_overrides", move |tx| {
            let app = shared.clone();
            async move {
                let now = limits::recount(&app, tx, &[merchant]).await?;
                overrides::swept(tx, merchant, now).await
            }
            .boxed()
        });
        write.await?;
    }
    Ok(())
}

/// Makes the partitions of this month and of those to come, on PostgreSQL. Rows of a month without one go to the
/// partition for all others, so a month is only parted while that holds none of it.
pub(crate) async fn part_usage_log(tx: &Tx, now: Timestamp) -> Result<()> {
    // Instances that start together take turns. The table itself cannot be locked: that needs a right to change
    // its rows, which even its owner has given up.
    let lock = "SELECT pg_advisory_xact_lock(hashtext('limit_usage_logs'))";
    tx.execute_raw(tx.statement(lock, [])).await?;
    for ahead in 0..=MONTHS_AHEAD {
        let (first, after) = month(now, ahead).ok_or_else(|| Error::internal("the calendar has ended"))?;
        let name = format!("limit_usage_logs_{}", first.format("%Y_%m"));
        if exists(tx, &name).await? || holds_rows(tx, first, after).await? {
            continue;
        }
        let sql = format!(
            "CREATE TABLE {name} PARTITION OF limit_usage_logs \
             FOR VALUES FROM ('{first} 00:00:00+00') TO ('{after} 00:00:00+00')"
        );
        tx.execute_raw(tx.statement(&sql, [])).await?;
        let sql = format!("REVOKE UPDATE, DELETE, TRUNCATE ON {name} FROM CURRENT_USER");
        tx.execute_raw(tx.statement(&sql, [])).await?;
    }
    Ok(())
}

fn month(now: Timestamp, ahead: u32) -> Option<(NaiveDate, NaiveDate)> {
    let first = now.date_naive().with_day(1)?.checked_add_months(Months::new(ahead))?;
    Some((first, first.checked_add_months(Months::new(1))?))
}

async fn exists(tx: &Tx, table: &str) -> Result<bool> {
    let statement = tx.statement("SELECT to_regclass($1) IS NOT NULL AS found", [table.into()]);
    let row = tx.query_one_raw(statement).await?.ok_or_else(|| Error::internal("no answer"))?;
    Ok(row.try_get("", "found")?)
}

async fn holds_rows(tx: &Tx, first: NaiveDate, after: NaiveDate) -> Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM limit_usage_logs_other WHERE created_at >= $1 AND created_at < $2) AS found";
    let at = |date: NaiveDate| date.and_time(chrono::NaiveTime::MIN).and_utc();
    let row = tx.query_one_raw(tx.statement(sql, [at(first).into(), at(after).into()])).await?;
    let row = row.ok_or_else(|| Error::internal("no answer"))?;
    Ok(row.try_get("", "found")?)
}
