//! Files: handed over, fetched, delivered again, corrected.

use std::io::Write;

use futures::StreamExt;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::HttpLimits;
use payops_platform::http::testing::As;
use payops_sandbox::days::Variant;
use payops_sandbox::{Fault, FaultKind, FaultTarget};
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_recon::MIGRATIONS;
    uploaded_files_are_reconciled_as_they_are,
    a_redelivered_file_changes_nothing,
    an_upload_that_stalls_is_cut_and_leaves_nothing,
    a_day_has_one_task_however_its_zone_is_called,
    a_corrected_file_changes_only_what_it_corrects,
    a_day_fetched_again_follows_its_source,
    a_file_is_fetched_on_request,
    a_fetched_correction_starts_the_day_again,
    what_was_handed_over_stays_in_force_when_the_old_bytes_are_fetched_again,
    another_channel_needs_a_mapping_and_no_code,
    bad_uploads_are_refused_with_their_reason,
    a_correction_during_a_run_starts_the_day_again,
    what_is_handed_over_during_a_download_stays_in_force,
    an_old_file_is_put_in_force_again_when_asked_for,
    the_same_bytes_with_another_mapping_are_another_file,
    sums_beyond_64_bits_do_not_blind_the_overview,
    a_file_that_changed_on_disk_is_not_compared,
    a_file_that_is_gone_from_the_disk_is_named_and_the_same_bytes_heal_the_day,
    an_empty_file_does_not_replace_one_with_rows,
    an_empty_download_does_not_replace_one_with_rows,
    a_channels_file_needs_its_mapping,
    an_upload_that_breaks_off_leaves_nothing,
);

pub const DATE: &str = "2026-01-16";

pub fn about(date: &'static str) -> [(&'static str, &'static str); 2] {
    [("channel", "stripe"), ("settlement_date", date)]
}

pub async fn upload_day(app: &App, variant: Variant) -> Value {
    let (platform, settlement) = app.day_files(DATE, variant);
    let ours = app.upload("platform-files", &about(DATE), &platform).await;
    assert!(matches!(ours.status, 200 | 201), "{:?}", ours.json());
    let theirs = app.upload("settlement-files", &about(DATE), &settlement).await;
    assert!(matches!(theirs.status, 200 | 201), "{:?}", theirs.json());
    theirs.data()
}

async fn uploaded_files_are_reconciled_as_they_are(db: TestDb) {
    let app = App::start(db).await;
    let uploaded = upload_day(&app, Variant::Seeded).await;
    assert_eq!(uploaded["outcome"], "new");
    assert_eq!(uploaded["file"]["reject_count"], 0);
    let task = app.reconcile(DATE).await;
    let report = app.report(&task).await;
    let truth = app.truth(DATE);
    assert_eq!(report["summary"]["types"]["amount_diff"]["count"], truth["types"]["amount_diff"]["count"]);
    let files = report["files"].as_array().unwrap();
    let source = |role: &str| files.iter().find(|file| file["role"] == role).unwrap()["source"].clone();
    assert_eq!((source("settlement"), source("platform")), (json!("upload"), json!("upload")));
    // The balance summary was not handed over, so it is fetched, and the tie is proven with it.
    assert_eq!(source("balance_summary"), "download");
    assert_eq!(report["summary"]["tie"]["proof"], "PROVEN");
    let path = format!("/api/v1/reconciliation/settlement-files/{}", text(&uploaded["file"]["file_no"]));
    assert_eq!(
        app.get(&path).await.data()["file_name"],
        "../../etc/passwd",
        "kept as a word, never used as a path"
    );
}

async fn a_redelivered_file_changes_nothing(db: TestDb) {
    let app = App::start(db).await;
    upload_day(&app, Variant::Seeded).await;
    let task = app.reconcile(DATE).await;
    let before = app.records(text(&task["id"])).await;
    let again = upload_day(&app, Variant::Seeded).await;
    assert_eq!((&again["outcome"], &again["rerun_task_id"]), (&json!("already_known"), &Value::Null));
    let now = app.get(&format!("/api/v1/reconciliation/tasks/{}", text(&task["id"]))).await.data();
    assert_eq!(now["run_no"], 1);
    assert_eq!(before, app.records(text(&task["id"])).await);
    let files = app.get("/api/v1/reconciliation/settlement-files?role=settlement").await.data();
    assert_eq!(files["total"], 1);
}

async fn a_corrected_file_changes_only_what_it_corrects(db: TestDb) {
    let app = App::start(db).await;
    upload_day(&app, Variant::Seeded).await;
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    let before = app.records(id).await;
    for record in &before {
        let path = format!("/api/v1/reconciliation/records/{}/resolve", text(&record["id"]));
        app.post(&path, &json!({ "reason_code": "channel_corrected" })).await;
    }
    let corrected = upload_day(&app, Variant::Corrected).await;
    assert_eq!((&corrected["outcome"], &corrected["rerun_task_id"]), (&json!("correction"), &task["id"]));
    let again = app.until(id, |task| task["run_no"] == 2 && task["status"] == "completed").await;
    let after = app.records(id).await;
    let (kept, new): (Vec<&Value>, Vec<&Value>) =
        after.iter().partition(|record| before.iter().any(|old| old["id"] == record["id"]));
    assert!(!kept.is_empty() && !new.is_empty() && kept.len() < before.len());
    assert!(kept.iter().all(|record| record["status"] == "resolved"), "resolutions stand");
    assert!(new.iter().all(|record| record["status"] == "open"));
    // What the correction put right is hidden, and its history stands.
    let gone = before.iter().find(|old| after.iter().all(|record| record["id"] != old["id"])).unwrap();
    let gone = app.get(&format!("/api/v1/reconciliation/records/{}", text(&gone["id"]))).await.data();
    assert_eq!(gone["history"][1]["action"], "gone");
    let report = app.report(&again).await;
    let run = &report["runs"][1];
    assert_eq!(run["records_kept"], json!(kept.len()));
    assert_eq!(
        (&run["records_added"], &run["records_gone"]),
        (&json!(new.len()), &json!(before.len() - kept.len()))
    );
    // The old file handed over once more is known, and does not come back into force.
    assert_eq!(upload_day(&app, Variant::Seeded).await["outcome"], "already_known");
}

async fn a_day_fetched_again_follows_its_source(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    let before = app.records(id).await;
    let rerun = async |run: i64, variant| {
        app.sandbox.handle().set_variant(DATE.parse().unwrap(), variant);
        app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
        app.until(id, |task| task["run_no"] == run && task["status"] == "completed").await;
        app.records(id).await
    };
    let corrected = rerun(2, Variant::Corrected).await;
    assert_ne!(before, corrected);
    let back = rerun(3, Variant::Seeded).await;
    let ids = |records: &[Value]| records.iter().map(|record| record["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&before), ids(&back), "differences that return are the same records");
}

/// Asks for the day's settlement file and waits until it is there.
async fn fetched(app: &App) -> Value {
    fetched_as(app, "settlement").await
}

/// Asks for the day's file of a role and waits until it is there.
pub async fn fetched_as(app: &App, role: &str) -> Value {
    let wanted = json!({ "channel": "stripe", "settlement_date": DATE, "role": role });
    let asked = app.post("/api/v1/reconciliation/settlement-files/download", &wanted).await;
    assert_eq!(asked.status, 202, "{:?}", asked.json());
    let path = format!("/api/v1/reconciliation/settlement-files/{}", text(&asked.data()["file_no"]));
    let mut file = app.get(&path).await.data();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
    while file["status"] == "requested" && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        file = app.get(&path).await.data();
    }
    file
}

async fn a_fetched_correction_starts_the_day_again(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    assert_eq!(fetched(&app).await["status"], "duplicate", "the same bytes change nothing");
    let path = format!("/api/v1/reconciliation/tasks/{}", text(&task["id"]));
    assert_eq!(app.get(&path).await.data()["run_no"], 1);
    app.sandbox.handle().set_variant(DATE.parse().unwrap(), Variant::Corrected);
    assert_eq!(fetched(&app).await["status"], "stored");
    app.until(text(&task["id"]), |task| task["run_no"] == 2 && task["status"] == "completed").await;
}

async fn what_was_handed_over_stays_in_force_when_the_old_bytes_are_fetched_again(db: TestDb) {
    let app = App::start(db).await;
    app.reconcile(DATE).await;
    let (_, settlement) = app.day_files(DATE, Variant::Corrected);
    let uploaded = app.upload("settlement-files", &about(DATE), &settlement).await.data();
    assert_eq!(uploaded["outcome"], "correction");
    assert_eq!(fetched(&app).await["status"], "duplicate");
    let path = format!("/api/v1/reconciliation/settlement-files/{}", text(&uploaded["file"]["file_no"]));
    assert_eq!(app.get(&path).await.data()["status"], "stored");
}

async fn a_file_is_fetched_on_request(db: TestDb) {
    let app = App::start(db).await;
    let file = fetched(&app).await;
    assert_eq!(file["status"], "stored", "{file}");
    assert_eq!(text(&file["file_hash"]).len(), 64);
    let paypal = json!({ "channel": "paypal", "settlement_date": DATE });
    let refused = app.post("/api/v1/reconciliation/settlement-files/download", &paypal).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "CHANNEL_WITHOUT_DOWNLOAD"));
}

async fn another_channel_needs_a_mapping_and_no_code(db: TestDb) {
    let app = App::start(db).await;
    let about = [("channel", "adyen"), ("settlement_date", DATE), ("mapping", MAPPING)];
    let settlement = "Psp Reference,Amount,Currency,Type,Date\nA1,10.00,EUR,Settled,2026-01-16 10:00:00\n\
                      A2,5.00,EUR,Settled,2026-01-16 11:00:00\n";
    let uploaded = app.upload("settlement-files", &about, settlement.as_bytes()).await;
    assert_eq!(uploaded.status, 201, "{:?}", uploaded.json());
    let platform = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n\
                    P1,A1,1000,EUR,SUCCESS,2026-01-16T10:00:00Z,M1\n";
    app.upload("platform-files", &[("channel", "adyen"), ("settlement_date", DATE)], platform.as_bytes())
        .await;
    let created = app
        .post("/api/v1/reconciliation/tasks", &json!({ "task_date": DATE, "channel": "adyen" }))
        .await
        .data();
    app.post(&format!("/api/v1/reconciliation/tasks/{}/execute", text(&created["id"])), &json!({})).await;
    let task = app.ended(text(&created["id"])).await;
    assert_eq!((&task["verdict"], &task["matched_count"]), (&json!("differences"), &json!(1)), "{task}");
    assert_eq!((&task["currency"], &task["channel_amount"]), (&json!("EUR"), &json!(1500)));
}

/// The parts before the file, the file, and how it is answered.
type Upload<'a> = (&'a [(&'a str, &'a str)], &'a [u8], u16, &'a str);

async fn bad_uploads_are_refused_with_their_reason(db: TestDb) {
    let app = App::start(db).await;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&app.day_files(DATE, Variant::Seeded).1).unwrap();
    let packed = packed.finish().unwrap();
    let cut = &packed[..packed.len() / 2];
    let day = about(DATE);
    let cases: [Upload<'_>; 9] = [
        (&[("settlement_date", DATE)], b"x", 400, "INVALID_REQUEST"),
        (&[("channel", "stripe")], b"x", 400, "INVALID_REQUEST"),
        (&[("channel", "cash"), ("settlement_date", DATE)], b"x", 400, "INVALID_REQUEST"),
        (&[("channel", "stripe"), ("settlement_date", "16.01.2026")], b"x", 400, "INVALID_REQUEST"),
        (&[("channel", "stripe"), ("settlement_date", "2999-01-01")], b"x", 400, "INVALID_REQUEST"),
        (
            &[("channel", "stripe"), ("settlement_date", DATE), ("colour", "red")],
            b"x",
            400,
            "INVALID_REQUEST",
        ),
        (
            &[("channel", "adyen"), ("settlement_date", DATE), ("mapping", "= no toml")],
            b"x",
            400,
            "INVALID_REQUEST",
        ),
        (&day, b"", 422, "FILE_UNREADABLE"),
        (&day, b"a,b\n1,2\n", 422, "FILE_UNREADABLE"),
    ];
    for (parts, file, status, code) in cases {
        let answer = app.upload("settlement-files", parts, file).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{parts:?}: {:?}", answer.json());
    }
    // What can be unpacked of a cut file is kept and read; that it is cut is among its rejects.
    let answer = app.upload("settlement-files", &day, cut).await;
    assert_eq!(answer.status, 201, "{:?}", answer.json());
    assert_eq!(answer.data()["file"]["rejects"][0]["reason"], "truncated");
}

const MAPPING: &str = r#"
name = "adyen"
unit = "major"
[columns]
channel_trade_no = "Psp Reference"
row_id = "Psp Reference"
amount = "Amount"
currency = "Currency"
kind = "Type"
occurred_at = "Date"
[kind]
payment = ["Settled"]
"#;

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

async fn a_correction_during_a_run_starts_the_day_again(db: TestDb) {
    let app = App::start(db).await;
    upload_day(&app, Variant::Seeded).await;
    // The balance summary is the one part that is fetched: while it is slow, the correction comes.
    app.fault(Fault::once(FaultTarget::StripeDownload, FaultKind::Slow { ms: 1500 }));
    let id = app.begin(DATE).await;
    app.until(&id, |task| task["phase"] == "downloading").await;
    assert_eq!(upload_day(&app, Variant::Corrected).await["outcome"], "correction");
    let task = app.until(&id, |task| task["run_no"] == 2 && task["status"] == "completed").await;
    let report = app.report(&task).await;
    let settlement =
        report["files"].as_array().unwrap().iter().find(|file| file["role"] == "settlement").unwrap();
    assert_eq!(settlement["status"], "stored", "the file in force was compared");
}

async fn what_is_handed_over_during_a_download_stays_in_force(db: TestDb) {
    let app = App::start(db).await;
    app.fault(
        Fault::once(FaultTarget::StripeDownload, FaultKind::Slow { ms: 1500 }).for_report("balance_change"),
    );
    let id = app.begin(DATE).await;
    app.until(&id, |task| task["phase"] == "downloading").await;
    let (_, settlement) = app.day_files(DATE, Variant::Corrected);
    let uploaded = app.upload("settlement-files", &about(DATE), &settlement).await.data();
    let task = app.until(&id, |task| task["status"] == "completed").await;
    let path = format!("/api/v1/reconciliation/settlement-files/{}", text(&uploaded["file"]["file_no"]));
    assert_eq!(app.get(&path).await.data()["status"], "stored");
    let report = app.report(&task).await;
    let used = report["files"].as_array().unwrap().iter().find(|file| file["role"] == "settlement").unwrap();
    assert_eq!(used["id"], uploaded["file"]["id"]);
}

async fn an_old_file_is_put_in_force_again_when_asked_for(db: TestDb) {
    let app = App::start(db).await;
    upload_day(&app, Variant::Seeded).await;
    upload_day(&app, Variant::Corrected).await;
    let (_, settlement) = app.day_files(DATE, Variant::Seeded);
    let plain = app.upload("settlement-files", &about(DATE), &settlement).await.data();
    assert_eq!(
        (&plain["outcome"], &plain["file"]["status"]),
        (&json!("already_known"), &json!("superseded"))
    );
    let parts = [("channel", "stripe"), ("settlement_date", DATE), ("restore", "true")];
    let restored = app.upload("settlement-files", &parts, &settlement).await.data();
    assert_eq!((&restored["outcome"], &restored["file"]["status"]), (&json!("correction"), &json!("stored")));
}

async fn the_same_bytes_with_another_mapping_are_another_file(db: TestDb) {
    let app = App::start(db).await;
    let file = b"Psp Reference,Amount,Currency,Type,Date\nA1,10.00,EUR,Settled,2026-01-16 10:00:00\n";
    let wrong = MAPPING.replace("payment = ", "refund = ");
    for (mapping, outcome) in [(wrong.as_str(), "new"), (MAPPING, "correction"), (MAPPING, "already_known")] {
        let parts = [("channel", "adyen"), ("settlement_date", DATE), ("mapping", mapping)];
        let answer = app.upload("settlement-files", &parts, file).await;
        assert_eq!(answer.data()["outcome"], outcome, "{:?}", answer.json());
    }
}

async fn sums_beyond_64_bits_do_not_blind_the_overview(db: TestDb) {
    let app = App::start(db).await;
    let head = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id";
    let row = |n: u8| format!("P{n},ch_{n},{},USD,succeeded,2026-01-16T10:00:00Z,M1", i64::MAX);
    let platform = format!("{head}\n{}\n{}\n{}\n", row(1), row(2), row(3));
    assert_eq!(app.upload("platform-files", &about(DATE), platform.as_bytes()).await.status, 201);
    let task = app.reconcile(DATE).await;
    app.report(&task).await;
    let overview = app.get("/api/v1/reconciliation/summary?date_from=2026-01-16&date_to=2026-01-16").await;
    assert_eq!(overview.status, 200, "{:?}", overview.json());
    // serde_json's numbers end at 64 bits, so the text is looked at: it is exact.
    let body = String::from_utf8_lossy(&overview.body).into_owned();
    let amount =
        body.split("\"USD\",\"amount\":").nth(1).and_then(|rest| rest.split([',', '}']).next()).unwrap();
    assert!(amount.parse::<i128>().unwrap() >= i128::from(i64::MAX) * 3, "{amount}");
}

async fn a_file_that_changed_on_disk_is_not_compared(db: TestDb) {
    let app = App::start(db).await;
    let uploaded = upload_day(&app, Variant::Seeded).await;
    let hash = text(&uploaded["file"]["file_hash"]);
    let path = app.files.path().join("stripe").join(DATE).join(format!("settlement-{hash}"));
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let task = app.ended(&app.begin(DATE).await).await;
    assert_eq!((&task["status"], &task["error_code"]), (&json!("failed"), &json!("STORED_FILE_CHANGED")));
}

async fn a_file_that_is_gone_from_the_disk_is_named_and_the_same_bytes_heal_the_day(db: TestDb) {
    let app = App::start(db).await;
    let uploaded = upload_day(&app, Variant::Seeded).await;
    let hash = text(&uploaded["file"]["file_hash"]);
    let path = app.files.path().join("stripe").join(DATE).join(format!("settlement-{hash}"));
    std::fs::remove_file(&path).unwrap();
    let id = app.begin(DATE).await;
    let task = app.ended(&id).await;
    assert_eq!((&task["status"], &task["error_code"]), (&json!("failed"), &json!("STORED_FILE_MISSING")));
    assert!(text(&task["error_message"]).contains(text(&uploaded["file"]["file_no"])), "{task}");
    let (_, settlement) = app.day_files(DATE, Variant::Seeded);
    let again = app.upload("settlement-files", &about(DATE), &settlement).await.data();
    assert_eq!((&again["outcome"], &again["rerun_task_id"]), (&json!("already_known"), &json!(id)));
    let task = app.ended(&id).await;
    assert_eq!((&task["status"], &task["run_no"]), (&json!("completed"), &json!(2)), "{task}");
}

/// The first line of a file.
pub fn header(file: &[u8]) -> &[u8] {
    file.split_inclusive(|byte| *byte == b'\n').next().unwrap()
}

async fn an_empty_file_does_not_replace_one_with_rows(db: TestDb) {
    let app = App::start(db).await;
    upload_day(&app, Variant::Seeded).await;
    let task = app.reconcile(DATE).await;
    let (platform, settlement) = app.day_files(DATE, Variant::Seeded);
    for (kind, file) in [("settlement-files", &settlement), ("platform-files", &platform)] {
        let refused = app.upload(kind, &about(DATE), header(file)).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "EMPTY_REPLACEMENT"), "{kind}");
        let in_force =
            format!("/api/v1/reconciliation/settlement-files/{}", text(&refused.data()["file_no"]));
        let in_force = app.get(&in_force).await.data();
        assert_eq!((&in_force["status"], &in_force["source"]), (&json!("stored"), &json!("upload")));
    }
    let unchanged = app.get(&format!("/api/v1/reconciliation/tasks/{}", text(&task["id"]))).await.data();
    assert_eq!(unchanged["run_no"], 1, "nothing was started");
    // Said on purpose, it is taken.
    let parts = [("channel", "stripe"), ("settlement_date", DATE), ("allow_empty", "true")];
    let taken = app.upload("settlement-files", &parts, header(&settlement)).await;
    assert_eq!((taken.status, taken.data()["outcome"].clone()), (201, json!("correction")), "{taken:?}");
    app.until(text(&task["id"]), |task| task["run_no"] == 2 && task["status"] == "completed").await;
    // A day that begins without rows is a day, and rows may come later.
    let quiet = about("2026-01-15");
    let first = app.upload("settlement-files", &quiet, header(&settlement)).await;
    assert_eq!((first.status, first.data()["outcome"].clone()), (201, json!("new")));
    let later = app.upload("settlement-files", &quiet, &settlement).await;
    assert_eq!(later.data()["outcome"], "correction");
}

async fn an_empty_download_does_not_replace_one_with_rows(db: TestDb) {
    let app = App::start(db).await;
    let task = app.reconcile(DATE).await;
    let id = text(&task["id"]);
    let before = app.report(&task).await;
    app.fault(Fault::once(FaultTarget::GatewayFeed, FaultKind::TruncateRows { rows: 1_000_000 }));
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/execute"), &json!({})).await;
    let failed = app.until(id, |task| task["run_no"] == 2 && task["status"] != "processing").await;
    assert_eq!(
        (&failed["status"], &failed["error_code"]),
        (&json!("failed"), &json!("EMPTY_REPLACEMENT")),
        "{failed}"
    );
    let after = app.report(&task).await;
    assert_eq!((&after["summary"], &after["files"]), (&before["summary"], &before["files"]));
    let files = app.get("/api/v1/reconciliation/settlement-files?role=platform&status=failed").await.data();
    assert!(text(&files["items"][0]["error_message"]).contains("no rows"), "{files}");
    // The source is well again.
    app.post(&format!("/api/v1/reconciliation/tasks/{id}/retry"), &json!({})).await;
    let again = app.until(id, |task| task["run_no"] == 3 && task["status"] == "completed").await;
    assert_eq!(again["verdict"], task["verdict"]);
}

async fn a_channels_file_needs_its_mapping(db: TestDb) {
    let app = App::start(db).await;
    let (_, settlement) = app.day_files(DATE, Variant::Seeded);
    for channel in ["paypal", "alipay", "wechat", "adyen"] {
        let parts = [("channel", channel), ("settlement_date", DATE)];
        let refused = app.upload("settlement-files", &parts, &settlement).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, "mapping"), "{channel}");
        let parts = [("channel", channel), ("settlement_date", DATE), ("role", "balance_summary")];
        let refused = app.upload("settlement-files", &parts, b"x").await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, "role"), "{channel}");
    }
    let files = app.get("/api/v1/reconciliation/settlement-files").await.data();
    assert_eq!(files["total"], 0);
}

async fn an_upload_that_stalls_is_cut_and_leaves_nothing(db: TestDb) {
    let app = App::start(db).await;
    let body_idle = std::time::Duration::from_millis(300);
    let client = app.client_within(HttpLimits { body_idle, concurrency: 1, ..HttpLimits::default() });
    let post = || {
        let request = client.request(http::Method::POST, "/api/v1/reconciliation/settlement-files");
        request.by(As::Operator).header("content-type", "multipart/form-data; boundary=x")
    };
    let chunks = futures::stream::once(async move { Ok::<_, std::io::Error>(UNFINISHED) });
    let body = axum::body::Body::from_stream(chunks.chain(futures::stream::pending()));
    let sending = post().exchange(body);
    let answer = tokio::time::timeout(std::time::Duration::from_mins(1), sending).await.expect("it is cut");
    assert_eq!(answer.status(), 408);
    let answer = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["code"], "REQUEST_TIMEOUT");
    assert_eq!(std::fs::read_dir(app.files.path().join("incoming")).unwrap().count(), 0);
    // The one seat is free again.
    let files = client.get("/api/v1/reconciliation/settlement-files").by(As::Operator).send().await;
    assert_eq!((files.status, &files.data()["total"]), (200, &json!(0)));
}

const UNFINISHED: &str = "--x\r\nContent-Disposition: form-data; name=\"channel\"\r\n\r\nstripe\r\n\
    --x\r\nContent-Disposition: form-data; name=\"settlement_date\"\r\n\r\n2026-01-16\r\n\
    --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\nbalance_transaction_id,";

async fn an_upload_that_breaks_off_leaves_nothing(db: TestDb) {
    let app = App::start(db).await;
    let chunks = futures::stream::once(async move { Ok::<_, std::io::Error>(UNFINISHED) });
    let body = axum::body::Body::from_stream(chunks.chain(futures::stream::pending()));
    let client = app.client.clone();
    let sending = tokio::spawn(async move {
        let request = client.request(http::Method::POST, "/api/v1/reconciliation/settlement-files");
        let request = request.by(As::Operator).header("content-type", "multipart/form-data; boundary=x");
        request.exchange(body).await
    });
    let incoming = app.files.path().join("incoming");
    let received = || std::fs::read_dir(&incoming).unwrap().count();
    let until = async |wanted: usize| {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_mins(1);
        while received() != wanted {
            assert!(tokio::time::Instant::now() < deadline, "{} files, not {wanted}", received());
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    until(1).await;
    // What a server does when the client hangs up, and when its time is over.
    sending.abort();
    until(0).await;
}

async fn a_day_has_one_task_however_its_zone_is_called(db: TestDb) {
    use sea_orm::ConnectionTrait;
    let app = App::start(db).await;
    let task = |zone: &str| json!({ "task_date": DATE, "channel": "stripe", "task_type": "daily", "timezone": zone });
    let path = "/api/v1/reconciliation/tasks";
    let made = app.post(path, &task("US/Eastern")).await;
    assert_eq!((made.status, &made.data()["timezone"]), (201, &json!("America/New_York")));
    let second = app.post(path, &task("America/New_York")).await;
    assert_eq!(second.status, 409, "{:?}", second.json());
    // A row that was stored under the other name holds the day too.
    let db = app.db.db();
    let renamed = db.write("rename", |tx| {
        Box::pin(async move {
            let rename = tx.statement("UPDATE reconciliation_tasks SET timezone = 'US/Eastern'", []);
            tx.execute_raw(rename).await?;
            Ok(())
        })
    });
    renamed.await.unwrap();
    for zone in ["America/New_York", "US/Eastern"] {
        assert_eq!(app.post(path, &task(zone)).await.status, 409, "{zone}");
    }
    let unknown = app.post(path, &task("Etc/Unknown")).await;
    assert_eq!((unknown.status, unknown.fields().as_str()), (400, "timezone"));
}
