//! The walk through two lists on its own, over what matching gives, and over files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use payops_channels::options::ReadOptions;
use payops_channels::read::Format;
use proptest::prelude::*;

use super::*;
use crate::engine::test_rows::{Matcher, TestRow};
use crate::engine::tests::{any_side, any_tolerance};
use crate::engine::{Input, Observer, Settings, Tolerance, reconcile};

/// What becomes of each row: of ours the channel's row that it is paired with (taken modulo those that are left), and the
/// type; of the channel's the type where it is left over. `None` is not listed.
type World = (Vec<Option<(Option<usize>, usize)>>, Vec<Option<usize>>);

fn any_world() -> impl Strategy<Value = World> {
    let any_type = 0..DiffType::ALL.len();
    let ours =
        proptest::option::weighted(0.9, (proptest::option::weighted(0.7, 0_usize..8), any_type.clone()));
    let theirs = proptest::option::weighted(0.9, any_type);
    (proptest::collection::vec(ours, 6), proptest::collection::vec(theirs, 8))
}

/// A run's list: each row in one outcome at most.
fn listed((ours, theirs): &World) -> Vec<DifferenceRef> {
    let mut left: Vec<u64> = (0..theirs.len() as u64).collect();
    let mut refs = Vec::new();
    for (platform, outcome) in (0..).zip(ours) {
        if let Some((partner, diff_type)) = outcome {
            let partner = partner.map(|place| left.remove(place % left.len()));
            refs.push(DifferenceRef::new(DiffType::ALL[*diff_type], Some(platform), partner));
        }
    }
    for (channel, outcome) in (0..).zip(theirs).filter(|(channel, _)| left.contains(channel)) {
        let of = |diff_type: &usize| DifferenceRef::new(DiffType::ALL[*diff_type], None, Some(channel));
        refs.extend(outcome.as_ref().map(of));
    }
    refs.sort_unstable();
    refs
}

fn differences(refs: impl IntoIterator<Item = DifferenceRef>) -> i64 {
    let count = refs.into_iter().filter(|one| one.diff_type().is_difference()).count();
    i64::try_from(count).unwrap()
}

/// The rows of a run that are alike in both, so that nothing is to be told of them.
fn alike(before: &[DifferenceRef], after: &[DifferenceRef]) -> BTreeSet<DifferenceRef> {
    let after: BTreeSet<DifferenceRef> = after.iter().copied().collect();
    let same = before.iter().copied().filter(|one| after.contains(one));
    same.filter(|one| one.diff_type() != DiffType::WithinTolerance).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_outcome_that_is_not_alike_is_told_once(before in any_world(), after in any_world()) {
        let (before, after) = (listed(&before), listed(&after));
        let steps: Vec<[Pair; 2]> = Merge::new(&before, &after).collect();
        let alike = alike(&before, &after);
        for (place, refs) in [(0, &before), (1, &after)] {
            let mut told: Vec<DifferenceRef> = steps.iter().flat_map(|step| step[place].refs()).collect();
            told.sort_unstable();
            let expected: Vec<DifferenceRef> =
                refs.iter().copied().filter(|one| !alike.contains(one)).collect();
            prop_assert_eq!(told, expected);
        }
        let total = |place: usize| differences(steps.iter().flat_map(|step| step[place].refs()));
        prop_assert_eq!(total(0) - total(1), differences(before) - differences(after));
        let mut places = Vec::new();
        for step in &steps {
            let [was, is] = step.map(|pair| pair.outcome);
            places.push(was.or(is).map(|one| (one.platform().unwrap_or(u64::MAX), one.channel().filter(|_| one.platform().is_none()))));
            for (pair, other) in [(step[0], step[1]), (step[1], step[0])] {
                // Who is apart here is with our row there.
                let apart = pair.apart.and_then(DifferenceRef::channel);
                prop_assert!(apart.is_none() || apart == other.outcome.and_then(DifferenceRef::channel));
                prop_assert!(pair.apart.is_none() || other.outcome.and_then(DifferenceRef::platform).is_some());
            }
        }
        prop_assert!(places.is_sorted());
    }

    #[test]
    fn the_other_way_round_what_was_gained_is_lost(before in any_world(), after in any_world()) {
        let (before, after) = (listed(&before), listed(&after));
        let kinds = |before: &[DifferenceRef], after: &[DifferenceRef]| {
            let judged = |pair: Pair| {
                let of = |one: Option<DifferenceRef>| one.map(DifferenceRef::diff_type);
                Judged::of(of(pair.outcome), of(pair.apart))
            };
            let mut kinds = BTreeMap::new();
            for [was, is] in Merge::new(before, after) {
                *kinds.entry(ChangeKind::of(judged(was), judged(is))).or_insert(0) += 1;
            }
            [ChangeKind::Gained, ChangeKind::Lost, ChangeKind::Changed].map(|kind| kinds.get(&kind).copied())
        };
        let [gained, lost, changed] = kinds(&before, &after);
        prop_assert_eq!(kinds(&after, &before), [lost, gained, changed]);
    }

    #[test]
    fn what_is_told_of_in_one_run_alone_was_never_matched(
        platform in any_side(),
        channel in any_side(),
        rules in (any_tolerance(), any_tolerance()),
        net: bool,
    ) {
        let run = |tolerance: &Tolerance| {
            let all = Matcher { net, tolerance, ..Matcher::default() }.run(&platform, &channel).listed;
            let listed: Vec<_> = all.iter().copied().filter(|one| one.diff_type().is_listed()).collect();
            let matched: BTreeSet<_> = all.into_iter().filter(|one| one.diff_type() == DiffType::Matched).collect();
            (listed, matched)
        };
        let ((before, matched_before), (after, matched_after)) = (run(&rules.0), run(&rules.1));
        // Else a back-test would have to keep every pair of both files.
        prop_assert_eq!(matched_before, matched_after);
        let steps: Vec<[Pair; 2]> = Merge::new(&before, &after).collect();
        let total = |place: usize| differences(steps.iter().flat_map(|step| step[place].refs()));
        prop_assert_eq!(total(0) - total(1), differences(before) - differences(after));
    }
}

fn any_rows() -> impl Strategy<Value = Vec<(u8, i64)>> {
    proptest::collection::vec((0_u8..12, prop_oneof![2 => 995_i64..1006, 1 => 1990_i64..2010]), 0..40)
}

/// Both files in a folder: ids and amounts in dollars.
fn write_files(folder: &Path, ours: &[(u8, i64)], theirs: &[(u8, i64)]) -> [Input; 2] {
    let mut platform =
        String::from("payment_no,channel_trade_no,amount,currency,status,created_at,merchant_id\n");
    for (number, (id, amount)) in ours.iter().enumerate() {
        writeln!(platform, "P{number},ch_{id},{amount},USD,succeeded,2026-01-01T00:00:00Z,M").unwrap();
    }
    let mut channel =
        String::from("balance_transaction_id,currency,gross,fee,net,reporting_category,source_id\n");
    for (number, (id, amount)) in theirs.iter().enumerate() {
        let gross = format!("{}.{:02}", amount / 100, amount % 100);
        writeln!(channel, "txn_{number},usd,{gross},0.00,{gross},charge,ch_{id}").unwrap();
    }
    [("ours", platform, Format::PlatformCsv), ("theirs", channel, Format::StripeItemized)].map(
        |(name, text, format)| {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            Input { path, damage: Vec::new(), format, options: ReadOptions::default() }
        },
    )
}

/// What rules have booked in dollars.
fn booked(figures: &Figures) -> i128 {
    figures.adjustments.values().flat_map(BTreeMap::values).map(|totals| totals.amount).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_changes_are_what_lies_between_the_figures(
        ours in any_rows(),
        theirs in any_rows(),
        rules in (any_tolerance(), any_tolerance()),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let [platform, channel] = write_files(folder.path(), &ours, &theirs);
        let run = |tolerance: Tolerance| {
            let settings = Settings { tolerance, ..Settings::new([3, 4], folder.path()) };
            reconcile(&platform, &channel, None, &settings, Observer::none()).unwrap()
        };
        let (before, after) = (run(rules.0), run(rules.1));
        let mut comparison = Comparison::new(&before.summary, &after.summary);
        for_each_change(&before, &after, |change| {
            comparison.count(change);
            let (platform, channel) = change.rows();
            let amount = |side: &[(u8, i64)], listed: &ListedRow<'_>| side[usize::try_from(listed.position.ordinal).unwrap()].1;
            assert!(platform.is_none_or(|listed| amount(&ours, listed) == listed.row.amount));
            assert!(channel.is_none_or(|listed| amount(&theirs, listed) == listed.row.amount));
            assert_ne!(change.before, change.after);
            Ok::<(), EngineError>(())
        })
        .unwrap();
        let totals = || comparison.changes.values();
        let money = || totals().flat_map(|totals| totals.currencies.values());
        let fallen: i128 = totals().map(|one| i128::from(one.differences_before) - i128::from(one.differences_after)).sum();
        let (was, is) = (&comparison.before, &comparison.after);
        prop_assert_eq!(fallen, i128::from(was.differences) - i128::from(is.differences));
        let risen: i128 = money().map(|money| money.adjustments_after - money.adjustments_before).sum();
        prop_assert_eq!(risen, booked(is) - booked(was));
        prop_assert_eq!(money().map(|money| money.count).sum::<u64>(), comparison.change_count());
        let mut twice = comparison.clone();
        twice.add(&comparison);
        prop_assert_eq!(twice.change_count(), 2 * comparison.change_count());
    }
}

#[test]
fn a_row_that_was_one_of_several_candidates_is_told_of_with_the_one_that_it_belongs_to() {
    let row = |amount| TestRow { amount, ..TestRow::theirs("ch_1") };
    let (platform, channel) = ([TestRow { amount: 1000, ..TestRow::ours("ch_1") }], [row(998), row(1003)]);
    let of = |most| {
        let rule = crate::engine::ToleranceRule {
            name: "cents".into(),
            priority: 1,
            channels: Vec::new(),
            currencies: vec![Currency::USD],
            kinds: Vec::new(),
            max_amount: Some(most),
            max_basis_points: None,
        };
        let tolerance = crate::engine::RuleSet { tolerance: vec![rule] }.of_channel("stripe");
        Matcher { tolerance: &tolerance, ..Matcher::default() }.run(&platform, &channel).listed
    };
    let (before, after) = (of(3), of(2));
    let steps: Vec<[Pair; 2]> = Merge::new(&before, &after).collect();
    let told = |pair: &Pair| [pair.outcome, pair.apart].map(|one| one.map(DifferenceRef::diff_type));
    let (ambiguous, within) = (Some(DiffType::Ambiguous), Some(DiffType::WithinTolerance));
    assert_eq!(
        steps[0].map(|pair| told(&pair)),
        [[ambiguous, ambiguous], [within, None]],
        "gained as a pair"
    );
    assert_eq!(
        steps[1].map(|pair| told(&pair)),
        [[ambiguous, None], [Some(DiffType::DuplicateChannel), None]]
    );
    assert_eq!(steps.len(), 2);
}
