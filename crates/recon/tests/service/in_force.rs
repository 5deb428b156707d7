//! Which file is in force for a day, and what starts the day again.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_sandbox::days::Variant;
use payops_sandbox::{Fault, FaultKind, FaultTarget, SummaryAbsence};
use serde_json::{Value, json};

use crate::files::{DATE, about, fetched_as, header, text, upload_day};
use crate::harness::{App, Gateway};
use crate::payouts::{CAME, both_days, hand_over, next_run, told, wires};

both_databases!(payops_recon::MIGRATIONS;
    a_fetch_that_is_refused_leaves_alone_what_another_fetch_of_the_same_row_brought,
    a_download_that_cannot_be_read_does_not_replace_one_with_rows,
    a_file_of_another_day_does_not_replace_one_of_the_day,
    a_statement_of_other_days_does_not_replace_one_that_tells_of_its_day,
    a_download_of_another_day_does_not_replace_one_of_the_day,
    a_balance_summary_that_comes_during_a_run_starts_the_day_again,
    a_balance_summary_that_is_fetched_during_a_run_starts_the_day_again,
    a_balance_summary_that_is_fetched_after_a_run_starts_the_day_again,
    a_run_without_a_balance_summary_is_not_started_again_by_an_older_one,
    a_correction_starts_a_failed_day_again,
    a_file_that_a_failed_day_lacked_starts_it_again,
    a_file_that_came_during_a_run_that_failed_starts_the_day_again,
    a_file_for_a_day_that_nobody_started_starts_nothing,
    what_was_restored_is_not_undone_by_the_next_download,
    downloaded_bytes_that_are_handed_over_stay_in_force,
    an_empty_file_is_restored_only_on_purpose,
    a_bank_statement_that_is_none_of_the_days_is_withdrawn_and_restored,
    whatever_comes_at_once_the_day_ends_with_what_is_in_force,
);

async fn file(app: &App, file_no: &Value) -> Value {
    app.get(&format!("/api/v1/reconciliation/settlement-files/{}", text(file_no))).await.data()
}

/// The one file in force of a role.
async fn in_force(app: &App, role: &str) -> Value {
    let path = format!("/api/v1/reconciliation/settlement-files?role={role}&status=stored");
    let files = app.get(&path).await.data();
    assert_eq!(files["total"], 1, "{files}");
    files["items"][0].clone()
}

/// The bytes of a settlement file, as they were taken in.
fn bytes_of(app: &App, file: &Value) -> Vec<u8> {
    let name = format!("settlement-{}", text(&file["file_hash"]));
    std::fs::read(app.files.path().join("stripe").join(DATE).join(name)).unwrap()
}

async fn act(app: &App, id: &str, verb: &str) {
    let answer = app.post(&format!("/api/v1/reconciliation/tasks/{id}/{verb}"), &json!({})).await;
    assert_eq!(answer.status, 202, "{:?}", answer.json());
}

async fn ended_run(app: &App, id: &str, run_no: i64) -> Value {
    app.until(id, |task| task["run_no"] == run_no && task["status"] != "processing").await
}

fn feed_row(number: u32, day: &str) -> String {
    format!(
        "{{\"payment_no\":\"P{number}\",\"channel_trade_no\":\"ch_{number}\",\"amount\":1000,\"currency\":\"USD\",\
         \"status\":\"succeeded\",\"created_at\":\"{day}T10:00:00Z\",\"merchant_id\":\"M1\"}}\n"
    )
}

async fn a_fetch_that_is_refused_leaves_alone_what_another_fetch_of_the_same_row_brought(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    app.sandbox.handle().set_variant(DATE.parse().unwrap(), Variant::Clean);
    // The run gets an empty page, and gets it late: a fetch that joined it has brought the day's rows by then.
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::TruncateRows { rows: 1_000_000 }));
    let asked = || {
        let requests = app.sandbox.handle().requests();
        requests.iter().filter(|request| request.path == "/internal/payments/reconciliation").count()
    };
    act(&app, id, "execute").await;
    app.until(id, |_| asked() == 2).await;
    let joined = fetched_as(&app, "platform").await;
    assert_eq!(joined["status"], "stored", "{joined}");
    // The run is refused, and what was brought meanwhile starts the day again.
    let again = ended_run(&app, id, 3).await;
    assert_eq!(again["status"], "completed", "{again}");
    assert_eq!(file(&app, &joined["file_no"]).await["status"], "stored");
    // So the next empty page has a file with rows to be held against.
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::TruncateRows { rows: 1_000_000 }));
    act(&app, id, "execute").await;
    assert_eq!(ended_run(&app, id, 4).await["error_code"], "EMPTY_REPLACEMENT");
    assert_eq!(file(&app, &joined["file_no"]).await["status"], "stored");
}

async fn a_download_that_cannot_be_read_does_not_replace_one_with_rows(db: TestDb) {
    let gateway = Gateway::start(&feed_row(1, DATE)).await;
    let app = App::start_with_gateway(db, &gateway).await;
    let task = app.reconcile(DATE).await;
    let (id, good) = (text(&task["id"]), in_force(&app, "platform").await);
    for (run_no, page) in [(2, "<html>Bad Gateway</html>\n".to_owned()), (3, "<p>oops</p>\n".repeat(200_000))]
    {
        gateway.turns_to(&page);
        act(&app, id, "execute").await;
        let failed = ended_run(&app, id, run_no).await;
        assert_eq!(failed["error_code"], "FILE_UNREADABLE", "{failed}");
        assert!(text(&failed["error_message"]).contains(text(&good["file_no"])), "{failed}");
        assert_eq!(in_force(&app, "platform").await["id"], good["id"]);
    }
    // One row that can be read is enough: how much is missing is for the verdict to say.
    gateway.turns_to(&format!("<html>\n{}", feed_row(2, DATE)));
    act(&app, id, "retry").await;
    let again = ended_run(&app, id, 4).await;
    assert_eq!((&again["status"], &again["verdict"]), (&json!("completed"), &json!("incomplete")));
}

async fn a_file_of_another_day_does_not_replace_one_of_the_day(db: TestDb) {
    let app = App::start(db).await;
    upload_day(&app, Variant::Seeded).await;
    let task = app.reconcile(DATE).await;
    let (platform, settlement) = app.day_files("2026-01-14", Variant::Seeded);
    for (kind, role, other) in
        [("settlement-files", "settlement", &settlement), ("platform-files", "platform", &platform)]
    {
        let good = in_force(&app, role).await;
        assert_eq!(good["day_record_count"], good["record_count"]);
        let refused = app.upload(kind, &about(DATE), other).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "FILE_OF_ANOTHER_DAY"), "{kind}");
        assert_eq!(refused.data()["file_no"], good["file_no"]);
        assert_eq!(in_force(&app, role).await["id"], good["id"]);
    }
    // Rows of other days among those of the day are usual.
    let (_, of_day) = app.day_files(DATE, Variant::Seeded);
    let late = [of_day.as_slice(), &settlement[header(&settlement).len()..]].concat();
    let mixed = app.upload("settlement-files", &about(DATE), &late).await.data();
    assert_eq!(mixed["outcome"], "correction", "{mixed}");
    assert!(mixed["file"]["day_record_count"].as_u64() < mixed["file"]["record_count"].as_u64(), "{mixed}");
    // Said on purpose, it is taken, and another one of its kind needs no word.
    let parts = [("channel", "stripe"), ("settlement_date", DATE), ("allow_other_day", "true")];
    let taken = app.upload("settlement-files", &parts, &settlement).await;
    assert_eq!(
        (taken.status, taken.data()["file"]["day_record_count"].clone()),
        (201, json!(0)),
        "{taken:?}"
    );
    let (_, next) = app.day_files("2026-01-14", Variant::Corrected);
    assert_eq!(app.upload("settlement-files", &about(DATE), &next).await.data()["outcome"], "correction");
    let rerun = app.until(text(&task["id"]), |task| task["status"] == "completed").await;
    assert!(rerun["run_no"].as_i64().unwrap() > 1);
}

async fn a_statement_of_other_days_does_not_replace_one_that_tells_of_its_day(db: TestDb) {
    let app = App::start(db).await;
    let parts = [("channel", "stripe"), ("settlement_date", "2026-01-31"), ("role", "bank_statement")];
    let february = wires(("0201", "0228"), &[("0203", "C", 5, "B4", "x")]);
    let refused = app.upload("settlement-files", &parts, &february).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "FILE_OF_ANOTHER_DAY"), "{refused:?}");
    let january = app.upload("settlement-files", &parts, &wires(("0116", "0131"), &[CAME])).await.data();
    assert_eq!(january["file"]["day_record_count"], 1, "{january}");
    let refused = app.upload("settlement-files", &parts, &february).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "FILE_OF_ANOTHER_DAY"), "{refused:?}");
    assert_eq!(refused.data()["file_no"], january["file"]["file_no"]);
    let on_purpose = [&parts[..], &[("allow_other_day", "true")]].concat();
    let taken = app.upload("settlement-files", &on_purpose, &february).await.data();
    assert_eq!(
        (&taken["outcome"], &taken["file"]["day_record_count"]),
        (&json!("correction"), &json!(0)),
        "{taken}"
    );
}

async fn a_download_of_another_day_does_not_replace_one_of_the_day(db: TestDb) {
    let gateway = Gateway::start(&feed_row(1, DATE)).await;
    let app = App::start_with_gateway(db, &gateway).await;
    let task = app.reconcile(DATE).await;
    let (id, good) = (text(&task["id"]), in_force(&app, "platform").await);
    assert_eq!(good["day_record_count"], 1);
    gateway.turns_to(&feed_row(2, "2026-01-15"));
    act(&app, id, "execute").await;
    let failed = ended_run(&app, id, 2).await;
    assert_eq!((&failed["status"], &failed["error_code"]), (&json!("failed"), &json!("FILE_OF_ANOTHER_DAY")));
    assert_eq!(in_force(&app, "platform").await["id"], good["id"]);
    gateway.turns_to(&(feed_row(2, "2026-01-15") + &feed_row(3, DATE)));
    act(&app, id, "retry").await;
    assert_eq!(ended_run(&app, id, 3).await["status"], "completed");
}

fn no_summary() -> Fault {
    Fault::once(FaultTarget::StripeCreate, FaultKind::NoSummary { mode: SummaryAbsence::Refuse })
}

async fn a_balance_summary_that_comes_during_a_run_starts_the_day_again(db: TestDb) {
    let app = App::start(db).await;
    app.fault(no_summary());
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    let id = app.begin(DATE).await;
    app.fetching(&id).await;
    let (date, channel) = (DATE.parse().unwrap(), "stripe".parse().unwrap());
    let day = app.sandbox.handle().day(date, channel, &payops_core::time::Zone::utc()).unwrap();
    let mut summary = Vec::new();
    payops_sandbox::write_balance_summary_csv(&day, &mut summary).unwrap();
    let parts = [("channel", "stripe"), ("settlement_date", DATE), ("role", "balance_summary")];
    let uploaded = app.upload("settlement-files", &parts, &summary).await.data();
    assert_eq!((&uploaded["outcome"], &uploaded["rerun_task_id"]), (&json!("new"), &Value::Null));
    let again = ended_run(&app, &id, 2).await;
    let report = app.report(&again).await;
    assert_eq!(report["summary"]["tie"]["proof"], "PROVEN");
    let runs: Vec<&Value> = report["runs"].as_array().unwrap().iter().map(|run| &run["run_no"]).collect();
    assert_eq!(runs, [1, 2]);
}

async fn a_balance_summary_that_is_fetched_during_a_run_starts_the_day_again(db: TestDb) {
    let app = App::start(db).await;
    app.fault(no_summary());
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    let id = app.begin(DATE).await;
    app.fetching(&id).await;
    assert_eq!(fetched_as(&app, "balance_summary").await["status"], "stored");
    let again = ended_run(&app, &id, 2).await;
    assert_eq!(app.report(&again).await["summary"]["tie"]["proof"], "PROVEN");
}

async fn a_balance_summary_that_is_fetched_after_a_run_starts_the_day_again(db: TestDb) {
    let app = App::start(db).await;
    app.fault(no_summary());
    let task = app.reconcile(DATE).await;
    assert_eq!(fetched_as(&app, "balance_summary").await["status"], "stored");
    let again = ended_run(&app, text(&task["id"]), 2).await;
    assert_eq!(app.report(&again).await["summary"]["tie"]["proof"], "PROVEN");
}

async fn a_run_without_a_balance_summary_is_not_started_again_by_an_older_one(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    app.sandbox.handle().set_variant(DATE.parse().unwrap(), Variant::Corrected);
    app.fault(no_summary().times(0));
    act(&app, id, "execute").await;
    let again = ended_run(&app, id, 2).await;
    assert_eq!(again["status"], "completed", "{again}");
    // The files of the run are corrections, and nothing came from outside: it is not started a third time.
    let report = app.report(&again).await;
    assert_eq!((&report["run_no"], &report["newer_run"]), (&json!(2), &Value::Null));
    assert_eq!(report["summary"]["tie"]["proof"], "NOT_PROVABLE");
}

async fn a_correction_starts_a_failed_day_again(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    let refused =
        || Fault::once(FaultTarget::GatewayFeed, FaultKind::Status { status: 403, retry_after: None });
    app.fault(refused());
    act(&app, id, "execute").await;
    assert_eq!(ended_run(&app, id, 2).await["status"], "failed");
    let (_, settlement) = app.day_files(DATE, Variant::Corrected);
    let uploaded = app.upload("settlement-files", &about(DATE), &settlement).await.data();
    assert_eq!((&uploaded["outcome"], &uploaded["rerun_task_id"]), (&json!("correction"), &task["id"]));
    assert_eq!(ended_run(&app, id, 3).await["status"], "completed");
}

async fn a_file_that_a_failed_day_lacked_starts_it_again(db: TestDb) {
    let app = App::start(db).await;
    let refused = FaultKind::Status { status: 403, retry_after: None };
    app.fault(Fault::once(FaultTarget::GatewayFeed, refused));
    let id = app.begin(DATE).await;
    assert_eq!(app.ended(&id).await["status"], "failed");
    let (platform, _) = app.day_files(DATE, Variant::Seeded);
    let uploaded = app.upload("platform-files", &about(DATE), &platform).await.data();
    assert_eq!((&uploaded["outcome"], &uploaded["rerun_task_id"]), (&json!("new"), &json!(id)));
    assert_eq!(ended_run(&app, &id, 2).await["status"], "completed");
}

async fn a_file_that_came_during_a_run_that_failed_starts_the_day_again(db: TestDb) {
    let app = App::start(db).await;
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::Slow { ms: 1500 }));
    let refused = FaultKind::Status { status: 403, retry_after: None };
    app.fault(Fault::once(FaultTarget::GatewayFeed, refused));
    let id = app.begin(DATE).await;
    app.fetching(&id).await;
    let (platform, _) = app.day_files(DATE, Variant::Seeded);
    let uploaded = app.upload("platform-files", &about(DATE), &platform).await.data();
    assert_eq!((&uploaded["outcome"], &uploaded["rerun_task_id"]), (&json!("new"), &Value::Null));
    let again = ended_run(&app, &id, 2).await;
    assert_eq!(again["status"], "completed", "{again}");
    let report = app.report(&again).await;
    assert!(report["files"].as_array().unwrap().iter().any(|used| used["id"] == uploaded["file"]["id"]));
}

async fn a_file_for_a_day_that_nobody_started_starts_nothing(db: TestDb) {
    let app = App::start(db).await;
    let wanted = json!({ "task_date": DATE, "channel": "stripe" });
    let task = app.post("/api/v1/reconciliation/tasks", &wanted).await.data();
    assert_eq!(upload_day(&app, Variant::Seeded).await["rerun_task_id"], Value::Null);
    let now = app.get(&format!("/api/v1/reconciliation/tasks/{}", text(&task["id"]))).await.data();
    assert_eq!((&now["status"], &now["run_no"]), (&json!("pending"), &json!(0)));
}

async fn what_was_restored_is_not_undone_by_the_next_download(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let (id, first) = (text(&task["id"]), in_force(&app, "settlement").await);
    app.sandbox.handle().set_variant(DATE.parse().unwrap(), Variant::Corrected);
    assert_eq!(fetched_as(&app, "settlement").await["status"], "stored");
    ended_run(&app, id, 2).await;
    let settlement = bytes_of(&app, &first);
    let parts = [("channel", "stripe"), ("settlement_date", DATE), ("restore", "true")];
    let restored = app.upload("settlement-files", &parts, &settlement).await.data();
    assert_eq!((&restored["outcome"], &restored["file"]["id"]), (&json!("correction"), &first["id"]));
    assert_eq!(restored["file"]["source"], "upload");
    ended_run(&app, id, 3).await;
    // The source still gives the other bytes.
    assert_eq!(fetched_as(&app, "settlement").await["status"], "duplicate");
    act(&app, id, "execute").await;
    ended_run(&app, id, 4).await;
    assert_eq!(in_force(&app, "settlement").await["id"], first["id"]);
}

async fn downloaded_bytes_that_are_handed_over_stay_in_force(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let (id, first) = (text(&task["id"]), in_force(&app, "settlement").await);
    assert_eq!(first["source"], "download");
    let settlement = bytes_of(&app, &first);
    let known = app.upload("settlement-files", &about(DATE), &settlement).await;
    assert_eq!((known.status, known.data()["outcome"].clone()), (200, json!("already_known")));
    assert_eq!(
        (&known.data()["file"]["source"], &known.data()["rerun_task_id"]),
        (&json!("upload"), &Value::Null)
    );
    app.sandbox.handle().set_variant(DATE.parse().unwrap(), Variant::Corrected);
    assert_eq!(fetched_as(&app, "settlement").await["status"], "superseded", "kept beside it");
    act(&app, id, "execute").await;
    assert_eq!(ended_run(&app, id, 2).await["status"], "completed");
    assert_eq!(in_force(&app, "settlement").await["id"], first["id"]);
}

async fn an_empty_file_is_restored_only_on_purpose(db: TestDb) {
    let app = App::start(db).await;
    let (_, settlement) = app.day_files(DATE, Variant::Seeded);
    let empty = app.upload("settlement-files", &about(DATE), header(&settlement)).await.data();
    assert_eq!(empty["outcome"], "new");
    let full = app.upload("settlement-files", &about(DATE), &settlement).await.data();
    let restore = [("channel", "stripe"), ("settlement_date", DATE), ("restore", "true")];
    let refused = app.upload("settlement-files", &restore, header(&settlement)).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "EMPTY_REPLACEMENT"));
    assert_eq!(in_force(&app, "settlement").await["id"], full["file"]["id"]);
    let on_purpose = [restore.as_slice(), &[("allow_empty", "true")]].concat();
    let restored = app.upload("settlement-files", &on_purpose, header(&settlement)).await.data();
    assert_eq!((&restored["outcome"], &restored["file"]["id"]), (&json!("correction"), &empty["file"]["id"]));
}

async fn whatever_comes_at_once_the_day_ends_with_what_is_in_force(db: TestDb) {
    let app = App::start(db).await;
    app.run_jobs();
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    let restore = [("channel", "stripe"), ("settlement_date", DATE), ("restore", "true")];
    let files = [Variant::Seeded, Variant::Corrected].map(|variant| app.day_files(DATE, variant).1);
    let execute = format!("/api/v1/reconciliation/tasks/{id}/execute");
    for round in 0..6 {
        let variant = if round % 2 == 0 { Variant::Corrected } else { Variant::Clean };
        app.sandbox.handle().set_variant(DATE.parse().unwrap(), variant);
        // At first the settlement file is fetched only, later people hand it over as well.
        let upload = async {
            if round > 2 {
                app.upload("settlement-files", &restore, &files[round % 2]).await;
            }
        };
        let nothing = json!({});
        let start = app.post(&execute, &nothing);
        let fetch = ["settlement", "platform", "balance_summary"].map(|role| fetched_as(&app, role));
        let [settlement, platform, summary] = fetch;
        tokio::join!(settlement, upload, platform, start, summary);
    }
    let settled = app.until(id, |task| matches!(task["status"].as_str(), Some("completed" | "failed"))).await;
    assert_eq!(settled["status"], "completed", "{settled}");
    let report = app.report(&settled).await;
    let used = report["files"].as_array().unwrap();
    assert_eq!(used.len(), 3, "{report}");
    for file in used {
        assert_eq!(in_force(&app, text(&file["role"])).await["id"], file["id"]);
    }
}

async fn a_bank_statement_that_is_none_of_the_days_is_withdrawn_and_restored(db: TestDb) {
    let app = App::start(db).await;
    let (_, day) = both_days(&app).await;
    let (ties, missing) = ((vec![], "ties"), (vec!["payout_missing"], "broken"));
    let is = async |day: &Value, wanted: &(Vec<&str>, &str)| {
        let (types, proof) = told(&app, day).await;
        assert_eq!(
            (&types, proof.as_str()),
            (&wanted.0.iter().map(|&name| name.to_owned()).collect(), wanted.1)
        );
    };
    let came = wires(("0116", "0131"), &[CAME]);
    let own = hand_over(&app, "settlement-files", "2026-01-31", "bank_statement", &came).await;
    let day = next_run(&app, &day).await;
    is(&day, &ties).await;
    let returned = wires(("0220", "0220"), &[("0220", "D", 941, "B1", "RETURN")]);
    let later = hand_over(&app, "settlement-files", "2026-02-20", "bank_statement", &returned).await;
    let day = next_run(&app, &day).await;
    is(&day, &missing).await;

    let path = |number: &Value| format!("/api/v1/reconciliation/settlement-files/{}/withdraw", text(number));
    let note = json!({ "note": "another company's" });
    let number = &later["file"]["file_no"];
    assert_eq!(app.post(&path(number), &json!({ "note": "" })).await.status, 400);
    assert_eq!(
        app.client.post(&path(number), &note).by(As::Merchant(uuid::Uuid::from_u128(7))).send().await.status,
        403
    );
    let withdrawn = app.post(&path(number), &note).await;
    assert_eq!(withdrawn.status, 200, "{:?}", withdrawn.json());
    let gone = withdrawn.data()["file"].clone();
    assert_eq!((&gone["status"], &gone["superseded_by"]), (&json!("superseded"), &Value::Null));
    assert!(text(&gone["error_message"]).ends_with(": another company's"), "{gone}");
    let day = next_run(&app, &day).await;
    is(&day, &ties).await;
    let again = app.post(&path(number), &note).await;
    assert_eq!((again.status, again.code()), (409, "FILE_NOT_IN_FORCE".to_owned()));

    // Without its own statement the day follows no payouts.
    let withdrawn = app.post(&path(&own["file"]["file_no"]), &note).await.data();
    let started = withdrawn["rerun_task_ids"].as_array().unwrap();
    assert!(started.contains(&day["id"]), "{withdrawn}");
    let day = next_run(&app, &day).await;
    assert_eq!((&day["verdict"], &day["payout_diff_count"]), (&json!("reconciled"), &Value::Null), "{day}");

    for (date, file) in [("2026-02-20", &returned), ("2026-01-31", &came)] {
        let parts = [("channel", "stripe"), ("settlement_date", date), ("role", "bank_statement")];
        let known = app.upload("settlement-files", &parts, file).await;
        assert_eq!((known.status, &known.data()["file"]["status"]), (200, &json!("superseded")));
        let restored =
            app.upload("settlement-files", &[&parts[..], &[("restore", "true")]].concat(), file).await;
        assert_eq!((restored.status, &restored.data()["file"]["error_message"]), (201, &Value::Null));
    }
    let day = next_run(&app, &day).await;
    is(&day, &missing).await;
    let settlement = in_force_of(&app, &day).await;
    let refused = app.post(&path(&settlement), &note).await;
    assert_eq!((refused.status, refused.code()), (422, "FILE_NOT_WITHDRAWABLE".to_owned()));
    assert_eq!(app.post(&path(&json!("BANK-stripe-20260101-0000")), &note).await.status, 404);
}

/// The number of a file of a task's day that is no bank statement.
async fn in_force_of(app: &App, task: &Value) -> Value {
    let path = format!(
        "/api/v1/reconciliation/settlement-files?role=settlement&settlement_date={}",
        text(&task["task_date"])
    );
    app.get(&path).await.data()["items"][0]["file_no"].clone()
}
