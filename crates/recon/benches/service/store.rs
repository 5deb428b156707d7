//! A store full of records: a thousand days of tasks, the first of which has a tenth of all.

use anyhow::Context;
use payops_platform::db::{Backend, Db};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

/// How many tasks there are.
pub const TASKS: u64 = 1_000;
/// Records of one transaction.
const AT_ONCE: u64 = 500_000;

/// The id of a task; the higher the number, the newer.
pub fn task_id(number: u64) -> Uuid {
    Uuid::from_u128((0x0193 << 112) | (u128::from(number) << 80) | (0x7000_8000_u128 << 48))
}

/// Which record is which, of so many: the task and the place in it.
pub fn place(number: u64, records: u64) -> (u64, u64) {
    let first = records / 10;
    if number < first {
        return (0, number);
    }
    let size = (records - first).div_ceil(TASKS - 1);
    (1 + (number - first) / size, (number - first) % size)
}

/// Fills the store. Indexes are made afterwards, which is many times faster and leaves the same.
pub async fn fill(db: &Db, records: u64) -> anyhow::Result<()> {
    let backend = db.backend();
    let (indexes, statistics) = (indexes(db).await?, statistics(db).await?);
    let mut before: Vec<String> = indexes.iter().map(|(name, _)| format!("DROP INDEX {name}")).collect();
    if backend == Backend::Postgres {
        before.push("ALTER TABLE reconciliation_records DISABLE TRIGGER ALL".to_owned());
    }
    before.push(tasks(backend));
    execute(db, before).await?;
    for from in (0..records).step_by(usize::try_from(AT_ONCE)?) {
        execute(db, vec![insert(backend, from, records.min(from + AT_ONCE), records)]).await?;
    }
    let (last, others) = indexes.split_last().context("records have no index")?;
    for (_, index) in others {
        execute(db, vec![index.clone()]).await?;
    }
    // SQLite forgets what it was told of an index that is dropped, and every connection hears of it with the next index.
    execute(db, statistics).await?;
    execute(db, vec![last.1.clone()]).await?;
    if backend == Backend::Postgres {
        // As its own housekeeping does it some time after so many rows came.
        db.read().execute_unprepared("VACUUM ANALYZE reconciliation_records").await?;
    }
    Ok(())
}

/// The indexes of records that can be dropped, by name, and how they are made again.
async fn indexes(db: &Db) -> anyhow::Result<Vec<(String, String)>> {
    let statement = db.backend().pick(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'reconciliation_records' AND sql IS NOT NULL \
         ORDER BY name",
        "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename = 'reconciliation_records' \
         AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY indexname",
    );
    let rows = db.read().query_all_raw(db.backend().statement(statement, [])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?))).collect()
}

/// What SQLite is told of the indexes of records, as statements that tell it again.
async fn statistics(db: &Db) -> anyhow::Result<Vec<String>> {
    if db.backend() == Backend::Postgres {
        return Ok(Vec::new());
    }
    let told = "SELECT idx, stat FROM sqlite_stat1 WHERE tbl = 'reconciliation_records'";
    let rows = db.read().query_all_raw(db.backend().statement(told, [])).await?;
    let mut again = vec!["DELETE FROM sqlite_stat1 WHERE tbl = 'reconciliation_records'".to_owned()];
    for row in rows {
        let (index, figures): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        again.push(format!(
            "INSERT INTO sqlite_stat1 VALUES ('reconciliation_records', '{index}', '{figures}')"
        ));
    }
    Ok(again)
}

async fn execute(db: &Db, statements: Vec<String>) -> anyhow::Result<()> {
    db.write("bench.fill", move |tx| {
        let statements = statements.clone();
        Box::pin(async move {
            for statement in statements {
                tx.execute_unprepared(&statement).await?;
            }
            Ok(())
        })
    })
    .await?;
    Ok(())
}

/// An id of the four hexadecimal parts that SQL makes out of numbers.
fn id(backend: Backend, high: &str, low: &str) -> String {
    match backend {
        Backend::Sqlite => {
            format!("unhex('0193' || printf('%08x', {high}) || '70008000' || printf('%012x', {low}))")
        }
        Backend::Postgres => {
            format!(
                "('0193' || lpad(to_hex({high}), 8, '0') || '70008000' || lpad(to_hex({low}), 12, '0'))::uuid"
            )
        }
    }
}

fn numbers(backend: Backend, from: u64, to: u64) -> String {
    match backend {
        Backend::Sqlite => format!(
            "(WITH RECURSIVE series(g) AS (SELECT {from} UNION ALL SELECT g + 1 FROM series WHERE g + 1 < {to}) SELECT g FROM series) AS s"
        ),
        Backend::Postgres => format!("generate_series({from}::bigint, {to}::bigint - 1) AS s(g)"),
    }
}

fn day(backend: Backend, number: &str) -> String {
    match backend {
        Backend::Sqlite => format!("date('2023-01-01', '+' || ({number}) || ' days')"),
        Backend::Postgres => format!("date '2023-01-01' + ({number})::int"),
    }
}

const CHANNEL: &str =
    "CASE t % 4 WHEN 0 THEN 'stripe' WHEN 1 THEN 'paypal' WHEN 2 THEN 'alipay' ELSE 'adyen' END";

fn now(backend: Backend) -> &'static str {
    backend.pick("'2026-01-01T00:00:00+00:00'", "timestamptz '2026-01-01T00:00:00+00:00'")
}

fn tasks(backend: Backend) -> String {
    let (id, now, day) = (id(backend, "t", "0"), now(backend), day(backend, "t"));
    let numbers = numbers(backend, 0, TASKS);
    format!(
        "INSERT INTO reconciliation_tasks (id, task_no, task_date, timezone, channel, task_type, status, created_by, \
         created_at, updated_at) SELECT {id}, 'T' || t, {day}, 'Etc/UTC', {CHANNEL}, 'daily', 'completed', 'bench', {now}, \
         {now} FROM (SELECT g AS t FROM {numbers}) AS tasks"
    )
}

/// Most are closed; the last three of a hundred are open, and of the others one in a thousand. Nothing but that follows a
/// pattern that an index could profit from.
fn insert(backend: Backend, from: u64, to: u64, records: u64) -> String {
    let first = records / 10;
    let size = (records - first).div_ceil(TASKS - 1);
    let task = format!("CASE WHEN g < {first} THEN 0 ELSE 1 + (g - {first}) / {size} END");
    let ordinal = format!("CASE WHEN g < {first} THEN g ELSE (g - {first}) % {size} END");
    let (id, task_id, day, now) =
        (id(backend, "t", "g"), id(backend, "t", "0"), day(backend, "t"), now(backend));
    let open = records / 100 * 97;
    let numbers = numbers(backend, from, to);
    format!(
        "INSERT INTO reconciliation_records (id, task_id, task_no, task_date, channel, ordinal, identity, diff_type, kind, \
         payment_no, channel_trade_no, channel_row_id, merchant_id, payout_id, platform_amount, channel_amount, diff_amount, \
         platform_currency, channel_currency, platform_status, channel_status, platform_line, channel_line, occurred_at, \
         status, assigned_to, version, created_at, updated_at, added_run) \
         SELECT {id}, {task_id}, 'T' || t, {day}, {CHANNEL}, o, h || '-' || g, \
         CASE WHEN h % 1000 = 0 THEN 'currency_diff' WHEN h % 10 < 2 THEN 'amount_diff' WHEN h % 10 < 5 THEN 'platform_only' \
         WHEN h % 10 < 8 THEN 'channel_only' ELSE 'timing' END, \
         CASE WHEN h / 16 % 500 = 0 THEN 'dispute' WHEN h / 16 % 4 = 0 THEN 'refund' ELSE 'payment' END, \
         'PAY-' || g, 'ch_' || h || g, 'txn_' || h || g, 'M-' || (g % 100), 'po_' || (g % 50), \
         CASE WHEN h % 10 BETWEEN 5 AND 7 THEN NULL ELSE 100 END, CASE WHEN h % 10 BETWEEN 2 AND 4 THEN NULL ELSE 130 END, 30, \
         CASE WHEN h % 10 BETWEEN 5 AND 7 THEN NULL ELSE c END, CASE WHEN h % 10 BETWEEN 2 AND 4 THEN NULL ELSE c END, \
         'succeeded', 'charge', o, o, '2026-01-01T00:00:00Z', \
         CASE WHEN g >= {open} OR g % 1000 = 0 THEN 'open' WHEN g % 1000 < 4 THEN 'assigned' WHEN g % 10 = 5 THEN 'ignored' \
         ELSE 'resolved' END, \
         CASE WHEN g % 1000 BETWEEN 1 AND 3 THEN 'rita' WHEN g % 3 = 0 THEN 'agent-' || (h / 64 % 60) END, \
         1, {now}, {now}, 1 \
         FROM (SELECT g, h, {task} AS t, {ordinal} AS o, CASE h / 1024 % 16 WHEN 0 THEN 'JPY' WHEN 1 THEN 'CNY' WHEN 2 THEN 'EUR' \
         WHEN 3 THEN 'EUR' ELSE 'USD' END AS c FROM (SELECT g, g * 2654435761 % 4294967296 AS h FROM {numbers}) AS spread) AS records"
    )
}
