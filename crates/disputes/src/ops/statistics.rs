//! Statistics: the original's figures, and what they are grouped by.

use std::collections::BTreeMap;

use payops_platform::error::Result;
use uuid::Uuid;

use crate::Disputes;
use crate::store::sums::{self, Dimension, Period, Sum};

/// How many disputes ended how, and the money of each currency.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) total: i64,
    pub(crate) won: i64,
    pub(crate) lost: i64,
    pub(crate) pending: i64,
    pub(crate) refunded: i64,
    pub(crate) closed: i64,
    pub(crate) money: BTreeMap<String, Amounts>,
}

/// Minor units of one currency. They may exceed 64 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) total: i128,
    pub(crate) won: i128,
    pub(crate) lost: i128,
    pub(crate) pending: i128,
    pub(crate) refunded: i128,
}

impl Figures {
    fn add(&mut self, sum: &Sum) {
        let money = self.money.entry(sum.currency.clone()).or_default();
        self.total += sum.count;
        money.total += sum.amount;
        let (count, amount) = match sum.outcome.as_str() {
            "won" => (&mut self.won, Some(&mut money.won)),
            "lost" => (&mut self.lost, Some(&mut money.lost)),
            "refunded" => (&mut self.refunded, Some(&mut money.refunded)),
            "closed" => (&mut self.closed, None),
            _ => (&mut self.pending, Some(&mut money.pending)),
        };
        *count += sum.count;
        if let Some(amount) = amount {
            *amount += sum.amount;
        }
    }

    /// Won of all decided, as a percentage with two decimals, rounded down: only a record without a loss shows 100.00.
    pub(crate) fn win_rate(&self) -> Option<String> {
        let (won, decided) = (i128::from(self.won), i128::from(self.won) + i128::from(self.lost));
        if decided <= 0 {
            return None;
        }
        let hundredths = won * 10_000 / decided;
        Some(format!("{}.{:02}", hundredths / 100, hundredths % 100))
    }
}

/// All of a period, and each group of it by its value, in the order of the values.
pub(crate) struct Statistics {
    pub(crate) all: Figures,
    pub(crate) groups: BTreeMap<String, Figures>,
}

/// Sums up a period, of all disputes or of a merchant's.
pub(crate) async fn statistics(
    app: &Disputes,
    dimension: Dimension,
    period: Period,
    merchant: Option<Uuid>,
) -> Result<Statistics> {
    let db = &app.context.db;
    let sums = sums::sums(db.read(), db.backend(), dimension, period, merchant).await?;
    let (mut all, mut groups) = (Figures::default(), BTreeMap::<String, Figures>::new());
    for sum in &sums {
        all.add(sum);
        groups.entry(sum.value.clone()).or_default().add(sum);
    }
    Ok(Statistics { all, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_win_rate_is_exact_and_none_where_nothing_is_decided() {
        let of = |won, lost| Figures { won, lost, ..Figures::default() }.win_rate();
        assert_eq!(of(0, 0), None);
        assert_eq!(of(0, 3).as_deref(), Some("0.00"));
        assert_eq!(of(2, 1).as_deref(), Some("66.66"));
        assert_eq!(of(999_999, 1).as_deref(), Some("99.99"));
        assert_eq!(of(i64::MAX, 0).as_deref(), Some("100.00"));
    }
}
