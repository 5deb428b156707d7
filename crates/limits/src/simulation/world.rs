//! The instances, the clients that ask them over a bad network, and what else happens meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use payops_core::currency::Currency;
use payops_core::time::Zone;
use payops_platform::error::Result;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::chance::Chance;
use super::store::{Database, POISON, Rows, Simulated};
use crate::coalesce::{Coalescer, Options};
use crate::decide::{Action, Approval, Charge, Operation, Outcome, Refusal, ReleaseRequest};
use crate::metrics::LimitMetrics;
use crate::model::{LimitKind, Override, Terms};
use crate::rate::AppliedRate;

/// Zones whose days are odd on some of the days that runs begin on.
pub(super) const ZONES: [&str; 7] = [
    "Etc/UTC",
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
];

/// Everything that belongs to one run.
pub(super) struct World {
    pub(super) database: Arc<Database>,
    pub(super) chance: Arc<Chance>,
    pub(super) merchants: Vec<Uuid>,
    metrics: Arc<LimitMetrics>,
    options: Options,
    instances: Mutex<Vec<Instance>>,
    heard: Mutex<Heard>,
    /// Duplicates on their way.
    late: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Clone)]
struct Instance {
    coalescer: Arc<Coalescer>,
    dead: CancellationToken,
}

/// What clients were answered.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The first answer to each number: action, merchant, payment and release.
    answers: BTreeMap<(&'static str, Uuid, String, String), Arc<str>>,
    fresh: BTreeSet<(&'static str, Uuid, String, String)>,
    /// Numbers that were answered 503 `OVERLOADED` and never sent again.
    pub(super) refused_room: Vec<(Uuid, String)>,
    /// What nobody heard an answer to.
    open: Vec<Operation>,
    pub(super) wrong: Vec<String>,
}

impl World {
    pub(super) fn new(
        database: Arc<Database>,
        chance: Arc<Chance>,
        merchants: Vec<Uuid>,
        metrics: Arc<LimitMetrics>,
    ) -> Self {
        let size = |from, to| usize::try_from(chance.between(from, to)).unwrap();
        let options = Options {
            shards: NonZeroUsize::new(size(1, 3)).unwrap(),
            queue: size(8, 40),
            queue_per_merchant: size(4, 20),
            calls_per_merchant: size(4, 20),
            batch: size(1, 16),
            batch_per_merchant: size(1, 16),
        };
        let count = size(1, 3);
        let (instances, heard, late) = (Mutex::default(), Mutex::default(), Mutex::default());
        let world = Self { database, chance, merchants, metrics, options, instances, heard, late };
        *world.instances() = (0..count).map(|_| world.instance()).collect();
        world
    }

    fn instance(&self) -> Instance {
        let dead = CancellationToken::new();
        let decider = Simulated { database: Arc::clone(&self.database), dead: dead.clone() };
        Instance { coalescer: Arc::new(Coalescer::start(decider, &self.metrics, self.options)), dead }
    }

    fn instances(&self) -> MutexGuard<'_, Vec<Instance>> {
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client's whole life.
    pub(super) async fn client(self: Arc<Self>, number: u64, steps: u64) {
        for step in 0..steps {
            self.wander(60).await;
            match self.chance.below(20) {
                0 => self.flood(&format!("f{number}-{step}-")).await,
                1..=3 => {
                    let count = self.chance.between(2, 12);
                    let operations = (0..count).map(|_| self.operation()).collect();
                    self.ask_many(operations).await;
                }
                _ => self.ask(self.operation()).await,
            }
        }
    }

    /// Asks again until an answer is heard, as a gateway does.
    async fn ask(self: &Arc<Self>, operation: Operation) {
        for _ in 0..self.chance.between(1, 6) {
            if self.chance.of_a_thousand(100) {
                self.chance.count("a duplicate");
                let (world, operation) = (Arc::clone(self), operation.clone());
                let late = tokio::spawn(async move {
                    world.wander(400).await;
                    world.deliver(&operation).await;
                });
                self.late.lock().unwrap_or_else(PoisonError::into_inner).push(late);
            }
            if self.deliver(&operation).await {
                return;
            }
            self.chance.count("a retry");
            self.wander(30).await;
        }
        self.heard().open.push(operation);
    }

    /// Sends once; whether an answer was heard.
    async fn deliver(&self, operation: &Operation) -> bool {
        self.wander(20).await;
        if self.chance.of_a_thousand(50) {
            self.chance.count("a request lost");
            return false;
        }
        let patience = Duration::from_millis(self.chance.below(400) + 5);
        let instance = self.chance.pick(self.instances().as_slice());
        let answer = instance.coalescer.submit(operation.clone());
        let answer = tokio::select! {
            biased;
            () = instance.dead.cancelled() => None,
            answer = timeout(patience, answer) => answer.ok(),
        };
        let Some(answer) = answer else {
            self.chance.count("no answer in time");
            return false;
        };
        if !self.note(operation, answer) {
            return false;
        }
        self.wander(20).await;
        if self.chance.of_a_thousand(100) {
            self.chance.count("an answer lost");
            return false;
        }
        true
    }

    async fn ask_many(&self, operations: Vec<Operation>) {
        self.wander(20).await;
        let instance = self.chance.pick(self.instances().as_slice());
        let wanted = operations.iter().cloned().map(Ok).collect();
        let answers = tokio::select! {
            biased;
            () = instance.dead.cancelled() => return,
            answers = instance.coalescer.submit_all(wanted) => answers,
        };
        if answers.len() != operations.len() {
            self.heard().wrong.push("a batch was answered by another number of answers".to_owned());
        }
        for (operation, answer) in operations.iter().zip(answers) {
            self.note(operation, answer);
        }
    }

    /// One merchant asks for more at once than there is room for, and never again.
    async fn flood(&self, prefix: &str) {
        let merchant_id = self.chance.pick(&self.merchants);
        let operation = |number: i32| Operation {
            merchant_id,
            payment_no: format!("{prefix}{number}"),
            action: Action::Consume(Charge {
                amount: self.chance.between(1, 3),
                currency: Currency::USD,
                order_no: None,
                channel: None,
            }),
        };
        let operations: Vec<Operation> = (0..50).map(operation).collect();
        let instance = self.chance.pick(self.instances().as_slice());
        let answers = tokio::select! {
            biased;
            () = instance.dead.cancelled() => return,
            answers = instance.coalescer.submit_all(operations.iter().cloned().map(Ok).collect()) => answers,
        };
        for (operation, answer) in operations.iter().zip(answers) {
            if answer.as_ref().is_err_and(|error| error.code() == "OVERLOADED") {
                self.chance.count("a full queue");
                self.heard().refused_room.push((merchant_id, operation.payment_no.clone()));
            } else {
                self.note(operation, answer);
            }
        }
        self.in_order(merchant_id, prefix);
    }

    /// What one merchant asks for together is decided in its order.
    fn in_order(&self, merchant_id: Uuid, prefix: &str) {
        let rows = self.database.rows();
        let told = rows.log.get(&merchant_id).into_iter().flatten();
        let numbers =
            told.filter_map(|row| row.payment_no.as_deref()?.strip_prefix(prefix)?.parse::<u32>().ok());
        let numbers: Vec<u32> = numbers.collect();
        if !numbers.is_sorted() {
            self.heard().wrong.push(format!("{prefix} was decided in the order {numbers:?}"));
        }
    }

    /// Holds an answer against the store at the moment it is given. False for an error, after which a client asks
    /// again.
    fn note(&self, operation: &Operation, answer: Result<Outcome>) -> bool {
        let outcome = match answer {
            Ok(outcome) => outcome,
            Err(error) => {
                let said = format!("{error:?}");
                let given_up = said.contains("gave an operation up") || said.contains("no outcome");
                if given_up {
                    self.heard().wrong.push(format!("{operation:?} was given up: {said}"));
                }
                return operation.payment_no == POISON;
            }
        };
        let rows = self.database.rows();
        let wrong = match &outcome {
            Outcome::Refused(Refusal::Inconsistent) => Some("inconsistent".to_owned()),
            Outcome::Approved(approval) => self.agree(&rows, operation, approval),
            Outcome::Declined { answer, replayed, .. } => {
                self.agree(&rows, operation, &Approval { answer: Arc::clone(answer), replayed: *replayed })
            }
            Outcome::Refused(_) => None,
            Outcome::Swept => (operation.action != Action::Sweep).then(|| "swept".to_owned()),
        };
        if let Some(wrong) = wrong {
            self.heard().wrong.push(format!("{operation:?} was answered {outcome:?}: {wrong}"));
        }
        true
    }

    /// What is wrong with an answer: it is not stored, it is not the first one again, or two say to be the first.
    fn agree(&self, rows: &Rows, operation: &Operation, given: &Approval) -> Option<String> {
        let (merchant_id, number) = (operation.merchant_id, operation.payment_no.clone());
        let Some(payment) = rows.payments.get(&(merchant_id, number.clone())) else {
            return Some("the payment is not stored".to_owned());
        };
        let mut release_no = String::new();
        let (action, stored) = match &operation.action {
            Action::Consume(_) | Action::Reserve(..) => ("charge", Some(payment.answer.as_str())),
            Action::Void if given.replayed && given.answer.contains(r#""status":"expired""#) => {
                self.chance.count("a void of what has expired");
                return None;
            }
            Action::Confirm(_) | Action::Void => ("end", payment.end_answer.as_deref()),
            Action::Release(request) => {
                release_no.clone_from(&request.release_no);
                let key = (merchant_id, number.clone(), request.release_no.clone());
                ("release", rows.releases.get(&key).map(|release| release.answer.as_str()))
            }
            Action::Sweep => return Some("a sweep has no such answer".to_owned()),
        };
        if stored != Some(&*given.answer) {
            return Some(format!("stored is {stored:?}"));
        }
        let key = (action, merchant_id, number, release_no);
        let mut heard = self.heard();
        if !given.replayed && !heard.fresh.insert(key.clone()) {
            return Some("it was decided twice".to_owned());
        }
        if given.replayed {
            self.chance.count("a replay");
        }
        let first = heard.answers.entry(key).or_insert_with(|| Arc::clone(&given.answer));
        (*first != given.answer).then(|| format!("the first answer was {first}"))
    }

    async fn wander(&self, most: u64) {
        sleep(Duration::from_millis(self.chance.below(most + 1))).await;
    }

    /// Once nothing goes wrong any more, everything is asked again that nobody heard an answer to, and everybody is
    /// brought up to the present.
    pub(super) async fn settle(&self) {
        self.database.calm();
        let late = std::mem::take(&mut *self.late.lock().unwrap_or_else(PoisonError::into_inner));
        for late in late {
            late.await.unwrap();
        }
        let instance = self.instance();
        let mut open = std::mem::take(&mut self.heard().open);
        open.extend(self.merchants.iter().map(|merchant_id| Operation {
            merchant_id: *merchant_id,
            payment_no: String::new(),
            action: Action::Sweep,
        }));
        for operation in open {
            let answer = instance.coalescer.submit(operation.clone()).await;
            if !self.note(&operation, answer) {
                self.heard().wrong.push(format!("{operation:?} has no answer in the calm after"));
            }
        }
    }
}

// What clients ask for.
impl World {
    fn operation(&self) -> Operation {
        let chance = &self.chance;
        let number = |most: u64| format!("p{}", chance.below(most));
        let unknown = chance.of_a_thousand(20);
        let merchant_id = if unknown { Uuid::from_u128(404) } else { chance.pick(&self.merchants) };
        let (payment_no, action) = match chance.below(100) {
            0 => (POISON.to_owned(), Action::Consume(self.charge(merchant_id))),
            1 => (String::new(), Action::Sweep),
            2..=39 => (number(40), Action::Consume(self.charge(merchant_id))),
            40..=59 => (number(40), Action::Reserve(self.charge(merchant_id), chance.between(1, 7200))),
            60..=76 => (number(40), Action::Confirm(chance.maybe(400, || chance.between(1, 120)))),
            77..=82 => (number(40), Action::Void),
            _ => {
                let release_no = format!("r{}", chance.below(4));
                let amount = chance.maybe(700, || chance.between(1, 60));
                (number(40), Action::Release(ReleaseRequest { release_no, amount, reason: None }))
            }
        };
        Operation { merchant_id, payment_no, action }
    }

    fn charge(&self, merchant_id: Uuid) -> Charge {
        let chance = &self.chance;
        let wide = merchant_id == self.merchants[0];
        let amount = if wide && chance.of_a_thousand(100) { i64::MAX / 2 } else { chance.between(1, 120) };
        let foreign = chance.maybe(150, || chance.pick(&["CNY", "JPY", "EUR"]));
        let currency = foreign.map_or(Currency::USD, |code| code.parse().unwrap());
        Charge { amount, currency, order_no: chance.maybe(100, || "o1".to_owned()), channel: None }
    }
}

// What else happens.
impl World {
    pub(super) async fn trouble(self: Arc<Self>, over: CancellationToken) {
        while !over.is_cancelled() {
            self.wander(150).await;
            match self.chance.below(12) {
                0 => self.kill(),
                1 => self.database.restart(),
                2 => self.database.move_clock(self.chance.between(60, 30_000)),
                3 => self.database.move_clock(self.chance.between(-90, -1)),
                4 => self.set_rate(),
                _ => self.edit().await,
            }
        }
    }

    /// Kills an instance; another one takes its place.
    fn kill(&self) {
        self.chance.count("an instance killed");
        let fresh = self.instance();
        let mut instances = self.instances();
        let which = usize::try_from(self.chance.below(instances.len() as u64)).unwrap();
        instances[which].dead.cancel();
        instances[which] = fresh;
    }

    fn set_rate(&self) {
        let from: Currency = self.chance.pick(&["CNY", "JPY"]).parse().unwrap();
        let rate = format!("0.{:04}", self.chance.between(1, 9999)).parse().unwrap();
        let id = Uuid::from_u128(u128::from(self.chance.below(u64::MAX)));
        self.database.rows().rates.insert((from, Currency::USD), AppliedRate { id, rate });
    }

    async fn edit(&self) {
        let chance = &self.chance;
        let merchant_id = chance.pick(&self.merchants);
        match chance.below(5) {
            0 | 1 => {
                let reason = chance.maybe(300, || "risk".to_owned());
                self.database.edit(merchant_id, |terms, _| terms.suspended = reason).await;
            }
            2 => {
                let limit = chance.maybe(700, || chance.between(0, 1200));
                let kind = chance.below(3);
                let set = |terms: &mut Terms, _| match kind {
                    0 => terms.custom.daily = limit,
                    1 => terms.custom.monthly = limit.map(|limit| limit * 3),
                    _ => terms.custom.single_trans = limit,
                };
                self.database.edit(merchant_id, set).await;
            }
            3 => {
                let kind = chance.pick(&[LimitKind::Daily, LimitKind::Monthly, LimitKind::SingleTrans]);
                let (value, later, length) =
                    (chance.between(0, 2000), chance.between(0, 3600), chance.between(1, 20_000));
                self.database
                    .edit(merchant_id, |terms, now| {
                        let from = now + chrono::Duration::seconds(later);
                        let to = from + chrono::Duration::seconds(length);
                        // Two of one limit never hold at once.
                        terms.overrides.retain(|o| o.kind != kind);
                        terms.overrides.push(Override { kind, value, from, to });
                    })
                    .await;
            }
            _ => {
                let zone = Zone::named(chance.pick(&ZONES)).unwrap();
                self.database.edit(merchant_id, |terms, _| terms.zone = zone).await;
            }
        }
    }
}
