//! The usage log is sealed, and whatever is done to it afterwards is found.

use futures::future::join_all;
use payops_limits::Checkpoint;
use payops_platform::both_databases;
use payops_platform::db::Backend;
use payops_platform::db::testing::TestDb;
use uuid::Uuid;

use crate::harness::{App, SEALING_KEY, TABLES, keys};

both_databases!(TABLES;
    the_owner_can_only_add_to_log_and_seals,
    every_changed_column_is_found_with_its_row,
    a_cut_tail_is_found,
    a_forged_chain_is_found,
    a_restored_older_state_is_found_by_a_kept_checkpoint,
    keys_can_be_replaced,
    two_instances_seal_while_payments_go_on,
    seals_without_their_checkpoint_are_not_kept,
    the_job_seals,
);

const OTHER_KEY: &str = "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb";

/// A merchant with three rows in the log, sealed in two seals.
async fn sealed(app: &App) -> Uuid {
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 10).await;
    app.consume(merchant, "p2", 20).await;
    app.limits.seal().await.unwrap();
    app.consume(merchant, "p3", 30).await;
    app.limits.seal().await.unwrap();
    merchant
}

/// Does what only a superuser can: on SQLite, that is whoever drops the triggers.
async fn tamper(app: &App, on_postgres: bool, sql: &'static str, merchant: Uuid) {
    if !on_postgres {
        for trigger in [
            "DROP TRIGGER IF EXISTS limit_usage_logs_keep_rows",
            "DROP TRIGGER IF EXISTS limit_usage_logs_keep_all",
            "DROP TRIGGER IF EXISTS limit_seals_keep_rows",
            "DROP TRIGGER IF EXISTS limit_seals_keep_all",
            "DROP TRIGGER IF EXISTS limit_checkpoints_keep_rows",
            "DROP TRIGGER IF EXISTS limit_checkpoints_keep_all",
        ] {
            app.run(trigger).await;
        }
    }
    app.change(sql, merchant).await;
}

async fn the_owner_can_only_add_to_log_and_seals(db: TestDb) {
    let on_postgres = db.backend() == Backend::Postgres;
    let app = App::start(db).await;
    sealed(&app).await;
    let mut changes = vec![
        "UPDATE limit_usage_logs SET amount = 1",
        "DELETE FROM limit_usage_logs",
        "UPDATE limit_seals SET through_seq = 9",
        "DELETE FROM limit_seals",
        "UPDATE limit_checkpoints SET seals = 9",
        "DELETE FROM limit_checkpoints",
    ];
    if on_postgres {
        changes.extend([
            "TRUNCATE limit_usage_logs",
            "TRUNCATE limit_usage_logs_2026_11",
            "TRUNCATE limit_seals",
            "TRUNCATE limit_checkpoints",
        ]);
    }
    for change in changes {
        let refused = app.run_as_owner(change).await.unwrap_err();
        let why = refused.internal_text().unwrap_or_default().to_owned();
        assert!(why.contains("never") || why.contains("permission denied"), "{change}: {why}");
    }
    assert_eq!(app.audit_all(&[]).await.findings, []);
}

async fn every_changed_column_is_found_with_its_row(db: TestDb) {
    let on_postgres = db.backend() == Backend::Postgres;
    let app = App::start(db).await;
    for change in [
        "UPDATE limit_usage_logs SET created_at = '2026-11-23T11:00:00+00:00' WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET action_type = 'reserve' WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET payment_no = 'p9' WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET order_no = '' WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET release_no = 'r' WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET amount = 21 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET currency = 'EUR' WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET counted_amount = 21 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET daily_used_before = 11 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET daily_used_after = 31 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET monthly_used_before = 11 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET monthly_used_after = 31 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET pending_before = 1 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET pending_after = 1 WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET success = FALSE WHERE merchant_id = $1 AND seq = 2",
        "UPDATE limit_usage_logs SET failure_reason = 'x' WHERE merchant_id = $1 AND seq = 2",
    ] {
        let merchant = sealed(&app).await;
        assert_eq!(app.audit(merchant).await, "");
        tamper(&app, on_postgres, change, merchant).await;
        let found = app.audit(merchant).await;
        assert!(found.contains("row 2 was changed after it was sealed"), "{change}: {found}");
    }
}

async fn a_cut_tail_is_found(db: TestDb) {
    let on_postgres = db.backend() == Backend::Postgres;
    let app = App::start(db).await;
    let merchant = sealed(&app).await;
    for cut in [
        "DELETE FROM limit_usage_logs WHERE merchant_id = $1 AND seq = 3",
        "DELETE FROM limit_payments WHERE merchant_id = $1 AND payment_no = 'p3'",
        "UPDATE merchant_limits SET seq = 2, daily_used = 30, monthly_used = 30 WHERE merchant_id = $1",
    ] {
        tamper(&app, on_postgres, cut, merchant).await;
    }
    assert_eq!(app.audit(merchant).await, "row 3 is missing, and was sealed");
    tamper(&app, on_postgres, "DELETE FROM limit_seals WHERE merchant_id = $1 AND from_seq = 3", merchant)
        .await;
    assert_eq!(app.audit(merchant).await, "", "a merchant alone looks as it did before");
    let found = app.audit_all(&[]).await.findings;
    assert_eq!(found[0].what, "checkpoint 2 counted 1 seals, and 0 are there");
}

async fn a_forged_chain_is_found(db: TestDb) {
    let on_postgres = db.backend() == Backend::Postgres;
    let app = App::start(db).await;
    let merchant = sealed(&app).await;
    // Edits a row and seals everything anew, by payops itself, with a key of the forger's own.
    for change in [
        "UPDATE limit_usage_logs SET order_no = 'o' WHERE merchant_id = $1 AND seq = 2",
        "DELETE FROM limit_seals WHERE merchant_id = $1",
        "DELETE FROM limit_checkpoints WHERE $1 = $1",
    ] {
        tamper(&app, on_postgres, change, merchant).await;
    }
    let forger = app.with_keys(keys(&[OTHER_KEY])).await;
    forger.limits.seal().await.unwrap();
    assert_eq!(forger.audit(merchant).await, "", "the forger's chain is sound in itself");
    assert!(app.audit(merchant).await.contains("which is not among PAYOPS_AUDIT_KEY"));
    let id = app.key_id();
    app.run(format!("UPDATE limit_seals SET key_id = '{id}'").leak()).await;
    let found = app.audit(merchant).await;
    assert_eq!(found, format!("the seal of rows 1 to 3 was not signed by key {id}, though it says so"));
}

async fn a_restored_older_state_is_found_by_a_kept_checkpoint(db: TestDb) {
    let on_postgres = db.backend() == Backend::Postgres;
    let app = App::start(db).await;
    let merchant = sealed(&app).await;
    let report = app.audit_all(&[]).await;
    assert_eq!((report.findings.len(), report.sealed_rows), (0, 3));
    let kept = report.checkpoint.unwrap();
    assert_eq!(app.audit_all(std::slice::from_ref(&kept)).await.findings, []);
    let forged = Checkpoint { hash: "00".repeat(32), ..kept.clone() };
    assert_eq!(app.audit_all(&[forged]).await.findings.len(), 2, "it differs, and was signed by nobody");
    for change in [
        "DELETE FROM limit_usage_logs WHERE merchant_id = $1 AND seq = 3",
        "DELETE FROM limit_payments WHERE merchant_id = $1 AND payment_no = 'p3'",
        "UPDATE merchant_limits SET seq = 2, daily_used = 30, monthly_used = 30 WHERE merchant_id = $1",
        "DELETE FROM limit_seals WHERE merchant_id = $1 AND from_seq = 3",
        "DELETE FROM limit_checkpoints WHERE number = 2 AND $1 = $1",
    ] {
        tamper(&app, on_postgres, change, merchant).await;
    }
    assert_eq!(app.audit_all(&[]).await.findings, [], "the database alone cannot know");
    let found = app.audit_all(std::slice::from_ref(&kept)).await.findings;
    assert!(
        found[0].what.contains("checkpoint 2 was kept elsewhere and is not in the database"),
        "{found:?}"
    );
    app.consume(merchant, "p4", 5).await;
    app.limits.seal().await.unwrap();
    let found = app.audit_all(&[kept]).await.findings;
    assert!(found[0].what.contains("checkpoint 2 is not the one that was kept elsewhere"), "{found:?}");
}

async fn keys_can_be_replaced(db: TestDb) {
    let app = App::start(db).await;
    let merchant = sealed(&app).await;
    let rotated = app.with_keys(keys(&[OTHER_KEY, SEALING_KEY])).await;
    rotated.consume(merchant, "p4", 1).await;
    rotated.limits.seal().await.unwrap();
    assert_eq!(rotated.audit_all(&[]).await.findings, []);
    assert_ne!(rotated.audit_all(&[]).await.checkpoint.unwrap().key_id, app.key_id());
    assert!(app.audit(merchant).await.contains("the seal of rows 4 to 4 is signed by key"));
}

async fn two_instances_seal_while_payments_go_on(db: TestDb) {
    let one = App::start(db).await;
    let two = one.another().await;
    let mut merchants = Vec::new();
    for _ in 0..4 {
        merchants.push(one.merchant(None, None, None).await);
    }
    for round in 0..5 {
        let payments = join_all(merchants.iter().flat_map(|merchant| {
            let one = &one;
            (0..10).map(move |number| async move {
                one.consume(*merchant, &format!("p{round}-{number}"), 1).await.status
            })
        }));
        let sealing = async { tokio::try_join!(one.limits.seal(), two.limits.seal(), two.limits.seal()) };
        let (statuses, sealed) = tokio::join!(payments, sealing);
        sealed.unwrap();
        assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    }
    one.limits.seal().await.unwrap();
    let report = one.audit_all(&[]).await;
    assert_eq!((report.findings, report.log_rows, report.sealed_rows), (vec![], 200, 200));
}

async fn seals_without_their_checkpoint_are_not_kept(db: TestDb) {
    let backend = db.backend();
    let app = App::start(db).await;
    let merchant = app.merchant(None, None, None).await;
    app.consume(merchant, "p1", 1).await;
    app.run(backend.pick(
        "CREATE TRIGGER crash BEFORE INSERT ON limit_checkpoints BEGIN SELECT RAISE(ABORT, 'crash'); END",
        "ALTER TABLE limit_checkpoints ADD CONSTRAINT crash CHECK (number < 1)",
    ))
    .await;
    app.limits.seal().await.unwrap_err();
    assert_eq!(app.audit_all(&[]).await.sealed_rows, 0);
    app.run(backend.pick("DROP TRIGGER crash", "ALTER TABLE limit_checkpoints DROP CONSTRAINT crash")).await;
    app.limits.seal().await.unwrap();
    let report = app.audit_all(&[]).await;
    assert_eq!((report.findings, report.sealed_rows), (vec![], 1));
}

async fn the_job_seals(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(None, None, None).await;
    app.consume(merchant, "p1", 1).await;
    app.set("2026-11-23T12:01:00Z");
    app.work().await;
    let report = app.audit_all(&[]).await;
    assert_eq!((report.findings, report.sealed_rows), (vec![], 1));
}
