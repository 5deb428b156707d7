//! What a run found, in figures. Everything here is the same for the same inputs, whatever the seed, the
//! memory and the number of threads.

use std::collections::BTreeMap;

use payops_channels::read::ProvenBy;
use payops_channels::report::{CategoryTotal, ControlReport, FeeTotal, FileReport, PayoutGroup, Unbalanced};
use payops_channels::row::{Kind, Proof};
use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

use super::rules::DiffType;
use super::side::Rejects;
use super::tally::Tally;
use super::tie::Tie;
use super::tolerance::Tolerance;
use super::verdict::{self, Evidence, Reason, Verdict};
use crate::payouts::PayoutSummary;

/// One value per currency, in the order of the codes. Amounts are minor units; sums may exceed 64 bits.
pub type ByCurrency<T> = BTreeMap<Currency, T>;

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How it ended.
    pub verdict: Verdict,
    /// Why it ended so; empty only when it is reconciled.
    pub reasons: Vec<Reason>,
    /// How much of what was compared agrees; `None` when nothing was compared.
    pub match_rate: Option<MatchRate>,
    /// Counts and sums per type; every type is there.
    pub types: BTreeMap<DiffType, TypeTotals>,
    /// What was booked for pairs within tolerance, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub adjustments: BTreeMap<String, ByCurrency<AdjustmentTotals>>,
    /// What the channel took although our status says that no money moved, or not yet: the channel's amounts
    /// of those `status_diff`s.
    pub money_at_risk: ByCurrency<i128>,
    /// Our file as a whole.
    pub platform: SideSummary,
    /// The channel's file as a whole.
    pub channel: SideSummary,
    /// Whether the channel's balance moved by what its rows say.
    pub tie: Tie,
    /// What became of the payouts at the bank; `None` where no bank statement was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payouts: Option<PayoutSummary>,
}

impl Summary {
    /// Adds the third leg and judges again.
    pub(super) fn add_payouts(&mut self, payouts: PayoutSummary) {
        self.reasons.extend(verdict::of_payouts(&payouts, &self.reasons));
        self.verdict = verdict::weightiest(&self.reasons);
        self.payouts = Some(payouts);
    }

    /// How many differences there are between the two sides.
    pub fn differences(&self) -> u64 {
        let open = self.types.iter().filter(|(diff_type, _)| diff_type.is_difference());
        open.map(|(_, totals)| totals.count).sum()
    }

    /// The totals of one type.
    pub fn of(&self, diff_type: DiffType) -> TypeTotals {
        self.types.get(&diff_type).cloned().unwrap_or_default()
    }
}

/// What a rule of tolerance has booked in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdjustmentTotals {
    /// For how many pairs.
    pub count: u64,
    /// The channel's amounts less ours, in minor units.
    pub amount: i128,
}

/// Matched pairs over everything that was compared: matched pairs and differences. Pairs within tolerance are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchRate {
    /// Matched pairs.
    pub matched: u64,
    /// Matched pairs and differences.
    pub compared: u64,
    /// The rate in ten-thousandths, rounded down, so that 10000 means all.
    pub ten_thousandths: u64,
}

impl MatchRate {
    pub(super) fn of(tally: &Tally) -> Option<Self> {
        let agreeing = DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_match());
        let matched = agreeing.map(|diff_type| tally.count(diff_type)).sum::<u64>();
        let differences = DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_difference());
        let compared = matched + differences.map(|diff_type| tally.count(diff_type)).sum::<u64>();
        let rate = (u128::from(matched) * 10_000).checked_div(u128::from(compared))?;
        Some(Self { matched, compared, ten_thousandths: u64::try_from(rate).unwrap_or(10_000) })
    }
}

/// Counts and sums of one type.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TypeTotals {
    /// How many outcomes: a pair counts once.
    pub count: u64,
    /// The sums of our rows.
    pub platform_amounts: ByCurrency<i128>,
    /// The sums of the channel's rows.
    pub channel_amounts: ByCurrency<i128>,
    /// How many rows each side has in each currency.
    pub rows: ByCurrency<RowCounts>,
    /// The same per kind of movement.
    pub kinds: BTreeMap<Kind, KindTotals>,
}

/// The rows of one type in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows of ours.
    pub platform: u64,
    /// Rows of the channel's.
    pub channel: u64,
}

/// Counts and sums of one type and kind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KindTotals {
    /// How many outcomes: a pair counts once.
    pub count: u64,
    /// The sums of our rows.
    pub platform_amounts: ByCurrency<i128>,
    /// The sums of the channel's rows.
    pub channel_amounts: ByCurrency<i128>,
}

/// What one file holds in one kind or currency, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MoneyTotals {
    /// Rows.
    pub rows: u64,
    /// The sum of the signed amounts.
    pub gross: i128,
    /// The sum of the fees, rounded once.
    pub fee: i128,
    /// The sum of the nets; rows without a net count with their amount.
    pub net: i128,
}

impl MoneyTotals {
    fn add(&mut self, total: &CategoryTotal) {
        self.rows += total.rows;
        self.gross += total.gross;
        self.fee += total.fee;
        self.net += total.net;
    }
}

/// One file as a whole: every row that could be read, whatever its kind and day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideSummary {
    /// Rows read.
    pub rows: u64,
    /// Of these, rows outside the day asked about: they may complete a pair and are no difference themselves.
    pub rows_outside_window: u64,
    /// What could not be read.
    pub rejects: Rejects,
    /// What the file's own totals say.
    pub control: ControlReport,
    /// Rows whose gross less fee is not their net.
    pub unbalanced: Unbalanced,
    /// Sums per currency.
    pub currencies: ByCurrency<MoneyTotals>,
    /// Sums per kind and currency. Fees, payouts and adjustments are found here and nowhere else.
    pub kinds: BTreeMap<Kind, ByCurrency<MoneyTotals>>,
    /// Fees per currency, with what rounding them once left over.
    pub fees: Vec<FeeTotal>,
}

impl SideSummary {
    pub(super) fn new(report: &FileReport, rejects: Rejects) -> Self {
        let mut currencies: ByCurrency<MoneyTotals> = ByCurrency::new();
        let mut kinds: BTreeMap<Kind, ByCurrency<MoneyTotals>> = BTreeMap::new();
        for total in &report.category_totals {
            currencies.entry(total.currency).or_default().add(total);
            kinds.entry(total.kind).or_default().entry(total.currency).or_default().add(total);
        }
        Self {
            rows: report.rows,
            rows_outside_window: report.rows_outside_window,
            rejects,
            control: report.control.clone(),
            unbalanced: report.unbalanced.clone(),
            currencies,
            kinds,
            fees: report.fee_totals.clone(),
        }
    }
}

/// The payouts of a settlement file: whether the rows that each carried add up to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PayoutTotals {
    /// Payouts whose rows add up.
    pub proven: u64,
    /// Payouts that the file names without stating their own amount, or without the rows they carried.
    pub not_provable: u64,
    /// Payouts whose rows do not add up.
    pub failed: u64,
    /// The first of those, at most 20.
    pub first_failed: Vec<PayoutGroup>,
}

impl PayoutTotals {
    pub(super) fn of(groups: &[PayoutGroup]) -> Self {
        let count = |tie: Proof| groups.iter().filter(|group| group.tie == tie).count() as u64;
        let failed = groups.iter().filter(|group| group.tie == Proof::Failed);
        Self {
            proven: count(Proof::Proven),
            not_provable: count(Proof::NotProvable),
            failed: count(Proof::Failed),
            first_failed: failed.take(20).cloned().collect(),
        }
    }
}

/// What a summary is made of.
pub(super) struct Parts<'a> {
    pub(super) tally: &'a Tally,
    pub(super) platform: (&'a FileReport, Rejects),
    pub(super) channel: (&'a FileReport, Rejects),
    pub(super) tie: Tie,
    pub(super) tolerance: &'a Tolerance,
    pub(super) platform_proven_by: ProvenBy,
    pub(super) channel_proven_by: ProvenBy,
}

/// Puts the figures of a run together and judges them.
pub(super) fn summarise(parts: Parts<'_>) -> Summary {
    let platform = SideSummary::new(parts.platform.0, parts.platform.1);
    let channel = SideSummary::new(parts.channel.0, parts.channel.1);
    let differences = DiffType::ALL.into_iter().filter(|diff_type| diff_type.is_difference());
    let (verdict, reasons) = verdict::judge(Evidence {
        platform: &platform,
        channel: &channel,
        tie: &parts.tie,
        differences: differences.map(|diff_type| parts.tally.count(diff_type)).sum(),
        platform_proven_by: parts.platform_proven_by,
        channel_proven_by: parts.channel_proven_by,
    });
    Summary {
        verdict,
        reasons,
        match_rate: MatchRate::of(parts.tally),
        types: DiffType::ALL
            .into_iter()
            .map(|diff_type| (diff_type, parts.tally.totals(diff_type)))
            .collect(),
        adjustments: parts.tally.adjustments(parts.tolerance),
        money_at_risk: parts.tally.at_risk(),
        platform,
        channel,
        tie: parts.tie,
        payouts: None,
    }
}
