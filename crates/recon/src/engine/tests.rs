//! Each type and rule by example, and all of them against the reference.

use payops_channels::row::{Kind, Status};
use payops_core::currency::Currency;
use payops_core::time::Zone;
use proptest::prelude::*;

use super::CutOff;
use super::carried::{self, Carried, CarriedRow};
use super::reference;
use super::rules::DiffType;
use super::test_rows::{Listed, Matcher, NOTHING_TOLERATED, TestRow};
use super::tolerance::{RuleSet, Tolerance, ToleranceRule};

/// What comes out when nothing is carried, by the reference.
fn by_reference(
    platform: &[TestRow],
    channel: &[TestRow],
    lists_failed: bool,
    tolerance: &Tolerance,
) -> Vec<Listed> {
    let of_day = [platform.len(), channel.len()];
    reference::reconcile(platform, channel, of_day, (lists_failed, false), tolerance)
}

fn list(platform: &[TestRow], channel: &[TestRow]) -> Vec<Listed> {
    let listed = Matcher::default().list(platform, channel);
    assert_eq!(listed, by_reference(platform, channel, false, &NOTHING_TOLERATED), "the reference disagrees");
    listed
}

fn types(platform: &[TestRow], channel: &[TestRow]) -> Vec<DiffType> {
    list(platform, channel).into_iter().map(|(diff_type, _, _)| diff_type).collect()
}

fn ours(trade_no: &str, status: Status) -> TestRow {
    TestRow { status: Some(status), ..TestRow::ours(trade_no) }
}

#[test]
fn rows_of_one_side_are_missing_on_the_other() {
    let listed = list(&[TestRow::ours("ch_1"), TestRow::ours("ch_2")], &[TestRow::theirs("ch_3")]);
    let expected = [
        (DiffType::PlatformOnly, Some(0), None),
        (DiffType::PlatformOnly, Some(1), None),
        (DiffType::ChannelOnly, None, Some(0)),
    ];
    assert_eq!(listed, expected);
}

#[test]
fn currency_weighs_more_than_amount_and_amount_more_than_status() {
    let theirs = TestRow::theirs("ch_1");
    let failed = ours("ch_1", Status::Failed);
    let pair = |ours: TestRow| types(&[ours], std::slice::from_ref(&theirs));
    assert_eq!(pair(TestRow::ours("ch_1")), [DiffType::Matched]);
    assert_eq!(pair(failed.clone()), [DiffType::StatusDiff]);
    let other_amount = TestRow { amount: 999, ..failed };
    assert_eq!(pair(other_amount.clone()), [DiffType::AmountDiff]);
    assert_eq!(pair(TestRow { currency: Currency::EUR, ..other_amount }), [DiffType::CurrencyDiff]);
}

#[test]
fn a_payment_that_was_refunded_later_is_no_status_difference() {
    for status in [Status::Succeeded, Status::PartiallyRefunded, Status::Refunded, Status::Disputed] {
        assert_eq!(types(&[ours("ch_1", status)], &[TestRow::theirs("ch_1")]), [DiffType::Matched]);
    }
    for status in [Status::Pending, Status::Failed, Status::Cancelled] {
        assert_eq!(types(&[ours("ch_1", status)], &[TestRow::theirs("ch_1")]), [DiffType::StatusDiff]);
    }
}

#[test]
fn a_channel_that_states_statuses_is_compared_with() {
    let theirs = |status| TestRow { status: Some(status), ..TestRow::theirs("ch_1") };
    assert_eq!(types(&[ours("ch_1", Status::Failed)], &[theirs(Status::Failed)]), [DiffType::Matched]);
    assert_eq!(
        types(&[ours("ch_1", Status::Refunded)], &[theirs(Status::Succeeded)]),
        [DiffType::StatusDiff]
    );
}

#[test]
fn failed_here_and_absent_there_is_as_it_should_be() {
    for status in [Status::Failed, Status::Cancelled] {
        let rows = [ours("ch_1", status)];
        assert_eq!(types(&rows, &[]), [DiffType::NotExpected]);
        let lists_failed = Matcher { lists_failed: true, ..Matcher::default() };
        assert_eq!(lists_failed.list(&rows, &[]), [(DiffType::PlatformOnly, Some(0), None)]);
    }
    assert_eq!(types(&[ours("ch_1", Status::Pending)], &[]), [DiffType::PlatformOnly]);
}

#[test]
fn a_second_equal_row_is_never_lost() {
    let (p, c) = (TestRow::ours("ch_1"), TestRow::theirs("ch_1"));
    let (p2, c2) = ([p.clone(), p.clone()], [c.clone(), c.clone()]);
    assert_eq!(types(&p2, &c2), [DiffType::Matched, DiffType::Matched]);
    assert_eq!(types(&p2, &c2[..1]), [DiffType::Matched, DiffType::DuplicatePlatform]);
    assert_eq!(types(&p2[..1], &c2), [DiffType::Matched, DiffType::DuplicateChannel]);
    assert_eq!(types(&p2, &[]), [DiffType::PlatformOnly, DiffType::DuplicatePlatform]);
    assert_eq!(types(&[], &c2), [DiffType::ChannelOnly, DiffType::DuplicateChannel]);
}

#[test]
fn inside_a_key_equal_rows_are_paired_before_the_others() {
    let p = |amount| TestRow { amount, ..TestRow::ours("ch_1") };
    let c = |amount| TestRow { amount, ..TestRow::theirs("ch_1") };
    let listed = list(&[p(1), p(2), p(3)], &[c(3), c(9), c(2)]);
    let expected = [
        (DiffType::AmountDiff, Some(0), Some(1)),
        (DiffType::Matched, Some(1), Some(2)),
        (DiffType::Matched, Some(2), Some(0)),
    ];
    assert_eq!(listed, expected);
    // A failed attempt beside the one that went through is no duplicate.
    let attempts = [ours("ch_1", Status::Failed), TestRow::ours("ch_1")];
    assert_eq!(types(&attempts, &[TestRow::theirs("ch_1")]), [DiffType::NotExpected, DiffType::Matched]);
}

#[test]
fn a_payment_may_be_known_by_its_charge_or_its_intent() {
    let charge = TestRow { charge_id: "py_1".into(), intent_id: "pi_1".into(), ..TestRow::theirs("ch_1") };
    for known_as in ["ch_1", "py_1", "pi_1"] {
        assert_eq!(types(&[TestRow::ours(known_as)], std::slice::from_ref(&charge)), [DiffType::Matched]);
    }
    // Known by two ids, it is booked twice.
    let twice = [TestRow::ours("ch_1"), TestRow::ours("pi_1")];
    assert_eq!(
        types(&twice, std::slice::from_ref(&charge)),
        [DiffType::Matched, DiffType::DuplicatePlatform]
    );
    // An intent that two charges share names neither of them.
    let other = TestRow { intent_id: "pi_1".into(), ..TestRow::theirs("ch_2") };
    let expected = [DiffType::PlatformOnly, DiffType::ChannelOnly, DiffType::ChannelOnly];
    assert_eq!(types(&[TestRow::ours("pi_1")], &[charge.clone(), other]), expected);
    // One charge reported twice is still one charge.
    let expected = [DiffType::Matched, DiffType::DuplicateChannel];
    assert_eq!(types(&[TestRow::ours("pi_1")], &[charge.clone(), charge]), expected);
}

#[test]
fn refunds_are_known_by_their_own_id_only() {
    let refund = |trade_no: &str| TestRow { kind: Kind::Refund, amount: -500, ..TestRow::ours(trade_no) };
    let theirs =
        TestRow { status: None, charge_id: "ch_1".into(), intent_id: "pi_1".into(), ..refund("re_1") };
    assert_eq!(types(&[refund("re_1")], std::slice::from_ref(&theirs)), [DiffType::Matched]);
    for other in ["ch_1", "pi_1"] {
        let expected = [DiffType::PlatformOnly, DiffType::ChannelOnly];
        assert_eq!(types(&[refund(other)], std::slice::from_ref(&theirs)), expected);
    }
    // A payment and a refund with one id are two things.
    assert_eq!(
        types(&[TestRow::ours("re_1")], std::slice::from_ref(&theirs)),
        [DiffType::PlatformOnly, DiffType::ChannelOnly]
    );
}

#[test]
fn what_the_platform_does_not_book_is_no_difference() {
    for kind in [Kind::Fee, Kind::Payout, Kind::Adjustment] {
        let row = TestRow { kind, ..TestRow::theirs("x") };
        assert_eq!(types(std::slice::from_ref(&row), &[]), []);
        assert_eq!(types(&[], &[row]), []);
    }
}

#[test]
fn rows_without_a_trade_number_match_nothing() {
    let expected = [DiffType::PlatformOnly, DiffType::NotExpected, DiffType::ChannelOnly];
    assert_eq!(types(&[TestRow::ours(""), ours("", Status::Failed)], &[TestRow::theirs("")]), expected);
}

#[test]
fn another_days_row_may_complete_a_pair_and_is_no_difference_itself() {
    let outside = |row: TestRow| TestRow { in_window: false, ..row };
    assert_eq!(types(&[TestRow::ours("ch_1")], &[outside(TestRow::theirs("ch_1"))]), [DiffType::Matched]);
    assert_eq!(types(&[outside(TestRow::ours("ch_1"))], &[outside(TestRow::theirs("ch_1"))]), []);
    assert_eq!(types(&[outside(TestRow::ours("ch_1"))], &[outside(TestRow::theirs("ch_2"))]), []);
}

#[test]
fn young_pending_rows_are_timing_when_a_cut_off_is_set() {
    let at = |time: &str| TestRow { occurred_at: time.into(), ..ours("ch_1", Status::Pending) };
    let cut_off = Zone::utc().day("2026-01-30".parse().unwrap()).unwrap();
    let cut_off = CutOff { window: cut_off, pending_only: true };
    let matcher = Matcher { cut_off: Some(cut_off), ..Matcher::default() };
    let only = |row: TestRow| matcher.list(&[row], &[])[0].0;
    for inside in ["2026-01-30T23:59:59Z", "2026-01-31T07:00:00+08:00", "2026-01-30 10:00:00"] {
        assert_eq!(only(at(inside)), DiffType::Timing, "{inside}");
    }
    for outside in ["2026-01-31T00:00:00Z", "", "soon"] {
        assert_eq!(only(at(outside)), DiffType::PlatformOnly, "{outside}");
    }
    let succeeded = TestRow { occurred_at: "2026-01-30T10:00:00Z".into(), ..TestRow::ours("ch_1") };
    assert_eq!(only(succeeded.clone()), DiffType::PlatformOnly);
    // Where the cut-off covers all, rows of either side may be in the other's next file, but not a second one of the day.
    let cut_off = CutOff { pending_only: false, ..cut_off };
    let matcher = Matcher { cut_off: Some(cut_off), ..Matcher::default() };
    let theirs = TestRow { occurred_at: "2026-01-30 23:10:00".into(), ..TestRow::theirs("ch_1") };
    assert_eq!(matcher.list(std::slice::from_ref(&succeeded), &[])[0].0, DiffType::Timing);
    assert_eq!(matcher.list(&[], std::slice::from_ref(&theirs))[0].0, DiffType::Timing);
    let twice = matcher.list(&[succeeded], &[theirs.clone(), theirs]);
    assert_eq!(twice[1].0, DiffType::DuplicateChannel);
}

#[test]
fn parts_of_one_payment_are_netted_and_duplicates_are_not() {
    let p = |amount| TestRow { amount, ..TestRow::ours("ch_1") };
    let c = |amount| TestRow { amount, ..TestRow::theirs("ch_1") };
    let net = |platform: &[TestRow], channel: &[TestRow]| -> Vec<DiffType> {
        let listed = Matcher { net: true, ..Matcher::default() }.list(platform, channel);
        listed.into_iter().map(|(found, ..)| found).collect()
    };
    assert_eq!(net(&[p(60), p(40)], &[c(100)]), [DiffType::Netted; 2]);
    assert_eq!(net(&[p(100)], &[c(30), c(30), c(40)]), [DiffType::Netted; 3]);
    assert_eq!(net(&[p(70), p(30)], &[c(50), c(50)]), [DiffType::Netted; 2]);
    // What agrees is a pair first, so that what is there once too often stays.
    assert_eq!(net(&[p(100)], &[c(100), c(100)]), [DiffType::Matched, DiffType::DuplicateChannel]);
    let expected = [DiffType::Matched, DiffType::Netted, DiffType::Netted];
    assert_eq!(net(&[p(100), p(60), p(40)], &[c(100), c(100)]), expected);
    // A refund of the same payment, which the channel has taken off already.
    let refund = |amount| TestRow { kind: Kind::Refund, ..p(amount) };
    assert_eq!(net(&[p(100), refund(-40)], &[c(60)]), [DiffType::Netted; 2]);
    assert_eq!(net(&[p(60), p(40), refund(-40)], &[c(100), c(-40)]), [DiffType::Netted; 3]);
    let expected = [DiffType::AmountDiff, DiffType::PlatformOnly];
    assert_eq!(net(&[p(100), refund(-40)], &[c(61)]), expected);
    let their_refund = TestRow { kind: Kind::Refund, ..c(-40) };
    let expected = [DiffType::AmountDiff, DiffType::Matched];
    assert_eq!(net(&[p(100), refund(-40)], &[c(60), their_refund]), expected);
    assert_eq!(net(&[refund(100)], &[c(100)]), [DiffType::PlatformOnly, DiffType::ChannelOnly]);
    // No sum: as without netting.
    assert_eq!(net(&[p(60), p(60)], &[c(100)]), [DiffType::AmountDiff, DiffType::DuplicatePlatform]);
    // Another currency, or a part that failed here.
    let euros = TestRow { currency: Currency::EUR, ..p(40) };
    assert_eq!(net(&[p(60), euros], &[c(100)]), [DiffType::AmountDiff, DiffType::DuplicatePlatform]);
    let failed = TestRow { status: Some(Status::Failed), ..p(40) };
    assert_eq!(net(&[p(60), failed], &[c(100)]), [DiffType::AmountDiff, DiffType::NotExpected]);
}

#[test]
fn a_capture_of_a_part_of_an_authorization_is_netted_in_every_run() {
    let p = |amount| TestRow { amount, ..TestRow::ours("ch_1") };
    let c = |amount| TestRow { amount, ..TestRow::theirs("ch_1") };
    let found = |platform: &[TestRow], channel: &[TestRow]| -> Vec<DiffType> {
        Matcher::default().list(platform, channel).into_iter().map(|(found, ..)| found).collect()
    };
    assert_eq!(found(&[p(60)], &[c(100), c(-40)]), [DiffType::Netted; 2]);
    assert_eq!(found(&[p(60)], &[c(-40), c(100)]), [DiffType::Netted; 2]);
    assert_eq!(found(&[p(100), p(-40)], &[c(60)]), [DiffType::Netted; 2]);
    assert_eq!(found(&[p(100), p(-40)], &[c(-40), c(100)]), [DiffType::Matched; 2]);
    // What was taken back is neither a duplicate of the charge nor a pair of what we booked.
    assert_eq!(found(&[p(100)], &[c(100), c(-40)]), [DiffType::Matched, DiffType::ChannelOnly]);
    assert_eq!(found(&[p(70)], &[c(-40), c(100)]), [DiffType::AmountDiff, DiffType::ChannelOnly]);
    assert_eq!(found(&[p(60)], &[c(-40)]), [DiffType::PlatformOnly, DiffType::ChannelOnly]);
    let twice = [DiffType::Matched, DiffType::ChannelOnly, DiffType::DuplicateChannel];
    assert_eq!(found(&[p(100)], &[c(100), c(-40), c(-40)]), twice);
    // Without it nothing is netted unless it is asked for.
    assert_eq!(found(&[p(60), p(40)], &[c(100)]), [DiffType::AmountDiff, DiffType::DuplicatePlatform]);
}

#[test]
fn sums_do_not_wrap() {
    let rows: Vec<TestRow> =
        (0..3).map(|index| TestRow { amount: i64::MAX, ..TestRow::ours(&format!("ch_{index}")) }).collect();
    let totals = Matcher::default().run(&rows, &[]).tally.totals(DiffType::PlatformOnly);
    assert_eq!(totals.platform_amounts[&Currency::USD], 3 * i128::from(i64::MAX));
    assert_eq!((totals.count, totals.rows[&Currency::USD].platform), (3, 3));
}

#[test]
fn the_money_at_risk_is_what_was_charged_though_it_failed_here() {
    let tally = Matcher::default().run(&[ours("ch_1", Status::Failed)], &[TestRow::theirs("ch_1")]).tally;
    assert_eq!(tally.at_risk()[&Currency::USD], 1000);
}

/// Ten minor units of a US dollar amount.
fn ten_cents() -> Tolerance {
    let rule = ToleranceRule {
        name: "ten cents".into(),
        priority: 1,
        channels: Vec::new(),
        currencies: vec![Currency::USD],
        kinds: Vec::new(),
        max_amount: Some(10),
        max_basis_points: None,
    };
    RuleSet { tolerance: vec![rule] }.of_channel("stripe")
}

fn within_ten_cents(platform: &[TestRow], channel: &[TestRow]) -> Vec<Listed> {
    let tolerance = ten_cents();
    let listed = Matcher { tolerance: &tolerance, ..Matcher::default() }.list(platform, channel);
    assert_eq!(listed, by_reference(platform, channel, false, &tolerance), "the reference disagrees");
    listed
}

#[test]
fn within_tolerance_is_a_match_whose_gap_is_booked() {
    let theirs = TestRow { amount: 993, ..TestRow::theirs("ch_1") };
    let pair = |ours: TestRow| within_ten_cents(&[ours], std::slice::from_ref(&theirs))[0].0;
    assert_eq!(pair(TestRow::ours("ch_1")), DiffType::WithinTolerance);
    assert_eq!(pair(TestRow { amount: 1004, ..TestRow::ours("ch_1") }), DiffType::AmountDiff);
    // Who owes what is not settled while the statuses contradict each other.
    assert_eq!(pair(ours("ch_1", Status::Failed)), DiffType::AmountDiff);
    assert_eq!(pair(TestRow { currency: Currency::EUR, ..TestRow::ours("ch_1") }), DiffType::CurrencyDiff);
    let tolerance = ten_cents();
    let matcher = Matcher { tolerance: &tolerance, ..Matcher::default() };
    let tally = matcher.run(&[TestRow::ours("ch_1")], &[theirs]).tally;
    let booked = tally.adjustments(&tolerance)["ten cents"][&Currency::USD];
    assert_eq!((booked.count, booked.amount), (1, -7));
}

#[test]
fn what_could_be_several_is_taken_for_none_of_them() {
    let p = |amount| TestRow { amount, ..TestRow::ours("ch_1") };
    let c = |amount| TestRow { amount, ..TestRow::theirs("ch_1") };
    // 1000 could be either; 2000 is the only one of its like; 3000 is like none.
    let listed = within_ten_cents(&[p(1000), p(2000), p(3000)], &[c(1001), c(998), c(2005)]);
    let expected = [
        (DiffType::Ambiguous, Some(0), None),
        (DiffType::WithinTolerance, Some(1), Some(2)),
        (DiffType::DuplicatePlatform, Some(2), None),
        (DiffType::Ambiguous, None, Some(0)),
        (DiffType::Ambiguous, None, Some(1)),
    ];
    assert_eq!(listed, expected);
    let tolerance = ten_cents();
    let found = Matcher { tolerance: &tolerance, ..Matcher::default() }
        .run(&[p(1000), p(2000), p(3000)], &[c(1001), c(998), c(2005)]);
    let candidates: Vec<(u64, Vec<u64>)> =
        found.candidates.values().map(|one| (one.count, one.first.clone())).collect();
    assert_eq!(candidates, [(2, vec![0, 1]), (1, vec![0]), (1, vec![0])]);
    // One that fits to the last unit is no question.
    let listed = within_ten_cents(&[p(1000), p(1001)], &[c(1001), c(1002)]);
    let expected = [(DiffType::WithinTolerance, Some(0), Some(1)), (DiffType::Matched, Some(1), Some(0))];
    assert_eq!(listed, expected);
}

#[test]
fn a_row_of_an_earlier_day_closes_with_the_file_that_has_it() {
    let list = |carried: TestRow, platform: &[TestRow], channel: &[TestRow]| {
        let carried = Carried { platform: vec![CarriedRow::from(&carried)], channel: Vec::new() };
        Matcher { carried: &carried, ..Matcher::default() }.list(platform, channel)
    };
    let waiting = |row: TestRow| TestRow { in_window: false, ..row };
    let (ours, theirs) = (TestRow::ours("ch_1"), TestRow::theirs("ch_1"));
    let first = Some(carried::FIRST_ORDINAL);
    let (booked, moved) = ([ours.clone()], [theirs.clone()]);
    assert_eq!(list(waiting(ours.clone()), &[], &moved), [(DiffType::Carried, first, Some(0))]);
    // It comes otherwise than it was booked.
    let other = TestRow { amount: 999, ..theirs.clone() };
    assert_eq!(list(waiting(ours.clone()), &[], &[other]), [(DiffType::AmountDiff, first, Some(0))]);
    // It is still not there, and then never.
    assert_eq!(list(waiting(ours.clone()), &[], &[]), []);
    assert_eq!(list(ours.clone(), &[], &[]), [(DiffType::PlatformOnly, first, None)]);
    // The day's own row comes first, and says what became of one that was not decided; else it is booked twice.
    let listed = list(waiting(ours.clone()), &booked, &moved);
    let expected = [(DiffType::Matched, Some(0), Some(0)), (DiffType::DuplicatePlatform, first, None)];
    assert_eq!(listed, expected);
    let undecided = waiting(TestRow { status: None, ..ours.clone() });
    let listed = list(undecided, &booked, &moved);
    assert_eq!(listed, [(DiffType::Matched, Some(0), Some(0)), (DiffType::Carried, first, None)]);
    // The file gives it the day on which we booked it.
    let listed = list(waiting(ours.clone()), &[], &[waiting(theirs.clone())]);
    assert_eq!(listed, [(DiffType::Carried, first, Some(0))]);
    // A file that still has the earlier day's row tells nothing new.
    let listed = list(waiting(ours.clone()), &[waiting(ours.clone())], &moved);
    assert_eq!(listed, [(DiffType::Carried, first, Some(0))]);
    // The channel's report knows it by another id.
    let intent = TestRow { intent_id: "pi_1".into(), ..theirs.clone() };
    let known = waiting(TestRow::ours("pi_1"));
    assert_eq!(list(known, &[], &[intent]), [(DiffType::Carried, first, Some(0))]);
    // What the channel had first is found in our books the next day.
    let carried = Carried { platform: Vec::new(), channel: vec![CarriedRow::from(&waiting(theirs))] };
    let listed = Matcher { carried: &carried, ..Matcher::default() }.list(&[ours], &[]);
    assert_eq!(listed, [(DiffType::Carried, Some(0), first)]);
}

/// What comes out of rows of the day and of carried rows, by the reference.
fn with_carried(
    platform: (&[TestRow], &[TestRow]),
    channel: (&[TestRow], &[TestRow]),
    (net, tolerance): (bool, &Tolerance),
) -> Vec<Listed> {
    let all = |(of_day, carried): (&[TestRow], &[TestRow])| [of_day, carried].concat();
    let ordinal = |of_day: &[TestRow], index: Option<u64>| {
        let of_day = of_day.len() as u64;
        index.map(|index| index.checked_sub(of_day).map_or(index, |place| carried::FIRST_ORDINAL + place))
    };
    let of_day = [platform.0.len(), channel.0.len()];
    let listed = reference::reconcile(&all(platform), &all(channel), of_day, (false, net), tolerance);
    let told = listed
        .into_iter()
        .map(|(found, ours, theirs)| (found, ordinal(platform.0, ours), ordinal(channel.0, theirs)));
    told.collect()
}

fn any_row() -> impl Strategy<Value = TestRow> {
    let id = |prefix: &'static str| {
        (0_u8..6).prop_map(move |n| if n == 0 { String::new() } else { format!("{prefix}_{n}") })
    };
    let trade_no = prop_oneof![6 => id("ch"), 2 => id("py"), 2 => id("pi"), 1 => id("re")];
    (
        prop_oneof![8 => Just(Kind::Payment), 3 => Just(Kind::Refund), 1 => proptest::sample::select(Kind::ALL.to_vec())],
        (trade_no, id("py"), id("pi")),
        prop_oneof![3 => Just(100_i64), 1 => 95_i64..110, 1 => Just(200), 1 => -104_i64..-97, 1 => Just(-100)],
        prop_oneof![4 => Just(Currency::USD), 1 => Just(Currency::EUR)],
        proptest::option::of(proptest::sample::select(Status::ALL.to_vec())),
        proptest::bool::weighted(0.9),
    )
        .prop_map(|(kind, (trade_no, charge_id, intent_id), amount, currency, status, in_window)| TestRow {
            kind,
            trade_no,
            charge_id,
            intent_id,
            amount,
            currency,
            status,
            in_window,
            occurred_at: String::new(),
        })
}

pub(super) fn any_side() -> impl Strategy<Value = Vec<TestRow>> {
    prop_oneof![3 => proptest::collection::vec(any_row(), 0..40), 1 => proptest::collection::vec(any_row(), 0..600)]
}

pub(super) fn any_tolerance() -> impl Strategy<Value = Tolerance> {
    let rule = (0_u64..12, proptest::option::of(1_u32..1000), proptest::bool::ANY).prop_map(
        |(most, points, narrow)| ToleranceRule {
            name: "any".into(),
            priority: 1,
            channels: Vec::new(),
            currencies: vec![Currency::USD, Currency::EUR],
            kinds: if narrow { vec![Kind::Refund] } else { Vec::new() },
            max_amount: Some(most),
            max_basis_points: points,
        },
    );
    proptest::collection::vec(rule, 0..2).prop_map(|rules| RuleSet { tolerance: rules }.of_channel("stripe"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_engine_agrees_with_the_reference(
        platform in any_side(),
        channel in any_side(),
        lists_failed: bool,
        tolerance in any_tolerance(),
        seed: [u64; 2],
    ) {
        let expected = by_reference(&platform, &channel, lists_failed, &tolerance);
        for (memory, threads, bits) in [(u64::MAX, 1, 3), (0, 1, 1), (u64::MAX, 2, 4), (20_000, 2, 1)] {
            let tolerance = &tolerance;
            let matcher = Matcher { seed, memory, threads, bits, lists_failed, tolerance, ..Matcher::default() };
            prop_assert_eq!(&matcher.list(&platform, &channel), &expected);
        }
    }

    #[test]
    fn carried_rows_are_rows_behind_those_of_the_day(
        platform in any_side(),
        channel in any_side(),
        carried in (any_side(), any_side()),
        tolerance in any_tolerance(),
        net: bool,
        seed: [u64; 2],
    ) {
        let rules = (net, &tolerance);
        let expected = with_carried((&platform, &carried.0), (&channel, &carried.1), rules);
        let carried = Carried {
            platform: carried.0.iter().map(CarriedRow::from).collect(),
            channel: carried.1.iter().map(CarriedRow::from).collect(),
        };
        for (memory, threads, bits) in [(u64::MAX, 1, 3), (0, 2, 1)] {
            let (carried, tolerance) = (&carried, &tolerance);
            let matcher = Matcher { seed, memory, threads, bits, net, carried, tolerance, ..Matcher::default() };
            prop_assert_eq!(&matcher.list(&platform, &channel), &expected);
        }
    }
}
