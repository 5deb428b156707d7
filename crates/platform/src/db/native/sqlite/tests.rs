//! What the native writer of SQLite promises.

use std::sync::Mutex;
use std::time::Duration;

use rusqlite::hooks::{AuthAction, Authorization, TransactionOperation};

use super::*;
use crate::db::DatabaseTarget;
use crate::db::tests::{COUNTERS, add, eventually, value};
use crate::error::ErrorKind;

/// A SQLite database with the counters, and a native writer of it.
async fn natively_written() -> (tempfile::TempDir, Db, NativeWriter) {
    let folder = tempfile::tempdir().unwrap();
    let target = DatabaseTarget::Sqlite { path: folder.path().join("native.db") };
    let db = Db::open(&target, COUNTERS).await.unwrap();
    let writer = db.native_writer().unwrap();
    (folder, db, writer)
}

/// Reads, then writes what it read and one more: two of these at once would lose something.
fn add_natively(connection: &rusqlite::Connection) -> Result<()> {
    let value: i64 = connection
        .prepare_cached("SELECT value FROM counters WHERE name = 'a'")?
        .query_row([], |row| row.get(0))?;
    connection.prepare_cached("UPDATE counters SET value = ?1 WHERE name = 'a'")?.execute([value + 1])?;
    Ok(())
}

#[tokio::test]
async fn native_and_other_transactions_exclude_each_other() {
    let (_folder, db, writer) = natively_written().await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (db, writer) = (db.clone(), writer.clone());
            tokio::spawn(async move {
                for _ in 0..20 {
                    db.write("increment", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
                    writer.write("increment", add_natively).await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(value(&db, "a").await, 800);
}

#[tokio::test]
async fn a_native_transaction_that_fails_keeps_nothing_and_the_writer_goes_on() {
    let (_folder, db, writer) = natively_written().await;
    let panicked = writer.write("increment", |connection| -> Result<()> {
        add_natively(connection)?;
        panic!("on purpose")
    });
    assert_eq!(panicked.await.unwrap_err().kind(), ErrorKind::Internal);
    let twice = writer.write("increment", |connection| {
        add_natively(connection)?;
        connection.execute("INSERT INTO counters (name, value) VALUES ('a', 0)", [])?;
        Ok(())
    });
    assert_eq!(twice.await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(value(&db, "a").await, 0);
    writer.write("increment", add_natively).await.unwrap();
    db.write("increment", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
    assert_eq!(value(&db, "a").await, 2);
}

#[tokio::test]
async fn a_full_file_keeps_nothing_and_the_writer_goes_on() {
    let (_folder, db, writer) = natively_written().await;
    let full = writer.write("fill", |connection| {
        add_natively(connection)?;
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
        connection.execute("INSERT INTO counters (name, value) VALUES (hex(zeroblob(100000)), 0)", [])?;
        Ok(())
    });
    assert_eq!(full.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(value(&db, "a").await, 0);
    writer.write("increment", add_natively).await.unwrap();
    assert_eq!(value(&db, "a").await, 1);
}

#[tokio::test]
async fn a_native_transaction_outlives_its_caller_and_the_file_closes() {
    let (folder, db, writer) = natively_written().await;
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let signals = Mutex::new(Some((begun, may_go_on)));
    let handle = writer.clone();
    let caller = tokio::spawn(async move {
        let body = move |connection: &rusqlite::Connection| {
            let (begun, may_go_on) = signals.lock().unwrap().take().unwrap();
            begun.send(()).unwrap();
            may_go_on.recv().unwrap();
            add_natively(connection)
        };
        handle.write("increment", body).await
    });
    has_begun.await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    go_on.send(()).unwrap();
    eventually(async || value(&db, "a").await == 1).await;
    db.close(Duration::from_secs(20)).await;
    assert_eq!(writer.write("increment", add_natively).await.unwrap_err().kind(), ErrorKind::Unavailable);
    drop((writer, db));
    let target = DatabaseTarget::Sqlite { path: folder.path().join("native.db") };
    let again = Db::open(&target, COUNTERS).await.unwrap();
    assert_eq!(value(&again, "a").await, 1);
    let reading = Db::open_read_only(&target, COUNTERS).await.unwrap();
    assert_eq!(reading.native_writer().unwrap_err().kind(), ErrorKind::Internal);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_rolled_back_jams_nobody() {
    let (_folder, db, writer) = natively_written().await;
    let stuck = writer.write("increment", |connection| -> Result<()> {
        add_natively(connection)?;
        connection.authorizer(Some(|asked: rusqlite::hooks::AuthContext<'_>| match asked.action {
            AuthAction::Transaction { operation: TransactionOperation::Rollback } => Authorization::Deny,
            _ => Authorization::Allow,
        }))?;
        Err(Error::internal("on purpose"))
    });
    assert_eq!(stuck.await.unwrap_err().kind(), ErrorKind::Internal);
    writer.write("increment", add_natively).await.unwrap();
    db.write("increment", |tx| Box::pin(add(tx, "a", 1))).await.unwrap();
    assert_eq!(value(&db, "a").await, 2);
}
