//! What one caller does: payments from their beginning to their end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use payops_client::{CallError, Charge, Confirm, Decision, Operation, Outcome, Release, Reserve, Void};
use payops_core::currency::Currency;
use payops_core::money::Money;
use payops_core::random::{Random, SeededRandom};
use uuid::Uuid;

use crate::history::{Asked, Entry, Told, payment_no, release_no};
use crate::load::Shared;

/// The largest amount of a payment, in minor units.
pub(crate) const LARGEST: u64 = 100;
/// The most operations of a batch.
const LARGEST_BATCH: u64 = 40;
/// How long a reservation holds that is to expire, in seconds, and when it is surely over.
const SHORT_TTL_SECONDS: i64 = 1;
const SURELY_OVER: Duration = Duration::from_millis(1500);
/// How many of its payments a caller may ask about again.
const REMEMBERED: usize = 64;

/// One caller and what it was told.
pub(crate) struct Teller {
    shared: Arc<Shared>,
    random: SeededRandom,
    currency: Currency,
    pub(crate) history: Vec<Entry>,
    /// Reservations that are confirmed after they have expired.
    late: VecDeque<(Instant, Entry)>,
    recent: VecDeque<Entry>,
}

impl Teller {
    pub(crate) fn new(shared: Arc<Shared>, random: SeededRandom) -> Result<Self> {
        let currency = "USD".parse()?;
        Ok(Self {
            shared,
            random,
            currency,
            history: Vec::new(),
            late: VecDeque::new(),
            recent: VecDeque::new(),
        })
    }

    /// One more payment, of any kind.
    pub(crate) async fn go_on(&mut self) -> Result<()> {
        if self.late.front().is_some_and(|(due, _)| *due <= Instant::now())
            && let Some((_, entry)) = self.late.pop_front()
        {
            return self.confirm(entry, entry.amount).await;
        }
        match self.random.below(100) {
            0..40 => self.consume().await.map(|_| ()),
            40..52 => self.consume_and_release().await,
            52..64 => self.reserve_and_confirm().await,
            64..70 => self.reserve_and_void().await,
            70..74 => self.reserve_to_expire().await,
            74..80 => self.ask_twice_at_once().await,
            80..85 => self.ask_again().await,
            _ => self.batch().await,
        }
    }

    /// What is still to be confirmed, when it is due.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        while let Some((due, entry)) = self.late.pop_front() {
            tokio::time::sleep_until(due.into()).await;
            self.confirm(entry, entry.amount).await?;
        }
        Ok(())
    }

    fn new_payment(&self, asked: Asked) -> Entry {
        let merchant = self.shared.pick_merchant(&self.random);
        let amount = i64::try_from(1 + self.random.below(LARGEST)).unwrap_or(1);
        Entry { merchant, payment: self.shared.next_payment(), asked, amount, told: Told::Nothing }
    }

    fn merchant_id(&self, entry: &Entry) -> Uuid {
        self.shared.merchants[entry.merchant as usize]
    }

    fn charge(&self, entry: &Entry) -> Charge {
        Charge {
            merchant_id: self.merchant_id(entry),
            payment_no: payment_no(entry.payment),
            money: Money::new(entry.amount, self.currency),
            order_no: None,
            channel: None,
        }
    }

    fn note(&mut self, entry: Entry, told: Told) -> Entry {
        let entry = Entry { told, ..entry };
        self.history.push(entry);
        self.shared.count(&entry);
        if entry.asked == Asked::Consume && told != Told::Nothing {
            self.recent.push_back(entry);
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
        entry
    }

    async fn consume(&mut self) -> Result<Entry> {
        let entry = self.new_payment(Asked::Consume);
        let charge = self.charge(&entry);
        let answer = self.ask_to_consume(&charge).await?;
        Ok(self.note(entry, told(answer.as_ref())))
    }

    async fn ask_to_consume(&self, charge: &Charge) -> Result<Option<Decision>> {
        let callers = &self.shared.callers;
        callers
            .ask(&self.random, |client| {
                let charge = charge.clone();
                async move { client.consume(&charge).await }
            })
            .await
    }

    async fn consume_and_release(&mut self) -> Result<()> {
        let consumed = self.consume().await?;
        if consumed.told != Told::Done {
            return Ok(());
        }
        let part = i64::try_from(self.random.below(LARGEST)).unwrap_or(0);
        if (1..consumed.amount).contains(&part) {
            self.release(consumed, 1, part).await?;
            self.release(consumed, 2, consumed.amount - part).await
        } else {
            self.release(consumed, 1, consumed.amount).await
        }
    }

    async fn release(&mut self, of: Entry, number: u8, amount: i64) -> Result<()> {
        let release = Release {
            merchant_id: self.merchant_id(&of),
            payment_no: payment_no(of.payment),
            release_no: Some(release_no(number)),
            amount: Some(amount),
            reason: None,
        };
        let callers = &self.shared.callers;
        let answer = callers
            .ask(&self.random, |client| {
                let release = release.clone();
                async move { client.release(&release).await }
            })
            .await?;
        if let Some(released) = &answer {
            let Some(released) = released else {
                bail!("{} was acknowledged, and its release does not find it", release.payment_no)
            };
            ensure!(released.money.amount == amount, "{release:?} gave back {}", released.money.amount);
        }
        let told = if answer.is_some() { Told::Done } else { Told::Nothing };
        self.note(Entry { asked: Asked::Release(number), amount, ..of }, told);
        Ok(())
    }

    async fn reserve(&mut self, ttl_seconds: Option<i64>) -> Result<Entry> {
        let entry = self.new_payment(Asked::Reserve);
        let reserve = Reserve { charge: self.charge(&entry), ttl_seconds };
        let callers = &self.shared.callers;
        let answer = callers
            .ask(&self.random, |client| {
                let reserve = reserve.clone();
                async move { client.reserve(&reserve).await }
            })
            .await?;
        Ok(self.note(entry, told(answer.as_ref())))
    }

    async fn reserve_and_confirm(&mut self) -> Result<()> {
        let reserved = self.reserve(None).await?;
        if reserved.told != Told::Done {
            return Ok(());
        }
        let less = i64::try_from(1 + self.random.below(LARGEST)).unwrap_or(1);
        self.confirm(reserved, less.min(reserved.amount)).await
    }

    async fn confirm(&mut self, reserved: Entry, amount: i64) -> Result<()> {
        let confirm = Confirm {
            merchant_id: self.merchant_id(&reserved),
            payment_no: payment_no(reserved.payment),
            amount: Some(amount),
        };
        let callers = &self.shared.callers;
        let answer = callers
            .ask(&self.random, |client| {
                let confirm = confirm.clone();
                async move { client.confirm(&confirm).await }
            })
            .await?;
        if let Some(answer) = &answer {
            ensure!(answer.money.amount == amount, "{confirm:?} counted {}", answer.money.amount);
        }
        let told = if answer.is_some() { Told::Done } else { Told::Nothing };
        self.note(Entry { asked: Asked::Confirm, amount, ..reserved }, told);
        Ok(())
    }

    async fn reserve_and_void(&mut self) -> Result<()> {
        let reserved = self.reserve(None).await?;
        if reserved.told != Told::Done {
            return Ok(());
        }
        let void =
            Void { merchant_id: self.merchant_id(&reserved), payment_no: payment_no(reserved.payment) };
        let callers = &self.shared.callers;
        let answer = callers
            .ask(&self.random, |client| {
                let void = void.clone();
                async move { client.void(&void).await }
            })
            .await?;
        if answer == Some(None) {
            bail!("{} was acknowledged, and its void does not find it", void.payment_no);
        }
        let told = if answer.is_some() { Told::Done } else { Told::Nothing };
        self.note(Entry { asked: Asked::Void, ..reserved }, told);
        Ok(())
    }

    /// Half of them are confirmed after their end, since the money moved.
    async fn reserve_to_expire(&mut self) -> Result<()> {
        let reserved = self.reserve(Some(SHORT_TTL_SECONDS)).await?;
        if reserved.told == Told::Done && self.random.below(2) == 0 {
            self.late.push_back((Instant::now() + SURELY_OVER, reserved));
        }
        Ok(())
    }

    /// The same payment at two places at the same time: both must hear the same.
    async fn ask_twice_at_once(&mut self) -> Result<()> {
        let entry = self.new_payment(Asked::Consume);
        let charge = self.charge(&entry);
        let (first, second) = tokio::try_join!(self.ask_to_consume(&charge), self.ask_to_consume(&charge))?;
        if let (Some(first), Some(second)) = (&first, &second) {
            let decided = |decision: &Decision| Decision { replayed: false, ..decision.clone() };
            ensure!(
                decided(first) == decided(second),
                "{} heard two answers: {first:?} and {second:?}",
                charge.payment_no
            );
        }
        self.note(entry, told(first.or(second).as_ref()));
        Ok(())
    }

    /// A payment that was answered earlier is answered the same way.
    async fn ask_again(&mut self) -> Result<()> {
        let count = self.recent.len() as u64;
        let which = usize::try_from(self.random.below(count))?;
        let Some(entry) = self.recent.get(which).copied() else { return Ok(()) };
        let charge = self.charge(&entry);
        let answer = self.ask_to_consume(&charge).await?;
        if let Some(answer) = &answer {
            let now = told(Some(answer));
            ensure!(now == entry.told, "{} heard {:?}, then {now:?}", charge.payment_no, entry.told);
        }
        Ok(())
    }

    async fn batch(&mut self) -> Result<()> {
        let count = 2 + self.random.below(LARGEST_BATCH - 1);
        let mut open: Vec<Entry> = (0..count)
            .map(|_| {
                self.new_payment(if self.random.below(4) == 0 { Asked::Reserve } else { Asked::Consume })
            })
            .collect();
        // Operations that were not answered are sent again, together, under the same numbers.
        while !open.is_empty() {
            let operations: Vec<Operation> = open.iter().map(|entry| self.operation(entry)).collect();
            let callers = &self.shared.callers;
            let answer = callers
                .ask(&self.random, |client| {
                    let operations = operations.clone();
                    async move { client.batch(&operations).await }
                })
                .await?;
            let Some(answers) = answer else {
                for entry in open.drain(..) {
                    self.note(entry, Told::Nothing);
                }
                return Ok(());
            };
            let mut unanswered = Vec::new();
            for (entry, answer) in open.into_iter().zip(answers) {
                match answer {
                    Ok(Outcome::Decided(decision)) => _ = self.note(entry, told(Some(&decision))),
                    Err(CallError::Away(_)) => unanswered.push(entry),
                    other => bail!("{} was answered {other:?}", payment_no(entry.payment)),
                }
            }
            open = unanswered;
        }
        Ok(())
    }

    fn operation(&self, entry: &Entry) -> Operation {
        let charge = self.charge(entry);
        if entry.asked == Asked::Reserve {
            Operation::Reserve(Reserve { charge, ttl_seconds: None })
        } else {
            Operation::Consume(charge)
        }
    }
}

fn told(answer: Option<&Decision>) -> Told {
    match answer {
        None => Told::Nothing,
        Some(decision) if decision.allowed => Told::Done,
        Some(_) => Told::Declined,
    }
}
