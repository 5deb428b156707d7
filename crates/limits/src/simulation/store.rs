//! A database in memory: rows with locks, transactions that are there wholly or not at all, and a record of what was
//! committed in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use payops_platform::error::{Error, Result};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chance::Chance;
use crate::batch::{self, Effects, Loaded, PaymentKey, ReleaseKey};
use crate::coalesce::Decider;
use crate::decide::{Account, Action, Operation, Outcome, update_alerts};
use crate::model::{Alert, LogRow, Payment, PaymentState, Release, Terms, Usage};
use crate::rate::AppliedRate;

/// A payment number that no store takes, as a text that PostgreSQL refuses.
pub(super) const POISON: &str = "poison";
const MOST_RETRIES: u32 = 3;

/// The rates in force between two currencies.
pub(super) type Rates = BTreeMap<(Currency, Currency), AppliedRate>;

/// What is committed.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) accounts: BTreeMap<Uuid, Account>,
    pub(super) payments: BTreeMap<PaymentKey, Payment>,
    pub(super) releases: BTreeMap<ReleaseKey, Release>,
    pub(super) rates: Rates,
    pub(super) log: BTreeMap<Uuid, Vec<LogRow>>,
    pub(super) alerts: Vec<Alert>,
    pub(super) history: Vec<Committed>,
    /// What a constraint of the database would have refused.
    pub(super) broken: Vec<String>,
}

/// One commit.
#[derive(Debug)]
pub(super) enum Committed {
    Batch {
        now: Timestamp,
        operations: Arc<Vec<Operation>>,
        outcomes: Vec<Outcome>,
        rates: Rates,
        usages: Vec<(Uuid, Usage)>,
    },
    Edit {
        merchant_id: Uuid,
        now: Timestamp,
        terms: Terms,
    },
}

/// How often what goes wrong, of a thousand.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) away: u64,
    pub(super) clash: u64,
    pub(super) rolled_back: u64,
    pub(super) lost_after_commit: u64,
    /// The longest pause of a transaction between two of its steps, in milliseconds.
    pub(super) pause: u64,
}

/// The database that all instances share.
#[derive(Debug)]
pub(super) struct Database {
    rows: Mutex<Rows>,
    locks: BTreeMap<Uuid, Arc<tokio::sync::Mutex<()>>>,
    state: Mutex<State>,
    pub(super) chance: Arc<Chance>,
}

#[derive(Debug)]
struct State {
    faults: Faults,
    /// Counts restarts: a transaction does not outlive one.
    life: u64,
    start: Timestamp,
    began: tokio::time::Instant,
    /// Seconds of the calendar in a second of the simulation.
    pace: i32,
}

impl Database {
    pub(super) fn new(
        accounts: Vec<Account>,
        chance: Arc<Chance>,
        start: Timestamp,
        pace: i32,
        faults: Faults,
    ) -> Self {
        let locks = accounts.iter().map(|account| (account.merchant_id, Arc::default())).collect();
        let accounts = accounts.into_iter().map(|account| (account.merchant_id, account)).collect();
        let state = State { faults, life: 0, start, began: tokio::time::Instant::now(), pace };
        Self {
            rows: Mutex::new(Rows { accounts, ..Rows::default() }),
            locks,
            state: Mutex::new(state),
            chance,
        }
    }

    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all transactions that are open.
    pub(super) fn restart(&self) {
        self.state().life += 1;
    }

    /// From now on nothing goes wrong.
    pub(super) fn calm(&self) {
        self.state().faults = Faults::default();
    }

    pub(super) fn move_clock(&self, seconds: i64) {
        self.state().start += chrono::Duration::seconds(seconds);
    }

    /// The clock that all instances decide by.
    pub(super) fn now(&self) -> Timestamp {
        let state = self.state();
        let passed = chrono::Duration::from_std(state.began.elapsed()).unwrap() * state.pace;
        state.start + chrono::Duration::microseconds(passed.num_microseconds().unwrap())
    }

    async fn pause(&self) {
        let longest = self.state().faults.pause;
        tokio::time::sleep(Duration::from_millis(self.chance.below(longest + 1))).await;
    }

    fn happens(&self, which: impl Fn(&Faults) -> u64) -> bool {
        let of_a_thousand = which(&self.state().faults);
        self.chance.of_a_thousand(of_a_thousand)
    }

    /// Locks the rows that exist in the order of their ids, as every statement does.
    async fn lock(&self, merchants: &BTreeSet<Uuid>) -> Vec<OwnedMutexGuard<()>> {
        let mut held = Vec::new();
        for lock in merchants.iter().filter_map(|merchant| self.locks.get(merchant)) {
            held.push(Arc::clone(lock).lock_owned().await);
        }
        held
    }

    /// Edits what binds a merchant, with its row locked, as the operations of people do.
    pub(super) async fn edit(&self, merchant_id: Uuid, change: impl FnOnce(&mut Terms, Timestamp)) {
        let held = self.lock(&BTreeSet::from([merchant_id])).await;
        self.pause().await;
        let now = self.now();
        let sweep = Operation { merchant_id, payment_no: String::new(), action: Action::Sweep };
        let mut rows = self.rows();
        let mut loaded = rows.load(std::slice::from_ref(&sweep), now);
        let (_, mut effects) = batch::decide(&mut loaded, [&sweep], now);
        let account = loaded.accounts.get_mut(&merchant_id).unwrap();
        account.terms = rows.accounts[&merchant_id].terms.clone();
        change(&mut account.terms, now);
        let terms = account.terms.clone();
        update_alerts(account, now, &mut effects.alerts);
        effects.usages = vec![(merchant_id, account.usage)];
        rows.save(effects);
        rows.accounts.get_mut(&merchant_id).unwrap().terms = terms.clone();
        rows.history.push(Committed::Edit { merchant_id, now, terms });
        drop(held);
    }
}

impl Rows {
    /// What the statements of a batch read.
    fn load(&self, operations: &[Operation], now: Timestamp) -> Loaded {
        let mut loaded = Loaded::default();
        for operation in operations {
            let merchant_id = operation.merchant_id;
            let Some(account) = self.accounts.get(&merchant_id) else { continue };
            let mut account = account.clone();
            account.terms.overrides.retain(|o| o.to > now);
            let key = (merchant_id, operation.payment_no.clone());
            if let Some(payment) = self.payments.get(&key) {
                loaded.payments.insert(key.clone(), payment.clone());
            }
            match &operation.action {
                Action::Release(request) => {
                    let key = (key.0, key.1, request.release_no.clone());
                    if let Some(release) = self.releases.get(&key) {
                        loaded.releases.insert(key, release.clone());
                    }
                }
                Action::Consume(charge) | Action::Reserve(charge, _)
                    if charge.currency != account.terms.currency =>
                {
                    loaded.rates.extend(self.rates.clone());
                }
                _ => {}
            }
            if account.usage.next_expiry.is_some_and(|end| end <= now) {
                self.load_due(merchant_id, now, &mut loaded);
            }
            loaded.accounts.insert(merchant_id, account);
        }
        loaded
    }

    fn load_due(&self, merchant_id: Uuid, now: Timestamp, loaded: &mut Loaded) {
        let held = self
            .payments
            .values()
            .filter(|payment| payment.merchant_id == merchant_id && payment.state == PaymentState::Reserved);
        let (mut due, later): (Vec<&Payment>, Vec<&Payment>) =
            held.partition(|payment| payment.expires_at.is_some_and(|end| end <= now));
        due.sort_by_key(|payment| (payment.expires_at, &payment.payment_no));
        loaded
            .next_expiry
            .insert(merchant_id, later.into_iter().filter_map(|payment| payment.expires_at).min());
        loaded.due.insert(merchant_id, due.iter().map(|payment| payment.payment_no.clone()).collect());
        for payment in due {
            loaded.payments.insert((merchant_id, payment.payment_no.clone()), payment.clone());
        }
    }

    /// Writes what the statements of a batch write, and notes what a key or a check would have refused.
    fn save(&mut self, effects: Effects) {
        let mut broken = Vec::new();
        for (merchant_id, usage) in effects.usages {
            let negative = usage.daily_used < 0 || usage.monthly_used < 0 || usage.pending < 0;
            match self.accounts.get_mut(&merchant_id) {
                Some(account) if !negative => account.usage = usage,
                _ => broken.push(format!("the usage of {merchant_id} became {usage:?}")),
            }
        }
        for payment in effects.new_payments {
            let key = (payment.merchant_id, payment.payment_no.clone());
            if let Some(before) = self.payments.insert(key, payment) {
                broken.push(format!("payment {} is new twice", before.payment_no));
            }
        }
        for changed in effects.changed_payments {
            let key = (changed.merchant_id, changed.payment_no.clone());
            let Some(payment) = self.payments.get_mut(&key) else {
                broken.push(format!("payment {} changed and is not there", changed.payment_no));
                continue;
            };
            (payment.state, payment.updated_at) = (changed.state, changed.updated_at);
            (payment.booked, payment.booked_counted) = (changed.booked, changed.booked_counted);
            (payment.day_start, payment.month_start) = (changed.day_start, changed.month_start);
            (payment.released, payment.returned) = (changed.released, changed.returned);
            payment.end_answer = changed.end_answer;
        }
        for release in effects.releases {
            let key = (release.merchant_id, release.payment_no.clone(), release.release_no.clone());
            if let Some(before) = self.releases.insert(key, release) {
                broken.push(format!("release {} of {} is new twice", before.release_no, before.payment_no));
            }
        }
        for row in effects.log {
            self.log.entry(row.merchant_id).or_default().push(row);
        }
        self.alerts.extend(effects.alerts);
        self.broken.extend(broken);
    }
}

/// One instance's way to the database.
pub(super) struct Simulated {
    pub(super) database: Arc<Database>,
    /// The instance was killed.
    pub(super) dead: CancellationToken,
}

impl Decider for Simulated {
    async fn decide(&self, operations: Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        let mut tries = 0;
        loop {
            match self.attempt(&operations).await {
                Err(error) if error.is_retryable() && tries < MOST_RETRIES => tries += 1,
                settled => return settled,
            }
        }
    }
}

impl Simulated {
    async fn attempt(&self, operations: &Arc<Vec<Operation>>) -> Result<Vec<Outcome>> {
        let database = &self.database;
        let chance = &database.chance;
        self.live().await;
        database.pause().await;
        if database.happens(|faults| faults.away) {
            chance.count("the database is away");
            return Err(away());
        }
        let life = database.state().life;
        let held = database.lock(&operations.iter().map(|operation| operation.merchant_id).collect()).await;
        database.pause().await;
        let now = database.now();
        let mut loaded = database.rows().load(operations, now);
        database.pause().await;
        if operations.iter().any(|operation| operation.payment_no == POISON) {
            chance.count("a poisoned batch");
            return Err(Error::internal("invalid byte sequence"));
        }
        if database.happens(|faults| faults.clash) {
            chance.count("a clash");
            return Err(away().retryable());
        }
        let rates = loaded.rates.clone().into_iter().collect();
        let (outcomes, effects) = batch::decide(&mut loaded, operations.iter(), now);
        database.pause().await;
        let killed = self.dead.is_cancelled() && chance.of_a_thousand(500);
        if killed || life != database.state().life || database.happens(|faults| faults.rolled_back) {
            chance.count("crash before commit");
            drop(held);
            self.live().await;
            return Err(away());
        }
        {
            let mut rows = database.rows();
            rows.save(effects);
            let merchants: BTreeSet<Uuid> =
                operations.iter().map(|operation| operation.merchant_id).collect();
            let usages =
                merchants.iter().filter_map(|id| Some((*id, rows.accounts.get(id)?.usage))).collect();
            let (operations, outcomes) = (Arc::clone(operations), outcomes.clone());
            rows.history.push(Committed::Batch { now, operations, outcomes, rates, usages });
        }
        drop(held);
        if operations.len() > 1 {
            chance.count("a batch of several");
        }
        database.pause().await;
        if self.dead.is_cancelled() {
            chance.count("crash after commit");
        }
        self.live().await;
        if database.happens(|faults| faults.lost_after_commit) {
            chance.count("an answer of the database lost after commit");
            return Err(if chance.of_a_thousand(500) { away() } else { Error::internal("broken pipe") });
        }
        Ok(outcomes)
    }

    /// Never ends in an instance that was killed.
    async fn live(&self) {
        if self.dead.is_cancelled() {
            pending::<()>().await;
        }
    }
}

fn away() -> Error {
    Error::unavailable("connection reset", Duration::from_secs(1))
}
