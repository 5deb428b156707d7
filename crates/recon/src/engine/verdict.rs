//! How a run ends, and why.

use std::fmt;

use payops_channels::bank::PAGES;
use payops_channels::read::ProvenBy;
use payops_channels::row::Proof;
use serde::{Deserialize, Serialize};

use super::entry::Side;
use super::summary::SideSummary;
use super::tie::Tie;
use crate::payouts::{PayoutSummary, ThreeWayProof};

/// How a run ends. A part of the truth that is missing weighs more than differences in the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every unit of money is accounted for.
    Reconciled,
    /// Everything was read, and something differs.
    Differences,
    /// A part could not be read, or a total contradicts the rows.
    Incomplete,
    /// Nothing differs, but a source that should prove that it is complete did not.
    NotProvable,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 4] = [Self::Reconciled, Self::Differences, Self::Incomplete, Self::NotProvable];

    /// The verdict's name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciled => "reconciled",
            Self::Differences => "differences",
            Self::Incomplete => "incomplete",
            Self::NotProvable => "not_provable",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One reason for a verdict. On the wire it is an object with `code` and the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Rows, or parts of a file, could not be read.
    Rejects {
        /// Whose file.
        side: Side,
        /// How many.
        count: u64,
    },
    /// A file's own control totals contradict its rows.
    ControlTotalsFailed {
        /// Whose file.
        side: Side,
    },
    /// Rows whose gross less fee is not their net.
    UnbalancedRows {
        /// Whose file.
        side: Side,
        /// How many.
        count: u64,
    },
    /// The balance summary contradicts itself or the rows.
    TieBroken {
        /// In how many currencies.
        currencies: u64,
    },
    /// Lines of the balance summary could not be read.
    SummaryRejects {
        /// How many.
        count: u64,
    },
    /// Payouts that are not what their rows add up to.
    PayoutsBroken {
        /// How many.
        count: u64,
    },
    /// Rows differ between the sides.
    Differences {
        /// How many.
        count: u64,
    },
    /// The channel's report carries no totals and no balance summary was given to prove it.
    SummaryMissing,
    /// The platform's feed ends without its count and sums.
    TrailerMissing,
    /// A file lacks the row of totals that its mapping speaks of.
    TotalsMissing {
        /// Whose file.
        side: Side,
    },
    /// Parts of the bank's file could not be read.
    BankRejects {
        /// How many.
        count: u64,
    },
    /// The bank's file contradicts its own balances or totals.
    BankTotalsFailed,
    /// Pages of the bank's statements are missing.
    BankPagesMissing {
        /// Of how many statements.
        statements: u64,
    },
    /// Payouts and the bank's deposits differ.
    PayoutDifferences {
        /// How many.
        count: u64,
    },
    /// Rows, payouts and deposits do not contradict each other, and a part of the proof is missing.
    ThreeWayNotProvable,
    /// Payouts that rows name and no report lists, though all that could are there.
    PayoutsNotListed {
        /// How many.
        count: u64,
    },
    /// Payouts of which it is not known both how large they are stated to be and what all their rows add up to.
    PayoutsNotItemised {
        /// How many.
        count: u64,
    },
    /// Payouts that rows name, and of which no file says how large they are.
    PayoutsNotStated {
        /// How many.
        count: u64,
    },
    /// No row of either file lies on the day asked about, though the files have rows.
    NothingOnTheDay,
}

/// What a reason says of payouts behind how many they are.
const TO_ITEMISE: &str = "cannot be held against all of their rows: hand over the channel's reports of payouts (--payouts) and of their \
                          rows (--payout-rows; to the service with role=payouts and role=payout_rows); what was paid out by hand has no rows";
const TO_STATE: &str = "that the rows name: hand over the channel's report of payouts (--payouts; to the service with role=payouts)";

impl Reason {
    /// The verdict that this reason alone leads to.
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Differences { .. } | Self::PayoutDifferences { .. } => Verdict::Differences,
            Self::SummaryMissing
            | Self::ThreeWayNotProvable
            | Self::PayoutsNotListed { .. }
            | Self::PayoutsNotItemised { .. }
            | Self::PayoutsNotStated { .. }
            | Self::TrailerMissing
            | Self::TotalsMissing { .. }
            | Self::NothingOnTheDay => Verdict::NotProvable,
            _ => Verdict::Incomplete,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of =
            |count: &u64, one: &str, many: &str| format!("{count} {}", if *count == 1 { one } else { many });
        let rows = |count: &u64| of(count, "row", "rows");
        match self {
            Self::Rejects { side, count } => {
                write!(f, "the {} file could not be read in {}", side.as_str(), of(count, "place", "places"))
            }
            Self::ControlTotalsFailed { side } => {
                write!(f, "the control totals of the {} file contradict its rows", side.as_str())
            }
            Self::UnbalancedRows { side, count } => {
                write!(f, "gross less fee is not net in {} of the {} file", rows(count), side.as_str())
            }
            Self::TieBroken { currencies } => {
                let currencies = of(currencies, "currency", "currencies");
                write!(f, "the balance summary does not tie in {currencies}")
            }
            Self::SummaryRejects { count } => {
                write!(f, "the balance summary could not be read in {}", of(count, "place", "places"))
            }
            Self::PayoutsBroken { count } => {
                let payouts = of(count, "payout is", "payouts are");
                write!(f, "{payouts} not what the rows add up to")
            }
            Self::Differences { count } => f.write_str(&of(count, "difference", "differences")),
            Self::SummaryMissing => f.write_str(
                "the channel's report carries no totals of its own, and no balance summary was given",
            ),
            Self::TrailerMissing => {
                f.write_str("the platform's feed ends without its trailer of count and sums")
            }
            Self::TotalsMissing { side } => {
                write!(f, "the {} file lacks the row of totals that its mapping speaks of", side.as_str())
            }
            Self::BankRejects { count } => {
                write!(f, "the bank's file could not be read in {}", of(count, "place", "places"))
            }
            Self::BankTotalsFailed => f.write_str("the bank's file contradicts its own balances or totals"),
            Self::BankPagesMissing { statements } => {
                let of = of(statements, "statement", "statements");
                write!(f, "pages of {of} of the bank are missing: all pages come in one file")
            }
            Self::PayoutDifferences { count } => {
                let differences = of(count, "difference", "differences");
                write!(f, "{differences} between payouts and the bank")
            }
            Self::ThreeWayNotProvable => {
                f.write_str("rows, payouts and bank cannot be proven to be the same money")
            }
            Self::PayoutsNotListed { count } => {
                let payouts = of(count, "payout", "payouts");
                write!(f, "the rows name {payouts} that no report of payouts lists")
            }
            Self::PayoutsNotItemised { count } => {
                write!(f, "{} {TO_ITEMISE}", of(count, "payout", "payouts"))
            }
            Self::PayoutsNotStated { count } => {
                write!(f, "no file states how large {} {TO_STATE}", of(count, "payout is", "payouts are"))
            }
            Self::NothingOnTheDay => f.write_str("no row of either file lies on the day asked about"),
        }
    }
}

/// What a verdict is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Evidence<'a> {
    pub(super) platform: &'a SideSummary,
    pub(super) channel: &'a SideSummary,
    pub(super) tie: &'a Tie,
    pub(super) differences: u64,
    pub(super) platform_proven_by: ProvenBy,
    pub(super) channel_proven_by: ProvenBy,
}

/// The verdict and its reasons, the weightiest first.
pub(super) fn judge(evidence: Evidence<'_>) -> (Verdict, Vec<Reason>) {
    let mut reasons = Vec::new();
    for (side, summary) in [(Side::Platform, evidence.platform), (Side::Channel, evidence.channel)] {
        if summary.rejects.count > 0 {
            reasons.push(Reason::Rejects { side, count: summary.rejects.count });
        }
        if summary.control.proof == Proof::Failed {
            reasons.push(Reason::ControlTotalsFailed { side });
        }
        if summary.unbalanced.rows > 0 {
            reasons.push(Reason::UnbalancedRows { side, count: summary.unbalanced.rows });
        }
    }
    let tie = evidence.tie;
    let counted = [
        (tie.rejects.count, Reason::SummaryRejects { count: tie.rejects.count }),
        (tie.broken(), Reason::TieBroken { currencies: tie.broken() }),
        (tie.payouts.failed, Reason::PayoutsBroken { count: tie.payouts.failed }),
        (evidence.differences, Reason::Differences { count: evidence.differences }),
    ];
    reasons.extend(counted.into_iter().filter(|(count, _)| *count > 0).map(|(_, reason)| reason));
    for (side, summary, proven_by) in [
        (Side::Channel, evidence.channel, evidence.channel_proven_by),
        (Side::Platform, evidence.platform, evidence.platform_proven_by),
    ] {
        let (proof, missing) = match proven_by {
            ProvenBy::BalanceSummary => (tie.proof, Reason::SummaryMissing),
            ProvenBy::Trailer => (summary.control.proof, Reason::TrailerMissing),
            ProvenBy::Totals => (summary.control.proof, Reason::TotalsMissing { side }),
            ProvenBy::Nothing => continue,
        };
        if proof == Proof::NotProvable {
            reasons.push(missing);
        }
    }
    let rows = evidence.platform.rows + evidence.channel.rows;
    if rows > 0 && rows == evidence.platform.rows_outside_window + evidence.channel.rows_outside_window {
        reasons.push(Reason::NothingOnTheDay);
    }
    (weightiest(&reasons), reasons)
}

/// What the third leg adds to the reasons that are `known`. A payout may differ from rows of its that stand in files of other days.
pub(super) fn of_payouts(payouts: &PayoutSummary, known: &[Reason]) -> Vec<Reason> {
    let (rejects, differences) = (payouts.bank.rejects.count, payouts.differences());
    let is_told = known.iter().any(|reason| matches!(reason, Reason::PayoutsBroken { .. }));
    // What is missing contradicts nothing: it is another thing to do.
    let failed = payouts.bank.failed.iter();
    let (pages, totals): (Vec<_>, Vec<_>) = failed.partition(|check| check.name == PAGES);
    let statements = pages.len() as u64;
    let totals_failed = payouts.bank.proof == Proof::Failed && (pages.is_empty() || !totals.is_empty());
    let contradicted: u64 = payouts.currencies.values().map(|tie| tie.contradicted).sum();
    let not_itemised: u64 = payouts.currencies.values().map(|tie| tie.not_itemised).sum();
    let not_stated: u64 = payouts.currencies.values().map(|tie| tie.not_stated).sum();
    let unlisted: u64 = payouts.currencies.values().map(|tie| tie.unlisted).sum();
    let reasons = [
        (contradicted > 0 && !is_told, Reason::PayoutsBroken { count: contradicted }),
        (rejects > 0, Reason::BankRejects { count: rejects }),
        (statements > 0, Reason::BankPagesMissing { statements }),
        (totals_failed, Reason::BankTotalsFailed),
        (differences > 0, Reason::PayoutDifferences { count: differences }),
        (payouts.proof == ThreeWayProof::NotProvable, Reason::ThreeWayNotProvable),
        (unlisted > 0, Reason::PayoutsNotListed { count: unlisted }),
        // Where nothing states payouts, that is the first thing to hand over; where something differs, that is the work.
        (
            not_itemised > 0 && not_stated == 0 && payouts.proof == ThreeWayProof::NotProvable,
            Reason::PayoutsNotItemised { count: not_itemised },
        ),
        (not_stated > 0, Reason::PayoutsNotStated { count: not_stated }),
    ];
    reasons.into_iter().filter_map(|(holds, reason)| holds.then_some(reason)).collect()
}

/// The verdict that all reasons together lead to.
pub(super) fn weightiest(reasons: &[Reason]) -> Verdict {
    let weightiest = [Verdict::Incomplete, Verdict::Differences, Verdict::NotProvable];
    let verdict =
        weightiest.into_iter().find(|verdict| reasons.iter().any(|reason| reason.verdict() == *verdict));
    verdict.unwrap_or(Verdict::Reconciled)
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use payops_core::currency::Currency;

    use super::*;
    use crate::engine::Rejects;
    use crate::payouts::{BankSummary, Group, Payout, PayoutOutcome};

    #[test]
    fn a_payout_that_is_not_its_rows_is_told_though_the_bank_has_it() {
        let payout = |rows| Payout {
            id: "po_1".to_owned(),
            amount: 1000,
            currency: Currency::EUR,
            date: NaiveDate::from_ymd_opt(2026, 3, 2),
            is_stated: true,
            rows: Some(rows),
            is_asked_about: true,
        };
        let group = Group {
            outcome: PayoutOutcome::Matched,
            by: None,
            payouts: vec![0],
            deposits: Vec::new(),
            solutions: None,
            age_days: None,
        };
        let bank = BankSummary {
            proof: Proof::Proven,
            statements: 1,
            entries: 1,
            not_booked: 0,
            days: None,
            gaps: Vec::new(),
            failed: Vec::new(),
            rejects: Rejects::default(),
        };
        let reasons = |rows, known: &[Reason]| {
            of_payouts(
                &PayoutSummary::new(std::slice::from_ref(&group), &[payout(rows)], &[], &[], bank.clone()),
                known,
            )
        };
        assert_eq!(reasons(1000, &[]), []);
        assert_eq!(reasons(990, &[]), [Reason::PayoutsBroken { count: 1 }]);
        assert_eq!(reasons(990, &[Reason::PayoutsBroken { count: 2 }]), []);
    }
}
