//! What two runs over the same files tell otherwise: what another set of rules gains, loses and changes.
//!
//! Both list their outcomes in one order, rows of ours as they stand in the file and then what the channel has alone, so
//! that they are walked through side by side. Every row of ours is in one outcome of a run at most, and so is every row of
//! the channel's: a change is told of at the row of ours, where there is one, together with the channel's row that one of
//! the runs pairs with it and the other leaves alone.

use std::collections::{BTreeMap, BTreeSet};

use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::differences::{Difference, DifferenceRef, Listed, ListedRow, Texts};
use super::error::EngineError;
use super::rules::DiffType;
use super::summary::{AdjustmentTotals, ByCurrency, Summary};

#[cfg(test)]
mod tests;

/// How many changes are looked at together. The text of their rows is all that is in memory of them.
const BATCH: usize = 8_192;

/// Which way a change goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A difference that would be a match, and leave no difference.
    Gained,
    /// A match that would be a difference.
    Lost,
    /// Anything else that would be told otherwise: another type, another rule, another adjustment, other rows.
    Changed,
}

impl ChangeKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Gained, Self::Lost, Self::Changed];

    /// The kind's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gained => "gained",
            Self::Lost => "lost",
            Self::Changed => "changed",
        }
    }

    fn of(before: Judged, after: Judged) -> Self {
        if before.differences > 0 && after.is_match && after.differences == 0 {
            Self::Gained
        } else if before.is_match && before.differences == 0 && after.differences > 0 {
            Self::Lost
        } else {
            Self::Changed
        }
    }
}

/// What one run tells of the rows of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told<'a> {
    /// The outcome of our row; of the channel's, where that is alone in both runs. `None`: nothing is told of it, since it is
    /// `not_expected` or another day's business.
    pub outcome: Option<Difference<'a>>,
    /// The channel's row that the other run pairs with ours, where it is alone in this one.
    pub apart: Option<Difference<'a>>,
}

impl<'a> Told<'a> {
    /// How many differences these are.
    pub fn differences(&self) -> u64 {
        self.judged().differences
    }

    /// What is booked, in minor units of our row's currency.
    pub fn adjustment(&self) -> i128 {
        self.outcome.as_ref().and_then(|outcome| outcome.adjustment).map_or(0, |booked| booked.amount)
    }

    /// Our row.
    pub fn platform(&self) -> Option<&ListedRow<'a>> {
        self.outcome.as_ref()?.platform.as_ref()
    }

    /// The channel's row: the one of the pair, else the one apart.
    pub fn channel(&self) -> Option<&ListedRow<'a>> {
        self.outcome.iter().chain(&self.apart).find_map(|outcome| outcome.channel.as_ref())
    }

    fn judged(&self) -> Judged {
        let of = |told: &Option<Difference<'_>>| told.as_ref().map(|one| one.diff_type);
        Judged::of(of(&self.outcome), of(&self.apart))
    }
}

/// What decides of the kind of a change.
#[derive(Debug, Clone, Copy)]
struct Judged {
    differences: u64,
    is_match: bool,
}

impl Judged {
    fn of(outcome: Option<DiffType>, apart: Option<DiffType>) -> Self {
        let types = || outcome.into_iter().chain(apart);
        Self {
            differences: types().filter(|one| one.is_difference()).count() as u64,
            is_match: outcome.is_some_and(DiffType::is_match),
        }
    }
}

/// Rows that two runs tell otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// Which way it goes.
    pub kind: ChangeKind,
    /// What the first run tells.
    pub before: Told<'a>,
    /// What the second one tells.
    pub after: Told<'a>,
}

impl<'a> Change<'a> {
    /// `None` when both tell the same. The same rows of the same type may still be booked under another rule.
    fn of(before: Told<'a>, after: Told<'a>) -> Option<Self> {
        let kind = ChangeKind::of(before.judged(), after.judged());
        (before != after).then_some(Self { kind, before, after })
    }

    /// Our row and the channel's, as far as either run tells of them: as it would be, and as it was where a match is lost.
    pub fn rows(&self) -> (Option<&ListedRow<'a>>, Option<&ListedRow<'a>>) {
        let (first, second) = match self.kind {
            ChangeKind::Lost => (&self.before, &self.after),
            ChangeKind::Gained | ChangeKind::Changed => (&self.after, &self.before),
        };
        let platform = first.platform().or(second.platform());
        (platform, first.channel().or(second.channel()))
    }

    /// The currency that it is counted under: our row's where there is one.
    pub fn currency(&self) -> Option<Currency> {
        let (platform, channel) = self.rows();
        platform.or(channel).map(|listed| listed.row.currency)
    }
}

/// Gives each change from one run to another over the same files to `take`, in order, and stops at its first error.
/// Fails when a file has changed since.
pub fn for_each_change<E: From<EngineError>>(
    before: &Outcome,
    after: &Outcome,
    mut take: impl FnMut(&Change<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut steps = Merge::new(&before.listed.refs, &after.listed.refs);
    loop {
        let batch: Vec<[Pair; 2]> = steps.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(());
        }
        let texts = [(before, 0), (after, 1)].map(|(run, place)| {
            let refs: Vec<DifferenceRef> = batch.iter().flat_map(|step| step[place].refs()).collect();
            run.listed.texts(&refs, run.threads)
        });
        let [first, second] = texts;
        let (first, second) = (first?, second?);
        for [was, is] in &batch {
            let was = was.told(&before.listed, &first);
            let is = is.told(&after.listed, &second);
            if let Some(change) = Change::of(was, is) {
                take(&change)?;
            }
        }
    }
}

/// The references of what one run tells of the rows of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Pair {
    outcome: Option<DifferenceRef>,
    apart: Option<DifferenceRef>,
}

impl Pair {
    fn refs(self) -> impl Iterator<Item = DifferenceRef> {
        self.outcome.into_iter().chain(self.apart)
    }

    fn told<'a>(self, listed: &'a Listed, texts: &'a Texts) -> Told<'a> {
        let told = |one: Option<DifferenceRef>| one.map(|one| listed.difference(texts, one));
        Told { outcome: told(self.outcome), apart: told(self.apart) }
    }
}

/// One run's outcomes, as they are walked through.
#[derive(Debug)]
struct Walk<'a> {
    /// Those with a row of ours that are still to come.
    ours: &'a [DifferenceRef],
    /// Those with a row of the channel's alone that are still to come.
    alone: &'a [DifferenceRef],
    /// All of those.
    all_alone: &'a [DifferenceRef],
    /// The channel's rows of them that were told of at a row of ours.
    told: BTreeSet<u64>,
}

impl<'a> Walk<'a> {
    fn new(refs: &'a [DifferenceRef]) -> Self {
        let (ours, alone) = refs.split_at(refs.partition_point(|one| one.platform().is_some()));
        Self { ours, alone, all_alone: alone, told: BTreeSet::new() }
    }

    /// The outcome of this row of ours, which is the next one or not there.
    fn take_ours(&mut self, platform: u64) -> Option<DifferenceRef> {
        let (first, rest) = self.ours.split_first()?;
        (first.platform() == Some(platform)).then(|| {
            self.ours = rest;
            *first
        })
    }

    fn take_alone(&mut self, channel: u64) -> Option<DifferenceRef> {
        let (first, rest) = self.alone.split_first()?;
        (first.channel() == Some(channel)).then(|| {
            self.alone = rest;
            *first
        })
    }

    /// The channel's row of the other run's pair, if it is alone here.
    fn apart(&mut self, other: Option<DifferenceRef>) -> Option<DifferenceRef> {
        let channel = other?.channel()?;
        let place = self.all_alone.binary_search_by_key(&Some(channel), |one| one.channel()).ok()?;
        self.told.insert(channel);
        Some(self.all_alone[place])
    }
}

/// Walks through two lists of outcomes and stops where they differ, and at every pair within tolerance: only its rows say
/// which rule allows it.
#[derive(Debug)]
struct Merge<'a> {
    before: Walk<'a>,
    after: Walk<'a>,
}

impl<'a> Merge<'a> {
    fn new(before: &'a [DifferenceRef], after: &'a [DifferenceRef]) -> Self {
        Self { before: Walk::new(before), after: Walk::new(after) }
    }

    /// What both runs tell of the next row of ours.
    fn next_ours(&mut self) -> Option<[Pair; 2]> {
        let next = |walk: &Walk<'_>| walk.ours.first().and_then(|one| one.platform());
        let platform = next(&self.before).into_iter().chain(next(&self.after)).min()?;
        let (was, is) = (self.before.take_ours(platform), self.after.take_ours(platform));
        let (apart_before, apart_after) = (self.before.apart(is), self.after.apart(was));
        Some([Pair { outcome: was, apart: apart_before }, Pair { outcome: is, apart: apart_after }])
    }

    /// The same of the channel's next row that is alone; empty when it was told of at a row of ours.
    fn next_alone(&mut self) -> Option<[Pair; 2]> {
        let next = |walk: &Walk<'_>| walk.alone.first().and_then(|one| one.channel());
        let channel = next(&self.before).into_iter().chain(next(&self.after)).min()?;
        let (was, is) = (self.before.take_alone(channel), self.after.take_alone(channel));
        let untold =
            |one: Option<DifferenceRef>, walk: &Walk<'_>| one.filter(|_| !walk.told.contains(&channel));
        let (was, is) = (untold(was, &self.before), untold(is, &self.after));
        Some([was, is].map(|outcome| Pair { outcome, apart: None }))
    }
}

impl Iterator for Merge<'_> {
    type Item = [Pair; 2];

    fn next(&mut self) -> Option<[Pair; 2]> {
        loop {
            let step = self.next_ours().or_else(|| self.next_alone())?;
            let may_have_other_rule =
                step[0].outcome.map(DifferenceRef::diff_type) == Some(DiffType::WithinTolerance);
            if step[0] != step[1] || may_have_other_rule {
                return Some(step);
            }
        }
    }
}

/// What one set of rules makes of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Figures {
    /// Matches, pairs within tolerance among them.
    pub matched: u64,
    /// Differences.
    pub differences: u64,
    /// Pairs within tolerance.
    pub within_tolerance: u64,
    /// What is booked for them, by rule and currency.
    pub adjustments: BTreeMap<String, ByCurrency<AdjustmentTotals>>,
}

impl Figures {
    /// Those of a run.
    pub fn of(summary: &Summary) -> Self {
        let matches = summary.types.iter().filter(|(diff_type, _)| diff_type.is_match());
        Self {
            matched: matches.map(|(_, totals)| totals.count).sum(),
            differences: summary.differences(),
            within_tolerance: summary.of(DiffType::WithinTolerance).count,
            adjustments: summary.adjustments.clone(),
        }
    }

    fn add(&mut self, more: &Self) {
        self.matched += more.matched;
        self.differences += more.differences;
        self.within_tolerance += more.within_tolerance;
        for (rule, booked) in &more.adjustments {
            let rule = self.adjustments.entry(rule.clone()).or_default();
            for (currency, totals) in booked {
                let sum = rule.entry(*currency).or_default();
                sum.count += totals.count;
                sum.amount += totals.amount;
            }
        }
    }
}

/// The changes of one kind. `differences_before` less `differences_after`, summed over all kinds, is by how much the number of
/// differences falls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangeTotals {
    /// How many.
    pub count: u64,
    /// How many differences the rows are before.
    pub differences_before: u64,
    /// How many they are after.
    pub differences_after: u64,
    /// The same by currency, with the money.
    pub currencies: ByCurrency<ChangedMoney>,
}

/// The changes of one kind in one currency, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChangedMoney {
    /// How many: each under our row's currency where there is one.
    pub count: u64,
    /// The sum of our rows.
    pub platform_amount: i128,
    /// The sum of the channel's rows.
    pub channel_amount: i128,
    /// What is booked for them before.
    pub adjustments_before: i128,
    /// What would be booked after.
    pub adjustments_after: i128,
}

/// Two sets of rules over the same files, in figures.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Comparison {
    /// By the first set.
    pub before: Figures,
    /// By the second.
    pub after: Figures,
    /// What lies between, by kind; a kind without changes is not there.
    pub changes: BTreeMap<ChangeKind, ChangeTotals>,
}

impl Comparison {
    /// Two runs, without what lies between them.
    pub fn new(before: &Summary, after: &Summary) -> Self {
        Self { before: Figures::of(before), after: Figures::of(after), changes: BTreeMap::new() }
    }

    /// Counts a change.
    pub fn count(&mut self, change: &Change<'_>) {
        let totals = self.changes.entry(change.kind).or_default();
        totals.count += 1;
        totals.differences_before += change.before.differences();
        totals.differences_after += change.after.differences();
        let (platform, channel) = change.rows();
        if let Some(listed) = platform {
            let money = totals.currencies.entry(listed.row.currency).or_default();
            money.platform_amount += i128::from(listed.row.amount);
            money.adjustments_before += change.before.adjustment();
            money.adjustments_after += change.after.adjustment();
        }
        if let Some(listed) = channel {
            let money = totals.currencies.entry(listed.row.currency).or_default();
            money.channel_amount += i128::from(listed.row.amount);
        }
        if let Some(currency) = change.currency() {
            totals.currencies.entry(currency).or_default().count += 1;
        }
    }

    /// How many changes there are.
    pub fn change_count(&self) -> u64 {
        self.changes.values().map(|totals| totals.count).sum()
    }

    /// Adds the figures of other files.
    pub fn add(&mut self, more: &Self) {
        self.before.add(&more.before);
        self.after.add(&more.after);
        for (kind, totals) in &more.changes {
            let sum = self.changes.entry(*kind).or_default();
            sum.count += totals.count;
            sum.differences_before += totals.differences_before;
            sum.differences_after += totals.differences_after;
            for (currency, money) in &totals.currencies {
                let sum = sum.currencies.entry(*currency).or_default();
                sum.count += money.count;
                sum.platform_amount += money.platform_amount;
                sum.channel_amount += money.channel_amount;
                sum.adjustments_before += money.adjustments_before;
                sum.adjustments_after += money.adjustments_after;
            }
        }
    }
}
