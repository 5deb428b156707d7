//! One submission, whatever fails on the way: Stripe, the network, the process.

use chrono::TimeDelta;
use payops_platform::both_databases;
use payops_platform::db::testing::TestDb;
use payops_sandbox::{DisputeStatus, Fault, FaultKind, FaultTarget};
use serde_json::json;

use crate::harness::App;

both_databases!(payops_disputes::MIGRATIONS;
    an_error_after_the_effect_is_seen_through,
    an_answer_that_is_lost_is_seen_through,
    an_error_that_is_kept_under_the_key_does_not_stop_the_answer,
    errors_without_effect_are_tried_again_under_the_same_key,
    staging_that_fails_is_tried_again,
    a_crash_at_any_call_ends_in_one_submission,
    a_key_that_the_channel_may_have_forgotten_is_not_used_again,
    a_crash_while_conceding_ends_in_one_concession,
    a_limit_on_requests_is_waited_out,
    two_instances_send_each_answer_once,
    answers_go_in_the_order_of_their_deadlines,
);

/// The calls that change the dispute, with their keys.
fn keys(app: &App, stripes: &str) -> Vec<String> {
    let calls = app.calls("POST", stripes);
    calls.iter().map(|call| call.headers["idempotency-key"].clone()).collect()
}

/// An answer lies ready at Stripe, and a fault waits for the call that submits it, which now comes due.
async fn due_under(app: &App, kind: FaultKind, times: u32) -> (String, String) {
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    app.until_submission(&id, |last| last["staged_at"].is_string()).await;
    app.sandbox.handle().clear_requests();
    app.sandbox.handle().add_fault(Fault::once(FaultTarget::StripeDisputeUpdate, kind).times(times)).unwrap();
    app.to_deadline(&stripes, TimeDelta::hours(5));
    (stripes, id)
}

async fn sent_once(app: &App, stripes: &str, id: &str) {
    app.until_submission(id, |last| last["state"] == "sent").await;
    assert_eq!(app.counted(stripes), 1);
    let story = app.story(id).await;
    assert_eq!(story.iter().filter(|event| *event == "submitted").count(), 1, "{story:?}");
}

async fn an_error_after_the_effect_is_seen_through(db: TestDb) {
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    let (stripes, id) = due_under(&app, FaultKind::StatusAfter { status: 500 }, 1).await;
    sent_once(&app, &stripes, &id).await;
    assert_eq!(keys(&app, &stripes).len(), 1, "the dispute was read, and the call not made again");
}

async fn an_answer_that_is_lost_is_seen_through(db: TestDb) {
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    let (stripes, id) = due_under(&app, FaultKind::Cut { after: 10 }, 1).await;
    sent_once(&app, &stripes, &id).await;
    assert_eq!(keys(&app, &stripes).len(), 1);
}

async fn an_error_that_is_kept_under_the_key_does_not_stop_the_answer(db: TestDb) {
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    let (stripes, id) = due_under(&app, FaultKind::StatusKept { status: 500 }, 1).await;
    sent_once(&app, &stripes, &id).await;
    let keys = keys(&app, &stripes);
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(keys[0] == keys[1] && keys[1] != keys[2], "{keys:?}");
}

async fn errors_without_effect_are_tried_again_under_the_same_key(db: TestDb) {
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    let (stripes, id) = due_under(&app, FaultKind::Status { status: 503, retry_after: None }, 1).await;
    sent_once(&app, &stripes, &id).await;
    let keys = keys(&app, &stripes);
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

async fn staging_that_fails_is_tried_again(db: TestDb) {
    let app = App::start(db).await;
    for kind in [
        FaultKind::StatusKept { status: 500 },
        FaultKind::StatusAfter { status: 500 },
        FaultKind::Cut { after: 0 },
        FaultKind::Status { status: 429, retry_after: Some(1) },
    ] {
        app.sandbox.handle().add_fault(Fault::once(FaultTarget::StripeDisputeUpdate, kind)).unwrap();
    }
    let (stripes, id) = app.answerable("PAY-1", DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({})).await;
    sent_once(&app, &stripes, &id).await;
}

/// Where the process is killed: in which call of how many, before its effect or after.
async fn crash_in(app: &App, payment_no: &str, call: usize, kind: FaultKind) {
    let handle = app.sandbox.handle();
    let (stripes, id) = app.answerable(payment_no, DisputeStatus::NeedsResponse).await;
    app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
    if call > 1 {
        app.until_submission(&id, |last| last["staged_at"].is_string()).await;
        handle.add_fault(Fault::once(FaultTarget::StripeDisputeUpdate, kind)).unwrap();
        app.to_deadline(&stripes, TimeDelta::hours(5));
    }
    until_called(app, &stripes, call).await;
    app.crash().await;
    handle.clear_faults();
    app.run_jobs();
    // The lease of the one that was killed runs out.
    app.advance(TimeDelta::seconds(31));
    if call == 1 {
        app.until_submission(&id, |last| last["staged_at"].is_string()).await;
        app.to_deadline(&stripes, TimeDelta::hours(5));
    }
    sent_once(app, &stripes, &id).await;
}

async fn until_called(app: &App, end: &str, calls: usize) {
    app.until_true(async || {
        let made = app.calls("POST", end).len();
        if made >= calls { Ok(()) } else { Err(json!(made)) }
    })
    .await;
}

async fn a_crash_at_any_call_ends_in_one_submission(db: TestDb) {
    const FOR_EVER: u64 = 3_600_000;
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    for (number, (call, kind)) in [
        (1, FaultKind::Slow { ms: FOR_EVER }),
        (1, FaultKind::SlowAfter { ms: FOR_EVER }),
        (2, FaultKind::Slow { ms: FOR_EVER }),
        (2, FaultKind::SlowAfter { ms: FOR_EVER }),
    ]
    .into_iter()
    .enumerate()
    {
        if call == 1 {
            let fault = Fault::once(FaultTarget::StripeDisputeUpdate, kind.clone());
            app.sandbox.handle().add_fault(fault).unwrap();
        }
        crash_in(&app, &format!("PAY-{number}"), call, kind).await;
    }
}

async fn a_key_that_the_channel_may_have_forgotten_is_not_used_again(db: TestDb) {
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    for (down_for, used_again) in [(TimeDelta::hours(19), true), (TimeDelta::hours(21), false)] {
        let payment_no = format!("PAY-{}", down_for.num_hours());
        let (stripes, id) = app.answerable(&payment_no, DisputeStatus::NeedsResponse).await;
        let submit_at = app.context().now() + TimeDelta::hours(1);
        app.ordered(&id, &json!({ "submit_at": submit_at })).await;
        app.until_submission(&id, |last| last["staged_at"].is_string()).await;
        app.sandbox.handle().clear_requests();
        let hangs = FaultKind::Slow { ms: 3_600_000 };
        app.sandbox.handle().add_fault(Fault::once(FaultTarget::StripeDisputeUpdate, hangs)).unwrap();
        app.advance(TimeDelta::hours(1));
        until_called(&app, &stripes, 1).await;
        app.crash().await;
        app.sandbox.handle().clear_faults();
        app.advance(down_for);
        app.run_jobs();
        sent_once(&app, &stripes, &id).await;
        let keys = keys(&app, &stripes);
        assert_eq!((keys.len(), keys[0] == keys[1]), (2, used_again), "after {down_for}: {keys:?}");
    }
}

async fn a_crash_while_conceding_ends_in_one_concession(db: TestDb) {
    let app = App::start(db).await;
    for (number, kind) in
        [FaultKind::Slow { ms: 3_600_000 }, FaultKind::SlowAfter { ms: 3_600_000 }].into_iter().enumerate()
    {
        let (stripes, id) = app.answerable(&format!("PAY-{number}"), DisputeStatus::NeedsResponse).await;
        app.sandbox.handle().add_fault(Fault::once(FaultTarget::StripeDisputeClose, kind)).unwrap();
        let accepted = app.post(&format!("/api/v1/disputes/{id}/accept"), &json!({})).await;
        assert_eq!(accepted.status, 202);
        until_called(&app, &format!("{stripes}/close"), 1).await;
        app.crash().await;
        app.sandbox.handle().clear_faults();
        app.run_jobs();
        app.advance(TimeDelta::seconds(31));
        app.until_submission(&id, |last| last["state"] == "sent").await;
        let lost = app.until(&stripes, |dispute| dispute["status"] == "lost").await;
        assert_eq!(lost["lost_cause"], "accepted");
    }
}

/// Several disputes with deadlines an hour apart, the last first, each with an answer that is held.
async fn many(app: &App, count: usize) -> Vec<(String, String)> {
    let mut held = Vec::new();
    for number in 0..count {
        let due_by =
            app.context().now() + TimeDelta::days(20) - TimeDelta::minutes(i64::try_from(number).unwrap());
        let stripes = app.opened(&format!("PAY-{number}"), |order| order.due_by = Some(due_by.timestamp()));
        let read = app.post(&format!("/api/v1/disputes/sync/{stripes}"), &json!({})).await.data();
        let id = read["id"].as_str().unwrap().to_owned();
        app.text(&id, "product_description", "Two chairs.").await;
        app.ordered(&id, &json!({ "hold": "until_deadline" })).await;
        held.push((stripes, id));
    }
    for (_, id) in &held {
        app.until_submission(id, |last| last["staged_at"].is_string()).await;
    }
    app.sandbox.handle().clear_requests();
    held
}

/// Past the time at which the last of them is to be sent, and before the first deadline.
fn all_due(app: &App) {
    app.advance(TimeDelta::days(20) - TimeDelta::hours(5) - TimeDelta::minutes(30));
}

async fn all_sent_once(app: &App, held: &[(String, String)]) {
    for (stripes, id) in held {
        app.until_submission(id, |last| last["state"] == "sent").await;
        assert_eq!(app.counted(stripes), 1);
    }
}

async fn a_limit_on_requests_is_waited_out(db: TestDb) {
    let app = App::start_with(db, |config| {
        config.webhooks.clear();
        config.takes_second_submission = true;
    });
    let app = app.await;
    let held = many(&app, 12).await;
    app.sandbox.handle().set_rate_limit(Some(4));
    all_due(&app);
    all_sent_once(&app, &held).await;
    let refused = app.calls("POST", "").iter().filter(|call| call.status == Some(429)).count();
    assert!(refused > 0, "the limit was met");
}

async fn two_instances_send_each_answer_once(db: TestDb) {
    let app = App::start_with(db, |config| config.takes_second_submission = true).await;
    app.run_jobs();
    let held = many(&app, 20).await;
    all_due(&app);
    all_sent_once(&app, &held).await;
    for (stripes, _) in &held {
        assert_eq!(keys(&app, stripes).len(), 1);
    }
}

async fn answers_go_in_the_order_of_their_deadlines(db: TestDb) {
    let app = App::start_with(db, |config| config.webhooks.clear()).await;
    let held = many(&app, 60).await;
    all_due(&app);
    all_sent_once(&app, &held).await;
    let calls = app.calls("POST", "");
    let wanted: Vec<String> =
        held.iter().rev().map(|(stripes, _)| format!("/v1/disputes/{stripes}")).collect();
    assert_eq!(calls.len(), wanted.len(), "one call each");
    for (place, path) in wanted.iter().enumerate() {
        let came = calls.iter().position(|call| call.path == *path).unwrap();
        // They begin in order; a few are under way at once and may overtake one another on the wire.
        assert!(came.abs_diff(place) < 8, "{path} is {place} by its deadline and came as {came}");
    }
}
