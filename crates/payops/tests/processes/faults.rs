//! Limits while instances and the database are killed under load: the short form of `cargo xtask faults limits`.

use std::path::PathBuf;

use payops_faults::campaign::{self, Finished};
use payops_faults::checker::{Findings, Merchant};
use payops_faults::history::{Asked, Entry, Told, payment_no};
use payops_faults::plan::{FaultSet, Plan};
use payops_faults::site::Ground;
use sea_orm::{ConnectionTrait, Statement};

use crate::harness::PAYOPS;

const OPERATIONS: u64 = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_instances_and_postgresql_are_killed() {
    let folder = std::env::var_os("PAYOPS_TEST_POSTGRES_TO_KILL").expect(
        "PAYOPS_TEST_POSTGRES_TO_KILL names no PostgreSQL that may be killed: use `cargo xtask test`, or what \
         `cargo xtask servers` prints",
    );
    let ground = Ground { payops: PAYOPS.into(), postgres: Some(PathBuf::from(folder)), faketime: None };
    for set in [FaultSet::KillApp, FaultSet::KillPostgres] {
        under(&ground, set).await;
    }
    what_was_changed_by_hand_is_reported(under(&ground, FaultSet::CutCommit).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_the_one_process_on_sqlite_is_killed() {
    let ground = Ground { payops: PAYOPS.into(), postgres: None, faketime: None };
    what_was_changed_by_hand_is_reported(under(&ground, FaultSet::KillApp).await).await;
}

async fn under(ground: &Ground, set: FaultSet) -> Finished {
    let finished = campaign::run(ground, set, &Plan::short(OPERATIONS, 7)).await.unwrap();
    let report = &finished.report;
    assert!(report.is_clean(), "{report}: {:#?}", report.examples);
    assert!(report.faults >= 2 && report.operations >= OPERATIONS, "{report}");
    for told in [Told::Done, Told::Declined] {
        assert!(finished.history.iter().any(|entry| entry.told == told), "nobody was told {told:?}");
    }
    finished
}

/// A campaign proves something only when its checker can fail.
async fn what_was_changed_by_hand_is_reported(finished: Finished) {
    assert!(finished.check().await.unwrap().is_clean());

    let nothing = finished.merchants.iter().map(|merchant| Merchant { daily_limit: 0, ..*merchant });
    let over = finished.check_against(&nothing.collect::<Vec<_>>()).await.unwrap();
    assert!(over.over > 0, "what was passed is beyond a limit of nothing");

    let declined = finished.history.iter().find(|entry| entry.told == Told::Declined).unwrap();
    let number = payment_no(declined.payment);
    let lost = changed(&finished, &format!("DELETE FROM limit_payments WHERE payment_no = '{number}'")).await;
    assert!(lost.lost >= 1, "an acknowledged decline is gone: {lost:?}");

    let counted = |entry: &&Entry| entry.asked == Asked::Consume && entry.told == Told::Done;
    let consumed = finished.history.iter().find(counted).unwrap();
    let number = payment_no(consumed.payment);
    let double = changed(
        &finished,
        &format!(
            "INSERT INTO limit_usage_logs (merchant_id, seq, created_at, action_type, payment_no, amount, currency, \
             counted_amount, daily_used_before, daily_used_after, monthly_used_before, monthly_used_after, \
             pending_before, pending_after, success) \
             SELECT merchant_id, 1000000, created_at, action_type, payment_no, amount, currency, counted_amount, \
             daily_used_before, daily_used_after, monthly_used_before, monthly_used_after, pending_before, \
             pending_after, success FROM limit_usage_logs WHERE payment_no = '{number}' AND action_type = 'consume'"
        ),
    )
    .await;
    assert_eq!(double.double, 1, "{number} was counted twice: {double:?}");

    let drift = changed(&finished, "UPDATE merchant_limits SET daily_used = daily_used + 1").await;
    assert!(drift.drift > double.drift, "counters are not what the log says: {drift:?}");
    assert!(drift.examples.len() >= 3, "{drift:?}");
}

async fn changed(finished: &Finished, sql: &str) -> Findings {
    let db = finished.site.database().await.unwrap();
    let statement = Statement::from_string(db.get_database_backend(), sql);
    assert!(db.execute_raw(statement).await.unwrap().rows_affected() > 0, "{sql}");
    db.close().await.unwrap();
    finished.check().await.unwrap()
}
