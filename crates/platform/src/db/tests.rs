//! What both databases promise.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sea_orm::{ConnectionTrait, TransactionTrait};
use tokio::sync::Barrier;

use super::testing::{self, TestDb};
use super::*;
use crate::error::{Error, ErrorKind};

pub(super) const COUNTERS: &[Migration] = &[Migration::portable(
    "test_0001",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
     INSERT INTO counters (name, value) VALUES ('a', 0), ('b', 0);",
)];

crate::both_databases!(COUNTERS;
    concurrent_increments_lose_nothing,
    an_error_takes_everything_back,
    a_panic_is_an_internal_error_and_takes_everything_back,
    a_dropped_caller_does_not_cut_the_work_in_half,
    dropped_callers_do_not_poison_the_pool,
    dropped_readers_do_not_poison_the_pool,
    a_swallowed_failure_is_refused,
    a_savepoint_keeps_the_rest,
    hooks_run_after_the_commit_only,
    a_unique_violation_can_be_asked_for,
    transactions_are_measured_by_name,
    a_clash_runs_the_body_again,
    serializable_transactions_do_not_skew,
    reading_is_possible_beside_serving,
    a_snapshot_shows_one_instant,
    closing_waits_for_running_transactions,
);

pub(super) async fn add(tx: &Tx, name: &str, by: i64) -> Result<i64> {
    let select = format!("SELECT value FROM counters WHERE name = $1{}", tx.for_update());
    let row = tx.query_one_raw(tx.statement(&select, [name.into()])).await?;
    let value: i64 = row.ok_or_else(|| Error::internal("no counter"))?.try_get_by("value")?;
    let update = "UPDATE counters SET value = $1 WHERE name = $2";
    tx.execute_raw(tx.statement(update, [(value + by).into(), name.into()])).await?;
    Ok(value + by)
}

pub(super) async fn value(db: &Db, name: &str) -> i64 {
    let statement = db.backend().statement("SELECT value FROM counters WHERE name = $1", [name.into()]);
    let row = db.read().query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by("value").unwrap()
}

pub(super) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "it did not happen within 20 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn concurrent_increments_lose_nothing(db: TestDb) {
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let db = db.db();
            tokio::spawn(async move {
                for _ in 0..50 {
                    db.write("increment", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&db, "a").await, 1000);
}

async fn an_error_takes_everything_back(db: TestDb) {
    let outcome: Result<()> = db
        .write("refused", |tx| {
            Box::pin(async move {
                add(tx, "a", 5).await?;
                Err(Error::new(ErrorKind::Unprocessable, "NO", "no", "不"))
            })
        })
        .await;
    assert_eq!(outcome.unwrap_err().code(), "NO");
    assert_eq!(value(&db, "a").await, 0);
}

async fn a_panic_is_an_internal_error_and_takes_everything_back(db: TestDb) {
    for _ in 0..15 {
        let outcome: Result<()> = db
            .write("panics", |tx| {
                Box::pin(async move {
                    add(tx, "a", 5).await?;
                    panic!("on purpose")
                })
            })
            .await;
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Internal);
    }
    assert_eq!(db.write("after", |tx| Box::pin(add(tx, "a", 1))).await.unwrap(), 1);
}

async fn a_dropped_caller_does_not_cut_the_work_in_half(db: TestDb) {
    let (begun, proceed) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let caller = tokio::spawn({
        let (db, begun, proceed) = (db.db(), Arc::clone(&begun), Arc::clone(&proceed));
        async move {
            db.write("slow", move |tx| {
                let (begun, proceed) = (Arc::clone(&begun), Arc::clone(&proceed));
                Box::pin(async move {
                    add(tx, "a", 1).await?;
                    begun.wait().await;
                    proceed.wait().await;
                    add(tx, "b", 1).await
                })
            })
            .await
        }
    });
    begun.wait().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    proceed.wait().await;
    eventually(async || value(&db, "a").await == 1 && value(&db, "b").await == 1).await;
}

async fn dropped_callers_do_not_poison_the_pool(db: TestDb) {
    for round in 0..60 {
        let call = db.write("dropped", |tx| Box::pin(add(tx, "a", 1)));
        let _ended = tokio::time::timeout(Duration::from_micros(round * 40), call).await;
    }
    eventually(async || value(&db, "a").await == 60).await;
    assert_eq!(db.write("after", |tx| Box::pin(add(tx, "a", 1))).await.unwrap(), 61);
}

async fn dropped_readers_do_not_poison_the_pool(db: TestDb) {
    for round in 0..60 {
        let _ended = tokio::time::timeout(Duration::from_micros(round * 20), value(&db, "a")).await;
    }
    assert_eq!(value(&db, "a").await, 0);
    db.ping().await.unwrap();
}

async fn a_snapshot_shows_one_instant(db: TestDb) {
    let (looked, changed) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let reading = {
        let (db, looked, changed) = (db.db(), Arc::clone(&looked), Arc::clone(&changed));
        tokio::spawn(async move {
            let backend = db.backend();
            db.snapshot(move |conn| {
                Box::pin(async move {
                    let read = async || {
                        let select = "SELECT CAST(SUM(value) AS BIGINT) AS total FROM counters";
                        let row = conn.query_one_raw(backend.statement(select, [])).await?;
                        Ok::<i64, Error>(row.ok_or_else(|| Error::internal("no sum"))?.try_get_by("total")?)
                    };
                    let before = read().await?;
                    looked.wait().await;
                    changed.wait().await;
                    let after = read().await?;
                    let write = conn.execute_unprepared("UPDATE counters SET value = 100").await;
                    Ok((before, after, write.is_err()))
                })
            })
            .await
        })
    };
    looked.wait().await;
    db.write("change", |tx| Box::pin(add(tx, "a", 7))).await.unwrap();
    changed.wait().await;
    assert_eq!(reading.await.unwrap().unwrap(), (0, 0, true));
    assert_eq!(value(&db, "a").await, 7);
}

async fn a_swallowed_failure_is_refused(db: TestDb) {
    let outcome = db
        .write("swallows", |tx| {
            Box::pin(async move {
                add(tx, "b", 1).await?;
                let insert = "INSERT INTO counters (name, value) VALUES ('a', 0)";
                assert!(tx.execute_raw(tx.statement(insert, [])).await.is_err());
                Ok(())
            })
        })
        .await;
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal, "{error:?}");
    assert_eq!(value(&db, "b").await, 0);
}

async fn a_savepoint_keeps_the_rest(db: TestDb) {
    db.write("goes on", |tx| {
        Box::pin(async move {
            add(tx, "b", 1).await?;
            let clash = tx
                .savepoint(|tx| {
                    Box::pin(async move {
                        add(tx, "a", 100).await?;
                        let insert = "INSERT INTO counters (name, value) VALUES ('a', 0)";
                        tx.execute_raw(tx.statement(insert, [])).await?;
                        Ok(())
                    })
                })
                .await;
            assert!(clash.unwrap_err().unique_violation());
            tx.savepoint(|tx| Box::pin(add(tx, "b", 10))).await
        })
    })
    .await
    .unwrap();
    assert_eq!((value(&db, "a").await, value(&db, "b").await), (0, 11));
}

async fn hooks_run_after_the_commit_only(db: TestDb) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    for succeeds in [false, true] {
        let seen = Arc::clone(&seen);
        let _outcome = db
            .write("hooks", move |tx| {
                let (outer, inner) = (Arc::clone(&seen), Arc::clone(&seen));
                Box::pin(async move {
                    tx.after_commit(move || outer.lock().unwrap().push("outer"));
                    tx.savepoint(|tx| {
                        Box::pin(async move {
                            tx.after_commit(move || inner.lock().unwrap().push("inner"));
                            Ok(())
                        })
                    })
                    .await?;
                    if succeeds { Ok(()) } else { Err(Error::internal("no")) }
                })
            })
            .await;
    }
    assert_eq!(*seen.lock().unwrap(), ["outer", "inner"]);
}

async fn a_unique_violation_can_be_asked_for(db: TestDb) {
    let outcome = db
        .write("insert", |tx| {
            Box::pin(async move {
                let insert = "INSERT INTO counters (name, value) VALUES ('a', 0)";
                tx.execute_raw(tx.statement(insert, [])).await?;
                Ok(())
            })
        })
        .await;
    let error = outcome.unwrap_err();
    assert!(error.unique_violation() && error.kind() == ErrorKind::Conflict, "{error:?}");
}

async fn transactions_are_measured_by_name(db: TestDb) {
    let metrics = Metrics::new("test-service");
    db.measure(&metrics);
    db.write("increment", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
    let page = metrics.render().unwrap();
    for line in [
        "db_transaction_duration_seconds_count{service=\"test-service\",name=\"increment\"} 1",
        "db_transaction_wait_seconds_count{service=\"test-service\",name=\"increment\"} 1",
        "# TYPE db_pool_connections gauge",
        "state=\"idle\"} ",
    ] {
        assert!(page.contains(line), "{line} is not in\n{page}");
    }
}

async fn a_clash_runs_the_body_again(db: TestDb) {
    let metrics = Metrics::new("test-service");
    db.measure(&metrics);
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let outcome = db
        .write("clashes", move |tx| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                add(tx, "a", 1).await?;
                if run < 3 { Err(Error::unavailable("clash", Duration::ZERO).retryable()) } else { Ok(()) }
            })
        })
        .await;
    outcome.unwrap();
    assert_eq!((runs.load(Ordering::SeqCst), value(&db, "a").await), (4, 1));
    let page = metrics.render().unwrap();
    let line = "db_transaction_retries_total{service=\"test-service\",name=\"clashes\"} 3";
    assert!(page.contains(line), "{page}");
}

/// Two transactions each read both counters and raise another one if the sum is 0. Run one after the other,
/// only the first would: that is what SERIALIZABLE promises.
async fn serializable_transactions_do_not_skew(db: TestDb) {
    let (runs, reads) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let tasks = ["a", "b"].map(|mine| {
        let (db, runs, reads) = (db.db(), Arc::clone(&runs), Arc::clone(&reads));
        tokio::spawn(async move {
            db.write_serializable("skew", move |tx| {
                let (runs, reads) = (Arc::clone(&runs), Arc::clone(&reads));
                Box::pin(async move {
                    let first_two = runs.fetch_add(1, Ordering::SeqCst) < 2;
                    let sum = "SELECT CAST(SUM(value) AS BIGINT) AS sum FROM counters";
                    let row = tx.query_one_raw(tx.statement(sum, [])).await?;
                    let sum: i64 = row.ok_or_else(|| Error::internal("no sum"))?.try_get_by("sum")?;
                    reads.fetch_add(1, Ordering::SeqCst);
                    if first_two && tx.backend() == Backend::Postgres {
                        // Both have read before either writes.
                        while reads.load(Ordering::SeqCst) < 2 {
                            tokio::task::yield_now().await;
                        }
                    }
                    if sum == 0 { add(tx, mine, 1).await.map(|_| ()) } else { Ok(()) }
                })
            })
            .await
        })
    });
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(value(&db, "a").await + value(&db, "b").await, 1);
    let expected = db.backend().pick(2, 3);
    assert_eq!(runs.load(Ordering::SeqCst), expected, "one of the two ran again on PostgreSQL");
}

async fn reading_is_possible_beside_serving(db: TestDb) {
    db.write("increment", |tx| Box::pin(add(tx, "a", 7))).await.unwrap();
    let reading = Db::open_read_only(db.target(), COUNTERS).await.unwrap();
    assert_eq!(value(&reading, "a").await, 7);
    let refused = reading.write("increment", |tx| Box::pin(add(tx, "a", 1))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Internal);
    if reading.backend() == Backend::Sqlite {
        let past_the_door = reading.read().execute_unprepared("UPDATE counters SET value = 1").await;
        assert!(past_the_door.is_err());
    }
    assert_eq!(value(&db, "a").await, 7);
}

async fn closing_waits_for_running_transactions(db: TestDb) {
    let begun = Arc::new(Barrier::new(2));
    let caller = tokio::spawn({
        let (db, begun) = (db.db(), Arc::clone(&begun));
        async move {
            db.write("slow", move |tx| {
                let begun = Arc::clone(&begun);
                Box::pin(async move {
                    begun.wait().await;
                    for _ in 0..20 {
                        add(tx, "a", 1).await?;
                    }
                    Ok(())
                })
            })
            .await
        }
    });
    begun.wait().await;
    db.close(Duration::from_secs(20)).await;
    caller.await.unwrap().unwrap();
    assert_eq!(db.ping().await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// PostgreSQL only: SQLite's native transactions are tasks that closing waits for.
#[tokio::test]
async fn closing_waits_for_native_transactions() {
    let db = testing::postgres(COUNTERS).await;
    let client = db.connect_native().await.unwrap();
    let begun = Arc::new(Barrier::new(2));
    let ended = Arc::new(AtomicU32::new(0));
    let caller = tokio::spawn({
        let (db, begun, ended) = (db.db(), Arc::clone(&begun), Arc::clone(&ended));
        async move {
            let attempt = async || {
                begun.wait().await;
                for _ in 0..500 {
                    client.batch_execute("UPDATE counters SET value = value + 1 WHERE name = 'a'").await?;
                }
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            };
            db.retrying("slow", attempt).await
        }
    });
    begun.wait().await;
    db.close(Duration::from_secs(20)).await;
    assert_eq!(ended.load(Ordering::SeqCst), 1, "it was closed over a native transaction");
    caller.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_second_serving_process_on_a_sqlite_file_is_refused() {
    let place = testing::sqlite_place();
    let first = Db::open(&place.target, COUNTERS).await.unwrap();
    let error = Db::open(&place.target, COUNTERS).await.unwrap_err();
    assert!(error.to_string().starts_with("another payops process is serving "), "{error}");
    drop(first);
    Db::open(&place.target, COUNTERS).await.unwrap();
}

#[tokio::test]
async fn a_closed_database_is_one_file() {
    let place = testing::sqlite_place();
    let DatabaseTarget::Sqlite { path } = &place.target else { panic!("{:?}", place.target) };
    let log = path.with_extension("db-wal");
    let db = Db::open(&place.target, COUNTERS).await.unwrap();
    assert!(log.exists(), "{}", log.display());
    db.close(Duration::from_secs(5)).await;
    assert!(!log.exists(), "what was written stands in the log alone");
}

#[tokio::test]
async fn reading_needs_a_database_of_this_version() {
    let place = testing::sqlite_place();
    let error = Db::open_read_only(&place.target, COUNTERS).await.unwrap_err();
    assert!(matches!(error, DbOpenError::Missing { .. }), "{error}");
    drop(Db::open(&place.target, &[]).await.unwrap());
    let error = Db::open_read_only(&place.target, COUNTERS).await.unwrap_err();
    assert!(error.to_string().contains("lacks migration 'test_0001'; run `payops migrate`"), "{error}");
}

async fn open_after(place: &testing::TestPlace, migrations: &[Migration]) -> Result<Db, DbOpenError> {
    Db::open(&place.target, COUNTERS).await.unwrap().close(Duration::from_secs(5)).await;
    Db::open(&place.target, migrations).await
}

#[tokio::test]
async fn databases_of_other_versions_are_refused() {
    for place in [testing::sqlite_place(), testing::postgres_place().await] {
        let error = open_after(&place, &[]).await.unwrap_err();
        assert!(error.to_string().contains("of a newer payops: it has migration 'test_0001'"), "{error}");
        let changed = [Migration::portable("test_0001", "SELECT 1")];
        let error = open_after(&place, &changed).await.unwrap_err();
        assert!(
            error.to_string().contains("'test_0001' was applied to this database with another"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_migration_is_whole_or_not_at_all() {
    for place in [testing::sqlite_place(), testing::postgres_place().await] {
        let broken =
            [COUNTERS[0], Migration::portable("test_0002", "CREATE TABLE half (x BIGINT); SELECT broken;")];
        let error = Db::open(&place.target, &broken).await.unwrap_err();
        assert!(error.to_string().contains("'test_0002' failed and was taken back"), "{error}");
        let mended = [COUNTERS[0], Migration::portable("test_0002", "CREATE TABLE half (x BIGINT);")];
        let db = Db::open(&place.target, &mended).await.unwrap();
        assert_eq!(value(&db, "a").await, 0);
    }
}

#[tokio::test]
async fn two_migrations_need_two_names() {
    let place = testing::sqlite_place();
    let error = Db::open(&place.target, &[COUNTERS[0], COUNTERS[0]]).await.unwrap_err();
    assert_eq!(error.to_string(), "two migrations are called 'test_0001'");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_may_migrate_one_postgres_at_once() {
    let place = testing::postgres_place().await;
    let opens: Vec<_> = (0..4)
        .map(|_| {
            let target = place.target.clone();
            tokio::spawn(async move { Db::open(&target, COUNTERS).await })
        })
        .collect();
    for open in opens {
        assert_eq!(value(&open.await.unwrap().unwrap(), "a").await, 0);
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_said_to_be() {
    let place = testing::postgres_place().await;
    let DatabaseTarget::Postgres(target) = &place.target else { panic!("postgres") };
    let mut nobody = target.clone();
    nobody.port = 1;
    nobody.acquire_timeout = Duration::from_secs(2);
    nobody.password = Some("hunter2".to_owned().into());
    let error = Db::open(&DatabaseTarget::Postgres(nobody), COUNTERS).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to postgres ") && !error.contains("hunter2"), "{error}");
}

/// Writes more than the file may hold, which is as much as it holds: what a full disk does.
async fn overfill(tx: &Tx) -> Result<()> {
    tx.execute_unprepared("PRAGMA max_page_count = 1").await?;
    tx.execute_unprepared("INSERT INTO counters (name, value) VALUES (hex(randomblob(1000000)), 0)").await?;
    Ok(())
}

/// Ends the transaction behind the driver's back, as SQLite itself does when the disk fails it, so that the driver's
/// rollback fails.
async fn end_unseen(tx: &Tx) -> Result<()> {
    tx.execute_unprepared("ROLLBACK").await?;
    Err(Error::internal("on purpose"))
}

async fn refuse(tx: &Tx) -> Result<()> {
    add(tx, "a", 100).await?;
    Err(Error::internal("on purpose"))
}

#[tokio::test]
async fn after_a_rollback_that_failed_what_is_written_is_there() {
    let db = testing::sqlite(COUNTERS).await;
    for round in 1..=3 {
        db.write("ends unseen", |tx| Box::pin(end_unseen(tx))).await.unwrap_err();
        // To the driver this one is a part of the first; taken back, it would leave a transaction open.
        db.write("is refused", |tx| Box::pin(refuse(tx))).await.unwrap_err();
        db.write("comes after it", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
        assert_eq!(value(&db, "a").await, round, "others see it");
    }
}

#[tokio::test]
async fn what_follows_a_full_disk_is_not_written_by_itself() {
    let db = testing::sqlite(COUNTERS).await;
    let outcome: Result<()> = db
        .write("goes on", |tx| {
            Box::pin(async move {
                add(tx, "a", 1).await?;
                let full = tx.savepoint(|tx| Box::pin(overfill(tx))).await;
                assert_eq!(full.unwrap_err().kind(), ErrorKind::Unavailable);
                assert!(tx.savepoint(|tx| Box::pin(add(tx, "b", 1))).await.is_err());
                assert!(add(tx, "b", 1).await.is_err());
                Ok(())
            })
        })
        .await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!((value(&db, "a").await, value(&db, "b").await), (0, 0));
    db.write("has room again", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
    assert_eq!(value(&db, "a").await, 1);
}

#[tokio::test]
async fn an_exhausted_pool_answers_unavailable() {
    let place = testing::postgres_place().await;
    let DatabaseTarget::Postgres(target) = &place.target else { panic!("postgres") };
    let mut narrow = target.clone();
    narrow.max_connections = 1;
    narrow.acquire_timeout = Duration::from_millis(200);
    let db = Db::open(&DatabaseTarget::Postgres(narrow), COUNTERS).await.unwrap();
    let held = db.read().begin().await.unwrap();
    let error = db.write("waits", |tx| Box::pin(add(tx, "a", 1))).await.unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Unavailable, Some(Duration::from_secs(1))));
    held.rollback().await.unwrap();
    db.write("goes", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
}

/// A database whose sessions have these limits, opened twice: as two processes do it.
async fn limited(session: SessionLimits) -> (testing::TestPlace, Db, Db) {
    let mut place = testing::postgres_place().await;
    let DatabaseTarget::Postgres(target) = &mut place.target else { panic!("PostgreSQL") };
    target.session = session;
    let [one, other] =
        [open_after(&place, COUNTERS).await.unwrap(), open_after(&place, COUNTERS).await.unwrap()];
    (place, one, other)
}

/// Locks the counter `a`, says so, and goes on when it is told to.
fn stall(db: &Db) -> (tokio::task::JoinHandle<Result<i64>>, Arc<Barrier>, Arc<Barrier>) {
    let (locked, go_on) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
    let (db, told, wait) = (db.clone(), Arc::clone(&locked), Arc::clone(&go_on));
    let stalled = tokio::spawn(async move {
        db.write("stalled", move |tx| {
            let (told, wait) = (Arc::clone(&told), Arc::clone(&wait));
            Box::pin(async move {
                add(tx, "a", 1).await?;
                told.wait().await;
                wait.wait().await;
                add(tx, "a", 1).await
            })
        })
        .await
    });
    (stalled, locked, go_on)
}

#[tokio::test]
async fn a_session_left_idle_in_a_transaction_is_ended() {
    let limits =
        SessionLimits { idle_in_transaction: Duration::from_millis(200), ..SessionLimits::default() };
    let (_place, one, other) = limited(limits).await;
    let (stalled, locked, go_on) = stall(&one);
    locked.wait().await;
    // Waits for the lock until the server has ended the other session.
    assert_eq!(other.write("next", |tx| Box::pin(add(tx, "a", 10))).await.unwrap(), 10);
    go_on.wait().await;
    let error = stalled.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    // Nothing of it is kept, and the door is open again.
    assert_eq!(one.write("again", |tx| Box::pin(add(tx, "a", 100))).await.unwrap(), 110);
}

#[tokio::test]
async fn a_lock_is_not_waited_for_without_end() {
    let limits = SessionLimits { lock_wait: Duration::from_millis(50), ..SessionLimits::default() };
    let (_place, one, other) = limited(limits).await;
    let (stalled, locked, go_on) = stall(&one);
    locked.wait().await;
    let error = other.write("waits", |tx| Box::pin(add(tx, "a", 10))).await.unwrap_err();
    assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, false), "{error:?}");
    assert_eq!(other.write("elsewhere", |tx| Box::pin(add(tx, "b", 10))).await.unwrap(), 10);
    go_on.wait().await;
    assert_eq!(stalled.await.unwrap().unwrap(), 2);
    assert_eq!(other.write("now", |tx| Box::pin(add(tx, "a", 10))).await.unwrap(), 12);
}

#[tokio::test]
async fn migrations_wait_for_as_long_as_it_takes() {
    let lock_wait = Duration::from_millis(50);
    let (place, one, _other) = limited(SessionLimits { lock_wait, ..SessionLimits::default() }).await;
    let holder = one.read().begin().await.unwrap();
    let lock = format!("SELECT pg_advisory_xact_lock({})", migrate::ADVISORY_LOCK);
    holder.execute_unprepared(&lock).await.unwrap();
    let target = place.target.clone();
    let opening = tokio::spawn(async move { Db::open(&target, COUNTERS).await });
    let waiting = one.backend().statement(
        "SELECT 1 AS one FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()
         AND clock_timestamp() - query_start > interval '200 milliseconds'",
        [],
    );
    eventually(async || one.read().query_one_raw(waiting.clone()).await.unwrap().is_some()).await;
    holder.rollback().await.unwrap();
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn sessions_tell_the_server_when_to_give_them_up() {
    let (place, one, _other) = limited(SessionLimits::default()).await;
    let shown = async |name: &str| {
        let statement = one.backend().statement("SELECT current_setting($1) AS value", [name.into()]);
        let row = one.read().query_one_raw(statement).await.unwrap().unwrap();
        row.try_get_by::<String, _>("value").unwrap()
    };
    assert_eq!(shown("idle_in_transaction_session_timeout").await, "1min");
    assert_eq!(shown("lock_timeout").await, "20s");
    assert_eq!(shown("statement_timeout").await, "0");
    assert_eq!(shown("client_connection_check_interval").await, "10s");
    let DatabaseTarget::Postgres(target) = &place.target else { panic!("PostgreSQL") };
    let over_tcp = !target.host.starts_with('/');
    assert_eq!(shown("tcp_keepalives_idle").await, if over_tcp { "30" } else { "0" });
}
