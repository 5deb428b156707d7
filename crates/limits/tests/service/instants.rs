//! What happens at an exact instant, while others ask.

use std::sync::Arc;

use futures::future::join_all;
use payops_core::time::{Clock, ManualClock, SystemClock, Timestamp};
use payops_platform::both_databases;
use payops_platform::db::Backend;
use payops_platform::db::testing::{TestDb, postgres};
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::harness::{App, TABLES, at, charge};
use crate::people::{LIMITS, RATES};

both_databases!(TABLES;
    an_override_ends_at_its_instant_under_load,
    another_tier_binds_from_its_instant_under_load,
    a_reservation_is_confirmed_or_expires_never_both,
    a_batch_that_waited_over_midnight_counts_in_the_new_day,
    a_reservation_over_month_end_is_booked_in_the_new_month,
    releases_of_another_currency_add_up_to_what_was_counted,
    another_merchant_s_payment_cannot_be_released,
    thresholds_are_told_once_though_many_cross_together,
);

/// Four clients of two instances, each of which asks for 50 until five were declined. The answers.
fn load(one: &Arc<App>, two: &Arc<App>, merchant: Uuid) -> Vec<JoinHandle<Vec<(bool, Timestamp)>>> {
    let client = |client: i32| {
        let app = Arc::clone(if client % 2 == 0 { one } else { two });
        tokio::spawn(async move {
            let (mut answers, mut declined, mut number) = (Vec::new(), 0, 0);
            while declined < 5 {
                let answer = app.consume(merchant, &format!("p{client}-{number}"), 50).await;
                let data = answer.data();
                let allowed = data["allowed"].as_bool().unwrap();
                declined += i32::from(!allowed);
                number += 1;
                answers.push((allowed, at(data["as_of"].as_str().unwrap())));
            }
            answers
        })
    };
    (0..4).map(client).collect()
}

/// In the order of the log, all that was allowed comes before all that was not. Gives how many were.
async fn allowed_before_declined(app: &App, merchant: Uuid) -> usize {
    let sql = "SELECT success FROM limit_usage_logs WHERE merchant_id = $1 ORDER BY seq";
    let rows = app.rows(sql, merchant).await;
    let successes: Vec<bool> = rows.iter().map(|row| row.try_get("", "success").unwrap()).collect();
    let allowed = successes.iter().take_while(|success| **success).count();
    assert!(successes[allowed..].iter().all(|success| !success), "{successes:?}");
    assert!(allowed > 0 && allowed < successes.len());
    allowed
}

async fn until_something_is_used(app: &App, merchant: Uuid) {
    while app.counters(merchant).await.0 == 0 {
        tokio::task::yield_now().await;
    }
}

async fn an_override_ends_at_its_instant_under_load(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    one.tier("t", "USD", (None, None, Some(10))).await;
    let merchant = one.initialize("t").await;
    let end = "2026-11-23T13:00:00Z";
    let over = json!({ "limit_kind": "single_trans", "value": 100, "ends_at": end, "reason": "x" });
    assert_eq!(one.post(&format!("{LIMITS}/{merchant}/overrides"), &over).await.status, 201);
    one.set("2026-11-23T12:59:59.999999Z");
    let load = load(&one, &two, merchant);
    until_something_is_used(&one, merchant).await;
    one.set(end);
    for answers in join_all(load).await {
        for (allowed, as_of) in answers.unwrap() {
            assert_eq!(allowed, as_of < at(end), "{as_of}");
        }
    }
    let used = i64::try_from(allowed_before_declined(&one, merchant).await).unwrap() * 50;
    assert_eq!(one.counters(merchant).await, (used, used, 0));
    one.prove(merchant).await;
}

async fn another_tier_binds_from_its_instant_under_load(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    one.tier("wide", "USD", (None, None, Some(100))).await;
    one.tier("narrow", "USD", (None, None, Some(10))).await;
    let merchant = one.initialize("wide").await;
    let load = load(&one, &two, merchant);
    until_something_is_used(&one, merchant).await;
    let moved =
        two.post(&format!("{LIMITS}/{merchant}/change-tier"), &json!({ "tier_code": "narrow" })).await;
    assert_eq!(moved.status, 200, "{:?}", moved.json());
    for answers in join_all(load).await {
        answers.unwrap();
    }
    let used = i64::try_from(allowed_before_declined(&one, merchant).await).unwrap() * 50;
    assert_eq!(moved.data()["daily_used"], used, "what the change showed was the end");
    assert_eq!(one.counters(merchant).await, (used, used, 0));
    one.prove(merchant).await;
}

async fn a_reservation_is_confirmed_or_expires_never_both(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    let merchant = one.merchant(None, None, None).await;
    let (mut late, mut in_time) = (0, 0);
    for round in 0..10 {
        let numbers: Vec<String> = (0..60).map(|number| format!("p{round}-{number}")).collect();
        let hold = |number: &String| {
            let mut body = charge(merchant, number, 1);
            body["ttl_seconds"] = 60.into();
            let one = &one;
            async move { one.ask("reserve", &body).await.status }
        };
        assert!(join_all(numbers.iter().map(hold)).await.iter().all(|status| *status == 200));
        let confirms: Vec<_> = numbers
            .iter()
            .enumerate()
            .map(|(index, number)| {
                let app = Arc::clone(if index % 2 == 0 { &one } else { &two });
                let body = json!({ "merchant_id": merchant, "payment_no": number });
                tokio::spawn(async move {
                    // All but the last are on their way when the time is over, wherever that is.
                    for _ in 0..index * 20 {
                        tokio::task::yield_now().await;
                    }
                    app.ask("confirm", &body).await
                })
            })
            .collect();
        while one.counters(merchant).await.0 == in_time + late {
            tokio::task::yield_now().await;
        }
        one.clock.advance(chrono::Duration::seconds(60));
        two.work().await;
        let last = format!("q{round}");
        hold(&last).await;
        one.clock.advance(chrono::Duration::seconds(60));
        let answer = one.ask("confirm", &json!({ "merchant_id": merchant, "payment_no": last })).await;
        assert_eq!(answer.data()["late"], true);
        late += 1;
        for answer in join_all(confirms).await {
            let answer = answer.unwrap();
            assert_eq!((answer.status, answer.data()["status"].clone()), (200, json!("confirmed")));
            let was_late = answer.data()["late"].as_bool().unwrap();
            late += i64::from(was_late);
            in_time += i64::from(!was_late);
        }
    }
    assert!(in_time > 0);
    assert_eq!(one.counters(merchant).await, (610, 610, 0), "late ones are counted");
    let told = async |what: &str| {
        let sql = format!("SELECT seq FROM limit_usage_logs WHERE merchant_id = $1 AND {what}");
        i64::try_from(one.rows(&sql, merchant).await.len()).unwrap()
    };
    assert_eq!(told("action_type = 'confirm' AND success").await, 610);
    assert_eq!(told("action_type = 'confirm' AND failure_reason = 'confirmed after expiry'").await, late);
    assert_eq!(told("action_type = 'expire'").await, late, "what was confirmed in time does not expire");
    one.prove(merchant).await;
}

async fn a_batch_that_waited_over_midnight_counts_in_the_new_day(db: TestDb) {
    let backend = db.backend();
    let app = Arc::new(App::start(db).await);
    let merchant = app.merchant(Some(100), Some(1000), None).await;
    app.set("2026-11-23T23:59:59.999999Z");
    assert_eq!(app.consume(merchant, "p1", 100).await.status, 200);
    let (free, holder) = app.hold(merchant).await;
    let waiting: Vec<_> = (0..2)
        .map(|number| {
            let app = Arc::clone(&app);
            tokio::spawn(async move { app.consume(merchant, &format!("q{number}"), 40).await })
        })
        .collect();
    // SQLite's writer waits where nobody can see it; there the batch may as well come later.
    if backend == Backend::Postgres {
        while app.sessions("wait_event_type = 'Lock'").await == 0 {
            tokio::task::yield_now().await;
        }
    }
    app.set("2026-11-24T00:00:00Z");
    free.send(()).unwrap();
    holder.await.unwrap();
    for answer in join_all(waiting).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "the new day has room: {:?}", answer.json());
        assert_eq!(answer.data()["as_of"], "2026-11-24T00:00:00Z");
    }
    assert_eq!(app.counters(merchant).await, (80, 180, 0));
    app.prove(merchant).await;
}

async fn a_reservation_over_month_end_is_booked_in_the_new_month(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(100), Some(100), None).await;
    app.set("2026-11-30T23:55:00Z");
    assert_eq!(app.ask("reserve", &charge(merchant, "p1", 60)).await.status, 200);
    assert_eq!(app.consume(merchant, "p2", 40).await.status, 200);
    app.set("2026-12-01T00:00:00Z");
    assert_eq!(app.consume(merchant, "p3", 41).await.code(), "LIMIT_EXCEEDED", "held in the new month too");
    assert_eq!(app.consume(merchant, "p4", 40).await.status, 200);
    assert_eq!(app.counters(merchant).await, (40, 40, 60));
    let confirm = json!({ "merchant_id": merchant, "payment_no": "p1" });
    assert_eq!(app.ask("confirm", &confirm).await.data()["late"], false);
    assert_eq!(app.counters(merchant).await, (100, 100, 0));
    // It was booked in December, so it is given back there; what November took is not.
    let released = app.ask("release", &confirm).await.data();
    assert_eq!(released["windows"][1], json!({ "window": "monthly", "returned": 60, "closed": false }));
    let released = app.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p2" })).await.data();
    assert_eq!(released["windows"][1], json!({ "window": "monthly", "returned": 0, "closed": true }));
    assert_eq!(app.counters(merchant).await, (40, 40, 0));
    app.prove(merchant).await;
}

async fn releases_of_another_currency_add_up_to_what_was_counted(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(10_000), None, None).await;
    let rates = json!({ "rates": [{ "from_currency": "CNY", "to_currency": "USD", "rate": "0.1389" }] });
    assert_eq!(app.put(RATES, &rates).await.status, 200);
    let pay = json!({ "merchant_id": merchant, "payment_no": "p1", "amount": 1000, "currency": "CNY" });
    assert_eq!(app.ask("consume", &pay).await.data()["counted_amount"], 139);
    for (release_no, amount, back, left) in [("1", 333, 46, 93), ("2", 333, 46, 47), ("3", 334, 47, 0)] {
        let body = json!({ "merchant_id": merchant, "payment_no": "p1", "release_no": release_no, "amount": amount });
        assert_eq!(app.ask("release", &body).await.data()["counted_amount"], back);
        assert_eq!(app.counters(merchant).await, (left, left, 0));
    }
    app.prove(merchant).await;
}

async fn another_merchant_s_payment_cannot_be_released(db: TestDb) {
    let app = App::start(db).await;
    let (one, two) = (app.merchant(Some(100), None, None).await, app.merchant(Some(100), None, None).await);
    app.consume(one, "p1", 60).await;
    app.consume(two, "p2", 60).await;
    let foreign = app.ask("release", &json!({ "merchant_id": two, "payment_no": "p1" })).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "PAYMENT_NOT_FOUND"));
    assert_eq!((app.counters(one).await, app.counters(two).await), ((60, 60, 0), (60, 60, 0)));
}

async fn thresholds_are_told_once_though_many_cross_together(db: TestDb) {
    let one = Arc::new(App::start(db).await);
    let two = Arc::new(one.another().await);
    let merchant = one.merchant(Some(1000), None, None).await;
    let calls = (0..1000).map(|number| {
        let app = Arc::clone(if number % 2 == 0 { &one } else { &two });
        tokio::spawn(async move { app.consume(merchant, &format!("p{number}"), 1).await.status })
    });
    assert!(join_all(calls).await.into_iter().all(|status| status.unwrap() == 200));
    let daily = |threshold, crossed| ("daily".to_owned(), threshold, crossed);
    assert_eq!(one.alerts(merchant).await, [daily(80, true), daily(90, true), daily(100, true)]);
    one.clock.advance(chrono::Duration::seconds(1));
    one.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p0" })).await;
    one.ask("release", &json!({ "merchant_id": merchant, "payment_no": "p1" })).await;
    assert_eq!(one.alerts(merchant).await[3..], [daily(100, false)]);
}

const ENDS_SOON: &str = "UPDATE merchant_limits SET day_start = clock_timestamp() - interval '1 day', \
     daily_reset_at = clock_timestamp() + interval '5 minutes', month_start = clock_timestamp() - interval '9 days', \
     monthly_reset_at = clock_timestamp() + interval '20 days' WHERE merchant_id = $1";
const HAS_ENDED: &str = "UPDATE merchant_limits SET day_start = clock_timestamp() - interval '1 day', \
     daily_reset_at = clock_timestamp() - interval '5 minutes', month_start = clock_timestamp() - interval '9 days', \
     monthly_reset_at = clock_timestamp() + interval '20 days' WHERE merchant_id = $1";

/// PostgreSQL only: one process serves SQLite, and its clock is the one that decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_with_wrong_clocks_count_in_the_same_windows() {
    let db = Arc::new(postgres(TABLES).await);
    let off = |minutes| ManualClock::new(SystemClock.now() + chrono::Duration::minutes(minutes));
    let fast = App::by_the_database(Arc::clone(&db), off(10)).await;
    let slow = App::by_the_database(db, off(-10)).await;
    let (open, over) = (fast.merchant(None, None, None).await, fast.merchant(None, None, None).await);
    fast.change(ENDS_SOON, open).await;
    fast.change(HAS_ENDED, over).await;
    for merchant in [open, over] {
        let mut last = Timestamp::UNIX_EPOCH;
        for (number, app) in [("p1", &slow), ("p2", &fast), ("p3", &slow), ("p4", &fast)] {
            let answer = app.consume(merchant, number, 10).await;
            let as_of = at(answer.data()["as_of"].as_str().unwrap());
            assert!(as_of > last, "one clock for all");
            assert!((as_of - SystemClock.now()).num_seconds().abs() < 300, "neither of the wrong ones");
            last = as_of;
        }
        assert_eq!(fast.counters(merchant).await, (40, 40, 0));
    }
    let resets = async |merchant| {
        let sql = "SELECT seq FROM limit_usage_logs WHERE merchant_id = $1 AND action_type = 'reset'";
        fast.rows(sql, merchant).await.len()
    };
    assert_eq!((resets(open).await, resets(over).await), (0, 1));
    fast.prove(open).await;
    fast.prove(over).await;
}
