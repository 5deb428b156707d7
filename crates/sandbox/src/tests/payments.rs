//! Charges, payment intents, refunds, the balance, and who is told of them.

use super::webhooks::Receiver;
use super::*;
use crate::DeliveryState;

#[tokio::test]
async fn a_charge_brings_money_and_shows_its_card() {
    let bed = Bed::start().await;
    let charge = bed
        .form(
            "/v1/charges",
            &[
                ("amount", "10000"),
                ("currency", "USD"),
                ("source[number]", "4242424242424242"),
                ("expand[]", "balance_transaction"),
            ],
        )
        .await;
    assert_eq!((charge.status, &charge.body["status"]), (200, &json!("succeeded")));
    assert_eq!(charge.body["payment_method_details"]["card"]["last4"], "4242");
    let row = &charge.body["balance_transaction"];
    assert_eq!((&row["amount"], &row["fee"], &row["net"]), (&json!(10_000), &json!(320), &json!(9_680)));
    let rows = bed.stripe(&format!("/v1/balance_transactions?source={}", charge.id())).await;
    assert_eq!(rows.body["data"], json!([row]));
    assert_eq!(
        bed.stripe(&format!("/v1/balance_transactions/{}", row["id"].as_str().unwrap())).await.body,
        *row
    );
    let listed = bed.stripe("/v1/charges?limit=1").await;
    assert_eq!(listed.body["data"][0]["id"], charge.body["id"]);
}

#[tokio::test]
async fn the_balance_finds_no_rows_by_their_dispute() {
    let bed = Bed::start().await;
    let dispute = bed.post("/sandbox/disputes", json!({"amount": 700})).await;
    let rows = bed.stripe(&format!("/v1/balance_transactions?source={}", dispute.id())).await;
    assert_eq!(rows.body["data"], json!([]));
    let all = bed.stripe("/v1/balance_transactions?type=adjustment").await;
    assert_eq!(all.body["data"][0]["source"], dispute.body["id"]);
}

#[tokio::test]
async fn an_intent_is_confirmed_at_once_later_or_captured() {
    let bed = Bed::start().await;
    let money = [("amount", "900"), ("currency", "usd")];
    let at_once = [&money[..], &[("payment_method", "pm_card_createDispute"), ("confirm", "true")]].concat();
    let intent = bed.form("/v1/payment_intents", &at_once).await;
    assert_eq!((intent.status, &intent.body["status"]), (200, &json!("succeeded")));
    bed.clock.advance(TimeDelta::seconds(1));
    let disputes = bed.stripe(&format!("/v1/disputes?payment_intent={}", intent.id())).await;
    assert_eq!(disputes.body["data"][0]["charge"], intent.body["latest_charge"]);

    let later =
        bed.form("/v1/payment_intents", &[&money[..], &[("payment_method", "pm_card_visa")]].concat()).await;
    assert_eq!(later.body["status"], "requires_confirmation");
    let confirmed = bed.form(&format!("/v1/payment_intents/{}/confirm", later.id()), &[]).await;
    assert_eq!(confirmed.body["status"], "succeeded");

    let manual = [&at_once[..], &[("capture_method", "manual")]].concat();
    let held = bed.form("/v1/payment_intents", &manual).await;
    assert_eq!(held.body["status"], "requires_capture");
    bed.clock.advance(TimeDelta::days(1));
    let path = format!("/v1/disputes?payment_intent={}", held.id());
    assert_eq!(bed.stripe(&path).await.body["data"], json!([]), "there is nothing to dispute yet");
    bed.form(&format!("/v1/payment_intents/{}/capture", held.id()), &[]).await;
    bed.clock.advance(TimeDelta::seconds(1));
    assert_eq!(bed.stripe(&path).await.body["data"].as_array().unwrap().len(), 1);
    let again = bed.form(&format!("/v1/payment_intents/{}/capture", held.id()), &[]).await;
    assert_eq!((again.status, again.error("code")), (400, "payment_intent_unexpected_state"));
}

#[tokio::test]
async fn a_declined_card_is_402_and_remembered_under_its_key() {
    let bed = Bed::start().await;
    let declined = [("amount", "900"), ("currency", "usd"), ("source", "tok_chargeDeclined")];
    let answer = bed.form_once("/v1/charges", &declined, Some("k")).await;
    assert_eq!(
        (answer.status, answer.error("type"), answer.error("code")),
        (402, "card_error", "card_declined")
    );
    let again = bed.form_once("/v1/charges", &declined, Some("k")).await;
    assert_eq!((again.status, &again.body), (402, &answer.body));
    assert_eq!(bed.form_once("/v1/refunds", &declined, Some("k")).await.error("type"), "idempotency_error");
    for (wrong, code) in [
        ([("amount", "x"), ("currency", "usd"), ("source", "tok_visa")], "parameter_invalid_integer"),
        ([("amount", "0"), ("currency", "usd"), ("source", "tok_visa")], "parameter_invalid_integer"),
        ([("amount", "900"), ("currency", "usd"), ("source", "tok_none")], "resource_missing"),
        ([("amount", "900"), ("currency", "usd"), ("source[number]", "4000")], "incorrect_number"),
        ([("amount", "900"), ("currency", "usd"), ("colour", "red")], "parameter_unknown"),
        ([("amount", "900"), ("currency", "usd"), ("description", "x")], "parameter_missing"),
    ] {
        let answer = bed.form("/v1/charges", &wrong).await;
        assert_eq!((answer.status, answer.error("code")), (400, code), "{wrong:?}");
    }
}

#[tokio::test]
async fn refunds_are_refused_where_the_issuer_has_the_money() {
    let bed = Bed::start().await;
    let dispute = bed.post("/sandbox/disputes", json!({"amount": 700})).await;
    let charge = dispute.body["charge"].as_str().unwrap();
    let refused = bed.form("/v1/refunds", &[("charge", charge)]).await;
    assert_eq!((refused.status, refused.error("code")), (400, "charge_disputed"));
    assert_eq!(
        refused.error("message"),
        format!("Charge {charge} has been charged back; cannot issue a refund.")
    );
    bed.post(&format!("/sandbox/disputes/{}/decide", dispute.id()), json!({"status": "won"})).await;
    let refund = bed.form("/v1/refunds", &[("charge", charge), ("reason", "requested_by_customer")]).await;
    assert_eq!((refund.status, &refund.body["amount"]), (200, &json!(700)));
    assert_eq!(bed.stripe(&format!("/v1/refunds/{}", refund.id())).await.body, refund.body);
    let again = bed.form("/v1/refunds", &[("charge", charge)]).await;
    assert_eq!(again.error("code"), "charge_already_refunded");
    assert!(bed.event_types().await.contains(&"charge.refunded".to_owned()));
}

#[tokio::test]
async fn a_chargeback_overtakes_a_refund_of_the_last_seconds() {
    let bed = Bed::start().await;
    for (wait, status, left) in [(5, "failed", false), (300, "succeeded", true)] {
        let charge =
            bed.form("/v1/charges", &[("amount", "900"), ("currency", "usd"), ("source", "tok_visa")]).await;
        let refund = bed.form("/v1/refunds", &[("charge", charge.id())]).await;
        bed.clock.advance(TimeDelta::seconds(wait));
        let dispute = bed.post("/sandbox/disputes", json!({"amount": 900, "charge": charge.id()})).await;
        assert_eq!(dispute.body["balance_transactions"][0]["amount"], -900);
        let refund = bed.stripe(&format!("/v1/refunds/{}", refund.id())).await.body;
        assert_eq!(refund["status"], status);
        let charge = bed.stripe(&format!("/v1/charges/{}", charge.id())).await.body;
        assert_eq!(charge["refunded"], left);
        if status == "failed" {
            assert_eq!(refund["failure_reason"], "charge_for_pending_refund_disputed");
        }
    }
}

#[tokio::test]
async fn a_fraud_warning_comes_without_a_dispute() {
    let bed = Bed::start().await;
    let card = [("amount", "900"), ("currency", "usd"), ("source", "pm_card_createIssuerFraudRecord")];
    let charge = bed.form("/v1/charges", &card).await;
    bed.clock.advance(TimeDelta::seconds(1));
    let warnings = bed.stripe(&format!("/v1/radar/early_fraud_warnings?charge={}", charge.id())).await.body;
    let warning = &warnings["data"][0];
    assert_eq!((&warning["actionable"], &warning["charge"]), (&json!(true), &charge.body["id"]));
    let path = format!("/v1/radar/early_fraud_warnings/{}", warning["id"].as_str().unwrap());
    bed.form("/v1/refunds", &[("charge", charge.id())]).await;
    assert_eq!(bed.stripe(&path).await.body["actionable"], false);
    assert_eq!(bed.stripe("/v1/disputes").await.body["data"], json!([]));
    let told = bed.stripe("/v1/events?type=radar.early_fraud_warning.updated").await.body;
    assert_eq!(told["data"][0]["data"]["previous_attributes"], json!({"actionable": true}));
    assert!(bed.event_types().await.contains(&"radar.early_fraud_warning.created".to_owned()));
}

#[tokio::test]
async fn endpoints_are_told_what_they_asked_for_with_their_own_secret() {
    let bed = Bed::start().await;
    let (all, all_url) = Receiver::start(&[]).await;
    let (closed, closed_url) = Receiver::start(&[]).await;
    let made = bed.form("/v1/webhook_endpoints", &[("url", &all_url), ("enabled_events[]", "*")]).await;
    let secret = made.body["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let wanted = [("url", closed_url.as_str()), ("enabled_events[0]", "charge.dispute.closed")];
    let other = bed.form("/v1/webhook_endpoints", &wanted).await;
    bed.post("/sandbox/disputes", json!({"amount": 700, "status": "won"})).await;
    until(|| all.count() == 5 && closed.count() == 1).await;
    let (signature, event, body) = closed.get(0);
    assert_eq!((&event["type"], &event["pending_webhooks"]), (&json!("charge.dispute.closed"), &json!(2)));
    let own = other.body["secret"].as_str().unwrap();
    let now = payops_core::time::Clock::now(&bed.clock);
    assert_eq!(signature, crate::stripe_signature(own, now, &body));
    assert_ne!(own, secret);

    let listed = bed.stripe("/v1/webhook_endpoints").await.body;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("whsec_"), "a secret is shown once");
    let path = format!("/v1/webhook_endpoints/{}", made.id());
    assert_eq!(bed.form(&path, &[("disabled", "true")]).await.body["status"], "disabled");
    let delete = async || {
        let call = bed.http.delete(bed.url(&path)).bearer_auth(DEFAULT_STRIPE_API_KEY);
        Answer::of(call.send().await.unwrap()).await
    };
    assert_eq!(delete().await.body["deleted"], true);
    assert_eq!((delete().await.status, bed.stripe(&path).await.status), (404, 404));
    assert_eq!(
        bed.form("/v1/webhook_endpoints", &[("url", &all_url)]).await.error("param"),
        "enabled_events"
    );
}

#[tokio::test]
async fn an_event_can_be_kept_back_until_the_next_has_arrived() {
    let (receiver, url) = Receiver::start(&[]).await;
    let bed = Bed::start().await;
    bed.form(
        "/v1/webhook_endpoints",
        &[
            ("url", &url),
            ("enabled_events[]", "charge.dispute.created"),
            ("enabled_events[]", "charge.dispute.closed"),
        ],
    )
    .await;
    bed.fault(json!({"target": "webhook", "kind": "reorder"})).await;
    let dispute = bed.post("/sandbox/disputes", json!({"amount": 700})).await;
    until(|| bed.sandbox.handle().faults().is_empty()).await;
    bed.post(&format!("/sandbox/disputes/{}/decide", dispute.id()), json!({"status": "lost"})).await;
    until(|| receiver.count() == 2).await;
    assert_eq!(receiver.get(0).1["type"], "charge.dispute.closed");
    assert_eq!(receiver.get(1).1["type"], "charge.dispute.created");
    until(|| bed.sandbox.handle().deliveries().iter().all(|one| one.state == DeliveryState::Delivered)).await;

    bed.fault(json!({"target": "webhook", "kind": "reorder"})).await;
    bed.post("/sandbox/disputes", json!({"amount": 700})).await;
    until(|| bed.sandbox.handle().faults().is_empty()).await;
    bed.clock.advance(TimeDelta::minutes(1));
    until(|| receiver.count() == 3).await;
}
