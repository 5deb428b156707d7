//! Personal data: encrypted where it lies, told of, erased; and its keys, which change.

use std::path::Path;
use std::sync::Arc;

use http::Method;
use payops_core::random::{SeededRandom, SystemRandom};
use payops_disputes::{Channels, Disputes, Files, Options, rotate_keys, routes};
use payops_platform::both_databases;
use payops_platform::config::FilePlace;
use payops_platform::context::ServiceContext;
use payops_platform::db::DatabaseTarget;
use payops_platform::db::testing::TestDb;
use payops_platform::error::Error;
use payops_platform::http::testing::{As, Rights, TestAnswer, TestClient, authenticator, check_rights};
use payops_platform::http::{ServiceHttp, service_router};
use payops_platform::telemetry::Metrics;
use payops_platform::vault::KeyRing;
use payops_sandbox::DisputeStatus;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::evidence::pdf;
use crate::harness::{App, RING_SEED};

both_databases!(payops_disputes::MIGRATIONS;
    nothing_personal_lies_in_the_clear,
    what_is_known_of_a_customer_is_told_and_erased_for_good,
    nothing_is_erased_while_a_dispute_is_open,
    a_dispute_of_which_nothing_is_known_stays_so_after_an_erasure,
    a_dispute_that_is_opened_again_after_an_erasure_can_be_answered,
    what_was_moved_or_changed_is_refused,
    keys_change_while_all_can_be_read,
    a_start_without_a_key_that_is_in_use_is_refused,
    admins_alone_are_told_and_erase,
);

const NAME: &str = "Mia Traumtaenzer";
/// A name that is cleaned, so that it is told as it came as well.
const FILE_NAME: &str = "Mia Traumtaenzer:.pdf";
const EMAIL: &str = "Mia.Traum@customer.example";
const ADDRESS: &str = "Sandmannweg 7, Köln";
const PERSONAL: [&str; 4] = ["Traumtaenzer", "mia.traum@", "Mia.Traum@", "Sandmannweg"];

impl App {
    /// A dispute of Stripe's about the customer, whom Stripe names in it; gives Stripe's id and ours.
    async fn customers(&self, payment_no: &str, status: DisputeStatus) -> (String, String) {
        let stripes = self.opened(payment_no, |order| {
            order.status = status;
            order.customer_name = Some(NAME.to_owned());
            order.receipt_email = Some(EMAIL.to_owned());
        });
        let dispute = self.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
        let id = dispute["id"].as_str().unwrap().to_owned();
        // Stripe names the customer some time after its first event.
        self.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await;
        (stripes, id)
    }

    async fn personal(&self, what: &str, body: &Value) -> TestAnswer {
        self.client.post(&format!("/api/v1/disputes/personal-data/{what}"), body).by(As::Admin).send().await
    }

    /// Everything that lies in the database and in the folder of evidence, with what says it is really looked at.
    async fn everything(&self) -> Vec<u8> {
        let mut all = match self.target() {
            DatabaseTarget::Sqlite { path } => {
                let mut bytes = std::fs::read(path).unwrap();
                bytes.extend(std::fs::read(path.with_extension("db-wal")).unwrap_or_default());
                bytes
            }
            DatabaseTarget::Postgres(_) => self.dumped().await,
        };
        assert!(contains(&all, "PAY-1"), "it is looked at");
        read_all(self.folder.path(), &mut all);
        all
    }

    /// Every row of every table as text, with binary columns as what they are as well.
    async fn dumped(&self) -> Vec<u8> {
        let db = &self.context().db;
        let rows = async |sql: String| {
            let rows = db.read().query_all_raw(db.backend().statement(&sql, [])).await.unwrap();
            rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect::<Vec<_>>()
        };
        let tables = "SELECT table_name::text FROM information_schema.tables WHERE table_schema = 'public'";
        let mut dump = Vec::new();
        for table in rows(tables.to_owned()).await {
            for row in rows(format!("SELECT t::text FROM {table} t")).await {
                dump.extend(row.as_bytes());
                for part in row.split("\\x").skip(1) {
                    let digits: String = part.chars().take_while(char::is_ascii_hexdigit).collect();
                    dump.extend(hex::decode(digits).unwrap_or_default());
                }
            }
        }
        dump
    }

    async fn execute(&self, sql: &str) {
        let sql = sql.to_owned();
        let write = self.context().db.write("tests.execute", move |tx| {
            let sql = sql.clone();
            Box::pin(async move {
                tx.conn().execute_unprepared(&sql).await?;
                Ok(())
            })
        });
        write.await.unwrap();
    }

    /// The same service with another key ring.
    async fn with_ring(&self, ring: &str) -> Result<TestClient, Error> {
        let (old, name) = (self.context(), "dispute-service");
        let random = Arc::new(SystemRandom);
        let context =
            ServiceContext::new(name, old.db.clone(), Arc::clone(&old.clock), random, Metrics::new(name));
        let files = Files::open(&FilePlace::Folder(self.folder.path().to_owned())).unwrap();
        let ring = KeyRing::parse(ring).unwrap();
        let service =
            Disputes::start(context.clone(), files, ring, Channels::default(), Options::default()).await?;
        let authenticator = authenticator().unwrap();
        let http = ServiceHttp::new(context, Arc::clone(&authenticator), routes(service));
        Ok(TestClient::new(service_router(http), authenticator, old.now()))
    }
}

/// The ring of [`App`], and another key.
fn rings() -> (String, String) {
    (KeyRing::draw("tests", &SeededRandom::new(RING_SEED)), KeyRing::draw("next", &SeededRandom::new(2)))
}

fn contains(all: &[u8], text: &str) -> bool {
    all.windows(text.len()).any(|window| window == text.as_bytes())
}

fn read_all(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_all(&path, all);
        } else {
            all.extend(std::fs::read(path).unwrap());
        }
    }
}

fn assert_nothing_personal(all: &[u8]) {
    for text in PERSONAL.into_iter().chain(["%PDF"]) {
        assert!(!contains(all, text), "{text} lies in the clear");
    }
}

/// Gives a dispute what is personal, a file among it; gives the texts' and the file's ids.
async fn fill(app: &App, id: &str) -> Vec<Value> {
    let mut added = Vec::new();
    for (field, text) in
        [("customer_name", NAME), ("customer_email_address", EMAIL), ("billing_address", ADDRESS)]
    {
        let body =
            json!({ "evidence_type": field, "text_content": text, "description": format!("Of {NAME}.") });
        let request = app.client.post(&format!("/api/v1/disputes/{id}/evidence"), &body).by(As::Operator);
        let answer = request.clone().header("idempotency-key", format!("{id}-{field}")).send().await;
        assert_eq!(answer.status, 201, "{:?}", answer.json());
        assert_eq!(answer.data()["text_content"], text);
        let again = request.header("idempotency-key", format!("{id}-{field}")).send().await;
        assert_eq!((again.header("idempotency-replayed"), again.data()), ("true", answer.data()));
        added.push(answer.data()["id"].clone());
    }
    let file = app.attach_as(id, id, "receipt", FILE_NAME, &pdf(2)).await;
    assert_eq!(file.status, 201, "{:?}", file.json());
    assert_eq!(file.data()["file_name"], format!("{NAME}.pdf"));
    assert!(file.data()["notices"][0]["message"].as_str().unwrap().contains(FILE_NAME), "{:?}", file.data());
    let again = app.attach_as(id, id, "receipt", FILE_NAME, &pdf(2)).await;
    assert_eq!((again.header("idempotency-replayed"), again.data()), ("true", file.data()));
    added.push(file.data()["id"].clone());
    added
}

async fn nothing_personal_lies_in_the_clear(db: TestDb) {
    let app = App::start(db).await;
    let (_, id) = app.customers("PAY-1", DisputeStatus::NeedsResponse).await;
    let added = fill(&app, &id).await;
    app.ordered(&id, &json!({})).await;
    app.until_submission(&id, |last| last["state"] == "sent").await;
    let told = app.get(&format!("/api/v1/disputes/{id}/packet")).await.data();
    assert_eq!(told["packet"]["texts"]["customer_name"], NAME);
    assert_eq!(&app.content(&added[3]).await.body[..], pdf(2));
    assert_nothing_personal(&app.everything().await);
}

async fn what_is_known_of_a_customer_is_told_and_erased_for_good(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.customers("PAY-1", DisputeStatus::NeedsResponse).await;
    // Only Stripe says whose this one is.
    let (others, _) = app.customers("PAY-2", DisputeStatus::NeedsResponse).await;
    let added = fill(&app, &id).await;
    let gone = app.client.request(Method::DELETE, &evidence(&added[0])).by(As::Operator).send().await;
    assert_eq!((gone.status, &gone.data()["text_content"]), (200, &json!(NAME)));
    app.ordered(&id, &json!({})).await;
    app.until_submission(&id, |last| last["state"] == "sent").await;
    for dispute in [&stripes, &others] {
        app.sandbox.handle().decide_dispute(dispute, DisputeStatus::Lost).unwrap();
        app.until(dispute, |dispute| dispute["status"] == "lost").await;
    }
    told(&app, &id, &added).await;

    let order = json!({ "customer_email": EMAIL.to_lowercase(), "reason": "Request 118." });
    let erased = app.personal("erase", &order).await;
    assert_eq!(erased.status, 200, "{:?}", erased.json());
    assert_eq!(erased.data()["disputes"].as_array().unwrap().len(), 2);
    is_erased(&app, &id, &added).await;
    // What Stripe still says of the customer is not kept again.
    let read = app.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await;
    assert_eq!((read.status, &read.data()["status"]), (200, &json!("lost")));
    assert_eq!(app.sandbox.handle().dispute(&stripes).unwrap()["evidence"]["customer_email_address"], EMAIL);
    is_erased(&app, &id, &added).await;
    for body in [json!({ "customer_email": EMAIL }), json!({ "customer_email": "nobody@customer.example" })] {
        assert_eq!(app.personal("export", &body).await.data()["disputes"], json!([]));
    }
    let again = app.personal("erase", &order).await;
    assert_eq!((again.status, again.data()), (200, json!({ "disputes": [] })), "again");
    assert_nothing_personal(&app.everything().await);
    let after = app.get(&format!("/api/v1/disputes/{id}")).await.data();
    assert_eq!((&after["amount"], &after["status"]), (&json!(12_300), &json!("lost")));
    assert!(!after["money_movements"].as_array().unwrap().is_empty(), "the money stands");
    let line = app.get(&format!("/api/v1/disputes/{id}/timeline?page_size=100")).await.data();
    let line = line["items"].as_array().unwrap().clone();
    let row = line.iter().find(|row| row["event_type"] == "erased").unwrap();
    assert_eq!(
        (&row["detail"], &row["actor_kind"]),
        (&json!({ "reason": "Request 118." }), &json!("person"))
    );
    assert_eq!(line.iter().filter(|row| row["event_type"] == "erased").count(), 1, "once");
}

fn evidence(id: &Value) -> String {
    format!("/api/v1/disputes/evidence/{}", id.as_str().unwrap())
}

/// An admin is told all that is known, and gets the contents.
async fn told(app: &App, id: &str, added: &[Value]) {
    let all =
        app.personal("export", &json!({ "customer_email": format!(" {} ", EMAIL.to_uppercase()) })).await;
    assert_eq!(all.status, 200, "{:?}", all.json());
    let (first, second) = (all.data()["disputes"][0].clone(), all.data()["disputes"][1].clone());
    assert_eq!((&first["dispute"]["id"], &first["erased_at"]), (&json!(id), &Value::Null));
    assert_eq!(second["channel_object"]["evidence"]["customer_name"], NAME, "as Stripe has it");
    assert_eq!(first["packets"][0]["packet"]["texts"]["billing_address"], ADDRESS);
    let pieces = first["evidence"].as_array().unwrap();
    assert_eq!(pieces.iter().map(|piece| piece["id"].clone()).collect::<Vec<_>>(), added);
    assert!(pieces[0]["deleted_at"].is_string() && pieces[1]["deleted_at"].is_null());
    assert_eq!(
        (&pieces[0]["text_content"], &pieces[2]["description"]),
        (&json!(NAME), &json!(format!("Of {NAME}.")))
    );
    for (piece, content) in
        pieces.iter().zip([NAME.as_bytes(), EMAIL.as_bytes(), ADDRESS.as_bytes(), &pdf(2)])
    {
        let path = piece["content"].as_str().unwrap();
        assert_eq!(&app.client.get(path).by(As::Admin).send().await.body[..], content);
    }
    assert_eq!(app.content(&added[0]).await.status, 404, "operators do not see what was deleted");
}

/// Nobody is told anything personal any more.
async fn is_erased(app: &App, id: &str, added: &[Value]) {
    let rows = app.evidence(id).await;
    assert_eq!(rows.len(), 3, "the rows stand");
    for row in &rows {
        assert_eq!(
            (&row["erased"], &row["text_content"], &row["description"]),
            (&json!(true), &Value::Null, &json!(""))
        );
    }
    for path in
        ["checklist", "packet", "packet?format=pdf"].map(|what| format!("/api/v1/disputes/{id}/{what}"))
    {
        let answer = app.get(&path).await;
        assert_eq!((answer.status, answer.code().as_str()), (410, "ERASED"), "{path}");
    }
    for piece in &added[1..] {
        let answer = app.content(piece).await;
        assert_eq!((answer.status, answer.code().as_str()), (410, "ERASED"));
    }
    let known = app.personal("export", &json!({ "dispute_id": id })).await.data();
    let known = &known["disputes"][0];
    assert!(known["erased_at"].is_string());
    assert_eq!((&known["packets"], &known["channel_object"]), (&json!([]), &Value::Null));
    assert!(known["evidence"].as_array().unwrap().iter().all(|piece| piece["content"].is_null()));
    let body = json!({ "evidence_type": "customer_name", "text_content": NAME, "description": format!("Of {NAME}.") });
    let again = app.client.post(&format!("/api/v1/disputes/{id}/evidence"), &body).by(As::Operator);
    let again = again.header("idempotency-key", format!("{id}-customer_name")).send().await;
    assert_eq!(
        (again.status, &again.data()["text_content"]),
        (201, &Value::Null),
        "the answer was kept without it"
    );
    let again = app.attach_as(id, id, "receipt", FILE_NAME, &pdf(2)).await;
    let data = again.data();
    assert_eq!((again.status, &data["file_name"], &data["notices"]), (201, &Value::Null, &json!([])));
    let new = app.attach(id, "receipt", "b.pdf", &pdf(3)).await;
    assert_eq!((new.status, new.code().as_str()), (409, "DISPUTE_STATUS"));
}

async fn nothing_is_erased_while_a_dispute_is_open(db: TestDb) {
    let app = App::start(db).await;
    let (closed, id) = app.customers("PAY-1", DisputeStatus::NeedsResponse).await;
    app.sandbox.handle().decide_dispute(&closed, DisputeStatus::Lost).unwrap();
    app.until(&closed, |dispute| dispute["status"] == "lost").await;
    let (_, open) = app.customers("PAY-2", DisputeStatus::WarningNeedsResponse).await;
    for body in
        [json!({ "customer_email": EMAIL, "reason": "r" }), json!({ "dispute_id": open, "reason": "r" })]
    {
        let refused = app.personal("erase", &body).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, "SUBJECT_DISPUTES_OPEN"));
        let named = refused.data()["disputes"].clone();
        assert_eq!((named[0]["dispute_id"].as_str(), named.get(1)), (Some(open.as_str()), None));
    }
    let known = app.personal("export", &json!({ "customer_email": EMAIL })).await.data();
    assert_eq!(known["disputes"].as_array().unwrap().len(), 2, "nothing was erased");
    assert_eq!(known["disputes"][0]["channel_object"]["evidence"]["customer_name"], NAME);
    let one = app.personal("erase", &json!({ "dispute_id": id, "reason": "r" })).await;
    assert_eq!(one.data()["disputes"][0]["dispute_id"], json!(id), "one alone can be");
    for (body, fields) in [
        (json!({ "reason": "r" }), "customer_email"),
        (json!({ "customer_email": EMAIL, "dispute_id": id, "reason": "r" }), "customer_email"),
        (json!({ "customer_email": " ", "reason": "r" }), "customer_email"),
        (json!({ "customer_email": EMAIL, "reason": " " }), "reason"),
        (json!({ "customer_email": EMAIL, "reason": format!("for {}", EMAIL.to_lowercase()) }), "reason"),
    ] {
        let refused = app.personal("erase", &body).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, fields), "{body}");
    }
    let unknown = json!({ "dispute_id": uuid::Uuid::nil(), "reason": "r" });
    assert_eq!(app.personal("erase", &unknown).await.code(), "DISPUTE_NOT_FOUND");
}

async fn a_dispute_of_which_nothing_is_known_stays_so_after_an_erasure(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    app.put(&format!("/api/v1/disputes/{id}/status"), &json!({ "status": "lost" })).send().await;
    let order = json!({ "dispute_id": id, "reason": "r" });
    let erased = app.personal("erase", &order).await;
    assert_eq!(erased.data()["disputes"][0]["dispute_id"], json!(id), "{:?}", erased.json());
    assert_eq!(app.personal("erase", &order).await.data(), erased.data(), "again");
    let file = app.attach(&id, "receipt", "a.pdf", &pdf(1)).await;
    assert_eq!((file.status, file.code().as_str()), (409, "DISPUTE_STATUS"));
    assert_eq!(std::fs::read_dir(app.folder.path()).unwrap().count(), 0, "no file is kept");
}

async fn a_dispute_that_is_opened_again_after_an_erasure_can_be_answered(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.customers("PAY-1", DisputeStatus::WarningNeedsResponse).await;
    fill(&app, &id).await;
    // The channel had said that it was closed.
    app.execute("UPDATE disputes SET status = 'warning_closed', closed_at = disputed_at").await;
    assert_eq!(app.personal("erase", &json!({ "dispute_id": id, "reason": "r" })).await.status, 200);
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::NeedsResponse).unwrap();
    app.until(&stripes, |dispute| dispute["status"] == "needs_response").await;
    let packet = app.get(&format!("/api/v1/disputes/{id}/packet")).await.data();
    assert_eq!(packet["packet"]["evidence_ids"], json!([]), "what was erased is no evidence");
    assert_eq!(packet["packet"]["given"]["texts"]["customer_name"], NAME, "an answer wants it again");
    let again = app.attach(&id, "receipt", "receipt.pdf", &pdf(2)).await;
    assert_eq!((again.status, &again.data()["erased"]), (201, &json!(false)), "{:?}", again.json());
    app.text(&id, "billing_address", ADDRESS).await;
    let erased: Vec<_> = app.evidence(&id).await.iter().map(|row| row["erased"].clone()).collect();
    assert_eq!(erased, [json!(true), json!(true), json!(true), json!(true), json!(false), json!(false)]);
    app.ordered(&id, &json!({})).await;
    app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!(app.sandbox.handle().dispute(&stripes).unwrap()["evidence"]["billing_address"], ADDRESS);
    assert_nothing_personal(&app.everything().await);
}

async fn what_was_moved_or_changed_is_refused(db: TestDb) {
    let app = App::start(db).await;
    let (one, other) = (app.entered("PAY-1").await, app.entered("PAY-2").await);
    app.text(&one, "customer_name", NAME).await;
    let mine = app.attach(&one, "receipt", "a.pdf", &pdf(1)).await.data();
    app.text(&other, "customer_name", "Another").await;
    let theirs = app.attach(&other, "receipt", "a.pdf", &pdf(2)).await.data();
    let at = |dispute: &str, sha256: &Value| {
        app.folder.path().join(&dispute[34..]).join(dispute).join(sha256.as_str().unwrap())
    };
    // One dispute's file in place of another's, even under the right name.
    std::fs::copy(at(&one, &mine["sha256"]), at(&other, &theirs["sha256"])).unwrap();
    let answer = app.content(&theirs["id"]).await;
    assert_eq!((answer.status, answer.code().as_str()), (422, "EVIDENCE_FILE_MISSING"));
    assert_eq!(app.content(&mine["id"]).await.status, 200);
    assert_eq!(app.evidence(&one).await.len(), 2);
    app.execute(
        "UPDATE dispute_evidence SET sealed = (SELECT e.sealed FROM dispute_evidence e WHERE e.sha256 IS NOT NULL
             AND e.dispute_id = dispute_evidence.dispute_id)
         WHERE sha256 IS NULL",
    )
    .await;
    for dispute in [&one, &other] {
        let answer = app.get(&format!("/api/v1/disputes/{dispute}/evidence")).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "INTERNAL_ERROR"),
            "one row's text in another's"
        );
    }
}

async fn keys_change_while_all_can_be_read(db: TestDb) {
    let (old, next) = rings();
    let app = App::start(db).await;
    let mut texts = Vec::new();
    for payment_no in ["PAY-1", "PAY-2", "PAY-3"] {
        let id = app.entered(payment_no).await;
        app.text(&id, "customer_email_address", EMAIL).await;
        texts.push(app.evidence(&id).await[0]["id"].clone());
    }
    let db = &app.context().db;
    let rotate = async |ring: &str| {
        let ring = KeyRing::parse(ring).unwrap();
        rotate_keys(db, &ring, Arc::new(SystemRandom)).await
    };
    let missing = rotate(&next).await.unwrap_err();
    assert_eq!(missing.code(), "DATA_KEY_MISSING", "the old key is needed to unwrap");
    let both = format!("{next}\n{old}");
    assert_eq!(rotate(&both).await.unwrap(), 4, "three disputes and the key of addresses");
    let id = app.entered("PAY-4").await;
    // A process that does not know the new key goes on with its own: so it looks as well where a rotation was broken off.
    app.text(&id, "customer_name", NAME).await;
    let stale = app.content(&texts[0]).await;
    assert_eq!(
        (stale.status, stale.code().as_str()),
        (503, "DATA_KEY_MISSING"),
        "and says what it cannot read"
    );
    assert_eq!((rotate(&both).await.unwrap(), rotate(&both).await.unwrap()), (1, 0), "again");
    let client = app.with_ring(&next).await.unwrap();
    for text in &texts {
        let content = client.get(&format!("{}/content", evidence(text))).by(As::Operator).send().await;
        assert_eq!(&content.body[..], EMAIL.as_bytes());
    }
    let export = client.post("/api/v1/disputes/personal-data/export", &json!({ "customer_email": EMAIL }));
    let known = export.by(As::Admin).send().await.data();
    assert_eq!(known["disputes"].as_array().unwrap().len(), 3, "addresses are still found");
}

async fn a_start_without_a_key_that_is_in_use_is_refused(db: TestDb) {
    let (old, next) = rings();
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    app.text(&id, "customer_name", NAME).await;
    let refused = app.with_ring(&next).await.map(drop).unwrap_err();
    assert_eq!(refused.code(), "DATA_KEY_MISSING");
    let said = refused.internal_text().unwrap();
    assert!(said.contains("'tests'") && said.contains("PAYOPS_DATA_KEYS"), "{said}");
    let namesake = KeyRing::draw("tests", &SeededRandom::new(3));
    let refused = app.with_ring(&namesake).await.map(drop).unwrap_err();
    assert!(refused.internal_text().unwrap().contains("another key of the same id"), "{refused:?}");
    app.with_ring(&format!("{next},{old}")).await.unwrap();
}

async fn admins_alone_are_told_and_erase(db: TestDb) {
    let app = App::start(db).await;
    let allowed: &[&str] = &["admin"];
    let line = |path| Rights { method: Method::POST, path, allowed };
    let table = [line("/api/v1/disputes/personal-data/export"), line("/api/v1/disputes/personal-data/erase")];
    assert_eq!(check_rights(&app.client, &table).await, Vec::<String>::new());
}
