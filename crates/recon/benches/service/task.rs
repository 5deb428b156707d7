//! A task from its start to its end: beside the command line and the bare transport of its files, alone and together with
//! others, and the memory it takes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{NaiveDate, TimeZone, Utc};
use payops_channels::read::Format;
use payops_channels::stripe::reporting::NewReportRun;
use payops_core::time::Zone;
use payops_platform::http::load::{median, runtime};
use payops_recon::engine::{self, CutOff, EngineError, Input, Observer, Settings, export};
use payops_sandbox::DEFAULT_STRIPE_API_KEY;
use serde_json::Value;

use crate::Plan;
use crate::service::{
    SMALL, SMALL_DAYS, SandboxProcess, Service, database, databases, forget_peak, gateway_headers, peak_mib,
    stored,
};

/// How often a task is looked at.
const LOOK: Duration = Duration::from_millis(40);
/// Days with differences; the first is to warm up.
const DATES: [&str; 4] = ["2026-01-13", "2026-01-14", "2026-01-15", "2026-01-16"];

/// The zone of days that are run one after the other.
pub const UTC: &str = "Etc/UTC";
/// Zones with the same hours in winter, for days that are run beside each other: none is run again for what another one carries.
const LIKE_UTC: [&str; 4] = ["Europe/London", "Europe/Lisbon", "Atlantic/Reykjavik", "Africa/Abidjan"];

/// Measures on each database.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let runtime = runtime("payops", 2)?;
    for name in databases(plan) {
        runtime.block_on(async {
            if plan.wants("task") || plan.wants("together") {
                let sandbox = SandboxProcess::start(plan.rows, 1)?;
                let db = database(name).await;
                let service = Service::start(&db, &sandbox, &sandbox).await?;
                let alone = alone(plan, name, &service, &sandbox).await?;
                if plan.wants("together") {
                    together(plan, name, &service, alone).await?;
                }
            }
            if plan.wants("large") {
                one(name, "large", plan.large, (1, 1)).await?;
            }
            if plan.wants("differing") {
                one(name, "differing", plan.differing, (1, 2)).await?;
            }
            anyhow::Ok(())
        })?;
    }
    Ok(())
}

/// A task alone, in turn with the two that it is compared with. Gives its time.
async fn alone(plan: &Plan, name: &str, service: &Service, sandbox: &SandboxProcess) -> anyhow::Result<f64> {
    let (mut carried, mut compared, mut task) = (Vec::new(), Vec::new(), Vec::new());
    println!("\ntask ({name}, {} payments a side)", plan.rows);
    for (round, date) in DATES.into_iter().enumerate() {
        let a = transport(sandbox, date).await?;
        forget_peak()?;
        let c = watched(service, date, UTC).await?;
        let b = command_line(service, date, &c.task)?;
        println!("  {}{}", if round == 0 { "warm-up: " } else { "" }, c.text());
        if round > 0 {
            carried.push(a);
            compared.push(b);
            task.push(c.took);
        }
    }
    let (a, b, c) = (median(carried), median(compared), median(task));
    println!(
        "  medians: transport {a:.2} s, command line {b:.2} s, task {c:.2} s; {:.2} of 3 x command line + transport",
        c / (3.0 * b + a)
    );
    Ok(c)
}

/// Fetches both sides of a day and throws them away. Gives seconds.
async fn transport(sandbox: &SandboxProcess, date: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    let stripe = sandbox.stripe()?;
    let day: NaiveDate = date.parse()?;
    let start = Utc.from_utc_datetime(&day.and_hms_opt(0, 0, 0).context("midnight")?);
    let wanted = NewReportRun {
        report_type: "balance_change_from_activity.itemized.3".to_owned(),
        interval_start: start,
        interval_end: start + chrono::TimeDelta::days(1),
        timezone: None,
        columns: Vec::new(),
        connected_account: None,
    };
    let made = stripe.create_run(&wanted, &format!("bench-{date}-{}", started.elapsed().as_nanos())).await?;
    let made = stripe.run(&made.id).await?;
    let url = made.result.and_then(|file| file.url).context("a report that is not ready")?;
    let client = reqwest::Client::new();
    let bytes = drain(client.get(url).basic_auth(DEFAULT_STRIPE_API_KEY, None::<&str>)).await?;
    let feed = format!(
        "{}/internal/payments/reconciliation?date={date}&channel=stripe&timezone=Etc/UTC",
        sandbox.url
    );
    let lines = client.get(feed).headers(gateway_headers()).header("accept", "application/x-ndjson");
    let feed_bytes = drain(lines).await?;
    ensure!(bytes > 1000 && feed_bytes > 1000, "{bytes} and {feed_bytes} bytes");
    Ok(started.elapsed().as_secs_f64())
}

async fn drain(request: reqwest::RequestBuilder) -> anyhow::Result<usize> {
    let mut response = request.send().await?.error_for_status()?;
    let mut bytes = 0;
    while let Some(chunk) = response.chunk().await? {
        bytes += chunk.len();
    }
    Ok(bytes)
}

/// Compares the two files that the service has stored as the command line does, differences and their hash written. The
/// figures must be the task's. Gives seconds.
fn command_line(service: &Service, date: &str, task: &Value) -> anyhow::Result<f64> {
    let files = stored(service)?;
    let of = |role: &str| {
        let named = |path: &&std::path::PathBuf| {
            let text = path.display().to_string();
            text.contains(date) && text.contains(&format!("/{role}-"))
        };
        files.iter().find(named).cloned().with_context(|| format!("no {role} file of {date}"))
    };
    let (platform, channel) = (of("platform")?, of("settlement")?);
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    let mut settings = Settings::new([1, 2], folder.path());
    settings.cut_off = Some(CutOff { window: Zone::utc().day(date.parse()?)?, pending_only: true });
    let sides =
        (input(&platform, Format::PlatformNdjson, date)?, input(&channel, Format::StripeItemized, date)?);
    let outcome = engine::reconcile(&sides.0, &sides.1, None, &settings, Observer::none())?;
    let mut out = BufWriter::new(File::create(folder.path().join("diffs.csv"))?);
    let columns = outcome.columns();
    export::write_csv_header(&mut out, columns)?;
    outcome.for_each_difference(|difference| {
        export::write_csv_line(&mut out, difference, columns).map_err(EngineError::from)
    })?;
    out.flush()?;
    let took = started.elapsed().as_secs_f64();
    let found = outcome.summary.differences();
    ensure!(task["diff_count"] == found, "the command line finds {found}: {task}");
    Ok(took)
}

fn input(path: &Path, format: Format, date: &str) -> anyhow::Result<Input> {
    let window = payops_channels::options::Window { zone: Zone::utc(), day: date.parse()? };
    let options = payops_channels::options::ReadOptions { window: Some(window), ..Default::default() };
    Ok(Input { path: path.to_owned(), damage: Vec::new(), format, options })
}

/// What was seen of a task.
pub struct Watched {
    pub task: Value,
    took: f64,
    /// Seconds from one phase to the next.
    phases: Vec<(String, f64)>,
    /// How many different figures of progress each phase showed.
    steps: BTreeMap<String, usize>,
    peak_mib: u64,
    slowest_look: f64,
}

impl Watched {
    pub fn text(&self) -> String {
        let mut text = format!("{:.2} s:", self.took);
        for (phase, took) in &self.phases {
            let steps = self.steps.get(phase).copied().unwrap_or(0);
            // Writing to a text cannot fail.
            let _ = write!(text, " {phase} {took:.2} ({steps})");
        }
        let _ = write!(
            text,
            "; {} differences, peak {} MiB, slowest answer {:.0} ms",
            self.task["diff_count"],
            self.peak_mib,
            self.slowest_look * 1000.0
        );
        text
    }
}

/// Runs a task to its end, looks at it all the time, and checks what it has stored.
pub async fn watched(service: &Service, date: &str, timezone: &str) -> anyhow::Result<Watched> {
    let started = Instant::now();
    let id = service.begin(date, timezone).await?;
    let seen = until_completed(service, &id, started).await?;
    let sql = format!(
        "SELECT CAST(COUNT(*) AS BIGINT) AS counted FROM reconciliation_records WHERE task_no = '{}'",
        seen.task["task_no"].as_str().unwrap_or_default()
    );
    let figure = |name: &str| seen.task[name].as_i64().unwrap_or(-1);
    let (records, listed) = (service.count(&sql).await?, figure("diff_count") + figure("timing_count"));
    ensure!(records == listed, "{records} records of {listed} are stored");
    Ok(seen)
}

async fn until_completed(service: &Service, id: &str, started: Instant) -> anyhow::Result<Watched> {
    let path = format!("/api/v1/reconciliation/tasks/{id}");
    let mut phases: Vec<(String, Instant)> = vec![("begin".to_owned(), started)];
    let mut steps: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut slowest: f64 = 0.0;
    loop {
        let asked = Instant::now();
        let task = service.get(&path).await?;
        slowest = slowest.max(asked.elapsed().as_secs_f64());
        let status = task["status"].as_str().unwrap_or_default();
        ensure!(!matches!(status, "failed" | "cancelled"), "{task}");
        let phase = task["phase"].as_str().unwrap_or(status).to_owned();
        steps.entry(phase.clone()).or_default().extend(task["progress"].as_i64());
        if phases.last().is_some_and(|(last, _)| *last != phase) {
            phases.push((phase, Instant::now()));
        }
        if status == "completed" {
            let spans = phases.windows(2).map(|pair| {
                let [(phase, from), (_, to)] = pair else { return (String::new(), 0.0) };
                (phase.clone(), to.duration_since(*from).as_secs_f64())
            });
            let distinct = |figures: Vec<i64>| {
                let mut figures = figures;
                figures.sort_unstable();
                figures.dedup();
                figures.len()
            };
            return Ok(Watched {
                phases: spans.collect(),
                took: started.elapsed().as_secs_f64(),
                steps: steps.into_iter().map(|(phase, figures)| (phase, distinct(figures))).collect(),
                peak_mib: peak_mib()?,
                slowest_look: slowest,
                task,
            });
        }
        ensure!(started.elapsed() < Duration::from_mins(20), "not completed within 20 minutes: {task}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Two tasks that begin at once, and then a small one beside a large one.
async fn together(plan: &Plan, name: &str, service: &Service, alone: f64) -> anyhow::Result<()> {
    println!("\ntogether ({name})");
    let started = Instant::now();
    let first = service.begin("2026-01-20", LIKE_UTC[0]).await?;
    let second = service.begin("2026-01-21", LIKE_UTC[1]).await?;
    let (first, second) = tokio::try_join!(
        until_completed(service, &first, started),
        until_completed(service, &second, started)
    )?;
    println!(
        "  two of {} at once, {:.2} and {:.2} of one alone",
        plan.rows,
        first.took / alone,
        second.took / alone
    );
    println!("  {}\n  {}", first.text(), second.text());
    let [alone_at, beside_at @ ..] = SMALL_DAYS;
    let quick = watched(service, alone_at, LIKE_UTC[3]).await?.took;
    let started = Instant::now();
    let large = service.begin("2026-01-22", LIKE_UTC[2]).await?;
    let large = until_completed(service, &large, started);
    tokio::pin!(large);
    let (mut beside, mut dates) = (Vec::new(), beside_at.into_iter());
    let large = loop {
        let Some(date) = dates.next() else { break large.await? };
        tokio::select! {
            seen = &mut large => break seen?,
            seen = watched(service, date, LIKE_UTC[3]) => beside.push(seen?),
        }
    };
    println!("  {SMALL} a side, alone: {quick:.2} s; {} of them beside one of {}:", beside.len(), plan.rows);
    println!("  {}", large.text());
    let longest = beside.iter().max_by(|a, b| a.took.total_cmp(&b.took));
    println!("  their median {:.2} s, the longest:", median(beside.iter().map(|seen| seen.took).collect()));
    println!("  {}", longest.map(Watched::text).unwrap_or_default());
    Ok(())
}

/// One task of a size.
async fn one(name: &str, what: &str, payments: u64, (ours, theirs): (u64, u64)) -> anyhow::Result<()> {
    let (channel, platform) =
        (SandboxProcess::start(payments, theirs)?, SandboxProcess::start(payments, ours)?);
    let db = database(name).await;
    let service = Service::start(&db, &channel, &platform).await?;
    forget_peak()?;
    println!("\n{what} ({name}, {payments} payments a side)");
    let seen = watched(&service, "2026-01-14", UTC).await?;
    println!("  {}", seen.text());
    Ok(())
}
