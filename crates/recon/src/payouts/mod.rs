//! The third leg: what the channel paid out against what the bank received.
//!
//! [`meet`] is a plain function of payouts, deposits and rules; the order in which they are given does not show in
//! what it finds. Every payout and every deposit is in exactly one [`Group`].
//!
//! # The rules, in order
//!
//! 1. **Reference**: a payout's id stands in the texts of a deposit, as a word or, from eight letters and digits on
//!    (twelve of digits alone), whatever the bank put between them; a number below six digits tells nothing. Everything that such texts tie together is one group, whose sums are
//!    compared: equal is `matched`, less `payout_short`, more `payout_excess`. Dates do not matter here.
//! 2. **Amount**: the same amount and currency, and the deposit's day inside the payout's window. It counts only where
//!    it is unique on both sides; everything else that could belong together is one `payout_ambiguous` group. Deposits
//!    that look like the channel's go first, then all others.
//! 3. **Bundles**: a deposit that several payouts add up to, and **splits**: a payout that several deposits add up to.
//!    All subsets are counted. It counts only where exactly one subset adds up, and none of its members could belong
//!    to another deposit; else the group is `payout_ambiguous` and says how many subsets there are. Only deposits that
//!    look like the channel's take part.
//! 4. **The rest**: a payout whose window has passed is `payout_missing`, one whose window is still open `in_transit`.
//!    One of whose window statements lack days is `not_covered` when it has passed.
//!    A deposit that looks like the channel's is `payout_unknown`, any other is none of this channel's.
//!
//! A payout that nothing states is as large as those of its rows that are at hand, which may be a part of it. It is `matched` by
//! rules 1 and 2 where that sum arrived; else it is `not_stated` together with what bears its id, and no deposit that it
//! may be is `payout_unknown`.
//!
//! A deposit looks like the channel's when its texts hold one of [`PayoutRules::words`], in any letter case; without
//! words every deposit does. Money that the channel takes from the bank, a negative payout, meets negative deposits.

mod channel;
mod coverage;
mod listing;
mod reference;
mod rest;
mod reversal;
mod solver;
mod statement;
mod third_leg;
mod tie;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{NaiveDate, TimeDelta};
use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

pub use channel::{
    PayoutFact, facts_of, facts_of_payout_report, facts_of_payout_rows, facts_together, payouts_of,
};
pub use listing::PayoutLists;
pub use reversal::{Mark, TakenBackBy, Trace};
pub use solver::MOST_SOLUTIONS;
pub use statement::{Bank, BankSummary, Covered, ReadStatements, accounts_named, bank_accounts};
pub use third_leg::{BankSide, PayoutDetail, PayoutDifference, ThirdLeg};
pub use tie::{PayoutSummary, PayoutTypeTotals, ThreeWayProof, ThreeWayTie};

use solver::Found;

/// How many pairs of what could belong together are looked at one by one; where there are more, all of it is one
/// ambiguous group.
const MOST_PAIRS: usize = 1 << 20;
/// How much the bundles and splits of one run may cost together, in sums that are looked at.
const WORK_PER_RUN: u64 = 1 << 25;

/// Money that the channel says it sent to the bank, or took from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payout {
    /// The channel's id.
    pub id: String,
    /// What the bank should show, in minor units: negative where the channel takes money.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// The business day on which it left, of one that nothing states that of its last row; `None` where the file does not tell.
    pub date: Option<NaiveDate>,
    /// Whether a file says how large it is: a row of its own, or a list of all its rows. Else `amount` is what those of its rows
    /// that are at hand add up to.
    pub is_stated: bool,
    /// What the settlement rows that it carried add up to, in the sense of `amount`; `None` where it is not itemised.
    pub rows: Option<i128>,
    /// Whether it must arrive: false for one outside of the day asked about, which may still explain a deposit.
    pub is_asked_about: bool,
}

/// One booked entry of a bank statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit {
    /// Its place in the statement file.
    pub ordinal: u64,
    /// The line on which it begins.
    pub line: u64,
    /// Minor units, negative where money left the account.
    pub amount: i64,
    /// Its currency.
    pub currency: Currency,
    /// The day of booking, else of value.
    pub date: NaiveDate,
    /// Every reference and text.
    pub texts: Vec<String>,
    /// What is known of it besides.
    pub mark: Mark,
}

/// The first and the last of some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Days {
    /// The first.
    pub first: NaiveDate,
    /// The last.
    pub last: NaiveDate,
}

impl Days {
    /// Whether a day is one of them.
    pub fn contains(self, date: NaiveDate) -> bool {
        (self.first..=self.last).contains(&date)
    }

    /// The days from the earliest to the latest; `None` of none.
    pub fn spanning(dates: impl IntoIterator<Item = NaiveDate>) -> Option<Self> {
        dates.into_iter().fold(None, |days: Option<Self>, date| {
            let Self { first, last } = days.unwrap_or(Self { first: date, last: date });
            Some(Self { first: first.min(date), last: last.max(date) })
        })
    }
}

/// How payouts and deposits find each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutRules {
    /// How many days before its own date a payout may be booked, for clocks of other zones.
    pub days_before: u16,
    /// How many days after its own date a payout may be booked before it is missing.
    pub days_after: u16,
    /// By which words the bank's texts name the channel.
    pub words: Vec<String>,
}

impl Default for PayoutRules {
    fn default() -> Self {
        Self { days_before: 1, days_after: 5, words: Vec::new() }
    }
}

impl PayoutRules {
    /// The usual rules for a channel: banks name it by its name.
    pub fn of_channel(channel: &str) -> Self {
        let words: &[&str] = match channel {
            "stripe" => &["stripe"],
            "paypal" => &["paypal"],
            "alipay" => &["alipay", "支付宝"],
            "wechat" => &["wechat", "tenpay", "微信", "财付通"],
            "adyen" => &["adyen"],
            _ => &[],
        };
        Self { words: words.iter().map(|word| (*word).to_owned()).collect(), ..Self::default() }
    }

    /// Whether a word can name a channel: it has three letters or digits, or two that are not both ASCII, such as `微信`.
    pub fn is_word(word: &str) -> bool {
        let letters: Vec<char> = word.chars().filter(|letter| letter.is_alphanumeric()).collect();
        letters.len() >= 3 || (letters.len() == 2 && letters.iter().any(|letter| !letter.is_ascii()))
    }

    /// Whether the deposit is of a day on which the payout may be booked.
    fn may_be(&self, payout: &Payout, deposit: &Deposit) -> bool {
        let Some(date) = payout.date else { return true };
        let days = deposit.date.signed_duration_since(date).num_days();
        (-i64::from(self.days_before)..=i64::from(self.days_after)).contains(&days)
    }

    /// The last day on which a payout may be booked.
    fn due(&self, date: NaiveDate) -> NaiveDate {
        date.checked_add_signed(TimeDelta::days(self.days_after.into())).unwrap_or(NaiveDate::MAX)
    }

    fn earliest(&self, date: NaiveDate) -> NaiveDate {
        date.checked_sub_signed(TimeDelta::days(self.days_before.into())).unwrap_or(NaiveDate::MIN)
    }
}

/// What is to be compared.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The channel's payouts.
    pub payouts: &'a [Payout],
    /// The days of which these are all payouts: what arrives from others is not judged.
    pub payout_days: Option<Days>,
    /// The bank's entries.
    pub deposits: &'a [Deposit],
    /// The days whose deposits must be explained; `None` where it is all.
    pub judged_days: Option<Days>,
    /// What statements cover, by their currency.
    pub covered: &'a BTreeMap<Currency, Covered>,
    /// By which rules.
    pub rules: &'a PayoutRules,
}

/// How payouts and deposits came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutOutcome {
    /// All of it arrived.
    Matched,
    /// Less arrived: a bank on the way kept a part.
    PayoutShort,
    /// More arrived under the payout's reference than was paid out.
    PayoutExcess,
    /// Several ways of belonging together are possible, or the question was too large.
    PayoutAmbiguous,
    /// It should have arrived and did not.
    PayoutMissing,
    /// The bank has the channel's money that no payout explains.
    PayoutUnknown,
    /// Not arrived, and not late.
    InTransit,
    /// Nothing says how large it is: its rows are named, and are not what arrived under its id, if anything did.
    NotStated,
    /// Payouts of days that the statement, or deposits of days that the channel's file does not cover.
    NotCovered,
    /// Movements of the account that are none of the channel's.
    OtherMovement,
}

impl PayoutOutcome {
    /// Every outcome, in the order in which reports list them.
    pub const ALL: [Self; 10] = [
        Self::Matched,
        Self::PayoutShort,
        Self::PayoutExcess,
        Self::PayoutAmbiguous,
        Self::PayoutMissing,
        Self::PayoutUnknown,
        Self::InTransit,
        Self::NotStated,
        Self::NotCovered,
        Self::OtherMovement,
    ];

    /// The outcome's name on the wire and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::PayoutShort => "payout_short",
            Self::PayoutExcess => "payout_excess",
            Self::PayoutAmbiguous => "payout_ambiguous",
            Self::PayoutMissing => "payout_missing",
            Self::PayoutUnknown => "payout_unknown",
            Self::InTransit => "in_transit",
            Self::NotStated => "not_stated",
            Self::NotCovered => "not_covered",
            Self::OtherMovement => "other_movement",
        }
    }

    /// Whether somebody has to explain it: it bars the verdict "reconciled".
    pub fn is_difference(self) -> bool {
        matches!(
            self,
            Self::PayoutShort
                | Self::PayoutExcess
                | Self::PayoutAmbiguous
                | Self::PayoutMissing
                | Self::PayoutUnknown
        )
    }
}

impl fmt::Display for PayoutOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What brought a group together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchedBy {
    /// The payout's id in the bank's texts.
    Reference,
    /// Amount, currency and day.
    Amount,
    /// A deposit that several payouts add up to.
    Bundle,
    /// A payout that several deposits add up to.
    Split,
}

impl MatchedBy {
    /// The rule's name on the wire and in files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reference => "reference",
            Self::Amount => "amount",
            Self::Bundle => "bundle",
            Self::Split => "split",
        }
    }
}

/// In how many ways a sum can be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub enum Solutions {
    /// In one way.
    Unique,
    /// In so many.
    Several {
        /// How many.
        count: u32,
    },
    /// In more than so many.
    MoreThan {
        /// How many were counted.
        count: u32,
    },
    /// Nobody knows: the limit of the work was reached.
    LimitReached,
}

impl fmt::Display for Solutions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unique => f.write_str("unique"),
            Self::Several { count } => write!(f, "{count}"),
            Self::MoreThan { count } => write!(f, "more than {count}"),
            Self::LimitReached => f.write_str("limit reached"),
        }
    }
}

/// Payouts and deposits that belong together, or could.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// How they came out.
    pub outcome: PayoutOutcome,
    /// What brought them together; `None` for a single payout or deposit that is left.
    pub by: Option<MatchedBy>,
    /// The payouts, by their places in the question.
    pub payouts: Vec<usize>,
    /// The deposits, by theirs.
    pub deposits: Vec<usize>,
    /// For a bundle or a split of one sum: in how many ways it can be made up.
    pub solutions: Option<Solutions>,
    /// How old a payout was that has not arrived, in days, at the end of the statement.
    pub age_days: Option<i64>,
}

/// Gives every payout and every deposit its outcome.
pub fn meet(question: Question<'_>) -> Vec<Group> {
    let mut matcher = Matcher::new(question);
    matcher.by_reference();
    matcher.by_amount(true);
    matcher.by_amount(false);
    let mut work = WORK_PER_RUN;
    matcher.bundles(&mut work);
    matcher.splits(&mut work);
    matcher.rest();
    matcher.into_groups()
}

/// Payouts and deposits in an order of their own, whatever the order of the question, and what is still free.
struct Matcher<'a> {
    question: Question<'a>,
    payouts: Vec<(usize, &'a Payout)>,
    deposits: Vec<(usize, &'a Deposit)>,
    payout_is_free: Vec<bool>,
    deposit_is_free: Vec<bool>,
    looks_like_channel: Vec<bool>,
    groups: Vec<Group>,
}

impl<'a> Matcher<'a> {
    fn new(question: Question<'a>) -> Self {
        let mut payouts: Vec<(usize, &Payout)> = question.payouts.iter().enumerate().collect();
        payouts.sort_by_key(|(_, payout)| {
            (payout.currency, payout.date, &payout.id, payout.amount, payout.rows, payout.is_asked_about)
        });
        let mut deposits: Vec<(usize, &Deposit)> = question.deposits.iter().enumerate().collect();
        deposits.sort_by_key(|(_, deposit)| {
            (deposit.currency, deposit.date, deposit.ordinal, deposit.amount, &deposit.texts)
        });
        let words: Vec<String> = question.rules.words.iter().map(|word| word.to_lowercase()).collect();
        let names_it = |text: &String| {
            let text = text.to_lowercase();
            words.iter().any(|word| text.contains(word))
        };
        Self {
            question,
            payout_is_free: vec![true; payouts.len()],
            deposit_is_free: vec![true; deposits.len()],
            looks_like_channel: deposits
                .iter()
                .map(|(_, deposit)| words.is_empty() || deposit.texts.iter().any(names_it))
                .collect(),
            payouts,
            deposits,
            groups: Vec::new(),
        }
    }

    /// Puts payouts and deposits, by their places in the order, into a group.
    fn group(
        &mut self,
        outcome: PayoutOutcome,
        by: MatchedBy,
        payouts: &[usize],
        deposits: &[usize],
        solutions: Option<Solutions>,
    ) {
        for place in payouts {
            self.payout_is_free[*place] = false;
        }
        for place in deposits {
            self.deposit_is_free[*place] = false;
        }
        let are_stated = payouts.iter().all(|place| self.payouts[*place].1.is_stated);
        self.groups.push(Group {
            outcome: if are_stated || !outcome.is_difference() { outcome } else { PayoutOutcome::NotStated },
            by: Some(by),
            payouts: payouts.iter().map(|place| self.payouts[*place].0).collect(),
            deposits: deposits.iter().map(|place| self.deposits[*place].0).collect(),
            solutions,
            age_days: None,
        });
    }

    fn by_reference(&mut self) {
        for (payouts, deposits) in components(&reference::links(&self.payouts, &self.deposits)) {
            let paid: i128 = payouts.iter().map(|place| i128::from(self.payouts[*place].1.amount)).sum();
            let arrived: i128 = deposits.iter().map(|place| i128::from(self.deposits[*place].1.amount)).sum();
            let gap = paid - arrived;
            let outcome = match gap.signum() {
                0 => PayoutOutcome::Matched,
                sign if sign == paid.signum() => PayoutOutcome::PayoutShort,
                _ => PayoutOutcome::PayoutExcess,
            };
            self.group(outcome, MatchedBy::Reference, &payouts, &deposits, None);
        }
    }

    fn by_amount(&mut self, only_channel_like: bool) {
        let mut by_amount: BTreeMap<(Currency, i64), Vec<usize>> = BTreeMap::new();
        for place in self.free_deposits(only_channel_like) {
            let deposit = self.deposits[place].1;
            by_amount.entry((deposit.currency, deposit.amount)).or_default().push(place);
        }
        let mut edges = Vec::new();
        for payout_place in self.free_payouts() {
            let payout = self.payouts[payout_place].1;
            let equal = by_amount.get(&(payout.currency, payout.amount)).into_iter().flatten();
            // Days that are too far apart are in no pair, but what is of one amount and day may be very much.
            let near = equal.filter(|place| self.question.rules.may_be(payout, self.deposits[**place].1));
            edges.extend(near.map(|place| (payout_place, *place)).take(MOST_PAIRS));
            if edges.len() > MOST_PAIRS {
                self.give_up(MatchedBy::Amount, only_channel_like);
                return;
            }
        }
        for (payouts, deposits) in components(&edges) {
            let outcome = match (payouts.len(), deposits.len()) {
                (1, 1) => PayoutOutcome::Matched,
                _ => PayoutOutcome::PayoutAmbiguous,
            };
            self.group(outcome, MatchedBy::Amount, &payouts, &deposits, None);
        }
    }

    /// Too much could belong together: all that is left is one group.
    fn give_up(&mut self, by: MatchedBy, only_channel_like: bool) {
        let payouts = if by == MatchedBy::Amount { self.free_payouts() } else { self.free_stated_payouts() };
        let deposits = self.free_deposits(only_channel_like);
        let outcome = PayoutOutcome::PayoutAmbiguous;
        self.group(outcome, by, &payouts, &deposits, Some(Solutions::LimitReached));
    }

    fn bundles(&mut self, work: &mut u64) {
        let free = self.free_stated_payouts();
        let questions = self.free_deposits(true).into_iter().map(|place| {
            let deposit = self.deposits[place].1;
            let near = free.iter().copied().filter(|payout| self.may_be(*payout, place));
            (place, deposit.amount, near.map(|place| (place, self.payouts[place].1.amount)).collect())
        });
        let Some(combinations) = combine(questions, work) else {
            self.give_up(MatchedBy::Bundle, true);
            return;
        };
        for (deposits, payouts, solutions) in combinations {
            let outcome = outcome_of(solutions);
            self.group(outcome, MatchedBy::Bundle, &payouts, &deposits, solutions);
        }
    }

    fn splits(&mut self, work: &mut u64) {
        let free = self.free_deposits(true);
        let questions = self.free_stated_payouts().into_iter().map(|place| {
            let payout = self.payouts[place].1;
            let near = free.iter().copied().filter(|deposit| self.may_be(place, *deposit));
            (place, payout.amount, near.map(|place| (place, self.deposits[place].1.amount)).collect())
        });
        let Some(combinations) = combine(questions, work) else {
            self.give_up(MatchedBy::Split, true);
            return;
        };
        for (payouts, deposits, solutions) in combinations {
            let outcome = outcome_of(solutions);
            self.group(outcome, MatchedBy::Split, &payouts, &deposits, solutions);
        }
    }

    fn may_be(&self, payout: usize, deposit: usize) -> bool {
        let (payout, deposit) = (self.payouts[payout].1, self.deposits[deposit].1);
        payout.currency == deposit.currency && self.question.rules.may_be(payout, deposit)
    }

    /// What has no group yet and is worth one: nobody waits for nothing.
    fn free_payouts(&self) -> Vec<usize> {
        let places = 0..self.payouts.len();
        places.filter(|place| self.payout_is_free[*place] && self.payouts[*place].1.amount != 0).collect()
    }

    /// A sum that may be a part is none to make up others of.
    fn free_stated_payouts(&self) -> Vec<usize> {
        self.free_payouts().into_iter().filter(|place| self.payouts[*place].1.is_stated).collect()
    }

    fn free_deposits(&self, only_channel_like: bool) -> Vec<usize> {
        let is_meant = |place: usize| self.looks_like_channel[place] || !only_channel_like;
        let is_free = |place: &usize| {
            self.deposit_is_free[*place] && self.deposits[*place].1.amount != 0 && is_meant(*place)
        };
        (0..self.deposits.len()).filter(is_free).collect()
    }

    /// Payouts in their order, then what only the bank has.
    fn into_groups(mut self) -> Vec<Group> {
        let place_of = |order: Vec<usize>| {
            let mut places = vec![0; order.len()];
            order.into_iter().enumerate().for_each(|(place, index)| places[index] = place);
            places
        };
        let payouts = place_of(self.payouts.iter().map(|(index, _)| *index).collect());
        let deposits = place_of(self.deposits.iter().map(|(index, _)| *index).collect());
        let first = |places: &[usize], list: &[usize]| {
            list.iter().map(|index| places[*index]).min().unwrap_or(usize::MAX)
        };
        self.groups.sort_by_key(|group| (first(&payouts, &group.payouts), first(&deposits, &group.deposits)));
        self.groups
    }
}

fn outcome_of(solutions: Option<Solutions>) -> PayoutOutcome {
    if solutions == Some(Solutions::Unique) { PayoutOutcome::Matched } else { PayoutOutcome::PayoutAmbiguous }
}

/// A sum, and the items that may make it up with their amounts.
type Sum = (usize, i64, Vec<(usize, i64)>);

/// Sums and items that belong together, or could, and in how many ways a single sum can be made up.
type Combination = (Vec<usize>, Vec<usize>, Option<Solutions>);

/// Solves sums that may compete for the same items. Sums that do are one group, of which nothing is known; what is
/// not solved may compete for all of its items. `None` where there are too many of these.
fn combine(questions: impl Iterator<Item = Sum>, work: &mut u64) -> Option<Vec<Combination>> {
    let mut edges = Vec::new();
    let mut answers = BTreeMap::new();
    let mut pairs = 0_usize;
    for (sum, target, items) in questions {
        pairs = pairs.saturating_add(items.len());
        if pairs > MOST_PAIRS {
            return None;
        }
        let amounts: Vec<i64> = items.iter().map(|(_, amount)| *amount).collect();
        let (solutions, members) = match solver::subsets(target, &amounts, work) {
            Found::Nothing => continue,
            Found::Unique(members) => (Solutions::Unique, members),
            Found::Several { count, members } if count > MOST_SOLUTIONS => {
                (Solutions::MoreThan { count: MOST_SOLUTIONS }, members)
            }
            Found::Several { count, members } => (Solutions::Several { count }, members),
            Found::TooLarge => (Solutions::LimitReached, (0..items.len()).collect()),
        };
        answers.insert(sum, solutions);
        edges.extend(members.into_iter().map(|member| (sum, items[member].0)));
    }
    let groups = components(&edges).into_iter().map(|(sums, items)| {
        let of_one = match sums[..] {
            [sum] => answers.get(&sum).copied(),
            _ => None,
        };
        (sums, items, of_one)
    });
    Some(groups.collect())
}

/// What is tied together by edges between two kinds of places: each part with its places in order, by the least of
/// the first kind.
fn components(edges: &[(usize, usize)]) -> Vec<(Vec<usize>, Vec<usize>)> {
    let mut of_left: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut of_right: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (left, right) in edges {
        of_left.entry(*left).or_default().insert(*right);
        of_right.entry(*right).or_default().insert(*left);
    }
    let mut parts = Vec::new();
    while let Some((start, _)) = of_left.first_key_value() {
        let (mut lefts, mut rights) = (BTreeSet::new(), BTreeSet::new());
        let mut to_visit = vec![*start];
        while let Some(left) = to_visit.pop() {
            lefts.insert(left);
            for right in of_left.remove(&left).into_iter().flatten() {
                rights.insert(right);
                to_visit.extend(of_right.remove(&right).into_iter().flatten());
            }
        }
        parts.push((lefts.into_iter().collect(), rights.into_iter().collect()));
    }
    parts
}
