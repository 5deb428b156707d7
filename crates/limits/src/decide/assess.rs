//! The rules that a payment is held against.

use payops_core::currency::Currency;
use payops_core::time::Timestamp;

use super::{Account, Charge, Failure};
use crate::model::Rule;

/// Every rule that says no to counting `counted` more, in the order of [`Rule`].
///
/// A window passes when used + pending + counted ≤ limit.
pub fn assess(account: &Account, charge: &Charge, counted: i64, now: Timestamp) -> Vec<Failure> {
    let (terms, usage) = (&account.terms, &account.usage);
    let limits = terms.limits(now);
    let mut failures = Vec::new();
    if let Some(why) = &terms.suspended {
        failures.push(Failure { detail: Some(why.clone()), ..plain(Rule::Suspended) });
    }
    if let Some(limit) = limits.single_trans.filter(|limit| counted > *limit) {
        failures.push(Failure { limit: Some(limit), remaining: Some(limit), ..plain(Rule::SingleTrans) });
    }
    let windows = [
        (Rule::Daily, limits.daily, usage.daily_used, usage.day.end),
        (Rule::Monthly, limits.monthly, usage.monthly_used, usage.month.end),
    ];
    for (rule, limit, used, resets_at) in windows {
        let Some(limit) = limit else { continue };
        if i128::from(used) + i128::from(usage.pending) + i128::from(counted) > i128::from(limit) {
            failures.push(Failure {
                limit: Some(limit),
                used: Some(used),
                pending: Some(usage.pending),
                remaining: remaining(Some(limit), used, usage.pending),
                resets_at: Some(resets_at),
                ..plain(rule)
            });
        }
    }
    failures.extend(channel(account, charge));
    failures.extend(currency(account, charge.currency));
    failures
}

/// What is left of a limit: never below zero, `None` without a limit.
pub fn remaining(limit: Option<i64>, used: i64, pending: i64) -> Option<i64> {
    let left = i128::from(limit?) - i128::from(used) - i128::from(pending);
    // Between 0 and the limit, which is an i64.
    Some(i64::try_from(left.max(0)).unwrap_or(i64::MAX))
}

fn channel(account: &Account, charge: &Charge) -> Option<Failure> {
    let allowed = account.terms.channels.as_ref()?;
    if charge.channel.as_ref().is_some_and(|channel| allowed.contains(channel)) {
        return None;
    }
    let stated = if charge.channel.is_some() { "" } else { "none was named; " };
    Some(Failure { detail: Some(format!("{stated}allowed: {}", allowed.join(", "))), ..plain(Rule::Channel) })
}

fn currency(account: &Account, currency: Currency) -> Option<Failure> {
    let allowed = account.terms.currencies.as_ref()?;
    if allowed.contains(&currency) {
        return None;
    }
    let allowed: Vec<&str> = allowed.iter().map(Currency::as_str).collect();
    Some(Failure { detail: Some(format!("allowed: {}", allowed.join(", "))), ..plain(Rule::Currency) })
}

fn plain(rule: Rule) -> Failure {
    Failure {
        rule,
        reason: rule.reason(),
        limit: None,
        used: None,
        pending: None,
        remaining: None,
        resets_at: None,
        detail: None,
    }
}
