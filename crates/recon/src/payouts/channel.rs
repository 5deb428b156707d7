//! The payouts that a channel's file tells of.

use payops_channels::options::ReadOptions;
use payops_channels::report::{FileReport, PayoutGroup};

use super::Payout;

/// The payouts of a channel's file: those that have a row of their own. A file that has no such row but names payouts
/// in its other rows, as Stripe's reports of activity do, tells of these, each as large as its rows.
///
/// A row of a payout is negative where it is signed as the balance moves, and positive in reports of payouts. What
/// reached the bank has the sign of the rows that the payout carried; without such rows the payout left the balance.
pub fn payouts_of(report: &FileReport, options: &ReadOptions) -> Vec<Payout> {
    let has_own_rows = report.payout_groups.iter().any(|group| group.payout_net.is_some());
    let told = report.payout_groups.iter().filter(|group| group.payout_net.is_some() || !has_own_rows);
    let date = |group: &PayoutGroup| {
        let bound = report.bound.as_ref()?;
        bound.date_of(&group.occurred_at, options)
    };
    let payout = |group: &PayoutGroup| Payout {
        id: group.payout_id.clone(),
        amount: narrow(amount(group)),
        currency: group.currency,
        date: date(group),
        rows: (group.payout_net.is_some() && group.rows > 0).then_some(group.net),
        is_asked_about: group.in_window,
    };
    told.map(payout).collect()
}

fn amount(group: &PayoutGroup) -> i128 {
    match group.payout_net {
        None => group.net,
        Some(own) if group.rows > 0 && group.net != 0 => own.abs() * group.net.signum(),
        Some(own) => -own,
    }
}

/// Sums beyond 64 bits stay as large as can be: they then contradict their rows.
fn narrow(amount: i128) -> i64 {
    i64::try_from(amount).unwrap_or(if amount < 0 { i64::MIN } else { i64::MAX })
}
