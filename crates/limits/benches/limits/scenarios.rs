//! What is measured, and how it is told.

use std::time::Duration;

use payops_platform::http::load::{Found, Pace, median};
use uuid::Uuid;

use crate::Plan;
use crate::load::{Ask, round};
use crate::rivals::fresh_id;
use crate::servers::{self, MERCHANTS, Server};

/// One line of the table: who is asked what.
struct Scenario {
    name: &'static str,
    ask: Ask,
    /// How many merchants are asked about.
    merchants: usize,
    connections: usize,
    pace: Pace,
    /// The servers that take part, by their place in [`Servers`].
    who: &'static [usize],
}

const EMPTY: usize = 0;
const THREE: usize = 1;
const ONE: usize = 2;
const POSTGRES: usize = 3;
const SQLITE: usize = 4;

const SCENARIOS: [Scenario; 12] = [
    consume("hot-64", 1, 64, &[EMPTY, THREE, ONE, POSTGRES, SQLITE]),
    consume("hot-512", 1, 512, &[EMPTY, THREE, ONE, POSTGRES, SQLITE]),
    consume("many-64", MERCHANTS, 64, &[EMPTY, THREE, ONE, POSTGRES, SQLITE]),
    consume("many-512", MERCHANTS, 512, &[EMPTY, THREE, ONE, POSTGRES, SQLITE]),
    consume("one", MERCHANTS, 1, &[EMPTY, THREE, ONE, POSTGRES, SQLITE]),
    scenario("check-64", Ask::Check, 1, 64, Pace::Closed, &[EMPTY, POSTGRES, SQLITE]),
    scenario("check-many-64", Ask::Check, MERCHANTS, 64, Pace::Closed, &[EMPTY, POSTGRES, SQLITE]),
    scenario("consume-5000", Ask::Consume, MERCHANTS, 256, Pace::Open(5000), &[POSTGRES, SQLITE]),
    scenario("check-5000", Ask::Check, MERCHANTS, 256, Pace::Open(5000), &[POSTGRES, SQLITE]),
    scenario("consume-1000", Ask::Consume, MERCHANTS, 256, Pace::Open(1000), &[POSTGRES, SQLITE]),
    scenario("batch", Ask::Batch, MERCHANTS, 4, Pace::Closed, &[POSTGRES, SQLITE]),
    scenario("batch-hot", Ask::Batch, 1, 4, Pace::Closed, &[POSTGRES, SQLITE]),
];

const fn consume(
    name: &'static str,
    merchants: usize,
    connections: usize,
    who: &'static [usize],
) -> Scenario {
    scenario(name, Ask::Consume, merchants, connections, Pace::Closed, who)
}

const fn scenario(
    name: &'static str,
    ask: Ask,
    merchants: usize,
    connections: usize,
    pace: Pace,
    who: &'static [usize],
) -> Scenario {
    Scenario { name, ask, merchants, connections, pace, who }
}

/// Measures every scenario, or the one that is asked for.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    servers::make_durable()?;
    let merchants: Vec<Uuid> = (0..MERCHANTS).map(|_| fresh_id()).collect();
    let servers = [
        servers::empty()?,
        servers::rival("three statements", false, &merchants)?,
        servers::rival("one statement", true, &merchants)?,
        servers::payops("payops, PostgreSQL", true, &merchants)?,
        servers::payops("payops, SQLite", false, &merchants)?,
    ];
    println!("{} rounds of {} s a server; durable commits; {MERCHANTS} merchants", plan.rounds, plan.seconds);
    for scenario in &SCENARIOS {
        if plan.only.as_ref().is_none_or(|only| scenario.name.starts_with(only.as_str())) {
            measure(plan, scenario, &servers, &merchants)?;
        }
    }
    Ok(())
}

fn measure(plan: &Plan, scenario: &Scenario, servers: &[Server], merchants: &[Uuid]) -> anyhow::Result<()> {
    let merchants = &merchants[..scenario.merchants];
    let asked =
        |place: &usize| plan.server.as_ref().is_none_or(|name| servers[*place].name.starts_with(name));
    let who: Vec<usize> = scenario.who.iter().copied().filter(asked).collect();
    let run = |server: &Server, time| {
        round(&server.aim(merchants, scenario.ask), scenario.connections, scenario.pace, time)
    };
    let mut found: Vec<Vec<Found>> = who.iter().map(|_| Vec::new()).collect();
    for server in &who {
        run(&servers[*server], Duration::from_millis(500))?;
    }
    for _ in 0..plan.rounds {
        for (server, found) in who.iter().zip(&mut found) {
            found.push(run(&servers[*server], Duration::from_secs(plan.seconds))?);
        }
    }
    println!("\n{} ({} connections, {} merchants)", scenario.name, scenario.connections, scenario.merchants);
    println!("  {:<20} {:>10} {:>9} {:>9}  ratios to the others", "", "a second", "p50 ms", "p99 ms");
    for (place, server) in who.iter().enumerate() {
        let of = |value: fn(&Found) -> f64| median(found[place].iter().map(value).collect());
        let ratios: Vec<String> = (0..place)
            .map(|other| {
                let ratios =
                    found[place].iter().zip(&found[other]).map(|(ours, theirs)| ours.rate / theirs.rate);
                format!("{:.2} x {}", median(ratios.collect()), servers[who[other]].name)
            })
            .collect();
        println!(
            "  {:<20} {:>10.0} {:>9.2} {:>9.2}  {}",
            servers[*server].name,
            of(|found| found.rate),
            of(|found| found.p50),
            of(|found| found.p99),
            ratios.join(", ")
        );
    }
    Ok(())
}
