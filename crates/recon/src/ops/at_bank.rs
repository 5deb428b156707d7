//! A day's payouts against the bank: its statements, and those of other days that take back what these have.

use std::collections::BTreeSet;

use payops_core::currency::Exponents;
use payops_platform::error::Result;
use tokio::runtime::Handle;

use crate::Reconciliation;
use crate::formats;
use crate::model::Channel;
use crate::ops::beside::Beside;
use crate::ops::{bank_reversals, matching};
use crate::payouts::{BankSide, Days, PayoutFact, PayoutRules, PayoutSummary, ThirdLeg, Trace};
use crate::store::file::Model as StoredFile;
use crate::store::task::Model as Task;

/// What files say of payouts.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The settlement file of the day.
    pub own: &'a [PayoutFact],
    /// The channel's reports of the day's payouts.
    pub reported: &'a [PayoutFact],
    /// Whether there is such a report: what the settlement file alone names is a payout of another day then.
    pub are_stated: bool,
    /// The files of other days.
    pub beside: &'a Beside,
}

/// What came of it.
#[derive(Debug)]
pub struct AtBank {
    /// Which payouts arrived.
    pub third_leg: (ThirdLeg, PayoutSummary),
    /// The statements besides the day's that take back what arrived, the newest first.
    pub bank_reversals: Vec<StoredFile>,
    /// What it rests on at the bank.
    pub deposits: Vec<Trace>,
}

/// Compares what is said of payouts with the statements of a task's `bank`, and with all others in force that take back what these
/// have. Blocks.
pub fn compare(
    app: &Reconciliation,
    task: &Task,
    bank: &[StoredFile],
    said: Said<'_>,
    rules: &PayoutRules,
    runtime: &Handle,
) -> Result<AtBank> {
    bank.iter().try_for_each(|file| matching::verify(app, file))?;
    let (mut deposits, mut bank_reversals) = (BTreeSet::new(), Vec::new());
    loop {
        let side = bank_side(app, task, (bank, &bank_reversals), said)?;
        let third_leg = ThirdLeg::of(said.own, side, rules);
        deposits.extend(third_leg.0.arrivals());
        let known: Vec<Trace> = deposits.iter().copied().collect();
        let found =
            runtime.block_on(bank_reversals::statements(app.context.db.read(), task, bank, &known))?;
        if found == bank_reversals {
            return Ok(AtBank { third_leg, bank_reversals, deposits: known });
        }
        found.iter().try_for_each(|file| matching::verify(app, file))?;
        bank_reversals = found;
    }
}

/// The bank statements, and the payouts of the days around: a deposit of the task's day must be explained by one of them.
fn bank_side(
    app: &Reconciliation,
    task: &Task,
    (bank, bank_reversals): (&[StoredFile], &[StoredFile]),
    said: Said<'_>,
) -> Result<BankSide> {
    let exponents = match task.channel {
        Channel::Stripe => Exponents::Stripe,
        Channel::Paypal => Exponents::PayPal,
        Channel::Alipay | Channel::Wechat | Channel::Adyen => Exponents::Iso4217,
    };
    Ok(BankSide {
        bank: formats::bank(app, bank, bank_reversals, exponents)?,
        other_payouts: [said.reported, &said.beside.facts].concat(),
        lists: said.are_stated.then(|| {
            let mut lists = said.beside.lists.clone();
            lists.days.insert(task.task_date);
            lists
        }),
        settlements_state: said.beside.settlements_state,
        judged_days: Some(Days { first: task.task_date, last: task.task_date }),
    })
}
