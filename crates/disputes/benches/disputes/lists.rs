//! Lists, queue and figures of a full store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use payops_core::time::{Clock, SystemClock};
use payops_platform::http::load::{Found, Pace, Requests, median, round, runtime};
use sea_orm::ConnectionTrait;

use crate::Plan;
use crate::service::{Service, databases};
use crate::store::{fill, merchant, payment_no};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 4;
/// Milliseconds that 99 of 100 requests may take.
const GOAL: f64 = 100.0;

/// One question, again and again.
struct Question(Vec<u8>);

impl Requests for Question {
    fn write(&mut self, request: &mut Vec<u8>) {
        request.extend_from_slice(&self.0);
    }
}

/// Measures every question on both databases.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let runtime = runtime("payops", 2)?;
    let services = runtime.block_on(async {
        let mut services = Vec::new();
        for (name, db) in databases().await {
            let started = Instant::now();
            let clock = Arc::new(SystemClock);
            fill(&db, plan.disputes, clock.now()).await?;
            let service = Service::start(&db, clock, None).await?;
            payops_disputes::jobs::schedule(&service.context).await?;
            service.run_jobs();
            until_folded(&service).await?;
            if name == "PostgreSQL" {
                // As its own housekeeping does it some time after so many rows came.
                db.read().execute_unprepared("VACUUM ANALYZE").await?;
            }
            println!("{name}: {} disputes stored and summed up in {:.0?}", plan.disputes, started.elapsed());
            services.push((name, service, db));
        }
        anyhow::Ok(services)
    })?;
    println!(
        "\nlists ({CONNECTIONS} connections, {} rounds of {} s; p99 is to be below {GOAL} ms)",
        plan.rounds, plan.seconds
    );
    println!("  {:<44} {:>22} {:>22}", "", "PostgreSQL p50, p99 ms", "SQLite p50, p99 ms");
    for path in questions(plan.disputes) {
        let mut cells = Vec::new();
        for (_, service, _) in &services {
            let found = measure(plan, service, &path)?;
            let of = |value: fn(&Found) -> f64| median(found.iter().map(value).collect());
            let late = if of(|found| found.p99) < GOAL { "" } else { " !" };
            cells.push(format!("{:.1} {:>8.1}{late}", of(|found| found.p50), of(|found| found.p99)));
        }
        println!("  {:<44} {:>22} {:>22}", path.replace("/api/v1/disputes", ""), cells[0], cells[1]);
    }
    Ok(())
}

fn measure(plan: &Plan, service: &Service, path: &str) -> anyhow::Result<Vec<Found>> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{}\r\n", service.operator);
    let once = |time| {
        let question = |_| Question(request.clone().into_bytes());
        round(service.address, CONNECTIONS, Pace::Closed, time, question)
    };
    once(Duration::from_millis(300))?;
    (0..plan.rounds).map(|_| Ok(once(Duration::from_secs(plan.seconds))?)).collect()
}

fn questions(disputes: usize) -> Vec<String> {
    let now = SystemClock.now();
    let (merchant, payment) = (merchant(7), payment_no(disputes / 2));
    let soon = (now + TimeDelta::days(3)).format("%Y-%m-%dT%H:%M:%SZ");
    let (from, to) = ((now - TimeDelta::days(400)).date_naive(), (now - TimeDelta::days(30)).date_naive());
    [
        String::new(),
        "?page_size=100&page=100".to_owned(),
        "?status=needs_response".to_owned(),
        "?status=won&page_size=100".to_owned(),
        format!("?merchant_id={merchant}"),
        format!("?merchant_id={merchant}&status=lost"),
        "?assigned_to=agent-7".to_owned(),
        "?assigned_to=agent-7&status=needs_response".to_owned(),
        "?channel=paypal".to_owned(),
        "?channel=paypal&status=needs_response".to_owned(),
        "?reason=duplicate".to_owned(),
        "?currency=JPY".to_owned(),
        "?phase=inquiry".to_owned(),
        "?open=true".to_owned(),
        format!("?open=true&due_before={soon}"),
        "?doubtful=true".to_owned(),
        format!("?payment_no={payment}"),
        "/queue".to_owned(),
        "/queue?page_size=100".to_owned(),
        "/queue?assigned_to=agent-7".to_owned(),
        "/queue?unassigned=true".to_owned(),
        format!("/queue?merchant_id={merchant}"),
        "/statistics".to_owned(),
        "/statistics?group_by=channel".to_owned(),
        "/statistics?group_by=reason".to_owned(),
        "/statistics?group_by=assignee".to_owned(),
        format!("/statistics?from={from}&to={to}&timezone=Asia/Shanghai"),
        format!("/statistics?merchant_id={merchant}&group_by=reason"),
        format!("/by-payment/{payment}?channel=stripe"),
    ]
    .map(|query| format!("/api/v1/disputes{query}"))
    .to_vec()
}

/// Waits until the sums hold every dispute.
async fn until_folded(service: &Service) -> anyhow::Result<()> {
    loop {
        let db = &service.context.db;
        let sql = "SELECT CAST(COUNT(*) AS BIGINT) AS waiting FROM dispute_sum_changes";
        let row = db.read().query_one_raw(db.backend().statement(sql, [])).await?;
        let waiting: i64 = row.map_or(Ok(0), |row| row.try_get("", "waiting"))?;
        if waiting == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
