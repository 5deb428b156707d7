//! Which payment a dispute is about, where Stripe's metadata do not tell.

use chrono::TimeDelta;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_sandbox::{
    CorruptMode, DEFAULT_STRIPE_API_KEY, DisputeStatus, Fault, FaultKind, FaultTarget, KnownPayment,
};
use serde_json::{Value, json};

use crate::harness::{App, MERCHANT, entry};

both_databases!(payops_disputes::MIGRATIONS;
    the_gateway_knows_what_the_metadata_do_not_tell,
    after_the_charge_the_gateway_is_asked_about_the_payment_intent,
    metadata_win_over_the_gateway_and_the_gateway_over_people,
    while_the_gateway_is_away_a_dispute_is_seen_and_it_is_linked_later,
    a_payment_that_the_gateway_learns_of_later_is_found,
    what_the_gateway_says_badly_is_not_used,
    what_was_entered_stands_where_the_gateway_does_not_know_it,
    a_late_link_takes_nothing_over_and_flags_the_doubt,
);

const OTHER: &str = "0193a2b4-c5d6-7e8f-9a0b-000000000002";

impl App {
    /// Has Stripe open a dispute whose charge says nothing of our payment; gives Stripe's ids of both.
    fn opened_unnoted(&self) -> (String, String) {
        let stripes = self.opened("PAY-1", |order| order.charge_metadata.clear());
        let charge = self.sandbox.handle().dispute(&stripes).unwrap()["charge"].as_str().unwrap().to_owned();
        (stripes, charge)
    }

    /// Has somebody pay by a payment intent, and dispute it; gives Stripe's object of the dispute.
    async fn opened_by_intent(&self) -> Value {
        let (http, base) = (reqwest::Client::builder().no_proxy().build().unwrap(), self.sandbox.base_url());
        let terms = [("amount", "900"), ("currency", "usd"), ("confirm", "true")];
        let form = [&terms[..], &[("payment_method", "pm_card_createDispute")]].concat();
        let paid = http.post(format!("{base}/v1/payment_intents")).bearer_auth(DEFAULT_STRIPE_API_KEY);
        let intent: Value = paid.form(&form).send().await.unwrap().json().await.unwrap();
        self.advance(TimeDelta::seconds(1));
        let path = format!("{base}/v1/disputes?payment_intent={}", intent["id"].as_str().unwrap());
        let listed = http.get(path).bearer_auth(DEFAULT_STRIPE_API_KEY).send().await.unwrap();
        listed.json::<Value>().await.unwrap()["data"][0].clone()
    }

    fn gateway_knows(&self, channel_id: &str, payment_no: &str) {
        let payment =
            KnownPayment { payment_no: payment_no.to_owned(), merchant_id: MERCHANT.parse().unwrap() };
        self.sandbox.handle().know_payment(channel_id, payment);
    }

    fn gateway_fails(&self, kind: FaultKind) {
        self.sandbox.handle().add_fault(Fault::once(FaultTarget::GatewayPayment, kind).times(0)).unwrap();
    }

    /// What the gateway was asked about.
    fn asked(&self) -> Vec<String> {
        let requests = self.sandbox.handle().requests().into_iter().map(|call| call.path);
        requests.filter(|path| path.starts_with("/internal/payments/by-channel/")).collect()
    }

    /// Reads a dispute from Stripe now.
    async fn synced(&self, stripes: &str) -> Value {
        let read = self.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await;
        assert_eq!(read.status, 200, "{:?}", read.json());
        read.data()
    }

    /// Lets an hour pass, and waits until what the clock makes the service do is done.
    async fn an_hour_later(&self) {
        self.advance(TimeDelta::hours(1));
        self.work_is_through().await;
    }
}

/// A service that no event reaches: a dispute is read when the test says so, and else by the clock.
async fn unwatched(db: TestDb) -> App {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    app.keep_schedules().await;
    app.work_is_through().await;
    app
}

fn linked(dispute: &Value) -> (&str, &Value, &Value) {
    (dispute["payment_no"].as_str().unwrap_or_default(), &dispute["merchant_id"], &dispute["doubt"])
}

fn unknown(dispute: &Value) -> bool {
    linked(dispute) == ("", &Value::Null, &json!("payment_unknown"))
}

async fn the_gateway_knows_what_the_metadata_do_not_tell(db: TestDb) {
    let app = unwatched(db).await;
    let (stripes, charge) = app.opened_unnoted();
    app.gateway_knows(&charge, "PAY-7");
    let dispute = app.synced(&stripes).await;
    assert_eq!(linked(&dispute), ("PAY-7", &json!(MERCHANT), &Value::Null), "{dispute}");
    app.synced(&stripes).await;
    assert_eq!(app.asked().len(), 1, "it is settled");
    let path = format!("/api/v1/disputes/{}", dispute["id"].as_str().unwrap());
    let merchant = app.client.get(&path).by(As::Merchant(MERCHANT.parse().unwrap())).send().await;
    assert_eq!(merchant.status, 200);
    let timeline = app.get(&format!("{path}/timeline")).await.data();
    let rows = timeline["items"].as_array().unwrap();
    let row = rows.iter().find(|row| row["event_type"] == "linked").unwrap();
    assert_eq!(row["detail"]["said_by"], "gateway", "{row}");
}

async fn after_the_charge_the_gateway_is_asked_about_the_payment_intent(db: TestDb) {
    let app = unwatched(db).await;
    let object = app.opened_by_intent().await;
    let [stripes, charge, intent] = ["id", "charge", "payment_intent"].map(|id| object[id].as_str().unwrap());
    app.gateway_knows(intent, "PAY-7");
    let dispute = app.synced(stripes).await;
    assert_eq!(linked(&dispute), ("PAY-7", &json!(MERCHANT), &Value::Null), "{dispute}");
    let asked = [charge, intent].map(|id| format!("/internal/payments/by-channel/{id}"));
    assert_eq!(app.asked(), asked);
}

async fn metadata_win_over_the_gateway_and_the_gateway_over_people(db: TestDb) {
    let app = unwatched(db).await;
    let noted = app.opened("PAY-1", |_| {});
    let charge = app.sandbox.handle().dispute(&noted).unwrap()["charge"].as_str().unwrap().to_owned();
    app.gateway_knows(&charge, "PAY-GATEWAY");
    assert_eq!(app.synced(&noted).await["payment_no"], "PAY-1");
    assert!(app.asked().is_empty());

    let (stripes, charge) = app.opened_unnoted();
    app.gateway_knows(&charge, "PAY-2");
    let mut wrong = entry("PAY-WRONG");
    wrong["channel_dispute_id"] = json!(stripes);
    wrong["merchant_id"] = json!(OTHER);
    assert_eq!(app.post("/api/v1/disputes", &wrong).await.status, 201);
    let read = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    assert_eq!(linked(&read), ("PAY-2", &json!(MERCHANT), &Value::Null), "{read}");
}

async fn while_the_gateway_is_away_a_dispute_is_seen_and_it_is_linked_later(db: TestDb) {
    let app = unwatched(db).await;
    for (n, fault) in [
        FaultKind::Status { status: 503, retry_after: None },
        FaultKind::Status { status: 429, retry_after: Some(1) },
        FaultKind::Status { status: 403, retry_after: None },
        FaultKind::Cut { after: 5 },
        FaultKind::Slow { ms: 3_600_000 },
    ]
    .into_iter()
    .enumerate()
    {
        let ((first, charge), (second, _)) = (app.opened_unnoted(), app.opened_unnoted());
        let number = format!("PAY-{n}");
        app.gateway_knows(&charge, &number);
        app.gateway_fails(fault);
        let before = app.asked();
        for stripes in [&first, &second] {
            let dispute = app.synced(stripes).await;
            assert!(unknown(&dispute) && dispute["status"] == "needs_response", "{dispute}");
        }
        let path = format!("/internal/payments/by-channel/{charge}");
        assert_eq!(app.asked()[before.len()..], [path], "the second does not wait for one that is away, {n}");
        app.sandbox.handle().clear_faults();
        app.an_hour_later().await;
        let dispute = app.until(&first, |dispute| dispute["payment_no"] == number.as_str()).await;
        assert_eq!(linked(&dispute), (number.as_str(), &json!(MERCHANT), &Value::Null), "{dispute}");
        let other = app.until(&second, |_| true).await;
        assert!(unknown(&other), "{other}");
    }
}

async fn a_payment_that_the_gateway_learns_of_later_is_found(db: TestDb) {
    let app = unwatched(db).await;
    let (stripes, charge) = app.opened_unnoted();
    assert!(unknown(&app.synced(&stripes).await));
    let asked = app.asked();
    let charge = charge.as_str();
    assert_eq!(asked, [format!("/internal/payments/by-channel/{charge}")], "Stripe names no payment intent");
    app.an_hour_later().await;
    assert!(app.asked().len() > asked.len());
    let dispute = app.until(&stripes, |_| true).await;
    assert!(unknown(&dispute), "{dispute}");
    // Once the channel's id of a charge is known, so is the payment; also where the dispute is closed by then.
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::Lost).unwrap();
    assert!(unknown(&app.synced(&stripes).await));
    app.gateway_knows(charge, "PAY-7");
    app.an_hour_later().await;
    app.until(&stripes, |dispute| dispute["payment_no"] == "PAY-7" && dispute["status"] == "lost").await;
    let asked = app.asked();
    app.an_hour_later().await;
    assert_eq!(app.asked(), asked, "it is settled");
}

async fn what_the_gateway_says_badly_is_not_used(db: TestDb) {
    let app = unwatched(db).await;
    for fault in [Some(CorruptMode::Row), Some(CorruptMode::Bytes), None] {
        let (stripes, charge) = app.opened_unnoted();
        let number = if fault.is_none() { "x".repeat(65) } else { "PAY-7".to_owned() };
        app.gateway_knows(&charge, &number);
        if let Some(mode) = fault {
            app.gateway_fails(FaultKind::Corrupt { mode });
        }
        let dispute = app.synced(&stripes).await;
        assert!(unknown(&dispute), "{dispute}");
        app.sandbox.handle().clear_faults();
        app.gateway_knows(&charge, "PAY-7");
        app.an_hour_later().await;
        app.until(&stripes, |dispute| dispute["payment_no"] == "PAY-7").await;
    }
}

async fn what_was_entered_stands_where_the_gateway_does_not_know_it(db: TestDb) {
    let app = unwatched(db).await;
    for away in [false, true] {
        let (stripes, charge) = app.opened_unnoted();
        if away {
            app.gateway_fails(FaultKind::Status { status: 500, retry_after: None });
        }
        let mut entered = entry("PAY-1");
        entered["channel_dispute_id"] = json!(stripes);
        assert_eq!(app.post("/api/v1/disputes", &entered).await.status, 201);
        let read = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
        assert_eq!(linked(&read), ("PAY-1", &json!(MERCHANT), &Value::Null), "{read}");
        app.sandbox.handle().clear_faults();
        app.gateway_knows(&charge, "PAY-GATEWAY");
        app.an_hour_later().await;
        // Where the gateway has said that it does not know the payment, nobody asks again.
        let number = if away { "PAY-GATEWAY" } else { "PAY-1" };
        let later = app.until(&stripes, |dispute| dispute["payment_no"] == number).await;
        assert_eq!(linked(&later), (number, &json!(MERCHANT), &Value::Null), "{later}");
    }
}

async fn a_late_link_takes_nothing_over_and_flags_the_doubt(db: TestDb) {
    let app = unwatched(db).await;
    app.gateway_fails(FaultKind::Status { status: 500, retry_after: None });
    let (stripes, charge) = app.opened_unnoted();
    assert!(unknown(&app.synced(&stripes).await));
    let entered = app.entered("PAY-7").await;
    app.sandbox.handle().clear_faults();
    app.gateway_knows(&charge, "PAY-7");
    app.an_hour_later().await;
    let dispute = app.until(&stripes, |dispute| dispute["payment_no"] == "PAY-7").await;
    assert_eq!(linked(&dispute), ("PAY-7", &json!(MERCHANT), &json!("maybe_the_same")), "{dispute}");
    assert_ne!(dispute["id"], json!(entered));
}
