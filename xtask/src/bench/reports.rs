//! `cargo xtask bench reports`: the report of a large task in every form, downloaded from the service on both databases,
//! and written on the command line.
//!
//! The service runs as a process of its own and `curl` asks it, so that a time is what a person waits.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use serde_json::Value;

use super::recon::data::{Dataset, Shape};
use super::recon::engines::MAPPING;
use crate::servers::Servers;
use crate::{process, workspace};

const DATE: &str = "2025-01-01";
const FORMATS: [&str; 4] = ["pdf", "xlsx", "csv", "json"];
/// How long a task may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// Download the report of a large task in every form.
#[derive(Parser)]
#[command(name = "cargo xtask bench reports")]
struct Options {
    /// Rows a side.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u32,
    /// How often each form is made.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..))]
    rounds: u8,
}

/// Runs the benchmark with the options that follow its name.
pub(crate) fn run(options: &[String]) -> Result<()> {
    let options = Options::parse_from(std::iter::once("reports".to_owned()).chain(options.iter().cloned()));
    process::run(process::cargo().args(["build", "--quiet", "--release", "--package", "payops"]))?;
    let cache = workspace::cache_folder()?;
    let program = cache.with_file_name("release").join("payops");
    let place = cache.with_file_name("bench").join("reports");
    let servers = Servers::start(false)?;
    for differences in [1, 7] {
        fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let data = Dataset::write(options.rows, Shape { differences, days: 1 }, &place)?;
        println!("\n{} rows a side, {} differences", options.rows, data.differences.len());
        fs::write(place.join("channel.toml"), MAPPING)?;
        on_the_command_line(&program, &place, options.rounds)?;
        // A day of an account is reconciled once, and the databases stay.
        let account = format!("times-{differences}");
        for (name, settings) in [("SQLite", Vec::new()), ("PostgreSQL", postgres(&servers)?)] {
            from_the_service(name, &program, &place, &settings, &account, options.rounds)?;
        }
        fs::remove_dir_all(&place).with_context(|| format!("cannot remove {}", place.display()))?;
    }
    servers.stop()
}

/// Where the server is, as settings of the service.
fn postgres(servers: &Servers) -> Result<Vec<(&'static str, String)>> {
    let variables = servers.variables();
    let url = variables.iter().find(|(name, _)| *name == "PAYOPS_TEST_POSTGRES_URL");
    let url = url.context("no PostgreSQL was started")?.1.clone();
    let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
    let (user, address) = address.split_once('@').context("the server's address has no user")?;
    let (host, database) = address.split_once('/').context("the server's address has no database")?;
    let (host, port) = host.split_once(':').context("the server's address has no port")?;
    let database = database.split('?').next().unwrap_or(database);
    let settings = [("DB_HOST", host), ("DB_PORT", port), ("DB_USER", user), ("DB_NAME", database)];
    Ok(settings.map(|(name, value)| (name, value.to_owned())).to_vec())
}

/// What a report costs beside the comparison: the whole command, with a report less without one.
fn on_the_command_line(program: &Path, place: &Path, rounds: u8) -> Result<()> {
    let measure = |report: Option<&str>| -> Result<(f64, u64)> {
        let mut command = Command::new(program);
        command.current_dir(place).args(["reconcile", "--channel", "generic", "--mapping", "channel.toml"]);
        command.args(["--platform", "platform.csv", "--settlement", "channel.csv", "--json"]);
        let name = report.map(|format| format!("report.{format}"));
        command.args(name.iter().flat_map(|name| ["--report", name]));
        let start = Instant::now();
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        ensure!(matches!(status.code(), Some(0 | 1)), "payops ended with {status}");
        let bytes = name.map_or(Ok(0), |name| fs::metadata(place.join(name)).map(|file| file.len()))?;
        Ok((start.elapsed().as_secs_f64(), bytes))
    };
    for format in [None].into_iter().chain(FORMATS.map(Some)) {
        let runs = (0..rounds).map(|_| measure(format)).collect::<Result<Vec<_>>>()?;
        print("command line", format.unwrap_or("no report"), &runs);
    }
    Ok(())
}

fn from_the_service(
    name: &str,
    program: &Path,
    place: &Path,
    settings: &[(&'static str, String)],
    account: &str,
    rounds: u8,
) -> Result<()> {
    let service = Service::start(program, &place.join("service"), settings)?;
    for (kind, file) in [("platform-files", "platform.csv"), ("settlement-files", "channel.csv")] {
        let about = ["channel=adyen", &format!("account={account}"), &format!("settlement_date={DATE}")];
        let mut form: Vec<String> = about.iter().flat_map(|part| ["-F", part]).map(str::to_owned).collect();
        if kind == "settlement-files" {
            form.extend(["-F".to_owned(), format!("mapping=@{}", place.join("channel.toml").display())]);
        }
        form.extend(["-F".to_owned(), format!("file=@{}", place.join(file).display())]);
        service.call(kind, &form)?;
    }
    let body = format!("{{\"task_date\":\"{DATE}\",\"channel\":\"adyen\",\"account\":\"{account}\"}}");
    let json = |body: &str| ["-H", "Content-Type: application/json", "-d", body].map(str::to_owned).to_vec();
    let task = service.call("tasks", &json(&body))?;
    let id = task["data"]["id"].as_str().context("the task has no id")?.to_owned();
    let start = Instant::now();
    service.call(&format!("tasks/{id}/execute"), &json("{}"))?;
    loop {
        let task = service.call(&format!("tasks/{id}"), &[])?;
        match task["data"]["status"].as_str() {
            Some("completed") => break,
            Some("pending" | "processing") if start.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(100));
            }
            _ => bail!("the task did not end well: {task}"),
        }
    }
    println!("{name:14} {:10} {:>8.2} s", "the task", start.elapsed().as_secs_f64());
    for format in FORMATS {
        let path = format!("reports/{id}/download?format={format}&language=zh");
        let runs = (0..rounds).map(|_| service.download(&path)).collect::<Result<Vec<_>>>()?;
        print(name, format, &runs);
    }
    Ok(())
}

fn print(way: &str, format: &str, runs: &[(f64, u64)]) {
    let mut times: Vec<f64> = runs.iter().map(|(time, _)| *time).collect();
    times.sort_by(f64::total_cmp);
    let middle = times.get(times.len() / 2).copied().unwrap_or(0.0);
    let (least, most) = (times.first().copied().unwrap_or(0.0), times.last().copied().unwrap_or(0.0));
    let bytes = runs.first().map_or(0, |(_, bytes)| *bytes);
    println!("{way:14} {format:10} {middle:>8.2} s  ({least:.2} to {most:.2})  {bytes:>12} bytes");
}

/// A running service, which ends with this.
struct Service {
    child: Child,
    folder: PathBuf,
    base: String,
    token: String,
}

impl Service {
    fn start(program: &Path, folder: &Path, settings: &[(&'static str, String)]) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let command = |arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(folder).env_clear().env("PATH", "/usr/bin:/bin");
            command.env("PAYOPS_DATA_DIR", folder).env("PAYOPS_RATE_LIMIT_CALLER", "1000000");
            command.env("PORT", port.to_string()).envs(settings.iter().map(|(name, value)| (name, value)));
            command.stdin(Stdio::null());
            command
        };
        let log = fs::File::create(folder.join("log"))?;
        let mut serve = command(&["serve", "reconciliation"]);
        let child = serve.stdout(log.try_clone()?).stderr(log).spawn().context("cannot start payops")?;
        let base = format!("http://127.0.0.1:{port}");
        let mut service = Self { child, folder: folder.to_owned(), base, token: String::new() };
        let start = Instant::now();
        let ready = || {
            let mut curl = Command::new("curl");
            curl.args(["-sf", "-o", "/dev/null", &format!("{}/readyz", service.base)]);
            curl.status().is_ok_and(|status| status.success())
        };
        while !ready() {
            ensure!(
                start.elapsed() < Duration::from_secs(30),
                "payops is not ready, see {}",
                folder.display()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
        let token = process::output(&mut command(&["token", "--role", "operator"]))?;
        token.trim().clone_into(&mut service.token);
        Ok(service)
    }

    fn curl(&self, path: &str) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--fail-with-body", "-H", &format!("Authorization: Bearer {}", self.token)]);
        curl.arg(format!("{}/api/v1/reconciliation/{path}", self.base));
        curl
    }

    fn call(&self, path: &str, arguments: &[String]) -> Result<Value> {
        let answer = process::output(self.curl(path).args(arguments))?;
        serde_json::from_str(&answer).with_context(|| format!("{path} answered {answer}"))
    }

    /// Seconds and bytes.
    fn download(&self, path: &str) -> Result<(f64, u64)> {
        let file = self.folder.join("report");
        let mut curl = self.curl(path);
        curl.arg("-o").arg(&file).args(["-w", "%{time_total}"]);
        let seconds = process::output(&mut curl)?.trim().parse().context("curl did not tell the time")?;
        Ok((seconds, fs::metadata(&file)?.len()))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; its folder goes with the data.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
