//! What Stripe says, and what becomes of it.

use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_sandbox::DisputeStatus;
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::harness::{App, MERCHANT, entry};

both_databases!(payops_disputes::MIGRATIONS;
    a_dispute_comes_by_webhook_and_is_followed_to_its_end,
    an_inquiry_that_escalates_keeps_its_id_and_wants_a_new_answer,
    a_dispute_that_was_lost_is_won_late,
    a_dispute_entered_by_hand_is_adopted,
    of_two_entered_by_hand_none_is_adopted,
    a_payment_that_nobody_knows_is_a_doubt_and_no_merchants,
    a_dispute_that_nobody_answers_is_lost_by_its_deadline,
    a_dispute_can_be_read_now,
    a_mistyped_id_is_no_news,
    a_burst_of_events_is_stored_whole_and_once,
    what_stripe_says_of_a_payment_wins_over_what_was_entered,
);

async fn a_dispute_comes_by_webhook_and_is_followed_to_its_end(db: TestDb) {
    let app = App::start(db).await;
    let stripes = app.opened("PAY-1", |_| {});
    let dispute = app.until(&stripes, |dispute| dispute["status"] == "needs_response").await;
    assert_eq!(dispute["payment_no"], "PAY-1");
    assert_eq!(dispute["merchant_id"], MERCHANT);
    assert_eq!((&dispute["amount"], &dispute["currency"]), (&json!(12_300), &json!("USD")));
    assert_eq!(dispute["phase"], "chargeback");
    assert!(dispute["evidence_due_by"].is_string() && dispute["seconds_left"].as_i64().unwrap() > 0);
    assert_eq!(dispute["allowed_statuses"], json!([]), "Stripe says how it stands");
    let id = dispute["id"].as_str().unwrap();
    let whole = app.get(&format!("/api/v1/disputes/{id}")).await.data();
    let money = &whole["money_movements"];
    assert_eq!((&money[0]["kind"], &money[0]["amount"]), (&json!("withdrawn"), &json!(-12_300)), "{money}");
    assert_eq!((&money[1]["kind"], &money[1]["amount"]), (&json!("fee"), &json!(-1_500)), "{money}");
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::Won).unwrap();
    let won = app.until(&stripes, |dispute| dispute["status"] == "won").await;
    assert_eq!(won["result"], "won");
    assert!(won["closed_at"].is_string());
    let whole = app.get(&format!("/api/v1/disputes/{id}")).await.data();
    let moved = whole["money_movements"].as_array().unwrap();
    let back = moved.iter().find(|movement| movement["kind"] == "reinstated").unwrap();
    assert_eq!((moved.len(), &back["amount"]), (3, &json!(12_300)), "{whole}");
    let story = app.story(id).await;
    for told in ["created", "linked", "status_changed", "money_moved"] {
        assert!(story.iter().any(|event| event == told), "{told} in {story:?}");
    }
}

async fn an_inquiry_that_escalates_keeps_its_id_and_wants_a_new_answer(db: TestDb) {
    let app = App::start(db).await;
    let stripes = app.opened("PAY-1", |order| order.status = DisputeStatus::WarningUnderReview);
    let inquiry = app.until(&stripes, |dispute| dispute["status"] == "warning_under_review").await;
    assert_eq!((&inquiry["phase"], &inquiry["evidence_submitted"]), (&json!("inquiry"), &json!(true)));
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::NeedsResponse).unwrap();
    let escalated = app.until(&stripes, |dispute| dispute["status"] == "needs_response").await;
    assert_eq!(escalated["id"], inquiry["id"]);
    assert_eq!(
        (&escalated["phase"], &escalated["evidence_submitted"]),
        (&json!("chargeback"), &json!(false))
    );
}

async fn a_dispute_that_was_lost_is_won_late(db: TestDb) {
    let app = App::start(db).await;
    let stripes = app.opened("PAY-1", |order| order.status = DisputeStatus::Lost);
    let lost = app.until(&stripes, |dispute| dispute["status"] == "lost").await;
    assert_eq!(lost["result"], "lost");
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::Won).unwrap();
    let won = app.until(&stripes, |dispute| dispute["status"] == "won").await;
    assert_eq!((&won["result"], &won["lost_cause"]), (&json!("won"), &json!(null)));
}

async fn a_dispute_entered_by_hand_is_adopted(db: TestDb) {
    let app = App::start(db).await;
    let id = app.entered("PAY-1").await;
    let stripes = app.opened("PAY-1", |_| {});
    let adopted = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    assert_eq!((adopted["id"].as_str().unwrap(), &adopted["doubt"]), (id.as_str(), &json!(null)));
    assert!(app.story(&id).await.contains(&"adopted".to_owned()));
}

async fn of_two_entered_by_hand_none_is_adopted(db: TestDb) {
    let app = App::start(db).await;
    let entered = [app.entered("PAY-1").await, app.entered("PAY-1").await];
    let stripes = app.opened("PAY-1", |_| {});
    let third = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    assert!(!entered.contains(&third["id"].as_str().unwrap().to_owned()));
    assert_eq!(third["doubt"], "maybe_the_same");
}

async fn a_payment_that_nobody_knows_is_a_doubt_and_no_merchants(db: TestDb) {
    let app = App::start(db).await;
    let stripes = app.opened("PAY-1", |order| order.charge_metadata.clear());
    let dispute = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    assert_eq!((&dispute["doubt"], &dispute["payment_no"]), (&json!("payment_unknown"), &json!(null)));
    let path = format!("/api/v1/disputes/{}", dispute["id"].as_str().unwrap());
    let merchant = app.client.get(&path).by(As::Merchant(MERCHANT.parse().unwrap())).send().await;
    assert_eq!(merchant.status, 404);
}

async fn a_dispute_can_be_read_now(db: TestDb) {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    let stripes = app.opened("PAY-1", |_| {});
    let read = app.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await;
    assert_eq!((read.status, &read.data()["status"]), (200, &json!("needs_response")), "{:?}", read.json());
    let unknown = app.post("/api/v1/disputes/sync/du_nope", &json!({})).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "CHANNEL_DISPUTE_NOT_FOUND"));
}

async fn a_dispute_that_nobody_answers_is_lost_by_its_deadline(db: TestDb) {
    let app = App::start(db).await;
    let stripes = app.opened("PAY-1", |_| {});
    app.until(&stripes, |dispute| dispute["status"] == "needs_response").await;
    app.advance(chrono::TimeDelta::days(10));
    let lost = app.until(&stripes, |dispute| dispute["status"] == "lost").await;
    assert_eq!((&lost["lost_cause"], &lost["seconds_left"]), (&json!("expired"), &json!(null)));
}

async fn a_mistyped_id_is_no_news(db: TestDb) {
    let app = App::start(db).await;
    app.keep_schedules().await;
    let nobodys = "/api/v1/disputes/by-payment/PAY-9?channel=stripe";
    app.until_true(async || {
        let advice = app.get(nobodys).await.data();
        if advice["refund_would_pay_twice"] == "no" { Ok(()) } else { Err(advice) }
    })
    .await;
    let unknown = app.post("/api/v1/disputes/sync/du_nobody_knows", &json!({})).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "CHANNEL_DISPUTE_NOT_FOUND"));
    for path in ["%2e%2e", "%2e", "du_%20", "du%3Fa"] {
        let refused = app.post(&format!("/api/v1/disputes/sync/{path}"), &json!({})).await;
        assert_eq!((refused.status, refused.fields().as_str()), (400, "channel_dispute_id"), "{path}");
    }
    let mut mistyped = entry("PAY-1");
    mistyped["channel_dispute_id"] = json!("du_mistyped");
    assert_eq!(app.post("/api/v1/disputes", &mistyped).await.status, 201);
    app.work_is_through().await;
    let advice = app.get(nobodys).await.data();
    assert_eq!(advice["refund_would_pay_twice"], "no", "{advice}");
    assert_eq!(app.delivered("evt_1", "charge.dispute.created", "du_of_nobody").await, 200);
    app.until_true(async || {
        let advice = app.get(nobodys).await.data();
        if advice["refund_would_pay_twice"] == "no" { Ok(()) } else { Err(advice) }
    })
    .await;
    // Nobody else says how such a one stands, and nobody takes an answer to it.
    let listed = app.get("/api/v1/disputes?channel_dispute_id=du_mistyped").await.data();
    let id = listed["items"][0]["id"].as_str().unwrap();
    let actions = &listed["items"][0]["allowed_actions"];
    assert_eq!(*actions, json!(["add_evidence", "set_status", "set_product_type", "assign", "note"]));
    let closed = app.put(&format!("/api/v1/disputes/{id}/status"), &json!({ "status": "lost" })).send().await;
    assert_eq!(closed.status, 200, "{:?}", closed.json());
}

async fn what_stripe_says_of_a_payment_wins_over_what_was_entered(db: TestDb) {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    let stripes = app.opened("PAY-1", |_| {});
    let mut wrong = entry("PAY-WRONG");
    wrong["channel_dispute_id"] = json!(stripes);
    wrong["merchant_id"] = json!("0193a2b4-c5d6-7e8f-9a0b-000000000002");
    assert_eq!(app.post("/api/v1/disputes", &wrong).await.status, 201);
    let read = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    assert_eq!((&read["payment_no"], &read["merchant_id"]), (&json!("PAY-1"), &json!(MERCHANT)), "{read}");
    let story = app.story(read["id"].as_str().unwrap()).await;
    assert!(story.iter().any(|event| event == "linked"), "{story:?}");
}

impl App {
    /// Delivers an event as Stripe does; gives the answer's status.
    pub async fn delivered(&self, event_id: &str, kind: &str, object_id: &str) -> u16 {
        let secret = secrecy::SecretString::from(payops_sandbox::DEFAULT_WEBHOOK_SECRET);
        let now = self.context().now();
        let event = json!({
            "id": event_id, "object": "event", "api_version": "2025-09-30.clover", "livemode": false,
            "created": now.timestamp(), "type": kind, "data": { "object": { "id": object_id, "object": "any" } },
        });
        let body = event.to_string();
        let signature = payops_channels::stripe::webhook::sign(body.as_bytes(), &secret, now);
        let request = self.client.post("/api/v1/webhooks/stripe", &json!({}));
        request.body("application/json", body).header("stripe-signature", signature).send().await.status
    }
}

async fn a_burst_of_events_is_stored_whole_and_once(db: TestDb) {
    let app = App::start(db).await;
    let ids: Vec<String> = (0..300).map(|number| format!("evt_{number}")).collect();
    // More than anonymous callers may, and each twice.
    let twice = ids.iter().chain(&ids).map(|id| app.delivered(id, "charge.updated", "ch_1"));
    let all = futures::future::join_all(twice).await;
    assert_eq!(all.iter().filter(|status| **status == 200).count(), 600, "{all:?}");
    let db = &app.context().db;
    let count = db.backend().statement("SELECT CAST(COUNT(*) AS BIGINT) AS stored FROM webhook_inbox", []);
    let stored: i64 = db.read().query_one_raw(count).await.unwrap().unwrap().try_get("", "stored").unwrap();
    assert_eq!(stored, 300);
}
