//! The three-way tie: settlement rows = payouts = deposits, per currency.

use std::collections::BTreeMap;

use payops_channels::row::Proof;
use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

use super::listing::Unlisted;
use super::{BankSummary, Deposit, Group, MatchedBy, Payout, PayoutOutcome};
use crate::engine::ByCurrency;

/// Whether rows, payouts and deposits are the same money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ThreeWayProof {
    /// They are: what has not arrived is not due.
    Ties,
    /// Nothing contradicts it, and a part of the proof is missing: payouts without rows of their own or that nothing states, a
    /// statement that does not prove itself, payouts that rows name and no report lists, or no payout at all.
    NotProvable,
    /// They are not.
    Broken,
}

/// Counts and sums of one outcome, in minor units.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PayoutTypeTotals {
    /// How many groups.
    pub count: u64,
    /// How many in each currency.
    pub groups: ByCurrency<u64>,
    /// How many payouts are in them.
    pub payouts: u64,
    /// How many deposits are in them.
    pub deposits: u64,
    /// The sums of the payouts.
    pub payout_amounts: ByCurrency<i128>,
    /// The sums of the deposits.
    pub deposit_amounts: ByCurrency<i128>,
}

/// The tie of one currency, in minor units, signed as the bank sees it. What is not asked about and did not arrive is
/// left out, and deposits of days that the channel's file does not cover. `payouts` = `deposits` + `short` + `ambiguous` + `missing` + `in_transit` + `not_covered`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreeWayTie {
    /// Whether it ties.
    pub proof: ThreeWayProof,
    /// What the settlement rows of the payouts add up to.
    pub rows: i128,
    /// The payouts that have such rows.
    pub itemised: i128,
    /// How many payouts have none, or are known by them alone.
    pub not_itemised: u64,
    /// How many payouts are not what their rows add up to.
    #[serde(default)]
    pub contradicted: u64,
    /// All payouts.
    pub payouts: i128,
    /// What arrived of them.
    pub deposits: i128,
    /// What is lacking of payouts that arrived; negative when more arrived.
    pub short: i128,
    /// Payouts of which it is not clear what arrived.
    pub ambiguous: i128,
    /// Payouts that have not arrived and should have.
    pub missing: i128,
    /// Payouts that are not due yet.
    pub in_transit: i128,
    /// Payouts of days before the statement begins.
    pub not_covered: i128,
    /// What arrived without a payout.
    pub unknown: i128,
    /// How many payouts rows of the day name that no report lists yet: the reports of the next days may.
    #[serde(default)]
    pub awaited: u64,
    /// What these rows add up to. It is part of no other sum.
    #[serde(default)]
    pub awaited_rows: i128,
    /// How many payouts rows of the day name that no report lists, though those of all days on which they could have left are there.
    #[serde(default)]
    pub unlisted: u64,
    /// What these rows add up to. It is part of no other sum.
    #[serde(default)]
    pub unlisted_rows: i128,
    /// How many payouts rows name of which no file says how large they are.
    #[serde(default)]
    pub not_stated: u64,
    /// What those of their rows add up to that are at hand. Of what is not `matched` it is part of no other sum, and what arrived
    /// neither.
    #[serde(default)]
    pub not_stated_rows: i128,
}

/// The figures of the third leg.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutSummary {
    /// Whether it ties in every currency.
    pub proof: ThreeWayProof,
    /// The tie of each currency that has payouts or money of the channel's.
    pub currencies: ByCurrency<ThreeWayTie>,
    /// Counts and sums per outcome; every outcome is there.
    pub types: BTreeMap<PayoutOutcome, PayoutTypeTotals>,
    /// By which rule how many groups matched.
    pub matched_by: BTreeMap<MatchedBy, u64>,
    /// The bank's file as a whole.
    pub bank: BankSummary,
}

impl PayoutSummary {
    /// Adds up the groups of [`super::meet`].
    pub(crate) fn new(
        groups: &[Group],
        payouts: &[Payout],
        deposits: &[Deposit],
        unlisted: &[Unlisted],
        bank: BankSummary,
    ) -> Self {
        let mut types: BTreeMap<PayoutOutcome, PayoutTypeTotals> =
            PayoutOutcome::ALL.into_iter().map(|outcome| (outcome, PayoutTypeTotals::default())).collect();
        let mut currencies: ByCurrency<Sums> = ByCurrency::new();
        let mut matched_by = BTreeMap::new();
        for group in groups {
            let totals = types.entry(group.outcome).or_default();
            totals.count += 1;
            let payout = group.payouts.first().and_then(|index| payouts.get(*index));
            let deposit = group.deposits.first().and_then(|index| deposits.get(*index));
            let currency = payout.map(|payout| payout.currency).or(deposit.map(|deposit| deposit.currency));
            if let Some(currency) = currency {
                *totals.groups.entry(currency).or_default() += 1;
            }
            if let (PayoutOutcome::Matched, Some(by)) = (group.outcome, group.by) {
                *matched_by.entry(by).or_default() += 1;
            }
            for payout in group.payouts.iter().filter_map(|index| payouts.get(*index)) {
                totals.payouts += 1;
                *totals.payout_amounts.entry(payout.currency).or_default() += i128::from(payout.amount);
                if !payout.is_stated {
                    currencies.entry(payout.currency).or_default().add_not_stated(payout);
                }
                if group.outcome == PayoutOutcome::NotStated {
                    continue;
                }
                if group.outcome != PayoutOutcome::NotCovered {
                    currencies.entry(payout.currency).or_default().add_rows(payout);
                } else if payout.is_asked_about {
                    let sums = currencies.entry(payout.currency).or_default();
                    sums.add_rows(payout);
                    sums.not_covered += i128::from(payout.amount);
                    sums.has_uncovered = true;
                }
            }
            for deposit in group.deposits.iter().filter_map(|index| deposits.get(*index)) {
                totals.deposits += 1;
                *totals.deposit_amounts.entry(deposit.currency).or_default() += i128::from(deposit.amount);
                if group.outcome == PayoutOutcome::PayoutUnknown {
                    currencies.entry(deposit.currency).or_default().has_unknown = true;
                }
            }
        }
        let has_nothing_to_tie = currencies.is_empty();
        for payout in unlisted {
            currencies.entry(payout.currency).or_default().add_unlisted(payout);
        }
        let tie = |(currency, sums): (Currency, Sums)| (currency, sums.tie(currency, &types, bank.proof));
        let currencies: ByCurrency<ThreeWayTie> = currencies.into_iter().map(tie).collect();
        let worst = currencies.values().map(|tie| tie.proof).max();
        // No payout, and nothing that looks like one.
        let unjudged = types.get(&PayoutOutcome::NotCovered).is_some_and(|totals| totals.count > 0);
        let is_open = has_nothing_to_tie && (unjudged || bank.proof != Proof::Proven);
        let of_nothing = if is_open { ThreeWayProof::NotProvable } else { ThreeWayProof::Ties };
        let proof = worst.unwrap_or(of_nothing).max(of_nothing);
        Self { proof, currencies, types, matched_by, bank }
    }

    /// How many groups somebody has to explain.
    pub fn differences(&self) -> u64 {
        let open = self.types.iter().filter(|(outcome, _)| outcome.is_difference());
        open.map(|(_, totals)| totals.count).sum()
    }
}

#[derive(Debug, Default)]
struct Sums {
    rows: i128,
    itemised: i128,
    not_itemised: u64,
    contradicted: u64,
    not_covered: i128,
    has_uncovered: bool,
    has_unknown: bool,
    awaited: u64,
    awaited_rows: i128,
    unlisted: u64,
    unlisted_rows: i128,
    not_stated: u64,
    not_stated_rows: i128,
}

impl Sums {
    fn add_not_stated(&mut self, payout: &Payout) {
        self.not_stated += 1;
        self.not_stated_rows += i128::from(payout.amount);
    }

    fn add_unlisted(&mut self, payout: &Unlisted) {
        let (count, rows) = if payout.is_due {
            (&mut self.unlisted, &mut self.unlisted_rows)
        } else {
            (&mut self.awaited, &mut self.awaited_rows)
        };
        *count += 1;
        *rows += payout.rows;
    }

    fn add_rows(&mut self, payout: &Payout) {
        match payout.rows {
            Some(rows) => {
                self.rows += rows;
                self.itemised += i128::from(payout.amount);
                self.contradicted += u64::from(rows != i128::from(payout.amount));
            }
            None => self.not_itemised += 1,
        }
    }

    fn tie(
        &self,
        currency: Currency,
        types: &BTreeMap<PayoutOutcome, PayoutTypeTotals>,
        bank: Proof,
    ) -> ThreeWayTie {
        use PayoutOutcome as Outcome;
        let sum = |outcome: Outcome, of: fn(&PayoutTypeTotals) -> &ByCurrency<i128>| {
            types.get(&outcome).and_then(|totals| of(totals).get(&currency)).copied().unwrap_or(0)
        };
        let paid = |outcome| sum(outcome, |totals| &totals.payout_amounts);
        let arrived = |outcome| sum(outcome, |totals| &totals.deposit_amounts);
        let arrived_of = [Outcome::Matched, Outcome::PayoutShort, Outcome::PayoutExcess];
        let deposits: i128 = arrived_of.into_iter().map(arrived).sum();
        let paid_of: i128 = arrived_of.into_iter().map(paid).sum();
        let [ambiguous, missing, in_transit] =
            [Outcome::PayoutAmbiguous, Outcome::PayoutMissing, Outcome::InTransit].map(paid);
        let differs = Outcome::ALL.into_iter().filter(|outcome| outcome.is_difference()).any(|outcome| {
            let amounts = types.get(&outcome).map(|totals| [&totals.payout_amounts, &totals.deposit_amounts]);
            amounts.into_iter().flatten().any(|amounts| amounts.contains_key(&currency))
        });
        let proof = if differs || self.contradicted > 0 {
            ThreeWayProof::Broken
        } else if self.not_itemised + self.unlisted + self.not_stated > 0
            || self.has_uncovered
            || bank != Proof::Proven
        {
            ThreeWayProof::NotProvable
        } else {
            ThreeWayProof::Ties
        };
        ThreeWayTie {
            proof,
            rows: self.rows,
            itemised: self.itemised,
            not_itemised: self.not_itemised,
            contradicted: self.contradicted,
            payouts: paid_of + ambiguous + missing + in_transit + self.not_covered,
            deposits,
            short: paid_of - deposits,
            ambiguous,
            missing,
            in_transit,
            not_covered: self.not_covered,
            unknown: arrived(Outcome::PayoutUnknown),
            awaited: self.awaited,
            awaited_rows: self.awaited_rows,
            unlisted: self.unlisted,
            unlisted_rows: self.unlisted_rows,
            not_stated: self.not_stated,
            not_stated_rows: self.not_stated_rows,
        }
    }
}
