//! What reading a file found out about the file as a whole.

use payops_core::currency::Currency;
use serde::{Deserialize, Serialize};

use crate::read::BoundFormat;
use crate::row::{Kind, Proof};

/// The outcome of reading one file. Rows and rejects themselves went to the sink.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// Rows delivered.
    pub rows: u64,
    /// Rejects delivered, file-level ones included.
    pub rejects: u64,
    /// Rows delivered that lie outside the day asked about.
    pub rows_outside_window: u64,
    /// Bytes of decoded text that were read.
    pub bytes: u64,
    /// True when the sink asked to stop: the sums below then cover a part of the file.
    pub stopped_early: bool,
    /// How the columns were found; give it to [`crate::read::reread_rows`]. `None` when the header was refused.
    pub bound: Option<BoundFormat>,
    /// What the file's own totals say.
    pub control: ControlReport,
    /// Rows whose gross, fee and net do not add up. They were delivered all the same.
    pub unbalanced: Unbalanced,
    /// Sums per category and currency, ordered by currency.
    pub category_totals: Vec<CategoryTotal>,
    /// Fees per currency, rounded once.
    pub fee_totals: Vec<FeeTotal>,
    /// Sums per payout and currency, ordered by payout.
    pub payout_groups: Vec<PayoutGroup>,
    /// Rows of payouts beyond [`crate::options::Limits::max_payout_groups`], which were not summed.
    pub rows_beyond_payout_limit: u64,
}

impl FileReport {
    pub(crate) fn empty() -> Self {
        Self {
            rows: 0,
            rejects: 0,
            rows_outside_window: 0,
            bytes: 0,
            stopped_early: false,
            bound: None,
            control: ControlReport::not_provable(),
            unbalanced: Unbalanced::default(),
            category_totals: Vec::new(),
            fee_totals: Vec::new(),
            payout_groups: Vec::new(),
            rows_beyond_payout_limit: 0,
        }
    }

    /// The sum of net over all rows but payouts, in minor units, per currency: what the balance summary calls
    /// activity. Rows without a net count with their amount.
    pub fn activity(&self) -> Vec<(Currency, i128)> {
        let mut sums: Vec<(Currency, i128)> = Vec::new();
        for total in self.category_totals.iter().filter(|total| total.kind != Kind::Payout) {
            match sums.last_mut() {
                Some((currency, sum)) if *currency == total.currency => *sum += total.net,
                _ => sums.push((total.currency, total.net)),
            }
        }
        sums
    }
}

/// What a file's own control totals say, check by check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlReport {
    /// The verdict over all checks.
    pub proof: Proof,
    /// Each check; empty when the file carries nothing to check against.
    pub checks: Vec<ControlCheck>,
}

impl ControlReport {
    pub(crate) fn not_provable() -> Self {
        Self { proof: Proof::NotProvable, checks: Vec::new() }
    }

    /// The verdict that follows from the checks: not provable without any.
    pub(crate) fn of(checks: Vec<ControlCheck>) -> Self {
        let proof = match checks.iter().all(ControlCheck::holds) {
            _ if checks.is_empty() => Proof::NotProvable,
            true => Proof::Proven,
            false => Proof::Failed,
        };
        Self { proof, checks }
    }
}

/// One control total beside what the rows give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlCheck {
    /// What is counted or summed: `count`, `sum`, or `rows_after_trailer`; bank statements have more, which
    /// `docs/bank-statements.md` lists.
    pub name: String,
    /// The currency of a sum, in minor units; `None` for a count, and for a sum across currencies.
    pub currency: Option<Currency>,
    /// What the file states; `None` where it should state something and does not.
    pub stated: Option<i128>,
    /// What its rows give.
    pub found: i128,
}

impl ControlCheck {
    /// Whether the rows meet the statement.
    pub fn holds(&self) -> bool {
        self.stated == Some(self.found)
    }
}

/// Rows for which gross - fee is not net.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Unbalanced {
    /// How many there are.
    pub rows: u64,
    /// The lines of the first 20.
    pub first_lines: Vec<u64>,
}

/// The sums of one category of movement in one currency, in minor units. Sums may exceed 64 bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CategoryTotal {
    /// The channel's word for the category, or the kind's name where the channel has none.
    pub category: String,
    /// The kind it was read as.
    pub kind: Kind,
    /// The currency of the sums.
    pub currency: Currency,
    /// How many rows.
    pub rows: u64,
    /// The sum of the signed amounts.
    pub gross: i128,
    /// The sum of the fees, rounded once, half to even.
    pub fee: i128,
    /// The sum of the nets; rows without a net count with their amount.
    pub net: i128,
}

/// All fees of one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTotal {
    /// The currency.
    pub currency: Currency,
    /// The exact sum rounded once, half to even, in minor units.
    pub fee: i128,
    /// Exact sum minus rounded sum, as a decimal of major units; `0` when no fee was finer than its currency.
    pub residue: String,
}

/// The rows that one payout carried to the bank, in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutGroup {
    /// The payout's id.
    pub payout_id: String,
    /// The currency.
    pub currency: Currency,
    /// How many rows it carried, payout rows aside.
    pub rows: u64,
    /// The sum of their nets, minor units.
    pub net: i128,
    /// The net of the payout's own rows; `None` when the file has none.
    pub payout_net: Option<i128>,
    /// When the payout left, as its own row says it; else the time of the last row that it carried. Of several the
    /// greatest text, which for ISO 8601 is the latest. Empty where the file has no times.
    #[serde(skip)]
    pub occurred_at: String,
    /// Whether that time, or that of another of these rows, lies on the day asked about.
    #[serde(skip)]
    pub in_window: bool,
    /// Whether the payout's own rows are as large as what it carried. Stripe prints a payout as negative, its
    /// payout reports as positive: only the size is compared.
    pub tie: Proof,
}
