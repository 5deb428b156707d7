//! Many at once, on one instance and on two.

use std::sync::Arc;

use futures::future::join_all;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use serde_json::json;

use crate::harness::{App, TABLES};

both_databases!(TABLES;
    exactly_as_many_pass_as_the_limit_allows,
    retries_have_one_effect_and_equal_answers,
    releases_in_parallel_never_exceed_the_payment,
);

async fn exactly_as_many_pass_as_the_limit_allows(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    let merchant = one.merchant(Some(300), None, None).await;
    let calls = (0..500).map(|number| {
        let app = Arc::clone(if number % 2 == 0 { &one } else { &two });
        tokio::spawn(async move { app.consume(merchant, &format!("p{number}"), 1).await.status })
    });
    let statuses: Vec<u16> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 300);
    assert_eq!(statuses.iter().filter(|status| **status == 422).count(), 200);
    assert_eq!(one.counters(merchant).await, (300, 300, 0));
    assert_eq!(one.prove(merchant).await, 500);
}

async fn retries_have_one_effect_and_equal_answers(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    let merchant = one.merchant(Some(300), None, None).await;
    let calls = (0..50).map(|number| {
        let app = Arc::clone(if number % 2 == 0 { &one } else { &two });
        tokio::spawn(async move { app.consume(merchant, "p1", 7).await.data() })
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|answer| *answer == answers[0] && answer["allowed"] == true));
    assert_eq!(one.counters(merchant).await, (7, 7, 0));
    assert_eq!(one.prove(merchant).await, 1);
}

async fn releases_in_parallel_never_exceed_the_payment(db: TestDb) {
    let app = Arc::new(App::start(db).await);
    let merchant = app.merchant(Some(300), None, None).await;
    app.consume(merchant, "p1", 100).await;
    let calls = (0..40).map(|number| {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let body = json!({ "merchant_id": merchant, "payment_no": "p1", "release_no": format!("r{number}"), "amount": 7 });
            app.ask("release", &body).await.status
        })
    });
    let statuses: Vec<u16> = join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 14);
    assert_eq!(app.counters(merchant).await, (2, 2, 0));
    app.prove(merchant).await;
}
