//! All callers together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context, Result};
use payops_core::random::{Random, SeededRandom};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::call::Callers;
use crate::history::{Entry, Told};
use crate::plan::Plan;
use crate::story::Teller;

/// The first merchants get most of the load.
pub(crate) const HOT: usize = 2;
/// How much of it, in percent.
pub(crate) const HOT_SHARE: u64 = 40;
/// What callers say that could not go on; more is only counted.
const MOST_COMPLAINTS: usize = 5;

/// What all callers know.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) callers: Callers,
    pub(crate) merchants: Vec<Uuid>,
    pub(crate) progress: Progress,
    payments: AtomicU64,
}

/// How far it is.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) operations: AtomicU64,
    pub(crate) acknowledged: AtomicU64,
    pub(crate) faults: AtomicU64,
    /// No more payments are begun.
    pub(crate) over: AtomicBool,
}

impl Shared {
    pub(crate) fn new(callers: Callers, merchants: Vec<Uuid>) -> Self {
        Self { callers, merchants, progress: Progress::default(), payments: AtomicU64::new(0) }
    }

    pub(crate) fn pick_merchant(&self, random: &dyn Random) -> u32 {
        let (hot, all) = (HOT as u64, self.merchants.len() as u64);
        let merchant =
            if random.below(100) < HOT_SHARE { random.below(hot) } else { hot + random.below(all - hot) };
        u32::try_from(merchant).unwrap_or(0)
    }

    pub(crate) fn next_payment(&self) -> u64 {
        self.payments.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn count(&self, entry: &Entry) {
        self.progress.operations.fetch_add(1, Ordering::Relaxed);
        if entry.told != Told::Nothing {
            self.progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What the callers were told, and what they should not have been told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) history: Vec<Entry>,
    /// How many answers contradict others, or are none.
    pub(crate) odd: u64,
    pub(crate) complaints: Vec<String>,
}

/// Sends until there were enough operations and enough faults.
pub(crate) async fn run(shared: &Arc<Shared>, plan: &Plan) -> Result<Heard> {
    let mut tasks = JoinSet::new();
    for caller in 0..plan.callers as u64 {
        let random = SeededRandom::new(plan.seed.wrapping_mul(10_007).wrapping_add(caller));
        let teller = Teller::new(Arc::clone(shared), random)?;
        tasks.spawn(caller_of(teller, Arc::clone(shared), *plan));
    }
    let mut heard = Heard::default();
    while let Some(caller) = tasks.join_next().await {
        let (history, complaints) = caller.context("a caller broke off")?;
        heard.history.extend(history);
        heard.odd += complaints.len() as u64;
        heard.complaints.extend(complaints);
        heard.complaints.truncate(MOST_COMPLAINTS);
    }
    Ok(heard)
}

async fn caller_of(mut teller: Teller, shared: Arc<Shared>, plan: Plan) -> (Vec<Entry>, Vec<String>) {
    let mut complaints = Vec::new();
    while !enough(&shared.progress, &plan) {
        if let Err(error) = teller.go_on().await {
            complaints.push(format!("{error:#}"));
        }
    }
    if let Err(error) = teller.finish().await {
        complaints.push(format!("{error:#}"));
    }
    (teller.history, complaints)
}

fn enough(progress: &Progress, plan: &Plan) -> bool {
    progress.over.load(Ordering::Relaxed)
        || (progress.operations.load(Ordering::Relaxed) >= plan.operations
            && progress.faults.load(Ordering::Relaxed) >= plan.least_faults)
}
