//! More than the service can take: what it answers, what it costs, how soon it is itself again, and what neighbours of a
//! flood notice.
//!
//! One instance on PostgreSQL. Commits are delayed until about 2,000 operations a second are left of its capacity; then
//! ten times as many are offered, whether or not the earlier ones were answered.

mod sender;
mod tally;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use payops_core::random::{Random, SeededRandom};
use tokio::task::JoinSet;
use uuid::{Builder, Uuid};

use crate::plan::FaultSet;
use crate::site::{Ground, Site};
pub(crate) use sender::Sender;
use tally::{Second, Tally};

/// About 2,000 operations a second are left with this delay: of the 1,024 requests that are worked on at once, half are in
/// a transaction and half wait for the next.
const COMMIT_DELAY: Duration = Duration::from_millis(250);
const OFFERED: u64 = 20_000;
/// How many callers ask as fast as they are answered, to learn what full speed is.
const CLOSED_LOOP: usize = 64;
/// Nothing in this run reaches a limit.
const LIMIT: i64 = 1_000_000_000_000;
const MERCHANTS: usize = 100;
/// Of a merchant that floods, and of its neighbours together, operations a second.
const FLOOD: u64 = 20_000;
const NEIGHBOURS: u64 = 200;
const ROUNDS: usize = 3;
/// How long the service may take to recover before that is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the phases last.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Of the overload.
    pub overload: Duration,
    /// Of the measurements before and after it, and of each quiet or flooded time.
    pub measure: Duration,
}

struct Stage {
    site: Site,
    sender: Arc<Sender>,
    merchants: Vec<Uuid>,
    /// Of the next sender.
    series: AtomicU64,
}

/// Overloads an instance and prints what it does meanwhile and afterwards.
///
/// # Errors
/// What cannot be started or asked.
pub async fn overload(ground: &Ground, times: Times) -> Result<()> {
    let stage = Stage::open(ground).await?;
    let before = stage.full_speed(times.measure).await;
    println!("full speed, {CLOSED_LOOP} callers: {before:.0} operations/s, {}", stage.memory());
    stage.site.proxies[0].delay_commits(COMMIT_DELAY);
    let lowered = stage.capacity(times.measure).await;
    println!("with {COMMIT_DELAY:?} a commit, 1,024 callers: {lowered:.0} operations/s, {}", stage.memory());

    println!("offered {OFFERED}/s for {:?}:", times.overload);
    let tally = Arc::new(Tally::default());
    let flood = stage.offer(OFFERED, times.overload, &stage.merchants, &tally);
    let watch = stage.watch(times.overload, &tally);
    let ((), ()) = tokio::join!(flood, watch);
    println!("  in all: {}", tally.take());

    stage.site.proxies[0].delay_commits(Duration::ZERO);
    stage.tell_recovery(before).await;
    Ok(())
}

/// Floods one merchant, and prints what the others notice.
///
/// # Errors
/// What cannot be started or asked.
pub async fn neighbours(ground: &Ground, times: Times) -> Result<()> {
    for delay in [COMMIT_DELAY, Duration::from_millis(20), Duration::ZERO] {
        let stage = Stage::open(ground).await?;
        stage.site.proxies[0].delay_commits(delay);
        let (one, others) = stage.merchants.split_at(1);
        println!(
            "one merchant is offered {FLOOD}/s, {} others {NEIGHBOURS}/s; {delay:?} more a commit",
            others.len()
        );
        let mut ratios = Vec::new();
        for _ in 0..ROUNDS {
            let (quiet, flooded, flood) = (Arc::default(), Arc::default(), Arc::default());
            stage.offer_apart(NEIGHBOURS, times.measure, others, &quiet).await?;
            let flooding = stage.offer(FLOOD, times.measure, one, &flood);
            let (neighbours, ()) =
                tokio::join!(stage.offer_apart(NEIGHBOURS, times.measure, others, &flooded), flooding);
            neighbours?;
            let (quiet, flooded): (Second, Second) = (quiet.take(), flooded.take());
            println!(
                "  others, quiet:   {quiet}\n  others, flooded: {flooded}\n  the flood:       {}",
                flood.take()
            );
            ratios.push(flooded.p99_micros() * 100 / quiet.p99_micros().max(1));
        }
        ratios.sort_unstable();
        let median = ratios[ratios.len() / 2];
        println!(
            "  p99 of others, flooded to quiet: {}.{:02} (median of {ROUNDS})",
            median / 100,
            median % 100
        );
    }
    Ok(())
}

impl Stage {
    async fn open(ground: &Ground) -> Result<Self> {
        let site = Site::with(ground, FaultSet::None, 1, &[]).await?;
        let random = SeededRandom::new(1);
        let mut merchants = Vec::new();
        for _ in 0..MERCHANTS {
            let mut bytes = [0; 16];
            random.fill(&mut bytes);
            let merchant = Builder::from_random_bytes(bytes).into_uuid();
            site.initialize(merchant, LIMIT, LIMIT).await?;
            merchants.push(merchant);
        }
        let sender = Arc::new(site.sender(0));
        Ok(Self { site, sender, merchants, series: AtomicU64::new(1) })
    }

    fn memory(&self) -> String {
        let bytes = self.site.instances[0].memory();
        let memory = bytes
            .map_or_else(|| "memory unknown".to_owned(), |bytes| format!("{} MiB resident", bytes >> 20));
        format!("{memory}, {} connections", self.sender.connections())
    }

    async fn full_speed(&self, time: Duration) -> f64 {
        self.closed_loop(CLOSED_LOOP, time).await
    }

    async fn capacity(&self, time: Duration) -> f64 {
        self.closed_loop(1000, time).await
    }

    /// Operations a second of callers that each wait for their answer.
    async fn closed_loop(&self, callers: usize, time: Duration) -> f64 {
        let (until, tally) = (Instant::now() + time, Arc::new(Tally::default()));
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let (sender, tally) = (Arc::clone(&self.sender), Arc::clone(&tally));
            let merchant = self.merchants[caller % self.merchants.len()];
            tasks.spawn(async move {
                while Instant::now() < until {
                    sender.consume(merchant, Instant::now(), &tally).await;
                }
            });
        }
        tasks.join_all().await;
        tally.take().accepted_per_second(time)
    }

    /// As [`offer`], from this runtime.
    async fn offer(&self, per_second: u64, time: Duration, merchants: &[Uuid], tally: &Arc<Tally>) {
        offer(&self.sender, per_second, time, merchants, tally).await;
    }

    /// As [`offer`], from a thread with connections of its own: what keeps a flood's sender busy must not be taken for
    /// what the service makes its neighbours wait.
    async fn offer_apart(
        &self,
        per_second: u64,
        time: Duration,
        merchants: &[Uuid],
        tally: &Arc<Tally>,
    ) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let series = self.series.fetch_add(1, Ordering::Relaxed);
        let (sender, merchants, tally) =
            (Arc::new(self.site.sender(series)), merchants.to_vec(), Arc::clone(tally));
        let sending = move || runtime.block_on(offer(&sender, per_second, time, &merchants, &tally));
        Ok(tokio::task::spawn_blocking(sending).await?)
    }

    /// A line for every five seconds.
    async fn watch(&self, time: Duration, tally: &Tally) {
        let mut ticks = tokio::time::interval(Duration::from_secs(5));
        ticks.tick().await;
        let start = Instant::now();
        while start.elapsed() + Duration::from_secs(1) < time {
            ticks.tick().await;
            println!("  {:>3} s: {}, {}", start.elapsed().as_secs(), tally.since_last(), self.memory());
        }
    }

    /// Tells how fast it is, half a second at a time, until it is at nine tenths of `before` again.
    async fn tell_recovery(&self, before: f64) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            let speed = self.closed_loop(CLOSED_LOOP, Duration::from_millis(500)).await;
            println!(
                "  {:.1} s after: {speed:.0} operations/s, {}",
                since.elapsed().as_secs_f64(),
                self.memory()
            );
            if speed >= before * 0.9 {
                return;
            }
        }
    }
}

/// Sends `per_second`, evenly, whatever comes back; returns when all are answered.
async fn offer(
    sender: &Arc<Sender>,
    per_second: u64,
    time: Duration,
    merchants: &[Uuid],
    tally: &Arc<Tally>,
) {
    let (start, mut tasks, mut sent) = (Instant::now(), JoinSet::new(), 0_u64);
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    while start.elapsed() < time {
        ticks.tick().await;
        let due = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) * per_second / 1_000_000;
        while sent < due {
            let merchant = merchants[usize::try_from(sent).unwrap_or(0) % merchants.len()];
            let at = start + Duration::from_micros(sent * 1_000_000 / per_second);
            let (sender, tally) = (Arc::clone(sender), Arc::clone(tally));
            tasks.spawn(async move { sender.consume(merchant, at, &tally).await });
            sent += 1;
        }
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
}
