//! The SQL of the queue.

use payops_core::time::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult, Value as Bound};
use serde_json::Value;
use uuid::Uuid;

use super::queue::{JobRef, JobState, JobStatus};
use crate::db::{Backend, PURGED_AT_ONCE, Tx};
use crate::error::{Error, Result};

/// How many expired leases one look releases at most.
const EXPIRED_AT_ONCE: u32 = 100;

pub(super) struct NewRow<'a> {
    pub(super) id: Uuid,
    pub(super) name: &'a str,
    pub(super) payload: Value,
    pub(super) run_at: Timestamp,
    pub(super) scheduled_for: Option<Timestamp>,
    pub(super) max_attempts: u32,
    pub(super) dedup_key: Option<&'a str>,
    pub(super) traceparent: Option<String>,
    pub(super) now: Timestamp,
}

/// Writes a job and returns its id, or the id of the unfinished one with the same name and key.
pub(super) async fn insert(tx: &Tx, row: NewRow<'_>) -> Result<Uuid> {
    const INSERT: &str = "-- jobs::store::insert
        INSERT INTO jobs (id, name, payload, state, run_at, scheduled_for, max_attempts, dedup_key,
            traceparent, created_at, updated_at)
        VALUES ($1, $2, $3, 'queued', $4, $5, $6, $7, $8, $9, $9)
        ON CONFLICT DO NOTHING";
    let values: [Bound; 9] = [
        row.id.into(),
        row.name.into(),
        row.payload.into(),
        row.run_at.into(),
        row.scheduled_for.into(),
        i64::from(row.max_attempts).into(),
        row.dedup_key.into(),
        row.traceparent.into(),
        row.now.into(),
    ];
    // The job that stood against it may finish before it is looked for: then there is room after all.
    for _ in 0..8 {
        if tx.execute_raw(tx.statement(INSERT, values.clone())).await?.rows_affected() == 1 {
            return Ok(row.id);
        }
        if let Some(id) = unfinished(tx, row.name, row.dedup_key.unwrap_or_default()).await? {
            return Ok(id);
        }
    }
    Err(Error::unavailable(format!("no room for a job {} in the queue", row.name), std::time::Duration::ZERO)
        .retryable())
}

async fn unfinished(tx: &Tx, name: &str, dedup_key: &str) -> Result<Option<Uuid>> {
    const SELECT: &str = "-- jobs::store::unfinished
        SELECT id FROM jobs WHERE name = $1 AND dedup_key = $2 AND state IN ('queued', 'running')";
    let row = tx.query_one_raw(tx.statement(SELECT, [name.into(), dedup_key.into()])).await?;
    Ok(row.map(|row| row.try_get_by("id")).transpose()?)
}

/// What there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Jobs wait to be leased, or leases have run out.
    pub(super) jobs: bool,
    /// Schedules wait to be fired.
    pub(super) schedules: bool,
}

/// Looks, without locking anything, whether there is work.
pub(super) async fn due(conn: &impl ConnectionTrait, backend: Backend, now: Timestamp) -> Result<Due> {
    const SELECT: &str = "-- jobs::store::due
        SELECT
            CAST(CASE WHEN EXISTS (SELECT 1 FROM jobs WHERE state = 'queued' AND run_at <= $1)
                OR EXISTS (SELECT 1 FROM jobs WHERE state = 'running' AND lease_expires_at <= $1)
                THEN 1 ELSE 0 END AS BIGINT) AS jobs,
            CAST(CASE WHEN EXISTS (SELECT 1 FROM schedules WHERE enabled AND next_at <= $1)
                THEN 1 ELSE 0 END AS BIGINT) AS schedules";
    let row = conn.query_one_raw(backend.statement(SELECT, [now.into()])).await?;
    let row = row.ok_or_else(|| Error::internal("a query of constants has no row"))?;
    let yes = |column| row.try_get_by::<i64, _>(column).map(|count| count > 0);
    Ok(Due { jobs: yes("jobs")?, schedules: yes("schedules")? })
}

/// A job that was just leased.
#[derive(Debug, Clone)]
pub(super) struct Leased {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) payload: Value,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) scheduled_for: Option<Timestamp>,
    pub(super) traceparent: Option<String>,
    pub(super) token: Uuid,
}

/// Puts jobs whose lease has run out back into the queue; their runs count. Rows that somebody has locked are
/// left alone: their runs are about to commit.
pub(super) async fn release_expired(tx: &Tx, now: Timestamp) -> Result<u64> {
    let skip = skip_locked(tx);
    let update = format!(
        "-- jobs::store::release_expired
        WITH expired AS MATERIALIZED (
            SELECT id FROM jobs WHERE state = 'running' AND lease_expires_at <= $1
            ORDER BY lease_expires_at LIMIT {EXPIRED_AT_ONCE} {skip}
        )
        UPDATE jobs SET state = 'queued', lease_token = NULL, lease_expires_at = NULL, updated_at = $1,
            last_error = 'the instance that ran it went away'
        WHERE id IN (SELECT id FROM expired)"
    );
    Ok(tx.execute_raw(tx.statement(&update, [now.into()])).await?.rows_affected())
}

/// Leases up to `count` due jobs of the given names, the longest due first, to `token`.
pub(super) async fn lease(
    tx: &Tx,
    names: &[&'static str],
    count: usize,
    token: Uuid,
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Leased>> {
    let skip = skip_locked(tx);
    let holders: Vec<String> = (5..5 + names.len()).map(|number| format!("${number}")).collect();
    let update = format!(
        "-- jobs::store::lease
        WITH due AS MATERIALIZED (
            SELECT id FROM jobs WHERE state = 'queued' AND run_at <= $1 AND name IN ({holders})
            ORDER BY run_at LIMIT $2 {skip}
        )
        UPDATE jobs SET state = 'running', lease_token = $3, lease_expires_at = $4, attempts = attempts + 1,
            woken = FALSE, wait_reason = NULL, updated_at = $1
        WHERE id IN (SELECT id FROM due)
        RETURNING id, name, payload, attempts, max_attempts, scheduled_for, traceparent",
        holders = holders.join(", "),
    );
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let mut values: Vec<Bound> = vec![now.into(), count.into(), token.into(), until.into()];
    values.extend(names.iter().map(|name| Bound::from(*name)));
    let rows = tx.query_all_raw(tx.statement(&update, values)).await?;
    rows.iter().map(|row| leased(row, token)).collect()
}

fn leased(row: &QueryResult, token: Uuid) -> Result<Leased> {
    Ok(Leased {
        id: row.try_get_by("id")?,
        name: row.try_get_by("name")?,
        payload: row.try_get_by("payload")?,
        attempt: number(row, "attempts")?,
        max_attempts: number(row, "max_attempts")?,
        scheduled_for: row.try_get_by("scheduled_for")?,
        traceparent: row.try_get_by("traceparent")?,
        token,
    })
}

fn number(row: &QueryResult, column: &'static str) -> Result<u32> {
    let id: Uuid = row.try_get_by("id")?;
    let value: i64 = row.try_get_by(column)?;
    u32::try_from(value).map_err(|error| Error::impossible_row("jobs", column, id, error))
}

fn skip_locked(tx: &Tx) -> &'static str {
    tx.backend().pick("", "FOR UPDATE SKIP LOCKED")
}

/// Extends a lease; false when it is lost.
pub(super) async fn renew(tx: &Tx, id: Uuid, token: Uuid, until: Timestamp) -> Result<bool> {
    const UPDATE: &str = "-- jobs::store::renew
        UPDATE jobs SET lease_expires_at = $3 WHERE id = $1 AND lease_token = $2";
    let values = [id.into(), token.into(), until.into()];
    Ok(tx.execute_raw(tx.statement(UPDATE, values)).await?.rows_affected() == 1)
}

/// Locks a job's row if it is leased to `token`.
pub(super) async fn lock_leased(tx: &Tx, id: Uuid, token: Uuid) -> Result<bool> {
    let select = format!(
        "-- jobs::store::lock_leased
        SELECT id FROM jobs WHERE id = $1 AND lease_token = $2{}",
        tx.for_update()
    );
    Ok(tx.query_one_raw(tx.statement(&select, [id.into(), token.into()])).await?.is_some())
}

/// What becomes of a leased job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Settlement {
    Done,
    Failed {
        error: String,
    },
    Retry {
        at: Timestamp,
        error: String,
    },
    Wait {
        until: Timestamp,
        reason: String,
    },
    /// As if it had not been leased.
    HandBack,
}

/// Ends a lease; false when it was lost before, and nothing is written.
pub(super) async fn settle(
    tx: &Tx,
    id: Uuid,
    token: Uuid,
    now: Timestamp,
    settlement: &Settlement,
) -> Result<bool> {
    let (change, mut more): (&str, Vec<Bound>) = match settlement {
        Settlement::Done => ("state = 'done', finished_at = $3", vec![]),
        Settlement::Failed { error } => {
            ("state = 'failed', finished_at = $3, last_error = $4", vec![error.as_str().into()])
        }
        Settlement::Retry { at, error } => (
            "state = 'queued', run_at = CASE WHEN woken THEN $3 ELSE $4 END, last_error = $5",
            vec![(*at).into(), error.as_str().into()],
        ),
        Settlement::Wait { until, reason } => (
            "state = 'queued', run_at = CASE WHEN woken THEN $3 ELSE $4 END, wait_reason = $5,
            attempts = attempts - 1",
            vec![(*until).into(), reason.as_str().into()],
        ),
        Settlement::HandBack => ("state = 'queued', attempts = attempts - 1", vec![]),
    };
    let update = format!(
        "-- jobs::store::settle
        UPDATE jobs SET {change}, lease_token = NULL, lease_expires_at = NULL, updated_at = $3
        WHERE id = $1 AND lease_token = $2"
    );
    let mut values: Vec<Bound> = vec![id.into(), token.into(), now.into()];
    values.append(&mut more);
    Ok(tx.execute_raw(tx.statement(&update, values)).await?.rows_affected() == 1)
}

/// Makes an unfinished job run at once; false when there is none.
pub(super) async fn wake(tx: &Tx, job: JobRef<'_>, now: Timestamp) -> Result<bool> {
    let (which, mut more): (&str, Vec<Bound>) = match job {
        JobRef::Id(id) => ("id = $2", vec![id.into()]),
        JobRef::Key { name, dedup_key } => {
            ("name = $2 AND dedup_key = $3", vec![name.into(), dedup_key.into()])
        }
    };
    let update = format!(
        "-- jobs::store::wake
        UPDATE jobs SET run_at = CASE WHEN state = 'queued' AND run_at > $1 THEN $1 ELSE run_at END,
            woken = (state = 'running'), updated_at = $1
        WHERE {which} AND state IN ('queued', 'running')"
    );
    let mut values: Vec<Bound> = vec![now.into()];
    values.append(&mut more);
    Ok(tx.execute_raw(tx.statement(&update, values)).await?.rows_affected() > 0)
}

pub(super) async fn status(
    conn: &impl ConnectionTrait,
    backend: Backend,
    id: Uuid,
) -> Result<Option<JobStatus>> {
    const SELECT: &str = "-- jobs::store::status
        SELECT id, state, run_at, attempts, wait_reason, last_error FROM jobs WHERE id = $1";
    let Some(row) = conn.query_one_raw(backend.statement(SELECT, [id.into()])).await? else {
        return Ok(None);
    };
    let state: String = row.try_get_by("state")?;
    let unknown = || Error::impossible_row("jobs", "state", id, format!("'{state}' is no state"));
    Ok(Some(JobStatus {
        state: JobState::parse(&state).ok_or_else(unknown)?,
        run_at: row.try_get_by("run_at")?,
        attempts: number(&row, "attempts")?,
        wait_reason: row.try_get_by("wait_reason")?,
        last_error: row.try_get_by("last_error")?,
    }))
}

/// How many jobs of a name are due, and since when the oldest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Backlog {
    pub(super) name: String,
    pub(super) due: i64,
    pub(super) oldest: Timestamp,
}

/// The queue by name: only what is due.
pub(super) async fn backlog(
    conn: &impl ConnectionTrait,
    backend: Backend,
    now: Timestamp,
) -> Result<Vec<Backlog>> {
    const SELECT: &str = "-- jobs::store::backlog
        SELECT name, COUNT(*) AS due, MIN(run_at) AS oldest FROM jobs
        WHERE state = 'queued' AND run_at <= $1 GROUP BY name";
    let rows = conn.query_all_raw(backend.statement(SELECT, [now.into()])).await?;
    rows.iter()
        .map(|row| {
            Ok(Backlog {
                name: row.try_get_by("name")?,
                due: row.try_get_by("due")?,
                oldest: row.try_get_by("oldest")?,
            })
        })
        .collect()
}

/// Removes jobs that finished before `before`, a thousand at most; returns how many.
pub(super) async fn purge(tx: &Tx, before: Timestamp) -> Result<u64> {
    let delete = format!(
        "-- jobs::store::purge
        DELETE FROM jobs WHERE id IN (
            SELECT id FROM jobs WHERE finished_at < $1 ORDER BY finished_at LIMIT {PURGED_AT_ONCE}
        )"
    );
    Ok(tx.execute_raw(tx.statement(&delete, [before.into()])).await?.rows_affected())
}
