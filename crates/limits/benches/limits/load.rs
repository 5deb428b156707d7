//! The load: connections that each send the next request when the answer to the last has come, or at their appointed
//! times.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    Consume,
    Check,
    /// A thousand consumes in one request.
    Batch,
}

impl Ask {
    /// Decisions in one request.
    fn decisions(self) -> u64 {
        if self == Self::Batch { 1000 } else { 1 }
    }
}

/// Where a load goes.
#[derive(Debug, Clone)]
pub struct Aim {
    pub address: SocketAddr,
    /// Header lines with the credentials.
    pub credentials: String,
    /// The merchants that take part; each request is about one of them, chosen at random.
    pub merchants: Arc<Vec<Uuid>>,
    pub ask: Ask,
}

/// How hard it goes.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// As fast as answers come.
    Closed,
    /// So many requests a second in all, whether answers come or not: latency counts from the appointed time.
    Open(u64),
}

/// What a round found.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// Decisions a second.
    pub rate: f64,
    /// Milliseconds that half of the requests took at most.
    pub p50: f64,
    /// Milliseconds that 99 of 100 requests took at most.
    pub p99: f64,
}

/// Payment numbers must be new in every round.
static ROUND: AtomicU64 = AtomicU64::new(1);

/// One round.
pub fn round(aim: &Aim, connections: usize, pace: Pace, time: Duration) -> anyhow::Result<Found> {
    let runtime = runtime("load", 2)?;
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let round = ROUND.fetch_add(1, Ordering::Relaxed);
    let workers: Vec<_> = (0..connections)
        .map(|number| {
            let connection = Connection {
                aim: aim.clone(),
                prefix: format!("r{round}c{number}n"),
                seed: (number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ round,
                count: 0,
            };
            let appointment = match pace {
                Pace::Closed => None,
                Pace::Open(rate) => {
                    let pause = Duration::from_secs_f64(connections as f64 / rate as f64);
                    Some((started + pause.mul_f64(number as f64 / connections as f64), pause))
                }
            };
            runtime.spawn(connection.run(appointment, Arc::clone(&stop)))
        })
        .collect();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(runtime.block_on(worker)??);
    }
    let took = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies
            .get(index.min(latencies.len().saturating_sub(1)))
            .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    };
    let rate = latencies.len() as f64 * aim.ask.decisions() as f64 / took;
    Ok(Found { rate, p50: at(0.5), p99: at(0.99) })
}

/// A runtime whose threads can be told apart in a profile.
pub fn runtime(name: &'static str, threads: usize) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}

struct Connection {
    aim: Aim,
    prefix: String,
    seed: u64,
    count: u64,
}

impl Connection {
    /// The µs that each request took.
    async fn run(
        mut self,
        mut appointment: Option<(Instant, Duration)>,
        stop: Arc<AtomicBool>,
    ) -> anyhow::Result<Vec<u32>> {
        let mut stream = TcpStream::connect(self.aim.address).await?;
        stream.set_nodelay(true)?;
        let (mut request, mut answer) = (Vec::new(), vec![0; 1 << 14]);
        let mut latencies = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let mut from = Instant::now();
            if let Some((at, step)) = &mut appointment {
                from = *at;
                tokio::time::sleep_until(from.into()).await;
                *at += *step;
            }
            self.write(&mut request);
            stream.write_all(&request).await?;
            read_answer(&mut stream, &mut answer).await?;
            latencies.push(u32::try_from(from.elapsed().as_micros())?);
        }
        Ok(latencies)
    }

    fn write(&mut self, request: &mut Vec<u8>) {
        let (path, body) = match self.aim.ask {
            Ask::Consume => ("consume", self.consume("")),
            Ask::Check => (
                "check",
                format!("{{\"merchant_id\":\"{}\",\"amount\":1,\"currency\":\"USD\"}}", self.merchant()),
            ),
            Ask::Batch => {
                let items: Vec<String> =
                    (0..1000).map(|_| self.consume("\"operation\":\"consume\",")).collect();
                ("batch", format!("{{\"operations\":[{}]}}", items.join(",")))
            }
        };
        request.clear();
        let head = format!(
            "POST /api/v1/limits/{path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{}\
             content-length: {}\r\n\r\n",
            self.aim.credentials,
            body.len()
        );
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body.as_bytes());
    }

    fn consume(&mut self, operation: &str) -> String {
        self.count += 1;
        let (merchant, prefix, count) = (self.merchant(), &self.prefix, self.count);
        format!(
            "{{{operation}\"merchant_id\":\"{merchant}\",\"payment_no\":\"{prefix}{count}\",\"amount\":1,\"currency\":\"USD\"}}"
        )
    }

    /// Xorshift: no randomness that anybody could depend on, and cheap.
    fn merchant(&mut self) -> Uuid {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        let merchants = &self.aim.merchants;
        merchants[(self.seed % merchants.len() as u64) as usize]
    }
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> anyhow::Result<()> {
    let (mut filled, mut whole) = (0, None);
    loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            bail!("the server closed the connection");
        }
        filled += read;
        if whole.is_none() {
            whole = answer_length(&buffer[..filled])?;
        }
        if whole.is_some_and(|whole| filled >= whole) {
            return Ok(());
        }
    }
}

/// The bytes of an answer, once its head is there.
fn answer_length(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    if !bytes.starts_with(b"HTTP/1.1 200") {
        bail!("not a success: {}", String::from_utf8_lossy(bytes));
    }
    let text = std::str::from_utf8(&bytes[..head])?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.context("no content-length")?.parse()?;
    Ok(Some(head + 4 + length))
}
