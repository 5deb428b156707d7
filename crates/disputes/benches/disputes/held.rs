//! Submissions that all come due within one hour, while nobody was there to send them: each is sent once, in the order of the
//! deadlines, within Stripe's limit.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::TimeDelta;
use payops_core::time::{Clock, SystemClock, Timestamp};
use payops_platform::db::testing::TestDb;
use payops_platform::http::load::runtime;
use payops_platform::http::testing::As;
use payops_sandbox::{DisputeOrder, RunningSandbox, Sandbox, SandboxConfig, VirtualClock};
use sea_orm::ConnectionTrait;
use serde_json::json;

use crate::Plan;
use crate::service::{LOOPBACK, Service, Stripe, databases};

/// How many times faster than ours the clock of Stripe and the service runs.
const SPEED: i32 = 8;
/// Stripe's limit on calls, by its clock.
const PER_SECOND: u32 = 25;
/// How many calls are under way at once while the disputes are made ready.
const MAKERS: usize = 16;

/// A clock that runs faster than ours.
#[derive(Debug)]
struct FastClock(Timestamp, Instant);

impl Clock for FastClock {
    fn now(&self) -> Timestamp {
        self.0 + TimeDelta::from_std(self.1.elapsed()).unwrap_or_default() * SPEED
    }
}

/// Runs the hour on both databases.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    println!(
        "\nheld ({} submissions due within an hour; Stripe takes {PER_SECOND} calls a second of a clock that runs {SPEED} times as fast as ours)",
        plan.held
    );
    runtime("payops", 2)?.block_on(async {
        for (name, db) in databases().await {
            println!("  {name}: {}", hour(&db, plan.held).await?);
        }
        Ok(())
    })
}

async fn hour(db: &TestDb, count: usize) -> anyhow::Result<String> {
    let clock = Arc::new(VirtualClock::new(Arc::new(FastClock(SystemClock.now(), Instant::now()))));
    let mut config = SandboxConfig::on(LOOPBACK).await?;
    config.clock = Arc::<VirtualClock>::clone(&clock);
    config.dispute_delay = TimeDelta::zero();
    config.decision_delay = TimeDelta::zero();
    config.takes_second_submission = true;
    config.webhooks.clear();
    let sandbox = Sandbox::start(config)?;
    let began = Instant::now();
    let shared: Arc<dyn Clock> = Arc::<VirtualClock>::clone(&clock);
    let order = make_ready(db, &sandbox, Arc::clone(&shared), count).await?;
    let prepared = began.elapsed();

    // Nobody is there for an hour; then the first deadline is five hours away.
    clock.advance(TimeDelta::days(29) - (clock.now() - order.made_at));
    sandbox.handle().set_rate_limit(Some(PER_SECOND));
    sandbox.handle().clear_requests();
    let paced = PER_SECOND * SPEED.unsigned_abs();
    let stripe = Stripe { base_url: sandbox.base_url(), per_second: paced };
    let service = Service::start(db, shared, Some(&stripe)).await?;
    let (real, began) = (Instant::now(), clock.now());
    service.run_jobs();
    let mut calls = BTreeMap::new();
    while sent(&service).await? < count {
        collect(&sandbox, &mut calls);
        ensure!(real.elapsed() < Duration::from_mins(15), "not all were sent within 15 minutes");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    collect(&sandbox, &mut calls);
    let took = clock.now() - began;
    verdict(&sandbox, &order, &calls, (count, took, prepared, real.elapsed()))
}

/// What lies ready, in the order of the deadlines.
struct Order {
    made_at: Timestamp,
    stripes: Vec<String>,
}

/// Has disputes opened, each with a text as evidence and an answer that is sealed, staged and held.
async fn make_ready(
    db: &TestDb,
    sandbox: &RunningSandbox,
    clock: Arc<dyn Clock>,
    count: usize,
) -> anyhow::Result<Order> {
    let made_at = clock.now();
    let stripe = Stripe { base_url: sandbox.base_url(), per_second: 100_000 };
    let service = Arc::new(Service::start(db, clock, Some(&stripe)).await?);
    let mut stripes = Vec::new();
    for number in 0..count {
        let within_the_hour =
            TimeDelta::milliseconds(3_600_000 * i64::try_from(number)? / i64::try_from(count)?);
        let due_by = made_at + TimeDelta::days(29) + TimeDelta::hours(5) + within_the_hour;
        let order = DisputeOrder { due_by: Some(due_by.timestamp()), ..DisputeOrder::of(12_300) };
        let made = sandbox.handle().make_dispute(order).map_err(anyhow::Error::msg)?;
        stripes.push(made["id"].as_str().context("a dispute without an id")?.to_owned());
    }
    service.run_jobs();
    let waiting = Arc::new(tokio::sync::Semaphore::new(MAKERS));
    let mut makers = tokio::task::JoinSet::new();
    // The last deadline first: they must not lie in order already.
    for stripes_id in stripes.iter().rev() {
        let stripes_id = stripes_id.clone();
        let (place, service) = (Arc::clone(&waiting).acquire_owned().await?, Arc::clone(&service));
        makers.spawn(async move {
            let _place = place;
            hold(&service, &stripes_id).await
        });
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    while counted(&service, "state = 'held' AND staged_at IS NOT NULL").await? < count {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(Order { made_at, stripes })
}

async fn hold(service: &Service, stripes_id: &str) -> anyhow::Result<()> {
    let post = async |path: String, body: serde_json::Value, status: u16| {
        let answer = service.client.post(&path, &body).by(As::Operator).send().await;
        ensure!(answer.status == status, "{path}: {:?}", answer.json());
        Ok(answer.data())
    };
    let read = post(format!("/api/v1/disputes/sync/{stripes_id}"), json!({}), 200).await?;
    let id = read["id"].as_str().context("a dispute without an id")?.to_owned();
    let text = json!({ "evidence_type": "product_description", "text_content": "Two chairs." });
    post(format!("/api/v1/disputes/{id}/evidence"), text, 201).await?;
    post(format!("/api/v1/disputes/{id}/submit"), json!({ "hold": "until_deadline" }), 202).await?;
    Ok(())
}

async fn sent(service: &Service) -> anyhow::Result<usize> {
    counted(service, "state = 'sent'").await
}

async fn counted(service: &Service, which: &str) -> anyhow::Result<usize> {
    let db = &service.context.db;
    let sql = format!("SELECT CAST(COUNT(*) AS BIGINT) AS found FROM submissions WHERE {which}");
    let row = db.read().query_one_raw(db.backend().statement(&sql, [])).await?;
    let found: i64 = row.map_or(Ok(0), |row| row.try_get("", "found"))?;
    Ok(usize::try_from(found)?)
}

/// Keeps the calls that came, by their number: the sandbox remembers the last ones only.
fn collect(sandbox: &RunningSandbox, calls: &mut BTreeMap<u64, (Timestamp, String, Option<u16>)>) {
    for call in sandbox.handle().requests() {
        if call.method == "POST" {
            calls.insert(call.number, (call.at, call.path, call.status));
        }
    }
}

fn verdict(
    sandbox: &RunningSandbox,
    order: &Order,
    calls: &BTreeMap<u64, (Timestamp, String, Option<u16>)>,
    (count, took, prepared, real): (usize, TimeDelta, Duration, Duration),
) -> anyhow::Result<String> {
    for stripes_id in &order.stripes {
        let dispute = sandbox.handle().dispute(stripes_id).context("a dispute is gone")?;
        let counted = &dispute["evidence_details"]["submission_count"];
        ensure!(*counted == json!(1), "{stripes_id} was submitted {counted} times");
    }
    let wanted: BTreeMap<String, usize> =
        order.stripes.iter().enumerate().map(|(place, id)| (format!("/v1/disputes/{id}"), place)).collect();
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut limited, mut furthest) = (0, 0);
    for (_, path, status) in calls.values() {
        limited += usize::from(*status == Some(429));
        let came = first.len();
        if !first.contains_key(path.as_str()) {
            first.insert(path, came);
            let place = wanted.get(path).with_context(|| format!("a call to {path}"))?;
            furthest = furthest.max(place.abs_diff(came));
        }
    }
    ensure!(first.len() == count, "{} of {count} were seen", first.len());
    let mut seconds: BTreeMap<i64, usize> = BTreeMap::new();
    for (at, ..) in calls.values() {
        *seconds.entry(at.timestamp()).or_default() += 1;
    }
    let most = seconds.values().max().copied().unwrap_or(0);
    ensure!(took <= TimeDelta::hours(1), "it took {} s, more than an hour", took.num_seconds());
    Ok(format!(
        "{count} sent once each with {} calls, {limited} of them 429, in {} s by Stripe's clock ({:.0?} by ours, made ready \
         in {:.0?}); at most {most} calls in one second; no first call further than {furthest} places from its deadline's",
        calls.len(),
        took.num_seconds(),
        real,
        prepared
    ))
}
