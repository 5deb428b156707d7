//! Evidence through the API: files good and bad, texts, and what they amount to.

use http::Method;
use lopdf::{Document, dictionary};
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, Rights, TestAnswer, check_rights};
use payops_sandbox::DisputeStatus;
use serde_json::{Value, json};

use crate::harness::{App, MERCHANT};

both_databases!(payops_disputes::MIGRATIONS;
    files_are_added_listed_given_back_and_taken_away,
    what_is_no_evidence_is_refused_by_its_code,
    a_text_takes_the_place_of_the_one_before,
    evidence_that_was_sent_stays,
    a_closed_dispute_takes_no_evidence,
    a_merchant_handles_the_evidence_of_its_own_disputes_only,
    the_same_key_is_one_upload,
    a_dispute_holds_so_many_bytes_and_no_more,
    checklist_preflight_and_packet_follow_the_evidence,
);

const OWN: As = As::Merchant(uuid::uuid!("0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b"));
const OTHER: As = As::Merchant(uuid::Uuid::nil());
const FORM: &str = "multipart/form-data; boundary=----payops-test";

fn form(parts: &[(&str, &str)], file: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut form = Vec::new();
    for (name, value) in parts {
        let head = format!("------payops-test\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        form.extend_from_slice(format!("{head}{value}\r\n").as_bytes());
    }
    if let Some((name, bytes)) = file {
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{name}\"");
        form.extend_from_slice(format!("------payops-test\r\n{head}\r\n\r\n").as_bytes());
        form.extend_from_slice(bytes);
        form.extend_from_slice(b"\r\n");
    }
    form.extend_from_slice(b"------payops-test--\r\n");
    form
}

pub fn pdf(pages: usize) -> Vec<u8> {
    let mut document = Document::with_version("1.5");
    let tree = document.new_object_id();
    let kids: Vec<lopdf::Object> = (0..pages)
        .map(|_| document.add_object(dictionary! { "Type" => "Page", "Parent" => tree }).into())
        .collect();
    let count = i64::try_from(pages).unwrap();
    let media_box: Vec<lopdf::Object> = vec![0.into(), 0.into(), 300.into(), 800.into()];
    document.set_object(
        tree,
        dictionary! { "Type" => "Pages", "Count" => count, "Kids" => kids, "MediaBox" => media_box },
    );
    let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalog);
    let mut bytes = Vec::new();
    document.save_to(&mut bytes).unwrap();
    bytes
}

/// A PNG of so many bytes: a chunk that readers pass over makes up for what is missing.
fn png(width: u32, length: Option<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, 1);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    if let Some(length) = length {
        // Head, image and end, and twelve bytes around the chunk.
        let rest = png(width, None).len() + 12;
        writer.write_chunk(png::chunk::ChunkType(*b"paDd"), &vec![0; length - rest]).unwrap();
    }
    writer.write_image_data(&vec![7; width as usize]).unwrap();
    writer.finish().unwrap();
    bytes
}

/// A grey JPEG of 8 by 8 pixels.
fn jpeg() -> Vec<u8> {
    let quantization = [&[0][..], &[1; 64]].concat();
    let codes = |class: u8| [&[class, 1][..], &[0; 15], &[0]].concat();
    let segments: [(u8, &[u8]); 5] = [
        (0xdb, &quantization),
        (0xc0, &[8, 0, 8, 0, 8, 1, 1, 0x11, 0]),
        (0xc4, &codes(0x00)),
        (0xc4, &codes(0x10)),
        (0xda, &[1, 1, 0, 0, 63, 0]),
    ];
    let mut bytes = vec![0xff, 0xd8];
    for (marker, body) in segments {
        bytes.extend([0xff, marker]);
        bytes.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    bytes.extend([0b0011_1111, 0xff, 0xd9]);
    bytes
}

impl App {
    pub async fn attach(&self, id: &str, kind: &str, name: &str, bytes: &[u8]) -> TestAnswer {
        self.form(id, form(&[("evidence_type", kind)], Some((name, bytes)))).await
    }

    /// The same with an `Idempotency-Key`.
    pub async fn attach_as(&self, key: &str, id: &str, kind: &str, name: &str, bytes: &[u8]) -> TestAnswer {
        let path = format!("/api/v1/disputes/{id}/evidence");
        let form = form(&[("evidence_type", kind)], Some((name, bytes)));
        let request = self.client.request(Method::POST, &path).by(As::Operator).body(FORM, form);
        request.header("idempotency-key", key).send().await
    }

    async fn form(&self, id: &str, form: Vec<u8>) -> TestAnswer {
        let path = format!("/api/v1/disputes/{id}/evidence");
        self.client.request(Method::POST, &path).by(As::Operator).body(FORM, form).send().await
    }

    pub async fn say(&self, id: &str, field: &str, text: &str) -> TestAnswer {
        let body = json!({ "evidence_type": field, "text_content": text });
        self.post(&format!("/api/v1/disputes/{id}/evidence"), &body).await
    }

    pub async fn evidence(&self, id: &str) -> Vec<Value> {
        let all = self.get(&format!("/api/v1/disputes/{id}/evidence")).await;
        all.data().as_array().unwrap().clone()
    }

    async fn remove(&self, evidence: &Value) -> TestAnswer {
        let path = format!("/api/v1/disputes/evidence/{}", evidence.as_str().unwrap());
        self.client.request(Method::DELETE, &path).by(As::Operator).send().await
    }

    pub async fn content(&self, evidence: &Value) -> TestAnswer {
        self.get(&format!("/api/v1/disputes/evidence/{}/content", evidence.as_str().unwrap())).await
    }
}

async fn files_are_added_listed_given_back_and_taken_away(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let (two_pages, image, photo) = (pdf(2), png(3, None), jpeg());
    for (kind, name, clean, bytes, media_type, pages, notices) in [
        ("receipt", "receipt.pdf", "receipt.pdf", &two_pages, "application/pdf", 2, vec![]),
        ("shipping_proof", "../../etc/pass.png", "pass.png", &image, "image/png", 1, vec!["FILE_RENAMED"]),
        ("communication", "沟通 记录.jpg", "沟通 记录.jpg", &photo, "image/jpeg", 1, vec![]),
        ("other", "scan.pdf", "scan.pdf", &image, "image/png", 1, vec!["FILE_MISNAMED"]),
    ] {
        let added = app.attach(&id, kind, name, bytes).await;
        assert_eq!(added.status, 201, "{name}: {:?}", added.json());
        let data = added.data();
        assert_eq!(
            (&data["file_name"], &data["content_type"], &data["pages"], &data["file_size"]),
            (&json!(clean), &json!(media_type), &json!(pages), &json!(bytes.len())),
        );
        let told: Vec<_> = data["notices"].as_array().unwrap().iter().map(|notice| &notice["code"]).collect();
        assert_eq!(told, notices, "{name}");
        let content = app.content(&data["id"]).await;
        assert_eq!((content.status, &content.body[..]), (200, &bytes[..]), "{name}");
        assert_eq!(content.header("content-type"), media_type);
        assert_eq!(content.header("x-content-type-options"), "nosniff");
        assert!(content.header("content-disposition").starts_with("attachment; filename=\""));
        assert!(!content.header("content-disposition").contains(".."));
    }
    let again = app.attach(&id, "receipt", "again.pdf", &two_pages).await;
    assert_eq!(
        (again.status, &again.data()["file_name"]),
        (200, &json!("receipt.pdf")),
        "it is there already"
    );
    let second = app.attach(&id, "receipt", "second.pdf", &pdf(1)).await;
    assert_eq!(second.status, 201, "two of a kind");
    assert_eq!(app.evidence(&id).await.len(), 5);

    let chinese = &app.evidence(&id).await[2]["id"];
    let disposition = app.content(chinese).await.header("content-disposition").to_owned();
    assert!(
        disposition.ends_with("filename*=UTF-8''%E6%B2%9F%E9%80%9A%20%E8%AE%B0%E5%BD%95.jpg"),
        "{disposition}"
    );

    let gone = second.data()["id"].clone();
    assert_eq!(app.remove(&gone).await.status, 200);
    for answer in [app.remove(&gone).await, app.content(&gone).await] {
        assert_eq!((answer.status, answer.code().as_str()), (404, "EVIDENCE_NOT_FOUND"));
    }
    assert_eq!(app.evidence(&id).await.len(), 4);
    let story = app.story(&id).await;
    assert_eq!(story.iter().filter(|event| *event == "evidence_added").count(), 5, "{story:?}");
    assert_eq!(story.last().map(String::as_str), Some("evidence_deleted"));
}

async fn what_is_no_evidence_is_refused_by_its_code(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let (largest, larger) = (png(3, Some(5_000_000)), png(3, Some(5_000_001)));
    let far_too_large = vec![0; 7_000_000];
    for (name, bytes, status, code) in [
        ("empty.pdf", &b""[..], 422, "FILE_EMPTY"),
        ("a.gif", b"GIF89a......", 415, "FILE_TYPE_UNSUPPORTED"),
        ("a.pdf", b"%PDF-1.5 and nothing else", 422, "FILE_MALFORMED"),
        ("a.png", &larger, 413, "FILE_TOO_LARGE"),
        ("a.png", &far_too_large, 413, "FILE_TOO_LARGE"),
    ] {
        let refused = app.attach(&id, "receipt", name, bytes).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{:?}", refused.json());
    }
    let file = Some(("a.png", &largest[..]));
    for (form, fields) in [
        (form(&[], None), "evidence_type file"),
        (form(&[("evidence_type", "receipt")], None), "file"),
        (form(&[], file), "evidence_type"),
        (form(&[("evidence_type", "shipping_carrier")], file), "evidence_type"),
        (form(&[("evidence_type", "receipt"), ("colour", "red")], file), "colour"),
        (form(&[("evidence_type", "receipt"), ("evidence_type", "other")], file), "evidence_type"),
        (form(&[("evidence_type", "receipt"), ("description", &"x".repeat(501))], file), "description"),
    ] {
        let refused = app.form(&id, form).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, fields), "{:?}", refused.json());
    }
    for (field, text, wrong) in [
        ("receipt", "a file", "evidence_type"),
        ("shipping_carrier", " ", "text_content"),
        ("shipping_carrier", &"x".repeat(5_001), "text_content"),
        ("fee_acknowledged", "no", "text_content"),
    ] {
        let refused = app.say(&id, field, text).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, wrong), "{:?}", refused.json());
    }
    assert!(app.evidence(&id).await.is_empty());
    let taken = app.attach(&id, "receipt", "a.png", &largest).await;
    assert_eq!((taken.status, &taken.data()["file_size"]), (201, &json!(5_000_000)), "{:?}", taken.json());
}

async fn a_text_takes_the_place_of_the_one_before(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let first = app.say(&id, "shipping_carrier", "DHL").await;
    assert_eq!(first.status, 201, "{:?}", first.json());
    assert_eq!(app.say(&id, "shipping_carrier", "DHL").await.status, 200, "it is there already");
    let second = app.say(&id, "shipping_carrier", "顺丰").await;
    assert_eq!(second.status, 201);
    app.say(&id, "shipping_date", "2026-01-02").await;
    let texts: Vec<_> = app.evidence(&id).await.iter().map(|row| row["text_content"].clone()).collect();
    assert_eq!(texts, ["顺丰", "2026-01-02"]);
    assert_eq!(app.content(&first.data()["id"]).await.status, 404);
    let content = app.content(&second.data()["id"]).await;
    assert_eq!(&content.body[..], "顺丰".as_bytes());
    assert_eq!(content.header("content-type"), "text/plain; charset=utf-8");
    let story = app.story(&id).await;
    let told = ["created", "evidence_added", "evidence_deleted", "evidence_added", "evidence_added"];
    assert_eq!(story, told);
}

async fn evidence_that_was_sent_stays(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    assert_eq!(app.attach(&id, "receipt", "a.pdf", &pdf(1)).await.status, 201);
    let draft = app.get(&format!("/api/v1/disputes/{id}/packet")).await.data();
    assert_eq!(draft["state"], "draft");
    app.ordered(&id, &json!({})).await;
    app.until_submission(&id, |last| last["state"] == "sent").await;
    app.until(&stripes, |dispute| dispute["status"] == "under_review").await;
    let all = app.evidence(&id).await;
    assert_eq!(all.len(), 2);
    for row in &all {
        let refused = app.remove(&row["id"]).await;
        assert_eq!((refused.status, refused.code().as_str()), (409, "EVIDENCE_SUBMITTED"));
    }
    app.say(&id, "shipping_carrier", "DHL").await;
    let sent = app.get(&format!("/api/v1/disputes/{id}/packet")).await.data();
    assert_eq!(
        (&sent["state"], &sent["packet"]),
        (&json!("sent"), &draft["packet"]),
        "what came later is not in it"
    );
    let printed = app.get(&format!("/api/v1/disputes/{id}/packet?format=pdf")).await;
    assert_eq!(printed.header("packet-sha256"), sent["packet_sha256"]);
    assert!(Document::load_mem(&printed.body).unwrap().get_pages().len() >= 2);
}

async fn a_closed_dispute_takes_no_evidence(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let text = app.say(&id, "shipping_carrier", "DHL").await.data();
    app.put(&format!("/api/v1/disputes/{id}/status"), &json!({ "status": "lost" })).send().await;
    let file = app.attach(&id, "receipt", "a.pdf", &pdf(1)).await;
    for refused in [file, app.say(&id, "shipping_date", "today").await, app.remove(&text["id"]).await] {
        assert_eq!((refused.status, refused.code().as_str()), (409, "DISPUTE_STATUS"));
    }
    assert_eq!(app.evidence(&id).await.len(), 1);
}

async fn a_merchant_handles_the_evidence_of_its_own_disputes_only(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let path = format!("/api/v1/disputes/{id}");
    let body = json!({ "evidence_type": "shipping_carrier", "text_content": "DHL" });
    let added = app.client.post(&format!("{path}/evidence"), &body).by(OWN).send().await;
    let uploader = json!(format!("{MERCHANT}/mia"));
    assert_eq!((added.status, &added.data()["uploaded_by"]), (201, &uploader));
    let of_one = format!("/api/v1/disputes/evidence/{}", added.data()["id"].as_str().unwrap());
    let calls = [
        (Method::POST, format!("{path}/evidence"), Some(&body)),
        (Method::GET, format!("{path}/evidence"), None),
        (Method::GET, format!("{path}/checklist"), None),
        (Method::POST, format!("{path}/preflight"), None),
        (Method::GET, format!("{path}/packet"), None),
        (Method::GET, format!("{path}/packet?format=pdf&language=zh"), None),
        (Method::GET, format!("{of_one}/content"), None),
        (Method::DELETE, of_one, None),
    ];
    for (method, path, body) in calls {
        for (who, status) in [(OTHER, 404), (OWN, 200)] {
            let request = app.client.request(method.clone(), &path).by(who);
            let answer = body.map_or(request.clone(), |body| request.json(body)).send().await;
            assert_eq!(answer.status, status, "{method} {path} as {who:?}: {:?}", answer.json());
        }
    }
    let file = form(&[("evidence_type", "receipt")], Some(("a.pdf", &pdf(1))));
    let upload = app.client.request(Method::POST, &format!("{path}/evidence")).by(OTHER).body(FORM, file);
    assert_eq!(upload.send().await.status, 404);
    assert_eq!(std::fs::read_dir(app.folder.path()).unwrap().count(), 0, "nothing is stored for it");

    let allowed: &[&str] = &["merchant", "operator", "admin"];
    let line = |method, path| Rights { method, path, allowed };
    let table = [
        line(Method::POST, "/api/v1/disputes/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/evidence"),
        line(Method::GET, "/api/v1/disputes/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/evidence"),
        line(Method::DELETE, "/api/v1/disputes/evidence/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b"),
        line(Method::GET, "/api/v1/disputes/evidence/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/content"),
        line(Method::GET, "/api/v1/disputes/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/checklist"),
        line(Method::POST, "/api/v1/disputes/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/preflight"),
        line(Method::GET, "/api/v1/disputes/0193a2b4-c5d6-7e8f-9a0b-1c2d3e4f5a6b/packet"),
    ];
    assert_eq!(check_rights(&app.client, &table).await, Vec::<String>::new());
}

async fn the_same_key_is_one_upload(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let path = format!("/api/v1/disputes/{id}/evidence");
    let send = async |name: &str| {
        let form = form(&[("evidence_type", "receipt")], Some((name, &pdf(1))));
        let request = app.client.request(Method::POST, &path).by(As::Operator).body(FORM, form);
        request.header("idempotency-key", "upload-1").send().await
    };
    let (first, again, other) = (send("a.pdf").await, send("a.pdf").await, send("b.pdf").await);
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!((again.header("idempotency-replayed"), again.data()), ("true", first.data()));
    assert_eq!((other.status, other.code().as_str()), (422, "IDEMPOTENCY_KEY_REUSED"));
    assert_eq!(app.evidence(&id).await.len(), 1);
}

async fn a_dispute_holds_so_many_bytes_and_no_more(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    for width in 1..=5 {
        let added = app.attach(&id, "other", "a.png", &png(width, Some(5_000_000))).await;
        assert_eq!(added.status, 201, "{:?}", added.json());
    }
    let full = app.attach(&id, "receipt", "a.png", &png(1, None)).await;
    assert_eq!((full.status, full.code().as_str()), (422, "EVIDENCE_FULL"));
    assert_eq!(app.say(&id, "shipping_carrier", "DHL").await.status, 201, "a text has room");
}

async fn checklist_preflight_and_packet_follow_the_evidence(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let path = format!("/api/v1/disputes/{id}");
    let nothing = app.post(&format!("{path}/preflight"), &json!({})).await.data();
    assert_eq!(
        (&nothing["may_send"], &nothing["problems"][0]["code"]),
        (&json!(false), &json!("NO_EVIDENCE"))
    );
    app.say(&id, "shipping_carrier", "DHL").await;
    app.attach(&id, "shipping_proof", "a.pdf", &pdf(48)).await;
    let list = app.get(&format!("{path}/checklist")).await.data();
    assert_eq!((&list["reason"], &list["complete"]), (&json!("fraudulent"), &json!(false)));
    let satisfied: Vec<_> = (list["items"].as_array().unwrap().iter())
        .filter(|line| line["satisfied"] == true)
        .map(|line| (&line["evidence_type"], &line["form"], &line["importance"]))
        .collect();
    let recommended = json!("recommended");
    assert_eq!(
        satisfied,
        [
            (&json!("shipping_carrier"), &json!("text"), &recommended),
            (&json!("shipping_proof"), &json!("file"), &recommended)
        ]
    );
    let fine = app.post(&format!("{path}/preflight"), &json!({})).await.data();
    assert_eq!(fine["may_send"], true, "{fine}");
    let packet = app.get(&format!("{path}/packet")).await.data();
    assert_eq!(app.get(&format!("{path}/packet")).await.data(), packet, "the same evidence, the same packet");
    assert_eq!(packet["packet_sha256"], fine["packet_sha256"]);
    assert_eq!(packet["packet"]["texts"], json!({ "shipping_carrier": "DHL" }));
    let print = format!("{path}/packet?format=pdf");
    let (first, second) = (app.get(&print).await, app.get(&print).await);
    assert_eq!((first.status, first.header("content-type")), (200, "application/pdf"));
    assert_eq!(first.body, second.body);
    assert!(Document::load_mem(&first.body).unwrap().get_pages().len() >= 49);

    let image = app.attach(&id, "shipping_proof", "a.jpg", &png(1, None)).await.data();
    app.attach(&id, "receipt", "b.pdf", &pdf(1)).await;
    let changed = app.get(&format!("{path}/packet")).await.data();
    assert_ne!(changed["packet_sha256"], packet["packet_sha256"]);
    assert_eq!(changed["packet"]["files"].as_array().unwrap().len(), 2, "two of a kind are one file");
    let blocked = app.post(&format!("{path}/preflight"), &json!({})).await.data();
    let problem = |code: &str| {
        let problems = blocked["problems"].as_array().unwrap().iter();
        problems.clone().find(|problem| problem["code"] == code).cloned().unwrap()
    };
    assert_eq!((&blocked["may_send"], &problem("TOO_MANY_PAGES")["blocks"]), (&json!(false), &json!(true)));
    assert_eq!(problem("FILE_MISNAMED")["evidence_id"], image["id"]);
    assert_eq!(app.get(&format!("{path}/packet?format=doc")).await.status, 400);
    assert_eq!(app.post(&format!("{path}/preflight"), &json!({ "x": 1 })).await.status, 400);
}
