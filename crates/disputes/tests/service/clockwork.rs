//! What the service does by the clock: reminders of deadlines, and the look at the channel's list.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use payops_disputes::alerts::{Destinations, TIME_OUT};
use payops_platform::both_databases;
use payops_platform::config::EscalatedAlertSettings;
use payops_platform::db::testing::TestDb;
use payops_platform::outbound::testing::{Received, Receiver, Reply};
use payops_sandbox::DisputeStatus;
use serde_json::{Value, json};

use crate::harness::App;

both_databases!(payops_disputes::MIGRATIONS;
    each_reminder_of_a_deadline_is_given_once,
    what_is_answered_is_not_reminded_of,
    a_deadline_that_moves_is_reminded_of_again,
    a_deadline_that_nobody_met_is_told_of_though_the_channel_was_faster,
    disputes_whose_events_were_lost_are_found,
);

impl App {
    pub async fn reminding(db: TestDb, receiver: &Receiver) -> Self {
        let settings = EscalatedAlertSettings {
            webhook: Some(receiver.settings()),
            ..EscalatedAlertSettings::default()
        };
        let destinations = Destinations::new(&settings, TIME_OUT).unwrap();
        let app = Self::start_as(db, |_| {}, |options| options.alerts = destinations).await;
        app.keep_schedules().await;
        app
    }
}

/// What has arrived, each event once, as soon as it is so much. One may come twice: a clock that jumps ends the lease of
/// whoever sends it.
pub async fn events(app: &App, receiver: &Receiver, count: usize) -> Vec<Value> {
    app.until_true(async || {
        let mut ids = BTreeSet::new();
        let mut events: Vec<Value> = receiver.received().iter().map(Received::event).collect();
        events.retain(|event| ids.insert(event["id"].to_string()));
        if events.len() >= count { Ok(events) } else { Err(json!(events)) }
    })
    .await
}

/// Days before, type and escalation of what has arrived.
async fn arrived(app: &App, receiver: &Receiver, count: usize) -> Vec<(i64, String, bool)> {
    let told = |event: Value| {
        let kind = event["type"].as_str().unwrap().to_owned();
        (event["data"]["days_before"].as_i64().unwrap(), kind, event["escalated"].as_bool().unwrap())
    };
    events(app, receiver, count).await.into_iter().map(told).collect()
}

async fn each_reminder_of_a_deadline_is_given_once(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    app.run_jobs();
    let stripes = app.opened("PAY-1", |_| {});
    let dispute = app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    receiver.replies(&[Reply::Status(500)]);
    for (before, count) in [
        (TimeDelta::days(7), 1),
        (TimeDelta::days(5), 1),
        (TimeDelta::days(3), 2),
        (TimeDelta::hours(25), 2),
        (TimeDelta::days(1), 3),
        (TimeDelta::hours(1), 3),
        (TimeDelta::minutes(-2), 4),
        (TimeDelta::days(-2), 4),
    ] {
        app.to_deadline(&stripes, before);
        arrived(&app, &receiver, count).await;
        app.work_is_through().await;
    }
    let told = arrived(&app, &receiver, 4).await;
    let near = |days: i64, escalated: bool| (days, "dispute.deadline_near".to_owned(), escalated);
    let missed = (0, "dispute.deadline_missed".to_owned(), true);
    assert_eq!(told, [near(7, false), near(3, false), near(1, true), missed]);
    let posts = receiver.received();
    assert_eq!(posts[0].id(), posts[1].id(), "the first was refused once");
    assert_eq!(posts[0].event()["data"]["dispute_no"], dispute["dispute_no"]);
    let story = app.story(dispute["id"].as_str().unwrap()).await;
    let of = |kind: &str| story.iter().filter(|event| *event == kind).count();
    assert_eq!((of("reminded"), of("deadline_missed")), (3, 1), "{story:?}");
    let page = app.context().metrics.render().unwrap();
    assert!(page.contains("disputes_missed_deadlines_total{service=\"dispute-service\"} 1"), "{page}");
}

async fn what_is_answered_is_not_reminded_of(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({})).await;
    app.until(&stripes, |dispute| dispute["status"] == "under_review").await;
    for before in [TimeDelta::days(1), TimeDelta::days(-1)] {
        app.to_deadline(&stripes, before);
        app.work_is_through().await;
    }
    assert!(receiver.received().is_empty());
}

async fn a_deadline_that_moves_is_reminded_of_again(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::WarningNeedsResponse).await;
    app.to_deadline(&stripes, TimeDelta::days(1));
    arrived(&app, &receiver, 1).await;
    app.sandbox.handle().decide_dispute(&stripes, DisputeStatus::NeedsResponse).unwrap();
    app.until(&stripes, |dispute| dispute["status"] == "needs_response").await;
    app.to_deadline(&stripes, TimeDelta::days(1));
    let told = arrived(&app, &receiver, 2).await;
    assert_eq!(told.iter().map(|(days, ..)| *days).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(app.story(&id).await.iter().filter(|event| *event == "reminded").count(), 2);
}

async fn a_deadline_that_nobody_met_is_told_of_though_the_channel_was_faster(db: TestDb) {
    let receiver = Receiver::start().await;
    let app = App::reminding(db, &receiver).await;
    let stripes = app.opened("PAY-1", |_| {});
    app.until(&stripes, |dispute| dispute["channel_read_at"].is_string()).await;
    // Without the jobs, nothing sees the deadline before the channel's word is read.
    app.crash().await;
    app.to_deadline(&stripes, TimeDelta::minutes(-5));
    let read = app.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await.data();
    assert_eq!((&read["status"], &read["lost_cause"]), (&json!("lost"), &json!("expired")), "{read}");
    app.run_jobs();
    let told = arrived(&app, &receiver, 1).await;
    assert_eq!(told, [(0, "dispute.deadline_missed".to_owned(), true)]);
}

async fn disputes_whose_events_were_lost_are_found(db: TestDb) {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    app.keep_schedules().await;
    let mut all = Vec::new();
    for n in 0..130 {
        all.push(app.opened(&format!("PAY-{n}"), |_| {}));
    }
    app.advance(TimeDelta::hours(1));
    for stripes in &all {
        app.until(stripes, |dispute| dispute["payment_no"].is_string()).await;
    }
    app.sandbox.handle().decide_dispute(&all[7], DisputeStatus::Won).unwrap();
    app.advance(TimeDelta::hours(1));
    app.until(&all[7], |dispute| dispute["status"] == "won").await;
    let total = app.get("/api/v1/disputes").await.data();
    assert_eq!(total["total"], 130);
}
