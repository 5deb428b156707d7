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

/// What a pair comes out as.
fn judged(ours: &TestRow, theirs: &TestRow, tolerance: &Tolerance) -> DiffType {
    let tolerated = is_near(ours, theirs, tolerance) && fits(ours.status, theirs.status);
    match difference(ours, theirs) {
        DiffType::AmountDiff if tolerated => DiffType::WithinTolerance,
        found => found,
    }
}

/// Takes out the pairs that are each other's only near one, and the rows of either side that are near to some others.
fn sort_out(
    ours: &mut Vec<usize>,
    theirs: &mut Vec<usize>,
    is_near: impl Fn(usize, usize) -> bool,
) -> (Vec<(usize, usize)>, Vec<usize>, Vec<usize>) {
    let near = |p: usize| -> Vec<usize> { theirs.iter().copied().filter(|c| is_near(p, *c)).collect() };
    let wanting = |c: usize| -> Vec<usize> { ours.iter().copied().filter(|p| is_near(*p, c)).collect() };
    let (mut pairs, mut unclear_ours, mut unclear_theirs) = (Vec::new(), Vec::new(), Vec::new());
    for p in ours.iter().copied() {
        match near(p)[..] {
            [] => {}
            [c] if wanting(c).len() == 1 => pairs.push((p, c)),
            _ => unclear_ours.push(p),
        }
    }
    for c in theirs.iter().copied() {
        if !wanting(c).is_empty() && pairs.iter().all(|(_, paired)| *paired != c) {
            unclear_theirs.push(c);
        }
    }
    ours.retain(|p| !unclear_ours.contains(p) && pairs.iter().all(|(paired, _)| paired != p));
    theirs.retain(|c| !unclear_theirs.contains(c) && pairs.iter().all(|(_, paired)| paired != c));
    (pairs, unclear_ours, unclear_theirs)
}

/// The rows of one side and key in the order in which they are taken; those from `of_day` on are carried.
fn in_turn(mut indexes: Vec<usize>, rows: &[TestRow], of_day: usize) -> Vec<usize> {
    if indexes.iter().any(|index| *index >= of_day) {
        let turn =
            |index: &usize| if *index >= of_day { 1 } else { 2 * usize::from(!rows[*index].in_window) };
        indexes.sort_by_key(turn);
    }
    indexes
}

/// Whether the rows are the same money, cut in other pieces.
fn is_one_sum(ours: &[usize], theirs: &[usize], platform: &[TestRow], channel: &[TestRow]) -> bool {
    let ours: Vec<&TestRow> = ours.iter().map(|p| &platform[*p]).collect();
    let theirs: Vec<&TestRow> = theirs.iter().map(|c| &channel[*c]).collect();
    let sum = |rows: &[&TestRow]| rows.iter().map(|row| i128::from(row.amount)).sum::<i128>();
    let agree = |p: &&TestRow| theirs.iter().all(|c| p.currency == c.currency && fits(p.status, c.status));
    let several = ours.len() > 1 || theirs.len() > 1;
    let some = !ours.is_empty() && !theirs.is_empty();
    several && some && sum(&ours) == sum(&theirs) && ours.iter().all(agree)
}

/// What comes out of a row, or of two.
type Told = (DiffType, Option<usize>, Option<usize>);

/// Whether any of the rows is of the day, or carried.
fn any_told(indexes: &[usize], rows: &[TestRow], of_day: usize) -> bool {
    indexes.iter().any(|index| rows[*index].in_window || *index >= of_day)
}

/// What comes out of rows that the channel alone has.
fn left_there(theirs: impl Iterator<Item = usize>, has_partner: bool) -> Vec<Told> {
    let mut partner = has_partner;
    let mut judged = Vec::new();
    for c in theirs {
        judged.push((
            if partner { DiffType::DuplicateChannel } else { DiffType::ChannelOnly },
            None,
            Some(c),
        ));
        partner = true;
    }
    judged
}

/// Takes the rows of a net, one of each side beside the other.
fn side_by_side(ours: &mut Vec<usize>, theirs: &mut Vec<usize>) -> Vec<Told> {
    let (ours, theirs) = (std::mem::take(ours), std::mem::take(theirs));
    let place = |index: usize| (DiffType::Netted, ours.get(index).copied(), theirs.get(index).copied());
    (0..ours.len().max(theirs.len())).map(place).collect()
}

/// The rows of one key: ours, and the channel's.
type Rows = (Vec<usize>, Vec<usize>);

/// What rows are matched by: their kind, their id, and whether they take back a part of a payment.
type Key = (Kind, String, bool);

/// The rows of both sides by what they are matched by.
fn by_key(platform: &[TestRow], channel: &[TestRow]) -> BTreeMap<Key, Rows> {
    let mut groups: BTreeMap<Key, Rows> = BTreeMap::new();
    let takes_back = |row: &TestRow| row.kind == Kind::Payment && row.amount < 0;
    for (index, row) in platform.iter().enumerate().filter(|(_, row)| row.kind.is_booked_by_platform()) {
        let key = (row.kind, reported_as(row, index, channel), takes_back(row));
        groups.entry(key).or_default().0.push(index);
    }
    for (index, row) in channel.iter().enumerate().filter(|(_, row)| row.kind.is_booked_by_platform()) {
        let key = (row.kind, own_key(row, 'c', index), takes_back(row));
        groups.entry(key).or_default().1.push(index);
    }
    groups
}

/// Takes out the pairs that agree in everything.
fn take_equals((ours, theirs): &mut Rows, platform: &[TestRow], channel: &[TestRow]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    ours.retain(|p| {
        let equal = theirs.iter().position(|c| difference(&platform[*p], &channel[*c]) == DiffType::Matched);
        equal.map(|place| pairs.push((*p, theirs.remove(place)))).is_none()
    });
    pairs
}

/// Takes all that is left of some kinds where it is one sum.
fn take_net(
    kinds: &mut [&mut Rows],
    platform: &[TestRow],
    channel: &[TestRow],
    of_day: [usize; 2],
) -> Vec<Told> {
    let mut ours: Vec<usize> = kinds.iter().flat_map(|(ours, _)| ours.clone()).collect();
    let mut theirs: Vec<usize> = kinds.iter().flat_map(|(_, theirs)| theirs.clone()).collect();
    let is_told = any_told(&ours, platform, of_day[0]) || any_told(&theirs, channel, of_day[1]);
    if !is_told || !is_one_sum(&ours, &theirs, platform, channel) {
        return Vec::new();
    }
    for rows in kinds {
        **rows = Rows::default();
    }
    side_by_side(&mut ours, &mut theirs)
}

/// Takes out what is one sum of a kind; without netting only where a part of a payment was taken back.
fn take_nets_of_kinds(
    groups: &mut BTreeMap<Key, Rows>,
    net: bool,
    platform: &[TestRow],
    channel: &[TestRow],
    of_day: [usize; 2],
) -> Vec<Told> {
    let mut of_kind: BTreeMap<(Kind, String), (bool, Vec<&mut Rows>)> = BTreeMap::new();
    for ((kind, id, takes_back), rows) in groups {
        let (is_cut, all) = of_kind.entry((*kind, id.clone())).or_default();
        *is_cut |= *takes_back && !(rows.0.is_empty() && rows.1.is_empty());
        all.push(rows);
    }
    of_kind
        .into_values()
        .filter(|(is_cut, _)| net || *is_cut)
        .flat_map(|(_, mut rows)| take_net(&mut rows, platform, channel, of_day))
        .collect()
}

/// Takes out what is one sum of a payment and its refunds.
fn take_nets_of_payments(
    groups: &mut BTreeMap<Key, Rows>,
    platform: &[TestRow],
    channel: &[TestRow],
    of_day: [usize; 2],
) -> Vec<Told> {
    let mut payments: BTreeMap<String, Vec<&mut Rows>> = BTreeMap::new();
    for ((kind, id, _), rows) in groups {
        if matches!(kind, Kind::Payment | Kind::Refund) {
            payments.entry(id.clone()).or_default().push(rows);
        }
    }
    payments.into_values().flat_map(|mut kinds| take_net(&mut kinds, platform, channel, of_day)).collect()
}

/// Everything that comes out, in the order of the output. Of each side so many rows are of the day, and those behind them
/// carried.
pub(super) fn reconcile(
    platform: &[TestRow],
    channel: &[TestRow],
    of_day: [usize; 2],
    (lists_failed, net): (bool, bool),
    tolerance: &Tolerance,
) -> Vec<Listed> {
    let mut out: Vec<Told> = Vec::new();
    let mut groups = by_key(platform, channel);
    let mut equal: BTreeMap<Key, Vec<(usize, usize)>> = BTreeMap::new();
    for (ours, theirs) in groups.values_mut() {
        *ours = in_turn(std::mem::take(ours), platform, of_day[0]);
        *theirs = in_turn(std::mem::take(theirs), channel, of_day[1]);
    }
    for (key, rows) in &mut groups {
        equal.insert(key.clone(), take_equals(rows, platform, channel));
    }
    out.extend(take_nets_of_kinds(&mut groups, net, platform, channel, of_day));
    if net {
        out.extend(take_nets_of_payments(&mut groups, platform, channel, of_day));
    }
    for (key, (mut ours, mut theirs)) in groups {
        let is_carried = |p: Option<usize>, c: Option<usize>| {
            p.is_some_and(|p| p >= of_day[0]) || c.is_some_and(|c| c >= of_day[1])
        };
        let mut pairs = equal.remove(&key).unwrap_or_default();
        let is_near = |p: usize, c: usize| is_near(&platform[p], &channel[c], tolerance);
        let (only_ones, unclear_ours, unclear_theirs) = sort_out(&mut ours, &mut theirs, is_near);
        let mut has_partner = !pairs.is_empty() || !only_ones.is_empty() || !unclear_ours.is_empty();
        pairs.extend(only_ones);
        let ours_in_window = unclear_ours.into_iter().filter(|p| platform[*p].in_window);
        out.extend(ours_in_window.map(|p| (DiffType::Ambiguous, Some(p), None)));
        let theirs_in_window = unclear_theirs.into_iter().filter(|c| channel[*c].in_window);
        out.extend(theirs_in_window.map(|c| (DiffType::Ambiguous, None, Some(c))));
        while !ours.is_empty() && !theirs.is_empty() {
            has_partner = true;
            pairs.push((ours.remove(0), theirs.remove(0)));
        }
        for (p, c) in &pairs {
            if platform[*p].in_window || channel[*c].in_window || is_carried(Some(*p), Some(*c)) {
                let found = match judged(&platform[*p], &channel[*c], tolerance) {
                    DiffType::Matched if is_carried(Some(*p), Some(*c)) => DiffType::Carried,
                    found => found,
                };
                out.push((found, Some(*p), Some(*c)));
            }
        }
        let mut partner = has_partner;
        let is_told = |row: &TestRow, carried: bool| row.in_window || (carried && has_partner);
        for p in ours.into_iter().filter(|p| is_told(&platform[*p], is_carried(Some(*p), None))) {
            if has_partner && is_carried(Some(p), None) && platform[p].status.is_none() {
                out.push((DiffType::Carried, Some(p), None));
                continue;
            }
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
        let theirs = theirs.into_iter().filter(|c| is_told(&channel[*c], is_carried(None, Some(*c))));
        out.extend(left_there(theirs, has_partner));
    }
    out.sort_by_key(|(_, p, c)| (p.is_none(), *p, *c));
    out.into_iter().map(|(diff_type, p, c)| (diff_type, p.map(|p| p as u64), c.map(|c| c as u64))).collect()
}
