//! The running sandbox, called as its clients call it: over HTTP.

mod control;
mod disputes;
mod faults;
mod gateway;
mod payments;
mod sdks;
mod stripe;
mod uploads;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use chrono::{NaiveDate, TimeDelta};
use payops_core::random::SeededRandom;
use payops_core::time::{ManualClock, Timestamp, Zone};
use serde_json::{Value, json};

use crate::days::{Channel, Day};
use crate::{DEFAULT_GATEWAY_SECRET, DEFAULT_STRIPE_API_KEY, RunningSandbox, Sandbox, SandboxConfig};

/// A Thursday: seeded.
const SEEDED: &str = "2024-10-24";
/// The interval of that day.
const INTERVAL: (i64, i64) = (1_729_728_000, 1_729_814_400);
const ACTIVITY: &str = "balance_change_from_activity.itemized.3";
const SUMMARY: &str = "balance.summary.1";

/// A sandbox on a clock that stands still, and a client.
struct Bed {
    sandbox: RunningSandbox,
    clock: ManualClock,
    http: reqwest::Client,
}

impl Bed {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// It is Saturday noon; there are data until Saturday midnight.
    async fn start_with(change: impl FnOnce(&mut SandboxConfig)) -> Self {
        let clock = ManualClock::new("2024-10-26T12:00:00Z".parse::<Timestamp>().unwrap());
        let mut config = SandboxConfig::on(([127, 0, 0, 1], 0).into()).await.unwrap();
        config.clock = Arc::new(clock.clone());
        config.random = Arc::new(SeededRandom::new(1));
        config.payments = 150;
        change(&mut config);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { sandbox: Sandbox::start(config).unwrap(), clock, http }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.sandbox.base_url())
    }

    fn day(&self, date: &str) -> Day {
        let date: NaiveDate = date.parse().unwrap();
        self.sandbox.handle().day(date, Channel::Stripe, &Zone::utc()).unwrap()
    }

    async fn stripe(&self, path: &str) -> Answer {
        let call = self.http.get(self.url(path)).bearer_auth(DEFAULT_STRIPE_API_KEY);
        Answer::of(call.send().await.unwrap()).await
    }

    /// Posts a form to Stripe.
    async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        self.form_once(path, parameters, None).await
    }

    async fn form_once(&self, path: &str, parameters: &[(&str, &str)], key: Option<&str>) -> Answer {
        let mut call = self.http.post(self.url(path)).bearer_auth(DEFAULT_STRIPE_API_KEY).form(parameters);
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        Answer::of(call.send().await.unwrap()).await
    }

    /// The types of the events so far, oldest first.
    async fn event_types(&self) -> Vec<String> {
        let events = self.stripe("/v1/events?limit=100").await.body;
        let types = events["data"].as_array().unwrap().iter().rev();
        types.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    async fn create(&self, parameters: &[(&str, &str)], key: Option<&str>) -> Answer {
        let mut call = self
            .http
            .post(self.url("/v1/reporting/report_runs"))
            .basic_auth(DEFAULT_STRIPE_API_KEY, None::<&str>)
            .form(parameters);
        if let Some(key) = key {
            call = call.header("idempotency-key", key);
        }
        Answer::of(call.send().await.unwrap()).await
    }

    /// Creates a run over the seeded day.
    async fn create_run(&self, report_type: &str, more: &[(&str, &str)]) -> Answer {
        let (start, end) = (INTERVAL.0.to_string(), INTERVAL.1.to_string());
        let mut parameters = vec![
            ("report_type", report_type),
            ("parameters[interval_start]", &start),
            ("parameters[interval_end]", &end),
        ];
        parameters.extend_from_slice(more);
        self.create(&parameters, None).await
    }

    /// Creates a run over the seeded day and waits, in virtual time, until it has ended.
    async fn finished_run(&self, report_type: &str, more: &[(&str, &str)]) -> Value {
        let created = self.create_run(report_type, more).await;
        assert_eq!(created.status, 200, "{}", created.body);
        self.clock.advance(TimeDelta::seconds(2));
        self.stripe(&format!("/v1/reporting/report_runs/{}", created.body["id"].as_str().unwrap())).await.body
    }

    async fn download(&self, run: &Value, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut call =
            self.http.get(run["result"]["url"].as_str().unwrap()).bearer_auth(DEFAULT_STRIPE_API_KEY);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        call.send().await.unwrap()
    }

    async fn report(&self, report_type: &str, more: &[(&str, &str)]) -> String {
        let run = self.finished_run(report_type, more).await;
        self.download(&run, &[]).await.text().await.unwrap()
    }

    async fn feed(&self, query: &str, headers: &[(&str, &str)]) -> reqwest::Response {
        let mut call = self
            .http
            .get(self.url(&format!("/internal/payments/reconciliation?{query}")))
            .header("x-service-name", "reconciliation-service")
            .header("x-service-secret", DEFAULT_GATEWAY_SECRET);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        call.send().await.unwrap()
    }

    /// The seeded day's feed as lines.
    async fn lines(&self) -> String {
        let answer = self.feed("date=2024-10-24&channel=stripe", &[("accept", "application/x-ndjson")]).await;
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        answer.text().await.unwrap()
    }

    async fn fault(&self, fault: Value) -> Answer {
        let call = self.http.post(self.url("/sandbox/faults")).json(&fault);
        Answer::of(call.send().await.unwrap()).await
    }
}

/// A JSON answer.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Value,
}

impl Answer {
    async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(json!(text));
        Self { status, headers, body }
    }

    fn id(&self) -> &str {
        self.body["id"].as_str().unwrap_or_default()
    }

    fn error(&self, field: &str) -> &str {
        self.body["error"][field].as_str().unwrap_or_default()
    }
}

/// Waits until `is_so`, which must come true within ten seconds.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come true within ten seconds");
}

/// The lines of a CSV text as fields, quotes undone. Enough for what the sandbox writes.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    for letter in text.chars() {
        match letter {
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            _ => field.push(letter),
        }
    }
    rows
}
