//! How far the two amounts of a payment may be apart and still be one payment.
//!
//! A [`RuleSet`] is written by people: for which channels, currencies and kinds of movement how much is tolerated. Of
//! the rules that speak of a pair the one with the highest priority decides, and it alone. A pair within its tolerance
//! is a match, and the gap is booked as an adjustment under the rule's name.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use payops_channels::row::Kind;
use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

/// How long a rule's name may be, in characters.
const LONGEST_NAME: usize = 100;
/// How many rules a set may have.
const MOST_RULES: usize = 1000;
/// All of an amount, in basis points.
const WHOLE: u32 = 10_000;
/// The most of an amount that can be tolerated, in basis points: less than the whole.
const MOST_POINTS: u32 = WHOLE - 1;
/// The most minor units that an amount can have.
const MOST_AMOUNT: u64 = i64::MAX.unsigned_abs();

/// The rules of tolerance that are in force together.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSet {
    /// The rules, in any order.
    #[serde(default)]
    pub tolerance: Vec<ToleranceRule>,
}

/// What is tolerated of some payments. A list that is empty means all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToleranceRule {
    /// What adjustments are booked under; unique in its set.
    pub name: String,
    /// The rule with the highest number decides. Rules that can speak of the same pair have different ones.
    pub priority: i32,
    /// The channels that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    /// The currencies that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub currencies: Vec<Currency>,
    /// The kinds of movement that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<Kind>,
    /// How many minor units the amounts may be apart. It needs `currencies`: a number of minor units says nothing
    /// without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_amount: Option<u64>,
    /// How far they may be apart, in ten-thousandths of our amount, rounded down to whole minor units. With
    /// `max_amount`, both must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_basis_points: Option<u32>,
}

/// Why a set of rules cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidRules {
    /// The place, such as `tolerance[2].max_amount`.
    pub field: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// There are more rules than a set may have.
    TooMany,
    /// The name is empty or longer than a name may be.
    BadName,
    /// Another rule has the name.
    NameTwice,
    /// Nothing is tolerated: neither limit is given.
    NoLimit,
    /// A number of minor units without a currency.
    NoCurrency,
    /// Nothing, the whole amount, or more: what is as large as the payment says that any amount will do.
    BadBasisPoints,
    /// More minor units than an amount can have.
    BadAmount,
    /// A kind that no platform books, so that it is never compared.
    NotCompared(Kind),
    /// No such channel.
    UnknownChannel(String),
    /// Another rule of the same priority can speak of the same pair: its name.
    SamePriority(String),
}

impl fmt::Display for InvalidRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl std::error::Error for InvalidRules {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => write!(f, "a set has at most {MOST_RULES} rules"),
            Self::BadName => write!(f, "a name has 1 to {LONGEST_NAME} characters and no control characters"),
            Self::NameTwice => f.write_str("another rule has this name"),
            Self::NoLimit => f.write_str("give max_amount, max_basis_points, or both"),
            Self::NoCurrency => f.write_str(
                "a number of minor units needs its currencies; name them, or use max_basis_points",
            ),
            Self::BadBasisPoints => write!(f, "must be between 1 and {MOST_POINTS}"),
            Self::BadAmount => write!(f, "must be at most {MOST_AMOUNT}"),
            Self::NotCompared(kind) => write!(f, "'{}' is never compared, only summed", kind.as_str()),
            Self::UnknownChannel(channel) => write!(f, "'{channel}' is no channel"),
            Self::SamePriority(name) => {
                write!(
                    f,
                    "the rule '{name}' has it too and can speak of the same pair; give them different ones"
                )
            }
        }
    }
}

impl Problem {
    /// What is wrong, in Chinese.
    pub fn zh(&self) -> String {
        match self {
            Self::TooMany => format!("规则最多 {MOST_RULES} 条"),
            Self::BadName => format!("名称须为 1 至 {LONGEST_NAME} 个字符且不含控制字符"),
            Self::NameTwice => "名称重复".to_owned(),
            Self::NoLimit => "请填写 max_amount 或 max_basis_points".to_owned(),
            Self::NoCurrency => "max_amount 须同时指定 currencies".to_owned(),
            Self::BadBasisPoints => format!("须在 1 至 {MOST_POINTS} 之间"),
            Self::BadAmount => format!("不得超过 {MOST_AMOUNT}"),
            Self::NotCompared(kind) => format!("“{}”只汇总，不比对", kind.as_str()),
            Self::UnknownChannel(channel) => format!("没有渠道“{channel}”"),
            Self::SamePriority(name) => format!("规则“{name}”优先级相同且适用范围重叠"),
        }
    }
}

impl RuleSet {
    /// Checks every rule; `is_channel` tells which channels there are.
    pub fn check(&self, is_channel: impl Fn(&str) -> bool) -> Result<(), InvalidRules> {
        let invalid = |index: usize, field: &str, problem| {
            Err(InvalidRules { field: format!("tolerance[{index}].{field}"), problem })
        };
        if self.tolerance.len() > MOST_RULES {
            return Err(InvalidRules { field: "tolerance".to_owned(), problem: Problem::TooMany });
        }
        let mut names = BTreeSet::new();
        for (index, rule) in self.tolerance.iter().enumerate() {
            let length = rule.name.chars().count();
            if rule.name.trim().is_empty() || length > LONGEST_NAME || rule.name.contains(char::is_control) {
                return invalid(index, "name", Problem::BadName);
            }
            if !names.insert(rule.name.as_str()) {
                return invalid(index, "name", Problem::NameTwice);
            }
            if rule.max_amount.is_none() && rule.max_basis_points.is_none() {
                return invalid(index, "max_amount", Problem::NoLimit);
            }
            if rule.max_amount.is_some_and(|amount| amount > MOST_AMOUNT) {
                return invalid(index, "max_amount", Problem::BadAmount);
            }
            if rule.max_amount.is_some() && rule.currencies.is_empty() {
                return invalid(index, "currencies", Problem::NoCurrency);
            }
            if rule.max_basis_points.is_some_and(|points| !(1..=MOST_POINTS).contains(&points)) {
                return invalid(index, "max_basis_points", Problem::BadBasisPoints);
            }
            if let Some(kind) = rule.kinds.iter().find(|kind| !kind.is_booked_by_platform()) {
                return invalid(index, "kinds", Problem::NotCompared(*kind));
            }
            if let Some(channel) = rule.channels.iter().find(|channel| !is_channel(channel)) {
                return invalid(index, "channels", Problem::UnknownChannel(channel.clone()));
            }
            let earlier = &self.tolerance[..index];
            let rival = earlier.iter().find(|other| other.priority == rule.priority && other.overlaps(rule));
            if let Some(rival) = rival {
                return invalid(index, "priority", Problem::SamePriority(rival.name.clone()));
            }
        }
        Ok(())
    }

    /// The same rules in the one order that they are written down and hashed in: the first to be asked first, and nothing
    /// twice in a list.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        for rule in &mut self.tolerance {
            sort(&mut rule.channels);
            sort(&mut rule.currencies);
            sort(&mut rule.kinds);
        }
        self.tolerance.sort_by(asked_first);
        self
    }

    /// The rules that speak of a channel, in the order in which they are asked.
    pub fn of_channel(&self, channel: &str) -> Tolerance {
        let mut rules: Vec<ToleranceRule> =
            self.tolerance.iter().filter(|rule| fits(&rule.channels, &channel.to_owned())).cloned().collect();
        rules.sort_by(asked_first);
        Tolerance { rules }
    }
}

impl ToleranceRule {
    fn overlaps(&self, other: &Self) -> bool {
        meet(&self.channels, &other.channels)
            && meet(&self.currencies, &other.currencies)
            && meet(&self.kinds, &other.kinds)
    }

    /// How far the channel's amount may be from ours.
    fn gap(&self, ours: i64) -> u64 {
        let part = self.max_basis_points.map(|points| {
            let part = u128::from(ours.unsigned_abs()) * u128::from(points) / u128::from(WHOLE);
            u64::try_from(part).unwrap_or(u64::MAX)
        });
        match (self.max_amount, part) {
            (Some(amount), Some(part)) => amount.min(part),
            (Some(limit), None) | (None, Some(limit)) => limit,
            (None, None) => 0,
        }
    }
}

fn asked_first(one: &ToleranceRule, other: &ToleranceRule) -> Ordering {
    other.priority.cmp(&one.priority).then_with(|| one.name.cmp(&other.name))
}

fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort();
    list.dedup();
}

fn fits<T: PartialEq>(list: &[T], value: &T) -> bool {
    list.is_empty() || list.contains(value)
}

fn meet<T: PartialEq>(one: &[T], other: &[T]) -> bool {
    one.is_empty() || other.is_empty() || one.iter().any(|value| other.contains(value))
}

/// The rules of one channel, the first to be asked first. Nothing is tolerated without any.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tolerance {
    rules: Vec<ToleranceRule>,
}

/// Which amounts of the channel's go with one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Band {
    /// The place of the rule that says so.
    pub(super) rule: usize,
    pub(super) least: i64,
    pub(super) most: i64,
}

impl Band {
    pub(super) fn contains(self, amount: i64) -> bool {
        (self.least..=self.most).contains(&amount)
    }
}

impl Tolerance {
    /// Whether nothing is tolerated.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The name of a rule.
    pub(super) fn name(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| rule.name.as_str())
    }

    /// What the first rule that speaks of such a row of ours tolerates: never money in the other direction.
    pub(super) fn band(&self, kind: Kind, currency: Currency, ours: i64) -> Option<Band> {
        let speaks = |rule: &ToleranceRule| fits(&rule.kinds, &kind) && fits(&rule.currencies, &currency);
        let rule = self.rules.iter().position(speaks)?;
        let gap = self.rules[rule].gap(ours);
        let (least, most) = (ours.saturating_sub_unsigned(gap), ours.saturating_add_unsigned(gap));
        let band = match ours.signum() {
            1 => Band { rule, least: least.max(1), most },
            -1 => Band { rule, least, most: most.min(-1) },
            _ => return None,
        };
        (gap > 0).then_some(band)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(name: &str, priority: i32) -> ToleranceRule {
        ToleranceRule {
            name: name.to_owned(),
            priority,
            channels: Vec::new(),
            currencies: vec![Currency::USD],
            kinds: Vec::new(),
            max_amount: Some(10),
            max_basis_points: None,
        }
    }

    type Change = fn(&mut ToleranceRule);

    fn check(rules: Vec<ToleranceRule>) -> Result<(), InvalidRules> {
        RuleSet { tolerance: rules }.check(|channel| channel == "stripe")
    }

    #[test]
    fn a_rule_that_says_nothing_or_too_much_is_refused_with_its_place() {
        let good = rule("a", 1);
        assert_eq!(check(vec![good.clone()]), Ok(()));
        let most =
            ToleranceRule { max_amount: Some((1 << 63) - 1), max_basis_points: Some(9_999), ..good.clone() };
        assert_eq!(check(vec![most]), Ok(()));
        let broken: [(Change, &str, Problem); 9] = [
            (|rule| rule.name = "  ".into(), "name", Problem::BadName),
            (|rule| rule.name = "x".repeat(101), "name", Problem::BadName),
            (|rule| rule.max_amount = None, "max_amount", Problem::NoLimit),
            (|rule| rule.currencies.clear(), "currencies", Problem::NoCurrency),
            (|rule| rule.max_basis_points = Some(0), "max_basis_points", Problem::BadBasisPoints),
            (|rule| rule.max_basis_points = Some(10_000), "max_basis_points", Problem::BadBasisPoints),
            (|rule| rule.max_amount = Some(1 << 63), "max_amount", Problem::BadAmount),
            (|rule| rule.kinds.push(Kind::Fee), "kinds", Problem::NotCompared(Kind::Fee)),
            (|rule| rule.channels.push("x".into()), "channels", Problem::UnknownChannel("x".into())),
        ];
        for (change, field, problem) in broken {
            let mut rule = rule("b", 2);
            change(&mut rule);
            let refused = check(vec![good.clone(), rule]).unwrap_err();
            assert_eq!(refused, InvalidRules { field: format!("tolerance[1].{field}"), problem });
        }
        let refused = check(vec![good.clone(), rule("a", 2)]).unwrap_err();
        assert_eq!(refused.to_string(), "tolerance[1].name: another rule has this name");
        let refused = check(vec![good.clone(), rule("b", 1)]).unwrap_err();
        assert_eq!(refused.problem, Problem::SamePriority("a".into()));
        let elsewhere = ToleranceRule { currencies: vec![Currency::EUR], ..rule("b", 1) };
        assert_eq!(check(vec![good, elsewhere]), Ok(()), "they never speak of the same pair");
    }

    #[test]
    fn the_highest_priority_decides_alone() {
        let narrow = ToleranceRule { kinds: vec![Kind::Refund], max_amount: Some(1), ..rule("refunds", 9) };
        let stripes = ToleranceRule { channels: vec!["stripe".into()], ..rule("all", 1) };
        let set = RuleSet { tolerance: vec![stripes, narrow] };
        let tolerance = set.of_channel("stripe");
        let band = |kind, amount| tolerance.band(kind, Currency::USD, amount);
        assert_eq!(band(Kind::Refund, -100), Some(Band { rule: 0, least: -101, most: -99 }));
        assert_eq!(band(Kind::Payment, 100), Some(Band { rule: 1, least: 90, most: 110 }));
        assert_eq!(tolerance.name(1), "all");
        assert_eq!(tolerance.band(Kind::Payment, Currency::EUR, 100), None);
        assert_eq!(set.of_channel("adyen").band(Kind::Payment, Currency::USD, 100), None);
    }

    #[test]
    fn the_same_rules_are_written_alike_however_they_came() {
        let twice = ToleranceRule {
            currencies: vec![Currency::USD, Currency::EUR, Currency::USD],
            kinds: vec![Kind::Refund, Kind::Payment],
            ..rule("b", 2)
        };
        let once = ToleranceRule {
            currencies: vec![Currency::EUR, Currency::USD],
            kinds: vec![Kind::Payment, Kind::Refund],
            ..rule("b", 2)
        };
        let written = RuleSet { tolerance: vec![rule("a", 1), twice] }.canonical();
        assert_eq!(written, RuleSet { tolerance: vec![once, rule("a", 1)] });
        assert_eq!(written.clone().canonical(), written);
    }

    #[test]
    fn both_limits_hold_and_money_keeps_its_direction() {
        let both = ToleranceRule { max_basis_points: Some(100), ..rule("a", 1) };
        let tolerance = RuleSet { tolerance: vec![both] }.of_channel("stripe");
        let band =
            |amount| tolerance.band(Kind::Payment, Currency::USD, amount).map(|band| (band.least, band.most));
        assert_eq!(band(500), Some((495, 505)), "a hundredth of it is less");
        assert_eq!(band(5000), Some((4990, 5010)), "ten minor units are less");
        assert_eq!(band(99), None, "a hundredth is less than one minor unit");
        assert_eq!(band(0), None);
        let wide = ToleranceRule { max_amount: Some(u64::MAX), ..rule("a", 1) };
        let tolerance = RuleSet { tolerance: vec![wide] }.of_channel("stripe");
        let band =
            |amount| tolerance.band(Kind::Payment, Currency::USD, amount).map(|band| (band.least, band.most));
        assert_eq!(band(5), Some((1, i64::MAX)));
        assert_eq!(band(-5), Some((i64::MIN, -1)));
    }

    proptest! {
        #[test]
        fn a_band_holds_our_amount_and_nothing_beyond_the_limits(
            ours in any::<i64>(),
            theirs in any::<i64>(),
            amount in proptest::option::of(any::<u64>()),
            points in proptest::option::of(1_u32..=10_000),
        ) {
            let one = ToleranceRule { max_amount: amount, max_basis_points: points, ..rule("a", 1) };
            let tolerance = RuleSet { tolerance: vec![one] }.of_channel("stripe");
            if let Some(band) = tolerance.band(Kind::Payment, Currency::USD, ours) {
                prop_assert!(band.contains(ours));
                if band.contains(theirs) {
                    let gap = (i128::from(ours) - i128::from(theirs)).unsigned_abs();
                    prop_assert!(amount.is_none_or(|most| gap <= u128::from(most)));
                    let part = i128::from(ours).unsigned_abs();
                    prop_assert!(points.is_none_or(|points| gap * 10_000 <= part * u128::from(points)));
                    prop_assert_eq!(ours.signum(), theirs.signum());
                }
            }
        }
    }
}
