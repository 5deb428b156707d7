//! Evidence in a bucket, at a server that speaks S3.

use std::sync::Arc;

use bytes::Bytes;
use chrono::TimeDelta;
use payops_core::random::{SeededRandom, SystemRandom};
use payops_disputes::{DisputeKeys, Files};
use payops_platform::both_databases;
use payops_platform::config::{Bucket, FilePlace};
use payops_platform::db::testing::TestDb;
use payops_platform::error::{Error, ErrorKind};
use payops_platform::vault::DataKey;
use payops_sandbox::{DEFAULT_STRIPE_API_KEY, DisputeStatus};
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::evidence::pdf;
use crate::harness::App;
use crate::s3::S3;

both_databases!(payops_disputes::MIGRATIONS;
    evidence_in_a_bucket_is_given_back_and_sent,
    while_the_bucket_is_away_nothing_is_written_and_nothing_lost,
    an_answer_waits_for_the_bucket_and_is_sent,
    what_was_staged_is_sent_where_the_bucket_stays_away,
);

const DISPUTE: &str = "0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b";

/// The keys of one dispute, the same whenever they are asked for.
fn keys() -> DisputeKeys {
    let key = DataKey::draw(&SeededRandom::new(1));
    DisputeKeys::none(DISPUTE.parse().unwrap(), Arc::new(SystemRandom)).with(Some(key))
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[tokio::test]
async fn what_is_put_into_a_bucket_is_got_out_of_it() {
    let root = tempfile::tempdir().unwrap();
    let s3 = S3::start(root.path()).await;
    let files = Files::open(&s3.place()).unwrap();
    for content in [Bytes::from_static(b"a receipt"), Bytes::from(vec![7; 5_000_000])] {
        let kept = files.put(&keys(), content.clone()).await.unwrap();
        assert_eq!(kept, sha256(&content));
        assert_eq!(files.put(&keys(), content.clone()).await.unwrap(), kept, "the same bytes again");
        let stored = std::fs::read(s3.path_of(DISPUTE, &kept)).unwrap();
        assert!(stored.len() > content.len() && stored[stored.len() - content.len()..] != content, "sealed");
        assert_eq!(files.get(&keys(), &kept).await.unwrap(), content);
    }
    let kept = sha256(b"a receipt");
    std::fs::write(s3.path_of(DISPUTE, &kept), "another receipt").unwrap();
    let altered = files.get(&keys(), &kept).await.unwrap_err();
    std::fs::remove_file(s3.path_of(DISPUTE, &kept)).unwrap();
    for missing in [altered, files.get(&keys(), &kept).await.unwrap_err()] {
        assert_eq!(missing.code(), "EVIDENCE_FILE_MISSING", "{missing:?}");
        assert!(missing.to_string().contains(&kept));
    }
    assert_eq!(files.put(&keys(), Bytes::from_static(b"a receipt")).await.unwrap(), kept);
    assert_eq!(files.get(&keys(), &kept).await.unwrap(), "a receipt", "attached again, it is there");
}

/// A failure that another try may mend, with what the log says of it.
fn unavailable(error: &Error) -> String {
    assert_eq!((error.kind(), error.code()), (ErrorKind::Unavailable, "UNAVAILABLE"), "{error:?}");
    assert!(error.retry_after().is_some());
    error.internal_text().unwrap().to_owned()
}

#[tokio::test]
async fn a_key_or_a_bucket_that_is_wrong_is_named_by_its_setting() {
    let root = tempfile::tempdir().unwrap();
    let s3 = S3::start(root.path()).await;
    let kept =
        Files::open(&s3.place()).unwrap().put(&keys(), Bytes::from_static(b"a receipt")).await.unwrap();
    let wrong_key = Bucket { secret_access_key: "unspoken".into(), ..s3.bucket.clone() };
    let unknown_key = Bucket { access_key_id: "somebody".to_owned(), ..s3.bucket.clone() };
    for bucket in [wrong_key, unknown_key] {
        let files = Files::open(&FilePlace::Bucket(bucket)).unwrap();
        let put = files.put(&keys(), Bytes::from_static(b"an invoice")).await.unwrap_err();
        for refused in [put, files.get(&keys(), &kept).await.unwrap_err()] {
            let said = unavailable(&refused);
            assert!(
                said.contains("check PAYOPS_EVIDENCE_S3_ACCESS_KEY_ID") && said.contains("403"),
                "{said}"
            );
            assert!(!said.contains("unspoken"), "{said}");
        }
    }
    let elsewhere = Bucket { name: "elsewhere".to_owned(), ..s3.bucket.clone() };
    let files = Files::open(&FilePlace::Bucket(elsewhere)).unwrap();
    let put = files.put(&keys(), Bytes::from_static(b"a receipt")).await.unwrap_err();
    for refused in [put, files.get(&keys(), &kept).await.unwrap_err()] {
        let said = unavailable(&refused);
        assert!(said.contains("set PAYOPS_EVIDENCE_S3_BUCKET to another one"), "no file is lost: {said}");
    }
}

#[tokio::test]
async fn a_bucket_that_is_away_for_long_is_said_and_for_a_moment_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let s3 = S3::start(root.path()).await;
    let files = Files::open(&s3.place()).unwrap();
    let kept = files.put(&keys(), Bytes::from_static(b"a receipt")).await.unwrap();
    s3.go_away();
    let keys_of = keys();
    let put = files.put(&keys_of, Bytes::from_static(b"an invoice"));
    let (put, get) = tokio::join!(put, files.get(&keys_of, &kept));
    let said = [unavailable(&put.unwrap_err()), unavailable(&get.unwrap_err())];
    assert!(said.iter().all(|said| said.contains("evidence files") && said.contains("retries")), "{said:?}");
    let mut turned_away = s3.turned_away();
    let waiting = tokio::spawn({
        let files = files.clone();
        async move { files.put(&keys(), Bytes::from_static(b"an invoice")).await }
    });
    turned_away.changed().await.unwrap();
    s3.come_back();
    let invoice = waiting.await.unwrap().unwrap();
    assert_eq!(files.get(&keys(), &invoice).await.unwrap(), "an invoice");
    assert_eq!(files.get(&keys(), &kept).await.unwrap(), "a receipt");
}

async fn start(db: TestDb) -> (App, S3) {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(folder.path()).await;
    let place = s3.place();
    (App::start_on(db, folder, &place, |_| {}, |_| {}).await, s3)
}

/// What Stripe has as the file of `field` of a dispute.
async fn stripes_file(app: &App, stripes: &str, field: &str) -> Bytes {
    let dispute = app.sandbox.handle().dispute(stripes).unwrap();
    let file = dispute["evidence"][field].as_str().unwrap();
    let url = format!("{}/v1/files/{file}/contents", app.sandbox.base_url());
    let answer = reqwest::Client::new().get(url).bearer_auth(DEFAULT_STRIPE_API_KEY).send().await.unwrap();
    assert!(answer.status().is_success());
    answer.bytes().await.unwrap()
}

async fn evidence_in_a_bucket_is_given_back_and_sent(db: TestDb) {
    let (app, s3) = start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    let receipt = pdf(2);
    let added = app.attach(&id, "receipt", "receipt.pdf", &receipt).await;
    assert_eq!((added.status, &added.data()["sha256"]), (201, &json!(sha256(&receipt))));
    assert_ne!(std::fs::read(s3.path_of(&id, &sha256(&receipt))).unwrap(), receipt, "it is sealed");
    let content = app.content(&added.data()["id"]).await;
    assert_eq!((content.status, &content.body[..]), (200, &receipt[..]));
    app.ordered(&id, &json!({})).await;
    app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!(app.counted(&stripes), 1);
    assert_eq!(stripes_file(&app, &stripes, "receipt").await, receipt);
    let printed = app.get(&format!("/api/v1/disputes/{id}/packet?format=pdf")).await;
    assert_eq!((printed.status, printed.header("content-type")), (200, "application/pdf"));
}

async fn while_the_bucket_is_away_nothing_is_written_and_nothing_lost(db: TestDb) {
    let (app, s3) = start(db).await;
    let (_, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    let (receipt, letter) = (pdf(1), pdf(3));
    let kept = app.attach(&id, "receipt", "receipt.pdf", &receipt).await.data()["id"].clone();
    let (evidence, story) = (app.evidence(&id).await, app.story(&id).await);
    s3.go_away();
    let now = json!({});
    let (uploaded, read, ordered) = tokio::join!(
        app.attach(&id, "communication", "letter.pdf", &letter),
        app.content(&kept),
        app.submit(&id, &now),
    );
    for refused in [uploaded, read, ordered] {
        assert_eq!((refused.status, refused.code().as_str()), (503, "UNAVAILABLE"), "{:?}", refused.json());
        assert_eq!(refused.header("retry-after"), "30");
    }
    assert_eq!((app.evidence(&id).await, app.story(&id).await), (evidence, story), "nothing is written");
    let submissions = app.get(&format!("/api/v1/disputes/{id}/submissions")).await.data();
    assert_eq!(submissions, json!([]));
    s3.come_back();
    assert_eq!(&app.content(&kept).await.body[..], &receipt[..]);
    let added = app.attach(&id, "communication", "letter.pdf", &letter).await;
    assert_eq!(added.status, 201, "{:?}", added.json());
    assert_eq!(&app.content(&added.data()["id"]).await.body[..], &letter[..]);
}

/// How often the one submission had to wait after a failure.
async fn delays(app: &App) -> i32 {
    let db = app.context().db.read();
    let statement =
        sea_orm::Statement::from_string(db.get_database_backend(), "SELECT delays FROM submissions");
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get("", "delays").unwrap()
}

/// An answer that is due while the bucket is away, with evidence that came after it was staged; gives Stripe's id, ours, and
/// what came.
async fn due_with_the_bucket_away(app: &App, s3: &S3) -> (String, String, Vec<u8>) {
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.attach(&id, "receipt", "receipt.pdf", &pdf(1)).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    let letter = pdf(3);
    app.attach(&id, "communication", "letter.pdf", &letter).await;
    s3.go_away();
    app.to_deadline(&stripes, TimeDelta::hours(5));
    app.until_true(async || match delays(app).await {
        0 => Err(json!("it has not been tried")),
        _ => Ok(()),
    })
    .await;
    (stripes, id, letter)
}

async fn an_answer_waits_for_the_bucket_and_is_sent(db: TestDb) {
    let (app, s3) = start(db).await;
    let (stripes, id, letter) = due_with_the_bucket_away(&app, &s3).await;
    let waiting = app.until_submission(&id, |_| true).await;
    assert_eq!((&waiting["state"], app.counted(&stripes)), (&json!("held"), Value::from(0)));
    s3.come_back();
    app.advance(TimeDelta::minutes(30));
    app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!(app.counted(&stripes), 1);
    assert_eq!(stripes_file(&app, &stripes, "customer_communication").await, letter);
}

async fn what_was_staged_is_sent_where_the_bucket_stays_away(db: TestDb) {
    let (app, s3) = start(db).await;
    let (stripes, id, _) = due_with_the_bucket_away(&app, &s3).await;
    app.to_deadline(&stripes, TimeDelta::minutes(20));
    app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!(app.counted(&stripes), 1);
    assert_eq!(stripes_file(&app, &stripes, "receipt").await, pdf(1));
    let sent = app.sandbox.handle().dispute(&stripes).unwrap();
    assert_eq!(sent["evidence"]["customer_communication"], Value::Null, "it could not be packed");
}
