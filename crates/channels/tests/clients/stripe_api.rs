//! The client of Stripe's disputes: what it sends, and what it makes of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::http::HeaderMap;
use futures::{StreamExt, TryStreamExt, stream};
use payops_channels::stripe::StripeError;
use payops_channels::stripe::api::{
    BalanceQuery, CaseType, DisputeQuery, DisputeReason, DisputeStatus, DisputeUpdate, EventQuery,
    EvidenceFile, FileContent, FileField, FileType, Listing, StripeClient, StripeSettings, TextField,
};
use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::random::SeededRandom;
use payops_core::time::Timestamp;
use serde_json::{Value, json};

use crate::server::{Reply, Server, reply};

pub fn settings(server: &Server) -> StripeSettings {
    let inject = Arc::new(|headers: &mut HeaderMap| {
        headers.insert("traceparent", "00-trace".parse().unwrap());
    });
    let mut settings = StripeSettings::new(server.url.clone(), "sk_test_secret".into(), inject);
    settings.requests_per_second = 1_000_000.try_into().unwrap();
    settings
}

pub fn client(settings: StripeSettings) -> StripeClient {
    StripeClient::new(settings, Arc::new(SeededRandom::new(1))).unwrap()
}

/// A chargeback of 60 USD on an account that is settled in CAD.
pub fn dispute(changes: &Value) -> Value {
    let mut dispute = json!({
        "id": "du_1", "object": "dispute", "amount": 6000, "currency": "usd",
        "balance_transaction": "txn_1",
        "balance_transactions": [{
            "id": "txn_1", "object": "balance_transaction", "amount": -8391, "currency": "cad", "fee": 1500,
            "fee_details": [{
                "amount": 1500, "application": null, "currency": "cad", "description": "Dispute fee",
                "type": "stripe_fee"
            }],
            "net": -9891, "type": "adjustment", "reporting_category": "dispute", "source": "du_1",
            "description": "Chargeback withdrawal for ch_1", "status": "available",
            "created": 1_790_000_002, "available_on": 1_790_000_002, "exchange_rate": 1.398_5
        }],
        "charge": "ch_1", "payment_intent": "pi_1", "customer": null, "created": 1_790_000_000, "livemode": false,
        "metadata": { "case": "7" },
        "evidence": {
            "customer_name": "Ann Payer", "customer_email_address": null, "receipt": "file_9",
            "refund_policy": { "id": "file_8", "object": "file" }, "enhanced_evidence": {}
        },
        "evidence_details": {
            "due_by": 1_790_726_399, "has_evidence": false, "past_due": false, "submission_count": 0,
            "enhanced_eligibility": {
                "visa_compelling_evidence_3": { "status": "requires_action", "required_actions": ["missing_ip"] },
                "visa_compliance": { "status": "requires_fee_acknowledgement" },
                "network_of_tomorrow": { "status": "new" }
            }
        },
        "enhanced_eligibility_types": ["visa_compelling_evidence_3", "network_of_tomorrow"],
        "is_charge_refundable": false,
        "payment_method_details": {
            "type": "card",
            "card": { "brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4" }
        },
        "reason": "fraudulent", "status": "needs_response"
    });
    for (name, value) in changes.as_object().unwrap() {
        dispute[name] = value.clone();
    }
    dispute
}

pub fn dispute_reply(changes: &Value) -> Reply {
    reply(200, dispute(changes).to_string())
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap()
}

#[tokio::test]
async fn a_dispute_is_read_whole() {
    let server = Server::start([dispute_reply(&json!({}))]).await;
    let client = client(settings(&server));
    let dispute = client.dispute("du_1/../x").await.unwrap();
    assert_eq!(dispute.money(), Money::new(6000, Currency::USD));
    assert_eq!(
        (&*dispute.id, &*dispute.charge, dispute.payment_intent.as_deref()),
        ("du_1", "ch_1", Some("pi_1"))
    );
    assert_eq!(
        (&dispute.status, &dispute.reason),
        (&DisputeStatus::NeedsResponse, &DisputeReason::Fraudulent)
    );
    assert_eq!(dispute.network_reason_code(), Some("10.4"));
    let card = dispute.payment_method_details.as_ref().unwrap().card.as_ref().unwrap();
    assert_eq!(
        (card.case_type.as_ref(), card.network.as_deref()),
        (Some(&CaseType::Chargeback), Some("visa"))
    );
    let details = &dispute.evidence_details;
    assert_eq!((details.due_by, details.submission_count), (Some(at(1_790_726_399)), 0));
    let compelling = details.enhanced_eligibility.visa_compelling_evidence_3.as_ref().unwrap();
    assert_eq!(compelling.required_actions, ["missing_ip"]);
    assert_eq!(dispute.evidence.text(TextField::CustomerName), Some("Ann Payer"));
    assert_eq!(dispute.evidence.text(TextField::CustomerEmailAddress), None);
    assert_eq!(dispute.evidence.file(FileField::Receipt), Some("file_9"));
    assert_eq!(dispute.evidence.file(FileField::RefundPolicy), Some("file_8"));
    assert_eq!(dispute.evidence.enhanced(), None);
    let [withdrawn] = dispute.balance_transactions.as_slice() else { panic!("{dispute:?}") };
    assert_eq!((withdrawn.amount, withdrawn.fee, withdrawn.net), (-8391, 1500, -9891));
    assert_eq!(
        (withdrawn.currency.as_str(), withdrawn.reporting_category.as_deref()),
        ("CAD", Some("dispute"))
    );
    assert!(dispute.json.get().contains("exchange_rate"), "the JSON is kept whole");
    let asked = &server.asked()[0];
    assert_eq!((asked.method.as_str(), asked.target.as_str()), ("GET", "/v1/disputes/du_1%2F..%2Fx"));
    assert_eq!(asked.header("authorization"), "Bearer sk_test_secret");
    assert_eq!(
        (asked.header("stripe-version"), asked.header("traceparent")),
        ("2026-06-24.dahlia", "00-trace")
    );
    assert_eq!(asked.header("idempotency-key"), "");
}

#[tokio::test]
async fn what_stripe_adds_later_is_kept_and_hurts_nothing() {
    let unheard_of = json!({
        "status": "sent_to_the_moon", "reason": "solar_flare", "balance_transactions": [], "tomorrow": [1, 2],
        "payment_method_details": { "type": "card", "card": { "case_type": "prophecy" } },
    });
    let bare = json!({
        "evidence": null, "evidence_details": null, "metadata": null, "balance_transactions": null,
        "enhanced_eligibility_types": null, "payment_intent": null, "payment_method_details": null,
        "charge": { "id": "ch_2", "object": "charge" },
    });
    let server = Server::start([dispute_reply(&unheard_of), dispute_reply(&bare)]).await;
    let client = client(settings(&server));
    let dispute = client.dispute("du_1").await.unwrap();
    assert_eq!(dispute.status, DisputeStatus::Unknown("sent_to_the_moon".into()));
    assert_eq!(dispute.reason.as_str(), "solar_flare");
    assert!(dispute.enhanced_eligibility_types.iter().any(|kind| kind.as_str() == "network_of_tomorrow"));
    let card = dispute.payment_method_details.as_ref().unwrap().card.as_ref().unwrap();
    assert_eq!(card.case_type, Some(CaseType::Unknown("prophecy".into())));
    let bare = client.dispute("du_1").await.unwrap();
    assert_eq!((&*bare.charge, &bare.payment_intent, bare.network_reason_code()), ("ch_2", &None, None));
    assert_eq!(bare.evidence_details.due_by, None);
}

#[tokio::test]
async fn what_an_older_version_lacks_is_absent() {
    let dispute = json!({ "id": "dp_1", "amount": 1, "currency": "jpy", "charge": "ch_1", "created": 1,
        "reason": "general", "status": "charge_refunded" });
    let charge = json!({ "id": "ch_1", "amount": 1, "currency": "jpy", "created": 1, "shipping": {},
        "payment_method_details": { "type": "card", "card": { "checks": {}, "three_d_secure": {} } },
        "billing_details": {}, "outcome": {} });
    let server = Server::start([reply(200, dispute.to_string()), reply(200, charge.to_string())]).await;
    let client = client(settings(&server));
    let dispute = client.dispute("dp_1").await.unwrap();
    assert_eq!(dispute.status, DisputeStatus::Unknown("charge_refunded".into()));
    assert_eq!((dispute.evidence_details.due_by, dispute.balance_transactions.len()), (None, 0));
    let charge = client.charge("ch_1").await.unwrap();
    assert_eq!((charge.payment_intent.as_ref(), charge.metadata.len()), (None, 0));
}

#[tokio::test]
async fn a_deadline_of_0_or_null_is_none() {
    for due_by in [json!(0), Value::Null] {
        let details =
            json!({ "evidence_details": { "due_by": due_by, "submission_count": 1, "past_due": true } });
        let server = Server::start([dispute_reply(&details)]).await;
        let dispute = client(settings(&server)).dispute("du_1").await.unwrap();
        let details = &dispute.evidence_details;
        assert_eq!((details.due_by, details.submission_count, details.past_due), (None, 1, true));
    }
}

#[tokio::test]
async fn evidence_is_staged_submitted_and_conceded_under_the_callers_key() {
    let server = Server::start([dispute_reply(&json!({ "status": "under_review" }))]).await;
    let client = client(settings(&server));
    let mut update = DisputeUpdate {
        texts: BTreeMap::from([
            (TextField::CustomerName, "Ann & Co".into()),
            (TextField::UncategorizedText, String::new()),
        ]),
        files: BTreeMap::from([(FileField::Receipt, "file_9".into())]),
        enhanced: Some(json!({ "visa_compelling_evidence_3": {
            "disputed_transaction": { "customer_purchase_ip": "192.0.2.7" },
            "prior_undisputed_transactions": [{ "charge": "ch_7" }, { "charge": "ch_8" }]
        } })),
        metadata: BTreeMap::from([("case".into(), "7".into())]),
        submit: false,
    };
    client.update_dispute("du_1", &update, "packet-1/stage").await.unwrap();
    update = DisputeUpdate { submit: true, ..DisputeUpdate::default() };
    let once = client.once();
    let submission = async move { once.update_dispute("du_1", &update, "packet-1/submit").await };
    let submitted = tokio::spawn(submission).await.unwrap().unwrap();
    assert_eq!(submitted.status, DisputeStatus::UnderReview);
    client.once().close_dispute("du_1", "close-1").await.unwrap();
    let asked = server.asked();
    let sent: Vec<(String, String)> = pairs(&asked[0].text());
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let enhanced = "evidence[enhanced_evidence][visa_compelling_evidence_3]";
    let expected = [
        ("evidence[customer_name]", "Ann & Co"),
        ("evidence[uncategorized_text]", ""),
        ("evidence[receipt]", "file_9"),
        (&format!("{enhanced}[disputed_transaction][customer_purchase_ip]"), "192.0.2.7"),
        (&format!("{enhanced}[prior_undisputed_transactions][0][charge]"), "ch_7"),
        (&format!("{enhanced}[prior_undisputed_transactions][1][charge]"), "ch_8"),
        ("metadata[case]", "7"),
        ("submit", "false"),
    ];
    assert_eq!(sent, expected);
    assert_eq!(asked[1].text(), "submit=true");
    assert_eq!((asked[2].text().as_str(), asked[2].target.as_str()), ("", "/v1/disputes/du_1/close"));
    let keys: Vec<&str> = asked.iter().map(|asked| asked.header("idempotency-key")).collect();
    assert_eq!(keys, ["packet-1/stage", "packet-1/submit", "close-1"]);
    assert!(asked.iter().all(|asked| asked.method == "POST"));
}

/// The pairs of a form, read by the URL library.
fn pairs(form: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://example.test/?{form}")).unwrap();
    url.query_pairs().into_owned().collect()
}

fn page(ids: &[&str], has_more: bool) -> Reply {
    let data: Vec<Value> = ids.iter().map(|id| dispute(&json!({ "id": id }))).collect();
    let body =
        json!({ "object": "list", "data": data, "has_more": has_more, "url": "/v1/disputes", "count": 9 });
    reply(200, body.to_string())
}

#[tokio::test]
async fn a_list_is_walked_page_by_page() {
    let server =
        Server::start([page(&["du_5", "du_4"], true), page(&["du_3", "du_2"], true), page(&["du_1"], false)])
            .await;
    let listing = Listing {
        created_from: Some(at(1_790_000_000)),
        created_before: Some(at(1_790_086_400)),
        limit: Some(2),
        starting_after: None,
    };
    let query = DisputeQuery { listing, charge: Some("ch_1".into()), payment_intent: None };
    let mut disputes = Box::pin(client(settings(&server)).disputes(&query));
    assert_eq!(disputes.next().await.unwrap().unwrap().id, "du_5");
    assert_eq!(server.asked().len(), 1, "a page is fetched when it is needed");
    let rest: Vec<_> = disputes.map_ok(|dispute| dispute.object.id).try_collect().await.unwrap();
    assert_eq!(rest, ["du_4", "du_3", "du_2", "du_1"]);
    let filter = "/v1/disputes?charge=ch_1&created%5Bgte%5D=1790000000&created%5Blt%5D=1790086400&limit=2";
    let targets: Vec<String> = server.asked().into_iter().map(|asked| asked.target).collect();
    let expected = ["", "&starting_after=du_4", "&starting_after=du_2"];
    assert_eq!(targets, expected.map(|cursor| format!("{filter}{cursor}")));
}

#[tokio::test]
async fn a_list_that_goes_in_circles_or_breaks_is_an_error() {
    let query = DisputeQuery::default();
    let server = Server::start([page(&["du_2"], true)]).await;
    let walked: Vec<_> = client(settings(&server)).disputes(&query).collect().await;
    assert!(walked.last().unwrap().is_err() && walked.len() == 2, "{walked:?}");
    let server = Server::start([page(&["du_2"], true), reply(400, r#"{"error":{"type":"x"}}"#)]).await;
    let walked: Vec<_> = client(settings(&server)).disputes(&query).collect().await;
    assert_eq!(walked.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    let server = Server::start([page(&[], true)]).await;
    let none = client(settings(&server)).disputes_page(&query).await.unwrap();
    assert!(none.data.is_empty());
    assert_eq!(client(settings(&server)).disputes(&query).count().await, 0);
}

const FILE: &str = r#"{"id":"file_1","object":"file","created":1790000000,"expires_at":1813000000,
    "filename":"receipt.pdf","purpose":"dispute_evidence","size":11,"title":null,"type":"pdf","url":null,
    "links":{"object":"list","data":[],"has_more":false,"url":"/v1/file_links?file=file_1"}}"#;

fn content(streamed: bool) -> FileContent {
    let bytes = Bytes::from_static(b"%PDF-\xff\x00\r\n--");
    if !streamed {
        return FileContent::Bytes(bytes);
    }
    let pieces = [bytes.slice(..4), bytes.slice(4..)];
    let open = move || stream::iter(pieces.clone().map(Ok)).boxed();
    FileContent::Stream { length: bytes.len() as u64, open: Arc::new(open) }
}

#[tokio::test]
async fn a_file_is_uploaded_to_the_files_host_as_it_is() {
    for streamed in [false, true] {
        let api = Server::start([reply(500, "not here")]).await;
        let files = Server::start([reply(500, ""), reply(200, FILE)]).await;
        let mut settings = settings(&api);
        settings.files_url = files.url.clone();
        settings.retries.first_pause = std::time::Duration::from_millis(1);
        let file = EvidenceFile {
            name: "/home/ann/my \"receipt\".PDF".into(),
            kind: FileType::Pdf,
            content: content(streamed),
        };
        let uploaded = client(settings).upload_evidence(&file, "file-7").await.unwrap();
        assert_eq!((&*uploaded.id, uploaded.size, uploaded.kind.as_deref()), ("file_1", 11, Some("pdf")));
        assert_eq!((uploaded.expires_at, uploaded.url), (Some(at(1_813_000_000)), None));
        assert!(api.asked().is_empty());
        for asked in files.asked() {
            assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/v1/files"));
            assert_eq!(asked.header("idempotency-key"), "file-7");
            assert_eq!(asked.header("content-length"), asked.body.len().to_string());
            let boundary =
                asked.header("content-type").strip_prefix("multipart/form-data; boundary=").unwrap();
            let mut expected = format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\ndispute_evidence\r\n\
                 --{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"my _receipt_.pdf\"\r\n\
                 Content-Type: application/pdf\r\n\r\n"
            )
            .into_bytes();
            expected.extend(b"%PDF-\xff\x00\r\n--");
            expected.extend(format!("\r\n--{boundary}--\r\n").bytes());
            assert_eq!(asked.body, expected);
        }
        assert_eq!(files.asked().len(), 2, "the same content is sent again");
    }
}

#[tokio::test]
async fn files_are_looked_up_and_linked() {
    let link = r#"{"id":"link_1","object":"file_link","created":1790000000,"expired":false,"expires_at":1790086400,
        "file":"file_1","livemode":false,"metadata":{},"url":"https://files.stripe.com/links/x"}"#;
    let server = Server::start([reply(200, FILE), reply(200, link)]).await;
    let client = client(settings(&server));
    assert_eq!(client.file("file_1").await.unwrap().purpose, "dispute_evidence");
    let link = client.create_file_link("file_1", Some(at(1_790_086_400)), "link-1").await.unwrap();
    assert_eq!((&*link.file, link.expires_at, link.expired), ("file_1", Some(at(1_790_086_400)), false));
    let asked = server.asked();
    assert_eq!((asked[0].target.as_str(), asked[1].target.as_str()), ("/v1/files/file_1", "/v1/file_links"));
    assert_eq!(asked[1].text(), "file=file_1&expires_at=1790086400");
}

#[tokio::test]
async fn a_charge_tells_whose_payment_it_was() {
    let charge = json!({
        "id": "ch_1", "object": "charge", "amount": 6000, "amount_captured": 6000, "amount_refunded": 0,
        "currency": "isk", "created": 1_790_000_000, "status": "succeeded", "captured": true, "refunded": false,
        "disputed": true, "livemode": false, "payment_intent": "pi_1", "customer": { "id": "cus_1" },
        "balance_transaction": "txn_0", "metadata": { "payment_no": "P20260101" }, "description": "Two lamps",
        "billing_details": { "name": "Ann Payer", "email": "ann@example.test", "phone": null, "tax_id": null,
            "address": { "line1": "1 High Street", "line2": null, "city": "Bath", "state": null,
                "postal_code": "BA1", "country": "GB" } },
        "shipping": { "name": "Ann", "carrier": "Post", "tracking_number": "T1",
            "address": { "city": "Bath" } },
        "receipt_email": "ann@example.test", "receipt_number": "1-1", "receipt_url": "https://pay.stripe.com/r/1",
        "payment_method_details": { "type": "card", "card": { "brand": "visa", "last4": "0259",
            "fingerprint": "F1", "checks": { "cvc_check": "pass", "address_postal_code_check": "fail" },
            "three_d_secure": { "electronic_commerce_indicator": "05" } } },
        "outcome": { "risk_level": "normal", "risk_score": 12, "network_status": "approved_by_network" }
    });
    let intent = json!({ "id": "pi_1", "amount": 6000, "amount_received": 6000, "currency": "isk",
        "created": 1_790_000_000, "status": "succeeded", "latest_charge": "ch_1",
        "metadata": { "merchant_id": "M1" } });
    let server = Server::start([reply(200, charge.to_string()), reply(200, intent.to_string())]).await;
    let client = client(settings(&server));
    let charge = client.charge("ch_1").await.unwrap();
    assert_eq!((charge.amount, charge.currency.as_str()), (6000, "ISK"), "as Stripe counts it");
    assert_eq!(
        (charge.metadata["payment_no"].as_str(), charge.customer.as_deref()),
        ("P20260101", Some("cus_1"))
    );
    assert_eq!(charge.billing_details.address.as_ref().unwrap().city.as_deref(), Some("Bath"));
    assert_eq!(charge.shipping.as_ref().unwrap().tracking_number.as_deref(), Some("T1"));
    let card = charge.payment_method_details.as_ref().unwrap().card.as_ref().unwrap();
    assert_eq!(card.checks.as_ref().unwrap().cvc_check.as_deref(), Some("pass"));
    let intent = client.payment_intent("pi_1").await.unwrap();
    assert_eq!(
        (intent.metadata["merchant_id"].as_str(), intent.latest_charge.as_deref()),
        ("M1", Some("ch_1"))
    );
    let targets: Vec<String> = server.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(targets, ["/v1/charges/ch_1", "/v1/payment_intents/pi_1"]);
}

#[tokio::test]
async fn the_ledger_and_the_events_are_read() -> Result<(), StripeError> {
    let row = dispute(&json!({}))["balance_transactions"][0].clone();
    let event = json!({ "id": "evt_1", "object": "event", "type": "charge.dispute.created",
        "created": 1_790_000_000, "api_version": null, "livemode": false, "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null }, "data": { "object": dispute(&json!({})) } });
    let list = |of: &Value| reply(200, json!({ "data": [of], "has_more": false }).to_string());
    let one = |of: &Value| reply(200, of.to_string());
    let server = Server::start([one(&row), list(&row), one(&event), list(&event)]).await;
    let client = client(settings(&server));
    assert_eq!(client.balance_transaction("txn_1").await?.source.as_deref(), Some("du_1"));
    let query = BalanceQuery { kind: Some("adjustment".into()), ..BalanceQuery::default() };
    let query = BalanceQuery { currency: Some(Currency::USD), ..query };
    let rows: Vec<_> = client.balance_transactions(&query).try_collect().await?;
    assert_eq!(rows[0].fee_details[0].kind, "stripe_fee");
    assert_eq!(client.event("evt_1").await?.object_id().as_deref(), Some("du_1"));
    let kinds = vec!["charge.dispute.created".to_owned(), "charge.dispute.closed".to_owned()];
    let events: Vec<_> = client.events(&EventQuery { kinds, ..EventQuery::default() }).try_collect().await?;
    assert_eq!(events[0].kind, "charge.dispute.created");
    let targets: Vec<String> = server.asked().into_iter().map(|asked| asked.target).collect();
    let types = "types%5B0%5D=charge.dispute.created&types%5B1%5D=charge.dispute.closed";
    let expected = [
        "/v1/balance_transactions/txn_1",
        "/v1/balance_transactions?type=adjustment&currency=usd",
        "/v1/events/evt_1",
        &format!("/v1/events?{types}"),
    ];
    assert_eq!(targets, expected);
    Ok(())
}
