use payops_channels::row::Proof;
use proptest::prelude::*;

use super::*;
use crate::engine::Rejects;

fn day(number: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, number).unwrap()
}

fn payout(id: &str, amount: i64, on: u32) -> Payout {
    Payout {
        id: id.to_owned(),
        amount,
        currency: Currency::EUR,
        date: Some(day(on)),
        is_stated: true,
        rows: Some(amount.into()),
        is_asked_about: true,
    }
}

fn deposit(ordinal: u64, amount: i64, on: u32, text: &str) -> Deposit {
    let texts = vec![text.to_owned()];
    let mark = Mark { amount, ..Mark::default() };
    Deposit { ordinal, line: ordinal + 1, amount, currency: Currency::EUR, date: day(on), texts, mark }
}

#[derive(Debug)]
struct Story {
    payouts: Vec<Payout>,
    deposits: Vec<Deposit>,
    rules: PayoutRules,
}

impl Story {
    fn new(payouts: impl Into<Vec<Payout>>, deposits: impl Into<Vec<Deposit>>) -> Self {
        let rules = PayoutRules { words: vec!["Stripe".to_owned()], ..PayoutRules::default() };
        Self { payouts: payouts.into(), deposits: deposits.into(), rules }
    }

    /// Statements from the first to the twentieth, in every currency.
    fn covered(&self) -> BTreeMap<Currency, Covered> {
        let covered = Covered { days: Days { first: day(1), last: day(20) }, gaps: Vec::new() };
        self.payouts.iter().map(|payout| (payout.currency, covered.clone())).collect()
    }

    fn groups(&self) -> Vec<Group> {
        meet(Question {
            payouts: &self.payouts,
            payout_days: Days::spanning(
                self.payouts.iter().filter(|payout| payout.is_stated).filter_map(|payout| payout.date),
            ),
            judged_days: None,
            deposits: &self.deposits,
            covered: &self.covered(),
            rules: &self.rules,
        })
    }

    /// What came out, in words: outcome, rule, payouts, ordinals of deposits, solutions.
    fn told(&self) -> Vec<String> {
        let groups = self.groups();
        let told = groups.iter().map(|group| {
            let ids: Vec<&str> = group.payouts.iter().map(|place| self.payouts[*place].id.as_str()).collect();
            let places = group.deposits.iter().map(|place| self.deposits[*place].ordinal.to_string());
            let by = group.by.map_or("-", MatchedBy::as_str);
            let solutions = group.solutions.map(|solutions| format!(" ({solutions})")).unwrap_or_default();
            let places: Vec<String> = places.collect();
            format!("{} {by} [{}] [{}]{solutions}", group.outcome, ids.join(" "), places.join(" "))
        });
        told.collect()
    }
}

#[test]
fn a_reference_beats_amount_and_day() {
    let story = Story::new(
        [payout("po_1Abcdef9", 1000, 2), payout("po_2", 1000, 2), payout("po_22", 500, 3)],
        [
            deposit(0, 1000, 3, "STRIPE /REF/PO-1ABC DEF9 thanks"),
            deposit(1, 1000, 18, "Stripe payout po_2"),
            deposit(2, 500, 4, "Stripe xpo_22y"),
        ],
    );
    assert_eq!(
        story.told(),
        ["matched reference [po_1Abcdef9] [0]", "matched reference [po_2] [1]", "matched amount [po_22] [2]"],
        "a short id must be a word of its own"
    );
}

#[test]
fn an_id_that_begins_with_another_one_is_itself() {
    let story = Story::new(
        [payout("payout100", 1000, 2), payout("payout1001", 700, 2)],
        [deposit(0, 700, 3, "x payout1001 y"), deposit(1, 1000, 3, "payout 100, 5 EUR")],
    );
    let told = story.told();
    assert_eq!(told[1], "matched reference [payout1001] [0]");
}

#[test]
fn a_number_that_stands_everywhere_is_no_reference() {
    let story = Story::new(
        [payout("17", 1000, 2), payout("20260302", 500, 2), payout("902603", 300, 2)],
        [
            deposit(0, 700, 3, "STRIPE batch 17"),
            deposit(1, 800, 3, "STRIPE 2026 03 02"),
            deposit(2, 300, 19, "STRIPE 902603"),
        ],
    );
    let told = story.told();
    assert!(told.contains(&"matched reference [902603] [2]".to_owned()), "{told:?}");
    assert!(told.contains(&"payout_missing - [17] []".to_owned()), "{told:?}");
    assert!(told.contains(&"payout_missing - [20260302] []".to_owned()), "{told:?}");
    let rent = ["20260302", "202603", "032026", "A"];
    let story = Story::new(
        rent.map(|id| payout(id, 500, 2)),
        [deposit(0, -900, 3, "MIETE 20260302 FUER 202603 032026"), deposit(1, 700, 3, "FILIALE A")],
    );
    let told = story.told();
    for id in rent {
        assert!(told.contains(&format!("payout_missing - [{id}] []")), "{told:?}");
    }
}

#[test]
fn more_pairs_than_can_be_looked_at_are_one_group_that_says_so() {
    let payouts: Vec<Payout> = (0..1100).map(|number| payout(&format!("p{number}"), 100, 3)).collect();
    let deposits: Vec<Deposit> = (0..1100).map(|ordinal| deposit(ordinal, 100, 4, "STRIPE")).collect();
    let groups = Story::new(payouts, deposits).groups();
    assert_eq!((groups.len(), groups[0].payouts.len(), groups[0].deposits.len()), (1, 1100, 1100));
    assert_eq!(groups[0].solutions, Some(Solutions::LimitReached));
}

#[test]
fn less_and_more_than_was_paid_out_is_told_and_nothing_else_takes_the_money() {
    let story = Story::new(
        [payout("po_short", 1000, 2), payout("po_twice", 400, 2), payout("po_taken", -300, 2)],
        [
            deposit(0, 985, 3, "po_short less 15,00 charges"),
            deposit(1, 400, 3, "po_twice"),
            deposit(2, 400, 4, "po_twice"),
            deposit(3, -280, 4, "po_taken"),
        ],
    );
    assert_eq!(
        story.told(),
        [
            "payout_short reference [po_short] [0]",
            "payout_short reference [po_taken] [3]",
            "payout_excess reference [po_twice] [1 2]"
        ]
    );
}

#[test]
fn an_amount_counts_only_where_it_is_unique_on_both_sides() {
    let unique = Story::new([payout("a", 1000, 2)], [deposit(0, 1000, 7, "STRIPE"), deposit(1, 1000, 8, "")]);
    assert_eq!(unique.told(), ["matched amount [a] [0]", "other_movement - [] [1]"]);
    let late = Story::new([payout("a", 1000, 2)], [deposit(0, 1000, 8, "STRIPE")]);
    assert_eq!(late.told(), ["payout_missing - [a] []", "not_covered - [] [0]"]);
    let twice = Story::new(
        [payout("a", 1000, 2), payout("b", 1000, 3)],
        [deposit(0, 1000, 4, "STRIPE"), deposit(1, 1000, 5, "STRIPE")],
    );
    assert_eq!(twice.told(), ["payout_ambiguous amount [a b] [0 1]"]);
    let nameless = Story::new([payout("a", 1000, 2)], [deposit(0, 1000, 3, "wire")]);
    assert_eq!(nameless.told(), ["matched amount [a] [0]"]);
}

#[test]
fn a_bundle_counts_only_where_one_subset_adds_up() {
    let payouts = [payout("a", 100, 2), payout("b", 250, 3), payout("c", 470, 3)];
    let one = Story::new(payouts.clone(), [deposit(0, 720, 4, "STRIPE")]);
    assert_eq!(one.told(), ["payout_missing - [a] []", "matched bundle [b c] [0] (unique)"]);
    let more = [payout("d", 150, 3)];
    let two = Story::new([&payouts[..], &more[..]].concat(), [deposit(0, 720, 4, "STRIPE")]);
    assert_eq!(two.told(), ["payout_ambiguous bundle [a b c d] [0] (2)"]);
    let rival = Story::new(payouts.clone(), [deposit(0, 720, 4, "STRIPE"), deposit(1, 350, 4, "STRIPE")]);
    assert_eq!(rival.told(), ["payout_ambiguous bundle [a b c] [0 1]"], "both want b");
    let stranger = Story::new(payouts, [deposit(0, 720, 4, "wire")]);
    assert_eq!(stranger.told()[3], "other_movement - [] [0]", "other deposits are no bundles");
}

#[test]
fn a_payout_may_come_in_parts() {
    let story =
        Story::new([payout("a", 700, 2)], [deposit(0, 300, 3, "STRIPE"), deposit(1, 400, 4, "STRIPE")]);
    assert_eq!(story.told(), ["matched split [a] [0 1] (unique)"]);
}

#[test]
fn a_question_that_is_too_large_posts_nothing_and_says_so() {
    let many = (0..200).map(|n| payout(&format!("p{n}"), (1 << 40) + n * n * n * 7919 + n, 3));
    let story = Story::new(many.collect::<Vec<_>>(), [deposit(0, (1 << 40) * 90 + 5, 4, "STRIPE")]);
    let groups = story.groups();
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].outcome, PayoutOutcome::PayoutAmbiguous);
    assert_eq!(groups[0].solutions, Some(Solutions::LimitReached));
    assert_eq!(groups[0].payouts.len(), 200);
}

#[test]
fn what_is_not_due_is_in_transit_and_what_nobody_covers_is_not_judged() {
    let other_day = Payout { is_asked_about: false, ..payout("other", 5, 3) };
    let undated = Payout { date: None, ..payout("undated", 11, 3) };
    let story = Story::new(
        [payout("due", 1, 15), payout("young", 2, 16), payout("nothing", 0, 3), other_day, undated],
        [deposit(0, 3, 2, "STRIPE"), deposit(1, 4, 1, "STRIPE")],
    );
    assert_eq!(
        story.told(),
        [
            "payout_missing - [undated] []",
            "matched - [nothing] []",
            "not_covered - [other] []",
            "payout_missing - [due] []",
            "in_transit - [young] []",
            "not_covered - [] [1]",
            "payout_unknown - [] [0]",
        ]
    );
    let ages: Vec<Option<i64>> = story.groups().iter().map(|group| group.age_days).collect();
    assert_eq!(ages, [None, None, None, Some(5), Some(4), None, None]);
    // The dollars may go to an account of which nobody tells.
    let dollars = Payout { currency: Currency::USD, ..payout("dollars", 9, 3) };
    let covered = BTreeMap::from([(Currency::EUR, story.covered()[&Currency::EUR].clone())]);
    let groups = meet(Question {
        payouts: &[dollars],
        payout_days: None,
        judged_days: None,
        deposits: &[],
        covered: &covered,
        rules: &story.rules,
    });
    assert_eq!(groups[0].outcome, PayoutOutcome::NotCovered);
    let groups = meet(Question {
        payouts: &story.payouts,
        payout_days: None,
        judged_days: None,
        deposits: &story.deposits,
        covered: &BTreeMap::new(),
        rules: &story.rules,
    });
    let outcomes: BTreeSet<PayoutOutcome> = groups.iter().map(|group| group.outcome).collect();
    assert_eq!(outcomes, BTreeSet::from([PayoutOutcome::Matched, PayoutOutcome::NotCovered]));
}

#[test]
fn a_payout_that_nothing_states_is_never_missing_short_or_ambiguous() {
    let named = |id: &str, amount, on| Payout { is_stated: false, rows: None, ..payout(id, amount, on) };
    let mut story = Story::new(
        [
            named("po_whole", 1000, 2),
            named("po_part", 300, 3),
            named("po_more", 400, 3),
            named("po_lost", 50, 3),
        ],
        [
            deposit(0, 1000, 4, "STRIPE po_whole"),
            deposit(1, 2000, 4, "STRIPE po_part"),
            deposit(2, 350, 4, "STRIPE po_more"),
            deposit(3, 77, 4, "STRIPE"),
        ],
    );
    assert_eq!(
        story.told(),
        [
            "matched reference [po_whole] [0]",
            "not_stated - [po_lost] []",
            "not_stated reference [po_more] [2]",
            "not_stated reference [po_part] [1]",
            "not_covered - [] [3]",
        ]
    );
    let tie = |story: &Story| {
        let summary = summary_of(story, Proof::Proven);
        (summary.proof, summary.currencies[&Currency::EUR], summary.differences())
    };
    let (proof, of, differences) = tie(&story);
    assert_eq!((proof, differences), (ThreeWayProof::NotProvable, 0));
    assert_eq!((of.payouts, of.deposits, of.not_stated, of.not_stated_rows), (1000, 1000, 4, 1750));
    // Neither bundles nor several of one amount.
    let twins = [named("a", 100, 3), named("b", 100, 3), named("c", 30, 3)];
    let deposits = [deposit(0, 100, 4, "STRIPE"), deposit(1, 130, 4, "STRIPE"), deposit(2, 70, 12, "STRIPE")];
    let of_amount = Story::new(twins, deposits);
    assert_eq!(
        of_amount.told(),
        [
            "not_stated amount [a b] [0]",
            "not_stated - [c] []",
            "not_covered - [] [1]",
            "not_covered - [] [2]"
        ]
    );
    // What is stated beside them keeps its verdicts, and only what may be one of them is not judged.
    story.payouts.push(payout("po_stated", 900, 6));
    story.deposits.push(deposit(4, 88, 10, "STRIPE"));
    let told = story.told();
    assert!(told.contains(&"payout_missing - [po_stated] []".to_owned()), "{told:?}");
    assert!(told.contains(&"payout_unknown - [] [4]".to_owned()), "{told:?}");
    assert!(told.contains(&"not_covered - [] [3]".to_owned()), "{told:?}");
}

fn summary_of(story: &Story, bank: Proof) -> PayoutSummary {
    let bank = BankSummary {
        proof: bank,
        statements: 1,
        entries: 0,
        not_booked: 0,
        days: None,
        gaps: Vec::new(),
        failed: Vec::new(),
        rejects: Rejects::default(),
    };
    PayoutSummary::new(&story.groups(), &story.payouts, &story.deposits, &[], bank)
}

#[test]
fn it_ties_only_where_rows_payouts_and_deposits_are_one_sum() {
    let mut story = Story::new(
        [payout("a", 1000, 2), payout("b", 300, 19)],
        [deposit(0, 1000, 3, "STRIPE"), deposit(1, 77, 3, "rent")],
    );
    let summary = summary_of(&story, Proof::Proven);
    assert_eq!(summary.proof, ThreeWayProof::Ties);
    let tie = summary.currencies[&Currency::EUR];
    assert_eq!((tie.rows, tie.payouts, tie.deposits, tie.in_transit), (1300, 1300, 1000, 300));
    for bank in [Proof::NotProvable, Proof::Failed] {
        assert_eq!(summary_of(&story, bank).proof, ThreeWayProof::NotProvable);
    }
    story.payouts[0].rows = None;
    assert_eq!(summary_of(&story, Proof::Proven).proof, ThreeWayProof::NotProvable);
    story.payouts[0].rows = Some(999);
    assert_eq!(summary_of(&story, Proof::Proven).proof, ThreeWayProof::Broken);
    story.payouts[0].rows = Some(1000);
    story.deposits.push(deposit(2, 5, 4, "stripe"));
    let summary = summary_of(&story, Proof::Proven);
    assert_eq!((summary.proof, summary.differences()), (ThreeWayProof::Broken, 1));
    assert_eq!(summary.currencies[&Currency::EUR].unknown, 5);
    assert_eq!(summary_of(&Story::new([], []), Proof::Proven).proof, ThreeWayProof::Ties);
    let unjudged = Story::new([], [deposit(0, 5, 4, "stripe")]);
    assert_eq!(summary_of(&unjudged, Proof::Proven).proof, ThreeWayProof::NotProvable);
}

/// Few amounts and days, so that everything collides.
fn stories() -> impl Strategy<Value = Story> {
    let amounts = || prop_oneof![4 => 1_i64..8, 1 => -3_i64..0, 1 => Just(0)];
    let payouts = proptest::collection::vec((0_u32..12, amounts(), 1_u32..20, any::<bool>()), 0..7);
    let text = prop_oneof![
        3 => Just(String::new()),
        3 => Just("STRIPE".to_owned()),
        1 => (0_u32..12).prop_map(|number| format!("ref po_{number}")),
    ];
    let deposits = proptest::collection::vec((amounts(), 1_u32..20, text, any::<bool>()), 0..7);
    (payouts, deposits).prop_map(|(payouts, deposits)| {
        let currency = |is_euro| if is_euro { Currency::EUR } else { Currency::USD };
        let payouts: Vec<Payout> = payouts
            .into_iter()
            .map(|(id, amount, on, is_euro)| Payout {
                currency: currency(is_euro),
                ..payout(&format!("po_{id}"), amount, on)
            })
            .collect();
        let deposits: Vec<Deposit> = (0..)
            .zip(deposits)
            .map(|(ordinal, (amount, on, text, is_euro))| Deposit {
                currency: currency(is_euro),
                ..deposit(ordinal, amount, on, &text)
            })
            .collect();
        Story::new(payouts, deposits)
    })
}

fn sum<'a>(amounts: impl Iterator<Item = &'a i64>) -> i64 {
    amounts.sum()
}

/// How many subsets of the amounts add up to the target.
fn ways(target: i64, amounts: &[i64]) -> usize {
    let taken = |set: u32| (0..amounts.len()).filter(move |index| set >> index & 1 == 1);
    (1..1_u32 << amounts.len())
        .filter(|set| taken(*set).map(|index| amounts[index]).sum::<i64>() == target)
        .count()
}

proptest! {
    #[test]
    fn everything_has_one_outcome_and_no_money_is_lost(story in stories()) {
        let groups = story.groups();
        let mut payouts: Vec<usize> = groups.iter().flat_map(|group| group.payouts.clone()).collect();
        let mut deposits: Vec<usize> = groups.iter().flat_map(|group| group.deposits.clone()).collect();
        payouts.sort_unstable();
        deposits.sort_unstable();
        prop_assert_eq!(payouts, (0..story.payouts.len()).collect::<Vec<_>>());
        prop_assert_eq!(deposits, (0..story.deposits.len()).collect::<Vec<_>>());
        let summary = summary_of(&story, Proof::Proven);
        for (currency, tie) in &summary.currencies {
            let parts = tie.deposits + tie.short + tie.ambiguous + tie.missing + tie.in_transit + tie.not_covered;
            prop_assert_eq!(tie.payouts, parts, "{}", currency);
        }
        for currency in [Currency::EUR, Currency::USD] {
            let of = |amounts: fn(&PayoutTypeTotals) -> &crate::engine::ByCurrency<i128>| -> i128 {
                summary.types.values().filter_map(|totals| amounts(totals).get(&currency)).sum()
            };
            let paid = story.payouts.iter().filter(|payout| payout.currency == currency);
            let had = story.deposits.iter().filter(|deposit| deposit.currency == currency);
            prop_assert_eq!(of(|totals| &totals.payout_amounts), paid.map(|one| i128::from(one.amount)).sum());
            prop_assert_eq!(of(|totals| &totals.deposit_amounts), had.map(|one| i128::from(one.amount)).sum());
        }
    }

    #[test]
    fn the_order_of_the_inputs_does_not_show(story in stories(), seed in any::<u64>()) {
        let told = story.told();
        let shuffled = |length: usize| {
            let mut order: Vec<usize> = (0..length).collect();
            order.sort_by_key(|index| (seed ^ (*index as u64)).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            order
        };
        let other = Story {
            payouts: shuffled(story.payouts.len()).iter().map(|index| story.payouts[*index].clone()).collect(),
            deposits: shuffled(story.deposits.len()).iter().map(|index| story.deposits[*index].clone()).collect(),
            rules: story.rules.clone(),
        };
        prop_assert_eq!(told, other.told());
    }

    #[test]
    fn each_rule_keeps_its_word(story in stories()) {
        let may_be = |payout: &Payout, deposit: &Deposit| {
            let days = (deposit.date - payout.date.unwrap()).num_days();
            payout.currency == deposit.currency && (-1..=5).contains(&days)
        };
        let is_free = |group: &Group| group.by != Some(MatchedBy::Reference);
        let groups = story.groups();
        let free_payouts: Vec<&Payout> = groups
            .iter()
            .filter(|group| is_free(group))
            .flat_map(|group| group.payouts.iter().map(|place| &story.payouts[*place]))
            .collect();
        for group in &groups {
            let payouts: Vec<&Payout> = group.payouts.iter().map(|place| &story.payouts[*place]).collect();
            let deposits: Vec<&Deposit> = group.deposits.iter().map(|place| &story.deposits[*place]).collect();
            let paid = sum(payouts.iter().map(|payout| &payout.amount));
            let arrived = sum(deposits.iter().map(|deposit| &deposit.amount));
            match (group.outcome, group.by) {
                (PayoutOutcome::Matched, None) => prop_assert_eq!(paid, 0),
                (PayoutOutcome::Matched, by) => {
                    prop_assert_eq!(paid, arrived);
                    if by != Some(MatchedBy::Reference) {
                        prop_assert!(payouts.iter().all(|one| deposits.iter().all(|other| may_be(one, other))));
                    }
                    if by == Some(MatchedBy::Amount) {
                        let rivals = free_payouts
                            .iter()
                            .filter(|one| one.amount == arrived && may_be(one, deposits[0]))
                            .count();
                        prop_assert_eq!(rivals, 1);
                    }
                }
                (PayoutOutcome::PayoutShort | PayoutOutcome::PayoutExcess, by) => {
                    prop_assert_eq!(by, Some(MatchedBy::Reference));
                    prop_assert_ne!(paid, arrived);
                }
                _ => {}
            }
            if let (Some(MatchedBy::Bundle), Some(solutions)) = (group.by, group.solutions) {
                let amounts: Vec<i64> = payouts.iter().map(|payout| payout.amount).collect();
                let expected = match ways(arrived, &amounts) {
                    1 => Solutions::Unique,
                    count => Solutions::Several { count: u32::try_from(count).unwrap() },
                };
                prop_assert_eq!(solutions, expected);
            }
        }
    }

    #[test]
    fn what_is_left_over_could_not_have_been_matched(story in stories()) {
        let groups = story.groups();
        let left: Vec<&Payout> = groups
            .iter()
            .filter(|group| group.by.is_none())
            .flat_map(|group| group.payouts.iter().map(|place| &story.payouts[*place]))
            .filter(|payout| payout.amount != 0)
            .collect();
        let unexplained = groups
            .iter()
            .filter(|group| group.by.is_none())
            .flat_map(|group| group.deposits.iter().map(|place| &story.deposits[*place]))
            .filter(|deposit| deposit.amount != 0 && deposit.texts[0].contains("STRIPE"));
        for deposit in unexplained {
            let near = left.iter().filter(|payout| {
                let days = (deposit.date - payout.date.unwrap()).num_days();
                payout.currency == deposit.currency && (-1..=5).contains(&days)
            });
            let amounts: Vec<i64> = near.map(|payout| payout.amount).collect();
            prop_assert_eq!(ways(deposit.amount, &amounts), 0);
        }
    }
}
