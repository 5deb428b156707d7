//! Files, links to them, and what outlives a restart.

use std::path::Path;

use reqwest::multipart::{Form, Part};

use super::*;

const PDF: &[u8] = b"%PDF-1.4\n1 0 obj << /Type /Pages >> 2 0 obj << /Type /Page >> %%EOF";

impl Bed {
    /// Uploads as the SDKs do: no type that says anything, and the whole path as the name.
    async fn upload(&self, content: Vec<u8>, purpose: &str) -> Answer {
        let part = Part::bytes(content).file_name("/home/anna/receipt.pdf");
        let part = part.mime_str("application/octet-stream").unwrap();
        let form = Form::new().part("file", part).text("purpose", purpose.to_owned());
        let call = self.http.post(self.url("/v1/files")).bearer_auth(DEFAULT_STRIPE_API_KEY).multipart(form);
        Answer::of(call.send().await.unwrap()).await
    }

    async fn staged(&self, dispute: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [fields, &[("submit", "false")]].concat();
        self.form(&format!("/v1/disputes/{dispute}"), &fields).await
    }
}

#[tokio::test]
async fn a_file_is_told_by_its_bytes_and_comes_back() {
    let bed = Bed::start().await;
    let file = bed.upload(PDF.to_vec(), "dispute_evidence").await;
    assert_eq!(
        (file.status, &file.body["type"], &file.body["filename"]),
        (200, &json!("pdf"), &json!("receipt.pdf"))
    );
    assert_eq!(file.body["size"], PDF.len());
    assert_eq!(bed.stripe(&format!("/v1/files/{}", file.id())).await.body, file.body);
    let listed = bed.stripe("/v1/files?purpose=dispute_evidence").await.body;
    assert_eq!(listed["data"], json!([file.body]));
    let content = bed.http.get(file.body["url"].as_str().unwrap()).bearer_auth(DEFAULT_STRIPE_API_KEY);
    assert_eq!(content.send().await.unwrap().bytes().await.unwrap(), PDF);
    assert_eq!(bed.event_types().await, ["file.created"]);
    bed.clock.advance(TimeDelta::days(274));
    assert_eq!(bed.stripe(&format!("/v1/files/{}/contents", file.id())).await.status, 404);
}

#[tokio::test]
async fn files_that_stripe_does_not_take_are_refused_in_its_words() {
    let bed = Bed::start().await;
    let gif = bed.upload(b"GIF89a".to_vec(), "dispute_evidence").await;
    assert!(
        gif.status == 400 && gif.error("message").starts_with("We don't currently support that file type.")
    );
    assert_eq!(bed.upload(PDF.to_vec(), "holiday").await.error("param"), "purpose");
    let mut large = PDF.to_vec();
    large.resize(5 * 1024 * 1024 + 1, b' ');
    assert!(bed.upload(large, "dispute_evidence").await.error("message").contains("too large"));
    assert_eq!(bed.upload(Vec::new(), "dispute_evidence").await.status, 400);
    assert_eq!(bed.form("/v1/files", &[("purpose", "dispute_evidence")]).await.status, 400);
    assert_eq!(bed.stripe("/v1/files").await.body["data"], json!([]));
}

#[tokio::test]
async fn evidence_takes_files_of_its_purpose_within_the_limits() {
    let bed = Bed::start().await;
    let dispute = bed.post("/sandbox/disputes", json!({"amount": 700})).await;
    let good = bed.upload(PDF.to_vec(), "dispute_evidence").await;
    let staged = bed.staged(dispute.id(), &[("evidence[receipt]", good.id())]).await;
    assert_eq!((staged.status, &staged.body["evidence"]["receipt"]), (200, &good.body["id"]));
    let expand = format!("/v1/disputes/{}?expand[]=evidence.receipt", dispute.id());
    assert_eq!(bed.stripe(&expand).await.body["evidence"]["receipt"], good.body);
    let none = bed.staged(dispute.id(), &[("evidence[receipt]", "file_none")]).await;
    assert_eq!((none.status, none.error("message")), (400, "No such file upload: 'file_none'"));
    let other = bed.upload(PDF.to_vec(), "identity_document").await;
    assert_eq!(
        bed.staged(dispute.id(), &[("evidence[receipt]", other.id())]).await.error("param"),
        "evidence[receipt]"
    );

    let mut large = PDF.to_vec();
    large.resize(2_250_001, b' ');
    let (one, two) =
        (bed.upload(large.clone(), "dispute_evidence").await, bed.upload(large, "dispute_evidence").await);
    let both = [("evidence[receipt]", one.id()), ("evidence[refund_policy]", two.id())];
    assert!(bed.staged(dispute.id(), &both).await.error("message").contains("total size"));
    let pages = |count: usize| [PDF, &b" << /Type /Page >>".repeat(count - 1)[..]].concat();
    for (count, status) in [(50, 200), (51, 400)] {
        let file = bed.upload(pages(count), "dispute_evidence").await;
        let answer = bed.staged(dispute.id(), &[("evidence[receipt]", file.id())]).await;
        assert_eq!(answer.status, status, "{count} pages");
    }
    let long = "x".repeat(20_000);
    let names = [
        "access_activity_log",
        "cancellation_policy_disclosure",
        "cancellation_rebuttal",
        "duplicate_charge_explanation",
        "product_description",
        "refund_policy_disclosure",
        "refund_refusal_explanation",
        "uncategorized_text",
    ];
    let fields: Vec<String> = names.iter().map(|name| format!("evidence[{name}]")).collect();
    let fields: Vec<(&str, &str)> = fields.iter().map(|name| (name.as_str(), long.as_str())).collect();
    assert_eq!(bed.staged(dispute.id(), &fields[..7]).await.status, 200);
    assert!(bed.staged(dispute.id(), &fields).await.error("message").contains("150000"));
    let cleared = bed.staged(dispute.id(), &[("evidence[receipt]", "")]).await;
    assert_eq!(cleared.body["evidence"]["receipt"], Value::Null);
}

#[tokio::test]
async fn a_link_opens_a_file_to_anybody_until_it_expires() {
    let bed = Bed::start().await;
    let file = bed.upload(PDF.to_vec(), "dispute_evidence").await;
    let expires = (bed.sandbox.handle().now().timestamp() + 60).to_string();
    let link = bed.form("/v1/file_links", &[("file", file.id()), ("expires_at", &expires)]).await;
    assert_eq!((link.status, &link.body["expired"]), (200, &json!(false)));
    let fetched = async || bed.http.get(link.body["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(fetched().await.bytes().await.unwrap(), PDF);
    bed.clock.advance(TimeDelta::seconds(60));
    assert_eq!(fetched().await.status(), 404);
    let path = format!("/v1/file_links/{}", link.id());
    assert_eq!(bed.stripe(&path).await.body["expired"], true);
    let opened = bed.form(&path, &[("expires_at", ""), ("metadata[for]", "the bank")]).await;
    assert_eq!(opened.body["metadata"], json!({"for": "the bank"}));
    assert_eq!(fetched().await.status(), 200);
    assert_eq!(bed.form(&path, &[("expires_at", "now")]).await.body["expired"], true);
    let listed = bed.stripe(&format!("/v1/file_links?file={}", file.id())).await.body;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    let private = bed.upload(PDF.to_vec(), "identity_document").await;
    assert_eq!(bed.form("/v1/file_links", &[("file", private.id())]).await.status, 400);
    assert_eq!(bed.form("/v1/file_links", &[("file", file.id()), ("expires_at", "5")]).await.status, 400);

    let run = bed.finished_run(SUMMARY, &[]).await;
    let report = bed.form("/v1/file_links", &[("file", run["result"]["id"].as_str().unwrap())]).await;
    let text = bed.http.get(report.body["url"].as_str().unwrap()).send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with("category,"), "{text}");
}

async fn bed_in(folder: &Path) -> Bed {
    let folder = folder.to_owned();
    Bed::start_with(|config| config.data = Some(folder)).await
}

#[tokio::test]
async fn the_account_outlives_a_restart_with_its_files_and_deadlines() {
    let folder = tempfile::tempdir().unwrap();
    let bed = bed_in(folder.path()).await;
    let file = bed.upload(PDF.to_vec(), "dispute_evidence").await;
    let dispute = bed.post("/sandbox/disputes", json!({"amount": 700})).await;
    bed.form(
        "/v1/webhook_endpoints",
        &[("url", "http://127.0.0.1:1/"), ("enabled_events[]", "file.created")],
    )
    .await;
    let staged = [("evidence[receipt]", file.id()), ("submit", "false")];
    let path = format!("/v1/disputes/{}", dispute.id());
    let before = bed.form_once(&path, &staged, Some("stage-1")).await;
    bed.sandbox.shutdown().await;

    let bed = bed_in(folder.path()).await;
    assert_eq!(bed.stripe(&path).await.body, before.body);
    assert_eq!(bed.form_once(&path, &staged, Some("stage-1")).await.headers["idempotent-replayed"], "true");
    let content = bed.http.get(bed.url(&format!("/v1/files/{}/contents", file.id())));
    let content = content.bearer_auth(DEFAULT_STRIPE_API_KEY).send().await.unwrap();
    assert_eq!(content.bytes().await.unwrap(), PDF);
    assert_eq!(bed.stripe("/v1/webhook_endpoints").await.body["data"].as_array().unwrap().len(), 1);
    bed.clock.advance(TimeDelta::days(9));
    assert_eq!(bed.stripe(&path).await.body["status"], "lost");
    bed.sandbox.shutdown().await;
}
