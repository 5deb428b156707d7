//! What is done to many disputes at once, and what is kept for those who look at all of them.

use std::collections::HashSet;

use futures::FutureExt;
use payops_platform::error::Result;
use uuid::Uuid;

use super::disputes::give;
use super::{By, statistics};
use crate::Disputes;
use crate::error::{self, Refused};
use crate::lifecycle::{Action, actions};
use crate::store::sums::{self, Dimension, Period};
use crate::store::{dispute, queue};

/// As many unlinked disputes are counted, every minute; more are as bad.
const MOST_UNLINKED: u64 = 10_000;

/// Gives disputes to somebody, or to nobody: all of them, or none, and then says what stands in the way of each.
pub(crate) async fn assign_all(by: &By<'_>, ids: &[Uuid], owner: Option<&str>) -> Result<()> {
    let now = by.app.context.now();
    let found = dispute::lock_all(by.tx, ids).await?;
    let here: HashSet<Uuid> = found.iter().map(|dispute| dispute.id).collect();
    let missing = ids.iter().filter(|id| !here.contains(*id));
    let mut refused: Vec<Refused> = missing.map(|id| Refused::missing(*id)).collect();
    let closed = found.iter().filter(|dispute| {
        let may = actions(dispute.state(), dispute.owner(), dispute.deadline_passed(now));
        !may.contains(&Action::Assign)
    });
    refused.extend(closed.map(|dispute| Refused::closed(dispute)));
    if !refused.is_empty() {
        return Err(error::bulk_refused(&refused));
    }
    for dispute in found {
        give(by, dispute, owner).await?;
    }
    Ok(())
}

/// Folds what changed into the sums, and measures what the metrics show.
pub(crate) async fn keep_sums(app: &Disputes) -> Result<()> {
    let db = &app.context.db;
    while db.write("disputes.fold_sums", |tx| async move { sums::fold(tx).await }.boxed()).await? {}
    let all = statistics::statistics(app, Dimension::Channel, Period::default(), None).await?;
    for (channel, figures) in &all.groups {
        app.metrics.decided(channel, figures.won, figures.won + figures.lost);
    }
    app.metrics.unlinked(dispute::count_unlinked(db.read(), db.backend(), MOST_UNLINKED).await?);
    let now = app.context.now();
    let oldest = queue::oldest(db.read(), now).await?;
    app.metrics.queue_age(oldest.map_or(0, |since| (now - since).num_seconds().max(0)));
    Ok(())
}
