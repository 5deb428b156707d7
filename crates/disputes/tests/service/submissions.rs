//! Answers and concessions: ordered, held, sent, refused.

use chrono::TimeDelta;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::{As, TestAnswer};
use payops_sandbox::{DisputeStatus, Fault, FaultKind, FaultTarget};
use serde_json::{Value, json};

use crate::harness::{App, MERCHANT};

both_databases!(payops_disputes::MIGRATIONS;
    an_answer_is_packed_staged_and_sent_once,
    an_answer_is_held_improved_and_sent_before_the_deadline,
    evidence_that_changes_is_staged_again_once_it_is_quiet,
    a_held_answer_can_be_called_off,
    an_answer_is_refused_for_good_reasons,
    what_the_channel_refuses_can_be_answered_again,
    a_chargeback_is_conceded_and_an_inquiry_is_not,
    an_escalated_inquiry_is_answered_again,
    after_the_deadline_nothing_is_sent,
    an_answer_of_a_dispute_that_was_lost_meanwhile_is_missed,
    what_somebody_else_answered_is_not_sent,
);

impl App {
    /// Has Stripe open a dispute that the service knows of, with a text as evidence; gives Stripe's id and ours.
    pub async fn answerable(&self, payment_no: &str, status: DisputeStatus) -> (String, String) {
        let stripes = self.opened(payment_no, |order| order.status = status);
        let dispute = self.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
        let id = dispute["id"].as_str().unwrap().to_owned();
        self.text(&id, "product_description", "Two chairs.").await;
        (stripes, id)
    }

    /// Gives a dispute a text as evidence.
    pub async fn text(&self, id: &str, field: &str, text: &str) {
        let body = json!({ "evidence_type": field, "text_content": text });
        let added = self.post(&format!("/api/v1/disputes/{id}/evidence"), &body).await;
        assert_eq!(added.status, 201, "{:?}", added.json());
    }

    pub async fn submit(&self, id: &str, body: &Value) -> TestAnswer {
        self.post(&format!("/api/v1/disputes/{id}/submit"), body).await
    }

    /// Orders an answer, which is taken.
    pub async fn ordered(&self, id: &str, body: &Value) {
        let ordered = self.submit(id, body).await;
        assert_eq!(ordered.status, 202, "{:?}", ordered.json());
    }

    /// Waits until the last submission of a dispute looks as wanted.
    pub async fn until_submission(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/api/v1/disputes/{id}/submissions");
        self.until_true(async || {
            let all = self.get(&path).await.data();
            all.get(0).filter(|last| wanted(last)).cloned().ok_or(all)
        })
        .await
    }

    /// The calls of Stripe's side whose path ends so, the first first.
    pub fn calls(&self, method: &str, end: &str) -> Vec<payops_sandbox::LoggedRequest> {
        let mut calls = self.sandbox.handle().requests();
        calls.retain(|call| call.method == method && call.path.ends_with(end));
        calls
    }

    /// Lets time pass until so long before the deadline of Stripe's dispute; a negative time is after it.
    pub fn to_deadline(&self, stripes: &str, before: TimeDelta) {
        let dispute = self.sandbox.handle().dispute(stripes).unwrap();
        let due_by = dispute["evidence_details"]["due_by"].as_i64().unwrap();
        let due_by = chrono::DateTime::from_timestamp(due_by, 0).unwrap();
        self.advance(due_by - before - self.context().now());
    }

    /// How often Stripe has counted a submission.
    pub fn counted(&self, stripes: &str) -> Value {
        self.sandbox.handle().dispute(stripes).unwrap()["evidence_details"]["submission_count"].clone()
    }
}

async fn an_answer_is_packed_staged_and_sent_once(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({})).await;
    let sent = app.until_submission(&id, |last| last["state"] == "sent").await;
    assert!(
        sent["packet_sha256"].is_string() && sent["staged_at"].is_string() && sent["sent_at"].is_string()
    );
    let dispute = app.until(&stripes, |dispute| dispute["submission_count"] == 1).await;
    assert_eq!((&dispute["status"], &dispute["evidence_submitted"]), (&json!("under_review"), &json!(true)));
    assert!(dispute["submitted_at"].is_string());
    assert_eq!(app.counted(&stripes), 1);
    let stripes_own = app.sandbox.handle().dispute(&stripes).unwrap();
    assert_eq!(stripes_own["evidence"]["product_description"], "Two chairs.");
    assert_eq!(app.calls("POST", &stripes).len(), 2, "one stages, one submits");
    let story = app.story(&id).await;
    for told in ["submission_held", "submitted", "status_changed"] {
        assert!(story.iter().any(|event| event == told), "{told} in {story:?}");
    }
    let again = app.submit(&id, &json!({})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "DISPUTE_STATUS"));
    let page = app.context().metrics.render().unwrap();
    assert!(
        page.contains("evidence_submission_duration_seconds_count{service=\"dispute-service\"} 1"),
        "{page}"
    );
}

async fn an_answer_is_held_improved_and_sent_before_the_deadline(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    let staged = app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    assert_eq!((&staged["state"], &staged["until_deadline"]), (&json!("held"), &json!(true)));
    let held = app.sandbox.handle().dispute(&stripes).unwrap();
    assert_eq!(held["evidence"]["product_description"], "Two chairs.", "it lies ready");
    assert_eq!(app.counted(&stripes), 0);
    app.text(&id, "shipping_carrier", "DHL").await;
    app.to_deadline(&stripes, TimeDelta::hours(5));
    app.until_submission(&id, |last| last["state"] == "sent").await;
    let sent = app.sandbox.handle().dispute(&stripes).unwrap();
    assert_eq!(sent["evidence"]["shipping_carrier"], "DHL", "what came later is in it");
    assert_eq!(app.counted(&stripes), 1);
}

async fn evidence_that_changes_is_staged_again_once_it_is_quiet(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    let own = |field: &str| app.sandbox.handle().dispute(&stripes).unwrap()["evidence"][field].clone();
    for text in ["Three chairs.", "Four chairs.", "Five chairs."] {
        app.advance(TimeDelta::seconds(20));
        assert_eq!(app.say(&id, "product_description", text).await.status, 201);
    }
    assert_eq!(app.say(&id, "customer_name", "Ada").await.status, 201);
    // Less than the job that sends sleeps without a reason to wake.
    app.advance(TimeDelta::seconds(61));
    app.until_true(async || if own("customer_name") == "Ada" { Ok(()) } else { Err(own("customer_name")) })
        .await;
    // Stripe has it before the service knows so; a change until then would have to be quiet from then on.
    app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    assert_eq!(own("product_description"), "Five chairs.");
    assert_eq!(app.calls("POST", &stripes).len(), 2, "all changes are one");
    assert_eq!(app.counted(&stripes), 0);
    let texts = app.evidence(&id).await;
    let name = texts.iter().find(|row| row["evidence_type"] == "customer_name").unwrap();
    let path = format!("/api/v1/disputes/evidence/{}", name["id"].as_str().unwrap());
    let deleted = app.client.request(http::Method::DELETE, &path).by(As::Operator).send().await;
    assert!(deleted.status < 300, "{:?}", deleted.json());
    app.advance(TimeDelta::seconds(61));
    app.until_true(async || if own("customer_name") == "Ada" { Err(own("customer_name")) } else { Ok(()) })
        .await;
    let held = app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    assert_eq!(held["state"], "held", "{held}");
}

async fn a_held_answer_can_be_called_off(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    let path = format!("/api/v1/disputes/{id}/submission/withdraw");
    let withdrawn = app.post(&path, &json!({})).await;
    assert_eq!((withdrawn.status, &withdrawn.data()["state"]), (200, &json!("withdrawn")));
    let twice = app.post(&path, &json!({})).await;
    assert_eq!((twice.status, twice.code().as_str()), (409, "SUBMISSION_NOT_HELD"));
    app.ordered(&id, &json!({})).await;
    let sent = app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!((&sent["number"], app.counted(&stripes)), (&json!(2), json!(1)));
    assert!(app.story(&id).await.contains(&"submission_withdrawn".to_owned()));
}

async fn an_answer_is_refused_for_good_reasons(db: TestDb) {
    let app = App::start(db).await;
    let stripes = app.opened("PAY-1", |_| {});
    let dispute = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    let id = dispute["id"].as_str().unwrap();
    let nothing = app.submit(id, &json!({})).await;
    assert_eq!((nothing.status, nothing.code().as_str()), (422, "PACKET_BLOCKED"));
    assert_eq!(nothing.data()["problems"][0]["code"], "NO_EVIDENCE");
    app.text(id, "product_description", "Two chairs.").await;
    for (bad, field) in [
        (json!({ "submit_at": dispute["evidence_due_by"] }), "submit_at"),
        (json!({ "submit_at": "2020-01-01T00:00:00Z", "hold": "until_deadline" }), "hold"),
        (json!({ "hold": "for_ever" }), "hold"),
    ] {
        let refused = app.submit(id, &bad).await;
        assert_eq!(refused.status, 400, "{bad}");
        assert!(refused.json().to_string().contains(field), "{:?}", refused.json());
    }
    app.ordered(id, &json!({ "hold": "until_deadline" })).await;
    let open = app.submit(id, &json!({})).await;
    assert_eq!((open.status, open.code().as_str()), (409, "SUBMISSION_OPEN"));
    let path = format!("/api/v1/disputes/{id}/submit");
    let merchant = As::Merchant(MERCHANT.parse().unwrap());
    assert_eq!(app.client.post(&path, &json!({})).by(merchant).send().await.status, 403);
    let own = app.client.get(&format!("/api/v1/disputes/{id}/submissions")).by(merchant).send().await;
    assert_eq!(own.data()[0]["state"], "held");
    let by_hand = app.entered("PAY-2").await;
    let refused = app.submit(&by_hand, &json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "NOT_THE_CHANNELS"));
    let conceded = app.post(&format!("/api/v1/disputes/{by_hand}/accept"), &json!({})).await;
    assert_eq!((conceded.status, conceded.code().as_str()), (409, "NOT_THE_CHANNELS"));
}

async fn what_the_channel_refuses_can_be_answered_again(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    // A clock that jumps ends leases, and what is called without one is asked for again.
    app.work_is_through().await;
    let refusal = FaultKind::Status { status: 400, retry_after: None };
    app.sandbox.handle().add_fault(Fault::once(FaultTarget::StripeDisputeUpdate, refusal)).unwrap();
    app.to_deadline(&stripes, TimeDelta::hours(5));
    let refused = app.until_submission(&id, |last| last["state"] == "refused").await;
    assert!(refused["outcome"].as_str().unwrap().contains("400"), "{refused}");
    assert!(refused["channel_words"].as_str().unwrap().contains("fault of the sandbox"), "{refused}");
    let timeline = app.get(&format!("/api/v1/disputes/{id}/timeline")).await.data().to_string();
    assert!(
        timeline.contains("submission_refused") && !timeline.contains("fault of the sandbox"),
        "{timeline}"
    );
    assert_eq!(app.counted(&stripes), 0);
    app.ordered(&id, &json!({})).await;
    app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!(app.counted(&stripes), 1);
}

async fn a_chargeback_is_conceded_and_an_inquiry_is_not(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    let accepted = app.post(&format!("/api/v1/disputes/{id}/accept"), &json!({})).await;
    assert_eq!(
        (accepted.status, &accepted.data()["kind"]),
        (202, &json!("concession")),
        "{:?}",
        accepted.json()
    );
    app.until_submission(&id, |last| last["state"] == "sent").await;
    let lost = app.until(&stripes, |dispute| dispute["status"] == "lost").await;
    assert_eq!(lost["lost_cause"], "accepted");
    assert_eq!(app.calls("POST", "/close").len(), 1);
    assert!(app.story(&id).await.contains(&"accepted".to_owned()));
    let (_, inquiry) = app.answerable("PAY-2", DisputeStatus::WarningNeedsResponse).await;
    let refused = app.post(&format!("/api/v1/disputes/{inquiry}/accept"), &json!({})).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "DISPUTE_STATUS"));
}

async fn an_escalated_inquiry_is_answered_again(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::WarningNeedsResponse).await;
    app.ordered(&id, &json!({})).await;
    let first = app.until_submission(&id, |last| last["state"] == "sent").await;
    assert_eq!(first["phase"], "inquiry");
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::NeedsResponse).unwrap();
    let escalated = app.until(&stripes, |dispute| dispute["status"] == "needs_response").await;
    assert_eq!(escalated["evidence_submitted"], json!(false));
    app.ordered(&id, &json!({})).await;
    let second = app.until_submission(&id, |last| last["number"] == 2 && last["state"] == "sent").await;
    assert_eq!((&second["phase"], app.counted(&stripes)), (&json!("chargeback"), json!(2)));
}

async fn after_the_deadline_nothing_is_sent(db: TestDb) {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    let stripes = app.opened("PAY-1", |_| {});
    let read = app.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await.data();
    let id = read["id"].as_str().unwrap();
    app.text(id, "product_description", "Two chairs.").await;
    app.ordered(id, &json!({ "hold": "until_deadline" })).await;
    app.until_submission(id, |last| last["staged_at"].is_string()).await;
    let away = FaultKind::Status { status: 503, retry_after: None };
    let away = Fault::once(FaultTarget::StripeDisputeUpdate, away).times(0);
    app.sandbox.handle().add_fault(away).unwrap();
    let before = app.calls("POST", &stripes).len();
    app.to_deadline(&stripes, TimeDelta::hours(1));
    app.until_true(
        async || if app.calls("POST", &stripes).len() > before { Ok(()) } else { Err(json!(before)) },
    )
    .await;
    app.to_deadline(&stripes, TimeDelta::minutes(-5));
    app.sandbox.handle().clear_faults();
    let expired = app.until_submission(id, |last| last["state"] == "expired").await;
    assert!(expired["outcome"].is_string());
    assert_eq!(app.counted(&stripes), 0);
    let page = app.context().metrics.render().unwrap();
    assert!(
        page.contains("disputes_submissions_total{service=\"dispute-service\",outcome=\"expired\"} 1"),
        "{page}"
    );
    app.until(&stripes, |dispute| dispute["status"] == "lost").await;

    let stripes = app.opened("PAY-2", |_| {});
    let read = app.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await.data();
    let id = read["id"].as_str().unwrap();
    app.text(id, "product_description", "Two chairs.").await;
    app.advance(TimeDelta::days(10));
    let late = app.submit(id, &json!({})).await;
    assert_eq!((late.status, late.code().as_str()), (422, "DEADLINE_PASSED"), "{:?}", late.json());
}

async fn an_answer_of_a_dispute_that_was_lost_meanwhile_is_missed(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    let away = FaultKind::Status { status: 503, retry_after: None };
    let fault = Fault::once(FaultTarget::StripeDisputeUpdate, away).times(0);
    app.sandbox.handle().add_fault(fault).unwrap();
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    app.to_deadline(&stripes, TimeDelta::minutes(-5));
    app.until(&stripes, |dispute| dispute["status"] == "lost").await;
    let missed = app.until_submission(&id, |last| last["state"] != "held").await;
    assert_eq!((&missed["state"], app.counted(&stripes)), (&json!("expired"), json!(0)), "{missed}");
}

async fn what_somebody_else_answered_is_not_sent(db: TestDb) {
    let app = App::start(db).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    let client = reqwest::Client::new();
    let url = format!("{}/v1/disputes/{stripes}", app.sandbox.base_url());
    let answer =
        client.post(url).bearer_auth(payops_sandbox::DEFAULT_STRIPE_API_KEY).form(&[("submit", "true")]);
    assert!(answer.send().await.unwrap().status().is_success(), "in Stripe's own dashboard");
    app.until(&stripes, |dispute| dispute["status"] == "under_review").await;
    app.to_deadline(&stripes, TimeDelta::hours(5));
    let ended = app.until_submission(&id, |last| last["state"] != "held").await;
    assert_eq!((&ended["state"], app.counted(&stripes)), (&json!("withdrawn"), json!(1)), "{ended}");
}
