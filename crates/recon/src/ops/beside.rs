//! Days beside each other explain each other's payouts: what a run knew of the payouts of other days may be more later.
//!
//! A day that was compared with the bank is started again when the files of a day beside it say something else of payouts than
//! they did, also where it tied: a tie rests on the rows and payouts of other days as much as a difference does. That ends:
//! what a day says of payouts comes from its own files alone, so a day that is started again for that has nothing new to say
//! to others.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::FutureExt;
use payops_platform::db::Tx;
use payops_platform::error::{Error, Result};
use payops_platform::jobs::{self, EnqueueOptions};
use sea_orm::ConnectionTrait;
use serde::Serialize;
use uuid::Uuid;

use crate::Reconciliation;
use crate::engine::CertifiedInput;
use crate::jobs::{LookBeside, MOST_ATTEMPTS, system};
use crate::model::{FileRole, TaskStatus};
use crate::ops::{channel_settings, days, tasks};
use crate::payouts::{PayoutFact, PayoutLists, PayoutRules};
use crate::store::payout;
use crate::store::task::{self, Model as Task};

/// What other days say of payouts.
#[derive(Debug, Clone, Serialize)]
pub struct Beside {
    /// What the files of the days around say.
    pub facts: Vec<PayoutFact>,
    /// Whether a settlement file is among these that has rows of payouts.
    pub settlements_state: bool,
    /// What reports there are besides the day's own, where rows name payouts that these do not list.
    pub lists: PayoutLists,
}

impl Beside {
    /// What they say to a task whose `own` files, a report of payouts among them, say this; `None` without such a report.
    pub async fn of(
        conn: &impl ConnectionTrait,
        task: &Task,
        rules: &PayoutRules,
        own: Option<&[PayoutFact]>,
    ) -> Result<Self> {
        let beside = days::payouts_beside(task.task_date, rules);
        let (facts, settlements_state) = payout::of_other_days(conn, task, beside.clone()).await?;
        let named = own.into_iter().flatten().filter(|fact| fact.is_only_named());
        let named: BTreeSet<String> = named.map(|fact| fact.id.replace('\0', "")).collect();
        let mut lists = PayoutLists::default();
        let may_be_of_other_days = own.is_some() && facts.iter().any(PayoutFact::is_only_named);
        if !named.is_empty() || may_be_of_other_days {
            let window = *beside.start()..=*days::statement_days(task.task_date, rules).end();
            lists.days.extend(task::stating_payouts(conn, &task.subject(FileRole::Payouts), window).await?);
            // Whether its own report is there is no news of others.
            lists.days.remove(&task.task_date);
            lists.elsewhere = payout::known_elsewhere(conn, task, &named).await?;
        }
        Ok(Self { facts, settlements_state, lists })
    }

    /// A hash of it.
    pub fn hash(&self) -> Result<String> {
        let said = serde_json::to_vec(self).map_err(Error::internal)?;
        Ok(CertifiedInput::read("", said.as_slice()).map_err(Error::internal)?.sha256)
    }
}

/// Whether a task's last run was compared with the bank, and would know otherwise of the payouts of other days now.
pub async fn knows_more(conn: &impl ConnectionTrait, task: &Task) -> Result<bool> {
    let Some(known) = &task.open_payouts_hash else { return Ok(false) };
    let rules = channel_settings::payout_rules_of(conn, &task.subject(FileRole::BankStatement)).await?;
    let own = if task.payouts_are_stated { Some(payout::of_task(conn, task.id).await?) } else { None };
    Ok(Beside::of(conn, task, &rules, own.as_deref()).await?.hash()? != *known)
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
            let mut ids = task::holding_days(tx.conn(), &subject, beside).await?;
            ids.extend(payout::naming_the_same(tx.conn(), &task).await?);
            for seen in task::named(tx.conn(), &ids).await? {
                // A run under way may be about to end with what it knew before.
                if seen.open_payouts_hash.is_none() && seen.status != TaskStatus::Processing {
                    continue;
                }
                let other = task::lock(tx, seen.id).await?;
                if other.status == TaskStatus::Completed && knows_more(tx.conn(), &other).await? {
                    tasks::start_again(&app, tx, &system(), other.id).await?;
                }
            }
            Ok(())
        }
        .boxed()
    })
    .await
}
