//! Answers to requests with an `Idempotency-Key`, stored in the transaction of their effect.
//!
//! [`claim`] comes first in the transaction, then the effect, then [`store`]. A second request with the same
//! key waits in `claim` until the first one's transaction has ended, so there is never a second effect: it
//! then gets the stored answer or, if the first was taken back, makes its own.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use payops_core::time::Timestamp;
use sea_orm::{ConnectionTrait, QueryResult};
use serde_json::Value;

use crate::db::{PURGED_AT_ONCE, Tx};
use crate::error::{Error, Result};

/// How long a key is kept unless settings say otherwise.
pub const DEFAULT_KEEP: TimeDelta = TimeDelta::hours(24);

/// An answer as it can be given again.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The headers that belong to the answer, such as `etag`.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Value,
}

/// What a claim on a key meets.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// The key was free and is now this transaction's: make the effect, then [`store`] the answer.
    Fresh,
    /// The same request was answered before.
    Stored(StoredAnswer),
    /// Another request of the same caller had this key.
    OtherRequest,
}

/// Claims `key` of `caller` for the request whose hash is `request_hash`, for as long as `keep` tells.
pub async fn claim(
    tx: &Tx,
    now: Timestamp,
    caller: &str,
    key: &str,
    request_hash: &str,
    keep: TimeDelta,
) -> Result<Claim> {
    const INSERT: &str = "-- idempotency::claim
        INSERT INTO idempotency_keys (caller, key, request_hash, created_at, expires_at)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (caller, key) DO UPDATE SET request_hash = excluded.request_hash, status = NULL,
            response_headers = NULL, response_body = NULL, created_at = excluded.created_at,
            expires_at = excluded.expires_at
        WHERE idempotency_keys.expires_at <= excluded.created_at";
    let values = [caller.into(), key.into(), request_hash.into(), now.into(), (now + keep).into()];
    if tx.execute_raw(tx.statement(INSERT, values)).await?.rows_affected() == 1 {
        return Ok(Claim::Fresh);
    }
    let select = format!(
        "-- idempotency::claim
        SELECT request_hash, status, response_headers, response_body FROM idempotency_keys
        WHERE caller = $1 AND key = $2{}",
        tx.for_update()
    );
    let row = tx.query_one_raw(tx.statement(&select, [caller.into(), key.into()])).await?;
    // Purged between the two statements: the door runs the transaction again.
    let row = row.ok_or_else(|| {
        Error::unavailable("an idempotency key expired while it was looked at", std::time::Duration::ZERO)
            .retryable()
    })?;
    if row.try_get_by::<String, _>("request_hash")? != request_hash {
        return Ok(Claim::OtherRequest);
    }
    Ok(Claim::Stored(stored(&row, caller, key)?))
}

fn stored(row: &QueryResult, caller: &str, key: &str) -> Result<StoredAnswer> {
    let impossible = |column, why: String| {
        Error::impossible_row("idempotency_keys", column, format!("{caller} {key}"), why)
    };
    let status: Option<i64> = row.try_get_by("status")?;
    // A claim and its answer are committed together.
    let status = status.ok_or_else(|| impossible("status", "committed without an answer".to_owned()))?;
    let status = u16::try_from(status).map_err(|error| impossible("status", error.to_string()))?;
    let headers: Value = row.try_get_by("response_headers")?;
    let headers =
        serde_json::from_value(headers).map_err(|error| impossible("response_headers", error.to_string()))?;
    Ok(StoredAnswer { status, headers, body: row.try_get_by("response_body")? })
}

/// Stores the answer to the request that [`claim`]ed the key in this transaction.
pub async fn store(tx: &Tx, caller: &str, key: &str, answer: &StoredAnswer) -> Result<()> {
    const UPDATE: &str = "-- idempotency::store
        UPDATE idempotency_keys SET status = $3, response_headers = $4, response_body = $5
        WHERE caller = $1 AND key = $2 AND status IS NULL";
    let headers = serde_json::to_value(&answer.headers).map_err(Error::internal)?;
    let values = [
        caller.into(),
        key.into(),
        i64::from(answer.status).into(),
        headers.into(),
        answer.body.clone().into(),
    ];
    match tx.execute_raw(tx.statement(UPDATE, values)).await?.rows_affected() {
        1 => Ok(()),
        _ => Err(Error::internal("an answer was stored under a key that was not claimed")),
    }
}

/// Removes expired keys, a thousand at most; returns how many.
pub async fn purge(tx: &Tx, now: Timestamp) -> Result<u64> {
    let delete = format!(
        "-- idempotency::purge
        DELETE FROM idempotency_keys WHERE (caller, key) IN (
            SELECT caller, key FROM idempotency_keys WHERE expires_at <= $1 ORDER BY expires_at
            LIMIT {PURGED_AT_ONCE}
        )"
    );
    Ok(tx.execute_raw(tx.statement(&delete, [now.into()])).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;
    use crate::db::testing::TestDb;
    use crate::db::{Backend, Db};

    crate::both_databases!(&[];
        the_same_request_gets_the_same_answer,
        another_request_with_the_key_is_told_apart,
        concurrent_requests_have_one_effect,
        an_effect_taken_back_frees_its_key,
        keys_expire,
        a_store_without_a_claim_is_refused,
    );

    fn at(second: u32) -> Timestamp {
        Timestamp::from_timestamp(1_700_000_000 + i64::from(second), 0).unwrap()
    }

    fn answer() -> StoredAnswer {
        let headers = BTreeMap::from([("etag".to_owned(), "\"3\"".to_owned())]);
        StoredAnswer { status: 201, headers, body: json!({"code": "SUCCESS", "data": {"n": 1}}) }
    }

    /// Claims the key and, when it is fresh, answers; returns what the claim met.
    async fn request(db: &Db, key: &'static str, hash: &'static str, now: Timestamp) -> Result<Claim> {
        db.write("request", move |tx| {
            Box::pin(async move {
                let claim = claim(tx, now, "service:gateway", key, hash, DEFAULT_KEEP).await?;
                if claim == Claim::Fresh {
                    store(tx, "service:gateway", key, &answer()).await?;
                }
                Ok(claim)
            })
        })
        .await
    }

    async fn the_same_request_gets_the_same_answer(db: TestDb) {
        assert_eq!(request(&db, "k", "h", at(0)).await.unwrap(), Claim::Fresh);
        assert_eq!(request(&db, "k", "h", at(1)).await.unwrap(), Claim::Stored(answer()));
        assert_eq!(request(&db, "k2", "h", at(1)).await.unwrap(), Claim::Fresh);
    }

    async fn another_request_with_the_key_is_told_apart(db: TestDb) {
        assert_eq!(request(&db, "k", "h", at(0)).await.unwrap(), Claim::Fresh);
        assert_eq!(request(&db, "k", "other", at(1)).await.unwrap(), Claim::OtherRequest);
    }

    async fn concurrent_requests_have_one_effect(db: TestDb) {
        let effects = Arc::new(AtomicU32::new(0));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (db, effects) = (db.db(), Arc::clone(&effects));
                tokio::spawn(async move {
                    if request(&db, "k", "h", at(0)).await.unwrap() == Claim::Fresh {
                        effects.fetch_add(1, Ordering::SeqCst);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(effects.load(Ordering::SeqCst), 1);
    }

    async fn an_effect_taken_back_frees_its_key(db: TestDb) {
        let begun = Arc::new(tokio::sync::Semaphore::new(0));
        let proceed = Arc::new(tokio::sync::Semaphore::new(0));
        let first = tokio::spawn({
            let (db, begun, proceed) = (db.db(), Arc::clone(&begun), Arc::clone(&proceed));
            async move {
                db.write("first", move |tx| {
                    let (begun, proceed) = (Arc::clone(&begun), Arc::clone(&proceed));
                    Box::pin(async move {
                        claim(tx, at(0), "service:gateway", "k", "h", DEFAULT_KEEP).await?;
                        begun.add_permits(1);
                        let _go = proceed.acquire().await.map_err(Error::internal)?;
                        Err::<(), _>(Error::internal("taken back"))
                    })
                })
                .await
            }
        });
        let _begun = begun.acquire().await.unwrap();
        let second = tokio::spawn({
            let db = db.db();
            async move { request(&db, "k", "h", at(0)).await }
        });
        if db.backend() == Backend::Postgres {
            wait_for_a_blocked_statement(&db).await;
        }
        proceed.add_permits(1);
        first.await.unwrap().unwrap_err();
        assert_eq!(second.await.unwrap().unwrap(), Claim::Fresh);
    }

    async fn wait_for_a_blocked_statement(db: &Db) {
        let select = "SELECT 1 FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while db.read().query_one_raw(db.backend().statement(select, [])).await.unwrap().is_none() {
            assert!(std::time::Instant::now() < deadline, "the second request does not wait");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    async fn keys_expire(db: TestDb) {
        let day = 24 * 3600;
        assert_eq!(request(&db, "k", "h", at(0)).await.unwrap(), Claim::Fresh);
        assert_eq!(request(&db, "k", "h", at(day - 1)).await.unwrap(), Claim::Stored(answer()));
        assert_eq!(request(&db, "k", "other", at(day)).await.unwrap(), Claim::Fresh);
        let purged = db.write("purge", move |tx| Box::pin(purge(tx, at(day)))).await.unwrap();
        assert_eq!(purged, 0, "it was claimed anew");
        let purged = db.write("purge", move |tx| Box::pin(purge(tx, at(2 * day)))).await.unwrap();
        assert_eq!(purged, 1);
    }

    async fn a_store_without_a_claim_is_refused(db: TestDb) {
        let stored = db
            .write("store", |tx| Box::pin(async move { store(tx, "service:gateway", "k", &answer()).await }));
        assert!(stored.await.is_err());
    }
}
