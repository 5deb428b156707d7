//! Two files that should agree and do so in all but known places.
//!
//! Of the platform's rows, 0.5% are missing at the channel, 0.3% differ in amount (one in ten of these in status as
//! well) and 0.2% in status alone; another 0.4% are the channel's only. Each record follows from its number, and
//! either file has the numbers in a scattered order of its own, so that only the differences are held in memory.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

const CURRENCIES: [(&str, &str); 4] = [("USD", "usd"), ("EUR", "eur"), ("GBP", "gbp"), ("CNY", "cny")];
/// The platform's status words and the channel's for the same states.
const STATUSES: [(&str, &str); 4] =
    [("SUCCESS", "succeeded"), ("REFUNDED", "refunded"), ("PENDING", "pending"), ("FAILED", "failed")];
const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    Matched,
    PlatformOnly,
    ChannelOnly,
    AmountDiff,
    StatusDiff,
}

impl Class {
    pub(super) const ALL: [Self; 5] =
        [Self::Matched, Self::PlatformOnly, Self::ChannelOnly, Self::AmountDiff, Self::StatusDiff];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::PlatformOnly => "platform_only",
            Self::ChannelOnly => "channel_only",
            Self::AmountDiff => "amount_diff",
            Self::StatusDiff => "status_diff",
        }
    }
}

/// How many records of a class there are, and each side's sum over all currencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Total {
    pub(super) count: u64,
    pub(super) platform: i64,
    pub(super) channel: i64,
}

/// What the data is like.
#[derive(Debug, Clone, Copy)]
pub(in crate::bench) struct Shape {
    /// How many times as many differences as usual.
    pub(in crate::bench) differences: u64,
    /// Over how many days of January 2025 the rows are spread.
    pub(in crate::bench) days: u64,
}

impl Shape {
    /// A month with 1.4 % of differences.
    pub(super) const MONTH: Self = Self { differences: 1, days: 31 };
}

/// What was written, and what must be found in it.
#[derive(Debug)]
pub(in crate::bench) struct Dataset {
    pub(super) bytes: u64,
    /// In the order of [`Class::ALL`].
    pub(super) totals: [Total; Class::ALL.len()],
    /// One line per difference, sorted: class, trade number, payment number, channel row, amounts, statuses.
    pub(in crate::bench) differences: Vec<String>,
}

impl Dataset {
    /// Writes `platform.csv` and `channel.csv` with about `rows` rows each.
    pub(in crate::bench) fn write(rows: u32, shape: Shape, folder: &Path) -> Result<Self> {
        let plan = Plan::new(rows.into(), shape);
        let header = "payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id";
        let ours = Scattered::new(plan.platform_rows, 1).map(|number| plan.record(number));
        let mut bytes = write_file(&folder.join("platform.csv"), header, ours, Record::platform_line)?;

        let header =
            "balance_transaction_id,created,currency,gross,fee,net,reporting_category,source_id,status";
        let theirs = Scattered::new(plan.records() - plan.platform_only, 2);
        let theirs = theirs.map(|number| plan.record(plan.platform_only + number));
        bytes += write_file(&folder.join("channel.csv"), header, theirs, Record::channel_line)?;

        let (totals, differences) = plan.expected();
        Ok(Self { bytes, totals, differences })
    }
}

fn write_file(
    path: &Path,
    header: &str,
    records: impl Iterator<Item = Record>,
    line_of: impl Fn(&Record, &mut String) -> std::fmt::Result,
) -> Result<u64> {
    let write = || -> Result<u64> {
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        writeln!(out, "{header}")?;
        let mut line = String::new();
        for record in records {
            line.clear();
            line_of(&record, &mut line)?;
            out.write_all(line.as_bytes())?;
        }
        Ok(out.into_inner()?.metadata()?.len())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// How many records there are of each class. Their numbers follow in this order: platform only, amount, status,
/// matched, channel only.
#[derive(Debug, Clone, Copy)]
struct Plan {
    platform_rows: u64,
    platform_only: u64,
    amount: u64,
    status: u64,
    channel_only: u64,
    days: u64,
}

impl Plan {
    fn new(rows: u64, shape: Shape) -> Self {
        let part = |thousandths: u64| rows * thousandths * shape.differences / 1000;
        Self {
            platform_rows: rows,
            platform_only: part(5),
            amount: part(3),
            status: part(2),
            channel_only: part(4),
            days: shape.days,
        }
    }

    fn records(&self) -> u64 {
        self.platform_rows + self.channel_only
    }

    fn class(&self, number: u64) -> Class {
        let Self { platform_rows, platform_only, amount, status, .. } = *self;
        match number {
            _ if number < platform_only => Class::PlatformOnly,
            _ if number < platform_only + amount => Class::AmountDiff,
            _ if number < platform_only + amount + status => Class::StatusDiff,
            _ if number < platform_rows => Class::Matched,
            _ => Class::ChannelOnly,
        }
    }

    fn record(&self, number: u64) -> Record {
        let class = self.class(number);
        let mut dice = Dice(number);
        let is_large = dice.below(20) == 0;
        let amount = if is_large { 50_000 + dice.below(4_950_000) } else { 100 + dice.below(49_900) };
        let status = match dice.below(200) {
            0..188 => 0,
            188..196 => 1,
            196..199 => 2,
            _ => 3,
        };
        let other_status = (status + 1 + dice.below(3)) % 4;
        let (up, by) = (dice.below(2) == 0, 1 + dice.below(99));
        let other_amount = if up { amount + by } else { amount - by };
        let changes_status = class == Class::StatusDiff || class == Class::AmountDiff && dice.below(10) == 0;
        Record {
            number,
            class,
            amount,
            channel_amount: if class == Class::AmountDiff { other_amount } else { amount },
            status: pick(&STATUSES, status).0,
            channel_status: pick(&STATUSES, if changes_status { other_status } else { status }).1,
            currency: pick(&CURRENCIES, dice.below(4)),
            second: dice.below(self.days * 86_400),
            merchant: dice.below(5_000),
        }
    }

    fn expected(&self) -> ([Total; Class::ALL.len()], Vec<String>) {
        let mut totals = [Total::default(); Class::ALL.len()];
        let mut differences = Vec::new();
        for record in (0..self.records()).map(|number| self.record(number)) {
            let total = &mut totals[record.class as usize];
            total.count += 1;
            total.platform += record.platform_amount().map_or(0, u64::cast_signed);
            total.channel += record.channel_amount().map_or(0, u64::cast_signed);
            if record.class != Class::Matched {
                differences.push(record.difference());
            }
        }
        differences.sort_unstable();
        (totals, differences)
    }
}

/// One movement of money as both sides tell of it.
#[derive(Debug)]
struct Record {
    number: u64,
    class: Class,
    amount: u64,
    channel_amount: u64,
    status: &'static str,
    channel_status: &'static str,
    currency: (&'static str, &'static str),
    second: u64,
    merchant: u64,
}

impl Record {
    fn platform_line(&self, out: &mut String) -> std::fmt::Result {
        let (day, hour, minute, second) = self.clock();
        write!(
            out,
            "{},{},{},{},{},",
            self.payment_no(),
            self.trade_no(),
            self.amount,
            self.currency.0,
            self.status
        )?;
        writeln!(out, "2025-01-{day:02}T{hour:02}:{minute:02}:{second:02}Z,M{:06}", self.merchant)
    }

    fn channel_line(&self, out: &mut String) -> std::fmt::Result {
        let (day, hour, minute, second) = self.clock();
        let fee = self.channel_amount * 29 / 1000 + 30;
        // A payment of a few cents does not bear the fixed part of the fee.
        let fee = fee.min(self.channel_amount);
        write!(out, "{},2025-01-{day:02} {hour:02}:{minute:02}:{second:02},", self.channel_row())?;
        write!(out, "{},", self.currency.1)?;
        for minor in [self.channel_amount, fee, self.channel_amount - fee] {
            write!(out, "{}.{:02},", minor / 100, minor % 100)?;
        }
        writeln!(out, "charge,{},{}", self.trade_no(), self.channel_status)
    }

    /// The line that a correct comparison gives for a record that is not matched.
    fn difference(&self) -> String {
        let on_platform = self.class != Class::ChannelOnly;
        let on_channel = self.class != Class::PlatformOnly;
        let text = |there: bool, text: String| if there { text } else { String::new() };
        let amount = |amount: Option<u64>| amount.map(|amount| amount.to_string()).unwrap_or_default();
        [
            self.class.name().to_owned(),
            self.trade_no(),
            text(on_platform, self.payment_no()),
            text(on_channel, self.channel_row()),
            amount(self.platform_amount()),
            amount(self.channel_amount()),
            text(on_platform, self.status.to_owned()),
            text(on_channel, self.channel_status.to_owned()),
        ]
        .join(",")
    }

    fn platform_amount(&self) -> Option<u64> {
        (self.class != Class::ChannelOnly).then_some(self.amount)
    }

    fn channel_amount(&self) -> Option<u64> {
        (self.class != Class::PlatformOnly).then_some(self.channel_amount)
    }

    fn payment_no(&self) -> String {
        format!("PAY202501{:012}{:08}", Dice(self.number ^ 0xA).below(1_000_000_000_000), self.number)
    }

    fn trade_no(&self) -> String {
        format!("ch_3{}", letters(self.number, 0xB, 19))
    }

    fn channel_row(&self) -> String {
        format!("txn_3{}", letters(self.number, 0xC, 18))
    }

    fn clock(&self) -> (u64, u64, u64, u64) {
        (1 + self.second / 86_400, self.second / 3_600 % 24, self.second / 60 % 60, self.second % 60)
    }
}

/// A random-looking text of `length` letters that no other number has: the last six spell the number.
fn letters(number: u64, stream: u64, length: u32) -> String {
    let mut dice = Dice(number ^ stream << 40);
    let random = dice.next();
    let value = u128::from(random) << 64 | u128::from(dice.next());
    let letter = |shift: u32| char::from(LETTERS[usize::try_from(value >> shift & 31).unwrap_or(0)]);
    let spelled = |place: u32| char::from(LETTERS[usize::try_from(number >> (5 * place) & 31).unwrap_or(0)]);
    (0..length - 6).map(|place| letter(5 * place)).chain((0..6).map(spelled)).collect()
}

fn pick<T: Copy>(choices: &[T; 4], index: u64) -> T {
    choices[usize::try_from(index % 4).unwrap_or(0)]
}

/// Pseudo-random numbers that follow from the number they start with.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        scramble(self.0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        u64::try_from((u128::from(self.next()) * u128::from(bound)) >> 64).unwrap_or(0)
    }
}

fn scramble(value: u64) -> u64 {
    let value = (value ^ value >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let value = (value ^ value >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    value ^ value >> 32
}

/// The numbers below a bound in a scattered order, each once: a Feistel network over the next power of four, from
/// which results beyond the bound are put in again until they fall inside.
#[derive(Debug)]
struct Scattered {
    bound: u64,
    half_bits: u32,
    key: u64,
    next: u64,
}

impl Scattered {
    fn new(bound: u64, key: u64) -> Self {
        let bits = u64::BITS - bound.saturating_sub(1).leading_zeros();
        Self { bound, half_bits: bits.div_ceil(2).max(1), key, next: 0 }
    }

    fn shuffled(&self, value: u64) -> u64 {
        let mask = (1 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for round in 0..4 {
            let mixed = scramble(right ^ (self.key << 48) ^ (round << 56)) & mask;
            (left, right) = (right, left ^ mixed);
        }
        left << self.half_bits | right
    }
}

impl Iterator for Scattered {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.next >= self.bound {
            return None;
        }
        let mut value = self.shuffled(self.next);
        while value >= self.bound {
            value = self.shuffled(value);
        }
        self.next += 1;
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_number_comes_once() {
        for bound in [1, 2, 5, 1000, 65_537] {
            let numbers: Vec<u64> = Scattered::new(bound, 1).collect();
            let distinct: HashSet<u64> = numbers.iter().copied().collect();
            assert_eq!((numbers.len() as u64, distinct.len() as u64), (bound, bound));
            assert!(numbers.iter().all(|number| *number < bound));
        }
        assert_ne!(Scattered::new(1000, 1).collect::<Vec<_>>(), Scattered::new(1000, 2).collect::<Vec<_>>());
    }

    #[test]
    fn ids_are_unique_and_classes_have_their_share() {
        let plan = Plan::new(20_000, Shape::MONTH);
        let ids: HashSet<String> = (0..plan.records()).map(|number| plan.record(number).trade_no()).collect();
        assert_eq!(ids.len() as u64, plan.records());
        let (totals, differences) = plan.expected();
        assert_eq!(totals.map(|total| total.count), [19_800, 100, 80, 60, 40]);
        assert_eq!(differences.len(), 280);
    }
}
