//! Thresholds: told once when usage rises to one, and once when it falls below again.

use payops_core::time::Timestamp;

use super::Account;
use crate::model::{Alert, LimitKind};

/// Compares usage with the limits in force at `now` and adds an alert for every threshold between what was told and
/// what is so. A threshold is reached at used + pending ≥ limit × percent. Without a limit there is none.
pub fn update_alerts(account: &mut Account, now: Timestamp, alerts: &mut Vec<Alert>) {
    let limits = account.terms.limits(now);
    let usage = account.usage;
    let windows = [
        (LimitKind::Daily, limits.daily, usage.daily_used, usage.day.start, usage.daily_alert),
        (LimitKind::Monthly, limits.monthly, usage.monthly_used, usage.month.start, usage.monthly_alert),
    ];
    for (kind, limit, used, window_start, told) in windows {
        let used = used.saturating_add(usage.pending);
        let reached = highest(&account.terms.thresholds, limit, used);
        if reached == told {
            continue;
        }
        let (low, high) = (told.min(reached), told.max(reached));
        let between = account.terms.thresholds.iter().filter(|percent| low < **percent && **percent <= high);
        alerts.extend(between.map(|threshold| Alert {
            merchant_id: account.merchant_id,
            seq: usage.seq,
            kind,
            window_start,
            threshold: *threshold,
            crossed: reached > told,
            used,
            limit: limit.unwrap_or(0),
            created_at: now,
        }));
        match kind {
            LimitKind::Monthly => account.usage.monthly_alert = reached,
            _ => account.usage.daily_alert = reached,
        }
    }
}

fn highest(thresholds: &[i16], limit: Option<i64>, used: i64) -> i16 {
    let Some(limit) = limit.filter(|_| used > 0) else { return 0 };
    let reached = |percent: &&i16| i128::from(used) * 100 >= i128::from(limit) * i128::from(**percent);
    thresholds.iter().filter(reached).max().copied().unwrap_or(0)
}
