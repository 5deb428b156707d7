//! One UTC day of one channel as a source of movements.

use chrono::NaiveDate;

use super::DayPlan;
use super::dice::{Dice, Stride, Topic};
use super::fees::CURRENCIES;
use super::movement::{self, Movement};
use super::story::Stories;

pub(crate) const SECONDS_A_DAY: i64 = 86_400;

/// Movements before 19:12 UTC go into the day's payout, later ones into the next day's.
pub(crate) const CUT_OFF_SECONDS: i64 = SECONDS_A_DAY * 4 / 5;

/// The payout leaves at 22:00 UTC.
pub(crate) const PAYOUT_SECONDS: i64 = 22 * 3600;

/// The UTC date `day` days after 1970-01-01.
pub(crate) fn date_of(day: i64) -> NaiveDate {
    chrono::DateTime::from_timestamp(day * SECONDS_A_DAY, 0).unwrap_or_default().date_naive()
}

/// The order in which a side lists its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// As they happened, as a database would list them.
    Platform,
    /// Shuffled, as a report may.
    Channel,
}

/// One UTC day of one channel. Cheap to make; holds no rows.
#[derive(Debug, Clone)]
pub(crate) struct DaySource {
    pub(crate) dice: Dice,
    pub(crate) stories: Stories,
    pub(crate) plan: DayPlan,
    /// Midnight UTC, Unix seconds.
    pub(crate) start: i64,
    shuffle: Stride,
}

impl DaySource {
    /// `every_day` are the channel's dice.
    pub(crate) fn new(every_day: Dice, day: i64, plan: DayPlan) -> Self {
        let dice = every_day.branch(day.unsigned_abs());
        Self {
            dice,
            stories: Stories::new(dice, plan),
            plan,
            start: day * SECONDS_A_DAY,
            shuffle: Stride::new(plan.payments, 382, dice.draw(1, Topic::Shuffle)),
        }
    }

    /// How many positions there are: the cases and, where there are any, the network fees.
    pub(crate) fn positions(&self) -> u64 {
        if self.plan.payments == 0 { 0 } else { self.plan.payments + CURRENCIES.len() as u64 }
    }

    /// The movements at `position` in `order`.
    pub(crate) fn at(&self, position: u64, order: Order) -> (Movement, Option<Movement>) {
        if let Some(fee) = position.checked_sub(self.plan.payments) {
            let currency = usize::try_from(fee).ok().and_then(|at| CURRENCIES.get(at)).copied();
            let fee = Movement::network_fee(self, position, currency.unwrap_or(CURRENCIES[0]));
            return (fee, None);
        }
        let index = match order {
            Order::Platform => position,
            Order::Channel => self.shuffle.index_at(position),
        };
        movement::of_case(self, index)
    }

    /// When case `index` happens: the cases are spread evenly over the day.
    pub(crate) fn time_of(&self, index: u64) -> i64 {
        let cases = i128::from(self.plan.payments.max(1));
        let jitter = self.dice.below(index, Topic::Time, SECONDS_A_DAY.unsigned_abs());
        let second = (i128::from(index) * i128::from(SECONDS_A_DAY) + i128::from(jitter)) / cases;
        self.start + i64::try_from(second).unwrap_or(0)
    }
}
