//! Coalescers, instances and a database in one thread, whose chance all comes from a seed: a seed replays exactly.
//!
//! Requests and answers are lost, doubled and late, instances are killed and the database restarts at any step, the
//! calendar runs over days and months, and people edit limits meanwhile. Then every commit is held against a model in
//! sums, and every answer against what is stored. `PAYOPS_SIM_SEED` runs one seed and tells its commits,
//! `PAYOPS_SIM_SEEDS` says how many run.

mod chance;
mod log;
mod store;
mod sums;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;

use payops_core::time::{Timestamp, Zone};
use payops_platform::telemetry::Metrics;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::decide::{self, Account};
use crate::metrics::LimitMetrics;
use crate::model::Limits;
use chance::Chance;
use store::{Committed, Database, Faults};
use sums::Sums;
use world::{World, ZONES};

/// Hours before a month's end, or before the clocks of one of the zones change.
const STARTS: [&str; 6] = [
    "2026-11-30T20:00:00Z",
    "2028-02-28T18:00:00Z",
    "2026-10-24T20:00:00Z",
    "2026-04-23T20:00:00Z",
    "2018-11-03T22:00:00Z",
    "2011-12-29T20:00:00Z",
];

/// What a run has seen.
struct Report {
    counts: BTreeMap<&'static str, u64>,
    commits: Vec<Committed>,
    wrong: Vec<String>,
}

fn account(number: u128, now: Timestamp, chance: &Chance) -> Account {
    let zone = Zone::named(chance.pick(&ZONES)).unwrap();
    // The first has no limit, so that sums reach the end of 64 bits.
    let limit = |from, to| (number > 0).then(|| chance.between(from, to));
    let limits = Limits { daily: limit(200, 900), monthly: limit(400, 2000), single_trans: limit(80, 120) };
    decide::tests::account(Uuid::from_u128(number * 7919 + 1), zone, limits, now)
}

fn run(seed: u64) -> Report {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(live(seed))
}

async fn live(seed: u64) -> Report {
    let chance = Arc::new(Chance::new(seed));
    let start: Timestamp = chance.pick(&STARTS).parse().unwrap();
    let accounts: Vec<Account> = (0..3).map(|number| account(number, start, &chance)).collect();
    let mut sums = Sums::default();
    for account in &accounts {
        sums.add(account.merchant_id, account.terms.clone(), &account.usage);
    }
    let merchants: Vec<Uuid> = accounts.iter().map(|account| account.merchant_id).collect();
    let often = |most: u64| chance.below(most);
    let faults = Faults {
        away: often(30),
        clash: often(150),
        rolled_back: often(60),
        lost_after_commit: often(60),
        pause: often(30),
    };
    let pace = chance.pick(&[10, 3_600, 20_000]);
    let database = Arc::new(Database::new(accounts, Arc::clone(&chance), start, pace, faults));
    let metrics = Arc::new(LimitMetrics::register(&Metrics::new("simulation")));
    let world = Arc::new(World::new(Arc::clone(&database), Arc::clone(&chance), merchants, metrics));
    let over = CancellationToken::new();
    let trouble = tokio::spawn(Arc::clone(&world).trouble(over.clone()));
    let count = chance.below(6) + 2;
    let clients: Vec<_> =
        (0..count).map(|number| tokio::spawn(Arc::clone(&world).client(number, 12))).collect();
    for client in clients {
        client.await.unwrap();
    }
    over.cancel();
    trouble.await.unwrap();
    world.settle().await;
    report(&world, sums)
}

fn report(world: &World, mut sums: Sums) -> Report {
    let mut rows = world.database.rows();
    let heard = world.heard();
    let mut wrong: Vec<String> = heard.wrong.iter().chain(&rows.broken).cloned().collect();
    for (number, commit) in rows.history.iter().enumerate() {
        if let Err(why) = sums.take(commit) {
            wrong.push(format!("commit {number}: {why}"));
            break;
        }
    }
    for key in &heard.refused_room {
        if rows.payments.contains_key(key) {
            wrong.push(format!("{} was answered OVERLOADED and is there", key.1));
        }
    }
    wrong.extend(log::wrong(&rows));
    let mut counts = world.chance.counts();
    counts.extend([
        ("a decline", sums.declines),
        ("a late confirmation", sums.late_confirms),
        ("an expiry", sums.expired),
        ("a new day", sums.days),
        ("a new month", sums.months),
        ("a commit", rows.history.len() as u64),
    ]);
    Report { counts, commits: std::mem::take(&mut rows.history), wrong }
}

/// The number in an environment variable.
fn given(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// What a run found, a panic included.
fn outcome(seed: u64) -> Report {
    std::panic::catch_unwind(|| run(seed)).unwrap_or_else(|_| Report {
        counts: BTreeMap::new(),
        commits: Vec::new(),
        wrong: vec!["it panicked".to_owned()],
    })
}

#[test]
fn no_fault_loses_doubles_or_overshoots_anything() {
    let seeds = match given("PAYOPS_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..given("PAYOPS_SIM_SEEDS").unwrap_or(1000),
    };
    let one = seeds.end - seeds.start == 1;
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in seeds.clone() {
        let report = outcome(seed);
        for (what, count) in report.counts {
            *counts.entry(what).or_default() += count;
        }
        if let Some(first) = report.wrong.first() {
            println!("PAYOPS_SIM_SEED={seed} cargo test -p payops-limits simulation\n  {first}");
            failed.push(seed);
        }
        if one {
            println!("{:#?}\n{:#?}", report.commits, report.wrong);
        }
    }
    println!("{counts:#?}");
    assert!(failed.is_empty(), "{} of {} seeds fail: {failed:?}", failed.len(), seeds.end - seeds.start);
    if seeds.end - seeds.start >= 100 {
        let missing: Vec<&&str> = HAPPEN.iter().filter(|what| !counts.contains_key(**what)).collect();
        assert!(missing.is_empty(), "never happened: {missing:?}");
    }
}

/// What must have happened in a hundred runs, or they prove little.
const HAPPEN: [&str; 22] = [
    "a batch of several",
    "a clash",
    "a decline",
    "a duplicate",
    "a full queue",
    "a late confirmation",
    "a new day",
    "a new month",
    "a poisoned batch",
    "a replay",
    "a request lost",
    "a retry",
    "a void of what has expired",
    "an answer lost",
    "an answer of the database lost after commit",
    "an expiry",
    "an instance killed",
    "crash after commit",
    "crash before commit",
    "no answer in time",
    "the database is away",
    "a commit",
];

#[test]
fn a_seed_replays_exactly() {
    let commits = |report: &Report| format!("{:#?}", report.commits);
    let (one, two) = (run(7), run(7));
    assert_eq!((commits(&one), &one.counts), (commits(&two), &two.counts));
    assert_ne!(commits(&one), commits(&run(8)));
}
