//! The life of disputes.

use super::*;
use crate::{DisputeOrder, DisputeStatus, Settlement};

/// Charges a card and waits, in virtual time, for what follows.
async fn charged(bed: &Bed, card: &str) -> Answer {
    let charge = bed
        .form(
            "/v1/charges",
            &[
                ("amount", "6000"),
                ("currency", "usd"),
                ("source", card),
                ("description", "A red coat"),
                ("receipt_email", "anna@shop.example"),
                ("shipping[name]", "Anna Sander"),
                ("metadata[payment_no]", "P-1"),
            ],
        )
        .await;
    assert_eq!(charge.status, 200, "{}", charge.body);
    bed.clock.advance(TimeDelta::seconds(1));
    charge
}

/// The only dispute.
async fn disputed(bed: &Bed, card: &str) -> Value {
    charged(bed, card).await;
    let list = bed.stripe("/v1/disputes").await.body;
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    list["data"][0].clone()
}

fn path(dispute: &Value) -> String {
    format!("/v1/disputes/{}", dispute["id"].as_str().unwrap())
}

async fn answered(bed: &Bed, dispute: &Value, words: &str) -> Answer {
    bed.form(&path(dispute), &[("evidence[uncategorized_text]", words)]).await
}

#[tokio::test]
async fn a_magic_card_is_disputed_with_money_and_events_in_stripes_order() {
    let bed = Bed::start().await;
    let charge = bed
        .form("/v1/charges", &[("amount", "6000"), ("currency", "usd"), ("source", "tok_createDispute")])
        .await;
    assert_eq!(bed.stripe("/v1/disputes").await.body["data"], json!([]), "it takes half a second");
    bed.clock.advance(TimeDelta::milliseconds(500));
    let dispute = bed.stripe("/v1/disputes").await.body["data"][0].clone();
    assert_eq!((&dispute["status"], &dispute["reason"]), (&json!("needs_response"), &json!("fraudulent")));
    assert_eq!(dispute["charge"], charge.body["id"]);
    assert_eq!(dispute["payment_method_details"]["card"]["network_reason_code"], "10.4");
    // 23:59:59 of the eighth day after 26 October.
    assert_eq!(dispute["evidence_details"]["due_by"], 1_730_678_399);
    assert_eq!(dispute["is_charge_refundable"], false);
    let row = &dispute["balance_transactions"][0];
    assert_eq!((&row["amount"], &row["fee"], &row["net"]), (&json!(-6000), &json!(1500), &json!(-7500)));
    assert_eq!((&row["type"], &row["reporting_category"]), (&json!("adjustment"), &json!("dispute")));
    assert_eq!(row["fee_details"][0]["description"], "Dispute fee");
    assert_eq!(row["description"], format!("Chargeback withdrawal for {}", charge.id()));
    assert_eq!((&row["source"], &dispute["balance_transaction"]), (&dispute["id"], &row["id"]));
    assert_eq!(
        bed.event_types().await,
        ["charge.succeeded", "charge.dispute.created", "charge.dispute.funds_withdrawn"]
    );
    assert_eq!(bed.stripe(&format!("/v1/charges/{}", charge.id())).await.body["disputed"], true);
}

#[tokio::test]
async fn every_magic_card_does_what_it_says() {
    for (card, status, reason, case_type, count) in [
        ("pm_card_createDispute", "needs_response", "fraudulent", "chargeback", 1),
        ("4000000000002685", "needs_response", "product_not_received", "chargeback", 1),
        ("pm_card_createDisputeInquiry", "warning_needs_response", "fraudulent", "inquiry", 1),
        ("pm_card_createMultipleDisputes", "needs_response", "fraudulent", "chargeback", 2),
        ("pm_card_createCe3EligibleDispute", "needs_response", "fraudulent", "chargeback", 1),
        ("pm_card_createComplianceDispute", "needs_response", "noncompliant", "compliance", 1),
        ("pm_card_createMastercardComplianceDispute", "needs_response", "noncompliant", "compliance", 1),
        ("pm_card_createAutoRepresentmentEligibleDispute", "needs_response", "fraudulent", "chargeback", 1),
        ("tok_visa", "", "", "", 0),
    ] {
        let bed = Bed::start().await;
        charged(&bed, card).await;
        let list = bed.stripe("/v1/disputes").await.body;
        let list = list["data"].as_array().unwrap();
        assert_eq!(list.len(), count, "{card}");
        for dispute in list {
            assert_eq!(dispute["status"], status, "{card}");
            assert_eq!(dispute["reason"], reason, "{card}");
            assert_eq!(dispute["payment_method_details"]["card"]["case_type"], case_type, "{card}");
        }
        let amount: i64 = list.iter().map(|dispute| dispute["amount"].as_i64().unwrap()).sum();
        assert_eq!(amount, if count == 0 { 0 } else { 6000 }, "{card}");
    }
}

#[tokio::test]
async fn what_the_charge_knows_of_the_customer_is_filled_in_without_being_evidence() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    assert_eq!(dispute["evidence"]["customer_name"], "Anna Sander");
    assert_eq!(dispute["evidence"]["customer_email_address"], "anna@shop.example");
    assert_eq!(dispute["evidence"]["product_description"], "A red coat");
    let details = &dispute["evidence_details"];
    assert_eq!((&details["has_evidence"], &details["submission_count"]), (&json!(false), &json!(0)));
}

#[tokio::test]
async fn evidence_is_staged_then_sent_whole_and_only_once() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    let staged = bed
        .form(
            &path(&dispute),
            &[("submit", "false"), ("evidence[customer_name]", "A. Sander"), ("metadata[case]", "7")],
        )
        .await;
    assert_eq!((staged.status, &staged.body["status"]), (200, &json!("needs_response")));
    assert_eq!(staged.body["evidence_details"]["has_evidence"], true);
    assert_eq!(staged.body["metadata"], json!({"case": "7"}));
    let sent = answered(&bed, &dispute, "winning_evidence").await;
    assert_eq!(sent.body["status"], "under_review");
    assert_eq!(sent.body["evidence"]["customer_name"], "A. Sander");
    assert_eq!(sent.body["evidence_details"]["submission_count"], 1);
    let again = answered(&bed, &dispute, "more").await;
    assert_eq!((again.status, again.error("type")), (400, "invalid_request_error"));
    let events = bed.stripe("/v1/events?type=charge.dispute.updated").await.body;
    let updated = &events["data"][0]["data"];
    assert_eq!(updated["previous_attributes"]["status"], "needs_response");
    assert_eq!(updated["previous_attributes"]["evidence_details"], json!({"submission_count": 0}));
    assert_eq!(updated["object"]["status"], "under_review");

    bed.clock.advance(TimeDelta::seconds(5));
    let won = bed.stripe(&path(&dispute)).await.body;
    assert_eq!((&won["status"], &won["is_charge_refundable"]), (&json!("won"), &json!(true)));
    let back = &won["balance_transactions"][1];
    assert_eq!((&back["amount"], &back["fee"]), (&json!(6000), &json!(0)), "the fee stays");
    assert_eq!(back["reporting_category"], "dispute_reversal");
    assert_eq!(
        bed.event_types().await[3..],
        [
            "charge.dispute.updated",
            "charge.dispute.updated",
            "charge.updated",
            "charge.dispute.funds_reinstated",
            "charge.dispute.closed"
        ]
    );
    let closed = answered(&bed, &dispute, "late").await;
    assert_eq!((closed.status, closed.error("message")), (400, "This dispute is already closed"));
    assert!(closed.body["error"].get("code").is_none() && closed.body["error"].get("param").is_none());
}

#[tokio::test]
async fn losing_words_lose_and_closing_gives_in() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    answered(&bed, &dispute, "losing_evidence").await;
    bed.clock.advance(TimeDelta::seconds(5));
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "lost");

    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    let closed = bed.form(&format!("{}/close", path(&dispute)), &[]).await;
    assert_eq!((closed.status, &closed.body["status"]), (200, &json!("lost")));
    assert_eq!(bed.event_types().await[3..], ["charge.dispute.closed", "charge.updated"]);
    assert_eq!(bed.form(&format!("{}/close", path(&dispute)), &[]).await.status, 400);
}

#[tokio::test]
async fn an_inquiry_escalates_under_its_id_and_needs_a_second_answer() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "pm_card_createDisputeInquiry").await;
    assert_eq!(dispute["balance_transactions"], json!([]));
    assert_eq!(dispute["is_charge_refundable"], true);
    assert_eq!(bed.form(&format!("{}/close", path(&dispute)), &[]).await.status, 400);
    let sent = answered(&bed, &dispute, "escalate_inquiry_evidence").await;
    assert_eq!(sent.body["status"], "warning_under_review");
    bed.clock.advance(TimeDelta::seconds(5));
    let escalated = bed.stripe(&path(&dispute)).await.body;
    assert_eq!((&escalated["status"], &escalated["id"]), (&json!("needs_response"), &dispute["id"]));
    assert_eq!(escalated["balance_transactions"][0]["amount"], -6000);
    assert_eq!(escalated["payment_method_details"]["card"]["case_type"], "chargeback");
    let second = answered(&bed, &dispute, "winning_evidence").await;
    assert_eq!((second.status, &second.body["status"]), (200, &json!("under_review")));
    bed.clock.advance(TimeDelta::seconds(5));
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "won");
}

#[tokio::test]
async fn an_inquiry_closes_when_it_is_quiet_or_refunded_in_full_or_lost() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "pm_card_createDisputeInquiry").await;
    bed.clock.advance(TimeDelta::days(119));
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "warning_needs_response");
    bed.clock.advance(TimeDelta::days(1));
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "warning_closed");

    let bed = Bed::start().await;
    let dispute = disputed(&bed, "pm_card_createDisputeInquiry").await;
    let charge = dispute["charge"].as_str().unwrap();
    let part = bed.form("/v1/refunds", &[("charge", charge), ("amount", "1000")]).await;
    assert_eq!(part.status, 200);
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "warning_needs_response");
    bed.form("/v1/refunds", &[("charge", charge)]).await;
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "warning_closed");

    let bed = Bed::start().await;
    let dispute = disputed(&bed, "pm_card_createDisputeInquiry").await;
    answered(&bed, &dispute, "losing_evidence").await;
    bed.clock.advance(TimeDelta::seconds(5));
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "warning_closed");
}

#[tokio::test]
async fn a_jump_of_the_clock_lets_all_happen_in_order_and_at_its_time() {
    let bed = Bed::start().await;
    let handle = bed.sandbox.handle();
    let order = |due_by| DisputeOrder { due_by: Some(due_by), ..DisputeOrder::of(500) };
    let start = handle.now().timestamp();
    let late = handle.make_dispute(order(start + 200)).unwrap();
    let early = handle.make_dispute(order(start + 100)).unwrap();
    bed.post("/sandbox/clock", json!({"advance_to": "2024-10-27T12:00:00Z"})).await;
    let closed = bed.stripe("/v1/events?type=charge.dispute.closed").await.body;
    let told: Vec<(&Value, &Value)> = closed["data"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|event| (&event["data"]["object"]["id"], &event["created"]))
        .collect();
    assert_eq!(told, [(&early["id"], &json!(start + 101)), (&late["id"], &json!(start + 201))]);
    assert_eq!(handle.dispute(early["id"].as_str().unwrap()).unwrap()["status"], "lost");
}

#[tokio::test]
async fn the_clock_goes_to_a_deadline_and_one_second_more_loses() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    let id = dispute["id"].as_str().unwrap();
    let moved = bed.post("/sandbox/clock", json!({"deadline_of": id, "seconds_before": 60})).await;
    assert_eq!(moved.body["now"], "2024-11-03T23:58:59Z");
    bed.sandbox.handle().advance_to_deadline(id, TimeDelta::zero()).unwrap();
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "needs_response");
    bed.sandbox.handle().advance(TimeDelta::seconds(1));
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "lost");
    assert_eq!(
        bed.post("/sandbox/clock", json!({"deadline_of": id, "seconds_before": 60})).await.status,
        400
    );
    assert_eq!(bed.post("/sandbox/clock", json!({"deadline_of": "du_none"})).await.status, 400);
    assert_eq!(bed.post("/sandbox/clock", json!({"sideways": 1})).await.status, 400);
}

#[tokio::test]
async fn disputes_are_made_and_decided_on_demand() {
    let bed = Bed::start().await;
    for status in [
        "needs_response",
        "under_review",
        "won",
        "lost",
        "warning_needs_response",
        "warning_under_review",
        "warning_closed",
        "prevented",
    ] {
        let made =
            bed.post("/sandbox/disputes", json!({"amount": 700, "currency": "eur", "status": status})).await;
        assert_eq!((made.status, &made.body["status"]), (201, &json!(status)), "{}", made.body);
        assert_eq!(bed.stripe(&path(&made.body)).await.body["currency"], "eur");
    }
    let unchallengeable = bed.post("/sandbox/disputes", json!({"amount": 700, "due_by": 0})).await;
    assert_eq!(unchallengeable.body["status"], "lost");
    assert_eq!(unchallengeable.body["evidence_details"]["due_by"], 0);
    let late = format!("/sandbox/disputes/{}/late_win", unchallengeable.id());
    assert_eq!(bed.post(&late, json!({})).await.body["status"], "won");
    assert_eq!(bed.post(&late, json!({})).await.status, 400);
    let inquiry =
        bed.post("/sandbox/disputes", json!({"amount": 7, "status": "warning_needs_response"})).await;
    let escalate = format!("/sandbox/disputes/{}/escalate", inquiry.id());
    assert_eq!(bed.post(&escalate, json!({})).await.body["status"], "needs_response");
    let decide = format!("/sandbox/disputes/{}/decide", inquiry.id());
    assert_eq!(bed.post(&decide, json!({"status": "warning_closed"})).await.status, 400);
    assert_eq!(bed.post(&decide, json!({"status": "lost"})).await.body["status"], "lost");
    let handle = bed.sandbox.handle();
    assert_eq!(handle.decide_dispute(inquiry.id(), DisputeStatus::Won).unwrap()["status"], "won");
    for bad in [
        json!({"amount": 0}),
        json!({"amount": 7, "charge": "ch_none"}),
        json!({"amount": 7, "card": "pm_card_nope"}),
        json!({"amount": 7, "case_type": "inquiry"}),
        json!({"amount": 7, "surprise": 1}),
    ] {
        assert_eq!(bed.post("/sandbox/disputes", bad.clone()).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn a_prevented_dispute_moves_no_dispute_money() {
    let bed = Bed::start().await;
    let refunded = bed.post("/sandbox/disputes", json!({"amount": 700, "status": "prevented"})).await;
    assert_eq!(refunded.body["balance_transactions"], json!([]));
    let charge = bed.stripe(&format!("/v1/charges/{}", refunded.body["charge"].as_str().unwrap())).await;
    assert_eq!(charge.body["refunded"], true);
    let order = json!({"amount": 700, "status": "prevented", "case_type": "block"});
    let blocked = bed.post("/sandbox/disputes", order).await;
    assert_eq!(blocked.body["is_charge_refundable"], true);
}

#[tokio::test]
async fn money_is_settled_in_the_currency_of_the_account() {
    let bed = Bed::start_with(|config| {
        config.settlement = Some(Settlement { currency: "cad".to_owned(), per_million: 1_398_500 });
    })
    .await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    let row = &dispute["balance_transactions"][0];
    assert_eq!((&row["amount"], &row["currency"]), (&json!(-8391), &json!("cad")));
    assert_eq!(row["exchange_rate"].to_string(), "1.3985");
    assert_eq!((&dispute["amount"], &dispute["currency"]), (&json!(6000), &json!("usd")));
}

#[tokio::test]
async fn lists_are_filtered_paged_and_expanded() {
    let bed = Bed::start().await;
    let mut ids = Vec::new();
    for amount in 1..=5 {
        let made = bed.post("/sandbox/disputes", json!({"amount": amount})).await;
        ids.insert(0, made.id().to_owned());
        bed.clock.advance(TimeDelta::seconds(10));
    }
    let page = async |query: &str| bed.stripe(&format!("/v1/disputes?{query}")).await;
    let listed = |answer: &Answer| {
        let data = answer.body["data"].as_array().unwrap();
        data.iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = page("limit=2").await;
    assert_eq!((listed(&first), &first.body["url"]), (ids[..2].to_vec(), &json!("/v1/disputes")));
    assert_eq!(listed(&page(&format!("limit=2&starting_after={}", ids[1])).await), ids[2..4]);
    assert_eq!(listed(&page("limit=0").await), ids[..1], "as the live API has it");
    assert_eq!(listed(&page("created%5Bgte%5D=1729944020").await), ids[..3]);
    let charge = bed.stripe(&format!("/v1/disputes/{}", ids[3])).await.body["charge"].clone();
    let charge = charge.as_str().unwrap();
    assert_eq!(listed(&page(&format!("charge={charge}")).await), ids[3..4]);
    let expanded = page("expand[]=data.charge&expand[1]=data.payment_intent").await;
    assert_eq!(expanded.body["data"][3]["charge"]["id"], charge);
    let wrong = page("expand[]=charge").await;
    assert_eq!(
        (wrong.status, wrong.error("message")),
        (
            400,
            "This property cannot be expanded because it doesn't exist: charge. You may want to try expanding \
             'data.charge' instead."
        )
    );
    let cursor = page("starting_after=du_none").await;
    assert_eq!((cursor.status, cursor.error("code")), (400, "resource_missing"));
    assert_eq!(page("customer=cus_1").await.error("code"), "parameter_unknown");
    let missing = bed.stripe("/v1/disputes/du_nope").await;
    assert_eq!(
        (missing.status, missing.error("message"), missing.error("param")),
        (404, "No such dispute: 'du_nope'", "dispute")
    );
}

#[tokio::test]
async fn a_charge_leads_to_its_dispute() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    let charge = dispute["charge"].as_str().unwrap();
    assert_eq!(bed.stripe(&format!("/v1/charges/{charge}/dispute")).await.body, dispute);
    let staged = [("evidence[service_date]", "2024-10-01"), ("submit", "false")];
    assert_eq!(bed.form(&format!("/v1/charges/{charge}/dispute"), &staged).await.status, 200);
    let closed = bed.form(&format!("/v1/charges/{charge}/dispute/close"), &[]).await;
    assert_eq!(closed.body["status"], "lost");
    let plain =
        bed.form("/v1/charges", &[("amount", "5"), ("currency", "usd"), ("source", "tok_visa")]).await;
    let none = bed.stripe(&format!("/v1/charges/{}/dispute", plain.id())).await;
    assert_eq!(none.status, 404);
    assert_eq!(none.error("message"), format!("No dispute for charge: {}", plain.id()));
}

#[tokio::test]
async fn a_compliance_case_is_contested_only_with_its_fee() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "pm_card_createComplianceDispute").await;
    let status =
        |body: &Value| body["evidence_details"]["enhanced_eligibility"]["visa_compliance"]["status"].clone();
    assert_eq!(status(&dispute), "requires_fee_acknowledgement");
    assert_eq!(answered(&bed, &dispute, "winning_evidence").await.status, 400);
    let field = "evidence[enhanced_evidence][visa_compliance][fee_acknowledged]";
    let sent = bed.form(&path(&dispute), &[(field, "true")]).await;
    assert_eq!(
        (&sent.body["status"], status(&sent.body)),
        (&json!("under_review"), json!("fee_acknowledged"))
    );

    let bed = Bed::start().await;
    let dispute = disputed(&bed, "pm_card_createCe3EligibleDispute").await;
    let evidence = "evidence[enhanced_evidence][visa_compelling_evidence_3][prior_undisputed_transactions]";
    let fields = [format!("{evidence}[0][charge]"), format!("{evidence}[1][charge]")];
    let staged =
        bed.form(&path(&dispute), &[(&fields[0], "ch_a"), (&fields[1], "ch_b"), ("submit", "false")]).await;
    let eligibility = &staged.body["evidence_details"]["enhanced_eligibility"]["visa_compelling_evidence_3"];
    assert_eq!(eligibility["status"], "qualified");
    assert_eq!(staged.body["enhanced_eligibility_types"], json!(["visa_compelling_evidence_3"]));
}

#[tokio::test]
async fn a_submission_whose_answer_is_lost_is_found_again_under_its_key() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    let evidence = [("evidence[uncategorized_text]", "We sent it.")];
    bed.fault(json!({"target": "stripe.dispute_update", "kind": "status_after", "status": 500})).await;
    let failed = bed.form_once(&path(&dispute), &evidence, Some("submit-1")).await;
    assert_eq!((failed.status, failed.error("type")), (500, "api_error"));
    let again = bed.form_once(&path(&dispute), &evidence, Some("submit-1")).await;
    assert_eq!(
        (again.status, &again.headers["idempotent-replayed"]),
        (500, &http::HeaderValue::from_static("true"))
    );
    let read = bed.stripe(&path(&dispute)).await.body;
    assert_eq!(
        (&read["status"], &read["evidence_details"]["submission_count"]),
        (&json!("under_review"), &json!(1))
    );

    bed.fault(json!({"target": "stripe.disputes", "kind": "status", "status": 403})).await;
    assert_eq!(bed.stripe(&path(&dispute)).await.status, 403);
    bed.fault(json!({"target": "stripe.dispute_close", "kind": "status", "status": 429})).await;
    assert_eq!(bed.form(&format!("{}/close", path(&dispute)), &[]).await.status, 429);
    let wrong = bed.fault(json!({"target": "stripe.read", "kind": "status_after", "status": 500})).await;
    assert_eq!(wrong.status, 400);
    let wrong = bed.fault(json!({"target": "stripe.write", "kind": "status_after", "status": 404})).await;
    assert_eq!(wrong.status, 400);
}

#[tokio::test]
async fn a_caller_who_does_not_wait_may_still_have_had_the_effect() {
    let bed = Bed::start().await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    bed.fault(json!({"target": "stripe.dispute_close", "kind": "slow_after", "ms": 60_000})).await;
    let call =
        bed.http.post(bed.url(&format!("{}/close", path(&dispute)))).bearer_auth(DEFAULT_STRIPE_API_KEY);
    let impatient =
        call.header("idempotency-key", "close-1").timeout(Duration::from_millis(300)).send().await;
    assert!(impatient.unwrap_err().is_timeout());
    assert_eq!(bed.stripe(&path(&dispute)).await.body["status"], "lost");
    let again = bed.form_once(&format!("{}/close", path(&dispute)), &[], Some("close-1")).await;
    assert_eq!((again.status, &again.body["status"]), (200, &json!("lost")));
}

#[tokio::test]
async fn a_second_submission_can_be_taken_and_counted() {
    let bed = Bed::start_with(|config| config.takes_second_submission = true).await;
    let dispute = disputed(&bed, "tok_createDispute").await;
    answered(&bed, &dispute, "first").await;
    let second = answered(&bed, &dispute, "second").await;
    assert_eq!((second.status, &second.body["evidence_details"]["submission_count"]), (200, &json!(2)));
}

#[tokio::test]
async fn the_rate_limit_is_set_on_demand() {
    let bed = Bed::start().await;
    bed.post("/sandbox/rate_limit", json!({"per_second": 2})).await;
    let statuses = [
        bed.stripe("/v1/disputes").await.status,
        bed.stripe("/v1/disputes").await.status,
        bed.stripe("/v1/disputes").await.status,
    ];
    assert_eq!(statuses, [200, 200, 429]);
    bed.sandbox.handle().set_rate_limit(None);
    assert_eq!(bed.stripe("/v1/disputes").await.status, 200);
}
