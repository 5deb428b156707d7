//! Which row belongs to which among rows of one key.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use payops_channels::row::{Kind, Status};

use super::ambiguity::{Candidates, Split};
use super::entry::{CurrencyCode, Entry};
use super::rules::{self, DiffType};
use super::tolerance::Tolerance;

/// What the rules of a run depend on.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairingRules<'a> {
    /// The channel's file has a row for payments that failed too, so that an absent one is a difference.
    pub(super) lists_failed: bool,
    /// Whether rows of one payment of which no two agree are compared by their sums.
    pub(super) net: bool,
    /// How far amounts may be apart.
    pub(super) tolerance: &'a Tolerance,
}

/// Rows of one key and kind, and all of them taking back or none, that agree with none of the other side.
#[derive(Debug)]
struct Unpaired<'e> {
    platform: Vec<&'e Entry>,
    channel: Vec<&'e Entry>,
    /// Others of this key and kind were paired.
    has_pair: bool,
}

/// Takes one outcome: a pair, or a row of one side.
pub(super) trait Outcomes {
    fn outcome(&mut self, outcome: DiffType, platform: Option<&Entry>, channel: Option<&Entry>);

    /// A pair within the tolerance of a rule, by the rule's place.
    fn adjusted(&mut self, rule: usize, platform: &Entry, channel: &Entry);

    /// A row that could belong to several others, or to one that could belong to others too.
    fn ambiguous(&mut self, platform: Option<&Entry>, channel: Option<&Entry>, candidates: Candidates);
}

impl PairingRules<'_> {
    /// Judges a row of ours and a row of the channel's that belong together.
    #[inline]
    pub(super) fn pair(self, platform: &Entry, channel: &Entry, out: &mut impl Outcomes) {
        // A row outside of the day asked for may complete a pair; a pair outside is another day's business.
        // A row of an earlier day is looked for whatever day the file gives to the other one.
        let is_carried = platform.is_carried() || channel.is_carried();
        if !(platform.in_window() || channel.in_window() || is_carried) {
            return;
        }
        let outcome = match compare(platform, channel) {
            DiffType::Matched if is_carried => DiffType::Carried,
            outcome => outcome,
        };
        match self.tolerated(outcome, platform, channel) {
            Some(rule) => out.adjusted(rule, platform, channel),
            None => out.outcome(outcome, Some(platform), Some(channel)),
        }
    }

    /// The rule that tolerates the gap between two amounts, where the pair agrees in all else.
    #[inline]
    fn tolerated(self, outcome: DiffType, platform: &Entry, channel: &Entry) -> Option<usize> {
        if outcome != DiffType::AmountDiff || self.tolerance.is_empty() {
            return None;
        }
        let (kind, currency) = (platform.kind(), platform.currency().currency());
        let band = self.tolerance.band(kind, currency, platform.amount)?;
        let fits = rules::statuses_fit(platform.status(), channel.status()) && band.contains(channel.amount);
        fits.then_some(band.rule)
    }

    /// Judges the rows of one key, each side in any order.
    ///
    /// Rows that agree in everything are paired first, then those that are each other's only one within tolerance, then
    /// the others in file order; where several are within tolerance, nobody knows which, and none is paired. What is
    /// left over is a duplicate when a row of its side was paired or already reported as missing there; a payment that
    /// failed or was cancelled and that the channel leaves out is not missed at all.
    ///
    /// Where rows of one payment are netted, a key has its refunds too. Of each kind all rows that agree with none are taken
    /// together, and are one match when they are of one currency and add up to the same on both sides; then what is left of
    /// all kinds. A row that is there once more than on the other side is in no such sum: it is a duplicate as before.
    /// A payment of which a part is taken back is netted in every run, since its rows are one capture. What takes back is
    /// never a pair of what does not, nor its duplicate.
    ///
    /// Rows of earlier days stand behind those of the day and before what else the file has of other days.
    pub(super) fn group(self, platform: &[Entry], channel: &[Entry], out: &mut impl Outcomes) {
        let kinds = Kind::ALL.into_iter().filter(|kind| kind.is_booked_by_platform());
        let mut unpaired: Vec<[Unpaired<'_>; 2]> = kinds
            .map(|kind| {
                [false, true].map(|takes_back| {
                    let [ours, theirs] = [platform, channel].map(|rows| alike(rows, kind, takes_back));
                    self.pair_agreeing(ours, theirs, out)
                })
            })
            .collect();
        unpaired.retain(|rows| {
            let [_, taken_back] = rows;
            let is_cut = !(taken_back.platform.is_empty() && taken_back.channel.is_empty());
            !((self.net || is_cut) && net(rows, out))
        });
        if self.net && net(unpaired.as_flattened(), out) {
            return;
        }
        for rows in unpaired.into_iter().flatten() {
            self.judge(rows, out);
        }
    }

    /// Pairs rows that agree in everything.
    fn pair_agreeing<'e>(
        self,
        platform: Vec<&'e Entry>,
        channel: Vec<&'e Entry>,
        out: &mut impl Outcomes,
    ) -> Unpaired<'e> {
        let partners = pair_equals(&platform, &channel);
        let mut taken = vec![false; channel.len()];
        let mut lonely = Vec::new();
        for (entry, partner) in platform.into_iter().zip(&partners) {
            match partner {
                Some(index) => {
                    taken[*index] = true;
                    self.pair(entry, channel[*index], out);
                }
                None => lonely.push(entry),
            }
        }
        let has_pair = lonely.len() < partners.len();
        let free = channel.into_iter().zip(&taken).filter(|(_, taken)| !**taken).map(|(entry, _)| entry);
        Unpaired { platform: lonely, channel: free.collect(), has_pair }
    }

    /// Judges what agrees with nothing.
    fn judge(self, rows: Unpaired<'_>, out: &mut impl Outcomes) {
        let Unpaired { platform: mut lonely, channel: mut free, mut has_pair } = rows;
        if !self.tolerance.is_empty() && !lonely.is_empty() && !free.is_empty() {
            let split = Split::of(&lonely, &free, self.tolerance);
            has_pair |= split.platform.len() < lonely.len();
            for (ours, theirs) in split.pairs {
                self.pair(ours, theirs, out);
            }
            for (row, candidates) in split.ambiguous_platform.into_iter().filter(|(row, _)| row.in_window()) {
                out.ambiguous(Some(row), None, candidates);
            }
            for (row, candidates) in split.ambiguous_channel.into_iter().filter(|(row, _)| row.in_window()) {
                out.ambiguous(None, Some(row), candidates);
            }
            (lonely, free) = (split.platform, split.channel);
        }
        let pairs = lonely.len().min(free.len());
        for (ours, theirs) in lonely.iter().zip(&free) {
            self.pair(ours, theirs, out);
        }
        has_pair |= pairs > 0;
        self.left_on_platform(&lonely[pairs..], has_pair, out);
        left_on_channel(&free[pairs..], has_pair, out);
    }

    /// Judges rows of ours for which the channel has none left.
    pub(super) fn left_on_platform(self, left: &[&Entry], has_pair: bool, out: &mut impl Outcomes) {
        let mut reported = has_pair;
        for entry in left.iter().filter(|entry| is_told(entry, has_pair)) {
            let outcome = if has_pair && entry.is_carried() && entry.status().is_none() {
                // It was not decided then; the row that was paired says what became of it.
                DiffType::Carried
            } else if rules::is_dead(entry.status()) && !self.lists_failed {
                DiffType::NotExpected
            } else if std::mem::replace(&mut reported, true) {
                DiffType::DuplicatePlatform
            } else if entry.in_cut_off() {
                DiffType::Timing
            } else {
                DiffType::PlatformOnly
            };
            out.outcome(outcome, Some(entry), None);
        }
    }
}

/// The rows of one kind, those that [take back](Entry::takes_back) or the others, in the order in which they are taken.
fn alike(rows: &[Entry], kind: Kind, takes_back: bool) -> Vec<&Entry> {
    let is_alike = |entry: &&Entry| entry.kind() == kind && entry.takes_back() == takes_back;
    let mut rows: Vec<&Entry> = rows.iter().filter(is_alike).collect();
    if rows.iter().any(|entry| entry.is_carried()) {
        rows.sort_unstable_by_key(|entry| entry.turn());
    } else {
        rows.sort_unstable_by_key(|entry| entry.ordinal());
    }
    rows
}

/// Whether a row that is left over is told of: one of the day, one that was looked for long enough, and one of an earlier
/// day whose id the other side has, but for another row.
fn is_told(entry: &Entry, has_pair: bool) -> bool {
    entry.in_window() || (has_pair && entry.is_carried())
}

/// Judges rows of the channel for which we have none left.
pub(super) fn left_on_channel(left: &[&Entry], has_pair: bool, out: &mut impl Outcomes) {
    let mut reported = has_pair;
    for entry in left.iter().filter(|entry| is_told(entry, has_pair)) {
        let outcome = if std::mem::replace(&mut reported, true) {
            DiffType::DuplicateChannel
        } else if entry.in_cut_off() {
            DiffType::Timing
        } else {
            DiffType::ChannelOnly
        };
        out.outcome(outcome, None, Some(entry));
    }
}

/// Whether rows of one key that agree with none are the same money, cut in other pieces: all in one currency, with statuses
/// that fit, and one sum on both sides. Rows that are all of other days are theirs.
fn adds_up(platform: &[&Entry], channel: &[&Entry]) -> bool {
    let (Some(first), Some(_)) = (platform.first(), channel.first()) else { return false };
    let mut all = platform.iter().chain(channel);
    let sum = |rows: &[&Entry]| rows.iter().map(|entry| i128::from(entry.amount)).sum::<i128>();
    let statuses = |rows: &[&Entry]| rows.iter().map(|entry| entry.status()).collect::<BTreeSet<_>>();
    let (ours, theirs) = (statuses(platform), statuses(channel));
    platform.len().max(channel.len()) > 1
        && all.clone().any(|entry| entry.in_window() || entry.is_carried())
        && all.all(|entry| entry.currency() == first.currency())
        && sum(platform) == sum(channel)
        && ours.iter().all(|ours| theirs.iter().all(|theirs| rules::statuses_fit(*ours, *theirs)))
}

/// Tells of rows that add up to the same, side by side as far as both sides have some; returns whether they do.
fn net(rows: &[Unpaired<'_>], out: &mut impl Outcomes) -> bool {
    let platform: Vec<&Entry> = rows.iter().flat_map(|rows| &rows.platform).copied().collect();
    let channel: Vec<&Entry> = rows.iter().flat_map(|rows| &rows.channel).copied().collect();
    let is_one_sum = adds_up(&platform, &channel);
    if is_one_sum {
        for index in 0..platform.len().max(channel.len()) {
            let (ours, theirs) = (platform.get(index).copied(), channel.get(index).copied());
            out.outcome(DiffType::Netted, ours, theirs);
        }
    }
    is_one_sum
}

/// What a pair differs in: the currency before the amount before the status.
fn compare(platform: &Entry, channel: &Entry) -> DiffType {
    if platform.currency() != channel.currency() {
        DiffType::CurrencyDiff
    } else if platform.amount != channel.amount {
        DiffType::AmountDiff
    } else if rules::statuses_fit(platform.status(), channel.status()) {
        DiffType::Matched
    } else {
        DiffType::StatusDiff
    }
}

/// For each row of ours, in file order, the first free row of the channel's that agrees with it in currency,
/// amount and status.
fn pair_equals(platform: &[&Entry], channel: &[&Entry]) -> Vec<Option<usize>> {
    type Facts = (CurrencyCode, i64, Option<Status>);
    let mut free: BTreeMap<Facts, VecDeque<usize>> = BTreeMap::new();
    for (index, entry) in channel.iter().enumerate() {
        free.entry((entry.currency(), entry.amount, entry.status())).or_default().push_back(index);
    }
    let statuses: Vec<Option<Status>> = Status::ALL.into_iter().map(Some).chain([None]).collect();
    let mut take_first = |entry: &Entry| {
        let facts = |status: Option<Status>| (entry.currency(), entry.amount, status);
        let fitting = statuses.iter().filter(|theirs| rules::statuses_fit(entry.status(), **theirs));
        let first = fitting
            .filter_map(|theirs| Some((*free.get(&facts(*theirs))?.front()?, *theirs)))
            .min_by_key(|(index, _)| *index)?;
        free.get_mut(&facts(first.1))?.pop_front()
    };
    platform.iter().map(|entry| take_first(entry)).collect()
}
