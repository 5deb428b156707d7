//! What operators and supervisors are told of at once: a payment that nobody knows, an answer that was not taken.

use chrono::TimeDelta;
use payops_disputes::alerts::{Destinations, TIME_OUT};
use payops_platform::both_databases;
use payops_platform::config::EscalatedAlertSettings;
use payops_platform::db::testing::TestDb;
use payops_platform::outbound::SmtpSecurity;
use payops_platform::outbound::testing::Receiver;
use payops_sandbox::{DisputeStatus, Fault, FaultKind, FaultTarget, KnownPayment};
use serde_json::{Value, json};

use crate::clockwork::events;
use crate::harness::{App, MERCHANT};
use crate::mail_server::MailServer;

both_databases!(payops_disputes::MIGRATIONS;
    a_payment_that_nobody_knows_is_told_of_once,
    a_dispute_that_is_linked_at_once_is_not_told_of,
    a_refusal_is_told_of_once_and_escalated_where_little_time_is_left,
    an_alert_is_mailed_to_operators_and_what_is_escalated_to_supervisors,
);

impl App {
    /// Waits until so many open disputes that nobody could tie to a payment are measured.
    async fn until_unlinked(&self, count: i64) {
        let line = format!("disputes_unlinked{{service=\"dispute-service\"}} {count}\n");
        self.until_true(async || {
            let page = self.context().metrics.render().unwrap();
            if page.contains(&line) { Ok(()) } else { Err(json!(page)) }
        })
        .await;
    }

    /// Has Stripe refuse the next answer, once the clock stands so long before the deadline.
    async fn refused(&self, stripes: &str, id: &str, before: TimeDelta) -> Value {
        self.to_deadline(stripes, before + TimeDelta::minutes(20));
        let submit_at = self.context().now() + TimeDelta::minutes(10);
        self.ordered(id, &json!({ "submit_at": submit_at })).await;
        self.until_submission(id, |last| last["staged_at"].is_string()).await;
        let refusal = FaultKind::Status { status: 400, retry_after: None };
        self.sandbox.handle().add_fault(Fault::once(FaultTarget::StripeDisputeUpdate, refusal)).unwrap();
        self.advance(TimeDelta::minutes(11));
        self.until_submission(id, |last| last["state"] == "refused").await
    }
}

async fn a_payment_that_nobody_knows_is_told_of_once(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    let stripes = app.opened("PAY-1", |order| order.charge_metadata.clear());
    let dispute = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    let told = events(&app, &receiver, 1).await;
    assert_eq!((&told[0]["type"], &told[0]["escalated"]), (&json!("dispute.payment_unknown"), &json!(false)));
    let data = &told[0]["data"];
    assert_eq!((&data["dispute_no"], &data["payment_no"]), (&dispute["dispute_no"], &Value::Null));
    assert_eq!((&data["channel_dispute_id"], &data["amount"]), (&json!(stripes), &json!(12_300)));
    assert!(data.get("days_before").is_none() && data.get("submission").is_none(), "{data}");
    app.advance(TimeDelta::minutes(1));
    app.until_unlinked(1).await;
    for _ in 0..2 {
        let path = format!("/api/v1/disputes/sync/{stripes}");
        assert_eq!(app.post(&path, &json!({})).await.status, 200);
        app.advance(TimeDelta::minutes(30));
        app.work_is_through().await;
    }
    let id = dispute["id"].as_str().unwrap();
    let of = |story: &[String]| story.iter().filter(|event| *event == "payment_unknown").count();
    assert_eq!(of(&app.story(id).await), 1);
    assert_eq!(events(&app, &receiver, 1).await.len(), 1);
    let payment = KnownPayment { payment_no: "PAY-7".to_owned(), merchant_id: MERCHANT.parse().unwrap() };
    app.sandbox.handle().know_payment(dispute["channel_charge_id"].as_str().unwrap(), payment);
    app.advance(TimeDelta::hours(1));
    app.until(&stripes, |dispute| dispute["payment_no"] == "PAY-7" && dispute["doubt"].is_null()).await;
    app.advance(TimeDelta::minutes(1));
    app.until_unlinked(0).await;
}

async fn a_dispute_that_is_linked_at_once_is_not_told_of(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    let stripes = app.opened("PAY-1", |_| {});
    let dispute = app.until(&stripes, |dispute| dispute["payment_no"] == "PAY-1").await;
    app.work_is_through().await;
    assert!(!app.story(dispute["id"].as_str().unwrap()).await.contains(&"payment_unknown".to_owned()));
    assert!(receiver.received().is_empty());
}

async fn a_refusal_is_told_of_once_and_escalated_where_little_time_is_left(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    let mut expected = Vec::new();
    for (n, before, escalated) in [(1, TimeDelta::days(4), false), (2, TimeDelta::days(2), true)] {
        let refused = app.refused(&stripes, &id, before).await;
        expected.push((n, escalated));
        // Deadlines are told of as well, by the same way.
        let told = app
            .until_true(async || {
                let mut told = events(&app, &receiver, 0).await;
                told.retain(|event| event["type"] == "dispute.submission_refused");
                if told.len() >= expected.len() { Ok(told) } else { Err(json!(told)) }
            })
            .await;
        let last = told.iter().find(|event| event["data"]["submission"]["number"] == n).unwrap();
        let submission = &last["data"]["submission"];
        assert_eq!((&submission["kind"], &submission["outcome"]), (&json!("answer"), &refused["outcome"]));
        assert!(submission["outcome"].as_str().unwrap().contains("400"), "{submission}");
        let all: Vec<_> = told
            .iter()
            .map(|event| {
                let number = event["data"]["submission"]["number"].as_i64().unwrap();
                (number, event["escalated"].as_bool().unwrap())
            })
            .collect();
        assert_eq!(all, expected);
    }
    let timeline = app.get(&format!("/api/v1/disputes/{id}/timeline?page_size=100")).await.data();
    let rows = timeline["items"].as_array().unwrap().iter();
    let rows: Vec<_> = rows.filter(|row| row["event_type"] == "submission_refused").collect();
    assert_eq!((rows.len(), &rows[0]["detail"]["escalated"]), (2, &json!(true)));
}

async fn an_alert_is_mailed_to_operators_and_what_is_escalated_to_supervisors(db: TestDb) {
    let server = MailServer::start().await;
    let (desk, lead) = ("desk@shop.example", "lead@shop.example");
    let settings = EscalatedAlertSettings {
        webhook: None,
        mail: Some(server.settings(SmtpSecurity::StartTls, &[desk])),
        supervisors: Some(server.settings(SmtpSecurity::StartTls, &[lead])),
    };
    let destinations = Destinations::new(&settings, TIME_OUT).unwrap();
    let app = App::start_as(db, |_| {}, |options| options.alerts = destinations).await;
    let unlinked = app.opened("PAY-1", |order| order.charge_metadata.clear());
    app.until(&unlinked, |dispute| dispute["channel_read_at"].is_string()).await;
    let (stripes, id) = app.answerable("PAY-2", DisputeStatus::NeedsResponse).await;
    app.refused(&stripes, &id, TimeDelta::days(2)).await;
    let subject = |mail: &crate::mail_server::Mail| mail.header("subject")[0].to_owned();
    let mails = app
        .until_true(async || {
            let mails = server.mails(desk);
            if mails.len() >= 2 && !server.mails(lead).is_empty() {
                Ok(mails)
            } else {
                Err(json!(mails.len()))
            }
        })
        .await;
    let unknown = mails.iter().find(|mail| subject(mail).contains("Nobody knows the payment")).unwrap();
    assert!(unknown.body.contains("123.00 USD") && unknown.body.contains(&unlinked), "{}", unknown.body);
    assert!(unknown.body.contains("渠道数据与支付网关均未说明"), "{}", unknown.body);
    assert_eq!(unknown.recipients, [desk]);
    let escalated = server.mails(lead);
    assert!(escalated.iter().all(|mail| subject(mail).contains("was refused")), "only what is escalated");
    assert!(
        escalated[0].body.contains("Refused:") && escalated[0].body.contains("400"),
        "{}",
        escalated[0].body
    );
}
