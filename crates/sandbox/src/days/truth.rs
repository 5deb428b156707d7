//! The exact result that a reconciliation of a day must come to.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use payops_core::currency::Currency;
use payops_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::movement::{Expected, Movement};
use super::row::PayoutRow;
use super::world::Amounts;
use super::{Channel, Day, Variant};

/// What a pair, or a row without a partner, is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceType {
    /// Both sides agree.
    Matched,
    /// Only the platform knows it.
    PlatformOnly,
    /// Only the channel knows it.
    ChannelOnly,
    /// The amounts differ.
    AmountDiff,
    /// The platform believes that no money moved; the channel charged.
    StatusDiff,
    /// The currencies differ.
    CurrencyDiff,
    /// The platform has it once more than the channel.
    DuplicatePlatform,
    /// The channel has it once more than the platform.
    DuplicateChannel,
    /// Pending on the platform and not yet at the channel.
    Timing,
}

impl DifferenceType {
    /// Every type.
    pub const ALL: [Self; 9] = [
        Self::Matched,
        Self::PlatformOnly,
        Self::ChannelOnly,
        Self::AmountDiff,
        Self::StatusDiff,
        Self::CurrencyDiff,
        Self::DuplicatePlatform,
        Self::DuplicateChannel,
        Self::Timing,
    ];

    /// The type's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::PlatformOnly => "platform_only",
            Self::ChannelOnly => "channel_only",
            Self::AmountDiff => "amount_diff",
            Self::StatusDiff => "status_diff",
            Self::CurrencyDiff => "currency_diff",
            Self::DuplicatePlatform => "duplicate_platform",
            Self::DuplicateChannel => "duplicate_channel",
            Self::Timing => "timing",
        }
    }
}

/// How many results of one type there are, and what they are worth on each side: minor units, signed as the
/// balance moves (a refund is negative on both sides).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Results: pairs count once.
    pub count: u64,
    /// What the platform's rows are worth.
    pub platform_amounts: Amounts,
    /// What the channel's rows are worth, gross.
    pub channel_amounts: Amounts,
}

impl Group {
    fn add(&mut self, count: u64, platform: Option<(Currency, i64)>, channel: Option<(Currency, i64)>) {
        self.count += count;
        if let Some((currency, amount)) = platform {
            *self.platform_amounts.entry(currency).or_default() += amount;
        }
        if let Some((currency, amount)) = channel {
            *self.channel_amounts.entry(currency).or_default() += amount;
        }
    }
}

/// All rows of the platform's feed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformTotals {
    /// The rows, whatever their status.
    pub rows: u64,
    /// Sums of `amount` as it is written (positive for refunds too): what the feed's trailer says.
    pub written_sums: Amounts,
}

/// All rows of the channel's itemised activity.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelTotals {
    /// The rows, fees included, payouts not.
    pub rows: u64,
    /// Sums of `gross`.
    pub gross: Amounts,
    /// Sums of `fee`.
    pub fee: Amounts,
    /// Sums of `net`.
    pub net: Amounts,
}

/// One currency of the balance summary, minor units: opening + activity + payouts = ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// At the first instant of the day.
    pub opening: i64,
    /// The net of all itemised rows of the day.
    pub activity: i64,
    /// What was paid out: negative.
    pub payouts: i64,
    /// At the first instant after the day. Equal to the next day's opening.
    pub ending: i64,
}

/// The verdict that a reconciliation must reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing differs.
    Reconciled,
    /// Something does.
    Differences,
}

/// The exact expected result of a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The business date.
    pub date: NaiveDate,
    /// The channel.
    pub channel: Channel,
    /// The zone that the date belongs to.
    pub timezone: String,
    /// The seed of the world.
    pub seed: u64,
    /// The variant of each UTC date that the day touches.
    pub variants: BTreeMap<NaiveDate, Variant>,
    /// What a reconciliation must conclude. Timing alone is no difference.
    pub verdict: Verdict,
    /// Results by type; every type is there.
    pub types: BTreeMap<DifferenceType, Group>,
    /// Payments that failed or were cancelled and were never charged: no differences.
    pub not_expected: Group,
    /// The channel's own movements, which the platform does not book.
    pub unbooked: Group,
    /// The platform's side in all.
    pub platform_totals: PlatformTotals,
    /// The channel's side in all.
    pub channel_totals: ChannelTotals,
    /// The balance summary.
    pub balance: BTreeMap<Currency, Balance>,
    /// The payouts that left on the day.
    pub payouts: Vec<PayoutRow>,
    /// First instant of the day.
    pub window_start: Timestamp,
    /// First instant after it.
    pub window_end: Timestamp,
}

impl Truth {
    pub(crate) fn of(day: &Day) -> Self {
        let mut truth = Self {
            date: day.date(),
            channel: day.channel(),
            timezone: day.zone().name().to_owned(),
            seed: day.world().seed(),
            variants: day.utc_dates().map(|date| (date, day.world().plan(date).variant)).collect(),
            verdict: Verdict::Reconciled,
            types: DifferenceType::ALL.map(|found| (found, Group::default())).into(),
            not_expected: Group::default(),
            unbooked: Group::default(),
            platform_totals: PlatformTotals::default(),
            channel_totals: ChannelTotals::default(),
            balance: day.balance(),
            payouts: day.payouts(),
            window_start: day.window().start,
            window_end: day.window().end,
        };
        for movement in day.movements() {
            truth.add(&movement);
        }
        let is_open = |(found, group): (&DifferenceType, &Group)| {
            !matches!(found, DifferenceType::Matched | DifferenceType::Timing) && group.count > 0
        };
        if truth.types.iter().any(is_open) {
            truth.verdict = Verdict::Differences;
        }
        truth
    }

    fn add(&mut self, movement: &Movement) {
        let platform =
            movement.platform.map(|side| (side.currency, movement.kind.signed(side.amount), side.copies));
        let channel = movement.channel.map(|side| (side.currency, side.gross, side.copies));
        let one = |side: Option<(Currency, i64, u8)>| side.map(|(currency, amount, _)| (currency, amount));
        let surplus = |side: Option<(Currency, i64, u8)>| {
            side.filter(|&(.., copies)| copies > 1)
                .map(|(currency, amount, copies)| (u64::from(copies) - 1, (currency, amount)))
        };
        match movement.expected {
            Expected::Type(found) => {
                self.types.entry(found).or_default().add(1, one(platform), one(channel));
            }
            Expected::NothingMoved => self.not_expected.add(1, one(platform), None),
            Expected::Unbooked => self.unbooked.add(1, None, one(channel)),
        }
        if let Some((count, amount)) = surplus(platform) {
            self.types.entry(DifferenceType::DuplicatePlatform).or_default().add(count, Some(amount), None);
        }
        if let Some((count, amount)) = surplus(channel) {
            self.types.entry(DifferenceType::DuplicateChannel).or_default().add(count, None, Some(amount));
        }
        self.add_totals(movement);
    }

    fn add_totals(&mut self, movement: &Movement) {
        if let Some(side) = movement.platform {
            let copies = i64::from(side.copies);
            self.platform_totals.rows += u64::from(side.copies);
            *self.platform_totals.written_sums.entry(side.currency).or_default() += side.amount * copies;
        }
        if let Some(side) = movement.channel {
            let copies = i64::from(side.copies);
            let totals = &mut self.channel_totals;
            totals.rows += u64::from(side.copies);
            *totals.gross.entry(side.currency).or_default() += side.gross * copies;
            *totals.fee.entry(side.currency).or_default() += side.fee * copies;
            *totals.net.entry(side.currency).or_default() += side.total_net();
        }
    }

    /// The results of one type.
    pub fn group(&self, found: DifferenceType) -> &Group {
        const NOTHING: &Group =
            &Group { count: 0, platform_amounts: Amounts::new(), channel_amounts: Amounts::new() };
        self.types.get(&found).unwrap_or(NOTHING)
    }
}
