//! The rules once more, as plainly as they can be written: the engine must agree with this on every input.

use std::collections::{BTreeMap, BTreeSet};

use payops_channels::row::{Kind, Status};

use super::rules::DiffType;
use super::test_rows::{Listed, TestRow};
use super::tolerance::Tolerance;

/// A key no text of a row equals, for a row without a trade number.
fn own_key(row: &TestRow, side: char, index: usize) -> String {
    if row.trade_no.is_empty() { format!("\0{side}{index}") } else { row.trade_no.clone() }
}

/// The trade number under which the channel reports a payment of ours.
fn reported_as(row: &TestRow, index: usize, channel: &[TestRow]) -> String {
    let own = own_key(row, 'p', index);
    let payments: Vec<(usize, &TestRow)> =
        channel.iter().enumerate().filter(|(_, theirs)| theirs.kind == Kind::Payment).collect();
    if row.kind != Kind::Payment || payments.iter().any(|(_, theirs)| theirs.trade_no == own) {
        return own;
    }
    for id_of in [|row: &TestRow| row.charge_id.clone(), |row: &TestRow| row.intent_id.clone()] {
        let named: BTreeSet<String> = payments
            .iter()
            .filter(|(_, theirs)| id_of(theirs) == own && theirs.trade_no != own)
            .map(|(index, theirs)| own_key(theirs, 'c', *index))
            .collect();
        if !named.is_empty() {
            return if named.len() == 1 { named.into_iter().next().unwrap() } else { own };
        }
    }
    own
}

fn fits(ours: Option<Status>, theirs: Option<Status>) -> bool {
    match (ours, theirs) {
        (None, _) => true,
        (Some(ours), Some(theirs)) => ours == theirs,
        (Some(ours), None) => !matches!(ours, Status::Pending | Status::Failed | Status::Cancelled),
    }
}

fn difference(ours: &TestRow, theirs: &TestRow) -> DiffType {
    match () {
        () if ours.currency != theirs.currency => DiffType::CurrencyDiff,
        () if ours.amount != theirs.amount => DiffType::AmountDiff,
        () if !fits(ours.status, theirs.status) => DiffType::StatusDiff,
        () => DiffType::Matched,
    }
}

/// Whether the amount of the channel's row is one that goes with ours.
fn is_near(ours: &TestRow, theirs: &TestRow, tolerance: &Tolerance) -> bool {
    let band = tolerance.band(ours.kind, ours.currency, ours.amount);
    ours.currency == theirs.currency && band.is_some_and(|band| band.contains(theirs.amount))
}

/// Everything that comes out, in the order of the output.
pub(super) fn reconcile(
    platform: &[TestRow],
    channel: &[TestRow],
    lists_failed: bool,
    tolerance: &Tolerance,
) -> Vec<Listed> {
    let mut groups: BTreeMap<(Kind, String), (Vec<usize>, Vec<usize>)> = BTreeMap::new();
    for (index, row) in platform.iter().enumerate().filter(|(_, row)| row.kind.is_booked_by_platform()) {
        groups.entry((row.kind, reported_as(row, index, channel))).or_default().0.push(index);
    }
    for (index, row) in channel.iter().enumerate().filter(|(_, row)| row.kind.is_booked_by_platform()) {
        groups.entry((row.kind, own_key(row, 'c', index))).or_default().1.push(index);
    }
    let mut out: Vec<(DiffType, Option<usize>, Option<usize>)> = Vec::new();
    for (mut ours, mut theirs) in groups.into_values() {
        let mut pairs = Vec::new();
        ours.retain(|p| {
            let equal =
                theirs.iter().position(|c| difference(&platform[*p], &channel[*c]) == DiffType::Matched);
            equal.map(|place| pairs.push((*p, theirs.remove(place)))).is_none()
        });
        let near =
            |p: usize| theirs.iter().copied().filter(move |c| is_near(&platform[p], &channel[*c], tolerance));
        let wanting =
            |c: usize| ours.iter().copied().filter(move |p| is_near(&platform[*p], &channel[c], tolerance));
        let only_ones: Vec<(usize, usize)> = ours
            .iter()
            .filter_map(|p| near(*p).next().map(|c| (*p, c)))
            .filter(|(p, c)| near(*p).count() == 1 && wanting(*c).count() == 1)
            .collect();
        let unclear = |is_near: bool, is_paired: bool| is_near && !is_paired;
        let unclear_ours: Vec<usize> = (ours.iter().copied())
            .filter(|p| unclear(near(*p).next().is_some(), only_ones.iter().any(|(one, _)| one == p)))
            .collect();
        let unclear_theirs: Vec<usize> = (theirs.iter().copied())
            .filter(|c| unclear(wanting(*c).next().is_some(), only_ones.iter().any(|(_, one)| one == c)))
            .collect();
        ours.retain(|p| !unclear_ours.contains(p) && only_ones.iter().all(|(one, _)| one != p));
        theirs.retain(|c| !unclear_theirs.contains(c) && only_ones.iter().all(|(_, one)| one != c));
        let mut has_partner = !pairs.is_empty() || !only_ones.is_empty();
        has_partner |= !unclear_ours.is_empty();
        pairs.extend(only_ones);
        let ambiguous = DiffType::Ambiguous;
        out.extend(
            unclear_ours.into_iter().filter(|p| platform[*p].in_window).map(|p| (ambiguous, Some(p), None)),
        );
        out.extend(
            unclear_theirs.into_iter().filter(|c| channel[*c].in_window).map(|c| (ambiguous, None, Some(c))),
        );
        while !ours.is_empty() && !theirs.is_empty() {
            has_partner = true;
            pairs.push((ours.remove(0), theirs.remove(0)));
        }
        for (p, c) in &pairs {
            if platform[*p].in_window || channel[*c].in_window {
                let (ours, theirs) = (&platform[*p], &channel[*c]);
                let found = match difference(ours, theirs) {
                    DiffType::AmountDiff
                        if is_near(ours, theirs, tolerance) && fits(ours.status, theirs.status) =>
                    {
                        DiffType::WithinTolerance
                    }
                    found => found,
                };
                out.push((found, Some(*p), Some(*c)));
            }
        }
        let mut partner = has_partner;
        for p in ours.into_iter().filter(|p| platform[*p].in_window) {
            let dead = matches!(platform[p].status, Some(Status::Failed | Status::Cancelled));
            if dead && !lists_failed {
                out.push((DiffType::NotExpected, Some(p), None));
                continue;
            }
            out.push((
                if partner { DiffType::DuplicatePlatform } else { DiffType::PlatformOnly },
                Some(p),
                None,
            ));
            partner = true;
        }
        let mut partner = has_partner;
        for c in theirs.into_iter().filter(|c| channel[*c].in_window) {
            out.push((
                if partner { DiffType::DuplicateChannel } else { DiffType::ChannelOnly },
                None,
                Some(c),
            ));
            partner = true;
        }
    }
    out.sort_by_key(|(_, p, c)| (p.is_none(), *p, *c));
    out.into_iter().map(|(diff_type, p, c)| (diff_type, p.map(|p| p as u64), c.map(|c| c as u64))).collect()
}
