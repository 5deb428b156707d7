//! Whether the channel's balance moved by what its rows say.

use payops_channels::report::FileReport;
use payops_channels::row::{Proof, Reject, RejectReason};
use payops_channels::stripe::balance_summary::BalanceSummary;
use serde::{Deserialize, Serialize};

use super::side::Rejects;
use super::summary::{ByCurrency, PayoutTotals};

/// What a channel's balance summary states of one currency, in minor units, signed as the balance moves:
/// payouts are negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StatedBalance {
    /// The balance before the first movement.
    pub opening: i128,
    /// Everything but payouts, after fees.
    pub activity: i128,
    /// Money that left for the bank.
    pub payouts: i128,
    /// The balance after the last movement.
    pub ending: i128,
}

/// A channel's balance summary as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatedBalances {
    /// What it states.
    pub currencies: ByCurrency<StatedBalance>,
    /// What of it could not be read.
    pub rejects: Rejects,
}

impl StatedBalances {
    /// What a summary states. A currency of which it leaves a part out can prove nothing and is among the
    /// rejects, as is what was `damage`d while the file was unpacked.
    pub fn of(summary: BalanceSummary, damage: &[Reject]) -> Self {
        let mut stated = Self::default();
        damage.iter().cloned().chain(summary.rejects).for_each(|reject| stated.rejects.add(reject));
        for balance in summary.currencies {
            let parts = (balance.opening, balance.activity, balance.payouts, balance.ending);
            if let (Some(opening), Some(activity), Some(payouts), Some(ending)) = parts {
                let [opening, activity, payouts, ending] =
                    [opening, activity, payouts, ending].map(i128::from);
                stated
                    .currencies
                    .insert(balance.currency, StatedBalance { opening, activity, payouts, ending });
            } else {
                let message = format!("the summary leaves out a part of the balance in {}", balance.currency);
                stated.rejects.add(Reject { line: 0, column: None, reason: RejectReason::ShortRow, message });
            }
        }
        stated
    }
}

/// The tie of a run: the balance summary against itself and against the rows, and payouts against theirs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tie {
    /// `NOT_PROVABLE` without a balance summary.
    pub proof: Proof,
    /// Each currency that the summary or the rows have.
    pub currencies: ByCurrency<CurrencyTie>,
    /// What of the summary could not be read.
    pub rejects: Rejects,
    /// The payouts that the channel's file names.
    pub payouts: PayoutTotals,
}

/// The tie of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyTie {
    /// What the summary states; `None` when it leaves the currency out.
    pub stated: Option<StatedBalance>,
    /// The sum of the nets of the channel's rows, payouts aside.
    pub itemized_activity: i128,
    /// opening + activity + payouts = ending.
    pub balances: bool,
    /// The rows' sum is the stated activity.
    pub activity_ties: bool,
}

impl Tie {
    pub(super) fn new(stated: Option<&StatedBalances>, channel: &FileReport) -> Self {
        let payouts = PayoutTotals::of(&channel.payout_groups);
        let Some(stated) = stated else {
            let (proof, currencies, rejects) = (Proof::NotProvable, ByCurrency::new(), Rejects::default());
            return Self { proof, currencies, rejects, payouts };
        };
        let mut itemized: ByCurrency<i128> = ByCurrency::new();
        for (currency, sum) in channel.activity() {
            *itemized.entry(currency).or_default() += sum;
        }
        for currency in stated.currencies.keys() {
            itemized.entry(*currency).or_default();
        }
        let tie =
            |(currency, itemized)| (currency, CurrencyTie::new(stated.currencies.get(&currency), itemized));
        let currencies: ByCurrency<CurrencyTie> = itemized.into_iter().map(tie).collect();
        let holds = stated.rejects.count == 0 && currencies.values().all(CurrencyTie::holds);
        let proof = match (holds, currencies.is_empty() && channel.rows > 0) {
            (false, _) => Proof::Failed,
            (true, true) => Proof::NotProvable,
            (true, false) => Proof::Proven,
        };
        Self { proof, currencies, rejects: stated.rejects.clone(), payouts }
    }

    /// In how many currencies the summary contradicts itself or the rows.
    pub fn broken(&self) -> u64 {
        self.currencies.values().filter(|tie| !tie.holds()).count() as u64
    }
}

impl CurrencyTie {
    fn new(stated: Option<&StatedBalance>, itemized_activity: i128) -> Self {
        let balances = stated.is_none_or(|stated| {
            let sum =
                stated.opening.checked_add(stated.activity).and_then(|sum| sum.checked_add(stated.payouts));
            sum == Some(stated.ending)
        });
        let activity_ties = stated.map_or(0, |stated| stated.activity) == itemized_activity;
        Self { stated: stated.copied(), itemized_activity, balances, activity_ties }
    }

    /// Whether both checks hold.
    pub fn holds(&self) -> bool {
        self.balances && self.activity_ties
    }
}
