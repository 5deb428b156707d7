//! Connections that end in the middle: between the service and its database, and between clients and the service.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use payops_platform::both_databases;
use payops_platform::db::Backend;
use payops_platform::db::testing::{TestDb, postgres};
use payops_platform::http::serve;
use payops_platform::http::testing::{SERVICE_NAME, SERVICE_SECRET};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::harness::{App, TABLES, charge};
use crate::proxy::Proxy;

both_databases!(TABLES;
    a_thousand_clients_that_hang_up_leave_nothing_open,
);

/// PostgreSQL only: SQLite has no connection to cut.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_cut_off_after_commit_is_found_by_asking_again() {
    let db = postgres(TABLES).await;
    let proxy = Proxy::before(db.target()).await;
    let app = App::by_way_of(db, proxy.open().await).await;
    let merchant = app.merchant(Some(200), None, None).await;
    for round in 0..10 {
        proxy.cut_after_commit();
        let numbers: Vec<String> = (0..8).map(|number| format!("p{round}-{number}")).collect();
        let first = join_all(numbers.iter().map(|number| app.consume(merchant, number, 2))).await;
        assert!(proxy.has_cut());
        let cut: Vec<_> = first.iter().filter(|answer| answer.status != 200).collect();
        assert!(!cut.is_empty() && cut.iter().all(|answer| answer.status >= 500), "{cut:?}");
        for (number, first) in numbers.iter().zip(&first) {
            let again = app.consume(merchant, number, 2).await;
            assert_eq!(
                (again.status, again.data()["allowed"].clone()),
                (200, json!(true)),
                "{:?}",
                again.json()
            );
            if first.status == 200 {
                assert_eq!(again.data(), first.data());
            }
        }
        let used = (round + 1) * 16;
        assert_eq!(app.counters(merchant).await, (used, used, 0));
    }
    assert_eq!(app.prove(merchant).await, 80);
    // One alone: what was committed is a replay, and a release that was cut off is one release.
    proxy.cut_after_commit();
    assert!(app.consume(merchant, "p", 2).await.status >= 500);
    assert_eq!(app.consume(merchant, "p", 2).await.header("idempotency-replayed"), "true");
    let release = json!({ "merchant_id": merchant, "payment_no": "p", "release_no": "r", "amount": 1 });
    proxy.cut_after_commit();
    assert!(app.ask("release", &release).await.status >= 500);
    assert_eq!(app.ask("release", &release).await.data()["releasable_amount"], 1);
    assert_eq!(app.counters(merchant).await, (161, 161, 0));
    assert_eq!(app.prove(merchant).await, 82);
}

/// PostgreSQL only, as above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_nothing_is_approved_and_it_recovers_by_itself() {
    let db = postgres(TABLES).await;
    let proxy = Proxy::before(db.target()).await;
    let app = App::by_way_of(db, proxy.open().await).await;
    let merchant = app.merchant(Some(100), None, None).await;
    assert_eq!(app.consume(merchant, "p1", 10).await.status, 200);
    proxy.set_away(true);
    let refused = join_all((0..4).map(|number| {
        let app = &app;
        async move { app.consume(merchant, &format!("q{number}"), 10).await }
    }));
    for answer in refused.await {
        assert_eq!(answer.status, 503, "{:?}", answer.json());
        assert_ne!(answer.header("retry-after"), "");
    }
    proxy.set_away(false);
    let deadline = tokio::time::Instant::now() + Duration::from_mins(1);
    while app.consume(merchant, "p2", 10).await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(app.counters(merchant).await, (20, 20, 0), "what was refused has left nothing");
    assert_eq!(app.prove(merchant).await, 2);
}

async fn a_thousand_clients_that_hang_up_leave_nothing_open(db: TestDb) {
    let backend = db.backend();
    let app = Arc::new(App::start(db).await);
    let merchant = app.merchant(None, None, None).await;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, app.router.clone(), shutdown.clone(), Duration::from_secs(30)));
    for wave in 0..10 {
        let clients = (wave * 100..wave * 100 + 100).map(|number| async move {
            let mut client = TcpStream::connect(address).await.unwrap();
            let body = charge(merchant, &format!("p{number}"), 1).to_string();
            let request = format!(
                "POST /api/v1/limits/consume HTTP/1.1\r\nhost: payops\r\ncontent-type: application/json\r\n\
                 x-service-name: {SERVICE_NAME}\r\nx-service-secret: {SERVICE_SECRET}\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            );
            client.write_all(request.as_bytes()).await.unwrap();
            // Some hang up at once, some while they are decided, some with the answer before them.
            if number % 20 == 19 {
                client.readable().await.unwrap();
            }
            for _ in 0..(number % 20) * 10 {
                tokio::task::yield_now().await;
            }
        });
        join_all(clients).await;
    }
    shutdown.cancel();
    server.await.unwrap();
    let mut again = Vec::new();
    // No more at once than one merchant may have under way.
    for wave in 0..4 {
        let calls = (wave * 250..wave * 250 + 250).map(|number| {
            let app = Arc::clone(&app);
            tokio::spawn(async move { app.consume(merchant, &format!("p{number}"), 1).await })
        });
        again.extend(join_all(calls).await.into_iter().map(Result::unwrap));
    }
    assert!(again.iter().all(|answer| answer.status == 200), "the pool is healthy");
    let replays = again.iter().filter(|answer| answer.header("idempotency-replayed") == "true").count();
    assert!(replays >= 50, "what was answered is found, {replays}");
    assert_eq!(app.counters(merchant).await, (1000, 1000, 0));
    assert_eq!(app.prove(merchant).await, 1000);
    if backend == Backend::Postgres {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        while app.sessions("state LIKE 'idle in transaction%'").await > 0 {
            assert!(tokio::time::Instant::now() < deadline, "a transaction stays open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
