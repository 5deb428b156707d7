//! Statements and days that an earlier release has read, and statements that come in another order than their entries.

use std::path::PathBuf;

use chrono::TimeDelta;
use payops_core::time::Clock;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::jobs::{self, EnqueueOptions};
use payops_recon::jobs::CatchUp;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::harness::{App, HeldFile};
use crate::payouts::{
    CAME, Wire, account, bank_file, both_days, hand_over, next_run, run_no_of, third_day, told, wires,
};

both_databases!(payops_recon::MIGRATIONS;
    what_an_earlier_release_has_read_is_searched_once,
    what_a_killed_process_was_reading_is_read_by_another,
    a_statement_that_is_gone_says_so_and_keeps_nothing_else_from_being_read,
    an_earlier_statement_of_an_account_gives_way_to_the_later_one,
    a_statement_takes_the_place_at_once_of_one_that_an_earlier_release_has_read,
    a_statement_that_came_live_and_was_searched_starts_no_day_again,
    a_statement_with_what_a_reversal_names_starts_the_day_again_that_took_it_for_its_own,
    a_day_whose_run_failed_is_started_again_by_a_reversal_of_weeks_later,
    a_reversal_takes_back_once_and_what_undoes_it_brings_the_payout_back,
    a_gap_of_one_account_is_seen_once_it_is_known_whose_statements_they_are,
);

/// The statement of the days around [`crate::payouts::DAY`].
fn window() -> Vec<u8> {
    wires(("0116", "0131"), &[CAME])
}

/// What the bank has taken back of it, weeks later.
const RETURNED: Wire<'_> = ("0220", "D", 941, "B1", "RETURN");

async fn hand_over_statement(app: &App, date: &str, file: &[u8]) -> Value {
    hand_over(app, "settlement-files", date, "bank_statement", file).await["file"].clone()
}

async fn execute(app: &App, sql: &str) {
    let sql = sql.to_owned();
    let done = app.db.write("test", move |tx| {
        let sql = sql.clone();
        Box::pin(async move { Ok(tx.execute_unprepared(&sql).await.map(|_| ())?) })
    });
    done.await.unwrap();
}

async fn count(app: &App, sql: &str) -> i64 {
    let row = app.db.read().query_one_raw(app.db.backend().statement(sql, [])).await.unwrap();
    row.unwrap().try_get_by("counted").unwrap()
}

/// How many statements were read again.
async fn read_again(app: &App) -> i64 {
    let sql = "SELECT COUNT(*) AS counted FROM audit_log WHERE action = 'settlement_file.read_again'";
    count(app, sql).await
}

/// Makes of all that is stored what a release before the migrations left: with neither reversals nor deposits nor bank accounts. Nobody
/// works on jobs meanwhile, and those that wait are lost.
async fn as_before_the_migrations(app: &App) {
    for sql in [
        "DELETE FROM jobs",
        "DELETE FROM bank_reversals",
        "DELETE FROM reconciliation_deposits",
        "UPDATE channel_settlement_files SET bank_accounts = '', read_version = 0",
        "UPDATE reconciliation_tasks SET deposits_version = 0",
    ] {
        execute(app, sql).await;
    }
}

/// Lets a minute pass, and waits until all is done that is due by then.
async fn a_minute_later(app: &App) {
    // A clock that jumps ends leases.
    app.idle().await;
    after(app, TimeDelta::minutes(1)).await;
}

/// Lets time pass, and waits until all is done that is due by then.
async fn after(app: &App, time: TimeDelta) {
    app.clock.advance(time);
    let fired = async || {
        let sql = "SELECT COUNT(*) AS counted FROM schedules WHERE next_at <= $1";
        let sql = app.db.backend().statement(sql, [app.clock.now().into()]);
        let row = app.db.read().query_one_raw(sql).await.unwrap();
        row.unwrap().try_get_by::<i64, _>("counted").unwrap() == 0
    };
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while !fired().await {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    app.idle().await;
}

/// Has several instances look for what is due, at once.
async fn catch_up_at_once(app: &App) {
    app.run_jobs();
    let context = app.context().clone();
    let asked = app.db.write("test", move |tx| {
        let context = context.clone();
        Box::pin(async move {
            for _ in 0..3 {
                jobs::enqueue(tx, &context, &CatchUp {}, EnqueueOptions::default()).await?;
            }
            Ok(())
        })
    });
    asked.await.unwrap();
    app.idle().await;
}

async fn file_now(app: &App, file: &Value) -> Value {
    let number = file["file_no"].as_str().unwrap();
    app.get(&format!("/api/v1/reconciliation/settlement-files/{number}")).await.data()
}

/// Where the bytes of a statement lie.
fn path_of(app: &App, file: &Value) -> PathBuf {
    let text = |name: &str| file[name].as_str().unwrap();
    let name = format!("bank-statement-{}", text("file_hash"));
    app.files.path().join(text("channel")).join(text("settlement_date")).join(name)
}

fn missing() -> (Vec<String>, String) {
    (vec!["payout_missing".to_owned()], "broken".to_owned())
}

fn ties() -> (Vec<String>, String) {
    (Vec::new(), "ties".to_owned())
}

/// A day that ties, and a statement of weeks later that takes back what arrived, as an earlier release has left both.
async fn not_searched(app: &App) -> (Value, Vec<Value>) {
    let (_, day) = both_days(app).await;
    let first = hand_over_statement(app, "2026-01-31", &window()).await;
    let day = next_run(app, &day).await;
    app.idle().await;
    assert_eq!(told(app, &day).await, ties());
    app.stop_jobs().await;
    let later = hand_over_statement(app, "2026-02-20", &wires(("0220", "0220"), &[RETURNED])).await;
    as_before_the_migrations(app).await;
    app.run_jobs();
    (day, vec![first, later])
}

async fn what_an_earlier_release_has_read_is_searched_once(db: TestDb) {
    let app = App::start(db).await;
    let (day, files) = not_searched(&app).await;
    app.idle().await;
    assert_eq!(run_no_of(&app, &day).await, day["run_no"], "nothing tells it");
    catch_up_at_once(&app).await;
    let seen = next_run(&app, &day).await;
    assert_eq!(told(&app, &seen).await, missing());
    assert_eq!(seen["run_no"], day["run_no"].as_i64().unwrap() + 1);
    for file in &files {
        let now = file_now(&app, file).await;
        assert_eq!((&now["status"], &now["bank_accounts"]), (&json!("stored"), &json!("1234 USD")), "{now}");
    }
    assert_eq!(read_again(&app).await, 2, "each by one of them");
    app.keep_schedules().await;
    a_minute_later(&app).await;
    assert_eq!((read_again(&app).await, run_no_of(&app, &day).await), (2, seen["run_no"].clone()));
    // What is corrected is corrected in its place.
    let corrected = wires(("0220", "0220"), &[("0220", "D", 77, "B5", "rent")]);
    hand_over_statement(&app, "2026-02-20", &corrected).await;
    assert_eq!(file_now(&app, &files[1]).await["status"], "superseded");
    let day = next_run(&app, &seen).await;
    assert_eq!(told(&app, &day).await, ties());
}

async fn what_a_killed_process_was_reading_is_read_by_another(db: TestDb) {
    let app = App::start(db).await;
    let (day, files) = not_searched(&app).await;
    app.idle().await;
    app.keep_schedules().await;
    let held = HeldFile::new(path_of(&app, &files[1]));
    app.clock.advance(TimeDelta::minutes(1));
    held.while_it_is_read(app.crash()).await;
    app.run_jobs();
    // Its lease runs out, and what it has taken is taken by nobody for an hour.
    after(&app, TimeDelta::minutes(5)).await;
    assert_eq!((read_again(&app).await, run_no_of(&app, &day).await), (1, day["run_no"].clone()));
    after(&app, TimeDelta::hours(1)).await;
    let day = next_run(&app, &day).await;
    assert_eq!((read_again(&app).await, told(&app, &day).await), (2, missing()));
}

async fn a_statement_that_is_gone_says_so_and_keeps_nothing_else_from_being_read(db: TestDb) {
    let app = App::start(db).await;
    let (day, files) = not_searched(&app).await;
    app.idle().await;
    let gone = wires(("0201", "0203"), &[("0202", "C", 5, "B4", "x")]);
    let gone = hand_over_statement(&app, "2026-02-03", &gone).await;
    app.idle().await;
    as_before_the_migrations(&app).await;
    let (path, aside) = (path_of(&app, &files[0]), app.files.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    std::fs::remove_file(path_of(&app, &gone)).unwrap();
    app.keep_schedules().await;
    a_minute_later(&app).await;
    assert_eq!(read_again(&app).await, 1);
    for file in [&files[0], &gone] {
        let now = file_now(&app, file).await;
        let why = now["error_message"].as_str().unwrap();
        assert!(why.contains("no longer in the folder of files"), "{why}");
        assert_eq!(now["status"], "stored");
    }
    // The day's own statement is not there, so nobody knows what it rests on.
    let path = format!("/api/v1/reconciliation/tasks/{}", day["id"].as_str().unwrap());
    let now = app.get(&path).await.data();
    assert!(now["status_message"].as_str().unwrap().contains("could not be read again"), "{now}");
    assert_eq!((&now["status"], &now["version"]), (&day["status"], &day["version"]));
    a_minute_later(&app).await;
    assert_eq!(run_no_of(&app, &day).await, day["run_no"]);

    std::fs::rename(&aside, path_of(&app, &files[0])).unwrap();
    after(&app, TimeDelta::days(1)).await;
    let day = next_run(&app, &day).await;
    assert_eq!((told(&app, &day).await, &day["status_message"]), (missing(), &Value::Null));
    assert_eq!(file_now(&app, &files[0]).await["error_message"], Value::Null);
    assert!(file_now(&app, &gone).await["error_message"].is_string());
}

async fn an_earlier_statement_of_an_account_gives_way_to_the_later_one(db: TestDb) {
    let app = App::start(db).await;
    let wrong = hand_over_statement(&app, "2026-01-31", &wires(("0116", "0131"), &[])).await;
    let other = hand_over_statement(&app, "2026-02-20", &wires(("0220", "0220"), &[RETURNED])).await;
    app.idle().await;
    as_before_the_migrations(&app).await;
    // A release that did not know them by their accounts put a correction of the first beside it, and the second once more.
    execute(&app, "UPDATE channel_settlement_files SET read_version = 1").await;
    let right = hand_over_statement(&app, "2026-01-31", &window()).await;
    let again = hand_over_statement(&app, "2026-02-20", &wires(("0220", "0220"), &[RETURNED])).await;
    execute(&app, "UPDATE channel_settlement_files SET read_version = 0").await;
    app.keep_schedules().await;
    a_minute_later(&app).await;
    let (wrong, other) = (file_now(&app, &wrong).await, file_now(&app, &other).await);
    assert_eq!((&wrong["status"], &wrong["superseded_by"]), (&json!("superseded"), &right["id"]));
    assert_eq!((&other["status"], &other["same_as"]), (&json!("duplicate"), &again["id"]));
    for file in [&right, &again] {
        assert_eq!(file_now(&app, file).await["status"], "stored");
    }
}

async fn a_statement_takes_the_place_at_once_of_one_that_an_earlier_release_has_read(db: TestDb) {
    let app = App::start(db).await;
    let wrong = hand_over_statement(&app, "2026-01-31", &wires(("0116", "0131"), &[])).await;
    let window = hand_over_statement(&app, "2026-01-31", &window()).await;
    let other = hand_over_statement(&app, "2026-02-20", &wires(("0220", "0220"), &[RETURNED])).await;
    app.idle().await;
    as_before_the_migrations(&app).await;
    let parts = |date| [("channel", "stripe"), ("settlement_date", date), ("role", "bank_statement")];
    let refused = app.upload("settlement-files", &parts("2026-01-31"), &wires(("0117", "0131"), &[])).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "EMPTY_REPLACEMENT"), "{refused:?}");
    assert_eq!(refused.data()["file_no"], window["file_no"]);
    let corrected = wires(("0116", "0131"), &[CAME, ("0120", "C", 5, "B7", "x")]);
    let right = hand_over_statement(&app, "2026-01-31", &corrected).await;
    let returned = wires(("0220", "0220"), &[RETURNED]);
    let again = app.upload("settlement-files", &parts("2026-02-20"), &returned).await.data();
    let window = file_now(&app, &window).await;
    assert_eq!((&window["status"], &window["superseded_by"]), (&json!("superseded"), &right["id"]));
    assert_eq!((&again["outcome"], &again["file"]["id"]), (&json!("already_known"), &other["id"]), "{again}");
    assert_eq!(file_now(&app, &wrong).await["status"], "superseded");
}

async fn a_statement_that_came_live_and_was_searched_starts_no_day_again(db: TestDb) {
    let app = App::start(db).await;
    let (day, _) = not_searched(&app).await;
    // Once more with other bytes: it is searched as it comes, and the day is not known to rest on it.
    let live = wires(("0220", "0220"), &[RETURNED, ("0220", "C", 5, "B6", "x")]);
    hand_over_statement(&app, "2026-02-20", &live).await;
    app.idle().await;
    app.keep_schedules().await;
    a_minute_later(&app).await;
    let seen = next_run(&app, &day).await;
    a_minute_later(&app).await;
    let run_no = day["run_no"].as_i64().unwrap() + 1;
    assert_eq!((told(&app, &seen).await, run_no_of(&app, &day).await), (missing(), json!(run_no)));
}

async fn a_statement_with_what_a_reversal_names_starts_the_day_again_that_took_it_for_its_own(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let third = third_day(&app).await;
    // One reversal stands in the statement of the day itself, one in a later one.
    let came = [CAME, ("0120", "C", 1100, "B2", "STRIPE PO THIRD 0003"), ("0121", "RC", 941, "B8", "storno")];
    hand_over_statement(&app, "2026-01-31", &wires(("0116", "0131"), &came)).await;
    hand_over_statement(
        &app,
        "2026-02-20",
        &wires(("0220", "0220"), &[("0220", "RC", 1100, "B9", "storno")]),
    )
    .await;
    app.idle().await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    assert_eq!((told(&app, &day).await, told(&app, &third).await), (missing(), missing()));
    // What they name was booked before.
    let customers = [("0107", "C", 941, "B8", "customer"), ("0108", "C", 1100, "B9", "customer")];
    hand_over_statement(&app, "2026-01-10", &wires(("0105", "0110"), &customers)).await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    assert_eq!((told(&app, &day).await, told(&app, &third).await), (ties(), ties()));
}

async fn a_day_whose_run_failed_is_started_again_by_a_reversal_of_weeks_later(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let statement = hand_over_statement(&app, "2026-01-31", &window()).await;
    let day = next_run(&app, &day).await;
    let (path, aside) = (path_of(&app, &statement), app.files.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    let id = day["id"].as_str().unwrap();
    let started = app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    assert_eq!(started.status, 202, "{:?}", started.json());
    let failed = app.ended(id).await;
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!("STORED_FILE_MISSING")));
    std::fs::rename(&aside, &path).unwrap();
    hand_over_statement(&app, "2026-02-20", &wires(("0220", "0220"), &[RETURNED])).await;
    let day = next_run(&app, &failed).await;
    assert_eq!(told(&app, &day).await, missing());
}

async fn a_reversal_takes_back_once_and_what_undoes_it_brings_the_payout_back(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let third = third_day(&app).await;
    // Two reversals of one entry, and another entry of the same amount.
    let came =
        [CAME, ("0120", "C", 1100, "B2", "STRIPE PO THIRD 0003"), ("0121", "C", 941, "B3", "customer")];
    hand_over_statement(&app, "2026-01-31", &wires(("0116", "0131"), &came)).await;
    let returned = ("0220", "RC", 1100, "B2", "storno");
    hand_over_statement(&app, "2026-02-20", &wires(("0220", "0220"), &[returned])).await;
    app.idle().await;
    let again = [("0225", "RC", 1100, "B2", "storno"), ("0225", "RC", 941, "B3", "storno")];
    hand_over_statement(&app, "2026-02-25", &wires(("0225", "0225"), &again)).await;
    hand_over_statement(&app, "2026-02-27", &wires(("0227", "0227"), &[("0227", "RC", 941, "B3", "storno")]))
        .await;
    app.idle().await;
    let (day, third) = (next_run(&app, &day).await, next_run(&app, &third).await);
    assert_eq!((told(&app, &day).await, told(&app, &third).await), (ties(), missing()));
    // The second was wrong, and then the first was too.
    for date in ["0301", "0302"] {
        let undone = [(date, "RD", 1100, "B2", "storno of the storno")];
        let of = format!("2026-03-{}", &date[2..]);
        hand_over_statement(&app, &of, &wires((date, date), &undone)).await;
        app.idle().await;
    }
    let third = next_run(&app, &third).await;
    assert_eq!(told(&app, &third).await, ties());
}

async fn a_gap_of_one_account_is_seen_once_it_is_known_whose_statements_they_are(db: TestDb) {
    let app = App::start(db).await;
    let (_, mut day) = both_days(&app).await;
    for (date, currency, days) in
        [("2026-01-24", "EUR", (15, 24)), ("2026-01-17", "USD", (15, 17)), ("2026-01-27", "USD", (25, 27))]
    {
        let file = bank_file(&[account(currency, 2, "2026-01", days, &[(5, days.1, "rent")])]);
        hand_over_statement(&app, date, &file).await;
        day = next_run(&app, &day).await;
    }
    assert_eq!(day["verdict"], "not_provable", "{day}");

    // As long as it is not known, the euros tell of the days that the dollars lack.
    app.stop_jobs().await;
    as_before_the_migrations(&app).await;
    app.run_jobs();
    let id = day["id"].as_str().unwrap();
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let day = next_run(&app, &day).await;
    assert_eq!(day["verdict"], "reconciled", "{day}");
    app.idle().await;
    catch_up_at_once(&app).await;
    assert_eq!(next_run(&app, &day).await["verdict"], "not_provable");
}
