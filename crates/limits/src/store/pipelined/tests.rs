//! What no request can bring about: a row that has vanished, and tables that are spread over several servers.

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use payops_platform::db::testing::{TestDb, postgres};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::session::{Locking, Session};
use super::*;
use crate::MIGRATIONS;
use crate::batch::decide;
use crate::decide::{Action, Charge};
use crate::model::Usage;
use crate::window::Span;

const MERCHANTS: [Uuid; 3] = [Uuid::from_u128(3), Uuid::from_u128(1), Uuid::from_u128(2)];

/// A database with merchants without limits.
async fn database() -> TestDb {
    let db = postgres(MIGRATIONS).await;
    let tier = "INSERT INTO merchant_tiers (id, tier_code, tier_name, tier_level, currency, transaction_fee_rate, \
         withdrawal_fee_rate, alert_thresholds, created_at, updated_at) \
         VALUES (gen_random_uuid(), 'test', 'Test', 9, 'USD', 0, 0, '[80, 90, 100]', now(), now())";
    let merchant = "INSERT INTO merchant_limits (merchant_id, id, tier_id, timezone, day_start, daily_reset_at, \
         month_start, monthly_reset_at, created_at, updated_at) \
         SELECT $1, $1, id, 'Etc/UTC', now(), now(), now(), now(), now(), now() FROM merchant_tiers \
         WHERE tier_code = 'test'";
    db.write("test.fill", move |tx| {
        Box::pin(async move {
            tx.execute_raw(tx.statement(tier, [])).await?;
            for id in MERCHANTS {
                tx.execute_raw(tx.statement(merchant, [id.into()])).await?;
            }
            Ok(())
        })
    })
    .await
    .unwrap();
    db
}

fn consume(merchant_id: Uuid, payment_no: &str) -> Operation {
    let charge = Charge { amount: 5, currency: Currency::USD, order_no: None, channel: None };
    Operation { merchant_id, payment_no: payment_no.to_owned(), action: Action::Consume(charge) }
}

async fn logged(session: &Session) -> i64 {
    let counted = "SELECT count(*) FROM limit_usage_logs WHERE action_type = 'consume'";
    session.client.query_one(counted, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn an_update_that_misses_its_row_undoes_everything() {
    let db = database().await;
    let session = Session::connect(&db).await.unwrap();
    let (mut loaded, now) = session.load(&[consume(MERCHANTS[0], "p")], &Lookup::Database).await.unwrap();
    let (_, mut effects) = decide(&mut loaded, &[consume(MERCHANTS[0], "p")], now);
    effects.usages.push((Uuid::from_u128(9), nothing_used(now)));
    let error = session.save(&effects).await.unwrap_err();
    assert!(format!("{error:?}").contains("not all 2 rows"), "{error:?}");
    assert_eq!(logged(&session).await, 0);
    effects.usages.pop();
    let (_, later) = session.load(&[], &Lookup::Database).await.unwrap();
    assert!(later >= now);
    session.save(&effects).await.unwrap();
    assert_eq!(logged(&session).await, 1);
}

fn nothing_used(now: Timestamp) -> Usage {
    let span = Span { start: now, end: now };
    Usage {
        seq: 0,
        day: span,
        month: span,
        daily_used: 0,
        monthly_used: 0,
        pending: 0,
        next_expiry: None,
        daily_alert: 0,
        monthly_alert: 0,
    }
}

#[tokio::test]
async fn merchants_that_are_locked_one_by_one_are_decided_alike() {
    let db = database().await;
    let client = db.connect_native().await.unwrap();
    let session = Session::prepare(client, Locking::OneByOne).await.unwrap();
    let mut operations: Vec<Operation> = MERCHANTS.map(|merchant| consume(merchant, "p")).to_vec();
    operations.push(consume(Uuid::from_u128(9), "p"));
    operations.push(consume(MERCHANTS[0], "p"));
    let (mut loaded, now) = session.load(&operations, &Lookup::Database).await.unwrap();
    let (outcomes, effects) = decide(&mut loaded, &operations, now);
    session.save(&effects).await.unwrap();
    assert!(outcomes[..3].iter().all(|outcome| matches!(outcome, Outcome::Approved(done) if !done.replayed)));
    assert!(matches!(outcomes[3], Outcome::Refused(_)), "{:?}", outcomes[3]);
    assert!(matches!(&outcomes[4], Outcome::Approved(done) if done.replayed), "{:?}", outcomes[4]);
    assert_eq!(logged(&session).await, 3);
}
