//! Deterministic business days: what the platform and the channel wrote down, and the truth about it.
//!
//! A [`Day`] is a pure function of (seed, date, channel, zone, size). Its rows are made one by one, so a day
//! of a million payments needs no memory. Each day has known differences of every type, payments that failed
//! here and are absent there, payments that were refunded later, and keys of all three forms (`ch_`/`py_`,
//! `pi_`, `re_`), in four currencies with exponents 0, 2 and 3; [`Day::truth`] is what a reconciliation must
//! find. Sundays (UTC) are clean by default.

mod dice;
mod fees;
mod movement;
mod row;
mod source;
mod story;
#[cfg(test)]
mod tests;
mod truth;
mod world;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, NaiveDate, Weekday};
use payops_core::currency::Currency;
use payops_core::time::{DayWindow, NoSuchDay, Zone};
use serde::{Deserialize, Serialize};

pub use fees::{CURRENCIES, fee_of};
pub use movement::{MovementKind, PlatformStatus};
pub use row::{ChannelRow, PayoutRow, PlatformRow};
pub use truth::{Balance, ChannelTotals, DifferenceType, Group, PlatformTotals, Truth, Verdict};
pub use world::{Amounts, World};

pub(crate) use source::{Order, PAYOUT_SECONDS, SECONDS_A_DAY, date_of};
pub(crate) use world::{Movements, payout_interval};

/// The channels that the gateway has payments of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// Stripe; the only one whose own side is served too.
    Stripe,
    /// `PayPal`.
    PayPal,
    /// Alipay.
    Alipay,
    /// `WeChat` Pay.
    WeChat,
    /// Adyen.
    Adyen,
}

/// A name that no channel has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a channel: stripe, paypal, alipay, wechat and adyen are")]
pub struct UnknownChannel(pub String);

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 5] = [Self::Stripe, Self::PayPal, Self::Alipay, Self::WeChat, Self::Adyen];

    /// The channel's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stripe => "stripe",
            Self::PayPal => "paypal",
            Self::Alipay => "alipay",
            Self::WeChat => "wechat",
            Self::Adyen => "adyen",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, UnknownChannel> {
        let known = Self::ALL.into_iter().find(|channel| channel.as_str() == text);
        known.ok_or_else(|| UnknownChannel(text.chars().take(40).collect()))
    }
}

/// Which telling of a day is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// No difference at all; failed payments and later refunds are still there.
    Clean,
    /// Known differences of every type.
    Seeded,
    /// The seeded day as the channel tells it later. Of what happened after 19:12 UTC: wrong amounts are
    /// right, payments that were missing are there, and some amounts that agreed no longer do.
    Corrected,
}

impl Variant {
    /// What a UTC date is unless it is forced: Sundays are clean, all others seeded.
    pub fn by_default(date: NaiveDate) -> Self {
        if date.weekday() == Weekday::Sun { Self::Clean } else { Self::Seeded }
    }
}

/// What a UTC date is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayPlan {
    /// Which telling.
    pub variant: Variant,
    /// How many payments (and refunds, disputes …) of each channel.
    pub payments: u64,
}

impl DayPlan {
    /// How many payments a day has unless told otherwise.
    pub const USUAL_PAYMENTS: u64 = 500;
    /// The most payments a day can have.
    pub const MOST_PAYMENTS: u64 = 10_000_000;
}

/// A business day of one channel. Cheap to clone; holds no rows.
#[derive(Debug, Clone)]
pub struct Day {
    world: World,
    date: NaiveDate,
    channel: Channel,
    zone: Zone,
    window: DayWindow,
}

impl Day {
    /// The day of a world with `payments` payments a day, each UTC date in its default variant.
    pub fn new(
        seed: u64,
        date: NaiveDate,
        channel: Channel,
        zone: &Zone,
        payments: u64,
    ) -> Result<Self, NoSuchDay> {
        World::new(seed, payments).day(date, channel, zone)
    }

    /// The same day in another variant. A day that spans two UTC dates changes both.
    #[must_use]
    pub fn with_variant(&self, variant: Variant) -> Self {
        let mut world = self.world.clone();
        for date in self.utc_dates() {
            let plan = world.plan(date);
            world = world.with_plan(date, DayPlan { variant, ..plan });
        }
        Self { world, ..self.clone() }
    }

    /// The business date.
    pub fn date(&self) -> NaiveDate {
        self.date
    }

    /// The channel.
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// The zone that the date belongs to.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The instants of the day.
    pub fn window(&self) -> DayWindow {
        self.window
    }

    /// The world that the day belongs to.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The UTC dates that the day touches: one or two, none where the zone skipped the day.
    pub fn utc_dates(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let (start, end) = world::seconds(self.window);
        let days = start.div_euclid(SECONDS_A_DAY)..=(end - 1).div_euclid(SECONDS_A_DAY);
        days.filter(move |_| start < end).map(date_of)
    }

    /// The rows of the platform's feed, as they happened.
    pub fn platform_rows(&self) -> impl Iterator<Item = PlatformRow> + use<> {
        let (start, end) = world::seconds(self.window);
        PlatformRows::new(self.world.movements(self.channel, start, end, Order::Platform))
            .map(|placed| placed.row)
    }

    /// As [`Day::platform_rows`], from a place on, each with the place that follows it.
    pub(crate) fn platform_rows_from(&self, place: Option<Place>) -> PlatformRows {
        let (start, end) = world::seconds(self.window);
        let movements = self.world.movements(self.channel, start, end, Order::Platform);
        match place {
            None => PlatformRows::new(movements),
            Some(place) => {
                let resumed = movements.resume_at((place.day, place.position));
                let mut rows = PlatformRows::new(resumed);
                rows.skip_in_case(place.skip);
                rows
            }
        }
    }

    /// The balance transactions of the channel, payouts excluded, in the order of its report.
    pub fn channel_rows(&self) -> impl Iterator<Item = ChannelRow> + use<> {
        let (start, end) = world::seconds(self.window);
        channel_rows(&self.world, self.channel, start, end)
    }

    /// The payouts that leave on the day.
    pub fn payouts(&self) -> Vec<PayoutRow> {
        let (start, end) = world::seconds(self.window);
        self.world.payouts(self.channel, start, end)
    }

    /// The balance summary of the day, per currency.
    pub fn balance(&self) -> BTreeMap<Currency, Balance> {
        let (start, end) = world::seconds(self.window);
        balance(&self.world, self.channel, start, end)
    }

    /// What a reconciliation of the day must find. Walks over the day once more; holds no rows.
    pub fn truth(&self) -> Truth {
        Truth::of(self)
    }

    pub(crate) fn movements(&self) -> Movements {
        let (start, end) = world::seconds(self.window);
        self.world.movements(self.channel, start, end, Order::Platform)
    }
}

/// The balance summary of an interval, per currency.
pub(crate) fn balance(world: &World, channel: Channel, start: i64, end: i64) -> BTreeMap<Currency, Balance> {
    let mut balances: BTreeMap<Currency, Balance> = BTreeMap::new();
    for (currency, amount) in world.balance_at(channel, start) {
        balances.entry(currency).or_default().opening = amount;
    }
    for side in world.movements(channel, start, end, Order::Platform).filter_map(|moved| moved.channel) {
        balances.entry(side.currency).or_default().activity += side.total_net();
    }
    for payout in world.payouts(channel, start, end) {
        balances.entry(payout.currency).or_default().payouts += payout.gross;
    }
    for (currency, amount) in world.balance_at(channel, end) {
        balances.entry(currency).or_default().ending = amount;
    }
    balances
}

/// The channel's rows of an interval, in the order of its report.
pub(crate) fn channel_rows(
    world: &World,
    channel: Channel,
    start: i64,
    end: i64,
) -> impl Iterator<Item = ChannelRow> + use<> {
    let mut movements = world.movements(channel, start, end, Order::Channel);
    std::iter::from_fn(move || movements.next_case().map(|case| (case, movements.writer()))).flat_map(
        |(case, writer)| {
            case.into_iter().flatten().flat_map(move |movement| {
                let side = movement.channel;
                (0..side.map_or(0, |side| side.copies))
                    .filter_map(move |copy| side.map(|side| writer.channel(&movement, &side, copy)))
            })
        },
    )
}

/// A place between two rows of the platform's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The UTC day.
    pub(crate) day: i64,
    /// The case.
    pub(crate) position: u64,
    /// How many rows of the case stand before the place.
    pub(crate) skip: usize,
}

/// A row of the feed and the place that follows it.
#[derive(Debug)]
pub(crate) struct Placed {
    pub(crate) row: PlatformRow,
    pub(crate) next: Place,
}

/// The platform's rows of an interval.
#[derive(Debug)]
pub(crate) struct PlatformRows {
    movements: Movements,
    case: std::vec::IntoIter<Placed>,
}

impl PlatformRows {
    fn new(movements: Movements) -> Self {
        Self { movements, case: Vec::new().into_iter() }
    }

    fn skip_in_case(&mut self, rows: usize) {
        if rows > 0 {
            self.fill();
            self.case.by_ref().take(rows).for_each(drop);
        }
    }

    /// Makes the rows of the next case; false after the last.
    fn fill(&mut self) -> bool {
        let (before_day, before_position) = self.movements.place();
        let Some(case) = self.movements.next_case() else { return false };
        let after = self.movements.place();
        let writer = self.movements.writer();
        let mut rows = Vec::new();
        for movement in case.into_iter().flatten() {
            if let Some(side) = movement.platform {
                rows.extend((0..side.copies).map(|copy| writer.platform(&movement, &side, copy)));
            }
        }
        // The case that was read may be the first of the next day.
        let case_place =
            if after.0 == before_day { (before_day, before_position) } else { (after.0, after.1 - 1) };
        let last = rows.len();
        let placed = rows.into_iter().zip(1..).map(|(row, taken)| Placed {
            row,
            next: if taken == last {
                Place { day: after.0, position: after.1, skip: 0 }
            } else {
                Place { day: case_place.0, position: case_place.1, skip: taken }
            },
        });
        self.case = placed.collect::<Vec<_>>().into_iter();
        true
    }
}

impl Iterator for PlatformRows {
    type Item = Placed;

    fn next(&mut self) -> Option<Placed> {
        loop {
            if let Some(placed) = self.case.next() {
                return Some(placed);
            }
            if !self.fill() {
                return None;
            }
        }
    }
}
