//! Everything that ever happened in the sandbox: any interval of any channel, as a pure function of a seed.
//!
//! Rows belong to UTC days and happen at instants, so a business day of any zone, a week or an hour are all
//! just intervals, and whatever is asked about them agrees.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use payops_core::currency::Currency;
use payops_core::time::{DayWindow, NoSuchDay, Timestamp, Zone};

use super::dice::{Dice, Topic};
use super::movement::Movement;
use super::row::{PayoutRow, Writer, payout_id};
use super::source::{CUT_OFF_SECONDS, DaySource, Order, PAYOUT_SECONDS, SECONDS_A_DAY, date_of};
use super::{Channel, Day, DayPlan, Variant};

/// Amounts in minor units by currency.
pub type Amounts = BTreeMap<Currency, i64>;

/// All days of all channels. Cheap to clone; holds no rows.
#[derive(Debug, Clone)]
pub struct World {
    seed: u64,
    payments: u64,
    plans: Arc<BTreeMap<NaiveDate, DayPlan>>,
}

impl World {
    /// The world that belongs to `seed`, with about `payments` payments a UTC day and channel.
    pub fn new(seed: u64, payments: u64) -> Self {
        Self { seed, payments: payments.min(DayPlan::MOST_PAYMENTS), plans: Arc::default() }
    }

    /// The same world with another plan for one UTC date.
    #[must_use]
    pub fn with_plan(&self, date: NaiveDate, plan: DayPlan) -> Self {
        let mut plans = (*self.plans).clone();
        plans.insert(date, DayPlan { payments: plan.payments.min(DayPlan::MOST_PAYMENTS), ..plan });
        Self { plans: Arc::new(plans), ..*self }
    }

    /// The same world with these plans besides its own.
    #[must_use]
    pub(crate) fn with_plans(self, plans: impl IntoIterator<Item = (NaiveDate, DayPlan)>) -> Self {
        plans.into_iter().fold(self, |world, (date, plan)| world.with_plan(date, plan))
    }

    /// The dates that are made of something else than the default.
    pub(crate) fn plans(&self) -> &BTreeMap<NaiveDate, DayPlan> {
        &self.plans
    }

    /// About how many payments a UTC day and channel has.
    pub(crate) fn payments(&self) -> u64 {
        self.payments
    }

    /// The seed that everything follows from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What a UTC date is made of, as forced or by default: Sundays are clean, all others are seeded.
    pub fn plan(&self, date: NaiveDate) -> DayPlan {
        let default = || DayPlan { variant: Variant::by_default(date), payments: self.payments };
        self.plans.get(&date).copied().unwrap_or_else(default)
    }

    /// A business day of `channel` in `zone`.
    pub fn day(&self, date: NaiveDate, channel: Channel, zone: &Zone) -> Result<Day, NoSuchDay> {
        let window = zone.day(date)?;
        Ok(Day { world: self.clone(), date, channel, zone: zone.clone(), window })
    }

    /// The dice of a channel, from which those of each day branch off.
    fn dice(&self, channel: Channel) -> Dice {
        Dice::new(self.seed).branch(channel as u64)
    }

    fn source(&self, channel: Channel, day: i64) -> DaySource {
        DaySource::new(self.dice(channel), day, self.plan(date_of(day)))
    }

    /// Every movement of `channel` from `start` (inclusive) to `end` (exclusive), Unix seconds.
    pub(crate) fn movements(&self, channel: Channel, start: i64, end: i64, order: Order) -> Movements {
        Movements::new(self.clone(), channel, start, end, order)
    }

    /// The payouts that leave in the interval, per day and currency.
    pub(crate) fn payouts(&self, channel: Channel, start: i64, end: i64) -> Vec<PayoutRow> {
        let days = start.div_euclid(SECONDS_A_DAY)..=(end - 1).div_euclid(SECONDS_A_DAY);
        days.filter(|day| (start..end).contains(&(day * SECONDS_A_DAY + PAYOUT_SECONDS)))
            .flat_map(|day| self.payouts_of(channel, day))
            .collect()
    }

    fn payouts_of(&self, channel: Channel, day: i64) -> Vec<PayoutRow> {
        let (from, to) = payout_interval(day);
        let mut groups: BTreeMap<Currency, (i64, u64)> = BTreeMap::new();
        for movement in self.movements(channel, from, to, Order::Platform) {
            if let Some(side) = movement.channel {
                let group = groups.entry(side.currency).or_default();
                group.0 += side.total_net();
                group.1 += u64::from(side.copies);
            }
        }
        let effective_at = day * SECONDS_A_DAY + PAYOUT_SECONDS;
        let dice = self.dice(channel).branch(day.unsigned_abs());
        groups
            .into_iter()
            .filter(|&(_, (net, _))| net != 0)
            .map(|(currency, (net, rows))| {
                let id = payout_id(dice, currency);
                PayoutRow::new(dice, id, currency, -net, rows, effective_at)
            })
            .collect()
    }

    /// The balance just before `instant`: what has not been paid out yet, on top of a fixed reserve.
    pub(crate) fn balance_at(&self, channel: Channel, instant: i64) -> Amounts {
        let day = instant.div_euclid(SECONDS_A_DAY);
        let last_payout = if day * SECONDS_A_DAY + PAYOUT_SECONDS < instant { day } else { day - 1 };
        let (_, from) = payout_interval(last_payout);
        let mut balance = self.net_between(channel, from, instant);
        let dice = self.dice(channel);
        for (number, currency) in (0..).zip(super::CURRENCIES) {
            let reserve = 1_000_000 + dice.amount_below(number, Topic::Opening, 4_000_000);
            *balance.entry(currency).or_default() += reserve;
        }
        balance
    }

    fn net_between(&self, channel: Channel, start: i64, end: i64) -> Amounts {
        let mut net = Amounts::new();
        for side in self.movements(channel, start, end, Order::Platform).filter_map(|moved| moved.channel) {
            *net.entry(side.currency).or_default() += side.total_net();
        }
        net
    }
}

/// The instants whose movements the payout of `day` carries.
pub(crate) fn payout_interval(day: i64) -> (i64, i64) {
    let to = day * SECONDS_A_DAY + CUT_OFF_SECONDS;
    (to - SECONDS_A_DAY, to)
}

/// The day whose payout carries a movement that happens at `instant`.
pub(crate) fn payout_day(instant: i64) -> i64 {
    (instant - CUT_OFF_SECONDS).div_euclid(SECONDS_A_DAY) + 1
}

/// The interval of a window in Unix seconds. Movements happen on whole seconds.
pub(crate) fn seconds(window: DayWindow) -> (i64, i64) {
    (window.start.timestamp(), window.end.timestamp())
}

/// The instant of `seconds` after 1970.
pub(crate) fn instant(seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

/// Movements of an interval, made one by one.
#[derive(Debug)]
pub(crate) struct Movements {
    world: World,
    channel: Channel,
    start: i64,
    end: i64,
    order: Order,
    day: i64,
    source: DaySource,
    position: u64,
    second: Option<Movement>,
}

impl Movements {
    fn new(world: World, channel: Channel, start: i64, end: i64, order: Order) -> Self {
        let day = start.div_euclid(SECONDS_A_DAY);
        let source = world.source(channel, day);
        Self { world, channel, start, end, order, day, source, position: 0, second: None }
    }

    /// Goes on at a place that [`Movements::place`] gave.
    pub(crate) fn resume_at(mut self, (day, position): (i64, u64)) -> Self {
        if day != self.day {
            self.day = day;
            self.source = self.world.source(self.channel, day);
        }
        self.position = position;
        self
    }

    /// Where the next case stands. Only meaningful between two cases.
    pub(crate) fn place(&self) -> (i64, u64) {
        (self.day, self.position)
    }

    /// The movements of the next case that lie in the interval, or `None` after the last.
    pub(crate) fn next_case(&mut self) -> Option<[Option<Movement>; 2]> {
        while self.position >= self.source.positions() {
            self.day += 1;
            if self.day * SECONDS_A_DAY >= self.end || self.start >= self.end {
                return None;
            }
            self.source = self.world.source(self.channel, self.day);
            self.position = 0;
        }
        let (first, second) = self.source.at(self.position, self.order);
        self.position += 1;
        let interval = self.start..self.end;
        let inside = |movement: &Movement| interval.contains(&movement.at);
        Some([Some(first).filter(inside), second.filter(inside)])
    }

    /// Makes the rows of the case that was read last.
    pub(crate) fn writer(&self) -> Writer {
        Writer::new(self.channel, self.world.dice(self.channel), self.day)
    }
}

impl Iterator for Movements {
    type Item = Movement;

    fn next(&mut self) -> Option<Movement> {
        if let Some(second) = self.second.take() {
            return Some(second);
        }
        loop {
            match self.next_case()? {
                [None, None] => {}
                [Some(first), second] => {
                    self.second = second;
                    return Some(first);
                }
                [None, Some(second)] => return Some(second),
            }
        }
    }
}
