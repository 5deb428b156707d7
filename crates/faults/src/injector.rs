//! Injects faults while the load runs, and heals what it has hurt.

use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use payops_core::random::Random;
use tokio::sync::watch;

use crate::load::Progress;
use crate::plan::{Fault, FaultSet, Plan};
use crate::proxy::Cut;
use crate::site::Site;

/// The longest that something stands still or is away.
const LONGEST: Duration = Duration::from_millis(2500);
/// How many commits are cut off in one go, and how long each is waited for.
const CUTS: u64 = 8;
const CUT_PATIENCE: Duration = Duration::from_secs(5);

/// Goes on until the load is `done`.
pub(crate) async fn run(
    site: &mut Site,
    set: FaultSet,
    plan: &Plan,
    random: &dyn Random,
    progress: &Progress,
    mut done: watch::Receiver<bool>,
) -> Result<()> {
    if set.faults().is_empty() {
        progress.faults.store(plan.least_faults, Ordering::Relaxed);
        return Ok(());
    }
    loop {
        let half = u64::try_from(plan.fault_every.as_millis())? / 2;
        let pause = Duration::from_millis(half + random.below(2 * half));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = done.wait_for(|done| *done) => return Ok(()),
        }
        let which = usize::try_from(random.below(set.faults().len() as u64))?;
        inject(site, set.faults()[which], plan, random).await?;
        progress.faults.fetch_add(1, Ordering::Relaxed);
    }
}

async fn inject(site: &mut Site, fault: Fault, plan: &Plan, random: &dyn Random) -> Result<()> {
    let place = usize::try_from(random.below(site.instances.len() as u64))?;
    let time = Duration::from_millis(random.below(u64::try_from(LONGEST.min(plan.fault_every).as_millis())?));
    match fault {
        Fault::KillApp => site.instances[place].kill_and_start().await,
        Fault::KillPostgres => site.postgres()?.kill_and_start().await,
        Fault::PauseApp => site.instances[place].pause(time).await,
        Fault::PausePostgres => site.postgres()?.pause(time).await,
        Fault::CutCommit => cut_commits(site, place, random).await,
        Fault::Partition => {
            let proxy = &site.proxies[place];
            proxy.partition(true);
            tokio::time::sleep(time).await;
            // Half of the connections live on, as after a short partition; half are gone, as after a long one.
            if random.below(2) == 0 {
                proxy.cut();
            }
            proxy.partition(false);
            Ok(())
        }
    }
}

async fn cut_commits(site: &Site, place: usize, random: &dyn Random) -> Result<()> {
    let proxy = &site.proxies[place];
    for _ in 0..CUTS {
        proxy.cut_next_commit(if random.below(2) == 0 { Cut::Before } else { Cut::After });
        let cut = crate::process::until("a commit", CUT_PATIENCE, async || Ok(!proxy.is_armed())).await;
        // Nobody may have anything to commit at the end of the load.
        if cut.is_err() {
            proxy.disarm();
            return Ok(());
        }
    }
    Ok(())
}
