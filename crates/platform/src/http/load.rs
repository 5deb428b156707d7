//! The load of benchmarks: connections that each send the next request when the answer to the last has come, or at their
//! appointed times.
#![doc(hidden)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts and times of a benchmark are far below where it matters"
)]

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// What one connection sends.
pub trait Requests: Send + 'static {
    /// Writes the next request, head and body, into an empty buffer.
    fn write(&mut self, request: &mut Vec<u8>);
}

/// How hard a load goes.
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
    /// Requests a second.
    pub rate: f64,
    /// Milliseconds that half of the requests took at most.
    pub p50: f64,
    /// Milliseconds that 99 of 100 requests took at most.
    pub p99: f64,
}

/// One round: `requests` makes what each connection sends from the connection's number.
///
/// # Errors
/// When an answer is no success, or a connection ends.
pub fn round<R: Requests>(
    address: SocketAddr,
    connections: usize,
    pace: Pace,
    time: Duration,
    requests: impl Fn(usize) -> R,
) -> Result<Found> {
    let runtime = runtime("load", 2)?;
    let stop = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let workers: Vec<_> = (0..connections)
        .map(|number| {
            let appointment = match pace {
                Pace::Closed => None,
                Pace::Open(rate) => {
                    let pause = Duration::from_secs_f64(connections as f64 / rate as f64);
                    Some((started + pause.mul_f64(number as f64 / connections as f64), pause))
                }
            };
            runtime.spawn(connection(address, requests(number), appointment, Arc::clone(&stop)))
        })
        .collect();
    std::thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(runtime.block_on(worker).map_err(Error::other)??);
    }
    let took = started.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies
            .get(index.min(latencies.len().saturating_sub(1)))
            .map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    };
    Ok(Found { rate: latencies.len() as f64 / took, p50: at(0.5), p99: at(0.99) })
}

/// A runtime whose threads can be told apart in a profile.
///
/// # Errors
/// When threads cannot be started.
pub fn runtime(name: &'static str, threads: usize) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build()
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The µs that each request of a connection took.
async fn connection(
    address: SocketAddr,
    mut requests: impl Requests,
    mut appointment: Option<(Instant, Duration)>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<u32>> {
    let mut stream = TcpStream::connect(address).await?;
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
        request.clear();
        requests.write(&mut request);
        stream.write_all(&request).await?;
        read_answer(&mut stream, &mut answer).await?;
        latencies.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    Ok(latencies)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    let (mut filled, mut whole) = (0, None);
    loop {
        if filled == buffer.len() {
            buffer.resize(filled * 2, 0);
        }
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
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
fn answer_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(head) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    if !bytes.starts_with(b"HTTP/1.1 200") {
        return Err(Error::other(format!("not a success: {}", String::from_utf8_lossy(bytes))));
    }
    let text = String::from_utf8_lossy(&bytes[..head]);
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length
        .ok_or_else(|| Error::other("no content-length"))?
        .parse()
        .map_err(|_| Error::other("a content-length that is no number"))?;
    Ok(Some(head + 4 + length))
}
