//! A back-test of a large task: its time and its memory, and how soon what it has stored is gone.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use payops_platform::http::load::{median, runtime};
use serde_json::{Value, json};

use crate::Plan;
use crate::service::{SandboxProcess, Service, database, databases, forget_peak, peak_mib};
use crate::task::{UTC, watched};

/// How often a back-test is looked at.
const LOOK: Duration = Duration::from_millis(40);
const DATE: &str = "2026-01-14";
/// One to warm up, and three that count.
const ROUNDS: usize = 4;

/// Measures on each database.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let runtime = runtime("payops", 2)?;
    for name in databases(plan) {
        runtime.block_on(async {
            let sandbox = SandboxProcess::start(plan.rows, 1)?;
            let db = database(name).await;
            let service = Service::start(&db, &sandbox, &sandbox).await?;
            println!("\nback-test ({name}, {} payments a side)", plan.rows);
            let task = watched(&service, DATE, UTC).await?;
            println!("  the task itself: {}", task.text());
            of_task(&service, &task.task).await
        })?;
    }
    Ok(())
}

/// Compares the task without tolerance and with a rule that allows nearly any gap, again and again.
async fn of_task(service: &Service, task: &Value) -> anyhow::Result<()> {
    let rules = json!({ "tolerance": [{ "name": "any", "priority": 1, "max_basis_points": 9_999 }] });
    let rules = service.as_admin("/api/v1/reconciliation/rule-sets", &rules).await?;
    let path = format!("/api/v1/reconciliation/rule-sets/{}/back-tests", rules["version"]);
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        forget_peak()?;
        let started = Instant::now();
        let made = service.as_admin(&path, &json!({ "task_ids": [task["id"]] })).await?;
        let id = made["id"].as_str().context("a back-test without an id")?;
        let (test, slowest) = until_completed(service, id, started).await?;
        let took = started.elapsed().as_secs_f64();
        ensure!(test["tasks_failed"] == 0, "{test}");
        ensure!(test["before"]["differences"] == task["diff_count"], "{test} {task}");
        println!(
            "  {}{took:.2} s: {} differences, {} gained; peak {} MiB, slowest answer {:.0} ms; removed after {:.2} s",
            if round == 0 { "warm-up: " } else { "" },
            test["before"]["differences"],
            test["changes"]["gained"]["count"],
            peak_mib()?,
            slowest * 1000.0,
            removed(service, id).await?,
        );
        if round > 0 {
            times.push(took);
        }
    }
    println!("  median: {:.2} s", median(times));
    Ok(())
}

/// The back-test at its end, and how long the slowest answer about it took, in seconds.
async fn until_completed(service: &Service, id: &str, started: Instant) -> anyhow::Result<(Value, f64)> {
    let path = format!("/api/v1/reconciliation/back-tests/{id}");
    let mut slowest: f64 = 0.0;
    loop {
        let asked = Instant::now();
        let test = service.get(&path).await?;
        slowest = slowest.max(asked.elapsed().as_secs_f64());
        match test["status"].as_str() {
            Some("completed") => return Ok((test, slowest)),
            Some("pending" | "processing") => {}
            _ => anyhow::bail!("{test}"),
        }
        ensure!(started.elapsed() < Duration::from_mins(20), "not completed within 20 minutes: {test}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Removes a back-test. Gives the seconds until none of its rows is left.
async fn removed(service: &Service, id: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    service.remove(&format!("/api/v1/reconciliation/back-tests/{id}")).await?;
    // It is the only one, and goes last.
    while service.count("SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM back_tests").await? > 0 {
        ensure!(started.elapsed() < Duration::from_mins(1), "not removed within a minute");
        tokio::time::sleep(LOOK).await;
    }
    Ok(started.elapsed().as_secs_f64())
}
