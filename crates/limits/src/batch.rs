//! Operations that are decided together: one after another, as if each had come alone.

use ahash::{AHashMap, AHashSet};
use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use uuid::Uuid;

use crate::decide::{Account, Action, Changes, Known, Operation, Outcome, Refusal};
use crate::model::{Alert, LogRow, Payment, Release, Usage};
use crate::rate::AppliedRate;

/// A payment's key: merchant and payment number.
pub(crate) type PaymentKey = (Uuid, String);
/// A release's key: merchant, payment number and release number.
pub(crate) type ReleaseKey = (Uuid, String, String);

/// Everything that the store knows about the operations of a batch.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// The merchants. One that is missing has no limits.
    pub(crate) accounts: AHashMap<Uuid, Account>,
    /// The payments that operations name, and the reservations whose time is over.
    pub(crate) payments: AHashMap<PaymentKey, Payment>,
    /// The releases that operations name.
    pub(crate) releases: AHashMap<ReleaseKey, Release>,
    /// The reservations whose time is over, by merchant; they are among the payments.
    pub(crate) due: AHashMap<Uuid, Vec<String>>,
    /// When the first of a merchant's other reservations ends, for the merchants that were looked at for due ones.
    pub(crate) next_expiry: AHashMap<Uuid, Option<Timestamp>>,
    /// The rates in force between currencies that differ.
    pub(crate) rates: AHashMap<(Currency, Currency), AppliedRate>,
}

impl Loaded {
    /// The currency of what an operation may count, for which a rate may be needed. A confirmation has its payment's: one that
    /// comes too late is counted anew.
    pub(crate) fn currency_to_count(&self, operation: &Operation) -> Option<Currency> {
        match &operation.action {
            Action::Consume(charge) | Action::Reserve(charge, _) => Some(charge.currency),
            Action::Confirm(_) => {
                let payment = self.payments.get(&(operation.merchant_id, operation.payment_no.clone()));
                payment.map(|payment| payment.currency)
            }
            Action::Void | Action::Release(_) | Action::Sweep => None,
        }
    }
}

/// What a batch changes.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The merchants' usage afterwards, in the order of their ids.
    pub(crate) usages: Vec<(Uuid, Usage)>,
    /// Payments that are new.
    pub(crate) new_payments: Vec<Payment>,
    /// Payments that have changed.
    pub(crate) changed_payments: Vec<Payment>,
    /// Releases that are new.
    pub(crate) releases: Vec<Release>,
    /// New rows of the usage log, of each merchant in order.
    pub(crate) log: Vec<LogRow>,
    /// Thresholds that were crossed.
    pub(crate) alerts: Vec<Alert>,
}

impl Effects {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.usages.is_empty()
    }
}

/// Decides `operations` in their order at `now`. `loaded` is left as the store will be.
pub(crate) fn decide<'o>(
    loaded: &mut Loaded,
    operations: impl IntoIterator<Item = &'o Operation>,
    now: Timestamp,
) -> (Vec<Outcome>, Effects) {
    let mut batch = Batch {
        loaded,
        now,
        touched: AHashMap::new(),
        dirty: AHashSet::new(),
        known: AHashSet::new(),
        changes: Changes::default(),
        effects: Effects::default(),
    };
    let outcomes = operations.into_iter().map(|operation| batch.decide(operation)).collect();
    (outcomes, batch.finish())
}

struct Batch<'l> {
    loaded: &'l mut Loaded,
    now: Timestamp,
    /// The number of the last log row that each merchant had before the batch.
    touched: AHashMap<Uuid, Usage>,
    dirty: AHashSet<PaymentKey>,
    /// Payments among the dirty ones that the store has already.
    known: AHashSet<PaymentKey>,
    changes: Changes,
    effects: Effects,
}

impl Batch<'_> {
    fn decide(&mut self, operation: &Operation) -> Outcome {
        let merchant_id = operation.merchant_id;
        if !self.touched.contains_key(&merchant_id) && !self.open(merchant_id) {
            return Outcome::Refused(Refusal::UnknownMerchant);
        }
        let currency = self.loaded.currency_to_count(operation);
        let Some(account) = self.loaded.accounts.get_mut(&merchant_id) else {
            return Outcome::Refused(Refusal::UnknownMerchant);
        };
        let key = (merchant_id, operation.payment_no.clone());
        let release = match &operation.action {
            Action::Release(request) => {
                let key = (merchant_id, operation.payment_no.clone(), request.release_no.clone());
                self.loaded.releases.get(&key)
            }
            _ => None,
        };
        let rate = currency.and_then(|currency| self.loaded.rates.get(&(currency, account.terms.currency)));
        let known = Known { payment: self.loaded.payments.get(&key), release, rate };
        let outcome = account.apply(operation, known, self.now, &mut self.changes);
        if let Some(payment) = self.changes.payment.take() {
            self.keep(key, payment);
        }
        if let Some(release) = self.changes.release.take() {
            let key = (merchant_id, release.payment_no.clone(), release.release_no.clone());
            self.effects.releases.push(release.clone());
            self.loaded.releases.insert(key, release);
        }
        outcome
    }

    /// Brings a merchant up to the present before the first of its operations.
    fn open(&mut self, merchant_id: Uuid) -> bool {
        let Some(account) = self.loaded.accounts.get_mut(&merchant_id) else { return false };
        self.touched.insert(merchant_id, account.usage);
        let keys = self.loaded.due.remove(&merchant_id).unwrap_or_default();
        let keys: Vec<PaymentKey> = keys.into_iter().map(|payment_no| (merchant_id, payment_no)).collect();
        let mut due: Vec<Payment> =
            keys.iter().filter_map(|key| self.loaded.payments.get(key).cloned()).collect();
        account.advance(self.now, &mut due, &mut self.changes);
        if let Some(next) = self.loaded.next_expiry.remove(&merchant_id) {
            account.usage.next_expiry = next;
        }
        for (key, payment) in keys.into_iter().zip(due) {
            self.keep(key, payment);
        }
        true
    }

    fn keep(&mut self, key: PaymentKey, payment: Payment) {
        let before = self.loaded.payments.insert(key.clone(), payment);
        if self.dirty.insert(key.clone()) && before.is_some() {
            self.known.insert(key);
        }
    }

    fn finish(mut self) -> Effects {
        for key in self.dirty {
            let Some(payment) = self.loaded.payments.get(&key) else { continue };
            let into = if self.known.contains(&key) {
                &mut self.effects.changed_payments
            } else {
                &mut self.effects.new_payments
            };
            into.push(payment.clone());
        }
        let usages = self.touched.iter().filter_map(|(merchant_id, before)| {
            let usage = self.loaded.accounts.get(merchant_id)?.usage;
            (usage != *before).then_some((*merchant_id, usage))
        });
        self.effects.usages = usages.collect();
        // One order of keys in every statement of every instance: clashes wait, they do not deadlock.
        self.effects.usages.sort_unstable_by_key(|(merchant_id, _)| *merchant_id);
        let by_key =
            |a: &Payment, b: &Payment| (a.merchant_id, &a.payment_no).cmp(&(b.merchant_id, &b.payment_no));
        self.effects.new_payments.sort_unstable_by(by_key);
        self.effects.changed_payments.sort_unstable_by(by_key);
        self.effects.log = self.changes.log;
        self.effects.alerts = self.changes.alerts;
        self.effects
    }
}
