//! One set: load, faults, and then the question whether everything is still there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use payops_core::random::{Random, SeededRandom};
use tokio::sync::watch;
use uuid::{Builder, Uuid};

use crate::checker::{self, Findings, Merchant};
use crate::history::Entry;
use crate::load::{self, HOT, HOT_SHARE, Heard, Progress, Shared};
use crate::plan::{FaultSet, Plan};
use crate::site::{Ground, Site};
use crate::{injector, story};

/// How often a line says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What came of one set.
#[derive(Debug)]
pub struct Report {
    /// The set.
    pub set: FaultSet,
    /// Operations that were sent.
    pub operations: u64,
    /// Those that were answered.
    pub acknowledged: u64,
    /// Attempts that brought no answer.
    pub retries: u64,
    /// Faults that were injected.
    pub faults: u64,
    /// From the first operation to the last.
    pub time: Duration,
    /// Answers that contradict each other, or that no caller should get.
    pub odd: u64,
    /// What the database says against the history.
    pub findings: Findings,
    /// The first complaints of all kinds, in words.
    pub examples: Vec<String>,
}

impl Report {
    /// Whether nothing was lost, doubled, exceeded or changed.
    pub fn is_clean(&self) -> bool {
        self.odd == 0 && self.findings.is_clean()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX).max(1);
        write!(
            f,
            "{:13} {:>8} operations {:>8} acknowledged {:>6} retries {:>4} faults {:>6}/s   \
             lost {} double {} over {} drift {} odd {}",
            self.set.name(),
            self.operations,
            self.acknowledged,
            self.retries,
            self.faults,
            self.operations * 1000 / millis,
            self.findings.lost,
            self.findings.double,
            self.findings.over,
            self.findings.drift,
            self.odd,
        )
    }
}

/// A set after its load: what was told, and where it is kept.
#[derive(Debug)]
pub struct Finished {
    /// Its database is still there; its instances are not.
    pub site: Site,
    /// The merchants, in the order that the history numbers them.
    pub merchants: Vec<Merchant>,
    /// What the callers were told.
    pub history: Vec<Entry>,
    /// What came of it.
    pub report: Report,
}

impl Finished {
    /// Looks once more.
    ///
    /// # Errors
    /// The database's.
    pub async fn check(&self) -> Result<Findings> {
        self.check_against(&self.merchants).await
    }

    /// Looks once more, as if these limits had been in force.
    ///
    /// # Errors
    /// The database's.
    pub async fn check_against(&self, merchants: &[Merchant]) -> Result<Findings> {
        findings(&self.site, merchants, &self.history).await
    }
}

async fn findings(site: &Site, merchants: &[Merchant], history: &[Entry]) -> Result<Findings> {
    let db = site.database().await?;
    let mut findings = checker::check(&db, merchants, history).await?;
    db.close().await?;
    findings.add_audit(site.audit().await?);
    Ok(findings)
}

/// Runs one set to its end and checks it.
///
/// # Errors
/// What cannot be started or asked. What the service did wrong is in the report.
pub async fn run(ground: &Ground, set: FaultSet, plan: &Plan) -> Result<Finished> {
    let random = SeededRandom::new(plan.seed);
    let mut site = Site::open(ground, set).await?;
    let merchants = merchants(plan, &random);
    for merchant in &merchants {
        site.initialize(merchant.id, merchant.daily_limit, merchant.monthly_limit).await?;
    }
    let ids = merchants.iter().map(|merchant| merchant.id).collect();
    let shared = Arc::new(Shared::new(site.callers(plan.seed)?, ids));
    let started = Instant::now();
    let heard = under_faults(&mut site, set, plan, &random, &shared).await?;
    let time = started.elapsed();
    site.stop().await?;

    let findings = findings(&site, &merchants, &heard.history).await?;
    let counted = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let examples = heard.complaints.into_iter().chain(findings.examples.iter().cloned()).collect();
    let report = Report {
        set,
        operations: counted(&shared.progress.operations),
        acknowledged: counted(&shared.progress.acknowledged),
        retries: counted(&shared.callers.retries),
        faults: if set.faults().is_empty() { 0 } else { counted(&shared.progress.faults) },
        time,
        odd: heard.odd,
        findings,
        examples,
    };
    Ok(Finished { site, merchants, history: heard.history, report })
}

async fn under_faults(
    site: &mut Site,
    set: FaultSet,
    plan: &Plan,
    random: &dyn Random,
    shared: &Arc<Shared>,
) -> Result<Heard> {
    let (done, until_done) = watch::channel(false);
    let load = async {
        let heard = load::run(shared, plan).await;
        done.send_replace(true);
        heard
    };
    let faults = async {
        let result = injector::run(site, set, plan, random, &shared.progress, until_done.clone()).await;
        if result.is_err() {
            shared.progress.over.store(true, Ordering::Relaxed);
        }
        result
    };
    let (heard, faults, ()) = tokio::join!(load, faults, tell(&shared.progress, set, until_done.clone()));
    faults?;
    heard
}

async fn tell(progress: &Progress, set: FaultSet, mut done: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PROGRESS_EVERY) => {}
            _ = done.wait_for(|done| *done) => return,
        }
        let operations = progress.operations.load(Ordering::Relaxed);
        eprintln!(
            "{}: {operations} operations, {} faults",
            set.name(),
            progress.faults.load(Ordering::Relaxed)
        );
    }
}

/// Merchants whose limits are reached somewhere on the way, but for every fourth.
fn merchants(plan: &Plan, random: &dyn Random) -> Vec<Merchant> {
    let average = story::LARGEST / 2;
    let (hot, others) = (HOT as u64, plan.merchants as u64);
    let mut merchants = Vec::new();
    for place in 0..hot + others {
        let share = if place < hot { HOT_SHARE / hot } else { (100 - HOT_SHARE).div_ceil(others.max(1)) };
        let expected = plan.operations * share / 100 * average;
        let daily = if place % 4 == 3 { expected * 10 } else { expected * (1 + place % 4) / 5 };
        let daily = i64::try_from(daily.max(1)).unwrap_or(i64::MAX);
        // Of some merchants the month is the narrower window.
        let monthly = if place % 5 == 4 { daily * 2 / 3 } else { daily * 2 };
        merchants.push(Merchant { id: some_id(random), daily_limit: daily, monthly_limit: monthly });
    }
    merchants
}

fn some_id(random: &dyn Random) -> Uuid {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}
