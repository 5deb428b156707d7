//! Webhooks: how many events a second are acknowledged once they are stored durably.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::post;
use payops_channels::stripe::webhook::sign;
use payops_core::time::{Clock, SystemClock};
use payops_platform::http::listen;
use payops_platform::http::load::{Found, Pace, Requests, median, round, runtime};
use payops_sandbox::{DEFAULT_WEBHOOK_SECRET, DisputeOrder, Sandbox, SandboxConfig};
use secrecy::SecretString;

use crate::Plan;
use crate::service::{LOOPBACK, Service, Stripe, databases};

/// Connections of Stripe's.
const CONNECTIONS: usize = 64;
/// The disputes that the events are about.
const DISPUTES: usize = 1000;
/// Stripe's own limit on calls.
const PER_SECOND: u32 = 25;

/// Events must be new in every round.
static ROUND: AtomicU64 = AtomicU64::new(1);

/// Signed events, each with an id of its own.
struct Events {
    disputes: Arc<Vec<String>>,
    secret: SecretString,
    prefix: String,
    count: usize,
}

impl Requests for Events {
    fn write(&mut self, request: &mut Vec<u8>) {
        self.count += 1;
        let now = SystemClock.now();
        let dispute = &self.disputes[self.count * 7919 % self.disputes.len()];
        let body = format!(
            "{{\"id\":\"evt_{}{}\",\"object\":\"event\",\"api_version\":\"2025-09-30.clover\",\"created\":{},\
             \"livemode\":false,\"pending_webhooks\":1,\"type\":\"charge.dispute.updated\",\"request\":{{\"id\":null,\
             \"idempotency_key\":null}},\"data\":{{\"object\":{{\"id\":\"{dispute}\",\"object\":\"dispute\",\
             \"amount\":12300,\"currency\":\"usd\",\"status\":\"needs_response\",\"reason\":\"fraudulent\"}}}}}}",
            self.prefix,
            self.count,
            now.timestamp()
        );
        let signature = sign(body.as_bytes(), &self.secret, now);
        let head = format!(
            "POST /api/v1/webhooks/stripe HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
             stripe-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body.as_bytes());
    }
}

/// Measures both databases beside a bare handler. Meanwhile the disputes are read again, at Stripe's pace.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let runtime = runtime("payops", 2)?;
    let (empty, services, disputes, _sandbox) = runtime.block_on(async {
        let listener = listen(LOOPBACK)?;
        let empty = listener.local_addr()?;
        let router = Router::new().route("/api/v1/webhooks/stripe", post(|| async { "{}" }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut config = SandboxConfig::on(LOOPBACK).await?;
        config.webhooks.clear();
        let sandbox = Sandbox::start(config)?;
        let mut disputes = Vec::new();
        for _ in 0..DISPUTES {
            let made = sandbox.handle().make_dispute(DisputeOrder::of(12_300)).map_err(anyhow::Error::msg)?;
            disputes.push(made["id"].as_str().unwrap_or_default().to_owned());
        }
        let stripe = Stripe { base_url: sandbox.base_url(), per_second: PER_SECOND };
        let mut services = Vec::new();
        for (name, db) in databases().await {
            let service = Service::start(&db, Arc::new(SystemClock), Some(&stripe)).await?;
            service.run_jobs();
            services.push((name, service, db));
        }
        anyhow::Ok((empty, services, Arc::new(disputes), sandbox))
    })?;
    let mut servers = vec![("empty handler", empty)];
    servers.extend(services.iter().map(|(name, service, _)| (*name, service.address)));
    println!(
        "\nintake ({CONNECTIONS} connections, {} rounds of {} s, {DISPUTES} disputes)",
        plan.rounds, plan.seconds
    );
    println!("  {:<20} {:>10} {:>9} {:>9}", "", "a second", "p50 ms", "p99 ms");
    let mut found: Vec<Vec<Found>> = servers.iter().map(|_| Vec::new()).collect();
    for measured in 0..=plan.rounds {
        for ((_, address), found) in servers.iter().zip(&mut found) {
            let number = ROUND.fetch_add(1, Ordering::Relaxed);
            let events = |connection: usize| Events {
                disputes: Arc::clone(&disputes),
                secret: SecretString::from(DEFAULT_WEBHOOK_SECRET),
                prefix: format!("r{number}c{connection}n"),
                count: connection * 13,
            };
            let time = Duration::from_secs(plan.seconds);
            let one = round(*address, CONNECTIONS, Pace::Closed, time, events)?;
            // The first is to warm up.
            if measured > 0 {
                found.push(one);
            }
        }
    }
    for ((name, _), found) in servers.iter().zip(&found) {
        let of = |value: fn(&Found) -> f64| median(found.iter().map(value).collect());
        println!(
            "  {name:<20} {:>10.0} {:>9.2} {:>9.2}",
            of(|found| found.rate),
            of(|found| found.p50),
            of(|found| found.p99)
        );
    }
    Ok(())
}
