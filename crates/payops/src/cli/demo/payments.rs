//! Payments through the sandbox's gateway, each held against what must come of it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use chrono::Timelike;
use payops_core::id::new_id;
use payops_sandbox::DEFAULT_GATEWAY_SECRET;
use reqwest::{Client, Method, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use uuid::Uuid;

use super::GATEWAY;
use super::api::Api;
use crate::startup::Surroundings;

/// The daily limit of the demo's merchants, in cents.
const DAILY_LIMIT: i64 = 100_000;
/// How often an unfinished payment is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long a payment may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// What came of the payments.
pub(super) struct Told {
    /// Whether each ended as it must.
    pub(super) as_expected: bool,
    /// The first merchant.
    pub(super) merchant: Uuid,
}

/// A payment and what must come of it.
struct Case {
    what: &'static str,
    payment_no: String,
    merchant: Uuid,
    amount: i64,
    card: &'static str,
    /// Refunded afterwards.
    refund: Option<i64>,
    outcome: &'static str,
    /// The merchant's day afterwards.
    used: i64,
}

/// Takes the payments and prints what came out.
pub(super) async fn tell(limits: &Api, gateway: &str, surroundings: &Surroundings) -> Result<Told> {
    let Surroundings { clock, random } = surroundings;
    let zone = zone_where_it_is_noon(clock.now().hour());
    let merchants = [(); 3].map(|()| new_id(&**clock, &**random));
    for merchant in merchants {
        let wanted = json!({ "merchant_id": merchant, "tier_code": "starter", "timezone": zone,
                             "custom_daily_limit": DAILY_LIMIT });
        limits.post("/initialize", &wanted).await?;
    }
    let gateway = Gateway::new(gateway)?;
    println!();
    println!(
        "Taking payments through the gateway, for merchants that may take 1000.00 USD a day each (in cents):"
    );
    println!();
    println!("{:<26} {:>8}  {:<10} {:>9} {:>9}  why", "", "amount", "outcome", "used", "left");
    let mut as_expected = true;
    for case in cases(merchants) {
        as_expected &= run(&case, limits, &gateway).await?;
    }
    println!();
    println!(
        "Payments {}",
        if as_expected { "ended as they must, each of them" } else { "DID NOT END AS THEY MUST" }
    );
    Ok(Told { as_expected, merchant: merchants[0] })
}

fn cases([first, second, third]: [Uuid; 3]) -> Vec<Case> {
    let case = |number: u8, what, merchant: Uuid, amount, card, outcome, used| {
        let payment_no = format!("DEMO-{}-{number}", first.simple());
        Case { what, payment_no, merchant, amount, card, refund: None, outcome, used }
    };
    let refunded = case(5, "partly refunded", third, 40_000, "good", "succeeded", 30_000);
    vec![
        case(1, "within the limit", first, 60_000, "good", "succeeded", 60_000),
        case(2, "more than is left", first, 50_000, "good", "declined", 60_000),
        case(3, "the card is declined", second, 30_000, "declined", "failed", 0),
        case(4, "the channel's answer lost", second, 20_000, "answer_lost", "succeeded", 20_000),
        Case { refund: Some(10_000), ..refunded },
    ]
}

/// Takes one payment; true when all is as it must be.
async fn run(case: &Case, limits: &Api, gateway: &Gateway) -> Result<bool> {
    let wanted = json!({ "merchant_id": case.merchant, "payment_no": case.payment_no, "amount": case.amount,
                         "currency": "USD", "channel": "stripe", "card": case.card });
    gateway.send(gateway.http.post(gateway.url("")), &wanted).await?;
    let mut payment = gateway.ended(&case.payment_no).await?;
    if let Some(amount) = case.refund {
        let wanted = json!({ "refund_no": format!("{}-R", case.payment_no), "amount": amount });
        let path = format!("/{}/refunds", case.payment_no);
        gateway.send(gateway.http.post(gateway.url(&path)), &wanted).await?;
        payment = gateway.ended(&case.payment_no).await?;
    }
    let shown = limits.call(Method::GET, &format!("/{}", case.merchant), None).await?.data;
    let (used, left) = (&shown["daily_used"], &shown["daily_remaining"]);
    let state = payment["state"].as_str().unwrap_or_default();
    let why = payment["reason"].as_str().unwrap_or_default();
    let [used_text, left_text] = [used, left].map(Value::to_string);
    println!("{:<26} {:>8}  {state:<10} {used_text:>9} {left_text:>9}  {why}", case.what, case.amount);
    Ok(state == case.outcome && *used == case.used && *left == DAILY_LIMIT - case.used)
}

/// The sandbox's payment gateway.
struct Gateway {
    base_url: String,
    http: Client,
}

impl Gateway {
    fn new(base_url: &str) -> Result<Self> {
        let http = Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { base_url: base_url.to_owned(), http })
    }

    fn url(&self, path: &str) -> String {
        format!("{}/internal/payments{path}", self.base_url)
    }

    async fn send(&self, call: RequestBuilder, body: &Value) -> Result<Value> {
        Self::answer(call.json(body)).await
    }

    async fn answer(call: RequestBuilder) -> Result<Value> {
        let call = call.header("x-service-name", "demo").header("x-service-secret", DEFAULT_GATEWAY_SECRET);
        let response = call.send().await.context("the payment gateway gives no answer")?;
        let status = response.status();
        let answer: Value = response.json().await.context("the payment gateway answers no JSON")?;
        if !status.is_success() {
            bail!("the payment gateway: {status} {}", answer["message"].as_str().unwrap_or_default());
        }
        Ok(answer)
    }

    /// A payment when nothing is left to be done.
    async fn ended(&self, payment_no: &str) -> Result<Value> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while tokio::time::Instant::now() < deadline {
            let payment = Self::answer(self.http.get(self.url(&format!("/{payment_no}")))).await?;
            if payment["finished"] == true {
                return Ok(payment);
            }
            tokio::time::sleep(LOOK).await;
        }
        bail!("the payment {payment_no} has not ended after {PATIENCE:?}")
    }
}

/// A zone in which no day ends during the demo.
fn zone_where_it_is_noon(utc_hour: u32) -> String {
    match utc_hour {
        12 => "Etc/UTC".to_owned(),
        // These names count westwards.
        hour @ 0..12 => format!("Etc/GMT-{}", 12 - hour),
        hour => format!("Etc/GMT+{}", hour - 12),
    }
}

/// Prints calls that can be pasted.
pub(super) fn calls(limits: &str, sandbox: &str, merchant: &Uuid, secret: &SecretString) {
    let number = merchant.simple();
    println!();
    println!("Merchant limits, as a payment gateway asks (a check, then a payment that counts):");
    println!("  SECRET={} MERCHANT={merchant}", secret.expose_secret());
    for (path, more) in [("check", String::new()), ("consume", format!(",\"payment_no\":\"P-{number}\""))] {
        println!("  curl -X POST {limits}/api/v1/limits/{path} -H 'X-Service-Name: {GATEWAY}' \\");
        println!("    -H \"X-Service-Secret: $SECRET\" -H 'Content-Type: application/json' \\");
        println!("    -d '{{\"merchant_id\":\"'$MERCHANT'\"{more},\"amount\":5000,\"currency\":\"USD\"}}'");
    }
    println!("and as a person reads:");
    println!("  curl -H \"Authorization: Bearer $TOKEN\" {limits}/api/v1/limits/$MERCHANT");
    println!("and a whole payment through the sandbox's gateway:");
    println!("  curl -X POST {sandbox}/internal/payments -H 'X-Service-Name: demo' \\");
    println!("    -H 'X-Service-Secret: {DEFAULT_GATEWAY_SECRET}' -H 'Content-Type: application/json' \\");
    println!(
        "    -d '{{\"merchant_id\":\"'$MERCHANT'\",\"payment_no\":\"G-{number}\",\"amount\":5000,\"currency\":\"USD\",\"channel\":\"stripe\"}}'"
    );
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_noon_in_the_zone_at_any_hour() {
        for hour in 0..24 {
            let zone = payops_core::time::Zone::named(&zone_where_it_is_noon(hour)).unwrap();
            let date = "2026-01-15".parse().unwrap();
            let start = zone.day(date).unwrap().start;
            assert_eq!((start.hour() + 12) % 24, hour, "midnight is twelve hours away: {}", zone.name());
        }
    }
}
