//! What the HTTP stack costs: an authenticated, traced, metered, rate-limited empty route beside a bare axum
//! handler, in one run. `cargo xtask bench http` runs it; docs/performance.md explains the figures.
//!
//! Both servers and the load share this process and this machine. Load comes from connections that each send
//! the next request when the answer to the last has come. Rounds alternate between the servers; what counts
//! is the median of the ratios of neighbouring rounds. Processor time is that of the servers' own threads,
//! export of traces included, so it does not depend on how cheap the load generator is.

#![expect(clippy::print_stdout, reason = "a benchmark tells its results")]

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use http::Request;
use http_body_util::BodyExt;
use payops_core::random::SystemRandom;
use payops_core::time::SystemClock;
use payops_platform::ServiceContext;
use payops_platform::auth::{Authorized, ServiceOnly};
use payops_platform::db::testing;
use payops_platform::http::testing::{SERVICE_NAME, SERVICE_SECRET, authenticator};
use payops_platform::http::{Answer, Budgets, Limiter, ServiceHttp, serve, service_router};
use payops_platform::telemetry::{self, Metrics, TelemetrySettings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

const PATH: &str = "/api/v1/nothing";

struct Plan {
    rounds: usize,
    seconds: u64,
    connections: usize,
    traces: bool,
}

fn main() -> anyhow::Result<()> {
    let plan = plan()?;
    let collector = collector()?;
    let (bare_runtime, bare) = bare_axum()?;
    let (payops_runtime, payops) = payops(&plan, collector)?;
    let traces = if plan.traces { "exported to a local collector" } else { "not exported" };
    println!(
        "{} connections, {} rounds of {} s each; traces {traces}",
        plan.connections, plan.rounds, plan.seconds
    );
    for target in [&bare, &payops] {
        round(target, 1, plan.connections)?;
    }
    let mut ratios = Vec::new();
    println!(
        "{:>7} {:>14} {:>14} {:>7} {:>22}",
        "round", "bare axum/s", "payops/s", "ratio", "server µs per request"
    );
    for number in 1..=plan.rounds {
        let [simple, full] =
            [round(&bare, plan.seconds, plan.connections)?, round(&payops, plan.seconds, plan.connections)?];
        let ratio = full.rate / simple.rate;
        println!(
            "{number:>7} {:>14.0} {:>14.0} {ratio:>7.3} {:>10.1} {:>10.1}",
            simple.rate, full.rate, simple.cpu_us, full.cpu_us
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.3}", ratios[ratios.len() / 2]);
    println!(
        "without a network: bare axum {:.2} µs, payops {:.2} µs a request",
        in_process_us(&bare)?,
        in_process_us(&payops)?
    );
    drop((bare_runtime, payops_runtime));
    Ok(())
}

/// `--rounds`, `--seconds`, `--connections` and `--no-traces`. cargo adds `--bench`.
fn plan() -> anyhow::Result<Plan> {
    let mut plan = Plan { rounds: 5, seconds: 4, connections: 32, traces: true };
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(name) = arguments.next() {
        if name == "--no-traces" {
            plan.traces = false;
            continue;
        }
        let value: u64 = arguments.next().with_context(|| format!("{name} needs a value"))?.parse()?;
        match name.as_str() {
            "--rounds" => plan.rounds = usize::try_from(value)?.max(1),
            "--seconds" => plan.seconds = value.max(1),
            "--connections" => plan.connections = usize::try_from(value)?.max(1),
            _ => bail!("unknown option {name}"),
        }
    }
    Ok(plan)
}

struct Target {
    threads: &'static str,
    address: SocketAddr,
    request: Vec<u8>,
    router: Router,
}

fn runtime(threads: &'static str) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name(threads).enable_all().build()
}

fn request(extra: &str) -> Vec<u8> {
    format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\naccept: */*\r\n{extra}\r\n").into_bytes()
}

fn bare_axum() -> anyhow::Result<(Runtime, Target)> {
    let runtime = runtime("bare")?;
    let router = Router::new().route(PATH, get(|| async { "{}" }));
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let served = router.clone();
    runtime.spawn(async move { axum::serve(listener, served).await });
    Ok((runtime, Target { threads: "bare", address, request: request(""), router }))
}

fn payops(plan: &Plan, collector: SocketAddr) -> anyhow::Result<(Runtime, Target)> {
    async fn nothing(_: Authorized<ServiceOnly>) -> Answer<()> {
        Answer::ok(())
    }
    let runtime = runtime("payops")?;
    let (listener, router) = runtime.block_on(async {
        let settings = TelemetrySettings {
            otlp_endpoint: plan.traces.then(|| format!("http://{collector}")),
            ..TelemetrySettings::new("bench")
        };
        // Dropping the guard loses the last spans, which nobody reads here.
        telemetry::init(&settings)?;
        let db = testing::sqlite(&[]).await;
        let context = ServiceContext::new(
            "bench",
            db.db(),
            Arc::new(SystemClock),
            Arc::new(SystemRandom),
            Metrics::new("bench"),
        );
        let routes = OpenApiRouter::new().route(PATH, get(nothing));
        let most = NonZeroU32::MAX;
        let budgets = Budgets { service_per_minute: most, ..Budgets::default() };
        let service = ServiceHttp {
            limiter: Arc::new(Limiter::in_process(budgets)),
            ..ServiceHttp::new(context, authenticator()?, routes)
        };
        anyhow::Ok((TcpListener::bind("127.0.0.1:0").await?, service_router(service)))
    })?;
    let address = listener.local_addr()?;
    runtime.spawn(serve(listener, router.clone(), CancellationToken::new(), Duration::ZERO));
    let credentials = format!("x-service-name: {SERVICE_NAME}\r\nx-service-secret: {SERVICE_SECRET}\r\n");
    Ok((runtime, Target { threads: "payops", address, request: request(&credentials), router }))
}

/// Takes traces and throws them away.
fn collector() -> anyhow::Result<SocketAddr> {
    let runtime = runtime("collector")?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/v1/traces", post(|_: axum::body::Bytes| async {}));
    runtime.spawn(async move { axum::serve(listener, router).await });
    // It serves as long as the process lives.
    std::mem::forget(runtime);
    Ok(address)
}

/// The router alone, one request after another: what is left when parsing, sockets and load are taken away.
fn in_process_us(target: &Target) -> anyhow::Result<f64> {
    const CALLS: u32 = 200_000;
    let runtime = runtime("calls")?;
    let router = target.router.clone();
    let calls = runtime.spawn(async move {
        let started = Instant::now();
        for _ in 0..CALLS {
            let request = Request::get(PATH)
                .header("host", "localhost")
                .header("x-service-name", SERVICE_NAME)
                .header("x-service-secret", SERVICE_SECRET)
                .body(Body::empty())?;
            let Ok(response) = router.clone().oneshot(request).await;
            response.into_body().collect().await?;
        }
        anyhow::Ok(started.elapsed().as_secs_f64() * 1e6 / f64::from(CALLS))
    });
    runtime.block_on(calls)?
}

struct Outcome {
    rate: f64,
    cpu_us: f64,
}

/// One round against one server.
fn round(target: &Target, seconds: u64, connections: usize) -> anyhow::Result<Outcome> {
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU64::new(0));
    let load = runtime("load")?;
    let busy_before = busy_us(target.threads)?;
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            load.spawn(send_until(target.address, target.request.clone(), stop, answered))
        })
        .collect();
    std::thread::sleep(Duration::from_secs(seconds));
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        load.block_on(worker)??;
    }
    let took = started.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(answered.load(Ordering::Relaxed))?);
    Ok(Outcome { rate: count / took, cpu_us: (busy_us(target.threads)? - busy_before) / count })
}

async fn send_until(
    address: SocketAddr,
    request: Vec<u8>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 4096];
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut buffer).await?;
        count += 1;
    }
    answered.fetch_add(count, Ordering::Relaxed);
    Ok(())
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        if !text.starts_with(b"HTTP/1.1 200") {
            bail!("not a success: {}", String::from_utf8_lossy(text));
        }
        let head_text = std::str::from_utf8(&text[..head])?;
        let length = head_text.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.context("no content-length")?.parse()?;
        if filled >= head + 4 + length {
            return Ok(());
        }
    }
}

/// Processor time in µs of all threads whose name begins so.
fn busy_us(threads: &str) -> anyhow::Result<f64> {
    let mut nanoseconds = 0_u64;
    for task in std::fs::read_dir("/proc/self/task")? {
        let path = task?.path();
        let name = std::fs::read_to_string(path.join("comm")).unwrap_or_default();
        if name.starts_with(threads) {
            let schedule = std::fs::read_to_string(path.join("schedstat"))?;
            let busy = schedule.split(' ').next().context("schedstat is empty")?;
            nanoseconds += busy.parse::<u64>()?;
        }
    }
    Ok(f64::from(u32::try_from(nanoseconds / 1000)?))
}
