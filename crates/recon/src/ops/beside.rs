//! Days beside each other explain each other's payouts: what a run knew of the payouts of other days may be more later.
//!
//! A day that was compared with the bank is started again when the files of a day beside it say something else of payouts than
//! they did, also where it tied: a tie rests on the rows and payouts of other days as much as a difference does. That ends:
//! what a day says of payouts comes from its own files alone, so a day that is started again for that has nothing new to say
//! to others.

use std::sync::Arc;

use futures::FutureExt;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::CertifiedInput;
use crate::jobs::{LookBeside, MOST_ATTEMPTS, system};
use crate::model::{FileRole, TaskStatus};
use crate::ops::{channel_settings, days, tasks};
use crate::payouts::PayoutFact;
use crate::store::payout;
use crate::store::task::{self, Model as Task};

/// The hash of what files say of payouts.
pub fn hash_of(facts: &[PayoutFact]) -> Result<String> {
    let facts = serde_json::to_vec(facts).map_err(Error::internal)?;
    Ok(CertifiedInput::read("", facts.as_slice()).map_err(Error::internal)?.sha256)
}

/// Whether a task's last run was compared with the bank, and would know otherwise of the payouts of other days now.
pub async fn knows_more(conn: &impl ConnectionTrait, task: &Task) -> Result<bool> {
    let Some(known) = &task.open_payouts_hash else { return Ok(false) };
    let rules = channel_settings::payout_rules_of(conn, &task.subject(FileRole::BankStatement)).await?;
    let facts = payout::of_other_days(conn, task, days::payouts_beside(task.task_date, &rules)).await?;
    Ok(hash_of(&facts)? != *known)
}

/// The files of a task's day say something else of payouts than before: the days beside it are looked at, in a transaction of
/// their own, since tasks are locked by their days.
pub async fn have_changed(app: &Reconciliation, tx: &Tx, task: &Task) -> Result<()> {
    let job = LookBeside { task_id: task.id };
    jobs::enqueue(tx, &app.context, &job, EnqueueOptions::default().attempts(MOST_ATTEMPTS)).await?;
    Ok(())
}

/// Starts the days beside a task's again that know more now. A run under way looks when it ends.
pub async fn look(app: &Reconciliation, task_id: Uuid) -> Result<()> {
    let app = app.clone();
    let db = app.context.db.clone();
    let shared = Arc::new(app);
    db.write("reconciliation.look_beside", move |tx| {
        let app = Arc::clone(&shared);
        async move {
            let task = task::find(tx.conn(), task_id).await?;
            let subject = task.subject(FileRole::BankStatement);
            let rules = channel_settings::payout_rules_of(tx.conn(), &subject).await?;
            let beside = days::payouts_beside(task.task_date, &rules);
            for id in task::holding_days(tx.conn(), &subject, beside).await? {
                let seen = task::find(tx.conn(), id).await?;
                // A run under way may be about to end with what it knew before.
                if seen.open_payouts_hash.is_none() && seen.status != TaskStatus::Processing {
                    continue;
                }
                let other = task::lock(tx, id).await?;
                if other.status == TaskStatus::Completed && knows_more(tx.conn(), &other).await? {
                    tasks::execute(&app, tx, &system(), other.id).await?;
                }
            }
            Ok(())
        }
        .boxed()
    })
    .await
}
