//! Alerts reach those who are to be told: each at least once, under one id, whatever breaks on the way.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use http::Method;
use payops_limits::alerts::{Destinations, TIME_OUT};
use payops_platform::both_databases;
use payops_platform::config::{AlertSettings, MailSettings};
use payops_platform::db::testing::TestDb;
use payops_platform::http::testing::As;
use payops_platform::outbound::testing::{Received, Receiver, Reply, SECRETS};
use payops_platform::outbound::{SmtpSecurity, WebhookSettings};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{App, TABLES, charge};
use crate::mail_server::{MailServer, PATIENCE};
use crate::people::LIMITS;

both_databases!(
    TABLES;
    an_alert_arrives_by_webhook_and_by_mail,
    an_alert_is_taken_up_as_soon_as_it_is_committed,
    who_does_not_take_an_alert_gets_it_later_and_once,
    a_recipient_that_refuses_does_not_stop_the_others,
    a_crash_before_the_answer_is_written_sends_the_same_event_again,
    two_instances_deliver_once,
    an_alert_that_was_given_up_is_sent_again_by_people,
    a_private_receiver_is_refused,
    nothing_in_a_name_becomes_a_header,
    no_mail_goes_to_a_server_that_cannot_prove_itself,
    thresholds_are_told_once_though_a_thousand_payments_cross_together,
    what_time_does_to_usage_and_limits_is_told_without_a_payment,
    alerts_are_listed_where_nobody_is_told,
);

/// Shorter than any test waits for an answer that never comes.
const SHORT: Duration = Duration::from_millis(300);

fn telling(webhook: Option<WebhookSettings>, mail: Option<MailSettings>) -> Destinations {
    Destinations::new(&AlertSettings { webhook, mail }, TIME_OUT).unwrap()
}

impl App {
    /// Lets time pass until everything that becomes due in it is done.
    async fn pass(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.work().await;
    }

    async fn listed(&self, merchant: Uuid, query: &str) -> Vec<Value> {
        let page = self.get(&format!("{LIMITS}/{merchant}/alerts{query}")).await;
        assert_eq!(page.status, 200, "{:?}", page.json());
        page.data()["items"].as_array().unwrap().clone()
    }

    /// Channel, recipient, state and attempts of the deliveries of a merchant's newest alert.
    async fn deliveries(&self, merchant: Uuid) -> Vec<(String, Option<String>, String, i64)> {
        let alert = self.listed(merchant, "").await.remove(0);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let row = |of: &Value| {
            let (channel, state) = (text(&of["channel"]).unwrap(), text(&of["state"]).unwrap());
            (channel, text(&of["recipient"]), state, of["attempts"].as_i64().unwrap())
        };
        alert["deliveries"].as_array().unwrap().iter().map(row).collect()
    }

    async fn resend(&self, merchant: Uuid, alert_no: i64) -> payops_platform::http::testing::TestAnswer {
        let path = format!("{LIMITS}/{merchant}/alerts/{alert_no}/resend");
        self.client.request(Method::POST, &path).by(As::Operator).send().await
    }
}

/// Proves a signature with another implementation than the one that made it, and gives its time.
fn proved(received: &Received, secret: &str) -> i64 {
    let header = received.headers["payops-signature"].to_str().unwrap();
    let parts: Vec<(&str, &str)> = header.split(',').map(|part| part.split_once('=').unwrap()).collect();
    let (name, time) = parts[0];
    assert_eq!((name, parts.len()), ("t", 1 + SECRETS.len()));
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
    let signed = format!("{time}.{}", received.body);
    let good = parts[1..].iter().filter(|(version, hex)| {
        let tag = hex::decode(hex).unwrap();
        *version == "v1" && aws_lc_rs::hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
    });
    assert_eq!(good.count(), 1, "{header}");
    time.parse().unwrap()
}

async fn an_alert_arrives_by_webhook_and_by_mail(db: TestDb) {
    let (receiver, server) = (Receiver::start().await, MailServer::start().await);
    let to = ["ops@shop.example", "risk@shop.example"];
    let mail = server.settings(SmtpSecurity::StartTls, &to);
    let app = App::telling(db, telling(Some(receiver.settings()), Some(mail))).await;
    let merchant = app.merchant(Some(100_000), None, None).await;
    app.change("UPDATE merchant_limits SET timezone = 'Asia/Shanghai' WHERE merchant_id = $1", merchant)
        .await;
    assert_eq!(app.consume(merchant, "p1", 85_050).await.status, 200);
    app.pass(60).await;

    let posts = receiver.received();
    assert_eq!(posts.len(), 1);
    for secret in SECRETS {
        assert_eq!(proved(&posts[0], secret), app.clock_seconds());
    }
    assert_eq!(posts[0].headers["content-type"], "application/json");
    let event = posts[0].event();
    assert_eq!(event["id"], posts[0].id());
    assert_eq!((&event["type"], &event["sequence"]), (&json!("limit.threshold_crossed"), &json!(1)));
    assert_eq!(event["data"]["merchant_id"], json!(merchant));
    assert_eq!((&event["data"]["limit_kind"], &event["data"]["threshold"]), (&json!("daily"), &json!(80)));
    assert_eq!(
        (&event["data"]["used_amount"], &event["data"]["limit_amount"]),
        (&json!(85_050), &json!(100_000))
    );
    assert_eq!(event["data"]["currency"], "USD");

    for to in to {
        let mails = server.mails(to);
        assert_eq!((mails.len(), mails[0].recipients.as_slice()), (1, [to.to_owned()].as_slice()));
        let mail = &mails[0];
        assert_eq!(mail.header("from"), ["payops alerts <alerts@shop.example>"]);
        let subject = mail.header("subject")[0].to_owned();
        assert!(subject.contains(&format!("daily limit 80 % used: merchant {merchant}")), "{subject}");
        assert!(subject.contains("日限额已用 80%"), "{subject}");
        assert_eq!(mail.header("message-id"), [format!("<{}@shop.example>", posts[0].id())]);
        assert_eq!(mail.header("auto-submitted"), ["auto-generated"]);
        for said in
            ["850.50 USD", "1000.00 USD", "2026-11-23 20:00:00 +08:00 (Asia/Shanghai)", "已使用日限额的 80%"]
        {
            assert!(mail.body.contains(said), "{said} is not in {}", mail.body);
        }
    }
    let row = |channel: &str, to: Option<&str>| {
        (channel.to_owned(), to.map(str::to_owned), "delivered".to_owned(), 1)
    };
    let mut expected = vec![row("mail", Some(to[0])), row("mail", Some(to[1])), row("webhook", None)];
    let mut found = app.deliveries(merchant).await;
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    app.pass(3 * 3600).await;
    assert_eq!((receiver.received().len(), server.mails(to[0]).len()), (1, 1), "once");
}

async fn an_alert_is_taken_up_as_soon_as_it_is_committed(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::telling(db, telling(Some(receiver.settings()), None)).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 800).await;
    // No schedule comes due, since the clock stands still.
    let look = async {
        while receiver.received().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
            app.work().await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
    assert_eq!(receiver.received()[0].id(), format!("{merchant}-1"));
}

async fn who_does_not_take_an_alert_gets_it_later_and_once(db: TestDb) {
    let (receiver, server) = (Receiver::start().await, MailServer::start().await);
    receiver.replies(&[Reply::Status(500), Reply::Silence, Reply::Status(302), Reply::Status(429)]);
    let mail = server.settings(SmtpSecurity::StartTls, &["busy@shop.example"]);
    let settings = AlertSettings { webhook: Some(receiver.settings()), mail: Some(mail) };
    let app = App::telling(db, Destinations::new(&settings, SHORT).unwrap()).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 800).await;
    app.pass(60).await;
    assert_eq!(receiver.received().len(), 1);
    let waiting = app.listed(merchant, "?delivery_state=pending").await.remove(0);
    let webhook =
        waiting["deliveries"].as_array().unwrap().iter().find(|of| of["channel"] == "webhook").unwrap();
    assert!(webhook["last_error"].as_str().unwrap().contains("answered 500"), "{webhook}");
    app.work().await;
    assert_eq!(receiver.received().len(), 1, "not before its time");
    for _ in 0..12 {
        app.pass(120).await;
    }
    let posts = receiver.received();
    let ids: BTreeSet<String> = posts.iter().map(Received::id).collect();
    let bodies: BTreeSet<&str> = posts.iter().map(|of| of.body.as_str()).collect();
    assert_eq!((posts.len(), ids.len(), bodies.len()), (5, 1, 1));
    assert_eq!(server.mails("busy@shop.example").len(), 1);
    let states: BTreeSet<_> = app
        .deliveries(merchant)
        .await
        .into_iter()
        .map(|(channel, _, state, attempts)| (channel, state, attempts))
        .collect();
    let delivered = |channel: &str, attempts| (channel.to_owned(), "delivered".to_owned(), attempts);
    assert_eq!(states, BTreeSet::from([delivered("webhook", 5), delivered("mail", 3)]));
}

async fn a_recipient_that_refuses_does_not_stop_the_others(db: TestDb) {
    let (receiver, server) = (Receiver::start().await, MailServer::start().await);
    // Tls from the beginning, here.
    let mail = server.settings(SmtpSecurity::Tls, &["refused@shop.example", "ops@shop.example"]);
    let settings = AlertSettings { webhook: Some(receiver.settings()), mail: Some(mail) };
    let app = App::telling(db, Destinations::new(&settings, SHORT).unwrap()).await;
    receiver.replies(&[Reply::Silence, Reply::Silence, Reply::Silence]);
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 800).await;
    app.pass(60).await;
    assert_eq!(server.mails("ops@shop.example").len(), 1);
    let failed = app.listed(merchant, "?delivery_state=failed").await.remove(0);
    let refused =
        failed["deliveries"].as_array().unwrap().iter().find(|of| of["recipient"] == "refused@shop.example");
    let refused = refused.unwrap();
    assert_eq!((&refused["state"], &refused["attempts"]), (&json!("failed"), &json!(1)));
    assert!(refused["last_error"].as_str().unwrap().contains("no such mailbox"), "{refused}");
    let metrics = app.metrics();
    assert!(metrics.contains("limit_alert_deliveries_total{"), "{metrics}");
    let line = |outcome: &str, channel: &str| {
        metrics.lines().any(|line| line.contains(outcome) && line.contains(channel) && line.ends_with(" 1"))
    };
    assert!(line("failed", "mail") && line("delivered", "mail") && line("retried", "webhook"), "{metrics}");
}

async fn a_crash_before_the_answer_is_written_sends_the_same_event_again(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::telling(db, telling(Some(receiver.settings()), None)).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 800).await;
    receiver.replies(&[Reply::Silence]);
    app.clock.advance(TimeDelta::minutes(1));
    let runner = app.runner();
    let worker = tokio::spawn(async move { runner.run_until_idle().await });
    until(|| receiver.received().len() == 1).await;
    // The receiver has it; whoever sent it dies before it can know.
    worker.abort();
    assert!(worker.await.unwrap_err().is_cancelled());
    assert_eq!(app.deliveries(merchant).await[0].2, "pending");
    let other = app.another_telling(telling(Some(receiver.settings()), None)).await;
    for _ in 0..3 {
        other.pass(60).await;
    }
    let ids: Vec<String> = receiver.received().iter().map(Received::id).collect();
    assert_eq!((ids.len(), &ids[0]), (2, &ids[1]));
    assert_eq!(other.deliveries(merchant).await[0].2, "delivered");
}

async fn two_instances_deliver_once(db: TestDb) {
    let receiver = Receiver::start().await;
    let one = App::telling(db, telling(Some(receiver.settings()), None)).await;
    let two = one.another_telling(telling(Some(receiver.settings()), None)).await;
    let mut merchants = Vec::new();
    for _ in 0..10 {
        merchants.push(one.merchant(Some(1000), None, None).await);
    }
    let crossings = merchants.iter().enumerate().map(|(index, merchant)| {
        let app = if index % 2 == 0 { &one } else { &two };
        app.consume(*merchant, "p1", 950)
    });
    futures::future::join_all(crossings).await;
    one.clock.advance(TimeDelta::minutes(1));
    tokio::join!(one.work(), two.work());
    for _ in 0..3 {
        tokio::join!(one.pass(60), two.pass(60));
    }
    let events: Vec<(String, i64)> = receiver
        .received()
        .iter()
        .map(|of| (of.id(), of.event()["data"]["threshold"].as_i64().unwrap()))
        .collect();
    let expected: BTreeSet<(String, i64)> = merchants
        .iter()
        .flat_map(|merchant| [(format!("{merchant}-1"), 80), (format!("{merchant}-2"), 90)])
        .collect();
    assert_eq!(events.len(), expected.len());
    assert_eq!(events.into_iter().collect::<BTreeSet<_>>(), expected);
}

async fn an_alert_that_was_given_up_is_sent_again_by_people(db: TestDb) {
    let gone =
        WebhookSettings { url: "http://localhost:1/".to_owned(), ..Receiver::start().await.settings() };
    let app = App::telling(db, telling(Some(gone), None)).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 800).await;
    for _ in 0..30 {
        app.pass(3600).await;
    }
    let (_, _, state, attempts) = app.deliveries(merchant).await.remove(0);
    assert_eq!((state.as_str(), attempts), ("failed", 20));
    let receiver = Receiver::start().await;
    let mended = app.another_telling(telling(Some(receiver.settings()), None)).await;
    for (alert_no, code) in [(2, "ALERT_NOT_FOUND"), (0, "ALERT_NOT_FOUND")] {
        let answer = mended.resend(merchant, alert_no).await;
        assert_eq!((answer.status, answer.json()["code"].as_str()), (404, Some(code)));
    }
    let again = mended.resend(merchant, 1).await;
    assert_eq!(again.status, 200, "{:?}", again.json());
    assert_eq!(again.data()["deliveries"][0]["state"], "pending");
    mended.work().await;
    assert_eq!(receiver.received()[0].id(), format!("{merchant}-1"));
    assert_eq!(mended.deliveries(merchant).await[0].2, "delivered");
    let answer = mended.resend(merchant, 1).await;
    assert_eq!((answer.status, answer.json()["code"].as_str()), (409, Some("NOTHING_TO_RESEND")));
    assert!(mended.audited(merchant).await.contains(&"merchant_limit.alert_resent".to_owned()));
}

async fn a_private_receiver_is_refused(db: TestDb) {
    let receiver = Receiver::start().await;
    let by_name = WebhookSettings { allow_private: false, ..receiver.settings() };
    let by_address =
        WebhookSettings { url: by_name.url.replace("localhost", "127.0.0.1"), ..by_name.clone() };
    let app = App::telling(db, telling(Some(by_name), None)).await;
    let literal = app.another_telling(telling(Some(by_address), None)).await;
    for app in [&app, &literal] {
        let merchant = app.merchant(Some(1000), None, None).await;
        app.consume(merchant, "p1", 800).await;
        app.pass(60).await;
        let alert = app.listed(merchant, "").await.remove(0);
        let delivery = &alert["deliveries"][0];
        assert_eq!(delivery["state"], "failed", "{delivery}");
        let said = delivery["last_error"].as_str().unwrap();
        assert!(said.contains("is no address of the public internet"), "{said}");
    }
    assert!(receiver.received().is_empty());
}

async fn nothing_in_a_name_becomes_a_header(db: TestDb) {
    let server = MailServer::start().await;
    let mail = server.settings(SmtpSecurity::Tls, &["ops@shop.example"]);
    let app = App::telling(db, telling(None, Some(mail))).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    let rename = "UPDATE merchant_tiers SET tier_name = 'Gold' || CHR(13) || CHR(10) || 'Bcc: all@shop.example' \
         WHERE id = (SELECT tier_id FROM merchant_limits WHERE merchant_id = $1)";
    app.change(app.pick(rename.replace("CHR", "CHAR").leak(), rename), merchant).await;
    app.consume(merchant, "p1", 800).await;
    app.pass(60).await;
    let mail = server.mails("ops@shop.example").remove(0);
    assert_eq!(mail.recipients, ["ops@shop.example"]);
    assert!(mail.header("bcc").is_empty());
    assert!(mail.body.contains("(tier Gold  Bcc: all@shop.example, "), "{}", mail.body);
}

async fn no_mail_goes_to_a_server_that_cannot_prove_itself(db: TestDb) {
    let server = MailServer::start().await;
    let mut mail = server.settings(SmtpSecurity::StartTls, &["ops@shop.example"]);
    mail.server.authorities = None;
    let app = App::telling(db, telling(None, Some(mail))).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    app.consume(merchant, "p1", 800).await;
    app.pass(60).await;
    let (_, _, state, attempts) = app.deliveries(merchant).await.remove(0);
    assert_eq!((state.as_str(), attempts), ("pending", 1));
    assert!(server.mails("ops@shop.example").is_empty());
}

/// The facts' case 19.
async fn thresholds_are_told_once_though_a_thousand_payments_cross_together(db: TestDb) {
    let receiver = Receiver::start().await;
    let one = App::telling(db, telling(Some(receiver.settings()), None)).await;
    let two = one.another_telling(telling(Some(receiver.settings()), None)).await;
    let merchant = one.merchant(Some(1000), Some(10_000), None).await;
    let payments = (0..1000).map(|number| {
        let app = if number % 2 == 0 { &one } else { &two };
        async move { app.consume(merchant, &format!("p{number}"), 1).await.status }
    });
    let answers = futures::future::join_all(payments).await;
    assert!(answers.iter().all(|status| *status == 200));
    one.pass(60).await;
    let refund = json!({ "merchant_id": merchant, "payment_no": "p7" });
    assert_eq!(one.ask("release", &refund).await.status, 200);
    for _ in 0..3 {
        tokio::join!(one.pass(60), two.pass(60));
    }
    let told: Vec<(i64, String, i64)> = receiver
        .received()
        .iter()
        .map(Received::event)
        .map(|event| {
            let (sequence, threshold) = (&event["sequence"], &event["data"]["threshold"]);
            (
                sequence.as_i64().unwrap(),
                event["type"].as_str().unwrap().to_owned(),
                threshold.as_i64().unwrap(),
            )
        })
        .collect();
    let crossed = |sequence, threshold| (sequence, "limit.threshold_crossed".to_owned(), threshold);
    let recovered = (4, "limit.threshold_recovered".to_owned(), 100);
    assert_eq!(told, [crossed(1, 80), crossed(2, 90), crossed(3, 100), recovered]);
}

async fn what_time_does_to_usage_and_limits_is_told_without_a_payment(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), None, None).await;
    let mut reserve = charge(merchant, "held", 850);
    reserve["ttl_seconds"] = json!(60);
    assert_eq!(app.ask("reserve", &reserve).await.status, 200);
    app.pass(120).await;
    let daily = |threshold: i16, crossed: bool| ("daily".to_owned(), threshold, crossed);
    assert_eq!(app.alerts(merchant).await, [daily(80, true), daily(80, false)]);

    // A raise for an hour: 850 of 2000, and then of 1000 again.
    let raise = json!({ "limit_kind": "daily", "value": 2000, "starts_at": "2026-11-23T13:00:00Z",
        "ends_at": "2026-11-23T14:00:00Z", "reason": "a sale" });
    app.consume(merchant, "p1", 950).await;
    assert_eq!(app.post(&format!("{LIMITS}/{merchant}/overrides"), &raise).await.status, 201);
    assert_eq!(app.alerts(merchant).await.len(), 4);
    app.set("2026-11-23T13:00:30Z");
    app.pass(60).await;
    app.pass(60).await;
    assert_eq!(app.alerts(merchant).await[4..], [daily(80, false), daily(90, false)]);
    app.set("2026-11-23T14:00:30Z");
    app.pass(60).await;
    app.pass(60).await;
    assert_eq!(app.alerts(merchant).await[6..], [daily(80, true), daily(90, true)]);
    assert!(app.prove(merchant).await > 0);
}

async fn alerts_are_listed_where_nobody_is_told(db: TestDb) {
    let app = App::start(db).await;
    let merchant = app.merchant(Some(1000), Some(1000), None).await;
    app.consume(merchant, "p1", 1000).await;
    app.pass(60).await;
    let alerts = app.listed(merchant, "").await;
    assert_eq!(alerts.len(), 6);
    assert!(alerts.iter().all(|alert| alert["deliveries"] == json!([]) && alert["currency"] == "USD"));
    let numbers: BTreeSet<i64> = alerts.iter().map(|alert| alert["alert_no"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=6).collect());
    let mut walked = Vec::new();
    let mut next = Some(String::new());
    while let Some(cursor) = next {
        let page = app.get(&format!("{LIMITS}/{merchant}/alerts?page_size=4{cursor}")).await.data();
        walked.extend(page["items"].as_array().unwrap().clone());
        next = page["next_cursor"].as_str().map(|cursor| format!("&cursor={cursor}"));
    }
    assert_eq!(walked, alerts);
    assert_eq!(app.resend(merchant, 1).await.json()["code"], "NOTHING_TO_RESEND");
    assert_eq!(app.get(&format!("{LIMITS}/{}/alerts", Uuid::nil())).await.json()["code"], "LIMIT_NOT_FOUND");
    let unknown = app.get(&format!("{LIMITS}/{merchant}/alerts?delivery_state=lost")).await;
    assert_eq!(unknown.status, 400);
}

async fn until(condition: impl Fn() -> bool) {
    let look = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.unwrap();
}
