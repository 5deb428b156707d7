//! Every fault does what it says, once, and then is gone.

use chrono::TimeDelta;

use super::*;

/// The body's length and whether the connection broke.
async fn read_to_the_end(mut response: reqwest::Response) -> (usize, bool) {
    let mut length = 0;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => length += chunk.len(),
            Ok(None) => return (length, false),
            Err(_) => return (length, true),
        }
    }
}

#[tokio::test]
async fn errors_come_in_the_form_of_each_side() {
    let bed = Bed::start().await;
    for target in ["stripe.types", "stripe.create", "stripe.poll", "stripe.download", "gateway.feed"] {
        let fault = json!({"target": target, "kind": "status", "status": 429, "retry_after": 7});
        assert_eq!(bed.fault(fault).await.status, 201);
    }
    let limited = bed.create_run(SUMMARY, &[]).await;
    assert_eq!((limited.status, limited.error("code")), (429, "rate_limit"));
    assert_eq!(limited.headers["retry-after"], "7");
    let run = bed.create_run(SUMMARY, &[]).await;
    assert_eq!(run.status, 200);
    let path = format!("/v1/reporting/report_runs/{}", run.body["id"].as_str().unwrap());
    bed.clock.advance(TimeDelta::seconds(5));
    assert_eq!(bed.stripe(&path).await.status, 429);
    let run = bed.stripe(&path).await.body;
    assert_eq!(bed.download(&run, &[]).await.status(), 429);
    assert_eq!(bed.download(&run, &[]).await.status(), 200);
    assert_eq!(bed.stripe("/v1/reporting/report_types/balance.summary.1").await.status, 429);
    let feed = bed.feed("date=2024-10-24&channel=stripe", &[]).await;
    assert_eq!((feed.status().as_u16(), &feed.headers()["retry-after"]), (429, &http::HeaderValue::from(7)));
    assert!(bed.sandbox.handle().faults().is_empty());

    bed.fault(json!({"target": "stripe.create", "kind": "status", "status": 503, "times": 2})).await;
    for _ in 0..2 {
        let down = bed.create_run(SUMMARY, &[]).await;
        assert_eq!((down.status, down.error("type")), (503, "api_error"));
        assert_eq!(down.headers["stripe-should-retry"], "true");
    }
    assert_eq!(bed.create_run(SUMMARY, &[]).await.status, 200);
}

#[tokio::test]
async fn a_cut_connection_breaks_after_the_bytes_that_it_says() {
    let bed = Bed::start().await;
    let run = bed.finished_run(ACTIVITY, &[]).await;
    bed.fault(json!({"target": "stripe.download", "kind": "cut", "after": 1000})).await;
    assert_eq!(read_to_the_end(bed.download(&run, &[]).await).await, (1000, true));
    assert!(!read_to_the_end(bed.download(&run, &[]).await).await.1);
    bed.fault(json!({"target": "stripe.download", "kind": "cut", "after": 10})).await;
    let (part, broken) = read_to_the_end(bed.download(&run, &[("range", "bytes=1000-")]).await).await;
    assert_eq!((part, broken), (10, true));
    bed.fault(json!({"target": "gateway.feed", "kind": "cut", "after": 500})).await;
    let feed = bed.feed("date=2024-10-24&channel=stripe", &[("accept", "application/x-ndjson")]).await;
    assert_eq!(read_to_the_end(feed).await, (500, true));
}

#[tokio::test]
async fn a_lost_answer_to_a_creation_can_be_asked_for_again() {
    let bed = Bed::start().await;
    let (start, end) = (INTERVAL.0.to_string(), INTERVAL.1.to_string());
    let create = || {
        bed.http
            .post(bed.url("/v1/reporting/report_runs"))
            .bearer_auth(DEFAULT_STRIPE_API_KEY)
            .header("idempotency-key", "once")
            .form(&[
                ("report_type", ACTIVITY),
                ("parameters[interval_start]", start.as_str()),
                ("parameters[interval_end]", end.as_str()),
            ])
            .send()
    };
    bed.fault(json!({"target": "stripe.create", "kind": "cut", "after": 0})).await;
    let broken = match create().await {
        Ok(response) => response.bytes().await.is_err(),
        Err(_) => true,
    };
    assert!(broken);
    assert_eq!(create().await.unwrap().headers()["idempotent-replayed"], "true");
    let runs = bed.stripe("/v1/reporting/report_runs").await;
    assert_eq!(runs.body["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn slow_answers_come_late_but_come() {
    let bed = Bed::start().await;
    bed.fault(json!({"target": "stripe.create", "kind": "slow", "ms": 60_000})).await;
    let (start, end) = (INTERVAL.0.to_string(), INTERVAL.1.to_string());
    let impatient = bed
        .http
        .post(bed.url("/v1/reporting/report_runs"))
        .bearer_auth(DEFAULT_STRIPE_API_KEY)
        .header("idempotency-key", "impatient")
        .timeout(Duration::from_millis(200))
        .form(&[
            ("report_type", ACTIVITY),
            ("parameters[interval_start]", start.as_str()),
            ("parameters[interval_end]", end.as_str()),
        ]);
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let logged = bed.sandbox.handle().requests();
    assert_eq!(logged.last().unwrap().status, None, "the caller hung up");
    for target in ["stripe.poll", "stripe.download", "gateway.feed"] {
        bed.fault(json!({"target": target, "kind": "slow", "ms": 5})).await;
    }
    let run = bed.finished_run(SUMMARY, &[]).await;
    assert_eq!(bed.download(&run, &[]).await.status(), 200);
    assert!(bed.lines().await.contains("trailer"));
    assert!(bed.sandbox.handle().faults().is_empty());
}

#[tokio::test]
async fn files_can_be_damaged_or_short() {
    let bed = Bed::start().await;
    let run = bed.finished_run(ACTIVITY, &[]).await;
    let whole = bed.download(&run, &[]).await.bytes().await.unwrap();
    bed.fault(json!({"target": "stripe.download", "kind": "corrupt"})).await;
    let bad_row = bed.download(&run, &[]).await.text().await.unwrap();
    assert_eq!(bad_row.len(), whole.len());
    assert!(csv(&bad_row)[1].iter().any(|field| field.contains("x.xx") || field.ends_with('x')));
    bed.fault(json!({"target": "stripe.download", "kind": "corrupt", "mode": "bytes"})).await;
    let bytes = bed.download(&run, &[]).await.bytes().await.unwrap();
    assert!(bytes.len() == whole.len() && bytes != whole && std::str::from_utf8(&bytes).is_err());
    bed.fault(json!({"target": "stripe.download", "kind": "truncate_rows", "rows": 7})).await;
    let short = bed.download(&run, &[]).await;
    assert!(!short.headers().contains_key("content-length"));
    let short = short.text().await.unwrap();
    assert!(whole.starts_with(short.as_bytes()));
    assert_eq!(csv(&short).len() + 7, csv(std::str::from_utf8(&whole).unwrap()).len());
    assert_eq!(bed.download(&run, &[]).await.bytes().await.unwrap(), whole);
}

#[tokio::test]
async fn feeds_can_be_damaged_short_or_wrongly_counted() {
    let bed = Bed::start().await;
    let right = bed.lines().await;
    let trailer = |text: &str| -> Value { serde_json::from_str(text.lines().last().unwrap()).unwrap() };
    bed.fault(json!({"target": "gateway.feed", "kind": "wrong_trailer"})).await;
    let wrong = bed.lines().await;
    let count = |text: &str| trailer(text)["trailer"]["count"].as_u64().unwrap();
    assert_eq!(count(&wrong), count(&right) + 1);
    bed.fault(json!({"target": "gateway.feed", "kind": "no_trailer"})).await;
    assert!(!bed.lines().await.contains("trailer"));
    bed.fault(json!({"target": "gateway.feed", "kind": "truncate_rows", "rows": 3})).await;
    let short = bed.lines().await;
    assert_eq!((short.lines().count() + 3, trailer(&short)), (right.lines().count(), trailer(&right)));
    bed.fault(json!({"target": "gateway.feed", "kind": "corrupt"})).await;
    let bad_row: Value = serde_json::from_str(bed.lines().await.lines().next().unwrap()).unwrap();
    assert!(bad_row["amount"].as_str().unwrap().starts_with('x'));
    bed.fault(json!({"target": "gateway.feed", "kind": "corrupt", "mode": "bytes"})).await;
    let feed = bed.feed("date=2024-10-24&channel=stripe", &[("accept", "application/x-ndjson")]).await;
    assert!(std::str::from_utf8(&feed.bytes().await.unwrap()).is_err());
    bed.fault(json!({"target": "gateway.feed", "kind": "truncate_rows", "rows": 3})).await;
    let page = Answer::of(bed.feed("date=2024-10-24&channel=stripe&page_size=1000", &[]).await).await;
    let rows = page.body["items"].as_array().unwrap().len() as u64;
    assert_eq!(page.body["trailer"]["count"], rows + 3);
    assert_eq!(bed.lines().await, right);
}

#[tokio::test]
async fn runs_can_stay_pending_or_lie_about_their_size() {
    let bed = Bed::start().await;
    bed.fault(json!({"target": "stripe.create", "kind": "report_stays_pending"})).await;
    let stuck = bed.finished_run(ACTIVITY, &[]).await;
    bed.clock.advance(TimeDelta::days(2));
    let path = format!("/v1/reporting/report_runs/{}", stuck["id"].as_str().unwrap());
    assert_eq!(bed.stripe(&path).await.body["status"], "pending");
    let run = bed.finished_run(ACTIVITY, &[]).await;
    bed.fault(json!({"target": "stripe.poll", "kind": "lie_size", "by": -100})).await;
    let path = format!("/v1/reporting/report_runs/{}", run["id"].as_str().unwrap());
    let lie = bed.stripe(&path).await.body["result"]["size"].as_i64().unwrap();
    assert_eq!(lie, run["result"]["size"].as_i64().unwrap() - 100);
    assert_eq!(bed.stripe(&path).await.body, run);
}

#[tokio::test]
async fn the_summary_can_be_broken_or_missing() {
    let bed = Bed::start().await;
    let right = bed.report(SUMMARY, &[]).await;
    bed.fault(json!({"target": "stripe.create", "kind": "broken_summary"})).await;
    assert_eq!(csv(&bed.report(ACTIVITY, &[]).await).len(), bed.day(SEEDED).channel_rows().count() + 1);
    let broken = bed.finished_run(SUMMARY, &[]).await;
    let text = bed.download(&broken, &[]).await.text().await.unwrap();
    assert_ne!(text, right);
    assert_eq!(text.len() as u64, broken["result"]["size"].as_u64().unwrap());
    let different: Vec<_> = right.lines().zip(text.lines()).filter(|(a, b)| a != b).collect();
    assert!(different.len() == 1 && different[0].0.starts_with("ending_balance"), "{different:?}");

    bed.fault(json!({"target": "stripe.download", "kind": "broken_summary"})).await;
    let honest = bed.finished_run(SUMMARY, &[]).await;
    assert_ne!(bed.download(&honest, &[]).await.text().await.unwrap(), right);
    assert_eq!(bed.download(&honest, &[]).await.text().await.unwrap(), right);

    bed.fault(json!({"target": "stripe.create", "kind": "no_summary"})).await;
    let refused = bed.create_run(SUMMARY, &[]).await;
    assert_eq!((refused.status, refused.error("code")), (404, "resource_missing"));
    bed.fault(json!({"target": "stripe.create", "kind": "no_summary", "mode": "empty"})).await;
    assert_eq!(bed.report(SUMMARY, &[]).await, "category,description,net_amount,currency\n");
    assert_eq!(bed.report(SUMMARY, &[]).await, right);
}

#[tokio::test]
async fn a_fault_can_wait_for_one_report_type() {
    let bed = Bed::start().await;
    let fault = json!({"target": "stripe.create", "kind": "status", "status": 500, "report_type": "payout_reconciliation"});
    bed.fault(fault).await;
    assert_eq!(bed.create_run(ACTIVITY, &[]).await.status, 200);
    assert_eq!(bed.create_run("payout_reconciliation.itemized.5", &[]).await.status, 500);
    assert_eq!(bed.create_run("payout_reconciliation.itemized.5", &[]).await.status, 200);
}
